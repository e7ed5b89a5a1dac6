#pragma once

// Shared by transport/wire*.cpp and by nothing else: FlatBuffers stays inside them.

#include <flatbuffers/flatbuffers.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "transport/messages.h"

namespace shoal::wire {

using Builder = flatbuffers::FlatBufferBuilder;

// A payload's size and checksum, as the header frame tells them.
struct PayloadSeal {
  std::uint32_t bytes = 0;
  std::uint32_t crc32c = 0;
};

// A data or bulk header frame, read.
struct DataHeader {
  Message message;  // without payload and opens; a CandidatesFrame without rows
  PayloadSeal payload;
  bool has_opens = false;
  std::uint32_t num_candidate_rows = 0;
};

// Each builds a finished buffer; each unpacks one whose bytes lie 8-aligned and are verified here before
// anything is read.
void pack_control(Builder& builder, const Message& message);
Result<Message> unpack_control(Bytes aligned);
void pack_data(Builder& builder, const Message& message, PayloadSeal payload);
Result<DataHeader> unpack_data(Bytes aligned);
void pack_opens(Builder& builder, const std::vector<SequenceOpen>& opens);
Result<std::vector<SequenceOpen>> unpack_opens(Bytes aligned);

// wire_plan.cpp, for wire_control.cpp: the hub's large messages.
flatbuffers::Offset<void> pack_body(Builder& builder, const ProfileRequest& message);
flatbuffers::Offset<void> pack_body(Builder& builder, const ProbeLinks& message);
flatbuffers::Offset<void> pack_body(Builder& builder, const PlanMessage& message);
Result<Message> unpack_profile_request(const void* table);
Result<Message> unpack_probe_links(const void* table);
Result<Message> unpack_plan(const void* table);

// wire_candidates.cpp: rows of candidates as packed little-endian records.
std::size_t candidates_size(const std::vector<CandidateRow>& rows);
void write_candidates(const std::vector<CandidateRow>& rows, MutableBytes out);
Result<std::vector<CandidateRow>> read_candidates(Bytes bytes, std::uint32_t num_rows);

inline Failure corrupt(const char* what) { return fail(ErrorCode::Corrupt, what); }
Failure other_version(std::uint32_t theirs);

// The verifier's limits: how many tables a buffer may hold, none deeper than a table in a vector in the
// frame's body.
inline flatbuffers::Verifier::Options verifier_limits(flatbuffers::uoffset_t max_tables) {
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 4;
  limits.max_tables = max_tables;
  return limits;
}

inline const std::uint8_t* as_u8(Bytes bytes) { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }

// Reads verified tables; remembers the first thing that is larger than its bound, before it is copied.
class Unpacker {
 public:
  std::string text(const flatbuffers::String* from, std::size_t max_bytes, const char* what) {
    if (!from) return {};
    if (!within(from->size(), max_bytes, what)) return {};
    return from->str();
  }
  template <typename T>
  std::vector<T> scalars(const flatbuffers::Vector<T>* from, std::size_t max, const char* what) {
    if (!from || !within(from->size(), max, what)) return {};
    return std::vector<T>(from->begin(), from->end());
  }
  std::vector<std::byte> bytes(const flatbuffers::Vector<std::uint8_t>* from, std::size_t max,
                               const char* what) {
    if (!from || !within(from->size(), max, what)) return {};
    const auto* data = reinterpret_cast<const std::byte*>(from->data());
    return std::vector<std::byte>(data, data + from->size());
  }
  // How many elements to read: 0 if absent or too many.
  template <typename V>
  flatbuffers::uoffset_t count(const V* from, std::size_t max, const char* what) {
    return from && within(from->size(), max, what) ? from->size() : 0;
  }
  template <typename Struct>  // flatbuffers struct of 32 bytes
  Sha256 sha256(const Struct* from, const char* what) {
    Sha256 digest{};
    if (!from) {
      within(1, 0, what);
    } else {
      static_assert(sizeof(Struct) == sizeof digest);
      digest = load<Sha256>(from);
    }
    return digest;
  }
  template <typename T>
  Result<Message> done(T message) const {
    if (wrong_) return corrupt(wrong_);
    return Message(std::move(message));
  }
  const char* wrong() const { return wrong_; }

 private:
  bool within(std::size_t size, std::size_t max, const char* what) {
    if (size <= max) return true;
    if (!wrong_) wrong_ = what;
    return false;
  }

  const char* wrong_ = nullptr;
};

inline flatbuffers::Offset<flatbuffers::String> pack_text(Builder& builder, const std::string& text) {
  return text.empty() ? flatbuffers::Offset<flatbuffers::String>() : builder.CreateString(text);
}
inline flatbuffers::Offset<flatbuffers::Vector<std::uint32_t>> pack_u32(
    Builder& builder, const std::vector<std::uint32_t>& values) {
  return builder.CreateVector(values);
}
inline flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> pack_bytes(
    Builder& builder, const std::vector<std::byte>& bytes) {
  return builder.CreateVector(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}
template <typename Struct>
Struct pack_sha256(const Sha256& digest) {
  return load<Struct>(digest.data());
}

}  // namespace shoal::wire
