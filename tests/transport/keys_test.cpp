#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "transport/keys.h"
#include "transport/z85.h"

namespace shoal {
namespace {

struct Scratch {
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "shoal-keys-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
  }
  ~Scratch() { std::filesystem::remove_all(directory); }
  std::string path(const char* name) const { return (directory / name).string(); }
  std::filesystem::path directory;
};

unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}
std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}
void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
}

}  // namespace

TEST_CASE("a key pair is made once, kept private, and found again") {
  const Scratch scratch;
  const std::string path = scratch.path("deep/state/worker.key");
  const Result<KeyPair> made = load_or_make_key_pair(path);
  REQUIRE(made);
  CHECK(is_z85_key(made->public_key));
  CHECK(mode_of(path) == 0600);
  CHECK(mode_of(scratch.path("deep/state")) == 0700);
  const Result<KeyPair> again = load_or_make_key_pair(path);
  REQUIRE(again);
  CHECK(again->public_key == made->public_key);
  CHECK(again->secret_key == made->secret_key);
  CHECK(std::distance(std::filesystem::directory_iterator(scratch.path("deep/state")), {}) ==
        1);  // no temporary file left
}

TEST_CASE("a key file that others may read is refused, with the command that mends it") {
  const Scratch scratch;
  const std::string path = scratch.path("hub.key");
  REQUIRE(load_or_make_key_pair(path));
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  const Result<KeyPair> refused = load_or_make_key_pair(path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("run chmod 600 " + path) != std::string::npos);
}

TEST_CASE("a key file cut at any byte, or with a wrong one, is refused") {
  const Scratch scratch;
  const std::string path = scratch.path("hub.key");
  REQUIRE(load_or_make_key_pair(path));
  const std::string good = read_file(path);
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_file(path, good.substr(0, size));
    CHECK_FALSE(load_or_make_key_pair(path));
  }
  for (std::size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = bad[at] == 'q' ? 'r' : 'q';
    write_file(path, bad);
    CHECK_FALSE(load_or_make_key_pair(path));
  }
  write_file(path, good + "more");
  CHECK_FALSE(load_or_make_key_pair(path));
  write_file(path, good);
  CHECK(load_or_make_key_pair(path));
}

TEST_CASE("a place that cannot be written is named") {
  CHECK(load_or_make_key_pair("/proc/nowhere/hub.key").error().message().find("/proc/nowhere") !=
        std::string::npos);
  CHECK_FALSE(load_or_make_key_pair("/proc"));
}

TEST_CASE("a join token goes through text and back, and a slip in copying is noticed") {
  const JoinToken token{make_key_pair().public_key, {9, 8, 7}};
  const std::string text = to_string(token);
  CHECK(text.starts_with("shoal1-"));
  CHECK(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
        std::string::npos);
  const Result<JoinToken> back = parse_join_token(text + "\n");
  REQUIRE(back);
  CHECK(back->hub_public_key == token.hub_public_key);
  CHECK(back->secret == token.secret);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string bad = text;
    bad[at] = bad[at] == 'A' ? 'B' : 'A';
    CHECK_FALSE(parse_join_token(bad));
    CHECK_FALSE(parse_join_token(text.substr(0, at)));
  }
  CHECK_FALSE(parse_join_token(text + "A"));
  CHECK_FALSE(parse_join_token(text + " A"));
}

TEST_CASE("both sides of a token derive the same join key pair, and another secret another") {
  const std::string hub_key = make_key_pair().public_key;
  const KeyPair one = join_key_pair({hub_key, {1}});
  CHECK(one.public_key == join_key_pair({hub_key, {1}}).public_key);
  CHECK(one.secret_key == join_key_pair({hub_key, {1}}).secret_key);
  CHECK(one.public_key != join_key_pair({hub_key, {2}}).public_key);
}

TEST_CASE("the hub's token file is private, stays the same, and belongs to one hub key") {
  const Scratch scratch;
  const std::string path = scratch.path("join.token");
  const std::string hub_key = make_key_pair().public_key;
  const Result<JoinToken> made = load_or_make_join_token(path, hub_key);
  REQUIRE(made);
  CHECK(mode_of(path) == 0600);
  CHECK(load_or_make_join_token(path, hub_key)->secret == made->secret);
  CHECK_FALSE(load_or_make_join_token(path, make_key_pair().public_key));
  CHECK_FALSE(load_or_make_join_token(scratch.path("other"), "no key"));
  write_file(path, "shoal1-garbage");
  CHECK(load_or_make_join_token(path, hub_key).error().message().find("delete it to get a new one") !=
        std::string::npos);
}

}  // namespace shoal
