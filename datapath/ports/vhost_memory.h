/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_PORTS_VHOST_MEMORY_H
#define VSWITCH_DATAPATH_PORTS_VHOST_MEMORY_H

/*
 * A frontend can make the file of its guest's memory shorter than it said: whoever touches what is
 * gone gets SIGBUS, which would end the switch for all. With the guard, memory of zeros takes the
 * place of what is gone, and only the guest suffers. Other faults end the process as ever.
 */

/* Sets the guard up, for the whole process. Returns 0 or a negative errno. */
int vhost_memory_guard(void);

#ifdef HAVE_DPDK
/* Pages of guests' memory that were gone when they were touched, since the last call. */
unsigned vhost_memory_lost(void);
#else
static inline unsigned vhost_memory_lost(void)
{
	return 0;
}
#endif

#endif
