#pragma once

#include <cstdint>

// The numbers of our elementary functions: data only, so that every instruction set may include them.
// Polynomials are minimax fits in the relative error of the whole function (exp: 3.1e-9, log: 7.5e-10).
namespace shoal {

// exp(x) = 2^n * e^r, n = rne(x * log2(e)), r = x - n*ln2 in [-ln2/2, ln2/2];
// e^r = 1 + r*(1 + r*(c0 + r*(c1 + r*(c2 + r*(c3 + r*c4))))).
inline constexpr float kExpLowest = -0x1.5d589ep+6f;  // below it the result would leave the normal range: 0
inline constexpr float kExpHighest = 0x1.62e42ep+6f;  // above it: infinity
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kRoundingMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to nearest even
inline constexpr float kExpLn2High = 0x1.62e430p-1f;
inline constexpr float kExpLn2Low = -0x1.05c610p-29f;
inline constexpr float kExp0 = 0x1.000000p-1f;
inline constexpr float kExp1 = 0x1.55548ep-3f;
inline constexpr float kExp2 = 0x1.55545ep-5f;
inline constexpr float kExp3 = 0x1.123b56p-7f;
inline constexpr float kExp4 = 0x1.6db426p-10f;

// log(x) = e*ln2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = f - f^2/2 + f^3*(c0 + f*(c1 + ...
// f*c8)).
inline constexpr std::int32_t kSqrtHalfBits = 0x3f3504f3;
inline constexpr float kLogLn2High = 0x1.63p-1f;  // 9 bits: e*high is exact
inline constexpr float kLogLn2Low = -0x1.bd0106p-13f;
inline constexpr float kLog0 = 0x1.555548p-2f;
inline constexpr float kLog1 = -0x1.000006p-2f;
inline constexpr float kLog2 = 0x1.99a4b6p-3f;
inline constexpr float kLog3 = -0x1.555c4ep-3f;
inline constexpr float kLog4 = 0x1.233766p-3f;
inline constexpr float kLog5 = -0x1.fc220ep-4f;
inline constexpr float kLog6 = 0x1.e6f08cp-4f;
inline constexpr float kLog7 = -0x1.de3bf8p-4f;
inline constexpr float kLog8 = 0x1.14573ep-4f;

// GELU's inner polynomial.
inline constexpr float kGeluC0 = 0x1.988454p-1f;  // sqrt(2/pi), rounded to f32
inline constexpr float kGeluC1 = 0.044715f;

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
inline constexpr std::uint32_t kPhiloxMultiplier0 = 0xD2511F53;
inline constexpr std::uint32_t kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr std::uint32_t kPhiloxWeyl0 = 0x9E3779B9;
inline constexpr std::uint32_t kPhiloxWeyl1 = 0xBB67AE85;
inline constexpr int kPhiloxRounds = 10;

// Activations (docs/ARITHMETIC.md).
inline constexpr float kQuantisedMax = 127.0f;
inline constexpr float kSmallestScaled = 0x1p-120f;

}  // namespace shoal
