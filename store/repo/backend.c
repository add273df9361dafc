#include "store/repo/backend.h"

#include <stdlib.h>
#include <string.h>

int backend_open(const char *url, const struct backend_access *access, unsigned flags, struct backend **ret,
		 struct err *err)
{
	if (!*url)
		return err_set(err, EINVAL, "the repository's address is empty");
	if (!strncmp(url, "ssh://", 6))
		return backend_ssh_open(url, access, flags, ret, err);
	if (!strncmp(url, "s3://", 5))
		return backend_s3_open(url, access, ret, err);
	if (strstr(url, "://")) {
		(void)err_set(err, EINVAL, "'%s' is not an address of a repository that varve knows", url);
		err_hint(err, "a path, ssh://[user@]host[:port]/path, or s3://bucket/prefix?endpoint=URL");
		return -EINVAL;
	}
	return backend_dir_open(url, flags, ret, err);
}

void backend_free(struct backend *b)
{
	char *where;

	if (!b)
		return;
	where = b->where;
	b->ops->free(b);
	free(where);
}

bool backend_key_valid(const char *key)
{
	size_t len = strlen(key);

	return len && len <= BACKEND_KEY_MAX && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789/") == len &&
	       *key != '/' && !strstr(key, "//") && key[len - 1] != '/';
}
