// A template is a stranger's program: each of these would run away without a bound.
#include <doctest/doctest.h>

#include <string>

#include "text/jinja/json_value.h"
#include "text/jinja/template.h"

using namespace shoal;

namespace {

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

// The error's words, or "rendered: " and how the text begins.
std::string outcome(const std::string& source, const std::string& context_json = "{}") {
  const Result<jinja::Template> parsed = jinja::Template::parse(source);
  if (!parsed) return parsed.error().message();
  const Result<jinja::Value> context = jinja::value_from_json(context_json);
  REQUIRE(context.has_value());
  const Result<std::string> text = parsed->render(*context);
  return text ? "rendered: " + text->substr(0, 40) : text.error().message();
}

bool says(const std::string& outcome, const char* words) { return outcome.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("a render stops after a million steps") {
  const std::string loop = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
  CHECK(says(outcome(loop), "steps"));
  CHECK(says(outcome("{% for i in range(99999) %}{% set x = range(99999) | list %}{% endfor %}"), "steps"));
  CHECK(says(outcome("{% set x = range(99999) | list %}{% for i in x %}{{ x == x }}{% endfor %}"), "steps"));
  CHECK(says(outcome("{% set x = range(99999) | list %}{% for i in x %}{% set y = x | sort %}{% endfor %}"),
             "steps"));
}

TEST_CASE("no string grows past its bound") {
  CHECK(says(outcome("{{ 'a' * 1000000000 }}"), "too long"));
  CHECK(says(outcome("{{ 'a' * 9000000 * 3 }}"), "too long"));
  CHECK(says(outcome("{{ 'a' * 9000000 + 'a' * 9000000 }}"), "16 MB"));
  CHECK(says(
      outcome(
          "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
      "16 MB"));
  CHECK(says(outcome("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}"), "16 MB"));
  CHECK(says(outcome("{{ 'a'.center(999999999) }}"), "too far"));
  CHECK(says(outcome("{{ '%999999999d' % 1 }}"), "characters"));
  CHECK(says(outcome("{{ '{:999999999}'.format(1) }}"), "characters"));
  CHECK(says(outcome("{{ ('a' * 9000).replace('', 'b' * 9000) }}"), "16 MB"));
  CHECK(says(outcome("{{ ('a' * 9000) | join('b' * 9000) }}"), "16 MB"));
  CHECK(says(outcome("{{ [1] * 1000000000 }}"), "too long"));
  CHECK(says(outcome("{{ ('a' * 9000000) | list | length }}"), "steps"));
}

TEST_CASE("memory is bounded over a whole render") {
  CHECK(says(outcome("{% set ns = namespace(l=[]) %}{% set big = 'a' * 9000000 %}{% for i in range(999) %}"
                     "{% set ns.l = ns.l + [big ~ i] %}{% endfor %}"),
             "512 MB"));
  CHECK(says(
      outcome(
          "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + [i] %}{% endfor %}"),
      "512 MB"));
}

TEST_CASE("shared lists do not multiply when they are printed, compared or hashed") {
  const std::string doubled =
      "{% set ns = namespace(x=[1], t=(1,)) %}{% for i in range(80) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}";
  CHECK(outcome(doubled + "ok") == "rendered: ok");
  CHECK(says(outcome(doubled + "{{ ns.x }}"), "steps"));
  CHECK(says(outcome(doubled + "{{ ns.x | tojson }}"), "steps"));
  CHECK(says(outcome(doubled + "{{ ns.x == ns.x }}"), "steps"));
  CHECK(says(outcome(doubled + "{{ {ns.t: 1} }}"), "too large"));
}

TEST_CASE("nothing nests without end, neither in the source nor at run time") {
  CHECK(says(outcome("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}"), "nest"));
  CHECK(says(outcome("{{ " + repeated("[", 90'000)), "nest"));
  CHECK(says(outcome("{{ " + repeated("not ", 90'000) + "1 }}"), "nest"));
  CHECK(says(outcome("{{ " + repeated("-", 90'000) + "1 }}"), "nest"));
  CHECK(says(outcome("{{ a" + repeated(".b", 90'000) + " }}"), "nest"));
  CHECK(says(outcome("{{ a" + repeated("|e", 90'000) + " }}"), "nest"));
  CHECK(says(outcome("{{ a" + repeated("()", 90'000) + " }}"), "nest"));
  CHECK(says(outcome("{{ a" + repeated(" if a", 20'000) + " }}"), "nest"));
  CHECK(says(outcome("{{ 1" + repeated(" if 1 else 1", 20'000) + " }}"), "nest"));
  CHECK(says(outcome(repeated("{% if 1 %}", 20'000)), "nest"));
  CHECK(says(outcome("{% for " + repeated("(", 20'000)), "nest"));
  CHECK(says(
      outcome("{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}"),
      "nest"));
  CHECK(says(outcome("{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] | select "
                     "%}{% endfor %}"),
             "nest"));
  CHECK(says(outcome("{% set ns = namespace(x={}) %}{% for i in range(999) %}{% set ns.x = {'a': ns.x.get} "
                     "%}{% endfor %}"),
             "nest"));
  CHECK(says(outcome("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "call each other"));
  CHECK(says(outcome("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), "call each other"));
  const std::string deep = repeated("[", 60) + "m()" + repeated("]", 60);
  CHECK(says(outcome("{% macro m() %}{{ " + deep + " }}{% endmacro %}{{ m() }}"), "deeply"));
  CHECK_FALSE(jinja::value_from_json(repeated("[", 100'000)).has_value());
  CHECK_FALSE(jinja::value_from_json(repeated("[", 95) + repeated("]", 95)).has_value());
}

TEST_CASE("long chains of one operator are no nesting") {
  CHECK(outcome("{{ 0" + repeated(" + 1", 50'000) + " }}") == "rendered: 50000");
  CHECK(outcome("{{ 1" + repeated(" and 1", 50'000) + " }}") == "rendered: 1");
  CHECK(outcome("{% if 0 %}" + repeated("{% elif 0 %}", 10'000) + "{% else %}x{% endif %}") == "rendered: x");
}

TEST_CASE("what holds itself is freed, and can be printed") {
  CHECK(outcome("{% set ns = namespace() %}{% set ns.me = [ns] %}ok") == "rendered: ok");
  CHECK(says(outcome("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}"), "call each other"));
  CHECK(outcome("{% for x in [1] %}{{ loop.changed([loop]) }}{% endfor %}") == "rendered: True");
  CHECK(outcome("{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}{% endfor %}{{ "
                "ns.l.changed(ns.l) }}{{ ns.l.last }}") == "rendered: TrueTrue");
  CHECK(outcome("{% set f = cycler('a', 'b').next %}{{ f() }}{{ f() }}{{ f() }}") == "rendered: aba");
}

TEST_CASE("a macro, a loop and a filter may be used after the scope they came from is left") {
  CHECK(outcome("{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{% set "
                "ns.m = m %}"
                "{% endfor %}{{ ns.m() }}") == "rendered: 2");
  CHECK(
      outcome("{% set ns = namespace() %}{% macro m(a) %}{% set b = a %}{% macro n() %}{{ b }}{% endmacro %}"
              "{% set ns.n = n %}{% endmacro %}{% set _ = m(5) %}{{ ns.n() }}") == "rendered: 5");
  CHECK(
      outcome(
          "{% set ns = namespace() %}{% for i in [1, 2] recursive %}{{ i }}{% set ns.l = loop %}{% endfor %}"
          "{{ ns.l([7, 8]) }}") == "rendered: 1278");
}

TEST_CASE("whole numbers that do not fit 64 bits are refused, not wrapped") {
  for (const char* expression :
       {"9223372036854775807 + 1", "-9223372036854775807 - 2", "9223372036854775807 * 2", "2 ** 63",
        "(-9223372036854775807 - 1) // -1", "-(-9223372036854775807 - 1)", "99999999999999999999",
        "(-9223372036854775807 - 1) | abs", "9223372036854775807 | round(-1)"}) {
    CAPTURE(expression);
    CHECK(says(outcome(std::string("{{ ") + expression + " }}"), "64 bits"));
  }
  CHECK(outcome("{{ (-9223372036854775807 - 1) % -1 }}") == "rendered: 0");
  CHECK(says(outcome("{% set r = range(0, 9223372036854775807, 4611686018427387904) %}{{ r[::2][::2] }}"),
             "64 bits"));
  CHECK(outcome("{{ 'abc'[-9223372036854775807 - 1::9223372036854775807] }}") == "rendered: a");
}

TEST_CASE("errors name the template's line") {
  CHECK(says(outcome("a\nb\n{{ 1 + 'x' }}"), "line 3"));
  CHECK(says(outcome("a\n{% if %}"), "line 2"));
  CHECK(says(outcome("{# a\n\n #}\n{% for x in 5 %}{% endfor %}"), "line 4"));
  CHECK(says(outcome("{% macro m() %}\n{{ raise_exception('no') }}{% endmacro %}\n{{ m() }}"), "line 2: no"));
}

TEST_CASE("a template too large or not in UTF-8 is refused") {
  CHECK(says(outcome(std::string((1 << 20) + 1, 'x')), "bytes"));
  CHECK(says(outcome("a\xFF"), "UTF-8"));
}

TEST_CASE("JSON becomes values with its order, its numbers and its text") {
  const std::string json =
      R"({"z": 1, "a": [1.0, -2, 1e300, 18446744073709551615, true, null, "é\u00e9\ud83d\ude00"], "z": 2})";
  const Result<jinja::Value> value = jinja::value_from_json(json);
  REQUIRE(value.has_value());
  CHECK(outcome("{{ z }}{{ a }}", json) == "rendered: 2[1.0, -2, 1e+300, 1.8446744073709552e+1");
  for (const char* broken : {"", "{", "[1,]", "{\"a\"}", "nul", "\"\xFF\"", "1 2", "{1: 2}"}) {
    CAPTURE(broken);
    CHECK_FALSE(jinja::value_from_json(broken).has_value());
  }
}
