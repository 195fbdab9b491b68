// The hot path of our own WireGuard: everything that runs for each packet. Handshakes, timers and
// policy are Swift's.
#ifndef IORUN_CTUNNEL_H
#define IORUN_CTUNNEL_H

#include <stdint.h>

// The version of this interface.
int ct_version(void);

#endif
