#include "coordinator/cluster_door.h"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>

namespace shoal {
namespace {

InferenceRequest a_request() {
  InferenceRequest request;
  request.prompt = {1, 2, 3};
  return request;
}

}  // namespace

TEST_CASE("a request goes in with a drawn seed, and its events come out until its end") {
  int woken = 0;
  ClusterDoor door(100, [&] { ++woken; });
  std::vector<InferenceEvent> heard;
  const Result<RequestId> id =
      door.submit(a_request(), [&](InferenceEvent event) { heard.push_back(std::move(event)); });
  REQUIRE(id.has_value());
  CHECK(woken == 1);
  std::vector<ClusterEvent> events;
  door.take_requests(events);
  REQUIRE(events.size() == 1);
  const auto& submitted = std::get<SubmitRequest>(events.front());
  CHECK(submitted.id == *id);
  CHECK(submitted.request.prompt == std::vector<TokenId>{1, 2, 3});
  door.deliver(*id, TokenEvent{});
  door.deliver(*id, FinishedEvent{});
  door.deliver(*id, TokenEvent{});  // too late: nobody listens
  CHECK(heard.size() == 2);
  CHECK(door.num_open() == 0);
}

TEST_CASE("a seed that was given is kept, and two drawn ones differ") {
  ClusterDoor door(100, [] {});
  InferenceRequest seeded = a_request();
  seeded.has_seed = true;
  seeded.sampling.seed = 42;
  (void)door.submit(seeded, [](InferenceEvent) {});
  (void)door.submit(a_request(), [](InferenceEvent) {});
  (void)door.submit(a_request(), [](InferenceEvent) {});
  std::vector<ClusterEvent> events;
  door.take_requests(events);
  const auto seed = [&](std::size_t i) { return std::get<SubmitRequest>(events[i]).request.sampling.seed; };
  CHECK(seed(0) == 42);
  CHECK(seed(1) != seed(2));
}

TEST_CASE("a cancelled request hears nothing more, and one that ended cannot be cancelled") {
  ClusterDoor door(100, [] {});
  int heard = 0;
  const RequestId id = *door.submit(a_request(), [&](InferenceEvent) { ++heard; });
  std::vector<ClusterEvent> events;
  door.take_requests(events);
  door.cancel(id);
  door.cancel(id);
  door.cancel(999);
  events.clear();
  door.take_requests(events);
  REQUIRE(events.size() == 1);
  CHECK(std::get<CancelRequest>(events.front()).id == id);
  door.deliver(id, FinishedEvent{});
  CHECK(heard == 0);
}

TEST_CASE("more requests than the door holds are refused, not dropped") {
  ClusterDoor door(100, [] {});
  std::size_t taken = 0;
  for (int i = 0; i < 3000; ++i) taken += door.submit(a_request(), [](InferenceEvent) {}).has_value();
  CHECK(taken == 1024);
  const Result<RequestId> refused = door.submit(a_request(), [](InferenceEvent) {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == ErrorCode::Unavailable);
}

TEST_CASE("closing the door ends every open request with the reason and takes no more") {
  ClusterDoor door(100, [] {});
  std::vector<std::string> reasons;
  const auto sink = [&](InferenceEvent event) { reasons.push_back(std::get<FailedEvent>(event).message); };
  (void)door.submit(a_request(), sink);
  std::vector<ClusterEvent> events;
  door.take_requests(events);
  (void)door.submit(a_request(), sink);  // still in the queue
  door.close({ErrorCode::Unavailable, "stopping", "stopping"});
  CHECK(reasons == std::vector<std::string>{"stopping", "stopping"});
  CHECK_FALSE(door.submit(a_request(), sink).has_value());
  door.cancel(1);  // does not wait for a reactor that is gone
}

TEST_CASE("many threads ask, cancel and look at once while the reactor answers") {
  ClusterDoor door(100, [] {});
  constexpr int kThreads = 4;
  constexpr int kEach = 300;
  std::atomic<int> ended{0};
  std::atomic<int> accepted{0};
  std::atomic<int> cancelled{0};
  std::atomic<bool> all_asked{false};
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const Result<RequestId> id = door.submit(a_request(), [&](InferenceEvent) { ++ended; });
        if (!id) continue;
        ++accepted;
        if ((i + t) % 5 == 0) {
          door.cancel(*id);
          ++cancelled;
        }
        (void)door.health();
        (void)door.cluster_json();
      }
    });
  }
  std::thread reactor([&] {
    std::vector<ClusterEvent> events;
    std::vector<RequestId> open;
    while (!all_asked || !open.empty()) {
      events.clear();
      door.take_requests(events);
      for (ClusterEvent& event : events) {
        if (const auto* asked = std::get_if<SubmitRequest>(&event)) open.push_back(asked->id);
      }
      door.publish({.ready = true, .state = "ready", .detail = "", .progress = 1}, "{}");
      for (const RequestId id : open) door.deliver(id, FinishedEvent{});
      open.clear();
    }
    door.close({ErrorCode::Unavailable, "stopping", "stopping"});
  });
  for (std::thread& client : clients) client.join();
  all_asked = true;
  reactor.join();
  CHECK(ended <= accepted);
  CHECK(ended >= accepted - cancelled);
  CHECK(door.num_open() == 0);
}

}  // namespace shoal
