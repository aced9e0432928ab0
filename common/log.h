/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_LOG_H
#define VSWITCH_COMMON_LOG_H

/*
 * One line a message on stderr, with a time stamp and a level word. When stderr
 * is the journal ($JOURNAL_STREAM), messages go to its own socket instead, with
 * fields that journalctl(1) can select by (docs/service.md). Callable from any
 * thread. Control characters in arguments are written as '?', so that no name
 * can forge a line or a field.
 */

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* What a message is about: names, borrowed for the call; NULL where there is none. */
struct log_object {
	const char *tenant, *segment, *port;
};

/* Names the program in every line and sets what is printed; call once, before threads start and
 * before a sandbox hides the journal. */
void log_init(const char *program, enum log_level level);

/*
 * Sends messages to this connected datagram socket, in the journal's own protocol, from now on; -1:
 * to stderr with sd-daemon(3) priority prefixes ("<4>"). Takes the socket over. log_init() does
 * this; a call of its own is for tests.
 */
void log_to_journal(int journal);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);

/* The same, with the object's names as fields of the journal; they are not in the line. */
__attribute__((format(printf, 3, 4))) void log_about(enum log_level level,
						     const struct log_object *object,
						     const char *format, ...);

#endif
