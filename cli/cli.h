/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_CLI_H
#define VSWITCH_CLI_CLI_H

/*
 * What every command of vswitchctl gets: the context that main.c makes, the
 * exit codes of the contract, and the one way to say what went wrong.
 * vswitchctl has one thread.
 */

#include <stdbool.h>
#include <stddef.h>

struct client;
struct output;

enum cli_exit {
	CLI_DONE = 0,	      /* done and in effect */
	CLI_REFUSED = 1,      /* nothing was changed */
	CLI_USAGE = 2,	      /* not a command that there is */
	CLI_NO_DAEMON = 3,    /* nobody to ask */
	CLI_NOT_IN_EFFECT = 4 /* accepted, but not in effect within --wait */
};

struct cli {
	const char *run_dir;
	struct client *client;
	const struct output *output;
	double wait; /* seconds that a change may take to be in effect */
};

/* Writes a word as a shell takes it, for a command that is suggested. Returns quoted. */
char *cli_quote(const char *word, char *quoted, size_t size);

/* Prints "vswitchctl: " and one sentence on stderr; control characters become '?'. */
__attribute__((format(printf, 1, 2))) void cli_error(const char *format, ...);

#endif
