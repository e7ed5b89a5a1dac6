#include <doctest/doctest.h>

#include "tests/coordinator/http_fixture.h"

using namespace shoal;

TEST_CASE("the served model is listed and found by its id") {
  HttpFixture hub;
  const JsonValue list = get_path(hub.port(), "/v1/models").json();
  CHECK(text_at(list, "object") == "list");
  CHECK(text_at(list, "data.0.id") == "tiny/model");
  CHECK(text_at(list, "data.0.object") == "model");
  CHECK(integer_at(list, "data.0.created") == 1700000000);
  CHECK(text_at(list, "data.0.owned_by") == "shoal");
  CHECK(integer_at(list, "data.0.meta.n_ctx") == 128);
  CHECK(text_at(get_path(hub.port(), "/v1/models/tiny/model").json(), "id") == "tiny/model");
  CHECK(text_at(get_path(hub.port(), "/v1/models/tiny%2Fmodel").json(), "id") == "tiny/model");
  const HttpReply missing = get_path(hub.port(), "/v1/models/gpt-4");
  CHECK(missing.status == 404);
  CHECK(text_at(missing.json(), "error.code") == "model_not_found");
}

TEST_CASE("health is 200 only while a token can flow") {
  HttpFixture hub;
  const HttpReply ready = get_path(hub.port(), "/health");
  CHECK(ready.status == 200);
  CHECK(text_at(ready.json(), "status") == "ok");
  hub.service.set_health(
      {.ready = false, .state = "loading", .detail = "2 of 3 devices hold their layers", .progress = 0.625});
  const HttpReply loading = get_path(hub.port(), "/health");
  CHECK(loading.status == 503);
  CHECK(loading.headers.at("retry-after") == "1");
  CHECK(text_at(loading.json(), "status") == "unavailable");
  CHECK(text_at(loading.json(), "state") == "loading");
  CHECK(text_at(loading.json(), "detail") == "2 of 3 devices hold their layers");
  CHECK(at(loading.json(), "progress").number() == 0.625);
}

TEST_CASE("the cluster and the version are told") {
  HttpFixture hub;
  CHECK(text_at(get_path(hub.port(), "/api/cluster").json(), "epoch") == "1.2");
  CHECK(text_at(get_path(hub.port(), "/version").json(), "version") == "0.1.0");
}

TEST_CASE("unknown paths and methods get error objects, never HTML") {
  HttpFixture hub;
  for (const char* path : {"/", "/v1", "/v1/embeddings", "/v1/models/", "/../etc/passwd", "/%00",
                           "/v1/chat/completions/x", "*"}) {
    CAPTURE(path);
    const HttpReply reply = get_path(hub.port(), path);
    CHECK(reply.status == 404);
    CHECK(reply.headers.at("content-type") == "application/json");
    CHECK(text_at(reply.json(), "error.type") == "invalid_request_error");
  }
  const HttpReply near = post_json(hub.port(), "/chat/completions", "{}");
  CHECK(near.status == 404);
  CHECK(text_at(near.json(), "error.message") ==
        "There is nothing at '/chat/completions'. Did you mean '/v1/chat/completions'?");
  const HttpReply wrong = get_path(hub.port(), "/v1/chat/completions");
  CHECK(wrong.status == 405);
  CHECK(wrong.headers.at("allow") == "POST, OPTIONS");
  CHECK(text_at(wrong.json(), "error.code") == "method_not_allowed");
  CHECK(post_json(hub.port(), "/v1/models", "{}").status == 405);
}

TEST_CASE("HEAD gives GET's headers without its body, and the connection stays usable") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const HttpReply head = client.read_reply(/*has_body=*/false);
  CHECK(head.status == 200);
  CHECK(head.headers.at("content-length") != "0");
  client.get("/health");
  CHECK(client.read_reply().status == 200);
}

TEST_CASE("OPTIONS names the methods and grants no other site anything") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.send("OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n");
  const HttpReply reply = client.read_reply();
  CHECK(reply.status == 204);
  CHECK(reply.headers.at("allow") == "POST, OPTIONS");
  CHECK_FALSE(reply.headers.contains("access-control-allow-origin"));
}

TEST_CASE("a listed origin is allowed, and only it") {
  HttpOptions options = HttpFixture::options();
  options.api.allowed_origins = {"https://ui.example"};
  HttpFixture hub(options);
  const HttpReply good = get_path(hub.port(), "/health", "Origin: https://ui.example\r\n");
  CHECK(good.headers.at("access-control-allow-origin") == "https://ui.example");
  CHECK_FALSE(get_path(hub.port(), "/health", "Origin: https://evil.example\r\n")
                  .headers.contains("access-control-allow-origin"));
}

TEST_CASE("a foreign Host is refused, against DNS rebinding") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.send("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  CHECK(client.read_reply().status == 403);
  client.send("GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.read_reply().status == 403);
  client.send("GET http://127.0.0.1/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.read_reply().status == 200);
  client.send("GET /health HTTP/1.1\r\n\r\n");
  CHECK(client.read_reply().status == 400);
}

TEST_CASE("with an API key everything but health asks for it") {
  HttpOptions options = HttpFixture::options();
  options.api.api_key = "sk-right";
  HttpFixture hub(options);
  CHECK(get_path(hub.port(), "/health").status == 200);
  for (const char* path : {"/v1/models", "/api/cluster", "/version", "/nothing"}) {
    CAPTURE(path);
    const HttpReply reply = get_path(hub.port(), path);
    CHECK(reply.status == 401);
    CHECK(reply.headers.at("www-authenticate") == "Bearer");
    CHECK(text_at(reply.json(), "error.type") == "authentication_error");
    CHECK(get_path(hub.port(), path, "Authorization: Bearer sk-wrong\r\n").status == 401);
  }
  CHECK(get_path(hub.port(), "/v1/models", "Authorization: Bearer sk-right\r\n").status == 200);
  CHECK(post_json(hub.port(), "/tokenize", R"({"content":"a"})").status == 401);
}

TEST_CASE("a wrong key is told before the body is received") {
  HttpOptions options = HttpFixture::options();
  options.api.api_key = "sk-right";
  HttpFixture hub(options);
  HttpClient client(hub.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
      "4000000\r\n\r\n{");
  CHECK(client.read_reply().status == 401);
  CHECK(client.closed_by_server());
}

TEST_CASE("text goes to token ids and back, control tokens only where asked") {
  HttpFixture hub;
  const std::string text = "the sea \xF0\x9F\x90\x9F is <|im_end|>";
  const auto tokenize = [&](const std::string& more) {
    return post_json(hub.port(), "/tokenize", R"({"content":"the sea 🐟 is <|im_end|>")" + more + "}").json();
  };
  const auto ids_text = [](const JsonValue& json) {
    std::string list;
    append_json(list, at(json, "tokens"));
    return list;
  };
  const JsonValue plain = tokenize("");
  const JsonValue special = tokenize(R"(,"parse_special":true)");
  CHECK(integer_at(plain, "count") == static_cast<std::int64_t>(hub.encode(text).size()));
  CHECK(integer_at(special, "count") == static_cast<std::int64_t>(hub.encode(text, true).size()));
  CHECK(integer_at(plain, "count") > integer_at(special, "count"));
  for (const JsonValue* json : {&plain, &special}) {
    const HttpReply back = post_json(hub.port(), "/detokenize", "{\"tokens\":" + ids_text(*json) + "}");
    CHECK(text_at(back.json(), "content") == text);
  }
  const JsonValue pieces = tokenize(R"(,"with_pieces":true)");
  CHECK(integer_at(pieces, "tokens.0.id") == hub.encode(text).front());
  CHECK(text_at(pieces, "tokens.0.piece") ==
        std::string(hub.tokenizer().piece(hub.encode(text).front(), true)));
}

TEST_CASE("half a character is detokenised to its exact bytes") {
  HttpFixture hub;
  const std::vector<TokenId> ids = hub.encode("\xF0\x9F\x90\x9F");
  REQUIRE(ids.size() > 1);
  const JsonValue half =
      post_json(hub.port(), "/detokenize", "{\"tokens\":[" + std::to_string(ids[0]) + "]}").json();
  CHECK(integer_at(half, "bytes.0") == 0xF0);
}

TEST_CASE("bad bodies of tokenize and detokenize are told") {
  HttpFixture hub;
  for (const char* body : {"", "{", "[]", "{}", R"({"content":1})", R"({"content":"a","parse_special":1})"}) {
    CAPTURE(body);
    CHECK(post_json(hub.port(), "/tokenize", body).status == 400);
  }
  for (const char* body : {"{}", R"({"tokens":"a"})", R"({"tokens":[600]})", R"({"tokens":[-1]})",
                           R"({"tokens":[1.5]})", R"({"tokens":["a"]})"}) {
    CAPTURE(body);
    CHECK(post_json(hub.port(), "/detokenize", body).status == 400);
  }
}

TEST_CASE("a body that is not declared JSON is refused, against forms of foreign pages") {
  HttpFixture hub;
  HttpClient client(hub.port());
  const std::pair<const char*, const char*> refusals[] = {
      {"", "the request has no Content-Type"},
      {"Content-Type: text/plain\r\n", "says \"text/plain\""},
      {"Content-Type: application/x-www-form-urlencoded\r\n", "add -H 'Content-Type: application/json'"}};
  for (const auto& [type, said] : refusals) {
    client.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\n" + std::string(type) +
                "Content-Length: 15\r\n\r\n{\"content\":\"a\"}");
    const HttpReply reply = client.read_reply();
    CHECK(reply.status == 415);
    CHECK(text_at(reply.json(), "error.code") == "unsupported_media_type");
    const std::string message = text_at(reply.json(), "error.message");
    CHECK(message.find("\"Content-Type: application/json\"") != std::string::npos);
    CHECK(message.find(said) != std::string::npos);
  }
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: Application/JSON; "
      "charset=utf-8\r\nContent-Length: 15\r\n\r\n{\"content\":\"a\"}");
  CHECK(client.read_reply().status == 200);
}
