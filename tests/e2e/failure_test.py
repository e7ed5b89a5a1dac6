"""A device may die; a request may not: kill -9 of real workers under streaming requests."""
import os
import random
import signal
import time
import unittest

from e2e import LONG, Client, Cluster, Failed, main, random_prompt, smollm2, tiny_model

CONTEXTS = (64, 300, 700, 1500)
# Moments per worker, in prefill and again in decode. Twenty take about a quarter of an hour.
KILL_POINTS = int(os.environ.get("SHOAL_KILL_POINTS", 1))
LONG_ANSWER = {"prompt": random_prompt(1, 300, 590), "max_tokens": 400, "temperature": 0.9, "seed": 5, "ignore_eos": True}


def bodies(vocab, tokens, contexts=CONTEXTS):
    return [{"prompt": random_prompt(i, size, vocab), "max_tokens": tokens, "temperature": 0.9, "seed": 100 + i}
            for i, size in enumerate(contexts)]


class FailureTest(unittest.TestCase):
    def kill_at_random_points(self, cluster, requests, points, seed):
        """Each of three workers in turn, at `points` moments in prefill and as many in decode."""
        start = time.time()
        clients = [Client(cluster, **body) for body in requests]
        undisturbed = [client.answer for client in clients]
        for answer in undisturbed:
            self.assertIsInstance(answer, tuple, answer)
        prefilled = max(client.first_at for client in clients) - start
        ended = time.time() - start
        print(f"undisturbed: first tokens within {prefilled:.2f} s, all after {ended:.2f} s", flush=True)
        generator = random.Random(seed)
        for victim in range(3):
            for begin, end in ((0, prefilled), (prefilled, ended)):
                for point in range(points):
                    moment = begin + (end - begin) * (point + generator.random()) / points
                    with self.subTest(victim=victim, moment=round(moment, 3)):
                        clients = [Client(cluster, **body) for body in requests]
                        time.sleep(moment)
                        cluster.kill_worker(victim)
                        self.assertEqual([client.answer for client in clients], undisturbed)
                    cluster.start_worker(victim)
                    self.wait_for_three(cluster)

    def wait_for_three(self, cluster):
        deadline = time.time() + 60
        while time.time() < deadline:
            view = cluster.view()
            names = {stage["name"] for stage in (view["plan"] or {}).get("stages", [])}
            if view["state"] == "ready" and len(names) == 3 and view["next_plan"] is None:
                return
            time.sleep(0.05)
        self.fail(f"the plan did not return to three devices: {view['state']} {view['detail']}")

    def test_a_killed_worker_changes_no_token_of_a_tiny_model(self):
        with Cluster(tiny_model("--layers", "12", "--hidden", "256", "--heads", "8", "--kv-heads", "4", "--head-dim", "32"), workers=3) as cluster:
            cluster.wait_ready()
            self.kill_at_random_points(cluster, bodies(590, 60), points=KILL_POINTS, seed=1)

    def test_a_killed_worker_changes_no_token_of_smollm2(self):
        with Cluster(smollm2(), workers=3) as cluster:
            cluster.wait_ready()
            self.kill_at_random_points(cluster, bodies(49000, 40), points=max(KILL_POINTS, 2 if LONG else 1), seed=2)

    def test_the_only_worker_comes_back_and_the_answer_goes_on(self):
        with Cluster(tiny_model(), workers=1) as cluster:
            cluster.wait_ready()
            undisturbed = Client(cluster, **LONG_ANSWER).answer
            client = self.in_mid_answer(cluster, LONG_ANSWER)
            cluster.kill_worker(0)
            time.sleep(1)
            cluster.start_worker(0)
            self.assertEqual(client.answer, undisturbed)

    def test_a_hub_that_stands_still_calls_nobody_dead(self):
        with Cluster(tiny_model(), workers=2) as cluster:
            cluster.wait_ready()
            undisturbed = Client(cluster, **LONG_ANSWER).answer
            client = self.in_mid_answer(cluster, LONG_ANSWER)
            hub = cluster.processes["coordinator"]
            hub.send_signal(signal.SIGSTOP)
            time.sleep(5)
            hub.send_signal(signal.SIGCONT)
            self.assertEqual(client.answer, undisturbed)
            self.assertEqual(cluster.view()["recovery"]["devices_lost"], 0)

    def test_with_no_device_left_a_request_ends_with_an_error_event(self):
        with Cluster(tiny_model(), workers=1) as cluster:
            cluster.wait_ready()
            client = self.in_mid_answer(cluster, LONG_ANSWER)
            cluster.kill_worker(0)
            self.assertIsInstance(client.answer, Failed)
            self.assertIsNone(client.finish)

    def in_mid_answer(self, cluster, body):
        client = Client(cluster, **body)
        while len(client.ids) < 20 and client.is_alive():
            time.sleep(0.002)
        return client

    def test_when_survivors_cannot_hold_the_model_requests_end_with_a_reason_and_service_returns(self):
        # Each device holds about half of SmolLM2: two are enough, one is not.
        with Cluster(smollm2(), workers=2, memory=["115M", "115M"], options=["--context", "512", "--kv-positions", "1024"]) as cluster:
            cluster.wait_ready()
            client = Client(cluster, prompt=random_prompt(1, 64, 49000), max_tokens=400, temperature=0.9, seed=1, ignore_eos=True)
            while len(client.ids) < 5 and client.is_alive():
                time.sleep(0.01)
            cluster.kill_worker(0)
            self.assertIsInstance(client.answer, Failed)
            self.assertIn("memory", str(client.error))
            self.assertIsNone(client.finish)
            with self.assertRaises(Failed) as refused:
                cluster.complete(prompt=[1, 2, 3], max_tokens=4)
            self.assertEqual(refused.exception.status, 503)
            self.assertEqual(cluster.get("/health")[0], 503)
            cluster.start_worker(0)
            cluster.wait_ready(60)
            self.assertEqual(len(cluster.complete(prompt=[1, 2, 3], max_tokens=4, ignore_eos=True)["choices"][0]["token_ids"]), 4)


if __name__ == "__main__":
    main()
