"""Writes tests/data/reference_tiny/*.json: float32 logits of tiny models, by reference.py.

    pip install numpy gguf
    make_reference.py BUILD/bin/make_tiny_model tests/data/reference_tiny

reference_tiny_test.cpp makes the same models from the same flags and holds the runtime to these logits.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import reference

CASES = {
    "llama_f32": "--architecture llama --type F32 --rope-factors --untied",
    "llama_scaled": "--architecture llama --rope-scaling 4 --rope-base 500000",
    "llama_k_quants": "--architecture llama --layers 2 --hidden 256 --heads 8 --head-dim 32 --ffn 256 --type Q4_K "
                      "--v-type Q6_K --down-type Q5_K --embedding-type Q6_K",
    "qwen2": "--architecture qwen2",
    "qwen3": "--architecture qwen3",
    "gemma3": "--architecture gemma3 --layers 7 --rope-scaling 8",
}
SEED = 31
NUM_TOKENS = 80  # past an attention chunk of 64 and gemma's window of 8
ROWS = [0, 9, 63, 79]


def main():
    make_tiny_model, out = sys.argv[1], pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name, flags in CASES.items():
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            subprocess.run([make_tiny_model, file.name, *flags.split(), "--seed", str(SEED)], check=True)
            model = reference.Model(file.name)
            vocab_size = model.tensors["token_embd.weight"].shape[1]
            tokens = [int(t) for t in np.random.default_rng(SEED).integers(0, vocab_size, NUM_TOKENS)]
            logits = reference.logits(model, reference.forward(model, tokens)[ROWS])
        case = {"flags": flags, "seed": SEED, "tokens": tokens, "rows": ROWS,
                "logits": [[round(float(x), 4) for x in row] for row in logits]}
        (out / f"{name}.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
        print(name, "done")


if __name__ == "__main__":
    main()
