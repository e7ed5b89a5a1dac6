"""What clients meet: many at once, some who leave, and bad input."""
import contextlib
import glob
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from e2e import BIN, Cluster, Failed, gemma3, main, random_prompt, run_clients, smollm2, tiny_model


def free_ports(count):
    """The first of `count` neighbouring ports that nobody uses now."""
    while True:
        with contextlib.ExitStack() as sockets:
            first = sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    sockets.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
            except OSError:
                continue


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def file_limits(pid):
    """(soft, hard)"""
    with open(f"/proc/{pid}/limits") as file:
        return next(line.split()[3:5] for line in file if line.startswith("Max open files"))


class ServingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(tiny_model(), workers=3, options=["--context", "512"]).__enter__()
        cls.cluster.wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def test_64_clients_are_served_and_none_is_mixed_up(self):
        requests = [{"prompt": random_prompt(i, 5 + i, 590), "max_tokens": 20, "temperature": 0.9, "seed": i} for i in range(64)]
        alone = [run_clients(self.cluster, [request])[0] for request in requests]
        for answer in alone:
            self.assertIsInstance(answer, tuple, answer)
        self.assertEqual(run_clients(self.cluster, requests), alone)
        before = [resident_bytes(p.pid) for p in self.cluster.processes.values()]
        for _ in range(3):
            self.assertEqual(run_clients(self.cluster, requests), alone)
        after = [resident_bytes(p.pid) for p in self.cluster.processes.values()]
        for name, b, a in zip(self.cluster.processes, before, after):
            self.assertLess(a - b, 8 << 20, f"{name} grew from {b} to {a} bytes")

    def test_a_client_that_leaves_frees_its_slot(self):
        connection = self.cluster.connection()
        connection.request("POST", "/v1/completions",
                           json.dumps({"prompt": [1, 2, 3], "max_tokens": 500, "stream": True, "temperature": 0, "ignore_eos": True}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.readline()
        self.wait_for_running(1)
        response.close()
        connection.close()
        self.wait_for_running(0)

    def wait_for_running(self, count):
        """The view is refreshed ten times a second."""
        deadline = time.time() + 2
        while self.cluster.view()["requests"]["running"] != count and time.time() < deadline:
            time.sleep(0.02)
        self.assertEqual(self.cluster.view()["requests"]["running"], count)

    def test_predictions_stand_beside_what_was_measured(self):
        for seed in range(2):
            self.cluster.complete(prompt=random_prompt(seed, 200, 590), max_tokens=60, temperature=0, ignore_eos=True)
        run_clients(self.cluster, [{"prompt": random_prompt(i, 9, 590), "max_tokens": 480, "temperature": 0, "ignore_eos": True} for i in range(4)])
        time.sleep(0.3)  # the view is refreshed ten times a second, and beats come as often
        view = self.cluster.view()
        figures = view["plan"]["figures"]
        told = [figures["one_stream"]["token_seconds"], figures["first_token"]["seconds"], figures["shared"]["tokens_per_second"]]
        for part in figures["stages"] + figures["hops"]:
            told += [size["seconds"] for size in part["sizes"]]
        self.assertEqual(len(figures["hops"]), len(figures["stages"]) + 1)
        for figure in told:
            self.assertGreaterEqual(figure["measured"], 0, figures)
            self.assertGreater(figure["predicted"], 0, figures)
        self.assertEqual(figures["first_token"]["prompt_rows"], 200)
        status = subprocess.run([f"{BIN}/shoal", "status", "--url", f"http://127.0.0.1:{self.cluster.http_port}"], capture_output=True, text=True, timeout=60)
        print(status.stdout)
        self.assertIn("a token of one stream, at", status.stdout)
        self.assertIn("hop hub to w", status.stdout)

    def test_context_overflow_is_a_400_with_both_numbers(self):
        with self.assertRaises(Failed) as refused:
            self.cluster.complete(prompt=random_prompt(1, 600, 590), max_tokens=4)
        self.assertEqual(refused.exception.status, 400)
        self.assertIn("600", refused.exception.error["message"])
        self.assertIn("512", refused.exception.error["message"])

    def test_bad_requests_are_error_objects(self):
        for body in ("{", "[]", '{"prompt": 3.5}', '{"prompt": "x", "temperature": "hot"}', '{"prompt": "x", "max_tokens": -1}',
                     '{"prompt": "x", "top_p": 7}', '{"prompt": [1, 2, 99999999]}', '{"prompt": "x", "logprobs": 401}'):
            with self.subTest(body=body), self.assertRaises(Failed) as refused:
                self.cluster.post("/v1/completions", body)
            self.assertEqual(refused.exception.status, 400)
            self.assertTrue(refused.exception.error["message"])

    def test_unknown_paths_are_json_404s(self):
        status, body = self.cluster.get("/v2/nothing")
        self.assertEqual(status, 404)
        self.assertIn("error", body)

    def test_a_wrong_token_is_refused_with_words_and_a_status(self):
        other = Cluster(tiny_model(), workers=0, min_stages=1)
        other.start_coordinator()
        try:
            finished = subprocess.run([f"{BIN}/shoal-worker", "--hub", f"127.0.0.1:{self.cluster.join_port}", "--token", other.token,
                                       "--state", f"{other.state}/w"], capture_output=True, timeout=60)
        finally:
            other.__exit__(None, None, None)
        self.assertEqual(finished.returncode, 1)
        self.assertIn(b"token", finished.stderr)


class StartTest(unittest.TestCase):
    def test_a_cluster_started_again_sends_no_weight_byte_and_measures_nothing(self):
        with tempfile.TemporaryDirectory(prefix="shoal-restart-") as state:
            received, measured = [], []
            for start in ("first", "second"):
                begun = time.time()
                with Cluster(tiny_model(), workers=3, state=state) as cluster:
                    cluster.wait_ready()
                    print(f"the {start} start took {time.time() - begun:.1f} s")
                    received.append(sum(device["loading"]["bytes_received"] for device in cluster.view()["devices"]))
                    with open(f"{state}/coordinator.log") as file:  # both starts write into it
                        log = file.read()
                    measured.append([log.count(" device_measured "), log.count(" links_measured ")])
        self.assertGreater(received[0], 0)
        self.assertEqual(received[1], 0)
        self.assertEqual(measured[0], [3, 1])
        self.assertEqual(measured[1], measured[0])

    def test_workers_outlive_a_coordinator_that_stops_and_one_that_forgot_them(self):
        with Cluster(tiny_model(), workers=2, cluster_port=free_ports(4)) as cluster:
            cluster.wait_ready()
            expected = cluster.complete(prompt=[5, 6, 7], max_tokens=8, temperature=0)["choices"][0]["token_ids"]
            workers = {name: process.pid for name, process in cluster.processes.items() if name != "coordinator"}
            for forgets in (False, True):
                with self.subTest(forgets=forgets):
                    hub = cluster.processes["coordinator"]
                    hub.send_signal(signal.SIGTERM)
                    self.assertEqual(hub.wait(10), 0)
                    hub.stdout.close()
                    if forgets:
                        for path in glob.glob(f"{cluster.state}/coordinator/hub.sqlite*"):
                            os.remove(path)
                    cluster.start_coordinator()
                    cluster.wait_ready()
                    answer = cluster.complete(prompt=[5, 6, 7], max_tokens=8, temperature=0)
                    self.assertEqual(answer["choices"][0]["token_ids"], expected)
                    self.assertEqual({device["pid"] for device in cluster.view()["devices"]}, set(workers.values()))

    def run_coordinator(self, *arguments):
        return subprocess.run([f"{BIN}/shoal", "coordinator", "--state", "/tmp/shoal-start-test", *arguments], capture_output=True, timeout=60)

    def test_hub_and_worker_may_open_as_many_files_as_the_system_grants(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))  # as the children start
        try:
            with Cluster(tiny_model(), workers=1) as cluster:
                cluster.wait_ready()
                for name, process in cluster.processes.items():
                    self.assertEqual(*file_limits(process.pid), name)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_bad_model_files_are_named_and_the_status_is_not_zero(self):
        missing = self.run_coordinator("--model", "/nowhere/model.gguf")
        self.assertNotEqual(missing.returncode, 0)
        self.assertIn(b"/nowhere/model.gguf", missing.stderr)
        with open(tiny_model(), "rb") as file:
            whole = file.read()
        for name, data in (("wrong magic", b"GGML" + whole[4:]), ("cut", whole[: len(whole) // 2]), ("empty", b"")):
            with self.subTest(name):
                path = "/tmp/shoal-bad-model.gguf"
                with open(path, "wb") as file:
                    file.write(data)
                bad = self.run_coordinator("--model", path)
                self.assertEqual(bad.returncode, 1)
                self.assertIn(path.encode(), bad.stderr)

    def test_up_on_a_port_where_another_cluster_answers_ends_with_the_reason(self):
        with tempfile.TemporaryDirectory() as directory, Cluster(tiny_model(), workers=1) as other:
            config = os.path.join(directory, "one.yaml")
            with open(config, "w", encoding="utf-8") as file:
                file.write("version: 1\nmodels:\n  - " + tiny_model() + "\ndevices:\n  - name: only\n")
            ended = subprocess.run([f"{BIN}/shoal", "up", config, "--state", directory + "/state", "--cluster-port", "0",
                                    "--port", str(other.http_port)], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("port is taken", ended.stderr)
            self.assertNotIn("Ready", ended.stdout)

    def test_a_taken_port_is_a_clear_error(self):
        with Cluster(tiny_model(), workers=0, min_stages=1) as cluster:
            taken = self.run_coordinator("--model", tiny_model(), "--port", str(cluster.http_port), "--cluster-port", "0")
        self.assertEqual(taken.returncode, 1)
        self.assertIn(str(cluster.http_port).encode(), taken.stderr)


class MemoryTest(unittest.TestCase):
    # Of every worker: its process, and the log of what it sent (coordinator/plan_builder.cpp, cluster_state.h).
    FIXED_BYTES = (14 << 20) + (4 << 20)

    def judge(self, cluster):
        """The plan states what each worker opened, to the byte, and the worker stays within it."""
        requests = [{"prompt": random_prompt(i, 900, 49000), "max_tokens": 30, "temperature": 0.9, "seed": i} for i in range(8)]
        for answer in run_clients(cluster, requests):
            self.assertIsInstance(answer, tuple, answer)
        time.sleep(0.3)
        for device in cluster.view()["devices"]:
            memory = device["memory"]
            planned, resident = memory["planned_bytes"], resident_bytes(device["pid"])
            opened = device["loading"]["bytes_total"] + memory["kv_bytes"] + memory["scratch_bytes"]
            print(f"{device['name']}: resident {resident / 2**20:.1f} MiB, planned {planned / 2**20:.1f} MiB")
            self.assertEqual(planned, opened + self.FIXED_BYTES, device)
            self.assertLessEqual(resident, planned + 40_000_000, device)

    def test_three_workers_stay_within_what_the_plan_states(self):
        with Cluster(smollm2(), workers=3) as cluster:
            cluster.wait_ready()
            self.judge(cluster)

    def test_one_worker_with_the_whole_of_a_model_with_a_large_head_does_too(self):
        with Cluster(gemma3(), workers=1, threads=2) as cluster:
            cluster.wait_ready()
            self.judge(cluster)


if __name__ == "__main__":
    main()
