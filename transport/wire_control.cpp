// Frames of the join and control lanes.
#include "control_generated.h"
#include "transport/limits.h"
#include "transport/wire_flat.h"

namespace shoal::wire {
namespace {

// The frame, its body and the body's tables: a plan's tensors and peers.
constexpr flatbuffers::uoffset_t kMaxControlTables = 2 + kMaxTensorsPerPlan + kMaxDevices;

flatbuffers::Offset<void> pack_body(Builder& builder, const JoinRequest& m) {
  const auto key = pack_text(builder, m.public_key);
  const auto name = pack_text(builder, m.name);
  return fb::CreateJoinRequest(builder, key, name).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const JoinReply& m) {
  const auto reason = pack_text(builder, m.reason);
  return fb::CreateJoinReply(builder, m.admitted, reason, raw(m.device), m.control_port, m.data_port,
                             m.bulk_port)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Hello& m) {
  const auto name = pack_text(builder, m.name);
  const auto host = pack_text(builder, m.host);
  const auto inbox = pack_text(builder, m.inbox);
  const auto kernels = pack_text(builder, m.kernels);
  return fb::CreateHello(builder, m.arithmetic_version, m.arithmetic_digest, m.panel_layout_version,
                         m.instance, name, host, m.pid, inbox, m.memory_bytes, m.num_threads, kernels,
                         raw(m.epoch), m.profile_key)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Welcome& m) {
  return fb::CreateWelcome(builder, raw(m.device), raw(m.epoch)).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Refused& m) {
  return fb::CreateRefused(builder, pack_text(builder, m.reason)).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Beat& m) {
  std::vector<fb::StageWork> work;
  for (const StageWork& w : m.work) {
    work.emplace_back(w.stage, w.row_class, w.steps, w.rows, w.wanted_rows, w.idle_steps, w.context,
                      w.seconds, w.hand_over_seconds, w.transit_seconds, w.least_transit_seconds);
  }
  const auto blocks = pack_u32(builder, m.free_kv_blocks);
  const auto work_vector = builder.CreateVectorOfStructs(work);
  const fb::Heat heat(m.heat.celsius, m.heat.clock_share, m.heat.throttled);
  return fb::CreateBeat(builder, raw(m.epoch), m.finished_work, m.busy, m.resident_bytes, m.rejected_frames,
                        m.steps_taken, blocks, work_vector, &heat)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const StageStatus& m) {
  const auto reason = pack_text(builder, m.reason);
  return fb::CreateStageStatus(builder, raw(m.epoch), static_cast<std::uint8_t>(m.state), m.bytes_total,
                               m.bytes_present, m.bytes_received, m.scratch_bytes, m.kv_bytes, reason)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const ProfileReport& m) {
  std::vector<fb::LayerProfile> units;
  for (const LayerProfile& unit : m.units) {
    units.emplace_back(unit.unit, unit.seconds_batch1, unit.seconds_batch32, unit.seconds_per_1k_context,
                       unit.seconds_chunk, unit.chunk_seconds_per_1k_context);
  }
  const auto vector = builder.CreateVectorOfStructs(units);
  const auto model = pack_sha256<fb::Sha256>(m.model);
  return fb::CreateProfileReport(builder, &model, vector, m.read_bytes_per_second, m.hand_over_seconds)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const LinkReport& m) {
  std::vector<fb::LinkMeasurement> links;
  for (const LinkMeasurement& link : m.links)
    links.emplace_back(raw(link.to), link.latency_seconds, link.bytes_per_second);
  return fb::CreateLinkReport(builder, builder.CreateVectorOfStructs(links)).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const StepRefused& m) {
  const auto detail = pack_text(builder, m.detail);
  return fb::CreateStepRefused(builder, raw(m.epoch), m.stage, raw(m.sequence), raw(m.step), raw(m.expected),
                               static_cast<std::uint8_t>(m.reason), detail)
      .Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const PeerUnreachable& m) {
  return fb::CreatePeerUnreachable(builder, raw(m.epoch), raw(m.device)).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Activate& m) {
  return fb::CreateActivate(builder, raw(m.epoch)).Union();
}
flatbuffers::Offset<void> pack_body(Builder& builder, const Goodbye& m) {
  return fb::CreateGoodbye(builder, pack_text(builder, m.reason)).Union();
}

// clang-format off
fb::ControlBody kind_of(const JoinRequest&)     { return fb::ControlBody::JoinRequest; }
fb::ControlBody kind_of(const JoinReply&)       { return fb::ControlBody::JoinReply; }
fb::ControlBody kind_of(const Hello&)           { return fb::ControlBody::Hello; }
fb::ControlBody kind_of(const Welcome&)         { return fb::ControlBody::Welcome; }
fb::ControlBody kind_of(const Refused&)         { return fb::ControlBody::Refused; }
fb::ControlBody kind_of(const Beat&)            { return fb::ControlBody::Beat; }
fb::ControlBody kind_of(const StageStatus&)     { return fb::ControlBody::StageStatus; }
fb::ControlBody kind_of(const ProfileReport&)   { return fb::ControlBody::ProfileReport; }
fb::ControlBody kind_of(const LinkReport&)      { return fb::ControlBody::LinkReport; }
fb::ControlBody kind_of(const StepRefused&)     { return fb::ControlBody::StepRefused; }
fb::ControlBody kind_of(const PeerUnreachable&) { return fb::ControlBody::PeerUnreachable; }
fb::ControlBody kind_of(const ProfileRequest&)  { return fb::ControlBody::ProfileRequest; }
fb::ControlBody kind_of(const ProbeLinks&)      { return fb::ControlBody::ProbeLinks; }
fb::ControlBody kind_of(const PlanMessage&)     { return fb::ControlBody::PlanMessage; }
fb::ControlBody kind_of(const Activate&)        { return fb::ControlBody::Activate; }
fb::ControlBody kind_of(const Goodbye&)         { return fb::ControlBody::Goodbye; }
// clang-format on

// Greetings carry their sender's version in the frame, so that any version can read it there.
std::uint32_t version_of(const Message& message) {
  if (const auto* request = std::get_if<JoinRequest>(&message)) return request->protocol_version;
  if (const auto* hello = std::get_if<Hello>(&message)) return hello->protocol_version;
  return kProtocolVersion;
}

bool is_stable(fb::ControlBody kind) {
  return kind >= fb::ControlBody::JoinRequest && kind <= fb::ControlBody::Refused;
}

Result<Message> unpack(const fb::JoinRequest& from, std::uint32_t version) {
  Unpacker unpack;
  JoinRequest m;
  m.protocol_version = version;
  m.public_key = unpack.text(from.public_key(), kMaxNameBytes, "JoinRequest.public_key: too long");
  m.name = unpack.text(from.name(), kMaxNameBytes, "JoinRequest.name: too long");
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::JoinReply& from) {
  Unpacker unpack;
  JoinReply m;
  m.admitted = from.admitted();
  m.reason = unpack.text(from.reason(), kMaxReasonBytes, "JoinReply.reason: too long");
  m.device = DeviceId{from.device()};
  m.control_port = from.control_port();
  m.data_port = from.data_port();
  m.bulk_port = from.bulk_port();
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::Hello& from, std::uint32_t version) {
  Unpacker unpack;
  Hello m;
  m.protocol_version = version;
  m.arithmetic_version = from.arithmetic_version();
  m.arithmetic_digest = from.arithmetic_digest();
  m.panel_layout_version = from.panel_layout_version();
  m.instance = from.instance();
  m.name = unpack.text(from.name(), kMaxNameBytes, "Hello.name: too long");
  m.host = unpack.text(from.host(), kMaxNameBytes, "Hello.host: too long");
  m.pid = from.pid();
  m.inbox = unpack.text(from.inbox(), kMaxEndpointBytes, "Hello.inbox: too long");
  m.memory_bytes = from.memory_bytes();
  m.num_threads = from.num_threads();
  m.kernels = unpack.text(from.kernels(), kMaxNameBytes, "Hello.kernels: too long");
  m.epoch = Epoch{from.epoch()};
  m.profile_key = from.profile_key();
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::Welcome& from) {
  return Message(Welcome{.device = DeviceId{from.device()}, .epoch = Epoch{from.epoch()}});
}
Result<Message> unpack(const fb::Refused& from) {
  Unpacker unpack;
  return unpack.done(Refused{unpack.text(from.reason(), kMaxReasonBytes, "Refused.reason: too long")});
}
StageWork unpack_work(const fb::StageWork& from) {
  return {.stage = from.stage(),
          .row_class = from.row_class(),
          .steps = from.steps(),
          .rows = from.rows(),
          .wanted_rows = from.wanted_rows(),
          .context = from.context(),
          .seconds = from.seconds(),
          .idle_steps = from.idle_steps(),
          .hand_over_seconds = from.hand_over_seconds(),
          .transit_seconds = from.transit_seconds(),
          .least_transit_seconds = from.least_transit_seconds()};
}
Result<Message> unpack(const fb::Beat& from) {
  Unpacker unpack;
  Beat m;
  m.epoch = Epoch{from.epoch()};
  m.finished_work = from.finished_work();
  m.busy = from.busy();
  m.resident_bytes = from.resident_bytes();
  m.rejected_frames = from.rejected_frames();
  m.steps_taken = from.steps_taken();
  m.free_kv_blocks =
      unpack.scalars(from.free_kv_blocks(), kMaxKvKinds, "Beat.free_kv_blocks: too many kinds");
  const auto size = unpack.count(from.work(), kMaxStageWork, "Beat.work: too much");
  m.work.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) m.work.push_back(unpack_work(*from.work()->Get(i)));
  if (const fb::Heat* heat = from.heat())
    m.heat = {.celsius = heat->celsius(), .clock_share = heat->clock_share(), .throttled = heat->throttled()};
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::StageStatus& from) {
  Unpacker unpack;
  StageStatus m;
  m.epoch = Epoch{from.epoch()};
  m.state = static_cast<StageState>(from.state());
  m.bytes_total = from.bytes_total();
  m.bytes_present = from.bytes_present();
  m.bytes_received = from.bytes_received();
  m.scratch_bytes = from.scratch_bytes();
  m.kv_bytes = from.kv_bytes();
  m.reason = unpack.text(from.reason(), kMaxReasonBytes, "StageStatus.reason: too long");
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::ProfileReport& from) {
  Unpacker unpack;
  ProfileReport m;
  m.model = unpack.sha256(from.model(), "ProfileReport.model: missing");
  m.read_bytes_per_second = from.read_bytes_per_second();
  m.hand_over_seconds = from.hand_over_seconds();
  const auto size = unpack.count(from.units(), kMaxUnits, "ProfileReport.units: too many");
  m.units.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) {
    const fb::LayerProfile& unit = *from.units()->Get(i);
    m.units.push_back({unit.unit(), unit.seconds_batch1(), unit.seconds_batch32(),
                       unit.seconds_per_1k_context(), unit.seconds_chunk(),
                       unit.chunk_seconds_per_1k_context()});
  }
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::LinkReport& from) {
  Unpacker unpack;
  LinkReport m;
  const auto size = unpack.count(from.links(), kMaxDevices, "LinkReport.links: too many");
  m.links.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) {
    const fb::LinkMeasurement& link = *from.links()->Get(i);
    m.links.push_back({DeviceId{link.to()}, link.latency_seconds(), link.bytes_per_second()});
  }
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::StepRefused& from) {
  Unpacker unpack;
  StepRefused m;
  m.epoch = Epoch{from.epoch()};
  m.stage = from.stage();
  m.sequence = SequenceId{from.sequence()};
  m.step = StepNumber{from.step()};
  m.expected = StepNumber{from.expected()};
  m.reason = static_cast<RefusalReason>(from.reason());
  m.detail = unpack.text(from.detail(), kMaxReasonBytes, "StepRefused.detail: too long");
  return unpack.done(std::move(m));
}
Result<Message> unpack(const fb::PeerUnreachable& from) {
  return Message(PeerUnreachable{.epoch = Epoch{from.epoch()}, .device = DeviceId{from.device()}});
}
Result<Message> unpack(const fb::Activate& from) { return Message(Activate{.epoch = Epoch{from.epoch()}}); }
Result<Message> unpack(const fb::Goodbye& from) {
  Unpacker unpack;
  return unpack.done(Goodbye{unpack.text(from.reason(), kMaxReasonBytes, "Goodbye.reason: too long")});
}

Result<Message> unpack_body(const fb::ControlFrame& frame) {
  switch (frame.body_type()) {
    case fb::ControlBody::JoinRequest:
      return unpack(*frame.body_as_JoinRequest(), frame.protocol_version());
    case fb::ControlBody::JoinReply:
      return unpack(*frame.body_as_JoinReply());
    case fb::ControlBody::Hello:
      return unpack(*frame.body_as_Hello(), frame.protocol_version());
    case fb::ControlBody::Welcome:
      return unpack(*frame.body_as_Welcome());
    case fb::ControlBody::Refused:
      return unpack(*frame.body_as_Refused());
    case fb::ControlBody::Beat:
      return unpack(*frame.body_as_Beat());
    case fb::ControlBody::StageStatus:
      return unpack(*frame.body_as_StageStatus());
    case fb::ControlBody::ProfileReport:
      return unpack(*frame.body_as_ProfileReport());
    case fb::ControlBody::LinkReport:
      return unpack(*frame.body_as_LinkReport());
    case fb::ControlBody::StepRefused:
      return unpack(*frame.body_as_StepRefused());
    case fb::ControlBody::PeerUnreachable:
      return unpack(*frame.body_as_PeerUnreachable());
    case fb::ControlBody::ProfileRequest:
      return unpack_profile_request(frame.body());
    case fb::ControlBody::ProbeLinks:
      return unpack_probe_links(frame.body());
    case fb::ControlBody::PlanMessage:
      return unpack_plan(frame.body());
    case fb::ControlBody::Activate:
      return unpack(*frame.body_as_Activate());
    case fb::ControlBody::Goodbye:
      return unpack(*frame.body_as_Goodbye());
    case fb::ControlBody::NONE:
      break;
  }
  return corrupt("control frame: unknown kind of message");
}

}  // namespace

void pack_control(Builder& builder, const Message& message) {
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { kind_of(m); }) {
          const auto body = pack_body(builder, m);
          fb::FinishControlFrameBuffer(
              builder, fb::CreateControlFrame(builder, version_of(message), kind_of(m), body));
        } else {
          SHOAL_CHECK(false && "a data message in a control frame");
        }
      },
      message);
}

Result<Message> unpack_control(Bytes aligned) {
  flatbuffers::Verifier verifier(as_u8(aligned), aligned.size(), verifier_limits(kMaxControlTables));
  if (!fb::VerifyControlFrameBuffer(verifier))
    return corrupt("control frame: not a verified FlatBuffer of this lane");
  const fb::ControlFrame& frame = *fb::GetControlFrame(aligned.data());
  if (frame.protocol_version() != kProtocolVersion && !is_stable(frame.body_type()))
    return other_version(frame.protocol_version());
  if (!frame.body()) return corrupt("control frame: no message in it");
  return unpack_body(frame);
}

}  // namespace shoal::wire
