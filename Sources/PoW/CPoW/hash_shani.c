// The search with the x86 SHA extensions.
#include "sha256.h"

#if defined(__x86_64__)
#include "shani.h"

// What is the same for all nonces of a search.
struct fixed {
  __m128i abef, cdgh;         // the midstate
  __m128i wk0, wk1, wk2, wk3; // the words plus constants; wk0 without the nonce
  __m128i m3;                 // words 12 to 15
  // What goes into msg2 for the words of groups 4 (without the nonce), 5 and 6.
  __m128i x0, x1, x2;
};

SHANI_INLINE struct fixed prepare(const struct iorun_pow_message *search) {
  struct fixed f;
  uint32_t w[16];
  sha256_tail(search, 0, w);
  shani_load(search->midstate, &f.abef, &f.cdgh);
  __m128i m0 = _mm_loadu_si128((const __m128i *)w);
  __m128i m1 = _mm_loadu_si128((const __m128i *)(w + 4));
  __m128i m2 = _mm_loadu_si128((const __m128i *)(w + 8));
  f.m3 = _mm_loadu_si128((const __m128i *)(w + 12));
  f.wk0 = _mm_add_epi32(m0, SHANI_K(0));
  f.wk1 = _mm_add_epi32(m1, SHANI_K(1));
  f.wk2 = _mm_add_epi32(m2, SHANI_K(2));
  f.wk3 = _mm_add_epi32(f.m3, SHANI_K(3));
  f.x0 = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(f.m3, m2, 4));
  f.x1 = _mm_sha256msg1_epu32(m1, m2);
  f.x2 = _mm_sha256msg1_epu32(m2, f.m3);
  return f;
}

#define EACH _Pragma("clang loop unroll(full)") for (int l = 0; l < WAYS; l++)

// The words of group `g` into `a` (four groups old and through msg1), from `y` and `z`, the two
// groups before it, both plain; then `y` goes through msg1 for its own turn.
#define GROUP(g, a, y, z)                                                                          \
  EACH {                                                                                           \
    SHANI_NEXT(a[l], y[l], z[l]);                                                                  \
    SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(a[l], SHANI_K(g)));                                   \
    if ((g) < 14) y[l] = _mm_sha256msg1_epu32(y[l], z[l]);                                         \
  }

// The states after WAYS messages, whose first words are in `n`; in the first, the middle state is
// added. The first six groups are made from constants and the nonce.
#define DIGESTS(WAYS_, n, s0, s1)                                                                  \
  do {                                                                                             \
    enum { WAYS = WAYS_ };                                                                         \
    __m128i m0[WAYS], m1[WAYS], m2[WAYS], m3[WAYS];                                                \
    EACH {                                                                                         \
      s0[l] = f.abef, s1[l] = f.cdgh;                                                              \
      SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(f.wk0, n[l]));                                      \
    }                                                                                              \
    EACH SHANI_ROUNDS(s0[l], s1[l], f.wk1);                                                        \
    EACH SHANI_ROUNDS(s0[l], s1[l], f.wk2);                                                        \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], f.wk3);                                                           \
      m0[l] = _mm_sha256msg2_epu32(_mm_add_epi32(f.x0, n[l]), f.m3);                               \
    }                                                                                              \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(m0[l], SHANI_K(4)));                                \
      m3[l] = _mm_sha256msg1_epu32(f.m3, m0[l]);                                                   \
      m1[l] = _mm_sha256msg2_epu32(_mm_add_epi32(f.x1, _mm_alignr_epi8(m0[l], f.m3, 4)), m0[l]);   \
    }                                                                                              \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(m1[l], SHANI_K(5)));                                \
      m2[l] = f.x2;                                                                                \
    }                                                                                              \
    GROUP(6, m2, m0, m1);                                                                          \
    GROUP(7, m3, m1, m2);                                                                          \
    GROUP(8, m0, m2, m3);                                                                          \
    GROUP(9, m1, m3, m0);                                                                          \
    GROUP(10, m2, m0, m1);                                                                         \
    GROUP(11, m3, m1, m2);                                                                         \
    GROUP(12, m0, m2, m3);                                                                         \
    GROUP(13, m1, m3, m0);                                                                         \
    GROUP(14, m2, m0, m1);                                                                         \
    GROUP(15, m3, m1, m2);                                                                         \
    EACH s0[l] = _mm_add_epi32(s0[l], f.abef);                                                     \
  } while (0)

SHANI uint32_t sha256_search_shani(const struct iorun_pow_message *search, uint32_t first,
                                   uint32_t count, uint32_t threshold, uint32_t *found,
                                   uint32_t capacity, uint32_t *tried) {
  // The SHA extensions are legacy-encoded: with dirty upper halves of the vector registers each
  // costs hundreds of cycles.
  _mm256_zeroupper();
  struct fixed f = prepare(search);
  uint32_t hits = 0, i = 0;
  for (; count - i >= 3 && capacity - hits >= 3; i += 3) {
    uint32_t nonce = first + i;
    __m128i n[3] = {_mm_cvtsi32_si128((int)nonce), _mm_cvtsi32_si128((int)(nonce + 1)),
                    _mm_cvtsi32_si128((int)(nonce + 2))};
    __m128i s0[3], s1[3];
    DIGESTS(3, n, s0, s1);
    uint32_t h0 = (uint32_t)_mm_extract_epi32(s0[0], 3);
    uint32_t h1 = (uint32_t)_mm_extract_epi32(s0[1], 3);
    uint32_t h2 = (uint32_t)_mm_extract_epi32(s0[2], 3);
    if (__builtin_expect((h0 <= threshold) | (h1 <= threshold) | (h2 <= threshold), 0)) {
      if (h0 <= threshold) found[hits++] = nonce;
      if (h1 <= threshold) found[hits++] = nonce + 1;
      if (h2 <= threshold) found[hits++] = nonce + 2;
    }
  }
  for (; i < count && hits < capacity; i++) {
    __m128i n[1] = {_mm_cvtsi32_si128((int)(first + i))}, s0[1], s1[1];
    DIGESTS(1, n, s0, s1);
    if ((uint32_t)_mm_extract_epi32(s0[0], 3) <= threshold) found[hits++] = first + i;
  }
  *tried = i;
  return hits;
}

SHANI void sha256_digests_shani(const struct iorun_pow_message *search, const uint64_t *nonces,
                                uint64_t *values, uint32_t count) {
  _mm256_zeroupper();
  struct iorun_pow_message one = *search;
  struct fixed f = prepare(&one);
  for (uint32_t i = 0; i < count; i++) {
    // Proofs have few high halves: one for each thread.
    if ((uint32_t)(nonces[i] >> 32) != one.tail[0]) {
      one.tail[0] = (uint32_t)(nonces[i] >> 32);
      f = prepare(&one);
    }
    __m128i n[1] = {_mm_cvtsi32_si128((int)(uint32_t)nonces[i])}, s0[1], s1[1];
    DIGESTS(1, n, s0, s1);
    values[i] = (uint64_t)_mm_extract_epi64(s0[0], 1);
  }
}
#endif
