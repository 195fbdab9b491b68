#include <stdlib.h>
#include <string.h>

#include "ctunnel.h"

// A binary tree over the leading bits with one-child paths left out (a Patricia tree, as the
// kernel's WireGuard has it): a lookup visits as many nodes as there are nested ranges and forks.
struct node {
  uint8_t bits[16];
  uint8_t length;
  int16_t peer;  // -1: only a fork
  struct node *child[2];
};

struct ct_trie {
  struct node *root[2];
  size_t used, count;
  struct node nodes[];
};

static int bit(const uint8_t *bits, int index) { return bits[index / 8] >> (7 - index % 8) & 1; }

static int common_bits(const uint8_t *one, const uint8_t *other, int limit) {
  int count = 0;
  while (count + 8 <= limit && one[count / 8] == other[count / 8]) count += 8;
  while (count < limit && bit(one, count) == bit(other, count)) count++;
  return count;
}

static struct node *make_node(struct ct_trie *trie, const uint8_t *bits, int length, int peer) {
  struct node *node = &trie->nodes[trie->used++];
  memset(node, 0, sizeof *node);
  for (int index = 0; index < length; index++) {
    if (bit(bits, index)) node->bits[index / 8] |= (uint8_t)(0x80 >> index % 8);
  }
  node->length = (uint8_t)length;
  node->peer = (int16_t)peer;
  return node;
}

static void insert(struct ct_trie *trie, const struct ct_allowed *range) {
  struct node **place = &trie->root[range->is_v6 ? 1 : 0];
  for (;;) {
    struct node *node = *place;
    if (!node) {
      *place = make_node(trie, range->address, range->length, range->peer);
      return;
    }
    int limit = node->length < range->length ? node->length : range->length;
    int common = common_bits(node->bits, range->address, limit);
    if (common == node->length && common == range->length) {
      node->peer = (int16_t)range->peer;
      return;
    }
    if (common == node->length) {
      place = &node->child[bit(range->address, common)];
      continue;
    }
    bool is_above = common == range->length;
    struct node *fork =
        make_node(trie, range->address, common, is_above ? (int)range->peer : -1);
    fork->child[bit(node->bits, common)] = node;
    *place = fork;
    if (!is_above) {
      fork->child[bit(range->address, common)] =
          make_node(trie, range->address, range->length, range->peer);
    }
    return;
  }
}

struct ct_trie *ct_trie_create(const struct ct_allowed *ranges, size_t count) {
  // Each range adds at most itself and a fork.
  struct ct_trie *trie = calloc(1, sizeof *trie + (2 * count + 1) * sizeof trie->nodes[0]);
  if (!trie) return NULL;
  for (size_t index = 0; index < count; index++) {
    if (ranges[index].length <= (ranges[index].is_v6 ? 128 : 32)) insert(trie, &ranges[index]);
  }
  return trie;
}

void ct_trie_destroy(struct ct_trie *trie) { free(trie); }

int ct_trie_lookup(const struct ct_trie *trie, const uint8_t *address, bool is_v6) {
  const int bits = is_v6 ? 128 : 32;
  int found = -1;
  const struct node *node = trie->root[is_v6 ? 1 : 0];
  while (node && common_bits(node->bits, address, node->length) == node->length) {
    if (node->peer >= 0) found = node->peer;
    if (node->length == bits) break;
    node = node->child[bit(address, node->length)];
  }
  return found;
}
