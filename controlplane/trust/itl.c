/* SPDX-License-Identifier: BSD-3-Clause */
#include "itl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	size_t off;
} owns[] = {
	{"CallManager", offsetof(struct cp_trust_own, callmanager)},
	{"TFTP", offsetof(struct cp_trust_own, tftp)},
	{"TFTP.prev", offsetof(struct cp_trust_own, tftp_prev)},
	{"TFTP-EC", offsetof(struct cp_trust_own, tftp_ec)},
	{"TVS", offsetof(struct cp_trust_own, tvs)},
	{"CAPF", offsetof(struct cp_trust_own, capf)},
	{"CAPF-TLS", offsetof(struct cp_trust_own, capf_tls)},
	{"ITLRecovery", offsetof(struct cp_trust_own, recovery)},
	{"SAST1", offsetof(struct cp_trust_own, sast1)},
	{"SAST2", offsetof(struct cp_trust_own, sast2)},
	{"TVS-trust.1", offsetof(struct cp_trust_own, tvs_peer[0])},
	{"TVS-trust.2", offsetof(struct cp_trust_own, tvs_peer[1])},
	{"TVS-trust.3", offsetof(struct cp_trust_own, tvs_peer[2])},
	{"TVS-trust.4", offsetof(struct cp_trust_own, tvs_peer[3])},
};

void cp_trust_own_get(struct cp_trust_own *own, cp_own_fn fn, void *ctx)
{
	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]); i++) {
		X509 *c = fn(ctx, owns[i].name);

		memcpy((char *)own + owns[i].off, &c, sizeof(c));
	}
}

void cp_trust_own_free(struct cp_trust_own *own)
{
	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]); i++) {
		X509 *c;

		memcpy(&c, (char *)own + owns[i].off, sizeof(c));
		X509_free(c);
	}
	memset(own, 0, sizeof(*own));
}

bool cp_trust_own_same(const struct cp_trust_own *a, const struct cp_trust_own *b)
{
	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]); i++) {
		X509 *x, *y;

		memcpy(&x, (const char *)a + owns[i].off, sizeof(x));
		memcpy(&y, (const char *)b + owns[i].off, sizeof(y));
		if (x != y && !cp_cert_same(x, y))
			return false;
	}
	return true;
}

bool cp_cert_same(const X509 *a, const X509 *b)
{
	return a != NULL && b != NULL && X509_cmp(a, b) == 0;
}

static void add(struct cp_itl_out *o, uint16_t role, X509 *cert, const struct cp_itl_in *in)
{
	if (cert != NULL && o->cnt < CP_ITL_ENTRIES_MAX)
		o->entry[o->cnt++] = (struct pki_tl_entry){.role = role, .cert = cert, .dns = in->host, .ip = in->ip};
}

static int choose(const struct cp_itl_in *in, X509 **second, struct cp_itl_out *o, char *why, size_t size)
{
	const struct cp_trust_own *own = in->own;
	const char *with = in->sign_with;
	bool prev = own->tftp_prev != NULL && !cp_cert_same(own->tftp_prev, own->tftp);

	if (own->tftp == NULL) {
		snprintf(why, size, "there is no TFTP certificate yet");
		return -EAGAIN;
	}
	if (strcmp(with, "auto") == 0 || (strcmp(with, "TFTP.prev") == 0 && !prev))
		with = prev ? "TFTP.prev" : "TFTP";
	if (strcmp(with, "TFTP") == 0) {
		o->signer = own->tftp;
		*second = own->recovery;
	} else if (strcmp(with, "TFTP.prev") == 0) {
		o->signer = own->tftp_prev;
		*second = own->tftp;
	} else if (strcmp(with, "ITLRecovery") == 0) {
		o->signer = own->recovery;
		*second = own->tftp;
	} else {
		snprintf(why, size, "an ITL is signed with auto, TFTP, TFTP.prev or ITLRecovery");
		return -EINVAL;
	}
	o->ident = with;
	if (o->signer == NULL || *second == NULL) {
		snprintf(why, size, "there is no ITLRecovery certificate yet");
		return -EAGAIN;
	}
	return 0;
}

int cp_itl_entries(const struct cp_itl_in *in, struct cp_itl_out *ret, char *why, size_t why_size)
{
	const struct cp_trust_own *own = in->own;
	struct cp_itl_out o = {0};
	X509 *second = NULL;
	int rc = choose(in, &second, &o, why, why_size);

	if (rc < 0)
		return rc;
	if (in->rollback) { /* no certificate at all: also none that a phone could hold us to */
		o.entry[o.cnt++] = (struct pki_tl_entry){.role = PKI_TL_TFTP, .dns = in->host};
		o.entry[o.cnt++] = (struct pki_tl_entry){.role = PKI_TL_TVS, .dns = in->host};
		*ret = o;
		return 0;
	}
	add(&o, PKI_TL_SAST, o.signer, in);
	add(&o, PKI_TL_SAST, second, in);
	add(&o, PKI_TL_TFTP, own->tftp, in);
	if (!cp_cert_same(own->tftp_prev, own->tftp)) /* files signed before the change are still good */
		add(&o, PKI_TL_TFTP, own->tftp_prev, in);
	if (in->cls == PKI_CLASS_MODERN) /* an EC key in the TFTP role: HTTPS, of signer version 1.1 */
		add(&o, PKI_TL_TFTP, own->tftp_ec, in);
	add(&o, PKI_TL_TVS, own->tvs, in);
	for (unsigned i = 0; i < CP_PEERS_TVS_MAX; i++) /* one that a list cannot carry must not keep us from having one */
		if (own->tvs_peer[i] != NULL && o.cnt < CP_ITL_ENTRIES_MAX &&
		    pki_tl_check_cert(pki_tl_class_limits(in->cls), own->tvs_peer[i], NULL, 0) == 0)
			o.entry[o.cnt++] = (struct pki_tl_entry){.role = PKI_TL_TVS, .cert = own->tvs_peer[i], .dns = cp_peer_name(own->tvs_peer[i])};
	add(&o, PKI_TL_CAPF, own->capf, in);
	add(&o, PKI_TL_CAPF, own->capf_tls, in); /* what the CAPF server shows; phones compare certificates, not chains */
	if (in->mixed && !in->ccm_in_ctl)
		add(&o, PKI_TL_CCM, own->callmanager, in);
	*ret = o;
	return 0;
}

int cp_ctl_servers(const struct cp_trust_own *own, enum pki_tl_class cls, const char *host, const uint8_t *ip,
		   struct pki_tl_entry *entry, unsigned max, unsigned *cnt)
{
	const struct {
		uint16_t role;
		X509 *cert;
	} all[] = {
		{PKI_TL_CCM, own->callmanager},
		{PKI_TL_TFTP, own->tftp},
		{PKI_TL_TFTP, cls == PKI_CLASS_MODERN ? own->tftp_ec : NULL},
		{PKI_TL_CAPF, own->capf},
		{PKI_TL_CAPF, own->capf_tls},
	};

	if (own->callmanager == NULL || own->tftp == NULL)
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].cert == NULL)
			continue;
		if (*cnt == max)
			return -EMSGSIZE;
		entry[(*cnt)++] = (struct pki_tl_entry){.role = all[i].role, .cert = all[i].cert, .dns = host, .ip = ip};
	}
	return 0;
}
