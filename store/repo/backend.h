/* Where a repository's objects are: a directory, the far side of an ssh, or an S3 bucket.
 *
 * Keys are relative paths of [a-z0-9/]: "config", "keys/…", "packs/ab/…". An object appears whole or not at all, and
 * never changes; one that is put again is the same bytes. Any number of threads may call one backend at once. Errors
 * say what was asked and where. */
#ifndef VARVE_REPO_BACKEND_H
#define VARVE_REPO_BACKEND_H

#include "store/base/buf.h"
#include "store/base/err.h"

#define BACKEND_KEY_MAX 160
#define BACKEND_OBJECT_MAX (256u << 20)

struct backend;

struct backend_ops {
	/* Appends [off, off + len) of the object, or from off to its end with len SIZE_MAX; fewer bytes than asked for
	 * is -ECORRUPT. -ENOENT. */
	int (*get)(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err);
	int (*put)(struct backend *b, const char *key, const void *data, size_t len, struct err *err);
	/* Every object whose key begins with `prefix` (a folder: ends with '/'), in any order. A listing that is not
	 * complete is an error. A non-zero return of fn ends it. */
	int (*list)(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
		    void *arg, struct err *err);
	int (*remove)(struct backend *b, const char *key, struct err *err); /* one that is not there is fine */
	void (*free)(struct backend *b);
};

struct backend {
	const struct backend_ops *ops;
	char *where; /* for messages; freed by backend_free */
	bool slow;   /* a round trip is dear: read ahead */
};

/* What reaching a repository may take besides its address; all may be NULL. */
struct backend_access {
	const char *ssh_command; /* instead of "ssh" */
	const char *s3_key, *s3_secret, *s3_token, *s3_region;
};

enum backend_flags { BACKEND_CREATE = 1 /* make the place if it is missing */ };
/* `url`: a path, ssh://[user@]host[:port]/path or s3://bucket/prefix?endpoint=… */
int backend_open(const char *url, const struct backend_access *access, unsigned flags, struct backend **ret,
		 struct err *err);
void backend_free(struct backend *b);
/* The three kinds. */
int backend_ssh_open(const char *url, const struct backend_access *access, unsigned flags, struct backend **ret,
		     struct err *err);
int backend_s3_open(const char *url, const struct backend_access *access, struct backend **ret, struct err *err);
int backend_dir_open(const char *path, unsigned flags, struct backend **ret, struct err *err);

static inline int backend_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret,
			      struct err *err)
{
	return b->ops->get(b, key, off, len, ret, err);
}

static inline int backend_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	return b->ops->put(b, key, data, len, err);
}

static inline int backend_list(struct backend *b, const char *prefix,
			       int (*fn)(void *arg, const char *key, uint64_t size), void *arg, struct err *err)
{
	return b->ops->list(b, prefix, fn, arg, err);
}

static inline int backend_remove(struct backend *b, const char *key, struct err *err)
{
	return b->ops->remove(b, key, err);
}

/* Whether a key is of the form above, so that it stays inside the repository. */
bool backend_key_valid(const char *key);

#endif
