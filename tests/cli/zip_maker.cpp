#include "tests/cli/zip_maker.h"

#include <array>
#include <cstdint>

namespace shoal {
namespace {

std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

void put(std::string& out, std::uint64_t value, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(i < 8 ? (value >> (8 * i)) & 0xFF : 0);
}

// What the local header and the directory entry share: version, flags, method, time, date, checksum, sizes,
// name length.
std::string common_fields(const std::string& name, const std::string& content) {
  std::string fields;
  put(fields, 20, 2);
  put(fields, 0, 2);
  put(fields, 0, 2);
  put(fields, 0, 2);
  put(fields, 0x21, 2);  // 1980-01-01
  put(fields, crc32(content), 4);
  put(fields, content.size(), 4);
  put(fields, content.size(), 4);
  put(fields, name.size(), 2);
  put(fields, 0, 2);
  return fields;
}

}  // namespace

std::string make_zip(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string archive;
  std::string directory;
  for (const auto& [name, content] : members) {
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    directory += common_fields(name, content);
    put(directory, 0, 2 + 2 + 2 + 4);  // comment, disk, internal and external attributes
    put(directory, archive.size(), 4);
    directory += name;
    archive += "PK\x03\x04" + common_fields(name, content) + name + content;
  }
  const std::size_t directory_begin = archive.size();
  archive += directory + "PK\x05\x06";
  put(archive, 0, 4);
  put(archive, members.size(), 2);
  put(archive, members.size(), 2);
  put(archive, directory.size(), 4);
  put(archive, directory_begin, 4);
  put(archive, 0, 2);
  return archive;
}

}  // namespace shoal
