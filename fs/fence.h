/* Getting out of the kernel what programs wrote before a snapshot was asked for: the page cache and mappings. */
#ifndef VARVE_FS_FENCE_H
#define VARVE_FS_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"

struct daemon;
struct fence;

/* fi->fh of a descriptor that the daemon itself opened on its mount: neither its opens nor its fsyncs are anybody's. */
#define FENCE_FH UINT64_MAX

int fence_new(struct daemon *d, struct fence **ret);
void fence_free(struct fence *f);
/* The mount is there, and this is its device: starts asking the kernel every few seconds to deliver what is dirty. */
int fence_start(struct fence *f, dev_t device, struct err *err);
/* Ends that; the mount may be taken away after. */
void fence_stop(struct fence *f);

/* Everything written to the regular files of these volumes (n 0: of all) before this call is in the engine's buffers
 * when it returns. Needs the workers; never call it from one, nor with a lock held that a handler takes. *ret_us: how
 * long it took. */
int fence_run(struct daemon *d, const int64_t *volumes, size_t n, uint64_t *ret_us, struct err *err);
/* The same for one file from `off` on; -errno. */
int fence_deliver_range(struct daemon *d, uint64_t node, int64_t off);

/* Whether a request of this thread id comes from a fence. */
bool fence_is_own_thread(const struct fence *f, pid_t tid);

#endif
