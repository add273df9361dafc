#include "fs/intent.h"

#include <stdio.h>
#include <string.h>

#include "fs/daemon.h"
#include "fs/invalidate.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/snapshot.h"

#define INTENT_BUSY UINT32_MAX

struct intent *intent_begin(struct daemon *d, enum intent_kind kind, uint64_t node, const char *name)
{
	unsigned i;

	for (i = 0; i < INTENTS_MAX; i++) {
		struct intent *it = &d->handover.state->intents[i];
		uint32_t none = INTENT_NONE;

		if (!atomic_compare_exchange_strong(&it->kind, &none, INTENT_BUSY))
			continue;
		it->node = node;
		(void)snprintf(it->name, sizeof it->name, "%s", name);
		atomic_store(&it->kind, kind);
		return it;
	}
	return NULL;
}

void intent_end(struct intent *i)
{
	if (i)
		atomic_store(&i->kind, INTENT_NONE);
}

/* A rollback saves the state before it under the newest of the automatic names; when it did not come so far, this tells
 * what the kernel knows already. */
static void redo_rollback(struct daemon *d, const struct volume_info *v, const struct snapshot_info *s, size_t n)
{
	while (n > 0 && !s[n - 1].automatic)
		n--;
	if (n)
		invalidate_rollback(d, v->root_node, s[n - 1].name);
}

/* The volume's snapshots may have come, gone, or taken the volume's place. */
static void redo_volume(struct daemon *d, enum intent_kind kind, const struct volume_info *v)
{
	AUTO_FREE struct snapshot_info *s = NULL;
	struct err err = {0};
	size_t i, n = 0;

	if (snapshot_list(d->store, v->name, &s, &n, &err)) {
		log_warn("telling the kernel of what changed in %s: %s", v->name, err.text);
		return;
	}
	if (kind == INTENT_ROLLBACK)
		redo_rollback(d, v, s, n);
	for (i = 0; i < n; i++)
		invalidate_snapshot(d, v->root_node, s[i].name);
}

/* A volume that is not there any more has no names to tell. */
static void redo_volumes(struct daemon *d, enum intent_kind kind, uint64_t root)
{
	AUTO_FREE struct volume_info *v = NULL;
	struct err err = {0};
	size_t i, n = 0;

	if (volume_list(d->store, &v, &n, &err))
		log_warn("telling the kernel of what changed: %s", err.text);
	for (i = 0; i < n; i++)
		if (!root || v[i].root_node == root)
			redo_volume(d, kind, &v[i]);
}

void intent_redo(struct daemon *d)
{
	unsigned i, redone = 0;

	for (i = 0; i < INTENTS_MAX; i++) {
		struct intent *it = &d->handover.state->intents[i];
		uint32_t kind = atomic_load(&it->kind);

		if (kind == INTENT_NONE)
			continue;
		if (kind == INTENT_NAME)
			invalidate_name(d, it->node, it->name);
		else if (kind == INTENT_SNAPSHOT && *it->name)
			invalidate_snapshot(d, it->node, it->name);
		else if (kind != INTENT_BUSY)
			redo_volumes(d, (enum intent_kind)kind, it->node);
		intent_end(it);
		redone++;
	}
	if (redone)
		log_info("the kernel is told of %u changes that were under way", redone);
}
