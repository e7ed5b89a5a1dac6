#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tests/model/candidate_cases.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

constexpr std::uint32_t kVocab = 4500;  // five head blocks, the last one partial
const std::vector<std::uint32_t> kSplits[] = {{0, 5}, {0, 2, 5}, {0, 1, 2, 3, 4, 5}, {0, 4, 5}};

SamplingParams random_params(Random& random) {
  SamplingParams params;
  params.temperature = random.below(5) == 0 ? 0.0f : random.uniform(0.3f, 1.8f);
  if (random.below(3) == 0) params.top_k = static_cast<std::uint32_t>(1 + random.below(60));
  if (random.below(3) == 0) params.top_p = random.uniform(0.3f, 0.99f);
  if (random.below(3) == 0) params.min_p = random.uniform(0.001f, 0.3f);
  if (random.below(2) == 0) params.repeat_penalty = random.uniform(0.8f, 1.5f);
  params.repeat_last_n = static_cast<std::uint32_t>(random.below(50));
  if (random.below(2) == 0) params.presence_penalty = random.uniform(-1, 2);
  if (random.below(2) == 0) params.frequency_penalty = random.uniform(-0.5f, 1);
  for (std::uint64_t i = random.below(4); i > 0; --i)
    params.logit_bias.push_back(
        {static_cast<TokenId>(i * 1000 + random.below(400)), random.uniform(-20, 12)});
  params.seed = random.next();
  params.answer_begin = static_cast<std::uint32_t>(random.below(30));
  params.top_logprobs = static_cast<std::uint32_t>(random.below(8));
  return params;
}

CandidateCase random_case(std::uint64_t seed) {
  Random random(seed, "candidate case");
  CandidateCase c{random_logits(seed, kVocab), {}, random_params(random)};
  for (int i = 0; i < 60; ++i)  // the tokens that matter are those with high logits
    c.history.push_back(
        random.below(2) == 0
            ? static_cast<TokenId>(std::max_element(c.logits.begin(), c.logits.end()) - c.logits.begin())
            : static_cast<TokenId>(random.below(kVocab)));
  c.target = static_cast<TokenId>(random.below(kVocab));
  return c;
}

// Pearson's statistic of draws at many positions against the softmax of `probabilities`' keys.
double chi_square(CandidateCase c, std::span<const double> probabilities, int draws) {
  std::vector<int> counts(probabilities.size(), 0);
  for (int i = 0; i < draws; ++i) {
    c.history.push_back(0);
    ++counts[static_cast<std::size_t>(c.choose(std::array<std::uint32_t, 2>{0, 1}).id)];
  }
  double statistic = 0;
  for (std::size_t id = 0; id < probabilities.size(); ++id) {
    const double expected = probabilities[id] * draws;
    if (expected == 0) {
      CHECK(counts[id] == 0);
      continue;
    }
    statistic += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  return statistic;
}

std::vector<double> softmax(std::span<const float> logits, double temperature, std::size_t keep) {
  std::vector<float> sorted(logits.begin(), logits.end());
  std::sort(sorted.rbegin(), sorted.rend());
  std::vector<double> p;
  for (float logit : logits)
    p.push_back(logit < sorted[keep - 1] ? 0 : std::exp(static_cast<double>(logit) / temperature));
  double sum = 0;
  for (double x : p) sum += x;
  for (double& x : p) x /= sum;
  return p;
}

}  // namespace

TEST_CASE(
    "any parameters and any split of the head choose what the definition chooses over the whole vocabulary") {
  for (std::uint64_t seed = 0; seed < 250; ++seed) {
    CAPTURE(seed);
    const CandidateCase c = random_case(seed);
    const TokenId expected = c.brute_force_choice();
    const ChosenToken whole = c.choose(kSplits[0]);
    CHECK(whole.id == expected);
    for (const auto& split : kSplits) {
      const ChosenToken choice = c.choose(split);
      CHECK(choice.id == whole.id);
      CHECK(choice.logprob == whole.logprob);
      REQUIRE(choice.top.size() == c.params.top_logprobs);
      for (std::size_t i = 0; i < choice.top.size(); ++i) {
        CHECK(choice.top[i].id == whole.top[i].id);
        CHECK(choice.top[i].logprob == whole.top[i].logprob);
      }
    }
  }
}

TEST_CASE("slices merged are the row one holder would have returned") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const CandidateCase c = random_case(seed);
    for (const auto& split : kSplits) CHECK(c.merged(split) == c.whole());
  }
}

TEST_CASE("adjusted logits follow the definition to the last bit") {
  for (std::uint64_t seed = 300; seed < 340; ++seed) {
    CandidateCase c = random_case(seed);
    c.params.top_k = 0;
    c.params.top_p = 0.5f;
    const std::vector<float> expected = c.brute_force_adjusted();
    const CandidateRow row = c.whole(kVocab);
    if (!c.params.greedy()) REQUIRE(row.by_adjusted.size() == kVocab);
    for (const Candidate& candidate : row.by_adjusted)
      CHECK(candidate.adjusted == expected[static_cast<std::size_t>(candidate.id)]);
  }
}

TEST_CASE("greedy takes the greatest logit, the lower id on ties, and zero has one sign") {
  CandidateCase c{std::vector<float>(kVocab, -3.0f), {1}, {}};
  c.params.temperature = 0;
  for (TokenId id : {77, 1500, 4400}) c.logits[static_cast<std::size_t>(id)] = 5;
  for (const auto& split : kSplits) CHECK(c.choose(split).id == 77);
  c.params.repeat_penalty = 2;
  c.history = {77};
  for (const auto& split : kSplits) CHECK(c.choose(split).id == 1500);
  c.logits.assign(kVocab, -1.0f);
  c.logits[9] = -0.0f;
  c.logits[2000] = 0.0f;
  for (const auto& split : kSplits) CHECK(c.choose(split).id == 9);
}

TEST_CASE("penalties and bias: numbers by hand") {
  CandidateCase c{std::vector<float>(kVocab, 0.0f), {3, 4, 4, 5, 4}, {}};
  c.logits[3] = 2;
  c.logits[4] = -2;
  c.logits[5] = 8;
  c.params = {.temperature = 2,
              .top_p = 0.9f,
              .repeat_penalty = 4,
              .repeat_last_n = 3,
              .presence_penalty = 1,
              .frequency_penalty = 0.5f,
              .answer_begin = 1,
              .logit_bias = {{6, 3}}};
  const CandidateRow row = c.whole(kVocab);
  const auto adjusted = [&](TokenId id) {
    return std::find_if(row.by_adjusted.begin(), row.by_adjusted.end(),
                        [&](const Candidate& x) { return x.id == id; })
        ->adjusted;
  };
  CHECK(adjusted(3) == 1);                             // not among the last three, nor in the answer
  CHECK(adjusted(4) == (-8.0f - (3 * 0.5f + 1)) / 2);  // -2 * 4, thrice in the answer
  CHECK(adjusted(5) == (2.0f - (0.5f + 1)) / 2);
  CHECK(adjusted(6) == 1.5f);
  CHECK(adjusted(7) == 0);
}

TEST_CASE("a cut inside the tail asks for more, and more decides") {
  CandidateCase c{std::vector<float>(kVocab), {1}, {}};
  Random random(5);
  for (float& logit : c.logits)
    logit = random.uniform(0, 0.1f);  // nearly flat: 90 % of the mass is 4,000 tokens
  c.params.top_p = 0.9f;
  c.params.seed = 3;
  CHECK(candidate_depth(c.params, kVocab) == 256);
  for (const auto& split : kSplits) {
    CHECK(!choose_token(c.merged(split), c.params, kVocab));
    const std::optional<ChosenToken> choice = choose_token(c.merged(split, kVocab), c.params, kVocab);
    REQUIRE(choice);
    CHECK(choice->id == c.brute_force_choice());
  }
  SUBCASE("min-p may end the list before top-p does") {
    c.logits[17] = 12;
    c.params.top_p = 0.9999999f;
    c.params.min_p = 0.5f;
    const std::optional<ChosenToken> choice = choose_token(c.merged(kSplits[1]), c.params, kVocab);
    REQUIRE(choice);
    CHECK(choice->id == 17);
  }
  SUBCASE("too few candidates for top-k are not taken for all of them") {
    c.params.top_k = 40;
    CHECK(candidate_depth(c.params, kVocab) == 40);
    CHECK(!choose_token(c.merged(kSplits[0], 39), c.params, kVocab));
    CHECK(choose_token(c.merged(kSplits[0]), c.params, kVocab));
  }
  SUBCASE("an empty row decides nothing") {
    CHECK(!choose_token(CandidateRow{}, c.params, kVocab));
    CHECK(!choose_token(CandidateRow{}, SamplingParams{}, kVocab));
  }
}

TEST_CASE("draws depend on seed and position alone") {
  CandidateCase c{random_logits(8, kVocab), {1, 2, 3}, {}};
  c.params.temperature = 3;
  int differs_by_seed = 0;
  int differs_by_position = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    c.params.seed = seed;
    const TokenId first = c.choose(kSplits[0]).id;
    CHECK(c.choose(kSplits[2]).id == first);
    CandidateCase other = c;
    other.params.seed += 1ull << 32;  // the key's high half counts too
    differs_by_seed += other.choose(kSplits[0]).id != first;
    other = c;
    other.history.push_back(3);
    differs_by_position += other.choose(kSplits[0]).id != first;
  }
  CHECK(differs_by_seed > 25);
  CHECK(differs_by_position > 25);
}

TEST_CASE("draws follow the softmax: chi-square") {
  Random random(9);
  CandidateCase c{std::vector<float>(20), {1}, {}};
  for (float& logit : c.logits) logit = random.uniform(-1, 2);
  c.params.temperature = 0.8f;
  c.params.seed = 12345;
  constexpr int kDraws = kIsSlowRun ? 4000 : 20000;
  CHECK(chi_square(c, softmax(c.logits, 0.8, 20), kDraws) < 52.4);  // 19 degrees of freedom: one in 20,000
  c.params.top_k = 6;
  CHECK(chi_square(c, softmax(c.logits, 0.8, 6), kDraws) < 27.9);  // 5 degrees of freedom
}

TEST_CASE("log-probabilities are those of the raw logits' softmax") {
  const CandidateCase c = random_case(77);
  const CandidateRow row = c.merged(kSplits[1]);
  double sum = 0;
  for (float logit : c.logits) sum += std::exp(static_cast<double>(logit));
  REQUIRE(row.has_target);
  CHECK(row.target_logit == c.logits[static_cast<std::size_t>(c.target)]);
  const double expected = static_cast<double>(row.target_logit) - std::log(sum);
  CHECK(std::abs(static_cast<double>(logprob_of(row, row.target_logit)) - expected) < 1e-5);
}

TEST_CASE("logits that are no numbers come last and break nothing") {
  CandidateCase c{random_logits(10, kVocab), {1}, {}};
  for (std::size_t i = 0; i < kVocab; i += 3) c.logits[i] = std::numeric_limits<float>::quiet_NaN();
  for (float temperature : {0.0f, 1.0f}) {
    c.params.temperature = temperature;
    c.params.top_logprobs = 300;
    const CandidateRow row = c.whole();
    REQUIRE(row.by_raw.size() == 300);
    CHECK(row.by_raw[0].id % 3 != 0);
    CHECK(row.by_raw[299].id % 3 != 0);
  }
}

TEST_CASE("a row is judged alike whether it is only looked at or merged") {
  const auto judged_alike = [](const CandidateRow& row) {
    const Result<CandidateRow> merged = merge_candidates({&row, 1}, kVocab);
    const Status looked_at = check_row(row, kVocab);
    CHECK(merged.has_value() == looked_at.has_value());
    if (!merged && !looked_at) CHECK(merged.error().message() == looked_at.error().message());
    return looked_at.has_value();
  };
  CandidateCase c = random_case(5);
  c.params = SamplingParams{.top_p = 0.9f, .top_logprobs = 3, .logit_bias = {}};
  CHECK(judged_alike(c.whole()));
  CHECK_FALSE(judged_alike(c.slice({0, 2})));
  CHECK_FALSE(judged_alike(c.slice({2, 5})));
  const auto broken = [&](auto&& change) {
    CandidateRow row = c.whole();
    change(row);
    return !judged_alike(row);
  };
  CHECK(broken([](CandidateRow& row) { row.raw.clear(); }));
  CHECK(broken([](CandidateRow& row) { row.raw.resize(400000); }));
  CHECK(broken([](CandidateRow& row) { row.adjusted.pop_back(); }));
  CHECK(broken([](CandidateRow& row) { row.by_raw[0].id = -1; }));
  CHECK(broken([](CandidateRow& row) { std::swap(row.by_adjusted[0], row.by_adjusted[1]); }));
}

TEST_CASE("slices that contradict themselves or each other are corrupt") {
  CandidateCase c = random_case(5);
  c.params = SamplingParams{.top_p = 0.9f, .top_logprobs = 3, .logit_bias = {}};
  c.target = 100;
  const auto slices = [&] { return std::vector{c.slice({0, 2}), c.slice({2, 5})}; };
  const auto refused = [&](std::vector<CandidateRow> rows) {
    const Result<CandidateRow> merged = merge_candidates(rows, kVocab);
    return !merged && merged.error().code() == ErrorCode::Corrupt;
  };
  CHECK(!refused(slices()));
  CHECK(refused({}));
  CHECK(refused({c.slice({0, 2})}));
  CHECK(refused({c.slice({0, 2}), c.slice({3, 5})}));
  CHECK(refused({c.slice({0, 3}), c.slice({2, 5})}));
  CHECK(refused({c.slice({0, 5}), c.slice({0, 5})}));
  const auto broken = [&](auto&& change) {
    std::vector<CandidateRow> rows = slices();
    change(rows[1]);
    return refused(std::move(rows));
  };
  CHECK(broken([](CandidateRow& row) { row.position++; }));
  CHECK(broken([](CandidateRow& row) { row.sequence = SequenceId{99}; }));
  CHECK(broken([](CandidateRow& row) { row.has_target = true; }));
  CHECK(broken([](CandidateRow& row) { row.raw.clear(); }));
  CHECK(broken([](CandidateRow& row) { row.raw.resize(400000); }));
  CHECK(broken([](CandidateRow& row) { row.adjusted.pop_back(); }));
  CHECK(broken([](CandidateRow& row) { row.digests.clear(); }));
  CHECK(broken([](CandidateRow& row) { row.by_adjusted.clear(); }));
  CHECK(broken([](CandidateRow& row) { row.by_adjusted[0].id = 5; }));
  CHECK(broken([](CandidateRow& row) { row.by_raw[0].id = -1; }));
  CHECK(broken([](CandidateRow& row) { row.by_raw[1].id = 1 << 30; }));
  CHECK(broken([](CandidateRow& row) { std::swap(row.by_adjusted[0], row.by_adjusted[1]); }));
  CHECK(broken([](CandidateRow& row) { row.by_adjusted[1] = row.by_adjusted[0]; }));
}

}  // namespace shoal
