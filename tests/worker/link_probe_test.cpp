#include "transport/link_probe.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/support/random.h"
#include "transport/limits.h"

namespace shoal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr LinkProbe::FrameSizes kSizes{.decode = 2500, .prefill = 512 << 10};

std::size_t bytes_of(const Ping& ping) {
  std::size_t bytes = 0;
  for (const Payload& chunk : ping.payload) bytes += chunk.size();
  return bytes;
}

// Answers every ping after what `round_trip` says; nothing: never.
using RoundTrip = std::function<std::optional<Duration>(DeviceId, std::size_t)>;
std::optional<LinkReport> measure(LinkProbe& probe, Time& now, const RoundTrip& round_trip) {
  for (int i = 0; i < 100'000; ++i) {
    if (std::optional<LinkProbe::Outgoing> out = probe.next(now)) {
      if (const std::optional<Duration> took = round_trip(out->to, bytes_of(out->ping))) {
        now += *took;
        probe.on_pong(out->to, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
      }
    }
    if (std::optional<LinkReport> report = probe.take_report()) return report;
    now += microseconds(500);
  }
  return std::nullopt;
}

RoundTrip steady(Duration latency, double bytes_per_second, DeviceId silent = DeviceId{99}) {
  return [=](DeviceId to, std::size_t bytes) -> std::optional<Duration> {
    if (to == silent) return std::nullopt;
    return 2 * latency + from_seconds(static_cast<double>(bytes) / bytes_per_second);
  };
}

}  // namespace

TEST_CASE("latency and rate of every peer are measured, one after another") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{0}, DeviceId{4}}, DeviceId{2}, kSizes);
  const auto report = measure(probe, now, steady(microseconds(1500), 12.5e6));
  REQUIRE(report);
  REQUIRE(report->links.size() == 2);
  CHECK(report->links[0].to == DeviceId{0});
  for (const LinkMeasurement& link : report->links) {
    CHECK(link.latency_seconds == doctest::Approx(0.0015).epsilon(0.001));
    CHECK(link.bytes_per_second == doctest::Approx(12.5e6).epsilon(0.001));
  }
  CHECK_FALSE(probe.running());
  CHECK_FALSE(probe.take_report());
}

TEST_CASE("the least of several round trips counts, however the others were held up") {
  LinkProbe probe;
  Random random(5);
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{4}}, DeviceId{2}, kSizes);
  const RoundTrip quiet = steady(microseconds(900), 50e6);
  const auto report = measure(probe, now, [&](DeviceId to, std::size_t bytes) {
    const Duration held_up = random.below(2) ? from_seconds(random.uniform() * 0.02) : Duration::zero();
    return std::optional(*quiet(to, bytes) + held_up);
  });
  REQUIRE(report);
  REQUIRE(report->links.size() == 1);
  CHECK(report->links[0].latency_seconds == doctest::Approx(0.0009).epsilon(0.02));
  CHECK(report->links[0].bytes_per_second == doctest::Approx(50e6).epsilon(0.25));
}

TEST_CASE("what is reported is exact for a decode step's and a prefill step's frame") {
  // A link with a cost per packet: no one line through the empty ping fits.
  const auto one_way = [](std::size_t bytes) {
    return microseconds(200) + microseconds(40) * static_cast<int>((bytes + 1447) / 1448) +
           from_seconds(static_cast<double>(bytes) / 1e9);
  };
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{4}}, DeviceId{2}, kSizes);
  const auto report = measure(
      probe, now, [&](DeviceId, std::size_t bytes) { return std::optional(one_way(bytes) + one_way(0)); });
  REQUIRE(report);
  const LinkMeasurement& link = report->links.at(0);
  for (const std::size_t bytes : {kSizes.decode, kSizes.prefill}) {
    const double predicted = link.latency_seconds + static_cast<double>(bytes) / link.bytes_per_second;
    CHECK(predicted == doctest::Approx(seconds(one_way(bytes))).epsilon(0.01));
  }
}

TEST_CASE("frames of a prefill step travel as steps do, in chunks, and never larger than it") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{4}}, DeviceId{2}, kSizes);
  std::size_t largest = 0;
  while (probe.running()) {
    const auto out = probe.next(now);
    REQUIRE(out);
    for (const Payload& chunk : out->ping.payload) CHECK(chunk.size() <= kMaxPayloadChunkBytes);
    largest = std::max(largest, bytes_of(out->ping));
    now += microseconds(300);
    probe.on_pong(out->to, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
  }
  CHECK(largest == kSizes.prefill);
}

TEST_CASE("a slow link is not measured for longer than it takes to know it") {
  for (const double rate : {20e3, 125e3, 2.5e6}) {
    CAPTURE(rate);
    LinkProbe probe;
    Time now{std::chrono::hours(1)};
    const Time start = now;
    probe.start({DeviceId{4}}, DeviceId{2}, kSizes);
    const auto report = measure(probe, now, steady(milliseconds(3), rate));
    REQUIRE(report);
    REQUIRE(report->links.size() == 1);
    CHECK(report->links[0].bytes_per_second == doctest::Approx(rate).epsilon(0.01));
    CHECK(now - start < milliseconds(4500));
    if (rate > 1e6) CHECK(now - start < milliseconds(700));
  }
}

TEST_CASE("a silent peer is given up and left out, the others are measured") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  const Time start = now;
  probe.start({DeviceId{1}, DeviceId{3}, DeviceId{4}}, DeviceId{2}, kSizes);
  const auto report = measure(probe, now, steady(microseconds(200), 1e8, DeviceId{3}));
  REQUIRE(report);
  REQUIRE(report->links.size() == 2);
  CHECK(report->links[0].to == DeviceId{1});
  CHECK(report->links[1].to == DeviceId{4});
  CHECK(now - start < std::chrono::seconds(3));
}

TEST_CASE("a round trip that was disturbed is made again") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{4}}, DeviceId{2}, kSizes);
  int pings = 0;
  const RoundTrip quiet = steady(milliseconds(1), 1e8);
  const auto report = measure(probe, now, [&](DeviceId to, std::size_t bytes) {
    if (++pings % 2 == 0) return quiet(to, bytes);
    probe.disturb();  // and it seems faster than the link can be
    return std::optional<Duration>(microseconds(10));
  });
  REQUIRE(report);
  CHECK(report->links.at(0).latency_seconds == doctest::Approx(0.001).epsilon(0.01));
}

TEST_CASE("a probe that is stopped reports whom it measured") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{1}, DeviceId{3}}, DeviceId{2}, kSizes);
  while (true) {
    const auto out = probe.next(now);
    REQUIRE(out);
    if (out->to == DeviceId{3}) break;
    now += microseconds(300);
    probe.on_pong(out->to, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
  }
  probe.stop();
  const auto report = probe.take_report();
  REQUIRE(report);
  REQUIRE(report->links.size() == 1);
  CHECK(report->links[0].to == DeviceId{1});
  CHECK_FALSE(probe.next(now));
}

TEST_CASE("late, foreign and repeated answers measure nothing") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({DeviceId{1}}, DeviceId{2}, kSizes);
  const auto out = probe.next(now);
  REQUIRE(out);
  CHECK_FALSE(probe.next(now));  // one at a time
  probe.on_pong(DeviceId{3}, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce + 1, .payload = {}}, now);
  CHECK_FALSE(probe.next(now));
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
  probe.on_pong(DeviceId{1}, Pong{.nonce = out->ping.nonce, .payload = {}}, now);
  CHECK(probe.next(now));
}

TEST_CASE("nobody to measure is an empty report, and a new start forgets the old one") {
  LinkProbe probe;
  Time now{std::chrono::hours(1)};
  probe.start({}, DeviceId{2}, kSizes);
  REQUIRE(probe.take_report());
  probe.start({DeviceId{1}, DeviceId{3}}, DeviceId{2}, kSizes);
  const auto old = probe.next(now);
  probe.start({DeviceId{3}}, DeviceId{2}, kSizes);
  probe.on_pong(old->to, Pong{.nonce = old->ping.nonce, .payload = {}}, now);
  const auto report = measure(probe, now, steady(microseconds(100), 1e9));
  REQUIRE(report);
  CHECK(report->links.size() == 1);
}

}  // namespace shoal
