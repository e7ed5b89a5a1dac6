// Runs the built `shoal`: what its help looks like, and how it ends when something is wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/cli/child_output.h"
#include "tests/cli/scratch.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

const std::string kProgram = SHOAL_BIN_DIR "/shoal";
constexpr long kScreenLines = 24;
constexpr std::size_t kScreenColumns = 120;
constexpr int kFailed = 1;
constexpr int kMisused = 2;

// Runs in a home of its own, where no model and no state is.
ProgramRun shoal_in(const ScratchFolder& home, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kProgram);
  return run_program({std::move(arguments),
                      {{"HOME", home.path()},
                       {"XDG_CACHE_HOME", home.file("cache")},
                       {"XDG_STATE_HOME", home.file("state")},
                       {"SHOAL_URL", "http://127.0.0.1:1"},
                       {"SHOAL_API_KEY", ""}}});
}
ProgramRun shoal_run(std::vector<std::string> arguments) {
  const ScratchFolder home;
  return shoal_in(home, std::move(arguments));
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("the help of every command fits one screen and shows an example") {
  std::vector<std::vector<std::string>> helps = {{"--help"}};
  for (const char* command : {"up", "run", "chat", "status", "plan", "pull", "bench", "score", "tokenize",
                              "coordinator", "worker"}) {
    helps.push_back({command, "--help"});
  }
  for (const auto& arguments : helps) {
    const ProgramRun run = shoal_run(arguments);
    CAPTURE(run.output);
    CHECK(run.status == 0);
    CHECK(std::count(run.output.begin(), run.output.end(), '\n') <= kScreenLines);
    for (std::size_t begin = 0, end; (end = run.output.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      CHECK(end - begin <= kScreenColumns);
    }
    CHECK((holds(run.output, "Example") || holds(run.output, "Start here")));
    CHECK(holds(run.output, "Usage: shoal"));
  }
}

TEST_CASE("rare options have a line each in --help-all") {
  const ProgramRun run = shoal_run({"coordinator", "--help-all"});
  CHECK(run.status == 0);
  CHECK(holds(run.output, "rows of a prompt per step"));
}

TEST_CASE("the version is told") {
  const ProgramRun run = shoal_run({"--version"});
  CHECK(run.status == 0);
  CHECK(run.output.find_first_of("0123456789") == 0);
}

TEST_CASE("misuse ends with status 2 and says what is wrong") {
  const std::vector<std::vector<std::string>> misuses = {
      {},
      {"no-such-command"},
      {"up"},
      {"run", "--no-such-option"},
      {"run", "--temperature", "hot", "x"},
      {"run", "--temperature", "3", "x"},
      {"score"},
      {"score", "--top", "401", "x"},
      {"pull", "--sha256", "abc"},
      {"bench", "--threads", "0"},
      {"bench", "--prefill", "many"},
      {"bench", "--batch", "33"},
      {"bench", "--repeat", "0"},
      {"worker"},
      {"worker", "--hub", "127.0.0.1:7171", "--token", "not a token"},
      {"coordinator", "--objective", "beauty"},
      {"coordinator", "--kv-type", "q4"},
      {"bench", "--kv-type", "q4"},
      {"score", "--kv-type", "q8", "x"},
      {"coordinator", "--port", "65536"},
      {"coordinator", "--cluster-port", "65533"},
      {"coordinator", "--context", "0"},
      {"coordinator", "--context", "4294967295"},
      {"coordinator", "--kv-positions", "63"},
      {"coordinator", "--max-sequences", "0"},
      {"coordinator", "--min-stages", "0"},
      {"coordinator", "--min-stages", "257"},
      {"coordinator", "--expect", "1024"},
      {"up", "/no/such/config.yaml"},
  };
  for (const auto& arguments : misuses) {
    const ProgramRun run = shoal_run(arguments);
    CAPTURE(run.output);
    CHECK(run.status == kMisused);
    CHECK(run.output.size() > 10);
  }
}

TEST_CASE("an unknown KV type is told with those there are") {
  const ProgramRun run = shoal_run({"bench", "--kv-type", "q4"});
  CHECK(run.status == kMisused);
  for (const char* part : {"--kv-type", "q4", "f16", "q8"}) CHECK(holds(run.output, part));
}

TEST_CASE("a number out of range is told with its option and the range") {
  const ProgramRun run = shoal_run({"coordinator", "--context", "0"});
  CHECK(run.status == kMisused);
  CHECK(holds(run.output, "--context"));
  CHECK(holds(run.output, "64 to 1048576"));
}

TEST_CASE("a config's fault is told with file, line and column") {
  const ScratchFolder home;
  const std::string path =
      home.write("c.yaml", "version: 1\nmodels: [a]\ndevices:\n  - name: cam\n    memry: 1G\n");
  const ProgramRun run = shoal_in(home, {"up", path});
  CHECK(run.status == kMisused);
  CHECK(run.output == "shoal up: " + path + ":5:5: unknown key \"memry\"; did you mean \"memory\"?\n");
}

TEST_CASE("what cannot be done ends with status 1 and says what to do") {
  const ScratchFolder home;
  const std::string config = home.write("c.yaml", "version: 1\nmodels: [smollm2]\ndevices:\n  - name: cam\n");
  const ProgramRun no_model = shoal_in(home, {"up", config});
  CHECK(no_model.status == kFailed);
  CHECK(holds(no_model.output, "shoal pull smollm2-135m"));
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"status"}, {"plan"}, {"run", "hello"}, {"chat"}, {"score", "/dev/null"}}) {
    const ProgramRun run = shoal_in(home, arguments);
    CAPTURE(run.output);
    CHECK(run.status == kFailed);
    CHECK(holds(run.output,
                "no coordinator answers at http://127.0.0.1:1: start one (shoal up CONFIG) or give --url"));
  }
  const ProgramRun no_token = shoal_in(home, {"status", "--token"});
  CHECK(no_token.status == kFailed);
  CHECK(holds(no_token.output, "join.token"));
  const std::string broken = home.write("broken.gguf", "GGUF\x03");
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"coordinator", "--model", broken, "--port", "0", "--cluster-port", "0"},
           {"tokenize", "--model", broken, "x"},
           {"score", "--model", broken, config},
           {"bench", "--model", broken}}) {
    const ProgramRun run = shoal_in(home, arguments);
    CAPTURE(run.output);
    CHECK(run.status == kFailed);
    CHECK(holds(run.output, "broken.gguf"));
  }
}

TEST_CASE("bench measures a random model, says what does not fit, and names the kernels that run here") {
  const ScratchFolder home;
  const std::string model = home.file("random.gguf");
  REQUIRE(run_program({{SHOAL_BIN_DIR "/make_random_model", model, "--layers", "1", "--vocab", "1024"}, {}})
              .status == 0);
  const std::vector<std::string> base = {"bench",     "--model",  model,      "--threads", "1",
                                         "--prefill", "3",        "--decode", "2",         "--batch",
                                         "2",         "--repeat", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return shoal_in(home, more);
  };
  const ProgramRun shown = with({"--depth", "0,8", "--ops"});
  CAPTURE(shown.output);
  CHECK(shown.status == 0);
  for (const char* part :
       {"Random 1.5B", "load to first token", "prefill 3", "decode at 8", "decode, 2 together", "gate up"})
    CHECK(holds(shown.output, part));
  const ProgramRun in_q8 = with({"--depth", "8", "--kv-type", "q8", "--json"});
  REQUIRE(in_q8.status == 0);
  CHECK(nlohmann::json::parse(in_q8.output)["kv_type"] == "q8");
  const ProgramRun too_deep = with({"--depth", "32767"});
  CHECK(too_deep.status == kFailed);
  CHECK(holds(too_deep.output, "the model has 32768"));
  const ProgramRun no_such = with({"--kernels", "abacus"});
  CHECK(no_such.status == kFailed);
  CHECK(holds(no_such.output, "scalar"));
}

TEST_CASE("a config whose hub is another machine is refused before anything starts") {
  const ScratchFolder home;
  const std::string config = home.write(
      "c.yaml", "version: 1\nmodels: [a]\ncoordinator:\n  address: 192.0.2.10\ndevices:\n  - name: cam\n");
  const ProgramRun run = shoal_in(home, {"up", config});
  CHECK(run.status == kFailed);
  CHECK(holds(run.output, "coordinator.address 192.0.2.10 is no address of this machine"));
}

TEST_CASE("a text's ids and its score come from the model file alone") {
  const ScratchFolder home;
  const TinyModel model(11);
  const ProgramRun ids = shoal_in(home, {"tokenize", "--model", model.path(), "--json", "the sky is blue"});
  REQUIRE(ids.status == 0);
  const nlohmann::json list = nlohmann::json::parse(ids.output);
  REQUIRE(list.is_array());
  REQUIRE(list.size() >= 2);
  const std::string file = home.write("ids.json", ids.output);
  const ProgramRun score = shoal_in(home, {"score", "--model", model.path(), "--tokens", "--json", "--top",
                                           "400", "--digest", "--threads", "1", file});
  REQUIRE(score.status == 0);
  const nlohmann::json json = nlohmann::json::parse(score.output);
  CHECK(json["tokens"] == list);
  CHECK(json["rows"].size() == list.size());
  CHECK(json["rows"][0]["top"].size() == 400);
  CHECK(json["rows"].back()["nll"].is_null());
  const auto digest_in = [&](const char* kv_type) {
    const ProgramRun run = shoal_in(home, {"score", "--model", model.path(), "--tokens", "--json", "--digest",
                                           "--threads", "1", "--kv-type", kv_type, file});
    REQUIRE(run.status == 0);
    return nlohmann::json::parse(run.output)["digest"];
  };
  CHECK(digest_in("f16") == json["digest"]);
  CHECK(digest_in("q8") != json["digest"]);
  const ProgramRun table = shoal_in(
      home, {"score", "--model", model.path(), "--threads", "1", home.write("text", "the sky is blue")});
  CHECK(table.status == 0);
  CHECK(holds(table.output, "perplexity"));
  const ProgramRun not_ids =
      shoal_in(home, {"score", "--model", model.path(), "--tokens", home.write("not.json", "[1,-2]")});
  CHECK(not_ids.status == kFailed);
  CHECK(holds(not_ids.output, "is no JSON list of token ids"));
}

TEST_CASE("control tokens of a text become their ids only where that was asked for") {
  const TinyModel model(11);
  const auto count = [&](bool special) {
    std::vector<std::string> arguments = {"tokenize", "--model", model.path(), "--json", "<|im_end|>"};
    if (special) arguments.emplace_back("--special");
    return nlohmann::json::parse(shoal_run(arguments).output).size();
  };
  CHECK(count(true) == 1);
  CHECK(count(false) > 1);
}

}  // namespace
}  // namespace shoal
