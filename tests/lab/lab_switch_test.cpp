#include "lab/lab_switch.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace shoal {
namespace {

struct Lab {
  LabSwitch lab{3, LabLink{}};
  bool goes_on = true;
  std::string say(const std::string& text) { return lab.command(text, goes_on); }
};

}  // namespace

TEST_CASE("a command changes the directed links it names and no other") {
  Lab l;
  CHECK(l.say("set 0 1 delay=5ms rate=8mbit") == "ok\n");
  CHECK(l.lab.link(0, 1).delay == std::chrono::milliseconds(5));
  CHECK(l.lab.link(0, 1).bytes_per_second == doctest::Approx(1e6));
  CHECK(l.lab.link(1, 0).delay == Duration::zero());
  CHECK(l.say("cut 2 *") == "ok\n");
  CHECK(l.lab.link(2, 0).cut);
  CHECK(l.lab.link(2, 1).cut);
  CHECK_FALSE(l.lab.link(0, 2).cut);
  CHECK(l.say("heal * *") == "ok\n");
  CHECK_FALSE(l.lab.link(2, 0).cut);
  CHECK(l.say("stats") == "\n");
  CHECK(l.goes_on);
  CHECK(l.say("down") == "ok\n");
  CHECK_FALSE(l.goes_on);
}

TEST_CASE("a command that makes no sense says so and changes nothing") {
  Lab l;
  for (const char* text :
       {"", "set", "set 0", "set 0 3 delay=1ms", "set 0 1 delay=1", "set -1 0", "cut 0", "explode 0 1"}) {
    CAPTURE(text);
    CHECK(l.say(text).starts_with("error"));
    CHECK(l.goes_on);
  }
  CHECK(l.lab.link(0, 1).delay == Duration::zero());
}

TEST_CASE("a file of links is read, and a bad line is told with its number") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("links-" + std::to_string(::getpid()))).string();
  Lab l;
  std::ofstream(path) << "# from to\n* * delay=1ms\n\n0 2 delay=7ms loss=0.5\n";
  REQUIRE(l.lab.read_links(path));
  CHECK(l.lab.link(1, 0).delay == std::chrono::milliseconds(1));
  CHECK(l.lab.link(0, 2).delay == std::chrono::milliseconds(7));
  CHECK(l.lab.link(0, 2).loss == 0.5);
  std::ofstream(path) << "0 1 delay=1ms\n0 9 delay=1ms\n";
  const Status bad = l.lab.read_links(path);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message().starts_with(path + ":2: "));
  std::filesystem::remove(path);
  CHECK(l.lab.read_links(path).error().code() == ErrorCode::NotFound);
}

}  // namespace shoal
