// Three SHA-256 blocks interleaved with the x86 SHA extensions: one alone waits four cycles for
// every two rounds, three fill the pipe. Four spill (there are 16 registers).
#ifndef IORUN_CPOW_SHANI_H
#define IORUN_CPOW_SHANI_H

#include <immintrin.h>

#include "sha256.h"

#define SHANI __attribute__((target("sha,sse4.1,avx")))
#define SHANI_INLINE SHANI __attribute__((always_inline)) static inline

// The constants of round group `g` (four rounds).
#define SHANI_K(g) _mm_load_si128((const __m128i *)(sha256_k + 4 * (g)))

// Four rounds on state (s0: ABEF, s1: CDGH) with `wk`, words plus constants.
#define SHANI_ROUNDS(s0, s1, wk)                                                                   \
  do {                                                                                             \
    __m128i both_ = (wk);                                                                          \
    s1 = _mm_sha256rnds2_epu32(s1, s0, both_);                                                     \
    s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(both_, 0x0e));                            \
  } while (0)

// The words of the next group into `next`, from the last four groups: `next` (already through
// msg1), `x`, `y`, `z`, oldest first.
#define SHANI_NEXT(next, y, z)                                                                     \
  next = _mm_sha256msg2_epu32(_mm_add_epi32(next, _mm_alignr_epi8(z, y, 4)), z)

#define SHANI_EACH(DO, WAYS)                                                                       \
  do {                                                                                             \
    DO(0);                                                                                         \
    if (WAYS > 1) DO(1);                                                                           \
    if (WAYS > 2) DO(2);                                                                           \
  } while (0)

// From A...H in order to the form of the instructions, and back.
SHANI_INLINE void shani_load(const uint32_t *words, __m128i *abef, __m128i *cdgh) {
  __m128i lo = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)words), 0xb1);       // BADC
  __m128i hi = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(words + 4)), 0x1b); // HGFE
  *abef = _mm_alignr_epi8(lo, hi, 8);
  *cdgh = _mm_blend_epi16(hi, lo, 0xf0);
}
SHANI_INLINE void shani_words(__m128i abef, __m128i cdgh, __m128i *lo, __m128i *hi) {
  __m128i x = _mm_shuffle_epi32(abef, 0x1b), y = _mm_shuffle_epi32(cdgh, 0x1b);
  *lo = _mm_unpacklo_epi64(x, y);
  *hi = _mm_unpackhi_epi64(x, y);
}

#endif
