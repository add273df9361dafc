#include "store/archive/import_tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/archive/archive_internal.h"
#include "store/base/cleanup.h"

static const struct op root_op;

/* A folder whose times and default ACL are still to be set. */
struct waiting {
	uint64_t node;
	int64_t atime, mtime;
	uint8_t *acl;
	size_t acl_len;
};

void tree_free(struct tree *t)
{
	free(t->folder);
	while (t->n_waiting)
		free(t->waiting[--t->n_waiting].acl);
	free(t->waiting);
	*t = (struct tree){0};
}

static int add_part(struct buf *ret, const char *part, size_t len)
{
	int r = buf_add(ret, "/", ret->len > 0);

	return r ? r : buf_add(ret, part, len);
}

int tree_name(const struct tree *t, const char *name, const char *shown, struct buf *ret, struct err *err)
{
	unsigned strip = t->strip;
	size_t len, total = strlen(name);
	bool left_any = false;
	int r = 0;

	buf_reset(ret);
	if (total > ARCHIVE_PATH_MAX)
		return err_set(err, ENAMETOOLONG, "'%s' in the archive: the name is %zu bytes long", shown, total);
	if (*name == '/') {
		err_set(err, EINVAL, "'%s' in the archive is an absolute name", shown);
		err_hint(err, "make the archive with relative names: tar -C FOLDER -cf FILE .");
		return -EINVAL;
	}
	for (; *name && !r; name += len + (name[len] == '/')) {
		len = strcspn(name, "/");
		if (!len || (len == 1 && *name == '.'))
			continue;
		if (len == 2 && name[0] == '.' && name[1] == '.')
			return err_set(err, EINVAL, "'%s' in the archive leads out of the volume", shown);
		if (len > NAME_LEN_MAX)
			return err_set(err, ENAMETOOLONG,
				       "'%s' in the archive: a part of the name is longer than %d bytes", shown,
				       NAME_LEN_MAX);
		if (strip) {
			strip--;
			left_any = true;
			continue;
		}
		r = add_part(ret, name, len);
	}
	if (!r)
		r = buf_add_u8(ret, 0);
	if (r)
		return err_set(err, -r, "out of memory");
	return !*ret->data && left_any ? 1 : 0;
}

/* One folder down. */
static int enter(struct tree *t, uint64_t at, const char *part, bool make, const char *shown, struct attr *ret,
		 struct err *err)
{
	char link[SHOWN_MAX + 1];
	int r = ns_lookup(t->s, at, part, ret);

	if (r == -ENOENT && make)
		r = ns_create(t->s, &root_op, at, part, S_IFDIR | 0755, 0, NULL, ret);
	if (r)
		return err_set(err, -r, "'%s' in the archive: %s", shown, err_name(-r));
	if (S_ISLNK(ret->mode))
		return err_set(err, EINVAL, "'%s' in the archive lies behind the symbolic link '%s'", shown,
			       archive_show(link, part));
	if (!S_ISDIR(ret->mode))
		return err_set(err, ENOTDIR, "'%s' in the archive lies in '%s', which is no folder", shown,
			       archive_show(link, part));
	if (ret->flags & ATTR_READONLY)
		return err_set(err, EPERM, "'%s' in the archive: .snapshots is not the archive's to write to", shown);
	return 0;
}

int tree_parent(struct tree *t, char *name, bool make, const char *shown, uint64_t *ret_folder, const char **ret_last,
		struct err *err)
{
	char *slash = strrchr(name, '/'), *part, *next;
	struct attr attr = {.node = t->root};
	int r = 0;

	*ret_last = slash ? slash + 1 : name;
	if (!slash) {
		*ret_folder = t->root;
		return 0;
	}
	*slash = '\0';
	if (t->folder && !strcmp(t->folder, name)) {
		*ret_folder = t->folder_node;
		return 0;
	}
	for (part = name; part && !r; part = next) {
		next = strchr(part, '/');
		if (next)
			*next = '\0';
		r = enter(t, attr.node, part, make, shown, &attr, err);
		if (next)
			*next++ = '/';
	}
	if (r)
		return r;
	free(t->folder);
	t->folder = strdup(name);
	t->folder_node = attr.node;
	*ret_folder = attr.node;
	return 0;
}

int tree_clear(struct tree *t, uint64_t folder, const char *last, bool for_folder, const char *shown, struct attr *ret,
	       bool *ret_stays, struct err *err)
{
	int r = ns_lookup(t->s, folder, last, ret);

	*ret_stays = false;
	if (r == -ENOENT)
		return 0;
	if (!r && (ret->flags & ATTR_READONLY))
		r = -EPERM;
	if (!r && S_ISDIR(ret->mode)) {
		*ret_stays = for_folder;
		if (for_folder)
			return 0;
		/* what was resolved below it is gone with it */
		free(steal(&t->folder));
		r = ns_rmdir(t->s, &root_op, folder, last);
		if (r == -ENOTEMPTY)
			return err_set(
				err, ENOTEMPTY,
				"'%s' in the archive is no folder, but there is one of that name with files in it",
				shown);
	} else if (!r) {
		r = ns_unlink(t->s, &root_op, folder, last);
	}
	if (r)
		return err_set(err, -r, "'%s' in the archive: %s", shown, err_name(-r));
	/* the kernel does not know it */
	(void)ns_forget(t->s, ret->node);
	return 0;
}

int tree_wait(struct tree *t, uint64_t node, const struct attr *times, const struct buf *default_acl)
{
	struct waiting *w;

	if (t->n_waiting == t->cap_waiting) {
		size_t cap = t->cap_waiting ? 2 * t->cap_waiting : 64;
		struct waiting *more = reallocarray(t->waiting, cap, sizeof *more);

		if (!more)
			return -ENOMEM;
		t->waiting = more;
		t->cap_waiting = cap;
	}
	w = &t->waiting[t->n_waiting];
	*w = (struct waiting){.node = node, .atime = times->atime, .mtime = times->mtime};
	if (default_acl->len) {
		w->acl = malloc(default_acl->len);
		if (!w->acl)
			return -ENOMEM;
		memcpy(w->acl, default_acl->data, default_acl->len);
		w->acl_len = default_acl->len;
	}
	t->n_waiting++;
	return 0;
}

int tree_finish(struct tree *t)
{
	int r = 0;

	for (size_t i = 0; i < t->n_waiting && !r; i++) {
		const struct waiting *w = &t->waiting[i];
		const struct attr want = {.atime = w->atime, .mtime = w->mtime};
		struct attr got;

		if (w->acl)
			r = ns_setxattr(t->s, &root_op, w->node, "system.posix_acl_default", w->acl, w->acl_len, 0);
		if (!r)
			r = ns_setattr(t->s, &root_op, w->node, &want, NS_SET_ATIME | NS_SET_MTIME, &got);
		/* replaced by a later entry of that name */
		if (r == -ESTALE)
			r = 0;
	}
	return r;
}
