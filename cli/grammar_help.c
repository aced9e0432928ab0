/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/grammar.h"

#define OPTION_WIDTH 30 /* of "--name VALUE" in a list of options */

void grammar_synopsis(FILE *file, const struct grammar_command *command)
{
	fprintf(file, "%s", command->words);
	for (size_t i = 0; i < GRAMMAR_ARGUMENTS_MAX && command->arguments[i].name != NULL; i++)
		fprintf(file, command->arguments[i].optional ? " [%s]" : " %s",
			command->arguments[i].name);
	for (const struct grammar_option *o = command->options; o && o->name; o++) {
		bool required = command->required && strcmp(command->required, o->name) == 0;

		fprintf(file, "%s--%s%s%s%s%s", required ? " " : " [", o->name,
			o->value != NULL ? " " : "", o->value != NULL ? o->value : "",
			required ? "" : "]", o->repeatable ? "..." : "");
	}
}

static void print_options(FILE *file, const struct grammar_option *options)
{
	char text[80];

	for (; options != NULL && options->name != NULL; options++) {
		snprintf(text, sizeof(text), "--%s%s%s", options->name,
			 options->value != NULL ? " " : "",
			 options->value != NULL ? options->value : "");
		fprintf(file, "  %-*s %s\n", OPTION_WIDTH, text, options->help);
	}
}

static void print_command(FILE *file, const struct grammar_command *command)
{
	fprintf(file, "vswitchctl ");
	grammar_synopsis(file, command);
	fprintf(file, "\n\n%s\n", command->help);
	if (command->options != NULL) {
		fprintf(file, "\n");
		print_options(file, command->options);
	}
	fprintf(file, "\nOptions of every command:\n");
	print_options(file, grammar_globals);
}

static void print_list(FILE *file, const char *words)
{
	if (words[0] == '\0')
		fprintf(file, "vswitchctl [--run-dir DIR] [--json] [--wait SECONDS] COMMAND ...\n\n"
			      "Commands ('vswitchctl help COMMAND' says more of one):\n");
	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		if (grammar_opens_with(command, words))
			fprintf(file, "  %-18s %s\n", command->words, command->help);
	}
	if (words[0] != '\0')
		return;
	fprintf(file, "\nOptions of every command:\n");
	print_options(file, grammar_globals);
	fprintf(file, "\nRates read as in tc: 10mbit, 1.5gbit, or none. Any other option of 'set' "
		      "takes none as well,\nwhich puts the default back; where a value is a name, "
		      "which none may be, '' does, and for "
		      "--trunk either.\n"
		      "Exit codes: 0 done and in effect, 1 refused, 2 not a command, 3 no control "
		      "daemon,\n4 accepted but not in effect within --wait.\n");
}

bool grammar_help(FILE *file, const char *words)
{
	const struct grammar_command *only = NULL;
	size_t count = 0;

	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		if (!grammar_opens_with(command, words))
			continue;
		only = command;
		count++;
	}
	if (count == 1)
		print_command(file, only);
	else if (count > 1)
		print_list(file, words);
	return count > 0;
}
