/* Private to disk.c (contents of files) and disk_folder.c (names). */
#ifndef VARVE_CRASH_DISK_INTERNAL_H
#define VARVE_CRASH_DISK_INTERNAL_H

#include "tests/crash/disk.h"

#define DISK_SECTOR 512
#define MARKS_MAX 16

/* A change of a file, with what was there before. */
struct change {
	int op;
	off_t off;
	size_t len;
	size_t new_len, old_len; /* of what is in `bytes`: new, then old */
	off_t old_size, new_size;
	uint64_t seq; /* counts the changes of all files and folders */
	uint8_t *bytes;
};

/* Syncs that have begun: how much each will have made durable. */
struct mark {
	int thread;
	uint64_t upto;
};
struct marks {
	int n;
	struct mark v[MARKS_MAX];
};

struct body {
	int fd;
	size_t n, cap, synced;
	struct change *v;
	uint64_t base; /* how many changes have been forgotten */
	struct marks marks;
};

/* One name of a folder: the file that has it at disk_new, after a power cut at least, and now; and what disk_lose left. */
struct folder_name {
	char name[TREE_NAME_LEN];
	int base, durable, now, shown;
};

struct name_change {
	int n;
	struct {
		int name, file; /* index in names, what has it from now on */
	} set[2];
	int needs, needed; /* carried out only if this name has that file */
	uint64_t seq;
};

struct folder {
	int dir;
	int n, cap;
	struct folder_name *names;
	size_t nchanges, changes_cap;
	struct name_change *changes; /* since the last sync */
	uint64_t base;
	struct marks marks;
};

struct disk {
	int level;
	unsigned flags;
	struct tree tree;
	int nbodies;
	struct body *bodies; /* by number of file */
	int nfolders;
	struct folder *folders;
	uint64_t seq;
};

enum loss_kind { LOSS_ALL, LOSS_SOME, LOSS_LATE /* what came after some moment */, LOSS_NONE, LOSS_KINDS };
struct disk_loss {
	enum loss_kind kind;
	uint64_t upto;
};
bool loss_keeps(const struct disk_loss *loss, uint64_t seq, struct rng *rng);

void disk_held_path(const struct disk *d, int file, char *ret, size_t len);
struct body *disk_body(struct disk *d, int file);
void marks_begin(struct marks *m, int thread, uint64_t upto);
uint64_t marks_end(struct marks *m, int thread);

void folder_free(struct folder *f);
void folder_event(struct disk *d, const struct disk_event *ev);
void folder_sync(struct disk *d, const struct disk_event *ev);
void folder_lose(struct disk *d, int i, const struct disk_loss *loss, struct rng *rng);
void folder_settle(struct disk *d, int i);
enum folder_state { FOLDER_BASE, FOLDER_NOW };
void folder_show(struct disk *d, int i, enum folder_state state);

#endif
