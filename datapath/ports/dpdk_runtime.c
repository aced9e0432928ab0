/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/dpdk_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define ARGUMENTS_MAX 32

/* Makes `path` below the root, a directory for each of its parts. */
static int make_directories(int root, const char *path)
{
	char part[128];

	for (const char *end = path; *end != '\0';) {
		end = strchr(end + 1, '/');
		if (end == NULL)
			end = path + strlen(path);
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int make_file(int root, const char *path, const char *content)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, content, strlen(content));
	close(fd);
	return written == (ssize_t)strlen(content) ? 0 : -EIO;
}

int dpdk_runtime_prepare(const char *root)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = make_directories(fd, "sys/module");
	if (error == 0)
		error = make_directories(fd, "sys/devices/system/cpu/cpu0/topology");
	if (error == 0)
		error = make_file(fd, "sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
	close(fd);
	return error;
}

/* A line that DPDK logs, or several, as ours. */
static ssize_t write_log(void *context, const char *text, size_t size)
{
	const char *end = text + size;

	(void)context;
	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		if (line_end == NULL)
			line_end = end;
		if (line_end > text)
			log_warning("%.*s", (int)(line_end - text), text);
		text = line_end + 1;
	}
	return (ssize_t)size;
}

static void take_log(void)
{
	const cookie_io_functions_t functions = {.write = write_log};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return;
	setvbuf(stream, NULL, _IOLBF, 0);
	rte_openlog_stream(stream);
}

static int start(void)
{
	/* EAL may write to its arguments, and ties the calling thread to a processor. */
	char line[] = "vswitch-datapath --no-huge -m 512 --no-pci --no-telemetry --no-shconf "
		      "--log-level=warning --lcores=0";
	char *arguments[ARGUMENTS_MAX];
	cpu_set_t affinity;
	int count = 0, result;
	char *next;

	for (char *word = strtok_r(line, " ", &next); word != NULL && count < ARGUMENTS_MAX;
	     word = strtok_r(NULL, " ", &next))
		arguments[count++] = word;
	pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	take_log();
	result = rte_eal_init(count, arguments);
	pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	if (result >= 0)
		return 0;
	log_error("DPDK cannot be used: %s", rte_strerror(rte_errno));
	return rte_errno == 0 ? -ENODEV : -rte_errno;
}

int dpdk_runtime_start(void)
{
	/* Of the process, as EAL is. */
	static bool started;
	static int result;

	if (!started)
		result = start();
	started = true;
	return result;
}
