/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports on capture files. Both daemons hold the files open, and where an open file stands tells how
 * far its port is (common/proto.h): a datapath that comes goes on from there, and here it is shown.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "control/capture_files.h"
#include "control/reconcile_internal.h"

#define OCTETS_PER_MIB (1024ull * 1024ull)

struct capture {
	int fd; /* -1: not open */
	char name[MODEL_FILE_SIZE];
};

struct reconcile_pcap {
	uint32_t incarnation; /* of the port that it is for */
	struct capture replay, recording;
	bool anew; /* the recording takes the place of what there is */
	bool damaged;
};

static struct reconcile_pcap *pcap_of(struct reconcile_port *state);
static bool close_former(struct reconcile_pcap *pcap, const struct model_port *port);
static int open_files(const struct reconcile *reconcile, struct reconcile_pcap *pcap,
		      const struct model_port *port, const char **name);
static bool is_other(const struct capture *capture, const char *name);
static bool is_missing(const struct capture *capture, const char *name);
static void keep(struct capture *capture, int fd, const char *name);
static void drop(struct capture *capture);
static int look_at(const struct capture_files *files, const char *name, bool recording);
static bool is_finished(const struct capture *replay);
static bool is_full(const struct capture *recording, uint32_t limit);

void reconcile_pcap_work(struct reconcile *reconcile, struct reconcile_port *state,
			 const struct model_port *port)
{
	struct reconcile_pcap *pcap = pcap_of(state);
	char former[MODEL_TEXT_SIZE];
	const char *name;
	bool whole = state->attachment != 0;
	int error;

	memcpy(former, state->reason, sizeof(former));
	if (close_former(pcap, port))
		whole = false;
	error = open_files(reconcile, pcap, port, &name);
	if (error == 0 && whole)
		return;
	state->attachment = error == 0 ? ++reconcile->last_attachment : 0;
	sent_mark(reconcile->sent, SENT_PORT, port->ref.index);
	if (error == 0) {
		state->reason[0] = '\0';
	} else {
		capture_files_explain(reconcile->captures, name, error, state->reason,
				      sizeof(state->reason));
		reconcile_port_move(reconcile, state, RECONCILE_LIST_WAITING);
	}
	reconcile_port_log(port, former, state->reason);
}

void reconcile_pcap_renew(struct reconcile *reconcile, uint32_t index)
{
	struct reconcile_port *state = reconcile_port_at(reconcile, index);

	if (state != NULL)
		pcap_of(state)->anew = true;
}

void reconcile_pcap_free(struct reconcile_port *state)
{
	if (state->pcap == NULL)
		return;
	drop(&state->pcap->replay);
	drop(&state->pcap->recording);
	free(state->pcap);
	state->pcap = NULL;
	state->attachment = 0;
}

bool reconcile_pcap_take(struct reconcile *reconcile, const struct model_port *port, int *fds,
			 uint32_t count)
{
	struct reconcile_port *state;
	struct reconcile_pcap *pcap;
	uint32_t i;

	reconcile_port_queue(reconcile, port->ref.index);
	state = reconcile_port_at(reconcile, port->ref.index);
	pcap = pcap_of(state);
	if (state->attachment != 0)
		return false;
	pcap->incarnation = port->ref.incarnation;
	for (i = 0; i < count; i++) {
		struct capture *capture = NULL;

		if (is_missing(&pcap->replay, port->replay_file) &&
		    capture_files_is_replay(reconcile->captures, port->replay_file, fds[i]))
			capture = &pcap->replay;
		else if (is_missing(&pcap->recording, port->record_file) &&
			 capture_files_is_recording(reconcile->captures, port->record_file, fds[i]))
			capture = &pcap->recording;
		if (capture == NULL)
			continue;
		keep(capture, fds[i],
		     capture == &pcap->replay ? port->replay_file : port->record_file);
		fds[i] = -1;
	}
	/* What is missing is opened with the rest of the work, and sent with what is here. */
	if (is_missing(&pcap->replay, port->replay_file) ||
	    is_missing(&pcap->recording, port->record_file))
		return false;
	state->attachment = ++reconcile->last_attachment;
	return true;
}

uint32_t reconcile_pcap_fds(const struct reconcile_port *state, int fds[PROTO_QUEUES_MAX])
{
	uint32_t count = 0;

	if (state->pcap->replay.fd >= 0)
		fds[count++] = state->pcap->replay.fd;
	if (state->pcap->recording.fd >= 0)
		fds[count++] = state->pcap->recording.fd;
	return count;
}

void reconcile_pcap_describe(const struct model_port *port, struct proto_port *message)
{
	if (port->replay_file[0] != '\0')
		message->capture |= PROTO_CAPTURE_REPLAY;
	if (port->record_file[0] != '\0')
		message->capture |= PROTO_CAPTURE_RECORD;
	message->replay_rate = port->replay_rate;
	message->record_limit = port->record_limit * OCTETS_PER_MIB;
}

/* Its recording goes on: the port stays, and tells. */
void reconcile_pcap_lost(const struct reconcile *reconcile, struct reconcile_port *state)
{
	const struct model_port *port =
		model_port_by_index(reconcile->model, state->link.ref.index);
	struct log_object object = {0};
	char name[2 * ADDR_NAME_SIZE + 8];

	if (port == NULL || port->ref.incarnation != state->pcap->incarnation)
		return; /* it is being removed */
	object.tenant = port->tenant == NULL ? NULL : port->tenant->name;
	object.port = port->name;
	state->pcap->damaged = true;
	snprintf(state->reason, sizeof(state->reason),
		 "replay stopped: the rest of file %s is damaged", state->pcap->replay.name);
	log_about(LOG_LEVEL_WARNING, &object, "%s: %s", reconcile_port_name(port, name),
		  state->reason);
}

enum reconcile_port_state reconcile_pcap_state(const struct reconcile_port *state,
					       const struct model_port *port, const char **reason)
{
	bool finished, full;

	if (state == NULL || state->pcap == NULL || state->attachment == 0) {
		*reason = state == NULL || state->reason[0] == '\0' ? "its files are being opened"
								    : state->reason;
		return RECONCILE_PORT_WAITING;
	}
	finished = is_finished(&state->pcap->replay);
	full = is_full(&state->pcap->recording, port->record_limit);
	*reason = state->reason;
	if (!state->pcap->damaged && (finished || full))
		*reason = !full	      ? "replay finished"
			  : !finished ? "recording has reached its limit"
				      : "replay finished, recording has reached its limit";
	return port->admin_up ? RECONCILE_PORT_UP : RECONCILE_PORT_DOWN;
}

int reconcile_check_captures(struct reconcile *reconcile, struct model_port *values,
			     const struct model_port *former, const char **key,
			     char text[MODEL_TEXT_SIZE])
{
	char *const names[] = {values->replay_file, values->record_file};
	const char *const formers[] = {former == NULL ? "" : former->replay_file,
				       former == NULL ? "" : former->record_file};
	char port[2 * ADDR_NAME_SIZE + 8], why[MODEL_TEXT_SIZE];
	int i, error;

	reconcile_port_name(values, port);
	for (i = 0; i < 2; i++) {
		if (names[i][0] == '\0' || strcmp(names[i], formers[i]) == 0)
			continue;
		*key = i == 0 ? "read" : "write";
		if (capture_files_name(reconcile->captures, names[i], names[i]) < 0) {
			snprintf(
				text, MODEL_TEXT_SIZE,
				"%s: file %s is not below %.200s: put it there, and name it by its "
				"path from there",
				port, names[i], capture_files_directory(reconcile->captures));
			return -EXDEV;
		}
		error = look_at(reconcile->captures, names[i], i == 1);
		/* A file that is not there yet is waited for, a bad one is refused. */
		if (error < 0 && error != -ENOENT && error != -ENODATA) {
			snprintf(text, MODEL_TEXT_SIZE, "%s: %.300s", port,
				 capture_files_explain(reconcile->captures, names[i], error, why,
						       sizeof(why)));
			return error;
		}
	}
	return 0;
}

int reconcile_pcap_look(const struct reconcile *reconcile, const struct model_port *port,
			char reason[MODEL_TEXT_SIZE])
{
	const struct reconcile_port *state = reconcile_port_at(reconcile, port->ref.index);
	const struct reconcile_pcap *pcap = state == NULL ? NULL : state->pcap;
	const char *const names[] = {port->replay_file, port->record_file};
	int i, error;

	for (i = 0; i < 2; i++) {
		const struct capture *open = pcap == NULL ? NULL
					     : i == 0	  ? &pcap->replay
							  : &pcap->recording;

		if (names[i][0] == '\0' ||
		    (open != NULL && open->fd >= 0 && !is_other(open, names[i]) &&
		     pcap->incarnation == port->ref.incarnation))
			continue;
		error = look_at(reconcile->captures, names[i], i == 1);
		if (error < 0) {
			capture_files_explain(reconcile->captures, names[i], error, reason,
					      MODEL_TEXT_SIZE);
			return -EAGAIN;
		}
	}
	return 0;
}

static struct reconcile_pcap *pcap_of(struct reconcile_port *state)
{
	if (state->pcap == NULL) {
		state->pcap = reconcile_grow(NULL, 1, sizeof(*state->pcap));
		memset(state->pcap, 0, sizeof(*state->pcap));
		state->pcap->replay.fd = -1;
		state->pcap->recording.fd = -1;
	}
	return state->pcap;
}

/* Closes what the port does not want any more. Returns whether there was something. */
static bool close_former(struct reconcile_pcap *pcap, const struct model_port *port)
{
	bool other = pcap->incarnation != port->ref.incarnation;
	bool closed = false;

	pcap->incarnation = port->ref.incarnation;
	if (pcap->replay.fd >= 0 && (other || is_other(&pcap->replay, port->replay_file))) {
		drop(&pcap->replay);
		closed = true;
	}
	if (pcap->recording.fd >= 0 &&
	    (other || pcap->anew || is_other(&pcap->recording, port->record_file))) {
		drop(&pcap->recording);
		closed = true;
	}
	return closed;
}

/* Opens what is not open. *name is of the file that cannot be. */
static int open_files(const struct reconcile *reconcile, struct reconcile_pcap *pcap,
		      const struct model_port *port, const char **name)
{
	int fd;

	*name = port->replay_file;
	if (is_missing(&pcap->replay, port->replay_file)) {
		fd = capture_files_open_replay(reconcile->captures, port->replay_file);
		if (fd < 0)
			return fd;
		keep(&pcap->replay, fd, port->replay_file);
		pcap->damaged = false;
	}
	*name = port->record_file;
	if (is_missing(&pcap->recording, port->record_file)) {
		fd = capture_files_open_recording(reconcile->captures, port->record_file,
						  pcap->anew);
		if (fd < 0)
			return fd;
		keep(&pcap->recording, fd, port->record_file);
	}
	pcap->anew = false;
	return 0;
}

static bool is_other(const struct capture *capture, const char *name)
{
	return strcmp(capture->name, name) != 0;
}

static bool is_missing(const struct capture *capture, const char *name)
{
	return name[0] != '\0' && capture->fd < 0;
}

static void keep(struct capture *capture, int fd, const char *name)
{
	capture->fd = fd;
	snprintf(capture->name, sizeof(capture->name), "%s", name);
}

static void drop(struct capture *capture)
{
	if (capture->fd >= 0)
		close(capture->fd);
	capture->fd = -1;
}

/* Whether a file could be opened now; it stays as it is. */
static int look_at(const struct capture_files *files, const char *name, bool recording)
{
	int fd;

	if (recording)
		return capture_files_check_recording(files, name);
	fd = capture_files_open_replay(files, name);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static bool is_finished(const struct capture *replay)
{
	struct stat file;

	return replay->fd >= 0 && fstat(replay->fd, &file) == 0 &&
	       lseek(replay->fd, 0, SEEK_CUR) >= file.st_size;
}

static bool is_full(const struct capture *recording, uint32_t limit)
{
	return recording->fd >= 0 &&
	       lseek(recording->fd, 0, SEEK_CUR) >= (off_t)(limit * OCTETS_PER_MIB);
}
