/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_LOG_H
#define VSWITCH_COMMON_LOG_H

/*
 * One line a message on stderr, with sd-daemon(3) priority prefixes ("<4>")
 * when stderr is the journal ($JOURNAL_STREAM), with a time stamp and a level
 * word otherwise. Callable from any thread. Control characters in arguments
 * are written as '?', so that no name can forge a line.
 */

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* Names the program in every line and sets what is printed; call once, before threads start. */
void log_init(const char *program, enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);

#endif
