/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_TABLE_H
#define VSWITCH_CLI_TABLE_H

/*
 * Aligned columns of text, for output_text.c: cells are filled one after the
 * other, row by row, and printed when all widths are known. What is put into
 * a cell can come from anywhere: control characters become '?'. NULL, which
 * table_new() returns when out of memory, is a table that stays empty.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct table;

struct table *table_new(void);
/* Begins the next row; the first one has begun. Rows without cells are not printed. */
void table_row(struct table *table);
/* Begins the next cell of the row. */
void table_cell(struct table *table, bool right);
/* Appends to the cell. */
__attribute__((format(printf, 2, 3))) void table_put(struct table *table, const char *format, ...);
/* Appends a string, a number, yes or no, a list of these with commas between, or "-". */
void table_put_json(struct table *table, const json_t *value);
/* Appends seconds as 12s, 3m20s, 5h01m or 9d04h. */
void table_put_age(struct table *table, double seconds);
/* Appends a number with a decimal unit: 1.53 GB. */
void table_put_scaled(struct table *table, double number, const char *unit);
/* Prints the rows and frees the table. */
void table_finish(struct table *table, FILE *file);

#endif
