/* Power cuts of a store that is in use: what reached the disk since the last sync of each file can be lost, whatever part of it. */
#ifndef VARVE_MODEL_POWER_CUT_H
#define VARVE_MODEL_POWER_CUT_H

#include "tests/crash/disk.h"

struct power_cut;

/* Takes the I/O hook: no store may be open. `level` and `flags` as for disk_new. */
struct power_cut *power_cut_new(const char *dir, int level, unsigned flags);
void power_cut_free(struct power_cut *pc);
/* From here on nothing that the process does reaches the disk, until power_cut_on. */
void power_cut_off(struct power_cut *pc);
/* The same, after so many changes and syncs more. */
void power_cut_after(struct power_cut *pc, uint64_t changes);
/* How many there have been. */
uint64_t power_cut_changes(struct power_cut *pc);
/* Unsynced changes are lost, kept or torn, by chance; what is left is durable. No store may be open. */
void power_cut_lose(struct power_cut *pc, struct rng *rng);
void power_cut_on(struct power_cut *pc);
/* The folder is what it was at first (DISK_KEEP); the power cut is of no use any more but to be freed. */
void power_cut_take_back(struct power_cut *pc);

#endif
