"""What the end-to-end tests share: models, seeded prompts, answers that can be compared to the last bit."""
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from cluster import BIN, Cluster, Failed

LONG = os.environ.get("SHOAL_LONG") == "1"
MODELS = os.environ.get("SHOAL_MODELS", "")


SKIPPED = 77  # CTest's SKIP_RETURN_CODE: not everything was tested
_missing_models = set()


def real_model(file_name):
    """Its path; where it is not, the test is skipped, and with SHOAL_NEED_MODELS=1 it fails."""
    path = os.path.join(MODELS, file_name)
    if MODELS and os.path.exists(path):
        return path
    if os.environ.get("SHOAL_NEED_MODELS") == "1":
        raise AssertionError(f"{file_name} is not in SHOAL_MODELS")
    _missing_models.add(file_name)
    raise unittest.SkipTest(f"{file_name} is not in SHOAL_MODELS")


def main():
    """Runs the file's tests. Ends with SKIPPED where they passed but for those without their real model."""
    ran = unittest.main(module="__main__", verbosity=2, exit=False)
    if not ran.result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if _missing_models else 0)


def smollm2():
    return real_model("SmolLM2-135M-Instruct.Q4_1.gguf")


def gemma3():
    return real_model("gemma-3-270m-q4_k_m.gguf")


_tiny = {}


def tiny_model(*flags):
    """A small random model, the same for the same flags."""
    if flags not in _tiny:
        path = os.path.join(tempfile.mkdtemp(prefix="shoal-tiny-"), "tiny.gguf")
        subprocess.run([f"{BIN}/make_tiny_model", path, *flags], check=True, stdout=subprocess.DEVNULL)
        _tiny[flags] = path
    return _tiny[flags]


def random_prompt(seed, size, vocab):
    generator = random.Random(seed)
    return [generator.randrange(10, vocab) for _ in range(size)]


class Client(threading.Thread):
    """One streaming client. `answer` is (token ids, logprobs) or the exception it met."""

    def __init__(self, cluster, **body):
        super().__init__(daemon=True)
        self.cluster, self.body = cluster, body
        self.ids, self.logprobs, self.error, self.finish = [], [], None, None
        self.first_at = None
        self.start()

    def run(self):
        try:
            for event in self.cluster.stream("/v1/completions", logprobs=1, **self.body):
                self.first_at = self.first_at or time.time()
                for choice in event.get("choices", []):
                    self.ids += choice.get("token_ids") or []
                    self.logprobs += (choice.get("logprobs") or {}).get("token_logprobs") or []
                    self.finish = choice.get("finish_reason") or self.finish
        except Exception as error:  # what the client saw, for the test to judge
            self.error = error

    @property
    def answer(self):
        self.join()
        return self.error or (self.ids, self.logprobs)


def run_clients(cluster, bodies):
    clients = [Client(cluster, **body) for body in bodies]
    return [client.answer for client in clients]


def shoal(*arguments):
    done = subprocess.run([f"{BIN}/shoal", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"shoal {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def ids_file(tokens):
    file = tempfile.NamedTemporaryFile("w", suffix=".json")
    json.dump(tokens, file)
    file.flush()
    return file


def digest_of(output):
    digest = json.loads(output)["digest"]
    assert len(digest) > 15, digest
    return digest


def digest_on(cluster, tokens):
    """The hash of all logits over a text of ids, on a running cluster."""
    with ids_file(tokens) as file:
        return digest_of(shoal("score", file.name, "--tokens", "--json", "--digest", "--url", f"http://127.0.0.1:{cluster.http_port}"))


def digest_in(model, tokens):
    """The same in one process, from the model's file alone."""
    with ids_file(tokens) as file:
        return digest_of(shoal("score", file.name, "--tokens", "--json", "--digest", "--model", model))


def kernels_here():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = file.read()
    needs = {"avx2": "avx2", "avxvnni": "avx_vnni", "avx512": "avx512_vnni", "amx": "amx_int8"}
    return ["scalar"] + [name for name, flag in needs.items() if flag in flags]


__all__ = ["BIN", "Client", "Cluster", "Failed", "LONG", "digest_in", "digest_on", "gemma3", "ids_file", "kernels_here", "main",
           "random_prompt", "run_clients", "shoal", "smollm2", "tiny_model"]
