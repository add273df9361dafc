/* Keeping what a ring has and the store has not, for inspection. */
#ifndef VARVE_FS_SET_ASIDE_H
#define VARVE_FS_SET_ASIDE_H

/* Copies the ring's memory into a new file in `folder` and logs where it is, or why it is not. Does nothing when there is nothing in it:
 * everything acknowledged has become part of the store. ring_fd -1: there is no ring.
 */
void set_aside(int ring_fd, const char *folder);

#endif
