/* SPDX-License-Identifier: Apache-2.0 */
#include "control/release.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "control/links.h"
#include "control/namespaces.h"
#include "control/reconcile_internal.h"

static bool keep_no_link(void *context, const struct proto_ref *ref, int netns, const char *ifname);
static bool keep_no_adopted(void *context, int netns, const char *ifname);

int release_interfaces(const char *state_dir)
{
	struct namespaces *namespaces;
	struct links *links;
	struct stat status;
	uint64_t instance;
	int error;

	if (stat(state_dir, &status) < 0)
		return errno == ENOENT ? 0 : -errno; /* it never ran */
	error = reconcile_read_instance(state_dir, &instance);
	if (error < 0)
		return error;
	error = namespaces_new(&namespaces);
	if (error < 0)
		return error;
	error = links_new(&links, namespaces, instance);
	if (error == 0) {
		links_sweep(links, keep_no_link, keep_no_adopted, NULL);
		links_free(links);
	}
	namespaces_free(namespaces);
	return error;
}

static bool keep_no_link(void *context, const struct proto_ref *ref, int netns, const char *ifname)
{
	(void)context;
	(void)ref;
	(void)netns;
	(void)ifname;
	return false;
}

static bool keep_no_adopted(void *context, int netns, const char *ifname)
{
	(void)context;
	(void)netns;
	(void)ifname;
	return false;
}
