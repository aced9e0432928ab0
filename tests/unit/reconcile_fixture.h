/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_RECONCILE_FIXTURE_H
#define VSWITCH_TESTS_UNIT_RECONCILE_FIXTURE_H

/*
 * The real reconciler, model and connection, against a datapath that the test
 * plays: it listens in a run directory of its own, notes every record that it
 * hears as a line of text, and answers what the test says. Everything is in
 * network namespaces of the test's own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/channel.h"
#include "control/model_edit.h"
#include "control/reconcile.h"

#define FIXTURE_SKIPPED	 77
#define FIXTURE_DEADLINE 30 /* seconds until what must come has not come */

struct fixture_kept {
	struct proto_handback record;
	int fd;
};

struct fixture {
	char dir[32]; /* run and state directory */
	struct event_base *base;
	struct model *model;
	struct reconcile *reconcile;
	int listener;
	struct channel *peer;  /* the datapath's end of the connection; NULL: none */
	uint64_t started;      /* what tells one datapath from the next */
	uint64_t committed;    /* generation that the datapath has */
	uint32_t workers;      /* as it says; 1 unless a test says otherwise */
	uint32_t flags;	       /* PROTO_HELLO_*, as it says */
	uint64_t work_slice;   /* reconcile_options; without an end unless a test says otherwise */
	char heard[64 * 1024]; /* since the last fixture_forget() */
	size_t heard_size;
	uint32_t last_type;
	struct proto_begin begin;	 /* the last */
	uint32_t messages_with_fds, fds; /* since the last fixture_forget() */
	struct fixture_kept *kept;	 /* every descriptor that came */
	uint32_t kept_count;
};

/*
 * As another user than root, goes into a user namespace. Returns false when neither that nor a
 * network namespace is allowed. Call first in main().
 */
bool fixture_isolate(void);

/* cmocka's set-up and tear-down: a network namespace of its own, where the loopback is up; a
 * listening datapath, no reconciler yet. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* The daemon's life: start with the model as it is; end; end and start with the same model. */
void fixture_start(struct fixture *fixture);
void fixture_stop(struct fixture *fixture);

void fixture_listen(struct fixture *fixture);
/* The datapath ends its connection and listens no more. */
void fixture_vanish(struct fixture *fixture);
void fixture_await_connection(struct fixture *fixture);
/* Waits until the other side ends the connection without a word. */
void fixture_expect_end(struct fixture *fixture);
/* Waits for the connection, and says HELLO. */
void fixture_greet(struct fixture *fixture);
/* The same for one that has nothing to hand back, and waits for the end of the first transaction.
 */
void fixture_meet(struct fixture *fixture);
void fixture_say(struct fixture *fixture, enum proto_type type, const void *record, uint16_t size,
		 int fd);
void fixture_say_nothing(struct fixture *fixture, enum proto_type type);
/* Everything that the datapath got so far, as it would give it back; the end of the handback. */
void fixture_hand_everything_back(struct fixture *fixture);
/* Closes it: that datapath is no more. */
void fixture_drop_everything(struct fixture *fixture);
/* Answers the last COMMIT, and works until the answer is taken; error 0 commits. */
void fixture_reply(struct fixture *fixture, int32_t error, const char *text);

/* A minute of fixture_turn(): who waits for the kernel for longer has found something. */
#define TURNS_MAX 12000

/* Turns the event loop for a moment. */
void fixture_turn(struct fixture *fixture);
/* Takes every transaction until the model is in effect. */
void fixture_settle(struct fixture *fixture);
/* Hears until a record of this type has come. */
void fixture_hear(struct fixture *fixture, enum proto_type type);
/* Notes a record, and keeps its descriptors; or a message without records. (reconcile_heard.c) */
void fixture_take_record(struct fixture *fixture, struct channel_message *message, uint32_t i,
			 uint32_t *next_fd);
void fixture_take_empty(struct fixture *fixture, uint16_t type);
/* Works until the reconciler has nothing to do, and fails if the datapath hears of it. */
void fixture_expect_silence(struct fixture *fixture);
void fixture_forget(struct fixture *fixture);
/* Waits for the end of a transaction and compares all that was heard with these lines. */
#define fixture_expect(fixture, ...)                                                               \
	do {                                                                                       \
		fixture_hear(fixture, PROTO_COMMIT);                                               \
		assert_string_equal((fixture)->heard, __VA_ARGS__);                                \
		fixture_forget(fixture);                                                           \
	} while (0)
/* The descriptor that came last for this, or -1. */
int fixture_kept(const struct fixture *fixture, enum proto_handback_kind kind, uint32_t index);
struct reconcile_status fixture_status(const struct fixture *fixture);

/* Transactions of the model, told to the reconciler if it runs. */
void fixture_begin(struct fixture *fixture);
void fixture_commit(struct fixture *fixture);
struct model_tenant *fixture_tenant(struct fixture *fixture, const char *name, uint64_t send_rate);
struct model_segment *fixture_segment(struct fixture *fixture, const char *tenant, const char *name,
				      uint32_t vni, const char *peer);
struct model_port *fixture_port(struct fixture *fixture, const char *tenant, const char *name,
				const char *segment);
/* A port of another type than memory, whose interface has the port's name. */
struct model_port *fixture_interface(struct fixture *fixture, const char *tenant, const char *name,
				     const char *segment, enum model_port_type type);
struct model_port *fixture_find_port(const struct fixture *fixture, const char *tenant,
				     const char *name);
struct model_segment *fixture_find_segment(const struct fixture *fixture, const char *tenant,
					   const char *name);
/* A TAP of somebody else's, which goes with its descriptor. */
int fixture_open_tap(const char *ifname);
void fixture_vtep(struct fixture *fixture, const char *local, uint16_t udp_port);

#endif
