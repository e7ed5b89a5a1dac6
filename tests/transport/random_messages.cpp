#include "tests/transport/random_messages.h"

#include "transport/limits.h"
#include "transport/z85.h"

namespace shoal {
namespace {

std::uint32_t u32(Random& random) { return static_cast<std::uint32_t>(random.next()); }
std::uint32_t u32(Random& random, std::uint32_t count) {
  return static_cast<std::uint32_t>(random.below(count));
}
double amount(Random& random) { return static_cast<double>(random.next() % 1000003) / 997.0; }

std::string text(Random& random, std::size_t max_bytes) {
  static constexpr std::string_view kPieces[] = {"a", "Z", "7", "-", " ", "é", "漢", "🐟", "_", "/"};
  std::string result = "x";
  const std::size_t target = random.below(max_bytes - 4);
  while (result.size() < target) result += kPieces[random.below(std::size(kPieces))];
  return result;
}

Sha256 digest(Random& random) {
  Sha256 bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}
std::string key(Random& random) { return z85_encode(digest(random)); }
std::string endpoint(Random& random) {
  const std::string number = std::to_string(1 + random.below(250));
  const std::string host = random.below(2) ? "[fe80::" + number + "]" : "10.77.0." + number;
  return "tcp://" + host + ":" + std::to_string(1 + random.below(65535));
}
std::vector<std::byte> bytes(Random& random, std::size_t size) {
  std::vector<std::byte> result(size);
  for (std::byte& byte : result) byte = static_cast<std::byte>(random.next());
  return result;
}
std::vector<std::uint32_t> numbers(Random& random, std::size_t max) {
  std::vector<std::uint32_t> result(random.below(max + 1));
  for (std::uint32_t& number : result) number = u32(random);
  return result;
}
std::vector<Payload> payload(Random& random, std::size_t size) {
  std::vector<Payload> parts;
  while (size > 0) {
    const std::size_t part = std::min(size, kMaxPayloadChunkBytes);
    parts.push_back(Payload::owning(bytes(random, part)));
    size -= part;
  }
  return parts;
}
Range range(Random& random) {
  const std::uint32_t begin = u32(random, 100);
  return {begin, begin + u32(random, 100)};
}
std::vector<TensorRef> tensors(Random& random) {
  std::vector<TensorRef> result(random.below(40));
  for (TensorRef& t : result) {
    t = {static_cast<std::uint8_t>(random.next()),
         u32(random, 300),
         text(random, kMaxNameBytes),
         u32(random),
         random.below(1 << 20),
         random.below(1 << 20),
         random.below(2) == 1,
         digest(random)};
  }
  return result;
}
std::vector<PeerAddress> peers(Random& random) {
  std::vector<PeerAddress> result(random.below(9));
  for (PeerAddress& peer : result) peer = {DeviceId{u32(random, kMaxDevices)}, endpoint(random), key(random)};
  return result;
}
std::vector<RowGroup> groups(Random& random, std::uint32_t num_groups, std::uint32_t num_rows) {
  std::vector<RowGroup> result(num_groups);
  for (std::uint32_t i = 0; i < num_groups; ++i) {
    const std::uint32_t rows =
        i + 1 < num_groups ? num_rows / num_groups : num_rows - (num_groups - 1) * (num_rows / num_groups);
    const std::uint32_t flags = rows == 0 ? std::uint32_t{kCloses} : u32(random, 8);
    result[i] = {SequenceId{random.next()},
                 StepNumber{random.next()},
                 u32(random, 100000),
                 rows,
                 u32(random, 4),
                 flags,
                 static_cast<TokenId>(random.below(1000)) - 1};
  }
  return result;
}
std::vector<SequenceOpen> opens(Random& random) {
  std::vector<SequenceOpen> result(random.below(5));
  for (SequenceOpen& open : result) {
    open.sequence = SequenceId{random.next()};
    open.depth = u32(random, 1000);
    open.params = {.temperature = random.uniform(),
                   .top_k = u32(random, 100),
                   .top_p = random.uniform(),
                   .min_p = random.uniform(),
                   .repeat_penalty = 1 + random.uniform(),
                   .repeat_last_n = u32(random),
                   .presence_penalty = random.normal(),
                   .frequency_penalty = random.normal(),
                   .seed = random.next(),
                   .top_logprobs = u32(random, kMaxTopLogprobs + 1),
                   .answer_begin = u32(random, 4000),
                   .logit_bias = {}};
    open.params.logit_bias.resize(random.below(kMaxLogitBias + 1));
    for (LogitBias& bias : open.params.logit_bias)
      bias = {static_cast<TokenId>(random.below(50000)), random.normal()};
  }
  return result;
}
std::vector<Candidate> candidates(Random& random, std::uint32_t size) {
  std::vector<Candidate> result(size);
  for (Candidate& c : result)
    c = {static_cast<TokenId>(random.below(50000)), random.normal(), random.normal(), random.normal()};
  return result;
}
CandidateRow candidate_row(Random& random, std::uint32_t num_blocks, std::uint32_t num_best) {
  CandidateRow row;
  row.sequence = SequenceId{random.next()};
  row.step = StepNumber{random.next()};
  row.position = u32(random, 100000);
  row.first_block = u32(random, 100);
  row.raw.resize(num_blocks);
  for (BlockSum& sum : row.raw) sum = {random.normal(), random.uniform()};
  if (random.below(2)) row.adjusted = row.raw;
  if (random.below(2)) row.digests.assign(num_blocks, random.next());
  row.by_raw = candidates(random, u32(random, num_best + 1));
  row.by_adjusted = candidates(random, u32(random, num_best + 1));
  row.by_noise = candidates(random, u32(random, num_best + 1));
  row.target_logit = random.normal();
  row.has_target = random.below(2) == 1;
  return row;
}

Hello hello(Random& random) {
  Hello m;
  m.arithmetic_version = u32(random);
  m.arithmetic_digest = random.next();
  m.panel_layout_version = u32(random);
  m.instance = random.next();
  m.name = text(random, kMaxNameBytes);
  m.host = text(random, kMaxNameBytes);
  m.pid = u32(random);
  m.inbox = endpoint(random);
  m.memory_bytes = random.next();
  m.num_threads = 1 + u32(random, kMaxThreads);
  m.kernels = text(random, 20);
  m.epoch = Epoch{random.next()};
  return m;
}
Beat beat(Random& random) {
  return {Epoch{random.next()},
          random.next(),
          random.next(),
          random.next(),
          random.next(),
          random.next(),
          numbers(random, kMaxKvKinds),
          u32(random),
          amount(random),
          u32(random),
          amount(random)};
}
PlanMessage plan(Random& random) {
  PlanMessage m;
  m.epoch = Epoch{random.next()};
  m.pipeline = PipelineId{u32(random)};
  m.model = digest(random);
  m.config = bytes(random, random.below(3000));
  m.stages.resize(random.below(9));
  for (StageAssignment& stage : m.stages)
    stage = {DeviceId{u32(random, kMaxDevices)}, range(random), range(random)};
  m.peers = peers(random);
  m.tensors = tensors(random);
  m.max_context = u32(random, 100000);
  m.max_rows = u32(random, kMaxRowsPerStep + 1);
  m.max_sequences = u32(random);
  m.kv_blocks = numbers(random, kMaxKvKinds);
  m.log_bytes = u32(random);
  m.kv_type = static_cast<std::uint8_t>(random.below(256));
  return m;
}
ProfileReport profile(Random& random) {
  ProfileReport m{digest(random), std::vector<LayerProfile>(random.below(9)), amount(random)};
  for (LayerProfile& unit : m.units)
    unit = {u32(random, kMaxUnits), amount(random), amount(random), amount(random)};
  return m;
}
LinkReport links(Random& random) {
  LinkReport m{std::vector<LinkMeasurement>(random.below(9))};
  for (LinkMeasurement& link : m.links)
    link = {DeviceId{u32(random, kMaxDevices)}, amount(random), amount(random)};
  return m;
}
ShardData shard_data(Random& random) {
  ShardData m;
  m.tensor = digest(random);
  m.first_panel = u32(random, 1000);
  if (random.below(4) == 0) {
    m.reason = text(random, kMaxReasonBytes);
  } else {
    m.num_panels = 1 + u32(random, 1000);
    m.payload = payload(random, 1 + random.below(kMaxShardBytes));
  }
  return m;
}

}  // namespace

StepFrame random_step(Random& random, std::uint32_t num_groups, std::uint32_t num_rows,
                      std::size_t row_bytes) {
  StepFrame m;
  m.epoch = Epoch{random.next()};
  m.pipeline = PipelineId{u32(random)};
  m.stage = u32(random, kMaxStages);
  m.groups = groups(random, num_groups, num_rows);
  m.ids.resize(num_rows);
  for (TokenId& id : m.ids) id = static_cast<TokenId>(random.below(300000));
  m.payload = payload(random, num_rows * row_bytes);
  m.dtype = m.payload.empty() ? Dtype::None : Dtype::F32;
  m.sent_at_ns = random.next();
  return m;
}

CandidatesFrame random_candidates(Random& random, std::uint32_t num_rows, std::uint32_t num_blocks,
                                  std::uint32_t num_best) {
  CandidatesFrame m;
  m.epoch = Epoch{random.next()};
  m.pipeline = PipelineId{u32(random)};
  m.stage = u32(random, kMaxStages);
  m.groups = groups(random, std::min(num_rows, 1 + u32(random, kMaxGroupsPerStep)), num_rows);
  for (std::uint32_t i = 0; i < num_rows; ++i) m.rows.push_back(candidate_row(random, num_blocks, num_best));
  return m;
}

Message random_message(std::size_t kind, Random& random) {
  const Epoch epoch{random.next()};
  const DeviceId device{u32(random, kMaxDevices)};
  const auto port = [&] { return static_cast<std::uint16_t>(1 + random.below(65535)); };
  switch (kind) {
    case 0:
      return JoinRequest{kProtocolVersion, key(random), text(random, kMaxNameBytes)};
    case 1:
      return JoinReply{random.below(2) == 1, text(random, kMaxReasonBytes), device, port(), port(), port()};
    case 2:
      return hello(random);
    case 3:
      return beat(random);
    case 4:
      return StageStatus{epoch,         static_cast<StageState>(random.below(3)),
                         random.next(), random.next(),
                         random.next(), random.next(),
                         random.next(), text(random, kMaxReasonBytes)};
    case 5:
      return profile(random);
    case 6:
      return links(random);
    case 7:
      return StepRefused{epoch,
                         u32(random, kMaxStages),
                         SequenceId{random.next()},
                         StepNumber{random.next()},
                         StepNumber{random.next()},
                         static_cast<RefusalReason>(random.below(5)),
                         text(random, kMaxReasonBytes)};
    case 8:
      return PeerUnreachable{epoch, device};
    case 9:
      return Welcome{device, epoch};
    case 10:
      return Refused{text(random, kMaxReasonBytes)};
    case 11:
      return ProfileRequest{digest(random), bytes(random, random.below(3000)), tensors(random)};
    case 12:
      return ProbeLinks{peers(random)};
    case 13:
      return plan(random);
    case 14:
      return Activate{epoch};
    case 15:
      return Goodbye{text(random, kMaxReasonBytes)};
    case 16: {
      const std::uint32_t num_groups = 1 + u32(random, kMaxGroupsPerStep);
      const std::size_t row_bytes = random.below(3) == 0 ? 0 : 4 * (1 + random.below(700));
      StepFrame step = random_step(random, num_groups, u32(random, kMaxRowsPerStep + 1), row_bytes);
      step.opens = opens(random);
      return step;
    }
    case 17:
      return random_candidates(random, 1 + u32(random, 40), u32(random, 60), 50);
    case 18:
      return Ping{random.next(), device, payload(random, random.below(600000))};
    case 19:
      return Pong{random.next(), payload(random, random.below(600000))};
    case 20:
      return ShardRequest{digest(random), u32(random, 1000), 1 + u32(random, 1000)};
    default:
      return shard_data(random);
  }
}

}  // namespace shoal
