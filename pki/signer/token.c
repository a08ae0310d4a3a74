/* SPDX-License-Identifier: BSD-3-Clause */
/* The one file that uses ENGINE. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ui.h>

#include "file.h"
#include "log.h"
#include "refuse.h"
#include "token.h"

#define PIN_MAX 256
#define MAC_LEN 32

/* PKCS#11 v2.40, return values that concern the PIN. */
#define CKR_PIN_INCORRECT 0xa0
#define CKR_PIN_INVALID   0xa1
#define CKR_PIN_LEN_RANGE 0xa2
#define CKR_PIN_EXPIRED   0xa3
#define CKR_PIN_LOCKED    0xa4

struct pki_token {
	const char *module, *pin, *dir;
	const struct pki_kek *kek;
	ENGINE *engine; /* NULL: not loaded */
	bool refused;   /* by this process, with the PIN whose hash is in the file */
	bool locked;
};

struct pki_token *pki_token_create(const char *module, const char *pin, const char *dir, const struct pki_kek *kek)
{
	struct pki_token *t = calloc(1, sizeof(*t));

	if (t != NULL)
		*t = (struct pki_token){.module = module, .pin = pin, .dir = dir, .kek = kek};
	return t;
}

void pki_token_destroy(struct pki_token *t)
{
	if (t == NULL)
		return;
	if (t->engine != NULL) {
		ENGINE_finish(t->engine);
		ENGINE_free(t->engine);
	}
	free(t);
}

/* What is remembered of a PIN that was refused. Under the KEK: a PIN is short, and its plain hash would give it away. */
static void pin_mac(const struct pki_token *t, const char *pin, uint8_t mac[MAC_LEN])
{
	unsigned len = MAC_LEN;

	if (HMAC(EVP_sha256(), pki_kek_passphrase(t->kek), 64, (const uint8_t *)pin, strlen(pin), mac, &len) == NULL)
		memset(mac, 0, MAC_LEN);
}

static bool refused_before(const struct pki_token *t, const char *pin)
{
	uint8_t mac[MAC_LEN], *was = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	bool same;

	snprintf(path, sizeof(path), "%s/pin-refused", t->dir);
	if (pki_file_read(path, &was, &len) < 0)
		return false;
	pin_mac(t, pin, mac);
	same = len == MAC_LEN && CRYPTO_memcmp(was, mac, MAC_LEN) == 0;
	OPENSSL_cleanse(mac, sizeof(mac));
	OPENSSL_clear_free(was, len + 1);
	return same;
}

static void remember(const struct pki_token *t, const char *pin)
{
	uint8_t mac[MAC_LEN];
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/pin-refused", t->dir);
	pin_mac(t, pin, mac);
	rc = pki_file_write(path, mac, sizeof(mac), 0600, false);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "pin-refused-not-written", "file=%s error=%s", cfg_q(path), cfg_q(strerror(-rc)));
	OPENSSL_cleanse(mac, sizeof(mac));
}

/* The PKCS#11 return value about the PIN in OpenSSL's error queue, 0: none. */
static unsigned pin_error(void)
{
	unsigned found = 0;
	unsigned long e;

	while ((e = ERR_get_error()) != 0) {
		const char *lib = ERR_lib_error_string(e);
		unsigned reason = (unsigned)ERR_GET_REASON(e);

		if (lib != NULL && strstr(lib, "PKCS#11") != NULL && reason >= CKR_PIN_INCORRECT && reason <= CKR_PIN_LOCKED &&
		    found != CKR_PIN_LOCKED)
			found = reason;
	}
	return found;
}

static int load_engine(struct pki_token *t, char *err, size_t err_size)
{
	ENGINE *e;

	if (t->engine != NULL)
		return 0;
	ENGINE_load_dynamic();
	e = ENGINE_by_id("pkcs11");
	if (e == NULL)
		return pki_refuse(err, err_size, -ENOSYS, "OpenSSL has no engine pkcs11: package libengine-pkcs11-openssl");
	if ((t->module != NULL && ENGINE_ctrl_cmd_string(e, "MODULE_PATH", t->module, 0) != 1) || ENGINE_init(e) != 1) {
		ENGINE_free(e);
		return pki_refuse(err, err_size, -ENOKEY, "PKCS#11 module %s cannot be used", t->module != NULL ? t->module : "(default)");
	}
	t->engine = e;
	return 0;
}

int pki_token_key(void *token, const char *uri, EVP_PKEY **ret_key, char *err, size_t err_size)
{
	struct pki_token *t = token;
	char pin[PIN_MAX] = "";
	EVP_PKEY *key;
	unsigned why;
	int rc;

	if (t->locked)
		return pki_refuse(err, err_size, -EOWNERDEAD, "the token has locked itself: its administrator must unlock it");
	if (t->pin == NULL)
		return pki_refuse(err, err_size, -EACCES, "signer.pkcs11_pin is not set");
	rc = pki_file_secret(t->pin, pin, sizeof(pin));
	if (rc == 0 && refused_before(t, pin)) {
		OPENSSL_cleanse(pin, sizeof(pin));
		return pki_refuse(err, err_size, -EACCES, "%s: the token refused this PIN before: it is not tried again", t->pin);
	}
	if (rc < 0)
		return pki_refuse(err, err_size, -EACCES, "%s: %s", t->pin,
				  rc == -EPERM ? "must be a file that only we can read, mode 0400" : strerror(-rc));
	rc = load_engine(t, err, err_size);
	if (rc < 0) {
		OPENSSL_cleanse(pin, sizeof(pin));
		return rc;
	}
	ERR_clear_error();
	/* UI_null(): nobody is at a terminal to be asked. */
	key = ENGINE_ctrl_cmd_string(t->engine, "PIN", pin, 0) == 1
		      ? ENGINE_load_private_key(t->engine, uri, (UI_METHOD *)(uintptr_t)UI_null(), NULL)
		      : NULL;
	if (key != NULL) {
		OPENSSL_cleanse(pin, sizeof(pin));
		ERR_clear_error();
		*ret_key = key;
		return 0;
	}
	why = pin_error();
	if (why != 0) {
		remember(t, pin);
		t->refused = true;
	}
	OPENSSL_cleanse(pin, sizeof(pin));
	if (why == CKR_PIN_LOCKED) {
		t->locked = true;
		cfg_log(CFG_LOG_ERR, "token-locked", "uri=%s", cfg_q(uri));
		return pki_refuse(err, err_size, -EOWNERDEAD, "the token has locked itself: its administrator must unlock it");
	}
	if (why != 0) {
		cfg_log(CFG_LOG_ERR, "pin-refused", "uri=%s file=%s", cfg_q(uri), cfg_q(t->pin));
		return pki_refuse(err, err_size, -EACCES, "%s: the token refuses this PIN", t->pin);
	}
	return pki_refuse(err, err_size, -ENOKEY, "%s: no such token or key", uri);
}
