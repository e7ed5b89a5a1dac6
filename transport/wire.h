#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "transport/messages.h"
#include "transport/network.h"
#include "transport/payload.h"

namespace shoal {

// Messages as frames and back (docs/WIRE_FORMAT.md). A message is one multipart message: a header frame, for
// some steps a frame of opened sequences, then payload frames of at most kMaxPayloadChunkBytes each.

// The one lane a message travels on, and whether the hub (true) or a worker (false) may be sent it.
Lane lane_of(const Message& message);
bool may_receive(const Message& message, bool receiver_is_hub);
const char* name_of(const Message& message);

struct EncodedMessage {
  Bytes header;                  // in the encoder's memory, until its next call
  Bytes opens;                   // likewise; empty: no such frame
  std::vector<Payload> payload;  // the message's own, cut to size where it was not

  std::size_t num_bytes() const;
};

// The same frames with owners of their own.
std::vector<Payload> to_frames(EncodedMessage encoded);

// One thread's; its builders and buffers are used again, so that after warm-up a step or its answer is
// encoded without allocating.
class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(Encoder&&) noexcept;

  // Consumes `message` and fills `out` (whose vector is used again). Reasons are made printable and cut to
  // kMaxReasonBytes. InvalidArgument: out of bounds, or it does not fit its frame; names the field.
  Status encode(Message&& message, EncodedMessage& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One thread's. Bytes from outside go in, a message in bounds comes out, whatever the bytes.
class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(Decoder&&) noexcept;

  // Moves payload frames out of `frames` into the message. Corrupt: no message of ours, out of bounds or on
  // the wrong lane. Unsupported: another protocol version's (both are named); the joining and greeting
  // messages are decoded whatever the version.
  Result<Message> decode(Lane lane, std::span<Payload> frames);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shoal
