// The search in plain C, and the choice of a variant.
#include "sha256.h"

void iorun_pow_midstate(const uint8_t prefix[64], uint32_t midstate[8]) {
  uint32_t w[16];
  for (int i = 0; i < 16; i++) {
    const uint8_t *p = prefix + 4 * i;
    w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  }
  memcpy(midstate, sha256_iv, sizeof sha256_iv);
  sha256_block(midstate, w);
}

uint32_t sha256_search_scalar(const struct iorun_pow_message *search, uint32_t first, uint32_t count,
                              uint32_t threshold, uint32_t *found, uint32_t capacity,
                              uint32_t *tried) {
  uint32_t hits = 0, i = 0;
  for (; i < count && hits < capacity; i++) {
    uint32_t state[8], w[16];
    memcpy(state, search->midstate, sizeof state);
    sha256_tail(search, first + i, w);
    sha256_block(state, w);
    if (state[0] <= threshold) found[hits++] = first + i;
  }
  *tried = i;
  return hits;
}

uint32_t iorun_pow_seek(int kernel, const struct iorun_pow_message *search, uint32_t first,
                          uint32_t count, uint32_t threshold, uint32_t *found, uint32_t capacity,
                          uint32_t *tried) {
  sha256_search *variant = sha256_search_scalar;
#if defined(__x86_64__)
  if (iorun_pow_has(kernel)) {
    if (kernel == IORUN_POW_SHANI) variant = sha256_search_shani;
    if (kernel == IORUN_POW_AVX2) variant = sha256_search_avx2;
    if (kernel == IORUN_POW_AVX512) variant = sha256_search_avx512;
  }
#elif defined(__aarch64__)
  if (kernel == IORUN_POW_ARM_SHA2 && iorun_pow_has(kernel)) variant = sha256_search_arm;
#endif
  return variant(search, first, count, threshold, found, capacity, tried);
}

void iorun_pow_digests(int kernel, const struct iorun_pow_message *search, const uint64_t *nonces,
                       uint64_t *values, uint32_t count) {
#if defined(__x86_64__)
  if (kernel != IORUN_POW_SCALAR && iorun_pow_has(IORUN_POW_SHANI)) {
    sha256_digests_shani(search, nonces, values, count);
    return;
  }
#endif
  for (uint32_t i = 0; i < count; i++) {
    uint32_t state[8], w[16];
    memcpy(state, search->midstate, sizeof state);
    sha256_tail(search, (uint32_t)nonces[i], w);
    w[1] = (uint32_t)(nonces[i] >> 32);
    sha256_block(state, w);
    values[i] = (uint64_t)state[0] << 32 | state[1];
  }
}
