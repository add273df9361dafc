/* For a test file whose tests each work on a fresh database `f` with one branch, `root`. */
#ifndef VARVE_TESTS_META_ROOT_FIXTURE_H
#define VARVE_TESTS_META_ROOT_FIXTURE_H

#include "tests/unit/meta/fixture.h"

#define OK(expr) assert_int_equal((expr), 0)

static struct fixture f;
static struct branch *root;

static inline int root_setup(void **state)
{
	(void)state;
	fixture_open(&f);
	root = fixture_root_branch(f.m);
	return 0;
}

static inline int root_teardown(void **state)
{
	(void)state;
	fixture_close(&f);
	return 0;
}

/* A head that begins from what the branch shows now, which is its fork_epoch. */
static inline struct branch *fork_now(struct branch *b)
{
	struct meta_view v = {b, 0};
	struct branch *child;

	OK(meta_op_begin(f.m));
	OK(meta_epoch_advance(f.m, &v.epoch));
	OK(branch_create(f.m, &v, 0, 0, &child));
	OK(branch_set_head(f.m, child, true));
	OK(meta_op_end(f.m));
	return child;
}

#endif
