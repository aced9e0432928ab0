/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "control/model_edit.h"
#include "control/store.h"
#include "tests/unit/api_fixture.h"

/* Runs SQL on the state of a fixture that does not hold it open. */
static void spoil(const struct api_fixture *fixture, const char *sql)
{
	char path[128];
	sqlite3 *database;

	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* Opens and loads a copy of the state; returns what that says, and the sentence. */
static int load(const struct api_fixture *fixture, char text[MODEL_TEXT_SIZE])
{
	struct model *model = model_new();
	struct store *store = NULL;
	int result;

	text[0] = '\0';
	result = store_open(&store, fixture->state_dir, text);
	if (result == 0)
		result = store_load(store, model, text);
	store_free(store);
	model_free(model);
	return result;
}

/* The fixture's own use of the state ends, and begins again. */
static void let_go(struct api_fixture *fixture)
{
	store_free(fixture->store);
	fixture->store = NULL;
}

static void everything_returns(void **state)
{
	struct api_fixture *fixture = *state;
	json_t *config, *ports, *again;
	struct proto_ref ref;

	api_populate(fixture);
	config = api_get(fixture, "/v1/config");
	ports = api_get(fixture, "/v1/ports");
	ref = model_port_find(fixture->model, NULL, "up0")->ref;
	api_restart(fixture);
	again = api_get(fixture, "/v1/config");
	assert_true(json_equal(config, again));
	json_decref(again);
	/* The addresses that were made once are in their status. */
	again = api_get(fixture, "/v1/ports");
	assert_true(json_equal(ports, again));
	json_decref(again);
	json_decref(config);
	json_decref(ports);
	assert_int_equal(model_generation(fixture->model), 2);
	assert_memory_equal(&ref, &model_port_find(fixture->model, NULL, "up0")->ref, sizeof(ref));
}

/* An incarnation is never given twice, though what had it last is gone and the daemon was away. */
static void incarnations_are_not_given_again(void **state)
{
	struct api_fixture *fixture = *state;
	uint32_t last = 0;

	for (int i = 0; i < 5; i++) {
		const struct proto_ref *ref;

		api_expect(fixture, 201, "PUT", "/v1/tenants/t", "{}");
		ref = &model_tenant_find(fixture->model, "t")->ref;
		assert_int_equal(ref->index, 0);
		assert_true(ref->incarnation > last);
		last = ref->incarnation;
		api_expect(fixture, 204, "DELETE", "/v1/tenants/t", NULL);
		api_restart(fixture);
	}
}

static void nobody_else_may_read_it(void **state)
{
	struct api_fixture *fixture = *state;
	char path[128], text[MODEL_TEXT_SIZE];
	struct stat status;

	assert_int_equal(stat(fixture->state_dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);

	assert_int_equal(load(fixture, text), -EBUSY);
	assert_non_null(strstr(text, "another daemon"));
	let_go(fixture);
	assert_int_equal(load(fixture, text), 0);
	chmod(fixture->state_dir, 0770);
	assert_int_equal(load(fixture, text), -EPERM);
	assert_non_null(strstr(text, "chmod 700"));
	chmod(fixture->state_dir, 0702);
	assert_int_equal(load(fixture, text), -EPERM);
	chmod(fixture->state_dir, 0700);
	if (geteuid() == 0) {
		assert_int_equal(chown(fixture->state_dir, 4242, 0), 0);
		assert_int_equal(load(fixture, text), -EPERM);
		assert_int_equal(chown(fixture->state_dir, 0, 0), 0);
	}
	assert_int_equal(load(fixture, text), 0);
}

static void other_versions_and_damage_are_named(void **state)
{
	static const char *const damages[] = {
		"UPDATE tenant SET attributes = '{\"send\":\"x\"}' WHERE name = 'acme'",
		"UPDATE tenant SET attributes = '{' WHERE name = 'acme'",
		"UPDATE tenant SET name = 'a/b' WHERE name = 'acme'",
		"UPDATE tenant SET idx = 131072 WHERE name = 'acme'",
		"UPDATE tenant SET idx = -1 WHERE name = 'acme'",
		"DELETE FROM tenant WHERE name = 'acme'",
		"DELETE FROM segment WHERE name = 'db'",
		"UPDATE port SET mac = 'x'",
		"UPDATE port SET idx = (SELECT idx FROM vtep) WHERE name = 'both'",
		"UPDATE counter SET incarnation = 1",
		"UPDATE counter SET generation = -1",
		"UPDATE peer SET address = '224.0.0.1' WHERE address = '172.31.0.2'",
		"UPDATE fdb SET mac = 'ff:ff:ff:ff:ff:ff' WHERE mac = '02:00:00:00:00:0a'",
		"UPDATE fdb SET segment = 99999",
		"UPDATE segment SET attributes = '{\"vni\":5001}' WHERE name = 'web'",
		"DROP TABLE port",
	};
	struct api_fixture *fixture = *state;
	char path[128], copy[4 * 1024], text[MODEL_TEXT_SIZE], command[400];
	FILE *file;

	api_populate(fixture);
	let_go(fixture);
	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		snprintf(command, sizeof(command), "cp %s %s.copy", path, fixture->dir);
		assert_int_equal(system(command), 0);
		assert_int_equal(load(fixture, text), 0);
		spoil(fixture, damages[i]);
		if (load(fixture, text) != -EUCLEAN)
			print_error("%s: %s\n", damages[i], text);
		assert_int_equal(load(fixture, text), -EUCLEAN);
		assert_true(strlen(text) > 20);
		snprintf(command, sizeof(command), "mv %s.copy %s", fixture->dir, path);
		assert_int_equal(system(command), 0);
	}
	spoil(fixture, "PRAGMA user_version = 2");
	assert_int_equal(load(fixture, text), -EPROTONOSUPPORT);
	assert_non_null(strstr(text, "version 2"));
	spoil(fixture, "PRAGMA user_version = 1");
	assert_int_equal(load(fixture, text), 0);

	memset(copy, 'x', sizeof(copy));
	file = fopen(path, "w");
	assert_int_equal(fwrite(copy, 1, sizeof(copy), file), sizeof(copy));
	fclose(file);
	assert_int_equal(load(fixture, text), -EUCLEAN);
	assert_non_null(strstr(text, "move it away"));
}

/* When the disk refuses, so does the API, and nothing is changed. */
static void what_cannot_be_stored_is_refused(void **state)
{
	struct api_fixture *fixture = *state;
	char path[128];
	sqlite3 *database;

	api_populate(fixture);
	snprintf(path, sizeof(path), "%s/%s", fixture->state_dir, STORE_FILE);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	api_refuse(fixture, 500, "store", "PUT", "/v1/tenants/new", "{}");
	api_refuse(fixture, 500, "store", "DELETE", "/v1/tenants/acme?recursive=true", NULL);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);
	api_expect(fixture, 201, "PUT", "/v1/tenants/new", "{}");
	api_restart(fixture);
	api_expect(fixture, 200, "GET", "/v1/tenants/new", NULL);
}

/*
 * A daemon in a process of its own answers changes until it is killed; then every change that was
 * answered is there, and at most one more.
 */
static void what_was_answered_survives_kill(void **state)
{
	struct api_fixture *fixture = *state;
	int answered[2], count = 0, status;
	unsigned char number;
	pid_t child;
	char path[64];

	let_go(fixture);
	for (int round = 0; round < 5; round++) {
		int last = count;

		assert_int_equal(pipe(answered), 0);
		child = fork();
		if (child == 0) {
			close(answered[0]);
			fixture->store = NULL;
			api_restart(fixture);
			for (int i = last;; i++) {
				snprintf(path, sizeof(path), "/v1/tenants/t%d", i);
				api_expect(fixture, 201, "PUT", path, "{}");
				number = 1;
				if (write(answered[1], &number, 1) != 1)
					_exit(0);
			}
		}
		close(answered[1]);
		/* So many, and then in the middle of whatever it does. */
		for (int i = 0; i < 3 + 7 * round; i++) {
			assert_int_equal(read(answered[0], &number, 1), 1);
			count++;
		}
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		while (read(answered[0], &number, 1) == 1)
			count++;
		close(answered[0]);

		api_restart(fixture);
		for (int i = 0; i < count; i++) {
			snprintf(path, sizeof(path), "/v1/tenants/t%d", i);
			api_expect(fixture, 200, "GET", path, NULL);
		}
		snprintf(path, sizeof(path), "/v1/tenants/t%d", count + 1);
		api_expect(fixture, 404, "GET", path, NULL);
		snprintf(path, sizeof(path), "t%d", count);
		if (model_tenant_find(fixture->model, path) != NULL)
			count++;
		assert_int_equal(model_generation(fixture->model), 1 + (uint64_t)count);
		let_go(fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_returns, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(incarnations_are_not_given_again, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(nobody_else_may_read_it, api_setup, api_teardown),
		cmocka_unit_test_setup_teardown(other_versions_and_damage_are_named, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_stored_is_refused, api_setup,
						api_teardown),
		cmocka_unit_test_setup_teardown(what_was_answered_survives_kill, api_setup,
						api_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
