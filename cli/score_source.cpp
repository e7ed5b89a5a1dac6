#include "cli/score_source.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/kernel_table.h"
#include "model/score.h"
#include "text/tokenizer.h"

namespace shoal {
namespace {

using Json = nlohmann::json;
using TopList = std::vector<std::pair<TokenId, double>>;

// The double whose shortest decimal form is the float's: printed, both give the same digits.
double as_printed(float value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  double result = value;
  std::from_chars(digits.data(), end, result);
  return result;
}

void append_number(std::string& out, double value) {
  std::array<char, 32> digits;
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

Result<Json> post(HttpClient& client, const std::string& path, const Json& request) {
  const Result<HttpClient::Response> response =
      client.post(path, request.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!response) return fail(response.error());
  if (response->status != 200) return fail(ErrorCode::Unavailable, error_message_of(*response));
  Json json = Json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail(ErrorCode::Corrupt,
                "the coordinator's answer is no JSON object: is something else listening there?");
  return json;
}

// Reading what a server sent: nlohmann throws where a type is not as expected, and that becomes one error
// here.
template <typename Read>
auto read_answer(Read read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Json::exception& problem) {
    return fail(ErrorCode::Corrupt,
                std::string("the coordinator's answer lacks what was asked for: ") + problem.what());
  }
}

Result<std::vector<TokenId>> tokens_on_cluster(HttpClient& client, const std::string& text) {
  const Result<Json> answer = post(client, "/tokenize", {{"content", text}, {"add_special", true}});
  if (!answer) return fail(answer.error());
  return read_answer([&] { return answer->at("tokens").get<std::vector<TokenId>>(); });
}

TopList top_of(const Json& list) {
  TopList top;
  if (!list.is_array()) return top;
  for (const Json& entry : list) top.emplace_back(entry.at(0).get<TokenId>(), entry.at(1).get<double>());
  return top;
}

// The API's arrays speak of each token after those before it; our rows of what follows each token: one
// further on.
ScoredText rows_of(const Json& choice, std::uint32_t top) {
  const Json& logprobs = choice.at("logprobs");
  ScoredText score;
  score.tokens = logprobs.at("token_ids").get<std::vector<TokenId>>();
  const std::size_t num_tokens = score.tokens.size();
  for (std::size_t i = 0; i < num_tokens; ++i) {
    ScoredText::Row row;
    row.piece = logprobs.at("tokens").at(i).get<std::string>();
    if (i + 1 < num_tokens) {
      row.next_logprob = logprobs.at("token_logprobs").at(i + 1).get<double>();
      if (top > 0) row.top = top_of(logprobs.at("top_logprob_ids").at(i + 1));
    } else if (top > 0 && logprobs.contains("next_top_logprob_ids")) {
      row.top = top_of(logprobs.at("next_top_logprob_ids"));
    }
    score.rows.push_back(std::move(row));
  }
  score.digest = choice.value("logits_digest", "");
  return score;
}

Result<std::vector<TokenId>> tokens_of(const Tokenizer& tokenizer, const ScoreTask& task) {
  if (!task.ids.empty()) return task.ids;
  Result<std::vector<TokenId>> ids = tokenizer.encode(task.text, /*parse_special=*/false);
  if (ids && tokenizer.adds_bos()) ids->insert(ids->begin(), tokenizer.bos());
  return ids;
}

ScoredText with_pieces(const Score& score, std::vector<TokenId> ids, const Tokenizer& tokenizer) {
  ScoredText text;
  text.tokens = std::move(ids);
  text.digest = score.digest;
  for (std::size_t i = 0; i < score.rows.size(); ++i) {
    ScoredText::Row row;
    row.piece = tokenizer.piece(text.tokens[i], /*render_special=*/true);
    if (score.rows[i].next_logprob) row.next_logprob = as_printed(*score.rows[i].next_logprob);
    for (const TokenLogprob& entry : score.rows[i].top)
      row.top.emplace_back(entry.id, as_printed(entry.logprob));
    text.rows.push_back(std::move(row));
  }
  return text;
}

}  // namespace

double ScoredText::mean_nll() const {
  double sum = 0;
  std::size_t count = 0;
  for (const Row& row : rows) {
    if (!row.next_logprob) continue;
    sum -= *row.next_logprob;
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

Result<ScoredText> score_on_cluster(HttpClient& client, const ScoreTask& task) {
  const Result<std::vector<TokenId>> ids = task.ids.empty() ? tokens_on_cluster(client, task.text) : task.ids;
  if (!ids) return fail(ids.error());
  const Json request = {{"prompt", *ids},       {"max_tokens", 0},          {"echo", true},
                        {"logprobs", task.top}, {"return_token_ids", true}, {"logits_digest", task.digest}};
  const Result<Json> answer = post(client, "/v1/completions", request);
  if (!answer) return fail(answer.error());
  return read_answer([&] { return rows_of(answer->at("choices").at(0), task.top); });
}

Result<ScoredText> score_on_file(const FileScoreOptions& options, const ScoreTask& task,
                                 const std::function<void(std::size_t, std::size_t)>& progress) {
  const Result<const KernelTable*> kernels = choose_kernels(options.kernels);
  if (!kernels) return fail(kernels.error());
  const Result<GgufFile> file = GgufFile::open(options.model_path);
  if (!file) return fail(file.error());
  const Result<Tokenizer> tokenizer = Tokenizer::open(*file);
  if (!tokenizer) return fail(tokenizer.error());
  Result<std::vector<TokenId>> ids = tokens_of(*tokenizer, task);
  if (!ids) return fail(ids.error());
  const std::size_t num_threads =
      options.num_threads != 0 ? options.num_threads : std::max(1u, std::thread::hardware_concurrency());
  Result<WholeModel> model =
      WholeModel::open(options.model_path, **kernels, num_threads, static_cast<std::uint32_t>(ids->size()),
                       options.chunk, options.kv_type);
  if (!model) return fail(model.error());
  const Result<Score> score =
      model->score(*ids, {.top = task.top, .chunk = options.chunk, .digest = task.digest},
                   [&](std::size_t done) { progress(done, ids->size()); });
  if (!score) return fail(score.error());
  return with_pieces(*score, *std::move(ids), *tokenizer);
}

std::string score_json(const ScoredText& score, const ScoreTask& task) {
  std::string out = "{\"tokens\":[";
  for (std::size_t i = 0; i < score.tokens.size(); ++i)
    out += (i ? "," : "") + std::to_string(score.tokens[i]);
  out += "],\"rows\":[";
  for (std::size_t i = 0; i < score.rows.size(); ++i) {
    const ScoredText::Row& row = score.rows[i];
    out += (i ? ",{\"row\":" : "{\"row\":") + std::to_string(i) + ",\"nll\":";
    row.next_logprob ? append_number(out, -*row.next_logprob) : void(out += "null");
    if (task.top > 0) {
      out += ",\"top\":[";
      for (std::size_t k = 0; k < row.top.size(); ++k) {
        out += (k ? ",[" : "[") + std::to_string(row.top[k].first) + ",";
        append_number(out, row.top[k].second);
        out += "]";
      }
      out += "]";
    }
    out += "}";
  }
  out += "]";
  if (task.digest) out += ",\"digest\":\"" + score.digest + "\"";
  return out + "}";
}

}  // namespace shoal
