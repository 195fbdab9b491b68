// The search with sixteen messages in an AVX-512 vector, which can rotate and has three-way logic.
#include "sha256.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef uint32_t vector16 __attribute__((vector_size(64)));

#define NAME sha256_search_avx512
#define LANES 16u
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define VECTOR vector16
#define MASK(v, t) (uint32_t)_mm512_cmple_epu32_mask((__m512i)(v), _mm512_set1_epi32((int)(t)))
#include "hash_vector.h"
#endif
