#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "coordinator/http/field_reader.h"
#include "coordinator/http/openai_request.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"

using namespace shoal;

namespace {

constexpr RequestLimits kLimits{"tiny", 600};

JsonValue json_of(const std::string& text) {
  Result<JsonValue> json = read_json(text);
  REQUIRE_MESSAGE(json.has_value(), text);
  return *std::move(json);
}

// A chat or completion request with more fields: `fields` is empty or ends with a comma.
Parsed<ChatRequest> chat(const std::string& fields) {
  return parse_chat_request(json_of("{" + fields + R"("messages":[{"role":"user","content":"hi"}]})"),
                            kLimits);
}
Parsed<CompletionRequest> completion(const std::string& fields) {
  return parse_completion_request(json_of("{" + fields + R"("prompt":"hi"})"), kLimits);
}

template <typename T>
const ApiError* error_in(const Parsed<T>& parsed) {
  return std::get_if<ApiError>(&parsed);
}

std::string param_of(const ApiError* error) { return error == nullptr ? "(accepted)" : error->param; }

// The error of whichever endpoint has the field: "logprobs" is a number only for completions, "top_logprobs"
// only for chat.
std::string field_error(std::string_view name, const std::string& json) {
  const std::string field = "\"" + std::string(name) + "\":" + json + ",";
  if (name == "top_logprobs") return param_of(error_in(chat("\"logprobs\":true," + field)));
  return param_of(error_in(completion(field)));
}

std::string in_json(double value, NumberKind kind) {
  if (kind == NumberKind::Integer) return std::to_string(static_cast<std::int64_t>(value));
  return std::to_string(value);
}

}  // namespace

TEST_CASE("every numeric field is held to its type and bounds") {
  for (const NumericField& field : numeric_fields()) {
    if (field.name == "logit_bias" || field.name == "seed") continue;  // below
    CAPTURE(field.name);
    const std::string name(field.name);
    CHECK(field_error(name, in_json(field.min, field.kind)) == "(accepted)");
    CHECK(field_error(name, in_json(field.max, field.kind)) == "(accepted)");
    CHECK(field_error(name, "null") == "(accepted)");
    const double step = field.kind == NumberKind::Integer ? 1 : 0.001;
    CHECK(field_error(name, in_json(field.min - step, field.kind)) == name);
    CHECK(field_error(name, in_json(field.max + step, field.kind)) == name);
    for (const char* wrong :
         {"\"1\"", "true", "[]", "{}", "1e300", "-1e300", "99999999999999999999", "-99999999999999999999"}) {
      CAPTURE(wrong);
      CHECK(field_error(name, wrong) == name);
    }
    if (field.kind == NumberKind::Integer) CHECK(field_error(name, "1.5") == name);
  }
}

TEST_CASE("numbers that JSON has not never reach a field") {
  for (const char* wrong : {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "+1", "0x10", ".5"}) {
    CAPTURE(wrong);
    CHECK_FALSE(read_json(std::string("{\"temperature\":") + wrong + "}"));
  }
}

TEST_CASE("a seed may be any 64-bit integer") {
  const auto low = completion(R"("seed":-9223372036854775808,)");
  REQUIRE(std::holds_alternative<CompletionRequest>(low));
  CHECK(std::get<CompletionRequest>(low).options.has_seed);
  CHECK(std::get<CompletionRequest>(low).options.sampling.seed == 1ULL << 63);
  CHECK(field_error("seed", "9223372036854775807") == "(accepted)");
  CHECK(field_error("seed", "9223372036854775808") == "seed");
  CHECK(field_error("seed", "18446744073709551615") == "seed");
  CHECK(field_error("seed", "1.5") == "seed");
  CHECK_FALSE(std::get<CompletionRequest>(completion("")).options.has_seed);
}

TEST_CASE("a whole number may be written as a floating-point one, and no other may") {
  const auto parsed = completion(R"("max_tokens":64.0,"top_k":1e2,)");
  REQUIRE(std::holds_alternative<CompletionRequest>(parsed));
  CHECK(std::get<CompletionRequest>(parsed).options.max_tokens == 64U);
  CHECK(std::get<CompletionRequest>(parsed).options.sampling.top_k == 100);
  CHECK(field_error("max_tokens", "-1.0") == "max_tokens");
  const auto broken = completion(R"("max_tokens":2.5,)");
  REQUIRE(std::holds_alternative<ApiError>(broken));
  CHECK(std::get<ApiError>(broken).message == "'max_tokens' must be an integer, not 2.5.");
}

TEST_CASE("sampling fields reach the sampler under each of their names") {
  const auto parsed = chat(
      R"("temperature":0.5,"top_p":0.25,"top_k":40,"min_p":0.1,"repeat_penalty":1.5,"presence_penalty":-1,"frequency_penalty":2,)"
      R"("repeat_last_n":-1,"max_completion_tokens":7,"max_tokens":5,"n":3,"ignore_eos":true,"return_token_ids":true,)");
  REQUIRE(std::holds_alternative<ChatRequest>(parsed));
  const AnswerOptions& options = std::get<ChatRequest>(parsed).options;
  CHECK(options.sampling.temperature == 0.5f);
  CHECK(options.sampling.top_p == 0.25f);
  CHECK(options.sampling.top_k == 40);
  CHECK(options.sampling.min_p == 0.1f);
  CHECK(options.sampling.repeat_penalty == 1.5f);
  CHECK(options.sampling.presence_penalty == -1.0f);
  CHECK(options.sampling.frequency_penalty == 2.0f);
  CHECK(options.sampling.repeat_last_n >= 1U << 20);
  CHECK(options.max_tokens == 7U);
  CHECK(options.n == 3);
  CHECK(options.ignore_end);
  CHECK(options.return_token_ids);

  const auto other =
      chat(R"("repetition_penalty":1.25,"top_k":-1,"top_p":0,"temperature":0,"max_tokens":null,)");
  REQUIRE(std::holds_alternative<ChatRequest>(other));
  const SamplingParams& sampling = std::get<ChatRequest>(other).options.sampling;
  CHECK(sampling.repeat_penalty == 1.25f);
  CHECK(sampling.top_k == 0);
  CHECK(sampling.top_p > 0);
  CHECK(sampling.greedy());
  CHECK_FALSE(std::get<ChatRequest>(other).options.max_tokens);
}

TEST_CASE(
    "a request that says nothing of sampling gets what suits small models, one that does gets just that") {
  const SamplingParams silent = std::get<ChatRequest>(chat("")).options.sampling;
  CHECK(silent.temperature == 0.2f);
  CHECK(silent.top_p == 0.9f);
  const SamplingParams warm = std::get<ChatRequest>(chat(R"("temperature":0.9,)")).options.sampling;
  CHECK(warm.temperature == 0.9f);
  CHECK(warm.top_p == 1.0f);
  const SamplingParams narrow = std::get<ChatRequest>(chat(R"("top_k":5,)")).options.sampling;
  CHECK(narrow.temperature == 1.0f);
  CHECK(narrow.top_p == 1.0f);
}

TEST_CASE("a whole number beyond 64 bits is refused with the bounds in full") {
  const auto refused = chat(R"("seed":18446744073709551615,)");
  REQUIRE(std::holds_alternative<ApiError>(refused));
  CHECK(std::get<ApiError>(refused).message ==
        "'seed' is too large: it must lie between -9223372036854775808 and 9223372036854775807.");
}

TEST_CASE("stop is a string or up to four, none of them empty or endless") {
  CHECK(std::get<ChatRequest>(chat(R"("stop":"a",)")).options.stop == std::vector<std::string>{"a"});
  CHECK(std::get<ChatRequest>(chat(R"("stop":["a","b","c","d"],)")).options.stop.size() == 4);
  CHECK(std::get<ChatRequest>(chat(R"("stop":[],)")).options.stop.empty());
  CHECK(std::get<ChatRequest>(chat(R"("stop":null,)")).options.stop.empty());
  for (const std::string stop :
       {"1", "{}", "[1]", "[\"a\",null]", "\"\"", "[\"a\",\"\"]", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"}) {
    CAPTURE(stop);
    CHECK(param_of(error_in(chat("\"stop\":" + stop + ","))) == "stop");
  }
  CHECK(param_of(error_in(chat("\"stop\":\"" + std::string(513, 'x') + "\","))) == "stop");
}

TEST_CASE("logit_bias maps token ids within the vocabulary to bounded numbers") {
  const auto parsed = chat(R"("logit_bias":{"5":-100,"2":1.5,"5":100},)");
  REQUIRE(std::holds_alternative<ChatRequest>(parsed));
  CHECK(std::get<ChatRequest>(parsed).options.sampling.logit_bias ==
        std::vector<LogitBias>{{2, 1.5f}, {5, 100.0f}});
  for (const char* bias :
       {"[]", "1", R"({"600":1})", R"({"-1":1})", R"({"a":1})", R"({"1x":1})", R"({"":1})", R"({"1":"2"})",
        R"({"1":null})", R"({"1":101})", R"({"1":-100.5})", R"({"99999999999999":1})"}) {
    CAPTURE(bias);
    CHECK(param_of(error_in(chat(std::string("\"logit_bias\":") + bias + ","))) == "logit_bias");
  }
  std::string many = "{\"0\":1";
  for (int i = 1; i <= 300; ++i) many += ",\"" + std::to_string(i) + "\":1";
  CHECK(param_of(error_in(chat("\"logit_bias\":" + many + "},"))) == "logit_bias");
}

TEST_CASE("flags must be booleans") {
  for (const std::string name :
       {"stream", "return_token_ids", "ignore_eos", "echo", "parse_special", "logits_digest"}) {
    CAPTURE(name);
    CHECK(field_error(name, "true") == "(accepted)");
    for (const char* wrong : {"1", "\"true\"", "[]", "{}"}) CHECK(field_error(name, wrong) == name);
  }
  CHECK(param_of(error_in(chat(R"("logprobs":1,)"))) == "logprobs");
}

TEST_CASE("stream_options need a stream and a boolean") {
  CHECK(std::get<ChatRequest>(chat(R"("stream":true,"stream_options":{"include_usage":true},)"))
            .options.include_usage);
  CHECK(param_of(error_in(chat(R"("stream_options":{"include_usage":true},)"))) == "stream_options");
  CHECK(param_of(error_in(chat(R"("stream":true,"stream_options":1,)"))) == "stream_options");
  CHECK(param_of(error_in(chat(R"("stream":true,"stream_options":{"include_usage":1},)"))) ==
        "stream_options.include_usage");
}

TEST_CASE("chat logprobs are asked for by a flag, their alternatives by a count") {
  const AnswerOptions options = std::get<ChatRequest>(chat(R"("logprobs":true,"top_logprobs":20,)")).options;
  CHECK(options.wants_logprobs);
  CHECK(options.sampling.top_logprobs == 20);
  CHECK(param_of(error_in(chat(R"("top_logprobs":2,)"))) == "top_logprobs");
  CHECK_FALSE(std::get<ChatRequest>(chat(R"("top_logprobs":0,)")).options.wants_logprobs);
}

TEST_CASE("messages have known roles and text content") {
  const auto parse = [](const std::string& messages) {
    return parse_chat_request(json_of("{\"messages\":" + messages + "}"), kLimits);
  };
  const auto good = parse(
      R"([{"role":"developer","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","content":"d","tool_call_id":"1"}])");
  REQUIRE(std::holds_alternative<ChatRequest>(good));
  const std::vector<ChatMessage>& messages = std::get<ChatRequest>(good).messages;
  REQUIRE(messages.size() == 4);
  CHECK(messages[0].role == "system");
  CHECK(messages[1].content == "bc");
  CHECK(messages[2].tool_calls_json == R"([{"id":"1"}])");
  CHECK(messages[3].tool_call_id == "1");

  CHECK(param_of(error_in(parse("null"))) == "messages");
  CHECK(param_of(error_in(parse("[]"))) == "messages");
  CHECK(param_of(error_in(parse("{}"))) == "messages");
  CHECK(param_of(error_in(parse("[1]"))) == "messages[0]");
  CHECK(param_of(error_in(parse(R"([{"content":"a"}])"))) == "messages[0].role");
  CHECK(param_of(error_in(parse(R"([{"role":"king","content":"a"}])"))) == "messages[0].role");
  CHECK(param_of(error_in(parse(R"([{"role":"user","content":"a"},{"role":"user"}])"))) ==
        "messages[1].content");
  CHECK(param_of(error_in(parse(R"([{"role":"user","content":1}])"))) == "messages[0].content");
  CHECK(param_of(error_in(parse(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])"))) ==
        "messages[0].content");
  CHECK(param_of(error_in(parse(R"([{"role":"user","content":["a"]}])"))) == "messages[0].content");
  CHECK(param_of(error_in(parse(R"([{"role":"user","content":"a","name":1}])"))) == "name");
}

TEST_CASE("a prompt is a text, a list of ids, or a list of either") {
  const auto parse = [](const std::string& prompt) {
    return parse_completion_request(json_of("{\"prompt\":" + prompt + "}"), kLimits);
  };
  const auto prompts = [&](const std::string& prompt) {
    return std::get<CompletionRequest>(parse(prompt)).prompts;
  };
  using Ids = std::vector<TokenId>;
  CHECK(prompts("\"a\"") == std::vector<PromptInput>{"a"});
  CHECK(prompts("[1,2]") == std::vector<PromptInput>{Ids{1, 2}});
  CHECK(prompts("[\"a\",[3]]") == std::vector<PromptInput>{"a", Ids{3}});
  CHECK(prompts("[[1],[2,599]]") == std::vector<PromptInput>{Ids{1}, Ids{2, 599}});
  for (const char* wrong : {"null", "1", "{}", "[]", "[1,\"a\"]", "[1,2.5]", "[600]", "[-1]", "[1e3]"}) {
    CAPTURE(wrong);
    CHECK(param_of(error_in(parse(wrong))) == "prompt");
  }
  CHECK(param_of(error_in(parse("[[1],[600]]"))) == "prompt[1]");
  CHECK(param_of(error_in(parse("[\"a\",null]"))) == "prompt[1]");
  CHECK(param_of(error_in(parse("[true]"))) == "prompt[0]");
  std::string many = "[\"a\"";
  for (int i = 0; i < 64; ++i) many += ",\"a\"";
  CHECK(param_of(error_in(parse(many + "]"))) == "prompt");
}

TEST_CASE("what is not supported is refused rather than ignored") {
  CHECK(field_error("suffix", "\"x\"") == "suffix");
  CHECK(field_error("best_of", "2") == "best_of");
  CHECK(param_of(error_in(chat(R"("tools":[{"type":"function"}],)"))) == "tools");
  CHECK(param_of(error_in(chat(R"("tools":[],"response_format":{"type":"text"},)"))) == "(accepted)");
  CHECK(param_of(error_in(chat(R"("response_format":{"type":"json_object"},)"))) == "response_format");
  CHECK(param_of(error_in(chat(R"("response_format":"json",)"))) == "response_format");
  CHECK(param_of(error_in(chat(R"("max_tokens":0,)"))) == "max_tokens");
}

TEST_CASE("unknown fields are ignored, and the model may be left out") {
  CHECK(param_of(error_in(chat(R"("user":"u","metadata":{"a":1},"frobnicate":[1,2],)"))) == "(accepted)");
  for (const char* model : {"\"tiny\"", "\"\"", "null"}) {
    CHECK(param_of(error_in(chat(std::string("\"model\":") + model + ","))) == "(accepted)");
  }
  const auto unknown = chat(R"("model":"gpt-4",)");
  REQUIRE(error_in(unknown) != nullptr);
  CHECK(error_in(unknown)->status == 404);
  CHECK(error_in(unknown)->code == "model_not_found");
  CHECK(param_of(error_in(chat(R"("model":1,)"))) == "model");
}

TEST_CASE("a body that is no object is refused") {
  for (const char* body : {"[]", "1", "\"a\"", "null", "true"}) {
    CHECK(error_in(parse_chat_request(json_of(body), kLimits)) != nullptr);
    CHECK(error_in(parse_completion_request(json_of(body), kLimits)) != nullptr);
  }
}

TEST_CASE("random JSON under the known names never breaks the reader") {
  const char* names[] = {"model",   "messages", "prompt",         "stop",  "logit_bias", "seed",
                         "n",       "stream",   "stream_options", "tools", "top_k",      "role",
                         "content", "logprobs", "echo",           "type",  "text",       "response_format"};
  const char* values[] = {"null",     "true",     "1",  "-1", "1e18",  "0.5",    "\"\"",
                          "\"user\"", "\"text\"", "[]", "{}", "[1,2]", "[\"a\"]"};
  Random random(4);
  const auto any = [&](const auto& self, int depth) -> std::string {
    if (depth == 0 || random.below(3) == 0) return values[random.below(std::size(values))];
    const bool is_object = random.below(2) == 0;
    std::string text(1, is_object ? '{' : '[');
    for (std::uint64_t n = random.below(4); n > 0; --n) {
      if (text.size() > 1) text += ',';
      if (is_object) text += "\"" + std::string(names[random.below(std::size(names))]) + "\":";
      text += self(self, depth - 1);
    }
    return text + (is_object ? '}' : ']');
  };
  std::set<std::string> params;
  for (int i = 0; i < 20000 / static_cast<int>(kCaseStride); ++i) {
    std::string body = "{";
    for (const char* name : names) {
      if (random.below(3) == 0) body += "\"" + std::string(name) + "\":" + any(any, 4) + ",";
    }
    if (body.back() == ',') body.pop_back();
    body += '}';
    const JsonValue json = json_of(body);
    const auto chat_request = parse_chat_request(json, kLimits);
    const auto completion_request = parse_completion_request(json, kLimits);
    if (const ApiError* error = error_in(chat_request)) params.insert(error->param);
    if (const ApiError* error = error_in(completion_request)) params.insert(error->param);
  }
  CHECK(params.size() > 10);
}
