#include "fs/turn.h"

#include <poll.h>
#include <stdint.h>

#include "fs/daemon.h"
#include "store/base/log.h"
#include "store/volume/claim.h"

#define LASTING_US_MAX 1000000
#define QUIET_US 200000 /* not worth a line */
#define TRY_MS 20

int turn_wait(const struct options *o, int ready_fd, int *ret_claim_fd, struct err *err)
{
	struct pollfd starter = {.fd = ready_fd};
	uint64_t began = daemon_mono_us(), waited, most = (uint64_t)o->wait_s * 1000000, now_most;
	bool lasting, told = false;
	int ret;

	for (;;) {
		*err = (struct err){0};
		ret = claim_take(o->store, CLAIM_LASTING, ret_claim_fd, err);
		if (ret != -EBUSY)
			return ret;
		lasting = claim_look(o->store) == CLAIM_LASTS;
		now_most = lasting && most > LASTING_US_MAX ? LASTING_US_MAX : most;
		waited = daemon_mono_us() - began;
		if (waited >= now_most)
			return ret;
		if (!lasting && !told && waited >= QUIET_US) {
			log_info("%s: waiting up to %u s for it", err->text, o->wait_s);
			told = true;
		}
		if (poll(&starter, 1, TRY_MS) > 0)
			return err_set(err, ECANCELED, "%s was still to be waited for when the start was broken off", o->store);
	}
}
