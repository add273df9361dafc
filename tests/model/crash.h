/* Ends of a store's process, and what must be there afterwards. */
#ifndef VARVE_MODEL_CRASH_H
#define VARVE_MODEL_CRASH_H

#include "tests/model/power_cut.h"
#include "tests/model/run.h"

/* Opens the store; ring_fd -1 for none. */
void crash_open(struct run *r, int ring_fd);
/* The store was opened again: opens are gone, and with a new kernel so is what has no name. */
void crash_forget(struct run *r, bool orphans);
/* The daemon dies and the next one is given the ring: nothing acknowledged is lost. */
bool crash_daemon(struct run *r);
/* The power fails: a state since the last sync, and everything synced. */
bool crash_machine(struct run *r);
/* Opens the store after a power cut and checks all of it; run->history has what may be there. */
void crash_recover(struct run *r);
/* A clean stop. */
bool crash_none(struct run *r);

#endif
