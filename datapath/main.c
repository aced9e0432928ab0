/* SPDX-License-Identifier: Apache-2.0 */

/* vswitch-datapath: starts, gives up its privileges, serves, stops. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/log.h"
#include "common/notify.h"
#include "datapath/control_link.h"
#include "datapath/ports/dpdk_devices.h"
#include "datapath/ports/dpdk_runtime.h"
#include "datapath/sandbox.h"

#define DEFAULT_RUN_DIR "/run/vswitch"
#define FILES_WANTED	524288u

struct options {
	const char *run_dir;
	const char *user;
	unsigned workers;
	bool poll_always;
};

static const char usage[] =
	"Usage: vswitch-datapath [--run-dir DIR] [--workers N] [--poll MODE] [--user NAME]\n"
	"\n"
	"Forwards packets as the control daemon tells it. Needs root to start, and gives it up.\n"
	"\n"
	"  --run-dir DIR  where datapath.sock is made (default $VSWITCH_RUN_DIR or " DEFAULT_RUN_DIR
	")\n"
	"  --workers N    threads that forward, 1 to 16 (default 1)\n"
	"  --poll MODE    how workers wait for guests and devices of DPDK: adaptive (default), so\n"
	"                 that they sleep when nothing comes, or always, with a core for each\n"
	"                 worker that has such a port\n"
	"  --user NAME    the user to become (default vswitch-datapath if there is one,\n"
	"                 else an id that nobody has)\n"
	"  --help, --version\n";

static int parse_workers(const char *text, unsigned *workers)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number < 1 || number > STATS_WORKERS) {
		fprintf(stderr, "vswitch-datapath: --workers takes 1 to %u\n", STATS_WORKERS);
		return -EINVAL;
	}
	*workers = (unsigned)number;
	return 0;
}

static int parse_poll(const char *text, bool *always)
{
	*always = strcmp(text, "always") == 0;
	if (*always || strcmp(text, "adaptive") == 0)
		return 0;
	fputs("vswitch-datapath: --poll takes adaptive or always\n", stderr);
	return -EINVAL;
}

/* Returns 0, 1 when there is nothing left to do, or -EINVAL after saying why. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"run-dir", required_argument, NULL, 'd'},
		{"workers", required_argument, NULL, 'w'},
		{"poll", required_argument, NULL, 'p'},
		{"user", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *environment = getenv("VSWITCH_RUN_DIR");
	int option;

	options->run_dir = environment != NULL ? environment : DEFAULT_RUN_DIR;
	options->user = NULL;
	options->workers = 1;
	options->poll_always = false;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'd':
			options->run_dir = optarg;
			break;
		case 'u':
			options->user = optarg;
			break;
		case 'p':
			if (parse_poll(optarg, &options->poll_always) < 0)
				return -EINVAL;
			break;
		case 'w':
			if (parse_workers(optarg, &options->workers) < 0)
				return -EINVAL;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'v':
			puts("vswitch-datapath " VSWITCH_VERSION);
			return 1;
		default:
			fputs(usage, stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return -EINVAL;
	}
	return 0;
}

/* Makes the run directory and locks it against a second datapath. Returns the lock or a negative
 * errno. */
static int lock_run_dir(const char *run_dir)
{
	char path[4096];
	int fd;

	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST) {
		log_error("cannot make %s: %s", run_dir, strerror(errno));
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/datapath.lock", run_dir);
	fd = lock_take(path);
	if (fd == -EBUSY)
		log_error("another datapath runs in %s: use another --run-dir", run_dir);
	else if (fd < 0)
		log_error("cannot lock %s: %s", path, strerror(-fd));
	return fd;
}

static void raise_file_limit(void)
{
	struct rlimit limit;
	const struct rlimit wanted = {FILES_WANTED, FILES_WANTED};

	/* More than the system's own limit (fs.nr_open) is refused to root as well. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    (limit.rlim_max < FILES_WANTED && setrlimit(RLIMIT_NOFILE, &wanted) == 0))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Listens in the run directory. Returns the socket or a negative errno after saying why. */
static int listen_in(const char *run_dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/datapath.sock", run_dir);
	fd = control_link_listen(path);
	if (fd < 0)
		log_error("cannot listen on %s: %s", path, strerror(-fd));
	return fd;
}

/* Gives up what is not needed any more. Returns 0 or a negative errno after saying why. */
static int confine(const struct options *options)
{
	const char *writable = DPDK_RUNTIME_DIRECTORY;
	char root[4000], path[4096];
	int result;

	snprintf(root, sizeof(root), "%s/empty", options->run_dir);
	if (mkdir(root, 0755) < 0 && errno != EEXIST) {
		log_error("cannot make %s: %s", root, strerror(errno));
		return -errno;
	}
	result = dpdk_runtime_prepare(root);
	if (result < 0) {
		log_error("cannot make files in %s: %s", root, strerror(-result));
		return result;
	}
	result = sandbox_enter(root, options->user, writable);
	if (result < 0 || writable == NULL)
		return result < 0 ? result : 0;
	snprintf(path, sizeof(path), "%s/%s", result > 0 ? "" : root, writable);
	dpdk_runtime_set_directory(path);
	return 0;
}

int main(int argc, char **argv)
{
	struct switch_state state;
	struct dpdk_devices devices;
	struct options options;
	unsigned owner = geteuid();
	int notify, lock_fd, listen_fd, error;

	error = parse_options(argc, argv, &options);
	if (error != 0)
		return error < 0 ? 2 : 0;
	log_init("vswitch-datapath", LOG_LEVEL_INFO);
	block_signals();
	raise_file_limit();
	notify = notify_open();
	lock_fd = lock_run_dir(options.run_dir);
	if (lock_fd < 0)
		return 1;
	error = listen_fd = listen_in(options.run_dir);
	if (listen_fd < 0)
		goto unlock;
	dpdk_devices_open(&devices, options.run_dir, options.workers);
	error = confine(&options);
	if (error < 0)
		goto stop_listening;
	error = switch_init(&state, options.workers);
	if (error < 0)
		goto stop_listening;
	state.shared.poll_always = options.poll_always;
	state.restarts = notify >= 0;
	state.devices = devices.list;
	state.device_count = devices.count;
	log_info("version %s, %u worker%s, listening in %s", VSWITCH_VERSION, options.workers,
		 options.workers == 1 ? "" : "s", options.run_dir);
	notify_send(notify, "READY=1");
	error = control_link_run(&state, listen_fd, owner);
	notify_send(notify, "STOPPING=1");
	log_info("ends");
	switch_fini(&state);
stop_listening:
	close(listen_fd);
unlock:
	close(lock_fd);
	return error < 0 ? 1 : 0;
}
