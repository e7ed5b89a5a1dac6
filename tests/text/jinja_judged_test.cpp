// What Python's jinja2 said about each template (jinja_judge.py wrote it down), and what ours says.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/slow_run.h"
#include "text/jinja/json_value.h"
#include "text/jinja/template.h"

using namespace shoal;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::chrono::sys_seconds kJudgesNow{std::chrono::seconds{1741529107}};  // 2025-03-09 14:05:07

const Json& judged() {
  static const Json json = Json::parse(std::ifstream(SHOAL_TEST_DATA "/jinja_cases.json"));
  return json;
}

Result<std::string> rendered(const std::string& source, const std::string& context_json) {
  const Result<jinja::Template> parsed = jinja::Template::parse(source);
  if (!parsed) return fail(parsed.error());
  const Result<jinja::Value> context = jinja::value_from_json(context_json);
  REQUIRE(context.has_value());
  return parsed->render(*context, kJudgesNow);
}

}  // namespace

TEST_CASE("every template renders, or fails, as jinja2 has it") {
  std::size_t num_outputs = 0, num_errors = 0;
  for (const Json& entry : judged()["cases"]) {
    CAPTURE(entry["name"].get<std::string>());
    const auto source = judged()["templates"][entry["template"].get<std::size_t>()].get<std::string>();
    CAPTURE(source);
    const Result<std::string> ours =
        rendered(source, judged()["contexts"][entry["context"].get<std::size_t>()].dump());
    if (entry.contains("output")) {
      ++num_outputs;
      CHECK_MESSAGE(ours.has_value(), (ours ? "" : ours.error().message()));
      if (ours) CHECK(*ours == entry["output"].get<std::string>());
      continue;
    }
    ++num_errors;
    CAPTURE(entry["message"].get<std::string>());
    CHECK_FALSE(ours.has_value());
    const bool was_raised =
        entry["error"] == "TemplateError";  // by the template itself: its words must come through
    if (!ours && was_raised)
      CHECK(ours.error().message().find(entry["message"].get<std::string>()) != std::string::npos);
  }
  CHECK(num_outputs >= 600);
  CHECK(num_errors >= 250);
}

TEST_CASE("a template cut at any byte gives a text or an error, never more") {
  const Result<jinja::Value> context = jinja::value_from_json(judged()["contexts"][1].dump());
  REQUIRE(context.has_value());
  std::size_t num_parsed = 0;
  for (const Json& entry : judged()["templates"]) {
    const auto source = entry.get<std::string>();
    if (source.size() < 900) continue;  // the model families' templates
    const std::size_t stride = (source.size() < 2'500 ? 1 : 11) * (kIsSlowRun ? 3 : 1);
    for (std::size_t size = 0; size < source.size(); size += stride) {
      const Result<jinja::Template> parsed = jinja::Template::parse(std::string_view(source).substr(0, size));
      if (!parsed) continue;
      ++num_parsed;
      if (const auto text = parsed->render(*context); !text) CHECK_FALSE(text.error().message().empty());
    }
  }
  CHECK(num_parsed > 100);
}
