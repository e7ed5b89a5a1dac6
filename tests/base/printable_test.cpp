#include "base/printable.h"

#include <doctest/doctest.h>

namespace shoal {

TEST_CASE("printable text is UTF-8 without control characters") {
  for (const char* good : {"", "plain", "Kamera 3, Süd", "漢字 🐟"}) CHECK(is_printable(good));
  for (const char* bad : {"a\nb", "\x1b[0m", "\x7f", "\xc2\x85", "\xff", "\xc0\x80", "\xed\xa0\x80",
                          "\xf5\x80\x80\x80", "\xe6\xbc"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_printable(bad));
  }
}

TEST_CASE("printable text stays as it is") {
  CHECK(printable("Gemma 3 270m") == "Gemma 3 270m");
  CHECK(printable("模型 ü 🐟") == "模型 ü 🐟");
  CHECK(in_quotes("") == "''");
}

TEST_CASE("control characters and bytes that are not UTF-8 become question marks") {
  CHECK(printable("a\x1b[0m\n\x7f") == "a?[0m??");
  CHECK(printable("\xC2\x85") == "?");             // a C1 control
  CHECK(printable("\xFF\xC0\x80") == "???");       // never valid, overlong
  CHECK(printable("\xED\xA0\x80") == "???");       // a surrogate
  CHECK(printable("\xF4\x90\x80\x80") == "????");  // past Unicode's end
  CHECK(printable("\xE6\xA8") == "??");            // cut short
  CHECK(printable(std::string_view("\0", 1)) == "?");
}

TEST_CASE("long text is cut between characters") {
  CHECK(printable("abcdef", 3) == "abc...");
  CHECK(printable("abc", 3) == "abc");
  CHECK(printable("üüü", 3) == "ü...");
}

}  // namespace shoal
