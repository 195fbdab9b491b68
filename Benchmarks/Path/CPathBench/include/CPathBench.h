// The loops of the relay's benchmark: as fast as the kernel takes and gives, so that what is in the
// middle is what is measured.
#ifndef IORUN_CPATHBENCH_H
#define IORUN_CPATHBENCH_H

#include <stdint.h>

// Sends datagrams of `size` bytes that begin with `header`, many a system call, to 127.0.0.1:`port`
// for so long. How many bytes, or -errno.
int64_t pathbench_flood(int fd, uint16_t port, const uint8_t header[8], int size, double seconds);
// Receives until nothing has come for half a second after `seconds`. How many bytes, or -errno.
int64_t pathbench_sink(int fd, double seconds);
// A pair of connected TCP sockets on loopback. 0, or -errno.
int pathbench_tcp_pair(int fds[2]);
// Writes for so long, then ends the stream. How many bytes, or -errno.
int64_t pathbench_write(int fd, double seconds);
// Reads to the end. How many bytes, or -errno.
int64_t pathbench_read(int fd);
// The CPU time of a thread of this process by its name, in nanoseconds; -1 where there is none.
int64_t pathbench_thread_ns(const char *name);
void pathbench_name_thread(const char *name);

#endif
