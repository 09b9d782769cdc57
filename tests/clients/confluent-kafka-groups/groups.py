"""Groups of confluent-kafka (librdkafka): members of both protocols that come, go and are killed while records flow.

What must hold: nobody gets a partition before it was given up, no record is skipped, none is read twice after a member
that ended in an orderly way, and offsets go on where they were.
"""

import os
import sys
import threading
import time
import traceback

from confluent_kafka import Consumer, ConsumerGroupType, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE = 60.0
PARTITIONS = 6
SERVER = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
KINDS = {
    "eager": {"group.protocol": "classic", "partition.assignment.strategy": "range,roundrobin"},
    "cooperative": {"group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}
admin = AdminClient(SERVER)


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting: {what}")


def equal(what, got, wanted):
    assert got == wanted, f"{what}: {got!r} instead of {wanted!r}"


class Feed:
    """Writes to all partitions of a topic until it ends, and knows where the acknowledged records end."""

    def __init__(self, topic):
        self.topic, self.ends, self.errors, self.ending = topic, {}, [], False
        self.producer = Producer({**SERVER, "enable.idempotence": True, "linger.ms": 5})
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.ending:
            for p in range(PARTITIONS):
                self.producer.produce(self.topic, str(n), partition=p, on_delivery=self.delivered)
            # The pace of the records; nothing is awaited here.
            self.producer.poll(0.01)
            n += 1
        if self.producer.flush(PATIENCE):
            self.errors.append("not all delivered in time")

    def delivered(self, error, message):
        if error:
            self.errors.append(error)
        else:
            self.ends[message.partition()] = max(self.ends.get(message.partition(), 0), message.offset() + 1)

    def end(self):
        self.ending = True
        self.thread.join()
        assert not self.errors, self.errors
        return self.ends


class Journal:
    """What the members of one group had and read, in the order in which it happened."""

    def __init__(self):
        self.lock = threading.Lock()
        self.owners, self.next, self.dead, self.problems, self.lost = {}, {}, set(), [], 0
        # Of each partition the last offset of which the coordinator has taken a commit, and what was given up without one.
        self.taken, self.uncommitted = {}, []

    def assigned(self, name, partitions):
        with self.lock:
            for p in partitions:
                if p.partition in self.owners:
                    self.problems.append(f"{p.partition} was given to {name} while {self.owners[p.partition]} had it")
                self.owners[p.partition] = name

    def committed(self, name, partitions):
        with self.lock:
            for p in partitions:
                if p.error:
                    self.problems.append(f"{name} could not commit {p.partition} alone: {p.error.name()}")
                elif p.offset >= 0:
                    self.taken[p.partition] = p.offset

    def revoked(self, name, partitions, refused):
        with self.lock:
            for p in partitions:
                read, taken = self.next.get(p.partition, 0), self.taken.get(p.partition, 0)
                if read > taken:
                    self.uncommitted.append(f"{name} gave up {p.partition} at {read} with {taken} committed: {refused}")
                if self.owners.pop(p.partition, None) != name:
                    self.problems.append(f"{name} gave up {p.partition}, which it did not have")

    def killed(self, name):
        with self.lock:
            self.dead |= {p for p, owner in self.owners.items() if owner == name}
            self.owners = {p: owner for p, owner in self.owners.items() if owner != name}

    def read(self, name, message):
        with self.lock:
            p, offset, wanted = message.partition(), message.offset(), self.next.get(message.partition(), 0)
            where = f"{name} read {p} at {offset}"
            if self.owners.get(p) != name:
                self.problems.append(f"{where}, which {self.owners.get(p)} has")
            if offset > wanted:
                self.problems.append(f"{where} and skipped {wanted}")
            if offset < wanted and p not in self.dead:
                self.problems.append(f"{where} again, next was {wanted}")
            if offset >= wanted:
                self.dead.discard(p)
                self.next[p] = offset + 1

    def owned(self, name):
        with self.lock:
            return sorted(p for p, owner in self.owners.items() if owner == name)

    def has_read(self, ends):
        with self.lock:
            return all(self.next.get(p, 0) >= end for p, end in ends.items())

    def check(self):
        first = f"{len(self.problems)} problems, first {self.problems[:3]}, given up without a commit {self.uncommitted}"
        assert not self.problems, first


class Member:
    """A consumer in a thread of its own, which polls, commits what it read, and tells the journal."""

    def __init__(self, kind, group, name, journal, topic, instance=None, session_ms=6000):
        self.name, self.journal, self.ending, self.error, self.kind = name, journal, False, None, kind
        settings = {**SERVER, **KINDS[kind], "group.id": group, "client.id": name, "enable.auto.commit": False,
                    "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 500}
        if kind != "consumer":
            settings |= {"session.timeout.ms": session_ms, "heartbeat.interval.ms": 500}
        if instance:
            settings["group.instance.id"] = instance
        self.consumer = Consumer(settings)
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.ending:
                message = self.consumer.poll(0.05)
                if message is None:
                    self.commit()
                elif message.error():
                    raise KafkaException(message.error())
                else:
                    self.journal.read(self.name, message)
            self.consumer.close()
        except Exception as e:
            self.error = e
            self.consumer.close()

    def commit(self):
        try:
            self.journal.committed(self.name, self.consumer.commit(asynchronous=False))
        except KafkaException as e:
            # Nothing new to commit; or a rebalance began, and the revocation commits; or the broker has just started.
            ignored = (KafkaError._NO_OFFSET, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION,
                       KafkaError.STALE_MEMBER_EPOCH, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR,
                       KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError._TIMED_OUT)
            if e.args[0].code() not in ignored:
                raise
            return e.args[0].name()
        return None

    def on_assign(self, consumer, partitions):
        self.journal.assigned(self.name, partitions)
        if self.kind == "eager":
            consumer.assign(partitions)
        else:
            consumer.incremental_assign(partitions)

    def on_revoke(self, consumer, partitions):
        # A refusal is not a fault by itself, reading again is: librdkafka may join again before this callback, and then its
        # generation is over (../group-soak/src/witness.rs), but only when topics or partitions come, which none do here.
        self.journal.revoked(self.name, partitions, self.commit())
        if self.kind == "eager":
            consumer.unassign()
        else:
            consumer.incremental_unassign(partitions)

    def on_lost(self, consumer, partitions):
        self.journal.lost += 1
        self.journal.killed(self.name)

    def close(self):
        self.ending = True
        self.thread.join()
        if self.error:
            raise self.error


def describe(group, timeout=PATIENCE):
    return admin.describe_consumer_groups([group], request_timeout=timeout)[group].result(PATIENCE)


def settle(group, kind, assignor, *members):
    """Waits until exactly these are members, each with what the broker says it has, and all partitions are with them."""
    def settled():
        for member in members:
            if member.error:
                raise member.error
        owned = {m.name: m.journal.owned(m.name) for m in members}
        # Asked only when there is a coordinator: librdkafka may wait for one without end.
        if sorted(p for partitions in owned.values() for p in partitions) != list(range(PARTITIONS)):
            return False
        try:
            description = describe(group, 5)
        except KafkaException as e:
            # After a restart: there is no coordinator yet, or librdkafka waits for the former one.
            if e.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError._TIMED_OUT):
                raise
            return False
        have = {m.client_id: sorted(p.partition for p in m.assignment.topic_partitions) for m in description.members}
        return description.state.name == "STABLE" and have == owned

    try:
        until("the group settles", settled)
    except AssertionError as e:
        owned = {m.name: m.journal.owned(m.name) for m in members}
        d = describe(group)
        have = {m.client_id: [p.partition for p in m.assignment.topic_partitions] for m in d.members}
        raise AssertionError(f"{e}: {owned}, described {d.state} {d.type} {have}") from None
    description = describe(group)
    equal("type and assignor", (description.type.name, description.partition_assignor), (kind, assignor))
    sizes = sorted(len(m.journal.owned(m.name)) for m in members)
    equal("sizes", sizes, [PARTITIONS // len(members)] * len(members))


ASSIGNED = {"eager": ("CLASSIC", "range"), "cooperative": ("CLASSIC", "cooperative-sticky"), "consumer": ("CONSUMER", "uniform")}


def committed(group):
    result = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE)
    return {p.partition: p.offset for p in result.topic_partitions}


def create(topic):
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(PATIENCE)
    # A consumer ends when it subscribes to a topic that it is not told of.
    until("the topic is there", lambda: topic in admin.list_topics(timeout=PATIENCE).topics)


def life(kind):
    topic = group = f"life-{kind}"
    create(topic)
    journal, feed = Journal(), Feed(topic)
    a = Member(kind, group, "a", journal, topic)
    settle(group, *ASSIGNED[kind], a)
    b = Member(kind, group, "b", journal, topic)
    settle(group, *ASSIGNED[kind], a, b)
    c = Member(kind, group, "c", journal, topic)
    settle(group, *ASSIGNED[kind], a, b, c)
    b.close()
    settle(group, *ASSIGNED[kind], a, c)
    ends = feed.end()
    until("all is read", lambda: journal.has_read(ends))
    a.close()
    c.close()
    until("the group is empty", lambda: describe(group).state.name == "EMPTY")
    equal("committed offsets", committed(group), ends)
    feed = Feed(topic)
    d = Member(kind, group, "d", journal, topic)
    settle(group, *ASSIGNED[kind], d)
    ends = feed.end()
    until("all is read", lambda: journal.has_read(ends))
    d.close()
    equal("committed offsets at the end", committed(group), ends)
    journal.check()
    equal("partitions lost", journal.lost, 0)


def static(kind):
    topic = group = f"static-{kind}"
    create(topic)
    journal, feed = Journal(), Feed(topic)
    a = Member(kind, group, "a", journal, topic, "one")
    b = Member(kind, group, "b", journal, topic, "two")
    settle(group, *ASSIGNED[kind], a, b)
    had = journal.owned("a")
    a.close()
    equal("members after one closes", len(describe(group).members), 2)
    a = Member(kind, group, "a", journal, topic, "one")
    settle(group, *ASSIGNED[kind], a, b)
    equal("what the member has that came back", journal.owned("a"), had)
    ends = feed.end()
    until("all is read", lambda: journal.has_read(ends))
    a.close()
    # Its session ends, as nobody comes back for it.
    settle(group, *ASSIGNED[kind], b)
    b.close()
    journal.check()


def there_and_back(kind):
    topic = group = f"upgrade-{kind}"
    create(topic)
    journal, feed = Journal(), Feed(topic)
    members = [Member(kind, group, f"m{i}", journal, topic, session_ms=30_000) for i in range(3)]
    settle(group, *ASSIGNED[kind], *members)
    for to in ("consumer", kind):
        for i in range(3):
            members[i].close()
            rest = [m for m in members if m is not members[i]]
            # The group is what its members are: one that speaks the new protocol is enough.
            settle(group, *ASSIGNED["consumer" if any(m.kind == "consumer" for m in rest) else kind], *rest)
            members[i] = Member(to, group, f"m{i}", journal, topic, session_ms=30_000)
            settle(group, *ASSIGNED["consumer" if any(m.kind == "consumer" for m in members) else kind], *members)
            journal.check()
    ends = feed.end()
    until("all is read", lambda: journal.has_read(ends))
    for member in members:
        member.close()
    equal("committed offsets", committed(group), ends)
    journal.check()


def not_upgraded():
    """librdkafka's sticky assignor writes user data into assignments, which a broker cannot carry on: the group stays
    classic, and the newcomer is refused."""
    topic = group = "not-upgraded"
    create(topic)
    journal = Journal()
    a = Member("cooperative", group, "a", journal, topic)
    # The user data come with what a member had before.
    settle(group, *ASSIGNED["cooperative"], a)
    b = Member("cooperative", group, "b", journal, topic)
    settle(group, *ASSIGNED["cooperative"], a, b)
    c = Member("consumer", group, "c", journal, topic)
    until("the newcomer is refused", lambda: c.error)
    assert "group id does not exist" in str(c.error), c.error
    settle(group, *ASSIGNED["cooperative"], a, b)
    a.close()
    b.close()
    journal.check()


def listed():
    """Groups are found by type."""
    for kind, of_type in (("cooperative", ConsumerGroupType.CLASSIC), ("consumer", ConsumerGroupType.CONSUMER)):
        for asked in (ConsumerGroupType.CLASSIC, ConsumerGroupType.CONSUMER):
            result = admin.list_consumer_groups(types={asked}).result(PATIENCE)
            assert not result.errors, result.errors
            equal(f"{kind} in the list of {asked}", f"life-{kind}" in [g.group_id for g in result.valid], asked == of_type)


def main():
    steps = {f"life {kind}": (life, kind) for kind in KINDS} | {f"static {kind}": (static, kind) for kind in KINDS}
    steps |= {"listed": (listed,), "upgrade eager": (there_and_back, "eager"), "upgrade cooperative is refused": (not_upgraded,)}
    chosen = os.environ.get("STEPS", "").split(",")
    passed = failed = 0
    for name, (action, *arguments) in steps.items():
        if chosen != [""] and name not in chosen:
            continue
        begun = time.monotonic()
        try:
            action(*arguments)
            passed += 1
            print(f"PASS {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as e:
            failed += 1
            print(f"FAIL {name}: {' '.join(str(e).split())[:600] or type(e).__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed", flush=True)
    os._exit(1 if failed or not passed else 0)


main()
