// Exact products of matrices of bytes: A of 0...127, so that pairs of products fit in 16 bits, B of
// -128...127, sums in 32 bits.
#include <string.h>

#include "CPoW.h"

// Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11).
static inline void philox(uint32_t x[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * x[0], p1 = (uint64_t)0xCD9E8D57u * x[2];
    uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
    x[0] = y0, x[1] = (uint32_t)p1, x[2] = y2, x[3] = (uint32_t)p0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

// x times `by` in each of eight lanes: the high halves, and the low ones.
__attribute__((target("avx2"))) static inline __m256i multiply(__m256i x, __m256i by,
                                                              __m256i *low) {
  __m256i even = _mm256_mul_epu32(x, by), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), by);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}

// Sixteen blocks of a line at once, in two halves that hide each other's latency: a vector has a word
// of each of eight.
__attribute__((target("avx2"))) static void blocks_avx2(const uint32_t key[2], uint32_t layer,
                                                        uint32_t side, uint32_t line,
                                                        uint32_t block, uint32_t mask,
                                                        uint8_t *out) {
  __m256i x[2][4], m0 = _mm256_set1_epi32((int)0xD2511F53u), m1 = _mm256_set1_epi32((int)0xCD9E8D57u);
  for (int half = 0; half < 2; half++) {
    x[half][0] = _mm256_add_epi32(_mm256_set1_epi32((int)(block + 8 * half)),
                                  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    x[half][1] = _mm256_set1_epi32((int)line), x[half][2] = _mm256_set1_epi32((int)side);
    x[half][3] = _mm256_set1_epi32((int)layer);
  }
  uint32_t k0 = key[0], k1 = key[1];
  _Pragma("clang loop unroll(full)") for (int round = 0; round < 10; round++) {
    __m256i key0 = _mm256_set1_epi32((int)k0), key1 = _mm256_set1_epi32((int)k1);
    _Pragma("clang loop unroll(full)") for (int half = 0; half < 2; half++) {
      __m256i *y = x[half], low0, low1;
      __m256i high0 = multiply(y[0], m0, &low0), high1 = multiply(y[2], m1, &low1);
      y[0] = _mm256_xor_si256(_mm256_xor_si256(high1, y[1]), key0);
      y[2] = _mm256_xor_si256(_mm256_xor_si256(high0, y[3]), key1);
      y[1] = low1, y[3] = low0;
    }
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  __m256i kept = _mm256_set1_epi32((int)mask);
  _Pragma("clang loop unroll(full)") for (int half = 0; half < 2; half++, out += 128) {
    // Back to four words a block: blocks 0 and 4, 1 and 5, and so on lie side by side.
    __m256i *y = x[half];
    __m256i a = _mm256_unpacklo_epi32(y[0], y[1]), b = _mm256_unpackhi_epi32(y[0], y[1]);
    __m256i c = _mm256_unpacklo_epi32(y[2], y[3]), d = _mm256_unpackhi_epi32(y[2], y[3]);
    __m256i pairs[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c),
                        _mm256_unpacklo_epi64(b, d), _mm256_unpackhi_epi64(b, d)};
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
      __m256i pair = _mm256_and_si256(pairs[i], kept);
      _mm_storeu_si128((__m128i *)(out + 16 * i), _mm256_castsi256_si128(pair));
      _mm_storeu_si128((__m128i *)(out + 16 * (i + 4)), _mm256_extracti128_si256(pair, 1));
    }
  }
}
#endif

void iorun_pow_rows(int kernel, const uint32_t key[2], uint32_t layer, uint32_t side,
                    uint32_t first, uint32_t count, uint32_t n, uint8_t *rows) {
  uint32_t mask = side == 0 ? 0x7f7f7f7f : 0xffffffff;
  int wide = (kernel == IORUN_POW_AVX2 || kernel == IORUN_POW_VNNI) && iorun_pow_has(IORUN_POW_AVX2);
  for (uint32_t i = 0; i < count; i++) {
    uint8_t *out = rows + (uint64_t)i * n;
    uint32_t block = 0;
#if defined(__x86_64__)
    for (; wide && block + 16 <= n / 16; block += 16, out += 256)
      blocks_avx2(key, layer, side, first + i, block, mask, out);
#endif
    (void)wide;
    for (; block < n / 16; block++, out += 16) {
      uint32_t x[4] = {block, first + i, side, layer};
      philox(x, key[0], key[1]);
      for (int word = 0; word < 4; word++) {
        x[word] &= mask;
        for (int byte = 0; byte < 4; byte++) out[4 * word + byte] = (uint8_t)(x[word] >> 8 * byte);
      }
    }
  }
}

// Packed: for every `group` rows, for every four of n, the four bytes of each row.
static void pack(const uint8_t *in, uint32_t rows, uint32_t n, uint32_t group, uint8_t *out) {
  for (uint32_t r = 0; r < rows; r += group)
    for (uint32_t k = 0; k < n; k += 4)
      for (uint32_t j = 0; j < group; j++, out += 4)
        memcpy(out, in + (uint64_t)(r + j) * n + k, 4);
}

void iorun_pow_pack_b(const int8_t *b, uint32_t columns, uint32_t n, int8_t *packed) {
  pack((const uint8_t *)b, columns, n, 16, (uint8_t *)packed);
}

void iorun_pow_pack_a(const uint8_t *a, uint32_t rows, uint32_t n, uint8_t *packed) {
  pack(a, rows, n, 4, packed);
}

// Adds to four rows and sixteen columns of c, over `depth` of n.
static void tile_scalar(const uint8_t *a, const int8_t *b, uint32_t depth, int32_t *c,
                        uint32_t stride) {
  for (uint32_t k = 0; k < depth; k += 4, a += 16, b += 64)
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 16; j++)
        for (int x = 0; x < 4; x++) c[i * stride + j] += a[4 * i + x] * b[4 * j + x];
}

#if defined(__x86_64__)
// The sums begin at zero and meet c at the end: its lines come while the products are made.
__attribute__((target("avx2"))) static void tile_avx2(const uint8_t *a, const int8_t *b,
                                                      uint32_t depth, int32_t *c,
                                                      uint32_t stride) {
  __m256i sum[4][2], ones = _mm256_set1_epi16(1);
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
    __builtin_prefetch(c + i * stride, 1);
    sum[i][0] = sum[i][1] = _mm256_setzero_si256();
  }
  for (uint32_t k = 0; k < depth; k += 4, a += 16, b += 64) {
    __m256i b0 = _mm256_loadu_si256((const __m256i *)b);
    __m256i b1 = _mm256_loadu_si256((const __m256i *)(b + 32));
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
      int32_t four;
      memcpy(&four, a + 4 * i, 4);
      __m256i row = _mm256_set1_epi32(four);
      // 2 * 127 * 128 fits in 16 bits: maddubs cannot saturate.
      __m256i left = _mm256_maddubs_epi16(row, b0), right = _mm256_maddubs_epi16(row, b1);
      sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(left, ones));
      sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(right, ones));
    }
  }
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++)
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 2; j++) {
    __m256i *out = (__m256i *)(c + i * stride + 8 * j);
    _mm256_storeu_si256(out, _mm256_add_epi32(_mm256_loadu_si256(out), sum[i][j]));
  }
}

// Four panels of B at once: sixteen sums hide the latency of the products.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))) static void
tile_vnni(const uint8_t *a, const int8_t *b, uint64_t panel, uint32_t depth, int32_t *c,
          uint32_t stride) {
  __m512i sum[4][4];
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++)
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++)
          sum[i][j] = _mm512_loadu_si512(c + i * stride + 16 * j);
  for (uint32_t k = 0; k < depth; k += 4, a += 16, b += 64) {
    __m512i column[4];
    _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++)
        column[j] = _mm512_loadu_si512(b + j * panel);
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
      int32_t four;
      memcpy(&four, a + 4 * i, 4);
      __m512i row = _mm512_set1_epi32(four);
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++)
          sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], row, column[j]);
    }
  }
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++)
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++)
          _mm512_storeu_si512(c + i * stride + 16 * j, sum[i][j]);
}
#endif

void iorun_pow_product(int kernel, const uint8_t *a, const int8_t *b, uint32_t rows,
                       uint32_t columns, uint32_t n, int32_t *c) {
  memset(c, 0, (uint64_t)rows * columns * sizeof *c);
  if (kernel == IORUN_POW_VNNI && columns % 64) kernel = IORUN_POW_AVX2;
  int can = iorun_pow_has(kernel);
  // A part of a panel of B stays in the first cache (32 KiB with that of A) while all rows pass by.
  uint32_t wide = can && kernel == IORUN_POW_VNNI ? 4 : 1, part = wide == 4 ? 512 : 1536;
  uint64_t panel = (uint64_t)16 * n;
  for (uint32_t k = 0; k < n; k += part) {
    uint32_t depth = n - k < part ? n - k : part;
    for (uint32_t j = 0; j < columns; j += 16 * wide)
      for (uint32_t i = 0; i < rows; i += 4) {
        const uint8_t *rows4 = a + (uint64_t)i * n + 4 * k;
        const int8_t *columns16 = b + (uint64_t)j * n + 16 * (uint64_t)k;
        int32_t *out = c + (uint64_t)i * columns + j;
#if defined(__x86_64__)
        if (wide == 4) {
          tile_vnni(rows4, columns16, panel, depth, out, columns);
          continue;
        }
        if (can && kernel == IORUN_POW_AVX2) {
          tile_avx2(rows4, columns16, depth, out, columns);
          continue;
        }
#endif
        (void)panel, (void)can;
        tile_scalar(rows4, columns16, depth, out, columns);
      }
  }
}

// Freivalds' check (IFIP 1977), over the integers mod a prime: there a wrong product passes with
// probability at most 1 / (2^61 - 1). Mod 2^32 an error of 2^31 would vanish for every even r.
static const uint64_t prime = ((uint64_t)1 << 61) - 1;

// x mod 2^61 - 1, in 0 ..< 2^61 - 1.
static uint64_t reduce(__int128 x) {
  int negative = x < 0;
  unsigned __int128 u = negative ? -(unsigned __int128)x : (unsigned __int128)x;
  uint64_t low = (uint64_t)(u & prime), high = (uint64_t)(u >> 61 & prime);
  uint64_t top = (uint64_t)(u >> 122);
  uint64_t sum = low + high + top;
  while (sum >= prime) sum -= prime;
  return negative && sum ? prime - sum : sum;
}

int iorun_pow_freivalds(const uint8_t *a, const int8_t *b, const int32_t *c, uint32_t n,
                        const uint64_t *r, uint64_t *work) {
  // |sum| stays below 2^62 * 2^31 * 2^17: no overflow for any n that is allowed.
  uint64_t *y = work;
  // y = B r; B lies by columns: eight sums at a time share its cache lines.
  for (uint32_t k = 0; k < n; k += 8) {
    __int128 sums[8] = {0};
    uint32_t some = n - k < 8 ? n - k : 8;
    for (uint32_t j = 0; j < n; j++)
      for (uint32_t x = 0; x < some; x++)
        sums[x] += (__int128)b[(uint64_t)j * n + k + x] * (int64_t)r[j];
    for (uint32_t x = 0; x < some; x++) y[k + x] = reduce(sums[x]);
  }
  for (uint32_t i = 0; i < n; i++) {
    __int128 left = 0, right = 0;
    const uint8_t *row = a + (uint64_t)i * n;
    const int32_t *out = c + (uint64_t)i * n;
    for (uint32_t k = 0; k < n; k++) {
      left += (__int128)row[k] * (int64_t)y[k];
      right += (__int128)out[k] * (int64_t)r[k];
    }
    if (reduce(left) != reduce(right)) return 0;
  }
  return 1;
}
