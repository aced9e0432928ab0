/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reaper.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/log.h"
#include "control/netlink.h"

/* As many as wait for a grace period together: it takes no longer for all than for one. */
#define THREADS_MAX 16

struct job {
	STAILQ_ENTRY(job) entry;
	struct nl_sock *socket; /* NULL: close fd */
	uint32_t group;
	int fd;
};

/* Everything from `mutex` to `threads` is under the mutex; the rest is set before a thread runs. */
struct reaper {
	pthread_mutex_t mutex;
	pthread_cond_t work;
	STAILQ_HEAD(, job) jobs;
	uint32_t idle;	    /* threads that wait for a job */
	uint32_t deletions; /* that are not done */
	bool ends;
	uint32_t thread_count;
	pthread_t threads[THREADS_MAX];

	int drained_fd; /* an eventfd: the last deletion is done */
	struct event *drained_event;
	void (*drained)(void *);
	void *context;
};

static void push(struct reaper *reaper, const struct job *values);
static bool find_thread(struct reaper *reaper);
static void *run_thread(void *context);
static void run_job(struct reaper *reaper, const struct job *job);
static void delete_group(struct nl_sock *socket, uint32_t group);
static void on_drained(evutil_socket_t fd, short what, void *context);

int reaper_new(struct reaper **reaper, struct event_base *base, void (*drained)(void *context),
	       void *context)
{
	struct reaper *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	pthread_mutex_init(&made->mutex, NULL);
	pthread_cond_init(&made->work, NULL);
	STAILQ_INIT(&made->jobs);
	made->drained = drained;
	made->context = context;
	made->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (made->drained_fd >= 0)
		made->drained_event =
			event_new(base, made->drained_fd, EV_READ | EV_PERSIST, on_drained, made);
	if (made->drained_event == NULL || event_add(made->drained_event, NULL) < 0) {
		reaper_free(made);
		return -ENOMEM;
	}
	*reaper = made;
	return 0;
}

void reaper_free(struct reaper *reaper)
{
	uint32_t i;

	if (reaper == NULL)
		return;
	pthread_mutex_lock(&reaper->mutex);
	reaper->ends = true;
	pthread_cond_broadcast(&reaper->work);
	pthread_mutex_unlock(&reaper->mutex);
	for (i = 0; i < reaper->thread_count; i++)
		pthread_join(reaper->threads[i], NULL);
	if (reaper->drained_event != NULL)
		event_free(reaper->drained_event);
	if (reaper->drained_fd >= 0)
		close(reaper->drained_fd);
	pthread_cond_destroy(&reaper->work);
	pthread_mutex_destroy(&reaper->mutex);
	free(reaper);
}

void reaper_close(struct reaper *reaper, int fd)
{
	push(reaper, &(struct job){.fd = fd});
}

void reaper_delete(struct reaper *reaper, struct nl_sock *socket, uint32_t group)
{
	pthread_mutex_lock(&reaper->mutex);
	reaper->deletions++;
	pthread_mutex_unlock(&reaper->mutex);
	push(reaper, &(struct job){.socket = socket, .group = group, .fd = -1});
}

bool reaper_deletes(struct reaper *reaper)
{
	bool deletes;

	pthread_mutex_lock(&reaper->mutex);
	deletes = reaper->deletions > 0;
	pthread_mutex_unlock(&reaper->mutex);
	return deletes;
}

/* What no thread can do, the caller does, and waits. */
static void push(struct reaper *reaper, const struct job *values)
{
	struct job *job = malloc(sizeof(*job));
	bool taken = false;

	if (job != NULL) {
		*job = *values;
		pthread_mutex_lock(&reaper->mutex);
		taken = find_thread(reaper);
		if (taken) {
			STAILQ_INSERT_TAIL(&reaper->jobs, job, entry);
			pthread_cond_signal(&reaper->work);
		}
		pthread_mutex_unlock(&reaper->mutex);
	}
	if (!taken) {
		run_job(reaper, values);
		free(job);
	}
}

/* Starts another thread if none is idle and there may be more. Returns whether there is any. */
static bool find_thread(struct reaper *reaper)
{
	sigset_t all, former;

	if (reaper->idle == 0 && reaper->thread_count < THREADS_MAX) {
		/* Signals are the event loop's. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &former);
		if (pthread_create(&reaper->threads[reaper->thread_count], NULL, run_thread,
				   reaper) == 0)
			reaper->thread_count++;
		pthread_sigmask(SIG_SETMASK, &former, NULL);
	}
	return reaper->thread_count > 0;
}

static void *run_thread(void *context)
{
	struct reaper *reaper = context;
	struct job *job;

	pthread_mutex_lock(&reaper->mutex);
	for (;;) {
		job = STAILQ_FIRST(&reaper->jobs);
		if (job != NULL) {
			STAILQ_REMOVE_HEAD(&reaper->jobs, entry);
			pthread_mutex_unlock(&reaper->mutex);
			run_job(reaper, job);
			free(job);
			pthread_mutex_lock(&reaper->mutex);
			continue;
		}
		if (reaper->ends)
			break;
		reaper->idle++;
		pthread_cond_wait(&reaper->work, &reaper->mutex);
		reaper->idle--;
	}
	pthread_mutex_unlock(&reaper->mutex);
	return NULL;
}

static void run_job(struct reaper *reaper, const struct job *job)
{
	if (job->socket == NULL) {
		close(job->fd);
		return;
	}
	delete_group(job->socket, job->group);
	nl_socket_free(job->socket);
	pthread_mutex_lock(&reaper->mutex);
	reaper->deletions--;
	if (reaper->deletions == 0)
		(void)eventfd_write(reaper->drained_fd, 1);
	pthread_mutex_unlock(&reaper->mutex);
}

static void delete_group(struct nl_sock *socket, uint32_t group)
{
	const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_DELLINK, 0);
	int error = -ENOMEM;

	if (message != NULL && nlmsg_append(message, (void *)&header, sizeof(header), 4) == 0 &&
	    nla_put_u32(message, IFLA_GROUP, group) == 0) {
		error = netlink_error(nl_send_sync(socket, message)); /* takes the message */
		message = NULL;
	}
	nlmsg_free(message);
	/* -ENODEV: they went with another interface or with their namespace. */
	if (error < 0 && error != -ENODEV)
		log_warning("interfaces of removed ports cannot be deleted: %s", strerror(-error));
}

static void on_drained(evutil_socket_t fd, short what, void *context)
{
	struct reaper *reaper = context;
	eventfd_t count;

	(void)what;
	if (eventfd_read(fd, &count) == 0)
		reaper->drained(reaper->context);
}
