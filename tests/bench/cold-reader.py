"""The measuring half of cold-reader.sh: brokers run, their folders are the arguments."""

import glob
import json
import os
import statistics
import subprocess
import sys
import time

from wire import Connection

MEGABYTES, RATE = int(os.environ["MEGABYTES"]), float(os.environ["RATE"])
READ_RATE = float(os.environ["READ_RATE"])
SECONDS, ROUNDS = int(os.environ["SECONDS_EACH"]), int(os.environ["ROUNDS"])
SMALL, LARGE = 20_000, 500_000


def read(folder, name):
    return open(f"{folder}/{name}").read().strip()


def create(port, topic):
    connection = Connection(port)
    connection.create_topics([topic])
    while connection.end_offsets(topic, 1) is None:
        time.sleep(0.01)
    connection.close()


def load(port, topic, **settings):
    words = [f"{key}={value}" for key, value in settings.items()]
    done = subprocess.run([os.environ["LOAD"], f"127.0.0.1:{port}", topic, *words], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def latencies(port):
    """Of produces at the fixed rate, each from when it was meant to be sent."""
    taken = load(port, "new", connections=1, record=SMALL, rate=RATE, seconds=SECONDS)
    said = "  ".join(f"{name} {taken[key] / 1000:7.2f}"
                     for name, key in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("max", "max_us")))
    return said + " ms", taken["p99_us"]


def beside(port, reader):
    """Latencies while the reader runs, which is a command without its seconds and rate."""
    command = [*reader[0], str(SECONDS + 1), str(READ_RATE), *reader[1]]
    running = subprocess.Popen(command, stdout=subprocess.PIPE)
    said, p99 = latencies(port)
    rate = json.loads(running.communicate()[0])["bytes"] / (SECONDS + 1) / 1e6
    return rate, said, p99


print(f"{RATE} MB/s in records of {SMALL} bytes, {SECONDS} s each; history of {MEGABYTES} MB in records of {LARGE}, read at "
      f"{READ_RATE or 'any number of'} MB/s; {os.cpu_count()} cores")
ratios = {}
folders = sys.argv[1:]
for turn in range(ROUNDS):
    for folder in folders if turn % 2 == 0 else reversed(folders):
        port, kind = int(read(folder, "port")), read(folder, "kind")
        if turn == 0:
            create(port, "old"), create(port, "new")
            load(port, "old", connections=1, record=LARGE, bytes=MEGABYTES * 1_000_000)
            os.sync()
            latencies(port)
        said, alone = latencies(port)
        print(f"  {kind:7} alone               {said}", flush=True)
        [old] = glob.glob(f"{folder}/data/**/old-0", recursive=True)
        elsewhere = [sys.executable, os.path.join(os.path.dirname(__file__), "elsewhere.py")]
        rate, said, machine = beside(port, ([*elsewhere, old], []))
        print(f"  {kind:7} elsewhere {rate:4.0f} MB/s {said}", flush=True)
        rate, said, reader = beside(port, ([os.environ["READ"], f"127.0.0.1:{port}", "old"], [old]))
        print(f"  {kind:7} beside    {rate:4.0f} MB/s {said}", flush=True)
        for what, base in (("alone", alone), ("beside another program that reads as much", machine)):
            ratios.setdefault((kind, what), []).append(reader / base)
for (kind, what), seen in ratios.items():
    print(f"p99 beside a cold reader / {what}, {kind}: {statistics.median(seen):.2f} ({min(seen):.2f} to {max(seen):.2f})")
