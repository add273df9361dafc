/* The nodes that the kernel knows: how often each was looked up, and how many opens for writing it has. 16 bytes an
 * entry, in memory that outlives the daemon, and 5 to 11 bytes of index. Threading: any; the table's own lock is a
 * leaf. */
#ifndef VARVE_FS_NODE_TABLE_H
#define VARVE_FS_NODE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_MAX (UINT64_C(1) << 26)
#define NODE_LOOKUPS_BITS 40

struct node_entry {
	_Atomic uint64_t node; /* written last; 0: free */
	uint64_t lookups : NODE_LOOKUPS_BITS;
	uint64_t writers : 63 - NODE_LOOKUPS_BITS;
	uint64_t told : 1;
};
struct node_entries {
	_Atomic uint64_t used; /* all beyond were never used */
	uint64_t unused;
	struct node_entry v[];
};

struct node_table;

/* On entries that an earlier process may have left, room for `max` (at most NODES_MAX). What was open for writing is to
 * be said again. -ENOMEM. */
int node_table_new(struct node_entries *entries, size_t max, struct node_table **ret);
void node_table_free(struct node_table *t);

/* The kernel is about to be told of the node once more. -ENOMEM. */
int node_table_ref(struct node_table *t, uint64_t node);
/* It forgot the node n times; true when it does not know it any more. Unknown nodes are true too. A request that was
 * carried out twice has counted twice: such a node stays, which costs its entry. */
bool node_table_forget(struct node_table *t, uint64_t node, uint64_t n);
/* One more or one fewer open for writing of a node that the kernel knows. */
void node_table_writer(struct node_table *t, uint64_t node, int more);
unsigned node_table_writers(struct node_table *t, uint64_t node);
/* The kernel is told attributes of a node that has writers: what they write outdates them. */
void node_table_told(struct node_table *t, uint64_t node);
/* Whether that happened since the last call. */
bool node_table_take_told(struct node_table *t, uint64_t node);
bool node_table_known(struct node_table *t, uint64_t node);
size_t node_table_count(struct node_table *t);
/* The known nodes with this number (node >> NODE_INO_BITS), or all with number 0. Caller frees. */
int node_table_list(struct node_table *t, uint64_t number, uint64_t **ret, size_t *ret_n);

#endif
