/* posix DIR [OTHER-VOLUME-DIR] [--only NAME] [--seed N]: see posix.h. */
#include <ftw.h>
#include <grp.h>
#include <sys/vfs.h>
#include <time.h>

#include "tests/mount/posix.h"

#define FUSE_MAGIC 0x65735546

struct posix_env posix_env;

void posix_fill(void *buf, size_t len, uint64_t seed)
{
	unsigned char *p = buf;
	uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (unsigned char)(x >> 32);
	}
}

int posix_put(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, data, len) == (ssize_t)len);
	CHECK(close(fd) == 0);
	return 0;
}

int posix_holds(const char *name, const void *data, size_t len)
{
	struct stat st;
	int fd = open(name, O_RDONLY);
	char *buf;

	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK(st.st_size == (off_t)len);
	buf = malloc(len + 1);
	CHECK(buf != NULL);
	CHECK(read(fd, buf, len + 1) == (ssize_t)len);
	CHECK(memcmp(buf, data, len) == 0);
	free(buf);
	CHECK(close(fd) == 0);
	return 0;
}

int posix_child(int (*fn)(void *arg), void *arg, bool as_other)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		gid_t gid = OTHER_GID;
		int rc;

		if (as_other && (setgroups(1, &gid) != 0 || setgid(OTHER_GID) != 0 || setuid(OTHER_UID) != 0))
			_exit(2);
		rc = fn(arg);
		fflush(stdout);
		_exit(rc);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void posix_drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0)
		return;
	(void)!write(fd, "3", 1);
	close(fd);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int run_case(const char *dir, const struct posix_case *c)
{
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/posix-%s", dir, c->name);
	if (mkdir(path, 0755) != 0 || chdir(path) != 0) {
		printf("not ok - posix: %s\n#   cannot make %s: %s\n", c->name, path, strerror(errno));
		return 1;
	}
	umask(022);
	rc = c->run();
	printf("%s - posix: %s\n", rc ? "not ok" : "ok", c->name);
	fflush(stdout);
	if (chdir("/") != 0)
		return 1;
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
		printf("not ok - posix: removing what %s made\n#   %s\n", c->name, strerror(errno));
		return 1;
	}
	return rc;
}

int main(int argc, char **argv)
{
	const struct posix_case *groups[] = {posix_name_cases, posix_io_cases, posix_perm_cases, posix_random_cases};
	const char *dir = NULL, *only = NULL;
	struct statfs fs;
	int failed = 0, ran = 0;

	posix_env.seed = (uint64_t)time(NULL);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			posix_env.seed = strtoull(argv[++i], NULL, 10);
		else if (dir == NULL)
			dir = argv[i];
		else
			posix_env.other_volume = argv[i];
	}
	if (dir == NULL || statfs(dir, &fs) != 0) {
		fprintf(stderr, "usage: posix DIR [OTHER-VOLUME-DIR] [--only NAME] [--seed N]\n");
		return 2;
	}
	posix_env.fuse = fs.f_type == FUSE_MAGIC;
	printf("# posix: seed %llu\n", (unsigned long long)posix_env.seed);
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct posix_case *c = groups[g]; c->name != NULL; c++) {
			if (only != NULL && strcmp(only, c->name) != 0)
				continue;
			failed += run_case(dir, c);
			ran++;
		}
	}
	return failed > 0 || ran == 0;
}
