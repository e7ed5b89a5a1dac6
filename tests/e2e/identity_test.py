"""The sharded answer is the whole answer, to the last bit, however it is split, batched or chunked."""
import itertools
import unittest

from e2e import LONG, Client, Cluster, digest_in, digest_on, kernels_here, main, random_prompt, run_clients, smollm2, tiny_model

WORKERS = (1, 2, 3, 5)
CHUNKS = (1, 7, 64, 512)
PAIRED = tuple(zip(WORKERS, reversed(CHUNKS)))  # each number of workers once, and each chunk


def greedy_and_sampled(vocab, count):
    return [{"prompt": random_prompt(i, 20 + 13 * i, vocab), "max_tokens": 24, "temperature": 0 if i % 2 else 0.9, "seed": i}
            for i in range(count)]


class IdentityTest(unittest.TestCase):
    def answers_and_digest(self, model, requests, text, **cluster):
        """Ids and logprobs of the requests, and the digest of all logits over `text`: alone, and all at once the same."""
        with Cluster(model, **cluster) as running:
            running.wait_ready()
            alone = [run_clients(running, [request])[0] for request in requests[:3]]
            digest = digest_on(running, text)
            clients = [Client(running, **request) for request in requests]
            self.assertEqual(digest_on(running, text), digest)
            together = [client.answer for client in clients]
        for answer in together:
            self.assertIsInstance(answer, tuple, answer)
        self.assertEqual(together[:3], alone)
        return together, digest

    def all_agree(self, model, vocab, text_size, splits, kernels):
        """`splits` are pairs of a number of workers and a prefill chunk. Kernels are slower: they get fewer requests."""
        requests = greedy_and_sampled(vocab, 16)
        text = random_prompt(5, text_size, vocab)
        digest = digest_in(model, text)  # in a process alone
        whole = None
        for workers, chunk in splits:
            with self.subTest(workers=workers, chunk=chunk):
                got = self.answers_and_digest(model, requests, text, workers=workers, options=["--prefill-chunk", str(chunk)])
                whole = whole or got[0]
                self.assertEqual(got, (whole, digest))
        few, short_text = requests[:4], text[:40]
        short_digest = digest_in(model, short_text)
        for name in kernels:
            with self.subTest(kernels=name):
                got = self.answers_and_digest(model, few, short_text, workers=2, kernels=name, options=["--kernels", name])
                self.assertEqual(got, (whole[:len(few)], short_digest))

    def test_a_tiny_model_on_1_2_3_and_5_workers_in_every_chunking_with_every_kernel(self):
        self.all_agree(tiny_model(), 590, 200, itertools.product(WORKERS, CHUNKS) if LONG else PAIRED, kernels_here())

    def test_smollm2_on_1_2_3_and_5_workers(self):
        if LONG:
            self.all_agree(smollm2(), 49000, 300, PAIRED, kernels_here())
        else:
            self.all_agree(smollm2(), 49000, 40, ((1, 512), (3, 7)), ["avx2"])


if __name__ == "__main__":
    main()
