#include "tests/model/content.h"

#include "tests/model/alloc.h"

struct page {
	unsigned refs;
	uint8_t data[CONTENT_PAGE];
};

struct slot {
	int64_t no; /* offset / CONTENT_PAGE */
	struct page *page;
};

struct content {
	unsigned refs;
	size_t n, cap;
	struct slot *v; /* by no */
};

static const uint8_t zeros[CONTENT_PAGE];

struct content *content_new(void)
{
	struct content *c = must_zalloc(sizeof *c);

	c->refs = 1;
	return c;
}

struct content *content_ref(struct content *c)
{
	c->refs++;
	return c;
}

static void page_unref(struct page *p)
{
	if (--p->refs == 0)
		free(p);
}

void content_unref(struct content *c)
{
	if (!c || --c->refs)
		return;
	for (size_t i = 0; i < c->n; i++)
		page_unref(c->v[i].page);
	free(c->v);
	free(c);
}

static struct content *content_own(struct content **cp)
{
	struct content *c = *cp, *copy;

	if (c->refs == 1)
		return c;
	copy = content_new();
	copy->n = copy->cap = c->n;
	copy->v = must_alloc(c->n * sizeof *c->v);
	if (c->n)
		memcpy(copy->v, c->v, c->n * sizeof *c->v);
	for (size_t i = 0; i < c->n; i++)
		c->v[i].page->refs++;
	c->refs--;
	*cp = copy;
	return copy;
}

/* The index of the first slot with a number >= no. */
static size_t seek(const struct content *c, int64_t no)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->v[mid].no < no)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct page *page_own(struct slot *slot)
{
	struct page *p = slot->page;

	if (p->refs > 1) {
		p->refs--;
		slot->page = must_alloc(sizeof *p);
		memcpy(slot->page->data, p->data, CONTENT_PAGE);
		slot->page->refs = 1;
	}
	return slot->page;
}

static struct page *page_obtain(struct content *c, int64_t no)
{
	size_t i = seek(c, no);

	if (i < c->n && c->v[i].no == no)
		return page_own(&c->v[i]);
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 8;
		c->v = must_realloc(c->v, c->cap * sizeof *c->v);
	}
	memmove(c->v + i + 1, c->v + i, (c->n - i) * sizeof *c->v);
	c->v[i] = (struct slot){no, must_zalloc(sizeof *c->v[i].page)};
	c->v[i].page->refs = 1;
	c->n++;
	return c->v[i].page;
}

void content_write(struct content **cp, int64_t off, const void *buf, size_t len)
{
	struct content *c = content_own(cp);
	const uint8_t *from = buf;

	while (len) {
		size_t at = (size_t)(off % CONTENT_PAGE);
		size_t n = CONTENT_PAGE - at < len ? CONTENT_PAGE - at : len;

		memcpy(page_obtain(c, off / CONTENT_PAGE)->data + at, from, n);
		from += n;
		off += (int64_t)n;
		len -= n;
	}
}

void content_zero(struct content **cp, int64_t off, int64_t end)
{
	struct content *c = content_own(cp);
	size_t i = seek(c, off / CONTENT_PAGE), kept = i;

	for (; i < c->n && c->v[i].no * CONTENT_PAGE < end; i++) {
		int64_t base = c->v[i].no * CONTENT_PAGE;
		int64_t from = off > base ? off - base : 0;
		int64_t to = end - base < CONTENT_PAGE ? end - base : CONTENT_PAGE;

		if (from == 0 && to == CONTENT_PAGE) {
			page_unref(c->v[i].page);
			continue;
		}
		if (from < to)
			memset(page_own(&c->v[i])->data + from, 0, (size_t)(to - from));
		c->v[kept++] = c->v[i];
	}
	if (kept == i)
		return;
	memmove(c->v + kept, c->v + i, (c->n - i) * sizeof *c->v);
	c->n -= i - kept;
}

void content_read(const struct content *c, int64_t off, void *buf, size_t len)
{
	size_t i = seek(c, off / CONTENT_PAGE);
	uint8_t *to = buf;

	while (len) {
		size_t at = (size_t)(off % CONTENT_PAGE);
		size_t n = CONTENT_PAGE - at < len ? CONTENT_PAGE - at : len;

		if (i < c->n && c->v[i].no == off / CONTENT_PAGE)
			memcpy(to, c->v[i++].page->data + at, n);
		else
			memset(to, 0, n);
		to += n;
		off += (int64_t)n;
		len -= n;
	}
}

int64_t content_next(const struct content *c, int64_t off)
{
	size_t i = seek(c, off / CONTENT_PAGE);

	return i < c->n ? c->v[i].no * CONTENT_PAGE : -1;
}

bool content_is_zero(const struct content *c, int64_t off, int64_t end)
{
	for (size_t i = seek(c, off / CONTENT_PAGE); i < c->n && c->v[i].no * CONTENT_PAGE < end; i++) {
		int64_t base = c->v[i].no * CONTENT_PAGE;
		int64_t from = off > base ? off - base : 0;
		int64_t to = end - base < CONTENT_PAGE ? end - base : CONTENT_PAGE;

		if (from < to && memcmp(c->v[i].page->data + from, zeros, (size_t)(to - from)))
			return false;
	}
	return true;
}

size_t content_pages(const struct content *c)
{
	return c->n;
}
