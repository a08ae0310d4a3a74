/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an operator uploads as certificates: files, the rules of every trust store, chains, how a certificate is shown; and
 * the store's record of one.
 */
#include <stdlib.h>
#include <string.h>

#include "trust/certs_int.h"
#include "trust/upload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(X509 *cert)
{
	char why[256], name[80], *text;
	json_t *o;
	int rc;

	for (unsigned ts = 0; ts < CP_TS_MAX; ts++) {
		rc = cp_upload_usage((enum cp_trust_store)ts, cert, why, sizeof(why));
		if (rc < 0 && why[0] == '\0')
			abort();
	}
	rc = cp_upload_check(cert, 1800000000, true, why, sizeof(why));
	if ((rc < 0) != (why[0] != '\0'))
		abort();
	if (rc < 0 && cp_upload_check(cert, 1800000000, false, why, sizeof(why)) == 0)
		abort(); /* legacy takes more, never less */
	(void)cp_upload_own_usage("CAPF", cert, why, sizeof(why));
	(void)cp_upload_own_usage("HTTPS", cert, why, sizeof(why));
	(void)cp_upload_manufacturer(cert);
	for (const char *p = cp_upload_name(cert, name, sizeof(name)); *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			abort();
	o = cp_upload_json(cert, 1800000000);
	text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	if (text == NULL)
		abort(); /* whatever is in it can be shown */
	free(text);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	STACK_OF(X509) *certs = NULL, *chain = NULL;
	struct cert_rec rec;
	struct cp_buf again;
	char why[256];

	if (cp_upload_parse(data, size, &certs, why, sizeof(why)) == 0) {
		if (sk_X509_num(certs) < 1 || sk_X509_num(certs) > (int)CP_UPLOAD_CERTS_MAX)
			abort();
		for (int i = 0; i < sk_X509_num(certs); i++)
			look(sk_X509_value(certs, i));
		if (cp_upload_chain(certs, certs, &chain, why, sizeof(why)) == 0 && sk_X509_num(chain) < 1)
			abort();
		sk_X509_pop_free(chain, X509_free);
		sk_X509_pop_free(certs, X509_free);
	} else if (why[0] == '\0') {
		abort();
	}
	if (cert_rec_parse(data, size, &rec) == 0) {
		if (cert_rec_build(&rec, &again) != 0)
			abort();
		free(again.data);
		cert_rec_free(&rec);
	}
	return 0;
}
