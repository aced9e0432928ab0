/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16
#define GAP	    2 /* blanks between columns */

struct cell {
	size_t start; /* in text; it ends where the next one starts */
	unsigned column;
	bool right;
};

struct table {
	char *text;
	size_t size;
	FILE *stream; /* writes text */
	struct cell *cells;
	size_t count, capacity;
	unsigned column; /* of the next cell in the row */
};

struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return NULL;
	table->stream = open_memstream(&table->text, &table->size);
	if (table->stream == NULL) {
		free(table);
		return NULL;
	}
	return table;
}

void table_row(struct table *table)
{
	if (table != NULL)
		table->column = 0;
}

void table_cell(struct table *table, bool right)
{
	struct cell *grown;

	if (table == NULL)
		return;
	if (table->count == table->capacity) {
		size_t capacity = 2 * table->capacity + 64;

		grown = realloc(table->cells, capacity * sizeof(*grown));
		if (grown == NULL)
			return; /* what follows stands in the cell before */
		table->cells = grown;
		table->capacity = capacity;
	}
	fflush(table->stream);
	table->cells[table->count++] = (struct cell){table->size, table->column++, right};
}

void table_put(struct table *table, const char *format, ...)
{
	va_list arguments;

	if (table == NULL)
		return;
	va_start(arguments, format);
	vfprintf(table->stream, format, arguments);
	va_end(arguments);
}

void table_put_json(struct table *table, const json_t *value)
{
	size_t index;
	json_t *element;

	if (json_is_string(value))
		table_put(table, "%s",
			  json_string_length(value) > 0 ? json_string_value(value) : "-");
	else if (json_is_integer(value))
		table_put(table, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		table_put(table, "%.3f", json_real_value(value));
	else if (json_is_boolean(value))
		table_put(table, json_is_true(value) ? "yes" : "no");
	else if (json_array_size(value) == 0)
		table_put(table, "-");
	json_array_foreach (value, index, element) {
		if (index > 0)
			table_put(table, ",");
		table_put_json(table, element);
	}
}

void table_put_age(struct table *table, double seconds)
{
	unsigned long whole = seconds > 0 ? (unsigned long)seconds : 0;

	if (whole < 60)
		table_put(table, "%lus", whole);
	else if (whole < 3600)
		table_put(table, "%lum%02lus", whole / 60, whole % 60);
	else if (whole < 86400)
		table_put(table, "%luh%02lum", whole / 3600, whole / 60 % 60);
	else
		table_put(table, "%lud%02luh", whole / 86400, whole / 3600 % 24);
}

void table_put_scaled(struct table *table, double number, const char *unit)
{
	static const char prefixes[] = " kMGTPE";
	size_t prefix = 0;

	while (number >= 999.5 && prefix + 2 < sizeof(prefixes)) {
		number /= 1000;
		prefix++;
	}
	if (prefix == 0)
		table_put(table, unit[0] != '\0' ? "%.0f %s" : "%.0f", number, unit);
	else
		table_put(table, "%.*f %c%s",
			  number < 9.995   ? 2
			  : number < 99.95 ? 1
					   : 0,
			  number, prefixes[prefix], unit);
}

static size_t cell_size(const struct table *table, size_t index)
{
	size_t end = index + 1 < table->count ? table->cells[index + 1].start : table->size;

	return end - table->cells[index].start;
}

/* Columns that a terminal takes for it: continuation octets of UTF-8 take none. */
static size_t cell_width(const struct table *table, size_t index)
{
	const char *text = table->text + table->cells[index].start;
	size_t width = 0;

	for (size_t i = 0; i < cell_size(table, index); i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

static void print_blanks(FILE *file, size_t count)
{
	fprintf(file, "%*s", (int)count, "");
}

static void print_rows(const struct table *table, FILE *file)
{
	size_t widths[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->count; i++) {
		size_t *width = &widths[table->cells[i].column % COLUMNS_MAX];

		if (cell_width(table, i) > *width)
			*width = cell_width(table, i);
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct cell *cell = &table->cells[i];
		bool last = i + 1 == table->count || table->cells[i + 1].column == 0;
		size_t padding = widths[cell->column % COLUMNS_MAX] - cell_width(table, i);

		print_blanks(file, cell->right ? padding : 0);
		fwrite(table->text + cell->start, 1, cell_size(table, i), file);
		if (last)
			putc('\n', file);
		else
			print_blanks(file, GAP + (cell->right ? 0 : padding));
	}
}

void table_finish(struct table *table, FILE *file)
{
	if (table == NULL)
		return;
	if (fclose(table->stream) == 0) {
		for (size_t i = 0; i < table->size; i++) {
			if ((unsigned char)table->text[i] < ' ' || table->text[i] == 0x7f)
				table->text[i] = '?';
		}
		print_rows(table, file);
	}
	free(table->text);
	free(table->cells);
	free(table);
}
