#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/sanitized.h"
#include "tests/worker/tiny_shard.h"
#include "transport/keys.h"

namespace shoal {
namespace {

struct Outcome {
  int status = -1;
  std::string output;  // both streams
};

Outcome run_shell(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe);
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

Outcome run_worker_with(const std::string& arguments) {
  return run_shell("env -u SHOAL_TOKEN " SHOAL_BIN_DIR "/shoal-worker " + arguments + " 2>&1");
}

std::string a_token() {
  JoinToken token;
  token.hub_public_key = make_key_pair().public_key;
  return to_string(token);
}

}  // namespace

TEST_CASE("misuse ends with status 2 and says what was wrong") {
  const std::string token = " --token '" + a_token() + "'";
  const auto misuse = [](const std::string& arguments, const std::string& says) {
    CAPTURE(arguments);
    const Outcome outcome = run_worker_with(arguments);
    CAPTURE(outcome.output);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.find(says) != std::string::npos);
    CHECK(outcome.output.find("--help") != std::string::npos);
  };
  misuse("", "--hub HOST:PORT");
  misuse("--hub 127.0.0.1:1", "join token");
  misuse("--hub 127.0.0.1:1 --token nonsense", "token");
  misuse("--hub 127.0.0.1:1 --token-file /no/such/file", "/no/such/file");
  misuse("--hub nonsense" + token, "nonsense");
  misuse("--hub 127.0.0.1:1 --frobnicate" + token, "--frobnicate");
  misuse("--hub", "--hub");
  misuse("extra --hub 127.0.0.1:1" + token, "extra");
  misuse("--hub 127.0.0.1:1 --memory much" + token, "much");
  misuse("--hub 127.0.0.1:1 --memory 512" + token, "\"512\" is not a size of 1M at least");
  misuse("--hub 127.0.0.1:1 --memory 99999999999G" + token, "99999999999G");
  misuse("--hub 127.0.0.1:1 --threads 0" + token, "--threads");
  misuse("--hub 127.0.0.1:1 --threads two" + token, "two");
  misuse("--hub 127.0.0.1:1 --emulate-speed 0" + token, "--emulate-speed");
  misuse("--hub 127.0.0.1:1 --emulate-speed 1.5" + token, "1.5");
  misuse("--hub 127.0.0.1:1 --log loud" + token, "loud");
  misuse("--hub 127.0.0.1:1 --kernels quantum" + token, "quantum");
  misuse("--hub 127.0.0.1:1 --name $(printf 'x%.0s' $(seq 200))" + token, "--name");
  misuse("--hub 127.0.0.1:1 --name \"$(printf 'a\\001b')\"" + token, "--name");
}

TEST_CASE(
    "the stripped worker takes at most 8 MB with every library it loads beyond those of the compiler and "
    "libc") {
  if (kSanitized) return;
  const TemporaryDirectory directory;
  const std::string stripped = directory.file("shoal-worker");
  REQUIRE(run_shell("strip -o " + stripped + " " SHOAL_BIN_DIR "/shoal-worker 2>&1").status == 0);
  std::uintmax_t bytes = std::filesystem::file_size(stripped);
  std::istringstream libraries(run_shell("ldd " + stripped).output);
  std::size_t num_counted = 0;
  for (std::string line;
       std::getline(libraries, line);) {  // "libzmq.so.5 => /lib/x86_64-linux-gnu/libzmq.so.5 (0x...)"
    const std::size_t path_begin = line.find("=> /");
    if (path_begin == std::string::npos) continue;
    const std::string path = line.substr(path_begin + 3, line.find(' ', path_begin + 3) - path_begin - 3);
    const std::string name = std::filesystem::path(path).filename().string();
    const bool is_free = std::ranges::any_of(std::array{"libc.so", "libm.so", "libstdc++.so", "libgcc_s.so"},
                                             [&](const char* prefix) { return name.starts_with(prefix); });
    if (is_free) continue;
    bytes += std::filesystem::file_size(path);
    ++num_counted;
  }
  CHECK(num_counted >= 2);  // libzmq and libsodium at least
  CHECK(bytes <= 8'000'000);
}

TEST_CASE("help is help") {
  const Outcome outcome = run_worker_with("--help");
  CHECK(outcome.status == 0);
  for (const char* option : {"--hub", "--token", "--token-file", "--name", "--state", "--listen", "--memory",
                             "--threads", "--kernels", "--emulate-speed", "--log"}) {
    CHECK(outcome.output.find(option) != std::string::npos);
  }
}

TEST_CASE("a state directory that cannot be used ends with status 1, the path and what to do") {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("file")) << "x";
  const Outcome outcome =
      run_worker_with("--hub 127.0.0.1:1 --token '" + a_token() + "' --state " + directory.file("file"));
  CHECK(outcome.status == 1);
  CHECK(outcome.output.find(directory.file("file")) != std::string::npos);
  CHECK(outcome.output.find("--state") != std::string::npos);
}

TEST_CASE("a worker that is told to stop while it looks for its hub stops cleanly") {
  const TemporaryDirectory directory;
  const std::string command = "timeout -s TERM 1 " SHOAL_BIN_DIR
                              "/shoal-worker --hub 127.0.0.1:1 --log warn --token '" +
                              a_token() + "' --state " + directory.path() + "; test $? -le 124";
  CHECK(std::system(command.c_str()) == 0);
}

}  // namespace shoal
