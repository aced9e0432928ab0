/* SPDX-License-Identifier: Apache-2.0 */

/* Guests' memory that goes while it is mapped. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/ports/vhost_memory.h"

#define PAGES 8u

static void test_memory_goes(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("guest", MFD_CLOEXEC);
	volatile uint8_t *memory;

	(void)state;
	assert_int_equal(vhost_memory_guard(), 0);
	assert_int_equal(ftruncate(fd, (off_t)(PAGES * page)), 0);
	memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	for (unsigned i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	/* What is there is what it was, what is gone reads as zero and can be written. */
	for (unsigned i = 0; i < PAGES; i++) {
		assert_int_equal(memory[i * page], i < 2);
		memory[i * page + 1] = 2;
		assert_int_equal(memory[i * page + 1], 2);
	}
	assert_int_equal(vhost_memory_lost(), PAGES - 2);
	assert_int_equal(vhost_memory_lost(), 0);
	munmap((void *)(uintptr_t)memory, PAGES * page);
	close(fd);
}

/* The signal of another cause still ends the process. */
static void test_other_cause(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		vhost_memory_guard();
		kill(getpid(), SIGBUS);
		kill(getpid(), SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_goes),
		cmocka_unit_test(test_other_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
