/* The volumes as a container engine asks for them, known without the store's lock: Get and List answer at once while
 * the store is busy, and before it is open. A name that is not known is said to be absent only when that is certain. */
#ifndef VARVE_DOCKER_CATALOG_H
#define VARVE_DOCKER_CATALOG_H

#include <stdbool.h>

#include "store/volume/volume.h"

struct catalog;

/* What is known of a volume's state, for the engine's Status: as old as `at` and `sizes_at` say. */
struct catalog_entry {
	struct volume_brief volume;
	struct volume_info info;    /* filled when info_at is not 0 */
	int64_t info_at;            /* ns, CLOCK_REALTIME */
	struct volume_sizes sizes;  /* when sizes_at is not 0 */
	int64_t sizes_at;
};

/* Begins with what an earlier daemon left in the store's folder, whose volumes are taken for present. */
int catalog_new(const char *store_dir, struct catalog **ret, struct err *err);
/* The store can be read: from now on it is asked. Starts two threads. */
int catalog_attach(struct catalog *c, struct store *store, struct err *err);
/* The store is going to be closed, and nothing changes the volumes any more: ends the threads. What they have read last
 * is certain from now on. */
void catalog_seal(struct catalog *c);
/* Ends the threads, and every wait: what cannot be answered is -EAGAIN. The store is not asked any more. */
void catalog_stop(struct catalog *c);
void catalog_free(struct catalog *c);

/* 0; -ENOENT: there is certainly none; -EAGAIN: that cannot be known. With want_state the state is asked for, and
 * waited for a little. */
int catalog_get(struct catalog *c, const char *name, bool want_state, struct catalog_entry *ret);
/* Caller frees. */
int catalog_list(struct catalog *c, struct volume_brief **ret, size_t *ret_n);

#endif
