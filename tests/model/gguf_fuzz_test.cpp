// Files cut short and bytes changed at random: a clean error or a file that is safe to read, never more.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "model/gguf.h"
#include "model/model_config.h"
#include "tests/support/random.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

// SHOAL_FUZZ_ROUNDS asks for a longer run.
int rounds() {
  const char* asked = std::getenv("SHOAL_FUZZ_ROUNDS");
  return asked == nullptr ? 8000 : std::atoi(asked);
}

TinyModelOptions smallest() {
  TinyModelOptions options;
  options.num_layers = 1;
  options.hidden_size = 32;
  options.num_heads = 2;
  options.num_kv_heads = 1;
  options.intermediate_size = 32;
  options.vocab_size = kTinyMinVocab;
  options.rope_factors = true;
  options.types.embedding = WeightType::Q4_0;
  return options;
}

std::uint64_t end_of_last_tensor(const GgufFile& file) {
  std::uint64_t end = 0;
  for (const GgufTensor& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.size_bytes);
  return end;
}

std::uint64_t first_tensor(const GgufFile& file) {
  std::uint64_t begin = file.file_bytes();
  for (const GgufTensor& tensor : file.tensors()) begin = std::min(begin, tensor.offset);
  return begin;
}

// Reads everything a program could ask for; the sanitizers watch.
std::size_t read_everything(const GgufFile& file) {
  std::size_t seen = 0;
  for (const std::string_view key : file.keys()) {
    seen += file.find_string(key).value_or("").size();
    seen += file.find_strings(key).value_or(std::vector<std::string_view>{}).size();
    seen += file.find_ints(key).value_or(std::vector<std::int64_t>{}).size();
    seen += file.find_floats(key).value_or(std::vector<float>{}).size();
    seen += file.find_bools(key).value_or(std::vector<bool>{}).size();
    seen +=
        file.find_int(key).has_value() + file.find_float(key).has_value() + file.find_bool(key).has_value();
  }
  for (const GgufTensor& tensor : file.tensors()) {
    const Bytes data = file.data(tensor);
    if (!data.empty())
      seen += std::to_integer<std::size_t>(data.front()) + std::to_integer<std::size_t>(data.back());
  }
  return seen;
}

struct Outcome {
  int refused = 0;
  int unusable = 0;  // opened, but no model we can run
  int usable = 0;
};

void open_and_use(std::vector<std::byte> bytes, Outcome& outcome) {
  const Result<GgufFile> file = GgufFile::from_memory("fuzz.gguf", std::move(bytes));
  if (!file) {
    ++outcome.refused;
    CHECK(file.error().message().starts_with("fuzz.gguf: byte "));
    return;
  }
  read_everything(*file);
  const Result<ModelConfig> config = read_model_config(*file);
  if (!config) {
    ++outcome.unusable;
    CHECK(config.error().message().starts_with("fuzz.gguf: "));
    return;
  }
  ++outcome.usable;
  CHECK(shard_bytes(tensor_specs(*config, *file), {0, config->num_units()}) > 0);
}

}  // namespace

TEST_CASE("a file cut short at any byte is a clean error") {
  const std::vector<std::byte> whole = tiny_model_bytes(1, smallest());
  const Result<GgufFile> file = GgufFile::from_memory("whole.gguf", whole);
  REQUIRE(file);
  REQUIRE(read_model_config(*file));
  const std::uint64_t end = end_of_last_tensor(*file);
  for (std::size_t size = 0; size < end; ++size) {
    const auto cut = whole.begin() + static_cast<std::ptrdiff_t>(size);
    const Result<GgufFile> part =
        GgufFile::from_memory("cut.gguf", std::vector<std::byte>(whole.begin(), cut));
    const bool refused = !part && part.error().message().starts_with("cut.gguf: byte ");
    if (!refused) FAIL_CHECK("cut at byte ", size);
  }
}

TEST_CASE("a file cut short on disk is the same clean error") {
  const std::vector<std::byte> whole = tiny_model_bytes(1, smallest());
  const std::string path = (std::filesystem::temp_directory_path() / "shoal-cut.gguf").string();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{3}, std::size_t{23}, std::size_t{4096}, whole.size() / 2}) {
    CAPTURE(size);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(whole.data()), static_cast<std::streamsize>(size));
    const Result<GgufFile> part = GgufFile::open(path);
    REQUIRE_FALSE(part);
    CHECK(part.error().code() == ErrorCode::Corrupt);
    CHECK(part.error().message().starts_with(path + ": byte "));
  }
  std::filesystem::remove(path);
}

TEST_CASE("random bytes in a header never do more than be refused") {
  const std::vector<std::byte> whole = tiny_model_bytes(2, smallest());
  const Result<GgufFile> file = GgufFile::from_memory("whole.gguf", whole);
  REQUIRE(file);
  const std::uint64_t header = first_tensor(*file);
  Random random(20240607);
  Outcome outcome;
  for (int round = 0; round < rounds(); ++round) {
    std::vector<std::byte> bytes = whole;
    for (std::uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      bytes[random.below(header)] = static_cast<std::byte>(random.next());
    }
    open_and_use(std::move(bytes), outcome);
  }
  MESSAGE("refused ", outcome.refused, ", unusable ", outcome.unusable, ", usable ", outcome.usable);
  CHECK(outcome.refused > 100);
  CHECK(outcome.usable > 100);  // most of the header is text: the fuzz must reach past the first check
}

TEST_CASE("extreme numbers anywhere in a header never do more than be refused") {
  constexpr std::array<std::uint64_t, 12> kExtremes{
      0,          1,           0x7F,       0xFFFF,           0x10000,    0x7FFFFFFF,
      0xFFFFFFFF, 0x100000000, 1ull << 61, (1ull << 63) - 1, 1ull << 63, ~0ull};
  const std::vector<std::byte> whole = tiny_model_bytes(3, smallest());
  const Result<GgufFile> file = GgufFile::from_memory("whole.gguf", whole);
  REQUIRE(file);
  const std::uint64_t header = first_tensor(*file);
  Random random(7);
  Outcome outcome;
  for (int round = 0; round < rounds(); ++round) {
    std::vector<std::byte> bytes = whole;
    const std::uint64_t value = kExtremes[random.below(kExtremes.size())];
    // Half of them among the tensors' descriptions, at the header's end, where sizes and offsets are dense.
    const std::uint64_t from = random.below(2) == 0 ? 0 : header - 1024;
    store(bytes.data() + from + random.below(header - from - 8), value);
    open_and_use(std::move(bytes), outcome);
  }
  MESSAGE("refused ", outcome.refused, ", unusable ", outcome.unusable, ", usable ", outcome.usable);
  CHECK(outcome.refused > 100);
}

}  // namespace shoal
