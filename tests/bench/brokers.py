"""Brokers under measurement: what they use is read from /proc."""

import os
import shutil
import subprocess
import time

from wire import Connection

TICK = os.sysconf("SC_CLK_TCK")
# tests/lib/broker, and the folder below which brokers are: set by whoever measures.
program = scratch = None


class Broker:
    """A broker in a folder of its own; see lib/broker."""

    def __init__(self, kind, name, *settings):
        self.kind, self.folder = kind, f"{scratch}/{kind}-{name}"
        self._do("start", kind, self.folder, *settings)

    def _do(self, *words):
        subprocess.run([program, *words], check=True)

    def read(self, name):
        return open(f"{self.folder}/{name}").read().strip()

    @property
    def pid(self):
        return int(self.read("pid"))

    @property
    def port(self):
        return int(self.read("port"))

    def stop(self):
        self._do("stop", self.folder)

    def kill(self):
        self._do("kill", self.folder)

    def change(self, **settings):
        """Settings for the next start."""
        with open(f"{self.folder}/profile.properties", "a") as file:
            for key, value in settings.items():
                file.write(f"{key.replace('_', '.')}={value}\n")

    def launch(self):
        """Starts it again without waiting for it."""
        # `again` returns when the broker serves, which is not what is measured: it waits beside.
        self.again = subprocess.Popen([program, "again", self.folder])

    def age(self):
        """Seconds since the process began, to a hundredth."""
        begun = int(open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()[19]) / TICK
        return time.clock_gettime(time.CLOCK_BOOTTIME) - begun

    def launched(self):
        if self.again.wait() != 0:
            raise SystemExit(f"{self.folder} did not start")

    def io(self):
        lines = dict(line.split(": ") for line in open(f"/proc/{self.pid}/io"))
        return int(lines["rchar"])

    def cpu_seconds(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def anonymous_kb(self):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("RssAnon"):
                return int(line.split()[1])

    def remove(self):
        shutil.rmtree(self.folder)


def create(broker, topics, partitions):
    """The topics, once all partitions are led."""
    connection = Connection(broker.port, timeout=300)
    for topic in topics:
        connection.create_topics([topic], partitions)
    for topic in topics:
        until_led(connection, topic, partitions)
    return connection


def until_led(connection, topic, partitions):
    """Waits for all partitions. Apache's metadata names leaders before they serve."""
    while len(connection.leaders(topic)) < partitions or connection.end_offsets(topic, partitions) is None:
        time.sleep(0.01)
