"""The measuring half of cold-reader.sh: brokers run, their folders are the arguments."""

import glob
import multiprocessing
import os
import statistics
import struct
import sys
import threading
import time

from wire import Connection, batch

MEGABYTES, RATE = int(os.environ["MEGABYTES"]), float(os.environ["RATE"])
SECONDS, ROUNDS = int(os.environ["SECONDS_EACH"]), int(os.environ["ROUNDS"])
SMALL, LARGE = batch(b"v" * 20_000), batch(b"h" * 500_000)


def read(folder, name):
    return open(f"{folder}/{name}").read().strip()


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def framed(key, version, body):
    request = struct.pack(">hhi", key, version, 7) + text("bench") + body
    return struct.pack(">i", len(request)) + request


def produce_request(topic, records):
    body = struct.pack(">hhi", -1, -1, 30000) + struct.pack(">i", 1) + text(topic)
    return framed(0, 3, body + struct.pack(">iii", 1, 0, len(records)) + records)


def fetch_request(topic, offset):
    body = struct.pack(">iiiib", -1, 500, 1, 8 << 20, 0) + struct.pack(">i", 1) + text(topic)
    return framed(1, 4, body + struct.pack(">iiqi", 1, 0, offset, 1 << 20))


def receive(socket):
    """The next answer without its length."""
    def exactly(size):
        data, at = bytearray(size), 0
        while at < size:
            got = socket.recv_into(memoryview(data)[at:])
            if not got:
                raise ConnectionError("the broker closed the connection")
            at += got
        return data
    return exactly(struct.unpack(">i", exactly(4))[0])


def create(port, topic):
    connection = Connection(port)
    connection.create_topics([topic])
    while connection.end_offsets(topic, 1) is None:
        time.sleep(0.01)
    connection.close()


def fill(port, topic):
    socket = Connection(port).socket
    request, count = produce_request(topic, LARGE), MEGABYTES * 1_000_000 // len(LARGE)
    for _ in range(count):
        socket.sendall(request)
        receive(socket)
    return count


def drop_from_memory(folder, topic):
    for path in glob.glob(f"{folder}/data/**/{topic}-0/*", recursive=True):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_cold(folder, topic, count, stop, bytes_read):
    """Reads the history again and again, each time from the disk."""
    socket = Connection(int(read(folder, "port"))).socket
    while not stop.is_set():
        drop_from_memory(folder, topic)
        offset = 0
        while offset < count and not stop.is_set():
            socket.sendall(fetch_request(topic, offset))
            size = len(receive(socket))
            offset += size // len(LARGE)
            bytes_read.value += size


def latencies(port, topic):
    """Of produces at the fixed rate, each from when it was meant to be sent, in ms, sorted."""
    socket = Connection(port, timeout=120).socket
    request, count = produce_request(topic, SMALL), int(RATE * 1e6 * SECONDS / len(SMALL))
    start = time.monotonic() + 0.1
    due = [start + at * len(SMALL) / (RATE * 1e6) for at in range(count)]

    def send():
        for moment in due:
            if (rest := moment - time.monotonic()) > 0:
                time.sleep(rest)
            socket.sendall(request)

    sender = threading.Thread(target=send)
    sender.start()
    taken = []
    for moment in due:
        receive(socket)
        taken.append((time.monotonic() - moment) * 1000)
    sender.join()
    # The first second warms up.
    return sorted(taken[int(RATE * 1e6 / len(SMALL)):])


def figures(taken):
    at = lambda share: taken[min(int(len(taken) * share), len(taken) - 1)]
    return f"p50 {at(.5):7.2f}  p99 {at(.99):7.2f}  p99.9 {at(.999):7.2f}  max {taken[-1]:7.2f} ms", at(.99)


print(f"{RATE} MB/s in batches of {len(SMALL)} bytes, {SECONDS} s each; history of {MEGABYTES} MB in batches of {len(LARGE)}; "
      f"{os.cpu_count()} cores")
ratios = {}
for turn in range(ROUNDS):
    for folder in sys.argv[1:]:
        port, kind = int(read(folder, "port")), read(folder, "kind")
        if turn == 0:
            create(port, "old"), create(port, "new")
            held = fill(port, "old")
            os.sync()
            latencies(port, "new")
            ratios[kind] = held, []
        held, seen = ratios[kind]
        said, alone = figures(latencies(port, "new"))
        print(f"  {kind:7} alone            {said}", flush=True)
        stop, bytes_read = multiprocessing.Event(), multiprocessing.Value("q", 0)
        reader = multiprocessing.Process(target=read_cold, args=(folder, "old", held, stop, bytes_read))
        reader.start()
        said, beside = figures(latencies(port, "new"))
        rate = bytes_read.value / SECONDS / 1e6
        stop.set()
        reader.join()
        print(f"  {kind:7} beside {rate:5.0f} MB/s  {said}", flush=True)
        seen.append(beside / alone)
for kind, (_, seen) in ratios.items():
    print(f"p99 beside a cold reader / alone, {kind}: {statistics.median(seen):.2f} ({min(seen):.2f} to {max(seen):.2f})")
