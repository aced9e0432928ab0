/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nanoseconds per frame that coalescing takes, for frames that lie one behind the other in a
 * receive buffer as UDP_GRO leaves them; packets for first frames and the super-packets' headers
 * are in it:
 *
 *   merge    TCP segments of one flow
 *   eight    TCP segments of eight flows by turns
 *   single   segments of as many flows, of which none is merged
 *
 * Beside them, what the same octets cost otherwise: `packets` copies every frame into a packet of
 * its own, `copy` only copies and sums up the payload. Prints median, minimum and maximum of
 * several rounds; the cases alternate, so that a disturbance meets all of them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/offload/checksum.h"
#include "datapath/offload/coalesce.h"
#include "tests/unit/frames.h"

#define ROUNDS	15u
#define REPEATS 500u
#define FRAMES	44u
#define TUNNEL	8u /* octets of a VXLAN header before each frame */
#define SIZES	2u
#define CASES	5u

struct bench_case {
	const char *name;
	uint32_t flows;
	void (*run)(struct packet_pool *pool, const uint8_t *message, uint32_t frame_size);
};

static const uint32_t payload_sizes[SIZES] = {1400, 64};

/* FRAMES frames of `flows` flows that take turns. Returns NULL when out of memory. */
static uint8_t *message_new(uint32_t payload_size, uint32_t flows, uint32_t *frame_size)
{
	struct frame *frame = malloc(sizeof(*frame));
	uint8_t *message = malloc((size_t)FRAMES * 2048);

	for (uint32_t i = 0; i < FRAMES && frame != NULL && message != NULL; i++) {
		struct frame_spec spec = {.protocol = 6,
					  .tcp_option_size = 12,
					  .tcp_flags = 0x10,
					  .identification = (uint16_t)(i / flows),
					  .sequence = i / flows * payload_size,
					  .payload_size = payload_size,
					  .seed = i};
		uint8_t *tcp;

		frame_build(frame, &spec);
		tcp = frame->octets + frame->l4;
		frame_put16(tcp, 40000 + i % flows);
		frame_put16(tcp + 16, 0);
		frame_put16(tcp + 16,
			    ~frame_sum(frame_pseudo_sum(frame, 6), tcp, frame->size - frame->l4));
		*frame_size = frame->size;
		memcpy(message + i * (TUNNEL + frame->size) + TUNNEL, frame->octets, frame->size);
	}
	free(frame);
	return message;
}

static struct packet *packet_of(struct packet_pool *pool, const uint8_t *frame, uint32_t size)
{
	struct packet *packet = packet_new(pool);

	memcpy(packet->data, frame, size);
	packet->head_size = (uint16_t)size;
	packet->size = size;
	return packet;
}

static void run_packets(struct packet_pool *pool, const uint8_t *message, uint32_t frame_size)
{
	struct packet *packets[FRAMES];

	for (uint32_t i = 0; i < FRAMES; i++)
		packets[i] =
			packet_of(pool, message + i * (TUNNEL + frame_size) + TUNNEL, frame_size);
	for (uint32_t i = 0; i < FRAMES; i++)
		packet_free(pool, packets[i]);
}

static void run_copy(struct packet_pool *pool, const uint8_t *message, uint32_t frame_size)
{
	struct packet_buffer *buffer = packet_buffer_new(pool);
	uint32_t size = frame_size - 66; /* headers, with TCP's timestamps */
	uint64_t sum = 0;

	for (uint32_t i = 0; i < FRAMES; i++)
		sum = checksum_copy(sum, buffer->data + i * size,
				    message + (i + 1) * (TUNNEL + frame_size) - size, size, false);
	buffer->data[0] = (uint8_t)sum; /* or nothing would need it */
	packet_buffer_release(pool, buffer);
}

static void run_coalesce(struct packet_pool *pool, const uint8_t *message, uint32_t frame_size)
{
	static struct coalesce coalesce;
	struct coalesce_key key = {.outer_source = 1, .outer_vni = 2, .outer_tos = 3};
	struct packet *packets[FRAMES];
	uint32_t count = 0;

	for (uint32_t i = 0; i < FRAMES; i++) {
		const uint8_t *frame = message + i * (TUNNEL + frame_size) + TUNNEL;

		if (coalesce_append(&coalesce, pool, &key, frame, frame_size))
			continue;
		packets[count] = packet_of(pool, frame, frame_size);
		coalesce_open(&coalesce, &key, packets[count++]);
	}
	coalesce_finish(&coalesce);
	while (count > 0)
		packet_free(pool, packets[--count]);
}

static const struct bench_case cases[CASES] = {
	{"packets", 1, run_packets},	  {"copy", 1, run_copy},
	{"merge", 1, run_coalesce},	  {"eight", 8, run_coalesce},
	{"single", FRAMES, run_coalesce},
};

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double times[SIZES][CASES][ROUNDS])
{
	printf("%8s %8s %7s %7s %7s\n", "payload", "case", "median", "min", "max");
	for (uint32_t i = 0; i < SIZES; i++) {
		for (uint32_t j = 0; j < CASES; j++) {
			double *sorted = times[i][j];

			qsort(sorted, ROUNDS, sizeof(*sorted), compare);
			printf("%8u %8s %7.1f %7.1f %7.1f\n", payload_sizes[i], cases[j].name,
			       sorted[ROUNDS / 2], sorted[0], sorted[ROUNDS - 1]);
		}
	}
}

int main(void)
{
	static double times[SIZES][CASES][ROUNDS];
	struct packet_pool *pool = packet_pool_new(FRAMES, FRAMES);
	uint8_t *messages[SIZES][CASES];
	uint32_t frame_sizes[SIZES] = {0};
	bool enough = pool != NULL;

	for (uint32_t i = 0; i < SIZES; i++) {
		for (uint32_t j = 0; j < CASES; j++) {
			messages[i][j] =
				message_new(payload_sizes[i], cases[j].flows, &frame_sizes[i]);
			enough = enough && messages[i][j] != NULL;
		}
	}
	if (!enough) {
		fprintf(stderr, "coalesce_bench: out of memory\n");
		return 1;
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < SIZES * CASES; i++) {
			uint32_t size = i / CASES, which = i % CASES;
			double start = now_ns();

			for (uint32_t repeat = 0; repeat < REPEATS; repeat++)
				cases[which].run(pool, messages[size][which], frame_sizes[size]);
			times[size][which][round] = (now_ns() - start) / REPEATS / FRAMES;
		}
	}
	report(times);
	for (uint32_t i = 0; i < SIZES * CASES; i++)
		free(messages[i / CASES][i % CASES]);
	packet_pool_free(pool);
	return 0;
}
