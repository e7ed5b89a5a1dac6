#include "coordinator/shard_server.h"

#include <doctest/doctest.h>

#include <cstring>

#include "kernels/panels.h"
#include "tests/coordinator/hub_fixture.h"
#include "transport/bounds.h"
#include "transport/limits.h"

namespace shoal {
namespace {

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

std::vector<std::byte> joined(const ShardData& data) {
  std::vector<std::byte> bytes;
  for (const Payload& chunk : data.payload)
    bytes.insert(bytes.end(), chunk.bytes().begin(), chunk.bytes().end());
  return bytes;
}

}  // namespace

TEST_CASE("every tensor can be fetched panel by panel, and is what the file holds") {
  const ServedModel model = served(tiny());
  ShardServer server(tiny().file(), model.tensors);
  std::uint64_t total = 0;
  for (const TensorRef& tensor : model.tensors) {
    CAPTURE(tensor.name);
    const auto panels =
        static_cast<std::uint32_t>(tensor.is_matrix ? (tensor.rows + kPanelRows - 1) / kPanelRows : 1);
    std::vector<std::byte> fetched;
    for (std::uint32_t panel = 0; panel < panels; panel += 3) {
      const ShardData data = server.answer({tensor.sha256, panel, std::min(3u, panels - panel)});
      CHECK(data.reason == "");
      CHECK(data.first_panel == panel);
      const std::vector<std::byte> bytes = joined(data);
      fetched.insert(fetched.end(), bytes.begin(), bytes.end());
    }
    const Bytes file = tiny().file().data(*tiny().file().find_tensor(tensor.name));
    REQUIRE(fetched.size() == file.size());
    CHECK(std::memcmp(fetched.data(), file.data(), file.size()) == 0);
    total += fetched.size();
  }
  CHECK(server.bytes_sent() == total);
}

TEST_CASE("what cannot be given is an answer with the reason, within the wire's bounds") {
  const ServedModel model = served(tiny());
  ShardServer server(tiny().file(), model.tensors);
  const TensorRef& tensor = model.tensors.front();
  const auto panels = static_cast<std::uint32_t>((tensor.rows + kPanelRows - 1) / kPanelRows);
  for (const ShardRequest& request :
       {ShardRequest{Sha256{}, 0, 1}, ShardRequest{tensor.sha256, panels, 1},
        ShardRequest{tensor.sha256, 0, panels + 1}, ShardRequest{tensor.sha256, panels - 1, 2},
        ShardRequest{tensor.sha256, 0, 0}, ShardRequest{tensor.sha256, 1, 0xFFFFFFFFu}}) {
    ShardData data = server.answer(request);
    CHECK(data.num_panels == 0);
    CHECK(data.payload.empty());
    CHECK_FALSE(data.reason.empty());
  }
  CHECK(server.bytes_sent() == 0);
}

TEST_CASE("an answer never carries more than one message may") {
  TinyModelOptions options;
  options.vocab_size = 40000;  // an embedding of 2.7 MB
  const TinyModel large(3, options);
  const ServedModel model = served(large);
  ShardServer server(large.file(), model.tensors);
  const TensorRef& tensor = model.tensors.front();
  REQUIRE(tensor.rows == 40000);
  CHECK(server.answer({tensor.sha256, 0, 2500}).num_panels == 0);
  ShardData data = server.answer({tensor.sha256, 0, 900});
  CHECK(data.num_panels == 900);
  for (const Payload& chunk : data.payload) CHECK(chunk.size() <= kMaxPayloadChunkBytes);
  CHECK(out_of_bounds(Message(std::move(data))) == nullptr);
}

}  // namespace shoal
