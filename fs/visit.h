/* Threads for what the daemon does to its own mount, and which therefore waits for the daemon itself.
 *
 * When the daemon is killed while one of them waits for an answer that is now the next daemon's to give, the kernel lets
 * that thread end only with the answer; until then it keeps the process, and all descriptors that it shares. So it
 * shares none: the store's locks, the sockets and the connection are free at once, and the next daemon can begin. */
#ifndef VARVE_FS_VISIT_H
#define VARVE_FS_VISIT_H

#include <pthread.h>
#include <stdbool.h>

struct visit {
	/* `fd` is what was kept, or -1. No other descriptor above 2 is open there: neither engine nor log may be used. */
	void (*fn)(void *arg, int fd);
	void *arg;
	int keep_fd; /* -1: none */
	pthread_t thread;
	bool running;
};

/* Begins it; without a thread to be had it is done at once, in the caller's. Any number at a time. */
void visit_start(struct visit *v);
void visit_join(struct visit *v);
/* Both. */
void visit(void (*fn)(void *arg, int fd), void *arg, int keep_fd);

#endif
