/* Private to the journal: its state, which journal_file.c describes, and replay.c fills. */
#ifndef VARVE_JOURNAL_JOURNAL_INTERNAL_H
#define VARVE_JOURNAL_JOURNAL_INTERNAL_H

#include <pthread.h>

#include "store/base/buf.h"
#include "store/base/limits.h"
#include "store/journal/journal_file.h"
#include "store/journal/segment.h"

/* A batch buffer beyond this is freed after use rather than kept for the next. */
#define BATCH_KEEP_MAX (4 * MIB)

struct side {
	struct segment seg;
	uint64_t generation; /* of the present use; seg.use is what the disk has */
	uint64_t salt;
	bool begun;
	bool retired;
	int error;	  /* -errno of the flush that failed */
	uint64_t off;	  /* where the next batch goes */
	uint64_t chain;	  /* the checksum that it continues */
	struct buf batch; /* empty, or a batch header's room and records */
	uint32_t count;
	uint64_t after;   /* the last record before this batch */
	uint64_t end_pos; /* the last position appended to this side */
};

/* A group that is being appended: what there was before it. */
struct group {
	bool open;
	size_t batch_len;
	uint32_t count;
	uint64_t end_pos, appended, last_seq;
};

struct journal {
	pthread_mutex_t lock;
	pthread_cond_t flushed;
	struct stats *stats;
	struct side side[2];
	int cur;
	bool ready;    /* replay is done */
	bool flushing; /* there is a leader */
	struct group group;
	struct buf spare;
	uint64_t generation; /* the highest given out */
	uint64_t next_batch;
	uint64_t appended; /* positions count records */
	uint64_t synced;
	uint64_t last_seq; /* of the records appended or replayed */
	uint64_t settled;  /* a durable commit has everything up to this record */
};

static inline struct side *current(struct journal *j)
{
	return &j->side[j->cur];
}

static inline struct side *older(struct journal *j)
{
	return &j->side[1 - j->cur];
}

/* Starts a new use: its header is written with its first batch. */
int journal_side_renew(struct journal *j, struct side *s);

#endif
