/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_TOPOLOGY_FILE_H
#define VSWITCH_CLI_TOPOLOGY_FILE_H

/*
 * Topology files: YAML as the schema (topology_schema.h) reads it, turned into
 * the JSON that the API takes, and back. Keys that are unknown or given twice,
 * aliases, anchors, tags, and more than one document are refused with their
 * line. What is a number, a name or an address, the schema decides and not
 * YAML: an unquoted MAC is a MAC, and `no` is a name. The daemon, which is
 * privileged, parses no YAML. cmd_apply.c calls it.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#define TOPOLOGY_SIZE_MAX   (16ul << 20) /* octets of a file, and of a request's body */
#define TOPOLOGY_ERROR_SIZE 1024

struct topology_lines;

/*
 * Parses size octets. Returns the topology, which the caller owns, and puts where its values are
 * into *lines, which the caller frees; or NULL, and one sentence "NAME:LINE: …" in error.
 */
json_t *topology_read(const char *name, const char *data, size_t size,
		      struct topology_lines **lines, char error[TOPOLOGY_ERROR_SIZE]);

/*
 * Writes a topology as YAML, keys in the schema's order and names sorted, so that topology_read()
 * gives the same. Returns 0 or a negative errno.
 */
int topology_write(FILE *file, const json_t *topology);

#endif
