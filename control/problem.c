/* SPDX-License-Identifier: Apache-2.0 */
#include "control/problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text);
static size_t escape(char *text, size_t size, const char *member);

void problem_init(struct problem *problem)
{
	memset(problem, 0, sizeof(*problem));
}

void problem_object(struct problem *problem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem->object, sizeof(problem->object), format, args);
	va_end(args);
	make_printable(problem->object);
}

void problem_base(struct problem *problem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem->base, sizeof(problem->base), format, args);
	va_end(args);
	make_printable(problem->base);
}

int problem_set(struct problem *problem, int status, const char *code, const char *member,
		const char *format, ...)
{
	va_list args;
	size_t size;

	problem->status = status;
	problem->code = code;
	size = (size_t)snprintf(problem->pointer, sizeof(problem->pointer), "%s%s", problem->base,
				member != NULL ? "/" : "");
	if (member != NULL)
		escape(problem->pointer + size, sizeof(problem->pointer) - size, member);
	va_start(args, format);
	vsnprintf(problem->detail, sizeof(problem->detail), format, args);
	va_end(args);
	make_printable(problem->pointer);
	make_printable(problem->detail);
	return -EINVAL;
}

/* What users sent may be in it: nothing that a terminal obeys, and no half of a character. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

/* RFC 6901 section 3 */
static size_t escape(char *text, size_t size, const char *member)
{
	size_t used = 0;

	for (; *member != '\0' && used + 3 < size; member++) {
		if (*member == '~' || *member == '/') {
			text[used++] = '~';
			text[used++] = *member == '~' ? '0' : '1';
		} else {
			text[used++] = *member;
		}
	}
	text[used] = '\0';
	return used;
}
