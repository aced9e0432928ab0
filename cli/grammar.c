/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/grammar.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ELEMENT_SIZE 4096 /* longer than any valid element of a list */

struct parser {
	struct grammar_call *call;
	char *error;
};

bool grammar_opens_with(const struct grammar_command *command, const char *words)
{
	size_t length = strlen(words);

	return strncmp(command->words, words, length) == 0 &&
	       (length == 0 || command->words[length] == '\0' || command->words[length] == ' ');
}

/* Writes "add, set or del": what may follow the words. */
static void list_next_words(const char *words, char *text, size_t size)
{
	const char *next[16];
	size_t lengths[16], count = 0, skip = strlen(words) + 1, used = 0;

	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		const char *word = command->words + skip;
		size_t i, length;

		if (!grammar_opens_with(command, words))
			continue;
		length = strcspn(word, " ");
		for (i = 0; i < count; i++) {
			if (lengths[i] == length && memcmp(next[i], word, length) == 0)
				break;
		}
		if (i == count && count < 16) {
			next[count] = word;
			lengths[count++] = length;
		}
	}
	text[0] = '\0';
	for (size_t i = 0; i < count && used < size; i++) {
		const char *before = i == 0 ? "" : i + 1 < count ? ", " : " or ";

		used += (size_t)snprintf(text + used, size - used, "%s%.*s", before,
					 (int)lengths[i], next[i]);
	}
}

static int fail_incomplete(struct parser *parser)
{
	char next[256];

	if (parser->call->words[0] == '\0') {
		snprintf(parser->error, VALUE_ERROR_SIZE,
			 "a command is missing: see 'vswitchctl help'");
		return CLI_USAGE;
	}
	list_next_words(parser->call->words, next, sizeof(next));
	snprintf(parser->error, VALUE_ERROR_SIZE, "a word is missing after '%s': write %s",
		 parser->call->words, next);
	return CLI_USAGE;
}

static int fail_unknown_word(struct parser *parser, const char *word)
{
	char next[256];

	if (parser->call->words[0] == '\0') {
		snprintf(parser->error, VALUE_ERROR_SIZE,
			 "there is no command '%.60s': see 'vswitchctl help'", word);
		return CLI_USAGE;
	}
	list_next_words(parser->call->words, next, sizeof(next));
	snprintf(parser->error, VALUE_ERROR_SIZE, "there is no command '%s %.60s': write %s",
		 parser->call->words, word, next);
	return CLI_USAGE;
}

/* One more word of the command. */
static int take_word(struct parser *parser, const char *word)
{
	char longer[GRAMMAR_WORDS_SIZE];
	bool known = false;
	int length = snprintf(longer, sizeof(longer), "%s%s%s", parser->call->words,
			      parser->call->words[0] == '\0' ? "" : " ", word);

	if (word[0] == '\0' || strchr(word, ' ') != NULL || length >= (int)sizeof(longer))
		return fail_unknown_word(parser, word);
	for (const struct grammar_command *command = grammar_commands; command->words; command++) {
		if (!grammar_opens_with(command, longer))
			continue;
		known = true;
		if (strcmp(command->words, longer) == 0)
			parser->call->command = command;
	}
	if (!known)
		return fail_unknown_word(parser, word);
	memcpy(parser->call->words, longer, (size_t)length + 1);
	return CLI_DONE;
}

static int take_argument(struct parser *parser, const char *text)
{
	struct grammar_call *call = parser->call;
	const struct grammar_argument *argument = &call->command->arguments[call->argument_count];

	if (call->argument_count == GRAMMAR_ARGUMENTS_MAX || argument->name == NULL) {
		snprintf(parser->error, VALUE_ERROR_SIZE,
			 "'%s' takes no further argument '%.60s': see 'vswitchctl help %s'",
			 call->command->words, text, call->command->words);
		return CLI_USAGE;
	}
	if (value_check(argument->type, argument->what, text, parser->error) < 0)
		return CLI_REFUSED;
	call->arguments[call->argument_count++] = text;
	return CLI_DONE;
}

static const struct grammar_option *find_option(const struct grammar_option *options,
						const char *name, size_t length)
{
	for (; options != NULL && options->name != NULL; options++) {
		if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
			return options;
	}
	return NULL;
}

/* Each element of a list is checked for itself. What sets something can be set back. */
static int check_value(struct parser *parser, const struct grammar_option *option, const char *text,
		       int refusal)
{
	char what[32], element[ELEMENT_SIZE];

	snprintf(what, sizeof(what), "--%s", option->name);
	if (option->attribute != NULL && value_is_default(option->type, text))
		return CLI_DONE;
	if (!option->repeatable)
		return value_check(option->type, what, text, parser->error) < 0 ? refusal
										: CLI_DONE;
	for (;; text++) {
		size_t length = strcspn(text, ",");

		snprintf(element, sizeof(element), "%.*s", (int)length, text);
		if (value_check(option->type, what, element, parser->error) < 0)
			return refusal;
		text += length;
		if (*text == '\0')
			return CLI_DONE;
	}
}

/* What sets one thing is given once, and so is one of several that set the same. */
static int check_alone(struct parser *parser, const struct grammar_option *option)
{
	const struct grammar_call *call = parser->call;

	for (unsigned i = 0; i < call->value_count; i++) {
		const struct grammar_option *given = call->values[i].option;

		if (given == option && !option->repeatable) {
			snprintf(parser->error, VALUE_ERROR_SIZE,
				 "--%s is given twice: give it once", option->name);
			return CLI_USAGE;
		}
		if (given != option && given->attribute != NULL && option->attribute != NULL &&
		    strcmp(given->attribute, option->attribute) == 0) {
			snprintf(parser->error, VALUE_ERROR_SIZE,
				 "--%s and --%s exclude each other: give one of them", given->name,
				 option->name);
			return CLI_USAGE;
		}
	}
	return CLI_DONE;
}

/* Takes "--name", "--name=value", or "--name" and the value that follows; moves *index over both.
 */
static int take_option(struct parser *parser, int argc, char **argv, int *index)
{
	struct grammar_call *call = parser->call;
	const char *name = argv[*index] + 2, *text = strchr(name, '=');
	size_t length = text != NULL ? (size_t)(text - name) : strlen(name);
	const struct grammar_option *option = find_option(grammar_globals, name, length);
	/* What is not about the switch, no switch can refuse. */
	int refusal = option != NULL ? CLI_USAGE : CLI_REFUSED;

	if (option == NULL && call->command != NULL)
		option = find_option(call->command->options, name, length);
	if (option == NULL) {
		snprintf(parser->error, VALUE_ERROR_SIZE,
			 "%s%s%sthere is no option --%.*s here: see 'vswitchctl help%s%s'",
			 call->command ? "'" : "", call->command ? call->command->words : "",
			 call->command ? "': " : "", length < 60 ? (int)length : 60, name,
			 parser->call->words[0] ? " " : "", parser->call->words);
		return CLI_USAGE;
	}
	if (option->value == NULL && text != NULL) {
		snprintf(parser->error, VALUE_ERROR_SIZE, "--%s takes no value", option->name);
		return CLI_USAGE;
	}
	if (option->value != NULL && text == NULL && ++*index == argc) {
		snprintf(parser->error, VALUE_ERROR_SIZE, "--%s needs a value: write --%s %s",
			 option->name, option->name, option->value);
		return CLI_USAGE;
	}
	if (check_alone(parser, option) != CLI_DONE)
		return CLI_USAGE;
	if (option->value == NULL)
		text = "";
	else
		text = text != NULL ? text + 1 : argv[*index];
	call->values[call->value_count++] = (struct grammar_value){option, text};
	return option->value == NULL ? CLI_DONE : check_value(parser, option, text, refusal);
}

/* What is missing at the end. */
static int check_complete(struct parser *parser)
{
	const struct grammar_call *call = parser->call;
	const struct grammar_command *command = call->command;
	const struct grammar_argument *argument;

	if (grammar_text(call, "help") != NULL)
		return CLI_DONE;
	if (command == NULL)
		return fail_incomplete(parser);
	argument = &command->arguments[call->argument_count];
	if (call->argument_count < GRAMMAR_ARGUMENTS_MAX && argument->name != NULL &&
	    !argument->optional) {
		snprintf(parser->error, VALUE_ERROR_SIZE, "'%s' needs %s: see 'vswitchctl help %s'",
			 command->words, argument->name, command->words);
		return CLI_USAGE;
	}
	if (command->required != NULL && grammar_text(call, command->required) == NULL) {
		const struct grammar_option *option =
			find_option(command->options, command->required, strlen(command->required));

		snprintf(parser->error, VALUE_ERROR_SIZE,
			 "'%s' needs --%s %s: see 'vswitchctl help %s'", command->words,
			 option->name, option->value, command->words);
		return CLI_USAGE;
	}
	return CLI_DONE;
}

int grammar_parse(int argc, char **argv, struct grammar_call *call, char error[VALUE_ERROR_SIZE])
{
	struct parser parser = {.call = call, .error = error};
	bool options_end = false;
	int ret = CLI_DONE;

	*call = (struct grammar_call){.values = calloc((size_t)argc + 1, sizeof(*call->values))};
	if (call->values == NULL) {
		snprintf(error, VALUE_ERROR_SIZE, "out of memory");
		return CLI_REFUSED;
	}
	for (int i = 1; i < argc && ret == CLI_DONE; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0)
			options_end = true;
		else if (!options_end && strncmp(argv[i], "--", 2) == 0)
			ret = take_option(&parser, argc, argv, &i);
		else if (call->command == NULL)
			ret = take_word(&parser, argv[i]);
		else
			ret = take_argument(&parser, argv[i]);
	}
	return ret == CLI_DONE ? check_complete(&parser) : ret;
}

void grammar_call_fini(struct grammar_call *call)
{
	free(call->values);
	call->values = NULL;
	call->value_count = 0;
}

const char *grammar_text(const struct grammar_call *call, const char *option)
{
	for (unsigned i = 0; i < call->value_count; i++) {
		if (strcmp(call->values[i].option->name, option) == 0)
			return call->values[i].text;
	}
	return NULL;
}
