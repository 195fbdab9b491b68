#include "ctunnel.h"

// RFC 6479: a ring of words instead of a window that is shifted. One word of the ring is always
// being cleared, so the window has 8,192 - 64 counters.
enum { window_size = (ct_replay_words - 1) * 64 };

bool ct_replay_check(const struct ct_replay *window, uint64_t counter) {
  if (counter >= window->next) return true;
  if (window->next - counter > window_size) return false;
  return !(window->words[counter / 64 % ct_replay_words] >> (counter % 64) & 1);
}

bool ct_replay_accept(struct ct_replay *window, uint64_t counter) {
  if (!ct_replay_check(window, counter)) return false;
  if (counter >= window->next) {
    uint64_t present = window->next == 0 ? 0 : (window->next - 1) / 64;
    uint64_t steps = counter / 64 - present;
    if (steps > ct_replay_words) steps = ct_replay_words;
    for (uint64_t step = 1; step <= steps; step++) {
      window->words[(present + step) % ct_replay_words] = 0;
    }
    window->next = counter + 1;
  }
  window->words[counter / 64 % ct_replay_words] |= UINT64_C(1) << counter % 64;
  return true;
}
