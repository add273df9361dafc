#include "store/repo/blob_in.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"

/* Pieces of packs, for places where a round trip is dear: blobs lie in the order in which they are wanted. */
#define WINDOW_LEN (2 * MIB)
#define WINDOWS 24
/* Nodes, and contents that deltas are built upon. */
#define CONTENTS 128
#define CONTENTS_LEN (8 * MIB) /* of all of them */
#define CODECS 8
/* How many other copies are tried where one cannot be read: bounds what a damaged chain of deltas costs. */
#define COPIES_MAX 64
/* How often the index is read again for one blob; and for all in its chain of deltas, where each is tried again. */
#define RELOADS_MAX 4
#define CHAIN_RELOADS_MAX (2 * BLOB_DELTA_DEPTH_MAX)

struct window {
	uint32_t pack;
	uint32_t off, len;
	uint64_t used;
	uint8_t *bytes; /* NULL: free */
};

struct content {
	struct repo_name name;
	uint64_t used;
	size_t len;
	uint8_t *bytes;
};

struct blob_in {
	struct repo *r;
	struct repo_progress *progress;
	pthread_mutex_t reload; /* held while the index is read again; taken before the other */
	pthread_mutex_t lock;   /* what follows; not held while something is read */
	uint64_t clock;
	struct window windows[WINDOWS];
	struct content contents[CONTENTS];
	size_t contents_len;
	struct codec *codecs[CODECS]; /* not in use */
	size_t n_codecs;
};

int blob_in_new(struct repo *r, struct repo_progress *progress, struct blob_in **ret)
{
	struct blob_in *in = calloc(1, sizeof *in);

	if (!in)
		return -ENOMEM;
	in->r = r;
	in->progress = progress;
	(void)pthread_mutex_init(&in->reload, NULL);
	(void)pthread_mutex_init(&in->lock, NULL);
	*ret = in;
	return 0;
}

void blob_in_free(struct blob_in *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < WINDOWS; i++)
		free(in->windows[i].bytes);
	for (size_t i = 0; i < CONTENTS; i++)
		free(in->contents[i].bytes);
	for (size_t i = 0; i < in->n_codecs; i++)
		codec_free(in->codecs[i]);
	(void)pthread_mutex_destroy(&in->reload);
	(void)pthread_mutex_destroy(&in->lock);
	free(in);
}

static int codec_take(struct blob_in *in, struct codec **ret)
{
	LOCK_SCOPE(&in->lock);
	if (in->n_codecs) {
		*ret = in->codecs[--in->n_codecs];
		return 0;
	}
	return codec_new(ret);
}

static void codec_give(struct blob_in *in, struct codec *c)
{
	(void)pthread_mutex_lock(&in->lock);
	if (in->n_codecs < CODECS) {
		in->codecs[in->n_codecs++] = c;
		c = NULL;
	}
	(void)pthread_mutex_unlock(&in->lock);
	codec_free(c);
}

static bool from_window(struct blob_in *in, const struct blob_place *at, struct buf *ret)
{
	LOCK_SCOPE(&in->lock);
	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *w = &in->windows[i];

		if (!w->bytes || w->pack != at->pack || at->off < w->off ||
		    at->off + at->blob.stored_len > w->off + w->len)
			continue;
		w->used = ++in->clock;
		return !buf_add(ret, w->bytes + (at->off - w->off), at->blob.stored_len);
	}
	return false;
}

static void keep_window(struct blob_in *in, uint32_t pack, uint32_t off, struct buf *bytes)
{
	struct window *oldest = &in->windows[0];

	LOCK_SCOPE(&in->lock);
	for (size_t i = 0; i < WINDOWS; i++) {
		if (in->windows[i].used < oldest->used)
			oldest = &in->windows[i];
	}
	free(oldest->bytes);
	*oldest = (struct window){pack, off, (uint32_t)bytes->len, ++in->clock, bytes->data};
	*bytes = (struct buf){0};
}

/* The sealed bytes. */
static int fetch(struct blob_in *in, const struct blob_place *at, struct buf *ret, struct err *err)
{
	uint64_t len = at->blob.stored_len;
	char key[BACKEND_KEY_MAX + 1];
	struct buf window = {0};
	int bad;

	if (from_window(in, at, ret))
		return 0;
	repo_object_key(REPO_PACK, &at->pack_name, key);
	if (in->r->be->slow && len < WINDOW_LEN)
		len = at->pack_end - at->off < WINDOW_LEN ? at->pack_end - at->off : WINDOW_LEN;
	bad = backend_get(in->r->be, key, at->off, (size_t)len, &window, err);
	if (!bad && in->progress)
		atomic_fetch_add(&in->progress->sent, window.len);
	if (!bad && buf_add(ret, window.data, at->blob.stored_len))
		bad = err_set(err, ENOMEM, "out of memory");
	if (!bad && in->r->be->slow)
		keep_window(in, at->pack, at->off, &window);
	buf_free(&window);
	return bad;
}

static bool from_contents(struct blob_in *in, const struct repo_name *name, void *out, size_t *ret_len)
{
	LOCK_SCOPE(&in->lock);
	for (size_t i = 0; i < CONTENTS; i++) {
		struct content *c = &in->contents[i];

		if (!c->bytes || memcmp(c->name.b, name->b, REPO_NAME_LEN) != 0)
			continue;
		c->used = ++in->clock;
		memcpy(out, c->bytes, c->len);
		*ret_len = c->len;
		return true;
	}
	return false;
}

static struct content *free_content(struct blob_in *in)
{
	for (size_t i = 0; i < CONTENTS; i++)
		if (!in->contents[i].bytes)
			return &in->contents[i];
	return NULL;
}

/* Of those that hold something. */
static struct content *oldest_content(struct blob_in *in)
{
	struct content *oldest = NULL;

	for (size_t i = 0; i < CONTENTS; i++)
		if (in->contents[i].bytes && (!oldest || in->contents[i].used < oldest->used))
			oldest = &in->contents[i];
	return oldest;
}

static void keep_content(struct blob_in *in, const struct repo_name *name, const void *data, size_t len)
{
	struct content *place;
	uint8_t *copy = malloc(len);

	if (!copy)
		return;
	memcpy(copy, data, len);
	LOCK_SCOPE(&in->lock);
	place = free_content(in);
	while (!place || in->contents_len + len > CONTENTS_LEN) {
		place = oldest_content(in);
		in->contents_len -= place->len;
		free(place->bytes);
		*place = (struct content){0};
	}
	*place = (struct content){*name, ++in->clock, len, copy};
	in->contents_len += len;
}

/* One blob on its way in, and the bases of its delta. */
struct getting {
	struct blob_in *in;
	struct codec *codec;
	enum repo_type type;
	unsigned copies_left; /* that may be tried in place of the best ones, of all in the chain */
	unsigned reloads_left;
};

static int get(struct getting *g, const struct repo_name *name, unsigned depth, void *out, size_t *ret_len,
	       struct err *err);

static const char *noun(const struct getting *g)
{
	return g->type == REPO_NODE ? "node" : "chunk";
}

static int get_base(struct getting *g, const struct blob_place *at, unsigned depth, void *base, size_t *ret_len,
		    struct err *err)
{
	int bad;

	if (from_contents(g->in, &at->blob.base, base, ret_len))
		return 0;
	bad = get(g, &at->blob.base, depth + 1, base, ret_len, err);
	if (!bad)
		keep_content(g->in, &at->blob.base, base, *ret_len);
	return bad;
}

static int get_at(struct getting *g, const struct blob_place *at, unsigned depth, void *out, size_t *ret_len,
		  struct err *err)
{
	struct blob_in *in = g->in;
	AUTO_FREE uint8_t *base = NULL;
	char key[BACKEND_KEY_MAX + 1], hex[REPO_HEX_LEN];
	struct buf sealed = {0};
	size_t base_len = 0;
	int bad = 0;

	repo_name_hex(&at->blob.name, hex);
	if (at->blob.codec == CODEC_DELTA) {
		if (depth > 4 * BLOB_DELTA_DEPTH_MAX)
			return err_set(err, ECORRUPT, "the chunk %s of the repository %s leads to itself", hex,
				       in->r->be->where);
		base = malloc(REPO_BLOB_RAW_MAX);
		if (!base)
			return err_set(err, ENOMEM, "out of memory");
		bad = get_base(g, at, depth, base, &base_len, err);
		if (bad)
			return bad;
	}
	bad = fetch(in, at, &sealed, err);
	if (!bad) {
		bad = codec_open(g->codec, &in->r->keys, &at->blob, sealed.data, base, base_len, out);
		repo_object_key(REPO_PACK, &at->pack_name, key);
		if (bad)
			bad = err_set(err, -bad, "%s in the repository %s is damaged: the %s %s at %u does not verify",
				      key, in->r->be->where, noun(g), hex, at->off);
	}
	if (!bad)
		*ret_len = at->blob.raw_len;
	buf_free(&sealed);
	return bad;
}

/* A pack is gone: a prune copied what is needed of it, and an index object that has come since says where to. */
static int look_again(struct getting *g, uint32_t pack, struct err *err)
{
	struct repo *r = g->in->r;

	LOCK_SCOPE(&g->in->reload);
	return blob_index_pack_gone(r->index, pack) ? repo_reload_index(r, err) : 0;
}

/* *ret_pack: where it was to be; *ret_gone: it is not there, wherever it was found then. */
static int get_copy(struct getting *g, const struct repo_name *name, unsigned depth, void *out, size_t *ret_len,
		    uint32_t *ret_pack, bool *ret_gone, struct err *err)
{
	struct blob_index *ix = g->in->r->index;
	char hex[REPO_HEX_LEN];
	struct blob_place at;
	int bad, other;

	repo_name_hex(name, hex);
	if (!blob_index_find(ix, name, &at) || at.pack == BLOB_PACK_PENDING || at.blob.type != g->type)
		return err_set(err, ECORRUPT, "the repository %s has lost the %s %s", g->in->r->be->where, noun(g), hex);
	*ret_pack = at.pack;
	bad = get_at(g, &at, depth, out, ret_len, err);
	*ret_gone = bad == -ENOENT;
	for (unsigned n = 0; (bad == -ECORRUPT || bad == -ENOENT) && g->copies_left; n++) {
		struct err why = {0};

		if (!blob_index_copy(ix, name, n, &at))
			break;
		if (at.pack == BLOB_PACK_PENDING || at.blob.type != g->type)
			continue;
		g->copies_left--;
		other = get_at(g, &at, depth, out, ret_len, &why);
		if (other && other != -ECORRUPT && other != -ENOENT && err)
			*err = why;
		if (!other && err)
			*err = (struct err){0};
		if (other != -ECORRUPT && other != -ENOENT)
			bad = other;
	}
	return bad;
}

static int get(struct getting *g, const struct repo_name *name, unsigned depth, void *out, size_t *ret_len,
	       struct err *err)
{
	uint32_t pack = BLOB_PACK_PENDING;
	bool gone = false;
	int bad = get_copy(g, name, depth, out, ret_len, &pack, &gone, err);

	for (int i = 0; i < RELOADS_MAX && g->reloads_left && bad == -ENOENT && g->in->r->reading; i++) {
		struct err why = {0};
		int again = look_again(g, pack, &why);

		g->reloads_left--;
		if (!again)
			again = get_copy(g, name, depth, out, ret_len, &pack, &gone, &why);
		if (again && again != -ENOENT)
			return bad;
		if (!again && err)
			*err = (struct err){0};
		bad = again;
	}
	/* what else the pack had is looked for among the copies at once */
	return !bad && gone && g->in->r->reading ? look_again(g, pack, err) : bad;
}

int blob_in_get(struct blob_in *in, const struct repo_name *name, enum repo_type type, void *out, size_t *ret_len,
		struct err *err)
{
	struct getting g = {.in = in, .type = type, .copies_left = COPIES_MAX, .reloads_left = CHAIN_RELOADS_MAX};
	int bad;

	/* a node is wanted again for the next inode */
	if (type == REPO_NODE && from_contents(in, name, out, ret_len))
		return 0;
	bad = codec_take(in, &g.codec);

	if (bad)
		return err_set(err, -bad, "out of memory");
	bad = get(&g, name, 0, out, ret_len, err);
	codec_give(in, g.codec);
	if (!bad && type == REPO_NODE)
		keep_content(in, name, out, *ret_len);
	return bad;
}
