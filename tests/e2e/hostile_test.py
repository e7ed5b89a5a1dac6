"""Bytes from outside, on the running thing: other protocol versions, garbage, oversized and stale frames, open ports."""
import glob
import os
import socket
import subprocess
import time
import unittest

from e2e import BIN, Client, Cluster, Failed, main, random_prompt, run_clients, tiny_model

REQUESTS = [{"prompt": random_prompt(i, 40 + 30 * i, 590), "max_tokens": 300, "temperature": 0.9, "seed": i, "ignore_eos": True}
            for i in range(3)]


def hostile_peer(*arguments):
    done = subprocess.run([f"{BIN}/hostile_peer", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listening_ports(pid):
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes]


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(tiny_model(), workers=3).__enter__()
        cls.cluster.wait_ready()
        cls.undisturbed = run_clients(cls.cluster, REQUESTS)
        cls.hub = f"127.0.0.1:{cls.cluster.join_port}"

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def log(self, name="coordinator"):
        with open(f"{self.cluster.state}/{name}.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def answers_while(self, act):
        """Streams run while `act` does its worst; they end as if nothing had been."""
        clients = [Client(self.cluster, **body) for body in REQUESTS]
        while not clients[0].ids and clients[0].is_alive():
            time.sleep(0.01)
        said = act()
        self.assertEqual([client.answer for client in clients], self.undisturbed)
        for process in self.cluster.processes.values():
            self.assertIsNone(process.poll())
        return said

    def test_a_worker_of_another_protocol_version_is_told_both_numbers(self):
        reason = hostile_peer("old-protocol", self.hub, self.cluster.token)
        self.assertRegex(reason, r"protocol version \d+ and this hub version \d+: upgrade")

    def test_noise_on_every_open_port_disturbs_nobody(self):
        def noise():
            count = 0
            for process in self.cluster.processes.values():
                for port in listening_ports(process.pid):
                    for bytes_sent in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(70000), b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03",
                                       b"\xff" * 64, b""):
                        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                            try:
                                connection.sendall(bytes_sent)
                            except OSError:
                                pass  # it hung up in the middle: quite right
                            count += 1
            return count

        self.assertGreaterEqual(self.answers_while(noise), 5 * 8)

    def join_and_send(self, kind):
        key = f"{self.cluster.state}/mallory-{kind}.key"
        endpoint, hub_key = hostile_peer("join", self.hub, self.cluster.token, key).split()
        return self.answers_while(lambda: hostile_peer("send", endpoint, hub_key, key, kind)), key

    def test_an_admitted_device_that_sends_garbage_is_revoked_and_the_log_says_so(self):
        for kind in ("garbage", "truncated"):
            with self.subTest(kind):
                _, key = self.join_and_send(kind)
                self.assertIn("malformed_frames", self.log())
                self.assertIn("key was revoked", hostile_peer("join", self.hub, self.cluster.token, key))

    def test_a_frame_larger_than_any_message_ends_its_connection(self):
        self.assertEqual(self.join_and_send("oversized")[0], "cut off")

    def test_frames_of_an_earlier_epoch_are_left_unheard(self):
        self.assertEqual(self.join_and_send("stale")[0], "ignored")

    def test_a_worker_s_inbox_is_closed_to_keys_that_the_plan_does_not_name(self):
        key = f"{self.cluster.state}/stranger.key"
        hostile_peer("join", self.hub, self.cluster.token, key)
        for device in self.cluster.view()["devices"]:
            if not device["name"].startswith("w"):
                continue
            own = glob.glob(f"{self.cluster.state}/{device['name']}/*.key")
            with open(own[0], encoding="ascii") as file:
                public = file.read().split("public ")[1].split()[0]
            self.assertEqual(hostile_peer("send", device["inbox"], public, key, "garbage"), "not let in")


if __name__ == "__main__":
    main()
