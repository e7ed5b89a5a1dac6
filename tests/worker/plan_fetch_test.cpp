#include "worker/plan_fetch.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/worker/worker_driver.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

constexpr Epoch kEpoch = make_epoch(1, 1);

const TinyModel& model() {
  static const TinyModel tiny{5, [] {
                                TinyModelOptions options;
                                options.vocab_size = 30000;  // an embedding of several requests
                                return options;
                              }()};
  return tiny;
}

class Fetch : public WorkerDriver {
 public:
  Fetch() : plan(plan_for(model(), kEpoch, {}, {kSelf})) {
    feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
    feed(NetworkEvent(PeerUp{kHub, Lane::Bulk}));
    hear(plan);
    REQUIRE(count<CheckStore>() == 1);
    clear();
  }
  StoreChecked all_missing() const {
    StoreChecked checked{.epoch = kEpoch};
    for (const TensorRef& tensor : plan.tensors) {
      const bool listed = std::ranges::any_of(
          checked.missing, [&](const MissingTensor& m) { return m.tensor.sha256 == tensor.sha256; });
      if (listed) continue;
      const std::uint32_t panels = num_stored_panels(tensor);
      checked.bytes_total += stored_body_bytes(tensor);
      checked.missing.push_back({tensor, 0, panels, stored_body_bytes(tensor) / panels});
    }
    return checked;
  }
  // Gives what was asked for and writes it. False if nothing was asked for.
  bool answer_one() {
    const auto request = sent<ShardRequest>();
    if (!request) return false;
    hear(data_for(*request), kHub, Lane::Bulk);
    const auto write = take<WriteShard>();
    REQUIRE(write);
    feed(written(*write));
    return true;
  }
  ShardData data_for(const ShardRequest& request) const {
    return shard_data(model(), tensor(request.tensor), request.first_panel, request.num_panels);
  }
  const TensorRef& tensor(const Sha256& sha) const {
    return *std::ranges::find_if(plan.tensors, [&](const TensorRef& t) { return t.sha256 == sha; });
  }
  static ShardWritten written(const WriteShard& write) {
    const std::uint32_t panels = num_stored_panels(write.tensor);
    return {write.tensor.sha256, write.data.first_panel, write.data.num_panels,
            stored_body_bytes(write.tensor) / panels * write.data.num_panels,
            write.data.first_panel + write.data.num_panels == panels};
  }

  PlanMessage plan;
};

}  // namespace

TEST_CASE("what is missing is fetched a few requests ahead, written in order, then the plan is ready") {
  Fetch fetch;
  const StoreChecked checked = fetch.all_missing();
  fetch.feed(checked);
  CHECK(fetch.count_sent<ShardRequest>() == 4);
  while (fetch.answer_one()) CHECK(fetch.count_sent<ShardRequest>() <= 4);
  const auto ready = fetch.sent<StageStatus>();
  REQUIRE(ready);
  CHECK(ready->state == StageState::Ready);
  CHECK(ready->bytes_present == checked.bytes_total);
  CHECK(ready->bytes_received > 0);
}

TEST_CASE("where the store holds everything nothing is asked for, and the plan is ready at once") {
  Fetch fetch;
  StoreChecked checked = fetch.all_missing();
  checked.bytes_present = checked.bytes_total;
  checked.missing.clear();
  fetch.feed(checked);
  CHECK(fetch.count_sent<ShardRequest>() == 0);
  const auto ready = fetch.sent<StageStatus>();
  REQUIRE(ready);
  CHECK(ready->state == StageState::Ready);
  CHECK(ready->bytes_received == 0);
  CHECK(ready->bytes_present == ready->bytes_total);
}

TEST_CASE("a fetch goes on where the store says") {
  Fetch fetch;
  StoreChecked checked = fetch.all_missing();
  std::erase_if(checked.missing, [](const MissingTensor& m) {
    return m.tensor.role != static_cast<std::uint8_t>(TensorRole::Embedding);
  });
  REQUIRE(checked.missing.size() == 1);
  checked.missing[0].first_panel = checked.missing[0].num_panels - 2;
  fetch.feed(checked);
  const auto request = fetch.sent<ShardRequest>();
  REQUIRE(request);
  CHECK(request->first_panel == checked.missing[0].first_panel);
  CHECK(request->num_panels == 2);
  CHECK(fetch.count_sent<ShardRequest>() == 0);
}

TEST_CASE("an answer that comes twice, late or unasked is dropped, so that no fetch breeds fetches") {
  Fetch fetch;
  fetch.feed(fetch.all_missing());
  const auto first = fetch.sent<ShardRequest>();
  fetch.clear();
  fetch.hear(fetch.data_for(*first), kHub, Lane::Bulk);
  CHECK(fetch.count<WriteShard>() == 1);
  fetch.hear(fetch.data_for(*first), kHub, Lane::Bulk);
  CHECK(fetch.count<WriteShard>() == 1);
  SUBCASE("from another device") {
    fetch.hear(fetch.data_for(*first), kBefore, Lane::Bulk);
    CHECK(fetch.count<WriteShard>() == 1);
  }
  SUBCASE("while the store looks again") {
    fetch.feed(NetworkEvent(PeerUp{kHub, Lane::Bulk}));  // the hub came back
    CHECK(fetch.count<CheckStore>() == 1);
    fetch.feed(NetworkEvent(PeerUp{kHub, Lane::Bulk}));
    CHECK(fetch.count<CheckStore>() == 1);
    fetch.clear();
    fetch.hear(fetch.data_for(*first), kHub, Lane::Bulk);
    fetch.feed(ShardWritten{first->tensor, 0, 1, 1, true});
    fetch.feed(StoreFailed{first->tensor, "of a write before", true});
    CHECK(fetch.commands.empty());
    fetch.feed(fetch.all_missing());
    CHECK(fetch.count_sent<ShardRequest>() == 4);
    CHECK(fetch.state.pending->num_complete == 0);
  }
}

TEST_CASE("a standstill asks again, but a slow link is not asked twice") {
  Fetch fetch;
  fetch.feed(fetch.all_missing());
  fetch.clear();
  for (int second = 0; second < 15; ++second) fetch.tick(std::chrono::seconds(1));
  CHECK(fetch.count<CheckStore>() == 0);
  CHECK(fetch.count_sent<StageStatus>() == 15);  // it still says that it loads
  for (int second = 0; second < 10; ++second) fetch.tick(std::chrono::seconds(1));
  CHECK(fetch.count<CheckStore>() == 1);
}

TEST_CASE("a worthless tensor is fetched again, a few times; a disk that refuses fails the plan") {
  Fetch fetch;
  fetch.feed(fetch.all_missing());
  const auto write_one = [&] {
    fetch.hear(fetch.data_for(*fetch.sent<ShardRequest>()), kHub, Lane::Bulk);
    return *fetch.take<WriteShard>();
  };
  SUBCASE("worthless") {
    for (int i = 0; i < 3; ++i) {
      fetch.feed(StoreFailed{write_one().tensor.sha256, "another SHA-256", true});
      REQUIRE(fetch.take<CheckStore>());
      fetch.clear();
      fetch.feed(fetch.all_missing());
    }
    fetch.feed(StoreFailed{write_one().tensor.sha256, "another SHA-256", true});
    CHECK(fetch.count<CheckStore>() == 0);
  }
  SUBCASE("full") { fetch.feed(StoreFailed{write_one().tensor.sha256, "another SHA-256 of a full disk"}); }
  const auto failed = fetch.sent<StageStatus>();
  REQUIRE(failed);
  CHECK(failed->state == StageState::Failed);
  CHECK(failed->reason.find("another SHA-256") != std::string::npos);
  fetch.clear();
  fetch.tick(std::chrono::minutes(1));
  CHECK(fetch.count<CheckStore>() == 0);
  CHECK(fetch.count_sent<StageStatus>() == 0);  // said once
  fetch.hear(fetch.plan);                       // the hub did not hear it
  CHECK(fetch.sent<StageStatus>()->state == StageState::Failed);
}

TEST_CASE("a hub that does not give a tensor fails the plan with its reason") {
  Fetch fetch;
  fetch.feed(fetch.all_missing());
  const auto request = fetch.sent<ShardRequest>();
  fetch.clear();
  fetch.hear(ShardData{.tensor = request->tensor,
                       .first_panel = request->first_panel,
                       .num_panels = 0,
                       .reason = "no such tensor"},
             kHub, Lane::Bulk);
  const auto failed = fetch.sent<StageStatus>();
  REQUIRE(failed);
  CHECK(failed->state == StageState::Failed);
  CHECK(failed->reason.find("no such tensor") != std::string::npos);
}

TEST_CASE("ready is said again, in case the first word was lost") {
  Fetch fetch;
  fetch.feed(StoreChecked{.epoch = kEpoch, .missing = {}});
  fetch.clear();
  fetch.tick(std::chrono::milliseconds(2100));
  CHECK(fetch.sent<StageStatus>()->state == StageState::Ready);
  fetch.hear(fetch.plan);
  CHECK(fetch.sent<StageStatus>()->state == StageState::Ready);
  CHECK(fetch.count<CheckStore>() == 0);
}

TEST_CASE("a newer plan takes the place of one that is still being fetched") {
  Fetch fetch;
  fetch.feed(fetch.all_missing());
  const auto old = fetch.sent<ShardRequest>();
  fetch.clear();
  PlanMessage newer = plan_for(model(), make_epoch(1, 2), {}, {kSelf});
  newer.tensors = tensor_refs(model(), {0, 1});
  newer.stages = plan_for(model(), kEpoch, {}, {kSelf}).stages;
  fetch.hear(newer);
  CHECK(fetch.take<CheckStore>()->epoch == newer.epoch);
  fetch.hear(fetch.data_for(*old), kHub, Lane::Bulk);
  fetch.feed(fetch.all_missing());  // of the old plan
  CHECK(fetch.commands.empty());
  fetch.feed(StoreChecked{.epoch = newer.epoch, .missing = {}});
  CHECK(fetch.sent<StageStatus>()->epoch == newer.epoch);
}

}  // namespace shoal
