/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PIPELINE_H
#define VSWITCH_DATAPATH_PIPELINE_H

/* The packet's way through the switch: the order of the stages. Called by workers. */

#include "datapath/worker.h"

/* Takes what a port received, with port_in and port_in_incarnation set, as far as it goes now. */
void pipeline_receive(struct worker *worker, struct batch *batch);

/* Takes what the shaper let out of a gate further on its way. */
void pipeline_resume(struct worker *worker, struct batch *batch, enum shaper_kind kind);

/* Sends what waits for room in its port, where it is time to try. */
void pipeline_retry(struct worker *worker);

/* Drops what the shaper lost in the last shaper_release(). */
void pipeline_lost(struct worker *worker);

#endif
