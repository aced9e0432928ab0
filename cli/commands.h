/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CLI_COMMANDS_H
#define VSWITCH_CLI_COMMANDS_H

/*
 * What the rows of the grammar run: one function a verb, in cmd_*.c. Each
 * gets a checked command line, prints to stdout, says on stderr in one
 * sentence what went wrong, and returns an exit code (enum cli_exit).
 */

struct cli;
struct grammar_call;

/* cmd_object.c: of any kind of object */
int cmd_add(struct cli *cli, const struct grammar_call *call);
int cmd_set(struct cli *cli, const struct grammar_call *call);
int cmd_list(struct cli *cli, const struct grammar_call *call);
int cmd_show(struct cli *cli, const struct grammar_call *call);
int cmd_del(struct cli *cli, const struct grammar_call *call);
int cmd_peer_add(struct cli *cli, const struct grammar_call *call);
int cmd_peer_del(struct cli *cli, const struct grammar_call *call);

/* cmd_port.c: what ports have beyond that */
int cmd_port_add(struct cli *cli, const struct grammar_call *call);
int cmd_port_set(struct cli *cli, const struct grammar_call *call);
int cmd_port_up(struct cli *cli, const struct grammar_call *call);
int cmd_port_down(struct cli *cli, const struct grammar_call *call);

/* cmd_fdb.c */
int cmd_fdb_list(struct cli *cli, const struct grammar_call *call);
int cmd_fdb_add(struct cli *cli, const struct grammar_call *call);
int cmd_fdb_del(struct cli *cli, const struct grammar_call *call);
int cmd_fdb_flush(struct cli *cli, const struct grammar_call *call);

/* cmd_apply.c */
int cmd_apply(struct cli *cli, const struct grammar_call *call);
int cmd_export(struct cli *cli, const struct grammar_call *call);

/* cmd_stats.c */
int cmd_stats(struct cli *cli, const struct grammar_call *call);
int cmd_drops(struct cli *cli, const struct grammar_call *call);

/* cmd_status.c */
int cmd_status(struct cli *cli, const struct grammar_call *call);

/* cmd_help.c: need no daemon */
int cmd_help(struct cli *cli, const struct grammar_call *call);
int cmd_version(struct cli *cli, const struct grammar_call *call);

#endif
