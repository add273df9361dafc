/* One end of bytes that go to or come from the daemon, and what is shown of them: archives and streams. One thread. */
#ifndef VARVE_TOOLS_TRANSFER_H
#define VARVE_TOOLS_TRANSFER_H

#include <sys/types.h>

#include "tools/progress.h"

struct transfer {
	struct cli *cli;
	int fd;
	int64_t moved, total; /* total 0: not known */
	double part;          /* done, by the daemon's account; <0: not known */
	const char *job;      /* its id, once it is known */
	struct api *ask;      /* a second connection, for asking after the job */
	struct progress bar;
};

/* Opens a file, or standard output, which may be no terminal. `what` is moved: "archive"; `usage` is a command that would
 * do. */
int transfer_output(struct transfer *t, const char *what, const char *path_or_null, const char *usage, struct err *err);
/* Closes it, durably when it is a file; what has failed (rc) leaves none. Returns rc, or what failed here. */
int transfer_output_end(struct transfer *t, const char *what, const char *path_or_null, int rc, struct err *err);
/* The same for a file or standard input. */
int transfer_input(struct transfer *t, const char *what, const char *path_or_null, const char *usage, struct err *err);

/* For an api_stream whose arg is the transfer. transfer_get also with peer -1: then it waits for the input alone. */
int transfer_put(void *transfer, const void *data, size_t len);
ssize_t transfer_get(void *transfer, void *buf, size_t len, int peer);
void transfer_tick(void *transfer);

#endif
