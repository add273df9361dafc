/* What outlives the daemon: descriptors that the supervisor holds, and one piece of shared memory that says what the
 * kernel knows. The ring, a second one, is the engine's.
 *
 * The memory is a memfd of HANDOVER_SIZE bytes, sparse, written by the daemon that serves and read by the next one. A
 * process killed between any two instructions leaves it usable: whatever has several fields is filled first and made
 * valid by its last field. Only processes of one machine share it, so these are plain structs, guarded by the version;
 * a change of anything in them is a new version, which a running mount is not handed over to. */
#ifndef VARVE_FS_HANDOVER_H
#define VARVE_FS_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/intent.h"
#include "fs/node_table.h"
#include "fs/open_table.h"
#include "fs/sockets.h"
#include "store/volume/store.h"

#define HANDOVER_VERSION 2
#define HANDOVER_INIT_MAX 512
#define HANDOVER_DONE_MAX 64

struct handover_state {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of this struct */
	/* the kernel's INIT, and our answer without its header: a new session is given the one and must come to the other */
	uint32_t init_len, init_out_len;
	uint8_t init[HANDOVER_INIT_MAX], init_out[HANDOVER_INIT_MAX];
	_Atomic bool serving;   /* INIT has been answered: the mount can be taken over */
	_Atomic bool resend;    /* the kernel can send again what was not answered */
	_Atomic bool unmounted; /* the mount was taken away, by the daemon or by somebody else */
	_Atomic bool recovered; /* by the daemon at work: its store is open */
	bool inc_epoch;         /* the kernel knows FUSE_NOTIFY_INC_EPOCH */
	uint64_t device;        /* of the mount */
	uint32_t takeovers;     /* of this mount so far */
	struct op_done done[HANDOVER_DONE_MAX];
	struct intent intents[INTENTS_MAX];
	struct upgrade_result {
		uint32_t count; /* of upgrades tried */
		bool refused;
		char text[200]; /* why it was refused */
	} upgrade;
};

#define HANDOVER_OPENS_OFF (256 * KIB)
#define HANDOVER_NODES_OFF (64 * MIB)
#define HANDOVER_SIZE (HANDOVER_NODES_OFF + sizeof(struct node_entries) + NODES_MAX * sizeof(struct node_entry))

struct handover {
	int fuse_fd;    /* /dev/fuse, mounted or not yet */
	int state_fd;
	int ring_fd;    /* -1: there is none yet */
	int control_fd; /* see control.h */
	int claim_fd;   /* on the store, see store/volume/claim.h */
	struct sockets sockets;
	struct handover_state *state; /* HANDOVER_SIZE bytes in the daemon, the struct alone in the supervisor */
};

/* -errno; state_fd and state are set. */
int handover_create(struct handover *h);
/* Maps `len` bytes of state_fd; -EPROTO when another version wrote it. */
int handover_map(struct handover *h, size_t len);
/* Nothing is mounted any more: the next daemon starts afresh, but for the ring. */
int handover_reset(struct handover *h);
bool handover_can_take_over(const struct handover *h);
struct node_entries *handover_nodes(const struct handover *h);
struct open_entries *handover_opens(const struct handover *h);

/* As text in the environment, for a program that is executed; the descriptors are kept open across it. -errno. */
int handover_export(const struct handover *h, const char *variable, pid_t child);
/* The program could not be executed: no other one gets them. */
void handover_unexport(const struct handover *h, const char *variable);
/* >0 when the variable is set: *h and *ret_child are filled. 0 when it is not; -EPROTO when it is not understood. */
int handover_import(const char *variable, const struct options *o, struct handover *h, pid_t *ret_child);

#endif
