/* Who may do what: modes, owners, set-id bits, extended attributes, ACLs. */
#include <linux/capability.h>
#include <sys/xattr.h>

#include "tests/mount/posix.h"

static mode_t mode_of(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 ? st.st_mode & 07777 : 0xffff;
}

static int other_denied(void *arg)
{
	(void)arg;
	CHECK_ERR(open("secret", O_RDONLY), EACCES);
	CHECK_ERR(open("readable", O_WRONLY), EACCES);
	CHECK(posix_holds("readable", "R", 1) == 0);
	CHECK_ERR(access("closed/f", F_OK), EACCES);
	CHECK_ERR(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK_ERR(unlink("readable"), EACCES);
	CHECK_ERR(chmod("readable", 0777), EPERM);
	CHECK_ERR(chown("readable", OTHER_UID, OTHER_GID), EPERM);
	CHECK_ERR(rename("readable", "x"), EACCES);
	CHECK_ERR(utimensat(AT_FDCWD, "readable", (struct timespec[2]){{1, 0}, {1, 0}}, 0), EPERM);
	return 0;
}

static int permissions(void)
{
	CHECK(posix_put("secret", "S", 1) == 0 && chmod("secret", 0600) == 0);
	CHECK(posix_put("readable", "R", 1) == 0 && chmod("readable", 0644) == 0);
	CHECK(mkdir("closed", 0700) == 0 && posix_put("closed/f", "", 0) == 0);
	return posix_child(other_denied, NULL, true);
}

static int other_in_sticky(void *arg)
{
	struct stat st;

	(void)arg;
	CHECK_ERR(unlink("tmp/roots"), EPERM);
	CHECK_ERR(rename("tmp/roots", "tmp/mine"), EPERM);
	CHECK(posix_put("tmp/own", "o", 1) == 0);
	CHECK(stat("tmp/own", &st) == 0 && st.st_uid == OTHER_UID && st.st_gid == OTHER_GID);
	CHECK(rename("tmp/own", "tmp/own2") == 0 && unlink("tmp/own2") == 0);
	return 0;
}

static int sticky(void)
{
	CHECK(mkdir("tmp", 0755) == 0 && chmod("tmp", 01777) == 0 && mode_of("tmp") == 01777);
	CHECK(posix_put("tmp/roots", "r", 1) == 0);
	CHECK(chmod(".", 0755) == 0);
	return posix_child(other_in_sticky, NULL, true);
}

static int owners(void)
{
	struct stat st;

	CHECK(posix_put("f", "", 0) == 0 && chown("f", 1000, 2000) == 0);
	CHECK(stat("f", &st) == 0 && st.st_uid == 1000 && st.st_gid == 2000);
	CHECK(chown("f", (uid_t)-1, 4000000000U) == 0 && stat("f", &st) == 0 && st.st_uid == 1000);
	CHECK(st.st_gid == 4000000000U);
	CHECK(symlink("f", "s") == 0 && lchown("s", 7, 8) == 0 && lstat("s", &st) == 0 && st.st_uid == 7);
	CHECK(stat("f", &st) == 0 && st.st_uid == 1000);
	CHECK(mkdir("g", 0755) == 0 && chown("g", 0, 555) == 0 && chmod("g", 02775) == 0);
	CHECK(posix_put("g/f", "", 0) == 0 && stat("g/f", &st) == 0 && st.st_gid == 555);
	CHECK(mkdir("g/d", 0755) == 0 && stat("g/d", &st) == 0 && st.st_gid == 555 && (st.st_mode & S_ISGID) != 0);
	return 0;
}

static int other_writes(void *arg)
{
	int fd = open(arg, O_WRONLY);

	CHECK(fd >= 0);
	CHECK(pwrite(fd, "x", 1, 0) == 1);
	CHECK(close(fd) == 0);
	return 0;
}

static int other_truncates(void *arg)
{
	CHECK(truncate(arg, 1) == 0);
	return 0;
}

/* Capabilities in the version that the kernel stores as it is: CAP_NET_RAW, permitted. */
static int put_capability(const char *name)
{
	struct vfs_cap_data cap = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};

	cap.data[0].permitted = 1 << 13;
	return setxattr(name, "security.capability", &cap, XATTR_CAPS_SZ_2, 0);
}

static int set_id_bits(void)
{
	char buf[64];

	CHECK(posix_put("f", "12345", 5) == 0 && chmod("f", 06777) == 0 && mode_of("f") == 06777);
	CHECK(posix_child(other_writes, "f", true) == 0 && mode_of("f") == 0777);
	posix_drop_caches();
	CHECK(mode_of("f") == 0777);
	CHECK(chmod("f", 06777) == 0 && posix_child(other_truncates, "f", true) == 0 && mode_of("f") == 0777);
	CHECK(chmod("f", 06755) == 0 && chown("f", 5, 5) == 0 && mode_of("f") == 0755);
	/* Without group execute, the bit once meant mandatory locking: chown keeps it, and a chown by root clears suid all the same. */
	CHECK(chmod("f", 06745) == 0 && chown("f", 0, 0) == 0 && (mode_of("f") & S_ISUID) == 0);
	CHECK(put_capability("f") == 0 && getxattr("f", "security.capability", buf, sizeof(buf)) == XATTR_CAPS_SZ_2);
	CHECK(chmod("f", 0777) == 0 && posix_child(other_writes, "f", true) == 0);
	CHECK_ERR(getxattr("f", "security.capability", buf, sizeof(buf)), ENODATA);
	CHECK(put_capability("f") == 0 && chown("f", 9, 9) == 0);
	CHECK_ERR(getxattr("f", "security.capability", buf, sizeof(buf)), ENODATA);
	return 0;
}

static int other_chmods_own(void *arg)
{
	/* The file's group is not one of this user's: set-group-id goes. */
	CHECK(chmod(arg, 02755) == 0);
	return 0;
}

static int set_id_programs(void)
{
	struct stat st;

	CHECK(posix_put("f", "", 0) == 0 && chown("f", OTHER_UID, 0) == 0);
	CHECK(posix_child(other_chmods_own, "f", true) == 0 && mode_of("f") == 0755);
	/* The set-user-id bit takes effect: the mount is not nosuid. */
	CHECK(system("cp /usr/bin/id idprog && chown 12399 idprog && chmod 4755 idprog") == 0);
	CHECK(stat("idprog", &st) == 0 && st.st_uid == 12399 && (st.st_mode & S_ISUID) != 0);
	CHECK(system("[ \"$(./idprog -u)\" = 12399 ]") == 0);
	return 0;
}

static int xattrs(void)
{
	static char big[65536], back[65536];
	char list[256];
	ssize_t n;

	CHECK(posix_put("f", "", 0) == 0);
	CHECK(setxattr("f", "user.a", "one", 3, XATTR_CREATE) == 0);
	CHECK_ERR(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	CHECK_ERR(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK(setxattr("f", "user.a", "three", 5, XATTR_REPLACE) == 0);
	CHECK(setxattr("f", "user.empty", "", 0, 0) == 0 && getxattr("f", "user.empty", list, sizeof(list)) == 0);
	CHECK(setxattr("f", "trusted.t", "\0bin\xff", 5, 0) == 0 && setxattr("f", "security.s", "sec", 3, 0) == 0);
	CHECK(getxattr("f", "user.a", NULL, 0) == 5);
	CHECK(getxattr("f", "user.a", list, sizeof(list)) == 5 && memcmp(list, "three", 5) == 0);
	CHECK_ERR(getxattr("f", "user.a", list, 2), ERANGE);
	CHECK_ERR(getxattr("f", "user.none", list, sizeof(list)), ENODATA);
	CHECK(getxattr("f", "trusted.t", list, sizeof(list)) == 5 && memcmp(list, "\0bin\xff", 5) == 0);
	n = listxattr("f", NULL, 0);
	CHECK(n > 0 && listxattr("f", list, sizeof(list)) == n);
	CHECK(memmem(list, (size_t)n, "user.a", 7) && memmem(list, (size_t)n, "user.empty", 11) &&
	      memmem(list, (size_t)n, "trusted.t", 10));
	CHECK_ERR(listxattr("f", list, 3), ERANGE);
	CHECK(removexattr("f", "user.a") == 0);
	CHECK_ERR(removexattr("f", "user.a"), ENODATA);
	CHECK_ERR(getxattr("f", "user.a", list, sizeof(list)), ENODATA);
	posix_fill(big, sizeof(big), 8);
	if (posix_env.fuse) {
		CHECK(setxattr("f", "user.big", big, sizeof(big), 0) == 0);
		posix_drop_caches();
		CHECK(getxattr("f", "user.big", back, sizeof(back)) == sizeof(back) && memcmp(big, back, sizeof(big)) == 0);
	}
	CHECK(symlink("f", "s") == 0);
	CHECK_ERR(lsetxattr("s", "user.a", "x", 1, 0), EPERM);
	CHECK(lsetxattr("s", "trusted.a", "x", 1, 0) == 0 && lgetxattr("s", "trusted.a", back, 9) == 1);
	CHECK(mkdir("d", 0755) == 0 && setxattr("d", "user.d", "dir", 3, 0) == 0);
	CHECK(rename("f", "g") == 0 && getxattr("g", "trusted.t", NULL, 0) == 5);
	return 0;
}

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct acl_entry e[5];
};

/* user::rwx, user:OTHER_UID:perm, group::---, mask::rwx, other::--- as the kernel's xattr has them. */
static struct acl acl_for_other(uint16_t perm)
{
	return (struct acl){2, {{1, 7, ~0U}, {2, perm, OTHER_UID}, {4, 0, ~0U}, {0x10, 7, ~0U}, {0x20, 0, ~0U}}};
}

static int other_uses_acl(void *arg)
{
	int fd;

	CHECK(posix_holds("f", "acl", 3) == 0);
	CHECK_ERR(open("f", O_WRONLY), EACCES);
	fd = open("dir/inherited", O_RDWR);
	CHECK(fd >= 0 && write(fd, "w", 1) == 1 && close(fd) == 0);
	CHECK_ERR(open("masked", O_RDONLY), EACCES);
	(void)arg;
	return 0;
}

static int acls(void)
{
	struct acl acl = acl_for_other(4), back;

	CHECK(posix_put("f", "acl", 3) == 0 && chmod("f", 0600) == 0);
	CHECK(setxattr("f", "system.posix_acl_access", &acl, sizeof(acl), 0) == 0);
	CHECK(getxattr("f", "system.posix_acl_access", &back, sizeof(back)) == sizeof(back));
	CHECK(memcmp(&acl, &back, sizeof(acl)) == 0);
	CHECK(mode_of("f") == 0770); /* the group bits show the mask */
	CHECK(mkdir("dir", 0755) == 0 && chmod("dir", 0777) == 0);
	acl = acl_for_other(7);
	CHECK(setxattr("dir", "system.posix_acl_default", &acl, sizeof(acl), 0) == 0);
	CHECK_ERR(setxattr("f", "system.posix_acl_default", &acl, sizeof(acl), 0), EACCES);
	umask(077); /* a default ACL takes its place */
	CHECK(posix_put("dir/inherited", "x", 1) == 0 && mode_of("dir/inherited") == 0640);
	acl = acl_for_other(7);
	CHECK(setxattr("dir/inherited", "system.posix_acl_access", &acl, sizeof(acl), 0) == 0);
	CHECK(mkdir("dir/sub", 0777) == 0 && getxattr("dir/sub", "system.posix_acl_default", NULL, 0) == sizeof(acl));
	umask(022);
	CHECK(posix_put("masked", "x", 1) == 0);
	CHECK(setxattr("masked", "system.posix_acl_access", &acl, sizeof(acl), 0) == 0 && chmod("masked", 0700) == 0);
	CHECK(getxattr("masked", "system.posix_acl_access", &back, sizeof(back)) == sizeof(back) && back.e[3].perm == 0);
	posix_drop_caches();
	CHECK(posix_child(other_uses_acl, NULL, true) == 0);
	CHECK(removexattr("f", "system.posix_acl_access") == 0);
	CHECK_ERR(getxattr("f", "system.posix_acl_access", &back, sizeof(back)), ENODATA);
	return 0;
}

const struct posix_case posix_perm_cases[] = {
	{"permissions", permissions},
	{"sticky", sticky},
	{"owners", owners},
	{"set-id-bits", set_id_bits},
	{"set-id-programs", set_id_programs},
	{"xattrs", xattrs},
	{"acls", acls},
	{NULL, NULL},
};
