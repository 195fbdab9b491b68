// Addresses as the kernel has them.
#ifndef IORUN_CTUNNEL_SOCKET_H
#define IORUN_CTUNNEL_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "ctunnel.h"

// Writes the address for a socket of that family; its length, or 0 if the family has none such.
socklen_t ct_address_write(const struct ct_endpoint *endpoint, int family,
                           struct sockaddr_storage *address);
// Reads an address; IPv4 ones that an IPv6 socket shows as IPv6 become IPv4 again.
void ct_address_read(const struct sockaddr_storage *address, struct ct_endpoint *endpoint);

#endif
