/* The cryptography of a repository, all of it libsodium's.
 *
 * One master key of 32 random bytes; from it four keys by crypto_kdf (BLAKE2b): names of chunks, names of nodes, names
 * of objects, and the one that seals. A name is keyed BLAKE2b-256, so without the master key nobody can say which
 * content has which name, or make content for a name. A sealed piece is XChaCha20-Poly1305 with a random nonce, bound
 * to its type and to 32 more bytes (a chunk's name), so that one piece does not pass for another. Without encryption
 * the master key is in the config in clear, and a "sealed" piece is a keyed hash followed by the bytes: that finds
 * damage, and hides and proves nothing.
 *
 * Any thread, once crypt_init has run. */
#ifndef VARVE_REPO_CRYPT_H
#define VARVE_REPO_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPO_NAME_LEN 32
#define REPO_MASTER_LEN 32
#define SEAL_OVERHEAD 40 /* nonce 24 and tag 16; without encryption a keyed BLAKE2b of 40 bytes */

struct repo_name {
	uint8_t b[REPO_NAME_LEN];
};

/* What is named or sealed; part of the format. */
enum repo_type {
	REPO_CHUNK = 1,
	REPO_NODE = 2,
	REPO_PACK = 3,
	REPO_INDEX = 4,
	REPO_SNAPSHOT = 5,
	REPO_QUARANTINE = 6,
};

struct crypt_keys {
	bool encrypted;
	uint8_t chunk_name[32], node_name[32], object_name[32], seal[32];
};

/* Once per process, before anything else here. 0 or -EIO. */
int crypt_init(void);
void crypt_derive(struct crypt_keys *keys, const uint8_t master[REPO_MASTER_LEN], bool encrypted);
void crypt_wipe(void *p, size_t len);

/* The name of content: of a chunk, a node, or an object as it is stored. */
void crypt_name(const struct crypt_keys *keys, enum repo_type type, const void *data, size_t len,
		struct repo_name *ret);

/* `bind` may be NULL: zeros. dst has room for len + SEAL_OVERHEAD. */
void crypt_seal(const struct crypt_keys *keys, enum repo_type type, const struct repo_name *bind, const void *src,
		size_t len, void *dst);
/* dst has room for len - SEAL_OVERHEAD. 0 or -ECORRUPT. */
int crypt_open(const struct crypt_keys *keys, enum repo_type type, const struct repo_name *bind, const void *src,
	       size_t len, void *dst);

/* --- wrapping the master key --- */

#define CRYPT_SALT_LEN 16
#define CRYPT_WRAPPED_LEN (REPO_MASTER_LEN + SEAL_OVERHEAD)

struct crypt_cost {
	uint64_t ops, memory; /* Argon2id: passes, bytes */
};
/* What new passphrases cost to try. */
struct crypt_cost crypt_cost_default(void);
/* -EINVAL when the cost is beyond what this program would spend (a forged slot), -ENOMEM. */
int crypt_key_from_passphrase(const char *passphrase, size_t len, const uint8_t salt[CRYPT_SALT_LEN],
			      struct crypt_cost cost, uint8_t ret[32]);
/* A key file may hold anything; its bytes are hashed with the salt. */
void crypt_key_from_file(const void *data, size_t len, const uint8_t salt[CRYPT_SALT_LEN], uint8_t ret[32]);
/* `bound` is authenticated with it: the config and the slot's other fields. */
void crypt_wrap(const uint8_t key[32], const void *bound, size_t bound_len, const uint8_t master[REPO_MASTER_LEN],
		uint8_t ret[CRYPT_WRAPPED_LEN]);
int crypt_unwrap(const uint8_t key[32], const void *bound, size_t bound_len, const uint8_t wrapped[CRYPT_WRAPPED_LEN],
		 uint8_t ret[REPO_MASTER_LEN]); /* -EKEYREJECTED */

/* Unkeyed BLAKE2b, for what must be readable without a key. */
void crypt_checksum(const void *data, size_t len, uint8_t *ret, size_t ret_len);

/* 64 lower-case hexadecimal digits and a NUL. */
#define REPO_HEX_LEN 65
void repo_name_hex(const struct repo_name *name, char out[REPO_HEX_LEN]);
/* False when it is not 64 of those digits exactly. */
bool repo_name_parse(const char *hex, struct repo_name *ret);

#endif
