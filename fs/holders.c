#include "fs/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/processes.h"
#include "fs/visit.h"
#include "store/base/cleanup.h"
#include "store/volume/file_io.h"
#include "store/volume/namespace.h"

#define NAMED_MAX 3
#define CONTAINER_ID_LEN 64
#define CONTAINER_ID_SHOWN 12

void holders_process(uint32_t tid, char command[HOLDER_COMMAND_MAX], int *ret_pid)
{
	char path[64], line[256];
	FILE *f;

	*command = '\0';
	*ret_pid = (int)tid;
	(void)snprintf(path, sizeof path, "/proc/%u/status", tid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "Name:\t", 6))
			(void)snprintf(command, HOLDER_COMMAND_MAX, "%.*s", HOLDER_COMMAND_MAX - 1, line + 6);
		else if (sscanf(line, "Tgid:\t%d", ret_pid) == 1)
			break;
	}
	(void)fclose(f);
}

/* A list of at most NAMED_MAX. */
struct naming {
	char *out;
	size_t size, at;
	unsigned n;
};

static void add_name(struct naming *l, const char *lead, const char *what, uint32_t tid)
{
	char command[HOLDER_COMMAND_MAX];
	int pid;

	if (l->n++ >= NAMED_MAX || l->at >= l->size)
		return;
	holders_process(tid, command, &pid);
	l->at += (size_t)snprintf(l->out + l->at, l->size - l->at, "%s%s%s%sprocess %d%s%s%s", l->n > 1 ? ", " : "", lead,
				  what, *what ? " (" : "", pid, *command ? ", " : "", command, *what ? ")" : "");
}

static void end_names(struct naming *l)
{
	if (l->n > NAMED_MAX && l->at < l->size)
		(void)snprintf(l->out + l->at, l->size - l->at, ", and others");
}

void holders_name_writers(struct daemon *d, const char *volume, int64_t volume_id, const char *what_to_do,
			  struct err *err)
{
	AUTO_FREE struct open_file *files = NULL;
	char who[ERR_TEXT_MAX / 2] = "";
	struct naming names = {.out = who, .size = sizeof who};
	size_t i, n = 0;

	if (file_open_list(d->store, volume_id, &files, &n) || !n)
		return;
	for (i = 0; i < n; i++) {
		AUTO_FREE char *its_volume = NULL;
		AUTO_FREE char *path = NULL;

		if (!ns_path(d->store, files[i].node, &its_volume, &path))
			add_name(&names, "", path, files[i].pid);
	}
	end_names(&names);
	(void)err_set(err, EBUSY, "files of %s are open for writing: %s", volume, who);
	err_hint(err, "%s", what_to_do);
}

/* The first 64 hexadecimal digits in a process's cgroup: how engines name a container's. "" when there are none. */
static void find_container(const char *pid, char out[CONTAINER_ID_SHOWN + 1])
{
	char path[64], line[1024];
	FILE *f;

	*out = '\0';
	(void)snprintf(path, sizeof path, "/proc/%.20s/cgroup", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (!*out && fgets(line, sizeof line, f)) {
		const char *p = line;

		while (*p && !*out) {
			size_t hex = strspn(p, "0123456789abcdef");

			if (hex == CONTAINER_ID_LEN)
				(void)snprintf(out, CONTAINER_ID_SHOWN + 1, "%.*s", CONTAINER_ID_SHOWN, p);
			p += hex ? hex : 1;
		}
	}
	(void)fclose(f);
}

/* What to look for in mountinfo: a device, and the root inside it. */
struct mount_source {
	unsigned major, minor;
	char root[PATH_MAX];
	const char *folder;
};

static bool is_under(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (len == 1)
		return true;
	return !strncmp(path, root, len) && (!path[len] || path[len] == '/');
}

/* Whether the process's mount namespace shows the source anywhere but at the folder itself. */
static bool shows_mount(const char *pid, const struct mount_source *m)
{
	AUTO_FREE char *line = NULL;
	bool found = false;
	char path[64];
	size_t cap = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%.20s/mountinfo", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &cap, f) > 0) {
		unsigned id, parent, maj, min;
		int root_at = 0, at_at = 0, end = 0;

		if (sscanf(line, "%u %u %u:%u %n%*s%n %n", &id, &parent, &maj, &min, &root_at, &end, &at_at) != 4 ||
		    maj != m->major || min != m->minor)
			continue;
		line[end] = '\0';
		line[at_at + (int)strcspn(line + at_at, " \n")] = '\0';
		found = is_under(line + root_at, m->root) && strcmp(line + at_at, m->folder) != 0;
	}
	(void)fclose(f);
	return found;
}

/* Which device and root a folder is: its mount's, and what of its path lies below the mount's point. */
static bool find_source(const char *folder, struct mount_source *ret)
{
	AUTO_FREE char *line = NULL;
	struct stat st;
	size_t cap = 0, best = 0;
	FILE *f;

	if (stat(folder, &st))
		return false;
	*ret = (struct mount_source){.major = major(st.st_dev), .minor = minor(st.st_dev), .folder = folder};
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return false;
	while (getline(&line, &cap, f) > 0) {
		char root[PATH_MAX], at[PATH_MAX];
		unsigned id, parent, maj, min;

		if (sscanf(line, "%u %u %u:%u %4095s %4095s", &id, &parent, &maj, &min, root, at) != 6 ||
		    maj != ret->major || min != ret->minor || !is_under(folder, at) || strlen(at) <= best)
			continue;
		best = strlen(at);
		(void)snprintf(ret->root, sizeof ret->root, "%.*s%s", (int)(strlen(root) > 1 ? strlen(root) : 0), root,
			       folder + (best > 1 ? best : 0));
		if (!*ret->root)
			(void)snprintf(ret->root, sizeof ret->root, "/");
	}
	(void)fclose(f);
	return best > 0;
}

struct mount_search {
	const char *folder;
	struct mount_source source;
	struct naming names;
};

static bool search_mounts(void *arg, const char *pid)
{
	struct mount_search *s = arg;
	char id[CONTAINER_ID_SHOWN + 1];

	if (shows_mount(pid, &s->source)) {
		find_container(pid, id);
		add_name(&s->names, *id ? "container " : "", id, (uint32_t)strtoul(pid, NULL, 10));
	}
	return s->names.n <= NAMED_MAX;
}

/* In a thread that visits: a look at the folder is a request to the daemon. */
static void visit_mounts(void *arg, int unused_fd)
{
	struct mount_search *s = arg;

	(void)unused_fd;
	if (!find_source(s->folder, &s->source))
		return;
	(void)processes_each_namespace(search_mounts, s);
	end_names(&s->names);
}

void holders_of_mount(const char *folder, char *out, size_t size)
{
	struct mount_search *s = calloc(1, sizeof *s);

	*out = '\0';
	if (!s)
		return;
	s->folder = folder;
	s->names = (struct naming){.out = out, .size = size};
	visit(visit_mounts, s, -1);
	free(s);
}

#define MOUNTS_MAX 4096 /* of the store, in all namespaces */

struct volume_search {
	struct daemon *d;
	int64_t volume;
	unsigned major, minor; /* of the store's mount */
	int mounts[MOUNTS_MAX]; /* its ids */
	size_t mounts_n;
	uint64_t last; /* node named, of the process that is being looked at */
	struct naming names;
};

static bool note_mounts(void *arg, const char *pid)
{
	struct volume_search *s = arg;
	AUTO_FREE char *line = NULL;
	unsigned id, parent, maj, min;
	char path[64];
	size_t cap = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%.20s/mountinfo", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0 && s->mounts_n < MOUNTS_MAX)
		if (sscanf(line, "%u %u %u:%u", &id, &parent, &maj, &min) == 4 && maj == s->major && min == s->minor)
			s->mounts[s->mounts_n++] = (int)id;
	if (f)
		(void)fclose(f);
	return true;
}

static bool is_its_mount(const struct volume_search *s, int id)
{
	size_t i;

	for (i = 0; i < s->mounts_n && s->mounts[i] != id; i++)
		;
	return i < s->mounts_n;
}

/* The store is asked, not the mount: a folder is no open file, nor is another volume's. */
static void name_node(struct volume_search *s, const char *pid, uint64_t node)
{
	AUTO_FREE char *volume = NULL;
	AUTO_FREE char *path = NULL;
	struct attr attr;
	int64_t id;

	if (node == s->last || ns_volume(s->d->store, node, &id) || id != s->volume ||
	    ns_getattr(s->d->store, node, &attr) || S_ISDIR(attr.mode))
		return;
	s->last = node;
	(void)ns_path(s->d->store, node, &volume, &path);
	add_name(&s->names, "", path ? path : "a file without a name", (uint32_t)strtoul(pid, NULL, 10));
}

static void search_descriptors(struct volume_search *s, const char *pid)
{
	char path[64], one[64 + NAME_MAX + 2], line[256];
	const struct dirent *e;
	DIR *fds;

	(void)snprintf(path, sizeof path, "/proc/%.20s/fdinfo", pid);
	fds = opendir(path);
	while (fds && (e = readdir(fds))) {
		unsigned long long node = 0;
		int mount = -1;
		FILE *f;

		(void)snprintf(one, sizeof one, "%s/%s", path, e->d_name);
		f = isdigit((unsigned char)e->d_name[0]) ? fopen(one, "re") : NULL;
		while (f && !node && fgets(line, sizeof line, f))
			if (sscanf(line, "mnt_id: %d", &mount) != 1)
				(void)sscanf(line, "ino: %llu", &node);
		if (f)
			(void)fclose(f);
		if (node && is_its_mount(s, mount))
			name_node(s, pid, node);
	}
	if (fds)
		(void)closedir(fds);
}

static void search_mappings(struct volume_search *s, const char *pid)
{
	AUTO_FREE char *line = NULL;
	unsigned long long node;
	unsigned maj, min;
	char path[64];
	size_t cap = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0)
		if (sscanf(line, "%*s %*s %*s %x:%x %llu", &maj, &min, &node) == 3 && maj == s->major &&
		    min == s->minor)
			name_node(s, pid, node);
	if (f)
		(void)fclose(f);
}

static bool search_volume(void *arg, const char *pid)
{
	struct volume_search *s = arg;

	s->last = 0;
	search_descriptors(s, pid);
	search_mappings(s, pid);
	return s->names.n <= NAMED_MAX;
}

void holders_of_volume(struct daemon *d, int64_t volume_id, char *out, size_t size)
{
	struct volume_search *s = calloc(1, sizeof *s);
	dev_t device = (dev_t)d->handover.state->device;

	*out = '\0';
	if (!s)
		return;
	s->d = d;
	s->volume = volume_id;
	s->major = major(device);
	s->minor = minor(device);
	s->names = (struct naming){.out = out, .size = size};
	(void)processes_each_namespace(note_mounts, s);
	(void)processes_each(search_volume, s);
	end_names(&s->names);
	free(s);
}

struct file_search {
	const char *folder;
	dev_t dev;
	struct naming names;
};

static bool search_files(void *arg, const char *pid)
{
	struct file_search *s = arg;
	char path[64], one[64 + NAME_MAX + 2], target[PATH_MAX];
	const struct dirent *e;
	DIR *fds;

	(void)snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	fds = opendir(path);
	while (fds && (e = readdir(fds))) {
		struct stat st;
		ssize_t n;

		(void)snprintf(one, sizeof one, "%s/%s", path, e->d_name);
		if (stat(one, &st) || st.st_dev != s->dev || S_ISDIR(st.st_mode))
			continue;
		n = readlink(one, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		add_name(&s->names, "", target, (uint32_t)strtoul(pid, NULL, 10));
	}
	if (fds)
		(void)closedir(fds);
	return s->names.n <= NAMED_MAX;
}

/* In a thread that visits: among what processes have open are files of the daemon's own mount. */
static void visit_files(void *arg, int unused_fd)
{
	struct file_search *s = arg;
	struct stat st;

	(void)unused_fd;
	if (stat(s->folder, &st))
		return;
	s->dev = st.st_dev;
	(void)processes_each(search_files, s);
	end_names(&s->names);
}

void holders_of_files(const char *folder, char *out, size_t size)
{
	struct file_search s = {.folder = folder, .names = {.out = out, .size = size}};

	*out = '\0';
	visit(visit_files, &s, -1);
}
