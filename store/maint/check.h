/* Checking a store from first principles; changes nothing but that it commits first what is not committed yet. */
#ifndef VARVE_MAINT_CHECK_H
#define VARVE_MAINT_CHECK_H

#include "store/volume/store.h"

struct check_result {
	uint64_t inodes, dirents, extents, chunks, bytes_verified;
	uint64_t errors;
};
enum { CHECK_DATA = 1 /* read and verify every chunk */ };

/* Who looks on. All are called from the checking thread, with no lock held. */
struct check_watch {
	void *arg;
	void (*report)(void *arg, const char *line);   /* a finding: one line, no newline */
	void (*progress)(void *arg, double part);      /* how much is done, 0 to 1, never less than before; may be NULL */
	bool (*cancelled)(void *arg);                  /* whether to give up: asked every few milliseconds; may be NULL */
};

/* Recounts references, directory sizes and links, lineages, totals and free space. Other operations go on meanwhile. -ECANCELED when
 * cancelled. */
int check_store_watched(struct store *s, unsigned flags, const struct check_watch *watch, struct check_result *ret, struct err *err);
/* The same with findings as all that is wanted of it. */
int check_store(struct store *s, unsigned flags, void (*report)(void *arg, const char *line), void *arg, struct check_result *ret,
		struct err *err);

#endif
