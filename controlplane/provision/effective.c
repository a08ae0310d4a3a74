/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds for a phone: device record, then its profile, then the cluster's record, then what is usual. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devcfg.h"
#include "internal.h"
#include "log.h"

const char *cp_from_name(enum cp_from from)
{
	static const char *const names[CP_FROM_MAX] = {"default", "cluster", "profile", "device", "cluster mode", "model"};

	return (unsigned)from < CP_FROM_MAX ? names[from] : "unknown";
}

/* The first that says something. */
static uint8_t text_of(char *out, size_t size, const char *device, const char *profile, const char *cluster)
{
	const char *v = device[0] != '\0' ? device : profile[0] != '\0' ? profile : cluster;

	snprintf(out, size, "%s", v);
	return v == device ? CP_FROM_DEVICE : v == profile ? CP_FROM_PROFILE : v[0] != '\0' ? CP_FROM_CLUSTER : CP_FROM_DEFAULT;
}

static void servers(struct cp_devcfg *c, const struct cfg *cfg)
{
	char **names = cfg->provision.call_managers;
	unsigned n = cfg->provision.call_managers_count;

	if (n == 0) {
		names = cfg->signer.server_names;
		n = cfg->signer.server_names_count;
	}
	for (unsigned i = 0; i < n && c->server_cnt < 5; i++)
		snprintf(c->server[c->server_cnt++], sizeof(c->server[0]), "%s", names[i]);
	if (c->server_cnt == 0)
		snprintf(c->server[c->server_cnt++], sizeof(c->server[0]), "%s", cfg->sccp.listen);
}

/* What a phone must speak to reach them: addresses say so, names are taken for IPv4 as ever. */
static uint8_t ip_mode(const struct cp_devcfg *c)
{
	unsigned six = 0;

	for (unsigned i = 0; i < c->server_cnt; i++) {
		struct cfg_addr a;

		six += cfg_addr_parse(c->server[i], &a) == 0 && a.family == 6;
	}
	return six == 0 ? 0 : six == c->server_cnt ? 1 : 2;
}

static int copy_buf(const struct cp_buf *from, struct cp_buf *to)
{
	if (from->len == 0)
		return 0;
	to->data = malloc(from->len);
	if (to->data == NULL)
		return -ENOMEM;
	memcpy(to->data, from->data, from->len);
	to->len = from->len;
	return 0;
}

static void find_cert(struct cp_devcfg *c, const struct cp_store *s)
{
	struct cp_phone_cert rec;
	const unsigned char *at;
	EVP_PKEY *key;

	if (cp_store_phone_cert(s, c->device, &rec) < 0)
		return;
	at = rec.cert.data;
	c->cert = d2i_X509(NULL, &at, (long)rec.cert.len);
	key = c->cert != NULL ? X509_get0_pubkey(c->cert) : NULL;
	c->cert_wraps = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	cp_phone_cert_free(&rec);
}

bool cp_devcfg_can_encrypt(const struct cp_devcfg *c)
{
	return (c->cert != NULL && c->cert_wraps) || c->config_key.len > 0;
}

bool cp_devcfg_secret_ok(const struct cp_devcfg *c, bool protected_)
{
	return c->protocol == CP_PROTOCOL_SIP && c->digest && !c->digest_exclude && !c->oauth && c->digest_secret.len > 0 &&
	       (protected_ || c->plain_secrets);
}

static uint8_t transport_of(const struct cp_devcfg *c, const struct cp_profile *p)
{
	if (c->protocol != CP_PROTOCOL_SIP)
		return 4; /* SCCP: the mode decides */
	if (c->mode != CP_DEVICE_NONSECURE)
		return 3;
	return p->transport == CP_TRANSPORT_TCP ? 1 : p->transport == CP_TRANSPORT_UDP ? 2 : 4;
}

int cp_devcfg_gather(const struct cp_store *s, const struct cfg *cfg, bool mixed, const char *name, struct cp_devcfg *c)
{
	static const struct cp_device nobody = {.mode = CP_DEVICE_NONSECURE};
	const struct cp_device *dev = name != NULL ? cp_dir_device(s, name) : &nobody;
	struct cp_profile p = {.mode = CP_DEVICE_NONSECURE};
	bool has_profile;
	int rc = 0;

	memset(c, 0, sizeof(*c));
	if (dev == NULL)
		return -ENOENT;
	cp_store_cluster(s, &c->cluster);
	has_profile = dev->profile[0] != '\0' && cp_store_profile(s, dev->profile, &p) == 0;
	memcpy(c->device, dev->name, sizeof(c->device));
	memcpy(c->model, dev->model, sizeof(c->model));
	memcpy(c->description, dev->description, sizeof(c->description));
	memcpy(c->profile, dev->profile, sizeof(c->profile));
	c->profile_missing = dev->profile[0] != '\0' && !has_profile;
	c->mixed = mixed;
	c->protocol = CP_PROTOCOL_SCCP;
	if (dev->protocol != CP_PROTOCOL_ANY) {
		c->protocol = dev->protocol;
		c->from.protocol = CP_FROM_DEVICE;
	} else if (p.protocol != CP_PROTOCOL_ANY) {
		c->protocol = p.protocol;
		c->from.protocol = CP_FROM_PROFILE;
	}
	c->mode_set = has_profile ? p.mode : dev->mode;
	c->from.mode = has_profile ? CP_FROM_PROFILE : CP_FROM_DEVICE;
	c->mode = mixed ? c->mode_set : CP_DEVICE_NONSECURE;
	if (c->mode != c->mode_set)
		c->from.mode = CP_FROM_MODE;
	c->transport = transport_of(c, &p);
	c->from.transport = c->transport == 1 || c->transport == 2 ? CP_FROM_PROFILE : c->from.mode;
	c->digest = p.digest;
	c->digest_exclude = p.digest_exclude;
	c->plain_secrets = c->cluster.plain_secrets;
	c->oauth_set = p.oauth;
	c->oauth = p.oauth && c->cluster.sip_oauth;
	c->no_verify = p.no_verify;
	c->encrypted_set = p.encrypted_config;
	c->capf_auth = p.capf_auth;
	c->port = p.port;
	c->nonce_s = p.nonce_s;
	memcpy(c->digest_user, dev->digest_user, sizeof(c->digest_user));
	memcpy(c->ciphers_off, p.ciphers_off, sizeof(c->ciphers_off));
	c->from.digest = c->from.encrypted = c->from.capf = has_profile ? CP_FROM_PROFILE : CP_FROM_DEFAULT;
	c->from.oauth = p.oauth && !c->cluster.sip_oauth ? CP_FROM_CLUSTER : c->from.digest;
	c->from.load = text_of(c->load, sizeof(c->load), dev->load, p.load, c->cluster.load);
	c->from.user_locale = text_of(c->user_locale, sizeof(c->user_locale), dev->user_locale, p.user_locale,
				      c->cluster.user_locale);
	c->from.network_locale = text_of(c->network_locale, sizeof(c->network_locale), dev->network_locale,
					 p.network_locale, c->cluster.network_locale);
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++) {
		const uint8_t said[] = {dev->harden.v[i], p.harden.v[i], c->cluster.harden.v[i], (uint8_t)cp_harden_rows[i].otherwise};
		static const uint8_t who[] = {CP_FROM_DEVICE, CP_FROM_PROFILE, CP_FROM_CLUSTER, CP_FROM_DEFAULT};
		unsigned w = 0;

		while (said[w] == CP_SET_DEFAULT)
			w++;
		c->harden.v[i] = said[w];
		c->from.harden[i] = who[w];
	}
	{
		char srst[CP_NAME_MAX];

		c->from.srst = text_of(srst, sizeof(srst), dev->srst, p.srst, c->cluster.srst);
		if (srst[0] != '\0' && cp_store_srst(s, srst, &c->srst) < 0)
			memset(&c->srst, 0, sizeof(c->srst));
	}
	/* 004b:SRST-06, R-37: all of mixed mode, a secure phone, the box ticked and a certificate */
	c->srst_secure = mixed && c->mode != CP_DEVICE_NONSECURE && c->srst.secure && c->srst.cert.len > 0;
	servers(c, cfg);
	c->ip_mode = ip_mode(c);
	c->sccp_port = cfg->sccp.port != 0 ? cfg->sccp.port : 2000;
	c->sccp_tls_port = cfg->sccp.tls_port;
	c->capf_port = cfg->enrol.capf_port;
	if (dev->line_cnt > 0) {
		c->lines = malloc(dev->line_cnt * sizeof(*c->lines));
		if (c->lines == NULL)
			rc = -ENOMEM;
		else
			memcpy(c->lines, dev->lines, dev->line_cnt * sizeof(*c->lines));
		c->line_cnt = c->lines != NULL ? dev->line_cnt : 0;
	}
	if (rc == 0)
		rc = copy_buf(&dev->digest_secret, &c->digest_secret);
	if (rc == 0)
		rc = copy_buf(&dev->config_key, &c->config_key);
	if (name != NULL)
		find_cert(c, s);
	c->encrypted = c->encrypted_set && !c->oauth && cp_devcfg_can_encrypt(c);
	cp_profile_free(&p);
	if (rc < 0)
		cp_devcfg_free(c);
	return rc;
}

void cp_devcfg_free(struct cp_devcfg *c)
{
	if (c == NULL)
		return;
	free(c->lines);
	free(c->digest_secret.data);
	free(c->config_key.data);
	X509_free(c->cert);
	cp_srst_free(&c->srst);
	cp_cluster_free(&c->cluster);
	memset(c, 0, sizeof(*c));
}

/* --- the index --- */

struct walk {
	struct cp_files *f;
	bool sip_oauth;
	char profile[CP_NAME_MAX]; /* the last one looked up: devices of one profile mostly stand together */
	uint8_t flags;
};

static void index_one(void *ctx, const struct cp_device *dev)
{
	struct walk *w = ctx;
	enum pki_tl_class other = (enum pki_tl_class)w->f->env.cfg->provision.default_class;

	if (!cp_device_name_ok(dev->name)) /* voice-mail ports fetch no files */
		return;
	if (strcmp(w->profile, dev->profile) != 0) {
		struct cp_profile p;

		w->flags = 0;
		memcpy(w->profile, dev->profile, sizeof(w->profile));
		if (dev->profile[0] != '\0' && cp_store_profile(w->f->env.store, dev->profile, &p) == 0) {
			w->flags = (uint8_t)((p.oauth && w->sip_oauth ? CP_IDX_TOKEN : 0) | (p.no_verify ? CP_IDX_PLAIN : 0));
			cp_profile_free(&p);
		}
	}
	if (cp_index_set(w->f->index, dev->name, (uint8_t)(CP_IDX_THERE | w->flags),
			 pki_tl_class_of_model(dev->model, other)) < 0)
		cfg_log_limited(CFG_LOG_ERR, "no-memory", "for=device-index");
}

static struct walk begin_walk(struct cp_files *f)
{
	struct walk w = {.f = f};
	struct cp_cluster c;

	cp_store_cluster(f->env.store, &c);
	w.sip_oauth = c.sip_oauth;
	atomic_store(&f->foreign_ok, c.foreign_files);
	cp_cluster_free(&c);
	return w;
}

void cp_files_index(struct cp_files *f, const char *device)
{
	const struct cp_device *dev = cp_dir_device(f->env.store, device);
	struct walk w = begin_walk(f);

	if (dev != NULL)
		index_one(&w, dev);
	else if (cp_device_name_ok(device))
		cp_index_set(f->index, device, 0, PKI_CLASS_MODERN);
}

void cp_files_reindex(struct cp_files *f)
{
	struct walk w = begin_walk(f);

	cp_dir_each_device(f->env.store, index_one, &w);
}

/* --- for a flight --- */

int cp_gather(struct cp_files *f, struct cp_flight *fl)
{
	bool mixed = f->env.mixed != NULL && f->env.mixed(f->env.ctx);
	struct cp_devcfg *c;
	int rc;

	/* 004b:R-01, 002:P2-30, P2-32 */
	if (fl->name.what == CP_NAME_DEFAULT && (f->env.auto_registration == NULL || !f->env.auto_registration(f->env.ctx)))
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	rc = cp_devcfg_gather(f->env.store, f->env.cfg, mixed, fl->name.what == CP_NAME_CONFIG ? fl->name.device : NULL, c);
	if (rc == 0 && c->oauth && !fl->token)
		rc = -EACCES; /* the index did not know yet */
	if (rc < 0) {
		cp_devcfg_free(c);
		free(c);
		return rc;
	}
	fl->in = c;
	return 0;
}

void cp_gathered_free(struct cp_devcfg *c)
{
	cp_devcfg_free(c);
	free(c);
}
