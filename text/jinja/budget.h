#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::jinja {

// A template comes out of a model file, so it is a stranger's program: these bounds hold whatever it does.
inline constexpr std::size_t kMaxTemplateBytes = 1 << 20;
inline constexpr std::size_t kMaxOutputBytes = 16 << 20;  // also of any one string a template builds
inline constexpr std::size_t kMaxItems = 1 << 20;         // of any one list, tuple or dict
inline constexpr std::int64_t kMaxRange = 100'000;
inline constexpr std::uint64_t kMaxSteps = 1'000'000;
inline constexpr std::uint64_t kMaxTouchedBytes = 512u
                                                  << 20;  // strings and lists read or built, in one render
inline constexpr int kMaxNesting = 100;  // of blocks and expressions in the source, and of lists in lists
inline constexpr int kMaxCalls = 100;    // macros and recursive loops that call each other
inline constexpr int kMaxEvaluations = 1'500;  // expressions and statements being evaluated at once

// What goes wrong in a template travels inside text/jinja as this exception, because it may come up from any
// depth of an expression. It never leaves Template::parse and Template::render, which return it as a Result.
struct TemplateError {
  std::string message;
  int line = 0;  // 0: not known where it was thrown; filled in on the way up
};

[[noreturn]] void throw_error(std::string message, int line = 0);

// What one render has used up. Each method throws TemplateError when a bound is passed.
class Budget {
 public:
  // One unit of work: a node evaluated, an item visited.
  void step(std::uint64_t count = 1);
  // `bytes` of a string or list about to be read or built.
  void touch(std::size_t bytes);
  // Appends to a string that may not pass kMaxOutputBytes.
  void append(std::string& out, std::string_view text);

  std::uint64_t steps() const { return steps_; }

  // Counts one evaluation that is under way, for as long as it lives.
  class Evaluation {
   public:
    explicit Evaluation(Budget& budget);
    ~Evaluation() { --budget_.evaluations_; }
    Evaluation(const Evaluation&) = delete;
    Evaluation& operator=(const Evaluation&) = delete;

   private:
    Budget& budget_;
  };

  // Counts one macro or recursive loop that is under way.
  class Call {
   public:
    explicit Call(Budget& budget);
    ~Call() { --budget_.calls_; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Budget& budget_;
  };

 private:
  std::uint64_t steps_ = 0;
  std::uint64_t touched_bytes_ = 0;
  int evaluations_ = 0;
  int calls_ = 0;
};

}  // namespace shoal::jinja
