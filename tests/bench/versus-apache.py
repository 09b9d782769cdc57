"""The measuring half of versus-apache.sh: brokers run, their folders are the arguments (ottla's, then Apache's)."""

import os
import statistics
import subprocess
import sys
import time

from wire import Connection

RECORDS, WARM, ORDER = int(os.environ["RECORDS"]), int(os.environ["WARM"]), os.environ["ORDER"]
PARTITIONS, SIZE = 6, 1024
CLASS_PATH = os.environ["CLASS_PATH"]
PROPERTIES = ["acks=all", "linger.ms=5", "batch.size=131072"]
TICK = os.sysconf("SC_CLK_TCK")
COMPARED = {"A": sys.argv[1], "B": sys.argv[2]}


def read(folder, name):
    return open(f"{folder}/{name}").read().strip()


def cpu_seconds(pid):
    # The second field, in brackets, may have spaces in it.
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def load(letter, topic, records):
    """One run of ProducerPerformance: records per second, and broker CPU seconds per GB (10^9 bytes of values)."""
    folder = COMPARED[letter]
    port, pid = int(read(folder, "port")), int(read(folder, "pid"))
    connection = Connection(port)
    connection.create_topics([topic], PARTITIONS)
    while connection.end_offsets(topic, PARTITIONS) is None:
        time.sleep(0.01)
    # What earlier runs left to be written back is not this run's business.
    os.sync()
    before = cpu_seconds(pid)
    producer = subprocess.Popen(
        ["java", "-Xms512m", "-Xmx512m", "-cp", CLASS_PATH, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
         "--num-records", str(records), "--record-size", str(SIZE), "--throughput", "-1",
         "--bootstrap-server", f"127.0.0.1:{port}", "--command-property", *PROPERTIES],
        stdout=subprocess.PIPE, text=True)
    # The producer's own start is left out: from the first records seen to the last.
    first = None
    try:
        while (end := connection.end_offsets(topic, PARTITIONS)) < records:
            if end and first is None:
                first = time.monotonic(), end
            if producer.poll() not in (None, 0):
                raise SystemExit(f"ProducerPerformance ended with {producer.returncode}")
            time.sleep(0.02)
        seconds = time.monotonic() - first[0]
        said = producer.communicate()[0].strip().splitlines()[-1]
    finally:
        # Without its broker it would try for ever.
        producer.kill()
    cpu = cpu_seconds(pid) - before
    connection.close()
    rate, per_gb = (records - first[1]) / seconds, cpu / (records * SIZE / 1e9)
    print(f"  {letter} {read(folder, 'kind'):7} {rate:9.0f} records/s {rate * SIZE / 1e6:7.1f} MB/s   broker {per_gb:5.2f} CPU-s/GB   ({said})", flush=True)
    return rate, per_gb


print(f"{RECORDS} records of {SIZE} bytes, {PARTITIONS} partitions, {' '.join(PROPERTIES)}; order {ORDER}; "
      f"{os.cpu_count()} cores; Apache Kafka with {os.environ['APACHE_JAVA_OPTS']}")
print(f"warm-up, not counted, {WARM} records each")
for letter in COMPARED:
    load(letter, "warm-up", WARM)
print("measured")
results = {letter: [] for letter in COMPARED}
for i, letter in enumerate(ORDER):
    results[letter].append(load(letter, f"run-{i}", RECORDS))
for i, what in enumerate(["throughput", "broker CPU per GB"]):
    ours, theirs = ([run[i] for run in results[letter]] for letter in COMPARED)
    ratios = [a / b for a in ours for b in theirs]
    print(f"{what}, A / B: {statistics.mean(ours) / statistics.mean(theirs):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
