/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>

#include "enrol/tvsfeed.h"
#include "log.h"
#include "trust/peers.h"
#include "trustlist.h"

/* SAST before TFTP: what signs the ITL is asked for as its signer first. A real server answers in this order too. */
static const struct {
	const char *name;
	uint8_t role;
} own[] = {
	{"SAST1", PKI_TL_SAST},	     {"SAST2", PKI_TL_SAST}, {"ITLRecovery", PKI_TL_SAST},
	{"TFTP", PKI_TL_SAST},	     {"TFTP", PKI_TL_TFTP},  {"TFTP-EC", PKI_TL_TFTP},
	{"CallManager", PKI_TL_CCM}, {"CAPF", PKI_TL_CAPF},  {"CAPF-TLS", PKI_TL_CAPF},
	{"TVS", PKI_TL_TVS},	     {"HTTPS", PKI_TL_APP_SERVER},
};

/* IPsec-trust is not here: phones speak no IPsec, and no role of the protocol means it. */
static const struct {
	enum cp_trust_store ts;
	uint8_t role;
} stores[] = {
	{CP_TS_TVS, PKI_TL_TVS},	  {CP_TS_CALLMANAGER, PKI_TL_CCM},	   {CP_TS_CAPF, PKI_TL_CAPF},
	{CP_TS_HTTPS, PKI_TL_APP_SERVER}, {CP_TS_PHONE_EDGE, PKI_TL_APP_SERVER}, {CP_TS_DIRECTORY, PKI_TL_APP_SERVER},
};

static int add(struct cp_tvs_book *book, X509 *cert, uint8_t role, const char *from)
{
	int rc = cp_tvs_book_add(book, cert, role);

	if (rc == -EINVAL || rc == -ENOSPC) {
		cfg_log_limited(CFG_LOG_WARN, "tvs-certificate-left-out", "from=%s reason=%s", from,
				rc == -EINVAL ? "its names are longer than phones can ask for" : "it has too many roles");
		rc = 0;
	}
	return rc;
}

struct cp_tvs_book *cp_tvs_feed(const struct cp_tvs_source *src)
{
	struct cp_tvs_book *book = cp_tvs_book_create();
	int rc = book != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && rc == 0; i++)
		for (unsigned prev = 0; prev < 2 && rc == 0; prev++) {
			char name[64];
			X509 *cert;

			snprintf(name, sizeof(name), "%s%s", own[i].name, prev ? ".prev" : "");
			cert = src->own(src->ctx, name);
			if (cert != NULL)
				rc = add(book, cert, own[i].role, name);
			X509_free(cert);
		}
	for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]) && rc == 0; i++) {
		STACK_OF(X509) *list = src->trusted(src->ctx, stores[i].ts);

		if (list == NULL)
			rc = -ENOMEM;
		for (int k = 0; k < sk_X509_num(list) && rc == 0; k++) {
			X509 *cert = sk_X509_value(list, k);
			const char *from = cp_trust_store_name(stores[i].ts);

			if (stores[i].ts == CP_TS_TVS && cp_peer_kind(cert) == CP_PEER_SIGNER) { /* as our own TFTP */
				rc = add(book, cert, PKI_TL_SAST, from);
				rc = rc == 0 ? add(book, cert, PKI_TL_TFTP, from) : rc;
			} else {
				rc = add(book, cert, stores[i].role, from);
			}
		}
		sk_X509_pop_free(list, X509_free);
	}
	if (rc == 0)
		rc = cp_tvs_book_close(book);
	if (rc < 0) {
		cp_tvs_book_destroy(book);
		return NULL;
	}
	return book;
}

static X509 *own_of(void *ctx, const char *name)
{
	return cp_certs_own(ctx, name);
}

static STACK_OF(X509) *trusted_of(void *ctx, enum cp_trust_store ts)
{
	return cp_certs_trusted(ctx, ts);
}

struct cp_tvs_source cp_tvs_source_of(struct cp_certs *certs)
{
	return (struct cp_tvs_source){own_of, trusted_of, certs};
}
