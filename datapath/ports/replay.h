/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_REPLAY_H
#define VSWITCH_DATAPATH_PORTS_REPLAY_H

/*
 * The frames of a capture file, each when it is due: what a pcap port
 * receives. Made by the main thread, used by the one worker that has the
 * port's queue.
 *
 * The file is read with pread(); where its descriptor stands is kept at the
 * next frame to replay, and at the end of the file when there is no more. So
 * that is known to whoever else has the descriptor: the control daemon, which
 * shows it, and another replay, which goes on from there.
 */

#include <stdint.h>

#include "datapath/batch.h"
#include "datapath/ports/receiver.h"

struct replay;

/*
 * Makes a replay of the file fd, which stays the caller's, at `rate` bit/s or PROTO_REPLAY_*; the
 * first frame is due at once. Nothing is read yet. Returns 0 or a negative errno.
 */
int replay_new(struct replay **replay, int fd, uint64_t rate);
/* NULL is accepted. */
void replay_free(struct replay *replay);

/* A descriptor that is readable when a frame is due. Belongs to the replay. */
int replay_wait_fd(const struct replay *replay);

/*
 * As receive() of struct port_ops. -EBADMSG: the rest of the file is no capture of Ethernet frames.
 * A frame of which the file has only a part is dropped.
 */
int replay_receive(struct replay *replay, struct receiver *receiver, struct batch *batch);

#endif
