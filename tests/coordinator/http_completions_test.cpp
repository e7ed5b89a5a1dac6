#include <doctest/doctest.h>

#include <algorithm>

#include "tests/coordinator/http_fixture.h"

using namespace shoal;

namespace {

constexpr const char* kPath = "/v1/completions";

std::string ids_json(const std::vector<TokenId>& ids) {
  std::string text = "[";
  for (const TokenId id : ids) text += (text.size() > 1 ? "," : "") + std::to_string(id);
  return text + "]";
}

// Scores as the cluster does: row i judges token i + 1 with logprob -(i + 1) / 8; two candidates each.
std::vector<InferenceEvent> score(const InferenceRequest& request) {
  std::vector<InferenceEvent> events;
  for (std::uint32_t row = 0; request.echo_logprobs && row < request.prompt.size(); ++row) {
    const bool is_last = row + 1 == request.prompt.size();
    const float logprob = -static_cast<float>(row + 1) / 8;
    events.emplace_back(PromptTokenEvent{row, !is_last, is_last ? 0 : logprob, {{50, -0.25f}, {51, -2.0f}}});
  }
  if (request.max_tokens > 0)
    events.emplace_back(token_event(0, 100, std::string(HttpFixture::tokenizer().piece(100, false)), -0.75f,
                                    {{100, -0.75f}}));
  events.emplace_back(finished_event(static_cast<std::uint32_t>(request.prompt.size()),
                                     request.max_tokens > 0 ? 1 : 0, FinishReason::Length));
  return events;
}

}  // namespace

TEST_CASE("a text is completed, by default by 16 tokens") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) {
    return words_then_end(request, {" sea", " is"});
  });
  const JsonValue json = post_json(hub.port(), kPath, R"({"prompt":"the"})").json();
  CHECK(text_at(json, "object") == "text_completion");
  CHECK(text_at(json, "id").starts_with("cmpl-"));
  CHECK(text_at(json, "choices.0.text") == " sea is");
  CHECK(text_at(json, "choices.0.finish_reason") == "stop");
  CHECK(at(json, "choices.0.logprobs").is_null());
  CHECK(hub.service.request(0).max_tokens == 16);
  CHECK(hub.service.request(0).prompt == hub.encode("the"));
}

TEST_CASE("lists of texts and ids give one answer each, in order, n times") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) {
    return words_then_end(request, {std::to_string(request.prompt.size())});
  });
  const JsonValue json =
      post_json(hub.port(), kPath, R"({"prompt":["the",[1,2,3,4,5,6,7]],"n":2,"return_token_ids":true})")
          .json();
  REQUIRE(at(json, "choices").array()->size() == 4);
  const std::string first = std::to_string(hub.encode("the").size());
  CHECK(text_at(json, "choices.0.text") == first);
  CHECK(text_at(json, "choices.1.text") == first);
  CHECK(text_at(json, "choices.2.text") == "7");
  CHECK(text_at(json, "choices.3.text") == "7");
  CHECK(integer_at(json, "choices.3.index") == 3);
  CHECK(integer_at(json, "choices.2.prompt_token_ids.6") == 7);
  CHECK(integer_at(json, "choices.2.token_ids.0") == 100);
  CHECK(integer_at(json, "usage.prompt_tokens") == static_cast<std::int64_t>(hub.encode("the").size()) + 7);
  CHECK(integer_at(json, "usage.completion_tokens") == 4);
}

TEST_CASE("echo puts the prompt before the answer") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) { return words_then_end(request, {" sea"}); });
  CHECK(text_at(post_json(hub.port(), kPath, R"({"prompt":"the <|im_end|>","echo":true})").json(),
                "choices.0.text") == "the <|im_end|> sea");
  const std::string ids = ids_json(hub.encode("the"));
  CHECK(text_at(post_json(hub.port(), kPath, "{\"prompt\":" + ids + ",\"echo\":true}").json(),
                "choices.0.text") == "the sea");
  CHECK_FALSE(hub.service.request(0).echo_logprobs);
}

TEST_CASE("echo with logprobs scores a text, max_tokens 0 included") {
  HttpFixture hub;
  hub.service.set_script(score);
  const std::vector<TokenId> ids = hub.encode("the sea \xF0\x9F\x90\x9F.");
  const JsonValue json = post_json(hub.port(), kPath,
                                   "{\"prompt\":" + ids_json(ids) +
                                       R"(,"echo":true,"logprobs":2,"max_tokens":0,"return_token_ids":true})")
                             .json();
  CHECK(hub.service.request(0).echo_logprobs);
  CHECK(hub.service.request(0).max_tokens == 0);
  CHECK(hub.service.request(0).sampling.top_logprobs == 2);
  CHECK(text_at(json, "choices.0.text") == "the sea \xF0\x9F\x90\x9F.");
  const JsonValue& logprobs = at(json, "choices.0.logprobs");
  for (const char* name :
       {"tokens", "token_logprobs", "top_logprobs", "text_offset", "token_ids", "top_logprob_ids"}) {
    CAPTURE(name);
    REQUIRE(at(logprobs, name).array() != nullptr);
    CHECK(at(logprobs, name).array()->size() == ids.size());
  }
  CHECK(at(logprobs, "token_logprobs.0").is_null());
  CHECK(at(logprobs, "top_logprobs.0").is_null());
  CHECK(at(logprobs, "top_logprob_ids.0").is_null());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string n = std::to_string(i);
    CHECK(integer_at(logprobs, "token_ids." + n) == ids[i]);
    if (i == 0) continue;
    CHECK(at(logprobs, "token_logprobs." + n).number() == -static_cast<double>(i) / 8);
    CHECK(integer_at(logprobs, "top_logprob_ids." + n + ".0.0") == 50);
    CHECK(at(logprobs, "top_logprob_ids." + n + ".1.1").number() == -2.0);
    CHECK(at(logprobs, "top_logprobs." + n).object()->size() == 3);  // two and the token itself
  }
  CHECK(integer_at(logprobs, "next_top_logprob_ids.0.0") == 50);
  CHECK(integer_at(json, "usage.completion_tokens") == 0);
}

TEST_CASE("text offsets count characters, also where one is several tokens") {
  HttpFixture hub;
  hub.service.set_script(score);
  const std::string text =
      "a\xF0\x9F\x90\x9F"
      "b";
  const std::vector<TokenId> ids = hub.encode(text);
  const JsonValue json =
      post_json(hub.port(), kPath,
                "{\"prompt\":" + ids_json(ids) + R"(,"echo":true,"logprobs":0,"max_tokens":1})")
          .json();
  const JsonValue& logprobs = at(json, "choices.0.logprobs");
  REQUIRE(at(logprobs, "text_offset").array()->size() == ids.size() + 1);
  CHECK(integer_at(logprobs, "text_offset.0") == 0);
  CHECK(integer_at(logprobs, "text_offset.1") == 1);
  CHECK(integer_at(logprobs, "text_offset.2") == 1);  // within the fish
  CHECK(integer_at(logprobs, "text_offset." + std::to_string(ids.size() - 1)) == 2);
  CHECK(integer_at(logprobs, "text_offset." + std::to_string(ids.size())) == 3);
  CHECK(text_at(logprobs, "tokens.1").starts_with("bytes:\\xf0"));
  CHECK(at(logprobs, "token_ids").is_null());
  CHECK(at(logprobs, "token_logprobs." + std::to_string(ids.size())).number() == -0.75);
}

TEST_CASE("a scored text may be streamed, and its rows come in order") {
  HttpFixture hub;
  hub.service.set_script(score);
  HttpClient client(hub.port());
  client.post(
      kPath,
      R"({"prompt":"the sea","echo":true,"logprobs":1,"max_tokens":1,"stream":true,"return_token_ids":true})");
  client.read_head();
  std::string text;
  std::vector<std::int64_t> ids;
  const std::vector<SseEvent> events = client.read_events();
  CHECK(events.back().data == "[DONE]");
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Result<JsonValue> chunk = read_json(events[i].data);
    text += text_at(*chunk, "choices.0.text");
    if (const auto* list = at(*chunk, "choices.0.logprobs.token_ids").array()) {
      for (const JsonValue& id : *list) ids.push_back(*id.integer());
    }
  }
  CHECK(text == "the sea" + std::string(hub.tokenizer().piece(100, false)));
  std::vector<TokenId> expected = hub.encode("the sea");
  expected.push_back(100);
  CHECK(std::ranges::equal(ids, expected));
}

TEST_CASE("control tokens in a prompt are parsed unless the client says otherwise") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) { return words_then_end(request, {"a"}); });
  post_json(hub.port(), kPath, R"({"prompt":"a<|im_end|>"})");
  post_json(hub.port(), kPath, R"({"prompt":"a<|im_end|>","parse_special":false})");
  CHECK(hub.service.request(0).prompt == hub.encode("a<|im_end|>", true));
  CHECK(hub.service.request(1).prompt == hub.encode("a<|im_end|>", false));
}

TEST_CASE("a completion that cannot fit, and a prompt of nothing, are refused") {
  HttpFixture hub;
  std::string ids = "[1";
  for (int i = 1; i < 128; ++i) ids += ",1";
  ids += "]";
  const HttpReply full = post_json(hub.port(), kPath, "{\"prompt\":" + ids + "}");
  CHECK(full.status == 400);
  CHECK(text_at(full.json(), "error.code") == "context_length_exceeded");
  CHECK(text_at(full.json(), "error.message").find("129") != std::string::npos);
  CHECK(post_json(hub.port(), kPath, R"({"prompt":[[]]})").status == 400);

  hub.service.set_script(score);
  CHECK(post_json(hub.port(), kPath, "{\"prompt\":" + ids + ",\"max_tokens\":0,\"echo\":true,\"logprobs\":1}")
            .status == 200);
  ids.insert(1, "1,");
  CHECK(post_json(hub.port(), kPath, "{\"prompt\":" + ids + ",\"max_tokens\":0}").status == 400);
}

TEST_CASE("the cluster's digest of the logits is handed on") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) {
    FinishedEvent end = finished_event(1, 0);
    end.digest = request.digest ? "00ff" : "unasked";
    return std::vector<InferenceEvent>{end};
  });
  CHECK(text_at(post_json(hub.port(), kPath, R"({"prompt":"a","logits_digest":true,"max_tokens":0})").json(),
                "choices.0.logits_digest") == "00ff");
}
