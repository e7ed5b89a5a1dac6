"""Devices of different processors share one model: the bits of a 64-bit ARM worker (under qemu) are those of this machine."""
import os
import shutil
import sys
import unittest

from e2e import BIN, Cluster, main, random_prompt, run_clients, tiny_model

ARM64_WORKER = os.path.join(os.path.dirname(BIN), "..", "arm64", "bin", "shoal-worker")
QEMU = shutil.which("qemu-aarch64-static")


class MachinesTest(unittest.TestCase):
    def answers(self, programs):
        requests = [{"prompt": random_prompt(i, 10 + 40 * i, 590), "max_tokens": 16, "temperature": 0.9, "seed": i} for i in range(4)]
        with Cluster(tiny_model(), workers=2, programs=programs) as running:
            running.wait_ready(120)
            kernels = sorted(device["kernels"] for device in running.view()["devices"])
            return run_clients(running, requests), kernels

    def test_an_arm_worker_beside_an_x86_worker_changes_no_token_and_no_logprob(self):
        whole, _ = self.answers({})
        for answer in whole:
            self.assertIsInstance(answer, tuple, answer)
        mixed, kernels = self.answers({1: [QEMU, "-cpu", "max", ARM64_WORKER]})
        self.assertIn("neon", kernels)
        self.assertEqual(mixed, whole)


if __name__ == "__main__":
    if not QEMU or not os.path.exists(ARM64_WORKER):
        print("skipped: needs qemu-aarch64-static and build/arm64/bin/shoal-worker (scripts/install-packages --arm64, preset arm64)")
        sys.exit(77)
    main()
