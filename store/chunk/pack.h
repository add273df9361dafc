/* One pack file being appended to. Used by one thread at a time. Readers open the file on their own. */
#ifndef VARVE_CHUNK_PACK_H
#define VARVE_CHUNK_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_NAME_LEN 13 /* XXXXXXXX.pack */
#define PACK_BLOCK 4096

void pack_name(uint32_t id, char ret_name[PACK_NAME_LEN + 1]);
/* Whether a directory entry is a pack's, and which. Pack ids begin at 1. */
bool pack_name_parse(const char *name, uint32_t *ret_id);

struct pack {
	uint32_t id;
	int dirfd; /* not owned */
	int fd;
	int direct_fd; /* the same file with O_DIRECT; -1: not to be had, or not wanted yet */
	bool entry_synced;  /* the directory entry is durable */
	uint64_t end;       /* where the next append goes; always the file's size */
	uint64_t synced;    /* [0, synced) is durable */
	uint64_t pushed;    /* [0, pushed) has been handed to writeback */
	bool no_direct;     /* the filesystem refused O_DIRECT */
	uint64_t allocated; /* blocks are reserved up to here; UINT64_MAX: the filesystem refused, not asked again */
	struct pack *next;  /* for the owner's list */
};

/* Makes the file. -EEXIST if the id has been used before. */
int pack_create(int dirfd, uint32_t id, struct pack **ret);
/* Whole blocks of what is long bypass the page cache, if `data` lies as its place in the file does, modulo PACK_BLOCK.
 * After an error the file's tail is undefined: pack_abandon it. */
int pack_append(struct pack *p, const void *data, size_t len);
/* Makes all that was appended durable, and the file's name. */
int pack_sync(struct pack *p);
static inline bool pack_dirty(const struct pack *p)
{
	return p->synced < p->end;
}
/* Gives back blocks reserved but not written (called before the last sync, so that one journal commit covers both). */
void pack_trim(struct pack *p);
/* Trims, closes, frees; an empty file is removed. NULL is accepted. */
void pack_free(struct pack *p);
/* Cuts off what was never made durable, then pack_free. */
void pack_abandon(struct pack *p);

#endif
