/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlop.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "why.h"

/* --- certificates --- */

static X509 *from_der(const struct cp_buf *b)
{
	const uint8_t *p = b->data;
	X509 *c = b->len > 0 ? d2i_X509(NULL, &p, (long)b->len) : NULL;

	if (c != NULL && p != b->data + b->len) {
		X509_free(c);
		c = NULL;
	}
	return c;
}

static int to_der(X509 *c, struct cp_buf *ret)
{
	int n = i2d_X509(c, NULL);
	uint8_t *data = n > 0 ? malloc((size_t)n) : NULL, *p = data;

	if (data == NULL)
		return -ENOMEM;
	*ret = (struct cp_buf){data, (size_t)i2d_X509(c, &p)};
	return 0;
}

static bool same_der(const struct cp_buf *b, const X509 *c)
{
	X509 *x = from_der(b);
	bool same = cp_cert_same(x, c);

	X509_free(x);
	return same;
}

static int name_rules(const X509_NAME *name, bool issuer, size_t max, char *why, size_t size)
{
	char dn[PKI_TL_NAME_MAX];
	int n;

	if (name == NULL || X509_NAME_entry_count(name) == 0)
		return cfg_no(why, size, -EINVAL, "No %s Name in Certificate.", issuer ? "Issuer" : "Subject");
	n = pki_tl_dn(name, dn, sizeof(dn));
	if (n == -EMSGSIZE || (n >= 0 && (size_t)n + 1 > max))
		return cfg_no(why, size, -EINVAL, "Invalid %s Name length.: more than %zu bytes", issuer ? "Issuer" : "Subject", max);
	if (n <= 0)
		return cfg_no(why, size, -EINVAL, "%s name is not valid.", issuer ? "Issuer" : "Subject");
	return 0;
}

int cp_ctl_cert_check(X509 *cert, bool token, int64_t now_us, char *why, size_t size)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert);
	const ASN1_BIT_STRING *sig = NULL;
	const X509_ALGOR *alg = NULL;
	time_t now = (time_t)(now_us / 1000000);
	int rc;

	if (pub == NULL)
		return cfg_no(why, size, -EINVAL, "Public Key is not valid.");
	if (token && EVP_PKEY_get_base_id(pub) != EVP_PKEY_RSA)
		return cfg_no(why, size, -EINVAL, "Certificate is not of type RSA.");
	if (X509_cmp_time(X509_get0_notBefore(cert), &now) >= 0)
		return cfg_no(why, size, -EINVAL, "Certificate Date Invalid.: it is not valid yet");
	if (X509_cmp_time(X509_get0_notAfter(cert), &now) <= 0)
		return cfg_no(why, size, -EINVAL, "Certificate expired.");
	X509_get0_signature(&sig, &alg, cert);
	if (sig == NULL || sig->length == 0)
		return cfg_no(why, size, -EINVAL, "No Signature.");
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		const struct pki_tl_limits *lim = pki_tl_class_limits((enum pki_tl_class)cls);

		if ((rc = name_rules(X509_get_issuer_name(cert), true, lim->issuer, why, size)) < 0 ||
		    (rc = name_rules(X509_get_subject_name(cert), false, lim->subject, why, size)) < 0)
			return rc;
		if ((size_t)sig->length > lim->signature)
			return cfg_no(why, size, -EINVAL, "Invalid Signature length.: %d bytes, class %s holds %zu", sig->length,
				      lim->name, lim->signature);
		if ((size_t)X509_get0_serialNumber(cert)->length > lim->serial)
			return cfg_no(why, size, -EINVAL, "Invalid Serial Number length.");
		if (token) {
			char text[256] = "";

			rc = pki_tl_check_cert(lim, cert, text, sizeof(text));
			if (rc < 0)
				return cfg_no(why, size, -EINVAL, "%s: %s",
					      EVP_PKEY_get_bits(pub) > 2048 ? "Invalid Public Key length." :
									  "Server Certificate is Invalid.", text);
		}
	}
	return 0;
}

/* --- tokens --- */

static void token_name(X509 *cert, char *ret, size_t size)
{
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, ret, (int)size) <= 0)
		snprintf(ret, size, "token");
	for (char *p = ret; *p != '\0'; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
}

static void sha256_hex(const struct cp_buf *der, char ret[65])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(der->data, der->len, md, &n, EVP_sha256(), NULL) != 1)
		n = 0;
	for (unsigned i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", md[i]);
	ret[2 * n] = '\0';
}

static struct cp_ctl_token *find_token(struct cp_ctl_rec *r, const X509 *cert)
{
	for (unsigned i = 0; i < r->token_cnt; i++)
		if (same_der(&r->tokens[i].cert, cert))
			return &r->tokens[i];
	return NULL;
}

static int add_token(struct cp_ctl_rec *r, const char *name, uint8_t origin, X509 *cert)
{
	struct cp_ctl_token *t;
	int rc;

	t = realloc(r->tokens, (r->token_cnt + 1) * sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	r->tokens = t;
	t += r->token_cnt;
	*t = (struct cp_ctl_token){.origin = origin};
	if (name != NULL)
		snprintf(t->name, sizeof(t->name), "%s", name);
	else
		token_name(cert, t->name, sizeof(t->name));
	rc = to_der(cert, &t->cert);
	if (rc == 0)
		r->token_cnt++;
	return rc;
}

static void drop_token(struct cp_ctl_rec *r, unsigned i)
{
	free(r->tokens[i].cert.data);
	memmove(&r->tokens[i], &r->tokens[i + 1], (--r->token_cnt - i) * sizeof(r->tokens[0]));
}

/* By name, or by the beginning of the SHA-256. -1: none. */
static int token_by(const struct cp_ctl_rec *r, const char *what)
{
	int hit = -1;

	for (unsigned i = 0; i < r->token_cnt; i++)
		if (strcmp(r->tokens[i].name, what) == 0)
			return (int)i;
	for (unsigned i = 0; strlen(what) >= 8 && i < r->token_cnt; i++) {
		char hex[65];

		sha256_hex(&r->tokens[i].cert, hex);
		if (strncasecmp(hex, what, strlen(what)) == 0)
			hit = hit == -1 ? (int)i : -2;
	}
	return hit < 0 ? -1 : hit;
}

static bool is_prev(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, ".prev") == 0;
}

/* The identity that holds the key of a token of ours today: itself, or what it was before it was made anew. */
static bool key_of(const struct cp_ctl_token *t, cp_own_fn get, void *ctx, char *ret, size_t size)
{
	static const char *const suffix[] = {"", ".prev"};

	if (t->origin != CP_CTL_OWN)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		X509 *c;
		bool same;

		if (i == 1 && is_prev(t->name))
			break;
		if (snprintf(ret, size, "%s%s", t->name, suffix[i]) >= (int)size)
			return false;
		c = get(ctx, ret);
		same = same_der(&t->cert, c);
		X509_free(c);
		if (same)
			return true;
	}
	return false;
}

/* --- one step each; all work on the copy --- */

static int step_tokens(struct cp_ctl_plan *p, const struct cp_ctl_change *ch, const struct cp_trust_own *own, char *why,
		       size_t size)
{
	struct cp_ctl_rec *r = &p->next;
	const struct {
		const char *name;
		X509 *cert;
	} ours[2][2] = {{{"SAST1", own->sast1}, {"SAST2", own->sast2}},
			{{"CallManager", own->callmanager}, {"ITLRecovery", own->recovery}}};
	bool wanted = (p->first && r->token_cnt + ch->token_cnt < 2) || ch->tokenless ||
		      (p->first && ch->signer_cert == NULL);
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < ch->token_cnt; i++) {
		rc = cp_ctl_cert_check(ch->token[i], true, ch->now_us, why, size);
		if (rc == 0 && find_token(r, ch->token[i]) != NULL)
			return cfg_no(why, size, -EEXIST, "The Security Token you have inserted already exists in the CTL File.");
		if (rc == 0)
			rc = add_token(r, NULL, CP_CTL_TOKEN, ch->token[i]);
	}
	/* A first list has our own tokens, unless an operator brings two and signs with one of them. */
	for (unsigned i = 0; rc == 0 && wanted && i < 2; i++) {
		if (ours[ch->tokenless][i].cert == NULL)
			return cfg_no(why, size, -EAGAIN, "No Certificate in Security Token.: %s is not there",
				      ours[ch->tokenless][i].name);
		if (find_token(r, ours[ch->tokenless][i].cert) == NULL)
			rc = add_token(r, ours[ch->tokenless][i].name, CP_CTL_OWN, ours[ch->tokenless][i].cert);
	}
	return rc;
}

/* What another cluster's CTL brought besides its SASTs, by digits of its SHA-256: when nobody comes from there any more. */
static bool drop_extra(struct cp_ctl_rec *r, const char *what)
{
	bool found = false;

	for (unsigned i = r->extra_cnt; strlen(what) >= 8 && i-- > 0;) {
		char hex[65];

		sha256_hex(&r->extras[i].cert, hex);
		if (strncasecmp(hex, what, strlen(what)) != 0)
			continue;
		free(r->extras[i].cert.data);
		memmove(&r->extras[i], &r->extras[i + 1], (--r->extra_cnt - i) * sizeof(r->extras[0]));
		found = true; /* one certificate may stand there in two roles: both go */
	}
	return found;
}

static bool undeletable(const char *what, const char *host)
{
	static const char *const fixed[] = {"CallManager", "TFTP", "TFTP-EC", "CAPF", "CAPF-TLS", "TVS"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcasecmp(what, fixed[i]) == 0)
			return true;
	return host != NULL && strcasecmp(what, host) == 0;
}

static int step_delete(struct cp_ctl_plan *p, const struct cp_ctl_change *ch, const char *host, char *why, size_t size)
{
	static const char fixed[] = "You cannot delete this item. You can only delete Security Tokens and multi-cluster TFTP";
	struct cp_ctl_rec *r = &p->next;

	for (unsigned i = 0; i < ch->del_token_cnt; i++) {
		int at = token_by(r, ch->del_token[i]);

		if (at < 0 && drop_extra(r, ch->del_token[i]))
			continue;
		if (at < 0)
			return undeletable(ch->del_token[i], host) ?
				       cfg_no(why, size, -EPERM, "%s: %s", fixed, ch->del_token[i]) :
				       cfg_no(why, size, -ENOENT, "there is no token %s in the CTL", ch->del_token[i]);
		drop_token(r, (unsigned)at);
	}
	for (unsigned i = 0; i < ch->del_tftp_cnt; i++) {
		unsigned k = 0;

		while (k < r->tftp_cnt && strcasecmp(r->tftps[k].host, ch->del_tftp[i]) != 0)
			k++;
		if (k == r->tftp_cnt)
			return undeletable(ch->del_tftp[i], host) ?
				       cfg_no(why, size, -EPERM, "%s: %s", fixed, ch->del_tftp[i]) :
				       cfg_no(why, size, -ENOENT, "there is no alternate TFTP server %s in the CTL", ch->del_tftp[i]);
		free(r->tftps[k].cert.data);
		memmove(&r->tftps[k], &r->tftps[k + 1], (--r->tftp_cnt - k) * sizeof(r->tftps[0]));
	}
	return 0;
}

static int step_tftp(struct cp_ctl_plan *p, const struct cp_ctl_change *ch, const struct cp_trust_own *own, const char *host,
		     char *why, size_t size)
{
	struct cp_ctl_rec *r = &p->next;

	for (unsigned i = 0; i < ch->tftp_cnt; i++) {
		const struct cp_ctl_tftp_add *a = &ch->tftp[i];
		struct cp_ctl_tftp *t;
		int rc;

		if (a->host == NULL || a->host[0] == '\0' || strpbrk(a->host, " \t\r\n/") != NULL)
			return cfg_no(why, size, -EINVAL, "Invalid Hostname");
		if (strlen(a->host) >= CP_LIST_HOST_MAX)
			return cfg_no(why, size, -EINVAL, "CM Name is too long.");
		if (a->cert == NULL)
			return cfg_no(why, size, -EINVAL, "No Server Certificate File found.: an alternate TFTP server needs one");
		rc = cp_ctl_cert_check(a->cert, false, ch->now_us, why, size);
		if (rc < 0)
			return rc;
		if (host != NULL && strcasecmp(host, a->host) == 0)
			return cfg_no(why, size, -EEXIST, "Entry for Server already exists.: %s", a->host);
		if (cp_cert_same(a->cert, own->tftp) || cp_cert_same(a->cert, own->tftp_ec))
			return cfg_no(why, size, -EEXIST, "Entry for this certificate already exists.");
		for (unsigned k = 0; k < r->tftp_cnt; k++) {
			if (strcasecmp(r->tftps[k].host, a->host) == 0)
				return cfg_no(why, size, -EEXIST, "Entry for Server already exists.: %s", a->host);
			if (same_der(&r->tftps[k].cert, a->cert))
				return cfg_no(why, size, -EEXIST, "Entry for this certificate already exists.");
		}
		t = realloc(r->tftps, (r->tftp_cnt + 1) * sizeof(*t));
		if (t == NULL)
			return -ENOMEM;
		r->tftps = t;
		t += r->tftp_cnt;
		*t = (struct cp_ctl_tftp){0};
		snprintf(t->host, sizeof(t->host), "%s", a->host);
		if (a->address != NULL && (cfg_addr_parse(a->address, &t->address) < 0 || t->address.family != 4))
			return cfg_no(why, size, -EINVAL, "Invalid IP Address: a list holds IPv4 addresses");
		rc = to_der(a->cert, &t->cert);
		if (rc < 0)
			return rc;
		r->tftp_cnt++;
	}
	return 0;
}

/* Which token signs: '*ret' is its index in next.tokens. */
static int step_signer(struct cp_ctl_plan *p, const struct cp_ctl_change *ch, cp_own_fn get, void *ctx, unsigned *ret, char *why,
		       size_t size)
{
	struct cp_ctl_rec *r = &p->next;
	int best = -1, score = 0;

	for (unsigned i = 0; i < r->token_cnt; i++) {
		struct cp_ctl_token *t = &r->tokens[i];
		bool allowed = p->first || t->in_file, ours = key_of(t, get, ctx, p->ident_buf, sizeof(p->ident_buf));
		int s;

		if (ch->signer_cert != NULL) {
			if (!same_der(&t->cert, ch->signer_cert))
				continue;
			if (!allowed)
				return cfg_no(why, size, -EPERM,
					      "For the security of the phones, tokens inserted during update cannot be used to sign the CTL "
					      "File. You must use one of the tokens that already existed in the CTL file to sign. Once this "
					      "token has been inserted and the phones have been restarted, you may use it");
			*ret = i;
			p->ident = NULL;
			return 0;
		}
		if (ch->signer != NULL && strcmp(ch->signer, t->name) != 0)
			continue;
		if (ch->signer != NULL && !allowed)
			return cfg_no(why, size, -EPERM,
				      "For the security of the phones, tokens inserted during update cannot be used to sign the CTL File: "
				      "%s is not in it yet", t->name);
		if (!allowed || !ours)
			continue;
		s = 1 + 4 * !is_prev(p->ident_buf) + 2 * (strcmp(t->name, r->signer) == 0);
		if (s > score) {
			score = s;
			best = (int)i;
		}
	}
	if (best < 0) {
		if (ch->signer_cert != NULL || ch->signer != NULL)
			return cfg_no(why, size, -EPERM,
				      "The Security Token cannot be used to sign the CTL File. The token must already exist in the CTL file.");
		return cfg_no(why, size, -EPERM,
			      "none of the tokens in the CTL is one that this machine holds: sign with one of them where its key is");
	}
	key_of(&r->tokens[best], get, ctx, p->ident_buf, sizeof(p->ident_buf));
	p->ident = p->ident_buf;
	*ret = (unsigned)best;
	return 0;
}

/* Tokens whose identity was made anew: the new certificate takes the place of the old one, which stays once more if it
 * is the one that signs. */
static int step_refresh(struct cp_ctl_plan *p, cp_own_fn get, void *ctx, unsigned *signer)
{
	struct cp_ctl_rec *r = &p->next;
	unsigned cnt = r->token_cnt;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < cnt; i++) {
		struct cp_ctl_token *t = &r->tokens[i];
		X509 *now;

		if (t->origin != CP_CTL_OWN || is_prev(t->name))
			continue;
		now = get(ctx, t->name);
		if (now != NULL && !same_der(&t->cert, now) && find_token(r, now) == NULL) {
			if (i == *signer) {
				char name[CP_NAME_MAX];

				memcpy(name, t->name, sizeof(name));
				if (strlen(name) + 6 <= sizeof(t->name))
					strcat(t->name, ".prev");
				rc = add_token(r, name, CP_CTL_OWN, now);
			} else {
				free(t->cert.data);
				t->cert = (struct cp_buf){0};
				t->in_file = false;
				rc = to_der(now, &t->cert);
			}
		}
		X509_free(now);
	}
	for (unsigned i = cnt; i-- > 0;) /* what led phones over an operation ago has done so */
		if (i != *signer && r->tokens[i].origin == CP_CTL_OWN && is_prev(r->tokens[i].name)) {
			drop_token(r, i);
			*signer -= i < *signer;
		}
	return rc;
}

static X509 *hold(struct cp_ctl_plan *p, const struct cp_buf *der)
{
	X509 *c = from_der(der);

	if (c != NULL && sk_X509_push(p->certs, c) <= 0) {
		X509_free(c);
		c = NULL;
	}
	return c;
}

static int step_entries(struct cp_ctl_plan *p, const struct cp_trust_own *own, enum pki_tl_class cls, const char *host,
			const uint8_t *ip, unsigned signer, char *why, size_t size)
{
	struct cp_ctl_rec *r = &p->next;
	struct pki_tl_entry *e = p->entry[cls];
	unsigned n = 0;
	int rc;

	if (r->token_cnt + r->extra_cnt + r->tftp_cnt + 5 > PKI_TL_REC_MAX)
		return cfg_no(why, size, -EMSGSIZE, "Cannot create CTL Entries. Total number of CTL Records has exceeded the Maximum");
	for (unsigned i = 0; i < r->token_cnt; i++) { /* the signer's first, as phones look there first */
		unsigned at = i == 0 ? signer : i <= signer ? i - 1 : i;
		X509 *c = hold(p, &r->tokens[at].cert);

		if (c == NULL)
			return -ENOMEM;
		if (at == signer)
			p->signer = c;
		e[n++] = (struct pki_tl_entry){.role = PKI_TL_SAST, .cert = c};
	}
	rc = cp_ctl_servers(own, cls, host, ip, e, PKI_TL_REC_MAX, &n);
	if (rc < 0)
		return cfg_no(why, size, rc, "You must have at least one CallManager server in the cluster");
	for (unsigned i = 0; i < r->extra_cnt; i++) {
		X509 *c = hold(p, &r->extras[i].cert);

		if (c == NULL)
			return -ENOMEM;
		e[n++] = (struct pki_tl_entry){.role = r->extras[i].role, .cert = c, .dns = r->extras[i].host};
	}
	for (unsigned i = 0; i < r->tftp_cnt; i++) {
		X509 *c = hold(p, &r->tftps[i].cert);

		if (c == NULL)
			return -ENOMEM;
		e[n++] = (struct pki_tl_entry){.role = PKI_TL_TFTP, .cert = c, .dns = r->tftps[i].host,
					       .ip = r->tftps[i].address.family == 4 ? r->tftps[i].address.ip : NULL};
	}
	/* Null names and no certificates: phones ask for unsigned files and register in clear (004b:CTL-16, 004c:CT-13). */
	for (unsigned i = 0; r->mode == CP_CLUSTER_NONSECURE && i < n; i++)
		e[i].cert = NULL;
	p->cnt[cls] = n;
	return 0;
}

void cp_ctl_plan_free(struct cp_ctl_plan *p)
{
	cp_ctl_rec_free(&p->next);
	sk_X509_pop_free(p->certs, X509_free);
	memset(p, 0, sizeof(*p));
}

int cp_ctlop_plan(const struct cp_ctl_rec *cur, const struct cp_ctl_change *ch, const struct cp_trust_own *own, cp_own_fn get,
		  void *get_ctx, const char *host, const uint8_t *ip, struct cp_ctl_plan *ret, char *why, size_t why_size)
{
	struct cp_ctl_plan *p = ret;
	struct cp_ctl_rec *r = &p->next;
	unsigned signer = 0;
	int64_t now_s = ch->now_us / 1000000;
	int rc;

	memset(p, 0, sizeof(*p));
	why[0] = '\0';
	if (!cur->made && !ch->set_mode)
		return cfg_no(why, why_size, -ENOENT, "No CTL File.: set the cluster's mode first");
	rc = cp_ctl_rec_copy(cur, r);
	if (rc < 0)
		return rc;
	p->certs = sk_X509_new_null();
	if (p->certs == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	p->first = !cur->made;
	if (ch->set_mode)
		r->mode = (uint8_t)ch->mode;
	if ((rc = step_tokens(p, ch, own, why, why_size)) < 0 || (rc = step_delete(p, ch, host, why, why_size)) < 0 ||
	    (rc = step_tftp(p, ch, own, host, why, why_size)) < 0)
		goto out;
	if (r->token_cnt < 2) {
		rc = cfg_no(why, why_size, -EPERM, "You must have at least 2 security tokens in the CTL File");
		goto out;
	}
	if ((rc = step_signer(p, ch, get, get_ctx, &signer, why, why_size)) < 0 ||
	    (rc = step_refresh(p, get, get_ctx, &signer)) < 0)
		goto out;
	if (r->token_cnt < 2) { /* the other was one that led phones over, and is not needed any more */
		rc = cfg_no(why, why_size, -EPERM, "You must have at least 2 security tokens in the CTL File");
		goto out;
	}
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		rc = step_entries(p, own, (enum pki_tl_class)cls, host, ip, signer, why, why_size);
	if (rc < 0)
		goto out;
	snprintf(r->signer, sizeof(r->signer), "%s", r->tokens[signer].name);
	for (unsigned i = 0; i < r->token_cnt; i++)
		r->tokens[i].in_file = true;
	r->made = true;
	r->serial++;
	r->timestamp = now_s > (int64_t)cur->timestamp ? (uint32_t)now_s : cur->timestamp + 1;
	r->changed_us = ch->now_us;
	snprintf(r->changed_by, sizeof(r->changed_by), "%s", ch->who != NULL ? ch->who : "");
	if (r->token_cnt > 2)
		p->warning = "the CTL has more than two SAST records: some phones read only the first two";
out:
	if (rc < 0) {
		if (why[0] == '\0')
			snprintf(why, why_size, "%s", strerror(-rc));
		cp_ctl_plan_free(p);
	}
	return rc;
}

/* --- phones of another cluster --- */

static int add_extra(struct cp_ctl_rec *r, const struct pki_tl_rec *e)
{
	struct cp_ctl_extra *x;

	for (unsigned i = 0; i < r->extra_cnt; i++)
		if (r->extras[i].role == e->role && r->extras[i].cert.len == e->cert_len &&
		    memcmp(r->extras[i].cert.data, e->cert, e->cert_len) == 0)
			return 0;
	if (r->extra_cnt == CP_CTL_TOKENS_MAX)
		return -EMSGSIZE;
	x = realloc(r->extras, (r->extra_cnt + 1) * sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	r->extras = x;
	x += r->extra_cnt;
	*x = (struct cp_ctl_extra){.role = e->role, .cert = {malloc(e->cert_len), e->cert_len}};
	if (x->cert.data == NULL)
		return -ENOMEM;
	memcpy(x->cert.data, e->cert, e->cert_len);
	if (e->dns != NULL)
		snprintf(x->host, sizeof(x->host), "%s", e->dns);
	r->extra_cnt++;
	return 1;
}

int cp_ctlop_import(struct cp_ctl_rec *rec, const struct pki_tl *tl, const struct cp_trust_own *own, unsigned *ret_sasts,
		    unsigned *ret_extras, bool *ret_known, char *why, size_t size)
{
	unsigned sasts = 0, listed = 0, extras = 0;
	bool known = false;
	enum pki_tl_kind kind;
	int rc = 0;

	if (pki_tl_kind_of(tl, &kind) < 0 || kind != PKI_TL_CTL)
		return cfg_no(why, size, -EBADMSG, "CTL Filename or contents are invalid.: not a CTL");
	if (pki_tl_verify(tl, NULL, NULL, why, size) < 0) {
		char inner[128];

		snprintf(inner, sizeof(inner), "%.*s", (int)sizeof(inner) - 1, why);
		return cfg_no(why, size, -EBADMSG, "The CTL File signature is invalid or the CTL File is corrupt.: %s", inner);
	}
	for (unsigned i = 0; rc >= 0 && i < tl->rec_cnt; i++) {
		const struct pki_tl_rec *e = &tl->rec[i];
		struct cp_buf der = {(uint8_t *)(uintptr_t)e->cert, e->cert_len};
		X509 *c = e->cert != NULL ? from_der(&der) : NULL;

		if (c == NULL)
			continue;
		if (e->role == PKI_TL_SAST) {
			listed++;
			known = known || cp_cert_same(c, own->sast1) || cp_cert_same(c, own->sast2) ||
				cp_cert_same(c, own->callmanager) || cp_cert_same(c, own->recovery);
			if (find_token(rec, c) == NULL) {
				rc = add_token(rec, NULL, CP_CTL_IMPORT, c);
				sasts += rc == 0;
			}
		} else if (e->role == PKI_TL_CAPF || e->role == PKI_TL_TVS) {
			rc = add_extra(rec, e);
			extras += rc == 1;
		}
		X509_free(c);
	}
	if (rc < 0)
		return cfg_no(why, size, rc, "the CTL could not be taken over: %s", strerror(-rc));
	if (listed < 1)
		return cfg_no(why, size, -EBADMSG, "There are no Security Tokens in CTL File.");
	*ret_sasts = sasts;
	*ret_extras = extras;
	*ret_known = known;
	return 0;
}
