/* From the id of a chunk of the store to its name in the repository. One thread changes it; any may look while none
 * does. */
#ifndef VARVE_REPO_CHUNK_MAP_H
#define VARVE_REPO_CHUNK_MAP_H

#include "store/repo/crypt.h"

struct chunk_map_entry {
	uint64_t id;   /* 0: free */
	uint64_t base; /* a chunk that it may be much like; 0: none */
	struct repo_name name;
	bool named;
};
struct chunk_map {
	struct chunk_map_entry *v;
	size_t size, n;
};
void chunk_map_free(struct chunk_map *m);
struct chunk_map_entry *chunk_map_find(const struct chunk_map *m, uint64_t id); /* NULL */
/* The entry, made if it is not there; valid until the next one is made. -ENOMEM. */
int chunk_map_get(struct chunk_map *m, uint64_t id, struct chunk_map_entry **ret);

#endif
