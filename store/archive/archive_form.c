/* How attributes look in pax headers, where that is not libarchive's business alone. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/archive/archive_internal.h"
#include "store/base/cleanup.h"
#include "store/base/le.h"

#define SECOND_NS INT64_C(1000000000)

locale_t archive_locale_enter(void)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	/* without it names that are no ASCII are written as bytes, which every tar reads */
	return utf8 == (locale_t)0 ? (locale_t)0 : uselocale(utf8);
}

void archive_locale_leave(locale_t before)
{
	locale_t mine = before == (locale_t)0 ? (locale_t)0 : uselocale(before);

	if (mine != (locale_t)0 && mine != LC_GLOBAL_LOCALE)
		freelocale(mine);
}

const char *archive_show(char out[SHOWN_MAX + 1], const char *name)
{
	size_t i;

	for (i = 0; name[i] && i < SHOWN_MAX; i++)
		out[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
	out[i] = '\0';
	if (name[i])
		memcpy(out + SHOWN_MAX - 3, "...", 3);
	return out;
}

/* --- times --- */

/* libarchive prints a negative second and then the fraction, and reads that back as a sum of a negative and a positive;
 * a pax header means both as one negative number. */
void time_to_pax(int64_t ns, time_t *ret_s, long *ret_ns)
{
	int64_t s = ns / SECOND_NS, rest = ns % SECOND_NS;

	*ret_s = (time_t)s;
	*ret_ns = (long)(rest < 0 ? -rest : rest);
}

int64_t time_from_pax(time_t s, long ns)
{
	if (s > INT64_MAX / SECOND_NS - 1)
		return INT64_MAX;
	if (s < INT64_MIN / SECOND_NS + 1)
		return INT64_MIN;
	return (int64_t)s * SECOND_NS + (s < 0 ? -ns : ns);
}

/* --- xattrs --- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

void xattr_from_keyword(char *keyword)
{
	char *to = keyword;

	for (const char *from = keyword; *from; to++) {
		int high = *from == '%' ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);

		if (low >= 0 && (high || low)) {
			*to = (char)(high << 4 | low);
			from += 3;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* --- ACLs: linux/posix_acl_xattr.h: u32 version 2, then entries of u16 tag, u16 permissions, u32 id --- */

#define ACL_VERSION 2
#define ACL_HEADER 4
#define ACL_ENTRY 8
#define ACL_NO_ID UINT32_MAX
#define NSS_BUF_MAX 65536

static const struct {
	unsigned kernel;
	int libarchive;
} tags[] = {
	{1, ARCHIVE_ENTRY_ACL_USER_OBJ}, {2, ARCHIVE_ENTRY_ACL_USER},  {4, ARCHIVE_ENTRY_ACL_GROUP_OBJ},
	{8, ARCHIVE_ENTRY_ACL_GROUP},	 {16, ARCHIVE_ENTRY_ACL_MASK}, {32, ARCHIVE_ENTRY_ACL_OTHER},
};
#define N_TAGS (sizeof tags / sizeof *tags)

int acl_to_entry(const void *value, size_t len, bool is_default, struct archive_entry *e)
{
	int type = is_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	const uint8_t *p = value;
	size_t at, i;

	if (len < ACL_HEADER || (len - ACL_HEADER) % ACL_ENTRY || le32_get(p) != ACL_VERSION)
		return -ECORRUPT;
	for (at = ACL_HEADER; at < len; at += ACL_ENTRY) {
		uint32_t id = le32_get(p + at + 4);

		for (i = 0; i < N_TAGS && tags[i].kernel != le16_get(p + at); i++)
			;
		if (i == N_TAGS)
			return -ECORRUPT;
		if (archive_entry_acl_add_entry(e, type, le16_get(p + at + 2) & 7, tags[i].libarchive,
						id == ACL_NO_ID ? -1 : (int)id, NULL) != ARCHIVE_OK)
			return -ENOMEM;
	}
	return 0;
}

/* The id that a user's or group's name has on this machine. */
static bool id_of_name(int tag, const char *name, uint32_t *ret)
{
	AUTO_FREE char *space = malloc(NSS_BUF_MAX);
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;

	if (!space || !name)
		return false;
	if (tag == ARCHIVE_ENTRY_ACL_USER && !getpwnam_r(name, &pw, space, NSS_BUF_MAX, &user) && user)
		*ret = user->pw_uid;
	else if (tag == ARCHIVE_ENTRY_ACL_GROUP && !getgrnam_r(name, &gr, space, NSS_BUF_MAX, &group) && group)
		*ret = group->gr_gid;
	return user || group;
}

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

static int by_tag_and_id(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* In the kernel's order: what it takes as valid. */
static int put_sorted(struct acl_entry *v, size_t n, struct buf *ret)
{
	uint8_t raw[ACL_ENTRY];
	int err = buf_add_le32(ret, ACL_VERSION);

	qsort(v, n, sizeof *v, by_tag_and_id);
	for (size_t i = 0; i < n && !err; i++) {
		le16_put(raw, v[i].tag);
		le16_put(raw + 2, v[i].perm);
		le32_put(raw + 4, v[i].id);
		err = buf_add(ret, raw, sizeof raw);
	}
	return err;
}

int acl_from_entry(struct archive_entry *e, bool is_default, struct buf *ret, bool *ret_known)
{
	int want = is_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
	    n = archive_entry_acl_count(e, want);
	int type, perm, tag, id;
	AUTO_FREE struct acl_entry *v = NULL;
	const char *name;
	size_t used = 0, i;

	*ret_known = true;
	buf_reset(ret);
	/* an access ACL of the three base entries says no more than the mode */
	if (n == 0 || (!is_default && n <= 3))
		return 0;
	v = calloc((size_t)n, sizeof *v);
	if (!v)
		return -ENOMEM;
	(void)archive_entry_acl_reset(e, want);
	while (archive_entry_acl_next(e, want, &type, &perm, &tag, &id, &name) == ARCHIVE_OK && used < (size_t)n) {
		uint32_t known = ACL_NO_ID;

		for (i = 0; i < N_TAGS && tags[i].libarchive != tag; i++)
			;
		if (type != want || i == N_TAGS)
			continue;
		if (tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP) {
			known = (uint32_t)id;
			if (id < 0 && !id_of_name(tag, name, &known)) {
				*ret_known = false;
				continue;
			}
		}
		v[used++] = (struct acl_entry){(uint16_t)tags[i].kernel, (uint16_t)(perm & 7), known};
	}
	return put_sorted(v, used, ret);
}
