#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cli/http_client.h"
#include "kernels/kv_blocks.h"

namespace shoal {

// A text to score: its token ids as they are, or words (tokenized, with the beginning-of-text token where the
// model has one).
struct ScoreTask {
  std::vector<TokenId> ids;
  std::string text;       // used where ids is empty
  std::uint32_t top = 0;  // best tokens wanted per row
  bool digest = false;
};

struct ScoredText {
  struct Row {
    std::string piece;                            // of the row's own token, for people
    std::optional<double> next_logprob;           // of the token that follows; none in the last row
    std::vector<std::pair<TokenId, double>> top;  // what might follow, best first
  };
  std::vector<TokenId> tokens;
  std::vector<Row> rows;  // one per token
  std::string digest;     // "" unless asked for

  double mean_nll() const;  // over the rows that have one; 0 where none has
};

// On the running cluster, through /v1/completions with echo.
Result<ScoredText> score_on_cluster(HttpClient& client, const ScoreTask& task);

// In this process, from the file alone. Which kernels, threads and chunks changes no bit; the KV type does.
struct FileScoreOptions {
  std::string model_path;
  std::string kernels;
  std::size_t num_threads = 0;  // 0: every core
  std::uint32_t chunk = 512;
  KvType kv_type = KvType::F16;
};
Result<ScoredText> score_on_file(const FileScoreOptions& options, const ScoreTask& task,
                                 const std::function<void(std::size_t done, std::size_t total)>& progress);

// {"tokens":[..],"rows":[{"row":i,"nll":x,"top":[[id,logprob],..]},..],"digest":".."}: numbers round-trip;
// "top" and "digest" stand there only where they were asked for.
std::string score_json(const ScoredText& score, const ScoreTask& task);

}  // namespace shoal
