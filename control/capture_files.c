/* SPDX-License-Identifier: Apache-2.0 */
#include "control/capture_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/capture.h"

#define DIRECTORY_NAME "pcap"

struct capture_files {
	int state_fd;
	char directory[PATH_MAX]; /* as it is */
	char given[PATH_MAX];	  /* as it was named, which may lead through symbolic links */
};

/* From the state directory. */
struct path {
	char text[sizeof(DIRECTORY_NAME) + MODEL_FILE_SIZE];
};

static int find_directory(struct capture_files *files, const char *state_dir);
static const char *strip(const char *text, const char *directory);
static struct path path_of(const char *name);
static int open_beneath(const struct capture_files *files, const char *path, int flags);
static int open_parent(const struct capture_files *files, const char *name, const char **base);
static int check_regular(int fd);
static int check_recording(int parent, const char *base);
static bool is_file(const struct capture_files *files, const char *name, int fd, int flags);

int capture_files_new(struct capture_files **files, const char *state_dir)
{
	struct capture_files *made = calloc(1, sizeof(*made));
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->state_fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	error = made->state_fd < 0 ? -errno : find_directory(made, state_dir);
	if (error == 0 && mkdirat(made->state_fd, DIRECTORY_NAME, 0700) < 0 && errno != EEXIST)
		error = -errno;
	if (error < 0) {
		capture_files_free(made);
		return error;
	}
	*files = made;
	return 0;
}

void capture_files_free(struct capture_files *files)
{
	if (files == NULL)
		return;
	if (files->state_fd >= 0)
		close(files->state_fd);
	free(files);
}

bool capture_files_valid(const char *text)
{
	const char *component = text;
	size_t length;

	if (strlen(text) >= MODEL_FILE_SIZE)
		return false;
	do {
		char name[ADDR_NAME_SIZE];

		length = strcspn(component, "/");
		if (length >= sizeof(name))
			return false;
		memcpy(name, component, length);
		name[length] = '\0';
		if (!addr_name_valid(name))
			return false;
		component += length + 1;
	} while (component[-1] == '/');
	return true;
}

int capture_files_name(const struct capture_files *files, const char *text,
		       char name[MODEL_FILE_SIZE])
{
	const char *rest = text;

	if (text[0] == '/') {
		rest = strip(text, files->directory);
		if (rest == NULL)
			rest = strip(text, files->given);
	}
	if (rest == NULL || !capture_files_valid(rest))
		return -EXDEV;
	memcpy(name, rest, strlen(rest) + 1);
	return 0;
}

const char *capture_files_directory(const struct capture_files *files)
{
	return files->directory;
}

int capture_files_open_replay(const struct capture_files *files, const char *name)
{
	/* One that cannot be read at once, as a FIFO, shall not hold the daemon up. */
	int fd = open_beneath(files, path_of(name).text, O_RDONLY | O_NONBLOCK);
	uint8_t header[CAPTURE_HEADER_SIZE];
	ssize_t size;
	int error;

	if (fd < 0)
		return fd;
	error = check_regular(fd);
	if (error == 0) {
		size = pread(fd, header, sizeof(header), 0);
		error = size < 0 ? -errno : capture_check(header, (size_t)size);
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int capture_files_open_recording(const struct capture_files *files, const char *name, bool anew)
{
	const char *base;
	int parent = open_parent(files, name, &base);
	int error, fd = -1;

	if (parent < 0)
		return parent;
	error = check_recording(parent, base);
	/* Removed, not emptied: whoever still writes to it shall not spoil the new one. */
	if (anew && (error == 0 || error == -EEXIST))
		error = unlinkat(parent, base, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (error == 0 || error == -ENOENT) {
		fd = openat(parent, base,
			    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
				    (anew ? O_EXCL : 0),
			    0600);
		error = fd < 0 ? -errno : check_regular(fd);
	}
	close(parent);
	if (error == 0 && lseek(fd, 0, SEEK_END) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

int capture_files_check_recording(const struct capture_files *files, const char *name)
{
	const char *base;
	int parent = open_parent(files, name, &base);
	int error;

	if (parent < 0)
		return parent;
	error = check_recording(parent, base);
	close(parent);
	return error == -ENOENT || error == -EEXIST ? 0 : error;
}

bool capture_files_is_replay(const struct capture_files *files, const char *name, int fd)
{
	return is_file(files, name, fd, O_RDONLY);
}

bool capture_files_is_recording(const struct capture_files *files, const char *name, int fd)
{
	return is_file(files, name, fd, O_WRONLY | O_APPEND);
}

const char *capture_files_explain(const struct capture_files *files, const char *name, int error,
				  char *text, size_t size)
{
	static const struct {
		int error;
		const char *says;
	} rows[] = {
		{-ENODATA, "ends within its header"},
		{-EPROTONOSUPPORT, "is a pcapng file: convert it with editcap -F pcap"},
		{-EMEDIUMTYPE, "holds no Ethernet frames"},
		{-EBADMSG, "is no pcap file"},
		{-EINVAL, "is no regular file"},
		{-ELOOP, "is reached through a symbolic link: put the file itself there"},
		{-EEXIST, "is there and no recording of a switch: move it away"},
	};
	const char *directory = files->directory;

	if (error == -ENOENT) {
		snprintf(text, size, "no file %s in %s", name, directory);
		return text;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].error == error) {
			snprintf(text, size, "file %s in %s %s", name, directory, rows[i].says);
			return text;
		}
	}
	snprintf(text, size, "file %s in %s cannot be opened: %s", name, directory,
		 strerror(-error));
	return text;
}

/* Both ways in which users may name it. */
static int find_directory(struct capture_files *files, const char *state_dir)
{
	char state[PATH_MAX];

	if (realpath(state_dir, state) == NULL)
		return -errno;
	if (snprintf(files->directory, sizeof(files->directory), "%s/" DIRECTORY_NAME, state) >=
		    (int)sizeof(files->directory) ||
	    snprintf(files->given, sizeof(files->given), "%s/" DIRECTORY_NAME, state_dir) >=
		    (int)sizeof(files->given))
		return -ENAMETOOLONG;
	return 0;
}

static const char *strip(const char *text, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(text, directory, length) == 0 && text[length] == '/' ? text + length + 1
									    : NULL;
}

static struct path path_of(const char *name)
{
	struct path path;

	snprintf(path.text, sizeof(path.text), DIRECTORY_NAME "/%s", name);
	return path;
}

static int open_beneath(const struct capture_files *files, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, files->state_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Opens the directory of the file; *base points into name. */
static int open_parent(const struct capture_files *files, const char *name, const char **base)
{
	struct path path = path_of(name);
	char *slash = strrchr(path.text, '/');
	int fd;

	*slash = '\0';
	fd = open_beneath(files, path.text, O_PATH | O_DIRECTORY);
	*base = strrchr(name, '/') == NULL ? name : strrchr(name, '/') + 1;
	return fd;
}

static int check_regular(int fd)
{
	struct stat file;

	if (fstat(fd, &file) < 0)
		return -errno;
	return S_ISREG(file.st_mode) ? 0 : -EINVAL;
}

/* Returns 0 for an empty file and for a recording, else why it is none. */
static int check_recording(int parent, const char *base)
{
	uint8_t header[CAPTURE_HEADER_SIZE];
	int fd = openat(parent, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t size;
	int error;

	if (fd < 0)
		return -errno;
	error = check_regular(fd);
	if (error == 0) {
		size = pread(fd, header, sizeof(header), 0);
		if (size < 0)
			error = -errno;
		else if (size > 0 && !capture_is_recording(header, (size_t)size))
			error = -EEXIST;
	}
	close(fd);
	return error;
}

static bool is_file(const struct capture_files *files, const char *name, int fd, int flags)
{
	int opened = open_beneath(files, path_of(name).text, O_PATH);
	int mode = fcntl(fd, F_GETFL);
	struct stat there, here;
	bool is;

	if (opened < 0)
		return false;
	is = mode >= 0 && (mode & (O_ACCMODE | O_APPEND)) == flags && fstat(opened, &there) == 0 &&
	     fstat(fd, &here) == 0 && S_ISREG(here.st_mode) && here.st_dev == there.st_dev &&
	     here.st_ino == there.st_ino;
	close(opened);
	return is;
}
