/* A record of everything that a store did to its folder, in order, to be done again to a copy of it. */
#ifndef VARVE_CRASH_RECORD_H
#define VARVE_CRASH_RECORD_H

#include "tests/crash/io_watch.h"

struct record_log;

/* Takes the I/O hook: no store may be open. */
struct record_log *record_start(const char *dir);
/* From here on the store's I/O fails, as of a machine without power. Gives the hook back when no store is open any more. */
void record_cut(struct record_log *l);
void record_stop(struct record_log *l);
void record_free(struct record_log *l);

size_t record_count(struct record_log *l);
const struct disk_event *record_event(const struct record_log *l, size_t i);

#endif
