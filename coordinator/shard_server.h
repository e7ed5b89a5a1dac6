#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/gguf.h"
#include "transport/messages.h"

namespace shoal {

// Answers workers' requests for tensor rows straight from the mapped GGUF file: payloads lie in the mapping,
// nothing is copied. The file must outlive every answer. Reactor thread.
class ShardServer {
 public:
  ShardServer(const GgufFile& file, const std::vector<TensorRef>& tensors);

  // Never fails: what cannot be given is an answer with num_panels 0 and the reason.
  ShardData answer(const ShardRequest& request);
  std::uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  struct Source {
    TensorRef tensor;
    Bytes data;
  };
  std::map<Sha256, Source> sources_;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace shoal
