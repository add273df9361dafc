/* The opens for writing, one entry each, in memory that outlives the daemon: which files have to be fenced is known from
 * them, and each is closed exactly once, however often the kernel has to ask. An open's handle (fi->fh) names its entry.
 * Threading: any; the table's own lock is a leaf. */
#ifndef VARVE_FS_OPEN_TABLE_H
#define VARVE_FS_OPEN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPENS_MAX (UINT64_C(1) << 20) /* more is ENFILE */

struct open_entry {
	uint64_t node;
	_Atomic uint64_t unique; /* of the request; written last; 0: free */
	uint32_t pid;
	uint32_t unused;
};
struct open_entries {
	_Atomic uint64_t used; /* all beyond were never used */
	struct open_entry v[];
};

struct open_table;

/* On entries that an earlier process may have left, room for `max`. -ENOMEM. */
int open_table_new(struct open_entries *entries, size_t max, struct open_table **ret);
void open_table_free(struct open_table *t);

/* The handle of the open that request `unique` made, 0 when it made none. For requests that come again. */
uint64_t open_table_find(struct open_table *t, uint64_t unique);
/* A new open; never 0 nor UINT64_MAX. -ENFILE. */
int open_table_add(struct open_table *t, uint64_t node, uint64_t unique, uint32_t pid, uint64_t *ret_handle);
/* False when there is no such open (any more). */
bool open_table_remove(struct open_table *t, uint64_t handle);
/* Calls fn with each, with the lock held. */
void open_table_each(struct open_table *t, void (*fn)(void *arg, uint64_t node, uint32_t pid), void *arg);

#endif
