/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_DATAPATH_QUIET_H
#define VSWITCH_DATAPATH_QUIET_H

/*
 * How the main thread publishes a configuration and waits until no worker uses the former one:
 * QSBR of liburcu, told to ThreadSanitizer, which cannot see into that library. Called by the main
 * thread and by workers as said below.
 *
 * What ThreadSanitizer is told goes by two places, one from the main thread to the workers and one
 * back: by a single one it would take it that workers wait for each other, and miss what they do
 * at the same time.
 */

#include <urcu-qsbr.h>

#include "datapath/worker.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUIET_SANITIZED 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define QUIET_SANITIZED 1
#endif

#ifdef QUIET_SANITIZED
#include <sanitizer/tsan_interface.h>
#define quiet_acquire(place) __tsan_acquire(place)
#define quiet_release(place) __tsan_release(place)
#else
#define quiet_acquire(place) ((void)(place))
#define quiet_release(place) ((void)(place))
#endif

/* Main thread: workers use config from their next turn on. */
static inline void quiet_publish(struct worker_shared *shared, struct config *config)
{
	quiet_release(&shared->config);
	rcu_assign_pointer(shared->config, config);
}

/* Main thread: returns when no worker uses what was published before. */
static inline void quiet_wait(struct worker_shared *shared)
{
	synchronize_rcu();
	quiet_acquire(&shared->event_count);
}

/* Worker: what is published; valid until the worker says that it is quiet. */
static inline const struct config *quiet_config(struct worker_shared *shared)
{
	const struct config *config = rcu_dereference(shared->config);

	quiet_acquire(&shared->config);
	return config;
}

/* Worker: it uses nothing that was published, now … */
static inline void quiet_point(struct worker_shared *shared)
{
	quiet_release(&shared->event_count);
	rcu_quiescent_state();
}

/* … or until rcu_thread_online(). */
static inline void quiet_offline(struct worker_shared *shared)
{
	quiet_release(&shared->event_count);
	rcu_thread_offline();
}

#endif
