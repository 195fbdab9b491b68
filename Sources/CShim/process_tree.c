#define _GNU_SOURCE
#include "process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
  pid_t pid;
  pid_t parent;
  bool ours;
};

struct processes {
  struct process *items;
  size_t count;
  size_t capacity;
};

// Reads one /proc/PID/stat: the parent stands two fields behind the last ')', because a command's
// name may hold anything, also parentheses.
static bool read_process(const char *name, struct process *result) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0) return false;
  text[count] = 0;
  char *end = strrchr(text, ')');
  char state;
  int parent;
  if (end == NULL || sscanf(end + 1, " %c %d", &state, &parent) != 2) return false;
  *result = (struct process){.pid = atoi(name), .parent = parent};
  return state != 'Z' && state != 'X';
}

static bool append(struct processes *all, struct process item) {
  if (all->count == all->capacity) {
    size_t capacity = all->capacity == 0 ? 256 : all->capacity * 2;
    struct process *items = realloc(all->items, capacity * sizeof *items);
    if (items == NULL) return false;
    all->items = items;
    all->capacity = capacity;
  }
  all->items[all->count++] = item;
  return true;
}

static struct processes list_processes(void) {
  struct processes all = {0};
  DIR *folder = opendir("/proc");
  if (folder == NULL) return all;
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    struct process item;
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (read_process(entry->d_name, &item) && !append(&all, item)) break;
  }
  closedir(folder);
  return all;
}

static int by_pid(const void *left, const void *right) {
  pid_t a = ((const struct process *)left)->pid, b = ((const struct process *)right)->pid;
  return (a > b) - (a < b);
}

// A process is ours where its parent is this process or one of ours. Repeats until nothing changes,
// since a parent may have the larger id.
static void mark_descendants(struct processes *all) {
  if (all->count == 0) return;
  pid_t self = getpid();
  qsort(all->items, all->count, sizeof *all->items, by_pid);
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < all->count; i++) {
      struct process *item = &all->items[i];
      if (item->ours) continue;
      struct process key = {.pid = item->parent};
      struct process *parent =
          bsearch(&key, all->items, all->count, sizeof *all->items, by_pid);
      item->ours = item->parent == self || (parent != NULL && parent->ours);
      changed = changed || item->ours;
    }
  }
}

static bool contains(const struct processes *all, pid_t pid) {
  for (size_t i = 0; i < all->count; i++) {
    if (all->items[i].pid == pid) return true;
  }
  return false;
}

int signal_descendants(int signal) {
  struct processes signalled = {0};
  // A bound on walks: a fork bomb is met again in the caller's next round.
  for (int walk = 0; walk < 16; walk++) {
    struct processes all = list_processes();
    mark_descendants(&all);
    bool found = false;
    for (size_t i = 0; i < all.count; i++) {
      struct process item = all.items[i];
      if (!item.ours || contains(&signalled, item.pid)) continue;
      kill(item.pid, signal);
      found = append(&signalled, item);
    }
    free(all.items);
    if (!found) break;
  }
  free(signalled.items);
  return (int)signalled.count;
}
