/* Private to store/repo: the ways to a repository's master key. */
#ifndef VARVE_REPO_KEY_H
#define VARVE_REPO_KEY_H

#include "store/repo/repo.h"

/* Fills r->master with what one of the slots and these credentials give. */
int key_unlock(struct repo *r, const struct repo_credentials *cred, struct err *err);
/* Wraps r->master: repo_key_add, for a repository that is being made, too. */
int key_put(struct repo *r, const struct repo_credentials *cred, const char *label, char ret_id[17], struct err *err);

#endif
