/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile_sent.h"

#include <stdlib.h>
#include <string.h>

#include "control/reconcile_internal.h"

static void reset_table(struct sent_table *table, bool keep);
static void drop_fdb(struct sent *sent);

struct sent *sent_new(void)
{
	return calloc(1, sizeof(struct sent));
}

void sent_free(struct sent *sent)
{
	size_t kind;

	if (sent == NULL)
		return;
	for (kind = 0; kind < SENT_KINDS; kind++) {
		reset_table(&sent->tables[kind], false);
		free(sent->tables[kind].objects);
		free(sent->tables[kind].dirty);
	}
	drop_fdb(sent);
	free(sent->forgotten);
	free(sent);
}

struct sent_object *sent_object(struct sent *sent, enum sent_kind kind, uint32_t index)
{
	struct sent_table *table = &sent->tables[kind];

	if (index >= table->capacity) {
		uint32_t capacity = table->capacity == 0 ? 64 : table->capacity;

		while (capacity <= index)
			capacity *= 2;
		table->objects = reconcile_grow(table->objects, capacity, sizeof(*table->objects));
		memset(table->objects + table->capacity, 0,
		       (capacity - table->capacity) * sizeof(*table->objects));
		table->capacity = capacity;
	}
	return &table->objects[index];
}

void sent_mark(struct sent *sent, enum sent_kind kind, uint32_t index)
{
	struct sent_table *table = &sent->tables[kind];
	struct sent_object *object = sent_object(sent, kind, index);

	if (object->dirty)
		return;
	object->dirty = true;
	if (table->dirty_count == table->dirty_capacity) {
		table->dirty_capacity = table->dirty_capacity == 0 ? 64 : table->dirty_capacity * 2;
		table->dirty =
			reconcile_grow(table->dirty, table->dirty_capacity, sizeof(*table->dirty));
	}
	table->dirty[table->dirty_count++] = index;
}

void sent_forget_entry(struct sent *sent, const struct proto_ref *segment,
		       const struct addr_mac *mac)
{
	struct sent_fdb_key *key;

	sent->forgotten = reconcile_grow(sent->forgotten, sent->forgotten_count + 1, sizeof(*key));
	key = &sent->forgotten[sent->forgotten_count++];
	memset(key, 0, sizeof(*key));
	key->segment = *segment;
	memcpy(key->mac, mac->bytes, sizeof(key->mac));
	sent->fdb_dirty = true;
}

void sent_drop_entry(struct sent *sent, struct sent_fdb *entry)
{
	HASH_DEL(sent->fdb, entry);
	free(entry);
}

bool sent_is_dirty(const struct sent *sent)
{
	size_t kind;

	for (kind = 0; kind < SENT_KINDS; kind++)
		if (sent->tables[kind].dirty_count > 0)
			return true;
	return sent->fdb_dirty || sent->host_dirty || sent->vtep_dirty;
}

void sent_reset(struct sent *sent, bool keep)
{
	size_t kind;

	for (kind = 0; kind < SENT_KINDS; kind++)
		reset_table(&sent->tables[kind], keep);
	drop_fdb(sent);
	sent->fdb_dirty = false;
	sent->host_dirty = false;
	sent->forgotten_sent = 0;
	sent->vtep_known = false;
	sent->vtep_dirty = false;
	if (!keep)
		sent->vtep_attachment = 0;
}

void sent_settle(struct sent *sent)
{
	size_t kind;
	uint32_t i;

	for (kind = 0; kind < SENT_KINDS; kind++) {
		struct sent_table *table = &sent->tables[kind];
		uint32_t left = 0;

		for (i = 0; i < table->dirty_count; i++) {
			struct sent_object *object = &table->objects[table->dirty[i]];

			object->dirty = object->again;
			object->again = false;
			if (object->dirty)
				table->dirty[left++] = table->dirty[i];
		}
		table->dirty_count = left;
	}
	sent->fdb_dirty = false;
	sent->host_dirty = false;
	sent->vtep_dirty = false;
}

void sent_confirm(struct sent *sent)
{
	uint32_t left = sent->forgotten_count - sent->forgotten_sent;

	if (left > 0)
		memmove(sent->forgotten, sent->forgotten + sent->forgotten_sent,
			left * sizeof(*sent->forgotten));
	sent->forgotten_count = left;
	sent->forgotten_sent = 0;
}

void sent_set_links(struct sent_object *object, struct sent_link *links, uint32_t count)
{
	free(object->links);
	object->links = links;
	object->link_count = count;
}

static void reset_table(struct sent_table *table, bool keep)
{
	uint32_t i;

	for (i = 0; i < table->capacity; i++) {
		struct sent_object *object = &table->objects[i];

		sent_set_links(object, NULL, 0);
		object->known = false;
		object->dirty = false;
		if (!keep)
			object->attachment = 0;
	}
	table->dirty_count = 0;
}

static void drop_fdb(struct sent *sent)
{
	struct sent_fdb *entry = sent->fdb, *next;

	HASH_CLEAR(hh, sent->fdb);
	for (; entry != NULL; entry = next) {
		next = entry->hh.next;
		free(entry);
	}
}
