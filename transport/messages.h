#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/micro_batch.h"
#include "base/range.h"
#include "base/sampling.h"
#include "base/sha256_digest.h"
#include "transport/payload.h"

namespace shoal {

// Everything hub and workers say to each other, decoded. transport/wire.cpp puts each into a FlatBuffers
// header frame (and payload frames) and back; docs/WIRE_FORMAT.md tells the bytes. Decoding verifies and
// bounds everything: what a state machine is handed has sane sizes, but not necessarily sense (an unknown
// sequence, a stale epoch: that is the state machine's business).

inline constexpr std::uint32_t kProtocolVersion = 3;
inline constexpr DeviceId kHub{0};

// ---- Joining (join lane; under the join token's key pair) -----------------------------------

// Worker -> hub: "admit my long-term key".
struct JoinRequest {
  std::uint32_t protocol_version = kProtocolVersion;
  std::string public_key;  // Z85, 40 characters
  std::string name;        // what people call the device; unique in a cluster
  friend bool operator==(const JoinRequest&, const JoinRequest&) = default;
};

// Hub -> worker. Ports are on the host that the worker joined at.
struct JoinReply {
  bool admitted = false;
  std::string reason;  // why not
  DeviceId device{};
  std::uint16_t control_port = 0;
  std::uint16_t data_port = 0;
  std::uint16_t bulk_port = 0;
  friend bool operator==(const JoinReply&, const JoinReply&) = default;
};

// ---- Control, worker -> hub -----------------------------------------------------------------

// First on every control connection.
struct Hello {
  std::uint32_t protocol_version = kProtocolVersion;
  std::uint32_t arithmetic_version = 0;
  std::uint64_t arithmetic_digest = 0;
  std::uint32_t panel_layout_version = 0;
  std::uint64_t instance = 0;  // random per process: a newer process with the same key replaces the older
  std::string name;
  std::string host;
  std::uint32_t pid = 0;
  std::string inbox;  // "tcp://10.77.0.12:41234": where neighbours send activations
  std::uint64_t memory_bytes =
      0;  // what the device gives to Shoal (cgroup, config and free memory respected)
  std::uint32_t num_threads = 0;
  std::string kernels;  // "avx512"
  Epoch epoch{};        // of the plan it still runs, 0.0 if none
  friend bool operator==(const Hello&, const Hello&) = default;
};

// Our own heartbeat, every kBeatInterval, and at once after a change.
struct Beat {
  Epoch epoch{};
  std::uint64_t finished_work = 0;  // grows while the compute pool works
  std::uint64_t busy = 0;           // steps queued or running
  std::uint64_t resident_bytes = 0;
  std::uint64_t rejected_frames = 0;
  std::uint64_t steps_taken = 0;
  std::vector<std::uint32_t> free_kv_blocks;  // per kind
  // Since the last beat, over steps with one row / more rows: how many, their rows, their compute seconds.
  std::uint32_t decode_steps = 0;
  double decode_seconds = 0;
  std::uint32_t prefill_rows = 0;
  double prefill_seconds = 0;
  friend bool operator==(const Beat&, const Beat&) = default;
};

enum class StageState : std::uint8_t { Loading = 0, Ready = 1, Failed = 2 };

// How far a worker is with a plan: while loading at least once a second, then once Ready or Failed.
struct StageStatus {
  Epoch epoch{};
  StageState state = StageState::Loading;
  std::uint64_t bytes_total = 0;  // stored bytes of its shard
  std::uint64_t bytes_present = 0;
  std::uint64_t bytes_received = 0;  // came over the network for this plan
  std::uint64_t scratch_bytes = 0;   // when Ready: what was allocated
  std::uint64_t kv_bytes = 0;
  std::string reason;  // when Failed
  friend bool operator==(const StageStatus&, const StageStatus&) = default;
};

struct LayerProfile {
  std::uint32_t unit = 0;  // a representative unit; units with the same shapes and types share its figures
  double seconds_batch1 = 0;
  double seconds_batch32 = 0;
  double seconds_per_1k_context = 0;  // attention, added per 1,000 positions, one row
  friend bool operator==(const LayerProfile&, const LayerProfile&) = default;
};
struct ProfileReport {
  Sha256 model{};
  std::vector<LayerProfile> units;
  double read_bytes_per_second = 0;
  friend bool operator==(const ProfileReport&, const ProfileReport&) = default;
};

struct LinkMeasurement {
  DeviceId to{};
  double latency_seconds = 0;  // one way: half the least round trip
  double bytes_per_second = 0;
  friend bool operator==(const LinkMeasurement&, const LinkMeasurement&) = default;
};
struct LinkReport {
  std::vector<LinkMeasurement> links;
  friend bool operator==(const LinkReport&, const LinkReport&) = default;
};

enum class RefusalReason : std::uint8_t { Gap = 0, OutOfMemory = 1, Corrupt = 2, Invalid = 3, Lost = 4 };

// A step that was not taken. Gap: `expected` is the step it waits for (0 = the sequence is unknown here).
// Lost: the answer of a repeated step is no longer held.
struct StepRefused {
  Epoch epoch{};
  std::uint32_t stage = 0;
  SequenceId sequence{};
  StepNumber step{};
  StepNumber expected{};
  RefusalReason reason = RefusalReason::Gap;
  std::string detail;
  friend bool operator==(const StepRefused&, const StepRefused&) = default;
};

// Advice: a neighbour's inbox went away. The hub alone decides what that means.
struct PeerUnreachable {
  Epoch epoch{};
  DeviceId device{};
  friend bool operator==(const PeerUnreachable&, const PeerUnreachable&) = default;
};

// ---- Control, hub -> worker -----------------------------------------------------------------

struct Welcome {
  DeviceId device{};
  Epoch epoch{};
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

// The hub will not work with this worker (protocol, arithmetic, name taken, revoked, replaced): it says why
// and exits non-zero.
struct Refused {
  std::string reason;
  friend bool operator==(const Refused&, const Refused&) = default;
};

struct TensorRef {
  std::uint8_t role = 0;  // TensorRole
  std::uint32_t unit = 0;
  std::string name;        // in the GGUF file
  std::uint32_t type = 0;  // WeightType
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  bool is_matrix = false;
  Sha256 sha256{};  // of the tensor's bytes in the GGUF file
  friend bool operator==(const TensorRef&, const TensorRef&) = default;
};

// Measure the real kernels on these shapes: one representative unit each of the embedding, every kind of
// layer, the head.
struct ProfileRequest {
  Sha256 model{};
  std::vector<std::byte> config;  // model/model_config_codec.h
  std::vector<TensorRef> tensors;
  friend bool operator==(const ProfileRequest&, const ProfileRequest&) = default;
};

struct PeerAddress {
  DeviceId device{};
  std::string inbox;
  std::string public_key;  // Z85
  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

// Measure the links to these inboxes, and to the hub, with real frame sizes.
struct ProbeLinks {
  std::vector<PeerAddress> peers;
  friend bool operator==(const ProbeLinks&, const ProbeLinks&) = default;
};

struct StageAssignment {
  DeviceId device{};
  Range units;
  Range head_blocks;  // empty unless units reach the head
  friend bool operator==(const StageAssignment&, const StageAssignment&) = default;
};

// A new plan, in full, to every worker that has a part in it (before it counts: load and connect, then report
// Ready). Neighbours may be the hub itself (candidates go to its data port). A worker left out gets the plan
// with no stages of its own: it frees everything.
struct PlanMessage {
  Epoch epoch{};
  PipelineId pipeline{};
  Sha256 model{};
  std::vector<std::byte> config;
  std::vector<StageAssignment> stages;  // in pipeline order, all of them
  std::vector<PeerAddress> peers;       // every worker in `stages` but the receiver
  std::vector<TensorRef> tensors;       // of the receiver's units only
  std::uint32_t max_context = 0;
  std::uint32_t max_rows = 0;
  std::uint32_t max_sequences = 0;
  std::vector<std::uint32_t> kv_blocks;  // per kind
  std::uint32_t log_bytes = 0;           // how many bytes of sent frames to keep for repeats
  std::uint8_t kv_type = 0;              // KvType: how every stage keeps keys and values
  friend bool operator==(const PlanMessage&, const PlanMessage&) = default;
};

// From now on the plan counts: every sequence of an earlier epoch is forgotten, frames of this epoch are run.
struct Activate {
  Epoch epoch{};
  friend bool operator==(const Activate&, const Activate&) = default;
};

// The hub stops. Workers keep what they hold and look for it again.
struct Goodbye {
  std::string reason;
  friend bool operator==(const Goodbye&, const Goodbye&) = default;
};

// ---- Data lane ------------------------------------------------------------------------------

// Travels with a sequence's first rows to the head's holder.
struct SequenceOpen {
  SequenceId sequence{};
  std::uint32_t depth = 0;
  SamplingParams params;
  friend bool operator==(const SequenceOpen&, const SequenceOpen&) = default;
};

enum class Dtype : std::uint8_t { None = 0, F32 = 1 };

// One micro-batch on its way to `stage`. Payload: hidden rows [rows, hidden_size], of the wanted rows only
// when the stage is the head alone; none where the stage begins with the embedding. Above 256 KB it comes in
// several chunks.
struct StepFrame {
  Epoch epoch{};
  PipelineId pipeline{};
  std::uint32_t stage = 0;
  std::vector<RowGroup> groups;
  std::vector<TokenId> ids;         // of every row
  std::vector<SequenceOpen> opens;  // own frame; at most 64 KB
  Dtype dtype = Dtype::None;
  std::vector<Payload> payload;
  std::uint64_t sent_at_ns = 0;  // sender's monotonic clock
  friend bool operator==(const StepFrame&, const StepFrame&) = default;
};

// The head's answer to a step, to the hub.
struct CandidatesFrame {
  Epoch epoch{};
  PipelineId pipeline{};
  std::uint32_t stage = 0;
  std::vector<CandidateRow> rows;
  // The step's groups, in order: what was taken, also where nothing was wanted.
  std::vector<RowGroup> groups;
  friend bool operator==(const CandidatesFrame&, const CandidatesFrame&) = default;
};

// Link probes.
struct Ping {
  std::uint64_t nonce = 0;
  DeviceId from{};
  std::vector<Payload> payload;
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Pong {
  std::uint64_t nonce = 0;
  std::vector<Payload> payload;
  friend bool operator==(const Pong&, const Pong&) = default;
};

// ---- Bulk lane ------------------------------------------------------------------------------

// Rows [16*first_panel, 16*(first_panel+num_panels)) of a tensor, as the GGUF file stores them. Vectors:
// panel 0 of 1.
struct ShardRequest {
  Sha256 tensor{};
  std::uint32_t first_panel = 0;
  std::uint32_t num_panels = 0;
  friend bool operator==(const ShardRequest&, const ShardRequest&) = default;
};
struct ShardData {
  Sha256 tensor{};
  std::uint32_t first_panel = 0;
  std::uint32_t num_panels = 0;  // 0: refused, see reason
  std::string reason;
  std::vector<Payload> payload;  // at most kMaxShardBytes in all
  friend bool operator==(const ShardData&, const ShardData&) = default;
};

using Message =
    std::variant<JoinRequest, JoinReply, Hello, Beat, StageStatus, ProfileReport, LinkReport, StepRefused,
                 PeerUnreachable, Welcome, Refused, ProfileRequest, ProbeLinks, PlanMessage, Activate,
                 Goodbye, StepFrame, CandidatesFrame, Ping, Pong, ShardRequest, ShardData>;

}  // namespace shoal
