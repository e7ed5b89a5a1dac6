// Random templates: whatever they are, the answer is a text or an error with words. Run under ASan and UBSan
// too.
#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "text/jinja/json_value.h"
#include "text/jinja/template.h"

using namespace shoal;

namespace {

constexpr const char* kContext =
    R"({"a": 3, "f": -2.5, "s": "héllo <b>", "n": null, "t": true, "l": [1, 2, [3]],
  "d": {"x": 1, "y": "two", "k": {"z": []}}, "messages": [{"role": "user", "content": "hi"},
  {"role": "assistant", "content": "yes", "tool_calls": [{"function": {"name": "g", "arguments": {"p": 1}}}]}]})";

constexpr std::array kPieces = {"{{",
                                "}}",
                                "{%",
                                "%}",
                                "{#",
                                "#}",
                                "-%}",
                                "{%-",
                                " ",
                                "\n",
                                "if ",
                                "elif ",
                                "else",
                                "endif",
                                "for ",
                                "in ",
                                "endfor",
                                "set ",
                                "endset",
                                "macro m(",
                                "endmacro",
                                "call m()",
                                "endcall",
                                "filter ",
                                "endfilter",
                                "raw",
                                "endraw",
                                "a",
                                "f",
                                "s",
                                "n",
                                "t",
                                "l",
                                "d",
                                "messages",
                                "loop",
                                "loop.last",
                                "loop.index",
                                "caller()",
                                "varargs",
                                "m",
                                "m(1)",
                                "ns",
                                "x",
                                "namespace()",
                                "range(9)",
                                "dict(a=1)",
                                "cycler(1, 2)",
                                "joiner()",
                                "recursive",
                                "loop(l)",
                                "break",
                                "continue",
                                "with ",
                                "endwith",
                                "(",
                                ")",
                                "[",
                                "]",
                                "{",
                                "}",
                                ",",
                                ":",
                                ".",
                                "|",
                                "~",
                                "+",
                                "-",
                                "*",
                                "/",
                                "//",
                                "%",
                                "**",
                                "==",
                                "!=",
                                "<",
                                ">=",
                                "=",
                                " and ",
                                " or ",
                                " not ",
                                " is ",
                                " is not ",
                                "none",
                                "true",
                                "1",
                                "0",
                                "-1",
                                "2.5",
                                "9223372036854775807",
                                "'x'",
                                "\"é\"",
                                "'%s'",
                                "'{}'",
                                "'",
                                "upper",
                                "join(',')",
                                "map('upper')",
                                "map(attribute='role')",
                                "selectattr('role', 'eq', 'user')",
                                "tojson",
                                "tojson(indent=2)",
                                "length",
                                "list",
                                "sort",
                                "first",
                                "last",
                                "int",
                                "default('q')",
                                "groupby('role')",
                                "batch(2)",
                                "unique",
                                "items",
                                "defined",
                                "string",
                                "odd",
                                ".x",
                                "['x']",
                                "[0]",
                                "[1:]",
                                "[::-1]",
                                ".items()",
                                ".upper()",
                                ".split()",
                                ".format(1)",
                                ".next()",
                                ".get('x')",
                                "\xC3",
                                "\xFF",
                                "\\"};

// A run of pieces; half of the time held together as expressions and blocks, so that more of them parse.
std::string random_template(std::mt19937& random) {
  const auto piece = [&] { return kPieces[random() % kPieces.size()]; };
  const auto expression = [&] {
    std::string text = piece();
    for (auto left = random() % 5; left > 0; --left)
      text += (random() % 3 == 0 ? "|" : "") + std::string(piece());
    return text;
  };
  std::string source;
  for (auto left = 1 + random() % 8; left > 0; --left) {
    switch (random() % 8) {
      case 0:
        source += "{{ " + expression() + " }}";
        break;
      case 1:
        source += "{% set x = " + expression() + " %}";
        break;
      case 2:
        source += "{% if " + expression() + " %}" + expression() + "{% endif %}";
        break;
      case 3:
        source += "{% for x in " + expression() + " %}{{ " + expression() + " }}{% endfor %}";
        break;
      case 4:
        source += "{% macro m(x=" + expression() + ") %}{{ " + expression() + " }}{% endmacro %}";
        break;
      default:
        source += piece();
    }
  }
  return source;
}

std::string mutated(std::string source, const std::vector<std::string>& donors, std::mt19937& random) {
  for (auto left = 1 + random() % 4; left > 0 && !source.empty(); --left) {
    const std::size_t at = random() % source.size();
    const std::size_t size = random() % 20;
    switch (random() % 4) {
      case 0:
        source[at] = static_cast<char>(random());
        break;
      case 1:
        source.erase(at, size);
        break;
      case 2:
        source.insert(at, kPieces[random() % kPieces.size()]);
        break;
      default: {
        const std::string& donor = donors[random() % donors.size()];
        source.insert(at, donor.substr(random() % donor.size(), size));
      }
    }
  }
  return source;
}

// 1 when the template parsed and rendered, else 0; fails the test when an error has no words.
int renders(const std::string& source, const jinja::Value& context) {
  CAPTURE(source);
  const Result<jinja::Template> parsed = jinja::Template::parse(source);
  const Result<std::string> text =
      parsed ? parsed->render(context) : Result<std::string>(fail(parsed.error()));
  if (!text) CHECK(text.error().message().size() > 10);
  return text ? 1 : 0;
}

}  // namespace

TEST_CASE("ten thousand random templates give a text or an error") {
  const Result<jinja::Value> context = jinja::value_from_json(kContext);
  REQUIRE(context.has_value());
  std::mt19937 random(7);
  int num_rendered = 0;
  for (int i = 0; i < 10'000; ++i) num_rendered += renders(random_template(random), *context);
  CHECK(num_rendered > 500);
}

TEST_CASE("real templates with random damage give a text or an error") {
  const Result<jinja::Value> context = jinja::value_from_json(kContext);
  REQUIRE(context.has_value());
  std::vector<std::string> sources;
  const auto judged = nlohmann::json::parse(std::ifstream(SHOAL_TEST_DATA "/jinja_cases.json"));
  for (const auto& source : judged["templates"]) {
    if (source.get<std::string>().size() > 20) sources.push_back(source.get<std::string>());
  }
  std::mt19937 random(11);
  int num_rendered = 0;
  for (int i = 0; i < 10'000; ++i) {
    num_rendered += renders(mutated(sources[random() % sources.size()], sources, random), *context);
  }
  CHECK(num_rendered > 500);
}
