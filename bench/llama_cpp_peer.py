"""llama.cpp to measure against: fetched with pip inside llama-cpp-python's source package, built with native flags into a
cache outside the tree, and run. Errors are Failure, whose words say what to do."""
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
PROGRAMS = ["llama-bench", "llama-batched-bench"]
HERE = pathlib.Path(__file__).resolve().parent
CMAKE_OPTIONS = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF",
                 "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_OPENSSL=OFF"]


class Failure(Exception):
    """Ends the program with its words."""


def cache_directory():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "shoal"


def variants():
    """What peer_variant.cmake can make on this machine: with AMX tiles and, where it has them, without."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    has_amx = cpuinfo.exists() and "amx_int8" in cpuinfo.read_text(encoding="utf-8")
    return ["native", "no-amx"] if has_amx else ["native"]


def run(command, what, log=None):
    """Output of a command that must succeed (into `log`, if there is one); `what` is what could not be done otherwise."""
    try:
        done = subprocess.run(command, stdout=log or subprocess.PIPE, stderr=subprocess.STDOUT if log else subprocess.PIPE,
                              text=True, check=False)
    except FileNotFoundError:
        raise Failure(f"{what}: there is no {command[0]} here (scripts/install-packages brings what is needed)") from None
    if done.returncode != 0:
        said = log.name if log else (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise Failure(f"{what}: {command[0]} ended with {done.returncode}: {said}")
    return done.stdout


class Peer:
    """One directory of the cache: source/, build/, and the programs of each variant."""

    def __init__(self, jobs):
        self.directory = cache_directory() / "peer" / f"{PACKAGE}-{VERSION}"
        self.jobs = jobs

    def program(self, variant, name):
        return self.directory / variant / name

    def ensure_built(self):
        missing = [v for v in variants() if not all(self.program(v, name).exists() for name in PROGRAMS)]
        if not missing:
            return
        if not shutil.which("cmake"):
            raise Failure("llama.cpp cannot be built: there is no cmake here (scripts/install-packages brings it)")
        source = self.fetch()
        for variant in missing:
            self.build(source, variant)

    def fetch(self):
        """llama.cpp's source, inside the package's."""
        target = self.directory / "source"
        source = target / "vendor" / "llama.cpp"
        if (source / "CMakeLists.txt").exists():
            return source
        print(f"Fetching {PACKAGE} {VERSION} with pip ...", file=sys.stderr)
        downloads = self.directory / "download"
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir(parents=True)
        run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--no-binary", PACKAGE, f"{PACKAGE}=={VERSION}", "--dest", str(downloads)],
            f"{PACKAGE} {VERSION} cannot be fetched (is there a network, and pip?)")
        archives = list(downloads.glob("*.tar.gz"))
        if not archives:
            raise Failure(f"pip brought no source package of {PACKAGE} into {downloads}")
        with tarfile.open(archives[0]) as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(downloads, filter="data")
            else:
                archive.extractall(downloads)
        unpacked = next(path for path in downloads.iterdir() if path.is_dir())
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
        shutil.rmtree(downloads)
        if not (source / "CMakeLists.txt").exists():
            raise Failure(f"{PACKAGE} {VERSION} holds no llama.cpp at {source}")
        return source

    def build(self, source, variant):
        build = self.directory / "build"
        log_path = self.directory / f"build-{variant}.log"
        print(f"Building llama.cpp ({variant}), which takes minutes; log: {log_path}", file=sys.stderr)
        with open(log_path, "w", encoding="utf-8") as log:
            what = f"llama.cpp ({variant}) cannot be built"
            run(["cmake", "-S", str(source), "-B", str(build), *CMAKE_OPTIONS,
                 f"-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={HERE / 'peer_variant.cmake'}",
                 f"-DSHOAL_PEER_VARIANT={variant}", f"-DSHOAL_PEER_HEADERS={HERE}"], what, log)
            run(["cmake", "--build", str(build), "-j", str(self.jobs), "--target", *PROGRAMS], what, log)
        (self.directory / variant).mkdir(exist_ok=True)
        for name in PROGRAMS:
            shutil.copy2(build / "bin" / name, self.program(variant, name))

    def bench(self, variant, flash, model, threads, task):
        """{figure: tokens/s} of one run; the figures are named as compare_llama_cpp names Shoal's."""
        rates = {}
        common = ["-m", str(model), "-t", str(threads), "-r", "1", "-fa", str(flash), "-o", "jsonl"]
        prompts = ",".join(map(str, task.prefill)) or "0"
        for depth in sorted({0, *task.depths}):
            wants_decode = task.decode > 0 and depth in task.depths
            if depth != 0 and not wants_decode:
                continue
            lengths = ["-p", prompts if depth == 0 else "0", "-n", str(task.decode if wants_decode else 0), "-d", str(depth)]
            for line in self.run_program(variant, "llama-bench", [*common, *lengths]):
                name = f"prefill {line['n_prompt']}" if line["n_prompt"] else f"decode at {line['n_depth']}"
                rates[name] = line["avg_ts"]
        if task.batches and task.decode > 0:
            rates.update(self.batched(variant, flash, model, threads, task))
        return rates

    def batched(self, variant, flash, model, threads, task):
        context = max(task.batches) * (task.decode + 1)
        arguments = ["-m", str(model), "-t", str(threads), "-fa", "on" if flash else "off", "-c", str(context),
                     "-npp", "1", "-ntg", str(task.decode), "-npl", ",".join(map(str, task.batches)), "--output-format", "jsonl"]
        return {f"decode, {line['pl']} together": line["speed_tg"]
                for line in self.run_program(variant, "llama-batched-bench", arguments)}

    def run_program(self, variant, name, arguments):
        output = run([str(self.program(variant, name)), *arguments], f"llama.cpp ({variant}) cannot be measured")
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def machine():
    """One line about this machine."""
    model = platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text(encoding="utf-8").splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"
