"""The measuring half of transactions.sh: arguments are lib/broker, a scratch folder, and what to measure."""

import json
import os
import statistics
import subprocess
import sys

import brokers
from brokers import Broker, create

brokers.program, brokers.scratch = sys.argv[1:3]
KINDS = ["ottla", "apache"]
WANTED = " ".join(sys.argv[3:]).split()
LOAD = os.environ["LOAD"]
ROUNDS, SECONDS, REQUESTS, IDS = (
    int(os.environ.get(*default))
    for default in (("ROUNDS", "3"), ("SECONDS_EACH", "10"), ("REQUESTS", "200000"), ("IDS", "100000"))
)


def load(broker, topic, mode, **options):
    command = [LOAD, f"127.0.0.1:{broker.port}", topic, mode, *(f"{key}={value}" for key, value in options.items())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def started(name):
    """A broker of each kind, with the topic t of three partitions."""
    both = {kind: Broker(kind, name) for kind in KINDS}
    for broker in both.values():
        create(broker, ["t"], 3).close()
    return both


def stopped(both):
    for broker in both.values():
        broker.stop()
        broker.remove()


def beside(what, measure, unit):
    """Measures in turns; `measure` returns the figure and what else to print."""
    found = {kind: [] for kind in KINDS}
    for kind in (KINDS + KINDS[::-1]) * ((ROUNDS + 1) // 2):
        figure, more = measure(kind)
        found[kind].append(figure)
        print(f"  {kind:7} {figure:9.2f} {unit} {more}", flush=True)
    ratios = [ours / theirs for ours in found["ottla"] for theirs in found["apache"]]
    print(f"  {what}, ottla / apache: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def rate(both):
    print("\ntransactions of 10 records in each of 3 partitions, one producer, one after another (bar: 1.5 x)")

    def measure(kind):
        result = load(both[kind], "t", "commit", seconds=SECONDS)
        return result["transactions"] / result["seconds"], f"whole: p50 {result['all_p50_us']} us, p99 {result['all_p99_us']} us"

    for kind in KINDS:
        load(both[kind], "t", "commit", seconds=SECONDS)
    beside("transactions per second", measure, "per second")


def latency(both):
    print("\nthe same, 50 per second: the end of a transaction, and all of it from when it was due (bar: 1/2 of p99)")

    def measure(kind):
        result = load(both[kind], "t", "commit", rate=50, seconds=SECONDS)
        whole = f"p50 {result['end_p50_us']} us; whole: p50 {result['all_p50_us']} us, p99 {result['all_p99_us']} us"
        return float(result["end_p99_us"]), whole

    for kind in KINDS:
        load(both[kind], "t", "commit", rate=50, seconds=2)
    beside("p99 of the end", measure, "us p99")


def cpu(both):
    """Both ways in turns on the same broker, so that what else the machine does meets both."""
    print(f"\nbroker CPU of produce with acks=all, {REQUESTS} requests of 10 records, 4 connections (bar: 5 % more)")
    for kind in KINDS:
        broker, used = both[kind], {0: [], 1: []}
        load(broker, "t", "produce", requests=REQUESTS // 2)
        for idempotent in [0, 1, 1, 0] * ((ROUNDS + 1) // 2):
            before = broker.cpu_seconds()
            load(broker, "t", "produce", requests=REQUESTS, idempotent=idempotent)
            used[idempotent].append((broker.cpu_seconds() - before) / REQUESTS * 1e6)
        plain, idempotent = (statistics.median(used[way]) for way in (0, 1))
        print(f"  {kind:7} plain {plain:6.2f} us per request {sorted(used[0])}, idempotent {idempotent:6.2f} {sorted(used[1])}: "
              f"{(idempotent / plain - 1) * 100:+.1f} %", flush=True)


def memory():
    print(f"\nanonymous memory of an idle producer id, slope over {IDS} after the first {IDS // 10} (bar: 400 bytes)")
    broker = Broker("ottla", "memory")
    create(broker, ["t"], 1).close()
    load(broker, "t", "ids", requests=IDS // 10)
    before = broker.anonymous_kb()
    load(broker, "t", "ids", requests=IDS)
    print(f"  ottla   {(broker.anonymous_kb() - before) * 1024 / IDS:.0f} bytes")
    broker.stop()
    broker.remove()


print(f"{os.cpu_count()} cores; Apache Kafka with {os.environ['APACHE_JAVA_OPTS']}; default durability")
beside_each_other = [name for name in WANTED if name != "memory"]
if beside_each_other:
    running = started("transactions")
    for name in beside_each_other:
        {"rate": rate, "latency": latency, "cpu": cpu}[name](running)
    stopped(running)
if "memory" in WANTED:
    memory()
