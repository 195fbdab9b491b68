// Sequential work in plain C, and the choice of a variant.
#include "sha256.h"

static void step(const uint32_t key[4], uint32_t tag, uint32_t x[8]) {
  uint32_t w[16] = {0}, state[8];
  memcpy(w, x, 32);
  memcpy(w + 8, key, 16);
  w[12] = tag, w[13] = 0x80000000, w[15] = 52 * 8;
  memcpy(state, sha256_iv, sizeof state);
  sha256_block(state, w);
  memcpy(x, state, sizeof state);
}

static void chain_scalar(const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                         uint32_t lanes, uint64_t steps) {
  for (uint32_t lane = 0; lane < lanes; lane++)
    for (uint64_t i = 0; i < steps; i++) step(key, tags[lane], states + 8 * lane);
}

void iorun_pow_chain(int kernel, const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                     uint32_t lanes, uint64_t steps) {
#if defined(__x86_64__)
  if (kernel == IORUN_POW_SHANI && iorun_pow_has(kernel)) {
    sha256_chain_shani(key, tags, states, lanes, steps);
    return;
  }
#elif defined(__aarch64__)
  if (kernel == IORUN_POW_ARM_SHA2 && iorun_pow_has(kernel)) {
    sha256_chain_arm(key, tags, states, lanes, steps);
    return;
  }
#endif
  (void)kernel;
  chain_scalar(key, tags, states, lanes, steps);
}

void iorun_pow_fill(int kernel, const uint32_t key[4], uint64_t first, uint64_t count,
                    uint32_t steps, uint32_t *labels) {
#if defined(__x86_64__)
  if (kernel == IORUN_POW_SHANI && iorun_pow_has(kernel)) {
    sha256_fill_shani(key, first, count, steps, labels);
    return;
  }
#endif
  // As many at a time as the chain's variant interleaves.
  static const uint32_t tags[3] = {~0u, ~0u, ~0u};
  for (uint64_t i = 0; i < count;) {
    uint32_t lanes = count - i >= 3 ? 3 : 1;
    for (uint32_t j = 0; j < lanes; j++, i++) {
      memset(labels + 8 * i, 0, 24);
      labels[8 * i + 6] = (uint32_t)((first + i) >> 32), labels[8 * i + 7] = (uint32_t)(first + i);
    }
    iorun_pow_chain(kernel, key, tags, labels + 8 * (i - lanes), lanes, steps);
  }
}

void iorun_pow_walk(int kernel, const uint32_t key[4], const uint32_t *labels, uint64_t count,
                    const uint32_t *tags, uint32_t *states, uint32_t walkers, uint32_t steps) {
#if defined(__x86_64__)
  if (kernel == IORUN_POW_SHANI && iorun_pow_has(kernel)) {
    sha256_walk_shani(key, labels, count, tags, states, walkers, steps);
    return;
  }
#endif
  for (uint32_t i = 0; i < steps; i++)
    for (uint32_t w = 0; w < walkers;) {
      uint32_t lanes = walkers - w >= 3 ? 3 : 1;
      for (uint32_t l = 0; l < lanes; l++) {
        uint32_t *state = states + 8 * (w + l);
        const uint32_t *label = labels + 8 * sha256_place(state[0], state[1], count);
        for (int word = 0; word < 8; word++) state[word] ^= label[word];
      }
      iorun_pow_chain(kernel, key, tags + w, states + 8 * w, lanes, 1);
      for (uint32_t l = 0; l < lanes; l++) {
        uint32_t *state = states + 8 * (w + l);
        __builtin_prefetch(labels + 8 * sha256_place(state[0], state[1], count));
      }
      w += lanes;
    }
}
