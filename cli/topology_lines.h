/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_TOPOLOGY_LINES_H
#define VSWITCH_CLI_TOPOLOGY_LINES_H

/*
 * Where the values of a topology file are, so that a refusal of the daemon,
 * which knows only the JSON, can name a line. The reader (topology_file.c)
 * fills it, cmd_apply.c asks it. Pointers are JSON pointers (RFC 6901).
 */

#include <stddef.h>

struct topology_lines;

/* Returns NULL when out of memory. */
struct topology_lines *topology_lines_new(void);
void topology_lines_free(struct topology_lines *lines);

/* Notes that the value at the pointer is in this line. Returns 0 or -ENOMEM. */
int topology_lines_add(struct topology_lines *lines, const char *pointer, size_t line);

/* The line of the value at the pointer, or of the nearest thing around it; 1 when there is none. */
size_t topology_lines_find(const struct topology_lines *lines, const char *pointer);

#endif
