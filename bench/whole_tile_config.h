#pragma once

// gcc 12's _tile_loadconfig tells the compiler that it reads 8 bytes of its 64: what else was stored there is
// dropped, and llama.cpp ends with a fault at its first AMX product. Read before its sources, this gives it
// all 64.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13 && defined(__AMX_TILE__)
#include <immintrin.h>

static inline void load_whole_tile_config(const void* config) {
  struct Bytes {
    char all[64];
  };
  asm volatile("ldtilecfg %0" : : "m"(*static_cast<const Bytes*>(config)));
}
#define _tile_loadconfig load_whole_tile_config
#endif
