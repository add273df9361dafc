/* Keeping a ring that cannot be replayed, for inspection. */
#ifndef VARVE_FS_SET_ASIDE_H
#define VARVE_FS_SET_ASIDE_H

/* Copies the ring's memory into a new file in `folder` and logs where it is, or why it is not. ring_fd -1: does nothing.
 */
void set_aside(int ring_fd, const char *folder);

#endif
