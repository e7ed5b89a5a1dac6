#pragma once

namespace shoal {

// The definitions (scalar). Accuracy and edge cases: docs/ARITHMETIC.md, "Elementary functions".
float exp_f32(float x);
float log_f32(float x);  // x > 0
float tanh_f32(float x);
float fma_f32(float a, float b, float c);  // one rounding, on every machine

// For tables only: portable f64, no libm, the same bits everywhere. |x| < 2^30 for sin and cos.
double sin_f64(double x);
double cos_f64(double x);
double pow_f64(double base, double exponent);  // base > 0

}  // namespace shoal
