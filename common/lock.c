/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 60u
#define PAUSE_NS 50000000

int lock_take(const char *path)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = -EBUSY;

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < ATTEMPTS && error == -EBUSY; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		error = errno == EWOULDBLOCK || errno == EINTR ? -EBUSY : -errno;
	}
	close(fd);
	return error;
}
