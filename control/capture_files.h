/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_CONTROL_CAPTURE_FILES_H
#define VSWITCH_CONTROL_CAPTURE_FILES_H

/*
 * The files of pcap ports: below pcap/ in the state directory, and nowhere
 * else, reached through no symbolic link. Opened here, given to the datapath,
 * never read beyond their header. Called by reconcile on the control daemon's
 * one thread.
 *
 * A file has a name: components as names of objects are, '/' between.
 */

#include <stdbool.h>
#include <stddef.h>

#include "control/model.h"

struct capture_files;

/* Takes the state directory as its owner, and makes pcap/ in it. Returns 0 or a negative errno. */
int capture_files_new(struct capture_files **files, const char *state_dir);
void capture_files_free(struct capture_files *files);

/* Whether text is such a name. */
bool capture_files_valid(const char *text);
/*
 * Finds the name of a file that is given by its name, or by its absolute path. Returns 0, or
 * -EXDEV when it is not below the directory, or has no such name there.
 */
int capture_files_name(const struct capture_files *files, const char *text,
		       char name[MODEL_FILE_SIZE]);
/* Where the files are, an absolute path. */
const char *capture_files_directory(const struct capture_files *files);

/*
 * Opens a file to be replayed. Returns its descriptor, -ENOENT when it is not there, -ELOOP when a
 * symbolic link is in the way, -EINVAL when it is no regular file, what capture_check() says, or
 * another negative errno.
 */
int capture_files_open_replay(const struct capture_files *files, const char *name);

/*
 * Opens a file to be recorded to, behind what is there. anew: in place of what is there, which is
 * removed. Returns as above; -ENOENT: its directory is not there, -EEXIST: what is there is no
 * recording, and not anew.
 */
int capture_files_open_recording(const struct capture_files *files, const char *name, bool anew);

/* Whether a file of that name can be recorded to; nothing is made or opened. Returns as above. */
int capture_files_check_recording(const struct capture_files *files, const char *name);

/* Whether a descriptor that was handed back is what one of these two calls returns. */
bool capture_files_is_replay(const struct capture_files *files, const char *name, int fd);
bool capture_files_is_recording(const struct capture_files *files, const char *name, int fd);

/* Says what an error of these calls means for the file, without a full stop. Returns text. */
const char *capture_files_explain(const struct capture_files *files, const char *name, int error,
				  char *text, size_t size);

#endif
