/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_CAPTURE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_CAPTURE_FIXTURE_H

/* Ports on capture files, and such files, written by hand as others write them. */

#include <byteswap.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/capture.h"
#include "datapath/ports/port.h"
#include "datapath/ports/receiver.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MICROSECONDS 0xa1b2c3d4u
#define NANOSECONDS  0xa1b23c4du
#define MIB	     (1024u * 1024u)
#define DEADLINE_MS  20000
#define MS	     1000000ull

/* How a file is written. */
struct form {
	uint32_t magic;
	bool swapped;
	uint16_t version;
	uint32_t snapshot, link_type;
};

#define PLAIN ((struct form){NANOSECONDS, false, 2, 262144, 1})

struct fixture {
	struct packet_pool *pool;
	struct receiver receiver;
	struct batch batch;
	char path[64];
	int fd;	      /* of the file, as the port has it */
	int write_fd; /* of the same file, as the test writes it */
	struct form form;
	uint64_t stamp; /* of the last record, ns */
};

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->pool = packet_pool_new(4096, 512);
	assert_non_null(fixture->pool);
	assert_int_equal(receiver_init(&fixture->receiver, fixture->pool), 0);
	strcpy(fixture->path, "/tmp/test_pcap_port.XXXXXX");
	fixture->write_fd = mkstemp(fixture->path);
	assert_true(fixture->write_fd >= 0);
	fixture->fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
	assert_true(fixture->fd >= 0);
	fixture->form = PLAIN;
	*state = fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;
	uint32_t in_use;

	receiver_fini(&fixture->receiver);
	in_use = packet_pool_in_use(fixture->pool);
	packet_pool_free(fixture->pool);
	close(fixture->fd);
	close(fixture->write_fd);
	unlink(fixture->path);
	free(fixture);
	return in_use == 0 ? 0 : -1;
}

/* ---- writing files by hand, as others write them ---- */

static inline void put(struct fixture *fixture, const void *data, size_t size)
{
	assert_int_equal(write(fixture->write_fd, data, size), size);
}

static inline void put_word(struct fixture *fixture, uint32_t word)
{
	word = fixture->form.swapped ? bswap_32(word) : word;
	put(fixture, &word, sizeof(word));
}

static inline void put_half(struct fixture *fixture, uint16_t half)
{
	half = fixture->form.swapped ? bswap_16(half) : half;
	put(fixture, &half, sizeof(half));
}

static inline void put_header(struct fixture *fixture, struct form form)
{
	fixture->form = form;
	put_word(fixture, form.magic);
	put_half(fixture, form.version);
	put_half(fixture, 4);
	put_word(fixture, 0);
	put_word(fixture, 0);
	put_word(fixture, form.snapshot);
	put_word(fixture, form.link_type);
}

static inline void put_record_header(struct fixture *fixture, uint64_t stamp, uint32_t captured,
				     uint32_t size)
{
	uint64_t rest = stamp % 1000000000u;

	put_word(fixture, (uint32_t)(stamp / 1000000000u));
	put_word(fixture, (uint32_t)(fixture->form.magic == NANOSECONDS ? rest : rest / 1000));
	put_word(fixture, captured);
	put_word(fixture, size);
}

/* The same octets for the same number and size. */
static inline const uint8_t *frame_octets(uint32_t number, uint32_t size)
{
	static uint8_t frame[300000];

	for (uint32_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(number * 31 + i * 7 + size);
	return frame;
}

static inline void put_frame(struct fixture *fixture, uint64_t stamp, uint32_t number,
			     uint32_t size)
{
	put_record_header(fixture, stamp, size, size);
	put(fixture, frame_octets(number, size), size);
}

/* ---- ports ---- */

static inline int configured_port(struct port **port, uint32_t capture, const int *fds,
				  uint32_t count, uint64_t rate, uint64_t limit)
{
	const struct proto_port record = {.ref = {1, 1},
					  .type = PROTO_PORT_PCAP,
					  .capture = capture,
					  .replay_rate = rate,
					  .record_limit = limit};
	int copies[2], error;

	for (uint32_t i = 0; i < count; i++)
		copies[i] = dup(fds[i]);
	assert_int_equal(port_new(port, PROTO_PORT_PCAP, &record.ref, copies, count), 0);
	error = port_configure(*port, &record);
	if (error < 0)
		port_unref(*port);
	return error;
}

static inline struct port *replay_port(const struct fixture *fixture, uint64_t rate)
{
	struct port *port;

	assert_int_equal(configured_port(&port, PROTO_CAPTURE_REPLAY, &fixture->fd, 1, rate, 0), 0);
	assert_int_equal(port->receive_count, 1);
	return port;
}

/* Receives once; the frames are in fixture->batch. */
static inline int receive(struct fixture *fixture, struct port *port)
{
	struct receiver *receiver = &fixture->receiver;

	receiver->dropped_frames = receiver->dropped_bytes = 0;
	memset(receiver->dropped, 0, sizeof(receiver->dropped));
	fixture->batch.count = 0;
	return port->ops->receive(port, 0, receiver, &fixture->batch);
}

static inline void discard(struct fixture *fixture)
{
	for (unsigned i = 0; i < fixture->batch.count; i++)
		packet_free(fixture->pool, fixture->batch.packets[i]);
	fixture->batch.count = 0;
}

static inline bool is_ready(const struct port *port, int timeout)
{
	struct pollfd wait = {.fd = port->wait_fds[0], .events = POLLIN};

	return poll(&wait, 1, timeout) == 1;
}

static inline off_t position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

static inline off_t file_size(int fd)
{
	struct stat file;

	assert_int_equal(fstat(fd, &file), 0);
	return file.st_size;
}

/* A packet with the octets of that number: all in its head, or most of it in a slice. */
static inline struct packet *new_packet(struct fixture *fixture, uint32_t number, uint32_t size)
{
	struct packet *packet = packet_new(fixture->pool);
	const uint8_t *data = frame_octets(number, size);
	uint32_t head = size <= 1514 ? size : 54;

	assert_non_null(packet);
	memcpy(packet->data, data, head);
	packet->head_size = (uint16_t)head;
	packet->size = size;
	if (head < size) {
		struct packet_buffer *buffer = packet_buffer_new(fixture->pool);

		assert_non_null(buffer);
		memcpy(buffer->data, data + head, size - head);
		packet_attach(packet, buffer, 0, size - head);
		packet->size = size;
	}
	return packet;
}

/* Sends packets numbered from `first`, all of that size, and writes their results. */
static inline void transmit(struct fixture *fixture, struct port *port, uint32_t first,
			    uint32_t count, uint32_t size, uint8_t *results)
{
	struct packet *packets[BATCH_SIZE];

	assert_true(count <= BATCH_SIZE);
	for (uint32_t i = 0; i < count; i++)
		packets[i] = new_packet(fixture, first + i, size);
	memset(results, 0xff, count);
	port->ops->transmit(port, NULL, 0, packets, count, results);
	for (uint32_t i = 0; i < count; i++)
		packet_free(fixture->pool, packets[i]);
}

static inline void expect_results(const uint8_t *results, uint32_t count, enum drop_reason reason)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(results[i], reason);
}

#endif
