/* The table of files that are open or have buffered data, keyed by branch and ino. */
#include <assert.h>

#include "store/volume/store_internal.h"

static size_t bucket_of(const struct branch *b, uint64_t ino)
{
	return (ino * 0x9e3779b97f4a7c15ULL ^ (uint64_t)b->id * 0xc2b2ae3d27d4eb4fULL) >> 52;
}

struct file *file_find(struct store *s, const struct branch *b, uint64_t ino)
{
	struct file *f = s->files[bucket_of(b, ino)];

	while (f && (f->ino != ino || f->branch != b))
		f = f->hash_next;
	return f;
}

int file_obtain(struct store *s, struct branch *b, uint64_t ino, struct file **ret)
{
	struct file *f = file_find(s, b, ino);
	size_t bucket = bucket_of(b, ino);

	if (!f) {
		f = calloc(1, sizeof *f);
		if (!f)
			return -ENOMEM;
		f->branch = b;
		f->ino = ino;
		f->hash_next = s->files[bucket];
		s->files[bucket] = f;
	}
	*ret = f;
	return 0;
}

void file_put(struct store *s, struct file *f)
{
	struct file **at;

	if (f->opens || f->pins || f->dirty)
		return;
	assert(!file_buffered(f));
	for (at = &s->files[bucket_of(f->branch, f->ino)]; *at != f; at = &(*at)->hash_next)
		;
	*at = f->hash_next;
	write_buffer_free(&f->active);
	write_buffer_free(&f->sealed);
	free(f);
}

void file_mark_dirty(struct store *s, struct file *f)
{
	if (f->dirty)
		return;
	f->dirty = true;
	f->dirty_prev = NULL;
	f->dirty_next = s->dirty;
	if (s->dirty)
		s->dirty->dirty_prev = f;
	s->dirty = f;
}

static void unmark_dirty(struct store *s, struct file *f)
{
	if (!f->dirty)
		return;
	f->dirty = false;
	if (f->dirty_prev)
		f->dirty_prev->dirty_next = f->dirty_next;
	else
		s->dirty = f->dirty_next;
	if (f->dirty_next)
		f->dirty_next->dirty_prev = f->dirty_prev;
}

void file_settled(struct store *s, struct file *f)
{
	if (file_buffered(f))
		return;
	f->mtime = 0;
	f->replaced = false;
	unmark_dirty(s, f);
}

int64_t file_size(const struct file *f, const struct inode *inode)
{
	return f && file_buffered(f) ? f->size : inode->size;
}

int file_reserve(struct file *f)
{
	int ret = write_buffer_reserve(&f->active);

	return ret ? ret : write_buffer_reserve(&f->sealed);
}

void file_trim(struct store *s, struct file *f, int64_t from, int64_t end, int64_t size)
{
	write_buffer_cut(&f->active, from, end);
	write_buffer_cut(&f->sealed, from, end);
	f->size = size;
	file_settled(s, f);
}

void file_size_told(struct store *s, struct file *f, int64_t row_size)
{
	const struct write_buffer *both[] = {&f->active, &f->sealed};

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < both[k]->n; i++)
			if (both[k]->v[i].seq > f->journaled && both[k]->v[i].off + both[k]->v[i].len > row_size)
				f->replaced = s->replaced_files = true;
}

static bool outside(const struct write_buffer *wb, int64_t from, int64_t end)
{
	return wb->n && (wb->v[0].off < from || write_buffer_end(wb) > end);
}

bool file_buffered_outside(const struct file *f, int64_t from, int64_t end)
{
	return outside(&f->active, from, end) || outside(&f->sealed, from, end);
}

int64_t buffered_bytes(const struct store *s)
{
	int64_t sum = 0;
	const struct file *f;

	for (f = s->dirty; f; f = f->dirty_next)
		sum += f->active.bytes + f->sealed.bytes;
	return sum;
}
