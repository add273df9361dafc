#include "store/volume/view_path.h"

#include <string.h>

static int prepend(struct buf *path, const struct dirent_row *entry)
{
	int ret = buf_reserve(path, entry->name_len + 1u);

	if (ret)
		return ret;
	memmove(path->data + entry->name_len + 1, path->data, path->len);
	path->data[0] = '/';
	memcpy(path->data + 1, entry->name, entry->name_len);
	path->len += entry->name_len + 1u;
	return 0;
}

int view_path(struct meta *m, const struct meta_view *v, uint64_t root, const struct dirent_row *entry, char **ret)
{
	struct dirent_row row = *entry;
	/* A directory on the way; each time the way has doubled it is another. In a damaged store the way may be a circle. */
	uint64_t passed = entry->parent;
	size_t steps = 0, until = 1, n;
	struct buf path = {0};
	int err = buf_add_u8(&path, 0);

	if (!err)
		err = prepend(&path, &row);
	while (!err && row.parent != root) {
		err = dirent_by_ino(m, v, row.parent, &row, 1, &n);
		if (!err && !n)
			err = -ENOENT;
		if (!err && row.parent == passed)
			err = -ECORRUPT;
		if (++steps == until) {
			passed = row.parent;
			until *= 2;
		}
		if (!err)
			err = prepend(&path, &row);
	}
	if (err) {
		buf_free(&path);
		return err;
	}
	*ret = (char *)path.data;
	return 0;
}
