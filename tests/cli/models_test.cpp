#include "cli/models.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

TEST_CASE("known models have one name each, a whole SHA-256 and parts to fetch") {
  std::set<std::string> names;
  for (const KnownModel& model : known_models()) {
    CAPTURE(model.name);
    CHECK(names.insert(model.name).second);
    for (const std::string& alias : model.aliases) CHECK(names.insert(alias).second);
    CHECK(model.sha256.size() == 64);
    CHECK(model.sha256.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(model.size_bytes > 0);
    CHECK_FALSE(model.parts.empty());
    CHECK(find_known_model(model.name) == &model);
  }
  CHECK(find_known_model("default") == &default_model());
  CHECK(find_known_model("gpt-5") == nullptr);
}

TEST_CASE("a name stands for its file in the cache, a path for itself") {
  const ScratchFolder scratch;
  const ScopedVariable cache("XDG_CACHE_HOME", scratch.path());
  const Result<std::string> absent = resolve_model("smollm2");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message().find("shoal pull smollm2-135m") != std::string::npos);
  std::filesystem::create_directories(scratch.path() + "/shoal/models");
  const std::string cached = scratch.write("shoal/models/" + default_model().file_name, "GGUF");
  CHECK(resolve_model("smollm2").value() == cached);
  const std::string own = scratch.write("own.gguf", "GGUF");
  CHECK(resolve_model(own).value() == own);
  const std::string pulled = scratch.write("shoal/models/pulled.gguf", "GGUF");
  CHECK(resolve_model("pulled.gguf").value() == pulled);
  CHECK(resolve_model("pulled").value() == pulled);
}

TEST_CASE("a name nobody knows is an error that lists the known ones") {
  const Result<std::string> path = resolve_model("no-such-model");
  REQUIRE_FALSE(path);
  CHECK(path.error().message().find("smollm2-135m, gemma3-270m") != std::string::npos);
  CHECK_FALSE(resolve_model(""));
  CHECK_FALSE(resolve_model("../../etc/passwd-not-there"));
}

}  // namespace
}  // namespace shoal
