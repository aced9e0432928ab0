/* SPDX-License-Identifier: Apache-2.0 */
#include "control/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

static int replace_socket(const char *path, const struct sockaddr_un *address);
static bool is_loopback(const struct sockaddr_storage *address);

int listen_unix(const char *path, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int opened, result;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	result = replace_socket(path, &address);
	if (result < 0)
		return result;
	opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (opened < 0)
		return -errno;
	/* Everybody may connect: what they may do is decided by their credentials. */
	if (bind(opened, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0666) < 0 || listen(opened, LISTEN_BACKLOG) < 0) {
		result = -errno;
		close(opened);
		return result;
	}
	*fd = opened;
	return 0;
}

int listen_parse(const char *text, struct listen_address *address)
{
	struct listen_address parsed = {.size = sizeof(parsed.address)};
	struct sockaddr *any = (struct sockaddr *)&parsed.address;
	int size = (int)parsed.size;
	in_port_t port;

	if (evutil_parse_sockaddr_port(text, any, &size) < 0)
		return -EINVAL;
	port = any->sa_family == AF_INET ? ((struct sockaddr_in *)any)->sin_port
					 : ((struct sockaddr_in6 *)any)->sin6_port;
	if (port == 0)
		return -EINVAL;
	if (!is_loopback(&parsed.address))
		return -EACCES;
	parsed.size = (socklen_t)size;
	*address = parsed;
	return 0;
}

int listen_tcp(const struct listen_address *address, int *fd)
{
	const int on = 1;
	int opened = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    IPPROTO_TCP);
	int result;

	if (opened < 0)
		return -errno;
	/* A daemon that returns need not wait for its former connections to be forgotten. */
	if (setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(opened, (const struct sockaddr *)&address->address, address->size) < 0 ||
	    listen(opened, LISTEN_BACKLOG) < 0) {
		result = -errno;
		close(opened);
		return result;
	}
	*fd = opened;
	return 0;
}

bool listen_host_is_local(const char *host)
{
	static const char name[] = "localhost";
	struct sockaddr_storage address;
	int size = sizeof(address);
	size_t length;

	if (host == NULL)
		return false;
	length = strcspn(host, ":");
	if (length == strlen(name) && evutil_ascii_strncasecmp(host, name, length) == 0)
		return true;
	return evutil_parse_sockaddr_port(host, (struct sockaddr *)&address, &size) == 0 &&
	       is_loopback(&address);
}

/* Removes a socket that a former daemon left; one that answers is in use. */
static int replace_socket(const char *path, const struct sockaddr_un *address)
{
	struct stat status;
	int fd, result = 0;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		result = -EADDRINUSE;
	else if (unlink(path) < 0 && errno != ENOENT)
		result = -errno;
	close(fd);
	return result;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}
