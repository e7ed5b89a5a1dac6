"""`shoal up --emulate`: a config's devices as processes of one machine, with the config's links and speeds."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from e2e import BIN, main, random_prompt, tiny_model

CLASSES = """version: 1
classes:
  - {name: fast, memory: 1G, threads: 1, read_gb_per_s: 20, int8_gmac_per_s: 80, disk_mb_per_s: 400}
  - {name: slow, memory: 1G, threads: 1, read_gb_per_s: 5, int8_gmac_per_s: 20, disk_mb_per_s: 400}
"""

CONFIG = """version: 1
models: ["{model}"]
coordinator: {{address: 10.9.9.1, cluster_port: 0, context: 512, kv_positions: 1024, min_stages: 3, objective: latency}}
devices:
  - {{name: hub, address: 10.9.9.1, class: fast}}
  - {{name: gate, address: 10.9.9.2, class: fast}}
  - {{name: camera, address: 10.9.9.3, class: slow}}
links:
  default: {{latency: 1ms, rate: 100mbit}}
  rules: [{{between: [camera, "*"], latency: 8ms}}]
"""


def can_make_hosts():
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


class Up:
    """One run of `shoal up`, until the end of the block."""

    def __init__(self, model, *options, before=(), config=CONFIG):
        self.folder = tempfile.mkdtemp(prefix="shoal-emulate-")
        self.config = f"{self.folder}/street.yaml"
        os.chmod(self.folder, 0o777)
        with open(f"{self.folder}/device-classes.yaml", "w", encoding="utf-8") as classes:
            classes.write(CLASSES)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config.format(model=model))
        command = [*before, f"{BIN}/shoal", "up", self.config, "--emulate", "--port", "0",
                   "--state", f"{self.folder}/state", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, "HOME": self.folder})
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=30)
        self.said += rest
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(self.said, f"logs: {self.folder}/state/logs")

    def wait_ready(self):
        deadline = time.time() + 90
        while "Ready after" not in self.said:
            line = self.process.stdout.readline()
            if not line or time.time() > deadline:
                raise AssertionError(f"not ready: {self.said}")
            self.said += line
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/v1", self.said).group(1))

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def stream(self, path, body):
        """Each event of a streamed answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        for line in connection.getresponse():
            line = line.decode().strip()
            if line == "data: [DONE]":
                break
            if line.startswith("data: "):
                yield json.loads(line[6:])
        connection.close()

    def complete(self):
        body = {"prompt": random_prompt(5, 40, 590), "max_tokens": 30, "temperature": 0.9, "seed": 3, "ignore_eos": True,
                "return_token_ids": True}
        return self.ask("/v1/completions", body)["choices"][0]["token_ids"]


class EmulateTest(unittest.TestCase):
    @unittest.skipUnless(can_make_hosts(), "test hosts need root and /dev/net/tun")
    def test_devices_have_hosts_with_the_configs_links_and_their_classes_speeds(self):
        with Up(tiny_model(), "--emulate-speed", "classes") as up:
            up.wait_ready()
            self.assertIn("each on a host of its own", up.said)
            cluster = up.ask("/api/cluster")
            ids = {device["name"]: device["id"] for device in cluster["devices"]}
            self.assertEqual(len(cluster["plan"]["stages"]), 3)
            latency = {(link["from"], link["to"]): link["latency_seconds"] for link in cluster["links"]}
            self.assertAlmostEqual(latency[ids["hub"], ids["gate"]], 0.001, delta=0.0015)
            self.assertAlmostEqual(latency[ids["gate"], ids["camera"]], 0.008, delta=0.003)
            rate = {device["name"]: device["read_bytes_per_second"] for device in cluster["devices"]}
            self.assertAlmostEqual(rate["hub"] / rate["camera"], 4, delta=2)
            emulated = up.complete()
            self.assertEqual(subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.count("lab-"), 3)
        self.assertNotIn("lab-", subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout)
        self.assertEqual(len(emulated), 30)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "another user is needed")
    def test_without_root_devices_run_on_loopback_and_say_so(self):
        model = shutil.copy(tiny_model(), tempfile.mkdtemp(prefix="shoal-emulate-model-"))
        os.chmod(os.path.dirname(model), 0o755)
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if subprocess.run([*nobody, f"{BIN}/shoal", "--version"], capture_output=True).returncode != 0:
            self.skipTest("another user cannot run the build")
        with Up(model, "--emulate-speed", "0.5", before=nobody) as up:
            up.wait_ready()
            self.assertIn("on 127.0.0.1, without links", up.said)
            self.assertIn("need root", up.said)
            self.assertEqual(len(up.complete()), 30)
        shutil.rmtree(os.path.dirname(model))

    def test_several_clusters_in_one_config_are_for_the_simulator(self):
        config = os.path.join(os.path.dirname(__file__), "../../cluster-configs/smart-city-200.yaml")
        run = subprocess.run([f"{BIN}/shoal", "up", config, "--emulate"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn("shoal simulate", run.stderr)


if __name__ == "__main__":
    main()
