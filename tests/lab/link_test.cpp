#include "lab/link.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

using std::chrono::milliseconds;

constexpr Time kNow{std::chrono::seconds(100)};

}  // namespace

TEST_CASE("options say what a link is like") {
  LabLink link;
  REQUIRE(apply_options(link, {"delay=2ms", "jitter=500us", "rate=100mbit", "loss=0.25", "queue=50ms"}));
  CHECK(link.delay == milliseconds(2));
  CHECK(link.jitter == std::chrono::microseconds(500));
  CHECK(link.bytes_per_second == doctest::Approx(12.5e6));
  CHECK(link.loss == 0.25);
  CHECK(link.queue == milliseconds(50));
}

TEST_CASE("an option that is none leaves the link as it was and is named") {
  for (const char* option :
       {"delay", "delay=5", "delay=-1ms", "rate=fast", "loss=2", "loss=", "dealy=5ms", "=", ""}) {
    CAPTURE(option);
    LabLink link;
    const Status applied = apply_options(link, {"delay=1ms", option});
    REQUIRE_FALSE(applied);
    CHECK(applied.error().code() == ErrorCode::InvalidArgument);
    CHECK(applied.error().message().find(std::string("\"") + option + "\"") == 0);
    CHECK(link.delay == Duration::zero());
  }
}

TEST_CASE("a frame arrives after its turn on the wire and the delay") {
  LabLink link;
  link.delay = milliseconds(3);
  link.bytes_per_second = 1e6;
  LabWire wire;
  CHECK(pass(link, wire, 1000, kNow, 0) == kNow + milliseconds(1 + 3));
  CHECK(pass(link, wire, 2000, kNow, 0) == kNow + milliseconds(1 + 2 + 3));  // behind the first
  CHECK(pass(link, wire, 1000, kNow + milliseconds(10), 0) ==
        kNow + milliseconds(10 + 1 + 3));  // the wire is free again
}

TEST_CASE("a frame that would wait too long for the wire is dropped, and takes none of it") {
  LabLink link;
  link.bytes_per_second = 1e6;
  link.queue = milliseconds(2);
  LabWire wire;
  CHECK(pass(link, wire, 2000, kNow, 0));
  CHECK(pass(link, wire, 1000, kNow, 0));        // waits 2 ms
  CHECK_FALSE(pass(link, wire, 1000, kNow, 0));  // would wait 3 ms
  CHECK(pass(link, wire, 1000, kNow + milliseconds(1), 0) == kNow + milliseconds(4));
}

TEST_CASE("jitter delays frames and lets none overtake") {
  LabLink link;
  link.delay = milliseconds(1);
  link.jitter = milliseconds(10);
  LabWire wire;
  CHECK(pass(link, wire, 100, kNow, 0.5) == kNow + milliseconds(6));
  CHECK(pass(link, wire, 100, kNow + milliseconds(1), 0) == kNow + milliseconds(6));
  CHECK(pass(link, wire, 100, kNow + milliseconds(20), 0.1) == kNow + milliseconds(22));
}

}  // namespace shoal
