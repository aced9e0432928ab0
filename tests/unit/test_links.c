/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Interfaces as they are made, found again and removed, in namespaces of the test's own:
 *
 *	own (the test's, unshared)     private        workload (held by a descriptor)
 *	                               vs3 ---------- eth0        a veth
 *	                                              eth1        a TAP
 *
 * Needs root; skipped without.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/links.h"
#include "control/links_internal.h"
#include "control/memories.h"
#include "control/namespaces.h"
#include "control/vtep_sockets.h"
#include "tests/unit/links_fixture.h"

struct fixture {
	struct namespaces *namespaces;
	struct links *links;
	int workload;
	char netns[NETNS_PATH_SIZE];
	struct addr_prefix ip;
	struct links_port tap, veth;
};

struct look {
	const char *ifname;
	struct ifreq mtu, flags, mac, address;
	bool exists, addressed;
};

static int look_here(void *context)
{
	struct look *look = context;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(look->mtu.ifr_name, IFNAMSIZ, "%s", look->ifname);
	look->flags = look->mac = look->address = look->mtu;
	look->exists = ioctl(fd, SIOCGIFMTU, &look->mtu) == 0;
	if (look->exists) {
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &look->flags), 0);
		assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &look->mac), 0);
		look->addressed = ioctl(fd, SIOCGIFADDR, &look->address) == 0;
	}
	close(fd);
	return 0;
}

static struct look look_at(struct fixture *fixture, int netns, const char *ifname)
{
	struct look look = {.ifname = ifname};

	assert_int_equal(namespaces_run(fixture->namespaces, netns, look_here, &look), 0);
	return look;
}

static int add_tap_here(void *context)
{
	struct links_port *port = context;
	struct fixture inner = {0};
	struct links_queues queues = {0};
	int error;

	/* Another instance, whose own namespace this is. */
	error = namespaces_new(&inner.namespaces);
	if (error == 0)
		error = namespaces_make_private(inner.namespaces);
	if (error == 0)
		error = links_new(&inner.links, inner.namespaces, INSTANCE + 1);
	if (error == 0)
		error = links_open(inner.links, port, &queues);
	links_queues_close(&queues);
	links_free(inner.links);
	namespaces_free(inner.namespaces);
	return error;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	links_fixture_make(&fixture->namespaces, &fixture->links, &fixture->workload,
			   fixture->netns);
	assert_int_equal(addr_prefix_parse("10.1.2.3/24", &fixture->ip), 0);
	fixture->veth = (struct links_port){.ref = {3, 11},
					    .type = MODEL_PORT_VETH,
					    .netns = fixture->netns,
					    .ifname = "eth0",
					    .mac = {{2, 0, 0, 0, 0, 3}},
					    .mtu = 1450,
					    .ips = &fixture->ip,
					    .ip_count = 1,
					    .queue_count = 1};
	fixture->tap = fixture->veth;
	fixture->tap.ref = (struct proto_ref){4, 12};
	fixture->tap.type = MODEL_PORT_TAP;
	fixture->tap.ifname = "eth1";
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	links_free(fixture->links);
	namespaces_free(fixture->namespaces);
	if (fixture->workload >= 0)
		close(fixture->workload);
	free(fixture);
	return 0;
}

static const struct links_queues none = {0};

static struct links_queues open_port(struct fixture *fixture, const struct links_port *port)
{
	struct links_queues queues = {0};

	assert_int_equal(links_open(fixture->links, port, &queues), 0);
	assert_int_equal(queues.count, 1);
	assert_int_equal(links_configure(fixture->links, port, NULL), 0);
	assert_true(links_match(fixture->links, port, &queues));
	assert_true(links_alive(fixture->links, port, &queues));
	assert_true((fcntl(queues.fds[0], F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(queues.fds[0], F_GETFD) & FD_CLOEXEC) != 0);
	return queues;
}

static void check_configured(struct fixture *fixture, const struct links_port *port)
{
	struct look look = look_at(fixture, fixture->workload, port->ifname);

	assert_true(look.exists);
	assert_int_equal(look.mtu.ifr_mtu, port->mtu);
	assert_memory_equal(look.mac.ifr_hwaddr.sa_data, port->mac.bytes, 6);
	assert_true((look.flags.ifr_flags & IFF_UP) != 0);
	assert_true(look.addressed);
	assert_memory_equal(look.address.ifr_addr.sa_data + 2, fixture->ip.addr.bytes, 4);
}

static void check_made_and_removed(struct fixture *fixture, const struct links_port *port)
{
	struct links_queues queues = open_port(fixture, port);

	check_configured(fixture, port);
	assert_false(links_pins(fixture->links, port, &queues));
	links_remove(fixture->links, port, &queues);
	assert_false(look_at(fixture, fixture->workload, port->ifname).exists);
	assert_false(links_alive(fixture->links, port, &queues));
	assert_false(links_match(fixture->links, port, &queues));
	links_queues_close(&queues);
}

static void test_tap_is_made_and_removed(void **state)
{
	struct fixture *fixture = *state;

	check_made_and_removed(fixture, &fixture->tap);
}

static void test_veth_is_made_and_removed(void **state)
{
	struct fixture *fixture = *state;
	int private = namespaces_private(fixture->namespaces);
	struct links_queues queues = open_port(fixture, &fixture->veth);
	struct look ours = look_at(fixture, private, "vs3");

	assert_true(ours.exists);
	assert_false(ours.addressed);
	assert_int_equal(ours.mtu.ifr_mtu, LINKS_OUR_MTU);
	assert_true((ours.flags.ifr_flags & IFF_UP) != 0);
	links_queues_close(&queues);
	links_remove(fixture->links, &fixture->veth, &none);
	assert_false(look_at(fixture, private, "vs3").exists);
	check_made_and_removed(fixture, &fixture->veth);
}

static void test_tap_in_the_daemons_own_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues;

	fixture->tap.netns = "";
	queues = open_port(fixture, &fixture->tap);
	assert_true(look_at(fixture, namespaces_own(fixture->namespaces), "eth1").exists);
	assert_false(links_pins(fixture->links, &fixture->tap, &queues));
	links_remove(fixture->links, &fixture->tap, &queues);
	assert_false(look_at(fixture, namespaces_own(fixture->namespaces), "eth1").exists);
	links_queues_close(&queues);
}

static void check_taken(struct fixture *fixture, struct links_port *port)
{
	struct links_port other = *port;
	struct proto_ref ref = {0, 0};
	struct links_queues queues = open_port(fixture, port), second = {0};

	other.ref.index++;
	other.ref.incarnation++;
	assert_int_equal(links_open(fixture->links, &other, &second), -EEXIST);
	assert_int_equal(second.count, 0);
	assert_true(links_alive(fixture->links, port, &queues));
	assert_int_equal(links_owner(fixture->links, port->netns, port->ifname, &ref), LINKS_OURS);
	assert_int_equal(ref.index, port->ref.index);
	assert_int_equal(ref.incarnation, port->ref.incarnation);
	/* A port that is not the owner does not remove it either. */
	links_remove(fixture->links, &other, &none);
	assert_true(look_at(fixture, fixture->workload, port->ifname).exists);
	assert_false(links_match(fixture->links, &other, &queues));
	links_remove(fixture->links, port, &queues);
	assert_int_equal(links_owner(fixture->links, port->netns, port->ifname, &ref), LINKS_FREE);
	links_queues_close(&queues);
}

static void test_taken_name_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct proto_ref ref;

	check_taken(fixture, &fixture->tap);
	check_taken(fixture, &fixture->veth);
	assert_int_equal(links_owner(fixture->links, fixture->netns, "lo", &ref), LINKS_FOREIGN);
}

static void test_missing_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct proto_ref ref;
	struct links_queues queues = {0};

	fixture->tap.netns = "vswitch-test-no-such-namespace";
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), -ENOENT);
	fixture->tap.netns = "pid:0";
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), -ENOENT);
	fixture->tap.netns = "/proc/self/ns/mnt";
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), -EMEDIUMTYPE);
	fixture->tap.netns = "/dev/null";
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), -EMEDIUMTYPE);
	assert_int_equal(links_owner(fixture->links, "/dev/null", "eth1", &ref), LINKS_FREE);
	assert_int_equal(queues.count, 0);
}

static void test_tap_is_attached_again(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = open_port(fixture, &fixture->tap), second = {0};

	/* Held by somebody: not taken away from him. */
	assert_int_equal(links_open(fixture->links, &fixture->tap, &second), -EBUSY);
	links_queues_close(&queues);
	assert_true(look_at(fixture, fixture->workload, "eth1").exists);
	queues = open_port(fixture, &fixture->tap);
	assert_true(links_pins(fixture->links, &fixture->tap, &queues));
	check_configured(fixture, &fixture->tap);
	links_remove(fixture->links, &fixture->tap, &queues);
	assert_false(look_at(fixture, fixture->workload, "eth1").exists);
	links_queues_close(&queues);
}

static void test_veth_is_attached_again(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues queues = open_port(fixture, &fixture->veth);

	links_queues_close(&queues);
	queues = open_port(fixture, &fixture->veth);
	links_remove(fixture->links, &fixture->veth, &queues);
	links_queues_close(&queues);
}

static void test_another_instances_interface_is_foreign(void **state)
{
	struct fixture *fixture = *state;
	struct links_port theirs = fixture->tap;
	struct proto_ref ref;
	struct links_queues queues = {0};

	theirs.netns = "";
	assert_int_equal(
		namespaces_run(fixture->namespaces, fixture->workload, add_tap_here, &theirs), 0);
	assert_int_equal(links_owner(fixture->links, fixture->netns, "eth1", &ref), LINKS_FOREIGN);
	assert_int_equal(links_open(fixture->links, &fixture->tap, &queues), -EEXIST);
	links_remove(fixture->links, &fixture->tap, &none);
	assert_true(look_at(fixture, fixture->workload, "eth1").exists);
}

static void test_settings_change_in_place(void **state)
{
	struct fixture *fixture = *state;
	struct links_port changed = fixture->veth;
	struct addr_prefix other;
	struct links_queues queues = open_port(fixture, &fixture->veth);
	struct look look;

	assert_int_equal(addr_prefix_parse("10.9.9.9/8", &other), 0);
	changed.ips = &other;
	changed.mtu = 1300;
	changed.mac.bytes[5] = 99;
	assert_int_equal(addr_ip_parse("10.9.9.1", &changed.gateway), 0);
	assert_int_equal(links_configure(fixture->links, &changed, &fixture->veth), 0);
	look = look_at(fixture, fixture->workload, "eth0");
	assert_int_equal(look.mtu.ifr_mtu, 1300);
	assert_int_equal((uint8_t)look.mac.ifr_hwaddr.sa_data[5], 99);
	assert_memory_equal(look.address.ifr_addr.sa_data + 2, other.addr.bytes, 4);
	assert_int_equal(
		look_at(fixture, namespaces_private(fixture->namespaces), "vs3").mtu.ifr_mtu,
		LINKS_OUR_MTU);
	/* The same again changes nothing and is no error: addresses and routes are there already.
	 */
	assert_int_equal(links_configure(fixture->links, &changed, &changed), 0);
	/* A gateway that no address reaches is said. */
	assert_int_equal(addr_ip_parse("192.0.2.1", &changed.gateway), 0);
	assert_true(links_configure(fixture->links, &changed, NULL) < 0);
	links_queues_close(&queues);
}

static void test_descriptors_of_others_do_not_match(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues tap = open_port(fixture, &fixture->tap);
	struct links_queues veth = open_port(fixture, &fixture->veth);
	int other = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_false(links_match(fixture->links, &fixture->tap, &veth));
	assert_false(links_match(fixture->links, &fixture->veth, &tap));
	assert_false(links_match(fixture->links, &fixture->tap,
				 &(struct links_queues){1, {STDIN_FILENO}}));
	assert_true(other >= 0);
	assert_false(
		links_match(fixture->links, &fixture->veth, &(struct links_queues){1, {other}}));
	close(other);
	links_queues_close(&tap);
	links_queues_close(&veth);
}

/* What arrives on the workload's side of a namespace that dies takes our end along. */
static void test_interfaces_die_with_their_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct links_queues tap = open_port(fixture, &fixture->tap),
			    veth = open_port(fixture, &fixture->veth);
	int tries;

	close(fixture->workload);
	fixture->workload = -1;
	/* The kernel takes namespaces down in the background. */
	for (tries = 0; tries < 500; tries++) {
		if (!links_alive(fixture->links, &fixture->tap, &tap) &&
		    !links_alive(fixture->links, &fixture->veth, &veth))
			break;
		poll(NULL, 0, 20);
	}
	assert_true(tries < 500);
	assert_false(look_at(fixture, namespaces_private(fixture->namespaces), "vs3").exists);
	links_queues_close(&tap);
	links_queues_close(&veth);
}

struct keeper {
	struct proto_ref ref;
	int asked;
};

static bool keep_one(void *context, const struct proto_ref *ref, int netns, const char *ifname)
{
	struct keeper *keeper = context;

	(void)netns;
	(void)ifname;
	keeper->asked++;
	return ref->incarnation == keeper->ref.incarnation;
}

static bool keep_all_adopted(void *context, int netns, const char *ifname)
{
	(void)context;
	(void)netns;
	(void)ifname;
	return true;
}

static void test_sweep_removes_what_is_not_wanted(void **state)
{
	struct fixture *fixture = *state;
	int own = namespaces_own(fixture->namespaces);
	struct keeper keeper = {.ref = fixture->tap.ref};
	struct links_port orphan = fixture->tap;
	struct links_queues kept, left, veth;

	fixture->tap.netns = "";
	orphan.netns = "";
	orphan.ifname = "eth2";
	orphan.ref.incarnation++;
	kept = open_port(fixture, &fixture->tap);
	left = open_port(fixture, &orphan);
	veth = open_port(fixture, &fixture->veth);
	links_sweep(fixture->links, keep_one, keep_all_adopted, &keeper);
	assert_int_equal(keeper.asked, 3);
	assert_true(look_at(fixture, own, "eth1").exists);
	assert_false(look_at(fixture, own, "eth2").exists);
	assert_false(look_at(fixture, fixture->workload, "eth0").exists);
	assert_true(look_at(fixture, own, "lo").exists);
	links_remove(fixture->links, &fixture->tap, &kept);
	links_queues_close(&kept);
	links_queues_close(&left);
	links_queues_close(&veth);
}

static void test_private_namespace_is_known_again(void **state)
{
	struct fixture *fixture = *state;
	int private = namespaces_private(fixture->namespaces);

	assert_false(links_private_is_ours(fixture->links, private));
	assert_int_equal(links_mark_private(fixture->links), 0);
	assert_true(links_private_is_ours(fixture->links, private));
	assert_false(links_private_is_ours(fixture->links, fixture->workload));
	assert_int_equal(namespaces_take_private(fixture->namespaces, STDIN_FILENO), -EINVAL);
	assert_int_equal(
		namespaces_take_private(fixture->namespaces, namespaces_own(fixture->namespaces)),
		-EINVAL);
	assert_int_equal(namespaces_private(fixture->namespaces), private);
}

static int bring_up_loopback(void *context)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)context;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	return 0;
}

static void test_vtep_sockets(void **state)
{
	struct fixture *fixture = *state;
	uint64_t cookie =
		namespaces_cookie(fixture->namespaces, namespaces_own(fixture->namespaces));
	struct vtep_sockets sockets = {0}, second = {0};
	struct proto_addr local, other;

	bring_up_loopback(NULL);
	assert_int_equal(addr_ip_parse("127.0.0.1", &local), 0);
	assert_int_equal(addr_ip_parse("192.0.2.7", &other), 0);
	assert_int_equal(vtep_sockets_open(&sockets, &other, 4789, 1), -EADDRNOTAVAIL);
	assert_int_equal(sockets.count, 0);
	assert_int_equal(vtep_sockets_open(&sockets, &local, 4789, 1), 0);
	assert_int_equal(sockets.count, 1 + VTEP_SOCKETS_SENDERS);
	assert_int_equal(vtep_sockets_open(&second, &local, 4789, 1), -EADDRINUSE);
	assert_int_equal(second.count, 0);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &local, 4789, cookie), 1);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &local, 4790, cookie), 0);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &other, 4789, cookie), 0);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count, &local, 4789, cookie + 1),
			 0);
	assert_int_equal(vtep_sockets_match(sockets.fds, sockets.count - 1, &local, 4789, cookie),
			 0);
	assert_int_equal(
		vtep_sockets_match(sockets.fds + 1, sockets.count - 1, &local, 4789, cookie), 0);
	vtep_sockets_close(&sockets);
	assert_int_equal(addr_ip_parse("::1", &local), 0);
	assert_int_equal(vtep_sockets_open(&sockets, &local, 4789, 1), -EAFNOSUPPORT);
}

static void test_memories_are_sealed_and_known_again(void **state)
{
	struct memory made = {.fd = -1}, taken = {.fd = -1};
	int plain = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(memory_make(&made, PROTO_MEMORY_STATS), 0);
	assert_int_equal(ftruncate(made.fd, 4096), -1);
	assert_int_equal(fcntl(made.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	/* What is too small, not sealed, or no memfd is none. */
	assert_int_equal(ftruncate(plain, (off_t)made.size), 0);
	assert_int_equal(memory_take(&taken, PROTO_MEMORY_STATS, plain), -EINVAL);
	assert_int_equal(memory_take(&taken, PROTO_MEMORY_STATS, STDIN_FILENO), -EINVAL);
	assert_int_equal(memory_take(&taken, PROTO_MEMORY_FDB, made.fd), -EINVAL);
	assert_int_equal(taken.fd, -1);
	assert_int_equal(
		memory_take(&taken, PROTO_MEMORY_STATS, fcntl(made.fd, F_DUPFD_CLOEXEC, 3)), 0);
	assert_memory_equal(taken.map, made.map, sizeof(uint64_t));
	memory_fini(&taken);
	assert_int_equal(taken.fd, -1);
	memory_fini(&made);
	close(plain);
}

#define LINKS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINKS_TEST(test_tap_is_made_and_removed),
		LINKS_TEST(test_veth_is_made_and_removed),
		LINKS_TEST(test_tap_in_the_daemons_own_namespace),
		LINKS_TEST(test_taken_name_is_refused),
		LINKS_TEST(test_missing_namespace),
		LINKS_TEST(test_tap_is_attached_again),
		LINKS_TEST(test_veth_is_attached_again),
		LINKS_TEST(test_another_instances_interface_is_foreign),
		LINKS_TEST(test_settings_change_in_place),
		LINKS_TEST(test_descriptors_of_others_do_not_match),
		LINKS_TEST(test_interfaces_die_with_their_namespace),
		LINKS_TEST(test_sweep_removes_what_is_not_wanted),
		LINKS_TEST(test_private_namespace_is_known_again),
		LINKS_TEST(test_vtep_sockets),
		cmocka_unit_test(test_memories_are_sealed_and_known_again),
	};

	if (geteuid() != 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
