/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/replay.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/capture.h"
#include "common/proto.h"
#include "datapath/ports/port.h"

#define NS_PER_SECOND 1000000000ull
/* So much time that the worker was late is caught up with; the rest is not, lest a pause end in a
 * flood. */
#define LAG_MAX (100 * 1000000ull)
/* At the least, what a frame counts against the bound of a batch. */
#define FRAME_COST 16u

struct replay {
	int fd, timer_fd;
	uint64_t rate;
	off64_t read_at; /* what libpcap reads next */
	pcap_t *capture; /* NULL: not opened yet, or over */
	bool over;

	/* The next frame, valid until the one after it is loaded. */
	struct pcap_pkthdr *header;
	const u_char *data;
	off64_t at;	    /* where it starts in the file */
	uint64_t stamp;	    /* its own time, ns */
	uint64_t due;	    /* CLOCK_MONOTONIC, ns */
	uint64_t remainder; /* of the division by the rate */
};

static int start(struct replay *replay, uint64_t now);
static FILE *open_stream(struct replay *replay);
static ssize_t read_stream(void *context, char *buffer, size_t size);
static int seek_stream(void *context, off64_t *offset, int whence);
static int load(struct replay *replay);
static void finish(struct replay *replay);
static void give(struct replay *replay, struct receiver *receiver, struct batch *batch);
static void schedule(struct replay *replay, uint64_t former_stamp, uint32_t former_size,
		     uint64_t now);
static void set_timer(struct replay *replay, uint64_t when);
static uint64_t stamp_of(const struct pcap_pkthdr *header);

int replay_new(struct replay **replay, int fd, uint64_t rate)
{
	struct replay *made = calloc(1, sizeof(*made));
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->fd = fd;
	made->rate = rate;
	made->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (made->timer_fd < 0) {
		error = -errno;
		free(made);
		return error;
	}
	set_timer(made, 1); /* long past */
	*replay = made;
	return 0;
}

void replay_free(struct replay *replay)
{
	if (replay == NULL)
		return;
	if (replay->capture != NULL)
		pcap_close(replay->capture);
	close(replay->timer_fd);
	free(replay);
}

int replay_wait_fd(const struct replay *replay)
{
	return replay->timer_fd;
}

/* The timer is never read: it stays ready until it is set anew, as long as frames are due. */
int replay_receive(struct replay *replay, struct receiver *receiver, struct batch *batch)
{
	struct timespec clock;
	uint64_t now;
	size_t bytes = 0;
	int result = 1;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	now = (uint64_t)clock.tv_sec * NS_PER_SECOND + (uint64_t)clock.tv_nsec;
	if (replay->capture == NULL && !replay->over)
		result = start(replay, now);
	while (result > 0 && !replay->over && batch->count < receiver->batch_max &&
	       bytes < RECEIVER_BYTES_MAX) {
		uint64_t stamp = replay->stamp;
		uint32_t size = replay->header->caplen;

		if (replay->due > now) {
			set_timer(replay, replay->due);
			break;
		}
		give(replay, receiver, batch);
		bytes += size + FRAME_COST;
		result = load(replay);
		if (result > 0)
			schedule(replay, stamp, size, now);
	}
	if (result <= 0)
		finish(replay);
	else if (!replay->over)
		lseek(replay->fd, replay->at, SEEK_SET);
	return result < 0 ? result : PORT_DRAINED;
}

/* Opens the file, finds where to go on, and loads the first frame: due now. As load(). */
static int start(struct replay *replay, uint64_t now)
{
	uint8_t header[CAPTURE_HEADER_SIZE];
	char ignored[PCAP_ERRBUF_SIZE];
	off64_t at = lseek(replay->fd, 0, SEEK_CUR);
	ssize_t size = pread(replay->fd, header, sizeof(header), 0);
	FILE *stream;

	/* libpcap reads more formats than are wanted here. */
	if (size < 0 || capture_check(header, (size_t)size) < 0)
		return -EBADMSG;
	stream = open_stream(replay);
	if (stream == NULL)
		return -ENOMEM;
	replay->capture = pcap_fopen_offline_with_tstamp_precision(
		stream, PCAP_TSTAMP_PRECISION_NANO, ignored);
	if (replay->capture == NULL) {
		fclose(stream);
		return -EBADMSG;
	}
	if (at > (off64_t)CAPTURE_HEADER_SIZE && fseeko(stream, at, SEEK_SET) < 0)
		return -EBADMSG;
	replay->due = now;
	return load(replay);
}

/* A stream that leaves the descriptor where it stands. */
static FILE *open_stream(struct replay *replay)
{
	const cookie_io_functions_t functions = {.read = read_stream, .seek = seek_stream};

	replay->read_at = 0;
	return fopencookie(replay, "r", functions);
}

static ssize_t read_stream(void *context, char *buffer, size_t size)
{
	struct replay *replay = context;
	ssize_t got;

	do {
		got = pread(replay->fd, buffer, size, replay->read_at);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		replay->read_at += got;
	return got;
}

static int seek_stream(void *context, off64_t *offset, int whence)
{
	struct replay *replay = context;

	if (whence == SEEK_END || (whence == SEEK_SET && *offset < 0))
		return -1;
	*offset += whence == SEEK_CUR ? replay->read_at : 0;
	replay->read_at = *offset;
	return 0;
}

/* Reads the next frame. Returns 1, 0 at the end, or -EBADMSG. */
static int load(struct replay *replay)
{
	replay->at = ftello(pcap_file(replay->capture));
	switch (pcap_next_ex(replay->capture, &replay->header, &replay->data)) {
	case 1:
		replay->stamp = stamp_of(replay->header);
		return 1;
	case PCAP_ERROR_BREAK:
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Whatever the file may hold in later times, this replay is over. */
static void finish(struct replay *replay)
{
	replay->over = true;
	if (replay->capture != NULL)
		pcap_close(replay->capture);
	replay->capture = NULL;
	lseek(replay->fd, 0, SEEK_END);
	set_timer(replay, 0);
}

static void give(struct replay *replay, struct receiver *receiver, struct batch *batch)
{
	const struct virtio_net_hdr offload = {0};
	struct packet *packet;

	if (replay->header->caplen != replay->header->len) {
		receiver_drop(receiver, DROP_TOO_SHORT, replay->header->caplen);
		return;
	}
	packet = receiver_copy(receiver, &offload, replay->data, replay->header->caplen);
	if (packet != NULL)
		batch_add(batch, packet);
}

/* Says when the frame that was just loaded is due, from when the one before it was. */
static void schedule(struct replay *replay, uint64_t former_stamp, uint32_t former_size,
		     uint64_t now)
{
	int64_t gap = (int64_t)(replay->stamp - former_stamp);

	if (replay->rate == PROTO_REPLAY_OWN) {
		replay->due += gap > 0 ? (uint64_t)gap : 0;
	} else if (replay->rate != PROTO_REPLAY_MAX) {
		uint64_t cost = former_size * 8 * NS_PER_SECOND + replay->remainder;

		replay->due += cost / replay->rate;
		replay->remainder = cost % replay->rate;
	}
	if (replay->due + LAG_MAX < now)
		replay->due = now - LAG_MAX;
}

/* 0: never. */
static void set_timer(struct replay *replay, uint64_t when)
{
	const struct itimerspec time = {
		.it_value = {(time_t)(when / NS_PER_SECOND), (long)(when % NS_PER_SECOND)}};

	timerfd_settime(replay->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

/* libpcap was asked for nanoseconds, and gives them as microseconds. */
static uint64_t stamp_of(const struct pcap_pkthdr *header)
{
	return (uint64_t)header->ts.tv_sec * NS_PER_SECOND + (uint64_t)header->ts.tv_usec;
}
