#include <doctest/doctest.h>

#include <string>

#include "text/jinja/unicode.h"

using namespace shoal::jinja;

TEST_CASE("code points are counted and cut, and broken bytes read as one replacement each") {
  CHECK(count_code_points("aé€😀") == 4);
  CHECK(code_point_offsets("aé€😀") == std::vector<std::size_t>{0, 1, 3, 6, 10});
  CHECK(count_code_points("\xE2\x82") == 2);
  CHECK(count_code_points("\xC0\x80\xED\xA0\x80") == 5);  // an overlong zero and a surrogate
  CHECK(last_code_point("a€").num_bytes == 3);
  CHECK(last_code_point("a\x82").num_bytes == 1);
}

TEST_CASE("letters change case beyond ASCII") {
  CHECK(upper("straße ñandú жук ωμέγα") == "STRAßE ÑANDÚ ЖУК ΩΜΈΓΑ");
  CHECK(lower("ÀÉÎ ŻÓŁĆ ДЖ") == "àéî żółć дж");
  CHECK(capitalized("éCOLE") == "École");
  CHECK(is_letter(U'漢'));
  CHECK_FALSE(is_letter(U'€'));
}

TEST_CASE("white space is Python's, no-break and ideographic spaces included") {
  CHECK(strip_left(" \t\n\u00a0\u3000x ") == "x ");
  CHECK(strip_right("x \u2028\x1f") == "x");
  CHECK(strip_left("ééx", "é") == "x");
  CHECK(split_lines("a\r\nb\rc\x85 d\u2028e\n") == std::vector<std::string_view>{"a", "b", "c\x85 d", "e"});
}

TEST_CASE("the last place of a needle is found from the end") {
  CHECK(find_last_text("abcabc", "bc") == 4);
  CHECK(find_last_text("aaa", "aa") == 1);
  CHECK(find_last_text("abc", "") == 3);
  CHECK(find_last_text("abc", "x") == std::string_view::npos);
}
