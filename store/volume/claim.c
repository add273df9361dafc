/* Two bytes of STORE/lock, locked for an open file (OFD locks), and the holder's process id as its text, which is for messages
 * only. Byte 0 is the claim. Byte 1 says that it lasts; the kernel lets go of both with the last copy of the descriptor, however
 * its holder ends, so neither is ever stale. A process that is dead and still has them is on its way out of the kernel. */
#include "store/volume/claim.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/volume/store_internal.h"

#define BYTE_CLAIM 0
#define BYTE_LASTS 1
#define COMMAND_MAX 32

static int lock_byte(int fd, short type, off_t byte)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &l) ? -errno : 0;
}

static int open_lock(const char *dir, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int dirfd = -1;
	int ret = store_open_dir(dir, &dirfd, err), fd;

	if (ret)
		return ret;
	fd = openat(dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s/" LOCK_NAME ": %s", dir, err_name(errno));
	*ret_fd = fd;
	return 0;
}

/* Of a fixed length, so that no reader sees a part of it; on a full disk it is done without. */
static void sign(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%-10d\n", (int)getpid());

	(void)!pwrite(fd, text, (size_t)n, 0);
}

/* The holder's process and its command; 0 when it lives no more or not here. */
static int holder(int fd, char command[COMMAND_MAX])
{
	char text[16] = "", path[64], line[128] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	int pid = n > 0 ? (int)strtol(text, NULL, 10) : 0;
	const char *from, *to;
	AUTO_CLOSE int stat = -1;

	if (pid <= 0)
		return 0;
	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	stat = open(path, O_RDONLY | O_CLOEXEC);
	if (stat < 0 || read(stat, line, sizeof line - 1) <= 0)
		return 0;
	/* PID (COMMAND) STATE */
	from = strchr(line, '(');
	to = strrchr(line, ')');
	if (!from || !to || to < from || to[1] != ' ' || strchr("ZXx", to[2]))
		return 0;
	(void)snprintf(command, COMMAND_MAX, "%.*s", (int)(to - from - 1), from + 1);
	return pid;
}

static bool locked(int fd, off_t byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
}

static enum claim_state look(int fd)
{
	char command[COMMAND_MAX];

	if (!locked(fd, BYTE_CLAIM))
		return CLAIM_FREE;
	if (!locked(fd, BYTE_LASTS))
		return CLAIM_PASSES;
	return holder(fd, command) ? CLAIM_LASTS : CLAIM_ORPHANED;
}

static int refuse(int fd, const char *dir, struct err *err)
{
	char command[COMMAND_MAX];
	int pid = holder(fd, command);

	if (pid)
		err_set(err, EBUSY, "the store %s is in use by process %d (%s)", dir, pid, command);
	else
		err_set(err, EBUSY, "the store %s is in use by another process", dir);
	err_hint(err, look(fd) == CLAIM_LASTS ? "use the running varved, or stop it first" : "wait until that has ended");
	return -EBUSY;
}

int claim_take(const char *dir, enum claim_kind kind, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	int ret = open_lock(dir, &fd, err);

	if (ret)
		return ret;
	ret = lock_byte(fd, F_WRLCK, BYTE_CLAIM);
	if (ret == -EAGAIN || ret == -EACCES)
		return refuse(fd, dir, err);
	if (!ret && kind == CLAIM_LASTING)
		ret = lock_byte(fd, F_WRLCK, BYTE_LASTS);
	if (ret)
		return err_set(err, -ret, "%s/" LOCK_NAME " cannot be locked: %s", dir, err_name(-ret));
	sign(fd);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

void claim_end(int fd)
{
	(void)lock_byte(fd, F_UNLCK, BYTE_LASTS);
	sign(fd);
}

int claim_look(const char *dir)
{
	AUTO_CLOSE int fd = -1;
	int ret = open_lock(dir, &fd, NULL);

	return ret ? ret : (int)look(fd);
}
