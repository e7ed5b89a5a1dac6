#include "text/jinja/budget.h"

#include <utility>

namespace shoal::jinja {

void throw_error(std::string message, int line) { throw TemplateError{std::move(message), line}; }

void Budget::step(std::uint64_t count) {
  steps_ += count;
  if (steps_ > kMaxSteps) throw_error("the template takes more than " + std::to_string(kMaxSteps) + " steps");
}

void Budget::touch(std::size_t bytes) {
  touched_bytes_ += bytes;
  if (touched_bytes_ > kMaxTouchedBytes) {
    throw_error("the template handles more than " + std::to_string(kMaxTouchedBytes >> 20) + " MB of text");
  }
}

void Budget::append(std::string& out, std::string_view text) {
  if (text.size() > kMaxOutputBytes - out.size()) {
    throw_error("the template makes a text of more than " + std::to_string(kMaxOutputBytes >> 20) + " MB");
  }
  touch(text.size());
  out += text;
}

Budget::Evaluation::Evaluation(Budget& budget) : budget_(budget) {
  if (budget_.evaluations_ >= kMaxEvaluations) throw_error("the template nests too deeply while it runs");
  ++budget_.evaluations_;
}

Budget::Call::Call(Budget& budget) : budget_(budget) {
  if (budget_.calls_ >= kMaxCalls) {
    throw_error("more than " + std::to_string(kMaxCalls) + " macros or recursive loops call each other");
  }
  ++budget_.calls_;
}

}  // namespace shoal::jinja
