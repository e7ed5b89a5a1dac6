#include "transport/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/crc32c.h"
#include "transport/z85.h"

namespace shoal {
namespace {

constexpr std::size_t kKeyBytes = 32;
static_assert(crypto_box_PUBLICKEYBYTES == kKeyBytes && crypto_box_SECRETKEYBYTES == kKeyBytes);
constexpr std::string_view kTokenPrefix = "shoal1-";
constexpr std::string_view kKeyFileTitle = "shoal-key-1";
constexpr std::size_t kMaxKeyFileBytes = 1024;
constexpr int kBase64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

using KeyBytes = std::array<std::uint8_t, kKeyBytes>;

void init_sodium() { SHOAL_CHECK(sodium_init() >= 0); }

KeyPair to_pair(const KeyBytes& public_key, KeyBytes& secret_key) {
  KeyPair pair{z85_encode(public_key), z85_encode(secret_key)};
  sodium_memzero(secret_key.data(), secret_key.size());
  return pair;
}

std::string why() { return std::strerror(errno); }

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// The file's text; nullopt if there is none. Refuses one that others may read.
Result<std::optional<std::string>> read_private_file(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return std::optional<std::string>();
  if (!file.is_open()) return fail(ErrorCode::InvalidArgument, "reading " + path + ": " + why());
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0)
    return fail(ErrorCode::InvalidArgument, "reading " + path + ": " + why());
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::InvalidArgument, path + " is not a file: move it away");
  if ((info.st_mode & 077) != 0) {
    return fail(ErrorCode::InvalidArgument, "others may read " + path +
                                                ", which holds a secret: run chmod 600 " + path +
                                                ", or delete it to get a new one");
  }
  std::string text(kMaxKeyFileBytes, '\0');
  const ssize_t size = ::read(file.fd(), text.data(), text.size());
  if (size < 0) return fail(ErrorCode::InvalidArgument, "reading " + path + ": " + why());
  text.resize(static_cast<std::size_t>(size));
  return std::optional<std::string>(std::move(text));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

// Never half a file, never one that others could read for a moment.
Status write_private_file(const std::string& path, std::string_view text) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!directory.empty() && !std::filesystem::exists(directory, error)) {
    if (!std::filesystem::create_directories(directory, error) || ::chmod(directory.c_str(), 0700) != 0) {
      return fail(ErrorCode::InvalidArgument,
                  "making the directory " + directory.string() + ": " + (error ? error.message() : why()));
    }
  }
  const std::string temporary = path + ".new-" + std::to_string(::getpid());
  ::unlink(temporary.c_str());
  bool ok = false;
  {
    const File file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    ok = file.is_open() && write_all(file.fd(), text) && ::fsync(file.fd()) == 0;
  }
  if (ok && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const std::string reason = why();
  ::unlink(temporary.c_str());
  return fail(ErrorCode::InvalidArgument, "writing " + path + ": " + reason);
}

Failure bad_key_file(const std::string& path) {
  return fail(
      ErrorCode::Corrupt,
      path +
          " holds no valid key pair: restore it, or delete it to get a new one (the device then joins anew)");
}

// "shoal-key-1\npublic <Z85>\nsecret <Z85>\n"
Result<KeyPair> parse_key_file(const std::string& path, std::string_view text) {
  constexpr std::size_t kZ85Key = 40;
  const std::string head = std::string(kKeyFileTitle) + "\npublic ";
  constexpr std::string_view kMiddle = "\nsecret ";
  if (text.size() != head.size() + kZ85Key + kMiddle.size() + kZ85Key + 1) return bad_key_file(path);
  if (!text.starts_with(head) || text.substr(head.size() + kZ85Key, kMiddle.size()) != kMiddle)
    return bad_key_file(path);
  KeyPair pair{std::string(text.substr(head.size(), kZ85Key)),
               std::string(text.substr(head.size() + kZ85Key + kMiddle.size(), kZ85Key))};
  std::optional<KeyBytes> secret = z85_decode_key(pair.secret_key);
  if (!secret || text.back() != '\n') return bad_key_file(path);
  KeyBytes derived{};
  const bool derives = crypto_scalarmult_base(derived.data(), secret->data()) == 0;
  sodium_memzero(secret->data(), secret->size());
  if (!derives || z85_encode(derived) != pair.public_key) return bad_key_file(path);
  return pair;
}

Failure bad_token(const char* what) {
  return fail(ErrorCode::InvalidArgument, std::string("the join token ") + what +
                                              ": copy it again from the hub (shoal status --token shows it)");
}

}  // namespace

KeyPair make_key_pair() {
  init_sodium();
  KeyBytes public_key{}, secret_key{};
  crypto_box_keypair(public_key.data(), secret_key.data());
  return to_pair(public_key, secret_key);
}

Result<KeyPair> load_or_make_key_pair(const std::string& path) {
  init_sodium();
  Result<std::optional<std::string>> text = read_private_file(path);
  if (!text) return fail(text.error());
  if (*text) return parse_key_file(path, **text);
  KeyPair pair = make_key_pair();
  std::string file =
      std::string(kKeyFileTitle) + "\npublic " + pair.public_key + "\nsecret " + pair.secret_key + "\n";
  const Status written = write_private_file(path, file);
  sodium_memzero(file.data(), file.size());
  if (!written) return fail(written.error());
  return pair;
}

// 64 bytes (the hub's key, the secret) and their CRC-32C, so that a slip in copying is noticed, in URL-safe
// base64.
std::string to_string(const JoinToken& token) {
  init_sodium();
  std::vector<std::uint8_t> bytes(2 * kKeyBytes + sizeof(std::uint32_t));
  const std::optional<KeyBytes> hub_key = z85_decode_key(token.hub_public_key);
  SHOAL_CHECK(hub_key.has_value());
  std::memcpy(bytes.data(), hub_key->data(), kKeyBytes);
  std::memcpy(bytes.data() + kKeyBytes, token.secret.data(), kKeyBytes);
  store(bytes.data() + 2 * kKeyBytes, crc32c(std::as_bytes(std::span(bytes)).first(2 * kKeyBytes)));
  std::string text(sodium_base64_encoded_len(bytes.size(), kBase64), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), kBase64);
  text.resize(std::strlen(text.c_str()));
  return std::string(kTokenPrefix) + text;
}

Result<JoinToken> parse_join_token(const std::string& text) {
  init_sodium();
  std::string_view body = text;
  while (!body.empty() && std::strchr(" \t\r\n", body.back())) body.remove_suffix(1);
  if (!body.starts_with(kTokenPrefix)) return bad_token("does not begin with shoal1-");
  body.remove_prefix(kTokenPrefix.size());
  std::array<std::uint8_t, 2 * kKeyBytes + sizeof(std::uint32_t)> bytes{};
  std::size_t size = 0;
  const char* end = nullptr;
  const int rc =
      sodium_base642bin(bytes.data(), bytes.size(), body.data(), body.size(), nullptr, &size, &end, kBase64);
  if (rc != 0 || end != body.data() + body.size() || size != bytes.size())
    return bad_token("is incomplete or has a wrong character");
  if (load<std::uint32_t>(bytes.data() + 2 * kKeyBytes) !=
      crc32c(std::as_bytes(std::span(bytes)).first(2 * kKeyBytes))) {
    return bad_token("has a wrong character");
  }
  JoinToken token;
  token.hub_public_key = z85_encode(std::span(bytes).first(kKeyBytes));
  std::memcpy(token.secret.data(), bytes.data() + kKeyBytes, kKeyBytes);
  return token;
}

KeyPair join_key_pair(const JoinToken& token) {
  init_sodium();
  KeyBytes public_key{}, secret_key{};
  crypto_box_seed_keypair(public_key.data(), secret_key.data(), token.secret.data());
  return to_pair(public_key, secret_key);
}

Result<JoinToken> load_or_make_join_token(const std::string& path, const std::string& hub_public_key) {
  init_sodium();
  if (!is_z85_key(hub_public_key))
    return fail(ErrorCode::InvalidArgument, "making a join token: the hub's public key is no key");
  Result<std::optional<std::string>> text = read_private_file(path);
  if (!text) return fail(text.error());
  if (*text) {
    Result<JoinToken> token = parse_join_token(**text);
    if (!token)
      return fail(ErrorCode::Corrupt, path + " holds no valid join token: delete it to get a new one");
    if (token->hub_public_key == hub_public_key) return token;
    return fail(ErrorCode::InvalidArgument,
                path + " is the token of another hub key: delete it to get a new one");
  }
  JoinToken token{hub_public_key, {}};
  randombytes_buf(token.secret.data(), token.secret.size());
  if (const Status written = write_private_file(path, to_string(token) + "\n"); !written)
    return fail(written.error());
  return token;
}

}  // namespace shoal
