#include "cli/download.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "tests/cli/file_server.h"
#include "tests/cli/scratch.h"

namespace shoal {
namespace {

const std::atomic<bool> kNoStop{false};
const BytesProgress kSilent = [](std::uint64_t, std::uint64_t) {};

std::string some_content(std::size_t size) {
  std::string content = "GGUF";
  while (content.size() < size) content += static_cast<char>((content.size() * 2654435761u) >> 11);
  return content;
}

TEST_CASE("a file comes whole, with its progress, and leaves nothing beside it") {
  const ScratchFolder scratch;
  const std::string content = some_content(3 << 20);
  const FileServer server(
      [&](const auto& request) { return answer_with_ranges(request, content, "\"v1\""); });
  std::uint64_t most = 0;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == content.size());
    most = std::max(most, done);
  };
  REQUIRE(download(server.url("/m.gguf"), scratch.file("m.gguf"), progress, kNoStop));
  CHECK(content_of(scratch.file("m.gguf")) == content);
  CHECK(most == content.size());
  CHECK_FALSE(std::filesystem::exists(scratch.file("m.gguf.part")));
  CHECK_FALSE(std::filesystem::exists(scratch.file("m.gguf.part.from")));
}

// A server that breaks its first answer off after `first` bytes; from the second on it serves `later`.
struct BreakingServer {
  std::string content = some_content(100000);
  std::string later = content;
  std::string etag = "\"v1\"";
  std::string later_etag = "\"v1\"";
  bool knows_ranges = true;
  int count = 0;
  FileServer server{[this](const FileServer::Request& request) -> FileServer::Answer {
    if (count++ == 0) {
      return {.headers = {"ETag: " + etag}, .body = content.substr(0, 40000), .stated_size = content.size()};
    }
    if (!knows_ranges) return {.body = later};
    return answer_with_ranges(request, later, later_etag);
  }};
};

TEST_CASE("a fetch that broke off is taken up where it stopped") {
  const ScratchFolder scratch;
  BreakingServer breaking;
  const std::string path = scratch.file("m.gguf");
  const Status broken = download(breaking.server.url("/m"), path, kSilent, kNoStop);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code() == ErrorCode::Unavailable);
  CHECK_FALSE(std::filesystem::exists(path));
  REQUIRE(download(breaking.server.url("/m"), path, kSilent, kNoStop));
  CHECK(content_of(path) == breaking.content);
  const auto requests = breaking.server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(requests[1].headers.at("range") == "bytes=40000-");
  CHECK(requests[1].headers.at("if-range") == "\"v1\"");
}

TEST_CASE("a file that changed meanwhile, or a server without ranges, is fetched from its start") {
  const ScratchFolder scratch;
  BreakingServer breaking;
  SUBCASE("changed") {
    breaking.later = some_content(90000) + "another";
    breaking.later_etag = "\"v2\"";
  }
  SUBCASE("without ranges") { breaking.knows_ranges = false; }
  SUBCASE("shorter now") {
    breaking.later = some_content(1000);
    breaking.later_etag = "\"v1\"";  // a server that lies about its mark: 416
  }
  const std::string path = scratch.file("m.gguf");
  REQUIRE_FALSE(download(breaking.server.url("/m"), path, kSilent, kNoStop));
  REQUIRE(download(breaking.server.url("/m"), path, kSilent, kNoStop));
  CHECK(content_of(path) == breaking.later);
}

TEST_CASE("bytes gathered from another URL, or of a file without a mark, are not gone on with") {
  const ScratchFolder scratch;
  BreakingServer breaking;
  bool other_url = false;
  SUBCASE("another URL") { other_url = true; }
  SUBCASE("a weak mark") { breaking.etag = "W/\"v1\""; }
  const std::string path = scratch.file("m.gguf");
  REQUIRE_FALSE(download(breaking.server.url("/m"), path, kSilent, kNoStop));
  REQUIRE(download(breaking.server.url(other_url ? "/n" : "/m"), path, kSilent, kNoStop));
  CHECK(breaking.server.requests()[1].headers.count("range") == 0);
  CHECK(content_of(path) == breaking.content);
}

TEST_CASE("a server's refusal is told with its status and keeps no error page as a file") {
  const ScratchFolder scratch;
  const FileServer server(
      [](const auto&) { return FileServer::Answer{.status = "404 Not Found", .body = "<html>no</html>"}; });
  const Status done = download(server.url("/m"), scratch.file("m"), kSilent, kNoStop);
  REQUIRE_FALSE(done);
  CHECK(done.error().message().find("HTTP status 404") != std::string::npos);
  CHECK(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("an empty answer is an error and no old bytes take its place") {
  const ScratchFolder scratch;
  scratch.write("m.part", "bytes of another day");
  const FileServer server([](const auto&) { return FileServer::Answer{}; });
  const Status done = download(server.url("/m"), scratch.file("m"), kSilent, kNoStop);
  REQUIRE_FALSE(done);
  CHECK(done.error().message().find("empty file") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(scratch.file("m")));
}

TEST_CASE("a redirection is followed, one without end is not, and none leaves http") {
  const ScratchFolder scratch;
  const FileServer server([](const FileServer::Request& request) -> FileServer::Answer {
    if (request.target == "/first")
      return {.status = "302 Found", .headers = {"Location: /second", "ETag: \"of the redirection\""}};
    if (request.target == "/loop") return {.status = "302 Found", .headers = {"Location: /loop"}};
    if (request.target == "/file")
      return {.status = "302 Found", .headers = {"Location: file:///etc/hostname"}};
    return {.body = "content"};
  });
  REQUIRE(download(server.url("/first"), scratch.file("m"), kSilent, kNoStop));
  CHECK(content_of(scratch.file("m")) == "content");
  CHECK_FALSE(download(server.url("/loop"), scratch.file("n"), kSilent, kNoStop));
  CHECK_FALSE(download(server.url("/file"), scratch.file("o"), kSilent, kNoStop));
  CHECK_FALSE(std::filesystem::exists(scratch.file("o")));
}

TEST_CASE("a stop ends the fetch and says that the next one goes on") {
  const ScratchFolder scratch;
  const FileServer server(
      [](const auto&) { return FileServer::Answer{.body = "some", .stated_size = 1 << 20}; });
  const std::atomic<bool> stop{true};
  const Status done = download(server.url("/m"), scratch.file("m"), kSilent, stop);
  REQUIRE_FALSE(done);
  CHECK(done.error().message().find("stopped") != std::string::npos);
}

}  // namespace
}  // namespace shoal
