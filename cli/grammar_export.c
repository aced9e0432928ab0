/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/grammar.h"

/* Text for man(7): '-' as it is typed, and no line that starts with a control character. */
static void put_escaped(FILE *file, const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (c == text && (*c == '.' || *c == '\''))
			fputs("\\&", file);
		if (*c == '-')
			fputs("\\-", file);
		else if (*c == '\\')
			fputs("\\e", file);
		else if (*c == '\'')
			fputs("\\(aq", file);
		else
			putc(*c, file);
	}
}

static void put_manual_options(FILE *file, const struct grammar_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		fprintf(file, ".TP\n\\fB\\-\\-");
		put_escaped(file, options->name);
		fprintf(file, "\\fR");
		if (options->value != NULL) {
			fprintf(file, " \\fI");
			put_escaped(file, options->value);
			fprintf(file, "\\fR");
		}
		fprintf(file, "\n");
		put_escaped(file, options->help);
		fprintf(file, ".\n");
	}
}

static void put_manual_command(FILE *file, const struct grammar_command *command)
{
	fprintf(file, ".SS ");
	put_escaped(file, command->words);
	fprintf(file, "\n\\fBvswitchctl ");
	put_escaped(file, command->words);
	fprintf(file, "\\fR");
	for (size_t i = 0; i < GRAMMAR_ARGUMENTS_MAX && command->arguments[i].name != NULL; i++) {
		fprintf(file, command->arguments[i].optional ? " [\\fI" : " \\fI");
		put_escaped(file, command->arguments[i].name);
		fprintf(file, command->arguments[i].optional ? "\\fR]" : "\\fR");
	}
	if (command->options != NULL)
		fprintf(file, " [\\fIOPTION\\fR]...");
	fprintf(file, "\n.PP\n");
	put_escaped(file, command->help);
	fprintf(file, "\n");
	if (command->required != NULL) {
		fprintf(file, "Needs \\-\\-");
		put_escaped(file, command->required);
		fprintf(file, ".\n");
	}
	put_manual_options(file, command->options);
}

void grammar_manual(FILE *file)
{
	fprintf(file,
		".TH VSWITCHCTL 1 \"\" \"vswitch %s\" \"User Commands\"\n"
		".SH NAME\nvswitchctl \\- configure and look into a vswitch\n"
		".SH SYNOPSIS\n\\fBvswitchctl\\fR [\\fB\\-\\-run\\-dir\\fR \\fIDIR\\fR] "
		"[\\fB\\-\\-json\\fR] [\\fB\\-\\-wait\\fR \\fISECONDS\\fR] \\fICOMMAND\\fR ...\n"
		".SH DESCRIPTION\n"
		"Asks the control daemon of a switch over its socket in the run directory. A "
		"change is done when the daemons have put it into effect. What goes wrong is said "
		"in one sentence on standard error.\n.PP\n"
		"Rates and sizes read as in \\fBtc\\fR(8): 10mbit, 1.5gbit, 64kb, or none. Any "
		"other option of "
		"\\fBset\\fR takes none as well, which puts the default back; where a value is a "
		"name, which none may be, \\(aq\\(aq does, and for \\fB\\-\\-trunk\\fR "
		"either. Options that can be given more than "
		"once "
		"take lists with commas, too.\n",
		VSWITCH_VERSION);
	fprintf(file, ".SH OPTIONS\n");
	put_manual_options(file, grammar_globals);
	fprintf(file, ".SH COMMANDS\n");
	for (const struct grammar_command *command = grammar_commands; command->words; command++)
		put_manual_command(file, command);
	fprintf(file,
		".SH EXIT STATUS\n"
		".TP\n0\nDone, and in effect.\n"
		".TP\n1\nRefused: nothing was changed.\n"
		".TP\n2\nNot a command, or one that lacks something.\n"
		".TP\n3\nNo control daemon answers.\n"
		".TP\n4\nAccepted, but not in effect within \\-\\-wait.\n"
		".SH ENVIRONMENT\n"
		".TP\nVSWITCH_RUN_DIR\nThe run directory where \\-\\-run\\-dir is not given.\n");
}

/* The words of the table with one more word each, as cases of a shell function. */
static void put_completion_words(FILE *file, const char *words)
{
	size_t skip = words[0] == '\0' ? 0 : strlen(words) + 1;
	const char *last = "";

	fprintf(file, "\t'%s') words='", words);
	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		const char *next;
		size_t length;

		if (!grammar_opens_with(command, words))
			continue;
		next = command->words + skip;
		length = strcspn(next, " ");
		if (strncmp(next, last, length) == 0 && strcspn(last, " ") == length)
			continue;
		fprintf(file, "%.*s ", (int)length, next);
		last = next;
	}
	fprintf(file, "' ;;\n");
}

static void put_option_names(FILE *file, const struct grammar_option *options)
{
	for (; options != NULL && options->name != NULL; options++)
		fprintf(file, "--%s ", options->name);
}

/* Every group of commands once: "", "tenant", "segment peer". */
static void put_groups(FILE *file)
{
	char former[GRAMMAR_WORDS_SIZE] = "", group[GRAMMAR_WORDS_SIZE];

	put_completion_words(file, "");
	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		const char *space = strrchr(command->words, ' ');

		if (space == NULL)
			continue;
		snprintf(group, sizeof(group), "%.*s", (int)(space - command->words),
			 command->words);
		if (strcmp(group, former) != 0)
			put_completion_words(file, group);
		memcpy(former, group, sizeof(former));
	}
}

/* The values of options that take one of a few words; neighbours often share their options. */
static void put_value_words(FILE *file, const struct grammar_command *command)
{
	if (command != grammar_commands && command->options == command[-1].options)
		return;
	for (const struct grammar_option *o = command->options; o && o->name; o++) {
		const char *words = value_words(o->type);

		if (words == NULL)
			continue;
		fprintf(file, "\t--%s) words='", o->name);
		for (; *words != '\0'; words++)
			putc(*words == '|' ? ' ' : *words, file);
		fprintf(file, "' ;;\n");
	}
}

void grammar_bash_completion(FILE *file)
{
	fprintf(file,
		"# bash completion for vswitchctl, written by vswitchctl itself\n"
		"_vswitchctl()\n{\n"
		"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
		"\tlocal command='' word words='' i\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tword=${COMP_WORDS[i]}\n"
		"\t\tcase $word in\n"
		"\t\t--run-dir|--wait) ((i++)) ;;\n"
		"\t\t--*) ;;\n"
		"\t\t*) command=${command:+$command }$word ;;\n"
		"\t\tesac\n"
		"\tdone\n"
		"\tcase $previous in\n"
		"\t--run-dir) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n");
	for (const struct grammar_command *command = grammar_commands; command->words; command++)
		put_value_words(file, command);
	fprintf(file, "\tesac\n"
		      "\tif [ -n \"$words\" ]; then\n"
		      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n\t\treturn\n\tfi\n"
		      "\tcase $command in\n");
	put_groups(file);
	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		fprintf(file, "\t'%s'|'%s '*) words='", command->words, command->words);
		put_option_names(file, command->options);
		fprintf(file, "' ;;\n");
	}
	fprintf(file, "\tesac\n\t[[ $current == -* ]] && words+=' ");
	put_option_names(file, grammar_globals);
	fprintf(file, "'\n"
		      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
		      "\t[[ $command == apply ]] && COMPREPLY+=($(compgen -f -- \"$current\"))\n"
		      "}\ncomplete -F _vswitchctl vswitchctl\n");
}
