#include "transport/wire.h"

#include "base/crc32c.h"
#include "base/printable.h"
#include "transport/bounds.h"
#include "transport/buffer_pool.h"
#include "transport/limits.h"
#include "transport/wire_flat.h"

namespace shoal {
namespace {

using wire::corrupt;

constexpr std::size_t kSealBytes = sizeof(std::uint32_t);  // CRC-32C in front of every FlatBuffer

template <typename... Ts>
bool is_any(const Message& message) {
  return (std::holds_alternative<Ts>(message) || ...);
}

std::size_t max_header_bytes(Lane lane) { return lane == Lane::Control ? kMaxControlBytes : kMaxHeaderBytes; }

std::vector<Payload>* payload_of(Message& message) {
  return std::visit(
      [](auto& m) -> std::vector<Payload>* {
        if constexpr (requires { m.payload; }) {
          return &m.payload;
        } else {
          return nullptr;
        }
      },
      message);
}

// Words for people must not make a message fail.
void make_reasons_fit(Message& message) {
  std::visit(
      [](auto& m) {
        if constexpr (requires { m.reason.append("x"); }) {
          if (!is_printable(m.reason) || m.reason.size() > kMaxReasonBytes)
            m.reason = printable(m.reason, kMaxReasonBytes - 3);
        }
        if constexpr (requires { m.detail.append("x"); }) {
          if (!is_printable(m.detail) || m.detail.size() > kMaxReasonBytes)
            m.detail = printable(m.detail, kMaxReasonBytes - 3);
        }
      },
      message);
}

bool is_cut(const std::vector<Payload>& payload) {
  for (const Payload& part : payload) {
    if (part.empty() || part.size() > kMaxPayloadChunkBytes) return false;
  }
  return true;
}

// Parts of at most kMaxPayloadChunkBytes, none empty; the bytes stay where they are.
void cut(std::vector<Payload> from, std::vector<Payload>& out) {
  for (Payload& part : from) {
    if (part.size() <= kMaxPayloadChunkBytes) {
      if (!part.empty()) out.push_back(std::move(part));
      continue;
    }
    const auto shared = std::make_shared<Payload>(std::move(part));
    for (Bytes rest = shared->bytes(); !rest.empty();) {
      const std::size_t size = std::min(rest.size(), kMaxPayloadChunkBytes);
      out.emplace_back(std::shared_ptr<Payload>(shared), rest.first(size));
      rest = rest.subspan(size);
    }
  }
}

// The checksum goes in front of the finished buffer.
Bytes seal(flatbuffers::FlatBufferBuilder& builder) {
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  builder.PushElement(crc32c(Bytes(data, builder.GetSize())));
  return Bytes(reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize());
}

Failure too_large(const Message& message, const char* frame, std::size_t size, std::size_t limit) {
  return fail(ErrorCode::InvalidArgument, std::string(name_of(message)) + ": its " + frame + " frame is " +
                                              std::to_string(size) + " bytes, at most " +
                                              std::to_string(limit) + " fit");
}

wire::PayloadSeal seal_of(const std::vector<Payload>& payload) {
  wire::PayloadSeal seal;
  for (const Payload& part : payload) {
    seal.bytes += static_cast<std::uint32_t>(part.size());
    seal.crc32c = crc32c(part.bytes(), seal.crc32c);
  }
  return seal;
}

}  // namespace

namespace wire {
Failure other_version(std::uint32_t theirs) {
  return fail(ErrorCode::Unsupported, "the frame speaks protocol version " + std::to_string(theirs) +
                                          ", this process speaks " + std::to_string(kProtocolVersion) +
                                          ": run the same release on every device");
}
}  // namespace wire

Lane lane_of(const Message& message) {
  if (is_any<JoinRequest, JoinReply>(message)) return Lane::Join;
  if (is_any<StepFrame, CandidatesFrame, Ping, Pong>(message)) return Lane::Data;
  if (is_any<ShardRequest, ShardData>(message)) return Lane::Bulk;
  return Lane::Control;
}

bool may_receive(const Message& message, bool receiver_is_hub) {
  if (is_any<Goodbye, Ping, Pong, ShardRequest, ShardData>(message)) return true;
  const bool for_hub = is_any<JoinRequest, Hello, Beat, StageStatus, ProfileReport, LinkReport, StepRefused,
                              PeerUnreachable, CandidatesFrame>(message);
  return for_hub == receiver_is_hub;
}

const char* name_of(const Message& message) {
  static constexpr const char* kNames[] = {
      "JoinRequest", "JoinReply",   "Hello",           "Beat",     "StageStatus", "ProfileReport",
      "LinkReport",  "StepRefused", "PeerUnreachable", "Welcome",  "Refused",     "ProfileRequest",
      "ProbeLinks",  "PlanMessage", "Activate",        "Goodbye",  "StepFrame",   "CandidatesFrame",
      "Ping",        "Pong",        "ShardRequest",    "ShardData"};
  static_assert(std::size(kNames) == std::variant_size_v<Message>);
  return kNames[message.index()];
}

const char* name_of(Lane lane) {
  switch (lane) {
    case Lane::Join:
      return "join";
    case Lane::Control:
      return "control";
    case Lane::Data:
      return "data";
    case Lane::Bulk:
      return "bulk";
  }
  return "unknown";
}

std::size_t EncodedMessage::num_bytes() const {
  std::size_t size = header.size() + opens.size();
  for (const Payload& part : payload) size += part.size();
  return size;
}

std::vector<Payload> to_frames(EncodedMessage encoded) {
  std::vector<Payload> frames;
  frames.push_back(Payload::copy_of(encoded.header));
  if (!encoded.opens.empty()) frames.push_back(Payload::copy_of(encoded.opens));
  for (Payload& part : encoded.payload) frames.push_back(std::move(part));
  return frames;
}

// ---- Encoder --------------------------------------------------------------------------------

struct Encoder::State {
  flatbuffers::FlatBufferBuilder header{kMaxHeaderBytes};
  flatbuffers::FlatBufferBuilder opens{kMaxHeaderBytes};
  std::shared_ptr<BufferPool> pool = BufferPool::make();

  // A message's payload frames, cut to size.
  void take_payload(Message& message, std::vector<Payload>& out) {
    if (auto* answer = std::get_if<CandidatesFrame>(&message)) {
      const std::size_t size = wire::candidates_size(answer->rows);
      if (size == 0) return;
      PooledBuffer buffer = pool->take(size);
      wire::write_candidates(answer->rows, buffer.bytes());
      out.push_back(PooledBuffer::into_payload(std::move(buffer), size));
    } else if (auto* payload = payload_of(message)) {
      out.swap(*payload);
    }
    if (!is_cut(out)) cut(std::exchange(out, {}), out);
  }
};

Encoder::Encoder() : state_(std::make_unique<State>()) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;

Status Encoder::encode(Message&& message, EncodedMessage& out) {
  out.header = out.opens = {};
  out.payload.clear();
  make_reasons_fit(message);
  if (const char* wrong = out_of_bounds(message)) return fail(ErrorCode::InvalidArgument, wrong);
  state_->header.Clear();
  const Lane lane = lane_of(message);
  if (lane == Lane::Join || lane == Lane::Control) {
    wire::pack_control(state_->header, message);
  } else {
    state_->take_payload(message, out.payload);
    if (out.payload.size() > kMaxPayloadFrames)
      return too_large(message, "payload", out.payload.size(), kMaxPayloadFrames);
    const wire::PayloadSeal payload = seal_of(out.payload);
    if (payload.bytes > kMaxPayloadBytes)
      return too_large(message, "payload", payload.bytes, kMaxPayloadBytes);
    wire::pack_data(state_->header, message, payload);
  }
  out.header = seal(state_->header);
  if (out.header.size() > max_header_bytes(lane))
    return too_large(message, "header", out.header.size(), max_header_bytes(lane));
  const auto* step = std::get_if<StepFrame>(&message);
  if (!step || step->opens.empty()) return {};
  state_->opens.Clear();
  wire::pack_opens(state_->opens, step->opens);
  out.opens = seal(state_->opens);
  if (out.opens.size() > kMaxOpensBytes) return too_large(message, "opens", out.opens.size(), kMaxOpensBytes);
  return {};
}

// ---- Decoder --------------------------------------------------------------------------------

struct Decoder::State {
  std::vector<std::uint64_t> aligned;  // FlatBuffers are read from here: frames lie anywhere
  std::vector<std::byte> contiguous;   // candidates that came in several frames

  // Checks the seal and copies what follows it to 8-aligned memory, good until the next call.
  Result<Bytes> unseal(Bytes frame, std::size_t max_bytes) {
    if (frame.size() > max_bytes) return corrupt("header frame: too large");
    if (frame.size() < kSealBytes + 8) return corrupt("header frame: too short");
    const Bytes body = frame.subspan(kSealBytes);
    if (crc32c(body) != load<std::uint32_t>(frame.data())) return corrupt("header frame: wrong checksum");
    const std::size_t words = (body.size() + 7) / 8;
    if (aligned.size() < words) aligned.resize(words);
    std::memcpy(aligned.data(), body.data(), body.size());
    return Bytes(reinterpret_cast<const std::byte*>(aligned.data()), body.size());
  }

  Bytes gather(std::span<Payload> parts) {
    if (parts.size() == 1) return parts[0].bytes();
    contiguous.clear();
    for (const Payload& part : parts)
      contiguous.insert(contiguous.end(), part.bytes().begin(), part.bytes().end());
    return contiguous;
  }

  Result<Message> decode_control(Bytes header, std::span<Payload> rest) {
    if (!rest.empty()) return corrupt("control frame: more frames than one");
    return wire::unpack_control(header);
  }
  Result<Message> decode_data(Bytes header, std::span<Payload> rest);
};

namespace {

Status check_payload(std::span<const Payload> parts, wire::PayloadSeal seal) {
  if (seal.bytes > kMaxPayloadBytes || parts.size() > kMaxPayloadFrames) return corrupt("payload: too large");
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  for (const Payload& part : parts) {
    if (part.empty() || part.size() > kMaxPayloadChunkBytes)
      return corrupt("payload: a frame is empty or too large");
    size += part.size();
  }
  if (size != seal.bytes) return corrupt("payload: not the size its header tells");
  for (const Payload& part : parts) crc = crc32c(part.bytes(), crc);
  return crc == seal.crc32c ? Status{} : Status(corrupt("payload: wrong checksum"));
}

}  // namespace

Result<Message> Decoder::State::decode_data(Bytes bytes, std::span<Payload> rest) {
  Result<wire::DataHeader> header = wire::unpack_data(bytes);
  if (!header) return fail(header.error());
  if (header->has_opens) {
    if (rest.empty()) return corrupt("opens frame: missing");
    Result<Bytes> aligned_opens = unseal(rest[0].bytes(), kMaxOpensBytes);
    if (!aligned_opens) return fail(aligned_opens.error());
    Result<std::vector<SequenceOpen>> opens = wire::unpack_opens(*aligned_opens);
    if (!opens) return fail(opens.error());
    std::get<StepFrame>(header->message).opens = *std::move(opens);
    rest = rest.subspan(1);
  }
  if (Status ok = check_payload(rest, header->payload); !ok) return fail(ok.error());
  if (auto* answer = std::get_if<CandidatesFrame>(&header->message)) {
    Result<std::vector<CandidateRow>> rows = wire::read_candidates(gather(rest), header->num_candidate_rows);
    if (!rows) return fail(rows.error());
    answer->rows = *std::move(rows);
  } else if (std::vector<Payload>* payload = payload_of(header->message)) {
    payload->assign(std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  } else if (!rest.empty()) {
    return corrupt("payload: none belongs to this message");
  }
  return std::move(header->message);
}

Decoder::Decoder() : state_(std::make_unique<State>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

Result<Message> Decoder::decode(Lane lane, std::span<Payload> frames) {
  if (frames.empty()) return corrupt("message: no frames");
  Result<Bytes> header = state_->unseal(frames[0].bytes(), max_header_bytes(lane));
  if (!header) return fail(header.error());
  const bool is_control = lane == Lane::Join || lane == Lane::Control;
  Result<Message> message = is_control ? state_->decode_control(*header, frames.subspan(1))
                                       : state_->decode_data(*header, frames.subspan(1));
  if (!message) return message;
  if (lane_of(*message) != lane) return corrupt("message: on the wrong lane");
  if (const char* wrong = out_of_bounds(*message)) return corrupt(wrong);
  return message;
}

}  // namespace shoal
