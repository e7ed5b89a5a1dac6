#!/usr/bin/env python3
"""Which folder includes which: ARCHITECTURE.md's table, every #include of the product and every link line say the same.

    python3 tests/include_graph_test.py
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A third-party header (or all below it) and the files that may include it; a name that ends in "/" is a whole folder.
HOMES = {
    "boost": ["coordinator/http/connection.cpp", "coordinator/http/connection.h", "coordinator/http/request_parser.cpp",
              "coordinator/http/server.cpp"],
    "CLI/CLI.hpp": ["cli/"],
    "curl": ["cli/download.cpp", "cli/http_client.cpp"],
    "flatbuffers": ["transport/wire_flat.h"],
    "hwloc.h": ["worker/device_facts.cpp"],
    "nlohmann": ["cli/bench_tables.cpp", "cli/capacity_tables.cpp", "cli/chat_stream.cpp", "cli/cluster_tables.cpp",
                 "cli/commands/score_command.cpp",
                 "cli/commands/tokenize_command.cpp", "cli/http_client.cpp", "cli/plan_answer.cpp", "cli/plan_problem.cpp",
                 "cli/score_source.cpp", "cli/up_session.cpp",
                 "coordinator/cluster_view.cpp", "coordinator/http/json_reader.cpp", "text/jinja/json_value.cpp"],
    "pcre2.h": ["text/pre_tokenizer.cpp"],
    "sodium.h": ["model/digest.cpp", "model/sha256.cpp", "transport/keys.cpp"],
    "spdlog": ["base/log.cpp"],
    "sqlite3.h": ["coordinator/hub_store.cpp"],
    "yaml-cpp": ["cli/yaml_reader.cpp"],
    "zip.h": ["cli/zip_reader.cpp"],
    "zmq.h": ["transport/zmq_socket.cpp"],
}

# The system's own, beside C++'s (which have neither dot nor slash). A folder includes what is below it.
SYSTEM = {"arm_neon.h", "arpa", "asm", "cpuid.h", "fcntl.h", "getopt.h", "ifaddrs.h", "immintrin.h", "linux", "malloc.h", "net", "netdb.h", "netinet", "nmmintrin.h",
          "poll.h", "sched.h", "signal.h", "sys", "unistd.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def read_tree(root, folders):
    """The texts of the folders' C++ and CMake files and schemas, by path, with ARCHITECTURE.md and CMakeLists.txt."""
    paths = [root / "ARCHITECTURE.md", root / "CMakeLists.txt"]
    for folder in folders:
        paths += [path for path in sorted((root / folder).rglob("*")) if path.suffix in (".h", ".cpp", ".fbs", ".txt")]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def folder_table(architecture):
    """{folder: (line, what it may include)} of the table under "may include", in its order."""
    rows = {}
    in_table = False
    for number, line in enumerate(architecture.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells == ["folder", "what lives there", "may include"]:
            in_table = True
        elif in_table and not line.startswith("|"):
            break
        elif in_table and not set(line) <= set("|-: "):
            allowed = {"standard library": [], "all of the above": list(rows)}.get(cells[2], cells[2].split())
            rows[cells[0].strip("`").rstrip("/")] = (number, allowed)
    return rows


def includes_of(tree):
    """(file, line, header, is it quoted) of every #include."""
    for path, text in tree.items():
        if path.endswith((".h", ".cpp")):
            for number, line in enumerate(text.splitlines(), 1):
                if match := INCLUDE.match(line):
                    yield path, number, match[1] or match[2], match[1] is not None


def is_below(header, prefix):
    return header == prefix or header.startswith(prefix + "/")


def included_folder(tree, path, header):
    """The folder of a quoted header. What flatc writes belongs to its schema's folder."""
    own = path.split("/")[0]
    schema = f"{own}/schema/{header.removesuffix('_generated.h')}.fbs"
    return own if header.endswith("_generated.h") and schema in tree else header.split("/")[0]


def table_faults(tree):
    """Rows that name a folder which is not above them, and a table that is not CMake's list."""
    table = folder_table(tree["ARCHITECTURE.md"])
    faults = []
    above = []
    for folder, (line, allowed) in table.items():
        faults += [f'ARCHITECTURE.md:{line}: {folder}/ may not include "{name}": no folder above it'
                   for name in allowed if name not in above]
        above.append(folder)
    built = re.search(r"set\(SHOAL_FOLDERS ([\w ]+)\)", tree["CMakeLists.txt"])
    if not built or built[1].split() != above:
        faults.append(f"CMakeLists.txt:1: the folders it builds are not the table's: {' '.join(above)}")
    return faults


def include_faults(tree):
    """Quoted includes against the table, and pairs the table allows that no file uses."""
    table = folder_table(tree["ARCHITECTURE.md"])
    faults = []
    used = set()
    for path, line, header, quoted in includes_of(tree):
        if not quoted:
            continue
        here, there = path.split("/")[0], included_folder(tree, path, header)
        used.add((here, there))
        if there != here and there not in table[here][1]:
            faults.append(f'{path}:{line}: {here}/ may not include "{header}" (ARCHITECTURE.md:{table[here][0]})')
    for folder, (line, allowed) in table.items():
        faults += [f"ARCHITECTURE.md:{line}: {folder}/ may include {name}/, and no file of it does"
                   for name in allowed if (folder, name) not in used]
    return faults


def link_faults(tree):
    """A folder's targets together link the folders it may include, no more and no fewer."""
    table = folder_table(tree["ARCHITECTURE.md"])
    faults = []
    for folder, (row, allowed) in table.items():
        path = f"{folder}/CMakeLists.txt"
        text = re.sub(r"#.*", "", tree[path])
        linked = set()
        where = 1
        for call in re.finditer(r"\b(shoal_library|target_link_libraries)\(\s*([\w-]+)([^)]*)\)", text):
            line = text.count("\n", 0, call.start()) + 1
            where = line if call[2] == folder else where
            keyword = ""
            for word in call[3].split():
                if re.fullmatch(r"[A-Z_]+", word):
                    keyword = word
                elif keyword in ("PUBLIC", "PRIVATE", "INTERFACE") and word in table and word != folder:
                    linked.add(word)
                    if word not in allowed:
                        faults.append(f"{path}:{line}: {call[2]} links {word}, which ARCHITECTURE.md:{row} does not allow")
        faults += [f"{path}:{where}: {folder} does not link {name}, which ARCHITECTURE.md:{row} allows"
                   for name in allowed if name not in linked]
    return faults


def home_faults(tree, homes):
    """Third-party headers outside their home, without one, and homes that nobody lives in."""
    faults = []
    lived_in = set()
    for path, line, header, quoted in includes_of(tree):
        is_standard = "." not in header and "/" not in header
        if quoted or is_standard or any(is_below(header, prefix) for prefix in SYSTEM):
            continue
        prefix = next((prefix for prefix in homes if is_below(header, prefix)), None)
        if prefix is None:
            faults.append(f"{path}:{line}: <{header}> has no home: name one in HOMES, or use what is there")
            continue
        home = next((home for home in homes[prefix] if path == home or home.endswith("/") and path.startswith(home)), None)
        if home is None:
            faults.append(f"{path}:{line}: <{header}> is at home in {', '.join(homes[prefix])} alone")
        lived_in.add((prefix, home))
    faults += [f"tests/include_graph_test.py: HOMES gives {prefix} to {home}, which does not include it"
               for prefix, names in homes.items() for home in names if (prefix, home) not in lived_in]
    return faults


def definition_faults(tree):
    """Types that two headers define under one name in namespace shoal: the linker would mix them without a word."""
    faults, homes = [], {}
    for path, text in sorted(tree.items()):
        if not path.endswith(".h") or not re.search(r"^namespace shoal \{", text, re.M):
            continue
        for match in re.finditer(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: : [^;\n]*)? \{", text, re.M):
            line = text.count("\n", 0, match.start()) + 1
            first = homes.setdefault(match.group(1), f"{path}:{line}")
            if first != f"{path}:{line}":
                faults.append(f"{path}:{line}: {match.group(1)} is defined in {first} too")
    return faults


class IncludeGraphTest(unittest.TestCase):
    """The product as it is."""

    @classmethod
    def setUpClass(cls):
        table = folder_table((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
        cls.tree = read_tree(ROOT, table)

    def expect_none(self, faults):
        if faults:
            self.fail("\n" + "\n".join(faults))

    def test_the_table_is_there_and_names_only_folders_above_each_row(self):
        self.assertGreaterEqual(len(folder_table(self.tree["ARCHITECTURE.md"])), 10)
        self.expect_none(table_faults(self.tree))

    def test_folders_include_what_the_table_allows_and_all_of_it(self):
        self.assertGreater(sum(1 for _ in includes_of(self.tree)), 1000)
        self.expect_none(include_faults(self.tree))

    def test_link_lines_allow_what_the_table_allows(self):
        self.expect_none(link_faults(self.tree))

    def test_a_type_is_defined_once(self):
        self.expect_none(definition_faults(self.tree))

    def test_third_party_headers_stay_at_home(self):
        self.expect_none(home_faults(self.tree, HOMES))


class InventedTreeTest(unittest.TestCase):
    """Each check on a small tree that is right, and on the same tree with one thing wrong."""

    HOMES = {"zmq.h": ["low/socket.cpp"], "CLI/CLI.hpp": ["top/"]}

    def tree(self, **changed):
        texts = {
            "ARCHITECTURE.md": "# A\n| folder | what lives there | may include |\n|---|---|---|\n"
                               "| `low/` | x | standard library |\n| `mid/` | y | low |\n| `top/` | z | all of the above |\n\nmore",
            "CMakeLists.txt": "set(SHOAL_FOLDERS low mid top)\n",
            "low/CMakeLists.txt": "shoal_library(low SOURCES socket.cpp PUBLIC PkgConfig::zmq)\n",
            "mid/CMakeLists.txt": "# mid\nshoal_library(mid\n  SOURCES a.cpp\n  PUBLIC low)\n",
            "top/CMakeLists.txt": "shoal_library(top SOURCES c.cpp PRIVATE low)\nadd_executable(run main.cpp)\n"
                                  "target_link_libraries(run PRIVATE top mid)\n",
            "low/schema/wire.fbs": "",
            "low/socket.cpp": '#include "low/socket.h"\n#include "wire_generated.h"\n\n#include <zmq.h>\n#include <sys/stat.h>\n',
            "low/socket.h": "#include <string>\n",
            "mid/a.cpp": '#include "low/socket.h"\n',
            "top/c.cpp": '#include <CLI/CLI.hpp>\n#include "low/socket.h"\n#include "mid/a.h"\n',
        }
        for name, text in changed.items():
            path = next(path for path in texts if path.replace("/", "_").replace(".", "_") == name)
            texts[path] = text(texts[path])
        return texts

    def expect(self, faults, *starts):
        self.assertEqual(len(faults), len(starts), faults)
        for fault, start in zip(faults, starts):
            self.assertTrue(fault.startswith(start), fault)

    def test_a_tree_that_keeps_to_its_table_has_no_fault(self):
        tree = self.tree()
        for faults in (table_faults(tree), include_faults(tree), link_faults(tree), home_faults(tree, self.HOMES)):
            self.expect(faults)

    def test_a_row_that_names_a_folder_below_it_is_told(self):
        tree = self.tree(ARCHITECTURE_md=lambda text: text.replace("standard library", "top"))
        self.expect(table_faults(tree), "ARCHITECTURE.md:4: low/")

    def test_a_folder_that_is_built_and_not_in_the_table_is_told(self):
        tree = self.tree(CMakeLists_txt=lambda text: text.replace("low mid top", "low mid more top"))
        self.expect(table_faults(tree), "CMakeLists.txt:1:")

    def test_a_type_that_is_defined_twice_is_told(self):
        tree = self.tree(low_socket_h=lambda text: text + "namespace shoal {\nclass A final {\n};\n}\n")
        tree["mid/a.h"] = "namespace shoal {\nstruct A;\nstruct B {\n};\nstruct A {\n};\n}\n"
        self.expect(definition_faults(tree), "mid/a.h:5: A is defined in low/socket.h:3")

    def test_an_include_against_the_table_is_told_with_its_line(self):
        self.expect(include_faults(self.tree(mid_a_cpp=lambda text: text + '\n#  include "top/c.h"\n')), "mid/a.cpp:3: mid/")
        self.expect(include_faults(self.tree(mid_a_cpp=lambda text: text + '#include "zmq.h"\n')), "mid/a.cpp:2: mid/")
        self.expect(include_faults(self.tree(mid_a_cpp=lambda text: text + '#include "wire_generated.h"\n')), "mid/a.cpp:2: mid/")

    def test_an_allowed_pair_that_no_file_uses_is_told(self):
        self.expect(include_faults(self.tree(mid_a_cpp=lambda text: "")), "ARCHITECTURE.md:5: mid/ may include low/")
        self.expect(include_faults(self.tree(mid_a_cpp=lambda text: "// " + text)), "ARCHITECTURE.md:5: mid/ may include low/")

    def test_a_link_line_that_allows_more_or_less_is_told(self):
        more = self.tree(mid_CMakeLists_txt=lambda text: text.replace("PUBLIC low", "PUBLIC low PRIVATE top"))
        self.expect(link_faults(more), "mid/CMakeLists.txt:2: mid links top")
        less = self.tree(mid_CMakeLists_txt=lambda text: text.replace("PUBLIC low", "# PUBLIC low\n"))
        self.expect(link_faults(less), "mid/CMakeLists.txt:2: mid does not link low")
        executable = self.tree(top_CMakeLists_txt=lambda text: text.replace("top mid", "top"))
        self.expect(link_faults(executable), "top/CMakeLists.txt:1: top does not link mid")

    def test_a_third_party_header_outside_its_home_or_without_one_is_told(self):
        outside = self.tree(mid_a_cpp=lambda text: text + "#include <zmq.h>\n")
        self.expect(home_faults(outside, self.HOMES), "mid/a.cpp:2: <zmq.h> is at home in low/socket.cpp alone")
        homeless = self.tree(mid_a_cpp=lambda text: text + "#include <zlib.h>\n")
        self.expect(home_faults(homeless, self.HOMES), "mid/a.cpp:2: <zlib.h> has no home")

    def test_a_home_that_nobody_lives_in_is_told(self):
        gone = self.tree(low_socket_cpp=lambda text: text.replace("#include <zmq.h>", ""))
        self.expect(home_faults(gone, self.HOMES), "tests/include_graph_test.py: HOMES gives zmq.h")


if __name__ == "__main__":
    unittest.main()
