#include "cli/chat_stream.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/file_server.h"

namespace shoal {
namespace {

std::string event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string delta(const std::string& text) {
  return event(R"({"choices":[{"index":0,"delta":{"content":)" + nlohmann::json(text).dump() +
               R"(},"finish_reason":null}]})");
}
const std::string kEnd = event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
const std::string kUsage = event(R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}})");
const std::string kDone = event("[DONE]");

struct Asked {
  Result<ChatAnswer> answer = fail(ErrorCode::Internal, "not asked");
  std::string text;
  FileServer::Request request;
};

Asked ask(const std::string& body, const ChatQuestion& question, const std::string& status = "200 OK",
          const std::string& key = "") {
  const FileServer server([&](const auto&) { return FileServer::Answer{.status = status, .body = body}; });
  HttpClient client(server.url(""), key);
  Asked asked;
  asked.answer = stream_chat(client, question, [&](std::string_view text) { asked.text += text; });
  asked.request = server.requests().at(0);
  return asked;
}

TEST_CASE("an answer's text comes piece by piece, with its end and the server's count of tokens") {
  const Asked asked = ask(event(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})") +
                              ": a sign of life\n\n" + delta("The ") + delta("sky\n") + kEnd + kUsage + kDone,
                          {.turns = {{"user", "why?"}}});
  REQUIRE(asked.answer);
  CHECK(asked.text == "The sky\n");
  CHECK(asked.answer->text == "The sky\n");
  CHECK(asked.answer->finish_reason == "stop");
  CHECK(asked.answer->num_tokens == 7);
  CHECK_FALSE(asked.answer->stopped);
}

TEST_CASE("a question carries its turns, its key and only the options that were given") {
  const Asked bare =
      ask(kEnd + kDone, {.turns = {{"system", "short"}, {"user", "wh\xC3\xA4t? \xFF"}}}, "200 OK", "secret");
  const nlohmann::json body = nlohmann::json::parse(bare.request.body);
  CHECK(bare.request.target == "/v1/chat/completions");
  CHECK(bare.request.headers.at("authorization") == "Bearer secret");
  CHECK(body["messages"][0]["content"] == "short");
  CHECK(body["messages"][1]["content"] == "wh\xC3\xA4t? \xEF\xBF\xBD");
  CHECK(body["stream"] == true);
  for (const char* option : {"max_tokens", "temperature", "seed", "model"})
    CHECK_FALSE(body.contains(option));
  const Asked full = ask(
      kEnd + kDone, {.turns = {{"user", "a"}}, .model = "m", .max_tokens = 5, .temperature = 0.0, .seed = 9});
  const nlohmann::json options = nlohmann::json::parse(full.request.body);
  CHECK(options["max_tokens"] == 5);
  CHECK(options["temperature"] == 0.0);
  CHECK(options["seed"] == 9);
  CHECK(options["model"] == "m");
}

TEST_CASE("an answer that breaks off is an error, with the server's words where it gave some") {
  const Asked silent = ask(delta("half a"), {.turns = {{"user", "a"}}});
  REQUIRE_FALSE(silent.answer);
  CHECK(silent.text == "half a");
  CHECK(silent.answer.error().message() == "the connection broke before the answer's end");
  const Asked told =
      ask(delta("half a") + event(R"({"error":{"message":"the cluster lost too many devices","code":"x"}})"),
          {.turns = {{"user", "a"}}});
  REQUIRE_FALSE(told.answer);
  CHECK(told.answer.error().message() == "the cluster lost too many devices");
}

TEST_CASE("a refusal is told in the server's words") {
  const Asked asked = ask(R"json({"error":{"message":"The cluster is not ready (loading)"}})json",
                          {.turns = {{"user", "a"}}}, "503 Service Unavailable");
  REQUIRE_FALSE(asked.answer);
  CHECK(asked.answer.error().message() == "The cluster is not ready (loading)");
  CHECK(asked.text.empty());
}

TEST_CASE("nobody there is told with what to do") {
  HttpClient client("http://127.0.0.1:1", "");
  const Result<ChatAnswer> answer = stream_chat(client, {.turns = {{"user", "a"}}}, [](std::string_view) {});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message().find(
            "no coordinator answers at http://127.0.0.1:1: start one (shoal up CONFIG) or give --url") == 0);
}

TEST_CASE("events that are no JSON or of another shape change nothing") {
  const Asked asked =
      ask(event("{") + event("[]") + event("3") + event(R"({"choices":{}})") + event(R"({"choices":[7]})") +
              event(R"({"choices":[{"delta":{"content":5}}]})") + delta("ok") + kEnd + kDone,
          {.turns = {{"user", "a"}}});
  REQUIRE(asked.answer);
  CHECK(asked.text == "ok");
}

TEST_CASE("speed counts the tokens after the first over the time after the first") {
  ChatAnswer answer;
  answer.num_tokens = 11;
  answer.seconds_to_first = 0.25;
  answer.seconds_after_first = 0.5;
  CHECK(answer.tokens_per_second() == doctest::Approx(20));
  CHECK(describe_speed(answer) == "11 tokens, 20.0 tok/s, first after 0.25 s");
  answer.num_tokens = 1;
  CHECK(describe_speed(answer) == "1 token, first after 0.25 s");
}

}  // namespace
}  // namespace shoal
