"""Hosts of a bench on one machine: network namespaces, each with a link of a given rate to a hub.

    with Hosts(count=8, megabits=200) as hosts:      # this thread is in the hub's namespace
        hosts.address(0), hosts.prefix(0)            # "10.77.0.10", ["nsenter", ...]: a program of host 0

A link is a veth pair whose two ends send at most at the rate (tc tbf), so a host sends and receives at it. What runs in the
hub's namespace (the origin, this thread) reaches every host through a bridge and has no limit of its own. Needs root,
and `ip` and `tc` (Debian: iproute2). Everything is gone when the `with` ends.
"""

import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Hosts:
    def __init__(self, count, megabits):
        self.count, self.megabits = count, megabits
        self._hub = f"forebay-{os.getpid()}-hub"
        self._names = [f"forebay-{os.getpid()}-{i}" for i in range(count)]
        self._made = []
        self._home = None

    hub_address = "10.77.0.1"

    def address(self, host):
        return f"10.77.0.{10 + host}"

    def prefix(self, host):
        return ["nsenter", f"--net=/run/netns/{self._names[host]}"]

    def __enter__(self):
        assert os.geteuid() == 0, "network namespaces need root"
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._enter(f"/run/netns/{self._hub}")
        return self

    def __exit__(self, *_):
        if _LIBC.setns(self._home, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "back to the namespace of before")
        os.close(self._home)
        self._remove()

    def _make(self):
        self._namespace(self._hub)
        self._in(self._hub, "link add hub type bridge")
        self._in(self._hub, f"addr add {self.hub_address}/24 dev hub")
        self._in(self._hub, "link set hub up")
        for host, name in enumerate(self._names):
            self._namespace(name)
            self._in(self._hub, f"link add to{host} type veth peer name eth0 netns {name}")
            self._in(self._hub, f"link set to{host} master hub up")
            self._in(name, f"addr add {self.address(host)}/24 dev eth0")
            self._in(name, "link set eth0 up")
            for namespace, device in ((self._hub, f"to{host}"), (name, "eth0")):
                _run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf",
                     "rate", f"{self.megabits}mbit", "burst", "256kb", "latency", "50ms")

    def _namespace(self, name):
        _run("ip", "netns", "add", name)
        self._made.append(name)
        self._in(name, "link set lo up")

    def _in(self, namespace, command):
        _run("ip", "-n", namespace, *command.split())

    def _enter(self, path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"into {path}")
        finally:
            os.close(fd)

    def _remove(self):
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "del", name], check=False)
        self._made = []


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
