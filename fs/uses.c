/* The record is STORE/uses.json: {"boot": "…", "uses": [{"volume": 7, "id": "…", "count": 1}]}. It is replaced as a
 * whole after each change, or after several made at once: there are as many entries as running containers have volumes.
 * Whoever only looks never waits for the disk. */
#include "fs/uses.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#define FILE_NAME "uses.json"
#define FILE_BAD "uses.json.bad"
#define FILE_MAX (64 * 1024 * 1024)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LEN 36

struct uses {
	int dirfd;
	char boot[BOOT_ID_LEN + 1];
	pthread_mutex_t file_lock; /* covers the file and saved; taken before lock */
	uint64_t saved;            /* the number of the last change that is in the file */
	pthread_mutex_t lock;      /* covers what follows */
	uint64_t changes;
	struct use *v;
	size_t n, cap;
};

static void read_boot_id(char out[BOOT_ID_LEN + 1])
{
	FILE *f = fopen(BOOT_ID, "re");

	if (!f)
		return;
	if (fread(out, 1, BOOT_ID_LEN, f) != BOOT_ID_LEN)
		*out = '\0';
	(void)fclose(f);
}

static struct use *find(struct uses *u, int64_t volume, const char *id)
{
	size_t i;

	for (i = 0; i < u->n; i++)
		if (u->v[i].volume == volume && !strcmp(u->v[i].id, id))
			return &u->v[i];
	return NULL;
}

static int append(struct uses *u, int64_t volume, const char *id, unsigned count)
{
	if (!*id || strlen(id) > USE_ID_MAX)
		return -EINVAL;
	if (u->n == USES_MAX)
		return -ENOSPC;
	if (u->n == u->cap) {
		size_t cap = u->cap ? u->cap * 2 : 16;
		struct use *v = reallocarray(u->v, cap, sizeof *v);

		if (!v)
			return -ENOMEM;
		u->v = v;
		u->cap = cap;
	}
	u->v[u->n] = (struct use){.volume = volume, .count = count};
	(void)snprintf(u->v[u->n++].id, sizeof u->v->id, "%s", id);
	return 0;
}

/* 0, or -ECORRUPT when it is not what save() writes. */
static int parse(struct uses *u, const char *text, size_t len)
{
	json_auto_t *all = json_loadb(text, len, 0, NULL);
	const char *boot, *id;
	json_int_t volume;
	json_t *list, *one;
	size_t i;
	int count, r;

	if (!all || json_unpack(all, "{s:s,s:o}", "boot", &boot, "uses", &list) || !json_is_array(list))
		return -ECORRUPT;
	if (!*u->boot || strcmp(boot, u->boot) != 0)
		return 0;
	json_array_foreach(list, i, one) {
		if (json_unpack(one, "{s:I,s:s,s:i}", "volume", &volume, "id", &id, "count", &count) || count < 1)
			return -ECORRUPT;
		r = find(u, volume, id) ? -ECORRUPT : append(u, volume, id, (unsigned)count);
		if (r)
			return r;
	}
	return 0;
}

static int load(struct uses *u)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = io_read_file(u->dirfd, FILE_NAME, FILE_MAX, &text, &len);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = parse(u, text, len);
	if (r && r != -ENOMEM) {
		log_warn("which volumes are mounted is not known: %s is damaged; it is kept as %s", FILE_NAME,
			 FILE_BAD);
		u->n = 0;
		r = io_renameat(IO_SMALL, u->dirfd, FILE_NAME, FILE_BAD);
	}
	return r;
}

static json_t *to_json(const struct uses *u)
{
	json_t *list = json_array();
	size_t i;
	int bad = !list;

	for (i = 0; i < u->n && !bad; i++)
		bad = json_array_append_new(list, json_pack("{s:I,s:s,s:i}", "volume", (json_int_t)u->v[i].volume, "id",
							    u->v[i].id, "count", (int)u->v[i].count));
	if (bad) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:s,s:o}", "boot", u->boot, "uses", list);
}

static json_t *copy(struct uses *u, uint64_t *ret_changes)
{
	LOCK_SCOPE(&u->lock);
	*ret_changes = u->changes;
	return to_json(u);
}

/* The change of this number reaches the file, with what has changed since. */
static void save(struct uses *u, uint64_t change)
{
	json_auto_t *all = NULL;
	AUTO_FREE char *text = NULL;
	uint64_t changes;
	int r;

	LOCK_SCOPE(&u->file_lock);
	if (u->saved >= change)
		return;
	all = copy(u, &changes);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	r = text ? io_replace_file(u->dirfd, FILE_NAME, text, strlen(text), 0600) : -ENOMEM;
	if (r)
		log_warn("which volumes are mounted cannot be written: %s", err_name(-r));
	else
		u->saved = changes;
}

int uses_open(const char *store_dir, struct uses **ret, struct err *err)
{
	struct uses *u = calloc(1, sizeof *u);
	int r;

	if (!u)
		return err_set(err, ENOMEM, "out of memory");
	(void)pthread_mutex_init(&u->lock, NULL);
	(void)pthread_mutex_init(&u->file_lock, NULL);
	read_boot_id(u->boot);
	u->dirfd = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = u->dirfd < 0 ? -errno : load(u);
	if (r) {
		uses_free(u);
		return err_set(err, -r, "which volumes are mounted: %s", err_name(-r));
	}
	*ret = u;
	return 0;
}

void uses_free(struct uses *u)
{
	if (!u)
		return;
	if (u->dirfd >= 0)
		(void)close(u->dirfd);
	(void)pthread_mutex_destroy(&u->lock);
	(void)pthread_mutex_destroy(&u->file_lock);
	free(u->v);
	free(u);
}

static int add(struct uses *u, int64_t volume, const char *id, uint64_t *ret_change)
{
	struct use *use;
	int r = 0;

	LOCK_SCOPE(&u->lock);
	use = find(u, volume, id);
	if (use)
		use->count++;
	else
		r = append(u, volume, id, 1);
	if (!r)
		*ret_change = ++u->changes;
	return r;
}

int uses_add(struct uses *u, int64_t volume, const char *id)
{
	uint64_t change;
	int r = add(u, volume, id, &change);

	if (!r)
		save(u, change);
	return r;
}

static int drop(struct uses *u, int64_t volume, const char *id, uint64_t *ret_change)
{
	struct use *use;

	LOCK_SCOPE(&u->lock);
	use = find(u, volume, id);
	if (!use)
		return -ENOENT;
	if (!--use->count)
		*use = u->v[--u->n];
	*ret_change = ++u->changes;
	return 0;
}

int uses_drop(struct uses *u, int64_t volume, const char *id)
{
	uint64_t change;
	int r = drop(u, volume, id, &change);

	if (!r)
		save(u, change);
	return r;
}

/* The number of the change, 0: there was nothing to forget. */
static uint64_t forget(struct uses *u, int64_t volume)
{
	size_t i = 0, before;

	LOCK_SCOPE(&u->lock);
	before = u->n;
	while (i < u->n)
		if (u->v[i].volume == volume)
			u->v[i] = u->v[--u->n];
		else
			i++;
	return u->n != before ? ++u->changes : 0;
}

void uses_forget(struct uses *u, int64_t volume)
{
	save(u, forget(u, volume));
}

int uses_list(struct uses *u, int64_t volume, struct use **ret, size_t *ret_n)
{
	struct use *v;
	size_t i, n = 0;

	LOCK_SCOPE(&u->lock);
	v = calloc(u->n + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	for (i = 0; i < u->n; i++)
		if (!volume || u->v[i].volume == volume)
			v[n++] = u->v[i];
	*ret = v;
	*ret_n = n;
	return 0;
}

unsigned uses_count(struct uses *u, int64_t volume)
{
	unsigned n = 0;
	size_t i;

	LOCK_SCOPE(&u->lock);
	for (i = 0; i < u->n; i++)
		if (u->v[i].volume == volume)
			n += u->v[i].count;
	return n;
}
