/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl file: what the verbs do. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "ctl.h"
#include "file.h"
#include "readfile.h"
#include "x509.h"

#define WHY 512

enum { VALID = 0, NOT_VALID = 1, UNREADABLE = 2 };

struct bytes {
	uint8_t *p; /* OPENSSL_clear_free() */
	size_t len;
};

struct work {
	const json_t *args;
	bool json;
	struct bytes file, list_file;
	X509 *cert, *enc;
	EVP_PKEY *key;
	bool has_sym;
	uint8_t sym[16];
	struct pki_tl list; /* of --list */
	struct pki_tl tl;   /* the file, if it is one */
	struct pki_sgn sgn;
	bool is_list;
	char why[WHY];
};

static const char *arg(const struct work *w, const char *name)
{
	return json_string_value(json_object_get(w->args, name));
}

static int no(struct work *w, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int no(struct work *w, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	return status;
}

/* --- what is read --- */

static int read_bytes(struct work *w, const char *path, size_t max, struct bytes *ret)
{
	size_t len = 0;
	uint8_t *p = NULL;
	int rc = ctl_read_file(path, max, &p, &len);

	if (rc < 0)
		return no(w, UNREADABLE, "%s: %s", path, strerror(-rc));
	ret->p = OPENSSL_clear_realloc(p, len + 1, len > 0 ? len : 1);
	ret->len = len;
	return ret->p != NULL ? VALID : no(w, UNREADABLE, "out of memory");
}

/* PEM (the first certificate of it) or DER. */
static int read_cert(struct work *w, const char *path, X509 **ret)
{
	struct bytes b = {0};
	BIO *bio;
	int rc = read_bytes(w, path, 1 << 20, &b);

	if (rc != VALID)
		return rc;
	bio = BIO_new_mem_buf(b.p, (int)b.len);
	*ret = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	if (*ret == NULL && pki_cert_parse(b.p, b.len, ret) < 0)
		rc = no(w, UNREADABLE, "%s: no certificate in PEM or DER", path);
	ERR_clear_error();
	OPENSSL_clear_free(b.p, b.len);
	return rc;
}

/* A private key; where no certificate was given, the certificate behind it. */
static int read_key(struct work *w, const char *path)
{
	struct bytes b = {0};
	BIO *bio;
	int rc = read_bytes(w, path, 1 << 20, &b);

	if (rc != VALID)
		return rc;
	bio = BIO_new_mem_buf(b.p, (int)b.len);
	w->key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	bio = BIO_new_mem_buf(b.p, (int)b.len);
	if (w->cert == NULL && bio != NULL)
		w->cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	OPENSSL_clear_free(b.p, b.len);
	return w->key != NULL ? VALID : no(w, UNREADABLE, "%s: no private key in PEM that can be read", path);
}

/* 16 bytes, or 32 hex digits. */
static int read_sym(struct work *w, const char *path)
{
	struct bytes b = {0};
	int rc = read_bytes(w, path, 4096, &b);
	unsigned n = 0;

	if (rc != VALID)
		return rc;
	if (b.len == sizeof(w->sym)) {
		memcpy(w->sym, b.p, sizeof(w->sym));
		n = 32;
	} else {
		for (size_t i = 0; i < b.len; i++) {
			int c = b.p[i] | 0x20, v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

			if (strchr(" \r\n:", (int)b.p[i]) != NULL && b.p[i] != 0)
				continue;
			if (v < 0 || n == 32) {
				n = 99;
				break;
			}
			w->sym[n / 2] = (uint8_t)(n % 2 ? w->sym[n / 2] | v : v << 4);
			n++;
		}
	}
	OPENSSL_clear_free(b.p, b.len);
	w->has_sym = n == 32;
	return w->has_sym ? VALID : no(w, UNREADABLE, "%s: a symmetric key is 16 bytes or 32 hex digits", path);
}

static int read_list(struct work *w, const char *path)
{
	char why[WHY];
	int rc = read_bytes(w, path, PKI_TL_FILE_MAX, &w->list_file);

	if (rc == VALID && pki_tl_parse(w->list_file.p, w->list_file.len, &w->list, why, sizeof(why)) < 0)
		rc = no(w, UNREADABLE, "%s: %s", path, why);
	return rc;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/*
 * A list or a signed file? The header is the same; the name inside says it, else the name it lies under, and what
 * parses as records behind a header of version 1.
 */
static int parse_file(struct work *w)
{
	char why[WHY] = "";
	int list_rc = pki_tl_parse(w->file.p, w->file.len, &w->tl, why, sizeof(why));
	int sgn_rc = pki_sgn_parse(w->file.p, w->file.len, &w->sgn, w->why, sizeof(w->why));

	if (list_rc < 0 && sgn_rc < 0)
		return NOT_VALID; /* both fail in the header, with the same words */
	w->is_list = sgn_rc < 0 || (ends_with(w->sgn.filename, ".tlv")) ||
		     (list_rc == 0 && w->tl.rec_cnt > 0) ||
		     (ends_with(arg(w, "file"), ".tlv") && !ends_with(w->sgn.filename, ".sgn"));
	if (!w->is_list || list_rc == 0)
		return VALID;
	return no(w, NOT_VALID, "%s", why);
}

/* --- verbs --- */

/* By the certificate, the list, or the list's own record. 1: there is nothing to judge by. */
static int check_signature(struct work *w, const struct pki_tl_rec **ret_rec, const char **ret_by)
{
	if (w->cert != NULL) {
		*ret_by = "the certificate given";
		return w->is_list ? pki_tl_verify_cert(&w->tl, w->cert, w->why, sizeof(w->why))
				  : pki_sgn_verify_cert(&w->sgn, w->cert, w->why, sizeof(w->why));
	}
	if (w->list_file.p != NULL) {
		*ret_by = "the list given";
		return w->is_list ? pki_tl_verify(&w->tl, &w->list, ret_rec, w->why, sizeof(w->why))
				  : pki_sgn_verify(&w->sgn, &w->list, ret_rec, w->why, sizeof(w->why));
	}
	if (!w->is_list)
		return 1;
	*ret_by = "its own SAST record";
	return pki_tl_verify(&w->tl, NULL, ret_rec, w->why, sizeof(w->why));
}

static int show_or_verify(struct work *w, bool verify, json_t **ret)
{
	const struct pki_tl_rec *rec = NULL;
	const char *by = NULL, *name = arg(w, "name");
	json_t *o;
	int rc = parse_file(w), sig;
	char says[128];

	if (rc != VALID)
		return rc;
	sig = check_signature(w, &rec, &by);
	if (sig == 1 && verify)
		return no(w, UNREADABLE, "a signed file is judged by --cert or --list");
	if (sig == 0 && name != NULL &&
	    !(w->is_list ? strcmp(w->tl.filename, name) == 0 : pki_sgn_name_is(&w->sgn, name))) {
		sig = -EACCES;
		by = NULL;
		no(w, NOT_VALID, "it is stored under another name");
	}
	if (sig == 1)
		snprintf(says, sizeof(says), "not checked; --cert or --list would");
	else
		snprintf(says, sizeof(says), "%svalid%s%s", sig < 0 ? "not " : "", by != NULL ? " by " : "", by != NULL ? by : "");
	o = w->is_list ? ctl_file_list_json(&w->tl) : ctl_file_sgn_json(&w->sgn);
	for (unsigned i = 0; rec != NULL && rec >= w->tl.rec && rec < w->tl.rec + PKI_TL_REC_MAX && i < w->tl.rec_cnt; i++)
		json_object_set_new(json_array_get(json_object_get(o, "records"), i), "signer",
				    json_boolean(&w->tl.rec[i] == rec));
	json_object_set_new(o, "valid", sig == 1 ? json_null() : json_boolean(sig == 0));
	json_object_set_new(o, "signature", json_string(says));
	if (sig < 0)
		json_object_set_new(o, "why", json_string(w->why));
	*ret = o;
	return sig < 0 ? NOT_VALID : VALID;
}

static int digest_of(struct work *w, enum pki_digest *ret)
{
	static const char *const names[] = {[PKI_SHA1] = "sha1", [PKI_SHA256] = "sha256", [PKI_SHA512] = "sha512"};
	const char *name = arg(w, "digest");

	*ret = PKI_SHA512;
	if (name == NULL)
		return VALID;
	for (int i = PKI_SHA1; i <= PKI_SHA512; i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum pki_digest)i;
			return VALID;
		}
	}
	return no(w, UNREADABLE, "--digest: sha1, sha256 or sha512");
}

/* In one step: the file is whole, or as it was. */
static int write_out(struct work *w, const char *path, const uint8_t *p, size_t len, mode_t mode)
{
	char tmp[4096];
	int fd, rc = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid()) >= (int)sizeof(tmp))
		return no(w, UNREADABLE, "%s: %s", path, strerror(ENAMETOOLONG));
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return no(w, UNREADABLE, "%s: %s", tmp, strerror(errno));
	for (size_t at = 0; at < len && rc == 0;) {
		ssize_t n = write(fd, p + at, len - at);

		if (n < 0)
			rc = errno;
		else
			at += (size_t)n;
	}
	if (rc == 0 && fsync(fd) < 0)
		rc = errno;
	if (close(fd) < 0 && rc == 0)
		rc = errno;
	if (rc == 0 && rename(tmp, path) < 0)
		rc = errno;
	if (rc == 0)
		return VALID;
	unlink(tmp);
	return no(w, UNREADABLE, "%s: %s", path, strerror(rc));
}

static int raw_sign(struct work *w, const EVP_MD *md, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
		    uint8_t *sig, size_t *ret_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, w->key) == 1 &&
		  EVP_DigestSignUpdate(ctx, a, a_len) == 1 && EVP_DigestSignUpdate(ctx, b, b_len) == 1 &&
		  EVP_DigestSignFinal(ctx, sig, ret_len) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? VALID : no(w, NOT_VALID, "signing failed");
}

static int sign(struct work *w, json_t **ret)
{
	const json_t *time_arg = json_object_get(w->args, "time");
	uint8_t random[32], sig[PKI_TL_SIG_MAX], *head = NULL, *body = NULL, *out = NULL;
	const char *in = arg(w, "file"), *path = arg(w, "out"), *base;
	bool secret = w->enc != NULL || w->has_sym;
	size_t head_len, body_len, out_len, sig_len = sizeof(sig);
	struct pki_sgn_opts o = {.signer = w->cert, .enc = w->enc, .sym = w->has_sym ? w->sym : NULL, .random = random};
	char made[4096];
	int rc = digest_of(w, &o.digest);

	if (rc != VALID)
		return rc;
	if (w->key == NULL || w->cert == NULL)
		return no(w, UNREADABLE, "signing needs --key and, where the file has none, --cert");
	if (X509_check_private_key(w->cert, w->key) != 1) {
		ERR_clear_error();
		return no(w, UNREADABLE, "the key is not that of the certificate");
	}
	if (path == NULL) {
		if (snprintf(made, sizeof(made), "%s%s", in, secret ? ".enc.sgn" : ".sgn") >= (int)sizeof(made))
			return no(w, UNREADABLE, "%s: %s", in, strerror(ENAMETOOLONG));
		path = made;
	}
	base = strrchr(path, '/');
	o.name = arg(w, "name") != NULL ? arg(w, "name") : base != NULL ? base + 1 : path;
	o.timestamp = time_arg != NULL ? (uint32_t)json_integer_value(time_arg) : (uint32_t)time(NULL);
	if (secret && RAND_bytes(random, sizeof(random)) != 1)
		return no(w, NOT_VALID, "no randomness");
	rc = pki_sgn_build(&o, w->file.p, w->file.len, &head, &head_len, &body, &body_len, w->why, sizeof(w->why));
	OPENSSL_cleanse(random, sizeof(random));
	if (rc < 0)
		return NOT_VALID;
	rc = raw_sign(w, pki_digest_md(o.digest), head, head_len, body != NULL ? body : w->file.p, body_len, sig, &sig_len);
	if (rc == VALID && pki_sgn_finish(head, head_len, body != NULL ? body : w->file.p, body_len, sig, sig_len, &out,
					  &out_len) < 0)
		rc = no(w, NOT_VALID, "the signature does not fit");
	OPENSSL_free(head);
	OPENSSL_free(body);
	if (rc == VALID)
		rc = write_out(w, path, out, out_len, 0644);
	if (rc == VALID) {
		struct pki_sgn f;

		*ret = pki_sgn_parse(out, out_len, &f, NULL, 0) == 0 ? ctl_file_sgn_json(&f) : json_object();
		json_object_set_new(*ret, "out", json_string(path));
	}
	OPENSSL_free(out);
	return rc;
}

static int decrypt(struct work *w, json_t **ret)
{
	const char *path = arg(w, "out"), *by = NULL;
	const struct pki_tl_rec *rec;
	struct bytes plain = {0};
	int rc, sig;

	if (w->json && path == NULL)
		return no(w, UNREADABLE, "with -j the plain file needs --out");
	rc = parse_file(w);
	if (rc != VALID)
		return rc;
	if (w->is_list)
		return no(w, NOT_VALID, "a trust list is neither encrypted nor a container");
	sig = check_signature(w, &rec, &by);
	if (sig < 0)
		return NOT_VALID;
	if (w->sgn.encrypted) {
		if ((w->key != NULL) == w->has_sym)
			return no(w, UNREADABLE, "decryption needs --key or --sym-key-file");
		rc = pki_sgn_decrypt(&w->sgn, w->key, w->has_sym ? w->sym : NULL, &plain.p, &plain.len);
		if (rc < 0)
			return no(w, NOT_VALID, rc == -EACCES ? "another key, or the plain text is not what was signed" :
							       "cannot be decrypted");
	} else {
		plain.p = OPENSSL_malloc(w->sgn.body_len > 0 ? w->sgn.body_len : 1);
		if (plain.p == NULL)
			return no(w, UNREADABLE, "out of memory");
		plain.len = w->sgn.body_len;
		memcpy(plain.p, w->sgn.body, plain.len);
	}
	if (path != NULL)
		rc = write_out(w, path, plain.p, plain.len, 0600);
	else
		rc = fwrite(plain.p, 1, plain.len, stdout) == plain.len ? VALID : no(w, UNREADABLE, "standard output");
	OPENSSL_clear_free(plain.p, plain.len > 0 ? plain.len : 1);
	if (rc == VALID && path != NULL) {
		*ret = json_pack("{s:s,s:I,s:s}", "out", path, "bytes", (json_int_t)plain.len, "signature",
				 sig == 1 ? "not checked; --cert or --list would" : "valid");
	} else if (rc == VALID && sig == 1) {
		fputs("ravelinctl: the signature was not checked; --cert or --list would\n", stderr);
	}
	return rc;
}

static void print(const struct work *w, int status, json_t *result, const char *cmd)
{
	char *text;

	if (w->json) {
		if (result == NULL)
			result = json_pack("{s:{s:s,s:s}}", "error", "code", status == NOT_VALID ? "invalid" : "unreadable",
					   "message", w->why);
		else
			json_incref(result);
		text = json_dumps(result, JSON_COMPACT);
		puts(text != NULL ? text : "null");
		free(text);
		json_decref(result);
	} else if (result == NULL && status != VALID) {
		fprintf(stderr, "ravelinctl: %s%s%s\n", status == NOT_VALID ? arg(w, "file") : "",
			status == NOT_VALID ? ": " : "", w->why);
	} else if (result != NULL && strcmp(cmd, "file.show") == 0) {
		ctl_file_print(stdout, result);
	} else if (result != NULL && strcmp(cmd, "file.verify") == 0) {
		const char *why = json_string_value(json_object_get(result, "why"));

		printf("%s: %s%s%s\n", arg(w, "file"), json_string_value(json_object_get(result, "signature")),
		       why != NULL ? ": " : "", why != NULL ? why : "");
	} else if (result != NULL) {
		printf("%s\n", json_string_value(json_object_get(result, "out")));
	}
}

int ctl_file(const char *cmd, const json_t *args, bool as_json)
{
	struct work *w = calloc(1, sizeof(*w));
	json_t *result = NULL;
	int rc;

	if (w == NULL)
		return UNREADABLE;
	w->args = args;
	w->json = as_json;
	rc = read_bytes(w, arg(w, "file"), PKI_SGN_BODY_MAX + PKI_SGN_HEADER_MAX, &w->file);
	if (rc == VALID && arg(w, "cert") != NULL)
		rc = read_cert(w, arg(w, "cert"), &w->cert);
	if (rc == VALID && arg(w, "enc_cert") != NULL)
		rc = read_cert(w, arg(w, "enc_cert"), &w->enc);
	if (rc == VALID && arg(w, "list") != NULL)
		rc = read_list(w, arg(w, "list"));
	if (rc == VALID && arg(w, "sym_key") != NULL)
		rc = read_sym(w, arg(w, "sym_key"));
	if (rc == VALID && arg(w, "key") != NULL) {
		bool given = w->cert != NULL;

		rc = read_key(w, arg(w, "key"));
		if (strcmp(cmd, "file.sign") != 0 && !given) { /* a phone's key: its certificate signs nothing */
			X509_free(w->cert);
			w->cert = NULL;
		}
	}
	if (rc != VALID)
		rc = UNREADABLE;
	else if (strcmp(cmd, "file.sign") == 0)
		rc = sign(w, &result);
	else if (strcmp(cmd, "file.decrypt") == 0)
		rc = decrypt(w, &result);
	else
		rc = show_or_verify(w, strcmp(cmd, "file.verify") == 0, &result);
	print(w, rc, result, cmd);
	if (fflush(stdout) != 0 || ferror(stdout))
		rc = UNREADABLE;
	json_decref(result);
	OPENSSL_clear_free(w->file.p, w->file.len > 0 ? w->file.len : 1);
	OPENSSL_clear_free(w->list_file.p, w->list_file.len > 0 ? w->list_file.len : 1);
	X509_free(w->cert);
	X509_free(w->enc);
	EVP_PKEY_free(w->key);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
	return rc;
}
