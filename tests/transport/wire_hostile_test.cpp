#include <doctest/doctest.h>

#include "base/crc32c.h"
#include "tests/transport/random_messages.h"
#include "transport/bounds.h"
#include "transport/limits.h"
#include "transport/wire.h"

namespace shoal {
namespace {

using Frames = std::vector<std::vector<std::byte>>;

Frames frames_of(Message&& message) {
  Encoder encoder;
  EncodedMessage encoded;
  REQUIRE(encoder.encode(std::move(message), encoded));
  Frames frames;
  for (const Payload& frame : to_frames(std::move(encoded)))
    frames.emplace_back(frame.bytes().begin(), frame.bytes().end());
  return frames;
}

Result<Message> decode(Decoder& decoder, Lane lane, const Frames& frames) {
  std::vector<Payload> views;
  for (const auto& frame : frames) views.emplace_back(char{}, Bytes(frame));
  return decoder.decode(lane, views);
}

void seal_again(std::vector<std::byte>& header) {
  if (header.size() >= 4) store(header.data(), crc32c(Bytes(header).subspan(4)));
}

struct Sample {
  Lane lane;
  Frames frames;
};
std::vector<Sample> samples(std::size_t per_kind) {
  std::vector<Sample> result;
  for (std::size_t kind = 0; kind < kNumMessageKinds; ++kind) {
    for (std::size_t i = 0; i < per_kind; ++i) {
      Random random(kind * 1000 + i);
      Message message = random_message(kind, random);
      const Lane lane = lane_of(message);
      result.push_back({lane, frames_of(std::move(message))});
    }
  }
  return result;
}

std::vector<std::byte>& pick(Frames& frames, Random& random) { return frames[random.below(frames.size())]; }

constexpr int kTries = 100000;

}  // namespace

TEST_CASE("a flipped bit anywhere is never accepted") {
  std::vector<Sample> good = samples(3);
  Decoder decoder;
  Random random(1);
  int accepted = 0;
  for (int i = 0; i < kTries; ++i) {
    Sample& sample = good[random.below(good.size())];
    std::vector<std::byte>& frame = pick(sample.frames, random);
    if (frame.empty()) continue;
    std::byte& byte = frame[random.below(frame.size())];
    const auto mask = static_cast<std::byte>(1 << random.below(8));
    byte ^= mask;
    if (decode(decoder, sample.lane, sample.frames)) ++accepted;
    byte ^= mask;
  }
  CHECK(accepted == 0);
  for (Sample& sample : good) CHECK(decode(decoder, sample.lane, sample.frames));
}

TEST_CASE("truncated, lengthened, missing, repeated and swapped frames are never accepted") {
  const std::vector<Sample> good = samples(2);
  Decoder decoder;
  Random random(2);
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    const Sample& sample = good[random.below(good.size())];
    Frames frames = sample.frames;
    switch (random.below(5)) {
      case 0: {
        auto& frame = pick(frames, random);
        if (frame.empty()) continue;
        frame.resize(random.below(frame.size()));
        break;
      }
      case 1:
        pick(frames, random).push_back(std::byte{0});
        break;
      case 2:
        frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(random.below(frames.size())));
        break;
      case 3:
        frames.push_back(frames[random.below(frames.size())]);
        break;
      default:
        if (frames.size() < 2 || frames[0] == frames[1]) continue;
        std::swap(frames[0], frames[1]);
    }
    if (decode(decoder, sample.lane, frames)) ++accepted;
  }
  CHECK(accepted == 0);
}

TEST_CASE("behind a good checksum, damaged headers never crash and what is accepted is in bounds") {
  std::vector<Sample> good = samples(3);
  Decoder decoder;
  Encoder encoder;
  Random random(3);
  int accepted = 0;
  for (int i = 0; i < kTries; ++i) {
    Sample& sample = good[random.below(good.size())];
    std::vector<std::byte>& header = sample.frames[sample.frames.size() > 1 && random.below(4) == 0 ? 1 : 0];
    const std::vector<std::byte> before(
        header.begin(),
        header.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(header.size(), 4096)));
    for (std::uint64_t n = 1 + random.below(4); n > 0 && header.size() > 8; --n) {
      const std::size_t at = 4 + random.below(std::min<std::size_t>(header.size(), 4096) - 4);
      header[at] = random.below(2) ? static_cast<std::byte>(random.next())
                                   : header[at] ^ static_cast<std::byte>(1 << random.below(8));
    }
    seal_again(header);
    Result<Message> message = decode(decoder, sample.lane, sample.frames);
    if (message) {
      ++accepted;
      REQUIRE(out_of_bounds(*message) == nullptr);
      REQUIRE(lane_of(*message) == sample.lane);
      EncodedMessage encoded;
      const Status again = encoder.encode(*std::move(message), encoded);
      REQUIRE_MESSAGE(again, (again ? "" : again.error().message()));
    }
    std::copy(before.begin(), before.end(), header.begin());
  }
  MESSAGE(accepted << " of " << kTries << " resealed headers were still messages");
  CHECK(accepted > 0);
  CHECK(accepted < kTries);
}

TEST_CASE("random bytes behind a good checksum never crash and are never a message") {
  Decoder decoder;
  Random random(4);
  for (int i = 0; i < 20000; ++i) {
    Frames frames(1 + random.below(3));
    for (auto& frame : frames) {
      frame.resize(random.below(300));
      for (std::byte& byte : frame) byte = static_cast<std::byte>(random.next());
      seal_again(frame);
    }
    CHECK_FALSE(decode(decoder, static_cast<Lane>(random.below(4)), frames));
  }
}

TEST_CASE("frames beyond their size are refused before anything else is looked at") {
  Decoder decoder;
  for (const auto& [lane, limit] :
       {std::pair(Lane::Join, kMaxHeaderBytes), std::pair(Lane::Control, kMaxControlBytes),
        std::pair(Lane::Data, kMaxHeaderBytes), std::pair(Lane::Bulk, kMaxHeaderBytes)}) {
    const Result<Message> result = decode(decoder, lane, Frames{std::vector<std::byte>(limit + 1)});
    REQUIRE_FALSE(result);
    CHECK(result.error().message() == "header frame: too large");
  }
  CHECK_FALSE(decode(decoder, Lane::Data, {}));
}

TEST_CASE("a message in more payload frames than allowed, or with an empty one, is refused") {
  Random random(5);
  Frames frames = frames_of(Message(random_step(random, 1, 1, 2304)));
  Decoder decoder;
  REQUIRE(decode(decoder, Lane::Data, frames));
  SUBCASE("empty") { frames.emplace_back(); }
  SUBCASE("too many") {
    const std::vector<std::byte> payload = frames.back();
    frames.pop_back();
    for (std::size_t i = 0; i < kMaxPayloadFrames + 1; ++i)
      frames.emplace_back(payload.begin(), payload.begin() + 1);
  }
  CHECK_FALSE(decode(decoder, Lane::Data, frames));
}

TEST_CASE("decoding garbage does not grow memory") {
  // A plan whose every tensor is the same table would grow if names were copied before they are bounded; the
  // verifier's and our own limits keep what one frame may cost near its size.
  Random random(6);
  Frames frames = frames_of(random_message(13, random));
  Decoder decoder;
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> header = frames[0];
    const std::size_t at = 4 + 4 * random.below((header.size() - 4) / 4);
    store(header.data() + std::min(at, header.size() - 4), static_cast<std::uint32_t>(random.next()));
    seal_again(header);
    const Result<Message> message = decode(decoder, Lane::Control, Frames{header});
    if (message) CHECK(out_of_bounds(*message) == nullptr);
  }
}

}  // namespace shoal
