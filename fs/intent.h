/* What the kernel has to be told of once a change is made. Noted before the change, in memory that outlives the daemon,
 * and cleared when the kernel has been told: when the daemon dies in between, the next one tells. Telling too much is
 * harmless, so nobody asks whether the change came to be. Threading: any. */
#ifndef VARVE_FS_INTENT_H
#define VARVE_FS_INTENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/base/limits.h"

struct daemon;

/* More than there are threads that change something. */
#define INTENTS_MAX 256

enum intent_kind {
	INTENT_NONE,
	INTENT_NAME,     /* a name in the folder `node` */
	INTENT_SNAPSHOT, /* a snapshot of the volume with root `node` (0: of any volume); "": all of them */
	INTENT_ROLLBACK, /* of the volume with root `node` */
};
struct intent {
	_Atomic uint32_t kind; /* INTENT_NONE: free; INTENT_BUSY while it is being filled */
	uint64_t node;
	char name[VOLUME_NAME_MAX + 1];
};

/* NULL when all are taken, which costs only what they are for. */
struct intent *intent_begin(struct daemon *d, enum intent_kind kind, uint64_t node, const char *name);
void intent_end(struct intent *i);
/* At a take-over: tells the kernel what an earlier daemon did not. */
void intent_redo(struct daemon *d);

static inline void intent_cleanup(struct intent **i)
{
	intent_end(*i);
}
/* Until the end of the scope: by then the kernel has been told, or nothing was changed. */
#define AUTO_INTENT __attribute__((cleanup(intent_cleanup))) struct intent *

#endif
