#include "cli/score_source.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/kernel_table.h"
#include "tests/cli/file_server.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

const auto kSilent = [](std::size_t, std::size_t) {};

ScoreTask ids_task(std::uint32_t top) {
  ScoreTask task;
  for (TokenId id = 5; id < 45; ++id) task.ids.push_back((id * 37) % 500);
  task.top = top;
  task.digest = true;
  return task;
}

TEST_CASE(
    "a file's score has a row per token, sorted candidates and the same bits from any kernels, threads and "
    "chunks") {
  const TinyModel model(3);
  const ScoreTask task = ids_task(5);
  const Result<ScoredText> first = score_on_file(
      {.model_path = model.path(), .kernels = "scalar", .num_threads = 1, .chunk = 64}, task, kSilent);
  REQUIRE(first);
  REQUIRE(first->rows.size() == task.ids.size());
  CHECK(first->tokens == task.ids);
  CHECK(first->digest.size() == 32);
  CHECK_FALSE(first->rows.back().next_logprob);
  for (const ScoredText::Row& row : first->rows) {
    REQUIRE(row.top.size() == 5);
    for (std::size_t i = 1; i < row.top.size(); ++i) CHECK(row.top[i].second <= row.top[i - 1].second);
  }
  for (const KernelTable* kernels : runnable_kernels()) {
    for (const std::uint32_t chunk : {1u, 7u, 64u}) {
      CAPTURE(kernels->name);
      CAPTURE(chunk);
      const Result<ScoredText> other = score_on_file(
          {.model_path = model.path(), .kernels = kernels->name, .num_threads = 2, .chunk = chunk}, task,
          kSilent);
      REQUIRE(other);
      CHECK(other->digest == first->digest);
      CHECK(score_json(*other, task) == score_json(*first, task));
    }
  }
}

TEST_CASE(
    "the JSON of a score is what compare.py reads, with numbers that round-trip to the floats they were") {
  const TinyModel model(4);
  const ScoreTask task = ids_task(3);
  const Result<ScoredText> score =
      score_on_file({.model_path = model.path(), .num_threads = 1}, task, kSilent);
  REQUIRE(score);
  const nlohmann::json json = nlohmann::json::parse(score_json(*score, task));
  CHECK(json["tokens"] == task.ids);
  CHECK(json["digest"] == score->digest);
  REQUIRE(json["rows"].size() == task.ids.size());
  for (std::size_t i = 0; i < task.ids.size(); ++i) {
    const nlohmann::json& row = json["rows"][i];
    CHECK(row["row"] == i);
    CHECK(row["top"].size() == 3);
    CHECK(row["top"][0][1].get<double>() == score->rows[i].top[0].second);
    CHECK(row["nll"].is_null() == (i + 1 == task.ids.size()));
    if (!row["nll"].is_null()) {
      const double nll = row["nll"].get<double>();
      CHECK(nll == -*score->rows[i].next_logprob);
      // The shortest digits of a float: reading them as a float and as a double gives one and the same
      // number's text.
      const auto as_float = static_cast<float>(nll);
      CHECK(std::abs(nll - static_cast<double>(as_float)) <= std::abs(nll) * 1e-7);
    }
  }
}

TEST_CASE("the cluster's parallel lists become rows of what follows each token") {
  const std::string answer = R"({"choices":[{"logits_digest":"0123456789abcdef0123456789abcdef","logprobs":{
      "tokens":["a","b","c"],"token_ids":[4,5,6],"token_logprobs":[null,-1.5,-0.25],"top_logprobs":[null,{},{}],
      "top_logprob_ids":[null,[[5,-1.5],[9,-2.0]],[[6,-0.25],[1,-3.5]]],"next_top_logprob_ids":[[7,-0.125],[8,-4.0]]}}]})";
  const FileServer server([&](const auto&) { return FileServer::Answer{.body = answer}; });
  HttpClient client(server.url(""), "");
  const ScoreTask task{.ids = {4, 5, 6}, .top = 2, .digest = true};
  const Result<ScoredText> score = score_on_cluster(client, task);
  REQUIRE(score);
  CHECK(
      score_json(*score, task) ==
      R"({"tokens":[4,5,6],"rows":[{"row":0,"nll":1.5,"top":[[5,-1.5],[9,-2]]},{"row":1,"nll":0.25,"top":[[6,-0.25],[1,-3.5]]},)"
      R"({"row":2,"nll":null,"top":[[7,-0.125],[8,-4]]}],"digest":"0123456789abcdef0123456789abcdef"})");
  CHECK(score->mean_nll() == doctest::Approx(0.875));
  const nlohmann::json asked = nlohmann::json::parse(server.requests()[0].body);
  CHECK(asked["prompt"] == nlohmann::json({4, 5, 6}));
  CHECK(asked["max_tokens"] == 0);
  CHECK(asked["echo"] == true);
  CHECK(asked["logprobs"] == 2);
  CHECK(asked["return_token_ids"] == true);
  CHECK(asked["logits_digest"] == true);
}

TEST_CASE("a text is tokenized by the cluster first") {
  const FileServer server([](const FileServer::Request& request) -> FileServer::Answer {
    if (request.target == "/tokenize") return {.body = R"({"tokens":[1,2],"count":2})"};
    return {
        .body =
            R"({"choices":[{"logprobs":{"tokens":["x","y"],"token_ids":[1,2],"token_logprobs":[null,-1.0]}}]})"};
  });
  HttpClient client(server.url(""), "");
  const Result<ScoredText> score = score_on_cluster(client, {.text = "hello"});
  REQUIRE(score);
  CHECK(score->tokens == std::vector<TokenId>{1, 2});
  CHECK(nlohmann::json::parse(server.requests()[0].body) ==
        nlohmann::json({{"content", "hello"}, {"add_special", true}}));
}

TEST_CASE("answers of another shape and refusals are errors in words") {
  for (const char* odd :
       {"", "[]", "{}", R"({"choices":[]})", R"({"choices":[{"logprobs":null}]})",
        R"({"choices":[{"logprobs":{"tokens":[1],"token_ids":["x"],"token_logprobs":[]}}]})"}) {
    CAPTURE(odd);
    const FileServer server([&](const auto&) { return FileServer::Answer{.body = odd}; });
    HttpClient client(server.url(""), "");
    CHECK_FALSE(score_on_cluster(client, {.ids = {1}}));
  }
  const FileServer refusing([](const auto&) {
    return FileServer::Answer{.status = "400 Bad Request",
                              .body = R"({"error":{"message":"too long: 9 > 8"}})"};
  });
  HttpClient client(refusing.url(""), "");
  const Result<ScoredText> refused = score_on_cluster(client, {.ids = {1}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "too long: 9 > 8");
}

TEST_CASE("what a file cannot score is an error") {
  const TinyModel model(5);
  CHECK_FALSE(score_on_file({.model_path = "/no/such.gguf"}, {.ids = {1}}, kSilent));
  CHECK_FALSE(score_on_file({.model_path = model.path(), .kernels = "no-such"}, {.ids = {1}}, kSilent));
  CHECK_FALSE(score_on_file({.model_path = model.path()}, {.ids = {100000}}, kSilent));
  CHECK_FALSE(score_on_file({.model_path = model.path()}, {}, kSilent));
}

}  // namespace
}  // namespace shoal
