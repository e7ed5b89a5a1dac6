#include "coordinator/hub_store.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace shoal {
namespace {

class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("shoal-hub-store-" + std::to_string(::getpid()) + "-" + std::to_string(++count_))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file() const { return path_ / "hub.sqlite"; }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

// SQLite keeps a number of the application's, big-endian, at byte 60 of the file.
void write_user_version(const std::string& path, char version) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(60);
  file.write("\0\0\0", 3).put(version);
  REQUIRE(file.good());
}

HubStore opened(const Folder& folder) {
  Result<HubStore> store = HubStore::open(folder.file());
  REQUIRE_MESSAGE(store.has_value(), store.error().message());
  return *std::move(store);
}

}  // namespace

TEST_CASE("every run of the hub has a higher term") {
  const Folder folder;
  for (std::uint32_t term = 1; term < 5; ++term) {
    HubStore store = opened(folder);
    const Result<std::uint32_t> next = store.next_term();
    REQUIRE(next.has_value());
    CHECK(*next == term);
  }
}

TEST_CASE("devices, measurements and the plan survive a restart") {
  const Folder folder;
  const std::string key(40, 'k');
  RememberProfile profile{key, 0xfedcba9876543210, {}};
  profile.report.model.fill(7);
  profile.report.units = {{0, 1e-6, 2e-6, 3e-6, 4e-6, 5e-6}, {1, 1e-3, 2e-2, 3e-5, 4e-1, 5e-5}};
  profile.report.read_bytes_per_second = 1.5e10;
  profile.report.hand_over_seconds = 7e-5;
  RememberLinks::Link link{"", key, "", "10.0.0.1", 1e-3, 1e7};
  RememberPlan plan;
  plan.model.fill(9);
  plan.stages = {{key, {0, 3}}, {std::string(40, 'x'), {3, 8}}};
  {
    HubStore store = opened(folder);
    CHECK(store.remember(RememberDevice{DeviceId{3}, "cam-3", key, false}));
    CHECK(store.remember(RememberDevice{DeviceId{3}, "cam-three", key, true}));
    RememberProfile older = profile;
    older.profile_key = 3;  // another program, or another board
    CHECK(store.remember(older));
    CHECK(store.remember(profile));
    CHECK(store.remember(RememberLinks{{link, {key, "", "10.0.0.1", "", 2e-3, 2e7}}}));
    link.latency_seconds = 5e-3;
    CHECK(store.remember(RememberLinks{{link}}));
    CHECK(store.remember(RememberPlan{plan.model, {{key, {0, 8}}}}));
    CHECK(store.remember(plan));
  }
  HubStore store = opened(folder);
  const Result<std::vector<RememberDevice>> devices = store.devices();
  REQUIRE(devices.has_value());
  REQUIRE(devices->size() == 1);
  CHECK(devices->front().device == DeviceId{3});
  CHECK(devices->front().name == "cam-three");
  CHECK(devices->front().public_key == key);
  CHECK(devices->front().revoked);
  const Result<std::vector<RememberProfile>> profiles = store.profiles();
  REQUIRE(profiles.has_value());
  REQUIRE(profiles->size() == 1);
  CHECK(profiles->front().report == profile.report);
  CHECK(profiles->front().profile_key == profile.profile_key);
  const Result<RememberLinks> links = store.links();
  REQUIRE(links.has_value());
  REQUIRE(links->links.size() == 2);
  CHECK(std::ranges::find(links->links, link) != links->links.end());
  const Result<std::optional<RememberPlan>> kept = store.plan();
  REQUIRE(kept.has_value());
  REQUIRE(kept->has_value());
  REQUIRE((*kept)->stages.size() == 2);
  CHECK((*kept)->model == plan.model);
  CHECK((*kept)->stages[1].units == Range{3, 8});
}

TEST_CASE("a key that belongs to another device is not remembered twice") {
  const Folder folder;
  HubStore store = opened(folder);
  CHECK(store.remember(RememberDevice{DeviceId{1}, "a", std::string(40, 'k'), false}));
  CHECK_FALSE(store.remember(RememberDevice{DeviceId{2}, "b", std::string(40, 'k'), false}));
  CHECK(store.next_term());  // and it still works
}

TEST_CASE(
    "a file that is no database, a foreign one and one of another version are refused with what to do") {
  const Folder folder;
  SUBCASE("no database") { std::ofstream(folder.file()) << std::string(5000, '?'); }
  SUBCASE("a foreign database") {
    { HubStore store = opened(folder); }
    write_user_version(folder.file(), 0);  // has tables, and they are not said to be ours
  }
  SUBCASE("another version") {
    { HubStore store = opened(folder); }
    write_user_version(folder.file(), 99);
  }
  const Result<HubStore> store = HubStore::open(folder.file());
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().message().find(folder.file()) != std::string::npos);
  CHECK(store.error().message().find("--state") != std::string::npos);
}

TEST_CASE("a file of version 1 keeps its devices, and devices measure themselves again") {
  const Folder folder;
  {
    HubStore store = opened(folder);
    CHECK(store.remember(RememberDevice{DeviceId{1}, "cam-1", std::string(40, 'k'), false}));
    CHECK(store.remember(
        RememberProfile{std::string(40, 'k'), 1, {.model = {}, .units = {{0, 1, 2, 3, 4, 5}}}}));
  }
  write_user_version(folder.file(), 1);
  for (int i = 0; i < 2; ++i) {
    HubStore store = opened(folder);
    CHECK(store.devices()->size() == 1);
    CHECK(store.profiles()->empty());
    CHECK(store.links()->links.empty());
  }
}

TEST_CASE("a hub that is killed loses nothing of what it was told to keep") {
  const Folder folder;
  { HubStore store = opened(folder); }  // the file is there
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Result<HubStore> store = HubStore::open(folder.file());
    const bool kept = store && store->next_term() &&
                      store->remember(RememberDevice{DeviceId{1}, "cam-1", std::string(40, 'k'), false}) &&
                      store->remember(RememberPlan{{}, {{std::string(40, 'k'), {0, 8}}}});
    ::_exit(kept ? 0 : 1);  // nothing is closed or flushed
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  HubStore store = opened(folder);
  CHECK(*store.next_term() == 2);
  CHECK(store.devices()->size() == 1);
  CHECK((*store.plan())->stages.size() == 1);
}

TEST_CASE("an id that another device got is remembered with the new key") {
  const Folder folder;
  const std::string key(40, 'n');
  {
    HubStore store = opened(folder);
    CHECK(store.remember(RememberDevice{DeviceId{1}, "old", std::string(40, 'o'), false}));
    CHECK(store.remember(RememberDevice{DeviceId{1}, "new", key, false}));
  }
  HubStore store = opened(folder);
  REQUIRE(store.devices()->size() == 1);
  CHECK(store.devices()->front().public_key == key);
  CHECK(store.devices()->front().name == "new");
}

TEST_CASE("a file that cannot be read to its end is an error and not the end") {
  constexpr std::size_t kPage = 4096;
  const Folder folder;
  {
    HubStore store = opened(folder);
    RememberPlan plan{.model = {}, .stages = {}};
    const ProfileReport measured{
        .model = {}, .units = {{0, 1e-6, 2e-6, 3e-6, 4e-6, 5e-6}}, .read_bytes_per_second = 1e9};
    for (std::uint32_t i = 100; i < 500; ++i) {
      const std::string number = std::to_string(i);
      const std::string key = std::string(37, 'k') + number;
      CHECK(
          store.remember(RememberDevice{DeviceId{i}, "device-" + number + std::string(80, '.'), key, false}));
      CHECK(store.remember(RememberProfile{key + "-of-profile", 1, measured}));
      CHECK(store.remember(RememberLinks{{{key, "link-" + number, "host", std::string(60, '.'), 1, 1}}}));
      plan.stages.push_back({"stage-" + number + std::string(60, '.'), {i, i + 1}});
    }
    CHECK(store.remember(plan));
  }
  const auto break_page_with = [&](const std::string& words) {
    std::fstream file(folder.file(), std::ios::binary | std::ios::in | std::ios::out);
    const std::string all{std::istreambuf_iterator<char>(file), {}};
    REQUIRE(all.find(words) != std::string::npos);
    file.clear();
    for (std::size_t at = all.find(words); at != std::string::npos; at = all.find(words, at + 1)) {
      file.seekp(static_cast<std::streamoff>(at / kPage * kPage));  // the table's, and its index's
      file << std::string(kPage, '\xff');
    }
  };
  SUBCASE("devices") {
    break_page_with("device-300");
    HubStore store = opened(folder);
    REQUIRE_FALSE(store.devices());
    CHECK(store.devices().error().message().find(folder.file()) != std::string::npos);
  }
  SUBCASE("measurements") {
    break_page_with("k300-of-profile");
    CHECK_FALSE(opened(folder).profiles());
  }
  SUBCASE("links") {
    break_page_with("link-300");
    CHECK_FALSE(opened(folder).links());
  }
  SUBCASE("plan") {
    break_page_with("stage-300");
    CHECK_FALSE(opened(folder).plan());
  }
}

}  // namespace shoal
