"""The sharded answer is the whole answer, to the last bit, however it is split, batched or chunked."""
import unittest

from e2e import LONG, Cluster, main, random_prompt, run_clients, smollm2, tiny_model


def greedy_and_sampled(vocab, count):
    return [{"prompt": random_prompt(i, 20 + 13 * i, vocab), "max_tokens": 24, "temperature": 0 if i % 2 else 0.9, "seed": i}
            for i in range(count)]


class IdentityTest(unittest.TestCase):
    def answers(self, model, requests, **cluster):
        with Cluster(model, **cluster) as running:
            running.wait_ready()
            alone = [run_clients(running, [request])[0] for request in requests[:3]]
            together = run_clients(running, requests)
        self.assertEqual(together[:3], alone)
        return together

    def splits_agree(self, model, vocab, splits, chunks, kernels):
        requests = greedy_and_sampled(vocab, 16)
        whole = self.answers(model, requests, workers=1)
        for answer in whole:
            self.assertIsInstance(answer, tuple, answer)
        for workers in splits:
            with self.subTest(workers=workers):
                self.assertEqual(self.answers(model, requests, workers=workers), whole)
        for chunk in chunks:
            with self.subTest(chunk=chunk):
                self.assertEqual(self.answers(model, requests, workers=3, options=["--prefill-chunk", str(chunk)]), whole)
        for name in kernels:
            with self.subTest(kernels=name):
                self.assertEqual(self.answers(model, requests, workers=2, kernels=name, options=["--kernels", name]), whole)

    def test_a_tiny_model_on_1_2_3_and_5_workers_in_every_chunking_with_every_kernel(self):
        self.splits_agree(tiny_model(), 590, (2, 3, 5), (1, 7, 64, 512), ("scalar", "avx2"))

    def test_smollm2_on_1_and_3_workers(self):
        self.splits_agree(smollm2(), 49000, (2, 3, 5) if LONG else (3,), (1, 7, 64, 512) if LONG else (7,), ("scalar", "avx2") if LONG else ())


if __name__ == "__main__":
    main()
