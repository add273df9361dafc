/* Names, folders, links and renames. */
#include <dirent.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/mount/posix.h"

static ino_t ino_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 ? st.st_ino : 0;
}

static nlink_t links_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 ? st.st_nlink : 0;
}

/* Entries apart from "." and ".."; -1 on failure. */
static long count_entries(const char *name)
{
	DIR *d = opendir(name);
	struct dirent *e;
	long n = 0;

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static int create(void)
{
	struct stat st;
	int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0640);

	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0640);
	CHECK(st.st_size == 0 && st.st_nlink == 1 && st.st_uid == 0 && st.st_gid == 0);
	CHECK(st.st_ino != 0);
	CHECK_ERR(open("f", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	CHECK(close(fd) == 0);
	CHECK_ERR(open("absent", O_RDONLY), ENOENT);
	CHECK_ERR(open("absent/x", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERR(open("f/x", O_CREAT | O_WRONLY, 0600), ENOTDIR);
	CHECK_ERR(open(".", O_WRONLY), EISDIR);
	CHECK(posix_put("f", "hello", 5) == 0);
	CHECK(posix_holds("f", "hello", 5) == 0);
	fd = open("f", O_WRONLY | O_TRUNC);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(posix_holds("f", "", 0) == 0);
	return 0;
}

static int absent_then_there(void)
{
	struct stat st;

	for (int i = 0; i < 20; i++) {
		CHECK_ERR(stat("n", &st), ENOENT);
		CHECK(posix_put("n", "x", 1) == 0);
		CHECK(stat("n", &st) == 0 && st.st_size == 1);
		CHECK(unlink("n") == 0);
		CHECK_ERR(stat("n", &st), ENOENT);
		CHECK(mkdir("n", 0755) == 0);
		CHECK(stat("n", &st) == 0 && S_ISDIR(st.st_mode));
		CHECK(rmdir("n") == 0);
	}
	CHECK_ERR(unlink("n"), ENOENT);
	CHECK_ERR(rmdir("n"), ENOENT);
	return 0;
}

static int folders(void)
{
	struct stat st;

	CHECK(mkdir("d", 0750) == 0);
	CHECK(stat("d", &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0750);
	CHECK_ERR(mkdir("d", 0750), EEXIST);
	CHECK(mkdir("d/e", 0755) == 0);
	/* Either the classic count of subfolders, or 1 for "not counted". */
	CHECK(links_of("d") == 3 || links_of("d") == 1);
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(unlink("d"), EISDIR);
	CHECK_ERR(rmdir("d/e/."), EINVAL);
	CHECK(posix_put("f", "", 0) == 0);
	CHECK_ERR(rmdir("f"), ENOTDIR);
	CHECK(rmdir("d/e") == 0 && rmdir("d") == 0);
	CHECK_ERR(stat("d", &st), ENOENT);
	return 0;
}

static int dotdot(void)
{
	CHECK(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0 && mkdir("a/c", 0755) == 0);
	CHECK(ino_of("a/c/..") == ino_of("a"));
	CHECK(rename("a/c", "b/c") == 0);
	CHECK(ino_of("b/c/..") == ino_of("b"));
	posix_drop_caches();
	CHECK(ino_of("b/c/..") == ino_of("b"));
	return 0;
}

static int renames(void)
{
	ino_t ino;

	CHECK(posix_put("a", "A", 1) == 0 && posix_put("b", "BB", 2) == 0);
	ino = ino_of("a");
	CHECK(rename("a", "b") == 0);
	CHECK_ERR(access("a", F_OK), ENOENT);
	CHECK(ino_of("b") == ino && posix_holds("b", "A", 1) == 0);
	CHECK_ERR(rename("absent", "x"), ENOENT);
	CHECK(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && posix_put("e/f", "F", 1) == 0);
	CHECK_ERR(rename("b", "d"), EISDIR);
	CHECK_ERR(rename("d", "b"), ENOTDIR);
	CHECK_ERR(rename("d", "e"), ENOTEMPTY);
	CHECK_ERR(rename("e", "e/g"), EINVAL);
	CHECK(rename("e", "d") == 0 && posix_holds("d/f", "F", 1) == 0);
	CHECK(rename("d/f", "f") == 0 && count_entries("d") == 0);
	CHECK(link("f", "g") == 0);
	CHECK(rename("f", "g") == 0); /* two names of one file: nothing happens */
	CHECK(access("f", F_OK) == 0 && access("g", F_OK) == 0 && links_of("f") == 2);
	CHECK(rename("b", "g") == 0 && links_of("f") == 1);
	return 0;
}

static int renames_with_flags(void)
{
	CHECK(posix_put("a", "A", 1) == 0 && mkdir("d", 0755) == 0 && posix_put("d/x", "X", 1) == 0);
	CHECK_ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_NOREPLACE), EEXIST);
	CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) == 0);
	CHECK(posix_holds("b", "A", 1) == 0);
	CHECK_ERR(renameat2(AT_FDCWD, "b", AT_FDCWD, "absent", RENAME_EXCHANGE), ENOENT);
	CHECK_ERR(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	CHECK(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE) == 0);
	CHECK(posix_holds("d", "A", 1) == 0 && posix_holds("b/x", "X", 1) == 0);
	CHECK(mkdir("p", 0755) == 0);
	CHECK(renameat2(AT_FDCWD, "b/x", AT_FDCWD, "p", RENAME_EXCHANGE) == 0);
	CHECK(posix_holds("p", "X", 1) == 0 && count_entries("b/x") == 0);
	posix_drop_caches();
	CHECK(posix_holds("p", "X", 1) == 0 && posix_holds("d", "A", 1) == 0 && ino_of("b/x/..") == ino_of("b"));
	return 0;
}

static int across_volumes(void)
{
	char path[4096];

	if (posix_env.other_volume == NULL)
		return 0;
	snprintf(path, sizeof(path), "%s/moved", posix_env.other_volume);
	CHECK(posix_put("a", "A", 1) == 0 && mkdir("d", 0755) == 0);
	CHECK_ERR(rename("a", path), EXDEV);
	CHECK_ERR(rename("d", path), EXDEV);
	CHECK_ERR(link("a", path), EXDEV);
	CHECK_ERR(access(path, F_OK), ENOENT);
	return posix_holds("a", "A", 1);
}

static int links(void)
{
	struct stat st;
	int fd;

	CHECK(posix_put("a", "one", 3) == 0);
	CHECK(link("a", "b") == 0);
	CHECK(ino_of("a") == ino_of("b") && links_of("a") == 2 && links_of("b") == 2);
	CHECK_ERR(link("a", "b"), EEXIST);
	CHECK_ERR(link("absent", "c"), ENOENT);
	CHECK(mkdir("d", 0755) == 0);
	CHECK_ERR(link("d", "e"), EPERM);
	fd = open("b", O_WRONLY | O_APPEND);
	CHECK(fd >= 0 && write(fd, "two", 3) == 3 && close(fd) == 0);
	CHECK(posix_holds("a", "onetwo", 6) == 0);
	CHECK(symlink("a", "s") == 0);
	CHECK(linkat(AT_FDCWD, "s", AT_FDCWD, "t", 0) == 0);
	CHECK(lstat("t", &st) == 0 && S_ISLNK(st.st_mode) && st.st_nlink == 2);
	CHECK(unlink("a") == 0 && links_of("b") == 1);
	for (int i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/%d", i);
		CHECK(link("b", name) == 0);
	}
	CHECK(links_of("b") == 301 && count_entries("d") == 300);
	return 0;
}

static int symlinks(void)
{
	char target[4096], back[4200];
	struct stat st;

	memset(target, 'x', sizeof(target));
	for (size_t len = 1; len <= 4095; len = len < 4000 ? len * 7 : len + 95) {
		target[len] = 0;
		CHECK(symlink(target, "s") == 0);
		CHECK(lstat("s", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == (off_t)len);
		CHECK(readlink("s", back, sizeof(back)) == (ssize_t)len && memcmp(back, target, len) == 0);
		CHECK(unlink("s") == 0);
		target[len] = 'x';
	}
	CHECK(symlink("s", "s") == 0);
	CHECK_ERR(open("s", O_RDONLY), ELOOP);
	CHECK_ERR(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK(posix_put("f", "F", 1) == 0 && mkdir("d", 0755) == 0 && symlink("../f", "d/up") == 0);
	CHECK(posix_holds("d/up", "F", 1) == 0);
	CHECK_ERR(readlink("f", back, sizeof(back)), EINVAL);
	CHECK_ERR(symlink("f", "d"), EEXIST);
	return 0;
}

static int fifo_writer(void *arg)
{
	int fd = open(arg, O_WRONLY);

	return fd < 0 || write(fd, "ping", 4) != 4;
}

static int special_files(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = "sock"};
	struct stat st;
	char buf[8];
	int fd, rd;

	CHECK(mkfifo("fifo", 0600) == 0);
	rd = open("fifo", O_RDONLY | O_NONBLOCK);
	CHECK(rd >= 0);
	CHECK(posix_child(fifo_writer, "fifo", false) == 0);
	CHECK(read(rd, buf, sizeof(buf)) == 4 && memcmp(buf, "ping", 4) == 0);
	close(rd);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(fd, 1) == 0);
	rd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect(rd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	close(rd);
	close(fd);
	CHECK(stat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
	CHECK(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CHECK(stat("null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	fd = open("null", O_RDWR);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && read(fd, buf, 1) == 0);
	close(fd);
	CHECK(mknod("blk", S_IFBLK | 0600, makedev(259, 65537)) == 0);
	CHECK(stat("blk", &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == makedev(259, 65537));
	CHECK(mknod("reg", S_IFREG | 0604, 0) == 0 && stat("reg", &st) == 0 && S_ISREG(st.st_mode));
	return 0;
}

static int long_and_odd_names(void)
{
	char name[300], found[256] = {0};
	struct dirent *e;
	DIR *d;

	/* Every byte but '/' and NUL, alone and in a name of the greatest length. */
	CHECK(mkdir("bytes", 0755) == 0);
	for (int c = 1; c < 256; c++) {
		snprintf(name, sizeof(name), "bytes/%c", c);
		if (c != '/' && c != '.')
			CHECK(posix_put(name, &c, 1) == 0);
	}
	d = opendir("bytes");
	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (strlen(e->d_name) == 1 && e->d_name[0] != '.')
			found[(unsigned char)e->d_name[0]]++;
	}
	closedir(d);
	for (int c = 1; c < 256; c++)
		CHECK(found[c] == (c != '/' && c != '.'));
	for (int i = 0; i < 255; i++)
		name[i] = (char)(i + 1);
	name['/' - 1] = '!';
	name[255] = 0;
	CHECK(posix_put(name, "long", 4) == 0);
	posix_drop_caches();
	CHECK(posix_holds(name, "long", 4) == 0);
	CHECK(mkdir("d", 0755) == 0);
	memset(name, 0xff, 255);
	CHECK(mkdir(name, 0755) == 0 && rmdir(name) == 0);
	name[255] = 'x';
	name[256] = 0;
	CHECK_ERR(open(name, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
	CHECK_ERR(mkdir(name, 0755), ENAMETOOLONG);
	CHECK_ERR(rename("d", name), ENAMETOOLONG);
	CHECK_ERR(access(name, F_OK), ENAMETOOLONG);
	return 0;
}

struct kernel_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* Every entry that is there all along comes exactly once, however many come and go meanwhile. */
static int listing_while_changing(void)
{
	enum { KEPT = 3000 };
	static char seen[KEPT];
	char name[64], buf[2048];
	int fd, added = 0;
	long n;

	memset(seen, 0, sizeof(seen));
	CHECK(mkdir("d", 0755) == 0);
	for (int i = 0; i < KEPT; i++) {
		snprintf(name, sizeof(name), "d/keep-%d", i);
		CHECK(posix_put(name, "", 0) == 0);
		snprintf(name, sizeof(name), "d/gone-%d", i);
		CHECK(posix_put(name, "", 0) == 0);
	}
	fd = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long pos = 0; pos < n;) {
			struct kernel_dirent *e = (struct kernel_dirent *)(buf + pos);
			int i;

			pos += e->reclen;
			if (sscanf(e->name, "keep-%d", &i) == 1) {
				CHECK(i >= 0 && i < KEPT && seen[i]++ == 0);
			} else if (sscanf(e->name, "gone-%d", &i) == 1) {
				CHECK(unlinkat(fd, e->name, 0) == 0);
				snprintf(name, sizeof(name), "d/new-%d", added++);
				CHECK(posix_put(name, "", 0) == 0);
			}
		}
	}
	CHECK(n == 0);
	for (int i = 0; i < KEPT; i++)
		CHECK(seen[i] == 1);
	CHECK(close(fd) == 0);
	CHECK(count_entries("d") == KEPT + added && added == KEPT);
	return 0;
}

static int seek_in_listing(void)
{
	char first[300];
	struct dirent *e;
	long pos;
	DIR *d;

	CHECK(mkdir("d", 0755) == 0);
	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/%d", i);
		CHECK(posix_put(name, "", 0) == 0);
	}
	d = opendir("d");
	CHECK(d != NULL);
	for (int i = 0; i < 250; i++)
		CHECK(readdir(d) != NULL);
	pos = telldir(d);
	e = readdir(d);
	CHECK(e != NULL);
	snprintf(first, sizeof(first), "%s", e->d_name);
	for (int i = 0; i < 100; i++)
		CHECK(readdir(d) != NULL);
	seekdir(d, pos);
	e = readdir(d);
	CHECK(e != NULL && strcmp(e->d_name, first) == 0);
	rewinddir(d);
	for (int i = 0; i < 502; i++)
		CHECK(readdir(d) != NULL);
	CHECK(readdir(d) == NULL);
	CHECK(posix_put("d/late", "", 0) == 0);
	rewinddir(d);
	for (int i = 0; i < 503; i++)
		CHECK(readdir(d) != NULL);
	CHECK(readdir(d) == NULL);
	closedir(d);
	return 0;
}

static int unlinked_open(void)
{
	struct stat st;
	char buf[16];
	int fd, old;

	fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0 && pwrite(fd, "alive", 5, 0) == 5);
	CHECK(unlink("f") == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 5);
	CHECK(pwrite(fd, "!", 1, 1 << 20) == 1 && fsync(fd) == 0);
	posix_drop_caches();
	CHECK(pread(fd, buf, 5, 0) == 5 && memcmp(buf, "alive", 5) == 0);
	CHECK(ftruncate(fd, 2) == 0 && fstat(fd, &st) == 0 && st.st_size == 2);
	CHECK(fchmod(fd, 0640) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0640);
	CHECK(posix_put("f", "second", 6) == 0);
	old = open("f", O_RDONLY);
	CHECK(old >= 0 && posix_put("g", "third", 5) == 0 && rename("g", "f") == 0);
	CHECK(read(old, buf, sizeof(buf)) == 6 && memcmp(buf, "second", 6) == 0);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 2 && memcmp(buf, "al", 2) == 0);
	CHECK(posix_holds("f", "third", 5) == 0);
	CHECK(close(fd) == 0 && close(old) == 0);
	CHECK(count_entries(".") == 1);
	return 0;
}

static int removed_folder(void)
{
	int fd;

	CHECK(mkdir("d", 0755) == 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0 && rmdir("d") == 0);
	CHECK_ERR(openat(fd, "x", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERR(mkdirat(fd, "x", 0700), ENOENT);
	CHECK(close(fd) == 0);
	return 0;
}

static void *churn(void *arg)
{
	int who = (int)(intptr_t)arg;
	char a[64], b[64];

	for (int i = 0; i < 400; i++) {
		snprintf(a, sizeof(a), "d/t%d-%d", who, i);
		snprintf(b, sizeof(b), "d/r%d-%d", who, i);
		if (posix_put(a, a, strlen(a)) != 0 || rename(a, b) != 0)
			return (void *)1;
		if (i % 2 && unlink(b) != 0)
			return (void *)1;
		/* All of them fight for one name. */
		if (rename(i % 2 ? "d/none" : b, "d/shared") != 0 && errno != ENOENT)
			return (void *)1;
	}
	return NULL;
}

static int threads_in_one_folder(void)
{
	pthread_t t[4];
	void *rc;

	CHECK(mkdir("d", 0755) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, churn, (void *)(intptr_t)i) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], &rc) == 0 && rc == NULL);
	CHECK(count_entries("d") == 1);
	CHECK(links_of("d/shared") == 1);
	return 0;
}

static int deep_tree(void)
{
	for (int i = 0; i < 200; i++)
		CHECK(mkdir("sub", 0755) == 0 && chdir("sub") == 0);
	CHECK(posix_put("leaf", "x", 1) == 0);
	posix_drop_caches();
	CHECK(posix_holds("leaf", "x", 1) == 0);
	for (int i = 0; i < 200; i++)
		CHECK(chdir("..") == 0);
	CHECK(access("sub", F_OK) == 0);
	return 0;
}

static int space(void)
{
	struct statvfs v;

	CHECK(statvfs(".", &v) == 0);
	CHECK(v.f_namemax == 255 && v.f_bsize >= 512 && v.f_blocks > 0);
	CHECK(v.f_bfree <= v.f_blocks && v.f_bavail <= v.f_bfree && v.f_bavail > 0);
	return 0;
}

const struct posix_case posix_name_cases[] = {
	{"create", create},
	{"absent-then-there", absent_then_there},
	{"folders", folders},
	{"dotdot", dotdot},
	{"renames", renames},
	{"renames-with-flags", renames_with_flags},
	{"across-volumes", across_volumes},
	{"links", links},
	{"symlinks", symlinks},
	{"special-files", special_files},
	{"long-and-odd-names", long_and_odd_names},
	{"listing-while-changing", listing_while_changing},
	{"seek-in-listing", seek_in_listing},
	{"unlinked-open", unlinked_open},
	{"removed-folder", removed_folder},
	{"threads-in-one-folder", threads_in_one_folder},
	{"deep-tree", deep_tree},
	{"space", space},
	{NULL, NULL},
};
