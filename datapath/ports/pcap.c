/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports on capture files: they receive what a file holds, and record what they send in another.
 * Without a file to record to, what they send is gone.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/ports/port.h"
#include "datapath/ports/recording.h"
#include "datapath/ports/replay.h"

struct pcap_port {
	struct replay *replay;	     /* NULL: nothing is received */
	struct recording *recording; /* NULL: nothing is recorded */
	uint32_t capture;	     /* PROTO_CAPTURE_* */
	uint64_t replay_rate, record_limit;
};

static int pcap_port_open(struct port *port)
{
	port->private = calloc(1, sizeof(struct pcap_port));
	port->receive_count = 0;
	return port->private == NULL ? -ENOMEM : 0;
}

/* Files are read and judged by workers: one that is bad must not refuse a whole configuration. */
static int pcap_port_configure(struct port *port, const struct proto_port *record)
{
	struct pcap_port *pcap = port->private;
	bool replays = (record->capture & PROTO_CAPTURE_REPLAY) != 0;
	bool records = (record->capture & PROTO_CAPTURE_RECORD) != 0;
	int error = 0;

	if (port->queue_count != (uint32_t)replays + (uint32_t)records)
		return -EINVAL;
	pcap->capture = record->capture;
	pcap->replay_rate = record->replay_rate;
	pcap->record_limit = record->record_limit;
	if (records)
		error = recording_new(&pcap->recording, port->fds[port->queue_count - 1],
				      record->record_limit);
	if (error == 0 && replays)
		error = replay_new(&pcap->replay, port->fds[0], record->replay_rate);
	if (error == 0 && replays) {
		port->receive_count = 1;
		port->wait_fds[0] = replay_wait_fd(pcap->replay);
		port->source_waits = record->replay_rate == PROTO_REPLAY_MAX;
	}
	return error;
}

static bool pcap_port_differs(const struct port *port, const struct proto_port *record)
{
	const struct pcap_port *pcap = port->private;

	return pcap->capture != record->capture || pcap->replay_rate != record->replay_rate ||
	       pcap->record_limit != record->record_limit;
}

static void pcap_port_close(struct port *port)
{
	struct pcap_port *pcap = port->private;

	replay_free(pcap->replay);
	recording_free(pcap->recording);
	free(pcap);
}

static int pcap_port_receive(struct port *port, unsigned queue, struct receiver *receiver,
			     struct batch *batch)
{
	struct pcap_port *pcap = port->private;

	(void)queue;
	return replay_receive(pcap->replay, receiver, batch);
}

static void pcap_port_transmit(struct port *port, const struct config *config, unsigned queue,
			       struct packet **packets, unsigned count, uint8_t *results)
{
	struct pcap_port *pcap = port->private;

	(void)config;
	(void)queue;
	if (pcap->recording != NULL)
		recording_write(pcap->recording, packets, count, results);
	else
		memset(results, DROP_NONE, count);
}

const struct port_ops port_pcap_ops = {
	.name = "pcap",
	.open = pcap_port_open,
	.configure = pcap_port_configure,
	.differs = pcap_port_differs,
	.close = pcap_port_close,
	.receive = pcap_port_receive,
	.transmit = pcap_port_transmit,
};
