/* Key slots: each wraps the same master key with a key of its own, from a passphrase or from a key file, and is one
 * small object under keys/. Adding and removing slots touches nothing else. */
#include "store/repo/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#define KEYS_FOLDER "keys/"
#define KEY_ID_BYTES 8
#define KEYS_MAX 64

/* What the wrapping is bound to: the repository, and the slot's own fields. */
static int bound(const struct repo *r, const struct repo_slot *slot, struct buf *ret)
{
	int bad = buf_add(ret, r->config.id, REPO_ID_LEN);

	return bad ? bad : repo_slot_encode_bound(slot, ret);
}

static int derive(const struct repo_slot *slot, const struct repo_credentials *cred, uint8_t ret[32])
{
	if (slot->kind == SLOT_PASSPHRASE)
		return crypt_key_from_passphrase(cred->passphrase, strlen(cred->passphrase), slot->salt, slot->cost,
						 ret);
	crypt_key_from_file(cred->key_file, cred->key_file_len, slot->salt, ret);
	return 0;
}

struct key_list {
	struct repo *r;
	struct repo_key *v;
	size_t n;
	struct err *err;
	struct err *damage; /* one that is damaged is left out and noted here; NULL: it is an error */
};

static void key_id(const struct buf *content, char out[17])
{
	uint8_t id[KEY_ID_BYTES];

	crypt_checksum(content->data, content->len, id, sizeof id);
	for (size_t i = 0; i < KEY_ID_BYTES; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static int collect_key(void *arg, const char *key, uint64_t size)
{
	struct key_list *list = arg;
	const char *id = key + strlen(KEYS_FOLDER);
	struct buf content = {0};
	char real[17];
	int bad;

	(void)size;
	if (strlen(id) != 2 * KEY_ID_BYTES)
		return 0;
	if (list->n == KEYS_MAX)
		return err_set(list->err, E2BIG, "the repository %s has more than %d keys", list->r->be->where,
			       KEYS_MAX);
	if (!list->v && !(list->v = calloc(KEYS_MAX, sizeof *list->v)))
		return -ENOMEM;
	bad = backend_get(list->r->be, key, 0, SIZE_MAX, &content, list->err);
	if (!bad)
		key_id(&content, real);
	if (!bad && (strcmp(real, id) != 0 || repo_slot_parse(content.data, content.len, &list->v[list->n].slot)))
		bad = err_set(list->err, ECORRUPT, "%s in the repository %s is damaged", key, list->r->be->where);
	buf_free(&content);
	if (bad == -ECORRUPT && list->damage) {
		*list->damage = *list->err;
		*list->err = (struct err){0};
		return 0;
	}
	if (!bad)
		(void)snprintf(list->v[list->n++].id, sizeof list->v->id, "%s", id);
	return bad;
}

static int list_keys(struct repo *r, struct repo_key **ret, size_t *ret_n, struct err *damage, struct err *err)
{
	struct err local = {0};
	struct key_list list = {.r = r, .err = err ? err : &local, .damage = damage};
	int bad = backend_list(r->be, KEYS_FOLDER, collect_key, &list, err);

	if (bad) {
		free(list.v);
		return err && !err->code ? err_set(err, -bad, "reading the keys: %s", err_name(-bad)) : bad;
	}
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

int repo_key_list(struct repo *r, struct repo_key **ret, size_t *ret_n, struct err *err)
{
	return list_keys(r, ret, ret_n, NULL, err);
}

/* 0, -EKEYREJECTED, or why it could not be tried. */
static int try_slot(struct repo *r, const struct repo_slot *slot, const struct repo_credentials *cred)
{
	struct buf b = {0};
	uint8_t key[32];
	int bad = derive(slot, cred, key);

	if (!bad)
		bad = bound(r, slot, &b);
	if (!bad)
		bad = crypt_unwrap(key, b.data, b.len, slot->wrapped, r->master);
	crypt_wipe(key, sizeof key);
	buf_free(&b);
	return bad;
}

static int no_credentials(const struct repo *r, const struct repo_key *keys, size_t n, struct err *err)
{
	bool passphrase = false;

	for (size_t i = 0; i < n; i++)
		passphrase |= keys[i].slot.kind == SLOT_PASSPHRASE;
	(void)err_set(err, EKEYREJECTED, "the repository %s is encrypted: it needs its %s", r->be->where,
		      passphrase ? "passphrase" : "key file");
	err_hint(err, "%s",
		 passphrase ? "set VARVE_PASSPHRASE or VARVE_PASSPHRASE_FILE, or run this on a terminal to be asked"
			    : "say where it is with --key-file FILE");
	return -EKEYREJECTED;
}

int key_unlock(struct repo *r, const struct repo_credentials *cred, struct err *err)
{
	AUTO_FREE struct repo_key *keys = NULL;
	struct err damage = {0};
	size_t n, tried = 0;
	int bad = list_keys(r, &keys, &n, &damage, err);

	if (bad)
		return bad;
	if (!n && !damage.code)
		return err_set(err, ECORRUPT, "the repository %s has lost its keys: there is nothing under keys/",
			       r->be->where);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].slot.kind == SLOT_PASSPHRASE ? !cred->passphrase : !cred->key_file)
			continue;
		tried++;
		bad = try_slot(r, &keys[i].slot, cred);
		if (!bad)
			return 0;
		if (bad == -ENOMEM)
			return err_set(err, ENOMEM,
				       "deriving the key of the repository takes %llu MiB of memory, and there is less",
				       (unsigned long long)(keys[i].slot.cost.memory >> 20));
	}
	if (damage.code) { /* it might have been that one */
		if (err)
			*err = damage;
		return -damage.code;
	}
	if (!tried)
		return no_credentials(r, keys, n, err);
	(void)err_set(err, EKEYREJECTED, "the %s does not open the repository %s",
		      cred->passphrase ? "passphrase" : "key file", r->be->where);
	err_hint(err, "nothing was changed; try again with the right one");
	return -EKEYREJECTED;
}

int key_put(struct repo *r, const struct repo_credentials *cred, const char *label, char ret_id[17], struct err *err)
{
	struct repo_slot slot = {.kind = cred->passphrase ? SLOT_PASSPHRASE : SLOT_KEY_FILE};
	uint8_t key[32];
	char name[sizeof KEYS_FOLDER + 2 * KEY_ID_BYTES];
	struct timespec now;
	struct buf b = {0};
	int bad;

	if (!r->config.encrypted)
		return err_set(err, EINVAL, "the repository %s is not encrypted: it has no keys", r->be->where);
	if (cred->passphrase ? !*cred->passphrase : !cred->key_file_len)
		return err_set(err, EINVAL, "the %s is empty", cred->passphrase ? "passphrase" : "key file");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	slot.created = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
	if (slot.kind == SLOT_PASSPHRASE)
		slot.cost = crypt_cost_default();
	(void)snprintf(slot.label, sizeof slot.label, "%s", label ? label : "");
	bad = io_random(slot.salt, sizeof slot.salt);
	if (!bad)
		bad = derive(&slot, cred, key);
	if (!bad)
		bad = bound(r, &slot, &b);
	if (!bad)
		crypt_wrap(key, b.data, b.len, r->master, slot.wrapped);
	buf_reset(&b);
	if (!bad)
		bad = repo_slot_encode(&slot, &b);
	if (!bad) {
		key_id(&b, ret_id);
		(void)snprintf(name, sizeof name, "%s%s", KEYS_FOLDER, ret_id);
		bad = backend_put(r->be, name, b.data, b.len, err);
	}
	crypt_wipe(key, sizeof key);
	buf_free(&b);
	return bad && err && !err->code ? err_set(err, -bad, "adding a key: %s", err_name(-bad)) : bad;
}

int repo_key_add(struct repo *r, const struct repo_credentials *cred, const char *label, char ret_id[17],
		 struct err *err)
{
	int bad = repo_config_mend(r, err);

	return bad ? bad : key_put(r, cred, label, ret_id, err);
}

int repo_key_remove(struct repo *r, const char *id, struct err *err)
{
	AUTO_FREE struct repo_key *keys = NULL;
	char name[sizeof KEYS_FOLDER + 2 * KEY_ID_BYTES];
	size_t n, found = 0;
	int bad = repo_config_mend(r, err);

	if (!bad)
		bad = repo_key_list(r, &keys, &n, err);
	if (bad)
		return bad;
	for (size_t i = 0; i < n; i++)
		found += !strcmp(keys[i].id, id);
	if (!found) {
		(void)err_set(err, ENOENT, "the repository %s has no key '%s'", r->be->where, id);
		err_hint(err, "'varve repo key ls' lists them");
		return -ENOENT;
	}
	if (n == 1) {
		(void)err_set(err, EBUSY, "'%s' is the last key of the repository %s: without it its contents are lost",
			      id, r->be->where);
		err_hint(err, "add another first");
		return -EBUSY;
	}
	(void)snprintf(name, sizeof name, "%s%s", KEYS_FOLDER, id);
	return backend_remove(r->be, name, err);
}
