#include "cli/cluster_config.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

constexpr const char* kGood =
    "version: 1\n"
    "models: [smollm2]\n"
    "coordinator:\n"
    "  http_port: 9000\n"
    "  min_stages: 2\n"
    "  objective: throughput\n"
    "devices:\n"
    "  - name: cam-1\n"
    "    memory: 512M\n"
    "    threads: 2\n"
    "  - name: cam-2\n"
    "    address: 10.0.0.2\n"
    "    kernels: scalar\n";

// The good config with one piece replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// The error's words after the file's path.
std::string fault_of(const std::string& yaml) {
  const ScratchFolder scratch;
  const std::string path = scratch.write("c.yaml", yaml);
  const Result<ClusterConfig> config = read_cluster_config(path);
  if (config) return "no fault";
  CHECK(config.error().message().starts_with(path + ":"));
  return config.error().message().substr(path.size() + 1);
}

TEST_CASE("a config's values arrive and what it leaves out has its default") {
  const ScratchFolder scratch;
  const Result<ClusterConfig> config = read_cluster_config(scratch.write("c.yaml", kGood));
  REQUIRE(config);
  CHECK(config->models == std::vector<std::string>{"smollm2"});
  CHECK(config->http_port == 9000);
  CHECK(config->http_address == "127.0.0.1");
  CHECK(config->cluster_port == 7171);
  CHECK(config->min_stages == 2);
  CHECK(config->objective == "throughput");
  REQUIRE(config->devices.size() == 2);
  CHECK(config->devices[0].name == "cam-1");
  CHECK(config->devices[0].address == "127.0.0.1");
  CHECK(config->devices[0].memory_bytes == 512u << 20);
  CHECK(config->devices[0].threads == 2);
  CHECK(config->devices[1].address == "10.0.0.2");
  CHECK(config->devices[1].memory_bytes == 0);
  CHECK(config->devices[1].kernels == "scalar");
}

TEST_CASE("a config names how keys and values are kept, f16 where it does not") {
  const ScratchFolder scratch;
  const std::string in_q8 = changed("http_port: 9000", "kv_type: q8");
  CHECK(read_cluster_config(scratch.write("q8.yaml", in_q8))->kv_type == "q8");
  CHECK(read_cluster_config(scratch.write("c.yaml", kGood))->kv_type == "f16");
  CHECK(fault_of(changed("http_port: 9000", "kv_type: q4")).find("\"kv_type\" cannot be \"q4\"") !=
        std::string::npos);
}

TEST_CASE("every config that ships parses") {
  int count = 0;
  const auto folder = std::filesystem::path(SHOAL_TEST_DATA).parent_path().parent_path() / "cluster-configs";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    CAPTURE(entry.path().string());
    const Result<ClusterConfig> config = read_cluster_config(entry.path().string());
    CHECK_MESSAGE(config, (config ? "" : config.error().message()));
    ++count;
  }
  CHECK(count >= 3);
}

TEST_CASE("an unknown key is an error with its place and the nearest right name") {
  CHECK(fault_of(changed("http_port", "htp_port")) ==
        "4:3: unknown key \"htp_port\"; did you mean \"http_port\"?");
  CHECK(fault_of(changed("models", "model")).find("did you mean \"models\"?") != std::string::npos);
  CHECK(fault_of(changed("    threads", "    thread")) ==
        "10:5: unknown key \"thread\"; did you mean \"threads\"?");
  CHECK(fault_of(changed("    memory", "    zzzzzzz"))
            .find("possible here: name, address, memory, threads, kernels") != std::string::npos);
  CHECK(fault_of(changed("  http_port: 9000\n", "  http_port: 9000\n  http_port: 9001\n")).find("5:3: ") ==
        0);
}

TEST_CASE("a value of the wrong type or out of range is an error with its place and what it should be") {
  CHECK(fault_of(changed("9000", "many")) == "4:14: \"http_port\" is a whole number from 0 to 65535");
  CHECK(fault_of(changed("9000", "65536")) == "4:14: \"http_port\" is a whole number from 0 to 65535");
  CHECK(fault_of(changed("9000", "-1")) == "4:14: \"http_port\" is a whole number from 0 to 65535");
  CHECK(fault_of(changed("9000", "80.5")) == "4:14: \"http_port\" is a whole number from 0 to 65535");
  CHECK(fault_of(changed("9000", "[1]")) == "4:14: \"http_port\" is a whole number from 0 to 65535");
  CHECK(fault_of(changed("512M", "512Q")) == "9:13: \"memory\" is a size (for example 512M or 2G)");
  CHECK(fault_of(changed("512M", "99999999999G")) == "9:13: \"memory\" is a size (for example 512M or 2G)");
  CHECK(fault_of(changed("throughput", "thruput")) ==
        "6:14: \"objective\" cannot be \"thruput\"; did you mean \"throughput\"?");
  CHECK(fault_of(changed("scalar", "avx3")) ==
        "13:14: \"kernels\" cannot be \"avx3\"; did you mean \"avx2\"?");
  CHECK(fault_of(changed("[smollm2]", "smollm2")) == "2:9: \"models\" is a list of texts");
  CHECK(fault_of(changed("[smollm2]", "[[a]]")) == "2:10: \"models\" is a list of texts");
  CHECK(fault_of("version: 1\nmodels: [a]\ndevices: 3\n") == "3:10: \"devices\" is a list of mappings");
  CHECK(fault_of(changed("version: 1", "version: 2")) == "1:10: \"version\" is a whole number from 1 to 1");
}

TEST_CASE("a coordinator's numbers have the bounds that they have on the command line") {
  const auto fault_with = [](const char* key, const char* value) {
    return fault_of(changed("http_port: 9000", std::string(key) + ": " + value));
  };
  CHECK(fault_with("context", "0").find("\"context\" is a whole number from 64 to 1048576") !=
        std::string::npos);
  CHECK(fault_with("kv_positions", "63").find("from 64 to 16777216") != std::string::npos);
  CHECK(fault_with("max_sequences", "0").find("from 1 to 4096") != std::string::npos);
  CHECK(fault_with("cluster_port", "65533").find("from 0 to 65532") != std::string::npos);
  CHECK(fault_of(changed("min_stages: 2", "min_stages: 0")).find("from 1 to 256") != std::string::npos);
  std::string crowd = "version: 1\nmodels: [a]\ndevices:\n";
  for (int i = 0; i < 1024; ++i) crowd += "  - name: d" + std::to_string(i) + "\n";
  CHECK(fault_of(crowd).find("at most 1023 devices") != std::string::npos);
}

TEST_CASE("what is missing, doubled or contradicts itself is an error") {
  CHECK(fault_of("models: [a]\ndevices: [{name: a}]\n").find("the key \"version\" is missing") !=
        std::string::npos);
  CHECK(fault_of("version: 1\ndevices: [{name: a}]\n").find("the key \"models\" is missing") !=
        std::string::npos);
  CHECK(fault_of("version: 1\nmodels: [a]\n").find("the key \"devices\" is missing") != std::string::npos);
  CHECK(fault_of("version: 1\nmodels: []\ndevices: [{name: a}]\n").find("at least one model") !=
        std::string::npos);
  CHECK(fault_of("version: 1\nmodels: [a]\ndevices: []\n").find("at least one device") != std::string::npos);
  CHECK(fault_of(changed("name: cam-2", "name: cam-1")) == "11:11: two devices have the name \"cam-1\"");
  CHECK(fault_of(changed("min_stages: 2", "min_stages: 3")).find("only 2 devices are listed") !=
        std::string::npos);
  CHECK(fault_of(changed("  - name: cam-2\n    address", "  - address"))
            .find("11:5: the key \"name\" is missing") == 0);
}

TEST_CASE("a device's name that would be no file name is refused") {
  for (const char* name : {"../up", "a b", "'-x'", "a/b", "\"\"", "coordinator", "a.b",
                           "a23456789012345678901234567890123456789012345678901234567890abcde"}) {
    CAPTURE(name);
    CHECK(fault_of(changed("cam-1", name)).find("8:11: ") == 0);
  }
}

TEST_CASE("text that is no YAML mapping is an error with its place") {
  CHECK(fault_of("- a\n- b\n").find("a cluster config is a mapping") != std::string::npos);
  CHECK(fault_of("version: [1\n").find(": ") != std::string::npos);
  CHECK(fault_of("a: b: c\n").find("1:") == 0);
  CHECK(fault_of("").find("a cluster config is a mapping") != std::string::npos);
  const Result<ClusterConfig> missing = read_cluster_config("/no/such/config.yaml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message().find("/no/such/config.yaml") == 0);
}

}  // namespace
}  // namespace shoal
