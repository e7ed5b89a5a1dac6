#include "cli/terminal_text.h"

#include <doctest/doctest.h>

#include "cli/table.h"

namespace shoal {
namespace {

TEST_CASE("what could steer a terminal is replaced and words of any script are kept") {
  CHECK(terminal_safe("plain, äöü, 日本, 🐟\n\ttabbed") == "plain, äöü, 日本, 🐟\n\ttabbed");
  CHECK(terminal_safe("\x1b[2Jgone") == "\xEF\xBF\xBD[2Jgone");
  CHECK(terminal_safe("a\rb\bc\x7f") ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD"
        "c\xEF\xBF\xBD");
  CHECK(terminal_safe("\xC2\x9B"
                      "31m") ==
        "\xEF\xBF\xBD"
        "31m");  // CSI as one C1 character
  CHECK(terminal_safe("cut \xE2\x80") == "cut \xEF\xBF\xBD");
}

TEST_CASE("a token's bytes are shown in quotes, and as numbers where they are not whole characters") {
  CHECK(shown_piece(" the") == "\" the\"");
  CHECK(shown_piece("\n\x1b\"") == "\"\\n\\u001b\\\"\"");
  CHECK(shown_piece("ü") == "\"ü\"");
  CHECK(shown_piece("\xE2\x80") == "bytes E2 80");
  CHECK(shown_piece("") == "\"\"");
}

TEST_CASE("a table lines its columns up by characters, not bytes") {
  TextTable table({{"NAME"}, {"MS", TextTable::Align::Right}});
  table.add_row({"çam-1", "4.5"});
  table.add_row({"a", "12.25"});
  CHECK(table.render() ==
        "NAME      MS\n"
        "çam-1    4.5\n"
        "a      12.25\n");
}

}  // namespace
}  // namespace shoal
