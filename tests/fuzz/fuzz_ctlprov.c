/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CTL provider's requests behind a login: path up to the first newline, then the body. The signer
 * refuses, and the store has no event loop, so that what is planned and built is refused at the last step: one input does not
 * change what the next one meets, but for leases, drafts and what was entered.
 */
#include <errno.h>
#include <ftw.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "enrol/ctlprov.h"
#include "enrol/ctluser.h"
#include "log.h"
#include "offload.h"
#include "store/store.h"
#include "trust/ctlcmd.h"

#include <event2/event.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[] = "/tmp/ravelin-fuzz-XXXXXX";
static struct cp_ctlprov *prov;
static struct cp_lists *lists;
static struct event_base *base;
static X509 *certs[9], *client;
static EVP_PKEY *key;
static unsigned answers;

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void clean(void)
{
	nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

static X509 *make(const char *cn, long serial)
{
	X509 *c = X509_new();

	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
	X509_gmtime_adj(X509_getm_notBefore(c), -86400);
	X509_gmtime_adj(X509_getm_notAfter(c), 86400L * 3650);
	X509_set_pubkey(c, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c, X509_get_subject_name(c));
	X509_sign(c, key, EVP_sha256());
	return c;
}

static const char *const names[] = {"CallManager", "TFTP", "TVS", "CAPF", "CAPF-TLS", "ITLRecovery", "SAST1", "SAST2"};

static X509 *own(void *ctx, const char *name)
{
	(void)ctx;
	for (unsigned i = 0; i < 8; i++)
		if (strcmp(names[i], name) == 0 && X509_up_ref(certs[i]) == 1)
			return certs[i];
	return NULL;
}

static int sign(void *ctx, enum pki_tl_kind kind, const char *ident, const void *tbs, size_t len, uint8_t *sig, size_t *n, char *why,
		size_t size)
{
	(void)ctx;
	(void)kind;
	(void)ident;
	(void)tbs;
	(void)len;
	(void)sig;
	(void)n;
	snprintf(why, size, "nothing is signed here");
	return -EACCES;
}

static void start(void)
{
	struct cp_lists_env le = {.own = own, .sign = sign, .host = "cm"};
	struct cp_user_rec u = {.name = "fuzz", .role = CP_USER_ADMIN};
	struct cp_ctlprov_env pe = {0};
	struct cp_store_opts o = {0};
	struct cp_batch *b;
	struct cp_buf v;
	uint8_t md[32];
	char path[64], err[256];

	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	if (mkdtemp(dir) == NULL)
		abort();
	atexit(clean);
	snprintf(path, sizeof(path), "%s/store", dir);
	o.path = path;
	if (cp_store_open(&o, &le.store, err, sizeof(err)) < 0)
		abort();
	key = EVP_RSA_gen(2048);
	for (long i = 0; i < 8; i++)
		certs[i] = make(names[i], 100 + i);
	client = make("fuzz", 99);
	X509_digest(client, EVP_sha256(), md, NULL);
	u.cert = (struct cp_buf){md, 32};
	b = cp_batch_create();
	if (cp_user_rec_build(&u, &v) < 0 || cp_batch_put(b, CP_CF_USER, "fuzz", 4, v.data, v.len) < 0 ||
	    cp_store_commit(le.store, b) < 0)
		abort();
	free(v.data);
	le.base = base = event_base_new();
	le.offload = cp_offload_create(le.base);
	if (cp_lists_create_env(&le, &lists) < 0)
		abort();
	pe.base = le.base;
	pe.cmd = cp_lists_cmd(lists);
	pe.users = cp_users_create(le.store, le.offload, NULL);
	if (cp_ctlprov_create_env(&pe, &prov) < 0)
		abort();
}

static void on_answer(void *ctx, int status, const char *body, size_t len)
{
	(void)ctx;
	if (status < 200 || status > 599 || len == 0 || body[0] != '{')
		abort();
	answers++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nl = memchr(data, '\n', len);
	char path[128], *body;
	size_t n = nl != NULL ? (size_t)(nl - data) : len, rest = nl != NULL ? len - n - 1 : 0;

	if (prov == NULL)
		start();
	if (n >= sizeof(path) || memchr(data, 0, n) != NULL)
		return 0;
	memcpy(path, data, n);
	path[n] = '\0';
	if (strcmp(path, "/v1/login") == 0) /* a password takes 60 ms by design */
		return 0;
	body = malloc(rest > 0 ? rest : 1); /* of the exact size */
	memcpy(body, nl != NULL ? nl + 1 : data, rest);
	cp_ctlprov_input(prov, path, NULL, "192.0.2.1", client, body, rest, on_answer, NULL);
	free(body);
	while (cp_lists_busy(lists)) /* what was planned is refused by the signer */
		event_base_loop(base, EVLOOP_ONCE);
	return 0;
}
