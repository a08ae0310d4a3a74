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

	if (st.kek != NULL)
		return &st;
	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	st.lsc_days = 1;
	snprintf(st.cluster, sizeof(st.cluster), "fuzz");
	if (pki_kek_init(key, &st.kek) < 0)
		abort();
	for (int i = 0; i < PKI_IDENT_MAX; i++) {
		struct pki_ident *id = &st.ident[i];

		id->name = pki_ident_defs[i].name;
		/* RSA where lists and files are signed: else nothing behind the checks would be reached. */
		if (pki_key_create(pki_ident_defs[i].kinds != 0 ? PKI_RSA_2048 : PKI_EC_P256, &id->cur.key) < 0 ||
		    pki_state_certify(&st, (enum pki_ident_id)i, &id->cur, now) < 0)
			abort();
	}
	st.trust = sk_X509_new_null();
	X509_up_ref(st.ident[PKI_IDENT_CAPF].cur.cert);
	sk_X509_push(st.trust, st.ident[PKI_IDENT_CAPF].cur.cert);
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
	if (rc == 0 && (req.type == PKI_SIGNER_REGEN || req.type == PKI_SIGNER_CSR) &&
	    (req.a.len != 7 || memcmp(req.a.p, "ec-p256", 7) != 0))
		return 0;
	len = pki_serve_answer(st, data, size, NULL, 1800000000, 1, reply);
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
