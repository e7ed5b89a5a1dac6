"""Test hosts on one machine with links of chosen delay, rate and loss, that can be cut: lab/ (linklab). Needs root."""
import ctypes
import http.client
import os
import subprocess
import unittest

from cluster import BIN

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class _Connection(http.client.HTTPConnection):
    """A socket stays in the network namespace where it was made."""

    def __init__(self, host, port, timeout):
        super().__init__("127.0.0.1", port, timeout=timeout)
        self.lab_host = host

    def connect(self):
        _enter(f"/var/run/netns/lab-{self.lab_host}")
        try:
            super().connect()
        finally:
            _enter(f"/proc/{os.getpid()}/ns/net")


class Lab:
    def __init__(self, hosts, *options):
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            raise unittest.SkipTest("test hosts need root and /dev/net/tun")
        self.process = subprocess.Popen([f"{BIN}/linklab", "up", str(hosts), *options], stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != b"ready":
            self.process.wait()
            self.process.stdout.close()
            raise unittest.SkipTest("no test hosts on this machine: linklab did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.say("down")
        self.process.wait()
        self.process.stdout.close()

    def say(self, *words):
        subprocess.run([f"{BIN}/linklab", *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    def cut(self, a, b):
        self.say("cut", a, b)

    def heal(self, a, b):
        self.say("heal", a, b)

    @staticmethod
    def on(host):
        return ["ip", "netns", "exec", f"lab-{host}"]

    @staticmethod
    def address(host):
        return f"10.77.0.{10 + host}"

    @staticmethod
    def connection(host, port, timeout):
        return _Connection(host, port, timeout)
