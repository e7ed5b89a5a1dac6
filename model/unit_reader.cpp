#include "model/unit_reader.h"

#include <algorithm>
#include <string>

namespace shoal {

const TensorSpec* UnitReader::find(TensorRole role) const {
  const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                 [&](const TensorSpec& s) { return s.unit == unit_ && s.role == role; });
  return spec == specs_.end() ? nullptr : &*spec;
}

// nullptr, and the status says why, unless the tensor is listed with the shape the model's config gives it.
const TensorSpec* UnitReader::expect(TensorRole role, std::uint64_t rows, std::uint64_t cols) {
  if (!status_) return nullptr;
  const TensorSpec* spec = find(role);
  if (spec && spec->rows == rows && spec->cols == cols) return spec;
  status_ = fail(ErrorCode::Corrupt, "unit " + std::to_string(unit_) + " has no tensor of role " +
                                         std::to_string(static_cast<int>(role)) + " with " +
                                         std::to_string(rows) + " x " + std::to_string(cols) + " values");
  return nullptr;
}

PanelMatrix UnitReader::matrix(TensorRole role, std::uint64_t rows, std::uint64_t cols) {
  const TensorSpec* spec = expect(role, rows, cols);
  if (!spec) return {};
  Result<PanelMatrix> matrix = source_.matrix(*spec);
  if (!matrix) {
    status_ = fail(matrix.error().during("reading " + spec->file_name));
    return {};
  }
  SHOAL_CHECK(matrix->rows == rows && matrix->cols == cols);
  return *matrix;
}

std::span<const float> UnitReader::vector(TensorRole role, std::uint64_t size) {
  const TensorSpec* spec = expect(role, 1, size);
  if (!spec) return {};
  Result<std::span<const float>> values = source_.vector(*spec);
  if (!values) {
    status_ = fail(values.error().during("reading " + spec->file_name));
    return {};
  }
  SHOAL_CHECK(values->size() == size);
  return *values;
}

}  // namespace shoal
