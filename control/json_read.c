/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/rate.h"
#include "common/size.h"

static int read_integer(const json_t *object, const char *key, json_int_t min, json_int_t max,
			json_int_t *number, struct problem *problem);
static const json_t *member(const json_t *object, const char *key);
static int wrong_type(const char *key, const char *expected, struct problem *problem);

int json_read_keys(const json_t *object, const char *const *known, struct problem *problem)
{
	const char *key;
	json_t *value;
	bool found;

	if (!json_is_object(object))
		return problem_set(problem, 400, "bad-type", NULL, "%s must be a JSON object",
				   problem->object);
	json_object_foreach ((json_t *)object, key, value) {
		found = strcmp(key, "status") == 0;
		for (size_t i = 0; known[i] != NULL && !found; i++)
			found = strcmp(key, known[i]) == 0;
		if (!found)
			return problem_set(problem, 400, "unknown-key", key,
					   "%s has no attribute \"%.64s\": leave it out",
					   problem->object, key);
	}
	return 0;
}

int json_read_rate(const json_t *object, const char *key, uint64_t *rate, struct problem *problem)
{
	const json_t *value = member(object, key);

	if (value == NULL)
		return 0;
	if (!json_is_string(value))
		return wrong_type(key, "a rate in quotes, such as \"10mbit\" or \"none\"", problem);
	switch (rate_parse(json_string_value(value), rate)) {
	case 0:
		return 0;
	case -ERANGE:
		return problem_set(
			problem, 400, "bad-value", key,
			"rate \"%.40s\" for %s of %s is out of range: give 8bit to 1tbit, "
			"or none",
			json_string_value(value), key, problem->object);
	default:
		return problem_set(
			problem, 400, "bad-value", key,
			"\"%.40s\" for %s of %s is no rate: write it as 10mbit, 1.5gbit or "
			"none",
			json_string_value(value), key, problem->object);
	}
}

int json_read_size(const json_t *object, const char *key, uint64_t *octets, struct problem *problem)
{
	const json_t *value = member(object, key);

	if (value == NULL)
		return 0;
	if (!json_is_string(value))
		return wrong_type(key, "a size in quotes, such as \"64kb\" or \"none\"", problem);
	switch (size_parse(json_string_value(value), octets)) {
	case 0:
		return 0;
	case -ERANGE:
		return problem_set(
			problem, 400, "bad-value", key,
			"size \"%.40s\" for %s of %s is out of range: give 1b to 4294967295b, or "
			"none for the default",
			json_string_value(value), key, problem->object);
	default:
		return problem_set(
			problem, 400, "bad-value", key,
			"\"%.40s\" for %s of %s is no size: write it as 1500b, 64kb, 1mb "
			"or none",
			json_string_value(value), key, problem->object);
	}
}

int json_read_number(const json_t *object, const char *key, uint32_t min, uint32_t max,
		     uint32_t *number, struct problem *problem)
{
	json_int_t read = *number;

	if (read_integer(object, key, min, max, &read, problem) < 0)
		return -EINVAL;
	*number = (uint32_t)read;
	return 0;
}

int json_read_signed(const json_t *object, const char *key, int32_t min, int32_t max,
		     int32_t *number, struct problem *problem)
{
	json_int_t read = *number;

	if (read_integer(object, key, min, max, &read, problem) < 0)
		return -EINVAL;
	*number = (int32_t)read;
	return 0;
}

int json_read_bool(const json_t *object, const char *key, bool *value, struct problem *problem)
{
	const json_t *found = member(object, key);

	if (found == NULL)
		return 0;
	if (!json_is_boolean(found))
		return wrong_type(key, "true or false", problem);
	*value = json_is_true(found);
	return 0;
}

int json_read_text(const json_t *object, const char *key, const char **text,
		   struct problem *problem)
{
	const json_t *value = member(object, key);

	if (value == NULL)
		return 0;
	if (!json_is_string(value))
		return wrong_type(key, "a text", problem);
	*text = json_string_value(value);
	return 0;
}

int json_read_mac(const json_t *object, const char *key, struct addr_mac *mac, bool *given,
		  struct problem *problem)
{
	struct addr_mac parsed;
	const char *text = NULL;

	if (json_read_text(object, key, &text, problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return 0;
	if (addr_mac_parse(text, &parsed) < 0)
		return problem_set(problem, 400, "bad-value", key,
				   "\"%.40s\" for %s of %s is no MAC address: write it as "
				   "02:00:00:00:00:01",
				   text, key, problem->object);
	if (!addr_mac_is_unicast(&parsed))
		return problem_set(problem, 400, "bad-value", key,
				   "MAC address %s of %s is not a unicast address: make its first "
				   "octet even and not all of it zero",
				   text, problem->object);
	*mac = parsed;
	*given = true;
	return 0;
}

int json_read_ip(const json_t *object, const char *key, struct proto_addr *addr,
		 struct problem *problem)
{
	struct proto_addr parsed;
	const char *text = NULL;

	if (json_read_text(object, key, &text, problem) < 0)
		return -EINVAL;
	if (text == NULL)
		return 0;
	if (addr_ip_parse(text, &parsed) < 0)
		return problem_set(
			problem, 400, "bad-value", key,
			"\"%.60s\" for %s of %s is no IP address: write it as 10.0.0.1 or "
			"fd00::1",
			text, key, problem->object);
	if (!json_read_is_unicast(&parsed))
		return problem_set(
			problem, 400, "bad-value", key,
			"%s for %s of %s is not a unicast address: give one host's address", text,
			key, problem->object);
	*addr = parsed;
	return 0;
}

int json_read_texts(const json_t *object, const char *key, uint32_t max, const char ***texts,
		    uint32_t *count, struct problem *problem)
{
	const json_t *value = member(object, key);
	size_t size = json_is_array(value) ? json_array_size(value) : 1;
	const char **list;

	if (value == NULL)
		return 0;
	if (size > max)
		return problem_set(problem, 400, "bad-value", key,
				   "%s of %s has %zu items: give at most %u", key, problem->object,
				   size, max);
	list = calloc(size + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		list[i] =
			json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
		if (list[i] == NULL) {
			free(list);
			return wrong_type(key, "a list of texts", problem);
		}
	}
	*texts = list;
	*count = (uint32_t)size;
	return 0;
}

bool json_read_has(const json_t *object, const char *key)
{
	return member(object, key) != NULL;
}

int json_read_name(const char *kind, const char *name, struct problem *problem)
{
	if (addr_name_valid(name))
		return 0;
	problem_object(problem, "%s %.80s", kind, name);
	return problem_set(
		problem, 400, "bad-name", NULL,
		"\"%.80s\" is no name for a %s: use 1 to 63 letters, digits, '.', '_' and "
		"'-', the first a letter or a digit",
		name, kind);
}

bool json_read_split(const char *text, char tenant[ADDR_NAME_SIZE], char name[ADDR_NAME_SIZE])
{
	const char *slash = strchr(text, '/');
	size_t size;

	if (slash == NULL)
		return false;
	size = (size_t)(slash - text);
	if (size >= ADDR_NAME_SIZE || strlen(slash + 1) >= ADDR_NAME_SIZE)
		return false;
	memcpy(tenant, text, size);
	tenant[size] = '\0';
	strcpy(name, slash + 1);
	return true;
}

bool json_read_is_unicast(const struct proto_addr *addr)
{
	static const uint8_t nothing[16];

	if (addr->family == AF_INET)
		return addr->bytes[0] != 0 && addr->bytes[0] < 224;
	return addr->bytes[0] != 0xff && memcmp(addr->bytes, nothing, 16) != 0;
}

bool json_read_is_host(const struct proto_addr *addr, const struct addr_prefix *prefix)
{
	static const uint8_t loopback[16] = {[15] = 1};
	uint32_t host, mask;

	if (!json_read_is_unicast(addr))
		return false;
	if (addr->family != AF_INET)
		return memcmp(addr->bytes, loopback, sizeof(loopback)) != 0;
	if (addr->bytes[0] == 127)
		return false;
	/* RFC 3021: a prefix of 31 bits has two hosts and nothing else. */
	if (prefix->length >= 31)
		return true;
	mask = UINT32_MAX >> prefix->length;
	memcpy(&host, addr->bytes, sizeof(host));
	host = ntohl(host) & mask;
	return host != 0 && host != mask;
}

int json_read_merge(json_t *object, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)patch, key, value) {
		if (json_is_null(value))
			json_object_del(object, key);
		else if (json_object_set(object, key, value) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_integer(const json_t *object, const char *key, json_int_t min, json_int_t max,
			json_int_t *number, struct problem *problem)
{
	const json_t *value = member(object, key);

	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return wrong_type(key, "a whole number", problem);
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return problem_set(problem, 400, "bad-value", key,
				   "%s %lld of %s is out of range: give %lld to %lld", key,
				   (long long)json_integer_value(value), problem->object,
				   (long long)min, (long long)max);
	*number = json_integer_value(value);
	return 0;
}

static const json_t *member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

static int wrong_type(const char *key, const char *expected, struct problem *problem)
{
	return problem_set(problem, 400, "bad-type", key, "%s of %s must be %s", key,
			   problem->object, expected);
}
