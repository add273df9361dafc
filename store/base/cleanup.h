/* Scope cleanup: locals free themselves, ownership leaves a scope only through steal(). */
#ifndef VARVE_BASE_CLEANUP_H
#define VARVE_BASE_CLEANUP_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	if (*m)
		(void)pthread_mutex_unlock(*m);
}

/* free() at the end of the scope */
#define AUTO_FREE __attribute__((cleanup(cleanup_free_ptr)))
/* close() at the end of the scope; only where the result of close does not matter (nothing was written) */
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close_fd)))

#define CLEANUP_CAT_(a, b) a##b
#define CLEANUP_CAT(a, b) CLEANUP_CAT_(a, b)
/* Takes the mutex until the end of the scope. */
#define LOCK_SCOPE(mutex)                                                                                             \
	__attribute__((cleanup(cleanup_unlock))) pthread_mutex_t *CLEANUP_CAT(lock_scope_, __LINE__) = (mutex);        \
	(void)pthread_mutex_lock(CLEANUP_CAT(lock_scope_, __LINE__))

/* Takes the pointer out of an AUTO_ variable, leaving NULL. */
#define steal(pp)                                                                                                      \
	({                                                                                                             \
		__typeof__(*(pp)) stolen_ = *(pp);                                                                     \
		*(pp) = NULL;                                                                                          \
		stolen_;                                                                                               \
	})

#endif
