"""Truth: what comes out of `shoal score`, of echo with logprobs and of `shoal tokenize`, against float32 and real tokenizers."""
import json
import math
import os
import subprocess
import unittest

from e2e import BIN, Cluster, gemma3, ids_file, main, shoal, smollm2

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")


def data(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        return json.load(file)


def divergence(truth, got):
    """KL(truth || got) of one row: the truth's best tokens, and one bucket for the rest."""
    p = [math.exp(logprob) for _, logprob in truth]
    q = [math.exp(got.get(token, -30.0)) for token, _ in truth]
    rest_p, rest_q = max(1 - sum(p), 1e-9), max(1 - sum(q), 1e-9)
    kl = sum(a * (math.log(a) - math.log(max(b, 1e-13))) for a, b in zip(p, q) if a > 0)
    return kl + rest_p * math.log(rest_p / rest_q)


def mean_divergence(truth, tops):
    rows = [divergence(row["top"], dict(map(tuple, tops[row["row"]]))) for row in truth["rows"]]
    return sum(rows) / len(rows)


class TruthTest(unittest.TestCase):
    def score_on(self, cluster, tokens, *flags):
        with ids_file(tokens) as file:
            return json.loads(shoal("score", file.name, "--tokens", "--json", *flags,
                                    "--url", f"http://127.0.0.1:{cluster.http_port}"))

    def judge(self, model, truth, limit):
        print()
        scores = []
        for workers in (1, 3):
            with Cluster(model, workers=workers) as cluster:
                cluster.wait_ready()
                scored = self.score_on(cluster, truth["tokens"], "--top", "400")
                echoed = cluster.complete(prompt=truth["tokens"], max_tokens=0, echo=True, logprobs=400)["choices"][0]["logprobs"]
                self.greedy_is_right(cluster, truth)
            scores.append(scored)
            tops = {row["row"]: row["top"] for row in scored["rows"]}
            ratio = mean_divergence(truth, tops) / truth["llama_cpp_kl"]
            print(f"{truth['model']} on {workers}: KL {mean_divergence(truth, tops):.6f}, {ratio:.3f} x llama.cpp's")
            self.assertLessEqual(ratio, limit)
            # Echo speaks of each token after those before it: one row on.
            for i in range(1, len(truth["tokens"])):
                self.assertEqual(echoed["top_logprob_ids"][i], tops[i - 1])
                self.assertEqual(-echoed["token_logprobs"][i], scored["rows"][i - 1]["nll"])
        self.assertEqual(scores[0], scores[1])

    def greedy_is_right(self, cluster, truth):
        for case in truth["greedy"]:
            # Fed the file's own continuation: a near-tie earlier cannot lead elsewhere.
            fed = case["tokens"] + case["continuation"]
            echoed = cluster.complete(prompt=fed, max_tokens=0, echo=True, logprobs=1)["choices"][0]["logprobs"]
            for step, (token, margin) in enumerate(zip(case["continuation"], case["margin"])):
                if margin > 0.2:
                    best = echoed["top_logprob_ids"][len(case["tokens"]) + step][0][0]
                    self.assertEqual(best, token, (case["prompt"], step, margin))

    def test_smollm2_is_as_near_to_float32_as_promised_on_1_and_3_workers(self):
        self.judge(smollm2(), data("reference/smollm2.json"), 1.1)

    def test_gemma3_is_as_near_to_float32_as_promised_on_1_and_3_workers(self):
        self.judge(gemma3(), data("reference/gemma3.json"), 0.7)

    def test_every_tokenizer_case_through_the_command(self):
        count = 0
        for name, entry in data("tokenizer.json")["models"].items():
            model = {"SmolLM2-135M-Instruct.Q4_1.gguf": smollm2, "gemma-3-270m-q4_k_m.gguf": gemma3}[name]()
            for case in entry["cases"] if isinstance(entry, dict) else entry:
                flags = ["--special"] if case["special"] else []
                done = subprocess.run([f"{BIN}/shoal", "tokenize", "-", "--model", model, "--json", *flags],
                                      input=case["text"].encode(), capture_output=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout), case["ids"], case["text"])
                count += 1
        print(f"{count} cases")


if __name__ == "__main__":
    main()
