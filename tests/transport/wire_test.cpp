#include <doctest/doctest.h>

#include "base/crc32c.h"
#include "tests/support/allocation_counter.h"
#include "tests/transport/random_messages.h"
#include "transport/limits.h"
#include "transport/wire.h"

namespace shoal {
namespace {

Message decoded(Message&& message, Lane lane) {
  Encoder encoder;
  Decoder decoder;
  EncodedMessage encoded;
  const Status ok = encoder.encode(std::move(message), encoded);
  REQUIRE_MESSAGE(ok, (ok ? "" : ok.error().message()));
  std::vector<Payload> frames = to_frames(std::move(encoded));
  Result<Message> result = decoder.decode(lane, frames);
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message()));
  return *std::move(result);
}

std::string refusal(Message&& message) {
  Encoder encoder;
  EncodedMessage encoded;
  const Status ok = encoder.encode(std::move(message), encoded);
  return ok ? "" : ok.error().message();
}

std::string hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte byte : bytes) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

StepFrame full_step() {
  Random random(3);
  return random_step(random, kMaxGroupsPerStep, kMaxRowsPerStep, 0);
}

}  // namespace

TEST_CASE("every message survives the trip through its frames unchanged") {
  for (std::size_t kind = 0; kind < kNumMessageKinds; ++kind) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      CAPTURE(kind);
      CAPTURE(seed);
      Random random(seed * 100 + kind);
      Message message = random_message(kind, random);
      REQUIRE(message.index() == kind);
      Random again(seed * 100 + kind);
      const Message same = random_message(kind, again);
      const Lane lane = lane_of(message);
      CHECK(decoded(std::move(message), lane) == same);
    }
  }
}

TEST_CASE("a message changed in any one place does not compare equal, so the round trip can fail") {
  for (std::size_t kind = 0; kind < kNumMessageKinds; ++kind) {
    Random one(1 + kind), other(1001 + kind);
    CHECK(random_message(kind, one) != random_message(kind, other));
  }
}

TEST_CASE("the header of a full step stays below 4 KB and is as large as WIRE_FORMAT.md says") {
  Encoder encoder;
  EncodedMessage encoded;
  REQUIRE(encoder.encode(full_step(), encoded));
  MESSAGE("32 groups and 512 ids: " << encoded.header.size() << " bytes");
  CHECK(encoded.header.size() == 3436);
  CHECK(encoded.header.size() <= kMaxHeaderBytes);

  Random random(1);
  REQUIRE(encoder.encode(random_step(random, 1, 1, 2304), encoded));
  MESSAGE("one row: " << encoded.header.size() << " bytes");
  CHECK(encoded.header.size() == 172);
  CHECK(encoded.num_bytes() == 172 + 2304);
}

TEST_CASE("the bytes of a frame are those of protocol version 3") {
  Encoder encoder;
  EncodedMessage encoded;
  REQUIRE(encoder.encode(Activate{make_epoch(2, 7)}, encoded));
  CHECK(hex(encoded.header) ==
        "401b6dc31400000053484c4300000a001200080007000c000a00000000000023030000000c000000000006000c0004000600"
        "00000700000002000000");

  CandidatesFrame answer;
  answer.groups.push_back({SequenceId{5}, StepNumber{6}, 7, 1, 0, kWantsLastRow, -1});
  CandidateRow row;
  row.sequence = SequenceId{5};
  row.step = StepNumber{6};
  row.position = 7;
  row.first_block = 8;
  row.raw = {{1.0f, 2.0f}};
  row.digests = {0x1122334455667788};
  row.by_raw = {{9, 1.0f, 0.5f, 0}};
  row.target_logit = -2.0f;
  row.has_target = true;
  answer.rows.push_back(row);
  REQUIRE(encoder.encode(std::move(answer), encoded));
  REQUIRE(encoded.payload.size() == 1);
  CHECK(hex(encoded.payload[0].bytes()) ==
        "0500000000000000"
        "0600000000000000"
        "07000000"
        "08000000"  // sequence, step, position, first block
        "01000000"
        "00000000"
        "01000000"  // raw, adjusted, digests
        "01000000"
        "00000000"
        "00000000"  // by_raw, by_adjusted, by_noise
        "000000c0"
        "01000000"  // target
        "0000803f"
        "00000040"
        "8877665544332211"  // the block's sum, its digest
        "09000000"
        "0000803f"
        "0000003f"
        "00000000");  // the candidate
}

TEST_CASE("a large payload is cut into frames of 256 KB and arrives whole") {
  Random random(5);
  StepFrame step = random_step(random, 4, 512, 0);
  std::vector<std::byte> bytes(512 * 3072 * 4);  // 6.3 MB: a 3B model's prefill hop
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
  const std::vector<std::byte> copy = bytes;
  step.dtype = Dtype::F32;
  step.payload.push_back(Payload::owning(std::move(bytes)));
  Message result = decoded(std::move(step), Lane::Data);
  const auto& got = std::get<StepFrame>(result);
  CHECK(got.payload.size() == copy.size() / kMaxPayloadChunkBytes);
  std::vector<std::byte> joined;
  for (const Payload& part : got.payload) {
    CHECK(part.size() <= kMaxPayloadChunkBytes);
    joined.insert(joined.end(), part.bytes().begin(), part.bytes().end());
  }
  CHECK(joined == copy);
}

TEST_CASE("scores of a whole prefill, ten megabytes of candidates, arrive whole") {
  Random random(6), again(6);
  CHECK(decoded(random_candidates(random, 512, 250, 400), Lane::Data) ==
        Message(random_candidates(again, 512, 250, 400)));
}

TEST_CASE("payload bytes are not copied on the way through the encoder") {
  Random random(7);
  StepFrame step = random_step(random, 1, 1, 2304);
  const std::byte* before = step.payload[0].bytes().data();
  Encoder encoder;
  EncodedMessage encoded;
  REQUIRE(encoder.encode(std::move(step), encoded));
  CHECK(encoded.payload[0].bytes().data() == before);
}

TEST_CASE("after warm-up a step and its answer are encoded without allocating") {
  Random random(8);
  Encoder encoder;
  EncodedMessage encoded;
  for (int round = 0; round < 3; ++round) {
    StepFrame step = random_step(random, 8, 8, 2304);
    CandidatesFrame answer = random_candidates(random, 8, 49, 20);
    Message first = std::move(step);
    Message second = std::move(answer);
    const std::size_t before = num_allocations();
    const bool ok = encoder.encode(std::move(first), encoded).has_value() &&
                    encoder.encode(std::move(second), encoded).has_value();
    const std::size_t allocations = num_allocations() - before;
    REQUIRE(ok);
    if (round == 2) CHECK(allocations == 0);
  }
}

TEST_CASE("after warm-up decoding a step allocates its three vectors and nothing else") {
  Random random(9);
  Encoder encoder;
  Decoder decoder;
  for (int round = 0; round < 3; ++round) {
    EncodedMessage encoded;
    REQUIRE(encoder.encode(random_step(random, 8, 8, 2304), encoded));
    std::vector<Payload> frames = to_frames(std::move(encoded));
    const std::size_t before = num_allocations();
    const Result<Message> message = decoder.decode(Lane::Data, frames);
    const std::size_t allocations = num_allocations() - before;
    REQUIRE(message);
    if (round == 2) CHECK(allocations == 3);
  }
}

TEST_CASE("what is out of bounds is refused before it is sent, and the field is named") {
  StepFrame step = full_step();
  SUBCASE("more ids than rows") {
    step.ids.push_back(1);
    CHECK(refusal(std::move(step)) == "StepFrame.ids: not one per row");
  }
  SUBCASE("too many groups") {
    step.groups.emplace_back();
    CHECK(refusal(std::move(step)) == "groups: none, or more than 32");
  }
  SUBCASE("payload without dtype") {
    step.payload.push_back(Payload::owning(std::vector<std::byte>(4)));
    CHECK(refusal(std::move(step)) == "StepFrame: payload without a dtype (or the reverse)");
  }
  SUBCASE("a device with more threads than there are, or none") {
    Random random(1);
    for (const std::uint32_t threads : {0u, kMaxThreads + 1, ~0u}) {
      Hello hello = std::get<Hello>(random_message(2, random));
      hello.num_threads = threads;
      CHECK(refusal(std::move(hello)) == "Hello.num_threads: not between 1 and 1024");
    }
  }
  SUBCASE("candidates deeper than any vocabulary") {
    step.opens.push_back({.sequence = SequenceId{1}, .depth = kMaxCandidates + 1, .params = {}});
    CHECK(refusal(std::move(step)) == "opens.depth: too deep");
  }
  SUBCASE("a bad key") {
    CHECK(refusal(JoinRequest{1, "short", "name"}) == "JoinRequest.public_key: not 40 characters of Z85");
  }
  SUBCASE("control characters in a name") {
    Random random(1);
    JoinRequest request = std::get<JoinRequest>(random_message(0, random));
    request.name = "bad\x1b[31m";
    CHECK(refusal(std::move(request)) == "JoinRequest.name: empty, too long or not printable");
  }
  SUBCASE("a plan too large for its frame") {
    PlanMessage plan;
    plan.tensors.resize(kMaxTensorsPerPlan);
    for (TensorRef& tensor : plan.tensors) tensor.name = std::string(kMaxNameBytes, 'n');
    CHECK(refusal(std::move(plan)).find("at most 1048576 fit") != std::string::npos);
  }
  SUBCASE("opened sequences too large for their frame") {
    step.opens.resize(kMaxOpensPerStep);
    for (SequenceOpen& open : step.opens) open.params.logit_bias.resize(kMaxLogitBias, {1, 1.0f});
    CHECK(refusal(std::move(step)).find("at most 65536 fit") != std::string::npos);
  }
}

TEST_CASE("candidates of the whole of the largest vocabulary travel, asked for and answered") {
  StepFrame step = full_step();
  step.opens.push_back({.sequence = step.groups.front().sequence, .depth = kMaxVocabSize, .params = {}});
  CHECK(refusal(std::move(step)) == "");
  CandidateRow row;
  row.raw.resize(kMaxHeadBlocks);
  row.adjusted = row.raw;
  row.digests.resize(kMaxHeadBlocks);
  row.by_raw.resize(kMaxVocabSize);
  row.by_adjusted = row.by_noise = row.by_raw;
  CandidatesFrame answer;
  answer.groups = {RowGroup{.sequence = SequenceId{1}, .step = StepNumber{1}, .num_rows = 1}};
  answer.rows.push_back(std::move(row));
  const Message got = decoded(std::move(answer), Lane::Data);
  CHECK(std::get<CandidatesFrame>(got).rows.front().by_noise.size() == kMaxVocabSize);
}

TEST_CASE("a plan for the largest models we know fits its frame") {
  PlanMessage plan;
  plan.tensors.resize(4000);
  for (TensorRef& tensor : plan.tensors) tensor.name = "blk.123.attention_post_norm.weight";
  CHECK(refusal(std::move(plan)) == "");
}

TEST_CASE("reasons are made fit to travel, not refused") {
  Message got =
      decoded(Refused{std::string("line one\nline two \xff ") + std::string(3000, 'x')}, Lane::Control);
  const std::string& reason = std::get<Refused>(got).reason;
  CHECK(reason.starts_with("line one?line two ? xxx"));
  CHECK(reason.size() == kMaxReasonBytes);
}

TEST_CASE(
    "greetings of another protocol version are decoded, everything else of it is refused with both versions "
    "named") {
  Random random(4);
  Hello hello = std::get<Hello>(random_message(2, random));
  hello.protocol_version = 7;
  Message got = decoded(std::move(hello), Lane::Control);
  CHECK(std::get<Hello>(got).protocol_version == 7);

  JoinRequest request = std::get<JoinRequest>(random_message(0, random));
  request.protocol_version = 0;  // FlatBuffers leaves defaults out
  got = decoded(std::move(request), Lane::Join);
  CHECK(std::get<JoinRequest>(got).protocol_version == 0);

  Encoder encoder;
  Decoder decoder;
  EncodedMessage encoded;
  REQUIRE(encoder.encode(Activate{make_epoch(2, 7)}, encoded));
  std::vector<std::byte> bytes(encoded.header.begin(), encoded.header.end());
  bytes[32] = std::byte{9};  // the version, by the golden bytes above
  store(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  std::vector<Payload> frames;
  frames.push_back(Payload::owning(std::move(bytes)));
  const Result<Message> refused = decoder.decode(Lane::Control, frames);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::Unsupported);
  CHECK(refused.error().message() ==
        "the frame speaks protocol version 9, this process speaks 3: run the same release on every device");
}

TEST_CASE("a message is decoded on its own lane alone") {
  for (std::size_t kind = 0; kind < kNumMessageKinds; ++kind) {
    for (Lane lane : {Lane::Join, Lane::Control, Lane::Data, Lane::Bulk}) {
      CAPTURE(kind);
      Random random(kind);
      Encoder encoder;
      Decoder decoder;
      EncodedMessage encoded;
      Message message = random_message(kind, random);
      const Lane right = lane_of(message);
      REQUIRE(encoder.encode(std::move(message), encoded));
      std::vector<Payload> frames = to_frames(std::move(encoded));
      CHECK(decoder.decode(lane, frames).has_value() == (lane == right));
    }
  }
}

}  // namespace shoal
