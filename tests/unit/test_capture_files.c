/* SPDX-License-Identifier: Apache-2.0 */

/* Capture files of the control daemon: which are opened, and what is never touched. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/capture.h"
#include "control/capture_files.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t recording_header[CAPTURE_HEADER_SIZE] = {
	0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0};
static const uint8_t capture_header[CAPTURE_HEADER_SIZE] = {
	0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0};

/* A state directory "state" beside "outside", in a directory of the test's. */
struct fixture {
	char top[64];
	int top_fd;
	struct capture_files *files;
};

static void write_file(struct fixture *fixture, const char *path, const void *data, size_t size)
{
	int fd = openat(fixture->top_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static off_t size_of(struct fixture *fixture, const char *path)
{
	struct stat file;

	return fstatat(fixture->top_fd, path, &file, 0) < 0 ? -1 : file.st_size;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char path[PATH_MAX];

	assert_non_null(fixture);
	strcpy(fixture->top, "/tmp/test_capture_files.XXXXXX");
	assert_non_null(mkdtemp(fixture->top));
	fixture->top_fd = open(fixture->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(fixture->top_fd, "state", 0700), 0);
	assert_int_equal(mkdirat(fixture->top_fd, "outside", 0700), 0);
	write_file(fixture, "outside/a", capture_header, sizeof(capture_header));
	snprintf(path, sizeof(path), "%s/state", fixture->top);
	assert_int_equal(capture_files_new(&fixture->files, path), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	/* Whatever was tried, what is outside is as it was. */
	assert_int_equal(size_of(fixture, "outside/a"), CAPTURE_HEADER_SIZE);
	capture_files_free(fixture->files);
	close(fixture->top_fd);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->top);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

static int open_replay(struct fixture *fixture, const char *name)
{
	int fd = capture_files_open_replay(fixture->files, name);

	if (fd >= 0) {
		close(fd);
		fd = 0;
	}
	return fd;
}

/* Opens, writes the text, and closes. */
static int record(struct fixture *fixture, const char *name, bool anew, const char *text)
{
	int fd = capture_files_open_recording(fixture->files, name, anew);

	if (fd < 0)
		return fd;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return 0;
}

static void makes_its_directory(void **state)
{
	struct fixture *fixture = *state;
	struct capture_files *again;
	char path[PATH_MAX];
	struct stat directory;

	assert_int_equal(fstatat(fixture->top_fd, "state/pcap", &directory, 0), 0);
	assert_int_equal(directory.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/state", fixture->top);
	assert_int_equal(capture_files_new(&again, path), 0);
	capture_files_free(again);
	snprintf(path, sizeof(path), "%s/none", fixture->top);
	assert_int_equal(capture_files_new(&again, path), -ENOENT);
}

static void names_are_judged(void **state)
{
	static const char *const good[] = {"a", "a.pcap", "A-1_b", "sub/a.pcap", "a/b/c/d"};
	static const char *const bad[] = {
		"",	 "/",  "a/",   "/a", "a//b", "..",   ".",	 "../a", "a/../b",
		"a/./b", ".a", "a/.b", "-a", "a b",  "a\nb", "\xc3\xa9", "a:b",	 "a/..",
	};
	char name[MODEL_FILE_SIZE + 8];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(capture_files_valid(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(capture_files_valid(bad[i]));
	/* 63 characters a component, 127 in all. */
	memset(name, 'a', sizeof(name));
	name[63] = '/';
	name[127] = '\0';
	assert_true(capture_files_valid(name));
	name[127] = 'a';
	name[128] = '\0';
	assert_false(capture_files_valid(name));
	name[127] = '\0';
	name[63] = 'a';
	assert_false(capture_files_valid(name));
}

static void absolute_paths_become_names(void **state)
{
	struct fixture *fixture = *state;
	struct capture_files *linked;
	char text[2 * PATH_MAX], path[PATH_MAX], name[MODEL_FILE_SIZE] = "untouched";
	static const char *const others[] = {
		"outside/a",	 "state/state.db",	   "state/pcap",     "state/pcap/",
		"state/pcapx/a", "state/pcap/../state.db", "state/pcap/./a", "state/pcap//a"};

	for (size_t i = 0; i < COUNT(others); i++) {
		snprintf(text, sizeof(text), "%s/%s", fixture->top, others[i]);
		assert_int_equal(capture_files_name(fixture->files, text, name), -EXDEV);
	}
	assert_int_equal(capture_files_name(fixture->files, "/etc/passwd", name), -EXDEV);
	assert_int_equal(capture_files_name(fixture->files, "../a", name), -EXDEV);
	assert_string_equal(name, "untouched");
	snprintf(text, sizeof(text), "%s/state/pcap/sub/a.pcap", fixture->top);
	assert_int_equal(capture_files_name(fixture->files, text, name), 0);
	assert_string_equal(name, "sub/a.pcap");
	assert_int_equal(capture_files_name(fixture->files, "sub/b", name), 0);
	assert_string_equal(name, "sub/b");

	/* A state directory that is named through a link: by that name, and as it is. */
	assert_int_equal(symlinkat("state", fixture->top_fd, "link"), 0);
	snprintf(path, sizeof(path), "%s/link", fixture->top);
	assert_int_equal(capture_files_new(&linked, path), 0);
	assert_int_equal(capture_files_name(linked, text, name), 0);
	assert_string_equal(name, "sub/a.pcap");
	snprintf(text, sizeof(text), "%s/link/pcap/c", fixture->top);
	assert_int_equal(capture_files_name(linked, text, name), 0);
	assert_string_equal(name, "c");
	capture_files_free(linked);
}

static void opens_captures_only(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t pcapng[CAPTURE_HEADER_SIZE] = {0x0a, 0x0d, 0x0d, 0x0a, 28};
	uint8_t raw[CAPTURE_HEADER_SIZE];
	char text[MODEL_TEXT_SIZE];

	memcpy(raw, capture_header, sizeof(raw));
	raw[20] = 101;
	write_file(fixture, "state/pcap/good", capture_header, sizeof(capture_header));
	write_file(fixture, "state/pcap/ours", recording_header, sizeof(recording_header));
	write_file(fixture, "state/pcap/ng", pcapng, sizeof(pcapng));
	write_file(fixture, "state/pcap/raw", raw, sizeof(raw));
	write_file(fixture, "state/pcap/short", capture_header, 23);
	write_file(fixture, "state/pcap/empty", "", 0);
	write_file(fixture, "state/pcap/text", "this is some text, no capture", 29);
	assert_int_equal(mkdirat(fixture->top_fd, "state/pcap/sub", 0700), 0);
	write_file(fixture, "state/pcap/sub/good", capture_header, sizeof(capture_header));
	assert_int_equal(mkfifoat(fixture->top_fd, "state/pcap/fifo", 0600), 0);

	assert_int_equal(open_replay(fixture, "good"), 0);
	assert_int_equal(open_replay(fixture, "ours"), 0);
	assert_int_equal(open_replay(fixture, "sub/good"), 0);
	assert_int_equal(open_replay(fixture, "ng"), -EPROTONOSUPPORT);
	assert_int_equal(open_replay(fixture, "raw"), -EMEDIUMTYPE);
	assert_int_equal(open_replay(fixture, "short"), -ENODATA);
	assert_int_equal(open_replay(fixture, "empty"), -ENODATA);
	assert_int_equal(open_replay(fixture, "text"), -EBADMSG);
	assert_int_equal(open_replay(fixture, "none"), -ENOENT);
	assert_int_equal(open_replay(fixture, "none/good"), -ENOENT);
	assert_int_equal(open_replay(fixture, "good/good"), -ENOTDIR);
	assert_int_equal(open_replay(fixture, "sub"), -EINVAL);
	assert_int_equal(open_replay(fixture, "fifo"), -EINVAL);
	assert_non_null(strstr(
		capture_files_explain(fixture->files, "ng", -EPROTONOSUPPORT, text, sizeof(text)),
		"state/pcap is a pcapng file"));
	assert_non_null(
		strstr(capture_files_explain(fixture->files, "ng", -EIO, text, sizeof(text)),
		       strerror(EIO)));
}

static void follows_no_link(void **state)
{
	struct fixture *fixture = *state;

	write_file(fixture, "state/pcap/good", capture_header, sizeof(capture_header));
	assert_int_equal(symlinkat("../../outside", fixture->top_fd, "state/pcap/linked"), 0);
	assert_int_equal(symlinkat("../../outside/a", fixture->top_fd, "state/pcap/file"), 0);
	assert_int_equal(symlinkat("good", fixture->top_fd, "state/pcap/inner"), 0);
	assert_int_equal(symlinkat("nowhere", fixture->top_fd, "state/pcap/broken"), 0);
	assert_int_equal(symlinkat("/proc/self/fd/0", fixture->top_fd, "state/pcap/magic"), 0);

	for (unsigned anew = 0; anew < 2; anew++) {
		static const char *const names[] = {"linked/a", "file", "inner", "broken", "magic"};

		for (size_t i = 0; i < COUNT(names); i++) {
			assert_int_equal(open_replay(fixture, names[i]), -ELOOP);
			assert_int_equal(record(fixture, names[i], anew != 0, "spoiled"), -ELOOP);
			assert_int_equal(capture_files_check_recording(fixture->files, names[i]),
					 -ELOOP);
		}
		assert_int_equal(record(fixture, "linked/b", anew != 0, "spoiled"), -ELOOP);
	}
	assert_int_equal(size_of(fixture, "outside/b"), -1);
	assert_int_equal(size_of(fixture, "state/pcap/nowhere"), -1);
	assert_int_equal(size_of(fixture, "state/pcap/good"), CAPTURE_HEADER_SIZE);

	/* The directory itself. */
	assert_int_equal(renameat(fixture->top_fd, "state/pcap", fixture->top_fd, "moved"), 0);
	assert_int_equal(symlinkat("../outside", fixture->top_fd, "state/pcap"), 0);
	assert_int_equal(open_replay(fixture, "a"), -ELOOP);
	assert_int_equal(record(fixture, "a", true, "spoiled"), -ELOOP);
	assert_int_equal(record(fixture, "c", false, "spoiled"), -ELOOP);
	assert_int_equal(size_of(fixture, "outside/c"), -1);
}

static void recordings_are_replaced_or_continued(void **state)
{
	struct fixture *fixture = *state;
	struct stat file;
	int fd;

	assert_int_equal(capture_files_check_recording(fixture->files, "new"), 0);
	assert_int_equal(record(fixture, "new", true, ""), 0);
	assert_int_equal(fstatat(fixture->top_fd, "state/pcap/new", &file, 0), 0);
	assert_int_equal(file.st_mode & 07777, 0600);
	write_file(fixture, "state/pcap/new", recording_header, sizeof(recording_header));
	assert_int_equal(record(fixture, "new", false, "more"), 0);
	assert_int_equal(size_of(fixture, "state/pcap/new"), CAPTURE_HEADER_SIZE + 4);
	/* It stands at its end. */
	fd = capture_files_open_recording(fixture->files, "new", false);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), CAPTURE_HEADER_SIZE + 4);
	/* One that is replaced is another file: whoever writes to the former does not spoil it. */
	assert_int_equal(record(fixture, "new", true, ""), 0);
	assert_int_equal(write(fd, "late", 4), 4);
	assert_int_equal(size_of(fixture, "state/pcap/new"), 0);
	close(fd);
	assert_int_equal(record(fixture, "new", false, "x"), 0);

	/* What we did not write is not continued. */
	write_file(fixture, "state/pcap/other", capture_header, sizeof(capture_header));
	assert_int_equal(record(fixture, "other", false, "spoiled"), -EEXIST);
	assert_int_equal(size_of(fixture, "state/pcap/other"), CAPTURE_HEADER_SIZE);
	assert_int_equal(capture_files_check_recording(fixture->files, "other"), 0);
	assert_int_equal(record(fixture, "other", true, "y"), 0);
	assert_int_equal(size_of(fixture, "state/pcap/other"), 1);

	assert_int_equal(record(fixture, "none/new", true, ""), -ENOENT);
	assert_int_equal(mkdirat(fixture->top_fd, "state/pcap/sub", 0700), 0);
	assert_int_equal(record(fixture, "sub", true, ""), -EINVAL);
	assert_int_equal(record(fixture, "sub/new", true, "z"), 0);
	assert_int_equal(mkfifoat(fixture->top_fd, "state/pcap/fifo", 0600), 0);
	assert_int_equal(record(fixture, "fifo", true, ""), -EINVAL);
	assert_int_equal(record(fixture, "fifo", false, ""), -EINVAL);
}

/* What a datapath hands back is what it was given, or is not taken. */
static void knows_its_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int replay, recording, writable, pipe_fds[2];

	write_file(fixture, "state/pcap/a", recording_header, sizeof(recording_header));
	write_file(fixture, "state/pcap/b", recording_header, sizeof(recording_header));
	replay = capture_files_open_replay(fixture->files, "a");
	recording = capture_files_open_recording(fixture->files, "a", false);
	writable = openat(fixture->top_fd, "state/pcap/a", O_RDWR | O_CLOEXEC);
	assert_true(replay >= 0 && recording >= 0 && writable >= 0);
	assert_int_equal(pipe(pipe_fds), 0);

	assert_true(capture_files_is_replay(fixture->files, "a", replay));
	assert_false(capture_files_is_replay(fixture->files, "b", replay));
	assert_false(capture_files_is_replay(fixture->files, "none", replay));
	assert_false(capture_files_is_replay(fixture->files, "a", recording));
	assert_false(capture_files_is_replay(fixture->files, "a", writable));
	assert_false(capture_files_is_replay(fixture->files, "a", pipe_fds[0]));
	assert_false(capture_files_is_replay(fixture->files, "a", -1));
	assert_true(capture_files_is_recording(fixture->files, "a", recording));
	assert_false(capture_files_is_recording(fixture->files, "b", recording));
	assert_false(capture_files_is_recording(fixture->files, "a", replay));
	assert_false(capture_files_is_recording(fixture->files, "a", writable));
	/* One that took the other's place. */
	assert_int_equal(renameat(fixture->top_fd, "state/pcap/b", fixture->top_fd, "state/pcap/a"),
			 0);
	assert_false(capture_files_is_replay(fixture->files, "a", replay));
	assert_int_equal(symlinkat("a", fixture->top_fd, "state/pcap/link"), 0);
	assert_false(capture_files_is_replay(fixture->files, "link", replay));
	close(replay);
	close(recording);
	close(writable);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_its_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_judged, setup, teardown),
		cmocka_unit_test_setup_teardown(absolute_paths_become_names, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_captures_only, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(recordings_are_replaced_or_continued, setup,
						teardown),
		cmocka_unit_test_setup_teardown(knows_its_descriptors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
