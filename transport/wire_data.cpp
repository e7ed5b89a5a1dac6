// Header frames of the data and bulk lanes, and the frame of opened sequences.
#include "data_generated.h"
#include "opens_generated.h"
#include "transport/limits.h"
#include "transport/wire_flat.h"

namespace shoal::wire {
namespace {

static_assert(sizeof(fb::RowGroup) == 40);
// A full step: groups, ids, and what the rest of the tables can be at most. Tested with real ones too.
static_assert(kMaxGroupsPerStep * sizeof(fb::RowGroup) + kMaxRowsPerStep * sizeof(TokenId) + 256 <=
              kMaxHeaderBytes);

constexpr flatbuffers::uoffset_t kMaxHeaderTables = 2;  // the frame and its body
constexpr flatbuffers::uoffset_t kMaxOpensTables = 1 + kMaxOpensPerStep;

fb::RowGroup pack_group(const RowGroup& group) {
  return fb::RowGroup(raw(group.sequence), raw(group.step), group.first_position, group.num_rows,
                      group.adapter, group.flags, group.next_id, /*reserved=*/0);
}

RowGroup unpack_group(const fb::RowGroup& group) {
  return {.sequence = SequenceId{group.sequence()},
          .step = StepNumber{group.step()},
          .first_position = group.first_position(),
          .num_rows = group.num_rows(),
          .adapter = group.adapter(),
          .flags = group.flags(),
          .next_id = group.next_id()};
}

flatbuffers::Offset<flatbuffers::Vector<const fb::RowGroup*>> pack_groups(
    Builder& builder, const std::vector<RowGroup>& groups) {
  fb::RowGroup* out = nullptr;
  const auto offset = builder.CreateUninitializedVectorOfStructs(groups.size(), &out);
  for (std::size_t i = 0; i < groups.size(); ++i) out[i] = pack_group(groups[i]);
  return offset;
}

std::vector<RowGroup> unpack_groups(Unpacker& unpack, const flatbuffers::Vector<const fb::RowGroup*>* from) {
  const auto size = unpack.count(from, kMaxGroupsPerStep, "groups: more than 32");
  std::vector<RowGroup> groups;
  groups.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) groups.push_back(unpack_group(*from->Get(i)));
  return groups;
}

flatbuffers::Offset<fb::Step> pack(Builder& builder, const StepFrame& m) {
  const auto groups = pack_groups(builder, m.groups);
  const auto ids = builder.CreateVector(m.ids);
  return fb::CreateStep(builder, raw(m.epoch), raw(m.pipeline), m.stage, groups, ids, !m.opens.empty(),
                        static_cast<std::uint8_t>(m.dtype), m.sent_at_ns);
}
flatbuffers::Offset<fb::Candidates> pack(Builder& builder, const CandidatesFrame& m) {
  const auto groups = pack_groups(builder, m.groups);
  return fb::CreateCandidates(builder, raw(m.epoch), raw(m.pipeline), m.stage,
                              static_cast<std::uint32_t>(m.rows.size()), groups, m.sent_at_ns);
}
flatbuffers::Offset<fb::Ping> pack(Builder& builder, const Ping& m) {
  return fb::CreatePing(builder, m.nonce, raw(m.from));
}
flatbuffers::Offset<fb::Pong> pack(Builder& builder, const Pong& m) {
  return fb::CreatePong(builder, m.nonce);
}
flatbuffers::Offset<fb::ShardRequest> pack(Builder& builder, const ShardRequest& m) {
  const auto tensor = pack_sha256<fb::Digest>(m.tensor);
  return fb::CreateShardRequest(builder, &tensor, m.first_panel, m.num_panels);
}
flatbuffers::Offset<fb::ShardData> pack(Builder& builder, const ShardData& m) {
  const auto tensor = pack_sha256<fb::Digest>(m.tensor);
  const auto reason = pack_text(builder, m.reason);
  return fb::CreateShardData(builder, &tensor, m.first_panel, m.num_panels, reason);
}

void unpack_into(DataHeader& header, Unpacker& unpack, const fb::Step& from) {
  StepFrame m;
  m.epoch = Epoch{from.epoch()};
  m.pipeline = PipelineId{from.pipeline()};
  m.stage = from.stage();
  m.groups = unpack_groups(unpack, from.groups());
  m.ids = unpack.scalars(from.ids(), kMaxRowsPerStep, "ids: more than 512");
  m.dtype = static_cast<Dtype>(from.dtype());
  m.sent_at_ns = from.sent_at_ns();
  header.has_opens = from.has_opens();
  header.message = std::move(m);
}
void unpack_into(DataHeader& header, Unpacker& unpack, const fb::Candidates& from) {
  CandidatesFrame m;
  m.epoch = Epoch{from.epoch()};
  m.pipeline = PipelineId{from.pipeline()};
  m.stage = from.stage();
  m.groups = unpack_groups(unpack, from.groups());
  m.sent_at_ns = from.sent_at_ns();
  header.num_candidate_rows = from.num_rows();
  header.message = std::move(m);
}
void unpack_into(DataHeader& header, Unpacker&, const fb::Ping& from) {
  Ping m;
  m.nonce = from.nonce();
  m.from = DeviceId{from.from()};
  header.message = std::move(m);
}
void unpack_into(DataHeader& header, Unpacker&, const fb::Pong& from) {
  Pong m;
  m.nonce = from.nonce();
  header.message = std::move(m);
}
void unpack_into(DataHeader& header, Unpacker& unpack, const fb::ShardRequest& from) {
  const Sha256 tensor = unpack.sha256(from.tensor(), "ShardRequest.tensor: missing");
  header.message = ShardRequest{tensor, from.first_panel(), from.num_panels()};
}
void unpack_into(DataHeader& header, Unpacker& unpack, const fb::ShardData& from) {
  ShardData m;
  m.tensor = unpack.sha256(from.tensor(), "ShardData.tensor: missing");
  m.first_panel = from.first_panel();
  m.num_panels = from.num_panels();
  m.reason = unpack.text(from.reason(), kMaxReasonBytes, "ShardData.reason: too long");
  header.message = std::move(m);
}

template <typename Table>
void finish(Builder& builder, flatbuffers::Offset<Table> body, PayloadSeal payload) {
  fb::FinishDataFrameBuffer(
      builder, fb::CreateDataFrame(builder, kProtocolVersion, fb::DataBodyTraits<Table>::enum_value,
                                   body.Union(), payload.bytes, payload.crc32c));
}

// False: a kind of message we do not know.
bool unpack_body(DataHeader& header, Unpacker& unpack, const fb::DataFrame& frame) {
  switch (frame.body_type()) {
    case fb::DataBody::Step:
      unpack_into(header, unpack, *frame.body_as_Step());
      return true;
    case fb::DataBody::Candidates:
      unpack_into(header, unpack, *frame.body_as_Candidates());
      return true;
    case fb::DataBody::Ping:
      unpack_into(header, unpack, *frame.body_as_Ping());
      return true;
    case fb::DataBody::Pong:
      unpack_into(header, unpack, *frame.body_as_Pong());
      return true;
    case fb::DataBody::ShardRequest:
      unpack_into(header, unpack, *frame.body_as_ShardRequest());
      return true;
    case fb::DataBody::ShardData:
      unpack_into(header, unpack, *frame.body_as_ShardData());
      return true;
    case fb::DataBody::NONE:
      break;
  }
  return false;
}

flatbuffers::Offset<fb::SequenceOpen> pack_open(Builder& builder, const SequenceOpen& open) {
  const SamplingParams& p = open.params;
  flatbuffers::Offset<flatbuffers::Vector<const fb::LogitBias*>> bias;
  if (!p.logit_bias.empty()) {
    fb::LogitBias* out = nullptr;
    bias = builder.CreateUninitializedVectorOfStructs(p.logit_bias.size(), &out);
    for (std::size_t i = 0; i < p.logit_bias.size(); ++i)
      out[i] = fb::LogitBias(p.logit_bias[i].id, p.logit_bias[i].bias);
  }
  return fb::CreateSequenceOpen(builder, raw(open.sequence), open.depth, p.temperature, p.top_k, p.top_p,
                                p.min_p, p.repeat_penalty, p.repeat_last_n, p.presence_penalty,
                                p.frequency_penalty, p.seed, p.top_logprobs, p.answer_begin, bias);
}

SequenceOpen unpack_open(Unpacker& unpack, const fb::SequenceOpen& from) {
  SequenceOpen open{.sequence = SequenceId{from.sequence()}, .depth = from.depth(), .params = {}};
  SamplingParams& p = open.params;
  p.temperature = from.temperature();
  p.top_k = from.top_k();
  p.top_p = from.top_p();
  p.min_p = from.min_p();
  p.repeat_penalty = from.repeat_penalty();
  p.repeat_last_n = from.repeat_last_n();
  p.presence_penalty = from.presence_penalty();
  p.frequency_penalty = from.frequency_penalty();
  p.seed = from.seed();
  p.top_logprobs = from.top_logprobs();
  p.answer_begin = from.answer_begin();
  const auto size = unpack.count(from.logit_bias(), kMaxLogitBias, "opens.params.logit_bias: too many");
  p.logit_bias.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) {
    p.logit_bias.push_back(
        {.id = from.logit_bias()->Get(i)->id(), .bias = from.logit_bias()->Get(i)->bias()});
  }
  return open;
}

}  // namespace

void pack_data(Builder& builder, const Message& message, PayloadSeal payload) {
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { pack(builder, m); }) {
          finish(builder, pack(builder, m), payload);
        } else {
          SHOAL_CHECK(false && "a control message in a data frame");
        }
      },
      message);
}

Result<DataHeader> unpack_data(Bytes aligned) {
  flatbuffers::Verifier verifier(as_u8(aligned), aligned.size(), verifier_limits(kMaxHeaderTables));
  if (!fb::VerifyDataFrameBuffer(verifier))
    return corrupt("header frame: not a verified FlatBuffer of this lane");
  const fb::DataFrame& frame = *fb::GetDataFrame(aligned.data());
  if (frame.protocol_version() != kProtocolVersion) return other_version(frame.protocol_version());
  if (!frame.body()) return corrupt("header frame: no message in it");
  DataHeader header;
  header.payload = {.bytes = frame.payload_bytes(), .crc32c = frame.payload_crc32c()};
  Unpacker unpack;
  if (!unpack_body(header, unpack, frame)) return corrupt("header frame: unknown kind of message");
  if (unpack.wrong()) return corrupt(unpack.wrong());
  return header;
}

void pack_opens(Builder& builder, const std::vector<SequenceOpen>& opens) {
  std::array<flatbuffers::Offset<fb::SequenceOpen>, kMaxOpensPerStep> tables;
  for (std::size_t i = 0; i < opens.size(); ++i) tables[i] = pack_open(builder, opens[i]);
  fb::FinishOpensBuffer(builder, fb::CreateOpens(builder, builder.CreateVector(tables.data(), opens.size())));
}

Result<std::vector<SequenceOpen>> unpack_opens(Bytes aligned) {
  flatbuffers::Verifier verifier(as_u8(aligned), aligned.size(), verifier_limits(kMaxOpensTables));
  if (!fb::VerifyOpensBuffer(verifier))
    return corrupt("opens frame: not a verified FlatBuffer of opened sequences");
  const fb::Opens& frame = *fb::GetOpens(aligned.data());
  Unpacker unpack;
  std::vector<SequenceOpen> opens;
  const auto size = unpack.count(frame.opens(), kMaxOpensPerStep, "opens: too many");
  opens.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i)
    opens.push_back(unpack_open(unpack, *frame.opens()->Get(i)));
  if (unpack.wrong()) return corrupt(unpack.wrong());
  if (opens.empty()) return corrupt("opens frame: empty");
  return opens;
}

}  // namespace shoal::wire
