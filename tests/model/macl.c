#include "tests/model/macl.h"

#include "store/base/le.h"
#include "tests/model/words.h"

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };
#define ID_NONE UINT32_MAX
#define VERSION 2

void macl_random(struct rng *rng, struct macl *ret)
{
	bool extended = !rng_one_in(rng, 4);

	ret->n = 0;
#define ADD(tag, id) ret->v[ret->n++] = (struct macl_entry){tag, (uint16_t)rng_below(rng, 8), id}
	ADD(USER_OBJ, ID_NONE);
	if (extended)
		ADD(USER, 1000 + (uint32_t)rng_below(rng, 5));
	ADD(GROUP_OBJ, ID_NONE);
	if (extended && rng_one_in(rng, 2))
		ADD(GROUP, 100 + (uint32_t)rng_below(rng, 5));
	if (extended)
		ADD(MASK, ID_NONE);
	ADD(OTHER, ID_NONE);
#undef ADD
}

size_t macl_encode(const struct macl *acl, uint8_t buf[MACL_BYTES_MAX])
{
	le32_put(buf, VERSION);
	for (unsigned i = 0; i < acl->n; i++) {
		le16_put(buf + 4 + 8 * i, acl->v[i].tag);
		le16_put(buf + 6 + 8 * i, acl->v[i].perm);
		le32_put(buf + 8 + 8 * i, acl->v[i].id);
	}
	return 4 + 8 * (size_t)acl->n;
}

static bool decode(const struct blob *b, struct macl *ret)
{
	if (!b)
		return false;
	ret->n = (unsigned)((b->len - 4) / 8);
	for (unsigned i = 0; i < ret->n; i++)
		ret->v[i] = (struct macl_entry){le16_get(b->data + 4 + 8 * i), le16_get(b->data + 6 + 8 * i),
					       le32_get(b->data + 8 + 8 * i)};
	return true;
}

static struct macl_entry *find(struct macl *acl, unsigned tag)
{
	for (unsigned i = 0; i < acl->n; i++)
		if (acl->v[i].tag == tag)
			return &acl->v[i];
	return NULL;
}

/* What stands for the group's permission bits. */
static struct macl_entry *group_class(struct macl *acl)
{
	struct macl_entry *mask = find(acl, MASK);

	return mask ? mask : find(acl, GROUP_OBJ);
}

static void keep(struct minode *m, unsigned name, const struct macl *acl)
{
	uint8_t buf[MACL_BYTES_MAX];

	minode_xattr_set(m, name, buf, macl_encode(acl, buf));
}

void macl_set_access(struct minode *m, const struct macl *acl)
{
	struct macl a = *acl;
	uint32_t perms = (uint32_t)find(&a, USER_OBJ)->perm << 6 | (uint32_t)group_class(&a)->perm << 3 | find(&a, OTHER)->perm;

	m->mode = (m->mode & ~UINT32_C(0777)) | perms;
	if (a.n > 3)
		keep(m, XATTR_ACL_ACCESS, &a);
	else
		minode_xattr_remove(m, XATTR_ACL_ACCESS);
}

void macl_follow_mode(struct minode *m)
{
	struct macl a;

	if (!decode(minode_xattr(m, XATTR_ACL_ACCESS), &a))
		return;
	find(&a, USER_OBJ)->perm = m->mode >> 6 & 7;
	group_class(&a)->perm = m->mode >> 3 & 7;
	find(&a, OTHER)->perm = m->mode & 7;
	keep(m, XATTR_ACL_ACCESS, &a);
}

void macl_inherit(struct minode *m, const struct minode *dir, uint32_t umask)
{
	const struct blob *inherited = minode_xattr(dir, XATTR_ACL_DEFAULT);
	struct macl a;

	if (S_ISLNK(m->mode))
		return;
	if (!decode(inherited, &a)) {
		m->mode &= ~(umask & 0777);
		return;
	}
	find(&a, USER_OBJ)->perm &= m->mode >> 6 & 7;
	group_class(&a)->perm &= m->mode >> 3 & 7;
	find(&a, OTHER)->perm &= m->mode & 7;
	macl_set_access(m, &a);
	if (S_ISDIR(m->mode))
		minode_xattr_set(m, XATTR_ACL_DEFAULT, inherited->data, inherited->len);
}
