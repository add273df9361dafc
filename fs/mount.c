#include "fs/mount.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fs/processes.h"
#include "fs/visit.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"

#define READ_AHEAD_KB 4096
#define FUSE_SUPER_MAGIC 0x65735546

int mount_make_dirs(const char *dir, struct err *err)
{
	char path[PATH_MAX];
	char *p;

	(void)snprintf(path, sizeof path, "%s", dir);
	for (p = path + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char c = *p;

		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_set(err, errno, "%s cannot be made: %s", path, err_name(errno));
		if (!c)
			return 0;
		*p = c;
	}
}

int mount_prepare(const char *dir, struct err *err)
{
	struct statfs fs;
	struct stat st, up;
	char parent[PATH_MAX];

	/* A dead mount's folder may still be stat'ed from the kernel's cache; statfs always asks the daemon. */
	if (stat(dir, &st) || statfs(dir, &fs)) {
		if (errno == ENOTCONN || errno == ECONNABORTED) {
			log_warn("%s: taking away the mount of a daemon that died", dir);
			if (umount2(dir, MNT_DETACH))
				return err_set(err, errno, "the dead mount on %s cannot be taken away: %s", dir,
					       err_name(errno));
			return mount_prepare(dir, err);
		}
		if (errno != ENOENT)
			return err_set(err, errno, "the mount point %s: %s", dir, err_name(errno));
		return mount_make_dirs(dir, err);
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "the mount point %s is not a folder", dir);
	(void)snprintf(parent, sizeof parent, "%.*s/..", PATH_MAX - 4, dir);
	if (fs.f_type == FUSE_SUPER_MAGIC && !stat(parent, &up) && up.st_dev != st.st_dev)
		return err_set(err, EBUSY, "something is mounted on %s already", dir);
	return 0;
}

int mount_fuse(const char *dir, int fuse_fd, struct err *err)
{
	char options[128];
	int ret;

	(void)snprintf(options, sizeof options,
		       "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse_fd);
	if (!mount("varve", dir, "fuse.varve", 0, options))
		return 0;
	ret = err_set(err, errno, "mounting on %s: %s", dir, err_name(errno));
	if (ret == -EPERM)
		err_hint(err, "varved runs as root");
	return ret;
}

struct mount_visit {
	const char *dir;
	dev_t device;
	bool busy;
	int ret;
};

static void detach(void *arg, int fd)
{
	struct mount_visit *v = arg;

	(void)fd;
	if (!umount2(v->dir, UMOUNT_NOFOLLOW) || errno == EINVAL || errno == ENOENT) /* somebody else unmounted it */
		return;
	v->busy = errno == EBUSY;
	if (!v->busy || umount2(v->dir, UMOUNT_NOFOLLOW | MNT_DETACH))
		v->ret = -errno;
}

int mount_detach(const char *dir, bool *ret_busy)
{
	struct mount_visit v = {.dir = dir};

	visit(detach, &v, -1);
	if (!v.ret)
		*ret_busy = v.busy;
	return v.ret;
}

static void find_device(void *arg, int fd)
{
	struct mount_visit *v = arg;
	struct stat st = {0};

	(void)fd;
	v->ret = stat(v->dir, &st) ? -errno : 0;
	v->device = st.st_dev;
}

int mount_device(const char *dir, dev_t *ret)
{
	struct mount_visit v = {.dir = dir};

	visit(find_device, &v, -1);
	if (!v.ret)
		*ret = v.device;
	return v.ret;
}

void mount_set_read_ahead(dev_t device)
{
	char path[64];
	FILE *f;
	int bad;

	(void)snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(device), minor(device));
	f = fopen(path, "we");
	if (!f) {
		log_info("cold reads are slower: %s: %s", path, err_name(errno));
		return;
	}
	bad = fprintf(f, "%d\n", READ_AHEAD_KB) < 0;
	bad |= fclose(f);
	if (bad)
		log_info("cold reads are slower: %s cannot be written", path);
}

/* One mountinfo: ID PARENT MAJOR:MINOR ROOT MOUNTPOINT … Mounts of `dev` come before what is mounted on them. */
static bool mounts_inner(FILE *f, dev_t dev)
{
	AUTO_FREE unsigned *ours = NULL;
	AUTO_FREE char *line = NULL;
	unsigned id, parent, maj, min;
	size_t i, n = 0, cap = 0;

	while (getline(&line, &cap, f) > 0) {
		if (sscanf(line, "%u %u %u:%u", &id, &parent, &maj, &min) != 4)
			return true;
		for (i = 0; i < n; i++)
			if (ours[i] == parent)
				return true;
		if (makedev(maj, min) == dev) {
			unsigned *grown = reallocarray(ours, n + 1, sizeof *ours);

			if (!grown)
				return true;
			ours = grown;
			ours[n++] = id;
		}
	}
	return ferror(f);
}

struct inner_search {
	dev_t device;
	bool found;
};

static bool search_inner(void *arg, const char *pid)
{
	struct inner_search *s = arg;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%.20s/mountinfo", pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	s->found = mounts_inner(f, s->device);
	(void)fclose(f);
	return !s->found;
}

bool mount_has_inner(dev_t device)
{
	struct inner_search s = {.device = device};

	return processes_each_namespace(search_inner, &s) || s.found;
}
