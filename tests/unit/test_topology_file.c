/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/topology_file.h"
#include "cli/topology_lines.h"

static json_t *read_text(const char *text, struct topology_lines **lines, char *error)
{
	return topology_read("t.yaml", text, strlen(text), lines, error);
}

static void expect_json(const char *text, const char *expected_text)
{
	char error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;
	json_t *json = read_text(text, &lines, error);
	json_t *expected = json_loads(expected_text, 0, NULL);

	if (json == NULL)
		fail_msg("refused: %s\n%s", error, text);
	assert_non_null(expected);
	if (!json_equal(json, expected))
		fail_msg("%s\nis read as %s", text, json_dumps(json, 0));
	topology_lines_free(lines);
	json_decref(json);
	json_decref(expected);
}

static void expect_error_bytes(const char *text, size_t size, const char *sentence)
{
	char error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;
	json_t *json = topology_read("t.yaml", text, size, &lines, error);

	if (json != NULL)
		fail_msg("taken, but should be refused:\n%s", text);
	assert_null(lines);
	assert_string_equal(error, sentence);
}

static void expect_error(const char *text, const char *sentence)
{
	expect_error_bytes(text, strlen(text), sentence);
}

/* For what libyaml words: only the place. */
static void expect_error_at(const char *text, const char *place)
{
	char error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;

	assert_null(read_text(text, &lines, error));
	if (strncmp(error, place, strlen(place)) != 0)
		fail_msg("'%s' does not open with '%s'", error, place);
	assert_null(strchr(error, '\n'));
}

static const char contract_file[] =
	"version: 1\n"
	"host: { send-capacity: 10gbit, receive-capacity: 10gbit }\n"
	"vtep: { local: 172.31.0.1 }\n"
	"tenants:\n"
	"  acme:\n"
	"    send: 1gbit\n"
	"    segments:\n"
	"      web:\n"
	"        vni: 5001\n"
	"        peers: [172.31.0.2]\n"
	"        ports:\n"
	"          web1: { type: tap, netns: web1, ifname: eth0, ip: 10.0.0.1/24 }\n"
	"uplinks:\n"
	"  uplink0: { type: veth, ifname: eth1, trunk: [acme/web=100] }\n";

static void test_contract_file(void **state)
{
	(void)state;
	expect_json(contract_file,
		    "{\"version\":1,"
		    "\"host\":{\"send-capacity\":\"10gbit\",\"receive-capacity\":\"10gbit\"},"
		    "\"vtep\":{\"local\":\"172.31.0.1\"},"
		    "\"tenants\":{\"acme\":{\"send\":\"1gbit\",\"segments\":{\"web\":{\"vni\":5001,"
		    "\"peers\":[\"172.31.0.2\"],\"ports\":{\"web1\":{\"type\":\"tap\","
		    "\"netns\":\"web1\",\"ifname\":\"eth0\",\"ip\":[\"10.0.0.1/24\"]}}}}}},"
		    "\"uplinks\":{\"uplink0\":{\"type\":\"veth\",\"ifname\":\"eth1\","
		    "\"trunk\":[\"acme/web=100\"]}}}");
}

/* What YAML 1.1 takes for a boolean, a number in base 60, an octal or null is text here. */
static void test_schema_types_scalars(void **state)
{
	(void)state;
	expect_json("version: 1\n"
		    "tenants:\n"
		    "  no:\n"
		    "    segments:\n"
		    "      'on': {vlan-transparent: yes}\n"
		    "      off: {vlan-transparent: \"false\"}\n"
		    "      1e3:\n"
		    "        ports:\n"
		    "          null: {mac: 11:22:33:44:55:56, netns: 1.0, type: 'tap'}\n",
		    "{\"version\":1,\"tenants\":{\"no\":{\"segments\":{"
		    "\"on\":{\"vlan-transparent\":true},\"off\":{\"vlan-transparent\":false},"
		    "\"1e3\":{\"ports\":{\"null\":{\"mac\":\"11:22:33:44:55:56\","
		    "\"netns\":\"1.0\",\"type\":\"tap\"}}}}}}}");
	expect_json("version: \"1\"\n", "{\"version\":1}");
}

static void test_bandwidth(void **state)
{
	(void)state;
	expect_json("version: 1\n"
		    "tenants:\n"
		    "  a: {send-min: 10mbit, send-burst: 64kb, receive-min: 0.5gbit,\n"
		    "      receive-burst: 1500, weight: 3, overhead: -14}\n",
		    "{\"version\":1,\"tenants\":{\"a\":{\"send-min\":\"10mbit\","
		    "\"send-burst\":\"64kb\",\"receive-min\":\"0.5gbit\","
		    "\"receive-burst\":\"1500\",\"weight\":3,\"overhead\":-14}}}");
	expect_error("version: 1\ntenants:\n  a:\n    weight: heavy\n",
		     "t.yaml:4: weight 'heavy' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("version: 1\ntenants:\n  a:\n    weight: -1\n",
		     "t.yaml:4: weight '-1' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("version: 1\ntenants:\n  a:\n    send-burst: 0\n",
		     "t.yaml:4: send-burst '0' is not a size: write 1b to 4294967295b as tc does, "
		     "as in 1500b, 64kb or 1mb, or none");
	expect_error("version: 1\ntenants:\n  a:\n    send-min: 7bit\n",
		     "t.yaml:4: send-min '7bit' is not a rate: write 8bit to 1tbit as tc does, as "
		     "in 10mbit or 1.5gbit, or none");
	expect_error("version: 1\ntenants:\n  a:\n    overhead: 1.5\n",
		     "t.yaml:4: overhead '1.5' is not a whole number: write decimal digits, with - "
		     "before them if it is negative");
}

static void test_empty_maps(void **state)
{
	(void)state;
	expect_json("version: 1\ntenants:\n  a:\n  b: {}\nuplinks:\n",
		    "{\"version\":1,\"tenants\":{\"a\":{},\"b\":{}},\"uplinks\":{}}");
	expect_json("---\nversion: 1\n...\n", "{\"version\":1}");
	expect_json("{version: 1, tenants: {a: {segments: {s: {peers: []}}}}}",
		    "{\"version\":1,\"tenants\":{\"a\":{\"segments\":{\"s\":{\"peers\":[]}}}}}");
	expect_json("\xef\xbb\xbfversion: 1\r\n", "{\"version\":1}");
}

static void test_keys_are_strict(void **state)
{
	(void)state;
	expect_error(
		"version: 1\ntenants:\n  a:\n    sned: 1mbit\n",
		"t.yaml:4: there is no key 'sned' in a: use one of send, send-min, send-burst, "
		"receive, receive-min, receive-burst, weight, overhead, segments, "
		"ports");
	expect_error("version: 1\nhosts: {}\n",
		     "t.yaml:2: there is no key 'hosts' in the file: use one of version, host, "
		     "vtep, tenants, uplinks");
	expect_error("version: 1\ntenants:\n  a: {}\n  b: {}\n  a: {}\n",
		     "t.yaml:5: a is given twice: keep one of the two");
	expect_error("version: 1\nversion: 1\n",
		     "t.yaml:2: version is given twice: keep one of the two");
	expect_error("version: 1\ntenants:\n  a:\n    'send': 1mbit\n    send: 1mbit\n",
		     "t.yaml:5: send is given twice: keep one of the two");
	expect_error("version: 1\ntenants:\n  a b: {}\n",
		     "t.yaml:3: tenants 'a b' is not a valid name: use up to 63 letters, digits, "
		     "'_', '.' and '-', the first a letter or a digit");
	expect_error("version: 1\ntenants:\n  ? [a]\n  : {}\n",
		     "t.yaml:3: a key in tenants is not a plain word");
	expect_error("version: 1\ntenants:\n  \"a\\0b\": {}\n",
		     "t.yaml:3: a key in tenants is not a word of up to 63 characters");
	expect_error("version: 1\n<<: {version: 1}\n",
		     "t.yaml:2: there is no key '<<' in the file: use one of version, host, vtep, "
		     "tenants, uplinks");
}

static void test_anchors_aliases_tags(void **state)
{
	(void)state;
	expect_error("version: 1\ntenants:\n  a: &x {}\n  b: *x\n",
		     "t.yaml:3: anchors are not taken: leave &x out");
	expect_error("version: 1\ntenants: *x\n",
		     "t.yaml:2: aliases are not taken: write the value here as well");
	expect_error("version: 1\n*x : {}\n",
		     "t.yaml:2: aliases are not taken: write the value here as well");
	expect_error("version: &v 1\n", "t.yaml:1: anchors are not taken: leave &v out");
	expect_error("&k version: 1\n", "t.yaml:1: anchors are not taken: leave &k out");
	expect_error("version: !!int 1\n",
		     "t.yaml:1: tags are not taken: leave tag:yaml.org,2002:int out");
	expect_error("version: 1\nuplinks:\n  u:\n    trunk: !x [a/b]\n",
		     "t.yaml:4: tags are not taken: leave !x out");
	expect_error("--- !x\nversion: 1\n", "t.yaml:1: tags are not taken: leave !x out");
}

static void test_kinds(void **state)
{
	(void)state;
	expect_error("version: [1]\n", "t.yaml:1: version is one value: do not write a list here");
	expect_error("version: {a: 1}\n",
		     "t.yaml:1: version is one value: do not write a map here");
	expect_error("version: 1\nhost: 10gbit\n",
		     "t.yaml:2: host is a map: write its keys below it, or {}");
	expect_error("version: 1\ntenants: [a]\n",
		     "t.yaml:2: tenants is a map: write its keys below it, or {}");
	expect_error("version: 1\ntenants: ''\n",
		     "t.yaml:2: tenants is a map: write its keys below it, or {}");
	expect_error("version: 1\nuplinks:\n  u:\n    trunk:\n      - [a/b]\n",
		     "t.yaml:5: trunk is one value: do not write a list here");
	expect_error("version: 1\nuplinks:\n  u:\n    trunk: {a/b: 1}\n",
		     "t.yaml:4: trunk is one value: do not write a map here");
	expect_error("version: 1\nuplinks:\n  u:\n    trunk:\n",
		     "t.yaml:4: trunk has no value: write one, or leave it out");
	expect_error("version: 1\nvtep:\n  local:\n",
		     "t.yaml:3: local has no value: write one, or leave it out");
	expect_error("version: 1\nvtep:\n  local: \"1\\02\"\n",
		     "t.yaml:3: local has a NUL character in its value");
	expect_error("[]\n", "t.yaml:1: the file is a map: write its keys below it, or {}");
	expect_error("version\n", "t.yaml:1: the file is a map: write its keys below it, or {}");
}

static void test_values(void **state)
{
	(void)state;
	expect_error("version: 1\ntenants:\n  a:\n    segments:\n      s:\n        vni: 0x1389\n",
		     "t.yaml:6: vni '0x1389' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("version: 1\ntenants:\n  a:\n    segments:\n      s:\n        vni: 05001\n",
		     "t.yaml:6: vni '05001' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("version: 1\ntenants: {a: {send: 1.2.3mbit}}\n",
		     "t.yaml:2: send '1.2.3mbit' is not a rate: write 8bit to 1tbit as tc does, as "
		     "in 10mbit or 1.5gbit, or none");
	expect_error("version: 1\ntenants:\n  a:\n    segments:\n      s:\n        peers:\n"
		     "          - 10.0.0.1\n          - 10.0.0.256\n",
		     "t.yaml:8: peers '10.0.0.256' is not an IP address: write one as in 10.0.0.1 "
		     "or 2001:db8::1");
	expect_error("version: 2\n",
		     "t.yaml:1: version 2 is not known: this vswitchctl reads version 1");
	expect_error("\n\ntenants: {}\n",
		     "t.yaml:1: version is missing: write 'version: 1' on top");
}

static void test_documents(void **state)
{
	(void)state;
	expect_error("", "t.yaml:1: the file is empty: write 'version: 1' at least");
	expect_error("# nothing\n", "t.yaml:1: the file is empty: write 'version: 1' at least");
	expect_error("version: 1\n---\nversion: 1\n",
		     "t.yaml:2: a second document begins: keep one in a file");
	expect_error("version: 1\n---\n", "t.yaml:2: a second document begins: keep one in a file");
}

static void test_malformed_yaml(void **state)
{
	(void)state;
	expect_error_at("version: 1\ntenants: {a\n", "t.yaml:3: this is not well-formed YAML: ");
	expect_error_at("version: 1\n\ttenants: a\n", "t.yaml:2: this is not well-formed YAML: ");
	expect_error_at("version: 1\ntenants:\n  a: 'x\n", "t.yaml:");
	expect_error_at("version: 1\n\xff\xfe\n", "t.yaml:2: this is not UTF-8 text (");
	expect_error_at("version: 1\ntenants:\n  a: \x01\n", "t.yaml:3: this is not UTF-8 text (");
	expect_error_at("version: 1\n%TAG ! x:\n", "t.yaml:3: this is not well-formed YAML: ");
}

static void test_bounds(void **state)
{
	size_t size = TOPOLOGY_SIZE_MAX + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '#', size);
	expect_error_bytes(text, size, "t.yaml:1: the file is larger than 16 MiB: split it");
	expect_error_bytes(text, size - 1,
			   "t.yaml:1: the file is empty: write 'version: 1' at least");
	/* Depth: the schema refuses the first bracket, whatever follows. */
	memset(text, '[', 1000000);
	expect_error_bytes(text, 1000000,
			   "t.yaml:1: the file is a map: write its keys below it, or {}");
	/* A name of 64 characters. */
	expect_error_at(
		"version: 1\ntenants: {xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxx: {}}\n",
		"t.yaml:2: a key in tenants is not a word of up to 63 characters");
	free(text);
}

static void test_lines_of_pointers(void **state)
{
	char error[TOPOLOGY_ERROR_SIZE];
	struct topology_lines *lines = NULL;
	json_t *json = read_text(contract_file, &lines, error);

	(void)state;
	assert_non_null(json);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/web/vni"), 9);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/web/peers/0"), 10);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/web/peers/7"), 10);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/web/mtu"), 8);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/we"), 7);
	assert_int_equal(topology_lines_find(lines, "/tenants/acme/segments/web/ports/web1/ip/0"),
			 12);
	assert_int_equal(topology_lines_find(lines, "/uplinks/uplink0/trunk/0"), 14);
	assert_int_equal(topology_lines_find(lines, "/uplinks"), 13);
	assert_int_equal(topology_lines_find(lines, "/nowhere"), 1);
	assert_int_equal(topology_lines_find(lines, ""), 1);
	assert_int_equal(topology_lines_find(lines, "nonsense"), 1);
	topology_lines_free(lines);
	json_decref(json);
}

/* Writes a topology, reads it back, and compares; the text is returned for a closer look. */
static char *write_and_read(const char *json_text)
{
	char error[TOPOLOGY_ERROR_SIZE], *text = NULL;
	size_t size = 0;
	struct topology_lines *lines = NULL;
	json_t *json = json_loads(json_text, 0, NULL), *back;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(json);
	assert_int_equal(topology_write(file, json), 0);
	fclose(file);
	back = topology_read("back", text, size, &lines, error);
	if (back == NULL)
		fail_msg("%s\n%s", error, text);
	if (!json_equal(json, back))
		fail_msg("%s\nis read back as %s", text, json_dumps(back, 0));
	topology_lines_free(lines);
	json_decref(json);
	json_decref(back);
	return text;
}

static void test_written_text(void **state)
{
	char *text = write_and_read(
		"{\"uplinks\":{\"up\":{\"native\":\"b/s\",\"type\":\"veth\",\"trunk\":[\"b/"
		"s=7\",\"a/s\"]}},"
		"\"tenants\":{\"b\":{\"ports\":{\"t\":{\"admin\":\"down\",\"type\":\"tap\","
		"\"mac\":\"11:22:33:44:55:56\",\"ip\":[\"10.0.0.1/24\",\"fd00::1/64\"]}}},"
		"\"a\":{\"segments\":{\"s\":{\"fdb\":{\"02:00:00:00:00:01\":{\"port\":\"a/p\"}},"
		"\"vlan-transparent\":false,\"vni\":5001}},\"overhead\":-14,\"weight\":3,"
		"\"receive-burst\":\"1500b\",\"send-min\":\"1mbit\",\"send\":\"1gbit\"}},"
		"\"version\":1}");

	(void)state;
	assert_string_equal(text, "version: 1\n"
				  "tenants:\n"
				  "  a:\n"
				  "    send: 1gbit\n"
				  "    send-min: 1mbit\n"
				  "    receive-burst: 1500b\n"
				  "    weight: 3\n"
				  "    overhead: -14\n"
				  "    segments:\n"
				  "      s:\n"
				  "        vni: 5001\n"
				  "        vlan-transparent: no\n"
				  "        fdb:\n"
				  "          \"02:00:00:00:00:01\":\n"
				  "            port: a/p\n"
				  "  b:\n"
				  "    ports:\n"
				  "      t:\n"
				  "        type: tap\n"
				  "        mac: \"11:22:33:44:55:56\"\n"
				  "        ip: [10.0.0.1/24, 'fd00::1/64']\n"
				  "        admin: down\n"
				  "uplinks:\n"
				  "  up:\n"
				  "    type: veth\n"
				  "    trunk: [b/s=7, a/s]\n"
				  "    native: b/s\n");
	free(text);
}

static void test_sockets_and_devices(void **state)
{
	char *text;

	(void)state;
	expect_json("version: 1\nuplinks:\n"
		    "  a: { type: vhost-user, socket: /run/vm 1, server: yes }\n"
		    "  b: { type: dpdk, dev: 0000:00:04.0 }\n"
		    "  c: { type: dpdk, dev: 'net_af_xdp0,iface=eth1' }\n",
		    "{\"version\":1,\"uplinks\":{"
		    "\"a\":{\"type\":\"vhost-user\",\"socket\":\"/run/vm 1\",\"server\":true},"
		    "\"b\":{\"type\":\"dpdk\",\"dev\":\"0000:00:04.0\"},"
		    "\"c\":{\"type\":\"dpdk\",\"dev\":\"net_af_xdp0,iface=eth1\"}}}");
	text = write_and_read(
		"{\"version\":1,\"uplinks\":{\"a\":{\"type\":\"dpdk\",\"dev\":\"0000:00:04.0\"},"
		"\"b\":{\"type\":\"vhost-user\",\"socket\":\"/run/a\",\"server\":false}}}");
	assert_string_equal(text, "version: 1\nuplinks:\n"
				  "  a:\n"
				  "    type: dpdk\n"
				  "    dev: \"0000:00:04.0\"\n"
				  "  b:\n"
				  "    type: vhost-user\n"
				  "    socket: /run/a\n"
				  "    server: no\n");
	free(text);
}

static void test_names_that_yaml_takes_for_more(void **state)
{
	static const char *const names[] = {"no",  "Yes", "null", "1",	   "1e3",	 "0x10",
					    "1.5", "on",  "y",	  "007",   "2026-01-01", "1_000",
					    "NaN", "a-",  "a.b",  "1.2.3", "x--y",	 "0o7"};
	char json[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(json, sizeof(json),
			 "{\"version\":1,\"tenants\":{\"%s\":{\"ports\":{\"p\":{\"netns\":\"%s\"}}}"
			 "}}",
			 names[i], names[i]);
		free(write_and_read(json));
	}
	free(write_and_read("{\"version\":1,\"tenants\":{\"t\":{\"ports\":{\"p\":{\"netns\":"
			    "\"/run/a b: #c, 'd' \\\"e\\\"\\\\ [x]\"}}}}}"));
	free(write_and_read("{\"version\":1,\"tenants\":{},\"uplinks\":{\"u\":{\"trunk\":[]}}}"));
}

/* What cannot be read back is an error, not a file that apply refuses. */
static void test_unknown_members_are_not_written(void **state)
{
	static const char *const texts[] = {
		"{\"version\":1,\"colour\":\"red\"}",
		"{\"version\":1,\"tenants\":{\"a\":{\"status\":{}}}}",
		"{\"version\":1,\"tenants\":[]}",
		"{\"version\":1,\"tenants\":{\"a\":{\"send\":{}}}}",
		"{\"version\":1,\"tenants\":{\"a\":{\"send\":null}}}",
		"{\"version\":1,\"tenants\":{\"a\":{\"send\":1.5}}}",
		"[]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = json_loads(texts[i], 0, NULL);
		FILE *file = fopen("/dev/null", "w");

		assert_non_null(json);
		assert_true(topology_write(file, json) < 0);
		fclose(file);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contract_file),
		cmocka_unit_test(test_schema_types_scalars),
		cmocka_unit_test(test_bandwidth),
		cmocka_unit_test(test_empty_maps),
		cmocka_unit_test(test_keys_are_strict),
		cmocka_unit_test(test_anchors_aliases_tags),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_malformed_yaml),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_lines_of_pointers),
		cmocka_unit_test(test_written_text),
		cmocka_unit_test(test_sockets_and_devices),
		cmocka_unit_test(test_names_that_yaml_takes_for_more),
		cmocka_unit_test(test_unknown_members_are_not_written),
	};

	return cmocka_run_group_tests_name("topology_file", tests, NULL, NULL);
}
