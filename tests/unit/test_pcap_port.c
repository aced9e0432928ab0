/* SPDX-License-Identifier: Apache-2.0 */

/* Ports on capture files: what they replay, and what they take for a capture. */

#include "capture_fixture.h"

static uint8_t octets[300000];

static void expect_packet(const struct packet *packet, uint32_t number, uint32_t size)
{
	const struct virtio_net_hdr none = {0};

	assert_int_equal(packet->size, size);
	assert_int_equal(packet_read(packet, 0, octets, sizeof(octets)), size);
	assert_memory_equal(octets, frame_octets(number, size), size);
	assert_memory_equal(&packet->offload, &none, sizeof(none));
}

/* ---- what is a capture ---- */

static void header_is_judged(void **state)
{
	static const struct {
		struct form form;
		size_t size;
		int result;
	} cases[] = {
		{{MICROSECONDS, false, 2, 65535, 1}, 24, 0},
		{{MICROSECONDS, true, 2, 65535, 1}, 24, 0},
		{{NANOSECONDS, false, 2, 65535, 1}, 24, 0},
		{{NANOSECONDS, true, 2, 65535, 1}, 24, 0},
		{{NANOSECONDS, true, 2, 65535, 1}, 23, -ENODATA},
		{{MICROSECONDS, false, 2, 65535, 1}, 4, -ENODATA},
		{{MICROSECONDS, false, 2, 65535, 1}, 3, -ENODATA},
		{{0, false, 0, 0, 0}, 0, -ENODATA},
		{{0, false, 2, 65535, 1}, 24, -EBADMSG},
		{{0xa1b2cd34, false, 2, 65535, 1}, 24, -EBADMSG}, /* a variant of old */
		{{MICROSECONDS, false, 1, 65535, 1}, 24, -EBADMSG},
		{{MICROSECONDS, true, 512, 65535, 1}, 24, -EBADMSG},
		{{0x0a0d0d0a, false, 2, 65535, 1}, 24, -EPROTONOSUPPORT},
		{{0x0a0d0d0a, false, 2, 65535, 1}, 4, -EPROTONOSUPPORT},
		{{MICROSECONDS, false, 2, 65535, 113}, 24, -EMEDIUMTYPE},
		{{MICROSECONDS, true, 2, 65535, 101}, 24, -EMEDIUMTYPE},
		{{MICROSECONDS, false, 2, 65535, 0x44000001}, 24, -EMEDIUMTYPE}, /* FCS */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t header[CAPTURE_HEADER_SIZE];

		assert_int_equal(lseek(fixture->write_fd, 0, SEEK_SET), 0);
		put_header(fixture, cases[i].form);
		assert_int_equal(pread(fixture->fd, header, sizeof(header), 0), sizeof(header));
		assert_int_equal(capture_check(header, cases[i].size), cases[i].result);
	}
}

/* ---- replay ---- */

static void replays_every_form(void **state)
{
	static const struct form forms[] = {
		{MICROSECONDS, false, 2, 262144, 1},
		{MICROSECONDS, true, 2, 65535, 1},
		{NANOSECONDS, false, 2, 262144, 1},
		{NANOSECONDS, true, 2, 262144, 1},
	};
	static const uint32_t sizes[] = {14, 60, 1514, 2048, 9014, 65535};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < COUNT(forms); i++) {
		struct port *port;
		unsigned seen = 0;

		assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
		lseek(fixture->write_fd, 0, SEEK_SET);
		lseek(fixture->fd, 0, SEEK_SET);
		put_header(fixture, forms[i]);
		for (uint32_t j = 0; j < COUNT(sizes); j++)
			put_frame(fixture, 1700000000 * (1000 * MS), j, sizes[j]);
		port = replay_port(fixture, PROTO_REPLAY_OWN);
		/* All have the same time: nothing is waited for, whatever a batch takes. */
		while (seen < COUNT(sizes)) {
			assert_true(is_ready(port, 0));
			assert_int_equal(receive(fixture, port), 0);
			assert_true(fixture->batch.count > 0);
			for (unsigned j = 0; j < fixture->batch.count; j++, seen++)
				expect_packet(fixture->batch.packets[j], seen, sizes[seen]);
			discard(fixture);
		}
		assert_int_equal(receive(fixture, port), 0);
		assert_int_equal(fixture->batch.count, 0);
		assert_false(is_ready(port, 0));
		assert_int_equal(position(fixture->fd), file_size(fixture->fd));
		port_unref(port);
	}
}

static void drops_what_is_no_whole_frame(void **state)
{
	static const struct form small_snapshot = {NANOSECONDS, false, 2, 100, 1};
	struct fixture *fixture = *state;
	struct port *port;

	put_header(fixture, PLAIN);
	put_record_header(fixture, 0, 60, 1514);
	put(fixture, frame_octets(0, 60), 60);
	put_record_header(fixture, 0, 100, 60); /* longer than it was */
	put(fixture, frame_octets(0, 100), 100);
	put_frame(fixture, 0, 1, PACKET_SIZE_MAX + 1);
	put_frame(fixture, 0, 1, 262144);
	put_frame(fixture, 0, 1, 262144);
	put_frame(fixture, 0, 2, 60);
	port = replay_port(fixture, PROTO_REPLAY_MAX);
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->receiver.dropped[DROP_TOO_SHORT], 2);
	assert_int_equal(fixture->receiver.dropped[DROP_TOO_LONG], 3);
	assert_int_equal(fixture->receiver.dropped_frames, 5);
	assert_int_equal(fixture->batch.count, 0); /* bounded by octets */
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->batch.count, 1);
	expect_packet(fixture->batch.packets[0], 2, 60);
	discard(fixture);
	port_unref(port);

	/* The header says that no frame has so many octets. */
	assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
	lseek(fixture->write_fd, 0, SEEK_SET);
	lseek(fixture->fd, 0, SEEK_SET);
	put_header(fixture, small_snapshot);
	put_frame(fixture, 0, 1, 1514);
	put_frame(fixture, 0, 2, 100);
	port = replay_port(fixture, PROTO_REPLAY_MAX);
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->receiver.dropped[DROP_TOO_SHORT], 1);
	assert_int_equal(fixture->receiver.dropped_bytes, 100);
	assert_int_equal(fixture->batch.count, 1);
	expect_packet(fixture->batch.packets[0], 2, 100);
	discard(fixture);
	port_unref(port);
}

/* Expects that the port is lost once and then is still, its file at the end. */
static void expect_lost(struct fixture *fixture, struct port *port, unsigned frames)
{
	assert_int_equal(receive(fixture, port), -EBADMSG);
	assert_int_equal(fixture->batch.count, frames);
	discard(fixture);
	assert_int_equal(position(fixture->fd), file_size(fixture->fd));
	assert_false(is_ready(port, 0));
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->batch.count, 0);
}

static void refuses_other_files(void **state)
{
	static const char *const texts[] = {"", "hello", "\x0a\x0d\x0d\x0a", "\xd4\xc3\xb2\xa1"};
	static const struct form forms[] = {
		{MICROSECONDS, false, 1, 65535, 1},
		{MICROSECONDS, false, 2, 65535, 113},
		{0x0a0d0d0a, false, 2, 65535, 1},
		{0xa1b2cd34, false, 2, 65535, 1},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < COUNT(texts) + COUNT(forms); i++) {
		struct port *port;

		assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
		lseek(fixture->write_fd, 0, SEEK_SET);
		lseek(fixture->fd, 0, SEEK_SET);
		if (i < COUNT(texts))
			put(fixture, texts[i], strlen(texts[i]));
		else
			put_header(fixture, forms[i - COUNT(texts)]);
		if (i >= COUNT(texts))
			put_frame(fixture, 0, 0, 60);
		port = replay_port(fixture, PROTO_REPLAY_MAX);
		expect_lost(fixture, port, 0);
		port_unref(port);
	}
}

static void stops_where_the_file_is_damaged(void **state)
{
	struct fixture *fixture = *state;
	struct port *port;

	/* Cut within a frame. */
	put_header(fixture, PLAIN);
	put_frame(fixture, 0, 0, 60);
	put_frame(fixture, 0, 1, 60);
	put_record_header(fixture, 0, 1000, 1000);
	put(fixture, frame_octets(2, 999), 999);
	port = replay_port(fixture, PROTO_REPLAY_MAX);
	expect_lost(fixture, port, 2);
	port_unref(port);
	/* Another port on the same descriptor does not try again. */
	port = replay_port(fixture, PROTO_REPLAY_MAX);
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->batch.count, 0);
	port_unref(port);

	/* A length that cannot be. */
	assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
	lseek(fixture->write_fd, 0, SEEK_SET);
	lseek(fixture->fd, 0, SEEK_SET);
	put_header(fixture, PLAIN);
	put_frame(fixture, 0, 0, 60);
	put_record_header(fixture, 0, UINT32_MAX, UINT32_MAX);
	put(fixture, frame_octets(2, 1000), 1000);
	port = replay_port(fixture, PROTO_REPLAY_MAX);
	expect_lost(fixture, port, 1);
	port_unref(port);
}

/* Whatever the octets are: frames, then an end. */
static void survives_any_octet(void **state)
{
	struct fixture *fixture = *state;
	uint8_t good[24 + 3 * (16 + 20)];

	put_header(fixture, PLAIN);
	for (uint32_t i = 0; i < 3; i++)
		put_frame(fixture, i, i, 20);
	assert_int_equal(pread(fixture->fd, good, sizeof(good), 0), sizeof(good));
	for (size_t i = 0; i < 2 * sizeof(good); i++) {
		bool cut = i >= sizeof(good);
		size_t at = i % sizeof(good);
		uint8_t bad[sizeof(good)];
		struct port *port;
		int result = 0;

		memcpy(bad, good, sizeof(bad));
		bad[at] ^= cut ? 0 : 0xff;
		assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
		assert_int_equal(pwrite(fixture->write_fd, bad, cut ? at : sizeof(bad), 0),
				 cut ? at : sizeof(bad));
		lseek(fixture->fd, 0, SEEK_SET);
		port = replay_port(fixture, PROTO_REPLAY_MAX);
		for (unsigned turn = 0; turn < 5; turn++) {
			int now = receive(fixture, port);

			assert_true(now == 0 || (now == -EBADMSG && result == 0));
			result = now != 0 ? now : result;
			assert_true(fixture->batch.count <= 3);
			discard(fixture);
		}
		assert_false(is_ready(port, 0));
		assert_int_equal(position(fixture->fd), file_size(fixture->fd));
		port_unref(port);
	}
}

/* Another port on the same descriptor goes on where the first stood: no frame is lost or doubled.
 */
static void goes_on_with_another_port(void **state)
{
	struct fixture *fixture = *state;
	uint32_t seen = 0;

	put_header(fixture, PLAIN);
	for (uint32_t i = 0; i < 500; i++)
		put_frame(fixture, 0, i, 60 + i * 3);
	while (seen < 500) {
		struct port *port = replay_port(fixture, PROTO_REPLAY_MAX);

		assert_int_equal(receive(fixture, port), 0);
		assert_true(fixture->batch.count > 0 && fixture->batch.count <= BATCH_SIZE);
		for (unsigned i = 0; i < fixture->batch.count; i++, seen++)
			expect_packet(fixture->batch.packets[i], seen, 60 + seen * 3);
		discard(fixture);
		port_unref(port);
	}
	assert_int_equal(position(fixture->fd), file_size(fixture->fd));
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* Waits for the frames, and says when each came, counted from the first. */
static void receive_timed(struct fixture *fixture, struct port *port, uint64_t *times,
			  uint32_t count)
{
	uint64_t first = 0;

	for (uint32_t seen = 0; seen < count;) {
		uint64_t now;

		assert_true(is_ready(port, DEADLINE_MS));
		assert_int_equal(receive(fixture, port), 0);
		now = now_ns();
		first = seen == 0 ? now : first;
		for (unsigned i = 0; i < fixture->batch.count; i++)
			times[seen++] = now - first;
		discard(fixture);
		assert_true(seen <= count);
	}
}

/* The first is received a little later than it is due, so that much is what the others may seem too
 * early. */
#define EARLY (20 * MS)

static void keeps_the_time_of_the_file(void **state)
{
	/* ms; the clock of whoever captured was set back and forth */
	static const uint32_t stamps[] = {1000, 1060, 1060, 500, 560, 561, 661};
	static const uint32_t due[] = {0, 60, 60, 60, 120, 121, 221};
	struct fixture *fixture = *state;
	uint64_t times[COUNT(stamps)];
	struct port *port;

	put_header(fixture, PLAIN);
	for (uint32_t i = 0; i < COUNT(stamps); i++)
		put_frame(fixture, stamps[i] * MS, i, 60);
	port = replay_port(fixture, PROTO_REPLAY_OWN);
	receive_timed(fixture, port, times, COUNT(stamps));
	for (uint32_t i = 0; i < COUNT(stamps); i++)
		assert_true(times[i] + EARLY >= due[i] * MS);
	port_unref(port);
}

static void keeps_a_rate(void **state)
{
	struct fixture *fixture = *state;
	uint64_t times[200];
	struct port *port;

	put_header(fixture, PLAIN);
	for (uint32_t i = 0; i < COUNT(times); i++)
		put_frame(fixture, 0, i, 1000);
	/* One in a millisecond, whatever the file says. */
	port = replay_port(fixture, 8 * 1000 * 1000);
	receive_timed(fixture, port, times, COUNT(times));
	for (uint32_t i = 0; i < COUNT(times); i++)
		assert_true(times[i] + EARLY >= i * MS);
	port_unref(port);
}

/* ---- ports of both ---- */

static void takes_files_as_its_record_says(void **state)
{
	static const struct {
		uint32_t capture, count;
	} wrong[] = {
		{0, 1},
		{0, 2},
		{PROTO_CAPTURE_REPLAY, 2},
		{PROTO_CAPTURE_RECORD, 2},
		{PROTO_CAPTURE_REPLAY | PROTO_CAPTURE_RECORD, 1},
	};
	struct fixture *fixture = *state;
	int fds[2] = {fixture->fd, open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600)};
	uint8_t results[2];
	struct port *port;

	assert_true(fds[1] >= 0);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(
			configured_port(&port, wrong[i].capture, fds, wrong[i].count, 0, MIB),
			-EINVAL);
	put_header(fixture, PLAIN);
	put_frame(fixture, 0, 0, 60);
	assert_int_equal(configured_port(&port, PROTO_CAPTURE_REPLAY | PROTO_CAPTURE_RECORD, fds, 2,
					 PROTO_REPLAY_OWN, MIB),
			 0);
	assert_int_equal(port->features, 0); /* captures are plain */
	assert_int_equal(receive(fixture, port), 0);
	assert_int_equal(fixture->batch.count, 1);
	discard(fixture);
	transmit(fixture, port, 0, 2, 100, results);
	expect_results(results, 2, DROP_NONE);
	assert_int_equal(file_size(fds[1]), 24 + 2 * 116);
	port_unref(port);
	close(fds[1]);

	/* Without a recording, what is sent is gone. */
	port = replay_port(fixture, PROTO_REPLAY_OWN);
	transmit(fixture, port, 0, 2, 100, results);
	expect_results(results, 2, DROP_NONE);
	port_unref(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(header_is_judged, setup, teardown),
		cmocka_unit_test_setup_teardown(replays_every_form, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_what_is_no_whole_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_other_files, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_where_the_file_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_any_octet, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_with_another_port, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_the_time_of_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_a_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_files_as_its_record_says, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
