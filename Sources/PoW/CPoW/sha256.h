// SHA-256's constants and one plain block (FIPS 180-4 6.2.2).
#ifndef IORUN_CPOW_SHA256_H
#define IORUN_CPOW_SHA256_H

#include <stdint.h>
#include <string.h>

#include "CPoW.h"

static const uint32_t sha256_k[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t sha256_iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline uint32_t sha256_ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

// state <- compress(state, words); the words are used up.
static inline void sha256_block(uint32_t state[8], uint32_t w[16]) {
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    if (i >= 16) {
      uint32_t x = w[(i + 1) & 15], y = w[(i + 14) & 15];
      w[i & 15] += (sha256_ror(x, 7) ^ sha256_ror(x, 18) ^ x >> 3) + w[(i + 9) & 15] +
                   (sha256_ror(y, 17) ^ sha256_ror(y, 19) ^ y >> 10);
    }
    uint32_t s1 = sha256_ror(e, 6) ^ sha256_ror(e, 11) ^ sha256_ror(e, 25);
    uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha256_k[i] + w[i & 15];
    uint32_t s0 = sha256_ror(a, 2) ^ sha256_ror(a, 13) ^ sha256_ror(a, 22);
    uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// The second block of an 80-byte message.
static inline void sha256_tail(const struct iorun_pow_message *search, uint32_t nonce,
                               uint32_t w[16]) {
  memset(w, 0, 16 * sizeof *w);
  w[0] = nonce, w[1] = search->tail[0], w[2] = search->tail[1], w[3] = search->tail[2];
  w[4] = 0x80000000, w[15] = 640;
}

// One of the variants; each does what iorun_pow_seek says.
typedef uint32_t sha256_search(const struct iorun_pow_message *search, uint32_t first,
                               uint32_t count, uint32_t threshold, uint32_t *found,
                               uint32_t capacity, uint32_t *tried);

sha256_search sha256_search_scalar;
#if defined(__x86_64__)
sha256_search sha256_search_shani, sha256_search_avx2, sha256_search_avx512;
void sha256_digests_shani(const struct iorun_pow_message *search, const uint64_t *nonces,
                          uint64_t *values, uint32_t count);
void sha256_chain_shani(const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                        uint32_t lanes, uint64_t steps);
void sha256_fill_shani(const uint32_t key[4], uint64_t first, uint64_t count, uint32_t steps,
                       uint32_t *labels);
void sha256_walk_shani(const uint32_t key[4], const uint32_t *labels, uint64_t count,
                       const uint32_t *tags, uint32_t *states, uint32_t walkers, uint32_t steps);
#endif
#if defined(__aarch64__)
sha256_search sha256_search_arm;
void sha256_chain_arm(const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                      uint32_t lanes, uint64_t steps);
#endif

// Where a walker reads next: its first eight bytes as a fraction of the table.
static inline uint64_t sha256_place(uint32_t w0, uint32_t w1, uint64_t count) {
  return (uint64_t)((unsigned __int128)((uint64_t)w0 << 32 | w1) * count >> 64);
}

#endif
