#include "model/gguf.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>

#include "model/gguf_writer.h"
#include "tests/support/model_files.h"

namespace shoal {
namespace {

using Strings = std::vector<std::string_view>;
using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

GgufFile opened(const GgufWriter& writer) {
  Result<GgufFile> file = GgufFile::from_memory("memory.gguf", *writer.to_bytes());
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message()));
  return *std::move(file);
}

std::vector<std::byte> counting_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

GgufWriter writer_with_every_kind() {
  GgufWriter writer;
  writer.set("u8", GgufValue::u8(255));
  writer.set("i8", GgufValue::i8(-128));
  writer.set("u16", GgufValue::u16(65535));
  writer.set("i16", GgufValue::i16(-32768));
  writer.set("u32", GgufValue::u32(4294967295u));
  writer.set("i32", GgufValue::i32(-7));
  writer.set("u64", GgufValue::u64(1ull << 62));
  writer.set("i64", GgufValue::i64(std::numeric_limits<std::int64_t>::min()));
  writer.set("f32", GgufValue::f32(0.1f));
  writer.set("f64", GgufValue::f64(0.1));
  writer.set("yes", GgufValue::boolean(true));
  writer.set("no", GgufValue::boolean(false));
  writer.set("string", GgufValue::string(std::string_view("zero\0inside", 11)));
  writer.set("empty", GgufValue::string(""));
  return writer;
}

}  // namespace

TEST_CASE("every kind of metadata value reads back as it was written, in versions 2 and 3") {
  for (const std::uint32_t version : {2u, 3u}) {
    CAPTURE(version);
    GgufWriter writer = writer_with_every_kind();
    writer.set_version(version);
    const GgufFile file = opened(writer);
    CHECK(file.find_int("u8") == 255);
    CHECK(file.find_int("i8") == -128);
    CHECK(file.find_int("u16") == 65535);
    CHECK(file.find_int("i16") == -32768);
    CHECK(file.find_int("u32") == 4294967295);
    CHECK(file.find_int("i32") == -7);
    CHECK(file.find_int("u64") == 1ll << 62);
    CHECK(file.find_int("i64") == std::numeric_limits<std::int64_t>::min());
    CHECK(file.find_float("f32") == static_cast<double>(0.1f));
    CHECK(file.find_float("f64") == 0.1);
    CHECK(file.find_bool("yes") == true);
    CHECK(file.find_bool("no") == false);
    CHECK(file.find_string("string") == std::string_view("zero\0inside", 11));
    CHECK(file.find_string("empty") == "");
    CHECK(file.keys().size() == 14);
    CHECK(file.keys().front() == "u8");
  }
}

TEST_CASE("a metadata value of another kind, or absent, is not found") {
  const GgufFile file = opened(writer_with_every_kind());
  CHECK(file.has("u8"));
  CHECK_FALSE(file.has("absent"));
  CHECK_FALSE(file.find_int("absent"));
  CHECK_FALSE(file.find_int("f32"));
  CHECK_FALSE(file.find_int("yes"));
  CHECK_FALSE(file.find_bool("u8"));
  CHECK_FALSE(file.find_string("u8"));
  CHECK_FALSE(file.find_float("string"));
  CHECK_FALSE(file.find_ints("u8"));
  CHECK_FALSE(file.find_strings("string"));
  CHECK(file.find_float("i32") == -7.0);
}

TEST_CASE("a u64 past the end of i64 is no integer we give") {
  GgufWriter writer;
  writer.set("big", GgufValue::u64(1ull << 63));
  const std::array values{GgufValue::u64(1), GgufValue::u64(~0ull)};
  writer.set("bigs", GgufValue::array(GgufKind::U64, values));
  const GgufFile file = opened(writer);
  CHECK_FALSE(file.find_int("big"));
  CHECK_FALSE(file.find_ints("bigs"));
}

TEST_CASE("arrays read back with their conversions") {
  GgufWriter writer;
  const std::array<std::string, 3> words{"one", "", "three"};
  const std::array<std::int32_t, 3> ints{1, -2, 3};
  const std::array<float, 2> floats{0.5f, -2.25f};
  const std::array bools{GgufValue::boolean(true), GgufValue::boolean(false)};
  const std::array bytes{GgufValue::u8(200), GgufValue::u8(1)};
  writer.set("words", GgufValue::strings(words));
  writer.set("ints", GgufValue::i32s(ints));
  writer.set("floats", GgufValue::f32s(floats));
  writer.set("bools", GgufValue::array(GgufKind::Bool, bools));
  writer.set("bytes", GgufValue::array(GgufKind::U8, bytes));
  writer.set("nothing", GgufValue::i32s({}));
  const GgufFile file = opened(writer);
  CHECK(file.find_strings("words") == Strings{"one", "", "three"});
  CHECK(file.find_ints("ints") == Ints{1, -2, 3});
  CHECK(file.find_floats("ints") == Floats{1, -2, 3});
  CHECK(file.find_floats("floats") == Floats{0.5f, -2.25f});
  CHECK(file.find_bools("bools") == std::vector<bool>{true, false});
  CHECK(file.find_ints("bytes") == Ints{200, 1});
  CHECK(file.find_ints("nothing") == Ints{});
  CHECK(file.array_size("words") == 3);
  CHECK_FALSE(file.array_size("absent"));
  CHECK_FALSE(file.find_ints("words"));
  CHECK_FALSE(file.find_ints("floats"));
  CHECK_FALSE(file.find_floats("words"));
  CHECK_FALSE(file.find_strings("ints"));
  CHECK_FALSE(file.find_bools("bytes"));
}

TEST_CASE("nested arrays are walked over and do not disturb what follows") {
  const std::array<std::int32_t, 2> inner{1, 2};
  const std::array<std::string, 1> text{"deep"};
  const std::array rows{GgufValue::i32s(inner), GgufValue::strings(text), GgufValue::i32s({})};
  GgufWriter writer;
  writer.set("nested", GgufValue::array(GgufKind::Array, rows));
  writer.set("after", GgufValue::u32(5));
  const GgufFile file = opened(writer);
  CHECK(file.array_size("nested") == 3);
  CHECK_FALSE(file.find_ints("nested"));
  CHECK(file.find_int("after") == 5);
}

TEST_CASE("tensors lie where the file says, whatever its alignment") {
  for (const std::uint32_t alignment : {8u, 32u, 64u, 4096u}) {
    CAPTURE(alignment);
    GgufWriter writer;
    writer.set_alignment(alignment);
    const std::uint64_t vector_dims[] = {5};
    const std::uint64_t matrix_dims[] = {64, 3};
    const std::uint64_t cube_dims[] = {2, 3, 4, 5};
    writer.add_tensor("vector", WeightType::F32, vector_dims, [] { return counting_bytes(20); });
    writer.add_tensor("matrix", WeightType::Q4_0, matrix_dims, [] { return counting_bytes(108); });
    writer.add_tensor("cube", WeightType::F16, cube_dims, [] { return counting_bytes(240); });
    const GgufFile file = opened(writer);
    REQUIRE(file.tensors().size() == 3);
    for (const GgufTensor& tensor : file.tensors()) {
      CHECK(tensor.offset % alignment == 0);
      const Bytes data = file.data(tensor);
      const std::vector<std::byte> expected = counting_bytes(data.size());
      CHECK(std::equal(data.begin(), data.end(), expected.begin(), expected.end()));
    }
    const GgufTensor* matrix = file.find_tensor("matrix");
    REQUIRE(matrix != nullptr);
    CHECK(matrix->cols() == 64);
    CHECK(matrix->rows() == 3);
    CHECK(matrix->type == WeightType::Q4_0);
    CHECK(matrix->size_bytes == 108);
    CHECK(file.find_tensor("cube")->rows() == 60);
    CHECK(file.find_tensor("cubes") == nullptr);
  }
}

TEST_CASE("a file on disk opens as the same bytes in memory do, and views survive a move") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("shoal-gguf-" + std::to_string(::getpid()))).string();
  GgufWriter writer = writer_with_every_kind();
  const std::uint64_t dims[] = {4};
  writer.add_tensor("t", WeightType::F32, dims, [] { return counting_bytes(16); });
  REQUIRE(writer.write_file(path));
  CHECK_FALSE(std::filesystem::exists(path + ".partial"));
  Result<GgufFile> file = GgufFile::open(path);
  REQUIRE(file);
  const std::optional<std::string_view> text = file->find_string("string");
  const GgufFile moved = *std::move(file);
  CHECK(text == std::string_view("zero\0inside", 11));
  CHECK(moved.path() == path);
  CHECK(moved.file_bytes() == writer.to_bytes()->size());
  CHECK(moved.data(*moved.find_tensor("t")).size() == 16);
  std::filesystem::remove(path);
}

TEST_CASE("a path that is no model file says so") {
  CHECK(GgufFile::open("/nowhere/model.gguf").error().code() == ErrorCode::NotFound);
  CHECK(GgufFile::open("/nowhere/model.gguf")
            .error()
            .message()
            .starts_with("/nowhere/model.gguf: cannot open the file"));
  CHECK(GgufFile::open("/tmp").error().code() == ErrorCode::InvalidArgument);
  CHECK(GgufFile::open("/dev/null").error().message() == "/dev/null: is not a regular file");
}

TEST_CASE("the writer refuses a tensor whose bytes are not of its size, and a path it cannot write") {
  GgufWriter writer;
  const std::uint64_t dims[] = {4};
  writer.add_tensor("short", WeightType::F32, dims, [] { return counting_bytes(15); });
  CHECK(writer.to_bytes().error().message() == "tensor short has 15 bytes, expected 16");
  const std::string path = (std::filesystem::temp_directory_path() / "shoal-short.gguf").string();
  CHECK_FALSE(writer.write_file(path));
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_FALSE(std::filesystem::exists(path + ".partial"));
  CHECK(GgufWriter().write_file("/nowhere/x.gguf").error().code() == ErrorCode::Unavailable);
}

TEST_CASE("a key set again takes the new value, and an erased one is gone") {
  GgufWriter writer;
  writer.set("a", GgufValue::u32(1));
  writer.set("a", GgufValue::u32(2));
  writer.set("b", GgufValue::u32(3));
  writer.erase("b");
  const GgufFile file = opened(writer);
  CHECK(file.find_int("a") == 2);
  CHECK(file.keys().size() == 1);
}

TEST_CASE("the real SmolLM2 file opens with its metadata and tensors") {
  const std::optional<std::string> path = real_model(kSmolLm2File);
  if (!path) return;
  const Result<GgufFile> file = GgufFile::open(*path);
  REQUIRE(file);
  CHECK(file->tensors().size() == 272);
  CHECK(file->find_string("tokenizer.ggml.pre") == "smollm");
  CHECK(file->find_strings("tokenizer.ggml.tokens")->at(1) == "<|im_start|>");
  CHECK(file->find_strings("tokenizer.ggml.merges")->size() == 48900);
  CHECK(file->find_tensor("token_embd.weight")->type == WeightType::Q8_0);
  CHECK(file->find_tensor("blk.0.ffn_down.weight")->size_bytes == 576 * 1536 / 32 * 20);
}

TEST_CASE("the real Gemma 3 file opens with its metadata and tensors") {
  const std::optional<std::string> path = real_model(kGemma3File);
  if (!path) return;
  const Result<GgufFile> file = GgufFile::open(*path);
  REQUIRE(file);
  CHECK(file->tensors().size() == 236);
  CHECK(file->array_size("tokenizer.ggml.tokens") == 262144);
  CHECK(file->find_floats("tokenizer.ggml.scores")->at(0) == -1000.0f);
  CHECK(file->find_bool("tokenizer.ggml.add_bos_token") == true);
  CHECK(file->find_tensor("blk.0.ffn_down.weight")->type == WeightType::Q6_K);
}

}  // namespace shoal
