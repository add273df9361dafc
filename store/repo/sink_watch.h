/* Private to store/repo: whether rows that anyone may have made up leave a tree that makes sense. What each row changes is
 * noted for the inodes that it touches; at the end these are looked at: sizes and link counts of directories, names of
 * files, types, parents, contents within sizes. The cost follows the rows, not the tree. Under the store lock. */
#ifndef VARVE_REPO_SINK_WATCH_H
#define VARVE_REPO_SINK_WATCH_H

#include "store/meta/dirent.h"
#include "store/meta/inode.h"

struct sink_watch;
int sink_watch_new(uint64_t root_ino, struct sink_watch **ret);
void sink_watch_free(struct sink_watch *w);

/* Before a row of the inode is changed for the first time, and after. 0 or -errno. */
int sink_watch_touch(struct sink_watch *w, struct meta *m, const struct meta_view *head, uint64_t ino);
/* An entry goes and one comes in its place; either may be NULL. */
int sink_watch_entry(struct sink_watch *w, struct meta *m, const struct meta_view *head, const struct dirent_row *old,
		     const struct dirent_row *now);
/* Looks at the next few of those touched. >0 when all have been; -ECORRUPT. */
int sink_watch_check(struct sink_watch *w, struct meta *m, const struct meta_view *head);

#endif
