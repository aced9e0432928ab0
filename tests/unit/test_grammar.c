/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/grammar.h"
#include "cli/object.h"

#define WORDS_MAX 32

/* A parsed line: the call and what it refers to. */
struct line {
	struct grammar_call call;
	char error[VALUE_ERROR_SIZE];
	char *words[WORDS_MAX];
	int count;
	char *text;
};

/* Parses text as a shell without quotes would split it; '' is an empty word. */
static int parse(struct line *line, const char *text)
{
	char *rest, *word;

	*line = (struct line){.text = strdup(text), .count = 1};
	line->words[0] = (char *)"vswitchctl";
	rest = line->text;
	while ((word = strsep(&rest, " ")) != NULL) {
		assert_true(line->count < WORDS_MAX);
		line->words[line->count++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	return grammar_parse(line->count, line->words, &line->call, line->error);
}

static void end(struct line *line)
{
	grammar_call_fini(&line->call);
	free(line->text);
}

static void expect_error(const char *text, int code, const char *sentence)
{
	struct line line;

	assert_int_equal(parse(&line, text), code);
	assert_string_equal(line.error, sentence);
	end(&line);
}

static void expect_command(const char *text, const char *words)
{
	struct line line;

	if (parse(&line, text) != CLI_DONE)
		fail_msg("'%s' is refused: %s", text, line.error);
	assert_string_equal(line.call.command->words, words);
	end(&line);
}

static void expect_body(const char *text, bool merge, const char *json)
{
	struct line line;
	json_t *body, *expected = json_loads(json, 0, NULL);

	if (parse(&line, text) != CLI_DONE)
		fail_msg("'%s' is refused: %s", text, line.error);
	body = object_body(&line.call, merge);
	assert_non_null(expected);
	if (!json_equal(body, expected))
		fail_msg("'%s' makes %s", text, json_dumps(body, 0));
	json_decref(body);
	json_decref(expected);
	end(&line);
}

static void test_every_row_is_reachable(void **state)
{
	(void)state;
	for (const struct grammar_command *c = grammar_commands; c->words != NULL; c++) {
		struct line line;
		char text[128];

		snprintf(text, sizeof(text), "%s --help", c->words);
		assert_int_equal(parse(&line, text), CLI_DONE);
		assert_ptr_equal(line.call.command, c);
		end(&line);
		assert_non_null(c->run);
		assert_int_equal(c->help[strlen(c->help) - 1], '.');
		for (const struct grammar_command *d = c + 1; d->words != NULL; d++) {
			assert_false(grammar_opens_with(d, c->words));
			assert_false(grammar_opens_with(c, d->words));
		}
	}
}

static void test_tables_agree(void **state)
{
	(void)state;
	for (const struct grammar_command *c = grammar_commands; c->words != NULL; c++) {
		bool required = c->required == NULL;

		for (const struct grammar_option *o = c->options; o && o->name; o++) {
			assert_int_equal(o->type == VALUE_FLAG || o->type == VALUE_FLAG_OFF,
					 o->value == NULL);
			assert_true(!o->repeatable || o->attribute != NULL);
			required = required || strcmp(c->required, o->name) == 0;
			for (const struct grammar_option *g = grammar_globals; g->name; g++)
				assert_string_not_equal(o->name, g->name);
		}
		assert_true(required);
		for (int i = 1; i < GRAMMAR_ARGUMENTS_MAX; i++) {
			if (c->arguments[i].name != NULL)
				assert_true(c->arguments[i - 1].name != NULL &&
					    c->arguments[i].optional >=
						    c->arguments[i - 1].optional);
		}
	}
}

static void test_options_stand_anywhere(void **state)
{
	struct line line;

	(void)state;
	assert_int_equal(
		parse(&line, "--json tenant --run-dir=/x add --send 10mbit acme --wait 0.5"),
		CLI_DONE);
	assert_string_equal(line.call.command->words, "tenant add");
	assert_string_equal(line.call.arguments[0], "acme");
	assert_int_equal(line.call.argument_count, 1);
	assert_string_equal(grammar_text(&line.call, "run-dir"), "/x");
	assert_string_equal(grammar_text(&line.call, "json"), "");
	assert_string_equal(grammar_text(&line.call, "wait"), "0.5");
	assert_string_equal(grammar_text(&line.call, "send"), "10mbit");
	assert_null(grammar_text(&line.call, "receive"));
	end(&line);
	expect_command("apply -- --odd-name.yaml", "apply");
	expect_command("apply -", "apply");
}

static void test_usage(void **state)
{
	(void)state;
	expect_error("nonsense", CLI_USAGE,
		     "there is no command 'nonsense': see 'vswitchctl help'");
	expect_error("''", CLI_USAGE, "there is no command '': see 'vswitchctl help'");
	expect_error("--json", CLI_USAGE, "a command is missing: see 'vswitchctl help'");
	expect_error("tenant", CLI_USAGE,
		     "a word is missing after 'tenant': write add, set, list, show or del");
	expect_error("tenan", CLI_USAGE, "there is no command 'tenan': see 'vswitchctl help'");
	expect_error("segment peer", CLI_USAGE,
		     "a word is missing after 'segment peer': write add or del");
	expect_error("segment peer list", CLI_USAGE,
		     "there is no command 'segment peer list': write add or del");
	expect_error("tenant add", CLI_USAGE,
		     "'tenant add' needs NAME: see 'vswitchctl help tenant add'");
	expect_error(
		"tenant add a b", CLI_USAGE,
		"'tenant add' takes no further argument 'b': see 'vswitchctl help tenant add'");
	expect_error("status now", CLI_USAGE,
		     "'status' takes no further argument 'now': see 'vswitchctl help status'");
	expect_error("help a b c d", CLI_USAGE,
		     "'help' takes no further argument 'd': see 'vswitchctl help help'");
	expect_error(
		"tenant add acme --colour red", CLI_USAGE,
		"'tenant add': there is no option --colour here: see 'vswitchctl help tenant add'");
	expect_error("--send 1mbit tenant add acme", CLI_USAGE,
		     "there is no option --send here: see 'vswitchctl help'");
	expect_error("tenant add acme --send", CLI_USAGE,
		     "--send needs a value: write --send RATE|none");
	expect_error("tenant add acme --send 1mbit --send 2mbit", CLI_USAGE,
		     "--send is given twice: give it once");
	expect_error("tenant del acme --recursive=yes", CLI_USAGE, "--recursive takes no value");
	expect_error("port add acme/web1 --segment web", CLI_USAGE,
		     "'port add' needs --type tap|veth|netdev|vhost-user|dpdk|pcap|memory: see "
		     "'vswitchctl help "
		     "port add'");
	expect_error("status --jso", CLI_USAGE,
		     "'status': there is no option --jso here: see 'vswitchctl help status'");
}

#define NAME_RULE "use up to 63 letters, digits, '_', '.' and '-', the first a letter or a digit"

static void test_refused_values(void **state)
{
	(void)state;
	expect_error("tenant add ''", CLI_REFUSED, "tenant '' is not a valid name: " NAME_RULE);
	expect_error("tenant add -acme", CLI_REFUSED,
		     "tenant '-acme' is not a valid name: " NAME_RULE);
	expect_error("tenant add a/b", CLI_REFUSED, "tenant 'a/b' is not a valid name: " NAME_RULE);
	expect_error("segment add web", CLI_REFUSED,
		     "segment 'web' is not the name of a segment: write TENANT/NAME, and in "
		     "each " NAME_RULE);
	expect_error("segment add a/b/c", CLI_REFUSED,
		     "segment 'a/b/c' is not the name of a segment: write TENANT/NAME, and in "
		     "each " NAME_RULE);
	expect_error("tenant set acme --send 10x", CLI_REFUSED,
		     "--send '10x' is not a rate: write 8bit to 1tbit as tc does, as in 10mbit or "
		     "1.5gbit, or none");
	expect_error("tenant set acme --send ''", CLI_REFUSED,
		     "--send '' is not a rate: write 8bit to 1tbit as tc does, as in 10mbit or "
		     "1.5gbit, or none");
	expect_error("segment add a/b --vni 0x10", CLI_REFUSED,
		     "--vni '0x10' is not a number: write decimal digits, from 0 to 4294967295");
	expect_error("segment add a/b --vni 4294967296", CLI_REFUSED,
		     "--vni '4294967296' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("segment add a/b --peer 10.0.0.1,,10.0.0.2", CLI_REFUSED,
		     "--peer '' is not an IP address: write one as in 10.0.0.1 or 2001:db8::1");
	expect_error("segment add a/b --peer 10.0.0.1,", CLI_REFUSED,
		     "--peer '' is not an IP address: write one as in 10.0.0.1 or 2001:db8::1");
	expect_error("port add a/b --type frob", CLI_REFUSED,
		     "--type 'frob' is not a port type: use tap, veth, netdev, vhost-user, dpdk, "
		     "pcap, or memory for "
		     "tests");
	expect_error(
		"port add a/b --type tap --ifname 0123456789abcdef", CLI_REFUSED,
		"--ifname '0123456789abcdef' is not a valid interface name: use up to 15 "
		"letters, digits, '_', '.' and '-', the first a letter or a digit, and neither "
		"all nor default");
	expect_error(
		"port add a/b --type tap --ifname all", CLI_REFUSED,
		"--ifname 'all' is not a valid interface name: use up to 15 letters, digits, "
		"'_', '.' and '-', the first a letter or a digit, and neither all nor default");
	expect_error("--wait=-1 status", CLI_USAGE,
		     "--wait '-1' is not a time: write seconds, as 2 or .5");
	expect_error("status --run-dir ''", CLI_USAGE,
		     "--run-dir '' is not a directory: write its path");
}

static void test_refused_bandwidth(void **state)
{
	(void)state;
	expect_error("tenant set acme --send-burst 1kib", CLI_REFUSED,
		     "--send-burst '1kib' is not a size: write 1b to 4294967295b as tc does, as in "
		     "1500b, 64kb or 1mb, or none");
	expect_error("tenant set acme --receive-burst 0", CLI_REFUSED,
		     "--receive-burst '0' is not a size: write 1b to 4294967295b as tc does, as in "
		     "1500b, 64kb or 1mb, or none");
	expect_error("tenant set acme --weight -1", CLI_REFUSED,
		     "--weight '-1' is not a number: write decimal digits, from 0 to 4294967295");
	expect_error("tenant set acme --weight heavy", CLI_REFUSED,
		     "--weight 'heavy' is not a number: write decimal digits, from 0 to "
		     "4294967295");
	expect_error("tenant set acme --overhead +4", CLI_REFUSED,
		     "--overhead '+4' is not a whole number: write decimal digits, with - before "
		     "them if it is negative");
	expect_error("tenant set acme --overhead --14", CLI_REFUSED,
		     "--overhead '--14' is not a whole number: write decimal digits, with - before "
		     "them if it is negative");
	expect_error("tenant set acme --overhead=-", CLI_REFUSED,
		     "--overhead '-' is not a whole number: write decimal digits, with - before "
		     "them if it is negative");
	expect_error("tenant set acme --overhead 2147483648", CLI_REFUSED,
		     "--overhead '2147483648' is not a whole number: write decimal digits, with - "
		     "before them if it is negative");
}

static void test_long_words_are_cut(void **state)
{
	char text[2048];
	struct line line;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse(&line, text), CLI_USAGE);
	assert_true(strlen(line.error) < 200);
	end(&line);
	memcpy(text, "tenant add ", 11);
	assert_int_equal(parse(&line, text), CLI_REFUSED);
	assert_non_null(strstr(line.error, "xxx...' is not a valid name"));
	end(&line);
	memcpy(text, "port list --", 12);
	assert_int_equal(parse(&line, text), CLI_USAGE);
	assert_true(strlen(line.error) < 200);
	end(&line);
}

static void test_bodies(void **state)
{
	(void)state;
	expect_body("tenant add acme", false, "{}");
	expect_body("tenant add acme --send 1gbit --receive none", false,
		    "{\"send\":\"1gbit\",\"receive\":\"none\"}");
	expect_body("tenant add acme --send-min 10mbit --receive-min none --send-burst 64kb "
		    "--receive-burst none --weight 10000 --overhead -14",
		    false,
		    "{\"send-min\":\"10mbit\",\"receive-min\":\"none\",\"send-burst\":\"64kb\","
		    "\"receive-burst\":\"none\",\"weight\":10000,\"overhead\":-14}");
	expect_body("tenant set acme --weight none --overhead none --send-burst 1500", true,
		    "{\"weight\":null,\"overhead\":null,\"send-burst\":\"1500\"}");
	expect_body("tenant set acme --overhead=-0 --weight 0", true,
		    "{\"overhead\":0,\"weight\":0}");
	expect_body("segment add acme/web --vni 5001 --peer 10.0.0.1 --peer 10.0.0.2,10.0.0.3",
		    false, "{\"vni\":5001,\"peers\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\"]}");
	expect_body("segment set acme/web --vni none --vlan-transparent yes --peer none", true,
		    "{\"vni\":null,\"vlan-transparent\":true,\"peers\":null}");
	expect_body("segment add acme/web --vni none --vlan-transparent no --peer none", false,
		    "{\"vlan-transparent\":false}");
	expect_body("segment set acme/web --peer none --peer 10.0.0.1", true,
		    "{\"peers\":[\"10.0.0.1\"]}");
	expect_body("port set acme/p --segment none --native= --ifname none --netns= --mac none",
		    true,
		    "{\"segment\":\"none\",\"native\":null,\"ifname\":\"none\",\"netns\":null,"
		    "\"mac\":null}");
	expect_body("port set acme/p --trunk none --trunk db=7", true, "{\"trunk\":[\"db=7\"]}");
	expect_body("port set acme/p --segment web --trunk none", true,
		    "{\"segment\":\"web\",\"trunk\":null}");
	expect_body("port set acme/p --segment= --trunk none=5,acme/none", true,
		    "{\"segment\":null,\"trunk\":[\"none=5\",\"none\"]}");
	expect_body("port add acme/web1 --type tap --segment acme/web --require", false,
		    "{\"type\":\"tap\",\"segment\":\"web\"}");
	expect_body("port add acme/t --type veth --trunk acme/web=10,db=20,x --native acme/db",
		    false,
		    "{\"type\":\"veth\",\"trunk\":[\"web=10\",\"db=20\",\"x\"],\"native\":\"db\"}");
	expect_body("port add up0 --type veth --trunk acme/web=10", false,
		    "{\"type\":\"veth\",\"trunk\":[\"acme/web=10\"]}");
	expect_body("vtep set --local 172.31.0.1 --udp-port 4790", true,
		    "{\"local\":\"172.31.0.1\",\"udp-port\":4790}");
}

static void test_sockets_and_devices(void **state)
{
	(void)state;
	expect_body("port add acme/vm --type vhost-user --segment web --socket /run/vm", false,
		    "{\"type\":\"vhost-user\",\"segment\":\"web\",\"socket\":\"/run/vm\"}");
	expect_body("port add acme/vm --type vhost-user --server --socket=/run/vm", false,
		    "{\"type\":\"vhost-user\",\"server\":true,\"socket\":\"/run/vm\"}");
	expect_body("port set acme/vm --client", true, "{\"server\":false}");
	expect_body("port set acme/vm --server --socket /run/none", true,
		    "{\"server\":true,\"socket\":\"/run/none\"}");
	/* Its commas are its own. */
	expect_body("port add up --type dpdk --dev net_af_xdp0,iface=eth1 --trunk acme/web=7",
		    false,
		    "{\"type\":\"dpdk\",\"dev\":\"net_af_xdp0,iface=eth1\","
		    "\"trunk\":[\"acme/web=7\"]}");
	expect_error("port set acme/vm --client --server", CLI_USAGE,
		     "--client and --server exclude each other: give one of them");
	expect_error("port set acme/vm --server --server", CLI_USAGE,
		     "--server is given twice: give it once");
	expect_error("port set acme/vm --client=no", CLI_USAGE, "--client takes no value");
	expect_error("port set acme/vm --socket vm", CLI_REFUSED,
		     "--socket 'vm' is not a socket: write its path from /, of at most 107 "
		     "characters");
	expect_error("port set acme/vm --dev ,a", CLI_REFUSED,
		     "--dev ',a' is not a device: write a PCI address or a name, as in "
		     "0000:00:04.0 or net_af_xdp0,iface=eth1");
}

static void test_foreign_segment_is_refused(void **state)
{
	static const char *const lines[] = {
		"port add acme/p --type tap --segment beta/web",
		"port add acme/p --type tap --segment acm/web",
		"port add acme/p --type tap --segment acme2/web",
		"port add acme/p --type tap --trunk web=1,beta/web=2",
		"port set acme/p --native beta/web",
	};
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(&line, lines[i]), CLI_DONE);
		assert_null(object_body(&line.call, false));
		end(&line);
	}
}

static void expect_path(enum object_kind kind, const char *name, const char *path)
{
	char text[OBJECT_PATH_SIZE];

	assert_string_equal(object_path(kind, name, text), path);
}

static void test_paths(void **state)
{
	(void)state;
	expect_path(OBJECT_HOST, NULL, "/v1/host");
	expect_path(OBJECT_VTEP, NULL, "/v1/vtep");
	expect_path(OBJECT_TENANT, "acme", "/v1/tenants/acme");
	expect_path(OBJECT_SEGMENT, "acme/web", "/v1/tenants/acme/segments/web");
	expect_path(OBJECT_PORT, "acme/web1", "/v1/tenants/acme/ports/web1");
	expect_path(OBJECT_PORT, "uplink0", "/v1/uplinks/uplink0");
}

/* Every command and option of the table is in each of the texts that are made from it. */
static void test_texts_are_complete(void **state)
{
	char *text = NULL, needle[128];
	size_t size = 0;
	FILE *file;

	(void)state;
	for (int which = 0; which < 2; which++) {
		file = open_memstream(&text, &size);
		if (which == 0)
			grammar_bash_completion(file);
		else
			assert_true(grammar_help(file, ""));
		fclose(file);
		for (const struct grammar_command *c = grammar_commands; c->words; c++) {
			snprintf(needle, sizeof(needle), which == 0 ? "'%s'|" : "\n  %s ",
				 c->words);
			assert_non_null(strstr(text, needle));
		}
		free(text);
		text = NULL;
	}
	for (const struct grammar_command *c = grammar_commands; c->words; c++) {
		file = open_memstream(&text, &size);
		assert_true(grammar_help(file, c->words));
		fclose(file);
		for (const struct grammar_option *o = c->options; o && o->name; o++) {
			snprintf(needle, sizeof(needle), "\n  --%s ", o->name);
			assert_non_null(strstr(text, needle));
		}
		free(text);
		text = NULL;
	}
	file = open_memstream(&text, &size);
	assert_false(grammar_help(file, "tenan"));
	assert_false(grammar_help(file, "tenant add acme"));
	fclose(file);
	assert_int_equal(size, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_is_reachable),
		cmocka_unit_test(test_tables_agree),
		cmocka_unit_test(test_options_stand_anywhere),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_refused_bandwidth),
		cmocka_unit_test(test_long_words_are_cut),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_sockets_and_devices),
		cmocka_unit_test(test_foreign_segment_is_refused),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_texts_are_complete),
	};

	return cmocka_run_group_tests_name("grammar", tests, NULL, NULL);
}
