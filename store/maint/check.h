/* Checking a store from first principles; changes nothing. */
#ifndef VARVE_MAINT_CHECK_H
#define VARVE_MAINT_CHECK_H

#include "store/volume/store.h"

struct check_result {
	uint64_t inodes, dirents, extents, chunks, bytes_verified;
	uint64_t errors;
};
enum { CHECK_DATA = 1 /* read and verify every chunk */ };
/* Recounts references, directory sizes and links, lineages, totals and free space; says each finding through `report` (one line, no newline). */
int check_store(struct store *s, unsigned flags, void (*report)(void *arg, const char *line), void *arg, struct check_result *ret,
		struct err *err);

#endif
