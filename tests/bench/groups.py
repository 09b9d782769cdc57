"""The measuring half of groups.sh: arguments are lib/broker, a scratch folder, and what to measure."""

import json
import os
import statistics
import subprocess
import sys

import brokers
from brokers import Broker

brokers.program, brokers.scratch = sys.argv[1:3]
WANTED = " ".join(sys.argv[3:]).split()
LOAD = os.environ["GROUPS_LOAD"]
MEMBERS, COMMITS, ROUNDS, HEARTBEAT = (
    int(os.environ.get(*d)) for d in (("MEMBERS", "1000"), ("COMMITS", "1000000"), ("ROUNDS", "2"), ("HEARTBEAT", "5000")))
KINDS = ["ottla", "apache"]
SETTINGS = [
    f"group.consumer.heartbeat.interval.ms={HEARTBEAT}",
    f"group.consumer.min.heartbeat.interval.ms={HEARTBEAT}",
    "offsets.topic.num.partitions=50",
]


def load(broker, what, **options):
    options = {"pid": broker.pid, **options}
    command = [LOAD, f"127.0.0.1:{broker.port}", what, *(f"{key}={value}" for key, value in options.items())]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def rounds():
    """A B B A, as often as that makes ROUNDS of each."""
    return (KINDS + KINDS[::-1]) * ((ROUNDS + 1) // 2)


def compare(title, figures, running, what, between=lambda: None, **options):
    """Runs a scene on both; `figures` are (name, unit, of a result). Each run has a topic and a group of its own.
    `between` is called after each run."""
    print(f"\n{title}")
    for kind in KINDS:
        load(running[kind], what, name=f"{what}-warm", **options)
    results = {kind: [] for kind in KINDS}
    for turn, kind in enumerate(rounds()):
        result = load(running[kind], what, name=f"{what}-{turn}", **options)
        results[kind].append(result)
        shown = ", ".join(f"{name} {of(result):.3f} {unit}" for name, unit, of in figures)
        print(f"  {kind:7} {shown}   {result}", flush=True)
        between()
    for name, _, of in figures:
        ratios = [of(ours) / of(theirs) for ours in results["ottla"] for theirs in results["apache"]]
        print(f"  {name}, ottla / apache: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


SECONDS = ("until stable", "s", lambda result: result["seconds"])
CPU = ("broker's processor", "s", lambda result: max(result["cpu_seconds"], 0.01))


def join(running):
    compare(f"{MEMBERS} members join a group on {MEMBERS} partitions", [SECONDS, CPU], running, "join", members=MEMBERS)


def grow(running):
    compare("10 members, 100 partitions and 900 more", [SECONDS, CPU], running, "grow", members=10)


def commit(running):
    per_second = ("commits", "/s", lambda result: result["commits"] / result["seconds"])
    per_cpu = ("commits", "/processor second", lambda result: result["commits"] / result["cpu_seconds"])
    floors = []

    def floor():
        """What a request costs a server that does nothing, as the machine is now."""
        result = load(running["ottla"], "floor", members=200, seconds=3)
        floors.append(1e6 / (result["system_us"] + result["user_us"]))

    compare("200 members commit one partition each", [per_second, per_cpu], running, "commit", floor, members=200)
    print(f"  requests that a server answers which does nothing: {statistics.median(floors):.0f} /processor second "
          f"({min(floors):.0f} to {max(floors):.0f})")


def restart(running):
    print(f"\nstart with {COMMITS} committed offsets, until every coordinator gives them out")
    medians = {}
    for kind in KINDS:
        broker = running[kind]
        load(broker, "fill", commits=COMMITS, name="filled")
        runs = []
        for _ in range(ROUNDS + 1):
            broker.stop()
            broker.launch()
            # Its port is known before it listens; its process is what `again` has begun.
            subprocess.run([LOAD, f"127.0.0.1:{broker.port}", "ready", f"commits={COMMITS}", "name=filled"],
                           check=True, stdout=subprocess.DEVNULL)
            runs.append(broker.age())
            broker.launched()
        # The first start reads what the others find in the page cache.
        medians[kind] = statistics.median(runs[1:])
        print(f"  {kind:7} median {medians[kind]:.2f} s (first {runs[0]:.2f}, then {min(runs[1:]):.2f} to {max(runs[1:]):.2f})",
              flush=True)
    print(f"  ottla / apache: {medians['ottla'] / medians['apache']:.3f}")


def memory(running):
    del running
    broker = Broker("ottla", "memory", *SETTINGS)
    result = load(broker, "hold", members=1000)
    print(f"\nmemory: {result['kb_per_member']:.2f} KB of anonymous memory a member; {result}")
    broker.stop()


print(f"{os.cpu_count()} cores; Apache Kafka with {os.environ['APACHE_JAVA_OPTS']}; both with {' '.join(SETTINGS)}")
RUNNING = {kind: Broker(kind, "groups", *SETTINGS) for kind in KINDS}
for each in WANTED:
    {"join": join, "grow": grow, "commit": commit, "restart": restart, "memory": memory}[each](RUNNING)
for each in RUNNING.values():
    each.stop()
