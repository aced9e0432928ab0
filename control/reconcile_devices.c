/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of DPDK's devices. The datapath opens devices as it starts, as a file in the run directory
 * tells it, and reports of each. A port whose device it was told of is attached, or waits with what
 * was reported; one of which it was not told needs another datapath. A device is known by its
 * port's reference, so that a port whose device changes is another port (edit.c).
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "control/reconcile_internal.h"

#define FILE_NAME "devices"

/* What write_line() needs. */
struct writer {
	FILE *file;
	uint32_t count;
};

static int write_file(const struct reconcile *reconcile);
static int write_line(void *context, struct model_port *port);
static const struct model_port *device_port(const struct reconcile *reconcile, uint32_t index);
static struct proto_device *find_device(const struct reconcile *reconcile,
					const struct proto_ref *port);
static bool has_to_wait(const struct reconcile *reconcile, const struct model_port *port,
			char reason[MODEL_TEXT_SIZE]);

bool reconcile_lacks_dpdk(const struct reconcile *reconcile)
{
	return reconcile_is_connected(reconcile) &&
	       (reconcile->hello.flags & PROTO_HELLO_DPDK) == 0;
}

const char *reconcile_dpdk_waits(const struct reconcile *reconcile)
{
	enum datapath_link_state state = datapath_link_state(reconcile->datapath);

	if (reconcile_lacks_dpdk(reconcile))
		return RECONCILE_NO_DPDK;
	if (!reconcile->met || (state != DATAPATH_LINK_READY && state != DATAPATH_LINK_COMMITTED))
		return "no datapath is running";
	return NULL;
}

int reconcile_dpdk_check(const struct reconcile *reconcile, const struct model_port *port,
			 char text[MODEL_TEXT_SIZE])
{
	char name[2 * ADDR_NAME_SIZE + 8];

	if (!reconcile_lacks_dpdk(reconcile))
		return 0;
	snprintf(text, MODEL_TEXT_SIZE, "%s: " RECONCILE_NO_DPDK, reconcile_port_name(port, name));
	return -EOPNOTSUPP;
}

void reconcile_dpdk_queue(struct reconcile *reconcile)
{
	uint32_t i;

	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct model_port *port = model_port_by_index(reconcile->model, i);

		if (port != NULL &&
		    (port->type == MODEL_PORT_VHOST_USER || port->type == MODEL_PORT_DPDK))
			reconcile_port_queue(reconcile, i);
	}
	reconcile->devices_unasked = true;
}

void reconcile_devices_write(struct reconcile *reconcile)
{
	int error;

	if (!reconcile->devices_stale)
		return;
	error = write_file(reconcile);
	reconcile->devices_stale = error < 0;
	if (error < 0)
		reconcile_problem(reconcile->devices_problem,
				  "the file of devices in %.300s cannot be written: %s",
				  reconcile->run_dir, strerror(-error));
	else
		reconcile_problem(reconcile->devices_problem, NULL);
}

/* Never twice for the same: whatever keeps it from being reported, another start would not help. */
void reconcile_devices_ask(struct reconcile *reconcile)
{
	const uint32_t needed = PROTO_HELLO_DPDK | PROTO_HELLO_RESTARTS;
	uint32_t former = reconcile->restarted_for, i;

	if (!reconcile->devices_unasked || reconcile->devices_stale || !reconcile->met ||
	    datapath_link_state(reconcile->datapath) != DATAPATH_LINK_READY)
		return;
	reconcile->devices_unasked = false;
	if ((reconcile->hello.flags & needed) != needed)
		return;
	for (i = 0; i < reconcile->port_capacity; i++) {
		const struct model_port *port = device_port(reconcile, i);

		if (port != NULL && find_device(reconcile, &port->ref) == NULL &&
		    port->ref.incarnation > reconcile->restarted_for)
			reconcile->restarted_for = port->ref.incarnation;
	}
	if (reconcile->restarted_for == former)
		return;
	log_info("datapath %u is to start again, to open other devices", reconcile->hello.pid);
	datapath_link_send_empty(reconcile->datapath, PROTO_RESTART);
	datapath_link_flush(reconcile->datapath);
}

void reconcile_devices_forget(struct reconcile *reconcile)
{
	free(reconcile->devices);
	reconcile->devices = NULL;
	reconcile->device_count = 0;
}

/* The sentence is a stranger's: it goes into logs and JSON. */
void reconcile_device_reported(struct reconcile *reconcile, const struct proto_device *report)
{
	const struct model_port *port = device_port(reconcile, report->port.index);
	struct proto_device *device = find_device(reconcile, &report->port);
	char *c;

	if (port == NULL || port->ref.incarnation != report->port.incarnation)
		return;
	if (device == NULL) {
		reconcile->devices = reconcile_grow(reconcile->devices, reconcile->device_count + 1,
						    sizeof(*device));
		device = &reconcile->devices[reconcile->device_count++];
	}
	*device = *report;
	device->text[sizeof(device->text) - 1] = '\0';
	for (c = device->text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (!reconcile->met)
		return; /* all ports of DPDK are looked at when it is */
	reconcile_port_queue(reconcile, report->port.index);
	reconcile_schedule(reconcile);
}

void reconcile_device_work(struct reconcile *reconcile, struct reconcile_port *state,
			   const struct model_port *port)
{
	char former[MODEL_TEXT_SIZE];
	bool waits;

	memcpy(former, state->reason, sizeof(former));
	waits = has_to_wait(reconcile, port, state->reason);
	if (waits != (state->attachment == 0)) {
		state->attachment = waits ? 0 : ++reconcile->last_attachment;
		sent_mark(reconcile->sent, SENT_PORT, port->ref.index);
	}
	if (waits)
		reconcile_port_move(reconcile, state, RECONCILE_LIST_AWAY);
	reconcile_port_log(port, former, state->reason);
}

int reconcile_device_look(const struct reconcile *reconcile, const struct model_port *port,
			  char reason[MODEL_TEXT_SIZE])
{
	bool comes = reconcile_dpdk_waits(reconcile) == NULL &&
		     (reconcile->hello.flags & PROTO_HELLO_RESTARTS) != 0 &&
		     find_device(reconcile, &port->ref) == NULL;

	return comes || !has_to_wait(reconcile, port, reason) ? 0 : -EAGAIN;
}

void reconcile_device_lost(struct reconcile *reconcile, const struct proto_port_lost *lost)
{
	struct proto_device *device = find_device(reconcile, &lost->port);

	if (device == NULL || device->error != 0)
		return;
	device->error = ENODEV;
	snprintf(device->text, sizeof(device->text),
		 "its device is gone: restart vswitch-datapath when it is back");
	reconcile_port_queue(reconcile, lost->port.index);
}

/* Whole or not at all, and none when there are no devices. */
static int write_file(const struct reconcile *reconcile)
{
	struct writer writer = {.count = 0};
	char path[PATH_MAX], made[PATH_MAX];
	int fd, error = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/" FILE_NAME, reconcile->run_dir) >=
		    sizeof(path) ||
	    (size_t)snprintf(made, sizeof(made), "%s/" FILE_NAME ".new", reconcile->run_dir) >=
		    sizeof(made))
		return -ENAMETOOLONG;
	fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	writer.file = fdopen(fd, "w");
	if (writer.file == NULL) {
		close(fd);
		return -ENOMEM;
	}
	(void)model_each_port(reconcile->model, write_line, &writer);
	if (ferror(writer.file))
		error = -EIO;
	if (fclose(writer.file) != 0 && error == 0)
		error = -errno;
	if (error == 0 && writer.count > 0)
		return rename(made, path) < 0 ? -errno : 0;
	(void)unlink(made);
	if (error == 0 && unlink(path) < 0 && errno != ENOENT)
		error = -errno;
	return error;
}

static const struct model_port *device_port(const struct reconcile *reconcile, uint32_t index)
{
	const struct model_port *port = model_port_by_index(reconcile->model, index);

	return port != NULL && port->type == MODEL_PORT_DPDK ? port : NULL;
}

static int write_line(void *context, struct model_port *port)
{
	struct writer *writer = context;

	if (port->type != MODEL_PORT_DPDK)
		return 0;
	fprintf(writer->file, "%u %u %s\n", port->ref.index, port->ref.incarnation, port->device);
	writer->count++;
	return 0;
}

static struct proto_device *find_device(const struct reconcile *reconcile,
					const struct proto_ref *port)
{
	uint32_t i;

	for (i = 0; i < reconcile->device_count; i++)
		if (reconcile->devices[i].port.index == port->index &&
		    reconcile->devices[i].port.incarnation == port->incarnation)
			return &reconcile->devices[i];
	return NULL;
}

static bool has_to_wait(const struct reconcile *reconcile, const struct model_port *port,
			char reason[MODEL_TEXT_SIZE])
{
	const struct proto_device *device = find_device(reconcile, &port->ref);
	const char *waits = reconcile_dpdk_waits(reconcile);

	reason[0] = '\0';
	if (waits != NULL)
		snprintf(reason, MODEL_TEXT_SIZE, "%s", waits);
	else if (device == NULL)
		snprintf(reason, MODEL_TEXT_SIZE, "vswitch-datapath has to be restarted to open %s",
			 port->device);
	else if (device->error != 0)
		snprintf(reason, MODEL_TEXT_SIZE, "%s",
			 device->text[0] != '\0' ? device->text : strerror(device->error));
	return reason[0] != '\0';
}
