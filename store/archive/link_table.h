/* The first name of each inode that has several. */
#ifndef VARVE_ARCHIVE_LINK_TABLE_H
#define VARVE_ARCHIVE_LINK_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct link_table {
	struct link *slots; /* open addressing; a slot without a path is free */
	size_t n, cap;
};
/* *ret_first is the name under which the inode was met first, valid as long as the table, or NULL when that is this
 * one. All-zero is an empty table. 0 or -ENOMEM. */
int link_table_meet(struct link_table *t, uint64_t ino, const char *path, const char **ret_first);
void link_table_free(struct link_table *t);

#endif
