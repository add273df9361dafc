/* Private to store/repo: the sign that a prune of a repository is running, an object under prune/. Whoever finds
 * another's gives way. One that a killed process of this machine left counts for nothing; what another machine left
 * does until it is six hours old, and a prune renews its own before. */
#ifndef VARVE_REPO_MARKER_H
#define VARVE_REPO_MARKER_H

#include "store/repo/repo.h"

#define MARKER_HOST_LEN 16
#define MARKER_KEY_MAX 32

/* Who put it: zeros where the host does not tell. */
struct marker_owner {
	uint8_t host[MARKER_HOST_LEN]; /* its boot and pid namespace */
	uint64_t pid, started;	       /* started: as in /proc/PID/stat */
};

struct marker {
	char key[MARKER_KEY_MAX]; /* empty: there is none */
	struct marker_owner owner;
	int64_t put; /* ns */
};

/* -EBUSY when another prune runs. On failure too the marker may be there: marker_remove. */
int marker_begin(struct repo *r, struct marker *m, struct err *err);
/* Renews it when it is getting old; a prune calls it before each of its steps. -EBUSY when another prune has removed it:
 * a machine that slept must not go on with what it decided before. */
int marker_keep(struct repo *r, struct marker *m, struct err *err);
void marker_remove(struct repo *r, struct marker *m);

/* The object: pure. -ECORRUPT. */
int marker_encode(int64_t when, const struct marker_owner *owner, struct buf *ret);
int marker_parse(const void *data, size_t len, int64_t *ret_when, struct marker_owner *ret);

#endif
