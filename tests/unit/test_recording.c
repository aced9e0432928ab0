/* SPDX-License-Identifier: Apache-2.0 */

/* Ports on capture files: what they record, read back by libpcap. */

#include <pcap/pcap.h>
#include <signal.h>
#include <sys/resource.h>

#include "capture_fixture.h"

static int open_recording(const struct fixture *fixture)
{
	int fd = open(fixture->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct port *record_port(int fd, uint64_t limit)
{
	struct port *port;

	assert_int_equal(configured_port(&port, PROTO_CAPTURE_RECORD, &fd, 1, 0, limit), 0);
	assert_int_equal(port->receive_count, 0);
	return port;
}

static pcap_t *read_back(const struct fixture *fixture)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_t *capture = pcap_open_offline_with_tstamp_precision(fixture->path,
								  PCAP_TSTAMP_PRECISION_NANO, text);

	assert_non_null(capture);
	assert_int_equal(pcap_datalink(capture), DLT_EN10MB);
	return capture;
}

static void expect_recorded(pcap_t *capture, uint32_t number, uint32_t size)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	assert_int_equal(pcap_next_ex(capture, &header, &data), 1);
	assert_int_equal(header->caplen, size);
	assert_int_equal(header->len, size);
	assert_memory_equal(data, frame_octets(number, size), size);
}

static void expect_recorded_end(pcap_t *capture)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	assert_int_equal(pcap_next_ex(capture, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(capture);
}

static void records_frames(void **state)
{
	static const uint32_t sizes[] = {14, 60, 1514, 1515, 9014, PACKET_SIZE_MAX};
	struct fixture *fixture = *state;
	int fd = open_recording(fixture);
	struct port *port = record_port(fd, 64 * MIB);
	uint8_t results[BATCH_SIZE];
	pcap_t *capture = read_back(fixture); /* it can be read before anything leaves */

	expect_recorded_end(capture);
	for (uint32_t i = 0; i < COUNT(sizes); i++) {
		transmit(fixture, port, i * 100, BATCH_SIZE, sizes[i], results);
		expect_results(results, BATCH_SIZE, DROP_NONE);
		assert_int_equal(position(fd), file_size(fd));
	}
	capture = read_back(fixture);
	for (uint32_t i = 0; i < COUNT(sizes); i++)
		for (uint32_t j = 0; j < BATCH_SIZE; j++)
			expect_recorded(capture, i * 100 + j, sizes[i]);
	expect_recorded_end(capture);
	port_unref(port);
	close(fd);
}

static void records_the_time(void **state)
{
	struct fixture *fixture = *state;
	int fd = open_recording(fixture);
	struct port *port = record_port(fd, MIB);
	struct timespec before, after;
	struct pcap_pkthdr *header;
	const u_char *data;
	uint8_t results[BATCH_SIZE];
	pcap_t *capture;
	bool fine = false;

	clock_gettime(CLOCK_REALTIME, &before);
	for (uint32_t i = 0; i < 32; i++)
		transmit(fixture, port, 0, 1, 60, results);
	clock_gettime(CLOCK_REALTIME, &after);
	capture = read_back(fixture);
	while (pcap_next_ex(capture, &header, &data) == 1) {
		struct timespec time = {header->ts.tv_sec, header->ts.tv_usec};

		assert_true(time.tv_nsec < 1000000000);
		assert_true(time.tv_sec > before.tv_sec ||
			    (time.tv_sec == before.tv_sec && time.tv_nsec >= before.tv_nsec));
		assert_true(time.tv_sec < after.tv_sec ||
			    (time.tv_sec == after.tv_sec && time.tv_nsec <= after.tv_nsec));
		fine = fine || time.tv_nsec % 1000 != 0;
		before = time;
	}
	assert_true(fine);
	pcap_close(capture);
	port_unref(port);
	close(fd);
}

static void stops_at_its_limit(void **state)
{
	struct fixture *fixture = *state;
	int fd = open_recording(fixture);
	uint64_t limit = 24 + 10 * (16 + 100);
	struct port *port = record_port(fd, limit);
	uint8_t results[BATCH_SIZE];
	pcap_t *capture;

	transmit(fixture, port, 0, 9, 100, results);
	expect_results(results, 9, DROP_NONE);
	/* One octet more than there is room for. */
	transmit(fixture, port, 9, 3, 101, results);
	expect_results(results, 3, DROP_PORT_FULL);
	assert_int_equal(position(fd), limit);
	/* Full is full, also for what would fit, and for another port with the same limit. */
	transmit(fixture, port, 9, 1, 14, results);
	expect_results(results, 1, DROP_PORT_FULL);
	port_unref(port);
	assert_int_equal(file_size(fd), 24 + 9 * 116);

	port = record_port(fd, limit + 16 + 50);
	transmit(fixture, port, 9, 4, 100, results);
	expect_results(results, 1, DROP_NONE);
	expect_results(results + 1, 3, DROP_PORT_FULL);
	port_unref(port);
	capture = read_back(fixture);
	for (uint32_t i = 0; i < 10; i++)
		expect_recorded(capture, i, 100);
	expect_recorded_end(capture);
	close(fd);

	/* A limit below the header. */
	assert_int_equal(ftruncate(fixture->write_fd, 0), 0);
	fd = open_recording(fixture);
	port = record_port(fd, 0);
	transmit(fixture, port, 0, 2, 14, results);
	expect_results(results, 2, DROP_PORT_FULL);
	expect_recorded_end(read_back(fixture));
	port_unref(port);
	close(fd);
}

/* What a datapath that died had half written is cut off; whole records stay. */
static void goes_on_behind_the_last_record(void **state)
{
	struct fixture *fixture = *state;
	int fd = open_recording(fixture);
	struct port *port = record_port(fd, MIB);
	uint8_t results[BATCH_SIZE];
	pcap_t *capture;

	transmit(fixture, port, 0, 5, 100, results);
	port_unref(port);
	assert_int_equal(pwrite(fd, frame_octets(7, 777), 777, 0), 777);
	port = record_port(fd, MIB);
	assert_int_equal(file_size(fd), 24 + 5 * 116 + 777); /* not before something leaves */
	transmit(fixture, port, 5, 5, 100, results);
	expect_results(results, 5, DROP_NONE);
	capture = read_back(fixture);
	for (uint32_t i = 0; i < 10; i++)
		expect_recorded(capture, i, 100);
	expect_recorded_end(capture);
	port_unref(port);

	/* A header that was half written. */
	assert_int_equal(ftruncate(fixture->write_fd, 11), 0);
	lseek(fd, 0, SEEK_SET);
	port = record_port(fd, MIB);
	transmit(fixture, port, 0, 2, 100, results);
	expect_results(results, 2, DROP_NONE);
	capture = read_back(fixture);
	expect_recorded(capture, 0, 100);
	expect_recorded(capture, 1, 100);
	expect_recorded_end(capture);
	port_unref(port);
	close(fd);
}

/* A disk that is full in the midst of a batch: all of the batch is dropped, and none is torn. */
static void drops_what_the_disk_does_not_take(void **state)
{
	struct fixture *fixture = *state;
	int fd = open_recording(fixture);
	struct port *port = record_port(fd, MIB);
	uint8_t results[BATCH_SIZE];
	struct rlimit former, limit;
	pcap_t *capture;

	transmit(fixture, port, 0, 2, 1000, results);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
	limit = former;
	limit.rlim_cur = 24 + 4 * 1016 + 500;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	transmit(fixture, port, 2, 10, 1000, results);
	expect_results(results, 10, DROP_PORT_ERROR);
	assert_int_equal(file_size(fd), 24 + 2 * 1016);
	transmit(fixture, port, 2, 2, 1000, results);
	expect_results(results, 2, DROP_NONE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
	transmit(fixture, port, 4, 1, 1000, results);
	expect_results(results, 1, DROP_NONE);
	capture = read_back(fixture);
	for (uint32_t i = 0; i < 5; i++)
		expect_recorded(capture, i, 1000);
	expect_recorded_end(capture);
	port_unref(port);
	close(fd);

	/* One that cannot be written at all. */
	port = record_port(fixture->fd, MIB);
	transmit(fixture, port, 0, 4, 100, results);
	expect_results(results, 4, DROP_PORT_ERROR);
	port_unref(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(records_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_at_its_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_behind_the_last_record, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_what_the_disk_does_not_take, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
