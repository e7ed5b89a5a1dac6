#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json_text.h"

namespace shoal {

// The shortest digits that read back as the same bits. Not finite: clamped to what a client can parse (-9999
// for a logprob of -inf).
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, float value);

// Writes one JSON document front to back and places the commas. The caller pairs begin and end.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    separate();
    append_json_string(out_, name);
    out_ += ':';
    fresh_ = true;
    return *this;
  }

  JsonWriter& value(std::string_view text) {
    separate();
    append_json_string(out_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  template <std::same_as<bool> B>
  JsonWriter& value(B truth) {
    return raw(truth ? "true" : "false");
  }
  template <std::integral I>
  requires(!std::same_as<I, bool>) JsonWriter& value(I whole) { return raw(std::to_string(whole)); }
  template <std::floating_point F>
  JsonWriter& value(F number) {
    separate();
    append_json_number(out_, number);
    return *this;
  }
  JsonWriter& null() { return raw("null"); }
  // A finished JSON value, as it is.
  JsonWriter& raw(std::string_view json) {
    separate();
    out_ += json;
    return *this;
  }

  template <typename T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  JsonWriter& null_member(std::string_view name) { return key(name).null(); }
  JsonWriter& raw_member(std::string_view name, std::string_view json) { return key(name).raw(json); }

  std::string take() { return std::move(out_); }

 private:
  void separate() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    fresh_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    fresh_ = false;
    return *this;
  }

  std::string out_;
  bool fresh_ = true;  // nothing before the next value at its level
};

}  // namespace shoal
