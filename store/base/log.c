#include "store/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static _Atomic int log_level = LOG_LEVEL_INFO;
static _Atomic int log_dest = LOG_DEST_STDERR;
static const char *_Atomic log_ident = "varve";

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

void log_set_dest(enum log_dest dest, const char *ident)
{
	if (ident)
		atomic_store(&log_ident, ident);
	if (dest == LOG_DEST_SYSLOG)
		openlog(atomic_load(&log_ident), LOG_PID, LOG_DAEMON);
	atomic_store(&log_dest, (int)dest);
}

/* One write(2) a line, so that lines of several threads and processes do not mix. */
static void write_stderr(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	size_t len, room = sizeof line - 1; /* the last byte is kept for the newline */
	int n;

	n = snprintf(line, room, "%s: %s: ", atomic_load(&log_ident), level_names[level]);
	len = n < 0 ? 0 : ((size_t)n < room ? (size_t)n : room - 1);
	n = vsnprintf(line + len, room - len, fmt, ap);
	if (n > 0)
		len += (size_t)n < room - len ? (size_t)n : room - len - 1;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say so */
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	va_start(ap, fmt);
	if (atomic_load(&log_dest) == LOG_DEST_SYSLOG)
		vsyslog(level_priorities[level], fmt, ap);
	else
		write_stderr(level, fmt, ap);
	va_end(ap);
}
