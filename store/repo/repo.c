/* Opening and making; objects; snapshots. Keys are in key.c, the index in index.c. */
#include "store/repo/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/repo/key.h"

static const char *const folders[] = {
	[REPO_PACK] = "packs/",
	[REPO_INDEX] = "index/",
	[REPO_SNAPSHOT] = "snapshots/",
	[REPO_QUARANTINE] = "quarantine/",
};

const char *repo_object_folder(enum repo_type type)
{
	return folders[type];
}

void repo_object_key(enum repo_type type, const struct repo_name *name, char out[BACKEND_KEY_MAX + 1])
{
	char hex[REPO_HEX_LEN];

	repo_name_hex(name, hex);
	if (type == REPO_PACK)
		(void)snprintf(out, BACKEND_KEY_MAX + 1, "%s%.2s/%s", folders[type], hex, hex);
	else
		(void)snprintf(out, BACKEND_KEY_MAX + 1, "%s%s", folders[type], hex);
}

bool repo_object_name(enum repo_type type, const char *key, struct repo_name *ret)
{
	const char *slash = strrchr(key, '/');

	return !strncmp(key, folders[type], strlen(folders[type])) && slash && repo_name_parse(slash + 1, ret);
}

int repo_object_put(struct repo *r, enum repo_type type, const void *data, size_t len, struct repo_name *ret_name,
		    struct err *err)
{
	AUTO_FREE uint8_t *sealed = malloc(len + SEAL_OVERHEAD);
	char key[BACKEND_KEY_MAX + 1];
	struct repo_name name;
	int ret;

	if (!sealed)
		return err_set(err, ENOMEM, "out of memory");
	crypt_seal(&r->keys, type, NULL, data, len, sealed);
	crypt_name(&r->keys, type, sealed, len + SEAL_OVERHEAD, &name);
	repo_object_key(type, &name, key);
	ret = backend_put(r->be, key, sealed, len + SEAL_OVERHEAD, err);
	if (!ret && ret_name)
		*ret_name = name;
	return ret;
}

int repo_object_get(struct repo *r, enum repo_type type, const struct repo_name *name, struct buf *ret, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct buf sealed = {0};
	struct repo_name real;
	int bad;

	repo_object_key(type, name, key);
	bad = backend_get(r->be, key, 0, SIZE_MAX, &sealed, err);
	if (!bad) {
		crypt_name(&r->keys, type, sealed.data, sealed.len, &real);
		if (memcmp(real.b, name->b, REPO_NAME_LEN) != 0 || sealed.len < SEAL_OVERHEAD)
			bad = err_set(err, ECORRUPT,
				      "%s in the repository %s is damaged: its bytes do not match its name", key,
				      r->be->where);
	}
	if (!bad && buf_reserve(ret, sealed.len))
		bad = err_set(err, ENOMEM, "out of memory");
	if (!bad && crypt_open(&r->keys, type, NULL, sealed.data, sealed.len, ret->data + ret->len))
		bad = err_set(err, ECORRUPT, "%s in the repository %s does not decrypt", key, r->be->where);
	if (!bad)
		ret->len += sealed.len - SEAL_OVERHEAD;
	buf_free(&sealed);
	return bad;
}

struct names {
	enum repo_type type;
	struct repo_name *v;
	size_t n, cap;
};

static int collect_name(void *arg, const char *key, uint64_t size)
{
	struct names *list = arg;
	struct repo_name name;

	(void)size;
	if (!repo_object_name(list->type, key, &name))
		return 0;
	if (array_grow(&list->v, &list->cap, list->n, sizeof *list->v))
		return -ENOMEM;
	list->v[list->n++] = name;
	return 0;
}

int repo_object_list(struct repo *r, enum repo_type type, struct repo_name **ret, size_t *ret_n, struct err *err)
{
	struct names list = {.type = type};
	int bad = backend_list(r->be, folders[type], collect_name, &list, err);

	if (bad) {
		free(list.v);
		return err && !err->code ? err_set(err, -bad, "listing %s: %s", folders[type], err_name(-bad)) : bad;
	}
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

/* --- making and opening --- */

static int begin(const char *url, const struct repo_credentials *cred, unsigned flags, struct repo **ret,
		 struct err *err)
{
	struct repo *r;
	int bad = crypt_init();

	if (bad)
		return err_set(err, -bad, "libsodium cannot be initialised");
	r = calloc(1, sizeof *r);
	if (!r)
		return err_set(err, ENOMEM, "out of memory");
	r->pack_target = REPO_PACK_TARGET;
	bad = backend_open(url, &cred->access, flags, &r->be, err);
	if (bad) {
		free(r);
		return bad;
	}
	*ret = r;
	return 0;
}

static int count_any(void *arg, const char *key, uint64_t size)
{
	(void)key;
	(void)size;
	++*(size_t *)arg;
	return 0;
}

/* -EEXIST when there is a repository, -ENOTEMPTY when there is something else. */
static int check_unused(struct repo *r, struct err *err)
{
	static const char *const keys[] = {REPO_CONFIG_KEY, REPO_CONFIG_COPY_KEY};
	struct err ignored = {0};
	size_t n = 0;
	int bad;

	for (size_t i = 0; i < 2; i++) {
		struct buf config = {0};

		bad = backend_get(r->be, keys[i], 0, SIZE_MAX, &config, &ignored);
		buf_free(&config);
		if (!bad)
			return err_set(err, EEXIST, "there is a repository at %s already", r->be->where);
		if (bad != -ENOENT) {
			if (err)
				*err = ignored;
			return bad;
		}
	}
	bad = backend_list(r->be, "packs/", count_any, &n, err);
	if (!bad && n) {
		(void)err_set(err, ENOTEMPTY, "%s has the packs of a repository, but no config", r->be->where);
		err_hint(err,
			 "this is a damaged repository: restore its 'config' from a copy, or choose another place");
		return -ENOTEMPTY;
	}
	return bad;
}

int repo_init(const char *url, const struct repo_credentials *cred, bool encrypted, const char *label, struct err *err)
{
	struct buf config = {0};
	struct repo *r;
	struct timespec now;
	char id[17];
	int bad = begin(url, cred, BACKEND_CREATE, &r, err);

	if (bad)
		return bad;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	r->config.encrypted = encrypted;
	r->config.created = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
	bad = check_unused(r, err);
	if (!bad && encrypted && !cred->passphrase && !cred->key_file) {
		bad = err_set(err, EINVAL, "a repository needs a passphrase or a key file");
		err_hint(err, "or --no-encryption, if whoever can read the place may read the backups");
	}
	if (!bad && (io_random(r->config.id, REPO_ID_LEN) || io_random(r->master, REPO_MASTER_LEN)))
		bad = err_set(err, EIO, "no random bytes from the kernel");
	memcpy(r->config.master, r->master, REPO_MASTER_LEN);
	if (!bad)
		bad = repo_config_encode(&r->config, &config);
	/* the key first: a repository with a config can be opened; without the copy it is one all the same */
	if (!bad && encrypted)
		bad = key_put(r, cred, label, id, err);
	if (!bad)
		bad = backend_put(r->be, REPO_CONFIG_KEY, config.data, config.len, err);
	if (!bad)
		bad = backend_put(r->be, REPO_CONFIG_COPY_KEY, config.data, config.len, err);
	buf_free(&config);
	repo_free(r);
	return bad && err && !err->code ? err_set(err, -bad, "making the repository: %s", err_name(-bad)) : bad;
}

int repo_config_get(struct repo *r, const char *key, struct repo_config *ret, struct err *err)
{
	struct buf config = {0};
	int bad = backend_get(r->be, key, 0, SIZE_MAX, &config, err);

	if (!bad) {
		bad = repo_config_parse(config.data, config.len, ret);
		if (bad == -ETOONEW)
			bad = err_set(err, ETOONEW, "the repository %s was made by a newer varve", r->be->where);
		else if (bad)
			bad = err_set(err, ECORRUPT, "%s in the repository %s is damaged", key, r->be->where);
	}
	if (config.data)
		crypt_wipe(config.data, config.len);
	buf_free(&config);
	return bad;
}

bool repo_config_same(const struct repo_config *a, const struct repo_config *b)
{
	return a->encrypted == b->encrypted && a->created == b->created && !memcmp(a->id, b->id, REPO_ID_LEN) &&
	       !memcmp(a->master, b->master, REPO_MASTER_LEN);
}

static int read_config(struct repo *r, struct err *err)
{
	struct err why = {0};
	int bad = repo_config_get(r, REPO_CONFIG_KEY, &r->config, err), copy;

	if (bad != -ENOENT && bad != -ECORRUPT && bad != -EIO)
		return bad;
	copy = repo_config_get(r, REPO_CONFIG_COPY_KEY, &r->config, &why);
	if (!copy) {
		if (err)
			*err = (struct err){0};
		r->config_lost = true;
		(void)snprintf(r->notice, sizeof r->notice,
			       "config in the repository %s is %s: its copy %s was read; the next push, or a new key, mends it",
			       r->be->where, bad == -ENOENT ? "missing" : "damaged", REPO_CONFIG_COPY_KEY);
		return 0;
	}
	if (copy != -ENOENT) {
		if (err)
			*err = why;
		return copy;
	}
	if (bad == -ENOENT) {
		(void)err_set(err, ENOENT, "there is no repository at %s", r->be->where);
		err_hint(err, "make one with 'varve repo init'");
	}
	return bad;
}

static int put_config(struct repo *r, const char *key, struct err *err)
{
	struct buf config = {0};
	int bad = repo_config_encode(&r->config, &config);

	bad = bad ? err_set(err, -bad, "%s", err_name(-bad)) : backend_put(r->be, key, config.data, config.len, err);
	if (config.data)
		crypt_wipe(config.data, config.len);
	buf_free(&config);
	return bad;
}

int repo_config_mend(struct repo *r, struct err *err)
{
	struct repo_config copy = {0};
	struct err why = {0};
	int bad, found;

	if (r->config_lost) {
		bad = put_config(r, REPO_CONFIG_KEY, err);
		r->config_lost = bad;
		if (!bad)
			(void)snprintf(r->notice, sizeof r->notice,
				       "config in the repository %s was missing or damaged: it was written anew from its copy %s",
				       r->be->where, REPO_CONFIG_COPY_KEY);
		return bad;
	}
	found = repo_config_get(r, REPO_CONFIG_COPY_KEY, &copy, &why);
	if (!found && !repo_config_same(&copy, &r->config))
		(void)snprintf(r->notice, sizeof r->notice, "%s in the repository %s is no copy of its config: one of them is "
							    "another repository's",
			       REPO_CONFIG_COPY_KEY, r->be->where);
	crypt_wipe(&copy, sizeof copy);
	if (found == -ENOENT || found == -ECORRUPT || found == -EIO) {
		bad = put_config(r, REPO_CONFIG_COPY_KEY, err);
		if (!bad && found != -ENOENT)
			(void)snprintf(r->notice, sizeof r->notice, "%s in the repository %s was damaged: it was written anew",
				       REPO_CONFIG_COPY_KEY, r->be->where);
		return bad;
	}
	if (found && found != -ETOONEW && err)
		*err = why;
	return found == -ETOONEW ? 0 : found;
}

int repo_open(const char *url, const struct repo_credentials *cred, struct repo **ret, struct err *err)
{
	struct repo *r;
	int bad = begin(url, cred, 0, &r, err);

	if (bad)
		return bad;
	bad = read_config(r, err);
	if (!bad && r->config.encrypted)
		bad = key_unlock(r, cred, err);
	else if (!bad && (cred->passphrase || cred->key_file)) {
		/* or someone put a config in its place, to get at what would be pushed */
		bad = err_set(err, EINVAL, "the repository %s is not encrypted, but a key was given", r->be->where);
		err_hint(err, "leave the passphrase or key file out if that is how it was made; if not, its config was "
			      "replaced");
	}
	if (bad) {
		repo_free(r);
		return bad;
	}
	if (!r->config.encrypted)
		memcpy(r->master, r->config.master, REPO_MASTER_LEN);
	crypt_derive(&r->keys, r->master, r->config.encrypted);
	*ret = r;
	return 0;
}

void repo_free(struct repo *r)
{
	if (!r)
		return;
	backend_free(r->be);
	blob_index_free(r->index);
	free(r->indexes);
	free(r->quarantines);
	crypt_wipe(r, sizeof *r);
	free(r);
}

void repo_id_hex(const struct repo *r, char out[2 * REPO_ID_LEN + 1])
{
	for (size_t i = 0; i < REPO_ID_LEN; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", r->config.id[i]);
}

/* --- snapshots --- */

int repo_snapshot_get(struct repo *r, const struct repo_name *id, struct repo_snapshot *ret, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct buf content = {0};
	int bad = repo_object_get(r, REPO_SNAPSHOT, id, &content, err);

	if (!bad && repo_snapshot_parse(content.data, content.len, ret)) {
		repo_object_key(REPO_SNAPSHOT, id, key);
		bad = err_set(err, ECORRUPT, "%s in the repository %s is not a snapshot", key, r->be->where);
	}
	buf_free(&content);
	return bad;
}

static int by_created(const void *a, const void *b)
{
	const struct repo_entry *x = a, *y = b;

	if (x->s.created != y->s.created)
		return x->s.created < y->s.created ? -1 : 1;
	if (x->s.pushed != y->s.pushed)
		return x->s.pushed < y->s.pushed ? -1 : 1;
	return memcmp(x->id.b, y->id.b, REPO_NAME_LEN);
}

/* damaged NULL: one that is damaged is an error. */
static int list_snapshots(struct repo *r, struct repo_entry **ret, size_t *ret_n, size_t *damaged, struct err *err)
{
	AUTO_FREE struct repo_name *names = NULL;
	AUTO_FREE struct repo_entry *list = NULL;
	size_t n, i, kept = 0;
	int bad = repo_object_list(r, REPO_SNAPSHOT, &names, &n, err);

	if (bad)
		return bad;
	list = calloc(n ? n : 1, sizeof *list);
	if (!list)
		return err_set(err, ENOMEM, "out of memory");
	for (i = 0; i < n && !bad; i++) {
		list[kept].id = names[i];
		bad = repo_snapshot_get(r, &names[i], &list[kept].s, err);
		kept += !bad;
		if (bad == -ENOENT || (bad == -ECORRUPT && damaged)) { /* forgotten since it was listed */
			if (bad == -ECORRUPT)
				++*damaged;
			if (err)
				*err = (struct err){0};
			bad = 0;
		}
	}
	if (bad)
		return bad;
	if (kept)
		qsort(list, kept, sizeof *list, by_created);
	*ret = steal(&list);
	*ret_n = kept;
	return 0;
}

int repo_snapshot_list(struct repo *r, struct repo_entry **ret, size_t *ret_n, struct err *err)
{
	return list_snapshots(r, ret, ret_n, NULL, err);
}

int repo_snapshot_list_sound(struct repo *r, struct repo_entry **ret, size_t *ret_n, size_t *ret_damaged,
			     struct err *err)
{
	*ret_damaged = 0;
	return list_snapshots(r, ret, ret_n, ret_damaged, err);
}

int repo_snapshot_find(struct repo *r, const char *volume, const char *snapshot, struct repo_entry *ret,
		       struct err *err)
{
	AUTO_FREE struct repo_entry *list = NULL;
	const struct repo_entry *found = NULL, *other = NULL;
	size_t n, damaged;
	int bad = repo_snapshot_list_sound(r, &list, &n, &damaged, err);

	if (bad)
		return bad;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].s.volume, volume) != 0)
			continue;
		other = &list[i];
		if (!strcmp(list[i].s.snapshot, snapshot) && (!found || list[i].s.pushed >= found->s.pushed))
			found = &list[i];
	}
	if (found) {
		*ret = *found;
		return 0;
	}
	(void)err_set(err, ENOENT, "the repository %s has no snapshot '%s@%s'", r->be->where, volume, snapshot);
	if (damaged)
		err_hint(err, "%zu of its snapshots cannot be read: 'varve repo check' says which objects are damaged",
			 damaged);
	else if (other)
		err_hint(err, "its newest of that volume is '%s@%s'", other->s.volume, other->s.snapshot);
	else
		err_hint(err, "'varve repo ls' lists what it has");
	return -ENOENT;
}

int repo_snapshot_put(struct repo *r, const struct repo_snapshot *s, struct repo_name *ret_id, struct err *err)
{
	struct buf content = {0};
	int bad = repo_snapshot_encode(s, &content);

	if (bad)
		bad = err_set(err, -bad, "%s", err_name(-bad));
	else
		bad = repo_object_put(r, REPO_SNAPSHOT, content.data, content.len, ret_id, err);
	buf_free(&content);
	return bad;
}

int repo_snapshot_remove(struct repo *r, const struct repo_name *id, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];

	repo_object_key(REPO_SNAPSHOT, id, key);
	return backend_remove(r->be, key, err);
}
