/* One run: an open store, the model beside it, and what both have been through. Operations are functions on it; they pick what to do
 * with run->rng, say it with run_log, do it to the store, and compare what came back with what the model expects. */
#ifndef VARVE_MODEL_RUN_H
#define VARVE_MODEL_RUN_H

#include "store/volume/diff.h"
#include "store/volume/file_io.h"
#include "tests/model/mstate.h"
#include "tests/model/pattern.h"
#include "tests/model/rng.h"
#include "tests/model/words.h"

#define RUN_LOG_LINES 32
#define RUN_LOG_TEXT 400
#define RUN_HANDLES 24
#define RUN_OLD_HEADS 8
#define RUN_IO_MAX (1U << 20)   /* of one call */
#define RUN_INODES_MAX 160      /* of a volume */
#define RUN_SNAPSHOTS_MAX 40    /* of all volumes */
#define RUN_PAGES_MAX 1024      /* of a volume's tree */
#define RUN_HISTORY_MAX 400     /* states remembered since the last sync */

/* An open of a file, not yet released. */
struct handle {
	int64_t volume;
	uint64_t node;
	unsigned flags;
};

/* A head that a rollback replaced: its number still reads what the volume held, through nodes that are known. */
struct old_head {
	int64_t volume;
	uint32_t number;
	char saved[VOLUME_NAME_MAX + 1]; /* the automatic snapshot that keeps it */
	struct mtree *tree;
};

/* From which remembered state on a file's data is on stable storage. */
struct data_floor {
	int64_t volume;
	uint64_t ino;
	size_t index;
};

/* The states since everything was last on stable storage: [0] is that one, the last is the present one. */
struct history {
	struct mstate *v;
	size_t n;
	size_t meta_floor; /* metadata is at least this new */
	struct data_floor *floors;
	size_t nfloors, floors_cap;
};

struct power_cut;

/* Told of each state as it is remembered, and of each sync: all, metadata only, or also one file's data. */
enum run_news { RUN_STATE, RUN_SYNCED, RUN_SYNCED_META, RUN_SYNCED_FILE };
typedef void (*run_listener)(void *arg, enum run_news news, const struct mstate *state, int64_t volume, uint64_t ino);

struct run {
	const char *dir;
	struct store *store;
	struct store_options store_options; /* the ring is crash_open's to choose */
	run_listener listener; /* NULL: none */
	void *listener_arg;
	struct power_cut *power_cut;
	uint64_t seed;
	const char *prefix; /* of volume names, so that several runs can share a store */
	bool alone;         /* no other run works on the store */
	bool verbose;
	struct rng rng;
	struct pattern *pattern;
	uint64_t op, checks, views; /* counters: operations, comparisons, views compared */

	struct mstate state;
	struct history history;
	struct handle handles[RUN_HANDLES];
	size_t nhandles;
	struct old_head old_heads[RUN_OLD_HEADS];
	size_t nold_heads;
	uint32_t *numbers; /* every node id number seen */
	size_t nnumbers;
	uint64_t last_ino, last_id; /* the highest inode number seen; a counter for names and lineages */
	uint64_t unique;

	char log[RUN_LOG_LINES][RUN_LOG_TEXT];
	uint64_t log_op[RUN_LOG_LINES];
	size_t nlog;
	uint8_t *want, *got; /* RUN_IO_MAX bytes each */
};

void run_init(struct run *r, uint64_t seed, const char *prefix);
void run_free(struct run *r);

/* Says what differs, the seed, and the last operations; does not return. */
void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
/* Notes the operation that is about to be done. */
void run_log(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fails unless the store answered what the model expects. */
void run_want(struct run *r, const char *call, int got, int want);
/* The same, when err says why the store refused. */
void run_want_err(struct run *r, const char *call, int got, int want, const struct err *err);

/* Remembers the present state: to be called after each thing done to the store. */
void run_step(struct run *r);
/* Everything up to now is on stable storage. */
void run_synced(struct run *r);
/* All metadata up to now is, and this file's data (ino 0: no file's). */
void run_synced_file(struct run *r, int64_t volume, uint64_t ino);

int64_t run_now(void);
struct op run_op(struct run *r);

/* A random volume's index in the state; -1 when there is none. */
int run_volume(struct run *r);
enum { PICK_FILE = 1, PICK_DIR = 2, PICK_OTHER = 4, PICK_ANY = 7, PICK_ORPHAN = 8 /* unlinked ones as well */ };
const struct minode *run_pick(struct run *r, const struct mtree *t, unsigned what);
/* An unused name in a directory, or any name. */
unsigned run_name(struct run *r);

/* The node id of an inode of a live volume. */
uint64_t run_node(struct run *r, int vi, const struct minode *m);
/* A number that was not known before: it must be new. */
void run_number_new(struct run *r, uint32_t number);
bool run_writers(const struct run *r, const struct mvolume *v);

enum { TIME_A = 1, TIME_M = 2, TIME_C = 4, TIME_B = 8 };
/* Compares all of an inode's attributes with the store's, and learns the times in `changed`, which must be the present. */
void run_adopt(struct run *r, int vi, uint64_t ino, unsigned changed, int64_t since);
/* Learns times and compares the rest of attributes that an operation returned. */
void run_adopt_attr(struct run *r, int vi, uint64_t ino, const struct attr *attr, unsigned changed, int64_t since);
/* The first difference in words, or false. `m` has the expected values; the node is the caller's to compare. */
bool run_attr_differs(const struct attr *a, const struct minode *m, char *ret_text, size_t len);

#endif
