#include <doctest/doctest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/worker/tiny_shard.h"
#include "transport/keys.h"

namespace shoal {
namespace {

struct Outcome {
  int status = -1;
  std::string output;  // both streams
};

Outcome run_worker_with(const std::string& arguments) {
  const std::string command = "env -u SHOAL_TOKEN " SHOAL_BIN_DIR "/shoal-worker " + arguments + " 2>&1";
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
  misuse("--hub 127.0.0.1:1 --memory 99999999999G" + token, "99999999999G");
  misuse("--hub 127.0.0.1:1 --threads 0" + token, "--threads");
  misuse("--hub 127.0.0.1:1 --threads two" + token, "two");
  misuse("--hub 127.0.0.1:1 --log loud" + token, "loud");
  misuse("--hub 127.0.0.1:1 --kernels quantum" + token, "quantum");
  misuse("--hub 127.0.0.1:1 --name $(printf 'x%.0s' $(seq 200))" + token, "--name");
  misuse("--hub 127.0.0.1:1 --name \"$(printf 'a\\001b')\"" + token, "--name");
}

TEST_CASE("help is help") {
  const Outcome outcome = run_worker_with("--help");
  CHECK(outcome.status == 0);
  for (const char* option : {"--hub", "--token", "--token-file", "--name", "--state", "--listen", "--memory",
                             "--threads", "--kernels", "--log"}) {
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
