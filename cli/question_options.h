#pragma once

#include "cli/chat_stream.h"
#include "cli/http_client.h"

namespace CLI {
class App;
}

namespace shoal {

// What `run` and `chat` take alike: length, sampling, seed, model.
void add_question_options(CLI::App& command, ChatQuestion& question);

// On stderr, where the served model is not made for conversations: its file carries no chat template.
void warn_of_base_model(HttpClient& client);

}  // namespace shoal
