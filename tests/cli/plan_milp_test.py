#!/usr/bin/env python3
"""`shoal plan --problem` against a mixed-integer programme that HiGHS solves: the same best value, for both objectives.

    SHOAL_BIN_DIR=build/release/bin python3 tests/cli/plan_milp_test.py

6 problems of 8 and 9 devices, or 200 with SHOAL_LONG=1. HiGHS comes as the Python package highspy, which
`scripts/install-packages --full` puts into ~/.cache/shoal/python; where it is absent the test is skipped (status 77), and
fails with SHOAL_LONG=1.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

PACKAGES = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "shoal" / "python"
sys.path.insert(0, str(PACKAGES))
SHOAL = pathlib.Path(os.environ.get("SHOAL_BIN_DIR", "build/release/bin")) / "shoal"
LONG = os.environ.get("SHOAL_LONG") == "1"
SKIPPED = 77

try:
    import highspy
    import numpy
except ImportError as missing:
    print(f"{missing}: scripts/install-packages --full brings it", file=sys.stderr)
    sys.exit(1 if LONG else SKIPPED)


def random_problem(seed):
    """8 or 9 unequal devices of which several are needed, asymmetric links, a few closed; source, return and pins at times."""
    rng = random.Random(seed)
    num_devices, num_units = 8 + seed % 2, rng.randint(9, 13)
    hidden = rng.randrange(1_000, 60_000)
    units = [{"name": f"u{u}", "memory_bytes": rng.randrange(1_000_000, 9_000_000),
              "activation_bytes": hidden if rng.random() < 0.7 else rng.randrange(0, 90_000)} for u in range(num_units)]
    all_bytes = sum(unit["memory_bytes"] for unit in units)
    devices = []
    for v in range(num_devices):
        speed = rng.uniform(0.3, 4)
        devices.append({"name": f"d{v}", "memory_bytes": int(all_bytes * rng.uniform(0.1, 0.4)),
                        "seconds": [unit["memory_bytes"] * 1e-10 * rng.uniform(0.6, 1.6) / speed for unit in units]})
    def matrix(entry):
        return [[0 if v == w else entry() for w in range(num_devices)] for v in range(num_devices)]
    links = {"latency_s": matrix(lambda: 1e-4 * 50 ** rng.random()),
             "bytes_per_s": matrix(lambda: 0 if rng.random() < 0.05 else 1.25e8 * 0.01 ** rng.random())}
    pins = {f"u{rng.randrange(num_units)}": f"d{rng.randrange(num_devices)}"} if rng.random() < 0.3 else {}
    return {"units": units, "devices": devices, "links": links,
            "source": f"d{rng.randrange(num_devices)}" if rng.random() < 0.7 else None,
            "input_bytes": rng.randrange(0, 50_000), "return_to_source": rng.random() < 0.5,
            "return_bytes": rng.randrange(0, 50_000), "pins": pins}


class Programme:
    """Rows and columns for HiGHS, one by one."""

    def __init__(self):
        self.cost, self.upper, self.integral, self.rows = [], [], [], []

    def column(self, cost=0.0, upper=1.0, integral=False):
        self.cost.append(cost)
        self.upper.append(upper)
        self.integral.append(integral)
        return len(self.cost) - 1

    def row(self, lower, upper, terms):
        self.rows.append((lower, upper, terms))

    def solve(self):
        """The least cost, or None."""
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.cost), len(self.rows)
        lp.col_cost_ = numpy.array(self.cost)
        lp.col_lower_ = numpy.zeros(len(self.cost))
        lp.col_upper_ = numpy.array(self.upper)
        lp.row_lower_ = numpy.array([row[0] for row in self.rows])
        lp.row_upper_ = numpy.array([row[1] for row in self.rows])
        lp.integrality_ = [highspy.HighsVarType.kInteger if i else highspy.HighsVarType.kContinuous for i in self.integral]
        starts, index, value = [0], [], []
        for _, _, terms in self.rows:
            for column, factor in terms:
                index.append(column)
                value.append(factor)
            starts.append(len(index))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = numpy.array(starts)
        lp.a_matrix_.index_ = numpy.array(index)
        lp.a_matrix_.value_ = numpy.array(value)
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("mip_rel_gap", 1e-9)
        solver.setOptionValue("mip_abs_gap", 1e-9)
        solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
        solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
        solver.passModel(lp)
        solver.run()
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        assert status == highspy.HighsModelStatus.kOptimal, solver.modelStatusToString(status)
        return solver.getInfo().objective_function_value


def best_value(problem, objective):
    """A flow of one unit through nodes (device, unit): x[v][l] = v runs l, switch[u][v][l] = u runs l - 1 and v runs l.

    Times are in milliseconds, bytes in megabytes: HiGHS likes numbers near one.
    """
    units, devices, links = problem["units"], problem["devices"], problem["links"]
    num_units = len(units)
    source = None if problem["source"] is None else [d["name"] for d in devices].index(problem["source"])
    # For latency the source may run the first units and, as a device of its own that shares its memory, also the last.
    home = list(range(len(devices)))
    if objective == "latency" and source is not None:
        home.append(source)
    again = len(home) - 1 if len(home) > len(devices) else None

    def hop_ms(u, v, size, with_latency):
        """None: closed."""
        if home[u] == home[v]:
            return 0.0
        rate = links["bytes_per_s"][home[u]][home[v]]
        latency = links["latency_s"][home[u]][home[v]] if with_latency else 0
        return None if rate == 0 else 1e3 * (latency + size / rate)

    latency = objective == "latency"
    programme = Programme()
    tau = programme.column(cost=0 if latency else 1.0, upper=float("inf"))
    x = [[0] * num_units for _ in home]
    for v, device in enumerate(home):
        for l in range(num_units):
            upper, cost = 1.0, 1e3 * devices[device]["seconds"][l] if latency else 0.0
            pinned = problem["pins"].get(units[l]["name"])
            if pinned is not None and pinned != devices[device]["name"]:
                upper = 0.0
            x[v][l] = programme.column(cost, upper, integral=True)
    for l in range(num_units):
        programme.row(1, 1, [(x[v][l], 1.0) for v in range(len(home))])
    # Hops.
    entered = [[(x[v][0], 1.0)] for v in range(len(home))]
    for l in range(1, num_units):
        leaving = [[(x[v][l - 1], -1.0)] for v in range(len(home))]
        arriving = [[(x[v][l], -1.0)] for v in range(len(home))]
        for u in range(len(home)):
            for v in range(len(home)):
                ms = 0.0 if u == v else hop_ms(u, v, units[l - 1]["activation_bytes"], latency)
                if ms is None:
                    continue
                switch = programme.column(ms if latency else 0.0)
                leaving[u].append((switch, 1.0))
                arriving[v].append((switch, 1.0))
                if u != v:
                    entered[v].append((switch, 1.0))
                    if not latency and ms > 0:
                        programme.row(-float("inf"), 0, [(switch, ms), (tau, -1.0)])
        for terms in leaving + arriving:
            programme.row(0, 0, terms)
    for terms in entered:  # one run of units each
        programme.row(-float("inf"), 1, terms)
    # The input and the result.
    ends = []
    if source is not None:
        ends += [(x[v][0], hop_ms(source, v, problem["input_bytes"], latency)) for v in range(len(home))]
        if problem["return_to_source"]:
            ends += [(x[v][-1], hop_ms(v, source, problem["return_bytes"], latency)) for v in range(len(home))]
    for column, ms in ends:
        if ms is None:
            programme.row(0, 0, [(column, 1.0)])
        elif latency:
            programme.cost[column] += ms
        elif ms > 0:
            programme.row(-float("inf"), 0, [(column, ms), (tau, -1.0)])
    # Memory and time of a device, all its runs together.
    for device in range(len(devices)):
        runs = [v for v in range(len(home)) if home[v] == device]
        programme.row(-float("inf"), devices[device]["memory_bytes"] / 1e6,
                      [(x[v][l], units[l]["memory_bytes"] / 1e6) for v in runs for l in range(num_units)])
        if not latency:
            programme.row(-float("inf"), 0, [(x[v][l], 1e3 * devices[device]["seconds"][l])
                                             for v in runs for l in range(num_units)] + [(tau, -1.0)])
    if again is not None:  # only after a first run, and to the end
        for l in range(num_units):
            programme.row(-float("inf"), 0, [(x[again][l], 1.0), (x[source][0], -1.0)])
            if l + 1 < num_units:
                programme.row(-float("inf"), 0, [(x[again][l], 1.0), (x[again][-1], -1.0)])
    best = programme.solve()
    return None if best is None else best / 1e3


def shoal_value(problem, objective):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(problem, file)
        file.flush()
        run = subprocess.run([SHOAL, "plan", "--problem", file.name, "--objective", objective, "--json"],
                             capture_output=True, text=True, check=False)
    answer = json.loads(run.stdout)
    if run.returncode == 3:
        return None, answer
    assert run.returncode == 0, run.stderr
    return answer["seconds" if objective == "latency" else "bottleneck_seconds"], answer


class MilpTest(unittest.TestCase):
    def test_the_best_value_is_the_programmes(self):
        infeasible, several = 0, 0
        problems = 200 if LONG else 6
        for seed in range(problems):
            problem = random_problem(seed)
            for objective in ("latency", "throughput"):
                with self.subTest(seed=seed, objective=objective):
                    truth = best_value(problem, objective)
                    ours, answer = shoal_value(problem, objective)
                    self.assertEqual(ours is None, truth is None, answer)
                    if truth is None:
                        infeasible += 1
                        self.assertIn("error", answer)
                        continue
                    self.assertTrue(answer["optimal"])
                    self.assertLess(abs(ours - truth), 2e-7 * truth, answer)
                    several += len(answer["stages"]) > 1
        print(f"{2 * problems} plans: {several} on several devices, {infeasible} impossible")
        self.assertGreater(several, problems)


if __name__ == "__main__":
    unittest.main(verbosity=1)
