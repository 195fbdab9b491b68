// The search with eight messages in an AVX2 vector.
#include "sha256.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef uint32_t vector8 __attribute__((vector_size(32)));

#define NAME sha256_search_avx2
#define LANES 8u
#define TARGET __attribute__((target("avx2")))
#define VECTOR vector8
// AVX2 compares signed words only: min(v, t) == v says v <= t for unsigned ones.
#define MASK(v, t)                                                                                 \
  (uint32_t)_mm256_movemask_ps((__m256)_mm256_cmpeq_epi32(                                         \
      _mm256_min_epu32((__m256i)(v), _mm256_set1_epi32((int)(t))), (__m256i)(v)))
#include "hash_vector.h"
#endif
