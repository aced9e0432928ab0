/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "control/reconcile_internal.h"
#include "control/underlay.h"

/* How the problem begins; the reason is what follows. */
#define WAITS "the VTEP waits: "

static void open_sockets(struct reconcile *reconcile, const struct model_vtep *vtep);
static void close_sockets(struct reconcile *reconcile);
static void fit_sockets(struct reconcile *reconcile);
static void follow_mtu(struct reconcile *reconcile, const struct model_vtep *vtep);
static int mark_segment(void *context, struct model_segment *segment);

void reconcile_vtep_review(struct reconcile *reconcile)
{
	const struct model_vtep *vtep = model_vtep(reconcile->model);

	if (!reconcile->vtep_stale)
		return;
	reconcile->vtep_stale = false;
	if (reconcile->vtep.count > 0 &&
	    (!vtep->present || reconcile->vtep.udp_port != vtep->udp_port ||
	     !addr_ip_equal(&reconcile->vtep.local, &vtep->local)))
		close_sockets(reconcile);
	if (!vtep->present)
		reconcile_problem(reconcile->vtep_problem, NULL);
	else if (reconcile->vtep.count == 0)
		open_sockets(reconcile, vtep);
	else
		fit_sockets(reconcile);
	follow_mtu(reconcile, vtep);
}

bool reconcile_vtep_waits(const struct reconcile *reconcile)
{
	return reconcile->vtep.count == 0 && model_vtep(reconcile->model)->present;
}

bool reconcile_vtep_up(const struct reconcile *reconcile, const char **reason)
{
	bool up = reconcile->vtep.count > 0;

	*reason = "";
	if (!up)
		*reason = reconcile->vtep_problem[0] != '\0'
				  ? reconcile->vtep_problem + strlen(WAITS)
				  : "its sockets are being opened";
	return up;
}

static void open_sockets(struct reconcile *reconcile, const struct model_vtep *vtep)
{
	char text[ADDR_IP_TEXT_SIZE];
	int error = -EADDRNOTAVAIL;

	if (underlay_has(reconcile->underlay, &vtep->local))
		error = vtep_sockets_open(&reconcile->vtep, &vtep->local, vtep->udp_port,
					  reconcile_queue_count(reconcile));
	addr_ip_format(&vtep->local, text);
	if (error == 0) {
		reconcile->vtep_attachment = ++reconcile->last_attachment;
		reconcile->sent->vtep_dirty = true;
		reconcile_problem(reconcile->vtep_problem, NULL);
	} else if (error == -EADDRNOTAVAIL) {
		reconcile_problem(reconcile->vtep_problem, WAITS "no interface has the address %s",
				  text);
	} else if (error == -EADDRINUSE) {
		reconcile_problem(reconcile->vtep_problem,
				  WAITS "UDP port %u of %s is taken by another program",
				  vtep->udp_port, text);
	} else {
		reconcile_problem(reconcile->vtep_problem,
				  WAITS "the address %s cannot be used: %s", text,
				  strerror(-error));
	}
}

static void close_sockets(struct reconcile *reconcile)
{
	vtep_sockets_close(&reconcile->vtep);
	reconcile->sent->vtep_dirty = true;
}

/* One that receives for each worker. */
static void fit_sockets(struct reconcile *reconcile)
{
	const uint32_t count = reconcile_queue_count(reconcile);
	const uint32_t former = reconcile->vtep.receive_count;
	struct links_queues surplus;
	int error = 0;

	if (former < count)
		error = vtep_sockets_grow(&reconcile->vtep, count);
	if (error < 0)
		log_warning("the VTEP goes on with %u of %u sockets that receive: %s", former,
			    count, strerror(-error));
	surplus.count = vtep_sockets_shrink(&reconcile->vtep, count, surplus.fds);
	if (reconcile->vtep.receive_count == former)
		return;
	reconcile_close_later(reconcile, &surplus);
	reconcile->vtep_attachment = ++reconcile->last_attachment;
	reconcile->sent->vtep_dirty = true;
}

static void follow_mtu(struct reconcile *reconcile, const struct model_vtep *vtep)
{
	uint32_t mtu = vtep->present ? underlay_mtu(reconcile->underlay, &vtep->local) : 0;

	if (mtu == 0)
		mtu = RECONCILE_MTU_DEFAULT;
	if (mtu == reconcile->underlay_mtu)
		return;
	reconcile->underlay_mtu = mtu;
	(void)model_each_segment(reconcile->model, mark_segment, reconcile);
	reconcile_ports_review_mtu(reconcile);
}

static int mark_segment(void *context, struct model_segment *segment)
{
	struct reconcile *reconcile = context;

	if (segment->vni != 0 && segment->mtu == MODEL_MTU_AUTO)
		sent_mark(reconcile->sent, SENT_SEGMENT, segment->ref.index);
	return 0;
}
