#include "text/jinja/json_value.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace shoal::jinja {
namespace {

constexpr std::size_t kMaxJsonNesting = kMaxNesting - 10;

// Takes nlohmann's events and builds values bottom up, with a stack of its own.
class Builder final : public nlohmann::json::json_sax_t {
 public:
  bool null() override { return add(Value::none()); }
  bool boolean(bool flag) override { return add(Value(flag)); }
  bool number_integer(std::int64_t number) override { return add(Value(number)); }
  bool number_unsigned(std::uint64_t number) override {
    const bool fits = number <= static_cast<std::uint64_t>(INT64_MAX);
    return add(fits ? Value(static_cast<std::int64_t>(number)) : Value(static_cast<double>(number)));
  }
  bool number_float(double number, const std::string&) override { return add(Value(number)); }
  bool string(std::string& text) override { return add(Value(std::move(text))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(/*is_object=*/true); }
  bool start_array(std::size_t) override { return open(/*is_object=*/false); }
  bool key(std::string& name) override {
    open_.back().key = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    message_ = error.what();
    return false;
  }

  const std::string& message() const { return message_; }
  Value take() { return std::move(result_); }

 private:
  struct Open {
    bool is_object;
    List items;
    Dict members;
    std::string key;
  };

  bool open(bool is_object) {
    if (open_.size() >= kMaxJsonNesting) {
      message_ = "it nests more than " + std::to_string(kMaxJsonNesting) + " deep";
      return false;
    }
    open_.push_back(Open{is_object, {}, {}, {}});
    return true;
  }

  bool add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().members.set(Value(open_.back().key), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  bool close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    return add(done.is_object ? Value(std::move(done.members)) : Value::list(std::move(done.items)));
  }

  std::vector<Open> open_;
  Value result_;
  std::string message_;
};

}  // namespace

Result<Value> value_from_json(std::string_view text) {
  Builder builder;
  try {
    if (nlohmann::json::sax_parse(text, &builder)) return builder.take();
    return fail(ErrorCode::InvalidArgument, "not readable as JSON: " + builder.message());
  } catch (const TemplateError& error) {
    return fail(ErrorCode::InvalidArgument, "JSON too large for a template: " + error.message);
  } catch (const nlohmann::json::exception& error) {  // out_of_range: a number too large for a double
    return fail(ErrorCode::InvalidArgument, std::string("not readable as JSON: ") + error.what());
  }
}

}  // namespace shoal::jinja
