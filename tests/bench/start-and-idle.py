"""Start of a broker on an empty directory to the first acknowledged produce; memory with idle topics. See the .sh file."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from wire import Connection

STARTS, TOPICS = int(os.environ.get("STARTS", "11")), 100
port = int(subprocess.check_output(["bash", "-c", f". '{sys.argv[1]}/common.sh'; free_port"]))


def start(binary, directory, log):
    command = [binary, "serve", "--override", f"listeners=PLAINTEXT://127.0.0.1:{port}", "--override", f"log.dirs={directory}"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def first_acknowledgement(process):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the broker ended with {process.returncode}")
        try:
            connection = Connection(port)
        except ConnectionRefusedError:
            time.sleep(0.0002)
            continue
        while not connection.leaders("first"):
            time.sleep(0.0002)
        while connection.produce("first", 0, b"hello"):
            time.sleep(0.0002)
        connection.close()
        return
    raise SystemExit("no acknowledgement in 30 s")


def stop(process):
    process.terminate()
    if process.wait(30) != 0:
        raise SystemExit(f"the broker ended with {process.returncode} after SIGTERM")


def memory(pid):
    lines = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if line.startswith(("VmRSS", "Rss", "Threads")))
    return {key: value.strip() for key, value in lines.items()}


with tempfile.TemporaryDirectory() as scratch, open(f"{scratch}/log", "wb") as log:
    times = []
    for i in range(STARTS):
        begun = time.monotonic()
        process = start(sys.argv[2], f"{scratch}/{i}", log)
        first_acknowledgement(process)
        times.append((time.monotonic() - begun) * 1000)
        stop(process)
    print(f"start to the first acknowledged produce, empty directory: median {statistics.median(times):.1f} ms, "
          f"{min(times):.1f} to {max(times):.1f} ms in {STARTS} starts")

    process = start(sys.argv[2], f"{scratch}/idle", log)
    first_acknowledgement(process)
    connection = Connection(port)
    connection.create_topics([f"idle-{i}" for i in range(TOPICS - 1)])
    for i in range(TOPICS - 1):
        while connection.produce(f"idle-{i}", 0, b"one record"):
            time.sleep(0.001)
    connection.close()
    # Memory is looked at, not waited for: the lowest of five seconds.
    samples = []
    for _ in range(10):
        time.sleep(0.5)
        samples.append(memory(process.pid))
    least = min(samples, key=lambda m: int(m["VmRSS"].split()[0]))
    print(f"idle with {TOPICS} topics of one partition and one record: " + ", ".join(f"{k} {v}" for k, v in least.items()))
    stop(process)
