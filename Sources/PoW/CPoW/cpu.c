// What this processor can do, and how fast its clock is.
#include <time.h>

#include "sha256.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

enum { HAS_SHANI = 1, HAS_AVX2 = 2, HAS_AVX512 = 4, HAS_VNNI = 8, LOOKED = 16 };

static unsigned look(void) {
  unsigned a, b, c, d, has = LOOKED;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return has;
  int sse41 = c >> 19 & 1, avx = (c >> 28 & 1) && (c >> 27 & 1);
  unsigned low = 0, high = 0;
  // XGETBV: which registers the operating system saves. Without it a vector may be lost at any time.
  if (avx) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  int ymm = (low & 6) == 6, zmm = (low & 0xe6) == 0xe6;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return has;
  if ((b >> 29 & 1) && sse41 && avx && ymm) has |= HAS_SHANI;
  if ((b >> 5 & 1) && avx && ymm) has |= HAS_AVX2;
  // Foundation, DQ, BW and VL: every server processor with AVX-512 has these.
  int avx512 = (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1) && zmm;
  if (avx512) has |= HAS_AVX512;
  if (avx512 && (c >> 11 & 1)) has |= HAS_VNNI;
  return has;
}

static unsigned features(void) {
  // Two threads may both look; they find the same.
  static unsigned known;
  unsigned has = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!has) __atomic_store_n(&known, has = look(), __ATOMIC_RELAXED);
  return has;
}

int iorun_pow_has(int kernel) {
  switch (kernel) {
  case IORUN_POW_SCALAR: return 1;
  case IORUN_POW_SHANI: return (features() & HAS_SHANI) != 0;
  case IORUN_POW_AVX2: return (features() & HAS_AVX2) != 0;
  case IORUN_POW_AVX512: return (features() & HAS_AVX512) != 0;
  case IORUN_POW_VNNI: return (features() & HAS_VNNI) != 0;
  default: return 0;
  }
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
int iorun_pow_has(int kernel) {
  // HWCAP_SHA2 (linux/arch/arm64 uapi/asm/hwcap.h).
  if (kernel == IORUN_POW_ARM_SHA2) return (getauxval(AT_HWCAP) >> 6 & 1) != 0;
  return kernel == IORUN_POW_SCALAR;
}
#else
// Every arm64 Mac has the SHA-2 instructions.
int iorun_pow_has(int kernel) {
  return kernel == IORUN_POW_SCALAR || kernel == IORUN_POW_ARM_SHA2;
}
#endif
#else
int iorun_pow_has(int kernel) { return kernel == IORUN_POW_SCALAR; }
#endif

uint64_t iorun_pow_thread_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double iorun_pow_clock_hz(void) {
  double best = 0;
  for (int trial = 0; trial < 8; trial++) {
    uint64_t start = iorun_pow_thread_ns(), x = 1;
    for (int i = 0; i < 50000; i++) {
#if defined(__x86_64__)
      __asm__ volatile("addq %0,%0\n addq %0,%0\n addq %0,%0\n addq %0,%0\n addq %0,%0\n"
                       "addq %0,%0\n addq %0,%0\n addq %0,%0\n addq %0,%0\n addq %0,%0\n"
                       : "+r"(x));
#elif defined(__aarch64__)
      __asm__ volatile("add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n"
                       "add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n add %0,%0,%0\n"
                       : "+r"(x));
#endif
    }
    double hz = 50000.0 * 10 / ((double)(iorun_pow_thread_ns() - start) * 1e-9);
    if (hz > best) best = hz;
  }
  return best;
}

#if defined(__x86_64__)
// A group of four rounds: on its own registers, so that nothing waits. xmm0 is SHA-NI's own.
#define ROUNDS(a, b)                                                                               \
  "paddd %%xmm15,%%xmm0\n sha256rnds2 %%xmm" #a ",%%xmm" #b "\n"                                   \
  "pshufd $14,%%xmm15,%%xmm0\n sha256rnds2 %%xmm" #b ",%%xmm" #a "\n"
#define GROUP(a, b, m, t)                                                                          \
  ROUNDS(a, b)                                                                                     \
  "palignr $4,%%xmm15,%%xmm" #t "\n paddd %%xmm15,%%xmm" #t "\n"                                   \
  "sha256msg1 %%xmm15,%%xmm" #m "\n sha256msg2 %%xmm15,%%xmm" #t "\n"

double iorun_pow_mix_ns(void) {
  if (!iorun_pow_has(IORUN_POW_SHANI)) return 0;
  double best = 0;
  for (int trial = 0; trial < 8; trial++) {
    uint64_t start = iorun_pow_thread_ns();
    for (int i = 0; i < 20000; i++) {
      __asm__ volatile(GROUP(1, 2, 9, 12) GROUP(3, 4, 10, 13) GROUP(5, 6, 11, 14) ROUNDS(7, 8)
                           GROUP(1, 2, 9, 12) GROUP(3, 4, 10, 13) GROUP(5, 6, 11, 14) ROUNDS(7, 8)
                               GROUP(1, 2, 9, 12) GROUP(3, 4, 10, 13) GROUP(5, 6, 11, 14)
                                   ROUNDS(7, 8) GROUP(1, 2, 9, 12) GROUP(3, 4, 10, 13)
                                       GROUP(5, 6, 11, 14) ROUNDS(7, 8)
                       :
                       :
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                         "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    }
    double ns = (double)(iorun_pow_thread_ns() - start) / 20000;
    if (best == 0 || ns < best) best = ns;
  }
  return best;
}

#define TWO_ROUNDS "sha256rnds2 %%xmm1,%%xmm2\n sha256rnds2 %%xmm2,%%xmm1\n"
#define EIGHT_ROUNDS TWO_ROUNDS TWO_ROUNDS TWO_ROUNDS TWO_ROUNDS

double iorun_pow_rounds_ns(void) {
  if (!iorun_pow_has(IORUN_POW_SHANI)) return 0;
  double best = 0;
  for (int trial = 0; trial < 8; trial++) {
    uint64_t start = iorun_pow_thread_ns();
    for (int i = 0; i < 20000; i++)
      __asm__ volatile(EIGHT_ROUNDS EIGHT_ROUNDS EIGHT_ROUNDS EIGHT_ROUNDS
                       :
                       :
                       : "xmm0", "xmm1", "xmm2");
    double ns = (double)(iorun_pow_thread_ns() - start) / 20000;
    if (best == 0 || ns < best) best = ns;
  }
  return best;
}

// Five rotations, which one port does, three of three-way logic and four additions, which two ports
// do: the kernel's mix, each on a register of its own.
__attribute__((target("avx512f"))) double iorun_pow_vector_mix_ns(void) {
  if (!iorun_pow_has(IORUN_POW_AVX512)) return 0;
  double best = 0;
  for (int trial = 0; trial < 8; trial++) {
    uint64_t start = iorun_pow_thread_ns();
    for (int i = 0; i < 20000; i++) {
      __asm__ volatile("vprord $7,%%zmm0,%%zmm0\n vpaddd %%zmm16,%%zmm1,%%zmm1\n"
                       "vprord $6,%%zmm2,%%zmm2\n vpternlogd $150,%%zmm16,%%zmm17,%%zmm3\n"
                       "vpaddd %%zmm17,%%zmm4,%%zmm4\n vprord $11,%%zmm5,%%zmm5\n"
                       "vpternlogd $202,%%zmm16,%%zmm17,%%zmm6\n vprord $2,%%zmm7,%%zmm7\n"
                       "vpaddd %%zmm16,%%zmm8,%%zmm8\n vprord $13,%%zmm9,%%zmm9\n"
                       "vpternlogd $232,%%zmm16,%%zmm17,%%zmm10\n vpaddd %%zmm17,%%zmm11,%%zmm11\n"
                       :
                       :
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                         "xmm9", "xmm10", "xmm11");
    }
    // The kernel has 1,588 vector instructions for sixteen messages.
    double ns = (double)(iorun_pow_thread_ns() - start) / 20000 / 12 * 1588 / 16;
    if (best == 0 || ns < best) best = ns;
  }
  return best;
}
#else
double iorun_pow_mix_ns(void) { return 0; }
double iorun_pow_rounds_ns(void) { return 0; }
double iorun_pow_vector_mix_ns(void) { return 0; }
#endif
