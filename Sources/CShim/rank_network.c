// Puts the calling process, which has one thread, into a gang's network: the namespace, and a view of
// the files that speak of it.
#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

// Binds `folder/name` over `target`, where both are there.
static void cover(const char *folder, const char *name, const char *target) {
  char source[PATH_MAX];
  if (snprintf(source, sizeof source, "%s/%s", folder, name) >= (int)sizeof source) return;
  if (access(source, F_OK) == 0) mount(source, target, NULL, MS_BIND, NULL);
}

// /sys/class/net shows the interfaces of the namespace in which sysfs was mounted. Only these two
// folders are replaced, so that what else is mounted below /sys (control groups) stays.
static void show_interfaces(const char *folder) {
  char sysfs[PATH_MAX];
  if (snprintf(sysfs, sizeof sysfs, "%s/sys", folder) >= (int)sizeof sysfs) return;
  if (mkdir(sysfs, 0700) < 0 && errno != EEXIST) return;
  if (mount("sysfs", sysfs, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) return;
  cover(sysfs, "class/net", "/sys/class/net");
  cover(sysfs, "devices/virtual/net", "/sys/devices/virtual/net");
  umount2(sysfs, MNT_DETACH);
}

int iorun_enter_network(int space, const char *folder) {
  if (setns(space, CLONE_NEWNET) < 0) return errno;
  if (unshare(CLONE_NEWNS) < 0) return errno;
  // What is mounted in here must not show outside; what is mounted outside may show in here.
  if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) return errno;
  // Names and interface lists are a help: a rank runs without them, too.
  cover(folder, "hosts", "/etc/hosts");
  cover(folder, "resolv.conf", "/etc/resolv.conf");
  show_interfaces(folder);
  return 0;
}
