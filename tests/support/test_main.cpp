#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "tests/support/model_files.h"

int main(int argc, char** argv) {
  const int failed = doctest::Context(argc, argv).run();
  if (failed != 0 || !shoal::a_model_was_missing) return failed;
  return shoal::kSkipped;  // CTest's SKIP_RETURN_CODE: not everything was tested
}
