/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_EFFECT_H
#define VSWITCH_CLI_EFFECT_H

/*
 * Waits until an accepted change is in effect, for the commands that change
 * something: the daemons have applied its generation, and ports do not wait
 * for anything.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/value.h"

struct cli;

struct effect {
	uint64_t generation; /* 0: any */
	const char *port;    /* the path of a port that must not be waiting, or NULL */
	const json_t *ports; /* an object with the names of ports that must not, or NULL */
};

/*
 * Returns CLI_DONE; or after cli->wait seconds CLI_NOT_IN_EFFECT, with what the change waits for in
 * text; or another exit code after saying why.
 */
int effect_look(const struct cli *cli, const struct effect *effect, char text[VALUE_ERROR_SIZE]);

/* The same, and says what the change waits for. */
int effect_wait(const struct cli *cli, const struct effect *effect);

/* Whether this port, as the API answers it, waits; reason is then why, and valid while the port is.
 */
bool effect_port_waits(const json_t *port, const char **reason);

#endif
