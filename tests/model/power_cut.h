/* Power cuts: remembers what was written to each file since its last flush, so that any part of it can be lost. Sits on the I/O hook of
 * store/base/io.h. Creation, renaming, removal and punching count as done at once, which is the harder case for what is punched. */
#ifndef VARVE_MODEL_POWER_CUT_H
#define VARVE_MODEL_POWER_CUT_H

#include "tests/model/rng.h"

struct power_cut;

/* Takes the hook: no store may be open. */
struct power_cut *power_cut_new(void);
void power_cut_free(struct power_cut *pc);
/* From here on nothing that the process does reaches the disk, until power_cut_on. */
void power_cut_off(struct power_cut *pc);
/* Unflushed writes are lost, kept or torn, by chance. No store may be open. */
void power_cut_lose(struct power_cut *pc, struct rng *rng);
void power_cut_on(struct power_cut *pc);

#endif
