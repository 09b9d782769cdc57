"""The measuring half of log.sh: arguments are lib/broker, a scratch folder, and what to measure."""

import json
import os
import statistics
import subprocess
import sys
import time

import brokers
from brokers import Broker, create, until_led
from wire import Connection

brokers.program, brokers.scratch = sys.argv[1:3]
WANTED = " ".join(sys.argv[3:]).split()
LOAD = os.environ["LOAD"]
GB, PARTITIONS, ROUNDS = (int(os.environ.get(*d)) for d in (("GB", "10"), ("PARTITIONS", "10000"), ("ROUNDS", "3")))
KINDS = ["ottla", "apache"]
TAIL = 100_000_000


def load(broker, topic, **options):
    command = [LOAD, f"127.0.0.1:{broker.port}", topic, *(f"{key}={value}" for key, value in options.items())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def first_acknowledgements(broker, topics, partitions):
    """Seconds from the beginning of the process until each partition of the topics has acknowledged a record."""
    while True:
        try:
            connection = Connection(broker.port, timeout=300)
            break
        except OSError:
            time.sleep(0.0005)
    for topic in topics:
        for partition in range(partitions):
            while connection.produce(topic, partition, b"after the start"):
                time.sleep(0.0005)
    seconds = broker.age()
    broker.launched()
    connection.close()
    return seconds


def checkpoint(broker, topic, partitions):
    """The sum of the recovery points of a topic."""
    try:
        lines = open(f"{broker.folder}/data/recovery-point-offset-checkpoint").read().splitlines()[2:]
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[2]) for line in lines if line.startswith(f"{topic} "))


def recovery(gigabytes):
    """The same data, killed and started ROUNDS times; each time 100 MB more."""
    print(f"\nrecovery after kill -9: {gigabytes:g} GB in 6 partitions of one topic, records of 1 KiB in batches of 1 MB, "
          "100 MB of them not flushed")
    for kind in KINDS:
        broker = Broker(kind, "recovery", "log.flush.offset.checkpoint.interval.ms=500")
        connection = create(broker, ["big"], 6)
        shape = dict(partitions=6, connections=6, in_flight=2, records=950)
        load(broker, "big", bytes=int(gigabytes * 1e9), **shape)
        # A clean stop flushes and checkpoints everything.
        connection.close()
        broker.stop()
        broker.change(log_flush_offset_checkpoint_interval_ms=3_600_000)
        runs = []
        for _ in range(ROUNDS):
            broker._do("again", broker.folder)
            connection = Connection(broker.port, timeout=300)
            until_led(connection, "big", 6)
            connection.close()
            load(broker, "big", bytes=TAIL, **shape)
            broker.kill()
            broker.launch()
            seconds = first_acknowledgements(broker, ["big"], 6)
            runs.append((seconds * 1000, broker.io() / 1e6))
            broker.stop()
        times, reads = zip(*runs)
        print(f"  {kind:7} first acknowledgement of all six: median {statistics.median(times):7.0f} ms "
              f"({min(times):.0f} to {max(times):.0f}); read {statistics.median(reads):7.0f} MB "
              f"({statistics.median(reads) * 1e6 / TAIL:.2f} x the unflushed tail)", flush=True)
        broker.remove()


def partitions():
    """Start with many partitions; memory of idle ones."""
    topics, each = [f"many-{i}" for i in range(PARTITIONS // 100)], 100
    print(f"\nstart after a clean stop with {PARTITIONS} partitions, one record in each: to the first acknowledgement")
    medians = {}
    for kind in KINDS:
        broker = Broker(kind, "partitions")
        memory = {}
        for more in (topics[:len(topics) // 10], topics[len(topics) // 10:]):
            create(broker, more, each).close()
            for topic in more:
                load(broker, topic, partitions=each, connections=each, record=100, bytes=each * 100)
            broker_is_idle(broker)
            memory[sum(memory) + len(more) * each] = broker.anonymous_kb()
        broker.stop()
        runs = []
        for _ in range(ROUNDS):
            broker.launch()
            runs.append(first_acknowledgements(broker, topics[:1], 1))
            broker.stop()
        medians[kind] = statistics.median(runs)
        print(f"  {kind:7} median {medians[kind]:6.2f} s ({min(runs):.2f} to {max(runs):.2f})", flush=True)
        (few, less), (many, more) = memory.items()
        print(f"          anonymous memory of an idle partition, slope from {few} to {many}: {(more - less) / (many - few):.1f} KB", flush=True)
        broker.remove()
    print(f"  ottla / apache: {medians['ottla'] / medians['apache']:.3f}")


def broker_is_idle(broker):
    """Waits until it has used no processor for two seconds: what follows a load is done, maps are let go."""
    # Maps are let go by the round of checkpoints, which comes once a minute.
    time.sleep(65)
    quiet_since, used = time.monotonic(), broker.cpu_seconds()
    while time.monotonic() - quiet_since < 2:
        time.sleep(0.2)
        now = broker.cpu_seconds()
        if now - used > 0.05:
            quiet_since, used = time.monotonic(), now


def flush():
    """Acks that wait for the disk."""
    print("\nflush.messages=1, 16 producers with one record of 1 KiB each under way, acks=all")
    flushing = {kind: Broker(kind, "flush", "log.flush.interval.messages=1") for kind in KINDS}
    results = {}
    for parts in (1, 16):
        for kind in KINDS:
            create(flushing[kind], [f"flushed-{parts}"], parts).close()
            load(flushing[kind], f"flushed-{parts}", partitions=parts, seconds=20)
        for kind in (KINDS + KINDS[::-1]) * ((ROUNDS + 1) // 2):
            result = load(flushing[kind], f"flushed-{parts}", partitions=parts, seconds=10)
            rate = result["requests"] / result["seconds"]
            results.setdefault((parts, kind), []).append(rate)
            print(f"  {parts:2} partitions {kind:7} {rate:8.0f} records/s, p50 {result['p50_us']} us, p99 {result['p99_us']} us", flush=True)
        ours, theirs = (results[parts, kind] for kind in KINDS)
        ratios = [a / b for a in ours for b in theirs]
        print(f"  {parts:2} partitions, ottla / apache: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for broker in flushing.values():
        broker.stop()


print(f"{os.cpu_count()} cores; Apache Kafka with {os.environ['APACHE_JAVA_OPTS']}; default durability unless said otherwise")
for what in WANTED:
    if what == "recovery":
        recovery(GB / 10)
        recovery(GB)
    else:
        {"partitions": partitions, "flush": flush}[what]()
