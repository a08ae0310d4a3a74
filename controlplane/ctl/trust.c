/* SPDX-License-Identifier: BSD-3-Clause */
#include "trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "readfile.h"
#include "trustlist.h"

#define FILE_MAX 262144

/* How the appliance is reached. */
struct way {
	ctl_ask_fn ask; /* the admin socket, unless 'https.server' */
	void *ctx;
	struct ctl_https https;
	char *token;
	bool stays; /* the session holds the lease: to log out would end it */
	char *why;
	size_t why_size;
};

static const char *take(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

/* A whole file, zero-terminated; '-' and NULL: standard input. OPENSSL_clear_free(). */
static char *slurp(const char *path, size_t *ret_len, char *why, size_t size)
{
	bool in = path == NULL || strcmp(path, "-") == 0;
	uint8_t *data = NULL;
	int rc = ctl_read_file(in ? NULL : path, FILE_MAX, &data, ret_len);

	if (rc == -EFBIG)
		snprintf(why, size, "%s is too large", in ? "standard input" : path);
	else if (rc < 0)
		snprintf(why, size, "%s: %s", in ? "standard input" : path, strerror(-rc));
	return (char *)data;
}

/* The certificate of a PEM or DER file, as PEM text. A private key beside it stays here. */
static char *cert_text(const char *path, char *why, size_t size)
{
	size_t len = 0;
	char *data = slurp(path, &len, why, size), *text = NULL, *p;
	BIO *in = data != NULL ? BIO_new_mem_buf(data, (int)len) : NULL, *out = BIO_new(BIO_s_mem());
	X509 *x = in != NULL ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	const unsigned char *der = (const unsigned char *)data;
	long n;

	if (x == NULL && data != NULL)
		x = d2i_X509(NULL, &der, (long)len);
	if (x != NULL && out != NULL && PEM_write_bio_X509(out, x) == 1 && (n = BIO_get_mem_data(out, &p)) > 0)
		text = strndup(p, (size_t)n);
	else if (data != NULL)
		snprintf(why, size, "%s holds no certificate", path);
	OPENSSL_clear_free(data, len + 1);
	X509_free(x);
	BIO_free(in);
	BIO_free(out);
	return text;
}

static int add_cert(json_t *list, const char *path, char *why, size_t size)
{
	char *text = cert_text(path, why, size);

	if (text == NULL)
		return -EINVAL;
	json_array_append_new(list, json_string(text));
	free(text);
	return 0;
}

static json_t *b64(const void *data, size_t len)
{
	char *text = pki_base64_encode(data, len);
	json_t *v = json_string(text); /* NULL of NULL */

	free(text);
	return v;
}

static unsigned char *unb64(const json_t *v, size_t *ret_len)
{
	size_t len = json_string_length(v);
	uint8_t *data = NULL;

	return len > 0 && pki_base64_decode(json_string_value(v), len, len, &data, ret_len) == 0 ? data : NULL;
}

/* --- the request --- */

/* Files become members; what is for us only goes out of 'args'. */
static int members(const char *words, json_t *args, json_t *out, char *why, size_t size)
{
	const char *v, *key;
	json_t *item, *tmp;
	size_t i;
	int rc = 0;

	json_object_foreach(args, key, item)
		if (key[0] != '_')
			json_object_set(out, key, item);
	if (json_object_get(args, "_tokens") != NULL || take(args, "_token_file") != NULL) {
		tmp = json_array();
		json_array_foreach(json_object_get(args, "_tokens"), i, item)
			rc = rc == 0 ? add_cert(tmp, json_string_value(item), why, size) : rc;
		if (rc == 0 && (v = take(args, "_token_file")) != NULL)
			rc = add_cert(tmp, v, why, size);
		json_object_set_new(out, "add_tokens", tmp);
	}
	if ((v = take(args, "_del_token")) != NULL)
		json_object_set_new(out, "del_tokens", json_pack("[s]", v));
	if ((v = take(args, "_del_tftp")) != NULL)
		json_object_set_new(out, "del_tftp", json_pack("[s]", v));
	if (rc == 0 && (v = take(args, "_tftp_host")) != NULL) {
		char *cert = take(args, "_tftp_cert") != NULL ? cert_text(take(args, "_tftp_cert"), why, size) : NULL;

		if (cert == NULL)
			return -EINVAL;
		tmp = json_pack("{s:s,s:s}", "host", v, "cert", cert);
		if (take(args, "_address") != NULL)
			json_object_set_new(tmp, "address", json_string(take(args, "_address")));
		json_object_set_new(out, "add_tftp", json_pack("[o]", tmp));
		free(cert);
	}
	if (rc == 0 && (v = take(args, "_file")) != NULL) {
		size_t len = 0;
		char *data = slurp(v, &len, why, size);

		if (data == NULL)
			return -EINVAL;
		json_object_set_new(out, "file", b64(data, len));
		OPENSSL_clear_free(data, len + 1);
	}
	if (rc == 0 && strncmp(words, "user add", 8) == 0 && json_object_get(args, "cert") == NULL) {
		size_t len = 0;
		char *data = slurp(take(args, "_password_file"), &len, why, size);

		if (data == NULL)
			return -EINVAL;
		data[strcspn(data, "\r\n")] = '\0';
		json_object_set_new(out, "password", json_string(data));
		OPENSSL_clear_free(data, len + 1);
	}
	return rc;
}

/* One request; the answer's "result" or "error" is the caller's to look at. */
static int ask(struct way *w, const char *cmd, json_t *args, json_t **ret)
{
	if (w->https.server == NULL) {
		*ret = w->ask(w->ctx, cmd, args);
		return *ret == NULL ? -ENOTCONN : 0;
	}
	return ctl_https_post(&w->https, strchr(cmd, '.') != NULL ? strchr(cmd, '.') + 1 : cmd, args, ret, w->why, w->why_size);
}

static bool ok(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

static int login(struct way *w, const char *user, const char *password_file, json_t **ret)
{
	size_t len = 0;
	char *password = slurp(password_file, &len, w->why, w->why_size);
	json_t *args, *answer = NULL;
	int rc;

	if (password == NULL)
		return -EINVAL;
	password[strcspn(password, "\r\n")] = '\0';
	args = json_pack("{s:s,s:s}", "user", user, "password", password);
	OPENSSL_clear_free(password, len + 1);
	rc = ask(w, "login", args, &answer);
	json_decref(args);
	if (rc == 0 && ok(answer)) {
		w->token = strdup(take(json_object_get(answer, "result"), "token"));
		w->https.token = w->token;
		w->stays = json_is_true(json_object_get(json_object_get(answer, "result"), "lease"));
		json_decref(answer);
		return 0;
	}
	*ret = answer;
	return rc < 0 ? rc : 1;
}

/* --- signing here --- */

static json_t *sign_file(const json_t *file, EVP_PKEY *key, char *why, size_t size)
{
	const char *digest = take(file, "digest");
	const EVP_MD *md = NULL;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char sig[1024], *tbs;
	size_t len = 0, n = sizeof(sig);
	json_t *o = NULL;

	for (unsigned d = PKI_SHA1; digest != NULL && d <= PKI_SHA512; d++)
		if (strcmp(pki_digest_name(d), digest) == 0)
			md = pki_digest_md(d);
	tbs = unb64(json_object_get(file, "tbs"), &len);
	if (md != NULL && tbs != NULL && c != NULL && EVP_DigestSignInit(c, NULL, md, NULL, key) == 1 &&
	    EVP_DigestSign(c, sig, &n, tbs, len) == 1)
		o = json_pack("{s:s,s:o}", "class", take(file, "class"), "signature", b64(sig, n));
	else
		snprintf(why, size, "Could not Sign Message.: %s",
			 ERR_reason_error_string(ERR_peek_error()) != NULL ? ERR_reason_error_string(ERR_peek_error()) : "bad draft");
	free(tbs);
	EVP_MD_CTX_free(c);
	return o;
}

static EVP_PKEY *load_key(const json_t *args, char *why, size_t size)
{
	const char *path = take(args, "_key"), *uri = take(args, "_pkcs11");
	EVP_PKEY *key;
	BIO *bio;

	if (uri != NULL)
		return ctl_token_key(uri, why, size);
	bio = BIO_new_file(path, "r");
	key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	if (key == NULL)
		snprintf(why, size, "No Private Key File.: %s", path);
	return key;
}

static int change_signed_here(struct way *w, const json_t *args, json_t *request, json_t **ret)
{
	const char *cert = take(args, "_cert") != NULL ? take(args, "_cert") : take(args, "_key");
	EVP_PKEY *key = NULL;
	char *text = cert != NULL ? cert_text(cert, w->why, w->why_size) : NULL;
	json_t *draft = NULL, *sigs = json_array(), *store, *file;
	size_t i;
	int rc = text == NULL ? -EINVAL : 0;

	if (cert == NULL)
		snprintf(w->why, w->why_size, "No Certificate in Security Token.: give it with --cert");
	if (rc == 0 && (key = load_key(args, w->why, w->why_size)) == NULL)
		rc = -EINVAL;
	if (rc == 0) {
		json_object_set_new(request, "signer_cert", json_string(text));
		rc = ask(w, "ctl.prepare", request, &draft);
	}
	if (rc == 0 && !ok(draft)) {
		*ret = json_incref(draft);
	} else if (rc == 0) {
		json_array_foreach(json_object_get(json_object_get(draft, "result"), "files"), i, file) {
			json_t *s = rc == 0 ? sign_file(file, key, w->why, w->why_size) : NULL;

			if (s == NULL)
				rc = -EINVAL;
			else
				json_array_append_new(sigs, s);
		}
		store = json_pack("{s:O,s:O}", "draft", json_object_get(json_object_get(draft, "result"), "draft"), "signatures", sigs);
		if (rc == 0)
			rc = ask(w, "ctl.store", store, ret);
		json_decref(store);
	}
	json_decref(draft);
	json_decref(sigs);
	free(text);
	EVP_PKEY_free(key);
	return rc;
}

/* The files of all classes into a folder; the answer says where. */
static int get(struct way *w, const char *dir, json_t **ret)
{
	static const char *const classes[] = {"79xx", "modern"};
	json_t *files = json_array();
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		json_t *args = json_pack("{s:s}", "class", classes[i]), *answer = NULL;
		unsigned char *data;
		char path[4096];
		size_t len = 0;
		FILE *f;

		rc = ask(w, "ctl.read", args, &answer);
		json_decref(args);
		if (rc == 0 && !ok(answer)) {
			*ret = answer;
			json_decref(files);
			return 0;
		}
		if (rc < 0)
			break;
		data = unb64(json_object_get(json_object_get(answer, "result"), "data"), &len);
		snprintf(path, sizeof(path), "%s/CTLFile-%s.tlv", dir, classes[i]);
		f = data != NULL ? fopen(path, "wbe") : NULL;
		if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
			snprintf(w->why, w->why_size, "%s: %s", path, strerror(errno));
			rc = -EINVAL;
		} else {
			json_array_append_new(files, json_pack("{s:s,s:s,s:O}", "class", classes[i], "file", path, "md5",
							       json_object_get(json_object_get(answer, "result"), "md5")));
		}
		free(data);
		json_decref(answer);
	}
	if (rc == 0)
		*ret = json_pack("{s:b,s:O}", "ok", 1, "result", files);
	json_decref(files);
	return rc;
}

int ctl_trust(const struct ctl_request *r, ctl_ask_fn fn, void *ctx, json_t **ret, char *why, size_t why_size)
{
	const json_t *args = r->args;
	struct way w = {.ask = fn, .ctx = ctx, .why = why, .why_size = why_size};
	json_t *request = json_object();
	bool here = take(args, "_key") != NULL || take(args, "_pkcs11") != NULL;
	int rc;

	why[0] = '\0';
	*ret = NULL;
	w.https = (struct ctl_https){take(args, "_server"), take(args, "_ca"), take(args, "_client_cert"), NULL};
	rc = members(r->cmd->words, r->args, request, why, why_size);
	if (rc == 0 && w.https.server != NULL && w.https.cert == NULL) {
		if (take(args, "_user") == NULL) {
			snprintf(why, why_size, "--server needs --user, or --client-cert");
			rc = -EINVAL;
		} else {
			rc = login(&w, take(args, "_user"), take(args, "_password_file"), ret);
		}
	}
	if (rc == 0) {
		if (take(args, "_out") != NULL)
			rc = get(&w, take(args, "_out"), ret);
		else if (here && strcmp(r->cmd->cmd, "ctl.change") == 0)
			rc = change_signed_here(&w, args, request, ret);
		else
			rc = ask(&w, r->cmd->cmd, request, ret);
		if (strcmp(r->cmd->cmd, "ctl.lease") == 0 && ok(*ret))
			w.stays = json_string_length(json_object_get(json_object_get(*ret, "result"), "holder")) > 0;
		if (w.token != NULL && !w.stays) {
			json_t *none = json_object(), *bye = NULL;
			char quiet[256];

			w.why = quiet;
			w.why_size = sizeof(quiet);
			if (ask(&w, "logout", none, &bye) == 0)
				json_decref(bye);
			json_decref(none);
		}
	}
	if (w.token != NULL)
		OPENSSL_cleanse(w.token, strlen(w.token));
	free(w.token);
	json_decref(request);
	return rc < 0 ? rc : 0;
}
