/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every file of the directories that it is given through the fuzz target that it is linked
 * with. */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_SIZE_MAX (1u << 20)

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool replay_file(const char *directory, const char *name)
{
	uint8_t *data = malloc(INPUT_SIZE_MAX), *input;
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!data || !file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		free(data);
		return false;
	}
	size = fread(data, 1, INPUT_SIZE_MAX, file);
	fclose(file);
	printf("%s\n", path); /* the last one named is the one that failed */
	fflush(stdout);
	/* Exactly as long as the input, so that a sanitizer sees what is read behind it. */
	input = malloc(size ? size : 1);
	if (input) {
		memcpy(input, data, size);
		LLVMFuzzerTestOneInput(input, size);
	}
	free(data);
	free(input);
	return input != NULL;
}

static int replay_directory(const char *directory)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, is_input, alphasort);
	int replayed = 0;

	if (count < 0) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return -1;
	}
	for (int i = 0; i < count; i++) {
		replayed += replay_file(directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return replayed == count ? count : -1;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int count = replay_directory(argv[i]);

		if (count < 0)
			return EXIT_FAILURE;
		total += count;
	}
	printf("%d inputs\n", total);
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
