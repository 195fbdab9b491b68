// The search and the chains with arm64's SHA-2 instructions, three messages interleaved.
#include "sha256.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define ARM __attribute__((target("sha2")))
#define ARM_INLINE ARM __attribute__((always_inline)) static inline

// `ways` (at most three) blocks: states (ABCD, EFGH) and words in, new states out.
ARM_INLINE void blocks(int ways, uint32x4_t s0[3], uint32x4_t s1[3], uint32x4_t m[3][4]) {
  uint32x4_t begin0[3], begin1[3];
  for (int l = 0; l < ways; l++) begin0[l] = s0[l], begin1[l] = s1[l];
  _Pragma("clang loop unroll(full)") for (int g = 0; g < 16; g++) {
    uint32x4_t k = vld1q_u32(sha256_k + 4 * g);
    _Pragma("clang loop unroll(full)") for (int l = 0; l < ways; l++) {
      uint32x4_t *w = m[l], wk = vaddq_u32(w[g & 3], k), before = s0[l];
      s0[l] = vsha256hq_u32(s0[l], s1[l], wk);
      s1[l] = vsha256h2q_u32(s1[l], before, wk);
      if (g < 12)
        w[g & 3] = vsha256su1q_u32(vsha256su0q_u32(w[g & 3], w[(g + 1) & 3]), w[(g + 2) & 3],
                                   w[(g + 3) & 3]);
    }
  }
  for (int l = 0; l < ways; l++) s0[l] = vaddq_u32(s0[l], begin0[l]), s1[l] = vaddq_u32(s1[l], begin1[l]);
}

ARM_INLINE uint32_t hits_of(int ways, const struct iorun_pow_message *search, uint32_t nonce,
                            uint32_t threshold, uint32_t *found) {
  uint32x4_t s0[3], s1[3], m[3][4];
  uint32_t w[16], hits = 0;
  sha256_tail(search, 0, w);
  for (int l = 0; l < ways; l++) {
    s0[l] = vld1q_u32(search->midstate), s1[l] = vld1q_u32(search->midstate + 4);
    for (int g = 0; g < 4; g++) m[l][g] = vld1q_u32(w + 4 * g);
    m[l][0] = vsetq_lane_u32(nonce + (uint32_t)l, m[l][0], 0);
  }
  blocks(ways, s0, s1, m);
  for (int l = 0; l < ways; l++)
    if (vgetq_lane_u32(s0[l], 0) <= threshold) found[hits++] = nonce + (uint32_t)l;
  return hits;
}

ARM uint32_t sha256_search_arm(const struct iorun_pow_message *search, uint32_t first,
                               uint32_t count, uint32_t threshold, uint32_t *found,
                               uint32_t capacity, uint32_t *tried) {
  uint32_t hits = 0, i = 0;
  for (; count - i >= 3 && capacity - hits >= 3; i += 3)
    hits += hits_of(3, search, first + i, threshold, found + hits);
  for (; i < count && hits < capacity; i++)
    hits += hits_of(1, search, first + i, threshold, found + hits);
  *tried = i;
  return hits;
}

ARM_INLINE void chains(int ways, const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                       uint64_t steps) {
  uint32x4_t lo[3], hi[3], last[3], middle = vld1q_u32(key);
  for (int l = 0; l < ways; l++) {
    lo[l] = vld1q_u32(states + 8 * l), hi[l] = vld1q_u32(states + 8 * l + 4);
    uint32_t w[4] = {tags[l], 0x80000000, 0, 52 * 8};
    last[l] = vld1q_u32(w);
  }
  for (uint64_t step = 0; step < steps; step++) {
    uint32x4_t s0[3], s1[3], m[3][4];
    for (int l = 0; l < ways; l++) {
      s0[l] = vld1q_u32(sha256_iv), s1[l] = vld1q_u32(sha256_iv + 4);
      m[l][0] = lo[l], m[l][1] = hi[l], m[l][2] = middle, m[l][3] = last[l];
    }
    blocks(ways, s0, s1, m);
    for (int l = 0; l < ways; l++) lo[l] = s0[l], hi[l] = s1[l];
  }
  for (int l = 0; l < ways; l++) {
    vst1q_u32(states + 8 * l, lo[l]);
    vst1q_u32(states + 8 * l + 4, hi[l]);
  }
}

ARM void sha256_chain_arm(const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                          uint32_t lanes, uint64_t steps) {
  uint32_t i = 0;
  for (; lanes - i >= 3; i += 3) chains(3, key, tags + i, states + 8 * i, steps);
  if (lanes - i == 2) chains(2, key, tags + i, states + 8 * i, steps);
  if (lanes - i == 1) chains(1, key, tags + i, states + 8 * i, steps);
}
#endif
