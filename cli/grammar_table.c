/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/grammar.h"

const struct grammar_option grammar_globals[] = {
	{"run-dir", "DIR", VALUE_DIRECTORY, false, NULL,
	 "the switch's run directory; else $VSWITCH_RUN_DIR, else /run/vswitch"},
	{"json", NULL, VALUE_FLAG, false, NULL, "print what the API answered"},
	{"wait", "SECONDS", VALUE_SECONDS, false, NULL,
	 "how long a change may take to be in effect before exit code 4 (default 2)"},
	{"help", NULL, VALUE_FLAG, false, NULL, "print help on the command"},
	{.name = NULL},
};

static const struct grammar_option apply_options[] = {
	{"prune", NULL, VALUE_FLAG, false, NULL, "also remove what FILE does not name"},
	{"tenant", "NAME", VALUE_NAME, false, NULL, "keep --prune within this tenant"},
	{"dry-run", NULL, VALUE_FLAG, false, NULL, "show the changes and make none"},
	{.name = NULL},
};

static const struct grammar_option host_options[] = {
	{"send-capacity", "RATE|none", VALUE_RATE, false, "send-capacity",
	 "what tenants divide when they send: what the host's underlay takes"},
	{"receive-capacity", "RATE|none", VALUE_RATE, false, "receive-capacity",
	 "what tenants divide when they receive: what the host's underlay brings"},
	{.name = NULL},
};

static const struct grammar_option vtep_options[] = {
	{"local", "IP", VALUE_IP, false, "local", "the underlay address of this host"},
	{"udp-port", "N", VALUE_NUMBER, false, "udp-port", "the UDP port (default 4789)"},
	{.name = NULL},
};

static const struct grammar_option tenant_options[] = {
	{"send", "RATE|none", VALUE_RATE, false, "send",
	 "ceiling of what its workload ports put into the switch"},
	{"send-min", "RATE|none", VALUE_RATE, false, "send-min",
	 "what it is guaranteed of the host's send-capacity"},
	{"send-burst", "SIZE|none", VALUE_SIZE, false, "send-burst",
	 "octets that it may send at once after a rest (default: what 4 ms take)"},
	{"receive", "RATE|none", VALUE_RATE, false, "receive",
	 "ceiling of what the switch puts out to them"},
	{"receive-min", "RATE|none", VALUE_RATE, false, "receive-min",
	 "what it is guaranteed of the host's receive-capacity"},
	{"receive-burst", "SIZE|none", VALUE_SIZE, false, "receive-burst",
	 "octets that it may get at once after a rest (default: what 4 ms take)"},
	{"weight", "N", VALUE_NUMBER, false, "weight",
	 "its share of what guarantees leave of a capacity, 1 to 10000 (default 1)"},
	{"overhead", "N", VALUE_INTEGER, false, "overhead",
	 "octets that each frame counts more than it has, or less with -N (default 0)"},
	{.name = NULL},
};

static const struct grammar_option segment_options[] = {
	{"vlan", "VID", VALUE_NUMBER, false, "vlan", "the tag on uplinks, 1 to 4094"},
	{"vni", "VNI", VALUE_NUMBER, false, "vni", "the VXLAN network, 1 to 16777215"},
	{"peer", "IP", VALUE_IP, true, "peers", "a host that has the segment too"},
	{"mtu", "N", VALUE_NUMBER, false, "mtu", "octets; default: what the underlay leaves"},
	{"ageing", "SECONDS", VALUE_NUMBER, false, "ageing",
	 "how long a learned address lives (default 300)"},
	{"vlan-transparent", "yes|no", VALUE_YES_NO, false, "vlan-transparent",
	 "carry frames that have a VLAN tag of their own (default no)"},
	{.name = NULL},
};

static const struct grammar_option port_options[] = {
	{"type", "tap|veth|netdev|vhost-user|dpdk|pcap|memory", VALUE_PORT_TYPE, false, "type",
	 "what the port is: an interface that the switch makes, one that exists (netdev), a "
	 "virtual machine (vhost-user), a device of DPDK, or capture files (pcap); memory is for "
	 "tests"},
	{"segment", "S", VALUE_PLACE, false, "segment", "the segment that it is in, untagged"},
	{"trunk", "S=VID,...", VALUE_TRUNK, true, "trunk",
	 "segments that it carries tagged, or none; TENANT/NAME=VID on an uplink"},
	{"native", "S", VALUE_PLACE, false, "native", "the segment of untagged frames on a trunk"},
	{"ifname", "IF", VALUE_IFNAME, false, "ifname", "the name of the interface"},
	{"netns", "NAME|PATH|pid:N", VALUE_NETNS, false, "netns",
	 "the namespace that the interface moves into or is in (default: the host's)"},
	{"match-mac", "MAC", VALUE_MAC, false, "match-mac",
	 "netdev: the address that the interface must have"},
	{"shared", NULL, VALUE_FLAG, false, "shared",
	 "netdev, uplinks: leave the interface to the host as well"},
	{"mac", "MAC", VALUE_MAC, false, "mac",
	 "the interface's address (default: made once; none keeps the present one)"},
	{"ip", "CIDR", VALUE_PREFIX, true, "ip", "an address of the interface"},
	{"gateway", "IP", VALUE_IP, false, "gateway", "its default route"},
	{"send", "RATE|none", VALUE_RATE, false, "send",
	 "ceiling of what the port puts into the switch"},
	{"receive", "RATE|none", VALUE_RATE, false, "receive",
	 "ceiling of what the switch puts out to it"},
	{"socket", "PATH", VALUE_SOCKET, false, "socket",
	 "vhost-user: the Unix socket that joins it with its virtual machine"},
	{"client", NULL, VALUE_FLAG_OFF, false, "server",
	 "vhost-user: the hypervisor listens on the socket (the default), so that its machine "
	 "outlives restarts of the switch"},
	{"server", NULL, VALUE_FLAG, false, "server",
	 "vhost-user: the switch listens on the socket, for root and group kvm"},
	{"dev", "DEVICE", VALUE_DEVICE, false, "dev",
	 "dpdk: a PCI address or the name of a virtual device, with arguments behind commas"},
	{"read", "FILE", VALUE_FILE, false, "read",
	 "pcap: a file whose frames it receives, below pcap in the state directory"},
	{"replay", "own|max|RATE", VALUE_REPLAY, false, "replay",
	 "pcap: when: by the file's time stamps (own), as fast as possible, or at a rate"},
	{"write", "FILE", VALUE_FILE, false, "write",
	 "pcap: a file that gets what leaves by it; what is there is replaced"},
	{"write-limit", "MIB", VALUE_NUMBER, false, "write-limit",
	 "pcap: the most MiB that are written (default 1024)"},
	{"require", NULL, VALUE_FLAG, false, NULL,
	 "refuse what would be waiting for an interface, a namespace or a datapath"},
	{.name = NULL},
};

static const struct grammar_option del_options[] = {
	{"recursive", NULL, VALUE_FLAG, false, NULL, "delete also what it holds"},
	{"if-exists", NULL, VALUE_FLAG, false, NULL, "succeed where there is none"},
	{.name = NULL},
};

static const struct grammar_option del_plain_options[] = {
	{"if-exists", NULL, VALUE_FLAG, false, NULL, "succeed where there is none"},
	{.name = NULL},
};

#define FDB_SEGMENT                                                                                \
	{                                                                                          \
		"segment", "T/S", VALUE_SEGMENT, false, NULL, "the segment of the address"         \
	}
#define FDB_PORT                                                                                   \
	{                                                                                          \
		"port", "PORT", VALUE_PORT, false, NULL, "the port behind which it is"             \
	}
#define FDB_VTEP                                                                                   \
	{                                                                                          \
		"vtep", "IP", VALUE_IP, false, NULL, "the peer behind which it is"                 \
	}

static const struct grammar_option fdb_options[] = {
	FDB_SEGMENT,
	FDB_PORT,
	FDB_VTEP,
	{.name = NULL},
};

static const struct grammar_option fdb_del_options[] = {
	FDB_SEGMENT,
	{"if-exists", NULL, VALUE_FLAG, false, NULL, "succeed where there is none"},
	{.name = NULL},
};

static const struct grammar_option fdb_flush_options[] = {
	FDB_SEGMENT,	FDB_PORT,
	FDB_VTEP,	{"all", NULL, VALUE_FLAG, false, NULL, "everything that was learned"},
	{.name = NULL},
};

static const struct grammar_option watch_options[] = {
	{"watch", NULL, VALUE_FLAG, false, NULL,
	 "refresh every second, with rates, until interrupted"},
	{.name = NULL},
};

static const struct grammar_option help_options[] = {
	{"man", NULL, VALUE_FLAG, false, NULL, "print the manual page"},
	{"bash-completion", NULL, VALUE_FLAG, false, NULL, "print the completion script for bash"},
	{.name = NULL},
};

#define TENANT                                                                                     \
	{                                                                                          \
		"NAME", "tenant", VALUE_NAME, false                                                \
	}
#define SEGMENT                                                                                    \
	{                                                                                          \
		"TENANT/NAME", "segment", VALUE_SEGMENT, false                                     \
	}
#define PORT                                                                                       \
	{                                                                                          \
		"TENANT/NAME|UPLINK", "port", VALUE_PORT, false                                    \
	}
#define MAC                                                                                        \
	{                                                                                          \
		"MAC", "address", VALUE_MAC, false                                                 \
	}
#define WORD                                                                                       \
	{                                                                                          \
		"COMMAND", "word", VALUE_TEXT, true                                                \
	}

const struct grammar_command grammar_commands[] = {
	{"apply",
	 OBJECT_NONE,
	 {{"FILE|-", "file", VALUE_TEXT, false}},
	 apply_options,
	 NULL,
	 cmd_apply,
	 "Add and change what a topology file says, all of it or nothing."},
	{"export",
	 OBJECT_NONE,
	 {{0}},
	 NULL,
	 NULL,
	 cmd_export,
	 "Print the whole configuration as a file for apply."},
	{"status",
	 OBJECT_NONE,
	 {{0}},
	 NULL,
	 NULL,
	 cmd_status,
	 "Show the daemons, what there is, what waits and what is wrong."},

	{"host set",
	 OBJECT_HOST,
	 {{0}},
	 host_options,
	 NULL,
	 cmd_set,
	 "Change what holds for the whole host."},
	{"host show", OBJECT_HOST, {{0}}, NULL, NULL, cmd_show, "Show the host's settings."},
	{"vtep set",
	 OBJECT_VTEP,
	 {{0}},
	 vtep_options,
	 NULL,
	 cmd_set,
	 "Make or change this host's end of the VXLAN overlay."},
	{"vtep show",
	 OBJECT_VTEP,
	 {{0}},
	 NULL,
	 NULL,
	 cmd_show,
	 "Show this host's end of the VXLAN overlay."},
	{"vtep del",
	 OBJECT_VTEP,
	 {{0}},
	 del_plain_options,
	 NULL,
	 cmd_del,
	 "Remove this host's end of the VXLAN overlay."},

	{"tenant add",
	 OBJECT_TENANT,
	 {TENANT},
	 tenant_options,
	 NULL,
	 cmd_add,
	 "Add a tenant, who owns segments and ports and has bandwidth."},
	{"tenant set",
	 OBJECT_TENANT,
	 {TENANT},
	 tenant_options,
	 NULL,
	 cmd_set,
	 "Change a tenant under traffic."},
	{"tenant list", OBJECT_TENANT, {{0}}, NULL, NULL, cmd_list, "List all tenants."},
	{"tenant show", OBJECT_TENANT, {TENANT}, NULL, NULL, cmd_show, "Show one tenant."},
	{"tenant del", OBJECT_TENANT, {TENANT}, del_options, NULL, cmd_del, "Delete a tenant."},

	{"segment add",
	 OBJECT_SEGMENT,
	 {SEGMENT},
	 segment_options,
	 NULL,
	 cmd_add,
	 "Add a segment: one broadcast domain of a tenant."},
	{"segment set",
	 OBJECT_SEGMENT,
	 {SEGMENT},
	 segment_options,
	 NULL,
	 cmd_set,
	 "Change a segment under traffic."},
	{"segment list", OBJECT_SEGMENT, {{0}}, NULL, NULL, cmd_list, "List all segments."},
	{"segment show", OBJECT_SEGMENT, {SEGMENT}, NULL, NULL, cmd_show, "Show one segment."},
	{"segment del", OBJECT_SEGMENT, {SEGMENT}, del_options, NULL, cmd_del, "Delete a segment."},
	{"segment peer add",
	 OBJECT_SEGMENT,
	 {SEGMENT, {"IP", "peer", VALUE_IP, false}},
	 NULL,
	 NULL,
	 cmd_peer_add,
	 "Add a host that has the segment too."},
	{"segment peer del",
	 OBJECT_SEGMENT,
	 {SEGMENT, {"IP", "peer", VALUE_IP, false}},
	 del_plain_options,
	 NULL,
	 cmd_peer_del,
	 "Take a host off the segment."},

	{"port add",
	 OBJECT_PORT,
	 {PORT},
	 port_options,
	 "type",
	 cmd_port_add,
	 "Add a tenant's workload port, or an uplink of the host."},
	{"port set",
	 OBJECT_PORT,
	 {PORT},
	 port_options,
	 NULL,
	 cmd_port_set,
	 "Change a port under traffic."},
	{"port list", OBJECT_PORT, {{0}}, NULL, NULL, cmd_list, "List all ports and uplinks."},
	{"port show", OBJECT_PORT, {PORT}, NULL, NULL, cmd_show, "Show one port."},
	{"port del",
	 OBJECT_PORT,
	 {PORT},
	 del_options,
	 NULL,
	 cmd_del,
	 "Delete a port and the interface that was made for it."},
	{"port up", OBJECT_PORT, {PORT}, NULL, NULL, cmd_port_up, "Let a port carry traffic."},
	{"port down",
	 OBJECT_PORT,
	 {PORT},
	 NULL,
	 NULL,
	 cmd_port_down,
	 "Stop a port's traffic and keep the port."},

	{"fdb list",
	 OBJECT_NONE,
	 {{"MAC", "address", VALUE_MAC, true}},
	 fdb_options,
	 NULL,
	 cmd_fdb_list,
	 "List where addresses are: learned and static ones."},
	{"fdb add",
	 OBJECT_NONE,
	 {MAC},
	 fdb_options,
	 "segment",
	 cmd_fdb_add,
	 "Say where an address is, so that traffic cannot move it."},
	{"fdb del",
	 OBJECT_NONE,
	 {MAC},
	 fdb_del_options,
	 "segment",
	 cmd_fdb_del,
	 "Forget one address, learned or static."},
	{"fdb flush",
	 OBJECT_NONE,
	 {{0}},
	 fdb_flush_options,
	 NULL,
	 cmd_fdb_flush,
	 "Forget what was learned of a segment, a port or a peer, or all of it."},

	{"stats",
	 OBJECT_NONE,
	 {{"tenant|segment|port", "kind", VALUE_KIND, true}, {"NAME", "object", VALUE_PORT, true}},
	 watch_options,
	 NULL,
	 cmd_stats,
	 "Show counters: of ports from the switch's side, of tenants from the workload's."},
	{"drops",
	 OBJECT_NONE,
	 {{0}},
	 watch_options,
	 NULL,
	 cmd_drops,
	 "Show what was dropped, where, and why."},
	{"help",
	 OBJECT_NONE,
	 {WORD, WORD, WORD},
	 help_options,
	 NULL,
	 cmd_help,
	 "Print help on all commands or on one."},
	{"version", OBJECT_NONE, {{0}}, NULL, NULL, cmd_version, "Print the version."},
	{.words = NULL},
};
