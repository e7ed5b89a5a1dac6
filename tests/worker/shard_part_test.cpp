#include "worker/shard_part.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <tuple>

#include "kernels/panels.h"
#include "model/sha256.h"
#include "tests/worker/tiny_shard.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

Bytes rows_of(const TinyModel& model, const TensorRef& tensor, std::uint32_t first, std::uint32_t count,
              std::vector<std::byte>& buffer) {
  const ShardData data = shard_data(model, tensor, first, count);
  buffer.clear();
  for (const Payload& chunk : data.payload)
    buffer.insert(buffer.end(), chunk.bytes().begin(), chunk.bytes().end());
  return buffer;
}

Status append(ShardPart& part, const TinyModel& model, std::uint32_t count) {
  std::vector<std::byte> buffer;
  const Bytes bytes = rows_of(model, part.tensor(), part.num_panels_in(), count, buffer);
  return part.append(count, bytes);
}

// The file's bytes, packed in one go.
std::vector<std::byte> expected_file(const TinyModel& model, const TensorRef& tensor) {
  std::vector<std::byte> buffer;
  const Bytes gguf = rows_of(model, tensor, 0, num_stored_panels(tensor), buffer);
  const std::unique_ptr<std::byte, decltype(&std::free)> body(
      static_cast<std::byte*>(std::aligned_alloc(64, (stored_body_bytes(tensor) + 63) / 64 * 64)),
      &std::free);
  if (tensor.is_matrix) {
    pack_panels(static_cast<WeightType>(tensor.type), tensor.rows, tensor.cols, gguf.data(), body.get());
  } else {
    std::memcpy(body.get(), gguf.data(), gguf.size());  // TinyModel's vectors are f32
  }
  return {body.get(), body.get() + stored_body_bytes(tensor)};
}

const TensorRef& find(const std::vector<TensorRef>& refs, TensorRole role) {
  return *std::ranges::find_if(refs,
                               [&](const TensorRef& t) { return t.role == static_cast<std::uint8_t>(role); });
}

void check_file(const TinyModel& model, const TensorRef& tensor, const std::string& path) {
  const Result<MappedFile> file = open_panel_file(path, tensor);
  REQUIRE_MESSAGE(file.has_value(), file.error().message());
  const std::vector<std::byte> expected = expected_file(model, tensor);
  const Bytes body = panel_file_body(*file);
  REQUIRE(body.size() == expected.size());
  CHECK(std::memcmp(body.data(), expected.data(), expected.size()) == 0);
}

void flip_bit(const std::string& path, long at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  char byte = 0;
  file.get(byte);
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 4));
}

}  // namespace

TEST_CASE("every weight type is stored as its panels and read back verified") {
  for (const WeightType type : {WeightType::F32, WeightType::F16, WeightType::BF16, WeightType::Q4_0,
                                WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1, WeightType::Q8_0,
                                WeightType::Q4_K, WeightType::Q5_K, WeightType::Q6_K}) {
    CAPTURE(name_of(type));
    TinyModelOptions options;
    options.num_layers = 1;
    options.hidden_size = options.intermediate_size = 256;
    options.head_dim = 64;
    options.types = TinyWeightTypes::all(type);
    const TinyModel model{11, options};
    const TemporaryDirectory directory;
    for (const TensorRef& tensor : tensor_refs(model)) {
      const std::string path = directory.file(panel_file_name(tensor));
      Result<ShardPart> part = ShardPart::open(path, tensor);
      REQUIRE(part);
      while (part->num_panels_in() < num_stored_panels(tensor)) {
        REQUIRE(append(*part, model, std::min(5u, num_stored_panels(tensor) - part->num_panels_in())));
      }
      REQUIRE(part->finish());
      check_file(model, tensor, path);
    }
  }
}

TEST_CASE("half-precision vectors are widened to f32") {
  const TinyModel model{11};
  TensorRef tensor = find(tensor_refs(model), TensorRole::OutputNorm);
  const TemporaryDirectory directory;
  for (const auto& [type, one, half] :
       {std::tuple{WeightType::F16, 0x3C00, 0xB800}, std::tuple{WeightType::BF16, 0x3F80, 0xBF00}}) {
    std::vector<std::byte> bytes(tensor.cols * 2);
    for (std::size_t i = 0; i < tensor.cols; ++i)
      store(&bytes[2 * i], static_cast<std::uint16_t>(i % 2 ? half : one));
    tensor.type = static_cast<std::uint32_t>(type);
    tensor.sha256 = sha256_of(bytes);
    const std::string path = directory.file(panel_file_name(tensor));
    Result<ShardPart> part = ShardPart::open(path, tensor);
    REQUIRE(part->append(1, bytes));
    REQUIRE(part->finish());
    const Result<MappedFile> file = open_panel_file(path, tensor);
    REQUIRE(file);
    CHECK(load<float>(panel_file_body(*file).data()) == 1.0f);
    CHECK(load<float>(panel_file_body(*file).data() + 4) == -0.5f);
  }
}

TEST_CASE("a fetch interrupted at any panel goes on from there in another process") {
  const TinyModel model{11};
  const TensorRef tensor = find(tensor_refs(model), TensorRole::Embedding);
  const std::uint32_t panels = num_stored_panels(tensor);
  REQUIRE(panels > 8);
  const TemporaryDirectory directory;
  const std::string path = directory.file("whole");
  for (std::uint32_t stop = 1; stop < panels; ++stop) {
    CAPTURE(stop);
    {
      Result<ShardPart> part = ShardPart::open(path, tensor);
      REQUIRE(part);
      CHECK(part->num_panels_in() == 0);
      REQUIRE(append(*part, model, stop));
    }
    CHECK(ShardPart::resumable_panels(path, tensor) == stop);
    Result<ShardPart> part = ShardPart::open(path, tensor);
    REQUIRE(part);
    REQUIRE(part->num_panels_in() == stop);
    REQUIRE(append(*part, model, panels - stop));
    REQUIRE(part->finish());
    check_file(model, tensor, path);
    CHECK(directory.names() == std::vector<std::string>{"whole"});
    std::filesystem::remove(path);
  }
}

namespace {

// A fetch that ended after seven panels.
void leave_unfinished(const std::string& path, const TensorRef& tensor, const TinyModel& model) {
  {
    Result<ShardPart> part = ShardPart::open(path, tensor);
    REQUIRE(append(*part, model, 7));
  }
  REQUIRE(ShardPart::resumable_panels(path, tensor) == 7);
}

}  // namespace

TEST_CASE("a broken resume point or part begins the fetch anew") {
  const TinyModel model{11};
  const TensorRef tensor = find(tensor_refs(model), TensorRole::Embedding);
  const TemporaryDirectory directory;
  const std::string path = directory.file("whole");
  leave_unfinished(path, tensor, model);
  SUBCASE("a flipped bit in the point") { flip_bit(path + ".resume", 40); }
  SUBCASE("a point cut short") { std::filesystem::resize_file(path + ".resume", 20); }
  SUBCASE("no point") { std::filesystem::remove(path + ".resume"); }
  SUBCASE("a part cut short") { std::filesystem::resize_file(path + ".part", 600); }
  SUBCASE("no part") { std::filesystem::remove(path + ".part"); }
  CHECK(ShardPart::resumable_panels(path, tensor) == 0);
  Result<ShardPart> part = ShardPart::open(path, tensor);
  REQUIRE(part);
  CHECK(part->num_panels_in() == 0);
  REQUIRE(append(*part, model, num_stored_panels(tensor)));
  REQUIRE(part->finish());
  check_file(model, tensor, path);
}

TEST_CASE("what rots on disk while a fetch is interrupted is found out before it is used") {
  const TinyModel model{11};
  const TensorRef tensor = find(tensor_refs(model), TensorRole::Embedding);
  const TemporaryDirectory directory;
  const std::string path = directory.file("whole");
  leave_unfinished(path, tensor, model);
  flip_bit(path + ".part", 1000);
  Result<ShardPart> part = ShardPart::open(path, tensor);
  REQUIRE(append(*part, model, num_stored_panels(tensor) - 7));
  REQUIRE(part->finish());  // the hub's bytes were right
  CHECK(open_panel_file(path, tensor).error().code() == ErrorCode::Corrupt);
}

TEST_CASE("bytes of another hash are refused and leave nothing behind") {
  const TinyModel model{11};
  TensorRef tensor = find(tensor_refs(model), TensorRole::Embedding);
  tensor.sha256[3] ^= 1;
  const TemporaryDirectory directory;
  Result<ShardPart> part = ShardPart::open(directory.file("whole"), tensor);
  REQUIRE(append(*part, model, num_stored_panels(tensor)));
  const Status finished = part->finish();
  REQUIRE_FALSE(finished);
  CHECK(finished.error().code() == ErrorCode::Corrupt);
  CHECK(finished.error().message().find(tensor.name) != std::string::npos);
  CHECK(directory.names().empty());
}

TEST_CASE("a disk that refuses is told with the path, and the fetch goes on once there is room") {
  const TinyModel model{11};
  const TensorRef tensor = find(tensor_refs(model), TensorRole::Embedding);
  const TemporaryDirectory directory;
  const std::string path = directory.file("whole");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  {
    Result<ShardPart> part = ShardPart::open(path, tensor);
    REQUIRE(append(*part, model, 5));
    const rlim_t room =
        kPanelFileHeaderBytes + 6 * panel_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
    const rlimit tight{room, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    const Status refused = append(*part, model, 5);
    ::setrlimit(RLIMIT_FSIZE, &before);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::Unavailable);
    CHECK(refused.error().message().find(path + ".part") != std::string::npos);
  }
  CHECK(ShardPart::resumable_panels(path, tensor) == 5);
  Result<ShardPart> part = ShardPart::open(path, tensor);
  REQUIRE(append(*part, model, num_stored_panels(tensor) - 5));
  REQUIRE(part->finish());  // what was refused was not hashed
  check_file(model, tensor, path);
  const Result<ShardPart> nowhere = ShardPart::open(directory.file("no/such/folder"), tensor);
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().message().find("no/such/folder.part") != std::string::npos);
}

}  // namespace shoal
