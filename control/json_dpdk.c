/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/pci.h"
#include "control/json_object.h"
#include "control/json_read.h"

static int refuse(const json_t *json, const char *key, const char *type, struct problem *problem);
static int read_socket(const json_t *json, struct model_port *values, struct problem *problem);
static bool is_socket_path(const char *text);
static int read_device(const json_t *json, struct model_port *values, struct problem *problem);
static bool is_device(const char *text);

int json_dpdk_read(const json_t *json, struct model_port *values, struct problem *problem)
{
	if (values->type == MODEL_PORT_VHOST_USER) {
		if (read_socket(json, values, problem) < 0)
			return -EINVAL;
	} else if (refuse(json, "socket", "vhost-user", problem) < 0 ||
		   refuse(json, "server", "vhost-user", problem) < 0) {
		return -EINVAL;
	}
	if (values->type == MODEL_PORT_DPDK)
		return read_device(json, values, problem);
	return refuse(json, "dev", "dpdk", problem);
}

void json_dpdk_write(json_t *json, const struct model_port *port)
{
	if (port->type == MODEL_PORT_VHOST_USER) {
		json_object_set_new(json, "socket", json_string(port->socket));
		json_object_set_new(json, "server", json_boolean(port->server));
	} else if (port->type == MODEL_PORT_DPDK) {
		json_object_set_new(json, "dev", json_string(port->device));
	}
}

static int refuse(const json_t *json, const char *key, const char *type, struct problem *problem)
{
	if (!json_read_has(json, key))
		return 0;
	return problem_set(problem, 400, "not-of-type", key, "%s is not of type %s: leave %s out",
			   problem->object, type, key);
}

static int read_socket(const json_t *json, struct model_port *values, struct problem *problem)
{
	const char *text = NULL;

	if (json_read_text(json, "socket", &text, problem) < 0 ||
	    json_read_bool(json, "server", &values->server, problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return problem_set(problem, 400, "missing", "socket",
				   "%s needs a socket: give the path where its hypervisor listens, "
				   "or where the switch shall",
				   problem->object);
	if (!is_socket_path(text))
		return problem_set(problem, 400, "bad-value", "socket",
				   "\"%.120s\" is no socket for %s: give a path from / of at most "
				   "%d characters, without //, . and .. in it",
				   text, problem->object, MODEL_SOCKET_SIZE - 1);
	memcpy(values->socket, text, strlen(text) + 1);
	return 0;
}

/* One socket has one name, as far as names tell: by them what is taken is found. */
static bool is_socket_path(const char *text)
{
	if (text[0] != '/' || strlen(text) >= MODEL_SOCKET_SIZE)
		return false;
	for (const char *part = text; *part != '\0';) {
		size_t size = strcspn(++part, "/");

		if (size == 0 || (size <= 2 && strspn(part, ".") >= size))
			return false;
		part += size;
	}
	for (; *text != '\0'; text++) {
		if (!isprint((unsigned char)*text))
			return false;
	}
	return true;
}

static int read_device(const json_t *json, struct model_port *values, struct problem *problem)
{
	const char *text = NULL;

	if (json_read_text(json, "dev", &text, problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return problem_set(problem, 400, "missing", "dev",
				   "%s needs a device: give dev, as in 0000:00:04.0 or "
				   "net_af_xdp0,iface=eth1",
				   problem->object);
	if (!is_device(text))
		return problem_set(
			problem, 400, "bad-value", "dev",
			"\"%.120s\" is no device for %s: give a PCI address as 0000:00:04.0, or a "
			"name, with arguments behind commas and without spaces, of at most %d "
			"characters",
			text, problem->object, MODEL_DEVICE_SIZE - 1);
	memcpy(values->device, text, strlen(text) + 1);
	return 0;
}

/*
 * It becomes a line of a file, and an argument of DPDK's, but no option of its own. What has a "="
 * before its arguments is no device to DPDK but a way to search for some.
 */
static bool is_device(const char *text)
{
	size_t name = pci_address_size(text);

	if (name == 0 && isalpha((unsigned char)text[0]))
		name = strcspn(text, ",=:");
	if (name == 0 || (text[name] != '\0' && text[name] != ',') ||
	    strlen(text) >= MODEL_DEVICE_SIZE)
		return false;
	for (; *text != '\0'; text++) {
		if (!isgraph((unsigned char)*text))
			return false;
	}
	return true;
}
