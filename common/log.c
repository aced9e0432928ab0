/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut, and ends in "...". */
#define LINE_SIZE 2048

/* Written by log_init() before there are threads, then only read. */
static struct {
	const char *program;
	enum log_level level;
	bool to_journal;
} settings = {.program = "vswitch", .level = LOG_LEVEL_INFO};

static bool stderr_is_journal(void);
static void log_message(enum log_level level, const char *format, va_list arguments);
static size_t write_prefix(enum log_level level, char *line, size_t size);
static void mask_controls(char *text);
static void write_line(const char *line, size_t size);

void log_init(const char *program, enum log_level level)
{
	settings.program = program;
	settings.level = level;
	settings.to_journal = stderr_is_journal();
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_ERROR, format, arguments);
	va_end(arguments);
}

void log_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_WARNING, format, arguments);
	va_end(arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void log_debug(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_DEBUG, format, arguments);
	va_end(arguments);
}

/* $JOURNAL_STREAM is inherited by children whose stderr is something else: it must be the same
 * file. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;
	char *end;

	if (!stream)
		return false;
	device = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	inode = strtoull(end + 1, &end, 10);
	if (*end != '\0')
		return false;
	return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

static void log_message(enum log_level level, const char *format, va_list arguments)
{
	int saved_errno = errno;
	char line[LINE_SIZE];
	size_t prefix, room;
	int length;

	if (level > settings.level)
		return;
	prefix = write_prefix(level, line, sizeof(line));
	room = sizeof(line) - prefix;
	errno = saved_errno; /* for %m */
	length = vsnprintf(line + prefix, room, format, arguments);
	if (length < 0)
		line[prefix] = '\0';
	else if ((size_t)length >= room)
		memcpy(line + sizeof(line) - sizeof("..."), "...", sizeof("..."));
	mask_controls(line + prefix);
	length = (int)strlen(line);
	line[length] = '\n';
	write_line(line, (size_t)length + 1);
	errno = saved_errno;
}

static size_t write_prefix(enum log_level level, char *line, size_t size)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	struct timespec now;
	struct tm utc;
	int length;

	if (settings.to_journal) {
		length = snprintf(line, size, "<%d>%.64s: ", (int)level, settings.program);
		return (size_t)length;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	length = (int)strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
	length += snprintf(line + length, size - (size_t)length,
			   ".%03ldZ %.64s %s: ", now.tv_nsec / 1000000, settings.program,
			   words[level]);
	return (size_t)length;
}

/* The controls of ASCII, and those that UTF-8 writes as c2 80 to c2 9f, which terminals also obey.
 */
static void mask_controls(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f) {
			*c = '?';
		} else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) {
			c[0] = '?';
			c[1] = '?';
		}
	}
}

/* One write a line, so that threads and daemons on one terminal do not mix theirs. */
static void write_line(const char *line, size_t size)
{
	ssize_t written;

	do
		written = write(STDERR_FILENO, line, size);
	while (written < 0 && errno == EINTR);
}
