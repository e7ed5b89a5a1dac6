#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/json_text.h"
#include "text/jinja/print.h"

namespace shoal::jinja {
namespace {

std::string json_number(const Value& value) {
  if (value.is_int()) return std::to_string(value.integer());
  const double number = value.number();
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return float_repr(number);
}

// null, a number or a flag; also what json.dumps makes of such a key.
std::string json_plain(const Value& value) {
  if (value.is_none()) return "null";
  if (value.is_bool()) return value.flag() ? "true" : "false";
  if (value.is_number()) return json_number(value);
  throw_error("Object of type " + type_name(value) + " is not JSON serializable");
}

// One dump under way: where it goes and how deep it is.
class JsonWriter {
 public:
  JsonWriter(std::string& out, const JsonStyle& style, Budget& budget)
      : out_(out), style_(style), budget_(budget) {}

  void write(const Value& value) {
    budget_.step();
    if (value.is_string()) {
      write_string(value.string());
    } else if (value.is_list() || value.is_tuple()) {
      write_list(value.sequence().items);
    } else if (value.is_dict()) {
      write_dict(value.dict());
    } else {
      budget_.append(out_, json_plain(value));
    }
  }

 private:
  void write_string(const std::string& text) {
    budget_.touch(text.size());
    std::string quoted;
    append_json_string(quoted, text, style_.ensure_ascii ? JsonEscapes::NonAscii : JsonEscapes::Required);
    budget_.append(out_, quoted);
  }

  void write_list(const List& items) {
    if (items.empty()) return budget_.append(out_, "[]");
    budget_.append(out_, "[");
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      begin_item(i == 0);
      write(items[i]);
    }
    end("]");
  }

  void write_dict(const Dict& dict) {
    if (dict.size() == 0) return budget_.append(out_, "{}");
    budget_.append(out_, "{");
    ++level_;
    bool is_first = true;
    for (const auto& [key, value] : sorted(dict)) {
      begin_item(is_first);
      is_first = false;
      write_string(key.is_string() ? key.string() : json_plain(key));
      budget_.append(out_, style_.key_separator);
      write(value);
    }
    end("}");
  }

  std::vector<Dict::Entry> sorted(const Dict& dict) {
    std::vector<Dict::Entry> entries = dict.entries();
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto& a, const auto& b) { return is_less(a.first, b.first, budget_); });
    }
    return entries;
  }

  void begin_item(bool is_first) {
    if (!is_first) budget_.append(out_, style_.item_separator);
    new_line();
  }

  void end(const char* bracket) {
    --level_;
    new_line();
    budget_.append(out_, bracket);
  }

  void new_line() {
    if (!style_.indent) return;
    budget_.append(out_, "\n");
    for (int i = 0; i < level_; ++i) budget_.append(out_, *style_.indent);
  }

  std::string& out_;
  const JsonStyle& style_;
  Budget& budget_;
  int level_ = 0;
};

}  // namespace

void append_json(std::string& out, const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter(out, style, budget).write(value);
}

}  // namespace shoal::jinja
