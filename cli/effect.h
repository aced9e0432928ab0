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

struct cli;

struct effect {
	uint64_t generation; /* 0: any */
	const char *object;  /* the path of a port or the vtep that must not be waiting, or NULL */
	bool vtep;	     /* nor must the vtep */
	const json_t *ports; /* an object with the names of ports that must not, or NULL */
};

/*
 * Returns CLI_DONE; or after cli->wait seconds CLI_NOT_IN_EFFECT, having said what the change waits
 * for; or another exit code after saying why.
 */
int effect_wait(const struct cli *cli, const struct effect *effect);

/* Whether this port or vtep, as the API answers it, waits; reason is then why, and valid while the
 * object is. */
bool effect_waits(const json_t *object, const char **reason);

#endif
