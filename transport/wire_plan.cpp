// The hub's large messages on the control lane: profiles to take, links to measure, plans.
#include "control_generated.h"
#include "transport/limits.h"
#include "transport/wire_flat.h"

namespace shoal::wire {
namespace {

using Tensors = flatbuffers::Vector<flatbuffers::Offset<fb::TensorRef>>;
using Peers = flatbuffers::Vector<flatbuffers::Offset<fb::PeerAddress>>;

flatbuffers::Offset<fb::TensorRef> pack_tensor(Builder& builder, const TensorRef& tensor) {
  const auto name = pack_text(builder, tensor.name);
  const auto digest = pack_sha256<fb::Sha256>(tensor.sha256);
  return fb::CreateTensorRef(builder, tensor.role, tensor.unit, name, tensor.type, tensor.rows, tensor.cols,
                             tensor.is_matrix, &digest);
}

flatbuffers::Offset<Tensors> pack_tensors(Builder& builder, const std::vector<TensorRef>& tensors) {
  std::vector<flatbuffers::Offset<fb::TensorRef>> tables;
  tables.reserve(tensors.size());
  for (const TensorRef& tensor : tensors) tables.push_back(pack_tensor(builder, tensor));
  return builder.CreateVector(tables);
}

flatbuffers::Offset<Peers> pack_peers(Builder& builder, const std::vector<PeerAddress>& peers) {
  std::vector<flatbuffers::Offset<fb::PeerAddress>> tables;
  tables.reserve(peers.size());
  for (const PeerAddress& peer : peers) {
    const auto inbox = pack_text(builder, peer.inbox);
    const auto key = pack_text(builder, peer.public_key);
    tables.push_back(fb::CreatePeerAddress(builder, raw(peer.device), inbox, key));
  }
  return builder.CreateVector(tables);
}

fb::StageAssignment pack_stage(const StageAssignment& stage) {
  return fb::StageAssignment(raw(stage.device), fb::UnitRange(stage.units.begin, stage.units.end),
                             fb::UnitRange(stage.head_blocks.begin, stage.head_blocks.end));
}

TensorRef unpack_tensor(Unpacker& unpack, const fb::TensorRef& from) {
  TensorRef tensor;
  tensor.role = from.role();
  tensor.unit = from.unit();
  tensor.name = unpack.text(from.name(), kMaxNameBytes, "tensors.name: too long");
  tensor.type = from.type();
  tensor.rows = from.rows();
  tensor.cols = from.cols();
  tensor.is_matrix = from.is_matrix();
  tensor.sha256 = unpack.sha256(from.sha256(), "tensors.sha256: missing");
  return tensor;
}

std::vector<TensorRef> unpack_tensors(Unpacker& unpack, const Tensors* from) {
  std::vector<TensorRef> tensors;
  const auto size = unpack.count(from, kMaxTensorsPerPlan, "tensors: too many");
  tensors.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) tensors.push_back(unpack_tensor(unpack, *from->Get(i)));
  return tensors;
}

std::vector<PeerAddress> unpack_peers(Unpacker& unpack, const Peers* from) {
  std::vector<PeerAddress> peers;
  const auto size = unpack.count(from, kMaxDevices, "peers: too many");
  peers.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) {
    const fb::PeerAddress& peer = *from->Get(i);
    peers.push_back(
        {.device = DeviceId{peer.device()},
         .inbox = unpack.text(peer.inbox(), kMaxEndpointBytes, "peers.inbox: too long"),
         .public_key = unpack.text(peer.public_key(), kMaxNameBytes, "peers.public_key: too long")});
  }
  return peers;
}

std::vector<StageAssignment> unpack_stages(Unpacker& unpack,
                                           const flatbuffers::Vector<const fb::StageAssignment*>* from) {
  std::vector<StageAssignment> stages;
  const auto size = unpack.count(from, kMaxStages, "PlanMessage.stages: too many");
  stages.reserve(size);
  for (flatbuffers::uoffset_t i = 0; i < size; ++i) {
    const fb::StageAssignment& stage = *from->Get(i);
    stages.push_back({.device = DeviceId{stage.device()},
                      .units = {stage.units().begin(), stage.units().end()},
                      .head_blocks = {stage.head_blocks().begin(), stage.head_blocks().end()}});
  }
  return stages;
}

}  // namespace

flatbuffers::Offset<void> pack_body(Builder& builder, const ProfileRequest& m) {
  const auto config = pack_bytes(builder, m.config);
  const auto tensors = pack_tensors(builder, m.tensors);
  const auto model = pack_sha256<fb::Sha256>(m.model);
  return fb::CreateProfileRequest(builder, &model, config, tensors).Union();
}

flatbuffers::Offset<void> pack_body(Builder& builder, const ProbeLinks& m) {
  return fb::CreateProbeLinks(builder, pack_peers(builder, m.peers)).Union();
}

flatbuffers::Offset<void> pack_body(Builder& builder, const PlanMessage& m) {
  std::vector<fb::StageAssignment> stages;
  for (const StageAssignment& stage : m.stages) stages.push_back(pack_stage(stage));
  const auto config = pack_bytes(builder, m.config);
  const auto stage_vector = builder.CreateVectorOfStructs(stages);
  const auto peers = pack_peers(builder, m.peers);
  const auto tensors = pack_tensors(builder, m.tensors);
  const auto kv_blocks = pack_u32(builder, m.kv_blocks);
  const auto model = pack_sha256<fb::Sha256>(m.model);
  return fb::CreatePlanMessage(builder, raw(m.epoch), raw(m.pipeline), &model, config, stage_vector, peers,
                               tensors, m.max_context, m.max_rows, m.max_sequences, kv_blocks, m.log_bytes,
                               m.kv_type)
      .Union();
}

Result<Message> unpack_profile_request(const void* table) {
  const auto& from = *static_cast<const fb::ProfileRequest*>(table);
  Unpacker unpack;
  ProfileRequest m;
  m.model = unpack.sha256(from.model(), "ProfileRequest.model: missing");
  m.config = unpack.bytes(from.config(), kMaxConfigBytes, "ProfileRequest.config: too large");
  m.tensors = unpack_tensors(unpack, from.tensors());
  return unpack.done(std::move(m));
}

Result<Message> unpack_probe_links(const void* table) {
  const auto& from = *static_cast<const fb::ProbeLinks*>(table);
  Unpacker unpack;
  return unpack.done(ProbeLinks{unpack_peers(unpack, from.peers())});
}

Result<Message> unpack_plan(const void* table) {
  const auto& from = *static_cast<const fb::PlanMessage*>(table);
  Unpacker unpack;
  PlanMessage m;
  m.epoch = Epoch{from.epoch()};
  m.pipeline = PipelineId{from.pipeline()};
  m.model = unpack.sha256(from.model(), "PlanMessage.model: missing");
  m.config = unpack.bytes(from.config(), kMaxConfigBytes, "PlanMessage.config: too large");
  m.stages = unpack_stages(unpack, from.stages());
  m.peers = unpack_peers(unpack, from.peers());
  m.tensors = unpack_tensors(unpack, from.tensors());
  m.max_context = from.max_context();
  m.max_rows = from.max_rows();
  m.max_sequences = from.max_sequences();
  m.kv_blocks = unpack.scalars(from.kv_blocks(), kMaxKvKinds, "PlanMessage.kv_blocks: too many kinds");
  m.log_bytes = from.log_bytes();
  m.kv_type = from.kv_type();
  return unpack.done(std::move(m));
}

}  // namespace shoal::wire
