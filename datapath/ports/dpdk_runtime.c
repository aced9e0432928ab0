/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/dpdk_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/pci.h"

#define ARGUMENTS_MAX	   160
#define COMMON_ARGUMENTS   "vswitch-datapath --no-telemetry --log-level=warning"
#define LOG_LINES_A_SECOND 20u
#define LINE_SIZE	   20480u

#define HUGEPAGES	 "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define HUGEPAGES_WANTED 64u /* of 2 MiB */

/* Of the process, as EAL is. */
static struct {
	bool tried, drivers;
	int result;
	char first_line[128]; /* that was logged since somebody asked */
	char directory[96];
	time_t log_second; /* and what was logged in it */
	unsigned log_lines;
} runtime;

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
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
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

void dpdk_runtime_set_directory(const char *path)
{
	snprintf(runtime.directory, sizeof(runtime.directory), "%s", path);
	/* Without privileges there is no sandbox that has made it. */
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		log_warning("cannot make %s: %s", path, strerror(errno));
}

const char *dpdk_runtime_directory(void)
{
	return runtime.directory;
}

/* What a guest does wrong is logged as well: it must not fill the log. */
static bool may_log(void)
{
	time_t second = time(NULL);

	if (second != runtime.log_second) {
		runtime.log_second = second;
		runtime.log_lines = 0;
	}
	if (runtime.log_lines == LOG_LINES_A_SECOND)
		log_warning("DPDK logs more than %u lines a second: the rest is not shown",
			    LOG_LINES_A_SECOND);
	return runtime.log_lines++ < LOG_LINES_A_SECOND;
}

static void log_line(const char *text, int size)
{
	/* Said of every memif, about other processes, which there are none of: no reason. */
	static const char harmless[] = "Failed to register mp action";
	const char *found = memmem(text, (size_t)size, harmless, strlen(harmless));

	if (runtime.first_line[0] == '\0' && found == NULL)
		snprintf(runtime.first_line, sizeof(runtime.first_line), "%.*s", size, text);
	if (may_log())
		log_warning("%.*s", size, text);
}

/* A line that DPDK logs, or several, as ours. One thread at a time: the stream has a lock. */
static ssize_t write_log(void *context, const char *text, size_t size)
{
	const char *end = text + size;

	(void)context;
	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		if (line_end == NULL)
			line_end = end;
		if (line_end > text)
			log_line(text, (int)(line_end - text));
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

/* Brings EAL up with these arguments, separated by spaces, and a directory for what it leaves. */
static int start(char *line, const char *directory)
{
	char *arguments[ARGUMENTS_MAX];
	cpu_set_t affinity;
	int count = 0, result;
	char *next;

	/* EAL may write to its arguments, and ties the calling thread to a processor. */
	for (char *word = strtok_r(line, " ", &next); word != NULL && count < ARGUMENTS_MAX;
	     word = strtok_r(NULL, " ", &next))
		arguments[count++] = word;
	pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	take_log();
	setenv("RUNTIME_DIRECTORY", directory, 1);
	result = rte_eal_init(count, arguments);
	pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	if (result >= 0)
		return 0;
	log_error("DPDK cannot be used: %s", rte_strerror(rte_errno));
	return rte_errno == 0 ? -ENODEV : -rte_errno;
}

int dpdk_runtime_start(void)
{
	char line[] = COMMON_ARGUMENTS " --no-huge --no-shconf --no-pci --lcores=0 -m 512";

	if (!runtime.tried)
		runtime.result = start(line, runtime.directory);
	runtime.tried = true;
	return runtime.result;
}

/* Whether a device on the PCI bus is there: pages are not reserved for a slip of the pen. */
static bool is_there(const char *device)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.*s", (int)strcspn(device, ","),
		 device);
	return access(path, F_OK) == 0;
}

/* A number that a file holds; 0 when it cannot be read. */
static unsigned long read_number(const char *path)
{
	char text[32] = "";
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	return strtoul(text, NULL, 10);
}

/* Whether there are enough hugepages; reserves what is missing if it may. */
static bool find_hugepages(bool reserve)
{
	unsigned long free_pages = read_number(HUGEPAGES "/free_hugepages");
	unsigned long pages = read_number(HUGEPAGES "/nr_hugepages");
	FILE *file;

	if (free_pages >= HUGEPAGES_WANTED || !reserve)
		return free_pages >= HUGEPAGES_WANTED;
	file = fopen(HUGEPAGES "/nr_hugepages", "we");
	if (file == NULL)
		return false;
	fprintf(file, "%lu", pages + HUGEPAGES_WANTED - free_pages);
	fclose(file);
	return read_number(HUGEPAGES "/free_hugepages") >= HUGEPAGES_WANTED;
}

/* The processor that EAL is to believe it has: one that this process may use. */
static int first_processor(void)
{
	cpu_set_t affinity;

	CPU_ZERO(&affinity);
	sched_getaffinity(0, sizeof(affinity), &affinity);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &affinity))
			return i;
	}
	return 0;
}

int dpdk_runtime_start_with(const char *run_dir, const char *const *devices, uint32_t count)
{
	char line[LINE_SIZE];
	bool pci = false, there = false;
	int size;

	for (uint32_t i = 0; i < count; i++) {
		pci |= pci_address_size(devices[i]) > 0;
		there |= pci_address_size(devices[i]) > 0 && is_there(devices[i]);
	}
	size = snprintf(line, sizeof(line), COMMON_ARGUMENTS " --lcores=0@%d %s%s",
			first_processor(),
			find_hugepages(there) ? "--in-memory" : "--no-huge --no-shconf -m 512",
			pci ? "" : " --no-pci");
	for (uint32_t i = 0; i < count; i++) {
		if (pci_address_size(devices[i]) > 0)
			size += snprintf(line + size, sizeof(line) - (size_t)size, " -a %s",
					 devices[i]);
		if (size >= (int)sizeof(line))
			return -E2BIG;
	}
	runtime.result = start(line, run_dir);
	runtime.tried = true;
	runtime.drivers = runtime.result == 0;
	return runtime.result;
}

void dpdk_runtime_why(char *text, size_t size)
{
	const char *function = strstr(runtime.first_line, "(): ");

	snprintf(text, size, "%s",
		 function == NULL ? runtime.first_line : function + strlen("(): "));
	runtime.first_line[0] = '\0';
}

void dpdk_runtime_thread_begin(void)
{
	if (runtime.drivers && rte_thread_register() < 0)
		log_warning("a worker is not known to DPDK: its devices will be slow");
}

void dpdk_runtime_thread_end(void)
{
	if (runtime.drivers)
		rte_thread_unregister();
}
