/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/pipeline.h"

#include "datapath/stages/stages.h"

/* The last part: charged and ready to go out. */
static void deliver(struct worker *worker, struct batch *batch)
{
	stage_output(worker, batch);
}

static void shape_port_receive(struct worker *worker, struct batch *batch)
{
	stage_shape(worker, batch, SHAPER_PORT_RECEIVE, deliver);
}

/* The third part: one copy a target, each on its own from here on. */
static void shape_receive(struct worker *worker, struct batch *batch)
{
	stage_shape(worker, batch, SHAPER_TENANT_RECEIVE, shape_port_receive);
}

/* The second part: charged to the sender, and looking for its targets. */
static void forward(struct worker *worker, struct batch *batch)
{
	struct replication state = {0};
	struct batch out;
	bool more;

	if (!stage_lookup(worker, batch)) {
		shape_receive(worker, batch);
		return;
	}
	do {
		batch_init(&out);
		more = stage_replicate(worker, batch, &state, &out);
		shape_receive(worker, &out);
	} while (more);
}

static void shape_tenant_send(struct worker *worker, struct batch *batch)
{
	stage_shape(worker, batch, SHAPER_TENANT_SEND, forward);
}

static void shape_send(struct worker *worker, struct batch *batch)
{
	stage_shape(worker, batch, SHAPER_PORT_SEND, shape_tenant_send);
}

void pipeline_receive(struct worker *worker, struct batch *batch)
{
	struct packet_list replies;
	struct batch reply;

	packet_list_init(&replies);
	stage_parse(worker, batch);
	stage_classify(worker, batch);
	stage_admit(worker, batch, &replies);
	stage_learn(worker, batch);
	shape_send(worker, batch);

	batch_init(&reply);
	while (replies.first != NULL) {
		batch_add(&reply, packet_list_pop(&replies));
		if (batch_full(&reply) || replies.first == NULL) {
			shape_receive(worker, &reply);
			batch_init(&reply);
		}
	}
}

void pipeline_resume(struct worker *worker, struct batch *batch, enum shaper_kind kind)
{
	stage_recheck(worker, batch);
	switch (kind) {
	case SHAPER_PORT_SEND:
		shape_tenant_send(worker, batch);
		break;
	case SHAPER_TENANT_SEND:
		forward(worker, batch);
		break;
	case SHAPER_TENANT_RECEIVE:
		shape_port_receive(worker, batch);
		break;
	case SHAPER_PORT_RECEIVE:
	case SHAPER_KIND_COUNT:
		deliver(worker, batch);
		break;
	}
}

void pipeline_retry(struct worker *worker)
{
	stage_retry(worker);
}

void pipeline_lost(struct worker *worker)
{
	stage_lost(worker);
}
