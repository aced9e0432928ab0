/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_GRAMMAR_H
#define VSWITCH_CLI_GRAMMAR_H

/*
 * The command language, as one table (grammar_table.c): commands, arguments,
 * options, the API members that they set, and a sentence of help for each.
 * Parsing, help texts, the manual page and shell completion all come from it.
 * To add a command, add a row and write its run(). main.c calls the parser.
 */

#include <stdbool.h>
#include <stdio.h>

#include "cli/value.h"

#define GRAMMAR_ARGUMENTS_MAX 3
#define GRAMMAR_WORDS_SIZE    64

struct cli;
struct grammar_call;

/* What a command is about; object.h knows where the API keeps each. */
enum object_kind {
	OBJECT_NONE,
	OBJECT_HOST,
	OBJECT_VTEP,
	OBJECT_TENANT,
	OBJECT_SEGMENT,
	OBJECT_PORT,
	OBJECT_KIND_COUNT
};

struct grammar_option {
	const char *name;  /* without "--" */
	const char *value; /* what help calls its value; NULL for a flag */
	enum value_type type;
	bool repeatable;       /* makes a list, as do commas in one value */
	const char *attribute; /* the API member that it sets; NULL: it steers the command */
	const char *help;
};

struct grammar_argument {
	const char *name; /* as help writes it: "TENANT/NAME" */
	const char *what; /* as sentences call it: "segment" */
	enum value_type type;
	bool optional;
};

struct grammar_command {
	const char *words; /* "segment peer add" */
	enum object_kind object;
	struct grammar_argument arguments[GRAMMAR_ARGUMENTS_MAX];
	const struct grammar_option *options; /* to the first without name; NULL: none */
	const char *required;		      /* the option that must be given; NULL: none */
	int (*run)(struct cli *cli, const struct grammar_call *call);
	const char *help;
};

/* Both end with an entry without words or name. */
extern const struct grammar_command grammar_commands[];
extern const struct grammar_option grammar_globals[];

struct grammar_value {
	const struct grammar_option *option;
	const char *text;
};

/* A parsed command line. The texts are those of argv. */
struct grammar_call {
	const struct grammar_command *command; /* NULL with --help before its last word */
	char words[GRAMMAR_WORDS_SIZE];	       /* of the command, as far as they are given */
	const char *arguments[GRAMMAR_ARGUMENTS_MAX];
	unsigned argument_count;
	struct grammar_value *values;
	unsigned value_count;
};

/*
 * Parses argv[1] and on. Returns CLI_DONE; or CLI_USAGE or CLI_REFUSED (a value that is not
 * well-formed) with one sentence in error. The caller ends the call with grammar_call_fini() in
 * either case.
 */
int grammar_parse(int argc, char **argv, struct grammar_call *call, char error[VALUE_ERROR_SIZE]);
void grammar_call_fini(struct grammar_call *call);

/* The text of a global or command option, "" for a flag that is set, NULL if not given. */
const char *grammar_text(const struct grammar_call *call, const char *option);

/* Whether the command, up to its words' end, opens with these words ("" opens every one). */
bool grammar_opens_with(const struct grammar_command *command, const char *words);

/*
 * The table in other forms. Help prints the commands that open with these words, in full if there
 * is one, and returns false if there is none.
 */
bool grammar_help(FILE *file, const char *words);
void grammar_synopsis(FILE *file, const struct grammar_command *command);
void grammar_manual(FILE *file);	  /* man(7) for section 1 */
void grammar_bash_completion(FILE *file); /* a script for bash */

#endif
