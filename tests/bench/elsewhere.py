"""Sends the files of a folder over a socket to a process that drops them, again and again, without any broker.

    elsewhere.py FOLDER SECONDS RATE

What the kernel keeps of them in memory is dropped first, so that every byte comes from the disk; RATE: MB per second at
most. It does what a broker must do for a consumer that reads history, and so shows what of its effect on producers is the
machine's. Prints the bytes, as one line of JSON.
"""

import glob
import json
import os
import socket
import sys
import time

PIECE, AHEAD = 1 << 20, 4 << 20


def drop(address):
    """Takes what comes, until it ends."""
    taker, room = socket.create_connection(address), bytearray(PIECE)
    while taker.recv_into(room):
        pass


def send(file, socket, begin, sent, end, rate):
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    size, position = os.fstat(file).st_size, 0
    while position < size and time.monotonic() < end:
        os.posix_fadvise(file, position, AHEAD, os.POSIX_FADV_WILLNEED)
        position += os.sendfile(socket.fileno(), file, position, min(PIECE, size - position))
        if rate:
            time.sleep(max(0, begin + (sent + position) / rate - time.monotonic()))
    return position


folder, seconds, rate = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]) * 1e6
listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    drop(listener.getsockname())
    os._exit(0)
taker, _ = listener.accept()
begin, total = time.monotonic(), 0
while time.monotonic() < begin + seconds:
    for name in sorted(glob.glob(f"{folder}/*.log")):
        with open(name, "rb") as file:
            total += send(file.fileno(), taker, begin, total, begin + seconds, rate)
print(json.dumps({"bytes": total}))
