#include "store/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX]; /* the arguments may point into err itself */
	va_list ap;

	if (!err)
		return -code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err->code = code;
	memcpy(err->text, text, sizeof text);
	err->hint[0] = '\0';
	return -code;
}

void err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(err->hint, sizeof err->hint, fmt, ap);
	va_end(ap);
}

void err_context(struct err *err, const char *fmt, ...)
{
	char text[2 * ERR_TEXT_MAX + sizeof ": "]; /* room for both, cut to what fits afterwards */
	va_list ap;
	size_t n;

	if (!err)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, ERR_TEXT_MAX, fmt, ap);
	va_end(ap);
	n = strlen(text);
	(void)snprintf(text + n, sizeof text - n, ": %s", err->text);
	text[ERR_TEXT_MAX - 1] = '\0';
	memcpy(err->text, text, ERR_TEXT_MAX);
}

const char *err_name(int code)
{
	const char *name;

	switch (code) {
	case ECORRUPT:
		return "stored data is damaged (checksum mismatch)";
	case ETOONEW:
		return "made by a newer version of varve";
	default:
		name = strerrordesc_np(code);
		return name ? name : "unknown error";
	}
}

int err_errno(int ret)
{
	if (ret >= 0)
		return ret == 0 ? 0 : EIO;
	/* strerrordesc_np knows exactly the codes that the kernel and libc give out. */
	return strerrordesc_np(-ret) ? -ret : EIO;
}
