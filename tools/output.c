#include "tools/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"

void output_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	(void)fputc('\n', stdout);
}

void output_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->flags & (CLI_QUIET | CLI_JSON))
		return;
	(void)fflush(stdout); /* a terminal shows both in the order written */
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static const char *code_name(int code)
{
	const char *name;

	switch (code) {
	case EUSAGE:
		return "EINVAL";
	case ECORRUPT:
		return "ECORRUPT";
	case ETOONEW:
		return "ETOONEW";
	default:
		name = strerrorname_np(code);
		return name ? name : "EIO";
	}
}

/* False when the text is no UTF-8, which JSON cannot carry. */
static bool print_err_json(const struct err *err)
{
	json_auto_t *error = json_pack("{s:{s:s,s:s,s:s}}", "error", "code", code_name(err->code), "message", err->text,
				       "hint", err->hint);

	if (!error)
		return false;
	(void)json_dumpf(error, stderr, JSON_COMPACT);
	(void)fputc('\n', stderr);
	return true;
}

void output_err(const struct cli *cli, const char *command, struct err *err)
{
	if (!err->text[0])
		return;
	(void)fflush(stdout);
	if (!(cli->flags & CLI_JSON) || !print_err_json(err)) {
		(void)fprintf(stderr, "%s: %s\n", command, err->text);
		if (err->hint[0])
			(void)fprintf(stderr, "  %s\n", err->hint);
	}
	err->text[0] = '\0';
}

static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (columns && atoi(columns) > 0)
		return (unsigned)atoi(columns);
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 ? ws.ws_col : 0;
}

int output_table(const struct table *t, struct err *err)
{
	int rc = table_print(t, stdout, terminal_width());

	return rc < 0 ? err_set(err, -rc, "out of memory") : 0;
}

const char *output_size(const struct cli *cli, char out[FORMAT_MAX], int64_t bytes)
{
	if (!(cli->flags & CLI_BYTES))
		return format_size(out, bytes < 0 ? 0 : (uint64_t)bytes);
	(void)snprintf(out, FORMAT_MAX, "%lld", (long long)bytes);
	return out;
}

const char *output_count(char out[FORMAT_MAX], int64_t n, const char *noun)
{
	(void)snprintf(out, FORMAT_MAX, "%lld %s%s", (long long)n, noun, n == 1 ? "" : "s");
	return out;
}

void output_times(const struct cli *cli, const json_t *answer)
{
	const json_t *cut = json_object_get(answer, "cut");
	char fence[FORMAT_MAX], held[FORMAT_MAX], drain[FORMAT_MAX], sync[FORMAT_MAX];

	if (!cut)
		return;
	output_note(cli, "fence %s, cut %s (drain %s before it, sync %s after it)",
		    format_micros(fence, (uint64_t)api_int(answer, "fence_us")),
		    format_micros(held, (uint64_t)api_int(cut, "cut_us")),
		    format_micros(drain, (uint64_t)api_int(cut, "drain_us")),
		    format_micros(sync, (uint64_t)api_int(cut, "sync_us")));
}

static bool may_ask(const struct cli *cli)
{
	return !(cli->flags & CLI_YES) && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool output_confirm_seen(const struct cli *cli)
{
	return may_ask(cli) || !(cli->flags & (CLI_QUIET | CLI_JSON));
}

int output_confirm(const struct cli *cli, struct err *err, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (rc < 0) {
		text = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (!may_ask(cli)) {
		output_note(cli, "%s", text);
		return 0;
	}
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s\nGo on? [y/N] ", text);
	n = getline(&line, &cap, stdin);
	if (n > 0 && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0))
		return 0;
	return err_set(err, ECANCELED, "nothing was changed");
}

int output_finish(struct err *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return err_set(err, errno ? errno : EIO, "cannot write the result: %s", err_name(errno ? errno : EIO));
}
