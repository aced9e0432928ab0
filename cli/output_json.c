/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <stdio.h>

#define FLAGS (JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER)

static void print(const json_t *body)
{
	if (body == NULL)
		return;
	json_dumpf(body, stdout, FLAGS);
	putchar('\n');
}

static void print_changed(const json_t *body, uint64_t generation)
{
	json_t *only =
		body == NULL ? json_pack("{s:I}", "generation", (json_int_t)generation) : NULL;

	print(body != NULL ? body : only);
	json_decref(only);
}

static void print_list(const json_t *body, const char *key, const struct output_column *columns)
{
	(void)key;
	(void)columns;
	print(body);
}

static void print_status(const json_t *body, const json_t *ports)
{
	(void)ports;
	print(body);
}

/* One line a look while watching, so that a reader can take them one by one. */
static void print_look(const struct output_look *look)
{
	if (!look->watch) {
		print(look->body);
		return;
	}
	json_dumpf(look->body, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
}

const struct output output_json = {
	.list = print_list,
	.object = print,
	.changed = print_changed,
	.changes = print,
	.status = print_status,
	.stats = print_look,
	.drops = print_look,
};
