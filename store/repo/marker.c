#include "store/repo/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#define FOLDER "prune/"
#define MAGIC "VPM1"
#define HOUR_NS (INT64_C(3600) * 1000000000)
#define AGE_MAX_NS (6 * HOUR_NS)
#define RENEW_NS HOUR_NS

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- the object --- */

int marker_encode(int64_t when, const struct marker_owner *owner, struct buf *ret)
{
	int bad = buf_add(ret, MAGIC, 4);

	if (!bad)
		bad = buf_add_le64(ret, (uint64_t)when);
	if (!bad)
		bad = buf_add(ret, owner->host, MARKER_HOST_LEN);
	if (!bad)
		bad = buf_add_le64(ret, owner->pid);
	return bad ? bad : buf_add_le64(ret, owner->started);
}

int marker_parse(const void *data, size_t len, int64_t *ret_when, struct marker_owner *ret)
{
	struct buf_reader r = buf_reader(data, len);
	const void *magic = buf_get_raw(&r, 4), *host;
	struct marker_owner owner = {0};
	int64_t when = (int64_t)buf_get_le64(&r);

	host = buf_get_raw(&r, MARKER_HOST_LEN);
	owner.pid = buf_get_le64(&r);
	owner.started = buf_get_le64(&r);
	if (r.bad || buf_reader_left(&r) || memcmp(magic, MAGIC, 4) != 0)
		return -ECORRUPT;
	memcpy(owner.host, host, MARKER_HOST_LEN);
	*ret_when = when;
	*ret = owner;
	return 0;
}

/* --- who runs --- */

static ssize_t read_file(const char *path, char *out, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = 0;
	return n;
}

/* Since when a process runs, in ticks since the boot; 0: unknown. */
static uint64_t started(uint64_t pid)
{
	char path[64], stat[1024], *at;

	(void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
	if (read_file(path, stat, sizeof stat) <= 0 || !(at = strrchr(stat, ')')))
		return 0;
	/* the name may have blanks: fields are counted from behind it, the first there is the third */
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void find_owner(struct marker_owner *ret)
{
	char id[128];
	struct stat ns;
	ssize_t n = read_file("/proc/sys/kernel/random/boot_id", id, 64);

	*ret = (struct marker_owner){.pid = (uint64_t)getpid()};
	ret->started = started(ret->pid);
	if (n <= 0 || !ret->started || stat("/proc/self/ns/pid", &ns) < 0)
		return;
	n += snprintf(id + n, sizeof id - (size_t)n, "%llu", (unsigned long long)ns.st_ino);
	crypt_checksum(id, (size_t)n, ret->host, sizeof ret->host);
}

/* A process of this machine that has ended. Of another machine's nothing is known. */
static bool has_ended(const struct marker_owner *own, const struct marker_owner *other)
{
	static const uint8_t unknown[MARKER_HOST_LEN];
	uint64_t since;

	if (memcmp(own->host, other->host, MARKER_HOST_LEN) != 0 || !memcmp(own->host, unknown, MARKER_HOST_LEN))
		return false;
	if (kill((pid_t)other->pid, 0) < 0 && errno == ESRCH)
		return true;
	since = started(other->pid);
	return since && since != other->started;
}

/* --- put, looked for, taken away --- */

static int put(struct repo *r, struct marker *m, struct err *err)
{
	char key[MARKER_KEY_MAX];
	struct buf content = {0};
	uint64_t id;
	int bad = io_random(&id, sizeof id);

	m->put = now_ns();
	(void)snprintf(key, sizeof key, FOLDER "%016llx", (unsigned long long)id);
	if (!bad)
		bad = marker_encode(m->put, &m->owner, &content);
	if (bad)
		bad = err_set(err, -bad, "%s", err_name(-bad));
	else
		bad = backend_put(r->be, key, content.data, content.len, err);
	buf_free(&content);
	memcpy(m->key, key, sizeof key);
	return bad;
}

struct look {
	struct repo *r;
	const struct marker *own;
	struct err *err;
};

static int see(void *arg, const char *key, uint64_t size)
{
	const struct look *l = arg;
	struct marker_owner owner;
	struct buf content = {0};
	struct err why = {0};
	int64_t when = 0;
	int bad;

	(void)size;
	if (!strcmp(key, l->own->key))
		return 0;
	bad = backend_get(l->r->be, key, 0, SIZE_MAX, &content, &why);
	if (!bad) {
		bad = marker_parse(content.data, content.len, &when, &owner);
		if (bad) {
			(void)err_set(&why, ECORRUPT, "%s in the repository %s is damaged", key, l->r->be->where);
			err_hint(&why, "remove that file when no prune is running");
		}
	}
	buf_free(&content);
	if (bad == -ENOENT) /* its prune has just come to its end */
		return 0;
	if (!bad && (l->own->put - when > AGE_MAX_NS || has_ended(&l->own->owner, &owner))) {
		(void)backend_remove(l->r->be, key, NULL);
		return 0;
	}
	if (!bad) {
		bad = err_set(&why, EBUSY, "another prune of the repository %s is running", l->r->be->where);
		err_hint(&why, "if it was killed on another machine, this goes by itself within six hours");
	}
	if (l->err)
		*l->err = why;
	return bad;
}

int marker_begin(struct repo *r, struct marker *m, struct err *err)
{
	struct look l = {r, m, err};
	int bad;

	find_owner(&m->owner);
	bad = put(r, m, err);
	return bad ? bad : backend_list(r->be, FOLDER, see, &l, err);
}

int marker_keep(struct repo *r, struct marker *m, struct err *err)
{
	struct marker old = *m;
	struct buf content = {0};
	int bad;

	if (!*m->key || now_ns() - m->put <= RENEW_NS)
		return 0;
	bad = backend_get(r->be, old.key, 0, SIZE_MAX, &content, err);
	buf_free(&content);
	if (bad == -ENOENT) {
		*m->key = 0;
		(void)err_set(err, EBUSY, "another prune of the repository %s has taken this one for dead", r->be->where);
		err_hint(err, "this machine stood still for hours, or the clocks of both are hours apart");
		return -EBUSY;
	}
	if (!bad)
		bad = put(r, m, err);
	return bad ? bad : backend_remove(r->be, old.key, err);
}

void marker_remove(struct repo *r, struct marker *m)
{
	if (*m->key)
		(void)backend_remove(r->be, m->key, NULL);
	*m->key = 0;
}
