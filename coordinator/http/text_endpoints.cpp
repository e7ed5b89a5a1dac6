#include "base/utf8.h"
#include "coordinator/http/api.h"
#include "coordinator/http/field_reader.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

struct TokenizeRequest {
  std::string content;
  bool add_special = false;    // the beginning-of-text token, where the model has one
  bool parse_special = false;  // control tokens written in the text become their ids
  bool with_pieces = false;
};

void write_bytes(JsonWriter& out, std::string_view bytes) {
  out.begin_array();
  for (const char c : bytes) out.value(static_cast<int>(static_cast<unsigned char>(c)));
  out.end_array();
}

// Exact: a piece that is not whole characters is a list of its bytes.
void write_piece(JsonWriter& out, TokenId id, std::string_view piece) {
  out.begin_object().member("id", id).key("piece");
  if (is_utf8(piece)) {
    out.value(piece);
  } else {
    write_bytes(out, piece);
  }
  out.end_object();
}

}  // namespace

Parsed<HttpResponse> Api::tokenize(const JsonValue& body) const {
  FieldReader in(body);
  TokenizeRequest request;
  const char* source = in.find("content") != nullptr ? "content" : "prompt";
  if (in.ok() && in.find(source) == nullptr)
    in.refuse("content", "'content' is missing: the text to tokenize.", "missing_required_parameter");
  in.read(source, request.content);
  in.read("add_special", request.add_special);
  in.read("parse_special", request.parse_special);
  in.read("with_pieces", request.with_pieces);
  if (!in.ok()) return in.error();

  Result<std::vector<TokenId>> ids = tokenizer_.encode(request.content, request.parse_special);
  if (!ids) return to_api_error(ids.error().code(), ids.error().message(), {});
  if (request.add_special && tokenizer_.adds_bos()) ids->insert(ids->begin(), tokenizer_.bos());
  JsonWriter out;
  out.begin_object().key("tokens").begin_array();
  for (const TokenId id : *ids) {
    request.with_pieces ? write_piece(out, id, tokenizer_.piece(id, /*render_special=*/true))
                        : void(out.value(id));
  }
  out.end_array().member("count", ids->size()).end_object();
  return json_response(out.take());
}

Parsed<HttpResponse> Api::detokenize(const JsonValue& body) const {
  FieldReader in(body);
  bool render_special = true;  // so that nothing of the list is lost
  in.read("render_special", render_special);
  const JsonValue* tokens = in.find("tokens");
  if (in.ok() && tokens == nullptr)
    in.refuse("tokens", "'tokens' is missing: the list of token ids.", "missing_required_parameter");
  if (!in.ok()) return in.error();
  const Parsed<std::vector<TokenId>> ids = parse_token_ids(*tokens, "tokens", tokenizer_.vocab_size());
  if (const ApiError* error = std::get_if<ApiError>(&ids)) return *error;

  const std::string text = tokenizer_.decode(std::get<0>(ids), render_special);
  JsonWriter out;
  out.begin_object().member("content", text);
  if (!is_utf8(text)) write_bytes(out.key("bytes"), text);  // "content" cannot hold them exactly
  out.end_object();
  return json_response(out.take());
}

}  // namespace shoal
