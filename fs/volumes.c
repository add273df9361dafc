#include "fs/volumes.h"

#include <stdio.h>
#include <string.h>

#include "fs/holders.h"
#include "fs/invalidate.h"
#include "fs/tmpfs.h"
#include "fs/uses.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/trash.h"

#define USES_NAMED_MAX 3
#define USE_ID_SHOWN 12

void volumes_mountpoint(const struct daemon *d, const char *name, bool tmpfs, char ret[PATH_MAX])
{
	if (tmpfs)
		tmpfs_path(d, name, ret);
	else
		(void)snprintf(ret, PATH_MAX, "%.*s/%s", PATH_MAX - VOLUME_NAME_MAX - 2, d->options.mount, name);
}

int volumes_clone(struct daemon *d, const char *volume, const char *snapshot, const char *name,
		  const struct volume_options *opts, struct volumes_made *ret, struct err *err)
{
	AUTO_INTENT intent = intent_begin(d, INTENT_NAME, NODE_ROOT, name);
	struct volumes_made made = {.cloned = true};
	struct volume_info v;
	int r = volume_get(d->store, volume, &v, err);

	if (r)
		return r;
	if (v.tmpfs && !*snapshot) {
		r = err_set(err, EINVAL, "%s is a tmpfs: only its snapshots can be cloned", volume);
		err_hint(err, "take one first: varve snapshot create %s", volume);
		return r;
	}
	if (!*snapshot)
		r = fence_run(d, &v.id, 1, &made.fence_us, err);
	if (!r)
		r = snapshot_clone(d->store, volume, snapshot, name, opts, &made.volume, &made.times, err);
	if (r)
		return r;
	invalidate_name(d, NODE_ROOT, name);
	*ret = made;
	return 0;
}

int volumes_create(struct daemon *d, const char *name, const struct volume_options *opts, struct volumes_made *ret,
		   struct err *err)
{
	struct volumes_made made = {0};
	struct volume_options rest = *opts;
	struct snapshot_name from;
	struct err ignored = {0};
	int r;

	if (opts->set & VOLUME_SET_FROM) {
		rest.set &= ~(unsigned)VOLUME_SET_FROM;
		r = snapshot_name_parse(opts->from, &from, err);
		return r ? r : volumes_clone(d, from.volume, from.snapshot, name, &rest, ret, err);
	}
	AUTO_INTENT intent = intent_begin(d, INTENT_NAME, NODE_ROOT, name);

	r = volume_create(d->store, name, opts, &made.volume, err);
	if (r)
		return r;
	r = made.volume.tmpfs ? tmpfs_ensure(d, &made.volume, err) : 0;
	if (r) {
		(void)volume_remove(d->store, name, VOLUME_REMOVE_FORCE | VOLUME_REMOVE_PURGE, &ignored);
		return r;
	}
	invalidate_name(d, NODE_ROOT, name);
	*ret = made;
	return 0;
}

/* -EBUSY when a container engine has it mounted: the ids are the engine's, the mounts say which containers. */
static int refuse_uses(struct daemon *d, const struct volume_info *v, const char *what_to_do, struct err *err)
{
	AUTO_FREE struct use *uses = NULL;
	char folder[PATH_MAX], who[ERR_TEXT_MAX / 2], ids[ERR_TEXT_MAX / 4] = "";
	size_t i, n = 0, at = 0;
	int r = uses_list(d->uses, v->id, &uses, &n);

	if (r)
		return err_set(err, -r, "who uses %s: %s", v->name, err_name(-r));
	if (!n)
		return 0;
	for (i = 0; i < n && i < USES_NAMED_MAX && at < sizeof ids; i++)
		at += (size_t)snprintf(ids + at, sizeof ids - at, "%s%.*s", i ? ", " : "", USE_ID_SHOWN, uses[i].id);
	volumes_mountpoint(d, v->name, v->tmpfs, folder);
	holders_of_mount(folder, who, sizeof who);
	r = err_set(err, EBUSY, "%s is mounted by %s (mount id%s %s%s)", v->name,
		    *who ? who : "a container engine, though in no process now", n > 1 ? "s" : "", ids,
		    n > USES_NAMED_MAX ? " and others" : "");
	err_hint(err, "%s", what_to_do);
	return r;
}

static int refuse_open_files(struct daemon *d, const struct volume_info *v, struct err *err)
{
	char folder[PATH_MAX], who[ERR_TEXT_MAX / 2];
	int r;

	if (v->tmpfs) {
		tmpfs_path(d, v->name, folder);
		holders_of_files(folder, who, sizeof who);
	} else {
		holders_of_volume(d, v->id, who, sizeof who);
	}
	if (!*who)
		return 0;
	r = err_set(err, EBUSY, "files of %s are open: %s", v->name, who);
	err_hint(err, "stop it, or: varve volume rm --force %s", v->name);
	return r;
}

int volumes_remove(struct daemon *d, const char *name, unsigned flags, struct volume_info *ret, struct err *err)
{
	const bool forced = flags & VOLUMES_FORCE;
	struct err why = {0};
	struct volume_info v;
	uint64_t us;
	int r;

	LOCK_SCOPE(&d->replace_lock);
	r = volume_get(d->store, name, &v, err);
	if (!r && !(flags & (VOLUMES_FORCE | VOLUMES_IGNORE_USES)))
		r = refuse_uses(d, &v, "remove the container first (docker rm), or remove with --force", err);
	if (!r && !forced)
		r = refuse_open_files(d, &v, err);
	if (r)
		return r;
	/* so that the trash has what is dirty in the kernel */
	if (forced && !v.tmpfs && fence_run(d, &v.id, 1, &us, &why))
		log_warn("removal of %s: what goes into the trash lacks something: %s", name, why.text);
	AUTO_INTENT intent = intent_begin(d, INTENT_NAME, NODE_ROOT, name);

	r = volume_remove(d->store, name,
			  (forced ? VOLUME_REMOVE_FORCE : 0) | (flags & VOLUMES_PURGE ? VOLUME_REMOVE_PURGE : 0), err);
	if (r == -EBUSY && v.open_writers && !forced)
		holders_name_writers(d, name, v.id, "stop it, or remove with --force", err);
	if (r)
		return r;
	if (v.tmpfs)
		tmpfs_drop(d, name);
	uses_forget(d->uses, v.id);
	/* all below it goes with it */
	invalidate_name(d, NODE_ROOT, name);
	*ret = v;
	return 0;
}

int volumes_undelete(struct daemon *d, const char *name, const char *new_name, struct volume_info *ret, struct err *err)
{
	AUTO_INTENT intent = intent_begin(d, INTENT_NAME, NODE_ROOT, new_name);
	int r = trash_undelete(d->store, name, new_name, ret, err);

	if (r)
		return r;
	invalidate_name(d, NODE_ROOT, ret->name);
	return ret->tmpfs ? tmpfs_ensure(d, ret, err) : 0;
}

void volumes_name_writers(struct daemon *d, const char *name, const char *what_to_do, struct err *err)
{
	struct volume_info v;

	if (!volume_get(d->store, name, &v, NULL))
		holders_name_writers(d, name, v.id, what_to_do, err);
}

int volumes_publish(struct daemon *d, const struct draft *draft, char ret_saved[VOLUME_NAME_MAX + 1],
		    struct volume_info *ret, struct err *err)
{
	struct err why = {0};
	struct volume_info before;
	uint64_t us;
	int r;

	LOCK_SCOPE(&d->replace_lock);
	AUTO_INTENT intent = draft->target && !volume_get(d->store, draft->name, &before, NULL)
				     ? intent_begin(d, INTENT_ROLLBACK, before.root_node, "")
				     : intent_begin(d, INTENT_NAME, NODE_ROOT, draft->name);

	/* what is dirty in the kernel belongs to the state that is kept */
	if (draft->target && fence_run(d, &draft->target, 1, &us, &why))
		log_warn("import into %s: the state before it lacks something: %s", draft->name, why.text);
	r = draft_publish(d->store, draft, ret_saved, ret, err);
	if (r == -EBUSY)
		volumes_name_writers(d, draft->name, "stop it first", err);
	if (r)
		return r;
	if (draft->target) {
		invalidate_rollback(d, ret->root_node, ret_saved);
		invalidate_snapshot(d, ret->root_node, ret_saved);
	} else {
		invalidate_name(d, NODE_ROOT, ret->name);
	}
	return 0;
}

int volumes_rename(struct daemon *d, const char *name, const char *new_name, struct err *err)
{
	struct volume_info v;
	int r;

	LOCK_SCOPE(&d->replace_lock);
	r = volume_get(d->store, name, &v, err);
	if (!r)
		r = refuse_uses(d, &v, "the engine knows it by that name: remove the container first", err);
	if (!r && v.tmpfs)
		r = err_set(err, EOPNOTSUPP, "%s is a tmpfs, which keeps its name", name);
	AUTO_INTENT from = intent_begin(d, INTENT_NAME, NODE_ROOT, name);
	AUTO_INTENT to = intent_begin(d, INTENT_NAME, NODE_ROOT, new_name);

	if (!r)
		r = volume_rename(d->store, name, new_name, err);
	if (r)
		return r;
	invalidate_name(d, NODE_ROOT, name);
	invalidate_name(d, NODE_ROOT, new_name);
	return 0;
}

int volumes_set(struct daemon *d, const char *name, const struct volume_options *opts, struct volume_info *ret,
		struct err *err)
{
	AUTO_INTENT intent = intent_begin(d, INTENT_NAME, NODE_ROOT, name);
	int r = volume_set(d->store, name, opts, err);

	if (!r)
		r = volume_get(d->store, name, ret, err);
	if (r)
		return r;
	/* uid, gid and mode are the root folder's */
	invalidate_name(d, NODE_ROOT, ret->name);
	invalidate_name(d, ret->root_node, ".snapshots");
	return ret->tmpfs ? tmpfs_adjust(d, ret, err) : 0;
}
