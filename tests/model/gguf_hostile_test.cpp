// Files that are broken on purpose, one rule at a time.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"
#include "model/gguf_types.h"
#include "tests/support/allocation_counter.h"

namespace shoal {
namespace {

constexpr std::uint64_t kHuge = ~0ull;
constexpr std::size_t kAllowedBytes = 64u << 20;

// Writes whatever it is told, true or not.
class RawFile {
 public:
  template <typename T>
  RawFile& put(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    store(bytes_.data() + at, value);
    return *this;
  }
  RawFile& text(std::string_view value) {
    put(static_cast<std::uint64_t>(value.size()));
    for (const char c : value) put(c);
    return *this;
  }
  RawFile& kind(GgufKind value) { return put(static_cast<std::uint32_t>(value)); }
  RawFile& header(std::uint64_t tensors, std::uint64_t entries, std::uint32_t version = 3) {
    return put(kGgufMagic).put(version).put(tensors).put(entries);
  }
  RawFile& entry(std::string_view key, std::uint32_t value) {
    return text(key).kind(GgufKind::U32).put(value);
  }
  // An F32 vector of eight by default: 32 bytes.
  RawFile& tensor(std::string_view name, std::uint64_t offset, std::uint64_t cols = 8,
                  std::uint32_t type = 0) {
    return text(name).put(1u).put(cols).put(type).put(offset);
  }
  RawFile& pad_to(std::size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  RawFile& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

struct Broken {
  const char* name;
  RawFile file;
  const char* expected;  // part of the message
  ErrorCode code = ErrorCode::Corrupt;
};

// Opens, and holds every failure to the promise: the file and a byte named, memory bounded, time short.
void check_refused(const Broken& broken) {
  CAPTURE(broken.name);
  const PeakMemory peak;
  const Result<GgufFile> file = GgufFile::from_memory("bad.gguf", broken.file.bytes());
  CHECK(peak.bytes() <
        broken.file.bytes().size() * 2 + kAllowedBytes);  // this test's own copy of the bytes counts too
  REQUIRE_FALSE(file);
  const std::string& message = file.error().message();
  CAPTURE(message);
  CHECK(file.error().code() == broken.code);
  CHECK(message.starts_with("bad.gguf: byte "));
  CHECK(message.find(": expected ") != std::string::npos);
  CHECK(message.find(broken.expected) != std::string::npos);
}

RawFile one_tensor(const std::function<void(RawFile&)>& describe, std::size_t data_bytes = 64) {
  RawFile file;
  file.header(1, 0);
  describe(file);
  file.pad_to(32).zeros(data_bytes);
  return file;
}

RawFile one_entry(const std::function<void(RawFile&)>& value) {
  RawFile file;
  file.header(0, 1).text("key");
  value(file);
  return file;
}

RawFile nested_array(int depth) {
  return one_entry([&](RawFile& f) {
    f.kind(GgufKind::Array);
    for (int i = 0; i < depth; ++i) f.kind(GgufKind::Array).put<std::uint64_t>(1);
    f.kind(GgufKind::U8).put<std::uint64_t>(1).put<std::uint8_t>(9);
  });
}

}  // namespace

TEST_CASE("a file with a broken header is refused") {
  const Broken cases[] = {
      {"empty", RawFile(), "the end of the file"},
      {"wrong magic", RawFile().put<std::uint32_t>(0x67676D6C).put(3u).zeros(16),
       "found 'lmgg' (not a GGUF model file)"},
      {"version 0", RawFile().header(0, 0, 0), "GGUF version 2 or 3, found version 0",
       ErrorCode::Unsupported},
      {"version 1", RawFile().header(0, 0, 1), "GGUF version 2 or 3, found version 1",
       ErrorCode::Unsupported},
      {"version 4", RawFile().header(0, 0, 4), "GGUF version 2 or 3, found version 4",
       ErrorCode::Unsupported},
      {"big-endian", RawFile().header(0, 0, 0x03000000), "found a big-endian one", ErrorCode::Unsupported},
      {"no counts", RawFile().put(kGgufMagic).put(3u), "the number of tensors"},
      {"too many tensors", RawFile().header(kHuge, 0),
       "the number of tensors, at most 65536, found 18446744073709551615"},
      {"tensors beyond the file", RawFile().header(60000, 0), "descriptions of 60000 tensors"},
      {"too many entries", RawFile().header(0, kHuge), "the number of metadata entries, at most 65536"},
      {"entries beyond the file", RawFile().header(0, 60000),
       "the number of metadata entries that fits the file"},
  };
  for (const Broken& broken : cases) check_refused(broken);
}

TEST_CASE("a file with broken metadata is refused") {
  const Broken cases[] = {
      {"empty key", RawFile().header(0, 1).text("").kind(GgufKind::U64).put(kHuge),
       "a metadata key of 1 to 65535 bytes"},
      {"endless key", RawFile().header(0, 1).put(kHuge).zeros(16),
       "a metadata key of 1 to 65535 bytes, found a length of"},
      {"key past the end", RawFile().header(0, 1).put<std::uint64_t>(100).zeros(16),
       "the end of the file after 16 of 100"},
      {"unknown kind", one_entry([](RawFile& f) { f.put(13u).zeros(8); }), "kind between 0 and 12, found 13"},
      {"endless string", one_entry([](RawFile& f) { f.kind(GgufKind::String).put(kHuge); }),
       "a metadata string"},
      {"a number short of one byte", one_entry([](RawFile& f) { f.kind(GgufKind::U64).zeros(7); }),
       "found the end of the file after 7 of 8 bytes"},
      {"half a number", one_entry([](RawFile& f) { f.kind(GgufKind::U64).put(1u); }),
       "a metadata value of kind u64"},
      {"a bool of 2", one_entry([](RawFile& f) { f.kind(GgufKind::Bool).put<char>(2); }),
       "a bool, 0 or 1, found 2"},
      {"a bool of 7 in an array", one_entry([](RawFile& f) {
         f.kind(GgufKind::Array).kind(GgufKind::Bool).put<std::uint64_t>(2).put<char>(1).put<char>(7);
       }),
       "a bool, 0 or 1, found 7"},
      {"endless array", one_entry([](RawFile& f) { f.kind(GgufKind::Array).kind(GgufKind::U64).put(kHuge); }),
       "an array's length, at most 4194304"},
      {"array whose size overflows",
       one_entry([](RawFile& f) { f.kind(GgufKind::Array).kind(GgufKind::U64).put(std::uint64_t{1} << 61); }),
       "an array's length, at most 4194304"},
      {"array past the end", one_entry([](RawFile& f) {
         f.kind(GgufKind::Array).kind(GgufKind::U32).put<std::uint64_t>(1000).zeros(100);
       }),
       "an array's length that fits the file, found 1000 with 100 bytes left"},
      {"strings past the end", one_entry([](RawFile& f) {
         f.kind(GgufKind::Array).kind(GgufKind::String).put<std::uint64_t>(2).text("x").put<std::uint64_t>(9);
       }),
       "a metadata string"},
      {"array of unknown kind",
       one_entry([](RawFile& f) { f.kind(GgufKind::Array).put(99u).put<std::uint64_t>(0); }),
       "an array's element kind between 0 and 12, found 99"},
      {"arrays nested too deep", nested_array(40), "arrays nested at most 4 deep"},
      {"the same key twice", RawFile().header(0, 2).entry("twin", 1).entry("twin", 2),
       "every metadata key once, found 'twin' twice"},
      {"alignment 0", RawFile().header(0, 1).entry("general.alignment", 0),
       "power of two up to 1048576, found 0"},
      {"alignment 48", RawFile().header(0, 1).entry("general.alignment", 48),
       "power of two up to 1048576, found 48"},
      {"alignment 2^31", RawFile().header(0, 1).entry("general.alignment", 1u << 31),
       "power of two up to 1048576"},
      {"alignment as text",
       RawFile().header(0, 1).text("general.alignment").kind(GgufKind::String).text("32"),
       "general.alignment of kind u32, found string"},
  };
  for (const Broken& broken : cases) check_refused(broken);
}

TEST_CASE("arrays may nest as deep as promised") {
  CHECK(GgufFile::from_memory("nested.gguf", nested_array(kGgufMaxArrayDepth - 1).bytes()));
}

TEST_CASE("a file with broken tensors is refused") {
  const std::string long_name(65, 'n');
  const Broken cases[] = {
      {"no name", one_tensor([](RawFile& f) { f.tensor("", 0); }), "a tensor's name of 1 to 64 bytes"},
      {"long name", one_tensor([&](RawFile& f) { f.tensor(long_name, 0); }),
       "a tensor's name of 1 to 64 bytes, found a length of 65"},
      {"no dimensions",
       one_tensor([](RawFile& f) { f.text("t").put(0u).put(0u).put<std::uint64_t>(0).zeros(16); }),
       "tensor 't' with 1 to 4 dimensions, found 0"},
      {"five dimensions", one_tensor([](RawFile& f) { f.text("t").put(5u).zeros(64); }),
       "1 to 4 dimensions, found 5"},
      {"a dimension of 0", one_tensor([](RawFile& f) { f.tensor("t", 0, 0); }), "product is above 0"},
      {"elements overflow", one_tensor([](RawFile& f) {
         f.text("t")
             .put(2u)
             .put(std::uint64_t{1} << 33)
             .put(std::uint64_t{1} << 33)
             .put(0u)
             .put<std::uint64_t>(0);
       }),
       "product is above 0 and fits 64 bits, found 8589934592 x 8589934592"},
      {"bytes overflow", one_tensor([](RawFile& f) { f.tensor("t", 0, std::uint64_t{1} << 63); }),
       "a size below 2^64 bytes"},
      {"beyond the file", one_tensor([](RawFile& f) { f.tensor("t", 0, 1000); }),
       "the 4000 bytes of tensor 't' within the file's"},
      {"columns no multiple", one_tensor([](RawFile& f) { f.tensor("t", 0, 33, 2); }),
       "type Q4_0 with columns a multiple of 32, found 33"},
      {"offset off the alignment", one_tensor([](RawFile& f) { f.tensor("t", 8); }),
       "multiple of the file's alignment 32, found offset 8"},
      {"offset beyond the file", one_tensor([](RawFile& f) { f.tensor("t", 4096); }), "within the file's"},
      {"offset overflows", one_tensor([](RawFile& f) { f.tensor("t", kHuge - 31); }), "within the file's"},
      {"unknown type beyond the file", one_tensor([](RawFile& f) { f.tensor("t", 4096, 8, 77); }),
       "within the file's"},
      {"the same name twice", RawFile().header(2, 0).tensor("t", 0).tensor("t", 32).pad_to(32).zeros(64),
       "every tensor name once, found 't' twice"},
      {"overlap", RawFile().header(2, 0).tensor("a", 0, 16).tensor("b", 32).pad_to(32).zeros(64),
       "tensor 'b' to begin after the end of 'a'"},
      {"data laid out for another alignment",
       RawFile()
           .header(2, 1)
           .entry("general.alignment", 64)
           .tensor("a", 0)
           .tensor("b", 32)
           .pad_to(64)
           .zeros(128),
       "multiple of the file's alignment 64, found offset 32"},
  };
  for (const Broken& broken : cases) check_refused(broken);
}

TEST_CASE("a name from a file cannot disturb a terminal") {
  const Broken broken{"escape codes", one_tensor([](RawFile& f) { f.tensor("a\x1b[31m\xff", 8); }),
                      "tensor 'a?[31m?'"};
  check_refused(broken);
}

TEST_CASE("the largest index we accept takes less memory than promised") {
  RawFile file;
  file.header(kGgufMaxTensors, kGgufMaxEntries);
  for (std::uint64_t i = 0; i < kGgufMaxEntries; ++i)
    file.text(std::to_string(i)).kind(GgufKind::U8).put<char>(0);
  const std::string tail(55, 'n');
  for (std::uint64_t i = 0; i < kGgufMaxTensors; ++i) file.tensor(std::to_string(i) + tail, i * 32);
  file.pad_to(32).zeros(kGgufMaxTensors * 32);
  std::vector<std::byte> bytes = file.bytes();
  const PeakMemory peak;
  CHECK(GgufFile::from_memory("large.gguf", std::move(bytes)));
  CHECK(peak.bytes() < kAllowedBytes);
}

TEST_CASE("the longest array of strings we accept takes less memory than promised") {
  RawFile file = one_entry([](RawFile& f) {
    f.kind(GgufKind::Array)
        .kind(GgufKind::String)
        .put(kGgufMaxArrayElements)
        .zeros(kGgufMaxArrayElements * 8);
  });
  const Result<GgufFile> opened = GgufFile::from_memory("strings.gguf", file.bytes());
  REQUIRE(opened);
  const PeakMemory peak;
  CHECK(opened->find_strings("key")->size() == kGgufMaxArrayElements);
  CHECK(peak.bytes() < file.bytes().size() + kAllowedBytes);
}

}  // namespace shoal
