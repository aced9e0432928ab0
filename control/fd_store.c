/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/notify.h"

#define FIRST_FD  3 /* sd_listen_fds(3) */
#define KEPT_MAX  8u
#define NAME_SIZE 32u

/* What the manager has under one name. A file is the same while its device and number are: they are
 * not used again as long as the manager holds it. */
struct kept {
	char name[NAME_SIZE];
	dev_t device;
	ino_t number;
	int fd; /* passed to us and not taken; -1: none */
};

struct fd_store {
	int notify;
	uint32_t count;
	struct kept kept[KEPT_MAX];
};

static int passed_count(void);
static void receive(struct fd_store *store, const char *names, int count);
static void receive_one(struct fd_store *store, const char *name, size_t length, int fd);
static struct kept *find(struct fd_store *store, const char *name);
static struct kept *add(struct fd_store *store, const char *name);

int fd_store_new(struct fd_store **store, int notify)
{
	struct fd_store *made = calloc(1, sizeof(*made));
	const char *names = getenv("LISTEN_FDNAMES");

	if (made == NULL)
		return -ENOMEM;
	made->notify = notify;
	receive(made, names == NULL ? "" : names, passed_count());
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	*store = made;
	return 0;
}

void fd_store_free(struct fd_store *store)
{
	uint32_t i;

	if (store == NULL)
		return;
	for (i = 0; i < store->count; i++)
		if (store->kept[i].fd >= 0)
			close(store->kept[i].fd);
	free(store);
}

int fd_store_take(struct fd_store *store, const char *name)
{
	struct kept *kept = store == NULL ? NULL : find(store, name);
	int fd = -1;

	if (kept != NULL) {
		fd = kept->fd;
		kept->fd = -1;
	}
	return fd;
}

void fd_store_put(struct fd_store *store, const char *name, int fd)
{
	struct kept *kept;
	struct stat status;
	char lines[64 + NAME_SIZE];
	int error;

	if (store == NULL || store->notify < 0 || fstat(fd, &status) < 0)
		return;
	kept = find(store, name);
	if (kept != NULL && kept->device == status.st_dev && kept->number == status.st_ino)
		return;
	if (kept != NULL) {
		snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=%s", name);
		notify_send(store->notify, lines);
	} else {
		kept = add(store, name);
	}
	if (kept == NULL)
		return;
	snprintf(lines, sizeof(lines), "FDSTORE=1\nFDNAME=%s", name);
	error = notify_send_fd(store->notify, lines, fd);
	if (error < 0)
		log_warning("the service manager does not keep the descriptor %s: %s", name,
			    strerror(-error));
	kept->device = status.st_dev;
	kept->number = status.st_ino;
}

/* How many descriptors were passed to this very process: the variables are inherited by others. */
static int passed_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	char *end;
	long value;

	if (pid == NULL || count == NULL)
		return 0;
	value = strtol(pid, &end, 10);
	if (*pid == '\0' || *end != '\0' || value != getpid())
		return 0;
	value = strtol(count, &end, 10);
	return *count == '\0' || *end != '\0' || value < 0 || value > INT32_MAX - FIRST_FD
		       ? 0
		       : (int)value;
}

/* Names are separated by colons, in the order of the descriptors. */
static void receive(struct fd_store *store, const char *names, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		size_t length = strcspn(names, ":");

		receive_one(store, names, length, FIRST_FD + i);
		names += length;
		if (*names == ':')
			names++;
	}
}

/* Of several with one name the first is as good as any: the name is only used for one. */
static void receive_one(struct fd_store *store, const char *name, size_t length, int fd)
{
	struct kept *kept = NULL;
	struct stat status;
	char text[NAME_SIZE];

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return; /* there is none: the variables lie */
	if (length > 0 && length < sizeof(text) && fstat(fd, &status) == 0) {
		snprintf(text, sizeof(text), "%.*s", (int)length, name);
		if (find(store, text) == NULL)
			kept = add(store, text);
	}
	if (kept == NULL) {
		close(fd);
		return;
	}
	kept->device = status.st_dev;
	kept->number = status.st_ino;
	kept->fd = fd;
}

static struct kept *find(struct fd_store *store, const char *name)
{
	uint32_t i;

	for (i = 0; i < store->count; i++)
		if (strcmp(store->kept[i].name, name) == 0)
			return &store->kept[i];
	return NULL;
}

static struct kept *add(struct fd_store *store, const char *name)
{
	struct kept *kept;

	if (store->count == KEPT_MAX)
		return NULL;
	kept = &store->kept[store->count++];
	snprintf(kept->name, sizeof(kept->name), "%s", name);
	kept->fd = -1;
	return kept;
}
