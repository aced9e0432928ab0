/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/dpdk_devices.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "datapath/ports/dpdk.h"
#include "datapath/ports/dpdk_runtime.h"
#include "datapath/ports/dpdk_trial.h"

#define LINE_SIZE  320u
#define RING_SIZE  512u
#define POOL_COUNT 16384u /* mbufs that are in devices' rings and under way */
#define POOL_CACHE 256u
#define WHY_SIZE   128u

/* A line of the file. */
struct wanted {
	struct proto_ref port;
	char device[LINE_SIZE];
};

/* The owner that a device is given in DPDK's own table: so a port finds it. */
static void owner_name(const struct proto_ref *port, char name[RTE_ETH_MAX_OWNER_NAME_LEN])
{
	snprintf(name, RTE_ETH_MAX_OWNER_NAME_LEN, "vswitch-%" PRIu32 "-%" PRIu32, port->index,
		 port->incarnation);
}

int dpdk_devices_find(const struct proto_ref *port)
{
	char wanted[RTE_ETH_MAX_OWNER_NAME_LEN];
	uint16_t id;

	owner_name(port, wanted);
	for (id = 0; id < RTE_MAX_ETHPORTS; id++) {
		struct rte_eth_dev_owner owner;

		if (rte_eth_dev_is_valid_port(id) && rte_eth_dev_owner_get(id, &owner) == 0 &&
		    strcmp(owner.name, wanted) == 0)
			return id;
	}
	return -ENODEV;
}

static int own(uint16_t id, const struct proto_ref *port)
{
	struct rte_eth_dev_owner owner = {0};
	int error = rte_eth_dev_owner_new(&owner.id);

	if (error < 0)
		return error;
	owner_name(port, owner.name);
	return rte_eth_dev_owner_set(id, &owner);
}

/* A file that somebody else could have written says nothing. */
static FILE *open_file(const char *run_dir)
{
	char path[4096];
	struct stat status;
	FILE *file;

	snprintf(path, sizeof(path), "%s/devices", run_dir);
	file = fopen(path, "re");
	if (file == NULL)
		return NULL;
	if (fstat(fileno(file), &status) == 0 && status.st_uid == geteuid() &&
	    (status.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return file;
	log_error("%s is not used: others than its owner can write it", path);
	fclose(file);
	return NULL;
}

/* "INDEX INCARNATION DEVICE". Returns whether it is that. */
static bool read_line(const char *line, struct wanted *wanted)
{
	char *rest;

	wanted->port.index = (uint32_t)strtoul(line, &rest, 10);
	wanted->port.incarnation = (uint32_t)strtoul(rest, &rest, 10);
	if (*rest++ != ' ')
		return false;
	snprintf(wanted->device, sizeof(wanted->device), "%.*s", (int)strcspn(rest, "\n"), rest);
	return wanted->port.incarnation != 0 && wanted->device[0] != '\0';
}

static uint32_t read_file(const char *run_dir, struct wanted *wanted, uint32_t room)
{
	FILE *file = open_file(run_dir);
	char line[LINE_SIZE];
	uint32_t count = 0;

	if (file == NULL)
		return 0;
	while (count < room && fgets(line, sizeof(line), file) != NULL)
		count += read_line(line, &wanted[count]);
	if (count == room && fgets(line, sizeof(line), file) != NULL)
		log_warning("only %u devices of DPDK are opened", room);
	fclose(file);
	return count;
}

/* The name that DPDK gives a device: what is before its arguments. */
static void device_name(const char *device, char name[RTE_DEV_NAME_MAX_LEN])
{
	snprintf(name, RTE_DEV_NAME_MAX_LEN, "%.*s", (int)strcspn(device, ","), device);
}

static int configure(uint16_t id, unsigned workers, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	struct rte_eth_dev_info info;
	uint16_t receive, send, ring_receive = RING_SIZE, ring_send = RING_SIZE;
	int error = rte_eth_dev_info_get(id, &info);

	if (error < 0)
		return error;
	receive = (uint16_t)RTE_MIN(workers, info.max_rx_queues);
	send = (uint16_t)RTE_MIN(workers, info.max_tx_queues);
	if (receive > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	}
	conf.rxmode.offloads = dpdk_receive_offloads(&info);
	conf.txmode.offloads = dpdk_send_offloads(&info);
	error = rte_eth_dev_configure(id, receive, send, &conf);
	if (error == 0)
		error = rte_eth_dev_adjust_nb_rx_tx_desc(id, &ring_receive, &ring_send);
	for (uint16_t q = 0; error == 0 && q < receive; q++)
		error = rte_eth_rx_queue_setup(id, q, ring_receive, SOCKET_ID_ANY, NULL, pool);
	for (uint16_t q = 0; error == 0 && q < send; q++)
		error = rte_eth_tx_queue_setup(id, q, ring_send, SOCKET_ID_ANY, NULL);
	if (error == 0)
		error = rte_eth_dev_start(id);
	if (error < 0)
		return error;
	/* Some devices see everything in any case, and know no such mode. */
	rte_eth_promiscuous_enable(id);
	rte_eth_allmulticast_enable(id);
	return 0;
}

/*
 * A memif that listens leaves the socket of a path behind when its process is killed, and does not
 * take it again. One on which nobody listens is removed.
 */
static void remove_socket(const char *device)
{
	static const char memif[] = "net_memif", key[] = ",socket=";
	const char *path = strstr(device, key);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strncmp(device, memif, strlen(memif)) != 0 || path == NULL ||
	    strstr(device, ",socket-abstract=no") == NULL ||
	    (strstr(device, ",role=server") == NULL && strstr(device, ",role=master") == NULL))
		return;
	path += strlen(key);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.*s", (int)strcspn(path, ","), path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno == ECONNREFUSED && unlink(address.sun_path) == 0)
		log_info("%s was left behind, and is removed", address.sun_path);
	close(fd);
}

static int open_device(const struct wanted *wanted, unsigned workers, struct rte_mempool *pool)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	uint16_t id;
	int error;

	device_name(wanted->device, name);
	remove_socket(wanted->device);
	/* Devices on a bus that were asked for at the start are there already. */
	error = rte_eth_dev_get_port_by_name(name, &id) == 0 ? 0 : rte_dev_probe(wanted->device);
	if (error < 0)
		return error;
	if (rte_eth_dev_get_port_by_name(name, &id) < 0)
		return -ENODEV;
	error = configure(id, workers, pool);
	return error < 0 ? error : own(id, &wanted->port);
}

/* Returns 0, or a negative errno and the reason in `why`. */
static int try_device(const struct wanted *wanted, unsigned workers, struct rte_mempool *pool,
		      char why[WHY_SIZE])
{
	const char *past = dpdk_trial_past(wanted->device);
	int error;

	if (past != NULL || !dpdk_trial_begin(wanted->device)) {
		snprintf(why, WHY_SIZE, "%s", past != NULL ? past : "it cannot be tried");
		return -EIO;
	}
	dpdk_runtime_why(NULL, 0);
	error = open_device(wanted, workers, pool);
	dpdk_trial_end();
	if (error < 0)
		dpdk_runtime_why(why, WHY_SIZE);
	return error;
}

static void report(struct dpdk_devices *devices, const struct wanted *wanted, int error,
		   const char *why)
{
	struct proto_device *device = &devices->list[devices->count++];

	*device = (struct proto_device){.port = wanted->port, .error = -error};
	if (error == 0)
		return;
	snprintf(device->text, sizeof(device->text), "DPDK cannot open %.50s: %.90s",
		 wanted->device, why[0] != '\0' ? why : strerror(-error));
	log_error("%s", device->text);
}

void dpdk_devices_open(struct dpdk_devices *devices, const char *run_dir, unsigned workers)
{
	static struct wanted wanted[DPDK_DEVICES_MAX];
	const char *names[DPDK_DEVICES_MAX];
	uint32_t count = read_file(run_dir, wanted, DPDK_DEVICES_MAX);
	struct rte_mempool *pool = NULL;
	char why[WHY_SIZE] = "";
	int error;

	devices->count = 0;
	if (count == 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		names[i] = wanted[i].device;
	error = dpdk_runtime_start_with(run_dir, names, RTE_MIN(count, RTE_MAX_ETHPORTS));
	if (error == 0) {
		pool = rte_pktmbuf_pool_create(DPDK_POOL, POOL_COUNT, POOL_CACHE, DPDK_PRIVATE_SIZE,
					       DPDK_BUFFER_SIZE, SOCKET_ID_ANY);
		error = pool == NULL ? -rte_errno : 0;
	}
	if (error < 0)
		dpdk_runtime_why(why, sizeof(why));
	for (uint32_t i = 0; i < count; i++) {
		int result = error;

		if (i >= RTE_MAX_ETHPORTS) {
			result = -E2BIG;
			snprintf(why, sizeof(why), "there are %u others already", RTE_MAX_ETHPORTS);
		} else if (error == 0) {
			result = try_device(&wanted[i], workers, pool, why);
		}
		report(devices, &wanted[i], result, why);
	}
}
