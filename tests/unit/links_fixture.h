/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_LINKS_FIXTURE_H
#define VSWITCH_TESTS_UNIT_LINKS_FIXTURE_H

/* Where the tests of interfaces make them: namespaces of the test's own, and the links of a switch.
 */

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/links.h"
#include "control/namespaces.h"

#define INSTANCE 0x1234567890abcdefull
#define SKIPPED	 77

#define NETNS_PATH_SIZE 40

/*
 * Goes into a new namespace, which is the links' own, and makes another for a workload, that is
 * held by a descriptor alone, the caller's, and named by its path.
 */
static inline void links_fixture_make(struct namespaces **namespaces, struct links **links,
				      int *workload, char netns[NETNS_PATH_SIZE])
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	*workload = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(*workload >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(namespaces_new(namespaces), 0);
	assert_int_equal(namespaces_make_private(*namespaces), 0);
	assert_int_equal(links_new(links, *namespaces, INSTANCE), 0);
	snprintf(netns, NETNS_PATH_SIZE, "/proc/self/fd/%d", *workload);
}

#endif
