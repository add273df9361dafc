/* How a command gets at a repository: its address by path, URL or a name that `varve repo add` stored; and the passphrase, key file and
 * credentials, from options, environment, what was stored, or a prompt. One thread. */
#ifndef VARVE_TOOLS_CMD_REPO_ACCESS_H
#define VARVE_TOOLS_CMD_REPO_ACCESS_H

#include <jansson.h>

#include "store/repo/repo.h"
#include "tools/output.h"

#define REPO_ACCESS_OPTIONS                                                                                            \
	{"key-file", 0, "FILE", "the key file, instead of a passphrase"},                                              \
	{"passphrase-file", 0, "FILE", "a file whose first line is the passphrase (VARVE_PASSPHRASE_FILE)"}

struct repo_access {
	char *name; /* as given */
	char *url;
	char *passphrase;
	char *key_file;	    /* its path */
	char *key_bytes;
	size_t key_len;
	char *ssh_command;
	char *s3_key, *s3_secret, *s3_token, *s3_region;
};

/* Everything but the prompt. */
int repo_access_get(struct cli *cli, const struct args *args, const char *word, struct repo_access *ret, struct err *err);
void repo_access_free(struct repo_access *a);
#define AUTO_REPO_ACCESS __attribute__((cleanup(repo_access_free)))
/* Borrowed from the struct. */
struct repo_credentials repo_access_credentials(const struct repo_access *a);
/* Asks on the terminal; `twice` for a new one. -EKEYREJECTED without a terminal. */
int repo_access_prompt(struct repo_access *a, const char *what, bool twice, struct err *err);
/* The key to add, from --new-key-file, --new-passphrase-file, VARVE_NEW_PASSPHRASE, or a prompt. */
int repo_access_new_key(struct repo_access *ret, const struct args *args, const char *repo, struct err *err);
/* Opens, and asks for the passphrase when that is what is missing. */
int repo_access_open(struct repo_access *a, struct repo **ret, struct err *err);
/* What is wrong with its config, if anything is. */
void repo_access_note(const struct cli *cli, const struct repo *r);
/* The same things for a request to the daemon, which opens it itself; asks first if need be. */
int repo_access_json(struct repo_access *a, json_t **ret, struct err *err);
/* Stores it under a name, 0600. */
int repo_access_store(const struct repo_access *a, const char *name, struct err *err);

#endif
