/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/log.h"
#include "control/capture_files.h"
#include "control/link_watch.h"
#include "control/namespaces.h"
#include "control/reaper.h"
#include "control/reconcile_internal.h"
#include "control/underlay.h"

static const struct timeval retry_interval = {0, 250000};
static const struct timeval at_once = {0, 0};

static int make_parts(struct reconcile *reconcile, struct event_base *base,
		      const struct reconcile_options *options);
static int make_timers(struct reconcile *reconcile, struct event_base *base);
static int watch_namespaces(struct reconcile *reconcile, struct event_base *base);
static void start(struct reconcile *reconcile);
static void start_unless_connected(struct reconcile *reconcile);
static int queue_port(void *context, struct model_port *port);
static void take_change(struct reconcile *reconcile, const struct model_change *change);
static void run(struct reconcile *reconcile);
static bool something_waits(const struct reconcile *reconcile);
static void on_work(evutil_socket_t fd, short what, void *context);
static void on_retry(evutil_socket_t fd, short what, void *context);
static void on_refused(evutil_socket_t fd, short what, void *context);
static void on_netns(evutil_socket_t fd, short what, void *context);
static void on_underlay(void *context);
static void on_drained(void *context);
static void meet_datapath(struct reconcile *reconcile);
static void forget_announced(struct reconcile *reconcile);
static void on_connected(void *context, const struct proto_hello *hello);
static void on_handback(void *context, const struct proto_handback *record, int *fds);
static void on_handback_end(void *context);
static void on_replied(void *context, const struct proto_reply *reply);
static void on_device(void *context, const struct proto_device *device);
static void on_port_lost(void *context, const struct proto_port_lost *lost);
static void on_mac_held(void *context, const struct proto_mac_held *held);
static void on_disconnected(void *context);

static const struct datapath_link_events link_events = {
	.connected = on_connected,
	.handback = on_handback,
	.handback_end = on_handback_end,
	.replied = on_replied,
	.device = on_device,
	.port_lost = on_port_lost,
	.mac_held = on_mac_held,
	.disconnected = on_disconnected,
};

int reconcile_new(struct reconcile **reconcile, struct event_base *base, struct model *model,
		  const struct reconcile_options *options)
{
	struct reconcile *made = calloc(1, sizeof(*made));
	int error;

	if (made == NULL)
		return -ENOMEM;
	TAILQ_INIT(&made->work);
	TAILQ_INIT(&made->waiting);
	TAILQ_INIT(&made->away);
	made->base = base;
	made->model = model;
	made->fd_store = options->fd_store;
	made->memories[0].fd = -1;
	made->memories[1].fd = -1;
	made->netns_fd = -1;
	made->vhost_sockets.probe = -1;
	made->devices_stale = true;
	made->devices_unasked = true;
	made->underlay_mtu = RECONCILE_MTU_DEFAULT;
	made->send_whole = true;
	error = make_parts(made, base, options);
	if (error < 0) {
		reconcile_free(made);
		return error;
	}
	if (datapath_link_state(made->datapath) == DATAPATH_LINK_ABSENT)
		start(made);
	*reconcile = made;
	return 0;
}

void reconcile_free(struct reconcile *reconcile)
{
	struct event *events[4];
	size_t i;

	if (reconcile == NULL)
		return;
	datapath_link_free(reconcile->datapath);
	underlay_free(reconcile->underlay);
	link_watch_free(reconcile->link_watch);
	link_watch_free(reconcile->host_watch);
	events[0] = reconcile->work_event;
	events[1] = reconcile->retry_event;
	events[2] = reconcile->refused_event;
	events[3] = reconcile->netns_event;
	for (i = 0; i < 4; i++)
		if (events[i] != NULL)
			event_free(events[i]);
	if (reconcile->netns_fd >= 0)
		close(reconcile->netns_fd);
	reconcile_handback_drop(reconcile);
	reconcile_ports_fini(reconcile);
	reconcile_close_all(reconcile);
	free(reconcile->closing);
	reconcile_devices_forget(reconcile);
	vhost_sockets_fini(&reconcile->vhost_sockets);
	reaper_free(reconcile->reaper);
	vtep_sockets_close(&reconcile->vtep);
	memory_fini(&reconcile->memories[0]);
	memory_fini(&reconcile->memories[1]);
	sent_free(reconcile->sent);
	capture_files_free(reconcile->captures);
	links_free(reconcile->links);
	namespaces_free(reconcile->namespaces);
	free(reconcile->run_dir);
	free(reconcile);
}

void reconcile_apply(struct reconcile *reconcile, const struct model_change *changes,
		     uint32_t count)
{
	bool mtu_may_differ = false;
	uint32_t i;

	for (i = 0; i < count; i++) {
		take_change(reconcile, &changes[i]);
		mtu_may_differ |= changes[i].kind == MODEL_SEGMENT;
	}
	reconcile->refused = false;
	/* A datapath that starts now shall find what is wanted now. */
	reconcile_devices_write(reconcile);
	if (!reconcile->started)
		return;
	if (mtu_may_differ)
		reconcile_ports_review_mtu(reconcile);
	run(reconcile);
}

int reconcile_fdb_flush(struct reconcile *reconcile, const struct proto_fdb_flush *flush)
{
	enum datapath_link_state state = datapath_link_state(reconcile->datapath);

	if (state != DATAPATH_LINK_READY && state != DATAPATH_LINK_COMMITTED)
		return -ENOTCONN;
	datapath_link_send(reconcile->datapath, PROTO_FDB_FLUSH, flush, sizeof(*flush), NULL, 0);
	datapath_link_flush(reconcile->datapath);
	return 0;
}

void *reconcile_grow(void *array, size_t count, size_t size)
{
	void *grown = reallocarray(array, count, size);

	if (grown == NULL) {
		log_error("out of memory");
		abort();
	}
	return grown;
}

void reconcile_problem(char text[MODEL_TEXT_SIZE], const char *format, ...)
{
	char made[MODEL_TEXT_SIZE] = "";
	va_list arguments;

	if (format != NULL) {
		va_start(arguments, format);
		vsnprintf(made, sizeof(made), format, arguments);
		va_end(arguments);
	}
	if (made[0] != '\0' && strcmp(made, text) != 0)
		log_warning("%s", made);
	memcpy(text, made, sizeof(made));
}

void reconcile_schedule(struct reconcile *reconcile)
{
	if (reconcile->started)
		event_add(reconcile->work_event, &at_once);
}

static int make_parts(struct reconcile *reconcile, struct event_base *base,
		      const struct reconcile_options *options)
{
	uint64_t instance;
	int error;

	reconcile->work_slice = options->work_slice;
	reconcile->sent = sent_new();
	reconcile->run_dir = strdup(options->run_dir);
	if (reconcile->sent == NULL || reconcile->run_dir == NULL)
		return -ENOMEM;
	error = reconcile_read_instance(options->state_dir, &instance);
	if (error == 0)
		error = namespaces_new(&reconcile->namespaces);
	if (error == 0)
		error = links_new(&reconcile->links, reconcile->namespaces, instance);
	if (error == 0)
		error = capture_files_new(&reconcile->captures, options->state_dir);
	if (error == 0)
		error = vhost_sockets_init(&reconcile->vhost_sockets);
	if (error == 0)
		error = reaper_new(&reconcile->reaper, base, on_drained, reconcile);
	if (error == 0)
		reconcile_kept_take(reconcile);
	if (error == 0)
		error = make_timers(reconcile, base);
	if (error == 0)
		error = watch_namespaces(reconcile, base);
	if (error == 0)
		error = reconcile_netdev_watch(reconcile);
	if (error == 0)
		error = underlay_new(&reconcile->underlay, base, reconcile->namespaces, on_underlay,
				     reconcile);
	reconcile_devices_write(reconcile);
	if (error == 0)
		error = datapath_link_new(&reconcile->datapath, base, options->run_dir,
					  &link_events, reconcile);
	return error;
}

static int make_timers(struct reconcile *reconcile, struct event_base *base)
{
	reconcile->work_event = evtimer_new(base, on_work, reconcile);
	reconcile->retry_event = evtimer_new(base, on_retry, reconcile);
	reconcile->refused_event = evtimer_new(base, on_refused, reconcile);
	return reconcile->work_event == NULL || reconcile->retry_event == NULL ||
			       reconcile->refused_event == NULL
		       ? -ENOMEM
		       : 0;
}

/* A host without named namespaces may have no such directory: then there are none to lose. */
static int watch_namespaces(struct reconcile *reconcile, struct event_base *base)
{
	reconcile->netns_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (reconcile->netns_fd < 0)
		return -errno;
	if (inotify_add_watch(reconcile->netns_fd, "/run/netns",
			      IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO) < 0)
		return 0;
	reconcile->netns_event =
		event_new(base, reconcile->netns_fd, EV_READ | EV_PERSIST, on_netns, reconcile);
	if (reconcile->netns_event == NULL || event_add(reconcile->netns_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* From here on interfaces are made: what a datapath handed back is known. */
static void start(struct reconcile *reconcile)
{
	reconcile->started = true;
	reconcile->vtep_stale = true;
	if (reconcile_prepare(reconcile) == 0)
		reconcile_sweep(reconcile);
	(void)model_each_port(reconcile->model, queue_port, reconcile);
	run(reconcile);
}

/* A connection that ended before it gave anything back may return at once, with all that it holds.
 */
static void start_unless_connected(struct reconcile *reconcile)
{
	if (datapath_link_state(reconcile->datapath) == DATAPATH_LINK_ABSENT)
		start(reconcile);
}

static int queue_port(void *context, struct model_port *port)
{
	reconcile_port_queue(context, port->ref.index);
	return 0;
}

static void take_change(struct reconcile *reconcile, const struct model_change *change)
{
	struct sent *sent = reconcile->sent;

	switch (change->kind) {
	case MODEL_HOST:
		sent->host_dirty = true;
		break;
	case MODEL_VTEP:
		sent->vtep_dirty = true;
		reconcile->vtep_stale = true;
		break;
	case MODEL_TENANT:
		sent_mark(sent, SENT_TENANT, change->ref.index);
		break;
	case MODEL_SEGMENT:
		sent_mark(sent, SENT_SEGMENT, change->ref.index);
		break;
	case MODEL_PORT:
		sent_mark(sent, SENT_PORT, change->ref.index);
		reconcile_port_queue(reconcile, change->ref.index);
		if (change->records_anew && change->type == MODEL_PORT_PCAP)
			reconcile_pcap_renew(reconcile, change->ref.index);
		if (change->type == MODEL_PORT_DPDK) {
			reconcile->devices_stale = true;
			reconcile->devices_unasked = true;
		}
		break;
	case MODEL_PEER:
		sent_mark(sent, SENT_PEER, change->ref.index);
		break;
	case MODEL_FDB:
		sent->fdb_dirty = true;
		if (change->removed)
			sent_forget_entry(sent, &change->ref, &change->mac);
		break;
	}
}

/* Does what can be done now, and sees to it that the rest is done later. */
static void run(struct reconcile *reconcile)
{
	reconcile_devices_write(reconcile);
	reconcile_devices_ask(reconcile);
	reconcile_vtep_review(reconcile);
	if (!reconcile_ports_work(reconcile, reconcile->work_slice))
		reconcile_schedule(reconcile);
	reconcile_sync(reconcile);
	if (something_waits(reconcile) && !evtimer_pending(reconcile->retry_event, NULL))
		event_add(reconcile->retry_event, &retry_interval);
}

static bool something_waits(const struct reconcile *reconcile)
{
	return !TAILQ_EMPTY(&reconcile->waiting) || reconcile->polled_ports > 0 ||
	       reconcile->setup_problem[0] != '\0' || reconcile->devices_stale ||
	       reconcile_vtep_waits(reconcile);
}

static void on_work(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	run(context);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;

	(void)fd;
	(void)what;
	if (!reconcile->started) {
		start_unless_connected(reconcile);
		return;
	}
	if (reconcile->polled_ports > 0)
		reconcile_ports_check(reconcile, true);
	reconcile_ports_retry(reconcile);
	reconcile->vtep_stale |= reconcile_vtep_waits(reconcile);
	run(reconcile);
}

static void on_refused(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;

	(void)fd;
	(void)what;
	reconcile->refused = false;
	run(reconcile);
}

static void on_netns(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;
	char ignored[4096];

	(void)what;
	while (read(fd, ignored, sizeof(ignored)) > 0)
		;
	reconcile_ports_check(reconcile, true);
	reconcile_schedule(reconcile);
}

static void on_underlay(void *context)
{
	struct reconcile *reconcile = context;

	reconcile->vtep_stale = true;
	reconcile_schedule(reconcile);
}

/* Whoever waits for a name that was taken, may have it now. */
static void on_drained(void *context)
{
	struct reconcile *reconcile = context;

	reconcile_ports_retry(reconcile);
	reconcile_schedule(reconcile);
}

static void on_connected(void *context, const struct proto_hello *hello)
{
	struct reconcile *reconcile = context;
	bool same =
		hello->pid == reconcile->hello.pid && hello->started == reconcile->hello.started;

	log_info("connected to datapath %u (%s), generation %" PRIu64, hello->pid, hello->build,
		 hello->generation);
	reconcile->hello = *hello;
	if (!same)
		reconcile_devices_forget(reconcile);
	if (reconcile->generation < hello->generation)
		reconcile->generation = hello->generation;
	if (!same || !reconcile->met) {
		meet_datapath(reconcile);
		return;
	}
	if (reconcile->committed == 0 || hello->generation != reconcile->committed) {
		reconcile->applied_generation = 0;
		reconcile_sync_whole(reconcile, false);
	}
	reconcile_dpdk_queue(reconcile);
	reconcile_schedule(reconcile);
}

/* One that was not spoken to yet: a new one has nothing to hand back, one that ran without us has
 * all. */
static void meet_datapath(struct reconcile *reconcile)
{
	reconcile->met = false;
	forget_announced(reconcile);
	reconcile->committed = 0;
	reconcile->applied_generation = 0;
	sent_reset(reconcile->sent, false);
	reconcile->send_whole = true;
	datapath_link_request_handback(reconcile->datapath);
}

static void forget_announced(struct reconcile *reconcile)
{
	reconcile->memory_sent[0] = false;
	reconcile->memory_sent[1] = false;
	reconcile->hold_sent = false;
}

static void on_handback(void *context, const struct proto_handback *record, int *fds)
{
	reconcile_handback_take(context, record, fds);
}

static void on_handback_end(void *context)
{
	struct reconcile *reconcile = context;

	reconcile->met = true;
	reconcile_handback_use(reconcile);
	reconcile_sync_whole(reconcile, true);
	if (!reconcile->started) {
		start(reconcile);
		return;
	}
	reconcile_ports_check(reconcile, false);
	reconcile_ports_review_queues(reconcile);
	reconcile_dpdk_queue(reconcile);
	reconcile->vtep_stale = true;
	reconcile_schedule(reconcile);
}

static void on_replied(void *context, const struct proto_reply *reply)
{
	reconcile_replied(context, reply);
}

static void on_device(void *context, const struct proto_device *device)
{
	reconcile_device_reported(context, device);
}

static void on_port_lost(void *context, const struct proto_port_lost *lost)
{
	reconcile_port_lost(context, lost);
}

static void on_mac_held(void *context, const struct proto_mac_held *held)
{
	const struct reconcile *reconcile = context;
	const struct model_segment *segment =
		model_segment_by_index(reconcile->model, held->segment.index);
	struct log_object object;
	struct addr_mac mac;
	char text[ADDR_MAC_TEXT_SIZE];

	if (segment == NULL || segment->ref.incarnation != held->segment.incarnation)
		return;
	memcpy(mac.bytes, held->mac, sizeof(mac.bytes));
	object = (struct log_object){.tenant = segment->tenant->name, .segment = segment->name};
	log_about(LOG_LEVEL_WARNING, &object,
		  "segment %s/%s: %s moved %u times within a second and is held still",
		  segment->tenant->name, segment->name, addr_mac_format(&mac, text), held->moves);
}

static void on_disconnected(void *context)
{
	struct reconcile *reconcile = context;

	/* Whether what was under way has arrived, the next HELLO does not tell for sure. */
	if (reconcile->under_way) {
		reconcile->committed = 0;
		forget_announced(reconcile);
	}
	reconcile->under_way = false;
	/* Who is still connected, only the datapath can tell. */
	if (reconcile_vhost_forget(reconcile)) {
		reconcile->met = false;
		reconcile_schedule(reconcile);
	}
	reconcile_close_all(reconcile);
	reconcile_handback_drop(reconcile);
	if (!reconcile->started)
		event_add(reconcile->retry_event, &retry_interval);
}
