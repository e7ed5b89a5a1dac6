#include <doctest/doctest.h>

#include <algorithm>

#include "tests/coordinator/http_fixture.h"
#include "tests/support/random.h"

using namespace shoal;
using namespace std::chrono_literals;

namespace {

constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kStream = R"({"messages":[{"role":"user","content":"hi"}],"stream":true})";
constexpr const char* kWhole = R"({"messages":[{"role":"user","content":"hi"}]})";

bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds patience = 5s) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

}  // namespace

TEST_CASE("serving beyond loopback without a key is refused with what to do") {
  ScriptedService service;
  HttpOptions options = HttpFixture::options();
  options.address = "0.0.0.0";
  const auto open = [&] {
    return HttpServer::open(options, service, HttpFixture::tokenizer(), HttpFixture::chat_template());
  };
  const auto refused = open();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::InvalidArgument);
  CHECK(refused.error().message().find("API key") != std::string::npos);
  options.api.api_key = "sk-1";
  CHECK(open());
  options.address = "not an address";
  CHECK_FALSE(open());
}

TEST_CASE("a taken port is named") {
  HttpFixture first;
  HttpOptions options = HttpFixture::options();
  options.port = first.port();
  ScriptedService service;
  const auto second =
      HttpServer::open(options, service, HttpFixture::tokenizer(), HttpFixture::chat_template());
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::Unavailable);
  CHECK(second.error().message().find("port " + std::to_string(first.port())) != std::string::npos);
  CHECK(second.error().message().find("taken") != std::string::npos);
}

TEST_CASE("requests follow each other on one connection, also all at once") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) { return words_then_end(request, {"ok"}); });
  HttpClient client(hub.port());
  for (int i = 0; i < 3; ++i) {
    client.post(kPath, kStream);
    CHECK(client.read_head().status == 200);
    CHECK(client.read_events().back().data == "[DONE]");
  }
  for (int i = 0; i < 50; ++i) {
    client.get("/version");
    client.post(kPath, kWhole);
    client.get("/nothing");
  }
  for (int i = 0; i < 50; ++i) {
    CHECK(client.read_reply().status == 200);
    CHECK(text_at(client.read_reply().json(), "choices.0.message.content") == "ok");
    CHECK(client.read_reply().status == 404);
  }
}

TEST_CASE(
    "a client that asks much and reads nothing costs bounded memory, and all is answered once it reads") {
  HttpFixture hub;
  HttpClient client(hub.port());
  std::string many;
  for (int i = 0; i < 500; ++i) many += "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::thread sender([&] {
    for (int i = 0; i < 20; ++i) client.send(many);
  });
  std::size_t answered = 0;
  while (answered < 10000 && client.read_reply().status == 200) ++answered;
  sender.join();
  CHECK(answered == 10000);
}

TEST_CASE("an HTTP/1.0 client gets its stream without chunks and the end as the connection's end") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) { return words_then_end(request, {"ok"}); });
  HttpClient client(hub.port());
  const std::string body = kStream;
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const HttpReply head = client.read_head();
  CHECK(head.status == 200);
  CHECK_FALSE(head.headers.contains("transfer-encoding"));
  CHECK(client.closed_by_server());
}

TEST_CASE("a client that has ended its sending still gets the answer that lies ready") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.get("/version");
  client.end_sending();
  CHECK(client.read_reply().status == 200);
  CHECK(client.closed_by_server());
}

TEST_CASE("an expected 100 Continue is given before the body") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: "
      "100-continue\r\nContent-Length: 15\r\n\r\n");
  CHECK(client.read_reply(false).status == 100);
  client.send("{\"content\":\"a\"}");
  CHECK(client.read_reply().status == 200);
}

TEST_CASE("a client that leaves has its sequences cancelled within 100 ms") {
  HttpFixture hub;
  for (const char* body : {kStream, kWhole}) {
    CAPTURE(body);
    const std::size_t before = hub.service.num_cancels();
    HttpClient client(hub.port());
    client.post(kPath, body);
    const std::size_t number = before + 1;
    REQUIRE(hub.service.wait_for_requests(number));
    hub.service.send(number - 1, token_event(0, 100, "a"));
    if (body == kStream) client.read_head();
    client.close();
    const auto left = std::chrono::steady_clock::now();
    CHECK(hub.service.wait_for_cancels(number));
    CHECK(std::chrono::steady_clock::now() - left < 100ms);
    hub.service.send(number - 1, token_event(1, 101, "to nobody"));
  }
  CHECK(eventually([&] { return hub.server->num_connections() == 0; }));
  CHECK(get_path(hub.port(), "/version").status == 200);
}

TEST_CASE("all sequences of a request are cancelled together") {
  HttpFixture hub;
  HttpClient client(hub.port());
  client.post("/v1/completions", R"({"prompt":["a","b"],"n":4,"stream":true})");
  REQUIRE(hub.service.wait_for_requests(8));
  client.close();
  CHECK(hub.service.wait_for_cancels(8));
}

TEST_CASE("a client that is far behind and takes nothing is cut long before a write times out") {
  HttpOptions options = HttpFixture::options();
  options.limits.unread_bytes = 64 * 1024;
  options.limits.unread_timeout = 200ms;
  HttpFixture hub(options);
  HttpClient slow(hub.port(), /*receive_buffer=*/4096);
  HttpClient fast(hub.port());
  slow.post(kPath, kStream);
  REQUIRE(hub.service.wait_for_requests(1));
  fast.post(kPath, kStream);
  REQUIRE(hub.service.wait_for_requests(2));
  for (int i = 0; i < 1000; ++i) hub.service.send(0, token_event(0, 100, std::string(1000, 'x')));
  CHECK(hub.service.wait_for_cancels(1));
  hub.service.send(1, token_event(0, 100, "fine"));
  hub.service.send(1, finished_event(3, 1));
  fast.read_head();
  CHECK(fast.read_events().back().data == "[DONE]");
}

TEST_CASE("a client that does not read its stream is cut at once where it costs too much memory") {
  HttpOptions options = HttpFixture::options();
  options.limits.most_unread_bytes = 256 * 1024;
  HttpFixture hub(options);
  HttpClient slow(hub.port(), /*receive_buffer=*/4096);
  slow.post(kPath, kStream);
  REQUIRE(hub.service.wait_for_requests(1));
  const std::string text(1000, 'x');
  std::size_t sent = 0;
  for (; sent < 3000 && hub.service.num_cancels() == 0; ++sent) {
    hub.service.send(0, token_event(0, 100, text));
    if (sent % 50 == 0) std::this_thread::sleep_for(1ms);
  }
  CHECK(hub.service.wait_for_cancels(1));
  CHECK(sent < 3000);  // the kernel's buffers and ours, not everything
}

TEST_CASE("a client that reads gets a step's answer whole, however much it is at once") {
  HttpOptions options = HttpFixture::options();
  options.limits.unread_bytes = 64 * 1024;
  HttpFixture hub(options);
  constexpr std::uint32_t kTokens = 4000;
  hub.service.set_script([](const InferenceRequest& request) {
    return words_then_end(request, std::vector<std::string>(kTokens, std::string(1000, 'x')));
  });
  HttpClient client(hub.port());
  client.post(kPath, kStream);
  client.read_head();
  const std::vector<SseEvent> events = client.read_events();
  REQUIRE(events.size() >= kTokens);
  CHECK(events.back().data == "[DONE]");
  CHECK(hub.service.num_cancels() == 0);
}

TEST_CASE("a client that stops reading is cut when a write takes too long") {
  HttpOptions options = HttpFixture::options();
  options.limits.write_timeout = 200ms;
  HttpFixture hub(options);
  HttpClient slow(hub.port(), /*receive_buffer=*/4096);
  slow.post(kPath, kStream);
  REQUIRE(hub.service.wait_for_requests(1));
  for (int i = 0; i < 1000; ++i) hub.service.send(0, token_event(0, 100, std::string(1000, 'x')));
  CHECK(hub.service.wait_for_cancels(1));
}

TEST_CASE("256 clients stream at once and none sees another's tokens") {
  HttpFixture hub;
  constexpr std::size_t kClients = 256;
  std::vector<HttpClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.emplace_back(hub.port());
    clients.back().post("/v1/completions", "{\"prompt\":[" + std::to_string(i) + "],\"stream\":true}");
  }
  REQUIRE(hub.service.wait_for_requests(kClients));
  for (std::uint32_t token = 0; token < 8; ++token) {
    for (std::size_t i = 0; i < kClients; ++i) {
      hub.service.send(i, token_event(token, 100, std::to_string(hub.service.request(i).prompt[0]) + " "));
    }
  }
  for (std::size_t i = 0; i < kClients; ++i) hub.service.send(i, finished_event(1, 8));
  for (std::size_t i = 0; i < kClients; ++i) {
    CAPTURE(i);
    CHECK(clients[i].read_head().status == 200);
    std::string text;
    for (const SseEvent& event : clients[i].read_events()) {
      if (event.data != "[DONE]") text += text_at(*read_json(event.data), "choices.0.text");
    }
    std::string expected;
    for (int token = 0; token < 8; ++token) expected += std::to_string(i) + " ";
    CHECK(text == expected);
  }
}

TEST_CASE("health is answered while streams run and a long text is prepared") {
  HttpFixture hub;
  HttpClient busy(hub.port());
  std::string text;
  Random random(5);
  for (int i = 0; i < 400'000; ++i) text += static_cast<char>('a' + random.below(26));
  busy.post("/tokenize", "{\"content\":\"" + text + "\"}");
  CHECK(get_path(hub.port(), "/health").status == 200);
  CHECK(busy.read_reply().status == 200);
}

TEST_CASE("a header or body beyond its limit is refused and the connection closed") {
  HttpOptions options = HttpFixture::options();
  options.limits.body_bytes = 1000;
  HttpFixture hub(options);
  const auto status_of = [&](const std::string& bytes) {
    HttpClient client(hub.port());
    client.send(bytes);
    const HttpReply reply = client.read_reply();
    CHECK(client.closed_by_server());
    CHECK(text_at(reply.json(), "error.type") == "invalid_request_error");
    return reply.status;
  };
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  CHECK(status_of(head + "Content-Length: 1001\r\n\r\n" + std::string(1001, ' ')) == 413);
  CHECK(status_of(head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, ' ')) == 413);
  CHECK(status_of(head + "X: " + std::string(9000, 'x') + "\r\n\r\n") == 431);
  CHECK(status_of("\x16\x03\x01\x02hello\r\n\r\n") == 400);
}

TEST_CASE("all clients' bodies together are bounded, and what one held is free again when it is read") {
  HttpOptions options = HttpFixture::options();
  options.limits.all_bodies_bytes = 10'000;
  HttpFixture hub(options);
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const std::string body = R"({"content":")" + std::string(5'900, 'x') + R"("})";
  std::vector<HttpClient> held;
  for (int i = 0; i < 2; ++i) {
    held.emplace_back(hub.port());
    held.back().send(head + "Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n");
    CHECK(held.back().read_reply(/*has_body=*/false).status == 100);
    held.back().send(std::string(4'000, ' '));
  }
  HttpReply refused;
  CHECK(eventually([&] {
    refused = post_json(hub.port(), "/tokenize", body);
    return refused.status == 503;
  }));
  CHECK(refused.headers.contains("retry-after"));
  CHECK(text_at(refused.json(), "error.code") == "too_many_requests");
  CHECK(get_path(hub.port(), "/health").status == 200);
  CHECK(post_json(hub.port(), "/tokenize", R"({"content":"hi"})").status == 200);
  held.clear();
  for (int i = 0; i < 20; ++i)  // each gives its place back
    CHECK(eventually([&] { return post_json(hub.port(), "/tokenize", body).status == 200; }));
}

TEST_CASE("slow headers, slow bodies and idle connections are closed in time") {
  HttpOptions options = HttpFixture::options();
  options.limits.header_timeout = 150ms;
  options.limits.body_timeout = 150ms;
  options.limits.idle_timeout = 150ms;
  HttpFixture hub(options);
  HttpClient silent(hub.port());
  HttpClient slow_head(hub.port());
  HttpClient slow_body(hub.port());
  HttpClient idle(hub.port());
  slow_body.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
      "15\r\n\r\n{");
  idle.get("/version");
  CHECK(idle.read_reply().status == 200);
  const auto begun = std::chrono::steady_clock::now();
  slow_head.send("GET / HTTP/1.1\r\n");
  while (slow_head.send("X: y\r\n") && std::chrono::steady_clock::now() - begun < 3s &&
         hub.server->num_connections() > 0) {
    std::this_thread::sleep_for(20ms);
  }
  CHECK(std::chrono::steady_clock::now() - begun < 3s);
  CHECK(slow_body.read_reply().status == 408);
  CHECK(slow_body.closed_by_server(2s));
  CHECK(idle.closed_by_server(2s));
  CHECK(silent.closed_by_server(2s));
}

TEST_CASE("connections leave half of the file descriptors to the rest of the hub") {
  CHECK(connections_within(1) == 1);
  CHECK(connections_within(1024) == 512);
  CHECK(connections_within(1 << 20) == 1024);
}

TEST_CASE("connections beyond the cap are told so") {
  HttpOptions options = HttpFixture::options();
  options.limits.max_connections = 2;
  HttpFixture hub(options);
  HttpClient first(hub.port());
  HttpClient second(hub.port());
  REQUIRE(eventually([&] { return hub.server->num_connections() == 2; }));
  HttpClient third(hub.port());
  const HttpReply reply = third.read_reply();
  CHECK(reply.status == 503);
  CHECK(reply.headers.contains("retry-after"));
  CHECK(text_at(reply.json(), "error.code") == "too_many_connections");
  first.close();
  third.close();
  REQUIRE(eventually([&] { return hub.server->num_connections() == 1; }));
  CHECK(get_path(hub.port(), "/version").status == 200);
  second.get("/version");
  CHECK(second.read_reply().status == 200);
}

TEST_CASE("stopping ends running answers with an error the client can read") {
  HttpFixture hub;
  HttpClient streaming(hub.port());
  streaming.post(kPath, kStream);
  REQUIRE(hub.service.wait_for_requests(1));
  hub.service.send(0, token_event(0, 100, "a"));
  streaming.read_head();
  HttpClient waiting(hub.port());
  waiting.post(kPath, kWhole);
  REQUIRE(hub.service.wait_for_requests(2));
  HttpClient idle(hub.port());
  idle.get("/version");
  idle.read_reply();

  std::thread stopper([&] { hub.server->stop(); });
  const std::vector<SseEvent> events = streaming.read_events();
  CHECK(text_at(*read_json(events.back().data), "error.code") == "shutting_down");
  CHECK(waiting.read_reply().status == 503);
  CHECK(idle.closed_by_server());
  streaming.close();
  waiting.close();
  stopper.join();
  CHECK(hub.service.wait_for_cancels(2));
  hub.server.reset();
  hub.service.send(0, token_event(1, 101, "into the void"));  // a sink may outlive the server
  hub.service.send(1, finished_event(1, 1));
}

TEST_CASE("garbage and broken requests never stop the server") {
  HttpFixture hub;
  hub.service.set_script([](const InferenceRequest& request) { return words_then_end(request, {"ok"}); });
  Random random(6);
  const std::string body = kWhole;
  const std::string good =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  for (int round = 0; round < 400; ++round) {
    std::string bytes;
    if (random.below(4) == 0) {
      for (std::uint64_t n = random.below(400); n > 0; --n) bytes += static_cast<char>(random.next());
    } else {
      bytes = good;
      for (std::uint64_t n = random.below(4); n > 0; --n)
        bytes[random.below(bytes.size())] = static_cast<char>(random.next());
      bytes.resize(random.below(bytes.size() + 1));
    }
    HttpClient client(hub.port());
    client.send(bytes);
    if (random.below(2) == 0) client.end_sending();
    if (random.below(3) == 0) client.closed_by_server(1ms);
  }
  CHECK(get_path(hub.port(), "/health").status == 200);
  CHECK(post_json(hub.port(), kPath, kWhole).status == 200);
  CHECK(eventually([&] { return hub.server->num_connections() == 0; }));
}
