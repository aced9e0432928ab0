/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut, and ends in "...". */
#define LINE_SIZE 2048
/* A message with its fields. */
#define ENTRY_SIZE (LINE_SIZE + 1024)

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Written by log_init() before there are threads, then only read. */
static struct {
	const char *program;
	enum log_level level;
	bool to_journal;
	int journal; /* connected to its socket, or -1 */
} settings = {.program = "vswitch", .level = LOG_LEVEL_INFO, .journal = -1};

static bool stderr_is_journal(void);
static int connect_journal(void);
static void log_message(enum log_level level, const struct log_object *object, const char *format,
			va_list arguments);
static bool send_entry(enum log_level level, const struct log_object *object, const char *text);
static size_t add_field(char *entry, size_t size, const char *field, const char *owner,
			const char *name);
static size_t write_prefix(enum log_level level, char *line, size_t size);
static void mask_controls(char *text);
static void write_line(const char *line, size_t size);

void log_init(const char *program, enum log_level level)
{
	settings.program = program;
	settings.level = level;
	settings.to_journal = stderr_is_journal();
	log_to_journal(settings.to_journal ? connect_journal() : -1);
}

void log_to_journal(int journal)
{
	if (settings.journal >= 0)
		close(settings.journal);
	settings.journal = journal;
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_ERROR, NULL, format, arguments);
	va_end(arguments);
}

void log_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_WARNING, NULL, format, arguments);
	va_end(arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_INFO, NULL, format, arguments);
	va_end(arguments);
}

void log_debug(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(LOG_LEVEL_DEBUG, NULL, format, arguments);
	va_end(arguments);
}

void log_about(enum log_level level, const struct log_object *object, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message(level, object, format, arguments);
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

/* Connected once: the datapath cannot see the socket from its sandbox. */
static int connect_journal(void)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void log_message(enum log_level level, const struct log_object *object, const char *format,
			va_list arguments)
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
	if (!send_entry(level, object, line + prefix)) {
		length = (int)strlen(line);
		line[length] = '\n';
		write_line(line, (size_t)length + 1);
	}
	errno = saved_errno;
}

/* One datagram of "FIELD=value" lines (systemd's JOURNAL_NATIVE_PROTOCOL.md); no value has a line
 * end. */
static bool send_entry(enum log_level level, const struct log_object *object, const char *text)
{
	char entry[ENTRY_SIZE];
	size_t size;

	if (settings.journal < 0)
		return false;
	size = (size_t)snprintf(entry, sizeof(entry),
				"PRIORITY=%d\nSYSLOG_IDENTIFIER=%.64s\nMESSAGE=%s\n", (int)level,
				settings.program, text);
	if (object != NULL) {
		size += add_field(entry + size, sizeof(entry) - size, "TENANT", NULL,
				  object->tenant);
		size += add_field(entry + size, sizeof(entry) - size, "SEGMENT", object->tenant,
				  object->segment);
		size += add_field(entry + size, sizeof(entry) - size, "PORT", object->tenant,
				  object->port);
	}
	return send(settings.journal, entry, size, MSG_NOSIGNAL) >= 0;
}

/* Names are written as everywhere: "acme/web1", an uplink without an owner. */
static size_t add_field(char *entry, size_t size, const char *field, const char *owner,
			const char *name)
{
	char value[160];

	if (name == NULL)
		return 0;
	snprintf(value, sizeof(value), "%.70s%s%.70s", owner == NULL ? "" : owner,
		 owner == NULL ? "" : "/", name);
	mask_controls(value);
	return (size_t)snprintf(entry, size, "VSWITCH_%s=%s\n", field, value);
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
