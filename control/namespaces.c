/* SPDX-License-Identifier: Apache-2.0 */
#include "control/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/log.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct namespaces {
	int own;
	int private;
};

struct cookie_call {
	uint64_t cookie;
};

static int open_current(void);
static bool is_network_namespace(int fd);
static int silence_host_stack(void);
static int write_setting(const char *path, const char *value);
static int read_cookie(void *context);

int namespaces_new(struct namespaces **namespaces)
{
	struct namespaces *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	made->private = -1;
	made->own = open_current();
	if (made->own < 0) {
		int error = made->own;

		free(made);
		return error;
	}
	*namespaces = made;
	return 0;
}

void namespaces_free(struct namespaces *namespaces)
{
	if (namespaces == NULL)
		return;
	namespaces_drop_private(namespaces);
	close(namespaces->own);
	free(namespaces);
}

int namespaces_make_private(struct namespaces *namespaces)
{
	int fd, error;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = open_current();
	error = fd < 0 ? fd : silence_host_stack();
	if (setns(namespaces->own, CLONE_NEWNET) < 0)
		abort(); /* see namespaces_run() */
	if (error < 0) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	namespaces_drop_private(namespaces);
	namespaces->private = fd;
	return 0;
}

int namespaces_take_private(struct namespaces *namespaces, int fd)
{
	if (!is_network_namespace(fd) || namespaces_same(fd, namespaces->own))
		return -EINVAL;
	namespaces_drop_private(namespaces);
	namespaces->private = fd;
	return 0;
}

void namespaces_drop_private(struct namespaces *namespaces)
{
	if (namespaces->private >= 0)
		close(namespaces->private);
	namespaces->private = -1;
}

int namespaces_own(const struct namespaces *namespaces)
{
	return namespaces->own;
}

int namespaces_private(const struct namespaces *namespaces)
{
	return namespaces->private;
}

int namespaces_open(const struct namespaces *namespaces, const char *text)
{
	char path[NAMESPACES_TEXT_SIZE], link[40];
	struct statfs fs;
	int place, fd, error;

	if (text[0] == '\0') {
		fd = fcntl(namespaces->own, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? -errno : fd;
	}
	if (text[0] == '/')
		snprintf(path, sizeof(path), "%s", text);
	else if (strncmp(text, "pid:", 4) == 0)
		snprintf(path, sizeof(path), "/proc/%s/ns/net", text + 4);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", text);
	/* Looked at before it is opened: opening a FIFO or a device would have effects of its own.
	 */
	place = open(path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return errno == ENOTDIR || errno == ESRCH ? -ENOENT : -errno;
	fd = -EMEDIUMTYPE;
	if (fstatfs(place, &fs) < 0) {
		fd = -errno;
	} else if (fs.f_type == NSFS_MAGIC) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
		fd = open(link, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	} else if (text[0] != '/') {
		fd = -ENOENT; /* "ip netns add" makes the file first and mounts on it afterwards */
	}
	error = fd;
	close(place);
	if (fd >= 0 && !is_network_namespace(fd)) {
		close(fd);
		error = -EMEDIUMTYPE;
	}
	return error;
}

int namespaces_run(const struct namespaces *namespaces, int fd, int (*call)(void *), void *context)
{
	int result;

	if (setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	result = call(context);
	if (setns(namespaces->own, CLONE_NEWNET) < 0) {
		log_error("cannot return to the daemon's network namespace: %s", strerror(errno));
		abort();
	}
	return result;
}

bool namespaces_same(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

uint64_t namespaces_cookie(const struct namespaces *namespaces, int fd)
{
	struct cookie_call call = {0};

	return namespaces_run(namespaces, fd, read_cookie, &call) == 0 ? call.cookie : 0;
}

const char *namespaces_describe(const char *netns, char text[NAMESPACES_TEXT_SIZE])
{
	if (netns[0] == '\0')
		snprintf(text, NAMESPACES_TEXT_SIZE, "the host's namespace");
	else
		snprintf(text, NAMESPACES_TEXT_SIZE, "namespace %s", netns);
	return text;
}

static int open_current(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_network_namespace(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
	       ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

/* /proc/sys/net is that of the calling thread's namespace. A kernel without IPv6 has nothing to
 * switch off. */
static int silence_host_stack(void)
{
	static const struct {
		const char *path, *value;
		bool may_be_missing;
	} settings[] = {
		{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "1", true},
		{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", true},
		{"/proc/sys/net/ipv4/ip_forward", "0", false},
	};
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		int error = write_setting(settings[i].path, settings[i].value);

		if (error == -ENOENT && settings[i].may_be_missing)
			continue;
		if (error < 0)
			return error;
	}
	return 0;
}

static int write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int read_cookie(void *context)
{
	struct cookie_call *call = context;
	socklen_t size = sizeof(call->cookie);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &call->cookie, &size) < 0)
		error = -errno;
	close(fd);
	return error;
}
