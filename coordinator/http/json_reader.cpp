// The home of nlohmann/json in the coordinator: its SAX parser feeds our own bounded tree.
#include <limits>
#include <nlohmann/json.hpp>

#include "coordinator/http/json_value.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

using Parser = nlohmann::json;

// Builds the tree bottom-up: a stack of open containers, each with the key that waits for its value.
class TreeBuilder final : public Parser::json_sax_t {
 public:
  bool null() override { return add(JsonValue()); }
  bool boolean(bool value) override { return add(JsonValue(std::in_place_type<bool>, value)); }
  bool number_integer(std::int64_t value) override {
    return add(JsonValue(std::in_place_type<std::int64_t>, value));
  }
  bool number_unsigned(std::uint64_t value) override {
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (value > kMax) return add(JsonValue(std::in_place_type<double>, static_cast<double>(value)));
    return number_integer(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string&) override {
    return add(JsonValue(std::in_place_type<double>, value));
  }
  bool string(std::string& value) override {
    return add(JsonValue(std::in_place_type<std::string>, std::move(value)));
  }
  bool binary(Parser::binary_t&) override { return refuse("binary values are not JSON"); }

  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    open_.back().object.push_back({std::move(name), JsonValue()});
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    return refuse(readable(error.what()));
  }

  JsonValue take_root() { return std::move(root_); }
  const std::string& problem() const { return problem_; }

 private:
  struct Container {
    bool is_object = false;
    JsonValue::Array array;
    JsonValue::Object object;
  };

  // "[json.exception.parse_error.101] parse error at line 1..." without the library's own name in front.
  static std::string readable(std::string_view what) {
    const std::size_t end = what.find("] ");
    return std::string(end == std::string_view::npos ? what : what.substr(end + 2));
  }

  bool refuse(std::string why) {
    problem_ = std::move(why);
    return false;
  }

  bool open(bool is_object) {
    if (open_.size() == kMaxJsonDepth)
      return refuse("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    open_.push_back({is_object, {}, {}});
    return true;
  }

  bool close() {
    Container done = std::move(open_.back());
    open_.pop_back();
    if (done.is_object) return add(JsonValue(std::in_place_type<JsonValue::Object>, std::move(done.object)));
    return add(JsonValue(std::in_place_type<JsonValue::Array>, std::move(done.array)));
  }

  bool add(JsonValue value) {
    if (++num_values_ > kMaxJsonValues)
      return refuse("more than " + std::to_string(kMaxJsonValues) + " values");
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().object.back().value = std::move(value);
    } else {
      open_.back().array.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Container> open_;
  JsonValue root_;
  std::size_t num_values_ = 0;
  std::string problem_;
};

}  // namespace

Result<JsonValue> read_json(std::string_view text) {
  TreeBuilder builder;
  if (!Parser::sax_parse(text.begin(), text.end(), &builder)) {
    return fail(ErrorCode::InvalidArgument, "The body is not usable JSON: " + builder.problem());
  }
  return builder.take_root();
}

void append_json(std::string& out, const JsonValue& value) {
  if (value.is_null()) {
    out += "null";
  } else if (const bool* truth = value.boolean()) {
    out += *truth ? "true" : "false";
  } else if (const std::int64_t* whole = value.integer()) {
    out += std::to_string(*whole);
  } else if (value.is_number()) {
    append_json_number(out, value.number());
  } else if (const std::string* text = value.string()) {
    append_json_string(out, *text);
  } else if (const JsonValue::Array* items = value.array()) {
    out += '[';
    for (const JsonValue& item : *items) {
      if (&item != items->data()) out += ',';
      append_json(out, item);
    }
    out += ']';
  } else {
    out += '{';
    for (const JsonMember& member : *value.object()) {
      if (&member != value.object()->data()) out += ',';
      append_json_string(out, member.key);
      out += ':';
      append_json(out, member.value);
    }
    out += '}';
  }
}

double JsonValue::number() const {
  if (const std::int64_t* whole = integer()) return static_cast<double>(*whole);
  return std::get<double>(value_);
}

const char* JsonValue::type_name() const {
  constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                    "a string", "an array",  "an object"};
  return kNames[value_.index()];
}

const JsonValue* JsonValue::find(std::string_view key) const {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  for (auto it = members->rbegin(); it != members->rend(); ++it) {
    if (it->key == key) return &it->value;
  }
  return nullptr;
}

}  // namespace shoal
