#include <sys/stat.h>

#include "store/meta/catalog.h"
#include "store/meta/chunk_table.h"
#include "store/meta/extent_map.h"
#include "store/meta/inode.h"
#include "tests/unit/meta/root_fixture.h"

static uint64_t ino;

static void set_uid(struct branch *b, uint32_t uid)
{
	struct meta_view v = {b, META_HEAD};
	struct inode i;

	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	i.uid = uid;
	OK(inode_put(f.m, b, &i));
	OK(meta_op_end(f.m));
}

static int setup(void **state)
{
	struct inode i = {.mode = S_IFREG | 0600, .nlink = 1, .inherit = INHERIT_ALL};

	(void)root_setup(state);
	OK(meta_op_begin(f.m));
	ino = i.ino = meta_next_ino(f.m);
	OK(inode_put(f.m, root, &i));
	OK(meta_op_end(f.m));
	return 0;
}

static struct snapshot_row snapshot(struct branch *b)
{
	struct snapshot_row s = {.volume = 1, .branch = b->id};

	OK(meta_op_begin(f.m));
	OK(meta_epoch_advance(f.m, &s.epoch));
	s.id = meta_next_id(f.m);
	(void)snprintf(s.name, sizeof s.name, "s%lld", (long long)s.id);
	OK(snapshot_put(f.m, &s));
	OK(meta_op_end(f.m));
	return s;
}

static struct branch *fork_of(const struct snapshot_row *s)
{
	struct meta_view v = {branch_get(f.m, s->branch), s->epoch};
	struct branch *child;

	OK(meta_op_begin(f.m));
	OK(branch_create(f.m, &v, 0, 0, &child));
	OK(branch_set_head(f.m, child, true));
	OK(meta_op_end(f.m));
	return child;
}

static void drop(const struct snapshot_row *s)
{
	OK(meta_op_begin(f.m));
	OK(snapshot_delete(f.m, s->id));
	OK(reap_drop_view(f.m, branch_get(f.m, s->branch), s->epoch));
	OK(meta_op_end(f.m));
}

static void drop_head(struct branch *b)
{
	OK(meta_op_begin(f.m));
	OK(reap_drop_view(f.m, b, META_HEAD));
	OK(meta_op_end(f.m));
	assert_false(b->head);
}

/* Carries out all tasks; how many rows went. */
static unsigned reap_all(void)
{
	struct reap_task t;
	unsigned rows, total = 0;
	int ret;

	while ((ret = reap_first(f.m, &t)) == 0) {
		OK(meta_op_begin(f.m));
		OK(reap_slice(f.m, &t, 2, &rows));
		OK(meta_op_end(f.m));
		assert_in_range(rows, 0, 2);
		total += rows;
	}
	assert_int_equal(ret, 1);
	return total;
}

static int uid_at(int64_t epoch)
{
	struct meta_view v = {root, epoch};
	struct inode i;
	int ret = inode_get(f.m, &v, ino, &i);

	assert_true(ret == 0 || ret == -ENOENT);
	return ret ? -1 : (int)i.uid;
}

static void test_middle_view(void **state)
{
	struct snapshot_row s[3];

	(void)state;
	for (uint32_t k = 0; k < 3; k++) {
		set_uid(root, k);
		s[k] = snapshot(root);
	}
	set_uid(root, 3);
	drop(&s[1]);
	assert_int_equal(reap_all(), 1);
	assert_int_equal(uid_at(s[0].epoch), 0);
	assert_int_equal(uid_at(s[2].epoch), 2);
	assert_int_equal(uid_at(META_HEAD), 3);
	drop(&s[2]);
	drop(&s[0]);
	assert_int_equal(reap_all(), 2);
	assert_int_equal(uid_at(META_HEAD), 3);
}

/* Nothing changed between the views: no row is the dropped one's alone. */
static void test_shared_rows_stay(void **state)
{
	struct snapshot_row s0 = snapshot(root), s1 = snapshot(root);

	(void)state;
	set_uid(root, 9);
	drop(&s0);
	assert_int_equal(reap_all(), 0);
	assert_int_equal(uid_at(s1.epoch), 0);
}

/* A row that was live when the last view went, and is closed later for another view, is not the old task's. */
static void test_task_leaves_later_closings(void **state)
{
	struct snapshot_row s0, s1;

	(void)state;
	set_uid(root, 1);
	s0 = snapshot(root);
	drop(&s0);
	s1 = snapshot(root);
	set_uid(root, 2);
	assert_int_equal(reap_all(), 0);
	assert_int_equal(uid_at(s1.epoch), 1);
	assert_int_equal(uid_at(META_HEAD), 2);
}

static void test_fork_pins(void **state)
{
	struct snapshot_row s = snapshot(root);
	struct branch *child = fork_of(&s);
	struct reap_task t;

	(void)state;
	set_uid(root, 1);
	drop(&s);
	assert_int_equal(reap_first(f.m, &t), 1);
	assert_int_equal(uid_at(s.epoch), 0);
	drop_head(child);
	assert_int_equal(reap_all(), 1);
	assert_true(child->dead);
	assert_false(root->dead);
	assert_int_equal(uid_at(META_HEAD), 1);
	assert_int_equal(root->pinned, 0);
}

static void test_head_with_snapshots_left(void **state)
{
	struct snapshot_row s;

	(void)state;
	set_uid(root, 1);
	s = snapshot(root);
	set_uid(root, 2);
	drop_head(root);
	assert_int_equal(reap_all(), 1); /* the live row */
	assert_int_equal(uid_at(s.epoch), 1);
	assert_false(root->dead);
	drop(&s);
	assert_int_equal(reap_all(), 1);
	assert_true(root->dead);
}

static void test_references_are_dropped(void **state)
{
	struct chunk_row chunk = {.pack = 1, .stored_len = 1, .raw_len = 4096};
	struct meta_view v = {root, META_HEAD};
	struct snapshot_row s;
	struct extent e = {.len = 4096};
	struct inode i;

	(void)state;
	OK(meta_op_begin(f.m));
	OK(chunk_add(f.m, &chunk));
	e.chunk = chunk.id;
	OK(inode_get(f.m, &v, ino, &i));
	for (e.off = 0; e.off < 10 * 4096; e.off += 4096)
		OK(extent_write(f.m, root, &i, e.off, 4096, &e, 1));
	OK(inode_put(f.m, root, &i));
	OK(meta_op_end(f.m));
	s = snapshot(root);
	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	OK(inode_delete(f.m, root, &i));
	OK(extent_purge(f.m, root, ino, true));
	OK(meta_op_end(f.m));
	drop(&s);
	/* Whether the purge or the task comes first makes no difference: here the task does. */
	(void)reap_all();
	for (unsigned rows = 1; rows;) {
		OK(meta_op_begin(f.m));
		OK(extent_purge_slice(f.m, 3, &rows));
		OK(meta_op_end(f.m));
	}
	OK(chunk_get(f.m, chunk.id, &chunk));
	assert_int_equal(chunk.refs, 0);
}

/* A chain of branches goes from its end. */
static void test_chain(void **state)
{
	struct branch *b[4] = {root};

	(void)state;
	for (uint32_t k = 1; k < 4; k++) {
		struct snapshot_row s;

		set_uid(b[k - 1], k);
		s = snapshot(b[k - 1]);
		b[k] = fork_of(&s);
		drop(&s);
		drop_head(b[k - 1]);
	}
	(void)reap_all();
	for (int k = 0; k < 4; k++)
		assert_false(b[k]->dead);
	drop_head(b[3]);
	(void)reap_all();
	for (int k = 0; k < 4; k++)
		assert_true(b[k]->dead);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_middle_view), T(test_shared_rows_stay), T(test_task_leaves_later_closings), T(test_fork_pins),
		T(test_head_with_snapshots_left), T(test_references_are_dropped), T(test_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
