// The search with one message in each lane of a vector; included once for each width. Words 1 to 15
// are the same for all nonces: the compiler takes what depends on them alone out of the loop.
//
// NAME, LANES, TARGET, VECTOR (a vector of LANES words) and MASK(v, t) (a bit for each lane that is
// at most t) are the includer's.

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define SCHEDULE(i)                                                                                \
  w[(i) & 15] += (ROR(w[((i) + 1) & 15], 7) ^ ROR(w[((i) + 1) & 15], 18) ^ w[((i) + 1) & 15] >> 3) \
                 + w[((i) + 9) & 15] +                                                             \
                 (ROR(w[((i) + 14) & 15], 17) ^ ROR(w[((i) + 14) & 15], 19) ^                      \
                  w[((i) + 14) & 15] >> 10)
#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
  do {                                                                                             \
    h += (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + (g ^ (e & (f ^ g))) + (w[(i) & 15] + sha256_k[i]); \
    d += h;                                                                                        \
    h += (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) | (c & (a | b)));                        \
  } while (0)
#define EIGHT(i, S)                                                                                \
  S(i + 0); ROUND(a, b, c, d, e, f, g, h, i + 0);                                                  \
  S(i + 1); ROUND(h, a, b, c, d, e, f, g, i + 1);                                                  \
  S(i + 2); ROUND(g, h, a, b, c, d, e, f, i + 2);                                                  \
  S(i + 3); ROUND(f, g, h, a, b, c, d, e, i + 3);                                                  \
  S(i + 4); ROUND(e, f, g, h, a, b, c, d, i + 4);                                                  \
  S(i + 5); ROUND(d, e, f, g, h, a, b, c, i + 5);                                                  \
  S(i + 6); ROUND(c, d, e, f, g, h, a, b, i + 6);                                                  \
  S(i + 7); ROUND(b, c, d, e, f, g, h, a, i + 7)
#define NO_SCHEDULE(i)

TARGET uint32_t NAME(const struct iorun_pow_message *search, uint32_t first, uint32_t count,
                     uint32_t threshold, uint32_t *found, uint32_t capacity, uint32_t *tried) {
  uint32_t hits = 0, i = 0;
  VECTOR nonces = (VECTOR){} + first, zero = (VECTOR){};
  for (uint32_t lane = 0; lane < LANES; lane++) nonces[lane] += lane;
  // A whole vector must have room for all its lanes.
  for (; count - i >= LANES && capacity - hits >= LANES; i += LANES, nonces += LANES) {
    VECTOR w[16] = {nonces,
                    zero + search->tail[0],
                    zero + search->tail[1],
                    zero + search->tail[2],
                    zero + 0x80000000u};
    for (int j = 5; j < 15; j++) w[j] = zero;
    w[15] = zero + 640u;
    const uint32_t *m = search->midstate;
    VECTOR a = zero + m[0], b = zero + m[1], c = zero + m[2], d = zero + m[3];
    VECTOR e = zero + m[4], f = zero + m[5], g = zero + m[6], h = zero + m[7];
    EIGHT(0, NO_SCHEDULE); EIGHT(8, NO_SCHEDULE);
    EIGHT(16, SCHEDULE); EIGHT(24, SCHEDULE); EIGHT(32, SCHEDULE);
    EIGHT(40, SCHEDULE); EIGHT(48, SCHEDULE); EIGHT(56, SCHEDULE);
    a += m[0];
    for (uint32_t mask = MASK(a, threshold); mask; mask &= mask - 1)
      found[hits++] = first + i + (uint32_t)__builtin_ctz(mask);
  }
  uint32_t rest = 0;
  if (i < count && hits < capacity)
    hits += sha256_search_scalar(search, first + i, count - i, threshold, found + hits,
                                 capacity - hits, &rest);
  *tried = i + rest;
  return hits;
}

#undef ROR
#undef SCHEDULE
#undef ROUND
#undef EIGHT
#undef NO_SCHEDULE
