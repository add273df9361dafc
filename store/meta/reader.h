/* Readers: a second handle on the database of a store in use, which sees it as one commit left it, while operations go on. For walks that
 * take long: check, diff. A reader is a `struct meta` for everything in this folder that reads; its branches are its own, so that
 * pointers to them must not be mixed with those of another handle. It is used by one thread at a time and needs no store lock.
 *
 * As long as a reader looks at one commit the WAL cannot start over, and grows with what others write: renew it where that does no harm. */
#ifndef VARVE_META_READER_H
#define VARVE_META_READER_H

#include "store/meta/db.h"

/* Opens one on the last commit; freed with meta_free. */
int meta_reader_open(const char *dir, struct meta **ret, struct err *err);
/* Goes on with the last commit as of now. Branches that are gone are marked dead. */
int meta_reader_renew(struct meta *r);
/* `stop` is asked again and again during statements; true ends the running one with -ECANCELED, and all that follow. NULL: no more. */
void meta_reader_watch(struct meta *r, bool (*stop)(void *arg), void *arg);

/* Checks the checksums of up to max pages of the file from page *page (the first is 1) on; *page is where to go on, 0 after the last.
 * Checkpoints wait meanwhile, so that max ought to be small. `m` is the store's own handle; any thread, no lock. -ECORRUPT with the finding in err. */
int meta_check_pages(struct meta *m, int64_t *page, unsigned max, struct err *err);
/* SQLite's own integrity check of what a handle sees: 0, or -ECORRUPT with the first finding in err. */
int meta_check_structure(struct meta *r, struct err *err);
/* Pages of the database, without what is in the WAL alone. */
int64_t meta_pages(struct meta *m);

#endif
