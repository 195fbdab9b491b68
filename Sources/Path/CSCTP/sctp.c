#include "CSCTP.h"

#define INET
#define INET6
#include <string.h>
#include <usrsctp.h>

// The port at which the other end of each path takes associations: paths have addresses of their own,
// so one is enough.
enum { association_port = 5000 };
// What an association may have under way in each direction, and so what it may hold in memory: 25 MB/s
// over 160 ms.
enum { window = 4 << 20 };
// What may wait to be accepted on a path.
enum { backlog = 4 };

static iorun_sctp_output output_of_all;

static int send_out(void *address, void *packet, size_t count, uint8_t tos, uint8_t set_df) {
  (void)tos, (void)set_df;
  output_of_all((uintptr_t)address, packet, count);
  return 0;
}

void iorun_sctp_init(iorun_sctp_output output) {
  output_of_all = output;
  // With its own threads libusrsctp would open raw sockets as root and take the network's SCTP.
  usrsctp_init_nothreads(0, send_out, NULL);
  // Each datagram has a better code than a CRC already.
  usrsctp_enable_crc32c_offload();
  // Nothing is answered that belongs to no association.
  usrsctp_sysctl_set_sctp_blackhole(2);
  // One address, one stream, no extensions.
  usrsctp_sysctl_set_sctp_ecn_enable(0);
  usrsctp_sysctl_set_sctp_auto_asconf(0);
  usrsctp_sysctl_set_sctp_asconf_enable(0);
  usrsctp_sysctl_set_sctp_auth_enable(0);
  usrsctp_sysctl_set_sctp_reconfig_enable(0);
  usrsctp_sysctl_set_sctp_nrsack_enable(0);
  usrsctp_sysctl_set_sctp_pktdrop_enable(0);
  usrsctp_sysctl_set_sctp_pr_enable(0);
  usrsctp_sysctl_set_sctp_cmt_on_off(0);
  usrsctp_sysctl_set_sctp_nr_outgoing_streams_default(1);
  usrsctp_sysctl_set_sctp_nr_incoming_streams_default(1);
  usrsctp_sysctl_set_sctp_sendspace(window);
  usrsctp_sysctl_set_sctp_recvspace(window);
  // 512 chunks, the default, are half a megabyte.
  usrsctp_sysctl_set_sctp_max_chunks_on_queue(2 * window / 1024);
  usrsctp_sysctl_set_sctp_initial_cwnd(10);
  usrsctp_sysctl_set_sctp_delayed_sack_time_default(20);
  usrsctp_sysctl_set_sctp_rto_initial_default(500);
  usrsctp_sysctl_set_sctp_rto_min_default(200);
  usrsctp_sysctl_set_sctp_rto_max_default(2000);
  usrsctp_sysctl_set_sctp_init_rto_max_default(1000);
  // So an association outlives the 6.5 s after which a way that broke is given up for the relay, and
  // is lost after about 15 s without any.
  usrsctp_sysctl_set_sctp_path_rtx_max_default(9);
  usrsctp_sysctl_set_sctp_assoc_rtx_max_default(9);
  usrsctp_sysctl_set_sctp_init_rtx_max_default(6);
  usrsctp_sysctl_set_sctp_heartbeat_interval_default(2000);
  usrsctp_sysctl_set_sctp_shutdown_guard_time_default(15);
}

void iorun_sctp_tick(uint32_t milliseconds) { usrsctp_handle_timers(milliseconds); }

void iorun_sctp_add_path(uintptr_t path) { usrsctp_register_address((void *)path); }

void iorun_sctp_remove_path(uintptr_t path) { usrsctp_deregister_address((void *)path); }

void iorun_sctp_input(uintptr_t path, const void *packet, size_t count) {
  usrsctp_conninput((void *)path, packet, count, 0);
}

static struct socket *of(struct iorun_sctp_socket *socket) { return (struct socket *)socket; }

static struct iorun_sctp_socket *failed(struct socket *socket) {
  usrsctp_close(socket);
  return NULL;
}

static int set_up(struct socket *socket, uint32_t packet_bytes) {
  int on = 1;
  struct sctp_paddrparams parameters;
  memset(&parameters, 0, sizeof parameters);
  parameters.spp_address.ss_family = AF_CONN;
  parameters.spp_flags = SPP_PMTUD_DISABLE | SPP_HB_ENABLE;
  parameters.spp_hbinterval = 2000;
  parameters.spp_pathmtu = packet_bytes;
  if (usrsctp_set_non_blocking(socket, 1) < 0 ||
      usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof on) < 0)
    return -1;
  return usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &parameters,
                            sizeof parameters);
}

static struct sockaddr_conn place_of(uintptr_t path, uint16_t port) {
  struct sockaddr_conn place;
  memset(&place, 0, sizeof place);
  place.sconn_family = AF_CONN;
  place.sconn_port = htons(port);
  place.sconn_addr = (void *)path;
  return place;
}

// A socket at this end of a path.
static struct socket *open_at(uintptr_t path, uint16_t port, uint32_t packet_bytes) {
  struct socket *socket =
      usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
  if (!socket) return NULL;
  struct sockaddr_conn here = place_of(path, port);
  if (set_up(socket, packet_bytes) < 0 ||
      usrsctp_bind(socket, (struct sockaddr *)&here, sizeof here) < 0) {
    usrsctp_close(socket);
    return NULL;
  }
  return socket;
}

struct iorun_sctp_socket *iorun_sctp_listen(uintptr_t path, uint32_t packet_bytes) {
  struct socket *socket = open_at(path, association_port, packet_bytes);
  if (socket && usrsctp_listen(socket, backlog) < 0) return failed(socket);
  return (struct iorun_sctp_socket *)socket;
}

struct iorun_sctp_socket *iorun_sctp_accept(struct iorun_sctp_socket *listener,
                                            uint32_t packet_bytes) {
  struct socket *socket = usrsctp_accept(of(listener), NULL, NULL);
  if (socket && set_up(socket, packet_bytes) < 0) return failed(socket);
  return (struct iorun_sctp_socket *)socket;
}

struct iorun_sctp_socket *iorun_sctp_connect(uintptr_t path, uint32_t packet_bytes) {
  struct socket *socket = open_at(path, 0, packet_bytes);
  if (!socket) return NULL;
  struct sockaddr_conn there = place_of(path, association_port);
  if (usrsctp_connect(socket, (struct sockaddr *)&there, sizeof there) < 0 &&
      errno != EINPROGRESS)
    return failed(socket);
  return (struct iorun_sctp_socket *)socket;
}

static ssize_t failure(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS || errno == EINTR
             ? -EAGAIN
             : -errno;
}

ssize_t iorun_sctp_send(struct iorun_sctp_socket *socket, const void *bytes, size_t count) {
  // Before there is an association libusrsctp would take bytes and say no word where there is none.
  int events = usrsctp_get_events(of(socket));
  if (!(events & SCTP_EVENT_WRITE) && !(events & SCTP_EVENT_ERROR)) return -EAGAIN;
  ssize_t sent = usrsctp_sendv(of(socket), bytes, count, NULL, 0, NULL, 0, SCTP_SENDV_NOINFO, 0);
  return sent < 0 ? failure() : sent;
}

ssize_t iorun_sctp_receive(struct iorun_sctp_socket *socket, void *bytes, size_t room) {
  int events = usrsctp_get_events(of(socket));
  if (!(events & (SCTP_EVENT_READ | SCTP_EVENT_ERROR))) return -EAGAIN;
  struct sctp_rcvinfo info;
  socklen_t from_length = 0, info_length = sizeof info;
  unsigned int info_type = 0;
  int flags = 0;
  ssize_t count = usrsctp_recvv(of(socket), bytes, room, NULL, &from_length, &info, &info_length,
                                &info_type, &flags);
  return count < 0 ? failure() : count;
}

void iorun_sctp_close(struct iorun_sctp_socket *socket, int at_once) {
  if (at_once) {
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    usrsctp_setsockopt(of(socket), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  usrsctp_close(of(socket));
}
