// The inner loops of proof of work, with a variant for each instruction set. No allocation, no
// locks, no global state but what cpu.c finds out once. Every variant gives the same bits as the
// Swift code beside it; IorunPoW chooses one at run time.
#ifndef IORUN_CPOW_H
#define IORUN_CPOW_H

#include <stdint.h>

#include "CPoWGPU.h"

// cpu.c: what this processor can do.

enum iorun_pow_kernel {
  IORUN_POW_SCALAR = 0,   // plain C
  IORUN_POW_SHANI = 1,    // x86 SHA extensions, three messages interleaved
  IORUN_POW_AVX2 = 2,     // eight messages in a vector
  IORUN_POW_AVX512 = 3,   // sixteen messages in a vector
  IORUN_POW_ARM_SHA2 = 4, // arm64 SHA-2 instructions
  IORUN_POW_VNNI = 5,     // AVX-512 VNNI, for the product only
};

// 1 where this processor, its operating system and this build have the instructions.
int iorun_pow_has(int kernel);
// CPU time of the calling thread in nanoseconds.
uint64_t iorun_pow_thread_ns(void);
// The core's clock in Hz: a chain of dependent additions, one a cycle, against CPU time.
double iorun_pow_clock_hz(void);
// CPU nanoseconds that the instructions of one SHA-256 block take with SHA-NI when nothing waits
// for anything: 12 groups with the message schedule and 4 without. 0 where there is no SHA-NI.
double iorun_pow_mix_ns(void);
// Nanoseconds of the 32 sha256rnds2 of a hash where each waits for the one before: one lane cannot be
// faster. 0 where the processor has none.
double iorun_pow_rounds_ns(void);
// The same for the AVX-512 kernel's instructions, for one of its sixteen messages.
double iorun_pow_vector_mix_ns(void);

// disk.c

// O_DIRECT, which Swift does not see; 0 where there is none. Its number differs between processors.
int iorun_pow_direct_flag(void);

// hash*.c: the search for small digests. A message has a 64-byte prefix and 16 more bytes: the low
// half of the nonce, its high half, the epoch; all words big-endian.

struct iorun_pow_message {
  uint32_t midstate[8]; // SHA-256's state after the prefix
  uint32_t tail[3];     // the words after the low half of the nonce
};

// SHA-256's state after a first block of 64 bytes.
void iorun_pow_midstate(const uint8_t prefix[64], uint32_t midstate[8]);
// Tries `count` low halves from `first` (wrapping) and writes those to `found` whose digest's first
// word is at most `threshold`; stops early when `capacity` are found. `*tried` says how many were
// tried. Returns how many were found.
uint32_t iorun_pow_seek(int kernel, const struct iorun_pow_message *search, uint32_t first,
                        uint32_t count, uint32_t threshold, uint32_t *found, uint32_t capacity,
                          uint32_t *tried);
// The first eight bytes, as a big-endian number, of the digests of `count` nonces.
void iorun_pow_digests(int kernel, const struct iorun_pow_message *search, const uint64_t *nonces,
                       uint64_t *values, uint32_t count);

// chain.c: sequential work. A step is x <- SHA256(x || key || tag), 52 bytes in one block; `key` is
// four big-endian words, `tag` one. A state is eight words.

// Takes `steps` steps of each of `lanes` chains, three interleaved (SHA-NI, arm64).
void iorun_pow_chain(int kernel, const uint32_t key[4], const uint32_t *tags, uint32_t *states,
                     uint32_t lanes, uint64_t steps);
// Labels `first` to `first + count - 1`: `steps` steps from the label's number, under tag ~0.
void iorun_pow_fill(int kernel, const uint32_t key[4], uint64_t first, uint64_t count,
                    uint32_t steps, uint32_t *labels);
// Takes `steps` steps of `walkers` walkers over `count` labels:
// x <- step(x xor label[floor(x * count / 2^256)]).
void iorun_pow_walk(int kernel, const uint32_t key[4], const uint32_t *labels, uint64_t count,
                    const uint32_t *tags, uint32_t *states, uint32_t walkers, uint32_t steps);

// product.c: the exact product of seeded matrices of bytes.

// Rows `first` to `first + count - 1` of a matrix, `n` bytes each (a multiple of 16), from Philox
// 4x32-10. `side` 0 is A, with values 0...127; 1 is B by columns, -128...127.
void iorun_pow_rows(int kernel, const uint32_t key[2], uint32_t layer, uint32_t side,
                    uint32_t first, uint32_t count, uint32_t n, uint8_t *rows);
// Orders columns of B for the kernels: `columns` a multiple of 16.
void iorun_pow_pack_b(const int8_t *b, uint32_t columns, uint32_t n, int8_t *packed);
// Orders rows of A for the kernels: `rows` a multiple of 4.
void iorun_pow_pack_a(const uint8_t *a, uint32_t rows, uint32_t n, uint8_t *packed);
// c = A B for `rows` rows (a multiple of 4) and `columns` columns (a multiple of 16; VNNI needs 64,
// and leaves less to AVX2), both packed; `n` a multiple of 64.
void iorun_pow_product(int kernel, const uint8_t *a, const int8_t *b, uint32_t rows,
                       uint32_t columns, uint32_t n, int32_t *c);
// Freivalds' check mod 2^61 - 1 of a whole product: 1 where A (B r) = C r. `a` by rows, `b` by
// columns, `c` by rows; `r` has n values below 2^61 - 1, `work` room for n more.
int iorun_pow_freivalds(const uint8_t *a, const int8_t *b, const int32_t *c, uint32_t n,
                        const uint64_t *r, uint64_t *work);

#endif
