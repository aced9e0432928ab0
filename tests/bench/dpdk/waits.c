/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/dpdk/waits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_thread(int process, int thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", process, thread);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads how long a thread ran, and how long it waited, in ns: 0 when it has ended. */
static void read_thread(int fd, uint64_t *ran, uint64_t *waited)
{
	char text[64], *rest;
	ssize_t size = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	*ran = strtoull(text, &rest, 10);
	*waited = strtoull(rest, NULL, 10);
}

/* The thread that ran longest. */
static int open_busiest(int process)
{
	char path[32];
	DIR *tasks;
	struct dirent *entry;
	uint64_t most = 0;
	int best = -1;

	snprintf(path, sizeof(path), "/proc/%d/task", process);
	tasks = opendir(path);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		int fd = open_thread(process, (int)strtol(entry->d_name, NULL, 10));
		uint64_t ran, waited;

		read_thread(fd, &ran, &waited);
		if (ran > most) {
			if (best >= 0)
				close(best);
			most = ran;
			best = fd;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	if (tasks != NULL)
		closedir(tasks);
	return best;
}

void waits_init(struct waits *waits, int process)
{
	waits->own_fd = open_thread(getpid(), (int)syscall(SYS_gettid));
	waits->other_fd = process > 0 ? open_busiest(process) : -1;
}

void waits_fini(struct waits *waits)
{
	if (waits->own_fd >= 0)
		close(waits->own_fd);
	if (waits->other_fd >= 0)
		close(waits->other_fd);
}

uint64_t waits_ns(const struct waits *waits)
{
	uint64_t ran, own, other;

	read_thread(waits->own_fd, &ran, &own);
	read_thread(waits->other_fd, &ran, &other);
	return own + other;
}
