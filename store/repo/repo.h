/* A backup repository: opened with its keys; its snapshots; its blobs read and written. What a push, a pull, a check or
 * a prune is made of. One `struct repo` serves one piece of work; its functions may be called by several threads only
 * where they say so. */
#ifndef VARVE_REPO_REPO_H
#define VARVE_REPO_REPO_H

#include <stdatomic.h>

#include "store/repo/backend.h"
#include "store/repo/blob_index.h"

struct repo_credentials {
	const char *passphrase; /* NULL: none */
	const void *key_file;   /* its bytes; NULL: none */
	size_t key_file_len;
	struct backend_access access;
};

/* What a piece of work has done so far, for whoever shows it; any thread may read. */
struct repo_progress {
	_Atomic uint64_t bytes_total; /* of content to look at, as far as known */
	_Atomic uint64_t bytes_done;
	_Atomic uint64_t sent;         /* stored bytes that went to the repository, or came from it */
	_Atomic uint64_t deduplicated; /* content that was there already */
	_Atomic uint64_t fresh;        /* content that was not, before compression */
	_Atomic uint64_t chunks;
	_Atomic bool cancel; /* set by others: end with -ECANCELED */
};

#define REPO_PACK_TARGET (16 * MIB)

struct repo {
	struct backend *be;
	size_t pack_target; /* a pack is written when it has so much; tests have smaller ones */
	struct repo_config config;
	struct crypt_keys keys;
	uint8_t master[REPO_MASTER_LEN];
	struct blob_index *index;  /* NULL until repo_load_index */
	struct repo_name *indexes; /* the index objects that were read */
	size_t n_indexes;
	struct repo_name *quarantines; /* and the quarantine objects */
	size_t n_quarantines;
	bool reading;              /* repo_load_index_to_read: the index may grow while it is read from */
	bool config_lost;          /* the config was read from its copy */
	char notice[ERR_TEXT_MAX]; /* what is wrong with one of both, or was and has been mended; "": nothing */
};

#define REPO_CONFIG_KEY "config"
#define REPO_CONFIG_COPY_KEY "config2" /* the same bytes once more */

/* Makes a repository with one key. encrypted false: no key, see crypt.h. -EEXIST when there is one. */
int repo_init(const char *url, const struct repo_credentials *cred, bool encrypted, const char *label, struct err *err);
/* Reads config (where it is missing or damaged, its copy: `notice` says so) and keys. A wrong passphrase is -EKEYREJECTED
 * and one clear line. */
int repo_open(const char *url, const struct repo_credentials *cred, struct repo **ret, struct err *err);
void repo_free(struct repo *r);
/* Of the config and its copy writes the one that is missing or damaged; `notice` says so, unless it is a copy that there
 * was none of. One that differs is left alone. Pushes and changes of keys call it. */
int repo_config_mend(struct repo *r, struct err *err);
/* 0, -ENOENT, -ECORRUPT, -ETOONEW or why it cannot be read. */
int repo_config_get(struct repo *r, const char *key, struct repo_config *ret, struct err *err);
bool repo_config_same(const struct repo_config *a, const struct repo_config *b);
/* "32 hex digits" of the repository's id. */
void repo_id_hex(const struct repo *r, char out[2 * REPO_ID_LEN + 1]);

/* --- keys --- */

struct repo_key {
	char id[17]; /* hex */
	struct repo_slot slot;
};
int repo_key_list(struct repo *r, struct repo_key **ret, size_t *ret_n, struct err *err); /* caller frees */
/* A further way in, for a repository that is open. */
int repo_key_add(struct repo *r, const struct repo_credentials *cred, const char *label, char ret_id[17],
		 struct err *err);
/* The last one stays (-EBUSY). */
int repo_key_remove(struct repo *r, const char *id, struct err *err);

/* --- snapshots --- */

struct repo_entry {
	struct repo_name id;
	struct repo_snapshot s;
};
/* All, oldest first by creation. Caller frees. */
int repo_snapshot_list(struct repo *r, struct repo_entry **ret, size_t *ret_n, struct err *err);
/* Those that are sound, and how many are damaged: for who only reads. */
int repo_snapshot_list_sound(struct repo *r, struct repo_entry **ret, size_t *ret_n, size_t *ret_damaged,
			     struct err *err);
/* VOLUME@SNAPSHOT, the one pushed last if several stores pushed that name; -ENOENT. */
int repo_snapshot_find(struct repo *r, const char *volume, const char *snapshot, struct repo_entry *ret,
		       struct err *err);
int repo_snapshot_get(struct repo *r, const struct repo_name *id, struct repo_snapshot *ret, struct err *err);
int repo_snapshot_put(struct repo *r, const struct repo_snapshot *s, struct repo_name *ret_id, struct err *err);
int repo_snapshot_remove(struct repo *r, const struct repo_name *id, struct err *err);

/* --- objects: sealed, named by a keyed hash of their stored bytes, under FOLDER/ab/… (packs) or FOLDER/… --- */

void repo_object_key(enum repo_type type, const struct repo_name *name, char out[BACKEND_KEY_MAX + 1]);
/* From a key to the name; false when it is no object of that type. */
bool repo_object_name(enum repo_type type, const char *key, struct repo_name *ret);
const char *repo_object_folder(enum repo_type type);
/* Seals, names and puts. */
int repo_object_put(struct repo *r, enum repo_type type, const void *data, size_t len, struct repo_name *ret_name,
		    struct err *err);
/* Gets, verifies the name, opens. */
int repo_object_get(struct repo *r, enum repo_type type, const struct repo_name *name, struct buf *ret,
		    struct err *err);
/* The names in a folder. Caller frees. */
int repo_object_list(struct repo *r, enum repo_type type, struct repo_name **ret, size_t *ret_n, struct err *err);

/* --- the index --- */

enum repo_index_flags {
	REPO_INDEX_ADOPT = 1,    /* take in packs that no index object has: an interrupted push left them */
	REPO_INDEX_TOLERANT = 2, /* leave out what is damaged: a check says it elsewhere */
	REPO_INDEX_LIST = 4,     /* find out which packs are missing; ADOPT does so, too */
};
int repo_load_index(struct repo *r, unsigned flags, struct err *err);
/* For who only reads: where index objects are damaged the packs' own tables say what they hold. */
int repo_load_index_to_read(struct repo *r, struct err *err);
/* Takes in index objects that have come since. One thread at a time; others may look things up. */
int repo_reload_index(struct repo *r, struct err *err);
/* Writes the packs' names down as quarantined; nothing when there are none. */
int repo_quarantine_put(struct repo *r, const struct repo_quarantine *q, struct err *err);
/* Writes one index object with these packs' tables as encoded by pack_out; nothing when it is empty. */
int repo_index_put(struct repo *r, const struct buf *content, struct repo_name *ret_name, struct err *err);
/* The table of a pack, from its end. */
int repo_pack_table(struct repo *r, const struct repo_name *pack, uint64_t size, struct buf *ret, struct err *err);

#endif
