/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_PROBLEM_H
#define VSWITCH_CONTROL_PROBLEM_H

/*
 * Why a request was refused: what becomes the body of an answer as RFC 9457
 * says. Filled by whoever finds it (the schema, the model's checks, the
 * store) and sent by the API. Belongs to the caller; no thread but his.
 */

#define PROBLEM_TEXT_SIZE 512
#define PROBLEM_NAME_SIZE 192

struct problem {
	int status;			/* of HTTP; 0: none */
	const char *code;		/* static: one word for programs, "vni-taken" */
	char object[PROBLEM_NAME_SIZE]; /* "segment acme/web"; kept by problem_set() */
	char base[PROBLEM_NAME_SIZE];	/* where that object is in the body (RFC 6901); kept as well
					 */
	char pointer[PROBLEM_TEXT_SIZE]; /* base and the member */
	char detail[PROBLEM_TEXT_SIZE];	 /* one sentence, plain ASCII: the object and the way out */
};

void problem_init(struct problem *problem);

/* Names the object that is looked at next, for the problem that may be found. */
__attribute__((format(printf, 2, 3))) void problem_object(struct problem *problem,
							  const char *format, ...);
__attribute__((format(printf, 2, 3))) void problem_base(struct problem *problem, const char *format,
							...);

/*
 * Notes a problem with a member of the object (NULL: with the whole of it). Returns -EINVAL,
 * so that a finder can return what it says.
 */
__attribute__((format(printf, 5, 6))) int problem_set(struct problem *problem, int status,
						      const char *code, const char *member,
						      const char *format, ...);

#endif
