/* What a run did when, beside the record of its I/O: every state of the model, and every sync that returned, each with the number of
 * changes that the record had by then. */
#ifndef VARVE_CRASH_TIMELINE_H
#define VARVE_CRASH_TIMELINE_H

#include "tests/crash/record.h"
#include "tests/model/run.h"

struct timeline;

/* Listens to the run from here on; its present state is the first, and counts as durable. */
struct timeline *timeline_start(struct run *r, struct record_log *record);
void timeline_free(struct timeline *t);

/* What may be there when the power fails after so many changes: the states from the last one that was durable with all data, up to the
 * one that the operation at hand was about to make; and how much of it has to be there. Into a run's history. */
void timeline_window(const struct timeline *t, size_t changes, struct history *ret);

#endif
