#include <doctest/doctest.h>

#include <cmath>

#include "model/score.h"
#include "tests/model/stage_chain.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

WholeModel open_whole(const TinyModel& model, std::uint32_t max_rows = 128) {
  Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 2, 512, max_rows);
  if (!whole) FAIL(whole.error().message());
  return *std::move(whole);
}

TinyModelOptions gemma() {
  TinyModelOptions options = several_head_blocks(TinyModelOptions::for_architecture(Architecture::Gemma3));
  options.sliding_window = 40;
  return options;
}

std::vector<TokenId> ids_of(std::span<const ChosenToken> choices) {
  std::vector<TokenId> ids;
  for (const ChosenToken& choice : choices) ids.push_back(choice.id);
  return ids;
}

}  // namespace

TEST_CASE("a text's score and digest do not depend on the chunks it was read in") {
  const TinyModel model(71, gemma());
  WholeModel whole = open_whole(model);
  const std::vector<TokenId> ids = random_ids(17, 300, model.config().vocab_size);
  std::size_t last_progress = 0;
  const Result<Score> expected = whole.score(ids, {.top = 5, .chunk = 64, .digest = true},
                                             [&](std::size_t rows) { last_progress = rows; });
  REQUIRE(expected);
  CHECK(expected->digest.size() == 32);
  CHECK(last_progress == 300);
  for (std::uint32_t chunk : {1u, 7u, 128u, 500u}) {
    const Result<Score> score = whole.score(ids, {.top = 5, .chunk = chunk, .digest = true});
    REQUIRE(score);
    CHECK(score->digest == expected->digest);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      CHECK(score->rows[i].next_logprob == expected->rows[i].next_logprob);
      CHECK(score->rows[i].top.at(4).logprob == expected->rows[i].top.at(4).logprob);
    }
  }
  CHECK(!expected->rows.back().next_logprob);
  std::vector<TokenId> other = ids;
  other.back() ^= 1;
  CHECK(whole.score(other, {.digest = true})->digest != expected->digest);
}

TEST_CASE("a greedy answer is the best token of every row of its own score") {
  const TinyModel model(72, gemma());
  WholeModel whole = open_whole(model, 32);
  std::vector<TokenId> ids = random_ids(18, 70, model.config().vocab_size);
  const Result<std::vector<ChosenToken>> answer =
      whole.generate(ids, {.temperature = 0, .top_logprobs = 2, .logit_bias = {}}, 60);
  REQUIRE(answer);
  REQUIRE(answer->size() == 60);
  for (const ChosenToken& choice : *answer) ids.push_back(choice.id);
  const Result<Score> score = whole.score(ids, {.top = 2});
  REQUIRE(score);
  for (std::size_t i = 0; i < 60; ++i) {
    CHECK(score->rows[69 + i].top[0].id == (*answer)[i].id);
    CHECK(score->rows[69 + i].top[0].logprob == (*answer)[i].logprob);
    CHECK(score->rows[69 + i].top[1].id == (*answer)[i].top.at(1).id);
  }
  const std::vector<TokenId> stops{(*answer)[7].id};
  const Result<std::vector<ChosenToken>> stopped =
      whole.generate(std::span(ids).first(70), {.temperature = 0, .logit_bias = {}}, 60, stops);
  REQUIRE(stopped);
  CHECK(stopped->size() <= 8);
  CHECK(stopped->back().id == stops[0]);
}

TEST_CASE(
    "a sampled answer repeats with its seed, whatever the chunks, and where top-p needs the whole "
    "vocabulary") {
  const TinyModel model(73, gemma());
  WholeModel whole = open_whole(model);
  WholeModel narrow = open_whole(model, 5);
  const std::vector<TokenId> prompt = random_ids(19, 33, model.config().vocab_size);
  SamplingParams params{.temperature = 4,
                        .top_p = 0.97f,
                        .repeat_penalty = 1.1f,
                        .presence_penalty = 0.5f,
                        .seed = 5,
                        .logit_bias = {}};
  const std::vector<TokenId> first = ids_of(*whole.generate(prompt, params, 40));
  CHECK(ids_of(*whole.generate(prompt, params, 40)) == first);
  CHECK(ids_of(*narrow.generate(prompt, params, 40)) == first);
  params.seed = 6;
  CHECK(ids_of(*whole.generate(prompt, params, 40)) != first);
}

TEST_CASE("what does not fit is refused with the numbers, and an answer ends at the context's end") {
  const TinyModel model(74);
  WholeModel whole = open_whole(model);
  const std::vector<TokenId> ids = random_ids(20, 513, model.config().vocab_size);
  const Result<Score> score = whole.score(ids, {});
  REQUIRE(!score);
  CHECK(score.error().code() == ErrorCode::InvalidArgument);
  CHECK(score.error().message().find("513") != std::string::npos);
  CHECK(score.error().message().find("512") != std::string::npos);
  CHECK(!whole.score({}, {}));
  CHECK(!whole.generate({}, {}, 1));
  const std::vector<TokenId> bad{600};
  CHECK(!whole.score(bad, {}));
  const Result<std::vector<ChosenToken>> answer =
      whole.generate(std::span(ids).first(510), {.temperature = 0, .logit_bias = {}}, 60);
  REQUIRE(answer);
  CHECK(answer->size() == 3);  // two more positions, and the token that would be the 513th
  CHECK(!WholeModel::open("/nowhere.gguf", scalar_kernels(), 1, 0, 64));
}

}  // namespace shoal
