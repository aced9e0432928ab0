/* SPDX-License-Identifier: Apache-2.0 */
#include "control/memories.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdb_layout.h"
#include "common/stats_layout.h"

/* Writes stay allowed: both memories are there to be written. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t size_of(enum proto_memory_kind kind);
static bool magic_is_right(const struct memory *memory, enum proto_memory_kind kind);
static int map(struct memory *memory, int fd, size_t size);

int memory_make(struct memory *memory, enum proto_memory_kind kind)
{
	const uint64_t magic = STATS_MAGIC;
	size_t size = size_of(kind);
	int fd, error;

	fd = memfd_create(kind == PROTO_MEMORY_STATS ? "vswitch-stats" : "vswitch-fdb",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		error = -errno;
		goto close_fd;
	}
	/* The datapath draws the hash key of a new FDB and initialises it: it stays zero here. */
	if (kind == PROTO_MEMORY_STATS && pwrite(fd, &magic, sizeof(magic), 0) != sizeof(magic)) {
		error = -EIO;
		goto close_fd;
	}
	error = map(memory, fd, size);
	if (error == 0)
		return 0;
close_fd:
	close(fd);
	return error;
}

int memory_take(struct memory *memory, enum proto_memory_kind kind, int fd)
{
	struct memory taken = {.fd = -1};
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS); /* fails for what is no memfd */
	int error;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &status) < 0 || (size_t)status.st_size < size_of(kind))
		return -EINVAL;
	error = map(&taken, fd, size_of(kind));
	if (taken.map == NULL)
		return error;
	if (!magic_is_right(&taken, kind)) {
		munmap((void *)taken.map, taken.size);
		return -EINVAL;
	}
	memory_fini(memory);
	*memory = taken;
	return 0;
}

void memory_fini(struct memory *memory)
{
	if (memory->map != NULL)
		munmap((void *)memory->map, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	memory->map = NULL;
	memory->fd = -1;
	memory->size = 0;
}

static size_t size_of(enum proto_memory_kind kind)
{
	return kind == PROTO_MEMORY_STATS ? STATS_MEMORY_SIZE
					  : FDB_MEMORY_SIZE(FDB_BUCKETS_DEFAULT);
}

/* An FDB that no datapath initialised yet reads as zero. */
static bool magic_is_right(const struct memory *memory, enum proto_memory_kind kind)
{
	uint64_t magic = *(const uint64_t *)memory->map;

	return kind == PROTO_MEMORY_STATS ? magic == STATS_MAGIC : magic == FDB_MAGIC || magic == 0;
}

static int map(struct memory *memory, int fd, size_t size)
{
	void *address = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (address == MAP_FAILED)
		return -errno;
	memory->fd = fd;
	memory->map = address;
	memory->size = size;
	return 0;
}
