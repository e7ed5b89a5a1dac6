#include "cli/zip_reader.h"

#include <doctest/doctest.h>

#include "tests/cli/scratch.h"
#include "tests/cli/zip_maker.h"

namespace shoal {
namespace {

Result<std::string> extracted(const ZipReader& zip, const std::string& member) {
  std::string bytes;
  const Status done = zip.extract(member, [&](std::span<const std::byte> piece) -> Status {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return {};
  });
  if (!done) return fail(done.error());
  return bytes;
}

std::string some_bytes(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>((i * 2654435761u) >> 13);
  return bytes;
}

TEST_CASE("a member of an archive comes out as it went in") {
  const ScratchFolder scratch;
  const std::string large = some_bytes((3 << 20) + 17);  // several pieces
  const std::string path =
      scratch.write("a.whl", make_zip({{"empty", ""}, {"package/model.part00", large}, {"tail", "x"}}));
  const Result<ZipReader> zip = ZipReader::open(path);
  REQUIRE(zip);
  CHECK(zip->size_of("package/model.part00").value() == large.size());
  CHECK(extracted(*zip, "package/model.part00").value() == large);
  CHECK(extracted(*zip, "empty").value().empty());
  CHECK(extracted(*zip, "tail").value() == "x");
}

TEST_CASE("a member that is not there is named with its archive") {
  const ScratchFolder scratch;
  const Result<ZipReader> zip = ZipReader::open(scratch.write("a.whl", make_zip({{"there", "1"}})));
  REQUIRE(zip);
  const Result<std::string> bytes = extracted(*zip, "elsewhere");
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().code() == ErrorCode::NotFound);
  CHECK(bytes.error().message().find("a.whl") != std::string::npos);
  CHECK(bytes.error().message().find("elsewhere") != std::string::npos);
}

TEST_CASE("a failure of the sink ends the extraction and comes back") {
  const ScratchFolder scratch;
  const Result<ZipReader> zip =
      ZipReader::open(scratch.write("a.whl", make_zip({{"m", some_bytes(2 << 20)}})));
  REQUIRE(zip);
  int pieces = 0;
  const Status done = zip->extract("m", [&](std::span<const std::byte>) -> Status {
    ++pieces;
    return fail(ErrorCode::Unavailable, "the disk is full");
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().message() == "the disk is full");
  CHECK(pieces == 1);
}

TEST_CASE("a changed byte of a member is found by the archive's checksum") {
  const ScratchFolder scratch;
  const std::string content = some_bytes(5000);
  std::string archive = make_zip({{"m", content}});
  archive[archive.find(content) + 1234] ^= 1;
  const Result<ZipReader> zip = ZipReader::open(scratch.write("a.whl", archive));
  REQUIRE(zip);
  const Result<std::string> bytes = extracted(*zip, "m");
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().code() == ErrorCode::Corrupt);
}

TEST_CASE("an archive cut anywhere is an error and never a crash") {
  const ScratchFolder scratch;
  const std::string archive = make_zip({{"one", some_bytes(40)}, {"two", some_bytes(60)}});
  for (std::size_t size = 0; size < archive.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(ZipReader::open(scratch.write("cut.whl", archive.substr(0, size))));
  }
  CHECK_FALSE(ZipReader::open(scratch.file("missing.whl")));
}

}  // namespace
}  // namespace shoal
