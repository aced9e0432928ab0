/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Interfaces that somebody else made, adopted in a namespace of the test's own:
 *
 *	va0 ---- vb0     a veth; va0 is adopted
 *
 * Needs root; skipped without.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/keep_out.h"
#include "control/links_internal.h"
#include "control/links_netdev.h"
#include "control/namespaces.h"

#define INSTANCE 0x1234567890abcdefull
#define SKIPPED	 77
#define IPV6_OFF "/proc/sys/net/ipv6/conf/va0/disable_ipv6"

struct fixture {
	struct namespaces *namespaces;
	struct links *links, *others; /* of another switch */
	struct links_port port;
	char reason[MODEL_TEXT_SIZE];
};

/* Runs a command line; it must succeed. */
static void run(const char *command)
{
	int status = system(command);

	if (status != 0)
		fail_msg("%s: status %d", command, status);
}

static int read_digit(const char *path)
{
	FILE *file = fopen(path, "re");
	int digit;

	assert_non_null(file);
	digit = fgetc(file) - '0';
	fclose(file);
	return digit;
}

static bool has_clsact(void)
{
	return system("tc qdisc show dev va0 | grep -q clsact") == 0;
}

static bool is_up(void)
{
	return system("ip link show dev va0 | grep -q '[<,]UP'") == 0;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(namespaces_new(&fixture->namespaces), 0);
	assert_int_equal(namespaces_make_private(fixture->namespaces), 0);
	assert_int_equal(links_new(&fixture->links, fixture->namespaces, INSTANCE), 0);
	assert_int_equal(links_new(&fixture->others, fixture->namespaces, INSTANCE + 1), 0);
	fixture->port = (struct links_port){.ref = {3, 11},
					    .type = MODEL_PORT_NETDEV,
					    .netns = "",
					    .ifname = "va0",
					    .queue_count = 1};
	run("ip link add va0 type veth peer name vb0");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	links_free(fixture->links);
	links_free(fixture->others);
	namespaces_free(fixture->namespaces);
	free(fixture);
	return 0;
}

static const struct links_queues none = {0};

static struct links_queues open_port(struct fixture *fixture)
{
	struct links_queues queues = {0};
	int error = links_netdev_open(fixture->links, &fixture->port, &queues, fixture->reason);

	if (error < 0)
		fail_msg("%s", fixture->reason);
	return queues;
}

static void refused(struct fixture *fixture, int error, const char *reason)
{
	struct links_queues queues = {0};

	assert_int_equal(links_netdev_check(fixture->links, &fixture->port, fixture->reason),
			 error);
	assert_string_equal(fixture->reason, reason);
	fixture->reason[0] = '\0';
	assert_int_equal(
		links_netdev_open(fixture->links, &fixture->port, &queues, fixture->reason), error);
	assert_string_equal(fixture->reason, reason);
	assert_int_equal(queues.count, 0);
	assert_false(has_clsact());
}

static void test_leaves_as_it_found(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues;
	int ipv6;

	for (int up = 0; up < 2; up++) {
		for (int off = 0; off < 2; off++) {
			run(up ? "ip link set va0 up" : "ip link set va0 down");
			run(off ? "echo 1 >" IPV6_OFF : "echo 0 >" IPV6_OFF);
			queues = open_port(fixture);
			assert_true(has_clsact());
			assert_true(is_up());
			assert_int_equal(read_digit(IPV6_OFF), 1);
			links_remove(fixture->links, &fixture->port, up ? &queues : &none);
			links_queues_close(&queues);
			ipv6 = read_digit(IPV6_OFF);
			assert_int_equal(ipv6, off);
			assert_int_equal(is_up(), up);
			assert_false(has_clsact());
		}
	}
}

/* What is taken down afterwards stays so, and is so when the switch lets go. */
static void test_brings_up_once(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = open_port(fixture), again;

	run("ip link set va0 down");
	assert_int_equal(links_configure(fixture->links, &fixture->port, NULL), 0);
	again = open_port(fixture);
	assert_false(is_up());
	links_queues_close(&again);
	run("ip link set va0 up");
	links_remove(fixture->links, &fixture->port, &queues);
	assert_false(is_up());
	links_queues_close(&queues);
}

static void test_finds_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct links_port shared = fixture->port;
	struct links_seen seen;
	struct links_queues queues = open_port(fixture);
	int plain;

	shared.shared = true;
	run("ip link set va0 mtu 1400; ip link set vb0 up; ip link set va0 address "
	    "02:00:00:00:00:0a");
	assert_int_equal(
		links_netdev_look(fixture->links, &fixture->port, &queues, &seen, fixture->reason),
		0);
	assert_int_equal(seen.ifindex, if_nametoindex("va0"));
	assert_int_equal(seen.mtu, 1400);
	assert_int_equal(seen.mac.bytes[5], 0x0a);
	assert_true(seen.up && seen.carrier);
	assert_true(links_match(fixture->links, &fixture->port, &queues));
	assert_true(links_alive(fixture->links, &fixture->port, &queues));
	assert_false(links_pins(fixture->links, &fixture->port, &queues));
	/* The mark is what lets frames leave; a shared one has none. */
	assert_false(links_match(fixture->links, &shared, &queues));
	plain = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(plain >= 0);
	assert_false(
		links_match(fixture->links, &fixture->port, &(struct links_queues){1, {plain}}));
	assert_false(
		links_alive(fixture->links, &fixture->port, &(struct links_queues){1, {plain}}));
	close(plain);
	assert_false(links_match(fixture->links, &fixture->port,
				 &(struct links_queues){1, {STDIN_FILENO}}));
	run("ip link set va0 down; ip link set va0 name vc0");
	assert_false(links_match(fixture->links, &fixture->port, &queues));
	assert_true(links_alive(fixture->links, &fixture->port, &queues));
	run("ip link add va0 type veth peer name vd0");
	assert_int_equal(
		links_netdev_look(fixture->links, &fixture->port, &queues, &seen, fixture->reason),
		-ENODEV);
	run("ip link del vc0");
	assert_false(links_alive(fixture->links, &fixture->port, &queues));
	links_remove(fixture->links, &fixture->port, &queues);
	links_queues_close(&queues);
}

static void test_waits(void **state)
{
	struct fixture *fixture = *state;

	fixture->port.ifname = "vx0";
	refused(fixture, -ENODEV, "no interface vx0");
	fixture->port.netns = "no-such-namespace";
	refused(fixture, -ENOENT, "no namespace no-such-namespace");
	fixture->port.netns = "/dev/null";
	refused(fixture, -EMEDIUMTYPE, "/dev/null is no network namespace");
	fixture->port.netns = "";
	fixture->port.ifname = "va0";
	run("ip link set va0 address 02:00:00:00:00:0a");
	fixture->port.match_mac = (struct addr_mac){{2, 0, 0, 0, 0, 0xb}};
	fixture->port.match_mac_given = true;
	refused(fixture, -EADDRNOTAVAIL,
		"interface va0 has MAC 02:00:00:00:00:0a, not 02:00:00:00:00:0b");
}

static void test_refuses_what_the_host_uses(void **state)
{
	static const struct {
		const char *begin, *end, *reason;
	} rows[] = {
		{"ip addr add 10.1.2.3/24 dev va0", "ip addr del 10.1.2.3/24 dev va0",
		 "interface va0 carries the host's address 10.1.2.3/24: move it off, or share the "
		 "interface with the host (--shared)"},
		{"ip link set va0 up; ip addr add fd00::1/64 dev va0 nodad",
		 "ip addr del fd00::1/64 dev va0",
		 "interface va0 carries the host's address fd00::1/64: move it off, or share the "
		 "interface with the host (--shared)"},
		{"ip route add default dev va0 table 77", "ip route del default dev va0 table 77",
		 "interface va0 carries the host's route to everywhere: move it off, or share the "
		 "interface with the host (--shared)"},
		{"ip -6 route add fd01::/64 dev va0", "ip -6 route del fd01::/64 dev va0",
		 "interface va0 carries the host's route to fd01::/64: move it off, or share the "
		 "interface with the host (--shared)"},
		{"ip link set vb0 up; ip route add 10.9.0.0/16 nexthop dev va0 nexthop dev vb0",
		 "ip route del 10.9.0.0/16",
		 "interface va0 carries the host's route to 10.9.0.0/16: move it off, or share the "
		 "interface with the host (--shared)"},
		{"ip link add mv0 link va0 type macvtap", "ip link del mv0",
		 "interface va0 carries the host's interface mv0: remove that, or share the "
		 "interface with the host (--shared)"},
		{"ip link add br0 type bridge; ip link set va0 master br0", "ip link del br0",
		 "interface va0 belongs to br0: take it out of that (ip link set va0 nomaster), or "
		 "name another"},
	};
	struct fixture *fixture = *state;
	struct links_queues queues;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run(rows[i].begin);
		refused(fixture, -EBUSY, rows[i].reason);
		fixture->port.shared = true;
		assert_int_equal(
			links_netdev_check(fixture->links, &fixture->port, fixture->reason), 0);
		fixture->port.shared = false;
		run(rows[i].end);
		assert_int_equal(
			links_netdev_check(fixture->links, &fixture->port, fixture->reason), 0);
	}
	/* It is up by now, with what IPv6 gives it by itself. */
	run("ip -6 addr show dev va0 | grep -q fe80");
	queues = open_port(fixture);
	links_queues_close(&queues);
}

static void test_refuses_what_cannot_be_a_port(void **state)
{
	struct fixture *fixture = *state;

	for (int shared = 0; shared < 2; shared++) {
		fixture->port.shared = shared;
		fixture->port.ifname = "lo";
		refused(fixture, -EINVAL, "interface lo is a loopback: name another");
		run("ip tuntap add tun0 mode tun");
		fixture->port.ifname = "tun0";
		refused(fixture, -EINVAL,
			"interface tun0 carries no Ethernet frames: name another");
		run("ip link del tun0");
		fixture->port.ifname = "va0";
		run("ip link set va0 alias vswitch:0000000000000001:1.1");
		refused(fixture, -EINVAL,
			"interface va0 was made by a switch for a port of its own: name another");
		run("ip link set va0 alias uplink");
	}
}

static void test_knows_another_switch(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = open_port(fixture), other = {0};

	for (int shared = 0; shared < 2; shared++) {
		fixture->port.shared = shared;
		assert_int_equal(
			links_netdev_open(fixture->others, &fixture->port, &other, fixture->reason),
			-EBUSY);
		assert_string_equal(fixture->reason, "interface va0 is a port of another switch: "
						     "delete it there, or name another");
	}
	fixture->port.shared = false;
	links_remove(fixture->others, &fixture->port, &none);
	assert_true(has_clsact());
	assert_int_equal(read_digit(IPV6_OFF), 1);
	links_remove(fixture->links, &fixture->port, &queues);
	links_queues_close(&queues);
	assert_int_equal(
		links_netdev_open(fixture->others, &fixture->port, &other, fixture->reason), 0);
	links_remove(fixture->others, &fixture->port, &other);
	links_queues_close(&other);
}

/* Attaches a program that drops nothing, as somebody else may. */
static void attach_foreign(uint32_t handle)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = TC_ACT_UNSPEC},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("va0"),
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = 1);

	options.prog_fd =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", program, 2, NULL);
	assert_true(options.prog_fd >= 0);
	assert_int_equal(bpf_tc_attach(&hook, &options), 0);
	close(options.prog_fd);
}

static void test_leaves_filters_of_others(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = open_port(fixture);

	attach_foreign(77);
	links_remove(fixture->links, &fixture->port, &queues);
	links_queues_close(&queues);
	assert_true(has_clsact());
	run("tc filter show dev va0 ingress | grep -q foreign");
	assert_int_not_equal(system("tc filter show dev va0 | grep -q vs[0-9a-f]"), 0);
	/* Now clsact is the other's. */
	queues = open_port(fixture);
	run("tc filter del dev va0 ingress");
	links_remove(fixture->links, &fixture->port, &queues);
	links_queues_close(&queues);
	assert_true(has_clsact());
}

/* Should the place of our filter be taken, nothing is adopted and nothing stays. */
static void test_fails_whole(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = {0};

	run("tc qdisc add dev va0 clsact");
	attach_foreign(0x7673);
	assert_true(links_netdev_open(fixture->links, &fixture->port, &queues, fixture->reason) <
		    0);
	assert_non_null(strstr(fixture->reason, "interface va0 cannot be adopted: "));
	assert_int_equal(queues.count, 0);
	assert_int_equal(read_digit(IPV6_OFF), 0);
	assert_false(is_up());
	run("tc filter show dev va0 ingress | grep -q foreign");
	assert_int_not_equal(system("tc filter show dev va0 egress | grep -q bpf"), 0);
}

static bool keep_none(void *context, int netns, const char *ifname)
{
	int *asked = context;

	assert_true(netns >= 0);
	assert_string_equal(ifname, "vc0");
	(*asked)++;
	return *asked == 1;
}

static void test_sweep_finds_by_record(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues;
	int own = namespaces_own(fixture->namespaces);
	int asked = 0, asked_other = 0;

	/* The daemon dies; somebody renames it, and has a clsact on the other end. */
	queues = open_port(fixture);
	links_queues_close(&queues);
	run("ip link set va0 down; ip link set va0 name vc0; tc qdisc add dev vb0 clsact");
	links_netdev_sweep(fixture->others, own, keep_none, &asked_other);
	assert_int_equal(asked_other, 0);
	links_netdev_sweep(fixture->links, own, keep_none, &asked);
	assert_int_equal(asked, 1);
	run("tc qdisc show dev vc0 | grep -q clsact");
	links_netdev_sweep(fixture->links, own, keep_none, &asked);
	assert_int_equal(asked, 2);
	assert_int_not_equal(system("tc qdisc show dev vc0 | grep -q clsact"), 0);
	run("tc qdisc show dev vb0 | grep -q clsact");
	assert_int_equal(read_digit("/proc/sys/net/ipv6/conf/vc0/disable_ipv6"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_leaves_as_it_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_brings_up_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_finds_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses_what_the_host_uses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses_what_cannot_be_a_port, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_knows_another_switch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leaves_filters_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fails_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sweep_finds_by_record, set_up, tear_down),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
