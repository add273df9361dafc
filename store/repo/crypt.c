#include "store/repo/crypt.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "store/base/err.h"

#define KDF_CONTEXT "varverep"
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
/* More than this is no slot that varve wrote. */
#define MEMORY_MAX (1ULL << 30)
#define OPS_MAX 16

_Static_assert(NONCE_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES == SEAL_OVERHEAD, "what sealing adds");
_Static_assert(CRYPT_SALT_LEN == crypto_pwhash_SALTBYTES, "salts");

int crypt_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void crypt_derive(struct crypt_keys *keys, const uint8_t master[REPO_MASTER_LEN], bool encrypted)
{
	uint8_t *const subkeys[] = {keys->chunk_name, keys->node_name, keys->object_name, keys->seal};

	for (uint64_t i = 0; i < sizeof subkeys / sizeof *subkeys; i++)
		(void)crypto_kdf_derive_from_key(subkeys[i], 32, i + 1, KDF_CONTEXT, master);
	keys->encrypted = encrypted;
}

void crypt_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

void crypt_name(const struct crypt_keys *keys, enum repo_type type, const void *data, size_t len, struct repo_name *ret)
{
	const uint8_t *key = type == REPO_CHUNK  ? keys->chunk_name
			     : type == REPO_NODE ? keys->node_name
						 : keys->object_name;

	(void)crypto_generichash(ret->b, sizeof ret->b, data, len, key, 32);
}

static void make_bound(uint8_t out[1 + REPO_NAME_LEN], enum repo_type type, const struct repo_name *bind)
{
	out[0] = (uint8_t)type;
	if (bind)
		memcpy(out + 1, bind->b, REPO_NAME_LEN);
	else
		memset(out + 1, 0, REPO_NAME_LEN);
}

/* What stands in the place of nonce and tag when nothing is encrypted. */
static void make_check(const struct crypt_keys *keys, const uint8_t bound[1 + REPO_NAME_LEN], const void *src,
		       size_t len, uint8_t out[SEAL_OVERHEAD])
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, keys->seal, 32, SEAL_OVERHEAD);
	(void)crypto_generichash_update(&st, bound, 1 + REPO_NAME_LEN);
	(void)crypto_generichash_update(&st, src, len);
	(void)crypto_generichash_final(&st, out, SEAL_OVERHEAD);
}

void crypt_seal(const struct crypt_keys *keys, enum repo_type type, const struct repo_name *bind, const void *src,
		size_t len, void *dst)
{
	uint8_t bound[1 + REPO_NAME_LEN], *out = dst;

	make_bound(bound, type, bind);
	if (keys->encrypted) {
		randombytes_buf(out, NONCE_LEN);
		(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_LEN, NULL, src, len, bound, sizeof bound,
								 NULL, out, keys->seal);
	} else {
		make_check(keys, bound, src, len, out);
		memcpy(out + SEAL_OVERHEAD, src, len);
	}
}

int crypt_open(const struct crypt_keys *keys, enum repo_type type, const struct repo_name *bind, const void *src,
	       size_t len, void *dst)
{
	uint8_t bound[1 + REPO_NAME_LEN], check[SEAL_OVERHEAD];
	const uint8_t *in = src;

	if (len < SEAL_OVERHEAD)
		return -ECORRUPT;
	make_bound(bound, type, bind);
	if (keys->encrypted)
		return crypto_aead_xchacha20poly1305_ietf_decrypt(dst, NULL, NULL, in + NONCE_LEN, len - NONCE_LEN,
								  bound, sizeof bound, in, keys->seal)
			       ? -ECORRUPT
			       : 0;
	make_check(keys, bound, in + SEAL_OVERHEAD, len - SEAL_OVERHEAD, check);
	if (memcmp(check, in, SEAL_OVERHEAD) != 0)
		return -ECORRUPT;
	memcpy(dst, in + SEAL_OVERHEAD, len - SEAL_OVERHEAD);
	return 0;
}

struct crypt_cost crypt_cost_default(void)
{
	return (struct crypt_cost){crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE};
}

int crypt_key_from_passphrase(const char *passphrase, size_t len, const uint8_t salt[CRYPT_SALT_LEN],
			      struct crypt_cost cost, uint8_t ret[32])
{
	if (cost.ops < crypto_pwhash_OPSLIMIT_MIN || cost.ops > OPS_MAX || cost.memory < crypto_pwhash_MEMLIMIT_MIN ||
	    cost.memory > MEMORY_MAX)
		return -EINVAL;
	return crypto_pwhash(ret, 32, passphrase, len, salt, cost.ops, (size_t)cost.memory,
			     crypto_pwhash_ALG_ARGON2ID13)
		       ? -ENOMEM
		       : 0;
}

void crypt_key_from_file(const void *data, size_t len, const uint8_t salt[CRYPT_SALT_LEN], uint8_t ret[32])
{
	(void)crypto_generichash(ret, 32, data, len, salt, CRYPT_SALT_LEN);
}

void crypt_wrap(const uint8_t key[32], const void *bound, size_t bound_len, const uint8_t master[REPO_MASTER_LEN],
		uint8_t ret[CRYPT_WRAPPED_LEN])
{
	randombytes_buf(ret, NONCE_LEN);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(ret + NONCE_LEN, NULL, master, REPO_MASTER_LEN, bound,
							 bound_len, NULL, ret, key);
}

int crypt_unwrap(const uint8_t key[32], const void *bound, size_t bound_len, const uint8_t wrapped[CRYPT_WRAPPED_LEN],
		 uint8_t ret[REPO_MASTER_LEN])
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(ret, NULL, NULL, wrapped + NONCE_LEN,
							  CRYPT_WRAPPED_LEN - NONCE_LEN, bound, bound_len, wrapped, key)
		       ? -EKEYREJECTED
		       : 0;
}

void crypt_checksum(const void *data, size_t len, uint8_t *ret, size_t ret_len)
{
	(void)crypto_generichash(ret, ret_len, data, len, NULL, 0);
}

void repo_name_hex(const struct repo_name *name, char out[REPO_HEX_LEN])
{
	(void)sodium_bin2hex(out, REPO_HEX_LEN, name->b, REPO_NAME_LEN);
}

bool repo_name_parse(const char *hex, struct repo_name *ret)
{
	return strlen(hex) == REPO_HEX_LEN - 1 && strspn(hex, "0123456789abcdef") == REPO_HEX_LEN - 1 &&
	       !sodium_hex2bin(ret->b, REPO_NAME_LEN, hex, REPO_HEX_LEN - 1, NULL, NULL, NULL);
}
