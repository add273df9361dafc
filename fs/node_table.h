/* The nodes that the kernel knows: how often each was looked up, and how many opens for writing it has. 16 bytes an
 * entry. Threading: any; the table's own lock is a leaf. */
#ifndef VARVE_FS_NODE_TABLE_H
#define VARVE_FS_NODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node_table;

int node_table_new(struct node_table **ret);
void node_table_free(struct node_table *t);

/* The kernel is about to be told of the node once more. -ENOMEM. */
int node_table_ref(struct node_table *t, uint64_t node);
/* It forgot the node n times; true when it does not know it any more. Unknown nodes are true too. */
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
