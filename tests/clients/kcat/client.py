"""kcat in the scenario: one process a call. It has no admin requests and sets no timestamps."""

import json
import os
import subprocess
import time
from dataclasses import replace

from scenario import PARTITIONS, PATIENCE, Record, Scenario, equal


def kcat(*args, stdin=""):
    done = subprocess.run(["kcat", "-b", os.environ["BOOTSTRAP"], *args], input=stdin, capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 0, f"kcat {' '.join(args)}: {done.stderr}"
    return done.stdout


def read_json(printed):
    records = []
    for line in printed.splitlines():
        m = json.loads(line)
        pairs = iter(m.get("headers", []))
        headers = tuple((name, None if value is None else value.encode()) for name, value in zip(pairs, pairs))
        equal("timestamp type", m["tstype"], "create")
        records.append(Record(m["partition"], m["key"] and m["key"].encode(), m["payload"] and m["payload"].encode(),
                              headers, m["ts"], m["offset"]))
    return records


class Client:
    name = "kcat"
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    acks = ["1", "all", "0"]
    null_header = True
    cannot = {step: "kcat has no admin requests" for step in ["groups", "delete_group", "delete_records", "delete_topic"]}

    def __init__(self):
        self.since = int(time.time() * 1000)

    def as_read(self, record):
        """kcat gives all records of a call the same headers, and an empty value becomes null."""
        headers = (("trace", b"one"), ("batch", b"of kcat"), ("trace", b"two"), ("empty", b""), ("null", None))
        return replace(record, headers=headers, value=record.value or None, timestamp=None)

    def create_topic(self, topic, partitions):
        # Made by the broker on first use, with its num.partitions: broker.properties.
        kcat("-L", "-t", topic, "-X", "allow.auto.create.topics=true")

    def topics(self):
        return {t["topic"]: len(t["partitions"]) for t in json.loads(kcat("-L", "-J"))["topics"]}

    def produce(self, topic, records, codec, acks):
        headers = []
        for name, value in self.as_read(records[0]).headers:
            headers += ["-H", name if value is None else f"{name}={value.decode()}"]
        for p in range(PARTITIONS):
            lines = [f"{(r.key or b'').decode()}|{(r.value or b'').decode()}" for r in records if r.partition == p]
            kcat("-P", "-t", topic, "-p", str(p), "-z", codec, "-X", f"acks={acks}", "-X", "linger.ms=50", "-Z", "-K", "|",
                 *headers, stdin="\n".join(lines) + "\n")

    def end_offsets(self, topic, partitions):
        asked = [word for p in range(partitions) for word in ("-t", f"{topic}:{p}:-1")]
        return {int(line.split("[")[1].split("]")[0]): int(line.rsplit(" ", 1)[1])
                for line in kcat("-Q", *asked).splitlines()}

    def read(self, topic, starts, ends):
        records = []
        for p, start in starts.items():
            records += read_json(kcat("-C", "-t", topic, "-p", str(p), "-o", str(start), "-c", str(ends[p] - start), "-e",
                                      "-J", "-X", "check.crcs=true"))
        return self._timeless(records)

    def _timeless(self, records):
        """The broker keeps kcat's own clock time."""
        for r in records:
            assert self.since <= r.timestamp <= time.time() * 1000, f"timestamp {r.timestamp} of {r}"
        return [replace(r, timestamp=None, offset=r.offset) for r in records]


class KcatScenario(Scenario):
    """kcat ends after a number of records of all partitions together, so a group's first half is any half."""

    def read_as_group(self, first_half):
        total = sum(len(log) for log in self.log.values())
        count = total // 2 if first_half else total - total // 2
        got = read_json(kcat("-G", self.group, "-c", str(count), "-e", "-J", "-X", "auto.offset.reset=earliest", self.topic))
        equal("records read", len(got), count)
        if first_half:
            self.first = got
            return
        got = self.client._timeless(self.first + got)
        self.compare(got, dict.fromkeys(self.log, 0), {p: len(log) for p, log in self.log.items()})

    def times(self):
        times = [r.timestamp for r in read_json(kcat("-C", "-t", self.topic, "-p", "1", "-o", "beginning", "-e", "-J"))]
        for at in [times[0], times[len(times) // 2], times[-1], times[0] - 5000, times[-1] + 1]:
            wanted = next((i for i, t in enumerate(times) if t >= at), -1)
            found = int(kcat("-Q", "-t", f"{self.topic}:1:{at}").rsplit(" ", 1)[1])
            equal(f"offset for the time {at}", found, wanted)


KcatScenario(Client()).run()
