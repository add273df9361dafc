/* Copying is cp's business (coreutils): owners, modes, times, xattrs, ACLs, hard links, holes and devices. It goes
 * through both mounts like any program's work, so it is called from threads that hold no lock that a request takes. */
#include "fs/tmpfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/namespace.h"

/* What a killed daemon leaves running would be at work beside what the next one starts. */
#define WITH_US "setpriv", "--pdeathsig", "KILL"
#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV)

void tmpfs_path(const struct daemon *d, const char *volume, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%.*s/%s", PATH_MAX - VOLUME_NAME_MAX - 2, d->options.tmpfs, volume);
}

static bool is_mounted(const char *path)
{
	char parent[PATH_MAX + 4];
	struct stat st, up;
	struct statfs fs;

	(void)snprintf(parent, sizeof parent, "%s/..", path);
	return !statfs(path, &fs) && fs.f_type == TMPFS_MAGIC && !stat(path, &st) && !stat(parent, &up) &&
	       st.st_dev != up.st_dev;
}

/* "size=…,mode=…": of the volume's options and its root folder in the store. */
static int mount_options(struct daemon *d, const struct volume_info *v, char *out, size_t size, struct attr *ret_root,
			 struct err *err)
{
	int r = ns_getattr(d->store, v->root_node, ret_root);
	int n;

	if (r)
		return err_set(err, -r, "the root folder of %s: %s", v->name, err_name(-r));
	n = snprintf(out, size, "mode=%o,uid=%u,gid=%u", ret_root->mode & 07777, ret_root->uid, ret_root->gid);
	if (v->quota_bytes)
		(void)snprintf(out + n, size - (size_t)n, ",size=%" PRId64, v->quota_bytes);
	return 0;
}

int tmpfs_ensure(struct daemon *d, const struct volume_info *v, struct err *err)
{
	char path[PATH_MAX], options[128];
	struct attr root;
	int r;

	tmpfs_path(d, v->name, path);
	if (is_mounted(path))
		return 0;
	r = mount_make_dirs(path, err);
	if (!r)
		r = mount_options(d, v, options, sizeof options, &root, err);
	if (!r && mount("varve-tmpfs", path, "tmpfs", MOUNT_FLAGS, options))
		r = err_set(err, errno, "the tmpfs of %s cannot be mounted on %s: %s", v->name, path, err_name(errno));
	return r;
}

void tmpfs_ensure_all(struct daemon *d)
{
	AUTO_FREE struct volume_info *v = NULL;
	struct err err = {0};
	size_t i, n = 0;

	if (volume_list(d->store, &v, &n, &err))
		log_error("%s", err.text);
	for (i = 0; i < n; i++)
		if (v[i].tmpfs && tmpfs_ensure(d, &v[i], &err))
			log_error("%s", err.text);
}

int tmpfs_adjust(struct daemon *d, const struct volume_info *v, struct err *err)
{
	char path[PATH_MAX], options[128];
	struct attr root;
	int r = tmpfs_ensure(d, v, err);

	tmpfs_path(d, v->name, path);
	if (!r)
		r = mount_options(d, v, options, sizeof options, &root, err);
	if (!r && (mount(NULL, path, NULL, MS_REMOUNT | MOUNT_FLAGS, options) || chown(path, root.uid, root.gid) ||
		   chmod(path, root.mode & 07777)))
		r = err_set(err, errno, "changing the tmpfs of %s: %s", v->name,
			    errno == EINVAL ? "it holds more than that" : err_name(errno));
	return r;
}

void tmpfs_drop(struct daemon *d, const char *volume)
{
	char path[PATH_MAX];

	tmpfs_path(d, volume, path);
	while (is_mounted(path))
		if (umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH)) {
			log_warn("%s cannot be unmounted: %s", path, err_name(errno));
			break;
		}
	(void)rmdir(path);
}

/* --- copying --- */

/* Starts a program with our signals undone and what it complains of in a pipe. */
static int start(char *const argv[], pid_t *ret_pid, int *ret_complaints)
{
	char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t signals;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	(void)posix_spawnattr_init(&attributes);
	(void)sigemptyset(&signals);
	(void)posix_spawnattr_setsigmask(&attributes, &signals);
	(void)sigaddset(&signals, SIGPIPE);
	(void)posix_spawnattr_setsigdefault(&attributes, &signals);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&files, fds[1], STDERR_FILENO);
	r = -posix_spawnp(ret_pid, argv[0], &files, &attributes, argv, environment);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	(void)close(fds[1]);
	if (r)
		(void)close(fds[0]);
	else
		*ret_complaints = fds[0];
	return r;
}

/* Runs it to its end. A file that vanished while it was being copied is nothing to fail for. */
static int run(const char *what, char *const argv[], struct err *err)
{
	AUTO_FREE char *line = NULL;
	char first[ERR_TEXT_MAX / 2] = "";
	size_t cap = 0;
	int complaints = -1, status = 0, r;
	pid_t pid;
	FILE *f;

	r = start(argv, &pid, &complaints);
	if (r)
		return err_set(err, -r, "%s: %s cannot be started: %s", what, argv[0], err_name(-r));
	f = fdopen(complaints, "r");
	if (!f)
		(void)close(complaints);
	while (f && getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!*first && !strstr(line, "No such file or directory"))
			(void)snprintf(first, sizeof first, "%s", line);
	}
	if (f)
		(void)fclose(f);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && (!WEXITSTATUS(status) || (WEXITSTATUS(status) == 1 && !*first)))
		return 0;
	return err_set(err, strstr(first, "No space left") ? ENOSPC : EIO, "%s: %s", what,
		       *first ? first : "the copy did not end well");
}

/* Where a volume's files are while it runs, and where what was saved of them is. */
struct places {
	char memory[PATH_MAX], stored[PATH_MAX];
};

static int find_places(struct daemon *d, const struct volume_info *v, struct places *ret, struct err *err)
{
	tmpfs_path(d, v->name, ret->memory);
	(void)snprintf(ret->stored, PATH_MAX, "%.*s/%s", PATH_MAX - VOLUME_NAME_MAX - 2, d->options.mount, v->name);
	return tmpfs_ensure(d, v, err);
}

/* `to` holds what `from` does, and nothing else. */
static int replace(const char *what, char *from, char *to, struct err *err)
{
	char *const clear[] = {WITH_US, "find", to, "-mindepth", "1", "-delete", NULL};
	char *const copy[] = {WITH_US, "cp", "-a", "-T", from, to, NULL};
	int r = run(what, clear, err);

	return r ? r : run(what, copy, err);
}

int tmpfs_save(struct daemon *d, const struct volume_info *v, struct err *err)
{
	char what[VOLUME_NAME_MAX + 64];
	struct places at;
	int r = find_places(d, v, &at, err);

	(void)snprintf(what, sizeof what, "copying the tmpfs %s into the store", v->name);
	return r ? r : replace(what, at.memory, at.stored, err);
}

int tmpfs_load(struct daemon *d, const struct volume_info *v, struct err *err)
{
	char what[VOLUME_NAME_MAX + 64];
	struct places at;
	int r = find_places(d, v, &at, err);

	(void)snprintf(what, sizeof what, "copying %s back into its tmpfs", v->name);
	return r ? r : replace(what, at.stored, at.memory, err);
}

int tmpfs_usage(const struct daemon *d, const char *volume, int64_t *ret_bytes, int64_t *ret_inodes)
{
	char path[PATH_MAX];
	struct statvfs fs;

	tmpfs_path(d, volume, path);
	if (!is_mounted(path) || statvfs(path, &fs))
		return -ENOENT;
	*ret_bytes = (int64_t)(fs.f_blocks - fs.f_bfree) * (int64_t)fs.f_frsize;
	*ret_inodes = (int64_t)(fs.f_files - fs.f_ffree);
	return 0;
}
