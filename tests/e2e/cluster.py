"""A real cluster on this machine, for tests: one coordinator, some workers, all separate processes on 127.0.0.1.

    with Cluster(model, workers=3) as cluster:
        cluster.wait_ready()
        answer = cluster.complete(prompt=[1, 2, 3], max_tokens=8)

Ports are chosen by the system, state lives in a temporary directory, logs stay there for a failure's reader.
"""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

BIN = os.environ.get("SHOAL_BIN_DIR", "build/release/bin")


class Failed(Exception):
    """The server answered with an error object: status, and the error's own fields."""

    def __init__(self, status, error):
        super().__init__(f"HTTP {status}: {error}")
        self.status, self.error = status, error


class Cluster:
    def __init__(self, model, workers=3, threads=1, min_stages=None, memory=None, kernels=None, options=(), worker_options=(),
                 state=None, lab=None, cluster_port=0, programs=None):
        """lab: a started lab.Lab of workers + 1 hosts; the hub runs on its first, worker i on host i + 1.
        programs: by worker, the command line that its program starts with, where it is not this build's shoal-worker."""
        self.programs = programs or {}
        self.lab = lab
        self.model, self.threads, self.kernels = model, threads, kernels
        self.cluster_port = cluster_port  # 0: chosen anew at each start of the coordinator
        self.worker_options = list(worker_options)
        self.memory = memory if isinstance(memory, (list, tuple)) else [memory] * workers
        self.num_workers = workers
        self.options = ["--min-stages", str(min_stages or workers), "--expect", str(workers), *options]
        self.owns_state = state is None
        self.state = state or tempfile.mkdtemp(prefix="shoal-test-")
        self.processes = {}
        self.token = self.http_port = self.join_port = None

    def __enter__(self):
        self.start_coordinator()
        for i in range(self.num_workers):
            self.start_worker(i)
        return self

    def __exit__(self, kind, value, trace):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.time() + 5
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.time()))
            except subprocess.TimeoutExpired:
                process.kill()
        if self.processes.get("coordinator"):
            self.processes["coordinator"].stdout.close()
        if self.owns_state and kind is None:
            shutil.rmtree(self.state, ignore_errors=True)
        elif kind is not None:
            print(f"logs of the failed cluster: {self.state}")

    # ---- processes

    def start_coordinator(self):
        command = [f"{BIN}/shoal", "coordinator", "--model", self.model, "--model-id", "test", "--port", "0",
                   "--cluster-port", str(self.cluster_port),
                   "--state", f"{self.state}/coordinator", *self.options]
        if self.lab:
            command = self.lab.on(0) + command + ["--address", self.lab.address(0)]
        with open(f"{self.state}/coordinator.log", "ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        self.processes["coordinator"] = process
        text = ""
        while "--token" not in text:
            line = process.stdout.readline().decode()
            if not line:
                raise AssertionError(f"the coordinator did not start: {open(f'{self.state}/coordinator.log').read()[-2000:]}")
            text += line
        self.http_port = int(re.search(r"http://[^:]+:(\d+)", text).group(1))
        self.join_port = int(re.search(r"--hub [^:]+:(\d+)", text).group(1))
        self.token = re.search(r"--token (\S+)", text).group(1)

    def start_worker(self, index):
        name = f"w{index}"
        program = self.programs.get(index, [f"{BIN}/shoal-worker"])
        command = [*program, "--hub", f"{self.lab.address(0) if self.lab else '127.0.0.1'}:{self.join_port}", "--token", self.token, "--name", name,
                   "--state", f"{self.state}/{name}", "--threads", str(self.threads), *self.worker_options]
        if self.memory[index]:
            command += ["--memory", self.memory[index]]
        if self.kernels:
            command += ["--kernels", self.kernels]
        if self.lab:
            command = self.lab.on(index + 1) + command
        with open(f"{self.state}/{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill_worker(self, index):
        process = self.processes[f"w{index}"]
        process.kill()
        process.wait()

    def wait_ready(self, timeout=120):
        deadline = time.time() + timeout
        while time.time() < deadline:
            status, body = self.get("/health")
            if status == 200:
                return
            if self.processes["coordinator"].poll() is not None:
                raise AssertionError("the coordinator ended")
            time.sleep(0.1)
        raise AssertionError(f"not ready within {timeout} s: {body}")

    def wait_state(self, state, timeout=60):
        deadline = time.time() + timeout
        while time.time() < deadline:
            if self.view()["state"] == state:
                return
            time.sleep(0.05)
        raise AssertionError(f"state {self.view()['state']} and not {state}")

    # ---- HTTP

    def connection(self, timeout=300):
        if self.lab:
            return self.lab.connection(0, self.http_port, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)

    def get(self, path):
        with contextlib.closing(self.connection(10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def view(self):
        return self.get("/api/cluster")[1]

    def post(self, path, body):
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        with contextlib.closing(self.connection()) as connection:
            connection.request("POST", path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != 200:
            raise Failed(response.status, answer.get("error"))
        return answer

    def complete(self, **body):
        return self.post("/v1/completions", {"return_token_ids": True, **body})

    def stream(self, path, **body):
        """Yields each event of a streamed answer as parsed JSON; an error event raises Failed."""
        with contextlib.closing(self.connection()) as connection:
            yield from self.events_of(connection, path, body)

    def events_of(self, connection, path, body):
        connection.request("POST", path, json.dumps({"stream": True, "return_token_ids": True, **body}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise Failed(response.status, json.loads(response.read()).get("error"))
        for line in response:
            line = line.decode().strip()
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                return
            event = json.loads(line[6:])
            if "error" in event:
                raise Failed(response.status, event["error"])
            yield event
        raise AssertionError("the stream ended without [DONE] or an error")
