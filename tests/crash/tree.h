/* The names of a store's folder: which file is where. Files and folders are numbered as they appear, first those that are there at the
 * beginning, by path; numbers are never used again. One level of folders, as a store has it. Not thread-safe. */
#ifndef VARVE_CRASH_TREE_H
#define VARVE_CRASH_TREE_H

#include <stdbool.h>
#include <stddef.h>

#define TREE_NAME_LEN 48
#define TREE_NONE (-1)
#define TREE_ROOT 0

struct tree_entry {
	int dir;                  /* TREE_NONE: it has no name any more */
	char name[TREE_NAME_LEN];
	bool is_dir;
};

struct tree {
	char path[200];
	int n, cap;
	struct tree_entry *v;
};

/* Names that begin with ".held" are left out. */
void tree_scan(struct tree *t, const char *path);
void tree_free(struct tree *t);
int tree_add(struct tree *t, int dir, const char *name, bool is_dir);
/* The file of that name, or TREE_NONE. */
int tree_find(const struct tree *t, int dir, const char *name);
void tree_set(struct tree *t, int file, int dir, const char *name);
void tree_path(const struct tree *t, int dir, const char *name, char *ret, size_t len);

#endif
