"""The scenario of README.md for clients that are driven from Python.

A client is a class with the methods that `Scenario` calls; what it cannot do is in its dictionary `cannot`, step ->
reason. All its methods block until done or raise. Its `acks` have 0 last: a broker may drop such a request while it is
not yet ready to lead a new partition, and nobody is told.
"""

import os
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field

PARTITIONS = 3
PER_BATCH = 12
PATIENCE = 20.0
GIVE_UP_AFTER = 3


@dataclass(frozen=True)
class Record:
    """One record as it was written, or, with its offset, as it was read."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple
    timestamp: int
    offset: int | None = field(default=None, compare=False)


def plan(codecs, acks, null_header):
    """The records to write, by (codec, acks), in the order of writing. `null_header`: headers may have null values."""
    now = int(time.time() * 1000) - 3_600_000
    batches, n = {}, 0
    for codec in codecs:
        for ack in acks:
            records = []
            for i in range(PER_BATCH):
                headers = []
                if i % 4 != 3:
                    headers = [("trace", b"one"), ("batch", f"{codec} {ack}".encode()), ("trace", b"two"), ("empty", b"")]
                    headers += [("null", None)] if null_header else []
                text = f"{codec} {ack} {i} ärger \u65e5\u672c ".encode() * 12
                records.append(Record(
                    partition=n % PARTITIONS,
                    key=None if i % 6 == 4 else f"key-{n % 7}".encode(),
                    value=None if i % 6 == 5 else b"" if i % 6 == 2 else text,
                    headers=tuple(headers),
                    timestamp=now + n * 1000,
                ))
                n += 1
            batches[codec, ack] = records
    return batches


def until(what, condition):
    """Calls `condition` until it returns something true, and returns that; an error after PATIENCE seconds."""
    end, error = time.monotonic() + PATIENCE, None
    while time.monotonic() < end:
        try:
            result, error = condition(), None
            if result:
                return result
        except Exception as e:
            error = e
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting: {what}" + (f" ({error!r})" if error else ""))


def becomes(what, wanted, read):
    """Waits until `read` returns `wanted`."""
    last = None

    def same():
        nonlocal last
        last = read()
        return last == wanted

    try:
        until(what, same)
    except AssertionError as e:
        raise AssertionError(f"{e}: {last!r} instead of {wanted!r}") from None


def equal(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")


class Scenario:
    def __init__(self, client):
        self.client = client
        self.failed = self.passed = 0
        self.topic = f"{client.name}.{os.getpid()}"
        self.group = f"{client.name}-readers"
        self.log = {p: [] for p in range(PARTITIONS)}

    def step(self, name, action):
        if self.failed >= GIVE_UP_AFTER:
            self.failed += 1
            print(f"FAIL {name}: not run after so many failures", flush=True)
            return
        reason = self.client.cannot.get(name.split(" ")[0])
        if reason:
            print(f"none {name}: {reason}", flush=True)
            return
        begun = time.monotonic()
        try:
            action()
            self.passed += 1
            print(f"PASS {name} ({time.monotonic() - begun:.2f} s)", flush=True)
        except Exception as e:
            self.failed += 1
            print(f"FAIL {name}: {' '.join(str(e).split())[:600] or type(e).__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)

    def run(self):
        c = self.client
        self.step("create", self.create)
        for (codec, acks), records in plan(c.codecs, c.acks, c.null_header).items():
            self.step(f"produce {codec} acks={acks}", lambda: self.produce(records, codec, acks))
        self.step("read", self.read_all)
        self.step("group", lambda: self.read_as_group(first_half=True))
        self.step("restart", restart)
        self.step("resume", lambda: self.read_as_group(first_half=False))
        self.step("again", self.read_all)
        self.step("times", self.times)
        self.step("groups", self.groups)
        self.step("delete_group", self.delete_group)
        self.step("delete_records", self.delete_records)
        self.step("delete_topic", self.delete_topic)
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)

    def create(self):
        self.client.create_topic(self.topic, PARTITIONS)
        becomes("partitions of the topic", PARTITIONS, lambda: self.client.topics().get(self.topic))

    def produce(self, records, codec, acks):
        self.client.produce(self.topic, records, codec, acks)
        for record in records:
            self.log[record.partition].append(self.client.as_read(record))
        ends = {p: len(log) for p, log in self.log.items()}
        # With acks=0 nobody says when the records are there.
        becomes("end offsets", ends, lambda: self.client.end_offsets(self.topic, PARTITIONS))

    def compare(self, got, starts, ends):
        for p in range(PARTITIONS):
            read = [r for r in got if r.partition == p]
            wanted = self.log[p][starts[p]:ends[p]]
            equal(f"offsets of partition {p}", [r.offset for r in read], list(range(starts[p], ends[p])))
            for record, want in zip(read, wanted):
                equal(f"record at offset {record.offset} of partition {p}", record, want)

    def read_all(self):
        starts, ends = dict.fromkeys(self.log, 0), {p: len(log) for p, log in self.log.items()}
        self.compare(self.client.read(self.topic, starts, ends), starts, ends)

    def read_as_group(self, first_half):
        ends = {p: len(log) for p, log in self.log.items()}
        halves = {p: n // 2 for p, n in ends.items()}
        starts, ends = (dict.fromkeys(ends, 0), halves) if first_half else (halves, ends)
        self.compare(self.client.read_as_group(self.topic, self.group, ends), starts, ends)

    def times(self):
        log = self.log[1]
        middle = log[len(log) // 2]
        for what, at, wanted in [
            ("a record's own time", middle.timestamp, len(log) // 2),
            ("just after a record", middle.timestamp + 1, len(log) // 2 + 1),
            ("before all", log[0].timestamp - 5000, 0),
            ("after all", log[-1].timestamp + 1, None),
        ]:
            equal(f"offset for the time {what}", self.client.offset_for_time(self.topic, 1, at), wanted)
        starts, ends = {1: len(log) // 2}, {1: len(log) // 2 + 1}
        equal("the record there", self.client.read(self.topic, starts, ends), [middle])

    def groups(self):
        until("the group is listed", lambda: self.group in self.client.list_groups())
        becomes("state of the group", "empty", lambda: self.client.group_state(self.group).lower())

    def delete_group(self):
        self.client.delete_group(self.group)
        until("the group is gone", lambda: self.group not in self.client.list_groups())

    def delete_records(self):
        self.client.delete_records(self.topic, 2, 5)
        starts, ends = {2: 5}, {2: 7}
        equal("records after the deleted", self.client.read(self.topic, {2: "earliest"}, ends), self.log[2][5:7])

    def delete_topic(self):
        self.client.delete_topic(self.topic)
        until("the topic is gone", lambda: self.topic not in self.client.topics())


def restart():
    subprocess.run(os.environ["OTTLA_RESTART"], shell=True, check=True)
