/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_MAP_ZEROED_H
#define VSWITCH_DATAPATH_MAP_ZEROED_H

/* Tables that are as large as they may ever become, of which little is used. */

#include <stddef.h>
#include <sys/mman.h>

/*
 * Returns `size` octets of zeroed memory that takes space as it is touched, aligned to pages; NULL
 * when there is none. To be given back by munmap().
 */
static inline void *map_zeroed(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

#endif
