#include "worker/shard_store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "kernels/panels.h"
#include "model/gguf_shard_source.h"
#include "tests/worker/tiny_shard.h"

namespace shoal {
namespace {

std::unique_ptr<ShardStore> opened(const TemporaryDirectory& directory) {
  Result<std::unique_ptr<ShardStore>> store = ShardStore::open(directory.path());
  REQUIRE_MESSAGE(store.has_value(), store.error().message());
  return *std::move(store);
}

// Fetches what `checked` misses as plan_fetch would, `panels` at a time. Returns the bytes that came.
std::size_t fetch(ShardStore& store, const TinyModel& model, const StoreChecked& checked,
                  std::uint32_t panels = 9) {
  std::size_t received = 0;
  for (const MissingTensor& missing : checked.missing) {
    for (std::uint32_t at = missing.first_panel; at < missing.num_panels; at += panels) {
      const ShardData data =
          shard_data(model, missing.tensor, at, std::min(panels, missing.num_panels - at), 700);
      for (const Payload& chunk : data.payload) received += chunk.size();
      const auto outcome = store.write(missing.tensor, data);
      if (const auto* failed = std::get_if<StoreFailed>(&outcome)) FAIL(failed->reason);
      CHECK(std::get<ShardWritten>(outcome).complete == (at + panels >= missing.num_panels));
    }
  }
  store.sync();
  return received;
}

// Do all tensors of the store hold what the model's file holds, bit for bit?
void check_contents(ShardStore& store, const TinyModel& model, const std::vector<TensorRef>& refs) {
  store.serve(refs);
  ThreadPool pool(1);
  GgufShardSource truth(model.file(), pool);
  for (const TensorSpec& spec : model.specs()) {
    if (std::ranges::none_of(refs, [&](const TensorRef& ref) { return ref.name == spec.file_name; }))
      continue;
    CAPTURE(spec.file_name);
    if (spec.is_matrix) {
      const Result<PanelMatrix> ours = store.matrix(spec);
      REQUIRE(ours);
      CHECK(reinterpret_cast<std::uintptr_t>(ours->panels) % 64 == 0);
      CHECK(std::memcmp(ours->panels, truth.matrix(spec)->panels,
                        panel_matrix_bytes(spec.type, spec.rows, spec.cols)) == 0);
    } else {
      const Result<std::span<const float>> ours = store.vector(spec);
      REQUIRE(ours);
      CHECK(std::ranges::equal(*ours, *truth.vector(spec)));
    }
  }
}

}  // namespace

TEST_CASE("a shard fetched once is there at the next start, with no byte missing") {
  const TinyModel model{21};
  const std::vector<TensorRef> refs = tensor_refs(model);
  const TemporaryDirectory directory;
  {
    const auto store = opened(directory);
    const StoreChecked checked = store->check(Epoch{1}, refs);
    CHECK(checked.bytes_present == 0);
    CHECK(fetch(*store, model, checked) > 0);
    check_contents(*store, model, refs);
  }
  const auto store = opened(directory);
  const StoreChecked again = store->check(Epoch{2}, refs);
  CHECK(again.missing.empty());
  CHECK(again.bytes_present == again.bytes_total);
  check_contents(*store, model, refs);
}

TEST_CASE("a fetch cut off by the process's end goes on in the next one") {
  const TinyModel model{21};
  const std::vector<TensorRef> refs = tensor_refs(model, {0, 1});
  const TemporaryDirectory directory;
  const std::uint32_t panels = num_stored_panels(refs.front());
  for (std::uint32_t at = 0; at < panels; at += 4) {
    const auto store = opened(directory);
    const StoreChecked checked = store->check(Epoch{1}, refs);
    REQUIRE(checked.missing.size() == 1);
    REQUIRE(checked.missing[0].first_panel == at);
    CHECK(checked.bytes_present == at * checked.missing[0].panel_stored_bytes);
    const auto outcome =
        store->write(refs.front(), shard_data(model, refs.front(), at, std::min(4u, panels - at)));
    REQUIRE(std::holds_alternative<ShardWritten>(outcome));
  }
  const auto store = opened(directory);
  CHECK(store->check(Epoch{1}, refs).missing.empty());
  check_contents(*store, model, refs);
}

TEST_CASE("a crash at any moment around the finished tensor's rename costs no more than that tensor") {
  const TinyModel model{21};
  const std::vector<TensorRef> refs = tensor_refs(model, {0, 1});
  const std::uint32_t panels = num_stored_panels(refs.front());
  const TemporaryDirectory directory;
  const std::string path = directory.file(panel_file_name(refs.front()));
  const auto copy = [](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  };
  {
    auto store = opened(directory);
    (void)store->check(Epoch{1}, refs);
    (void)store->write(refs.front(), shard_data(model, refs.front(), 0, 6));
    store.reset();  // leaves a resume point at panel 6
    copy(path + ".resume", directory.file("resume"));
    store = opened(directory);
    (void)fetch(*store, model, store->check(Epoch{1}, refs));
  }
  REQUIRE(std::filesystem::exists(path));
  std::uint32_t goes_on_at = 0;
  SUBCASE("the header was written, the rename was not, and there is a resume point") {
    std::filesystem::rename(path, path + ".part");
    copy(directory.file("resume"), path + ".resume");
    goes_on_at = 6;
  }
  SUBCASE("the header was written, the rename was not, and there is no resume point") {
    std::filesystem::rename(path, path + ".part");
  }
  SUBCASE("it was renamed, and its resume point still stands there") {
    copy(directory.file("resume"), path + ".resume");
    goes_on_at = panels;
  }
  SUBCASE("the resume point was being replaced") {
    std::filesystem::rename(path, path + ".part");
    copy(directory.file("resume"), path + ".resume");
    copy(directory.file("resume"), path + ".resume.new");
    std::filesystem::resize_file(path + ".resume.new", 11);
    goes_on_at = 6;
  }
  std::filesystem::remove(directory.file("resume"));
  const auto store = opened(directory);
  const StoreChecked checked = store->check(Epoch{1}, refs);
  if (goes_on_at == panels) {
    CHECK(checked.missing.empty());
  } else {
    REQUIRE(checked.missing.size() == 1);
    CHECK(checked.missing.front().first_panel == goes_on_at);
    fetch(*store, model, checked);
  }
  check_contents(*store, model, refs);
  CHECK(directory.names() == std::vector<std::string>{panel_file_name(refs.front())});
}

TEST_CASE("files that are not what their names say are removed and fetched again") {
  const TinyModel model{21};
  const std::vector<TensorRef> refs = tensor_refs(model);
  const TemporaryDirectory directory;
  {
    const auto store = opened(directory);
    fetch(*store, model, store->check(Epoch{1}, refs));
  }
  const std::string path = directory.file(panel_file_name(refs.front()));
  const auto size = std::filesystem::file_size(path);
  SUBCASE("cut short") { std::filesystem::resize_file(path, size / 2); }
  SUBCASE("empty") { std::filesystem::resize_file(path, 0); }
  SUBCASE("too long") { std::filesystem::resize_file(path, size + 1); }
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{13}, std::uint64_t{76}, std::uint64_t{126},
                                 std::uint64_t{128}, size - 1}) {
    SUBCASE(("a flipped bit at " + std::to_string(at)).c_str()) {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 16));
    }
  }
  const auto store = opened(directory);
  const StoreChecked checked = store->check(Epoch{1}, refs);
  if (std::filesystem::exists(path)) return;  // no subcase ran: doctest's last round
  REQUIRE(checked.missing.size() == 1);
  CHECK(checked.missing.front().tensor == refs.front());
  CHECK(checked.missing.front().first_panel == 0);
  fetch(*store, model, checked);
  check_contents(*store, model, refs);
}

TEST_CASE(
    "leftovers that nothing can go on with are removed at the start; other layouts' files are left alone") {
  const TemporaryDirectory directory;
  for (const char* name : {"aa-v1.panels.part", "bb-v1.panels.resume", "cc-v1.panels.resume.new",
                           "dd-v0.panels", "ee-v1.panels.part", "ee-v1.panels.resume"}) {
    std::ofstream(directory.file(name)) << "something";
  }
  (void)opened(directory);
  CHECK(directory.names() ==
        std::vector<std::string>{"dd-v0.panels", "ee-v1.panels.part", "ee-v1.panels.resume"});
}

TEST_CASE("wrong bytes, wrong order and wrong sizes begin the tensor anew") {
  const TinyModel model{21};
  std::vector<TensorRef> refs = tensor_refs(model, {0, 1});
  const std::uint32_t panels = num_stored_panels(refs.front());
  const TemporaryDirectory directory;
  const auto store = opened(directory);
  (void)store->check(Epoch{1}, refs);
  const auto failure = [&](const ShardData& data) {
    const auto outcome = store->write(refs.front(), data);
    REQUIRE(std::holds_alternative<StoreFailed>(outcome));
    CHECK(std::get<StoreFailed>(outcome).restart);
    CHECK(std::get<StoreFailed>(outcome).reason.find(refs.front().name) != std::string::npos);
  };
  SUBCASE("not the first panel") { failure(shard_data(model, refs.front(), 2, 1)); }
  SUBCASE("more panels than there are") {
    ShardData data = shard_data(model, refs.front(), 0, panels);
    data.num_panels = panels + 1;
    failure(data);
  }
  SUBCASE("a wrong size") {
    ShardData data = shard_data(model, refs.front(), 0, 2);
    data.num_panels = 3;
    failure(data);
  }
  SUBCASE("wrong bytes") {
    ShardData data = shard_data(model, refs.front(), 0, panels);
    std::vector<std::byte> bytes(data.payload.front().bytes().begin(), data.payload.front().bytes().end());
    bytes[100] ^= std::byte{1};
    data.payload.front() = Payload::owning(std::move(bytes));
    failure(data);
    CHECK(directory.names().empty());
  }
  const StoreChecked checked = store->check(Epoch{1}, refs);
  fetch(*store, model, checked, panels);
  check_contents(*store, model, refs);
}

TEST_CASE("a directory that cannot be written, or that another worker uses, is refused with what to do") {
  const TemporaryDirectory directory;
  const auto first = opened(directory);
  const Result<std::unique_ptr<ShardStore>> second = ShardStore::open(directory.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().message().find("another worker") != std::string::npos);
  CHECK(second.error().message().find(directory.path()) != std::string::npos);
  std::ofstream(directory.file("file")) << "x";
  const Result<std::unique_ptr<ShardStore>> in_file = ShardStore::open(directory.file("file") + "/store");
  REQUIRE_FALSE(in_file);
  CHECK(in_file.error().message().find("--state") != std::string::npos);
  if (::geteuid() == 0) return;  // root may write anywhere
  const std::string closed = directory.file("closed");
  ::mkdir(closed.c_str(), 0500);
  CHECK(ShardStore::open(closed).error().message().find("not writable") != std::string::npos);
}

TEST_CASE("a tensor is served by the plan's name for it, whatever later plans call theirs") {
  const TinyModel model{21};
  const TinyModel tuned{22};  // same names and shapes, other weights
  const TemporaryDirectory directory;
  const auto store = opened(directory);
  const std::vector<TensorRef> refs = tensor_refs(model);
  fetch(*store, model, store->check(Epoch{1}, refs));
  const std::vector<TensorRef> later = tensor_refs(tuned);
  fetch(*store, tuned, store->check(Epoch{2}, later));
  check_contents(*store, model, refs);
  check_contents(*store, tuned, later);
  const TensorSpec spec = tuned.specs().front();
  TensorSpec other = spec;
  other.rows += 1;
  CHECK(store->matrix(other).error().code() == ErrorCode::Corrupt);
  other.file_name = "nobody";
  CHECK(store->matrix(other).error().code() == ErrorCode::NotFound);
}

TEST_CASE("only what earlier plans alone asked for is unmapped") {
  const TinyModel model{21};
  const TemporaryDirectory directory;
  const auto store = opened(directory);
  const std::vector<TensorRef> first = tensor_refs(model, {0, 3});
  const std::vector<TensorRef> second = tensor_refs(model, {2, 5});
  const std::vector<TensorRef> third = tensor_refs(model, {4, 6});
  fetch(*store, model, store->check(Epoch{1}, first));
  fetch(*store, model, store->check(Epoch{2}, second));
  fetch(*store, model, store->check(Epoch{3}, third));
  store->retain(Epoch{1});  // late: plans 2 and 3 are in preparation already
  check_contents(*store, model, second);
  check_contents(*store, model, third);
  store->retain(Epoch{2});
  check_contents(*store, model, second);
  store->serve(first);
  CHECK(store->matrix(model.specs().front()).error().code() == ErrorCode::NotFound);
  store->retain(Epoch{3});
  check_contents(*store, model, third);
  CHECK(store->check(Epoch{4}, first).missing.empty());  // on disk all the same
}

}  // namespace shoal
