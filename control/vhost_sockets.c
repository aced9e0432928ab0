/* SPDX-License-Identifier: Apache-2.0 */
#include "control/vhost_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

#define GROUP	      "kvm"
#define MODE	      0660
#define BACKLOG	      1 /* a frontend that comes before the former one is known to be gone */
#define PATH_MAX_SIZE 256

static int connect_to(int fd, const char *path);
static int address_of(struct sockaddr_un *address, const char *path);
static int option_of(int fd, int option);
static void look_at_directory(const char *path, size_t size, struct vhost_place *place);
static bool same_file(const char *a, const char *b);
static int open_directory(const char *path, const char **name);
static int clear_place(const struct vhost_sockets *sockets, int directory, const char *name);
static int probe_in(const struct vhost_sockets *sockets, int directory, const char *name);
static int bind_file(int fd, const char *path);
static int take_file(struct vhost_listener *listener, int directory, const char *name);
static bool has_hung_up(int fd);

int vhost_sockets_init(struct vhost_sockets *sockets)
{
	sockets->probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return sockets->probe < 0 ? -errno : 0;
}

void vhost_sockets_fini(struct vhost_sockets *sockets)
{
	if (sockets->probe >= 0)
		close(sockets->probe);
	sockets->probe = -1;
}

/* A datagram socket cannot be connected to a stream socket, and the kernel says so only when there
 * is one (unix(7), EPROTOTYPE). */
int vhost_sockets_probe(const struct vhost_sockets *sockets, const char *path)
{
	int error = connect_to(sockets->probe, path);

	if (error == -EPROTOTYPE)
		return 0;
	return error == 0 ? -EPROTOTYPE : error;
}

/* Asked first, since a socket for each try of each port that waits would cost five times more. */
int vhost_sockets_connect(const struct vhost_sockets *sockets, const char *path)
{
	int error = vhost_sockets_probe(sockets, path);
	int fd;

	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = connect_to(fd, path);
	if (error == 0 && fcntl(fd, F_SETFL, 0) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

bool vhost_round_unchanged(struct vhost_round *round, const char *path, struct vhost_place *place)
{
	size_t size = (size_t)(strrchr(path, '/') - path);
	struct stat file;
	bool same;

	if (round->path == NULL || round->directory_size != size ||
	    memcmp(round->path, path, size) != 0)
		look_at_directory(path, size, &round->place);
	round->path = path;
	round->directory_size = size;
	same = place->inode != 0 && place->inode == round->place.inode &&
	       place->device == round->place.device &&
	       place->changed.tv_sec == round->place.changed.tv_sec &&
	       place->changed.tv_nsec == round->place.changed.tv_nsec;
	if (same)
		return true;
	*place = round->place;
	/* What a link leads to comes and goes elsewhere. */
	if (place->inode != 0 && lstat(path, &file) == 0 && S_ISLNK(file.st_mode))
		place->inode = 0;
	return false;
}

/* A hypervisor may have named its socket from a directory that nobody knows here. */
bool vhost_sockets_match(int fd, const char *path, bool server)
{
	struct {
		struct sockaddr_un address;
		char end; /* a path may fill its place */
	} peer = {0}, own = {0};
	socklen_t peer_size = sizeof(peer.address), own_size = sizeof(own.address);
	const char *name = server ? own.address.sun_path : peer.address.sun_path;

	if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_STREAM ||
	    getpeername(fd, (struct sockaddr *)&peer.address, &peer_size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own.address, &own_size) < 0)
		return false;
	if (strcmp(name, path) == 0)
		return true;
	return !server && name[0] != '\0' && (name[0] != '/' || same_file(name, path));
}

const char *vhost_sockets_explain(const char *path, bool server, int error, char *text, size_t size)
{
	if (!server && (error == -ENOENT || error == -ECONNREFUSED))
		snprintf(text, size, "nobody listens on %s", path);
	else if (!server && error == -EAGAIN)
		snprintf(text, size, "who listens on %s takes no further connection", path);
	else if (!server && error == -EPROTOTYPE)
		snprintf(text, size, "%s is no stream socket", path);
	else if (!server)
		snprintf(text, size, "cannot connect to %s: %s", path, strerror(-error));
	else if (error == -EAGAIN)
		snprintf(text, size, "nobody has connected to %s", path);
	else if (error == -ENOENT)
		snprintf(text, size, "no directory for %s", path);
	else if (error == -EADDRINUSE)
		snprintf(text, size, "another process listens on %s", path);
	else if (error == -EEXIST)
		snprintf(text, size, "%s is there, and not a socket that this switch made", path);
	else
		snprintf(text, size, "cannot listen on %s: %s", path, strerror(-error));
	return text;
}

/* Until it listens nobody can connect, whatever its file's mode and group are in between. */
int vhost_listener_open(struct vhost_listener *listener, const struct vhost_sockets *sockets,
			const char *path)
{
	const char *name;
	int directory = open_directory(path, &name);
	int fd = -1, error;

	if (directory < 0)
		return directory;
	error = clear_place(sockets, directory, name);
	if (error == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		error = fd < 0 ? -errno : bind_file(fd, path);
	}
	if (error == 0)
		error = take_file(listener, directory, name);
	if (error == 0 && listen(fd, BACKLOG) < 0)
		error = -errno;
	close(directory);
	if (error == 0)
		listener->fd = fd;
	else if (fd >= 0)
		close(fd);
	return error;
}

bool vhost_listener_stands(const struct vhost_listener *listener, const char *path)
{
	struct stat file;

	return lstat(path, &file) == 0 && file.st_dev == listener->device &&
	       file.st_ino == listener->inode;
}

int vhost_listener_accept(const struct vhost_listener *listener)
{
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (!has_hung_up(fd))
			return fd;
		close(fd);
	}
	return -errno;
}

void vhost_listener_close(struct vhost_listener *listener, const char *path, bool remove)
{
	const char *name;
	int directory = remove && listener->fd >= 0 ? open_directory(path, &name) : -1;
	struct stat file;

	if (directory >= 0) {
		if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
		    file.st_dev == listener->device && file.st_ino == listener->inode)
			(void)unlinkat(directory, name, 0);
		close(directory);
	}
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address;
	int error = address_of(&address, path);

	if (error == 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	return error;
}

static int address_of(struct sockaddr_un *address, const char *path)
{
	size_t size = strlen(path) + 1;

	if (size > sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, size);
	return 0;
}

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

/* The kernel's time stamps are coarse: a change may follow another at the same time. */
static void look_at_directory(const char *path, size_t size, struct vhost_place *place)
{
	char directory[PATH_MAX_SIZE];
	struct timespec now;
	struct stat status;

	memset(place, 0, sizeof(*place));
	snprintf(directory, sizeof(directory), "%.*s/", (int)size, path);
	clock_gettime(CLOCK_REALTIME, &now);
	if (stat(directory, &status) < 0 || status.st_mtim.tv_sec + 1 >= now.tv_sec)
		return;
	place->device = status.st_dev;
	place->inode = status.st_ino;
	place->changed = status.st_mtim;
}

static bool same_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* What is looked at, and then changed, is looked at and changed in this directory. */
static int open_directory(const char *path, const char **name)
{
	char parent[PATH_MAX_SIZE];
	const char *slash = strrchr(path, '/');
	int fd;

	if ((size_t)(slash - path) + 2 > sizeof(parent))
		return -ENAMETOOLONG;
	snprintf(parent, sizeof(parent), "%.*s/", (int)(slash - path), path);
	fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*name = slash + 1;
	return fd < 0 ? -errno : fd;
}

/* Removes a socket that this user left, and nothing else. */
static int clear_place(const struct vhost_sockets *sockets, int directory, const char *name)
{
	struct stat file;
	int error;

	if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(file.st_mode) || file.st_uid != geteuid())
		return -EEXIST;
	error = probe_in(sockets, directory, name);
	if (error == 0 || error == -EPROTOTYPE)
		return -EADDRINUSE;
	if (error != -ECONNREFUSED)
		return error;
	return unlinkat(directory, name, 0) < 0 ? -errno : 0;
}

/* There is no connectat(), and a path through /proc may not fit an address. Only this thread knows
 * relative paths. */
static int probe_in(const struct vhost_sockets *sockets, int directory, const char *name)
{
	int former = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = former < 0 || fchdir(directory) < 0 ? -errno : 0;

	if (error == 0) {
		error = vhost_sockets_probe(sockets, name);
		if (fchdir(former) < 0)
			log_warning("the working directory cannot be entered again: %s",
				    strerror(errno));
	}
	if (former >= 0)
		close(former);
	return error;
}

static int bind_file(int fd, const char *path)
{
	struct sockaddr_un address;
	int error = address_of(&address, path);
	mode_t mask;

	if (error < 0)
		return error;
	mask = umask(0777 & ~MODE);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	umask(mask);
	return error;
}

/* Without the group, root's own hypervisors can connect, which is better than nobody. */
static int take_file(struct vhost_listener *listener, int directory, const char *name)
{
	const struct group *group = getgrnam(GROUP);
	int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat file;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &file) < 0 || !S_ISSOCK(file.st_mode) || file.st_uid != geteuid()) {
		close(fd);
		return -EEXIST;
	}
	if (group != NULL && fchownat(fd, "", (uid_t)-1, group->gr_gid, AT_EMPTY_PATH) < 0)
		log_warning("socket %s cannot be given to group " GROUP ": %s", name,
			    strerror(errno));
	listener->device = file.st_dev;
	listener->inode = file.st_ino;
	close(fd);
	return 0;
}

static bool has_hung_up(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLRDHUP};

	return poll(&poller, 1, 0) == 1;
}
