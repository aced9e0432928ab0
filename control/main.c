/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/log.h"
#include "common/notify.h"
#include "control/api.h"
#include "control/fd_store.h"
#include "control/listen.h"
#include "control/model_edit.h"
#include "control/reconcile.h"
#include "control/release.h"
#include "control/store.h"

#define RUN_DIR_DEFAULT	     "/run/vswitch"
#define STATE_DIR_DEFAULT    "/var/lib/vswitch"
#define LOCK_FILE	     "control.lock"
#define SOCKET_FILE	     "control.sock"
#define DATAPATH_SOCKET_FILE "datapath.sock"
#define DIRECTORY_MAX	     3900
#define FILES_WANTED	     (1u << 20) /* one descriptor a port, and connections */
#define WORK_SLICE	     20000000u	/* ns: as long as the API may wait */

#define EXIT_USAGE 2

struct options {
	char run_dir[4000];
	char state_dir[4000];
	bool release;
	const char *http; /* as given, or NULL */
	struct listen_address http_address;
};

/* Everything that the daemon is, in the order in which it is made. */
struct daemon {
	int notify; /* notify_open() */
	struct fd_store *fd_store;
	int lock_fd;
	struct event_base *base;
	struct event *sigterm, *sigint;
	struct store *store;
	struct model *model;
	struct reconcile *reconcile;
	struct api *api;
};

static bool parse_options(int argc, char **argv, struct options *options);
static bool check_options(const char *run_dir, const char *state_dir, struct options *options);
static void choose_directories(struct options *options, const char *run_dir, const char *state_dir);
static int check_start(const struct options *options);
static int make_run_dir(const char *run_dir);
static int lock_run_dir(const char *run_dir);
static void raise_file_limit(void);
static int release(const struct options *options);
static int start_loop(struct daemon *daemon);
static int start_state(struct daemon *daemon, const struct options *options);
static int start_services(struct daemon *daemon, const struct options *options);
static int start_http(const struct options *options, int *fd);
static void stop(struct daemon *daemon);
static void on_signal(evutil_socket_t number, short what, void *context);
static void print_usage(FILE *file);

int main(int argc, char **argv)
{
	struct daemon daemon = {.notify = notify_open(), .lock_fd = -1};
	struct options options;
	int error;

	if (!parse_options(argc, argv, &options))
		return EXIT_USAGE;
	log_init("vswitch-control", LOG_LEVEL_INFO);
	if (check_start(&options) < 0)
		return EXIT_FAILURE;
	if (options.release)
		return release(&options) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	error = fd_store_new(&daemon.fd_store, daemon.notify);
	if (error == 0)
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
		notify_send(daemon.notify, "READY=1");
		if (event_base_dispatch(daemon.base) < 0)
			error = -EIO;
		notify_send(daemon.notify, "STOPPING=1");
	}
	stop(&daemon);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{"run-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 's'},
		{"release", no_argument, NULL, 'e'},
		{"http", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *run_dir = getenv("VSWITCH_RUN_DIR");
	const char *state_dir = getenv("VSWITCH_STATE_DIR");
	int option;

	/* A variable that is empty says as little as one that is not there; an option says it. */
	if (run_dir == NULL || run_dir[0] == '\0')
		run_dir = RUN_DIR_DEFAULT;
	if (state_dir != NULL && state_dir[0] == '\0')
		state_dir = NULL;
	*options = (struct options){.release = false};
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'r') {
			run_dir = optarg != NULL ? optarg : "";
		} else if (option == 's') {
			state_dir = optarg;
		} else if (option == 'e') {
			options->release = true;
		} else if (option == 't') {
			options->http = optarg;
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
	if (optind < argc) {
		print_usage(stderr);
		return false;
	}
	if (!check_options(run_dir, state_dir, options))
		return false;
	choose_directories(options, run_dir, state_dir);
	return true;
}

/* Says what is wrong with the values of options. */
static bool check_options(const char *run_dir, const char *state_dir, struct options *options)
{
	int error = options->http != NULL ? listen_parse(options->http, &options->http_address) : 0;

	if (run_dir[0] == '\0' || (state_dir != NULL && state_dir[0] == '\0'))
		fprintf(stderr, "vswitch-control: a directory has no name: give --run-dir and "
				"--state-dir a path, or leave them out\n");
	else if (strlen(run_dir) > DIRECTORY_MAX ||
		 (state_dir != NULL && strlen(state_dir) > DIRECTORY_MAX))
		fprintf(stderr,
			"vswitch-control: a directory has more than %d characters: choose "
			"a shorter path\n",
			DIRECTORY_MAX);
	else if (error == -EACCES)
		fprintf(stderr,
			"vswitch-control: --http %s can be reached from other hosts, and "
			"over TCP nobody knows who asks: give a loopback address, as in "
			"127.0.0.1:8080\n",
			options->http);
	else if (error < 0)
		fprintf(stderr,
			"vswitch-control: --http %s is no address with a port: write it as "
			"127.0.0.1:8080 or [::1]:8080\n",
			options->http);
	else
		return true;
	return false;
}

/* The state of a switch with a run directory of its own lies in it, unless it is said where. */
static void choose_directories(struct options *options, const char *run_dir, const char *state_dir)
{
	snprintf(options->run_dir, sizeof(options->run_dir), "%s", run_dir);
	if (state_dir != NULL)
		snprintf(options->state_dir, sizeof(options->state_dir), "%s", state_dir);
	else if (strcmp(run_dir, RUN_DIR_DEFAULT) == 0)
		snprintf(options->state_dir, sizeof(options->state_dir), "%s", STATE_DIR_DEFAULT);
	else
		snprintf(options->state_dir, sizeof(options->state_dir), "%.3900s/state", run_dir);
}

static int check_start(const struct options *options)
{
	/* The longest name of a socket in it, by either daemon. */
	const size_t longest =
		sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof("/" DATAPATH_SOCKET_FILE);

	if (geteuid() != 0) {
		log_error("this needs root, who may make interfaces: start vswitch-control as "
			  "root");
		return -EPERM;
	}
	if (strlen(options->run_dir) > longest) {
		log_error("run directory %s is too long for the sockets in it: choose a --run-dir "
			  "of at most %zu characters",
			  options->run_dir, longest);
		return -ENAMETOOLONG;
	}
	return 0;
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
	int fd;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir);
	fd = lock_take(path);
	if (fd == -EBUSY)
		log_error("another vswitch-control serves %s: end it, or use another --run-dir",
			  run_dir);
	else if (fd < 0)
		log_error("cannot lock %s: %s", path, strerror(-fd));
	return fd;
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

/* Not beside a control daemon, which would make everything anew. */
static int release(const struct options *options)
{
	int error = make_run_dir(options->run_dir);
	int lock_fd = error < 0 ? error : lock_run_dir(options->run_dir);

	if (lock_fd < 0)
		return lock_fd;
	error = release_interfaces(options->state_dir);
	if (error < 0)
		log_error("cannot release the interfaces of the switch in %s: %s",
			  options->state_dir, strerror(-error));
	close(lock_fd);
	return error;
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
							    .state_dir = options->state_dir,
							    .work_slice = WORK_SLICE,
							    .fd_store = daemon->fd_store};
	struct api_options api_options = {.tcp_fd = -1};
	char path[4096];
	int error = start_http(options, &api_options.tcp_fd);

	if (error < 0)
		return error;
	error = reconcile_new(&daemon->reconcile, daemon->base, daemon->model, &reconcile_options);
	if (error < 0) {
		log_error("cannot start in %s: %s", options->run_dir, strerror(-error));
		goto close_http;
	}
	snprintf(path, sizeof(path), "%s/" SOCKET_FILE, options->run_dir);
	api_options.socket_path = path;
	error = api_new(&daemon->api, daemon->base, daemon->model, daemon->store, daemon->reconcile,
			&api_options);
	if (error == 0)
		return 0;
	log_error("cannot serve %s: %s", path, strerror(-error));
close_http:
	if (api_options.tcp_fd >= 0)
		close(api_options.tcp_fd);
	return error;
}

static int start_http(const struct options *options, int *fd)
{
	int error = options->http != NULL ? listen_tcp(&options->http_address, fd) : 0;

	if (error < 0)
		log_error("cannot listen on %s: %s: choose another --http", options->http,
			  strerror(-error));
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
	fd_store_free(daemon->fd_store);
	if (daemon->notify >= 0)
		close(daemon->notify);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

static void print_usage(FILE *file)
{
	fprintf(file,
		"usage: vswitch-control [--run-dir DIR] [--state-dir DIR] [--http ADDR:PORT] "
		"[--release]\n"
		"  --run-dir DIR    sockets and locks (VSWITCH_RUN_DIR, " RUN_DIR_DEFAULT ")\n"
		"  --state-dir DIR  the configuration (VSWITCH_STATE_DIR, " STATE_DIR_DEFAULT
		", or state/ in another run directory)\n"
		"  --http ADDR:PORT serves the API over TCP too, on a loopback address, for "
		"reading\n"
		"                   by every user of this host\n"
		"  --release        only remove every interface of a switch whose daemons have "
		"ended,\n"
		"                   put adopted ones back, and end\n");
}
