/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/vhost_memory.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the process, as the handler is. */
static unsigned lost;

/*
 * Maps zeros over the page that was touched, whatever its size: a part of a page is refused.
 * Called by a signal handler: system calls only.
 */
static int replace(void *address)
{
	static const uintptr_t sizes[] = {4096, 16384, 65536, 2u << 20, 512u << 20, 1u << 30};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *page = (void *)((uintptr_t)address & ~(sizes[i] - 1));

		if (mmap(page, sizes[i], PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == page)
			return 0;
	}
	return -1;
}

static void handle(int signal, siginfo_t *info, void *context)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	int saved = errno;

	(void)context;
	/* Behind the end of a file, and nothing else. */
	if (info->si_code == BUS_ADRERR && replace(info->si_addr) == 0)
		__atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
	else
		sigaction(signal, &standard, NULL);
	errno = saved;
}

int vhost_memory_guard(void)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

unsigned vhost_memory_lost(void)
{
	return __atomic_exchange_n(&lost, 0, __ATOMIC_RELAXED);
}
