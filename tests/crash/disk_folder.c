/* Names of a disk's folders. To show a name with another file, or none, every file concerned is first linked into the held folder, so that
 * none is lost while names change hands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/disk_internal.h"
#include "tests/model/alloc.h"

void folder_free(struct folder *f)
{
	free(f->names);
	free(f->changes);
}

static struct folder *folder_of(struct disk *d, int dir)
{
	for (int i = 0; i < d->nfolders; i++)
		if (d->folders[i].dir == dir)
			return &d->folders[i];
	d->folders = must_realloc(d->folders, (size_t)(d->nfolders + 1) * sizeof *d->folders);
	d->folders[d->nfolders] = (struct folder){.dir = dir};
	return &d->folders[d->nfolders++];
}

static int name_of(struct disk *d, struct folder *f, const char *name)
{
	struct folder_name *fn;

	for (int i = 0; i < f->n; i++)
		if (!strcmp(f->names[i].name, name))
			return i;
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 16;
		f->names = must_realloc(f->names, (size_t)f->cap * sizeof *f->names);
	}
	fn = &f->names[f->n];
	(void)snprintf(fn->name, sizeof fn->name, "%s", name);
	fn->base = fn->durable = fn->now = fn->shown = tree_find(&d->tree, f->dir, name);
	return f->n++;
}

/* A second link to a file, so that it outlives its name. */
static void hold(struct disk *d, const struct folder *f, const char *name, int file)
{
	char path[300], held[300];

	tree_path(&d->tree, f->dir, name, path, sizeof path);
	disk_held_path(d, file, held, sizeof held);
	if (link(path, held) && errno != EEXIST)
		abort();
}

static void set(struct name_change *c, struct folder *f, int name, int file)
{
	c->set[c->n].name = name;
	c->set[c->n++].file = file;
	f->names[name].now = f->names[name].shown = file;
}

void folder_event(struct disk *d, const struct disk_event *ev)
{
	struct folder *f = folder_of(d, ev->dir);
	struct name_change c = {.seq = ++d->seq};
	int from = name_of(d, f, ev->name), to;

	c.needs = from;
	c.needed = f->names[from].now;
	if (ev->op == IO_OPEN) {
		set(&c, f, from, tree_add(&d->tree, ev->dir, ev->name, false));
	} else if (ev->op == IO_UNLINK) {
		hold(d, f, ev->name, ev->file);
		set(&c, f, from, TREE_NONE);
		tree_set(&d->tree, ev->file, TREE_NONE, "");
	} else {
		to = name_of(d, f, ev->to);
		if (f->names[to].now != TREE_NONE) {
			hold(d, f, ev->to, f->names[to].now);
			tree_set(&d->tree, f->names[to].now, TREE_NONE, "");
		}
		set(&c, f, from, TREE_NONE);
		set(&c, f, to, ev->file);
		tree_set(&d->tree, ev->file, ev->dir, ev->to);
	}
	if (f->nchanges == f->changes_cap) {
		f->changes_cap = f->changes_cap ? 2 * f->changes_cap : 16;
		f->changes = must_realloc(f->changes, f->changes_cap * sizeof *f->changes);
	}
	f->changes[f->nchanges++] = c;
}

/* A file that no name will ever have again. */
static void drop_unnamed(struct disk *d, int file)
{
	char held[300];

	if (file == TREE_NONE || (d->flags & DISK_KEEP))
		return;
	for (int i = 0; i < d->nfolders; i++)
		for (int j = 0; j < d->folders[i].n; j++) {
			const struct folder_name *n = &d->folders[i].names[j];

			if (n->durable == file || n->now == file)
				return;
		}
	disk_held_path(d, file, held, sizeof held);
	(void)unlink(held);
}

static void make_durable(struct disk *d, struct folder *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < f->changes[i].n; k++) {
			struct folder_name *name = &f->names[f->changes[i].set[k].name];
			int before = name->durable;

			name->durable = f->changes[i].set[k].file;
			drop_unnamed(d, before);
		}
	f->nchanges -= n;
	f->base += n;
	if (f->nchanges)
		memmove(f->changes, f->changes + n, f->nchanges * sizeof *f->changes);
}

void folder_sync(struct disk *d, const struct disk_event *ev)
{
	struct folder *f = folder_of(d, ev->file);
	uint64_t upto;

	if (ev->op == IO_SYNC) {
		marks_begin(&f->marks, ev->thread, f->base + f->nchanges);
		return;
	}
	upto = marks_end(&f->marks, ev->thread);
	if (upto > f->base)
		make_durable(d, f, (size_t)(upto - f->base));
}

/* Names show `want` (by index); they show names[].shown before. */
static void show(struct disk *d, struct folder *f, const int *want)
{
	char path[300], held[300];

	for (int i = 0; i < f->n; i++) {
		if (want[i] == f->names[i].shown || f->names[i].shown == TREE_NONE)
			continue;
		hold(d, f, f->names[i].name, f->names[i].shown);
		tree_path(&d->tree, f->dir, f->names[i].name, path, sizeof path);
		if (unlink(path))
			abort();
	}
	for (int i = 0; i < f->n; i++) {
		if (want[i] != f->names[i].shown && want[i] != TREE_NONE) {
			disk_held_path(d, want[i], held, sizeof held);
			tree_path(&d->tree, f->dir, f->names[i].name, path, sizeof path);
			if (link(held, path))
				abort();
		}
		f->names[i].shown = want[i];
	}
}

void folder_lose(struct disk *d, int i, const struct disk_loss *loss, struct rng *rng)
{
	struct folder *f = &d->folders[i];
	int *want = must_alloc((size_t)f->n * sizeof *want);

	for (int k = 0; k < f->n; k++)
		want[k] = f->names[k].durable;
	for (size_t k = 0; k < f->nchanges; k++) {
		const struct name_change *c = &f->changes[k];

		if (!loss_keeps(loss, c->seq, rng) || want[c->needs] != c->needed)
			continue;
		for (int j = 0; j < c->n; j++)
			want[c->set[j].name] = c->set[j].file;
	}
	show(d, f, want);
	free(want);
}

void folder_show(struct disk *d, int i, enum folder_state state)
{
	struct folder *f = &d->folders[i];
	int *want = must_alloc((size_t)f->n * sizeof *want);

	for (int k = 0; k < f->n; k++)
		want[k] = state == FOLDER_NOW ? f->names[k].now : f->names[k].base;
	show(d, f, want);
	free(want);
}

void folder_settle(struct disk *d, int i)
{
	struct folder *f = &d->folders[i];

	f->marks.n = 0;
	f->base += f->nchanges;
	f->nchanges = 0;
	for (int k = 0; k < f->n; k++)
		if (f->names[k].now != TREE_NONE)
			tree_set(&d->tree, f->names[k].now, TREE_NONE, "");
	for (int k = 0; k < f->n; k++) {
		struct folder_name *n = &f->names[k];
		int before[2] = {n->durable, n->now};

		n->durable = n->now = n->shown;
		if (n->now != TREE_NONE)
			tree_set(&d->tree, n->now, f->dir, n->name);
		drop_unnamed(d, before[0]);
		drop_unnamed(d, before[1]);
	}
}
