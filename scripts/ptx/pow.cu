// The GPU's inner loops of pow/1: the same bits as Sources/PoW/CPoW, which is compared with in
// `iorun pow device --self-test`. scripts/generate-ptx.py compiles this to the text in
// Sources/PoW/CPoW/ptx.c; Tests/PoWTests/FakeCUDA compiles it as C++ and runs it on the CPU.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void

__constant__ u32 sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ static inline u32 ror(u32 x, int n) { return x >> n | x << (32 - n); }

__device__ static inline void begin(u32 s[8]) {
  s[0] = 0x6a09e667, s[1] = 0xbb67ae85, s[2] = 0x3c6ef372, s[3] = 0xa54ff53a;
  s[4] = 0x510e527f, s[5] = 0x9b05688c, s[6] = 0x1f83d9ab, s[7] = 0x5be0cd19;
}

// state <- compress(state, words); the words are used up (FIPS 180-4 6.2.2).
__device__ static inline void compress(u32 s[8], u32 w[16]) {
  u32 a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
  // Sixteen rounds at a time: all 64 unrolled would be a megabyte of text.
#pragma unroll 1
  for (int first = 0; first < 64; first += 16) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
      if (first > 0) {
        u32 x = w[(i + 1) & 15], y = w[(i + 14) & 15];
        w[i] += (ror(x, 7) ^ ror(x, 18) ^ x >> 3) + w[(i + 9) & 15] +
                (ror(y, 17) ^ ror(y, 19) ^ y >> 10);
      }
      u32 t1 = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (g ^ (e & (f ^ g))) +
               sha_k[first + i] + w[i];
      u32 t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | (c & (a | b)));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
  }
  s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;
}

// x <- SHA256(x || key || tag), 52 bytes in one block.
__device__ static inline void step(u32 x[8], const u32 key[4], u32 tag) {
  u32 w[16], s[8];
  for (int i = 0; i < 8; i++) w[i] = x[i];
  for (int i = 0; i < 4; i++) w[8 + i] = key[i];
  w[12] = tag, w[13] = 0x80000000, w[14] = 0, w[15] = 52 * 8;
  begin(s);
  compress(s, w);
  for (int i = 0; i < 8; i++) x[i] = s[i];
}

__device__ static inline u64 here() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// gpu.mem: labels `first` to `first + count - 1` of a table, a thread each.
KERNEL pow_fill(u32 k0, u32 k1, u32 k2, u32 k3, u64 first, u64 count, u32 steps, uint4 *labels) {
  if (here() >= count) return;
  u64 label = first + here();
  u32 key[4] = {k0, k1, k2, k3};
  u32 x[8] = {0, 0, 0, 0, 0, 0, (u32)(label >> 32), (u32)label};
  for (u32 i = 0; i < steps; i++) step(x, key, 0xffffffff);
  labels[2 * label] = make_uint4(x[0], x[1], x[2], x[3]);
  labels[2 * label + 1] = make_uint4(x[4], x[5], x[6], x[7]);
}

// gpu.mem: one segment of each walker's way, a thread each. `kept` gets the state after it as bytes,
// big-endian, at leaf `segment` of the walker's `leaves`.
KERNEL pow_walk(u32 k0, u32 k1, u32 k2, u32 k3, const uint4 *labels, u64 count, u32 *states,
                u32 walkers, u32 steps, u32 *kept, u32 leaves, u32 segment) {
  if (here() >= walkers) return;
  u32 walker = (u32)here();
  u32 key[4] = {k0, k1, k2, k3}, x[8];
  for (int i = 0; i < 8; i++) x[i] = states[8 * walker + i];
  for (u32 i = 0; i < steps; i++) {
    u64 place = __umul64hi((u64)x[0] << 32 | x[1], count);
    uint4 low = labels[2 * place], high = labels[2 * place + 1];
    x[0] ^= low.x, x[1] ^= low.y, x[2] ^= low.z, x[3] ^= low.w;
    x[4] ^= high.x, x[5] ^= high.y, x[6] ^= high.z, x[7] ^= high.w;
    step(x, key, walker);
  }
  u32 *leaf = kept + 8 * ((u64)walker * leaves + segment);
  for (int i = 0; i < 8; i++) {
    states[8 * walker + i] = x[i];
    leaf[i] = __byte_perm(x[i], 0, 0x0123);
  }
}

// gpu.mm: a matrix of n lines of n bytes from Philox 4x32-10 (Salmon et al., SC'11), sixteen bytes a
// thread. Side 0 is A by rows, 0...127; side 1 is B by columns.
KERNEL pow_lines(u32 k0, u32 k1, u32 layer, u32 side, u32 n, uint4 *out) {
  u64 blocks = n / 16;
  if (here() >= blocks * n) return;
  u32 x0 = (u32)(here() % blocks), x1 = (u32)(here() / blocks), x2 = side, x3 = layer;
  for (int round = 0; round < 10; round++) {
    u64 p0 = (u64)0xD2511F53u * x0, p1 = (u64)0xCD9E8D57u * x2;
    u32 y0 = (u32)(p1 >> 32) ^ x1 ^ k0, y2 = (u32)(p0 >> 32) ^ x3 ^ k1;
    x0 = y0, x1 = (u32)p1, x2 = y2, x3 = (u32)p0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  u32 mask = side == 0 ? 0x7f7f7f7f : 0xffffffff;
  out[here()] = make_uint4(x0 & mask, x1 & mask, x2 & mask, x3 & mask);
}

// gpu.mm: the exact product, 64 x 64 numbers a block of 256 threads, by dp4a (compute 6.1 and up).
// `a` has the rows from `row` on, `c` gets them as rows of n numbers.
KERNEL pow_product_dp4a(const u32 *a, const u32 *b, u32 n, u32 row, int *c) {
  // A word more in each line: threads of a warp then meet different banks.
  __shared__ u32 lines_a[64][9], lines_b[64][9];
  u32 words = n / 4, t = threadIdx.x, x = t % 16, y = t / 16;
  u64 first_row = row + (u64)blockIdx.y * 64, first_column = (u64)blockIdx.x * 64;
  int sum[4][4] = {};
  for (u32 k = 0; k < words; k += 8) {
    for (u32 i = t; i < 512; i += 256) {
      lines_a[i / 8][i % 8] = a[(first_row + i / 8) * words + k + i % 8];
      lines_b[i / 8][i % 8] = b[(first_column + i / 8) * words + k + i % 8];
    }
    __syncthreads();
#pragma unroll
    for (u32 w = 0; w < 8; w++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          sum[i][j] = __dp4a((int)lines_a[y + 16 * i][w], (int)lines_b[x + 16 * j][w], sum[i][j]);
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      c[((u64)blockIdx.y * 64 + y + 16 * i) * n + first_column + x + 16 * j] = sum[i][j];
}

#if defined(IORUN_EMULATED) || __CUDA_ARCH__ >= 800
#ifndef IORUN_EMULATED
// One warp's 16 x 8 numbers over 32 bytes (PTX ISA, "Matrix Fragments for mma.m16n8k32"). Without
// .satfinite sums wrap, and here they cannot overflow.
__device__ static inline void mma(int d[4], const u32 a[4], const u32 b[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// gpu.mm: the same by tensor cores (compute 8.0 and up), 128 x 128 numbers a block of 256 threads:
// eight warps of 64 x 32 each, 64 bytes of depth at a time.
KERNEL pow_product_mma(const u32 *a, const u32 *b, u32 n, u32 row, int *c) {
  // Twenty words a line: the eight lines and four words of a fragment then meet 32 banks.
  __shared__ u32 lines_a[128][20], lines_b[128][20];
  u32 words = n / 4, t = threadIdx.x, lane = t % 32, warp = t / 32;
  u32 group = lane / 4, four = lane % 4, warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
  u64 first_row = row + (u64)blockIdx.y * 128, first_column = (u64)blockIdx.x * 128;
  int sum[4][4][4] = {};
  // Sixteen bytes of a line a thread, twice for each side.
  u32 line = t / 4, part = t % 4;
  const uint4 *from_a = (const uint4 *)(a + (first_row + line) * words) + part;
  const uint4 *from_b = (const uint4 *)(b + (first_column + line) * words) + part;
  u64 later = (u64)64 * words / 4;
  uint4 next[4] = {from_a[0], from_a[later], from_b[0], from_b[later]};
  for (u32 k = 0; k < words; k += 16) {
    *(uint4 *)&lines_a[line][4 * part] = next[0];
    *(uint4 *)&lines_a[line + 64][4 * part] = next[1];
    *(uint4 *)&lines_b[line][4 * part] = next[2];
    *(uint4 *)&lines_b[line + 64][4 * part] = next[3];
    __syncthreads();
    if (k + 16 < words) {
      // The next part is on its way while this one is multiplied.
      u32 at = (k + 16) / 4;
      next[0] = from_a[at], next[1] = from_a[later + at];
      next[2] = from_b[at], next[3] = from_b[later + at];
    }
#pragma unroll
    for (u32 half = 0; half < 16; half += 8) {
      u32 of_b[4][2];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const u32 *from = &lines_b[warp_column + 8 * j + group][half + four];
        of_b[j][0] = from[0], of_b[j][1] = from[4];
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const u32 *from = &lines_a[warp_row + 16 * i + group][half + four];
        u32 of_a[4] = {from[0], from[8 * 20], from[4], from[8 * 20 + 4]};
#pragma unroll
        for (int j = 0; j < 4; j++) mma(sum[i][j], of_a, of_b[j]);
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      u64 at = ((u64)blockIdx.y * 128 + warp_row + 16 * i + group) * n + first_column +
               warp_column + 8 * j + 2 * four;
      c[at] = sum[i][j][0], c[at + 1] = sum[i][j][1];
      c[at + 8 * (u64)n] = sum[i][j][2], c[at + 8 * (u64)n + 1] = sum[i][j][3];
    }
}
#endif

__device__ static inline void store(const u32 s[8], u32 *digest) {
  for (int i = 0; i < 8; i++) digest[i] = __byte_perm(s[i], 0, 0x0123);
}

// gpu.mm: the digest of each 32 x 32 tile as a leaf, SHA256(0 || 4096 bytes), a thread each: the byte
// before shifts all others by one place.
KERNEL pow_tiles(const int *c, u32 n, u32 tiles, u32 *digests) {
  if (here() >= tiles) return;
  u32 side = n / 32, tile = (u32)here();
  const int *corner = c + (u64)(tile / side) * 32 * n + tile % side * 32;
  u32 s[8], before = 0;
  begin(s);
#pragma unroll 1
  for (u32 block = 0; block < 65; block++) {
    u32 w[16];
#pragma unroll
    for (u32 i = 0; i < 16; i++) {
      u32 at = 16 * block + i, value = 0;
      if (block < 64) value = (u32)corner[(u64)(at / 32) * n + at % 32];
      w[i] = before << 24 | (value & 0xff) << 16 | (value & 0xff00) | (value >> 16 & 0xff);
      // The last block is the last byte, the padding and the length, which nothing shifts.
      if (block == 64) w[i] = i == 0 ? before << 24 | 0x800000 : i == 15 ? 4097 * 8 : 0;
      before = value >> 24;
    }
    compress(s, w);
  }
  store(s, digests + 8 * (u64)tile);
}

// gpu.mm: a level of an RFC 6962 tree from the level below of `count` nodes, SHA256(1 || left ||
// right); a node without a partner moves up.
KERNEL pow_nodes(const u32 *below, u32 count, u32 *above) {
  u64 node = here();
  if (2 * node >= count) return;
  const u32 *pair = below + 16 * node;
  if (2 * node + 1 == count) {
    for (int i = 0; i < 8; i++) above[8 * node + i] = pair[i];
    return;
  }
  u32 s[8], w[16], before = 1;
  begin(s);
#pragma unroll
  for (int i = 0; i < 16; i++) {
    u32 value = __byte_perm(pair[i], 0, 0x0123);
    w[i] = before << 24 | value >> 8;
    before = value & 0xff;
  }
#pragma unroll 1
  for (int block = 0; block < 2; block++) {
    compress(s, w);
#pragma unroll
    for (int i = 1; i < 15; i++) w[i] = 0;
    w[0] = before << 24 | 0x800000, w[15] = 65 * 8;
  }
  store(s, above + 8 * node);
}
