/* Versions against a naive model: random changes of inodes, entries, xattrs and extents over several branches, with
 * snapshots, forks, dropped views, reaping, purging and flattening in between. The model keeps a full copy of every
 * view.
 *
 * test_versions_model [SEED [OPS]], or SEED and OPS in the environment; the seed is printed. */
#include "tests/unit/meta/versions_model.h"

/* --- changes of the namespace --- */

static struct slot *find_ino(struct world *w, uint64_t ino)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].ino == ino)
			return &w->slot[i];
	fail();
	return NULL;
}

static struct slot *pick(struct world *w, bool dir)
{
	for (int tries = 0; tries < 8; tries++) {
		struct slot *s = &w->slot[rnd(SLOTS)];

		if (s->ino && dir == (bool)S_ISDIR(s->mode))
			return s;
	}
	return NULL;
}

static void put_inode(struct branch *b, struct inode *inode, const struct slot *s)
{
	inode->mode = s->mode;
	inode->uid = s->uid;
	inode->nlink = s->nlink;
	OK(inode_put(fix.m, b, inode));
	assert_int_equal(inode->row_branch, b->id);
	assert_int_equal(inode->alloc, alloc_of(s));
}

static struct inode get_inode(struct branch *b, const struct slot *s)
{
	struct meta_view head = {b, META_HEAD};
	struct inode inode;

	OK(inode_get(fix.m, &head, s->ino, &inode));
	return inode;
}

static void update_inode(struct branch *b, const struct slot *s)
{
	struct inode inode = get_inode(b, s);

	put_inode(b, &inode, s);
}

static void new_slot(struct branch *b, struct slot *s, bool dir)
{
	struct inode inode = {.inherit = INHERIT_ALL};

	memset(s, 0, sizeof *s);
	s->ino = inode.ino = meta_next_ino(fix.m);
	s->mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644;
	s->uid = (uint32_t)rnd(1000);
	s->nlink = 1;
	for (int i = 0; i < XATTRS; i++)
		s->xattr[i] = -1;
	put_inode(b, &inode, s);
}

static void set_entry(struct branch *b, struct slot *dir, int i, uint64_t ino)
{
	struct meta_view head = {b, META_HEAD};
	struct dirent_row row;
	char name[16];
	int ret;

	name_of(i, name);
	ret = dirent_get(fix.m, &head, dir->ino, name, strlen(name), &row);
	assert_int_equal(ret, dir->entry[i] ? 0 : -ENOENT);
	if (ret) {
		memset(&row, 0, sizeof row);
		row.parent = dir->ino;
		row.hash = dirent_hash(fix.m, name, strlen(name));
		row.name_len = (uint8_t)strlen(name);
		memcpy(row.name, name, row.name_len);
	}
	row.ino = ino;
	row.type = (uint8_t)rnd(10);
	if (ino)
		OK(dirent_put(fix.m, b, &row));
	else if (!ret)
		OK(dirent_delete(fix.m, b, &row));
	dir->entry[i] = ino;
}

static void destroy(struct branch *b, struct slot *s)
{
	struct inode inode = get_inode(b, s);

	OK(inode_delete(fix.m, b, &inode));
	OK(extent_purge(fix.m, b, s->ino, true));
	gone[rnd(GONE)] = s->ino;
	s->ino = 0;
}

static bool is_empty(const struct slot *dir)
{
	for (int i = 0; i < NAMES; i++)
		if (dir->entry[i])
			return false;
	return true;
}

static void drop_link(struct branch *b, struct slot *s)
{
	s->nlink--;
	if (s->nlink || rnd(3) == 0)
		update_inode(b, s);
	else
		destroy(b, s);
}

static void op_create(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s = &w->slot[rnd(SLOTS)];
	int i = (int)rnd(NAMES);

	if (!dir || s->ino || dir->entry[i])
		return;
	new_slot(b, s, rnd(4) == 0);
	set_entry(b, dir, i, s->ino);
}

static void op_unlink(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s;
	int i = (int)rnd(NAMES);

	if (!dir || !dir->entry[i])
		return;
	s = find_ino(w, dir->entry[i]);
	if (S_ISDIR(s->mode) && !is_empty(s))
		return;
	set_entry(b, dir, i, 0);
	drop_link(b, s);
}

static void op_link(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s = pick(w, false);
	int i = (int)rnd(NAMES);

	if (!dir || !s || dir->entry[i] || !s->nlink)
		return;
	s->nlink++;
	update_inode(b, s);
	set_entry(b, dir, i, s->ino);
}

/* Files only: a directory could end up below itself. */
static void op_rename(struct branch *b, struct world *w)
{
	struct slot *from = pick(w, true), *to = pick(w, true), *s, *over = NULL;
	int i = (int)rnd(NAMES), k = (int)rnd(NAMES);

	if (!from || !to || !from->entry[i] || to->entry[k] == from->entry[i])
		return;
	s = find_ino(w, from->entry[i]);
	if (to->entry[k])
		over = find_ino(w, to->entry[k]);
	if (S_ISDIR(s->mode) || (over && S_ISDIR(over->mode)))
		return;
	set_entry(b, to, k, s->ino);
	set_entry(b, from, i, 0);
	if (over)
		drop_link(b, over);
}

static void op_forget(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);

	if (s && !s->nlink)
		destroy(b, s);
}

static void op_xattr(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, rnd(4) == 0);
	uint8_t value[256];
	int i = (int)rnd(XATTRS), len = (int)rnd(200);
	char name[16];

	if (!s)
		return;
	xattr_name(i, name);
	memset(value, len, sizeof value);
	if (rnd(3) == 0) {
		assert_int_equal(xattr_delete(fix.m, b, s->ino, name), s->xattr[i] < 0 ? -ENODATA : 0);
		s->xattr[i] = -1;
		return;
	}
	assert_int_equal(xattr_set(fix.m, b, s->ino, name, value, 1,
				   s->xattr[i] < 0 ? XATTR_SET_REPLACE : XATTR_SET_CREATE),
			 s->xattr[i] < 0 ? -ENODATA : -EEXIST);
	OK(xattr_set(fix.m, b, s->ino, name, value, (size_t)len, 0));
	s->xattr[i] = len;
}

/* --- changes of contents --- */

static void op_write(struct branch *b, struct world *w)
{
	struct extent pieces[BLOCKS];
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = (int)rnd(BLOCKS), hi = lo + 1 + (int)rnd(rnd(3) ? 4 : (uint64_t)(BLOCKS - lo));
	uint32_t choff;
	size_t n = 0;

	if (!s)
		return;
	inode = get_inode(b, s);
	hi = hi > BLOCKS ? BLOCKS : hi;
	for (int at = lo; at < hi; n++) {
		int len = 1 + (int)rnd(rnd(2) ? 8 : 2);

		len = len > hi - at ? hi - at : len;
		pieces[n] = (struct extent){at * (int64_t)BLOCK, len * (int64_t)BLOCK, 0, 0};
		if (rnd(8)) {
			pieces[n].chunk = chunks[rnd(CHUNKS)];
			pieces[n].choff = (uint32_t)rnd(1000);
		}
		choff = pieces[n].choff;
		for (uint32_t i = 0; i < (uint32_t)len; i++)
			s->block[at + (int)i] = pieces[n].chunk ? (struct block){pieces[n].chunk, choff + i * (uint32_t)BLOCK}
								: (struct block){0};
		at += len;
	}
	OK(extent_write(fix.m, b, &inode, lo * (int64_t)BLOCK, (hi - lo) * (int64_t)BLOCK, pieces, n));
	put_inode(b, &inode, s);
}

static void op_punch(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = (int)rnd(BLOCKS), hi = lo + 1 + (int)rnd((uint64_t)(BLOCKS - lo));
	int64_t at = lo * (int64_t)BLOCK, stop = hi * (int64_t)BLOCK;

	if (!s)
		return;
	inode = get_inode(b, s);
	while (at < stop) {
		int64_t next;

		OK(extent_punch(fix.m, b, &inode, at, stop, 1 + (unsigned)rnd(40), &next));
		assert_true(next > at && next <= stop);
		at = next;
	}
	memset(&s->block[lo], 0, (size_t)(hi - lo) * sizeof *s->block);
	put_inode(b, &inode, s);
}

static void op_truncate(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = rnd(3) ? (int)rnd(BLOCKS) : 0;
	bool done = false;

	if (!s)
		return;
	inode = get_inode(b, s);
	while (!done)
		OK(extent_truncate(fix.m, b, &inode, lo * (int64_t)BLOCK, 1 + (unsigned)rnd(20), &done));
	memset(&s->block[lo], 0, (size_t)(BLOCKS - lo) * sizeof *s->block);
	put_inode(b, &inode, s);
}

static void op_chmod(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, rnd(3) == 0);

	if (!s)
		return;
	s->uid = (uint32_t)rnd(1000);
	update_inode(b, s);
}

static void change(void)
{
	static void (*const ops[])(struct branch *, struct world *) = {
		op_create, op_create, op_create, op_unlink, op_unlink, op_link,  op_rename,   op_forget, op_xattr,
		op_xattr,  op_chmod,  op_write,  op_write,  op_write,  op_punch, op_truncate,
	};
	struct line *l = any_head();
	unsigned n = 1 + (unsigned)rnd(3);

	saved = l->w;
	OK(meta_op_begin(fix.m));
	while (n-- > 0)
		ops[rnd(sizeof ops / sizeof *ops)](branch_of(l->id), &l->w);
	did.changes++;
	if (rnd(10)) {
		end();
	} else {
		did.aborts++;
		meta_op_abort(fix.m);
		assert_false(meta_lost(fix.m));
		l->w = saved;
	}
}

/* --- views --- */

static bool snapshot_of(const struct line *l)
{
	struct snap *s = &snaps[rnd(SNAPSHOTS_MAX)];
	struct snapshot_row row = {.volume = 1};

	if (s->id)
		return false;
	OK(meta_op_begin(fix.m));
	OK(meta_epoch_advance(fix.m, &s->epoch));
	s->id = row.id = meta_next_id(fix.m);
	s->branch = row.branch = l->id;
	row.epoch = s->epoch;
	(void)snprintf(row.name, sizeof row.name, "s%lld", (long long)row.id);
	OK(snapshot_put(fix.m, &row));
	s->w = l->w;
	did.snapshots++;
	end();
	return true;
}

static void snapshot_drop(struct snap *s)
{
	if (!s->id)
		return;
	OK(meta_op_begin(fix.m));
	OK(snapshot_delete(fix.m, s->id));
	OK(reap_drop_view(fix.m, branch_of(s->branch), s->epoch));
	s->id = 0;
	end();
}

/* From the deepest of a few snapshots, so that lineages grow. */
static void fork_view(void)
{
	struct line *l = &lines[rnd(BRANCHES_MAX)];
	struct snap *s = NULL;
	struct meta_view v;
	struct branch *b;

	for (int i = 0; i < 4; i++) {
		struct snap *t = &snaps[rnd(SNAPSHOTS_MAX)];

		if (t->id && (!s || branch_depth(branch_of(t->branch)) > branch_depth(branch_of(s->branch))))
			s = t;
	}
	if (l->id || !s)
		return;
	v = (struct meta_view){branch_of(s->branch), s->epoch};
	OK(meta_op_begin(fix.m));
	OK(branch_create(fix.m, &v, 0, 0, &b));
	OK(branch_set_head(fix.m, b, true));
	memset(l, 0, sizeof *l);
	l->id = b->id;
	l->head = true;
	l->w = s->w;
	did.forks++;
	if (branch_depth(b) > did.depth_max)
		did.depth_max = branch_depth(b);
	end();
}

static void head_drop(struct line *l)
{
	if (!l->head)
		return;
	OK(meta_op_begin(fix.m));
	OK(reap_drop_view(fix.m, branch_of(l->id), META_HEAD));
	l->head = false;
	did.head_drops++;
	end();
}

/* As a rollback does it: the state is kept as a snapshot, and no view is dropped. */
static void head_retire(struct line *l)
{
	if (!l->head || !snapshot_of(l))
		return;
	OK(meta_op_begin(fix.m));
	OK(branch_set_head(fix.m, branch_of(l->id), false));
	l->head = false;
	did.head_drops++;
	end();
}

static int heads(void)
{
	int n = 0;

	for (int i = 0; i < BRANCHES_MAX; i++)
		n += lines[i].head;
	return n;
}

/* --- background work --- */

static void forget_dead(void)
{
	for (int i = 0; i < BRANCHES_MAX; i++)
		if (lines[i].id && !branch_get(fix.m, lines[i].id))
			lines[i].id = 0;
}

static bool reap(void)
{
	struct reap_task t;
	unsigned rows;
	int ret = reap_first(fix.m, &t);

	assert_true(ret >= 0);
	if (ret)
		return false;
	OK(meta_op_begin(fix.m));
	OK(reap_slice(fix.m, &t, 1 + (unsigned)rnd(30), &rows));
	end();
	did.reaped_rows += rows;
	forget_dead();
	return true;
}

static bool purge(void)
{
	unsigned rows;

	OK(meta_op_begin(fix.m));
	OK(extent_purge_slice(fix.m, 1 + (unsigned)rnd(10), &rows));
	end();
	did.purged_rows += rows;
	forget_dead();
	return rows > 0;
}

static void flatten(void)
{
	struct line *l = &lines[rnd(BRANCHES_MAX)];
	bool done;

	if (!flatten_on || !l->id || !branch_of(l->id)->parent)
		return;
	OK(meta_op_begin(fix.m));
	OK(flatten_slice(fix.m, branch_of(l->id), &l->cursor, 1 + (unsigned)rnd(40), &done));
	assert_int_equal(done, branch_of(l->id)->parent == NULL);
	did.cuts += done;
	end();
}

static void commit(void)
{
	uint64_t seq, data;

	did.commits++;
	meta_committed(fix.m, &seq, &data);
	OK(meta_commit(fix.m, seq + 1, data));
	OK(meta_commit(mirror.m, seq + 1, data));
	if (rnd(4))
		return;
	fixture_reopen(&fix);
	for (int i = 0; i < BRANCHES_MAX; i++)
		lines[i].cursor = (struct flatten_cursor){0};
}

static void step(void)
{
	uint64_t r = rnd(100);

	if (r < 78)
		change();
	else if (r < 82)
		(void)snapshot_of(any_head());
	else if (r < 85)
		snapshot_drop(&snaps[rnd(SNAPSHOTS_MAX)]);
	else if (r < 88)
		fork_view();
	else if (r < 91)
		(void)reap();
	else if (r < 93)
		(void)purge();
	else if (r < 98)
		flatten();
	else if (r == 98 && heads() > 1 && rnd(3) == 0)
		(rnd(2) ? head_drop : head_retire)(&lines[rnd(BRANCHES_MAX)]);
	else if (r == 99 && rnd(5) == 0)
		commit();
}

static void settle(void)
{
	bool more = true;

	while (more) {
		bool reaped = rnd(2) ? reap() : false;

		more = purge();
		more = reap() || reaped || more;
	}
	check_no_garbage();
}

static void begin(uint64_t seed)
{
	struct branch *b;

	rng = seed * 0x9e3779b97f4a7c15u + 1;
	memset(lines, 0, sizeof lines);
	memset(snaps, 0, sizeof snaps);
	memset(gone, 0, sizeof gone);
	memset(&did, 0, sizeof did);
	fixture_open(&fix);
	fixture_open(&mirror);
	OK(meta_op_begin(fix.m));
	OK(branch_create(fix.m, NULL, 0, 0, &b));
	OK(branch_set_head(fix.m, b, true));
	for (int i = 0; i < CHUNKS; i++) {
		struct chunk_row c = {.pack = 1, .off = (uint32_t)i, .stored_len = 1, .raw_len = CHUNK_LEN_MAX};

		OK(chunk_add(fix.m, &c));
		chunks[i] = c.id;
	}
	lines[0].id = b->id;
	lines[0].head = true;
	new_slot(b, &lines[0].w.slot[0], true);
	end();
}

/* All views go, and with them everything. */
static void tear_down(void)
{
	for (int i = 0; i < SNAPSHOTS_MAX; i++)
		snapshot_drop(&snaps[i]);
	for (int i = 0; i < BRANCHES_MAX; i++)
		head_drop(&lines[i]);
	settle();
	assert_int_equal(ask("SELECT (SELECT count(*) FROM inode) + (SELECT count(*) FROM dirent)"
			     " + (SELECT count(*) FROM xattr) + (SELECT count(*) FROM extent)"
			     " + (SELECT count(*) FROM branch)"
			     " + (SELECT count(*) FROM purge) + (SELECT count(*) FROM reap)"
			     " + (SELECT sum(refs) FROM chunk)"),
			 0);
}

static void run_seed(uint64_t seed, unsigned ops)
{
	struct buf a, b;

	print_message("seed %llu, %u operations\n", (unsigned long long)seed, ops);
	begin(seed);
	for (unsigned i = 1; i <= ops; i++) {
		step();
		if (i % PHASE == 0)
			flatten_on = rnd(3) == 0;
		if (i % CHECK_EVERY == 0)
			check_all();
		if (i % (CHECK_EVERY * 10) == 0) {
			settle();
			check_all();
		}
	}
	settle();
	check_all();
	a = fixture_dump(fix.m);
	b = fixture_dump(mirror.m);
	assert_same_dump(a, b);
	buf_free(&a);
	buf_free(&b);
	tear_down();
	print_message("  %u changes (%u aborted), %u snapshots, %u forks (depth %u), %u flattened, %u heads dropped,"
		      " %u rows reaped, %u purged, %u commits\n",
		      did.changes, did.aborts, did.snapshots, did.forks, did.depth_max, did.cuts, did.head_drops,
		      did.reaped_rows, did.purged_rows, did.commits);
	fixture_close(&fix);
	fixture_close(&mirror);
}

static uint64_t given_seed;
static unsigned given_ops;

static void test_against_model(void **state)
{
	(void)state;
	if (given_seed) {
		run_seed(given_seed, given_ops);
		return;
	}
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_seed(seed, given_ops);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model)};
	const char *seed = argc > 1 ? argv[1] : getenv("SEED"), *ops = argc > 2 ? argv[2] : getenv("OPS");

	given_seed = seed ? strtoull(seed, NULL, 10) : 0;
	given_ops = ops && *ops ? (unsigned)strtoul(ops, NULL, 10) : 6000;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
