#include "tests/model/lists.h"

#include <inttypes.h>
#include <string.h>

#include "store/base/cleanup.h"

struct names {
	struct run *r;
	int vi; /* -1: volumes */
	size_t n, others;
};

static int compare_name(void *arg, const struct ns_entry *e)
{
	struct names *names = arg;
	struct run *r = names->r;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	if (names->vi < 0 && strncmp(e->name, r->prefix, strlen(r->prefix))) {
		names->others++;
		return 0;
	}
	if (names->vi < 0 ? !mstate_by_name(&r->state, e->name) : !msnapshot_find(r->state.v[names->vi], e->name))
		run_fail(r, "a listing shows \"%s\", which does not exist", e->name);
	names->n++;
	return 0;
}

static void compare_listing(struct run *r, uint64_t node, int vi, size_t want)
{
	struct names names = {.r = r, .vi = vi};

	run_want(r, "ns_readdir", ns_readdir(r->store, node, 0, true, compare_name, &names), 0);
	if (names.n != want || (r->alone && names.others))
		run_fail(r, "a listing shows %zu names, expected %zu", names.n + names.others, want);
}

static void compare_snapshot_list(struct run *r, int vi)
{
	const struct mvolume *v = r->state.v[vi];
	AUTO_FREE struct snapshot_info *list = NULL;
	struct err err = {0};
	struct attr attr;
	size_t n = 0;

	run_want_err(r, "snapshot_list", snapshot_list(r->store, v->name, &list, &n, &err), 0, &err);
	if (n != v->nsnaps)
		run_fail(r, "%s has %zu snapshots, expected %zu", v->name, n, v->nsnaps);
	for (size_t i = 0; i < n; i++) {
		const struct msnapshot *s = v->snaps[i];

		if (strcmp(list[i].name, s->name) || strcmp(list[i].volume, v->name))
			run_fail(r, "snapshot %zu of %s is %s@%s, expected %s", i, v->name, list[i].volume, list[i].name, s->name);
		if (list[i].held != s->held || list[i].automatic != s->automatic)
			run_fail(r, "%s@%s: held %d, automatic %d; expected %d, %d", v->name, s->name, list[i].held,
				 list[i].automatic, s->held, s->automatic);
	}
	run_want(r, "ns_lookup of .snapshots",
		 ns_lookup(r->store, (uint64_t)v->number << NODE_INO_BITS | v->tree->root, ".snapshots", &attr), 0);
	compare_listing(r, attr.node, vi, v->nsnaps);
}

static void compare_writers(struct run *r, int vi, unsigned writers)
{
	const struct mvolume *v = r->state.v[vi];
	AUTO_FREE struct open_file *list = NULL;
	size_t n = 0, distinct = 0;

	run_want(r, "file_open_list", file_open_list(r->store, v->id, &list, &n), 0);
	for (size_t i = 0; i < r->nhandles; i++) {
		const struct handle *h = &r->handles[i];
		bool again = false;

		for (size_t j = 0; j < i; j++)
			again |= r->handles[j].node == h->node && (r->handles[j].flags & FILE_OPEN_WRITE);
		distinct += !again && h->volume == v->id && (h->flags & FILE_OPEN_WRITE) && h->node >> NODE_INO_BITS == v->head_number;
	}
	if (n != distinct || writers != distinct)
		run_fail(r, "%s: %zu files listed as open for writing, %u counted, expected %zu", v->name, n, writers, distinct);
}

void lists_compare(struct run *r)
{
	AUTO_FREE struct volume_info *list = NULL;
	struct err err = {0};
	size_t n = 0, mine = 0;

	run_want_err(r, "volume_list", volume_list(r->store, &list, &n, &err), 0, &err);
	for (size_t i = 0; i < n; i++) {
		const struct mvolume *v;

		if (i && strcmp(list[i - 1].name, list[i].name) >= 0)
			run_fail(r, "the volumes are not in the order of their names");
		if (strncmp(list[i].name, r->prefix, strlen(r->prefix)))
			continue;
		mine++;
		v = mstate_by_name(&r->state, list[i].name);
		if (!v)
			run_fail(r, "there is a volume %s", list[i].name);
		if (list[i].id != v->id || list[i].root_node != ((uint64_t)v->number << NODE_INO_BITS | v->tree->root) ||
		    list[i].snapshots != v->nsnaps)
			run_fail(r, "volume %s: id %" PRId64 ", root %#" PRIx64 ", %u snapshots", v->name, list[i].id,
				 list[i].root_node, list[i].snapshots);
		compare_writers(r, (int)mstate_index(&r->state, v->id), list[i].open_writers);
	}
	if (mine != r->state.n || (r->alone && n != mine))
		run_fail(r, "there are %zu volumes, expected %zu", mine, r->state.n);
	compare_listing(r, NODE_ROOT, -1, r->state.n);
	for (size_t i = 0; i < r->state.n; i++)
		compare_snapshot_list(r, (int)i);
}
