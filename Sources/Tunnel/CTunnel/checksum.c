#include <string.h>

#include "ctunnel.h"

uint16_t ct_checksum(const uint8_t *bytes, size_t count, uint32_t start) {
  // Four sums of 32-bit words in 64 bits: the compiler makes vectors of them, and carries cannot be
  // lost below 16 GiB.
  uint64_t sums[4] = {start, 0, 0, 0};
  while (count >= 16) {
    uint32_t words[4];
    memcpy(words, bytes, sizeof words);
    for (int index = 0; index < 4; index++) sums[index] += words[index];
    bytes += 16;
    count -= 16;
  }
  uint64_t sum = sums[0] + sums[1] + sums[2] + sums[3];
  while (count >= 2) {
    uint16_t word;
    memcpy(&word, bytes, sizeof word);
    sum += word;
    bytes += 2;
    count -= 2;
  }
  if (count) {
    uint16_t word = 0;
    memcpy(&word, bytes, 1);
    sum += word;
  }
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return (uint16_t)sum;
}
