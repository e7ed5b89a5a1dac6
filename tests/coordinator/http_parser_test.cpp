#include <doctest/doctest.h>

#include "coordinator/http/request_parser.h"
#include "tests/support/random.h"

using namespace shoal;

namespace {

using State = RequestParser::State;

State feed_all(RequestParser& parser, std::string bytes) { return parser.feed(bytes); }

int refusal_of(const std::string& bytes, const HttpLimits& limits = {}) {
  RequestParser parser(limits);
  return feed_all(parser, bytes) == State::Refused ? parser.error().status : 0;
}

}  // namespace

TEST_CASE("a request is read whole, with its headers and body") {
  RequestParser parser{HttpLimits{}};
  std::string bytes =
      "POST /x?y HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Type: "
      "application/json\r\nContent-Length: 3\r\n\r\nabcGET ";
  CHECK(parser.feed(bytes) == State::Complete);
  CHECK(bytes == "GET ");
  CHECK(parser.keep_alive());
  const HttpRequest request = parser.take();
  CHECK(request.method == "POST");
  CHECK(request.target == "/x?y");
  CHECK(request.host == "a");
  CHECK(request.authorization == "Bearer k");
  CHECK(request.content_type == "application/json");
  CHECK(request.body == "abc");
  CHECK(parser.state() == State::Head);
}

TEST_CASE("a request that comes byte by byte is the same request") {
  RequestParser parser{HttpLimits{}};
  const std::string bytes =
      "\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
  std::string input;
  for (const char c : bytes) {
    CHECK(parser.state() != State::Complete);
    input += c;
    parser.feed(input);
  }
  REQUIRE(parser.state() == State::Complete);
  CHECK(parser.take().body == "abcde");
}

TEST_CASE("HTTP/1.0 and Connection decide whether the connection is kept") {
  for (const auto& [bytes, kept] : {std::pair{"GET / HTTP/1.1\r\n\r\n", true},
                                    {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
                                    {"GET / HTTP/1.0\r\n\r\n", false},
                                    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true}}) {
    RequestParser parser{HttpLimits{}};
    CHECK(feed_all(parser, bytes) == State::Complete);
    CHECK(parser.keep_alive() == kept);
  }
}

TEST_CASE("requests that two readers could understand differently are refused") {
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd") == 400);
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: -2\r\n\r\nabcd") == 400);
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabcd") == 400);
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") ==
        400);
  CHECK(refusal_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n") == 400);
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n") == 400);
  CHECK(refusal_of("GET /a b HTTP/1.1\r\n\r\n") == 400);
  CHECK(refusal_of("GET / HTTP/2.0\r\n\r\n") == 400);
  CHECK(refusal_of("\x16\x03\x01\x02") == 400);  // a TLS hello
}

TEST_CASE("headers and bodies beyond their limits are refused before they are kept") {
  const std::string begin = "GET / HTTP/1.1\r\nX: ";
  CHECK(refusal_of(begin + std::string(7000, 'x') + "\r\n\r\n") == 0);
  CHECK(refusal_of(begin + std::string(9000, 'x') + "\r\n\r\n") == 431);
  CHECK(refusal_of(begin + std::string(9000, 'x')) == 431);
  std::string fields;
  for (int i = 0; i < 65; ++i) fields += "A" + std::to_string(i) + ": b\r\n";
  CHECK(refusal_of("GET / HTTP/1.1\r\n" + fields + "\r\n") == 431);

  HttpLimits small;
  small.body_bytes = 10;
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789", small) == 0);
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", small) == 413);
  CHECK(refusal_of("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", small) == 400);
  CHECK(refusal_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n",
                   small) == 413);
  CHECK(refusal_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", small) != 0);
}

TEST_CASE("no bytes make the parser crash, hang or keep more than its limits") {
  const std::string good =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: "
      "100-continue\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
  Random random(3);
  for (int round = 0; round < 30000; ++round) {
    std::string bytes = good;
    for (std::uint64_t n = random.below(6) + 1; n > 0; --n) {
      const std::size_t where = random.below(bytes.size());
      switch (random.below(3)) {
        case 0:
          bytes[where] = static_cast<char>(random.next());
          break;
        case 1:
          bytes.erase(where, random.below(8));
          break;
        default:
          bytes.insert(where, bytes.substr(random.below(bytes.size()), random.below(16)));
          break;
      }
      if (bytes.empty()) bytes = "G";
    }
    RequestParser parser{HttpLimits{}};
    std::string input;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(bytes.size() - at, random.below(40) + 1);
      input += bytes.substr(at, size);
      at += size;
      if (parser.feed(input) == State::Complete) CHECK(parser.take().body.size() <= bytes.size());
    }
    CHECK(input.size() <= bytes.size());
  }
}
