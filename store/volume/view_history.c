#include "store/volume/view_history.h"

#include <errno.h>

/* The next level of a lineage; false at its root. */
static bool step_up(struct meta *m, struct branch **b, int64_t *epoch)
{
	struct branch *up = (*b)->parent ? (*b)->parent : (*b)->origin_branch ? branch_get(m, (*b)->origin_branch) : NULL;

	if (!up || up->dead)
		return false;
	*epoch = (*b)->parent ? (*b)->fork_epoch : (*b)->origin_epoch;
	*b = up;
	return true;
}

/* Where `b` is in a view's lineage: *ret_epoch is the epoch at which it is seen. */
static bool in_lineage(struct meta *m, const struct meta_view *v, const struct branch *b, int64_t *ret_epoch)
{
	struct branch *at = v->branch;
	int64_t epoch = v->epoch;

	do {
		if (at == b) {
			*ret_epoch = epoch;
			return true;
		}
	} while (step_up(m, &at, &epoch));
	return false;
}

/* The branches of a view above the common one. */
static int side(struct meta *m, const struct meta_view *v, const struct branch *common,
		int (*fn)(void *arg, int64_t branch, int64_t from, int64_t to), void *arg, bool *whole)
{
	struct branch *at = v->branch;
	int64_t epoch = v->epoch;
	int ret = 0;

	while (at != common && !ret) {
		if (!at->parent) {
			*whole = true;
			return 0;
		}
		ret = fn(arg, at->id, at->origin_epoch, epoch);
		if (!ret && !step_up(m, &at, &epoch))
			return -EXDEV;
	}
	return ret;
}

int view_history(struct meta *m, const struct meta_view *a, const struct meta_view *b,
		 int (*fn)(void *arg, int64_t branch, int64_t from, int64_t to), void *arg, bool *ret_whole)
{
	struct branch *common = a->branch;
	int64_t ea = a->epoch, eb;
	int ret;

	*ret_whole = false;
	while (!in_lineage(m, b, common, &eb))
		if (!step_up(m, &common, &ea))
			return -EXDEV;
	ret = side(m, a, common, fn, arg, ret_whole);
	if (!ret)
		ret = side(m, b, common, fn, arg, ret_whole);
	if (!ret && ea != eb)
		ret = fn(arg, common->id, ea < eb ? ea : eb, ea < eb ? eb : ea);
	return ret;
}
