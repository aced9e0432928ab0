/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_DPDK_H
#define VSWITCH_DATAPATH_PORTS_DPDK_H

/* What those who open devices of DPDK (dpdk_devices.c) and the ports on them (dpdk.c) share. */

#include <rte_ethdev.h>

#include "datapath/packet.h"

#define DPDK_POOL "vswitch" /* the mempool of devices' mbufs */
/* A buffer of the pool holds what a packet's head does; before it is the header for slices. */
#define DPDK_PRIVATE_SIZE RTE_ALIGN(offsetof(struct packet_buffer, data), RTE_MBUF_PRIV_ALIGN)
#define DPDK_BUFFER_SIZE  PACKET_OBJECT_SIZE

/* What is asked of a device's driver, as far as it can. */
uint64_t dpdk_receive_offloads(const struct rte_eth_dev_info *info);
uint64_t dpdk_send_offloads(const struct rte_eth_dev_info *info);

#endif
