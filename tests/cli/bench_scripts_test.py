#!/usr/bin/env python3
"""bench/compare_llama_cpp and bench/instructions: what they reckon, and what they say when something is missing.

    python3 tests/cli/bench_scripts_test.py
"""
import argparse
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))


def load(name):
    """A script without a suffix as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(BENCH / name))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


compare = load("compare_llama_cpp")
instructions = load("instructions")

MEASURED = {
    "threads": 2,
    "shoal": {"prefill 512": [100.0, 300.0, 200.0], "load to first token": [0.5, 0.5, 0.5]},
    "read_shares": {"prefill 512": [0.1, 0.3, 0.2], "load to first token": [0.1, 0.1, 0.1]},
    "int8_shares": {"prefill 512": [0.4, 0.6, 0.5]},
    "llama.cpp": {
        "native -fa 0": {"prefill 512": [10.0, 10.0, 10.0]},
        "native -fa 1": {"prefill 512": [50.0, 20.0, 40.0]},
        "no-amx -fa 0": {"prefill 512": [8.0, 8.0, 8.0]},
        "no-amx -fa 1": {"prefill 512": [20.0, 25.0, 16.0]},
    },
}


def run_script(name, *arguments, **environment):
    return subprocess.run([sys.executable, str(BENCH / name), *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})


class ComparisonTest(unittest.TestCase):
    def test_a_figure_stands_beside_the_best_median_of_the_peer(self):
        with unittest.mock.patch.object(compare.llama_cpp_peer, "variants", lambda: ["native", "no-amx"]):
            rows = compare.compare(MEASURED)
        self.assertEqual([row["figure"] for row in rows], ["prefill 512"])  # the peer has no load
        row = rows[0]
        self.assertEqual(row["llama.cpp_run"], "native -fa 1")
        self.assertEqual(row["ratio"], 200 / 40)
        self.assertEqual(row["ratio_range"], [100 / 50, 300 / 20])  # of neighbours in time
        self.assertEqual(row["ratio_without_amx"], 200 / 20)
        self.assertEqual((row["read_share"], row["int8_share"]), (0.2, 0.5))

    def test_without_amx_there_is_one_peer(self):
        with unittest.mock.patch.object(compare.llama_cpp_peer, "variants", lambda: ["native"]):
            self.assertEqual(compare.best_peer(MEASURED, "prefill 512", ["native"])[0], "native -fa 1")
            self.assertIsNone(compare.best_peer(MEASURED, "decode at 0", ["native"]))

    def test_lists_are_sorted_and_checked(self):
        self.assertEqual(compare.numbers("512,128,512"), [128, 512])
        for wrong in ("x", "1;2", "-1"):
            with self.assertRaises(argparse.ArgumentTypeError):
                compare.numbers(wrong)
        for wrong in ("0", "", "1,2"):
            with self.assertRaises(argparse.ArgumentTypeError):
                compare.positive(wrong)
        with self.assertRaises(argparse.ArgumentTypeError):
            compare.threads_list("0,1")


class MessageTest(unittest.TestCase):
    def expect(self, run, *words):
        self.assertNotEqual(run.returncode, 0)
        self.assertNotIn("Traceback", run.stderr)
        for word in words:
            self.assertIn(word, run.stderr)

    def test_a_model_that_is_not_there_is_named(self):
        self.expect(run_script("compare_llama_cpp", "--model", "no.gguf"), "no.gguf is no file")

    def test_a_shoal_that_is_not_built_is_told_with_how_to_build_it(self):
        with tempfile.TemporaryDirectory() as folder:
            self.expect(run_script("compare_llama_cpp", "--model", __file__, "--bin", folder), "cmake --preset release")
            self.expect(run_script("instructions", "--model", __file__, "--shoal", folder + "/shoal"), "cmake --preset release")

    def test_without_cmake_the_peer_cannot_be_built_and_that_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "shoal").touch(mode=0o755)
            self.expect(run_script("compare_llama_cpp", "--model", __file__, "--bin", folder, PATH=folder, XDG_CACHE_HOME=folder),
                        "there is no cmake here")

    def test_without_valgrind_nothing_is_counted_and_that_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            shoal = pathlib.Path(folder, "shoal")
            shoal.touch(mode=0o755)
            self.expect(run_script("instructions", "--model", __file__, "--shoal", str(shoal), PATH=folder), "valgrind is not here")


class InstructionsTest(unittest.TestCase):
    def test_the_newest_record_of_the_same_model_and_kernels_counts(self):
        records = [{"model": "a", "kernels": "avx2", "n": 1}, {"model": "a", "kernels": "avx2", "n": 2},
                   {"model": "a", "kernels": "scalar", "n": 3}, {"model": "b", "kernels": "avx2", "n": 4}]
        self.assertEqual(instructions.last_recorded(records, "a", "avx2")["n"], 2)
        self.assertIsNone(instructions.last_recorded(records, "c", "avx2"))


if __name__ == "__main__":
    unittest.main()
