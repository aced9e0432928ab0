/* SPDX-License-Identifier: Apache-2.0 */
#include "control/keep_out.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/classifier.h>
#include <netlink/route/qdisc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/namespaces.h"
#include "control/netlink.h"

#define FILTER_HANDLE	0x7673u
#define FILTER_PRIORITY 1u

/* A program's name: "vs", the instance's low 48 bits, and one digit of RECORD_ flags. */
#define INSTANCE_MASK ((uint64_t)0xffffffffffff)
#define NAME_FORMAT   "vs%012" PRIx64 "%1x"
#define NAME_LENGTH   15

#define RECORD_QDISC_OURS   0x1u /* clsact was not there */
#define RECORD_IPV6_WAS_OFF 0x2u
#define RECORD_WAS_DOWN	    0x4u

#define INSN(operation, destination, source, offset, immediate)                                    \
	{                                                                                          \
		.code = (operation), .dst_reg = (destination), .src_reg = (source),                \
		.off = (offset), .imm = (immediate)                                                \
	}

static const struct bpf_insn ingress_program[] = {
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_SHOT),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

#define MARK_OFFSET ((short)offsetof(struct __sk_buff, mark))
static const struct bpf_insn egress_program[] = {
	INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, MARK_OFFSET, 0),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_SHOT),
	INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 3, (int)KEEP_OUT_MARK),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0),
	INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_2, MARK_OFFSET, 0),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_UNSPEC),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

struct call {
	const struct keep_out_place *place;
	bool was_down;
	enum keep_out_owner owner;
	unsigned int record;
};

static int look_here(void *context);
static int begin_here(void *context);
static int end_here(void *context);
static int make_record(struct call *call);
static int attach(const struct call *call, enum bpf_tc_attach_point side);
static void detach(const struct call *call, enum bpf_tc_attach_point side);
static void undo(const struct call *call);
static enum keep_out_owner read_record(const struct call *call, enum bpf_tc_attach_point side,
				       unsigned int *record);
static int read_name(uint32_t program_id, char name[BPF_OBJ_NAME_LEN]);
static void remove_qdisc(const struct call *call);
static bool has_filters(const struct call *call, uint32_t side);
static int read_ipv6_off(uint32_t ifindex);
static int write_ipv6_off(uint32_t ifindex, bool off);
static int open_ipv6_setting(uint32_t ifindex, int flags);
static void bring_down(uint32_t ifindex);

enum keep_out_owner keep_out_owner(const struct keep_out_place *place)
{
	struct call call = {.place = place};

	if (namespaces_run(place->namespaces, place->netns, look_here, &call) < 0)
		return KEEP_OUT_NOBODY;
	return call.owner;
}

int keep_out_begin(const struct keep_out_place *place, bool was_down)
{
	struct call call = {.place = place, .was_down = was_down};
	int result = namespaces_run(place->namespaces, place->netns, begin_here, &call);

	if (result < 0 && (call.record & RECORD_QDISC_OURS) != 0)
		remove_qdisc(&call);
	return result;
}

void keep_out_end(const struct keep_out_place *place)
{
	struct call call = {.place = place};

	/* A namespace or an interface that is gone has nothing to put back. */
	if (namespaces_run(place->namespaces, place->netns, end_here, &call) == 0 &&
	    (call.record & RECORD_QDISC_OURS) != 0)
		remove_qdisc(&call);
}

/* Should somebody have flushed one side, the other still knows. */
static int look_here(void *context)
{
	struct call *call = context;

	call->owner = read_record(call, BPF_TC_INGRESS, &call->record);
	if (call->owner == KEEP_OUT_NOBODY)
		call->owner = read_record(call, BPF_TC_EGRESS, &call->record);
	return 0;
}

/* The record comes before what it is about: who dies in between leaves nothing that is forgotten.
 */
static int begin_here(void *context)
{
	struct call *call = context;
	bool fresh;
	int error;

	look_here(call);
	if (call->owner == KEEP_OUT_ANOTHER)
		return -EBUSY;
	fresh = call->owner == KEEP_OUT_NOBODY;
	error = fresh ? make_record(call) : 0;
	if (error == 0)
		error = attach(call, BPF_TC_INGRESS);
	if (error == 0)
		error = attach(call, BPF_TC_EGRESS);
	if (error == 0)
		error = write_ipv6_off(call->place->ifindex, true);
	if (error == 0)
		return fresh;
	if (fresh)
		undo(call);
	return error;
}

/* Ingress last: while its program is there, a death in between is made good by another call. */
static int end_here(void *context)
{
	struct call *call = context;

	look_here(call);
	if (call->owner != KEEP_OUT_OURS)
		return -ENOENT;
	if ((call->record & RECORD_WAS_DOWN) != 0)
		bring_down(call->place->ifindex);
	undo(call);
	return 0;
}

/* What there is now, and the qdisc that the programs hang on. */
static int make_record(struct call *call)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)call->place->ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	unsigned int made = call->was_down ? RECORD_WAS_DOWN : 0;
	int error = bpf_tc_hook_create(&hook);

	if (error < 0 && error != -EEXIST)
		return error;
	if (error == 0)
		made |= RECORD_QDISC_OURS;
	if (read_ipv6_off(call->place->ifindex) == 1)
		made |= RECORD_IPV6_WAS_OFF;
	call->record = made;
	return 0;
}

/* What hangs there already under our handle is replaced by the same. */
static int attach(const struct call *call, enum bpf_tc_attach_point side)
{
	const struct bpf_insn *program = side == BPF_TC_INGRESS ? ingress_program : egress_program;
	size_t count = side == BPF_TC_INGRESS ? sizeof(ingress_program) : sizeof(egress_program);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)call->place->ifindex, .attach_point = side);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	char name[BPF_OBJ_NAME_LEN];
	unsigned int present;
	int error;

	if (read_record(call, side, &present) == KEEP_OUT_OURS)
		return 0;
	snprintf(name, sizeof(name), NAME_FORMAT, call->place->instance & INSTANCE_MASK,
		 call->record);
	options.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "Apache-2.0", program,
					count / sizeof(*program), NULL);
	if (options.prog_fd < 0)
		return options.prog_fd;
	error = bpf_tc_attach(&hook, &options);
	close(options.prog_fd);
	return error;
}

static void detach(const struct call *call, enum bpf_tc_attach_point side)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)call->place->ifindex, .attach_point = side);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	unsigned int record;

	if (read_record(call, side, &record) == KEEP_OUT_OURS)
		(void)bpf_tc_detach(&hook, &options);
}

static void undo(const struct call *call)
{
	if ((call->record & RECORD_IPV6_WAS_OFF) == 0)
		(void)write_ipv6_off(call->place->ifindex, false);
	detach(call, BPF_TC_EGRESS);
	detach(call, BPF_TC_INGRESS);
}

static enum keep_out_owner read_record(const struct call *call, enum bpf_tc_attach_point side,
				       unsigned int *record)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)call->place->ifindex, .attach_point = side);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	char name[BPF_OBJ_NAME_LEN], expected[BPF_OBJ_NAME_LEN];
	unsigned int flags;
	uint64_t number;

	if (bpf_tc_query(&hook, &options) < 0 || read_name(options.prog_id, name) < 0 ||
	    strlen(name) != NAME_LENGTH)
		return KEEP_OUT_NOBODY;
	/* Whatever was read, it is a record if it is what we write. */
	number = strtoull(name + 2, NULL, 16);
	flags = (unsigned int)(number & 0xf);
	snprintf(expected, sizeof(expected), NAME_FORMAT, number >> 4 & INSTANCE_MASK, flags);
	if (strcmp(name, expected) != 0)
		return KEEP_OUT_NOBODY;
	if (number >> 4 != (call->place->instance & INSTANCE_MASK))
		return KEEP_OUT_ANOTHER;
	*record = flags;
	return KEEP_OUT_OURS;
}

static int read_name(uint32_t program_id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(program_id);
	int error;

	if (fd < 0)
		return fd;
	error = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (error < 0)
		return error;
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN - 1] = '\0';
	return 0;
}

/* Unless somebody else came to use it meanwhile. */
static void remove_qdisc(const struct call *call)
{
	const struct keep_out_place *place = call->place;
	struct nl_sock *socket;
	struct rtnl_qdisc *qdisc;

	if (has_filters(call, TC_H_MIN_INGRESS) || has_filters(call, TC_H_MIN_EGRESS) ||
	    netlink_open(place->namespaces, place->netns, &socket) < 0)
		return;
	qdisc = rtnl_qdisc_alloc();
	if (qdisc != NULL) {
		rtnl_tc_set_ifindex(TC_CAST(qdisc), (int)place->ifindex);
		rtnl_tc_set_parent(TC_CAST(qdisc), TC_H_CLSACT);
		(void)rtnl_qdisc_delete(socket, qdisc);
		rtnl_qdisc_put(qdisc);
	}
	nl_socket_free(socket);
}

static bool has_filters(const struct call *call, uint32_t side)
{
	const struct keep_out_place *place = call->place;
	struct nl_sock *socket;
	struct nl_cache *cache;
	bool has = true;

	if (netlink_open(place->namespaces, place->netns, &socket) < 0)
		return true;
	if (rtnl_cls_alloc_cache(socket, (int)place->ifindex, TC_H_MAKE(TC_H_CLSACT, side),
				 &cache) == 0) {
		has = !nl_cache_is_empty(cache);
		nl_cache_free(cache);
	}
	nl_socket_free(socket);
	return has;
}

/* Returns 0 or 1, or a negative errno; a kernel without IPv6 has no such setting. */
static int read_ipv6_off(uint32_t ifindex)
{
	char digit;
	int fd = open_ipv6_setting(ifindex, O_RDONLY);
	int value = -EIO;

	if (fd < 0)
		return fd;
	if (read(fd, &digit, 1) == 1)
		value = digit == '0' ? 0 : 1;
	close(fd);
	return value;
}

static int write_ipv6_off(uint32_t ifindex, bool off)
{
	int fd = open_ipv6_setting(ifindex, O_WRONLY);
	int error = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (write(fd, off ? "1" : "0", 1) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* /proc/sys/net is that of the calling thread's namespace. */
static int open_ipv6_setting(uint32_t ifindex, int flags)
{
	char ifname[IF_NAMESIZE], path[80];
	int fd;

	if (if_indextoname(ifindex, ifname) == NULL)
		return -errno;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void bring_down(uint32_t ifindex)
{
	struct ifreq request = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (if_indextoname(ifindex, request.ifr_name) != NULL &&
	    ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
		(void)ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}
