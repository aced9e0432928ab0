/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Looked at once, when something is refused: so it is kept small, and searched from front to end.
 */
struct topology_lines {
	char *text; /* pointers, each ended by NUL */
	size_t text_size, text_capacity;
	size_t *lines; /* of each pointer, in the same order */
	size_t count, capacity;
};

struct topology_lines *topology_lines_new(void)
{
	return calloc(1, sizeof(struct topology_lines));
}

void topology_lines_free(struct topology_lines *lines)
{
	if (lines == NULL)
		return;
	free(lines->text);
	free(lines->lines);
	free(lines);
}

int topology_lines_add(struct topology_lines *lines, const char *pointer, size_t line)
{
	size_t size = strlen(pointer) + 1;

	if (lines->text_size + size > lines->text_capacity) {
		size_t capacity = 2 * lines->text_capacity + size;
		char *grown = realloc(lines->text, capacity);

		if (grown == NULL)
			return -ENOMEM;
		lines->text = grown;
		lines->text_capacity = capacity;
	}
	if (lines->count == lines->capacity) {
		size_t capacity = 2 * lines->capacity + 64;
		size_t *grown = realloc(lines->lines, capacity * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		lines->lines = grown;
		lines->capacity = capacity;
	}
	memcpy(lines->text + lines->text_size, pointer, size);
	lines->text_size += size;
	lines->lines[lines->count++] = line;
	return 0;
}

size_t topology_lines_find(const struct topology_lines *lines, const char *pointer)
{
	const char *text = lines->text;
	size_t best = 0, line = 1;

	for (size_t i = 0; i < lines->count; i++) {
		size_t length = strlen(text);

		if (length > best && strncmp(pointer, text, length) == 0 &&
		    (pointer[length] == '\0' || pointer[length] == '/')) {
			best = length;
			line = lines->lines[i];
		}
		text += length + 1;
	}
	return line;
}
