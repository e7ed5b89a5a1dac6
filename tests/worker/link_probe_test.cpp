#include "transport/link_probe.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

using std::chrono::microseconds;

// Answers every ping after `latency` there and back and the payload's time.
std::optional<LinkReport> measure(LinkProbe& probe, Time& now, DeviceId silent, Duration latency,
                                  double bytes_per_second) {
  for (int i = 0; i < 100'000; ++i) {
    if (std::optional<LinkProbe::Outgoing> out = probe.next(now)) {
      std::size_t bytes = 0;
      for (const Payload& chunk : out->ping.payload) bytes += chunk.size();
      if (out->to != silent) {
        now += 2 * latency + from_seconds(static_cast<double>(bytes) / bytes_per_second);
        probe.on_pong(out->to, Pong{.nonce = out->ping.nonce}, now);
      }
    }
    if (std::optional<LinkReport> report = probe.take_report()) return report;
    now += microseconds(500);
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("latency and rate of every peer are measured, one after another") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{0}, DeviceId{4}}, DeviceId{2});
  const auto report = measure(probe, now, DeviceId{99}, microseconds(1500), 12.5e6);
  REQUIRE(report);
  REQUIRE(report->links.size() == 2);
  CHECK(report->links[0].to == DeviceId{0});
  for (const LinkMeasurement& link : report->links) {
    CHECK(link.latency_seconds == doctest::Approx(0.0015).epsilon(0.01));
    CHECK(link.bytes_per_second == doctest::Approx(12.5e6).epsilon(0.02));
  }
  CHECK_FALSE(probe.running());
  CHECK_FALSE(probe.take_report());
}

TEST_CASE("a silent peer is given up and left out, the others are measured") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  const Time start = now;
  probe.start({DeviceId{1}, DeviceId{3}, DeviceId{4}}, DeviceId{2});
  const auto report = measure(probe, now, DeviceId{3}, microseconds(200), 1e8);
  REQUIRE(report);
  REQUIRE(report->links.size() == 2);
  CHECK(report->links[0].to == DeviceId{1});
  CHECK(report->links[1].to == DeviceId{4});
  CHECK(now - start < std::chrono::seconds(3));
}

TEST_CASE("late, foreign and repeated answers measure nothing") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{1}}, DeviceId{2});
  const auto out = probe.next(now);
  REQUIRE(out);
  CHECK_FALSE(probe.next(now));  // one at a time
  probe.on_pong(DeviceId{3}, Pong{.nonce = out->ping.nonce}, now);
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce + 1}, now);
  CHECK_FALSE(probe.next(now));
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce}, now);
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce}, now);
  CHECK(probe.next(now));
}

TEST_CASE("nobody to measure is an empty report, and a new start forgets the old one") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({}, DeviceId{2});
  REQUIRE(probe.take_report());
  probe.start({DeviceId{1}, DeviceId{3}}, DeviceId{2});
  const auto old = probe.next(now);
  probe.start({DeviceId{3}}, DeviceId{2});
  probe.on_pong(old->to, Pong{.nonce = old->ping.nonce}, now);
  const auto report = measure(probe, now, DeviceId{99}, microseconds(100), 1e9);
  REQUIRE(report);
  CHECK(report->links.size() == 1);
}

}  // namespace shoal
