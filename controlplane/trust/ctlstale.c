/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlstale.h"
#include "lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool cp_ctl_lists(const struct cp_ctl_rec *rec, X509 *cert, int role)
{
	bool all = rec->file_cnt > 0;

	for (unsigned i = 0; i < rec->file_cnt && all; i++) {
		struct pki_tl *tl = malloc(sizeof(*tl));

		all = tl != NULL && pki_tl_parse(rec->files[i].data.data, rec->files[i].data.len, tl, NULL, 0) == 0 &&
		      pki_tl_find(tl, cert, role) != NULL;
		free(tl);
	}
	return all;
}

/* --- what differs, each once --- */

struct say {
	char *ret;
	size_t size, len;
};

static void say(struct say *s, const char *prefix, const char *what)
{
	char one[CP_LIST_HOST_MAX + 64];
	size_t n = (size_t)snprintf(one, sizeof(one), "%s%s", prefix, what);
	const char *at = s->ret;

	while ((at = strstr(at, one)) != NULL) { /* said of another class already */
		if ((at == s->ret || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0') && (at == s->ret || at[-2] == ','))
			return;
		at += n;
	}
	if (s->len + n + sizeof(", , ...") > s->size) {
		if (s->len + sizeof(", ...") <= s->size && (s->len < 3 || strcmp(s->ret + s->len - 3, "...") != 0))
			s->len += (size_t)snprintf(s->ret + s->len, s->size - s->len, "%s...", s->len > 0 ? ", " : "");
		return;
	}
	s->len += (size_t)snprintf(s->ret + s->len, s->size - s->len, "%s%s", s->len > 0 ? ", " : "", one);
}

static bool same_name(const char *a, const char *b)
{
	return strcasecmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_ip(const uint8_t *a, const uint8_t *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || memcmp(a, b, 4) == 0);
}

static bool same_cert(const struct pki_tl_rec *r, const uint8_t *der, size_t len)
{
	return r->cert != NULL && r->cert_len == len && memcmp(r->cert, der, len) == 0;
}

struct want { /* a record that is to be in the file */
	const char *prefix, *name;
	uint16_t role;
	const uint8_t *der;
	size_t len;
	const char *host;
	const uint8_t *ip;
};

/* It, as it is to be; else what is wrong with it is said. 'used': records of the file that something asked for. */
static void look_for(struct say *s, const struct pki_tl *tl, const struct want *w, bool *used)
{
	bool there = false;

	for (unsigned i = 0; i < tl->rec_cnt; i++) {
		const struct pki_tl_rec *r = &tl->rec[i];

		if (r->role != w->role || !same_cert(r, w->der, w->len))
			continue;
		used[i] = true;
		there = true;
		if (w->role != PKI_TL_SAST && (!same_name(r->dns, w->host) || !same_ip(r->ip, w->ip)))
			say(s, same_name(r->dns, w->host) ? "address of " : "name of ", w->name);
	}
	if (!there)
		say(s, w->prefix, w->name);
}

static void look_for_cert(struct say *s, const struct pki_tl *tl, struct want w, X509 *cert, bool *used)
{
	unsigned char *der = NULL;
	int n = cert != NULL ? i2d_X509(cert, &der) : 0;

	if (n > 0) {
		w.der = der;
		w.len = (size_t)n;
		look_for(s, tl, &w, used);
	}
	OPENSSL_free(der);
}

/* --- one file --- */

static X509 *identity(const struct cp_trust_own *own, const char *name)
{
	const struct {
		const char *name;
		X509 *cert;
	} all[] = {{"SAST1", own->sast1}, {"SAST2", own->sast2}, {"CallManager", own->callmanager}, {"ITLRecovery", own->recovery}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].cert;
	return NULL;
}

static void look_at(struct say *s, const struct cp_ctl_rec *rec, const struct cp_trust_own *own, enum pki_tl_class cls, const char *host,
		    const uint8_t *ip, const struct pki_tl *tl)
{
	const struct {
		const char *name;
		X509 *cert;
		uint16_t role;
	} servers[] = {
		{"CallManager", own->callmanager, PKI_TL_CCM}, {"TFTP", own->tftp, PKI_TL_TFTP},
		{"TFTP-EC", cls == PKI_CLASS_MODERN ? own->tftp_ec : NULL, PKI_TL_TFTP},
		{"CAPF", own->capf, PKI_TL_CAPF}, {"CAPF-TLS", own->capf_tls, PKI_TL_CAPF},
	};
	bool used[PKI_TL_REC_MAX] = {false};

	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		look_for_cert(s, tl, (struct want){.prefix = "", .name = servers[i].name, .role = servers[i].role, .host = host, .ip = ip},
			      servers[i].cert, used);
	for (unsigned i = 0; i < rec->token_cnt; i++) {
		const struct cp_ctl_token *t = &rec->tokens[i];
		X509 *now = t->origin == CP_CTL_OWN ? identity(own, t->name) : NULL;
		struct want w = {.prefix = "token ", .name = t->name, .role = PKI_TL_SAST, .der = t->cert.data, .len = t->cert.len};

		look_for(s, tl, &w, used);
		look_for_cert(s, tl, w, now, used); /* made anew since */
	}
	for (unsigned i = 0; i < rec->extra_cnt; i++) {
		const struct cp_ctl_extra *x = &rec->extras[i];

		look_for(s, tl, &(struct want){.prefix = "imported server ", .name = x->host, .role = x->role, .der = x->cert.data,
					       .len = x->cert.len, .host = x->host}, used);
	}
	for (unsigned i = 0; i < rec->tftp_cnt; i++) {
		const struct cp_ctl_tftp *t = &rec->tftps[i];

		look_for(s, tl, &(struct want){.prefix = "alternate TFTP server ", .name = t->host, .role = PKI_TL_TFTP,
					       .der = t->cert.data, .len = t->cert.len, .host = t->host,
					       .ip = t->address.family == 4 ? t->address.ip : NULL}, used);
	}
	/* What phones are told to trust and would not be any more: a certificate of ours that is gone was named above, by the new one. */
	for (unsigned i = 0; i < tl->rec_cnt; i++)
		if (!used[i] && tl->rec[i].role != PKI_TL_SAST && !same_name(tl->rec[i].dns, host))
			say(s, "former server ", tl->rec[i].dns != NULL ? tl->rec[i].dns : "");
}

void cp_ctl_stale(const struct cp_ctl_rec *rec, const struct cp_trust_own *own, const char *host, const uint8_t *ip, char *ret,
		  size_t size)
{
	struct pki_tl *tl = malloc(sizeof(*tl));
	struct say s = {ret, size, 0};

	ret[0] = '\0';
	if (!rec->made || rec->mode != CP_CLUSTER_MIXED) {
		free(tl);
		return;
	}
	for (unsigned i = 0; tl != NULL && i < rec->file_cnt; i++) {
		if (pki_tl_parse(rec->files[i].data.data, rec->files[i].data.len, tl, NULL, 0) == 0)
			look_at(&s, rec, own, (enum pki_tl_class)rec->files[i].cls, host, ip, tl);
		else
			say(&s, "", "a file that cannot be read");
	}
	free(tl);
}
