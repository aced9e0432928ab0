/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define DEFAULT_USER "vswitch-datapath"
/* Ids that no package hands out to users; systemd takes its dynamic users from here. */
#define FREE_ID_FIRST 61184u
#define FREE_ID_COUNT 4336u

/* An id that nobody has, the same for the same directory, so that instances differ. */
static uid_t free_id(const char *seed)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *seed != '\0'; seed++)
		hash = (hash ^ (uint8_t)*seed) * 16777619u;
	for (uint32_t i = 0; i < FREE_ID_COUNT; i++) {
		uid_t id = FREE_ID_FIRST + (hash + i) % FREE_ID_COUNT;

		if (getpwuid(id) == NULL && getgrgid(id) == NULL)
			return id;
	}
	return FREE_ID_FIRST;
}

static int find_user(const char *name, const char *seed, uid_t *uid, gid_t *gid)
{
	const struct passwd *entry = getpwnam(name == NULL ? DEFAULT_USER : name);

	if (entry != NULL) {
		*uid = entry->pw_uid;
		*gid = entry->pw_gid;
		return 0;
	}
	if (name != NULL) {
		log_error("there is no user %s: create it or leave --user out", name);
		return -ENOENT;
	}
	*uid = free_id(seed);
	*gid = *uid;
	return 0;
}

/* Makes a directory in the present one that only the user can use. */
static int make_writable(const char *name, uid_t uid, gid_t gid)
{
	if ((mkdir(name, 0700) < 0 && errno != EEXIST) || lchown(name, uid, gid) < 0) {
		log_error("cannot make the directory %s: %s", name, strerror(errno));
		return -errno;
	}
	return 0;
}

static int drop_user(const char *root, const char *user, const char *writable)
{
	uid_t uid;
	gid_t gid;
	int error = find_user(user, root, &uid, &gid);

	if (error < 0)
		return error;
	if (chroot(root) < 0 || chdir("/") < 0) {
		log_error("cannot enter %s: %s", root, strerror(errno));
		return -errno;
	}
	if (writable != NULL) {
		error = make_writable(writable, uid, gid);
		if (error < 0)
			return error;
	}
	/* The bounding set first: to empty it takes a capability. */
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0) {
		log_error("cannot give up capabilities");
		return -EPERM;
	}
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0) {
		log_error("cannot become user %u: %s", uid, strerror(errno));
		return -errno;
	}
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE) {
		log_error("cannot give up capabilities");
		return -EPERM;
	}
	return 0;
}

int sandbox_enter(const char *root, const char *user, const char *writable)
{
	bool confined = geteuid() == 0;
	int error = confined ? drop_user(root, user, writable) : 0;

	if (error < 0)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		log_error("cannot forbid new privileges: %s", strerror(errno));
		return -errno;
	}
	return confined ? 1 : 0;
}
