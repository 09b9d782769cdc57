"""A handful of Kafka requests written by hand, so that a benchmark waits for no client library.

All in their oldest versions that Apache Kafka 4.4 serves and without flexible encodings.
"""

import socket
import struct
import time

_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    _TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def _array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def _varint(n):
    n, out = n << 1, b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def batch(value):
    """A record batch of one record."""
    record = b"\0\0\0" + b"\x01" + _varint(len(value)) + value + b"\0"
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + _varint(len(record)) + record
    return struct.pack(">qiibI", 0, 9 + len(body), -1, 2, crc32c(body)) + body


class Connection:
    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def _call(self, key, version, body):
        request = struct.pack(">hhi", key, version, 7) + _string("bench") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._read(4))
        return _Reader(self._read(size)[4:])

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return data

    def leaders(self, topic):
        """Partition -> leader, or nothing while the topic is not ready. The broker may create it."""
        r = self._call(3, 4, _array([_string(topic)]) + b"\1")
        r.int32()
        for _ in range(r.int32()):
            r.int32(), r.string(), r.int32(), r.string()
        r.string(), r.int32()
        leaders = {}
        for _ in range(r.int32()):
            r.int16(), r.string(), r.int8()
            for _ in range(r.int32()):
                error, partition, leader = r.int16(), r.int32(), r.int32()
                [r.int32() for _ in range(r.int32())], [r.int32() for _ in range(r.int32())]
                if error == 0 and leader >= 0:
                    leaders[partition] = leader
        return leaders

    def create_topics(self, names, partitions=1):
        topics = [_string(name) + struct.pack(">ih", partitions, 1) + _array([]) + _array([]) for name in names]
        r = self._call(19, 2, _array(topics) + struct.pack(">ib", 30000, 0))
        r.int32()
        for _ in range(r.int32()):
            name, error, message = r.string(), r.int16(), r.string()
            if error:
                raise RuntimeError(f"topic {name}: error {error} {message}")

    def produce(self, topic, partition, value):
        """The error code of a produce request with acks=all."""
        records = batch(value)
        body = struct.pack(">hhi", -1, -1, 30000) + _array([_string(topic) + _array(
            [struct.pack(">ii", partition, len(records)) + records])])
        r = self._call(0, 3, body)
        r.int32(), r.string(), r.int32(), r.int32()
        return r.int16()

    def end_offsets(self, topic, partitions):
        """The sum of the partitions' end offsets, nothing while a partition is not ready."""
        asked = [struct.pack(">iq", p, -1) for p in range(partitions)]
        r = self._call(2, 1, struct.pack(">i", -1) + _array([_string(topic) + _array(asked)]))
        r.int32(), r.string()
        total, ready = 0, True
        for _ in range(r.int32()):
            r.int32()
            error = r.int16()
            r.int64()
            total, ready = total + r.int64(), ready and error == 0
        return total if ready else None


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def _take(self, form, size):
        self.at += size
        return struct.unpack_from(form, self.data, self.at - size)[0]

    def int8(self):
        return self._take(">b", 1)

    def int16(self):
        return self._take(">h", 2)

    def int32(self):
        return self._take(">i", 4)

    def int64(self):
        return self._take(">q", 8)

    def string(self):
        size = self.int16()
        self.at += max(size, 0)
        return self.data[self.at - size:self.at].decode() if size >= 0 else None
