/* SPDX-License-Identifier: BSD-3-Clause */
/* The sections "provision", "ctl_provider" and "enrol": what phones boot from, where trust lists are made, where phones get certificates. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "raw.h"
#include "values.h"

static const char *const issuers[] = {"own", "batch", "scep", NULL};
static const char *const classes[] = {"", "79xx", "modern", NULL};

static void do_oauth(struct cfg_ctx *c, struct cfg_oauth *o, const struct raw_oauth *r)
{
	o->issuer = cfg_text(c, r->issuer, NULL);
	o->keys = cfg_text(c, r->keys, NULL);
	o->audience = cfg_text(c, r->audience, NULL);
	o->scope = cfg_text(c, r->scope, "tftp");
	if (c->rc != 0)
		return;
	if ((o->issuer == NULL) != (o->keys == NULL))
		cfg_bad(c, "provision.oauth", "issuer and keys are given together or not at all");
	else if (o->keys != NULL && o->keys[0] != '/')
		cfg_bad(c, "provision.oauth.keys", "%s is not an absolute path", cfg_q(o->keys));
	else if (o->issuer != NULL && o->issuer[0] == '\0')
		cfg_bad(c, "provision.oauth.issuer", "empty");
	else if (o->scope[0] == '\0' || strchr(o->scope, ' ') != NULL)
		cfg_bad(c, "provision.oauth.scope", "%s is not one word", cfg_q(o->scope));
}

static void do_call_managers(struct cfg_ctx *c, struct cfg_provision *p, const struct raw_provision *r)
{
	char path[48];
	struct cfg_addr a;

	p->call_managers_count = r->call_managers_count;
	p->call_managers = cfg_texts(c, r->call_managers, r->call_managers_count);
	for (unsigned i = 0; c->rc == 0 && i < p->call_managers_count; i++) {
		snprintf(path, sizeof(path), "provision.call_managers[%u]", i);
		if (!cfg_words_only(p->call_managers[i], 50) && cfg_addr_parse(p->call_managers[i], &a) < 0)
			cfg_bad(c, path, "%s is neither a name of up to 50 characters nor an address",
				cfg_q(p->call_managers[i]));
		for (unsigned k = 0; k < i; k++)
			if (strcmp(p->call_managers[i], p->call_managers[k]) == 0)
				cfg_bad(c, path, "%s is given twice", cfg_q(p->call_managers[i]));
	}
}

static void do_ports(struct cfg_ctx *c, const struct cfg_provision *p)
{
	const struct {
		const char *key;
		uint16_t port;
	} tcp[] = {{"provision.http_port", p->http_port},
		   {"provision.https_port", p->https_port},
		   {"provision.token_port", p->token_port}};

	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < i; k++)
			if (tcp[i].port != 0 && tcp[i].port == tcp[k].port)
				cfg_bad(c, tcp[i].key, "%u is %s", tcp[i].port, tcp[k].key);
}

void cfg_do_provision(struct cfg_ctx *c, struct cfg *cfg, const struct raw_provision *r)
{
	struct cfg_provision *p = &cfg->provision;
	struct cfg_addr a;

	TEXT(provision, listen, "0.0.0.0");
	p->directory = cfg_directory(c, "provision.directory", r->directory, cfg, "files");
	if (c->rc != 0)
		return;
	cfg_host(c, "provision.listen", p->listen, false, &a);
	NUM(provision, tftp_port, 69, 0, 65535);
	NUM(provision, http_port, 6970, 0, 65535);
	NUM(provision, https_port, 6972, 0, 65535);
	NUM(provision, token_port, 6971, 0, 65535);
	do_ports(c, p);
	NUM(provision, threads, 1, 1, 64);
	WORD(provision, default_class, CFG_CLASS_MODERN, classes);
	if (p->default_class == 0) /* "" is no class */
		cfg_bad(c, "provision.default_class", "empty");
	NUM(provision, max_transfers, 4096, 1, 1000000);
	NUM(provision, max_source, 16, 1, 1000000);
	NUM(provision, blksize_max, 1428, 512, 65464);
	NUM(provision, windowsize_max, 16, 1, 64);
	NUM(provision, timeout_ms, 1000, 100, 60000);
	NUM(provision, retries, 5, 1, 20);
	NUM(provision, max_connections, 20000, 1, 1000000);
	NUM(provision, idle_s, 30, 1, 3600);
	NUM(provision, min_rate, 1024, 0, 1048576);
	WORD(provision, auto_registration, 0, cfg_truth);
	do_call_managers(c, p, r);
	do_oauth(c, &p->oauth, r->oauth != NULL ? r->oauth : &(struct raw_oauth){0});
}

void cfg_do_ctl_provider(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ctl_provider *r)
{
	struct cfg_addr a;

	TEXT(ctl_provider, listen, "0.0.0.0");
	if (c->rc != 0)
		return;
	cfg_host(c, "ctl_provider.listen", cfg->ctl_provider.listen, false, &a);
	NUM(ctl_provider, port, 0, 0, 65535);
}

/* http://HOST[:PORT]/PATH: SCEP protects its messages itself, and needs no TLS (RFC 8894 4.1). */
static bool is_url(const char *url)
{
	size_t n = strncmp(url, "http://", 7) == 0 ? strcspn(url + 7, "/") : 0;

	if (n == 0 || n > 255 || url[7 + n] != '/' || strlen(url) > 1000)
		return false;
	for (const char *p = url; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == '?' || *p == '#' || *p == '@')
			return false;
	return true;
}

/* Hashes in hex, one or two, with blanks between. */
static int hashes(const char *text, uint8_t (*ret)[32], uint32_t *cnt)
{
	static const char blank[] = " \t\n";
	char one[65];

	*cnt = 0;
	for (text += strspn(text, blank); *text != '\0'; text += strspn(text, blank)) {
		if (strcspn(text, blank) != 64 || *cnt == CFG_SCEP_RA_MAX)
			return -EINVAL;
		memcpy(one, text, 64);
		one[64] = '\0';
		if (cfg_hex_parse(one, ret[(*cnt)++], 32) < 0)
			return -EINVAL;
		text += 64;
	}
	return *cnt > 0 ? 0 : -EINVAL;
}

static void do_scep(struct cfg_ctx *c, struct cfg *cfg, const struct raw_scep *r)
{
	struct cfg_scep *s = &cfg->enrol.scep;
	static const char *const none = "";

	TEXT(enrol.scep, url, NULL);
	TEXT(enrol.scep, identifier, none);
	TEXT(enrol.scep, challenge, NULL);
	if (c->rc != 0)
		return;
	NUM(enrol.scep, timeout_s, 20, 1, 55);
	NUM(enrol.scep, poll_s, 300, 1, 86400);
	NUM(enrol.scep, give_up_h, 168, 1, 8760);
	WORD(enrol.scep, old_crypto, 0, cfg_truth);
	if (s->url != NULL && !is_url(s->url))
		cfg_bad(c, "enrol.scep.url", "%s is not http://HOST[:PORT]/PATH without a query", cfg_q(s->url));
	if (strlen(s->identifier) > 128)
		cfg_bad(c, "enrol.scep.identifier", "more than 128 characters");
	if (s->challenge != NULL && s->challenge[0] != '/' && strncmp(s->challenge, "credential:", 11) != 0)
		cfg_bad(c, "enrol.scep.challenge", "%s is neither an absolute path nor credential:NAME", cfg_q(s->challenge));
	if (s->url != NULL && (r->ca_sha256 == NULL || strlen(r->ca_sha256) != 64 || cfg_hex_parse(r->ca_sha256, s->ca_sha256, 32) < 0))
		cfg_bad(c, "enrol.scep.ca_sha256", "is not the SHA-256 of the CA's certificate: 64 hex digits");
	if (r->ra_sha256 != NULL && hashes(r->ra_sha256, s->ra_sha256, &s->ra_cnt) < 0)
		cfg_bad(c, "enrol.scep.ra_sha256", "is not the SHA-256 of one or two certificates: 64 hex digits each, a blank between");
	if (cfg->enrol.issuer == CFG_ISSUER_SCEP && s->url == NULL)
		cfg_bad(c, "enrol.scep.url", "missing, and enrol.issuer is scep");
}

void cfg_do_enrol(struct cfg_ctx *c, struct cfg *cfg, const struct raw_enrol *r)
{
	const struct cfg_enrol *e = &cfg->enrol;
	struct cfg_addr a;

	TEXT(enrol, listen, "0.0.0.0");
	if (c->rc != 0)
		return;
	cfg_host(c, "enrol.listen", e->listen, false, &a);
	NUM(enrol, capf_port, 3804, 0, 65535);
	NUM(enrol, tvs_port, 2445, 0, 65535);
	if (e->capf_port != 0 && e->capf_port == e->tvs_port)
		cfg_bad(c, "enrol.tvs_port", "%u is enrol.capf_port", e->tvs_port);
	NUM(enrol, tvs_ttl_s, 86400, 1, 31536000);
	NUM(enrol, max_connections, 20000, 1, 1000000);
	NUM(enrol, max_preauth, 1024, 1, 1000000);
	NUM(enrol, max_source, 64, 1, 1000000);
	NUM(enrol, handshake_s, 90, 1, 600);
	NUM(enrol, expires_days, 10, 1, 3650);
	NUM(enrol, crl_days, 7, 1, 365);
	WORD(enrol, old_keys, 0, cfg_truth);
	WORD(enrol, issuer, CFG_ISSUER_OWN, issuers);
	do_scep(c, cfg, r->scep != NULL ? r->scep : &(struct raw_scep){0});
}

void cfg_free_provision(struct cfg *cfg)
{
	struct cfg_provision *p = &cfg->provision;

	free(p->listen);
	free(p->directory);
	cfg_free_texts(p->call_managers, p->call_managers_count);
	free(p->oauth.issuer);
	free(p->oauth.keys);
	free(p->oauth.audience);
	free(p->oauth.scope);
	free(cfg->ctl_provider.listen);
	free(cfg->enrol.listen);
	free(cfg->enrol.scep.url);
	free(cfg->enrol.scep.identifier);
	free(cfg->enrol.scep.challenge);
}
