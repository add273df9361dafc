#include "tests/crash/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tests/model/alloc.h"

static int not_held(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void scan_dir(struct tree *t, int dir)
{
	struct dirent **list;
	char path[300];
	int n;

	tree_path(t, dir, "", path, sizeof path);
	n = scandir(path, &list, not_held, alphasort);
	if (n < 0)
		abort();
	for (int i = 0; i < n; i++) {
		(void)tree_add(t, dir, list[i]->d_name, list[i]->d_type == DT_DIR);
		free(list[i]);
	}
	free(list);
}

void tree_scan(struct tree *t, const char *path)
{
	*t = (struct tree){0};
	(void)snprintf(t->path, sizeof t->path, "%s", path);
	(void)tree_add(t, TREE_NONE, "", true);
	for (int i = 0; i < t->n; i++)
		if (t->v[i].is_dir)
			scan_dir(t, i);
}

void tree_free(struct tree *t)
{
	free(t->v);
	*t = (struct tree){0};
}

int tree_add(struct tree *t, int dir, const char *name, bool is_dir)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = must_realloc(t->v, (size_t)t->cap * sizeof *t->v);
	}
	t->v[t->n] = (struct tree_entry){.dir = dir, .is_dir = is_dir};
	(void)snprintf(t->v[t->n].name, TREE_NAME_LEN, "%s", name);
	return t->n++;
}

int tree_find(const struct tree *t, int dir, const char *name)
{
	for (int i = t->n; i-- > 0;)
		if (t->v[i].dir == dir && !strcmp(t->v[i].name, name))
			return i;
	return TREE_NONE;
}

void tree_set(struct tree *t, int file, int dir, const char *name)
{
	t->v[file].dir = dir;
	(void)snprintf(t->v[file].name, TREE_NAME_LEN, "%s", name);
}

void tree_path(const struct tree *t, int dir, const char *name, char *ret, size_t len)
{
	if (dir == TREE_ROOT)
		(void)snprintf(ret, len, "%s/%s", t->path, name);
	else
		(void)snprintf(ret, len, "%s/%s/%s", t->path, t->v[dir].name, name);
}
