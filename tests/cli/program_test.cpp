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
  for (const char* command : {"up", "run", "chat", "status", "plan", "simulate", "pull", "bench", "score",
                              "tokenize", "coordinator", "worker"}) {
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
      {"plan", "--objective", "latency"},
      {"plan", "--problem", "x", "--objective", "speed"},
      {"bench", "--prefill", "many"},
      {"bench", "--batch", "33"},
      {"bench", "--repeat", "0"},
      {"worker"},
      {"worker", "--hub", "127.0.0.1:7171", "--token", "not a token"},
      {"coordinator", "--objective", "beauty"},
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

TEST_CASE("a misspelt command or option is told with the nearest right one") {
  const auto said = [](std::vector<std::string> arguments) {
    const ProgramRun run = shoal_run(std::move(arguments));
    CHECK(run.status == kMisused);
    return run.output;
  };
  CHECK(said({"statsu"}) ==
        "shoal: there is no command \"statsu\"; did you mean \"status\"?\nTry shoal --help.\n");
  CHECK(said({"kubernetes", "--json"}) == "shoal: there is no command \"kubernetes\"\nTry shoal --help.\n");
  CHECK(said({"--hlep"}) ==
        "shoal: there is no option --hlep; did you mean \"--help\"?\nTry shoal --help.\n");
  CHECK(
      said({"run", "--tempature=1", "hi"}) ==
      "shoal run: there is no option --tempature; did you mean \"--temperature\"?\nTry shoal run --help.\n");
  CHECK(holds(said({"status", "extra"}), "\"extra\" is one word too many"));
  CHECK(said({"score"}) == "shoal score: FILE is missing\nTry shoal score --help.\n");
  CHECK(holds(said({}), "Usage: shoal"));
  CHECK(holds(said({"score", "--top", "3", "x"}), "shoal score: --top goes with --json"));
  CHECK(holds(said({"score", "--chunk", "3", "x"}), "shoal score: --chunk goes with --model"));
}

TEST_CASE("help and version are there as words, too") {
  CHECK(shoal_run({"help"}).output == shoal_run({"--help"}).output);
  CHECK(shoal_run({"help", "run"}).output == shoal_run({"run", "--help"}).output);
  CHECK(shoal_run({"help", "worker"}).output == shoal_run({"worker", "--help"}).output);
  CHECK(shoal_run({"version"}).output == shoal_run({"--version"}).output);
}

TEST_CASE("a number out of range is told with its option and the range") {
  const ProgramRun run = shoal_run({"coordinator", "--context", "0"});
  CHECK(run.status == kMisused);
  CHECK(holds(run.output, "--context: 0 is no whole number from 64 to 1048576"));
  for (const char* value : {"3", "-0.1", "hot", "1x", ""}) {
    CHECK(holds(shoal_run({"run", "--temperature", value, "x"}).output,
                "--temperature: " + std::string(value) + " is no number from 0 to 2"));
  }
  CHECK(holds(shoal_run({"up", "--port", "65536", "x"}).output, "--port: 65536 is no whole number"));
  CHECK(holds(shoal_run({"run", "--seed", "1.5", "x"}).output, "--seed: 1.5 is no whole number"));
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
           {"status"}, {"plan"}, {"run", "hello"}, {"chat"}, {"score", config}}) {
    const ProgramRun run = shoal_in(home, arguments);
    CAPTURE(run.output);
    CHECK(run.status == kFailed);
    CHECK(holds(run.output,
                "no coordinator answers at http://127.0.0.1:1: start one (shoal up CONFIG) or give --url"));
  }
  for (const char* url : {"no.such.host.invalid", "ftp://127.0.0.1:1", "http://", "http://127.0.0.1:x"}) {
    const ProgramRun run = shoal_in(home, {"status", "--url", url});
    CAPTURE(run.output);
    CHECK(run.status == kFailed);
    CHECK(holds(run.output, "leads to no host: --url"));
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
  const ProgramRun table = shoal_in(
      home, {"score", "--model", model.path(), "--threads", "1", home.write("text", "the sky is blue")});
  CHECK(table.status == 0);
  CHECK(holds(table.output, "perplexity"));
  const ProgramRun not_ids =
      shoal_in(home, {"score", "--model", model.path(), "--tokens", home.write("not.json", "[1,-2]")});
  CHECK(not_ids.status == kFailed);
  CHECK(holds(not_ids.output, "is no JSON list of token ids"));
}

TEST_CASE("bytes that a text cannot hand on are told and not dropped in silence") {
  const ScratchFolder home;
  const TinyModel model(11);
  const std::string broken = home.write("broken", "a\xFFz");
  const ProgramRun prompt = shoal_in(home, {"run", "a\xFFz"});
  CHECK(prompt.status == kFailed);
  CHECK(prompt.output == "shoal run: the prompt is not UTF-8 text: byte 0xFF at offset 1\n");
  const ProgramRun over_http = shoal_in(home, {"score", broken});
  CHECK(over_http.status == kFailed);
  CHECK(holds(over_http.output, "byte 0xFF at offset 1"));
  const ProgramRun empty = shoal_in(home, {"score", "--model", model.path(), "/dev/null"});
  CHECK(empty.status == kFailed);
  CHECK(empty.output == "shoal score: /dev/null is empty\n");
  const ProgramRun directory = shoal_in(home, {"score", "--model", model.path(), home.path()});
  CHECK(directory.status == kFailed);
  CHECK(holds(directory.output, "Is a directory"));
  const ProgramRun table = shoal_in(home, {"tokenize", "--model", model.path(), "a\xFFz"});
  CHECK(table.status == 0);
  CHECK(holds(table.output, "bytes FF"));
  CHECK(holds(table.output, "3 tokens"));
  CHECK(shoal_in(home, {"score", "--model", model.path(), broken}).status == 0);
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

namespace {

constexpr int kNoPlan = 3;

nlohmann::json planning_problem(std::uint64_t memory_bytes) {
  const auto device = [&](const char* name, double seconds) {
    return nlohmann::json{
        {"name", name}, {"memory_bytes", memory_bytes}, {"seconds", {seconds, seconds, seconds}}};
  };
  const auto unit = [](const char* name) {
    return nlohmann::json{{"name", name}, {"memory_bytes", 100}, {"activation_bytes", 1000}};
  };
  return {{"units", {unit("a"), unit("b"), unit("c")}},
          {"devices", {device("hub", 3), device("cam", 1)}},
          {"links", {{"latency_s", {{0, 0.5}, {0.25, 0}}}, {"bytes_per_s", {{0, 4000}, {8000, 0}}}}},
          {"source", "hub"},
          {"input_bytes", 2000},
          {"return_to_source", true},
          {"return_bytes", 800},
          {"pins", nlohmann::json::object()}};
}

}  // namespace

TEST_CASE("a problem from elsewhere is planned, and what no plan can meet ends with status 3") {
  const ScratchFolder home;
  const std::string ample = home.write("ample.json", planning_problem(300).dump());
  const auto plan = [&](const std::string& file, const std::string& objective) {
    return shoal_in(home, {"plan", "--problem", file, "--objective", objective, "--json"});
  };
  const ProgramRun latency = plan(ample, "latency");
  REQUIRE(latency.status == 0);
  const nlohmann::json answer = nlohmann::json::parse(latency.output);
  CHECK(answer["stages"] == nlohmann::json::parse(R"([{"device": "cam", "begin": 0, "end": 3}])"));
  CHECK(answer["seconds"].get<double>() == doctest::Approx(0.5 + 2000 / 4000.0 + 3 + 0.25 + 800 / 8000.0));
  CHECK(answer["bottleneck_seconds"].get<double>() == doctest::Approx(3));
  CHECK(answer["optimal"] == true);
  const nlohmann::json busy = nlohmann::json::parse(plan(ample, "throughput").output);
  CHECK(busy["bottleneck_seconds"].get<double>() == doctest::Approx(3));
  CHECK(busy["lower_bound"].get<double>() == doctest::Approx(3));
  CHECK(holds(shoal_in(home, {"plan", "--problem", ample}).output, "proven the best"));

  const ProgramRun short_of_memory = plan(home.write("short.json", planning_problem(140).dump()), "latency");
  CHECK(short_of_memory.status == kNoPlan);
  CHECK(holds(short_of_memory.output, "{\"error\":\"the model needs 300 bytes"));
  CHECK(holds(short_of_memory.output, "20 bytes short"));
  nlohmann::json wrong = planning_problem(300);
  wrong["units"][1]["memory_bytes"] = -1;
  const ProgramRun malformed = plan(home.write("wrong.json", wrong.dump()), "latency");
  CHECK(malformed.status == kFailed);
  CHECK(holds(malformed.output, "units[1].memory_bytes"));
  CHECK(plan(home.file("missing.json"), "latency").status == kFailed);
}

}  // namespace
}  // namespace shoal
