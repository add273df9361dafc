#include "tests/model/quotas.h"

#include <inttypes.h>

#include "tests/model/namespace.h"

static void get_info(struct run *r, int vi, struct volume_info *ret)
{
	struct err err = {0};

	run_want_err(r, "volume_get", volume_get(r->store, r->state.v[vi]->name, ret, &err), 0, &err);
}

static void set_quota(struct run *r, int vi, int64_t bytes, int64_t inodes)
{
	const struct volume_options opts = {.set = VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES, .quota_bytes = bytes, .quota_inodes = inodes};
	struct err err = {0};

	run_want_err(r, "volume_set", volume_set(r->store, r->state.v[vi]->name, &opts, &err), 0, &err);
}

bool quotas_inodes(struct run *r)
{
	int vi = run_volume(r);
	const struct minode *dir;
	struct volume_info info;
	struct ns_statfs st;
	struct op op = run_op(r);
	struct attr attr;
	uint64_t node;
	unsigned name = 0;

	if (vi < 0 || r->state.v[vi]->tree->n + 1 >= RUN_INODES_MAX)
		return false;
	dir = run_pick(r, r->state.v[vi]->tree, PICK_DIR);
	node = run_node(r, vi, dir);
	while (name < WORDS_NAMES && minode_entry(dir, name))
		name++;
	if (name >= WORDS_NAMES)
		return false;
	get_info(r, vi, &info);
	run_log(r, "quota of %s: %" PRId64 " inodes", r->state.v[vi]->name, info.inodes + 1);
	set_quota(r, vi, 0, info.inodes + 1);
	namespace_create_at(r, vi, dir->ino, name, S_IFREG);
	run_want(r, "ns_create beyond the quota", ns_create(r->store, &op, node, "beyond", S_IFREG | 0600, 0, NULL, &attr), -EDQUOT);
	run_want(r, "ns_statfs", ns_statfs(r->store, node, &st), 0);
	if (st.total_inodes != (uint64_t)info.inodes + 1 || st.free_inodes)
		run_fail(r, "statfs says %" PRIu64 " of %" PRIu64 " inodes are free", st.free_inodes, st.total_inodes);
	set_quota(r, vi, 0, 0);
	run_synced_file(r, 0, 0);
	return true;
}

static void write_at_quota(struct run *r, int vi, uint64_t ino, size_t len)
{
	struct minode *m = mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
	uint64_t node = run_node(r, vi, m);
	struct op op = run_op(r);
	int64_t since = run_now();

	run_want(r, "file_write beyond the quota", file_write(r->store, &op, node, r->want, len, m->size, 0, false), -EDQUOT);
	run_want(r, "file_write over what is there", file_write(r->store, &op, node, r->want, len, m->size - (int64_t)len, 0, false), 0);
	content_write(&m->content, m->size - (int64_t)len, r->want, len);
	run_adopt(r, vi, ino, TIME_M | TIME_C, since);
	run_step(r);
}

/* A full volume: what is there can be written over, nothing can be added, anything can be removed. */
bool quotas_bytes(struct run *r)
{
	int vi = run_volume(r);
	const struct minode *m;
	struct volume_info info;
	size_t len;

	if (vi < 0)
		return false;
	m = run_pick(r, r->state.v[vi]->tree, PICK_FILE);
	if (!m || !m->size || m->size >= (int64_t)(FILE_SIZE_MAX - RUN_IO_MAX))
		return false;
	len = 1 + rng_below(&r->rng, (uint64_t)m->size < 10000 ? (uint64_t)m->size : 10000);
	pattern_fill(r->pattern, &r->rng, r->want, len);
	run_want(r, "store_commit", store_commit(r->store), 0);
	run_synced(r);
	get_info(r, vi, &info);
	run_log(r, "quota of %s: %" PRId64 " bytes; write %zu to inode %" PRIu64, r->state.v[vi]->name, info.bytes, len, m->ino);
	set_quota(r, vi, info.bytes, 0);
	write_at_quota(r, vi, m->ino, len);
	set_quota(r, vi, 0, 0);
	run_synced_file(r, 0, 0);
	return true;
}
