#include "cli/progress_bar.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

// What a bar wrote to its file.
class Written {
 public:
  Written() : path_(scratch_.file("out")), file_(std::fopen(path_.c_str(), "w")) {}
  ~Written() { std::fclose(file_); }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  std::FILE* file() const { return file_; }
  std::string text() const { return content_of(path_); }

 private:
  ScratchFolder scratch_;
  std::string path_;
  std::FILE* file_;
};

TEST_CASE("a bar shows title, part and detail and never more than its width") {
  CHECK(render_bar("loading", 0.5, "3 of 6 MB", 80) ==
        "loading  [############............]  50 %  3 of 6 MB");
  CHECK(render_bar("loading", 0, "", 80) == "loading  [........................]   0 %");
  CHECK(render_bar("loading", 7, "", 80) == "loading  [########################] 100 %");
  CHECK(render_bar("waiting", -1, "2 of 3 devices", 80) == "waiting  2 of 3 devices");
  for (std::size_t width : {0, 1, 9, 33, 34}) {
    CAPTURE(width);
    CHECK(render_bar("loading", 0.3, "detail", width).size() <= width);
  }
}

TEST_CASE("bytes are told in the unit a person would choose") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(812) == "812 B");
  CHECK(human_bytes(1200) == "1.2 kB");
  CHECK(human_bytes(98362432) == "98 MB");
  CHECK(human_bytes(999.6e6) == "1.0 GB");
  CHECK(human_bytes(2.5e15) == "2500 TB");
}

TEST_CASE("on a terminal the line is redrawn at most ten times a second and cleared at the end") {
  const Written out;
  const Time start{};
  {
    ProgressBar bar("pulling", {.file = out.file(), .is_terminal = true, .width = 79}, start);
    for (int i = 0; i < 1000; ++i) bar.update(i / 1000.0, "", start + milliseconds(i));
    bar.print_line("news");
  }
  const std::string text = out.text();
  const auto num_draws =
      std::count(text.begin(), text.end(), '[') - std::count(text.begin(), text.end(), '\x1b');
  CHECK(num_draws == 10);
  CHECK(text.ends_with("\r\x1b[Knews\n"));
}

TEST_CASE(
    "without a terminal there are plain lines: none within a second, then at each tenth, two seconds apart") {
  const Written out;
  const Time start{};
  ProgressBar bar("pulling", {.file = out.file()}, start);
  for (int i = 0; i <= 100; ++i)
    bar.update(i / 100.0, std::to_string(i) + " MB", start + milliseconds(100 * i));
  CHECK(out.text() ==
        "pulling: 10 %, 10 MB\n"
        "pulling: 30 %, 30 MB\n"
        "pulling: 50 %, 50 MB\n"
        "pulling: 70 %, 70 MB\n"
        "pulling: 90 %, 90 MB\n");
}

TEST_CASE("without a terminal something quick says nothing and an unknown end shows each new detail") {
  const Written out;
  const Time start{};
  ProgressBar quick("quick", {.file = out.file()}, start);
  quick.update(0.9, "", start + milliseconds(900));
  CHECK(out.text().empty());
  ProgressBar bar("starting", {.file = out.file()}, start);
  bar.update(-1, "measuring", start + milliseconds(1100));
  bar.update(-1, "measuring", start + milliseconds(5000));
  bar.update(-1, "loading", start + milliseconds(5100));
  CHECK(out.text() == "starting: measuring\nstarting: loading\n");
}

}  // namespace
}  // namespace shoal
