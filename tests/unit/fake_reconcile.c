/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int reconcile_new(struct reconcile **reconcile, struct event_base *base, struct model *model,
		  const struct reconcile_options *options)
{
	(void)base;
	(void)options;
	*reconcile = calloc(1, sizeof(**reconcile));
	if (*reconcile == NULL)
		return -ENOMEM;
	(*reconcile)->model = model;
	(*reconcile)->port_state = RECONCILE_PORT_UP;
	return 0;
}

void reconcile_free(struct reconcile *reconcile)
{
	if (reconcile != NULL && reconcile->stats != NULL) {
		munmap(reconcile->stats, STATS_MEMORY_SIZE);
		munmap(reconcile->fdb, FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT));
	}
	free(reconcile);
}

void fake_reconcile_memories(struct reconcile *reconcile)
{
	reconcile->stats = mmap(NULL, STATS_MEMORY_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	reconcile->fdb = mmap(NULL, FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reconcile->stats == MAP_FAILED || reconcile->fdb == MAP_FAILED)
		abort();
}

void reconcile_apply(struct reconcile *reconcile, const struct model_change *changes,
		     uint32_t count)
{
	uint32_t kept = count < FAKE_CHANGES_MAX ? count : FAKE_CHANGES_MAX;

	reconcile->apply_count++;
	reconcile->change_count = count;
	reconcile->generation_seen = model_generation(reconcile->model);
	memcpy(reconcile->changes, changes, kept * sizeof(*changes));
}

int reconcile_check_port(struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE])
{
	if (reconcile->taken_ifname == NULL || strcmp(port->ifname, reconcile->taken_ifname) != 0)
		return 0;
	snprintf(text, MODEL_TEXT_SIZE, "interface %s exists already: choose another",
		 port->ifname);
	return reconcile->taken_error != 0 ? reconcile->taken_error : -EEXIST;
}

int reconcile_check_captures(struct reconcile *reconcile, struct model_port *values,
			     const struct model_port *former, const char **key,
			     char text[MODEL_TEXT_SIZE])
{
	(void)former;
	if (reconcile->bad_file == NULL || strcmp(values->replay_file, reconcile->bad_file) != 0)
		return 0;
	*key = "read";
	snprintf(text, MODEL_TEXT_SIZE, "file %s is no pcap file", values->replay_file);
	return -EBADMSG;
}

bool reconcile_vtep_up(const struct reconcile *reconcile, const char **reason)
{
	*reason = reconcile->vtep_reason != NULL ? reconcile->vtep_reason : "";
	return reconcile->vtep_reason == NULL;
}

int reconcile_check_place(struct reconcile *reconcile, const struct model_port *port, bool require,
			  char text[MODEL_TEXT_SIZE])
{
	snprintf(text, MODEL_TEXT_SIZE, "port %s: %s: choose another", port->name, port->netns);
	if (reconcile->no_netns != NULL && strcmp(port->netns, reconcile->no_netns) == 0)
		return -EMEDIUMTYPE;
	if (require && reconcile->absent_netns != NULL &&
	    strcmp(port->netns, reconcile->absent_netns) == 0)
		return -EAGAIN;
	return 0;
}

enum reconcile_port_state reconcile_port_state(const struct reconcile *reconcile,
					       const struct model_port *port, const char **reason)
{
	(void)port;
	*reason = reconcile->port_reason;
	return reconcile->port_state;
}

bool reconcile_port_seen(const struct reconcile *reconcile, const struct model_port *port,
			 struct addr_mac *mac, uint32_t *mtu)
{
	if (!reconcile->seen || port->type != MODEL_PORT_NETDEV)
		return false;
	*mtu = FAKE_SEEN_MTU;
	return addr_mac_parse(FAKE_SEEN_MAC, mac) == 0;
}

void reconcile_status(const struct reconcile *reconcile, struct reconcile_status *status)
{
	*status = reconcile->status;
}

uint32_t reconcile_segment_mtu(const struct reconcile *reconcile,
			       const struct model_segment *segment)
{
	(void)reconcile;
	return segment->mtu != MODEL_MTU_AUTO ? segment->mtu : 1500;
}

const struct stats_memory *reconcile_stats(const struct reconcile *reconcile)
{
	return reconcile->stats;
}

const struct fdb_memory *reconcile_fdb(const struct reconcile *reconcile)
{
	return reconcile->fdb;
}

int reconcile_fdb_flush(struct reconcile *reconcile, const struct proto_fdb_flush *flush)
{
	reconcile->flush_count++;
	reconcile->flush = *flush;
	return reconcile->flush_result;
}
