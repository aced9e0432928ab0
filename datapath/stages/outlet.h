/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_STAGES_OUTLET_H
#define VSWITCH_DATAPATH_STAGES_OUTLET_H

/* The last step of output: finished packets go to their port, are counted, or wait for room in it.
 */

#include "datapath/account.h"
#include "datapath/ports/port.h"
#include "datapath/worker.h"

/* What is on its way to one port. */
struct outlet {
	struct worker *worker;
	struct port *port;
	uint32_t index; /* the port's */
	unsigned count;
	struct packet *packets[BATCH_SIZE];
};

/*
 * Finds the port that the packet goes out of, and its tag there. This is where isolation is held
 * against everything before: a packet leaves only by a port that carries its segment.
 */
enum drop_reason outlet_check(const struct config *config, const struct packet *packet,
			      struct port **port, uint16_t *vid);

/* Whether the port takes super-packets of this kind, whose checksum is always partial. */
bool outlet_takes_super(const struct port *port, const struct packet *packet);

/* Sends what the outlet has, behind what waits for its port. Empties it. */
void outlet_flush(struct outlet *outlet);

#endif
