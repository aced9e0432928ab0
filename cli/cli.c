/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_SIZE 4096

/* In double quotes where needed, since sentences have single ones around commands. */
char *cli_quote(const char *word, char *quoted, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./:=@%+,-";
	size_t used = 0;

	if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
		snprintf(quoted, size, "%s", word);
		return quoted;
	}
	quoted[used++] = '"';
	for (; *word != '\0' && used + 4 < size; word++) {
		if (strchr("\"$`\\", *word) != NULL)
			quoted[used++] = '\\';
		quoted[used++] = *word;
	}
	quoted[used++] = '"';
	quoted[used] = '\0';
	return quoted;
}

void cli_error(const char *format, ...)
{
	char sentence[SENTENCE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	for (char *c = sentence; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	fprintf(stderr, "vswitchctl: %s\n", sentence);
}
