/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A daemon that dies while it makes an interface: whatever it had done, the next one makes the same
 * port, or gives back what had been adopted, and nothing is left besides. A child makes the
 * interface and is killed after one call that may have changed it, then after two, until it comes
 * to its end. In namespaces of the test's own:
 *
 *	own          private         workload (without a name: nobody sweeps it)
 *	             vs3 ----------- eth0     a veth
 *	                             eth1     a TAP
 *	va0 -- vb0                            a veth of somebody else; va0 is adopted
 *
 * Needs root; skipped without.
 */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/links.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"
#include "tests/unit/links_fixture.h"

#define CALLS_MIN 5   /* fewer than these make no interface */
#define CALLS_MAX 100 /* these are not needed for one */

struct fixture {
	struct namespaces *namespaces;
	struct links *links;
	int workload;
	char netns[NETNS_PATH_SIZE];
	struct links_port port;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	links_fixture_make(&fixture->namespaces, &fixture->links, &fixture->workload,
			   fixture->netns);
	fixture->port = (struct links_port){.ref = {3, 11},
					    .netns = fixture->netns,
					    .mac = {{2, 0, 0, 0, 0, 3}},
					    .mtu = 1450,
					    .queue_count = 2};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	links_free(fixture->links);
	namespaces_free(fixture->namespaces);
	close(fixture->workload);
	free(fixture);
	return 0;
}

static int count_here(void *context)
{
	struct if_nameindex *names = if_nameindex();
	int *count = context;

	assert_non_null(names);
	for (*count = 0; names[*count].if_index != 0; (*count)++)
		;
	if_freenameindex(names);
	return 0;
}

/* Besides the loopback interface. */
static int interfaces(struct fixture *fixture, int netns)
{
	int count;

	assert_int_equal(namespaces_run(fixture->namespaces, netns, count_here, &count), 0);
	return count - 1;
}

static int open_port(struct fixture *fixture, struct links_queues *queues)
{
	char reason[MODEL_TEXT_SIZE];
	int error = fixture->port.type == MODEL_PORT_NETDEV
			    ? links_netdev_open(fixture->links, &fixture->port, queues, reason)
			    : links_open(fixture->links, &fixture->port, queues);

	return error < 0 ? error : links_configure(fixture->links, &fixture->port, NULL);
}

/* In the child. */
static _Noreturn void make(struct fixture *fixture)
{
	struct links_queues queues;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
		_exit(2);
	_exit(open_port(fixture, &queues) == 0 ? 0 : 1);
}

/* Whether the child has just returned from a call that may have changed an interface. */
static bool is_change(pid_t child, bool *inside)
{
	struct __ptrace_syscall_info info;

	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0);
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		*inside = info.entry.nr == SYS_sendmsg || info.entry.nr == SYS_ioctl ||
			  info.entry.nr == SYS_bpf || info.entry.nr == SYS_write;
	return info.op == PTRACE_SYSCALL_INFO_EXIT && *inside;
}

/* Makes the port in a child that is killed after that many calls. Returns whether it was. */
static bool make_and_kill(struct fixture *fixture, int calls)
{
	bool inside = false;
	pid_t child = fork();
	int status, seen = 0;

	assert_true(child >= 0);
	if (child == 0)
		make(fixture);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(
		ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
		0);
	while (seen < calls) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
		assert_int_equal(WSTOPSIG(status), SIGTRAP | 0x80);
		seen += is_change(child, &inside);
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return true;
}

static bool keep(void *context, const struct proto_ref *ref, int netns, const char *ifname)
{
	const struct links_port *port = context;

	(void)netns;
	return ref->index == port->ref.index && ref->incarnation == port->ref.incarnation &&
	       (ifname == NULL || strcmp(ifname, port->ifname) == 0);
}

static bool keep_adopted(void *context, int netns, const char *ifname)
{
	(void)context;
	(void)netns;
	(void)ifname;
	return true;
}

static void check_killed(struct fixture *fixture, enum model_port_type type, const char *ifname,
			 int ends)
{
	int private = namespaces_private(fixture->namespaces);
	bool killed = true;
	int calls;

	fixture->port.type = type;
	fixture->port.ifname = ifname;
	for (calls = 1; killed; calls++) {
		struct links_queues queues;
		int error;

		killed = make_and_kill(fixture, calls);
		links_sweep(fixture->links, keep, keep_adopted, &fixture->port);
		error = open_port(fixture, &queues);
		if (error < 0)
			fail_msg("killed after %d calls: %s", calls, strerror(-error));
		assert_true(links_match(fixture->links, &fixture->port, &queues));
		assert_int_equal(queues.count, fixture->port.queue_count);
		assert_int_equal(interfaces(fixture, fixture->workload), 1);
		assert_int_equal(interfaces(fixture, private), ends);
		links_remove(fixture->links, &fixture->port, &queues);
		links_queues_close(&queues);
		assert_int_equal(interfaces(fixture, fixture->workload), 0);
		assert_int_equal(interfaces(fixture, private), 0);
		assert_true(calls < CALLS_MAX);
	}
	assert_true(calls > CALLS_MIN);
}

static void test_veth_of_a_daemon_that_died(void **state)
{
	check_killed(*state, MODEL_PORT_VETH, "eth0", 1);
}

static void test_tap_of_a_daemon_that_died(void **state)
{
	check_killed(*state, MODEL_PORT_TAP, "eth1", 0);
}

static bool keep_no_adopted(void *context, int netns, const char *ifname)
{
	(void)context;
	(void)netns;
	(void)ifname;
	return false;
}

/* An empty clsact may stay (keep_out.h). */
static void check_as_found(int calls)
{
	if (system("test $(cat /proc/sys/net/ipv6/conf/va0/disable_ipv6) = 0 &&"
		   "! ip link show dev va0 | grep -q '[<,]UP' &&"
		   "! tc filter show dev va0 ingress | grep -q . &&"
		   "! tc filter show dev va0 egress | grep -q . &&"
		   "{ tc qdisc del dev va0 clsact 2>/dev/null || true; }") != 0)
		fail_msg("killed after %d calls: not as it was found", calls);
}

static void test_adopted_by_a_daemon_that_died(void **state)
{
	struct fixture *fixture = *state;
	bool killed = true;
	int calls;

	fixture->port.type = MODEL_PORT_NETDEV;
	fixture->port.netns = "";
	fixture->port.ifname = "va0";
	assert_int_equal(system("ip link add va0 type veth peer name vb0"), 0);
	check_as_found(0);
	for (calls = 1; killed; calls++) {
		char reason[MODEL_TEXT_SIZE] = "";
		struct links_queues queues;

		killed = make_and_kill(fixture, calls);
		/* By turns its port is gone since, and is there. */
		if (calls % 2 == 0) {
			links_sweep(fixture->links, keep, keep_no_adopted, &fixture->port);
			check_as_found(calls);
		}
		links_sweep(fixture->links, keep, keep_adopted, &fixture->port);
		if (links_netdev_open(fixture->links, &fixture->port, &queues, reason) < 0)
			fail_msg("killed after %d calls: %s", calls, reason);
		assert_true(links_match(fixture->links, &fixture->port, &queues));
		links_remove(fixture->links, &fixture->port, &queues);
		links_queues_close(&queues);
		check_as_found(calls);
		assert_true(calls < CALLS_MAX);
	}
	assert_true(calls > CALLS_MIN);
}

#define KILLED_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KILLED_TEST(test_veth_of_a_daemon_that_died),
		KILLED_TEST(test_tap_of_a_daemon_that_died),
		KILLED_TEST(test_adopted_by_a_daemon_that_died),
	};

	if (geteuid() != 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
