#include "fs/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#define NAMESPACES_KNOWN_MAX 1024 /* of more, every process is told */

int processes_each(bool (*fn)(void *arg, const char *pid), void *arg)
{
	const struct dirent *e;
	DIR *proc = opendir("/proc");

	if (!proc)
		return -errno;
	while ((e = readdir(proc)))
		if (isdigit((unsigned char)e->d_name[0]) && !fn(arg, e->d_name))
			break;
	(void)closedir(proc);
	return 0;
}

struct namespaces {
	bool (*fn)(void *arg, const char *pid);
	void *arg;
	ino_t known[NAMESPACES_KNOWN_MAX];
	size_t n;
};

static bool tell_new(void *arg, const char *pid)
{
	struct namespaces *s = arg;
	char path[64];
	struct stat st;
	size_t i;

	(void)snprintf(path, sizeof path, "/proc/%.20s/ns/mnt", pid);
	if (stat(path, &st))
		return true; /* ended meanwhile, or a kernel thread */
	for (i = 0; i < s->n; i++)
		if (s->known[i] == st.st_ino)
			return true;
	if (s->n < NAMESPACES_KNOWN_MAX)
		s->known[s->n++] = st.st_ino;
	return s->fn(s->arg, pid);
}

int processes_each_namespace(bool (*fn)(void *arg, const char *pid), void *arg)
{
	struct namespaces s = {.fn = fn, .arg = arg};

	return processes_each(tell_new, &s);
}
