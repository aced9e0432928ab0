/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/dpdk_trial.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME	  "VSWITCH_DEVICES_LEFT_OUT"
#define VARIABLE  NAME "="
#define WORDS_MAX 1024u
#define TEXT_SIZE 131072u

/* Where the variable says of a device what happened. */
#define CRASHED "crashed "
#define WAITED	"waited  "

static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Strings that the kernel has of a process, each ended by a zero. */
struct words {
	char text[TEXT_SIZE];
	char *list[WORDS_MAX]; /* NULL behind the last */
};

/* What the handler needs, made before. */
static struct {
	struct words arguments, environment;
	char variable[TEXT_SIZE];
	char *verdict; /* in the variable, of the device that is being opened */
	struct sigaction former[SIGNALS];
} next;

static bool read_words(const char *path, struct words *words)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0, count = 0;
	ssize_t part = -1;

	if (fd < 0)
		return false;
	while (size < TEXT_SIZE - 1 &&
	       (part = read(fd, words->text + size, TEXT_SIZE - 1 - size)) > 0)
		size += (size_t)part;
	close(fd);
	if (part != 0)
		return false;
	words->text[size] = '\0';
	/* There is room for one more. */
	for (char *word = words->text; word < words->text + size; word += strlen(word) + 1) {
		if (count == WORDS_MAX - 2)
			return false;
		words->list[count++] = word;
	}
	words->list[count] = words->list[count + 1] = NULL;
	return true;
}

/* Adds the device to those that are left out, as one that crashed. */
static bool add_device(char **environment, const char *device)
{
	const char *former = VARIABLE;
	size_t size;

	while (*environment != NULL && strncmp(*environment, VARIABLE, strlen(VARIABLE)) != 0)
		environment++;
	if (*environment != NULL)
		former = *environment;
	size = (size_t)snprintf(next.variable, sizeof(next.variable), "%s" CRASHED "%s\n", former,
				device);
	*environment = next.variable;
	next.verdict = next.variable + strlen(former);
	return size < sizeof(next.variable);
}

/* Calls only what a handler may call. */
static void begin_anew(int number)
{
	alarm(0);
	if (number == SIGALRM)
		memcpy(next.verdict, WAITED, strlen(WAITED));
	execve("/proc/self/exe", next.arguments.list, next.environment.list);
	_exit(1);
}

const char *dpdk_trial_past(const char *device)
{
	const char *line = getenv(NAME), *end;
	size_t length = strlen(device);

	for (; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const char *name = line + strlen(CRASHED);

		if (end != name + length || strncmp(name, device, length) != 0)
			continue;
		return strncmp(line, CRASHED, strlen(CRASHED)) == 0
			       ? "its driver crashed"
			       : "its driver waits for something";
	}
	return NULL;
}

bool dpdk_trial_begin(const char *device)
{
	/* Not blocked in what is executed; and what crashes in the handler ends the process. */
	struct sigaction action = {.sa_flags = (int)SA_RESETHAND | SA_NODEFER};

	if (!read_words("/proc/self/cmdline", &next.arguments) ||
	    !read_words("/proc/self/environ", &next.environment) ||
	    !add_device(next.environment.list, device))
		return false;
	action.sa_handler = begin_anew;
	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &action, &next.former[i]);
	alarm(DPDK_TRIAL_SECONDS);
	return true;
}

void dpdk_trial_end(void)
{
	alarm(0);
	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &next.former[i], NULL);
}
