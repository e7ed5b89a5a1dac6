"""The simulator beside the thing itself: the same config, the same requests, the same seed. Three emulated devices on test
hosts serve them (`shoal up --emulate`); `shoal simulate` says what they would do, from what they measured of themselves.

Times of a busy machine say nothing: run it alone."""
import json
import math
import subprocess
import threading
import time
import unittest

from e2e import BIN, main, random_prompt, smollm2
from emulate_test import Up, can_make_hosts

MOST_OFF = 0.15

CONFIG = """version: 1
models: ["{model}"]
coordinator: {{address: 10.9.9.1, cluster_port: 0, context: 512, kv_positions: 8192, min_stages: 3, objective: balanced}}
devices:
  - {{name: hub, address: 10.9.9.1, memory: 1G, threads: 1}}
  - {{name: gate, address: 10.9.9.2, memory: 1G, threads: 1}}
  - {{name: camera, address: 10.9.9.3, memory: 1G, threads: 1}}
links:
  default: {{latency: 6ms, rate: 50mbit}}
  rules: [{{between: [camera, "*"], latency: 10ms, rate: 30mbit}}]
arrivals:
  per_second: {rate}
  requests: {requests}
  prompt: {{least: 20, most: 100}}
  answer: {{least: 30, most: 70}}
  seed: {seed}
"""


def quantile(samples, share):
    """Nearest rank, as the simulator counts it."""
    return sorted(samples)[max(1, math.ceil(share * len(samples))) - 1]


class Asked(threading.Thread):
    """One request, sent at its time; when each of its tokens came."""

    def __init__(self, up, begin, at, prompt_tokens, answer_tokens, seed):
        super().__init__(daemon=True)
        self.up, self.begin, self.at, self.seed = up, begin, at, seed
        self.prompt_tokens, self.answer_tokens = prompt_tokens, answer_tokens
        self.tokens_at, self.error = [], None
        self.start()

    def run(self):
        body = {"prompt": random_prompt(self.seed, self.prompt_tokens, 40000), "max_tokens": self.answer_tokens, "seed": self.seed,
                "ignore_eos": True, "return_token_ids": True, "stream": True}
        time.sleep(max(0.0, self.begin + self.at - time.monotonic()))
        try:
            for line in self.up.stream("/v1/completions", body):
                now = time.monotonic() - self.begin
                for choice in line.get("choices", []):
                    self.tokens_at += [now] * len(choice.get("token_ids") or [])
        except Exception as error:  # for the test to tell
            self.error = error


class SimulatorTest(unittest.TestCase):
    def compare(self, rate, requests, seed, speed):
        config = CONFIG.replace("{rate}", str(rate)).replace("{requests}", str(requests)).replace("{seed}", str(seed))
        with Up(smollm2(), "--emulate-speed", speed, config=config) as up:
            up.wait_ready()
            up.complete()  # caches and connections are warm
            trace = subprocess.run([f"{BIN}/shoal", "simulate", up.config, "--arrivals"], check=True, capture_output=True, text=True)
            planned = [line.split(",") for line in trace.stdout.splitlines() if not line.startswith("#")]
            begin = time.monotonic() + 0.5
            asked = [Asked(up, begin, float(at), int(prompt), int(answer), i) for i, (at, prompt, answer) in enumerate(planned)]
            for request in asked:
                request.join()
                self.assertIsNone(request.error)
                self.assertEqual(len(request.tokens_at), request.answer_tokens)
            view = up.ask("/api/cluster")
            simulated = json.loads(subprocess.run([f"{BIN}/shoal", "simulate", up.config, "--measured", f"{up.folder}/state", "--json"],
                                                  check=True, capture_output=True, text=True).stdout)
        gaps = [b - a for request in asked for a, b in zip(request.tokens_at, request.tokens_at[1:])]
        firsts = [request.tokens_at[0] - request.at for request in asked]
        tokens = sum(len(request.tokens_at) for request in asked)
        seconds = max(request.tokens_at[-1] for request in asked)
        real = {"tokens/s": tokens / seconds, "gap p50": quantile(gaps, 0.5), "gap p95": quantile(gaps, 0.95),
                "first p50": quantile(firsts, 0.5)}
        told = {"tokens/s": simulated["tokens_per_second"], "gap p50": simulated["between_tokens_seconds"]["p50"],
                "gap p95": simulated["between_tokens_seconds"]["p95"], "first p50": simulated["first_token_seconds"]["p50"]}
        print(f"\nrate {rate}, {requests} requests, speed {speed}; real plan "
              f"{[(s['name'], s['units'], round(1e3 * s['predicted_seconds'], 1), round(1e3 * s['measured_device_step_seconds'], 1)) for s in view['plan']['stages']]}, simulated "
              f"{[(s['device'], s['units'], round(1e3 * s['predicted_seconds'], 1)) for s in simulated['pipelines'][0]['stages']]}")
        for figure, value in real.items():
            print(f"  {figure}: real {value:.4f}, simulated {told[figure]:.4f}, off by {told[figure] / value - 1:+.1%}")
        self.assertEqual(simulated["tokens"], tokens)
        return real, told

    @unittest.skipUnless(can_make_hosts(), "test hosts need root and /dev/net/tun")
    def test_throughput_and_the_slow_gaps_are_as_simulated(self):
        for rate, requests, seed in ((0.5, 25, 1), (2, 60, 2)):
            with self.subTest(rate=rate):
                real, told = self.compare(rate, requests, seed, "0.3")
                for figure in ("tokens/s", "gap p95"):
                    self.assertLess(abs(told[figure] / real[figure] - 1), MOST_OFF, figure)


if __name__ == "__main__":
    main()
