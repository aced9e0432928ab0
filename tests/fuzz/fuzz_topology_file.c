/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology files: any octets are refused with one line that names a place in them, or they are
 * read; and what is read is written so that it is read again as the same.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/topology_file.h"
#include "cli/topology_lines.h"
#include "fuzz.h"

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* "fuzz:LINE: sentence", with a line that the input has, or the one behind its last. */
static void check_error(const char *error, const uint8_t *data, size_t size)
{
	unsigned long line, count = 2;
	char *end;

	require(strncmp(error, "fuzz:", 5) == 0);
	line = strtoul(error + 5, &end, 10);
	/* CR, LF, NEL and the Unicode line separators end a line of YAML. */
	for (size_t i = 0; i < size; i++)
		count += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 ||
			 data[i] == 0xa9;
	require(line >= 1 && line <= count);
	require(strncmp(end, ": ", 2) == 0 && end[2] != '\0');
}

static void check_round_trip(const json_t *topology)
{
	char error[TOPOLOGY_ERROR_SIZE], *text = NULL;
	struct topology_lines *lines = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	json_t *back;

	require(file != NULL && topology_write(file, topology) == 0);
	require(fclose(file) == 0);
	back = topology_read("back", text, size, &lines, error);
	require(back != NULL && json_equal(topology, back));
	require(topology_lines_find(lines, "/version") == 1);
	topology_lines_free(lines);
	json_decref(back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;
	json_t *topology = topology_read("fuzz", (const char *)data, size, &lines, error);

	if (topology == NULL) {
		require(lines == NULL);
		check_error(error, data, size);
		return 0;
	}
	check_round_trip(topology);
	topology_lines_free(lines);
	json_decref(topology);
	return 0;
}
