/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "control/api.h"
#include "control/model_edit.h"
#include "control/reconcile.h"
#include "control/store.h"

#define RUN_DIR_DEFAULT	  "/run/vswitch"
#define STATE_DIR_DEFAULT "/var/lib/vswitch"
#define LOCK_FILE	  "control.lock"
#define SOCKET_FILE	  "control.sock"
#define FILES_WANTED	  (1u << 20) /* one descriptor a port, and connections */

#define EXIT_USAGE 2

struct options {
	char run_dir[4000];
	char state_dir[4000];
};

/* Everything that the daemon is, in the order in which it is made. */
struct daemon {
	int lock_fd;
	struct event_base *base;
	struct event *sigterm, *sigint;
	struct store *store;
	struct model *model;
	struct reconcile *reconcile;
	struct api *api;
};

static bool parse_options(int argc, char **argv, struct options *options);
static void choose_directories(struct options *options, const char *run_dir, const char *state_dir);
static int make_run_dir(const char *run_dir);
static int lock_run_dir(const char *run_dir);
static void raise_file_limit(void);
static int start_loop(struct daemon *daemon);
static int start_state(struct daemon *daemon, const struct options *options);
static int start_services(struct daemon *daemon, const struct options *options);
static void stop(struct daemon *daemon);
static void on_signal(evutil_socket_t number, short what, void *context);
static void notify(const char *state);
static void print_usage(FILE *file);

int main(int argc, char **argv)
{
	struct daemon daemon = {.lock_fd = -1};
	struct options options;
	int error;

	if (!parse_options(argc, argv, &options))
		return EXIT_USAGE;
	log_init("vswitch-control", LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	error = make_run_dir(options.run_dir);
	if (error == 0)
		error = daemon.lock_fd = lock_run_dir(options.run_dir);
	if (error >= 0)
		error = start_loop(&daemon);
	if (error == 0)
		error = start_state(&daemon, &options);
	if (error == 0)
		error = start_services(&daemon, &options);
	if (error == 0) {
		log_info("version %s serves %s", VSWITCH_VERSION, options.run_dir);
		notify("READY=1");
		if (event_base_dispatch(daemon.base) < 0)
			error = -EIO;
		notify("STOPPING=1");
	}
	stop(&daemon);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{"run-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *run_dir = getenv("VSWITCH_RUN_DIR");
	const char *state_dir = getenv("VSWITCH_STATE_DIR");
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'r') {
			run_dir = optarg;
		} else if (option == 's') {
			state_dir = optarg;
		} else if (option == 'h') {
			print_usage(stdout);
			exit(EXIT_SUCCESS);
		} else if (option == 'v') {
			printf("vswitch-control %s\n", VSWITCH_VERSION);
			exit(EXIT_SUCCESS);
		} else {
			print_usage(stderr);
			return false;
		}
	}
	if (optind < argc || (run_dir != NULL && strlen(run_dir) > 3900) ||
	    (state_dir != NULL && strlen(state_dir) > 3900)) {
		print_usage(stderr);
		return false;
	}
	choose_directories(options, run_dir, state_dir);
	return true;
}

/* The state of a switch with a run directory of its own lies in it, unless it is said where. */
static void choose_directories(struct options *options, const char *run_dir, const char *state_dir)
{
	if (run_dir == NULL || run_dir[0] == '\0')
		run_dir = RUN_DIR_DEFAULT;
	snprintf(options->run_dir, sizeof(options->run_dir), "%s", run_dir);
	if (state_dir != NULL && state_dir[0] != '\0')
		snprintf(options->state_dir, sizeof(options->state_dir), "%s", state_dir);
	else if (strcmp(run_dir, RUN_DIR_DEFAULT) == 0)
		snprintf(options->state_dir, sizeof(options->state_dir), "%s", STATE_DIR_DEFAULT);
	else
		snprintf(options->state_dir, sizeof(options->state_dir), "%.3900s/state", run_dir);
}

static int make_run_dir(const char *run_dir)
{
	int error;

	if (mkdir(run_dir, 0755) == 0 || errno == EEXIST)
		return 0;
	error = -errno;
	log_error("cannot make the run directory %s: %s", run_dir, strerror(-error));
	return error;
}

/* Returns the descriptor that holds the lock until the daemon ends, however it ends. */
static int lock_run_dir(const char *run_dir)
{
	char path[4096];
	int fd, error;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	error = -errno;
	if (fd >= 0 && errno == EWOULDBLOCK)
		log_error("another vswitch-control serves %s: end it, or use another --run-dir",
			  run_dir);
	else
		log_error("cannot lock %s: %s", path, strerror(-error));
	if (fd >= 0)
		close(fd);
	return error;
}

static void raise_file_limit(void)
{
	struct rlimit limit = {FILES_WANTED, FILES_WANTED};

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int start_loop(struct daemon *daemon)
{
	daemon->base = event_base_new();
	if (daemon->base == NULL)
		return -ENOMEM;
	daemon->sigterm = evsignal_new(daemon->base, SIGTERM, on_signal, daemon->base);
	daemon->sigint = evsignal_new(daemon->base, SIGINT, on_signal, daemon->base);
	if (daemon->sigterm == NULL || daemon->sigint == NULL ||
	    event_add(daemon->sigterm, NULL) < 0 || event_add(daemon->sigint, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int start_state(struct daemon *daemon, const struct options *options)
{
	char text[MODEL_TEXT_SIZE];
	int error = store_open(&daemon->store, options->state_dir, text);

	if (error == 0) {
		daemon->model = model_new();
		error = store_load(daemon->store, daemon->model, text);
	}
	if (error < 0)
		log_error("%s", text);
	return error;
}

static int start_services(struct daemon *daemon, const struct options *options)
{
	const struct reconcile_options reconcile_options = {.run_dir = options->run_dir,
							    .state_dir = options->state_dir};
	struct api_options api_options = {.access = NULL};
	char path[4096];
	int error =
		reconcile_new(&daemon->reconcile, daemon->base, daemon->model, &reconcile_options);

	if (error < 0) {
		log_error("cannot start: %s", strerror(-error));
		return error;
	}
	snprintf(path, sizeof(path), "%s/" SOCKET_FILE, options->run_dir);
	api_options.socket_path = path;
	error = api_new(&daemon->api, daemon->base, daemon->model, daemon->store, daemon->reconcile,
			&api_options);
	if (error < 0)
		log_error("cannot serve %s: %s", path, strerror(-error));
	return error;
}

/* Interfaces and the datapath go on without us. */
static void stop(struct daemon *daemon)
{
	if (daemon->api != NULL)
		api_free(daemon->api);
	reconcile_free(daemon->reconcile);
	if (daemon->model != NULL)
		model_free(daemon->model);
	if (daemon->store != NULL)
		store_free(daemon->store);
	if (daemon->sigterm != NULL)
		event_free(daemon->sigterm);
	if (daemon->sigint != NULL)
		event_free(daemon->sigint);
	if (daemon->base != NULL)
		event_base_free(daemon->base);
	if (daemon->lock_fd >= 0)
		close(daemon->lock_fd);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

/* sd_notify(3): one datagram to the socket that systemd names, if it does. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	length = strlen(path);
	if (length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

static void print_usage(FILE *file)
{
	fprintf(file,
		"usage: vswitch-control [--run-dir DIR] [--state-dir DIR]\n"
		"  --run-dir DIR    sockets and locks (VSWITCH_RUN_DIR, " RUN_DIR_DEFAULT ")\n"
		"  --state-dir DIR  the configuration (VSWITCH_STATE_DIR, " STATE_DIR_DEFAULT
		", or state/ in another run directory)\n");
}
