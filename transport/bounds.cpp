#include "transport/bounds.h"

#include <cmath>

#include "base/checked_math.h"
#include "transport/endpoint.h"
#include "transport/limits.h"
#include "transport/z85.h"

namespace shoal {
namespace {

// Length of the well-formed UTF-8 character at text[at], 0 if there is none. Source: Unicode 15, table 3-7.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool past_end = first == 0xF4 && byte(1) > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !past_end ? 4 : 0;
  }
  return 0;
}

bool is_control(std::string_view text, std::size_t at, std::size_t length) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (length == 1) return byte < 0x20 || byte == 0x7F;
  return length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;  // C1 controls
}

bool is_text(std::string_view text, std::size_t max_bytes) {
  return text.size() <= max_bytes && is_printable(text);
}
bool is_name(std::string_view text) { return !text.empty() && is_text(text, kMaxNameBytes); }
bool is_reason(std::string_view text) { return is_text(text, kMaxReasonBytes); }
bool is_amount(double value) { return std::isfinite(value) && value >= 0; }
bool is_range(Range range) { return range.begin <= range.end && range.end <= kMaxUnits; }
bool is_device(DeviceId device) { return raw(device) < kMaxDevices; }
bool is_address(const std::string& text) {
  const Result<Endpoint> endpoint = parse_endpoint(text);
  return endpoint && endpoint->port != 0;
}

std::uint64_t total_size(const std::vector<Payload>& payload) {
  std::uint64_t size = 0;
  for (const Payload& part : payload) size += part.size();
  return size;
}

const char* check(const JoinRequest& m) {
  if (!is_z85_key(m.public_key)) return "JoinRequest.public_key: not 40 characters of Z85";
  if (!is_name(m.name)) return "JoinRequest.name: empty, too long or not printable";
  return nullptr;
}

const char* check(const JoinReply& m) {
  if (!is_reason(m.reason)) return "JoinReply.reason: too long or not printable";
  if (!is_device(m.device)) return "JoinReply.device: too large";
  if (m.admitted && (m.control_port == 0 || m.data_port == 0 || m.bulk_port == 0))
    return "JoinReply: a port is missing";
  return nullptr;
}

const char* check(const Hello& m) {
  if (!is_name(m.name)) return "Hello.name: empty, too long or not printable";
  if (!is_text(m.host, kMaxNameBytes)) return "Hello.host: too long or not printable";
  if (!is_address(m.inbox)) return "Hello.inbox: no tcp:// endpoint with a port";
  if (m.num_threads == 0 || m.num_threads > kMaxThreads) return "Hello.num_threads: not between 1 and 1024";
  if (!is_text(m.kernels, kMaxNameBytes)) return "Hello.kernels: too long or not printable";
  return nullptr;
}

const char* check_work(const StageWork& m) {
  if (m.stage >= kMaxStages || m.row_class >= kNumRowClasses) return "Beat.work: no such stage or class";
  if (m.steps == 0 || m.idle_steps > m.steps || m.wanted_rows > m.rows)
    return "Beat.work: steps or rows that are none, or more than all";
  if (m.rows > std::uint64_t{m.steps} * kMaxRowsPerStep || m.context > std::uint64_t{m.rows} * kMaxPosition)
    return "Beat.work: more rows or positions than its steps hold";
  if (!is_amount(m.seconds) || !is_amount(m.hand_over_seconds)) return "Beat.work: not a duration";
  // The difference of two clocks may be anything, but it is a number.
  if (!std::isfinite(m.transit_seconds) || !std::isfinite(m.least_transit_seconds))
    return "Beat.work.transit_seconds: not finite";
  return nullptr;
}

const char* check(const Beat& m) {
  if (m.free_kv_blocks.size() > kMaxKvKinds) return "Beat.free_kv_blocks: too many kinds";
  if (m.work.size() > kMaxStageWork) return "Beat.work: too much";
  for (const StageWork& work : m.work) {
    if (const char* wrong = check_work(work)) return wrong;
  }
  const bool is_share = m.heat.clock_share > 0 && m.heat.clock_share <= 1;
  if (!std::isfinite(m.heat.celsius) || !is_share) return "Beat.heat: not a temperature and a share";
  return nullptr;
}

const char* check(const StageStatus& m) {
  if (m.state > StageState::Failed) return "StageStatus.state: unknown";
  if (!is_reason(m.reason)) return "StageStatus.reason: too long or not printable";
  return nullptr;
}

const char* check(const ProfileReport& m) {
  if (m.units.size() > kMaxUnits) return "ProfileReport.units: too many";
  if (!is_amount(m.read_bytes_per_second)) return "ProfileReport.read_bytes_per_second: not a rate";
  if (!is_amount(m.hand_over_seconds)) return "ProfileReport.hand_over_seconds: not a duration";
  for (const LayerProfile& unit : m.units) {
    if (unit.unit >= kMaxUnits) return "ProfileReport.units: unit too large";
    for (const double figure : {unit.seconds_batch1, unit.seconds_batch32, unit.seconds_per_1k_context,
                                unit.seconds_chunk, unit.chunk_seconds_per_1k_context}) {
      if (!is_amount(figure)) return "ProfileReport.units: not a duration";
    }
  }
  return nullptr;
}

const char* check(const LinkReport& m) {
  if (m.links.size() > kMaxDevices) return "LinkReport.links: too many";
  for (const LinkMeasurement& link : m.links) {
    if (!is_device(link.to)) return "LinkReport.links: device too large";
    if (!is_amount(link.latency_seconds) || !is_amount(link.bytes_per_second))
      return "LinkReport.links: not a measurement";
  }
  return nullptr;
}

const char* check(const StepRefused& m) {
  if (m.stage >= kMaxStages) return "StepRefused.stage: too large";
  if (m.reason > RefusalReason::Lost) return "StepRefused.reason: unknown";
  if (!is_reason(m.detail)) return "StepRefused.detail: too long or not printable";
  return nullptr;
}

const char* check(const PeerUnreachable& m) {
  return is_device(m.device) ? nullptr : "PeerUnreachable.device: too large";
}
const char* check(const Welcome& m) { return is_device(m.device) ? nullptr : "Welcome.device: too large"; }
const char* check(const Refused& m) {
  return is_reason(m.reason) ? nullptr : "Refused.reason: too long or not printable";
}
const char* check(const Activate&) { return nullptr; }
const char* check(const Goodbye& m) {
  return is_reason(m.reason) ? nullptr : "Goodbye.reason: too long or not printable";
}

const char* check_tensors(const std::vector<TensorRef>& tensors) {
  if (tensors.size() > kMaxTensorsPerPlan) return "tensors: too many";
  for (const TensorRef& tensor : tensors) {
    if (!is_name(tensor.name)) return "tensors.name: empty, too long or not printable";
    if (tensor.unit >= kMaxUnits) return "tensors.unit: too large";
    const std::optional<std::uint64_t> values = checked_mul(tensor.rows, tensor.cols);
    if (!values || *values > std::uint64_t{1} << 48) return "tensors: rows times cols too large";
  }
  return nullptr;
}

const char* check_peers(const std::vector<PeerAddress>& peers) {
  if (peers.size() > kMaxDevices) return "peers: too many";
  for (const PeerAddress& peer : peers) {
    if (!is_device(peer.device)) return "peers.device: too large";
    if (!is_address(peer.inbox)) return "peers.inbox: no tcp:// endpoint with a port";
    if (!is_z85_key(peer.public_key)) return "peers.public_key: not 40 characters of Z85";
  }
  return nullptr;
}

const char* check(const ProfileRequest& m) {
  if (m.config.size() > kMaxConfigBytes) return "ProfileRequest.config: too large";
  return check_tensors(m.tensors);
}
const char* check(const ProbeLinks& m) {
  if (m.decode_bytes > kMaxPingBytes || m.prefill_bytes > kMaxPingBytes)
    return "ProbeLinks: too large frames";
  return check_peers(m.peers);
}

const char* check(const PlanMessage& m) {
  if (m.config.size() > kMaxConfigBytes) return "PlanMessage.config: too large";
  if (m.stages.size() > kMaxStages) return "PlanMessage.stages: too many";
  for (const StageAssignment& stage : m.stages) {
    if (!is_device(stage.device)) return "PlanMessage.stages: device too large";
    if (!is_range(stage.units) || !is_range(stage.head_blocks)) return "PlanMessage.stages: not a range";
  }
  if (m.max_rows > kMaxRowsPerStep) return "PlanMessage.max_rows: more than one step holds";
  if (m.max_context > kMaxPosition) return "PlanMessage.max_context: too large";
  if (m.kv_blocks.size() > kMaxKvKinds) return "PlanMessage.kv_blocks: too many kinds";
  if (const char* wrong = check_peers(m.peers)) return wrong;
  return check_tensors(m.tensors);
}

// The rows that the groups stand for, or what is wrong with them.
const char* check_groups(const std::vector<RowGroup>& groups, std::uint32_t& num_rows) {
  constexpr std::uint32_t kKnownFlags = kWantsLastRow | kWantsAllRows | kWantsDigest | kCloses;
  if (groups.empty() || groups.size() > kMaxGroupsPerStep) return "groups: none, or more than 32";
  num_rows = 0;
  for (const RowGroup& group : groups) {
    if (group.num_rows > kMaxRowsPerStep) return "groups.num_rows: too many";
    if ((group.flags & ~kKnownFlags) != 0) return "groups.flags: unknown flag";
    if ((group.num_rows == 0) != ((group.flags & kCloses) != 0))
      return "groups: without rows, and not closing (or the reverse)";
    if (group.first_position > kMaxPosition) return "groups.first_position: too large";
    if (group.next_id < -1) return "groups.next_id: below -1";
    num_rows += group.num_rows;
  }
  return num_rows <= kMaxRowsPerStep ? nullptr : "groups: more than 512 rows";
}

const char* check_sampling(const SamplingParams& params) {
  const float all[] = {
      params.temperature,      params.top_p, params.min_p, params.repeat_penalty, params.presence_penalty,
      params.frequency_penalty};
  for (float value : all) {
    if (!std::isfinite(value)) return "opens.params: not finite";
  }
  if (params.temperature < 0 || params.repeat_penalty <= 0)
    return "opens.params: temperature or repeat_penalty below its bound";
  if (params.top_p < 0 || params.top_p > 1 || params.min_p < 0 || params.min_p > 1)
    return "opens.params: top_p or min_p not in [0, 1]";
  if (params.top_logprobs > kMaxTopLogprobs) return "opens.params.top_logprobs: too many";
  if (params.answer_begin > kMaxPosition) return "opens.params.answer_begin: too large";
  if (params.logit_bias.size() > kMaxLogitBias) return "opens.params.logit_bias: too many";
  for (const LogitBias& entry : params.logit_bias) {
    if (entry.id < 0 || !std::isfinite(entry.bias)) return "opens.params.logit_bias: a bad id or bias";
  }
  return nullptr;
}

const char* check_opens(const std::vector<SequenceOpen>& opens) {
  if (opens.size() > kMaxOpensPerStep) return "opens: too many";
  for (const SequenceOpen& open : opens) {
    if (open.depth > kMaxCandidates) return "opens.depth: too deep";
    if (const char* wrong = check_sampling(open.params)) return wrong;
  }
  return nullptr;
}

const char* check(const StepFrame& m) {
  if (m.stage >= kMaxStages) return "StepFrame.stage: too large";
  std::uint32_t num_rows = 0;
  if (const char* wrong = check_groups(m.groups, num_rows)) return wrong;
  if (m.ids.size() != num_rows) return "StepFrame.ids: not one per row";
  for (TokenId id : m.ids) {
    if (id < 0) return "StepFrame.ids: negative";
  }
  if (m.dtype > Dtype::F32) return "StepFrame.dtype: unknown";
  const std::uint64_t bytes = total_size(m.payload);
  if ((m.dtype == Dtype::None) != (bytes == 0)) return "StepFrame: payload without a dtype (or the reverse)";
  if (bytes > num_rows * kMaxHiddenSize * sizeof(float))
    return "StepFrame.payload: more than its rows can be";
  for (const Payload& part : m.payload) {
    if (part.size() % sizeof(float) != 0) return "StepFrame.payload: not whole values";
  }
  return check_opens(m.opens);
}

// A row's whole vocabulary fits one message: every depth that may be asked for can be answered.
static_assert(std::uint64_t{3} * kMaxCandidates * sizeof(Candidate) +
                  kMaxHeadBlocks * (2 * sizeof(BlockSum) + sizeof(std::uint64_t)) + 64 <=
              kMaxPayloadBytes);

const char* check_row(const CandidateRow& row) {
  if (row.position > kMaxPosition) return "CandidatesFrame.rows.position: too large";
  if (row.raw.size() > kMaxHeadBlocks || row.first_block >= kMaxUnits)
    return "CandidatesFrame.rows: too many blocks";
  if (!row.adjusted.empty() && row.adjusted.size() != row.raw.size())
    return "CandidatesFrame.rows.adjusted: not one per block";
  if (!row.digests.empty() && row.digests.size() != row.raw.size())
    return "CandidatesFrame.rows.digests: not one per block";
  for (const auto* list : {&row.by_raw, &row.by_adjusted, &row.by_noise}) {
    if (list->size() > kMaxCandidates) return "CandidatesFrame.rows: too many candidates";
    for (const Candidate& candidate : *list) {
      if (candidate.id < 0) return "CandidatesFrame.rows: negative token id";
    }
  }
  return nullptr;
}

const char* check(const CandidatesFrame& m) {
  if (m.stage >= kMaxStages) return "CandidatesFrame.stage: too large";
  std::uint32_t num_rows = 0;
  if (const char* wrong = check_groups(m.groups, num_rows)) return wrong;
  if (m.rows.size() > num_rows) return "CandidatesFrame.rows: more than were asked for";
  for (const CandidateRow& row : m.rows) {
    if (const char* wrong = check_row(row)) return wrong;
  }
  return nullptr;
}

const char* check(const Ping& m) {
  if (!is_device(m.from)) return "Ping.from: too large";
  if (total_size(m.payload) > kMaxPingBytes) return "Ping: too large";
  return nullptr;
}
const char* check(const Pong& m) {
  return total_size(m.payload) > kMaxPingBytes ? "Pong: too large" : nullptr;
}

bool are_panels(std::uint32_t first, std::uint32_t count) {
  return first < kMaxPanels && count <= kMaxPanels - first;
}

const char* check(const ShardRequest& m) {
  return m.num_panels > 0 && are_panels(m.first_panel, m.num_panels) ? nullptr
                                                                     : "ShardRequest: no panels, or too many";
}
const char* check(const ShardData& m) {
  if (!are_panels(m.first_panel, m.num_panels)) return "ShardData: too many panels";
  if (!is_reason(m.reason)) return "ShardData.reason: too long or not printable";
  const std::uint64_t bytes = total_size(m.payload);
  if ((m.num_panels == 0) != (bytes == 0)) return "ShardData: panels without bytes (or the reverse)";
  return bytes <= kMaxShardBytes ? nullptr : "ShardData.payload: too large";
}

}  // namespace

const char* out_of_bounds(const Message& message) {
  return std::visit([](const auto& m) { return check(m); }, message);
}

bool is_printable(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text, at);
    if (length == 0 || is_control(text, at, length)) return false;
    at += length;
  }
  return true;
}

}  // namespace shoal
