/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines, read back from a pipe in stderr's place. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

struct capture {
	int saved_stderr, reader;
	char text[8192];
};

static int capture_begin(void **state)
{
	struct capture *capture;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	capture = calloc(1, sizeof(*capture));
	assert_non_null(capture);
	capture->saved_stderr = dup(STDERR_FILENO);
	capture->reader = ends[0];
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	unsetenv("JOURNAL_STREAM");
	*state = capture;
	return 0;
}

static int capture_end(void **state)
{
	struct capture *capture = *state;

	dup2(capture->saved_stderr, STDERR_FILENO);
	close(capture->saved_stderr);
	close(capture->reader);
	free(capture);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

/* Returns what was written since, "" for nothing. */
static const char *captured(struct capture *capture)
{
	ssize_t size = read(capture->reader, capture->text, sizeof(capture->text) - 1);

	capture->text[size > 0 ? size : 0] = '\0';
	return capture->text;
}

/* Checks the time stamp, and returns what follows it. */
static const char *behind_stamp(const char *line)
{
	static const char pattern[] = "dddd-dd-ddTdd:dd:dd.dddZ ";

	for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
		if (pattern[i] == 'd')
			assert_in_range(line[i], '0', '9');
		else
			assert_int_equal(line[i], pattern[i]);
	}
	return line + sizeof(pattern) - 1;
}

static void levels(void **state)
{
	struct capture *capture = *state;

	log_init("prog", LOG_LEVEL_INFO);
	log_error("number %d", 1);
	assert_string_equal(behind_stamp(captured(capture)), "prog error: number 1\n");
	log_warning("number %d", 2);
	assert_string_equal(behind_stamp(captured(capture)), "prog warning: number 2\n");
	log_info("number %d", 3);
	assert_string_equal(behind_stamp(captured(capture)), "prog info: number 3\n");
	log_debug("number %d", 4);
	assert_string_equal(captured(capture), "");

	log_init("prog", LOG_LEVEL_DEBUG);
	log_debug("number %d", 5);
	assert_string_equal(behind_stamp(captured(capture)), "prog debug: number 5\n");
	log_init("prog", LOG_LEVEL_ERROR);
	log_warning("number %d", 6);
	assert_string_equal(captured(capture), "");
}

static void no_name_forges_a_line(void **state)
{
	struct capture *capture = *state;

	log_init("prog", LOG_LEVEL_INFO);
	log_info("port '%s'", "a\n<3>prog error: b\r\t\x1b[31m\x7f|\xc2\x9b|caf\xc3\xa9");
	assert_string_equal(behind_stamp(captured(capture)),
			    "prog info: port 'a?<3>prog error: b???[31m?|\?\?|caf\xc3\xa9'\n");
}

static void long_line_is_cut(void **state)
{
	struct capture *capture = *state;
	char text[5000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("prog", LOG_LEVEL_INFO);
	log_info("%s", text);
	line = captured(capture);
	assert_int_equal(strlen(line), 2048);
	assert_string_equal(line + 2048 - 6, "xx...\n");
	assert_ptr_equal(strchr(line, '\n'), line + 2047);
}

static void errno_is_kept(void **state)
{
	struct capture *capture = *state;

	log_init("prog", LOG_LEVEL_INFO);
	errno = ENOTTY;
	log_info("%m");
	assert_int_equal(errno, ENOTTY);
	assert_string_equal(behind_stamp(captured(capture)),
			    "prog info: Inappropriate ioctl for device\n");
	close(STDERR_FILENO);
	errno = ENOENT;
	log_error("nowhere to go");
	assert_int_equal(errno, ENOENT);
}

static void journal_gets_priorities(void **state)
{
	struct capture *capture = *state;
	struct stat status;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_DEBUG);
	log_to_journal(-1); /* where this test runs under systemd, log_init() has found it */
	log_error("one");
	log_warning("two");
	log_info("three\n<0>four");
	log_debug("five");
	assert_string_equal(captured(capture), "<3>prog: one\n<4>prog: two\n"
					       "<6>prog: three?<0>four\n<7>prog: five\n");

	/* The journal of a parent, with stderr led elsewhere. */
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_error("one");
	assert_string_equal(behind_stamp(captured(capture)), "prog error: one\n");
}

/* Returns the next datagram, "" for none. */
static const char *entry(int journal, struct capture *capture)
{
	ssize_t size = recv(journal, capture->text, sizeof(capture->text) - 1, MSG_DONTWAIT);

	capture->text[size > 0 ? size : 0] = '\0';
	return capture->text;
}

static void journal_gets_fields(void **state)
{
	const struct log_object uplink = {.port = "eth1"};
	const struct log_object port = {.tenant = "acme", .segment = "web", .port = "web1"};
	const struct log_object forged = {.tenant = "a\nPRIORITY=0"};
	struct capture *capture = *state;
	char text[5000];
	int ends[2];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	log_init("prog", LOG_LEVEL_INFO);
	log_to_journal(ends[0]);
	log_warning("number %d\nPRIORITY=0", 1);
	assert_string_equal(entry(ends[1], capture), "PRIORITY=4\nSYSLOG_IDENTIFIER=prog\n"
						     "MESSAGE=number 1?PRIORITY=0\n");
	log_about(LOG_LEVEL_INFO, &port, "two");
	assert_string_equal(entry(ends[1], capture),
			    "PRIORITY=6\nSYSLOG_IDENTIFIER=prog\nMESSAGE=two\n"
			    "VSWITCH_TENANT=acme\nVSWITCH_SEGMENT=acme/web\n"
			    "VSWITCH_PORT=acme/web1\n");
	log_about(LOG_LEVEL_ERROR, &uplink, "three");
	assert_string_equal(entry(ends[1], capture), "PRIORITY=3\nSYSLOG_IDENTIFIER=prog\n"
						     "MESSAGE=three\nVSWITCH_PORT=eth1\n");
	log_about(LOG_LEVEL_ERROR, &forged, "four");
	assert_string_equal(entry(ends[1], capture), "PRIORITY=3\nSYSLOG_IDENTIFIER=prog\n"
						     "MESSAGE=four\nVSWITCH_TENANT=a?PRIORITY=0\n");
	log_about(LOG_LEVEL_DEBUG, &port, "five");
	assert_string_equal(entry(ends[1], capture), "");

	/* However long, the fields behind it are whole. */
	log_about(LOG_LEVEL_INFO, &uplink, "%s", text);
	assert_string_equal(strstr(entry(ends[1], capture), "xx..."), "xx...\nVSWITCH_PORT=eth1\n");
	assert_string_equal(captured(capture), "");

	/* Nobody there any more: nothing is lost. */
	close(ends[1]);
	log_about(LOG_LEVEL_INFO, &port, "six");
	assert_string_equal(behind_stamp(captured(capture)), "prog info: six\n");
	log_to_journal(-1);
	log_about(LOG_LEVEL_INFO, &port, "seven");
	assert_string_equal(behind_stamp(captured(capture)), "prog info: seven\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(levels, capture_begin, capture_end),
		cmocka_unit_test_setup_teardown(no_name_forges_a_line, capture_begin, capture_end),
		cmocka_unit_test_setup_teardown(long_line_is_cut, capture_begin, capture_end),
		cmocka_unit_test_setup_teardown(errno_is_kept, capture_begin, capture_end),
		cmocka_unit_test_setup_teardown(journal_gets_priorities, capture_begin,
						capture_end),
		cmocka_unit_test_setup_teardown(journal_gets_fields, capture_begin, capture_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
