/* Faults on order: the nth thing of one kind fails, once or for good, and a disk that forgets what was not synced.
 *
 * Only what the engine does between fault_enter and fault_leave counts and fails; one thread. */
#ifndef VARVE_TESTS_FAULT_H
#define VARVE_TESTS_FAULT_H

#include <stdbool.h>

enum fault_kind {
	FAULT_ALLOC,      /* malloc and its relatives, and zstd's contexts, called by the engine */
	FAULT_SQL_ALLOC,  /* SQLite's own allocations */
	FAULT_SQL,        /* a call of sqlite3_step, prepare, bind or checkpoint */
	FAULT_PACK,       /* I/O, by the classes of store/base/io.h */
	FAULT_JOURNAL,
	FAULT_DB,
	FAULT_KIND_COUNT
};
enum fault_how { FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_HOW_COUNT }; /* of I/O; the last: half a write, then ENOSPC */

struct fault_plan {
	enum fault_kind kind;
	enum fault_how how;
	bool for_good;
	unsigned long nth; /* from 1; 0: nothing fails */
};

void fault_init(void); /* before SQLite is used */
void fault_set(const struct fault_plan *plan);
void fault_enter(void);
void fault_leave(void);
/* Nothing fails any more. */
void fault_end(void);
bool fault_struck(void);
/* Asked at each point; true: fail. */
bool fault_point(enum fault_kind kind);
const char *fault_describe(const struct fault_plan *plan);

/* From here on the disk remembers what was there before each write that no sync has made durable. A sync that fails leaves what it
 * was for forgotten: a later sync does not bring it to the disk, only writing it again does. */
void disk_watch(void);
/* The power fails: no more I/O works, until disk_lose has put back what was not durable. */
void disk_off(void);
void disk_lose(void);
void disk_forget(void);

#endif
