/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/recording.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/capture.h"
#include "datapath/ports/gather.h"

#define BUFFER_SIZE	   (256u * 1024u)
#define RECORD_HEADER_SIZE 16u
#define FRAME_SIZE	   (PACKET_SIZE_MAX + PACKET_HEADROOM) /* tags may be added to it */
#define SNAPSHOT_SIZE	   262144 /* what tcpdump writes; above every frame */

struct recording {
	int fd;
	uint64_t limit;
	pthread_mutex_t lock; /* of all below */
	pcap_t *form;	      /* says how records look */
	pcap_dumper_t *dumper;
	bool begun;	  /* the file was looked at */
	bool full, shown; /* the limit is reached; the descriptor says so */
	uint64_t size;	  /* of the file */
	size_t used;	  /* of buffer */
	uint8_t header[CAPTURE_HEADER_SIZE];
	uint8_t buffer[BUFFER_SIZE]; /* whole records that are not in the file yet */
	uint8_t frame[FRAME_SIZE];   /* one packet in one piece */
};

static int open_dumper(struct recording *recording);
static ssize_t append_buffer(void *context, const char *octets, size_t size);
static int write_header(struct recording *recording);
static int begin(struct recording *recording);
static enum drop_reason add(struct recording *recording, const struct packet *packet);
static enum drop_reason flush(struct recording *recording);

int recording_new(struct recording **recording, int fd, uint64_t limit)
{
	struct recording *made = calloc(1, sizeof(*made));
	struct stat file;
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->fd = fd;
	made->limit = limit;
	pthread_mutex_init(&made->lock, NULL);
	error = open_dumper(made);
	if (error < 0) {
		recording_free(made);
		return error;
	}
	/* A file without a header could not be read while nothing leaves; a full disk shows later.
	 */
	if (fstat(fd, &file) == 0 && file.st_size == 0)
		(void)write_header(made);
	*recording = made;
	return 0;
}

void recording_free(struct recording *recording)
{
	if (recording == NULL)
		return;
	if (recording->dumper != NULL)
		pcap_dump_close(recording->dumper);
	if (recording->form != NULL)
		pcap_close(recording->form);
	pthread_mutex_destroy(&recording->lock);
	free(recording);
}

void recording_write(struct recording *recording, struct packet **packets, unsigned count,
		     uint8_t *results)
{
	enum drop_reason reason = DROP_NONE;
	unsigned first = 0; /* whose record is in the buffer */

	pthread_mutex_lock(&recording->lock);
	if (!recording->begun && begin(recording) < 0)
		reason = DROP_PORT_ERROR;
	for (unsigned i = 0; i < count; i++) {
		if (reason == DROP_NONE &&
		    recording->used + RECORD_HEADER_SIZE + packets[i]->size > BUFFER_SIZE) {
			reason = flush(recording);
			memset(results + first, reason, i - first);
			first = i;
		}
		results[i] = reason == DROP_NONE ? add(recording, packets[i]) : reason;
	}
	reason = flush(recording);
	for (unsigned i = first; i < count; i++)
		results[i] = results[i] == DROP_NONE ? reason : results[i];
	pthread_mutex_unlock(&recording->lock);
}

/* libpcap writes to a stream that ends in our buffer; what it opens with is for an empty file. */
static int open_dumper(struct recording *recording)
{
	const cookie_io_functions_t functions = {.write = append_buffer};
	FILE *stream;

	recording->form = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAPSHOT_SIZE,
							       PCAP_TSTAMP_PRECISION_NANO);
	if (recording->form == NULL)
		return -ENOMEM;
	stream = fopencookie(recording, "w", functions);
	if (stream == NULL)
		return -ENOMEM;
	setvbuf(stream, NULL, _IONBF, 0);
	recording->dumper = pcap_dump_fopen(recording->form, stream);
	if (recording->dumper == NULL)
		return -ENOMEM; /* which closed the stream */
	if (recording->used != CAPTURE_HEADER_SIZE)
		return -EPROTO;
	memcpy(recording->header, recording->buffer, CAPTURE_HEADER_SIZE);
	recording->used = 0;
	return 0;
}

static ssize_t append_buffer(void *context, const char *octets, size_t size)
{
	struct recording *recording = context;

	memcpy(recording->buffer + recording->used, octets, size);
	recording->used += size;
	return (ssize_t)size;
}

static int write_header(struct recording *recording)
{
	if (pwrite(recording->fd, recording->header, CAPTURE_HEADER_SIZE, 0) !=
	    (ssize_t)CAPTURE_HEADER_SIZE)
		return -EIO;
	lseek(recording->fd, CAPTURE_HEADER_SIZE, SEEK_SET);
	return 0;
}

/*
 * Goes on where another stopped. Not before the first packet: until then a former recording to the
 * same file, under other settings, may be at work.
 */
static int begin(struct recording *recording)
{
	off_t at = lseek(recording->fd, 0, SEEK_CUR);
	struct stat file;

	if (fstat(recording->fd, &file) < 0)
		return -errno;
	if (file.st_size < (off_t)CAPTURE_HEADER_SIZE) {
		if (ftruncate(recording->fd, 0) < 0 || write_header(recording) < 0)
			return -EIO;
		file.st_size = CAPTURE_HEADER_SIZE;
	} else if (at >= (off_t)CAPTURE_HEADER_SIZE && at < file.st_size) {
		if (ftruncate(recording->fd, at) < 0)
			return -errno;
		file.st_size = at;
	}
	recording->size = (uint64_t)file.st_size;
	recording->begun = true;
	return 0;
}

/* The caller sees to it that the buffer has room. */
static enum drop_reason add(struct recording *recording, const struct packet *packet)
{
	struct pcap_pkthdr header = {.len = packet->size};
	struct timespec now;

	if (recording->size + recording->used + RECORD_HEADER_SIZE + packet->size >
	    recording->limit)
		recording->full = true;
	if (recording->full)
		return DROP_PORT_FULL;
	clock_gettime(CLOCK_REALTIME, &now);
	header.ts.tv_sec = now.tv_sec;
	header.ts.tv_usec = now.tv_nsec; /* as the form says */
	header.caplen = packet_read(packet, 0, recording->frame, sizeof(recording->frame));
	pcap_dump((u_char *)recording->dumper, &header, recording->frame);
	return DROP_NONE;
}

/* Appends what is in the buffer, all of it or nothing. */
static enum drop_reason flush(struct recording *recording)
{
	size_t size = recording->used;
	struct stat file;
	ssize_t written;

	recording->used = 0;
	if (size > 0) {
		do {
			written = pwrite(recording->fd, recording->buffer, size,
					 (off_t)recording->size);
		} while (written < 0 && errno == EINTR);
		if (written < 0)
			return gather_drop_reason(errno);
		if ((size_t)written < size) {
			recording->begun = ftruncate(recording->fd, (off_t)recording->size) == 0;
			return DROP_PORT_ERROR;
		}
		/* Not size + used: a former recording may have appended meanwhile. */
		if (fstat(recording->fd, &file) == 0)
			recording->size = (uint64_t)file.st_size;
	}
	if (size > 0 || recording->full != recording->shown)
		lseek(recording->fd, (off_t)(recording->full ? recording->limit : recording->size),
		      SEEK_SET);
	recording->shown = recording->full;
	return DROP_NONE;
}
