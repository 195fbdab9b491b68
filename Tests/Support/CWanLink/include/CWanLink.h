// The Linux calls behind the WAN link emulator of the tests: sockets and TUN devices in another
// network namespace, timers, and a place near the front of the scheduler's queue. Test support
// only: nothing of the product links against it.
#ifndef IORUN_CWANLINK_H
#define IORUN_CWANLINK_H

#include <stdint.h>

// namespace.c: what belongs to another network namespace. The calling thread stays where it is.

// A socket (close-on-exec) of the namespace that `namespace_path` names, or -errno.
int iorun_wanlink_socket(const char *namespace_path, int domain, int type, int protocol);

// A TUN device in the namespace, up, with an IPv4 `address` and its `peer` at the other end of a
// point-to-point link. Returns a non-blocking descriptor whose end removes the device, or -errno.
int iorun_wanlink_tun(const char *namespace_path, const char *name, const char *address,
                      const char *peer, int mtu);

// timing.c: to be on time.

// Nanoseconds of the monotonic clock.
int64_t iorun_wanlink_now(void);
// A non-blocking timer on that clock, or -errno.
int iorun_wanlink_timer(void);
// Makes the timer readable at an absolute time; 0 stops it. 0, or -errno.
int iorun_wanlink_arm(int timer, int64_t nanoseconds);
// Asks for exact timers and for the processor as soon as one is due. 0, or -errno where the kernel
// grants it not; timers are exact even then, but may come late on a busy machine.
int iorun_wanlink_be_prompt(void);
// A descriptor that becomes readable on SIGTERM and SIGINT instead of their ending the process;
// call it before any thread is started. -errno on failure.
int iorun_wanlink_end_signals(void);

#endif
