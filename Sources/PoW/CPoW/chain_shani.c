// Sequential work with the x86 SHA extensions: three chains at a time on one core.
#include "sha256.h"

#if defined(__x86_64__)
#include "shani.h"

#define EACH_OF(n) _Pragma("clang loop unroll(full)") for (int l = 0; l < n; l++)
#define EACH EACH_OF(WAYS)

// The words after a state: key, tag, padding.
struct rest {
  __m128i m2, wk2;            // words 8 to 11: the key
  __m128i m3[3], wk3[3];      // words 12 to 15, with the tags
};

SHANI_INLINE void rest_key(struct rest *rest, const uint32_t key[4]) {
  rest->m2 = _mm_loadu_si128((const __m128i *)key);
  rest->wk2 = _mm_add_epi32(rest->m2, SHANI_K(2));
}

SHANI_INLINE void rest_tag(struct rest *rest, int lane, uint32_t tag) {
  rest->m3[lane] = _mm_setr_epi32((int)tag, (int)0x80000000, 0, 52 * 8);
  rest->wk3[lane] = _mm_add_epi32(rest->m3[lane], SHANI_K(3));
}

#define GROUP(g, a, y, z)                                                                          \
  EACH {                                                                                           \
    SHANI_NEXT(a[l], y[l], z[l]);                                                                  \
    SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(a[l], SHANI_K(g)));                                   \
    if ((g) < 14) y[l] = _mm_sha256msg1_epu32(y[l], z[l]);                                         \
  }

// One step of WAYS chains; lo and hi are the words of their states, in and out.
#define STEP(WAYS_, lo, hi, rest)                                                                  \
  do {                                                                                             \
    enum { WAYS = WAYS_ };                                                                         \
    __m128i s0[WAYS], s1[WAYS], m0[WAYS], m1[WAYS], m2[WAYS], m3[WAYS];                            \
    EACH {                                                                                         \
      s0[l] = abef, s1[l] = cdgh;                                                                  \
      m0[l] = lo[l], m1[l] = hi[l];                                                                \
      SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(m0[l], SHANI_K(0)));                                \
    }                                                                                              \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], _mm_add_epi32(m1[l], SHANI_K(1)));                                \
      m0[l] = _mm_sha256msg1_epu32(m0[l], m1[l]);                                                  \
    }                                                                                              \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], (rest).wk2);                                                      \
      m1[l] = _mm_sha256msg1_epu32(m1[l], (rest).m2);                                              \
    }                                                                                              \
    EACH {                                                                                         \
      SHANI_ROUNDS(s0[l], s1[l], (rest).wk3[l]);                                                   \
      m3[l] = (rest).m3[l];                                                                        \
      m2[l] = (rest).m2;                                                                           \
    }                                                                                              \
    GROUP(4, m0, m2, m3);                                                                          \
    GROUP(5, m1, m3, m0);                                                                          \
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
    EACH shani_words(_mm_add_epi32(s0[l], abef), _mm_add_epi32(s1[l], cdgh), &lo[l], &hi[l]);      \
  } while (0)

#define LOAD(p, i) _mm_loadu_si128((const __m128i *)(p) + (i))
#define STORE(p, i, v) _mm_storeu_si128((__m128i *)(p) + (i), v)

// `ways` chains for `steps` steps.
#define CHAINS(WAYS, tags_, states_)                                                               \
  do {                                                                                             \
    __m128i lo[WAYS], hi[WAYS];                                                                    \
    EACH_OF(WAYS) {                                                                                         \
      rest_tag(&rest, l, (tags_)[l]);                                                              \
      lo[l] = LOAD(states_, 2 * l), hi[l] = LOAD(states_, 2 * l + 1);                              \
    }                                                                                              \
    for (uint64_t step = 0; step < steps; step++) STEP(WAYS, lo, hi, rest);                        \
    EACH_OF(WAYS) { STORE(states_, 2 * l, lo[l]); STORE(states_, 2 * l + 1, hi[l]); }                       \
  } while (0)

#define BEGIN                                                                                      \
  _mm256_zeroupper();                                                                              \
  __m128i abef, cdgh;                                                                              \
  struct rest rest;                                                                                \
  shani_load(sha256_iv, &abef, &cdgh);                                                             \
  rest_key(&rest, key)

SHANI void sha256_chain_shani(const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                              uint32_t lanes, uint64_t steps) {
  BEGIN;
  uint32_t i = 0;
  for (; lanes - i >= 3; i += 3) CHAINS(3, tags + i, states + 8 * i);
  if (lanes - i == 2) CHAINS(2, tags + i, states + 8 * i);
  if (lanes - i == 1) CHAINS(1, tags + i, states + 8 * i);
}

SHANI void sha256_fill_shani(const uint32_t key[4], uint64_t first, uint64_t count, uint32_t steps_,
                             uint32_t *labels) {
  BEGIN;
  uint64_t steps = steps_, i = 0;
  const uint32_t tags[3] = {~0u, ~0u, ~0u};
  for (; i < count; i++) {
    uint32_t *label = labels + 8 * i;
    uint64_t ways = count - i >= 3 ? 3 : 1;
    for (uint64_t j = 0; j < ways; j++) {
      memset(label + 8 * j, 0, 24);
      label[8 * j + 6] = (uint32_t)((first + i + j) >> 32), label[8 * j + 7] = (uint32_t)(first + i + j);
    }
    if (ways == 3) {
      CHAINS(3, tags, label);
      i += 2;
    } else {
      CHAINS(1, tags, label);
    }
  }
}

// Takes one step of WAYS walkers and asks the memory for their next labels: the other walkers' steps
// pass until it answers.
#define STRIDE(WAYS, w)                                                                            \
  do {                                                                                             \
    __m128i lo[WAYS], hi[WAYS];                                                                    \
    EACH_OF(WAYS) {                                                                                         \
      uint32_t *state = states + 8 * ((w) + l);                                                    \
      const uint32_t *label = labels + 8 * sha256_place(state[0], state[1], count);                \
      rest_tag(&rest, l, tags[(w) + l]);                                                           \
      lo[l] = _mm_xor_si128(LOAD(state, 0), LOAD(label, 0));                                       \
      hi[l] = _mm_xor_si128(LOAD(state, 1), LOAD(label, 1));                                       \
    }                                                                                              \
    STEP(WAYS, lo, hi, rest);                                                                      \
    EACH_OF(WAYS) {                                                                                         \
      uint32_t *state = states + 8 * ((w) + l);                                                    \
      STORE(state, 0, lo[l]);                                                                      \
      STORE(state, 1, hi[l]);                                                                      \
      uint64_t head = (uint64_t)_mm_cvtsi128_si64(lo[l]);                                          \
      __builtin_prefetch(labels +                                                                  \
                         8 * sha256_place((uint32_t)head, (uint32_t)(head >> 32), count));         \
    }                                                                                              \
  } while (0)

SHANI void sha256_walk_shani(const uint32_t key[4], const uint32_t *labels, uint64_t count,
                             const uint32_t *tags, uint32_t *states, uint32_t walkers,
                             uint32_t steps) {
  BEGIN;
  for (uint32_t step = 0; step < steps; step++) {
    uint32_t w = 0;
    for (; walkers - w >= 3; w += 3) STRIDE(3, w);
    for (; w < walkers; w++) STRIDE(1, w);
  }
}
#endif
