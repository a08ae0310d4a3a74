/* SPDX-License-Identifier: BSD-3-Clause */
/* Any datagram to the signer gets one well-formed reply; issuer keys stay inside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kek.h"
#include "log.h"
#include "serve.h"
#include "signer.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A state in memory: nothing is read from disk. */
static struct pki_state *state(void)
{
	static struct pki_state st;
	static const uint8_t key[32] = {7};
	int64_t now = 1800000000;
	struct pki_ca ca;

	if (st.kek != NULL)
		return &st;
	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	st.lsc_days = 1;
	snprintf(st.cluster, sizeof(st.cluster), "fuzz");
	if (pki_kek_init(key, &st.kek) < 0)
		abort();
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		if (pki_key_create(PKI_EC_P256, &st.ident[i].key) < 0)
			abort();
	if (pki_ca_issue(st.ident[PKI_IDENT_SERVER_CA].key, "CA", "fuzz", now, 10,
	                 &st.ident[PKI_IDENT_SERVER_CA].cert) < 0 ||
	    pki_ca_issue(st.ident[PKI_IDENT_CAPF].key, "CAPF", "fuzz", now, 10,
	                 &st.ident[PKI_IDENT_CAPF].cert) < 0)
		abort();
	ca = (struct pki_ca){st.ident[PKI_IDENT_SERVER_CA].key, st.ident[PKI_IDENT_SERVER_CA].cert};
	if (pki_server_issue(&ca, st.ident[PKI_IDENT_CALLMANAGER].key, "CallManager", "fuzz", NULL,
	                     0, now, 10, &st.ident[PKI_IDENT_CALLMANAGER].cert) < 0)
		abort();
	st.trust = sk_X509_new_null();
	sk_X509_push(st.trust, st.ident[PKI_IDENT_CAPF].cert);
	return &st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t reply[PKI_SIGNER_MSG_MAX];
	struct pki_signer_msg req, got;
	struct pki_state *st = state();
	int rc = pki_signer_parse(data, size, &req);
	size_t len;

	/* Making an RSA key for each input would be all the time there is. */
	if (rc == 0 && req.type == PKI_SIGNER_TEST_ID && req.num == PKI_RSA_2048)
		return 0;
	len = pki_serve_answer(st, data, size, 1800000000, 1, reply);
	if (pki_signer_parse(reply, len, &got) < 0 || !got.reply || got.seq != req.seq ||
	    (rc < 0 && got.rc >= 0))
		abort();
	/* What parses is what is built again. */
	if (rc == 0) {
		int n = pki_signer_build(&req, reply, sizeof(reply));

		if (n < 0 || (size_t)n != size || memcmp(reply, data, size) != 0)
			abort();
	}
	return 0;
}
