/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "raw.h"
#include "scan.h"
#include "values.h"

#define FILE_MAX (1024 * 1024) /* bytes; no configuration comes near */

/* The run directory's sockets must fit in sun_path (108 bytes): "/dataplane.sock" and NUL are 16.
 */
#define RUN_MAX 90

static const char *const formats[] = {"kv", "json", NULL};
static const char *const levels[] = {"err", "warn", "notice", "info", "debug", NULL};
static const char *const huges[] = {"auto", "never", "require", NULL};
static const char *const frags[] = {"drop", "reassemble", NULL};
static const char *const modes[] = {"relay", "direct", NULL};
static const char *const latches[] = {"strict", "address", "any", NULL};
static const char *const fallbacks[] = {"rtp", "refuse", NULL};
static const char *const tones[] = {"off", "local", "remote", "both", NULL};
static const char *const duplicates[] = {"evict", "refuse", NULL};
static const char *const admissions[] = {"refuse", "admit", NULL};
static const char *const plains[] = {"deny", "allow", NULL};
static const char *const signallings[] = {"deny", "allow", "keys", NULL};
static const char *const key_types[] = {"rsa-2048", "ec-p256", NULL};
static const char *const claims[] = {"partners", "any", "none", NULL};

static bool same_ip(const struct cfg_addr *a, const struct cfg_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static void do_paths(struct cfg_ctx *c, struct cfg *cfg, const struct raw_paths *r)
{
	TEXT(paths, state, "/var/lib/ravelin");
	TEXT(paths, run, "/run/ravelin");
	if (c->rc != 0)
		return;
	if (cfg->paths.state[0] != '/')
		cfg_bad(c, "paths.state", "%s is not an absolute path", cfg_q(cfg->paths.state));
	if (cfg->paths.run[0] != '/')
		cfg_bad(c, "paths.run", "%s is not an absolute path", cfg_q(cfg->paths.run));
	if (strlen(cfg->paths.run) > RUN_MAX)
		cfg_bad(c, "paths.run", "longer than %d bytes, the sockets' names would not fit",
		    RUN_MAX);
}

static void do_log(struct cfg_ctx *c, struct cfg *cfg, const struct raw_log *r)
{
	WORD(log, format, CFG_LOG_KV, formats);
	WORD(log, level, CFG_LOG_INFO, levels);
}

/* EAL keeps its files under a name of its own: made from paths.run, so that instances do not meet.
 */
static char *prefix_of(struct cfg_ctx *c, const char *run)
{
	char buf[RUN_MAX + 1];
	uint64_t h = 0xcbf29ce484222325;

	for (const char *p = run; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
	snprintf(buf, sizeof(buf), "%s", run + strspn(run, "/"));
	for (char *p = buf; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			*p = '_';
	if (strlen(buf) > 32 || buf[0] == '\0')
		snprintf(buf, sizeof(buf), "ravelin-%016llx", (unsigned long long)h);
	return cfg_text(c, buf, NULL);
}

static bool mac_parse(const char *v, uint8_t *mac)
{
	char hex[13];
	int n = 0;

	if (strlen(v) != 17)
		return false;
	for (int i = 0; i < 17; i++) {
		if (i % 3 == 2 ? v[i] != ':' : !isxdigit((unsigned char)v[i]))
			return false;
		if (i % 3 != 2)
			hex[n++] = v[i];
	}
	hex[n] = '\0';
	return cfg_hex_parse(hex, mac, 6) == 0 && (mac[0] & 1) == 0;
}

/* Device, VLAN, MTU, MAC and punt interface: what a port is made of. */
static void do_link(struct cfg_ctx *c, struct cfg *cfg, unsigned i, const struct raw_port *r)
{
	struct cfg_dp_port *p = &cfg->dataplane.ports[i];
	bool first = true;
	char path[80], why[120];

	snprintf(path, sizeof(path), "dataplane.ports[%u].vlan", i);
	p->vlan = (uint16_t)cfg_num(c, path, r->vlan, 0, 1, 4094);
	snprintf(path, sizeof(path), "dataplane.ports[%u].mtu", i);
	p->mtu = (uint16_t)cfg_num(c, path, r->mtu, 0, 576, 9000);
	snprintf(path, sizeof(path), "dataplane.ports[%u].device", i);
	if (cfg_device_check(p->device, why, sizeof(why)) < 0)
		cfg_bad(c, path, "%s: %s", cfg_q(p->device), why);
	if (strncmp(p->device, "pcap:", 5) == 0 && cfg->dataplane.worker_lcores_count > 1)
		cfg_bad(c, path, "pcap replays for one worker, there are %u", cfg->dataplane.worker_lcores_count);
	for (unsigned k = 0; k < i; k++) {
		if (strcmp(cfg->dataplane.ports[k].device, p->device) != 0)
			continue;
		first = false;
		if (cfg->dataplane.ports[k].vlan == p->vlan)
			cfg_bad(c, path, "%s is given twice%s", cfg_q(p->device),
			    p->vlan != 0 ? " with this vlan" : "");
	}
	snprintf(path, sizeof(path), "dataplane.ports[%u].mac", i);
	if (p->mac != NULL && !mac_parse(p->mac, p->mac_addr))
		cfg_bad(c, path, "%s is not six octets of a station, as 02:00:00:00:00:01", cfg_q(p->mac));
	if (p->mac != NULL && !first)
		cfg_bad(c, path, "belongs to the first entry of the device");
	snprintf(path, sizeof(path), "dataplane.ports[%u].punt", i);
	if (p->punt != NULL && !cfg_words_only(p->punt, 15))
		cfg_bad(c, path, "%s is not 1 to 15 of A-Z a-z 0-9 . _ -", cfg_q(p->punt));
	for (unsigned k = 0; p->punt != NULL && k < i; k++)
		if (cfg->dataplane.ports[k].punt != NULL &&
		    strcmp(cfg->dataplane.ports[k].punt, p->punt) == 0)
			cfg_bad(c, path, "%s is given twice", p->punt);
}

static void do_port(struct cfg_ctx *c, struct cfg *cfg, unsigned i, const struct raw_port *r)
{
	struct cfg_dp_port *p = &cfg->dataplane.ports[i];
	char path[80];

	p->device = cfg_text(c, r->device, NULL);
	p->gateway = cfg_text(c, r->gateway, NULL);
	p->gateway6 = cfg_text(c, r->gateway6, NULL);
	p->mac = cfg_text(c, r->mac, NULL);
	p->punt = cfg_text(c, r->punt, NULL);
	p->addresses = cfg_texts(c, r->addresses, r->addresses_count);
	p->addresses_count = p->addresses != NULL ? r->addresses_count : 0;
	if (c->rc != 0)
		return;
	do_link(c, cfg, i, r);
	snprintf(path, sizeof(path), "dataplane.ports[%u].addresses", i);
	if (p->addresses_count > 8)
		cfg_bad(c, path, "%u addresses, at most 8", p->addresses_count);
	for (unsigned k = 0; c->rc == 0 && k < p->addresses_count; k++) {
		snprintf(path, sizeof(path), "dataplane.ports[%u].addresses[%u]", i, k);
		if (cfg_addr_parse(p->addresses[k], &p->addr[k]) < 0 || p->addr[k].port != 0 ||
		    strchr(p->addresses[k], '/') == NULL) {
			cfg_bad(c, path, "%s is not ADDRESS/PREFIX", cfg_q(p->addresses[k]));
			return;
		}
		for (unsigned q = 0; q <= i; q++)
			for (unsigned j = 0;
			     j < (q < i ? cfg->dataplane.ports[q].addresses_count : k); j++)
				if (same_ip(&cfg->dataplane.ports[q].addr[j], &p->addr[k]))
					cfg_bad(c, path, "%s is given twice", p->addresses[k]);
	}
	snprintf(path, sizeof(path), "dataplane.ports[%u].gateway", i);
	if (c->rc == 0 && p->gateway != NULL && cfg_host(c, path, p->gateway, false, &p->gw4) &&
	    p->gw4.family != 4)
		cfg_bad(c, path, "%s is not an IPv4 address", p->gateway);
	snprintf(path, sizeof(path), "dataplane.ports[%u].gateway6", i);
	if (c->rc == 0 && p->gateway6 != NULL && cfg_host(c, path, p->gateway6, false, &p->gw6) &&
	    p->gw6.family != 6)
		cfg_bad(c, path, "%s is not an IPv6 address", p->gateway6);
}

static void do_lcores(struct cfg_ctx *c, struct cfg *cfg, const struct raw_dataplane *r)
{
	unsigned n = r->worker_lcores_count > 0 ? r->worker_lcores_count : 1;
	struct cfg_dataplane *d = &cfg->dataplane;
	char path[60];

	if (r->worker_lcores_count == 0 && cfg_scan_has(c->scan, "dataplane.worker_lcores"))
		cfg_bad(c, "dataplane.worker_lcores", "at least one is needed");
	d->worker_lcores = cfg_array(c, n, sizeof(*d->worker_lcores));
	d->worker_lcores_count = d->worker_lcores != NULL ? n : 0;
	for (unsigned i = 0; c->rc == 0 && i < n; i++) {
		snprintf(path, sizeof(path), "dataplane.worker_lcores[%u]", i);
		d->worker_lcores[i] = (uint16_t)cfg_num(
			c, path, r->worker_lcores_count > 0 ? r->worker_lcores[i] : NULL, 1, 0,
			127);
		if (d->worker_lcores[i] == d->main_lcore)
			cfg_bad(c, path, "%u is dataplane.main_lcore", d->main_lcore);
		for (unsigned k = 0; k < i; k++)
			if (d->worker_lcores[k] == d->worker_lcores[i])
				cfg_bad(c, path, "%u is given twice", d->worker_lcores[i]);
	}
}

static void do_dataplane(struct cfg_ctx *c, struct cfg *cfg, const struct raw_dataplane *r)
{
	NUM(dataplane, main_lcore, 0, 0, 127);
	do_lcores(c, cfg, r);
	WORD(dataplane, huge_pages, CFG_HUGE_AUTO, huges);
	WORD(dataplane, fragments, CFG_FRAG_DROP, frags);
	NUM(dataplane, memory_mb, 256, 64, 1048576);
	NUM(dataplane, max_legs, 4096, 2, 524288);
	NUM(dataplane, max_gateways, 1024, 1, 16384);
	NUM(dataplane, max_sas, cfg->dataplane.max_gateways < 8192 ? 4 * cfg->dataplane.max_gateways : 32768, 1, 32768);
	NUM(dataplane, mbufs, 16384, 1024, 4194304);
	NUM(dataplane, ring_desc, 1024, 64, 32768);
	NUM(dataplane, punt_pps, 20000, 100, 1000000);
	if (c->rc == 0 && r->file_prefix != NULL && !cfg_words_only(r->file_prefix, 40))
		cfg_bad(c, "dataplane.file_prefix", "%s is not 1 to 40 of A-Z a-z 0-9 . _ -",
		    cfg_q(r->file_prefix));
	if (c->rc == 0)
		cfg->dataplane.file_prefix = r->file_prefix != NULL ? cfg_text(c, r->file_prefix, NULL)
		                                                    : prefix_of(c, cfg->paths.run);
	cfg->dataplane.ports = cfg_array(c, r->ports_count, sizeof(*cfg->dataplane.ports));
	for (unsigned i = 0; c->rc == 0 && i < r->ports_count; i++) {
		cfg->dataplane.ports_count = i + 1;
		do_port(c, cfg, i, &r->ports[i]);
	}
}

static bool is_port_addr(const struct cfg *cfg, const struct cfg_addr *a)
{
	for (unsigned i = 0; i < cfg->dataplane.ports_count; i++)
		for (unsigned k = 0; k < cfg->dataplane.ports[i].addresses_count; k++)
			if (same_ip(&cfg->dataplane.ports[i].addr[k], a))
				return true;
	return false;
}

static void do_regions(struct cfg_ctx *c, struct cfg *cfg, const struct raw_media *r)
{
	struct cfg_media *m = &cfg->media;

	m->regions = cfg_array(c, r->regions_count, sizeof(*m->regions));
	for (unsigned i = 0; c->rc == 0 && i < r->regions_count; i++) {
		char path[60];

		m->regions_count = i + 1;
		m->regions[i].name = cfg_text(c, r->regions[i].name, NULL);
		snprintf(path, sizeof(path), "media.regions[%u].mode", i);
		m->regions[i].mode = (enum cfg_media_mode)cfg_word(c, path, r->regions[i].mode, CFG_MEDIA_RELAY, modes);
		if (c->rc != 0)
			return;
		snprintf(path, sizeof(path), "media.regions[%u].name", i);
		if (!cfg_words_only(m->regions[i].name, 63))
			cfg_bad(c, path, "%s is not 1 to 63 of A-Z a-z 0-9 . _ -", cfg_q(m->regions[i].name));
		for (unsigned k = 0; k < i; k++)
			if (strcmp(m->regions[k].name, m->regions[i].name) == 0)
				cfg_bad(c, path, "%s is given twice", m->regions[i].name);
	}
}

/* Which suites there are is the controlplane's to know. */
static void do_suites(struct cfg_ctx *c, struct cfg *cfg, const struct raw_media *r)
{
	static char dflt[2][24] = {"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"};
	char *words[] = {dflt[0], dflt[1]};
	bool given = r->suites_count > 0;
	struct cfg_media *m = &cfg->media;

	if (!given && cfg_scan_has(c->scan, "media.suites"))
		cfg_bad(c, "media.suites", "at least one is needed");
	if (c->rc != 0)
		return;
	m->suites = cfg_texts(c, given ? r->suites : words, given ? r->suites_count : 2);
	m->suites_count = m->suites == NULL ? 0 : given ? r->suites_count : 2;
	for (unsigned i = 0; c->rc == 0 && i < m->suites_count; i++) {
		char path[60];

		snprintf(path, sizeof(path), "media.suites[%u]", i);
		if (!cfg_words_only(m->suites[i], 63))
			cfg_bad(c, path, "%s is not a suite's name", cfg_q(m->suites[i]));
		for (unsigned k = 0; k < i; k++)
			if (strcmp(m->suites[k], m->suites[i]) == 0)
				cfg_bad(c, path, "%s is given twice", m->suites[i]);
	}
}

static void do_media(struct cfg_ctx *c, struct cfg *cfg, const struct raw_media *r)
{
	struct cfg_media *m = &cfg->media;

	NUM(media, base_port, 16384, 16384, 49152);
	if (m->base_port % 16384 != 0)
		cfg_bad(c, "media.base_port", "%u is not 16384, 32768 or 49152", m->base_port);
	WORD(media, mode, CFG_MEDIA_RELAY, modes);
	NUM(media, idle_s, 300, 0, 86400);
	NUM(media, window, 192, 64, 4096);
	NUM(media, ssrc_max, 8, 1, 1024);
	NUM(media, streams, 0, 0, 4194304);
	WORD(media, plain_latch, CFG_LATCH_ADDRESS, latches);
	WORD(media, rtcp_mux, 0, cfg_truth);
	NUM(media, rate_pps, 1000, 0, 10000000);
	NUM(media, source_pps, 500, 0, 10000000);
	NUM(media, dscp, 46, 0, 63);
	NUM(media, ptime_ms, 20, 10, 60);
	if (m->ptime_ms % 10 != 0)
		cfg_bad(c, "media.ptime_ms", "%u is not a multiple of 10", m->ptime_ms);
	WORD(media, fallback, CFG_FALLBACK_RTP, fallbacks);
	do_regions(c, cfg, r);
	do_suites(c, cfg, r);
	NUM(media, rekey_s, 0, 0, 86400 * 7);
	NUM(media, latch_max, 1, 1, 65535);
	m->addresses = cfg_array(c, r->addresses_count, sizeof(*m->addresses));
	for (unsigned i = 0; c->rc == 0 && i < r->addresses_count; i++) {
		struct cfg_media_addr *a = &m->addresses[i];
		char path[60];

		m->addresses_count = i + 1;
		a->address = cfg_text(c, r->addresses[i].address, NULL);
		a->region = cfg_text(c, r->addresses[i].region, "default");
		if (c->rc != 0)
			return;
		snprintf(path, sizeof(path), "media.addresses[%u].region", i);
		if (!cfg_words_only(a->region, 63))
			cfg_bad(c, path, "%s is not 1 to 63 of A-Z a-z 0-9 . _ -", cfg_q(a->region));
		snprintf(path, sizeof(path), "media.addresses[%u].address", i);
		if (!cfg_host(c, path, a->address, false, &a->addr))
			return;
		if (!is_port_addr(cfg, &a->addr))
			cfg_bad(c, path, "%s is no address of dataplane.ports", a->address);
		for (unsigned k = 0; k < i; k++)
			if (same_ip(&m->addresses[k].addr, &a->addr))
				cfg_bad(c, path, "%s is given twice", a->address);
	}
}

static void do_auto_numbers(struct cfg_ctx *c, struct cfg_sccp *s, const char *text)
{
	struct cfg_range r = {0};

	cfg_range(c, "sccp.auto_numbers", text, 1000000, &r);
	s->auto_first = r.first;
	s->auto_last = r.last;
	s->auto_digits = r.digits;
}

static void do_sccp(struct cfg_ctx *c, struct cfg *cfg, const struct raw_sccp *r)
{
	struct cfg_sccp *s = &cfg->sccp;
	struct cfg_addr a;

	TEXT(sccp, listen, "0.0.0.0");
	TEXT(sccp, date_template, "D/M/Y");
	if (c->rc != 0)
		return;
	cfg_host(c, "sccp.listen", s->listen, false, &a);
	if (strlen(s->date_template) < 3 || strlen(s->date_template) > 6 ||
	    strspn(s->date_template, "DMYAa/-.") != strlen(s->date_template))
		cfg_bad(c, "sccp.date_template", "%s is not 3 to 6 of D M Y A / - .",
		    cfg_q(s->date_template));
	NUM(sccp, port, 2000, 0, 65535);
	NUM(sccp, tls_port, 2443, 0, 65535);
	if (s->port != 0 && s->port == s->tls_port)
		cfg_bad(c, "sccp.tls_port", "%u is sccp.port", s->tls_port);
	NUM(sccp, keepalive_s, 30, 5, 3600);
	WORD(sccp, legacy_tls, 0, cfg_truth);
	NUM(sccp, max_connections, 20000, 1, 1000000);
	NUM(sccp, max_preauth, 4096, 1, 1000000);
	NUM(sccp, handshake_s, 10, 1, 120);
	NUM(sccp, loops, 0, 0, 64);
	NUM(sccp, reset_rate, 20, 1, 10000);
	WORD(sccp, duplicate, CFG_DUPLICATE_EVICT, duplicates);
	WORD(sccp, mic_only, 1, admissions);
	NUM(sccp, register_rate, 2000, 0, 100000);
	NUM(sccp, keepalive_grace_s, (uint32_t)s->keepalive_s * 3 / 2, 0, 3600);
	if (r->auto_numbers != NULL)
		do_auto_numbers(c, s, r->auto_numbers);
}

/* credential:NAME, a file of systemd's $CREDENTIALS_DIRECTORY */
static bool is_credential(const char *text)
{
	return strncmp(text, "credential:", 11) == 0 && cfg_words_only(text + 11, 255) &&
	       text[11] != '.';
}

static void do_ident_keys(struct cfg_ctx *c, struct cfg_signer *s, const struct raw_signer *r)
{
	static const char *const names[] = {"CAPF",   "SAST1", "SAST2",   "TFTP",     "ITLRecovery", "CallManager",
					    "TVS",    "HTTPS", "TFTP-EC", "CAPF-TLS", "IPsec",       "CAPF-RA", NULL};
	static const char *const kinds[] = {"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384", NULL};
	char path[60];

	if (c->rc != 0 || r->keys_count == 0)
		return;
	s->keys = calloc(r->keys_count, sizeof(*s->keys));
	if (s->keys == NULL) {
		c->rc = -ENOMEM;
		return;
	}
	s->keys_count = r->keys_count;
	for (unsigned i = 0; i < r->keys_count && c->rc != -ENOMEM; i++) {
		struct cfg_ident_key *k = &s->keys[i];
		bool known = false, kind = false;

		k->identity = cfg_text(c, r->keys[i].identity, NULL);
		k->key = cfg_text(c, r->keys[i].key, NULL);
		if (k->identity == NULL || k->key == NULL)
			return;
		for (unsigned n = 0; names[n] != NULL; n++)
			known = known || strcmp(names[n], k->identity) == 0;
		for (unsigned n = 0; kinds[n] != NULL; n++)
			kind = kind || strcmp(kinds[n], k->key) == 0;
		snprintf(path, sizeof(path), "signer.keys[%u].identity", i);
		if (!known)
			cfg_bad(c, path, "%s is no identity of the signer", cfg_q(k->identity));
		for (unsigned n = 0; n < i; n++)
			if (strcmp(s->keys[n].identity, k->identity) == 0)
				cfg_bad(c, path, "%s is there twice", cfg_q(k->identity));
		snprintf(path, sizeof(path), "signer.keys[%u].key", i);
		if (!kind && strncmp(k->key, "pkcs11:", 7) != 0)
			cfg_bad(c, path, "%s is not rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384 or a pkcs11: URI",
				cfg_q(k->key));
		if (strstr(k->key, "pin-value") != NULL)
			cfg_bad(c, path, "a PIN does not belong in this file: use signer.pkcs11_pin");
		if (strncmp(k->key, "pkcs11:", 7) == 0 && strcmp(k->identity, "SAST1") != 0 &&
		    strcmp(k->identity, "SAST2") != 0 && strcmp(k->identity, "TFTP") != 0 &&
		    strcmp(k->identity, "ITLRecovery") != 0 && strcmp(k->identity, "CAPF") != 0)
			cfg_bad(c, path, "%s is handed to the controlplane: its key cannot be in a token",
				cfg_q(k->identity));
		/* The length of a modulus has a code in a signed file, and 3072 bits have none. */
		if ((strncmp(k->key, "ec-", 3) == 0 || strcmp(k->key, "rsa-3072") == 0) &&
		    (strncmp(k->identity, "SAST", 4) == 0 || strcmp(k->identity, "TFTP") == 0 ||
		     strcmp(k->identity, "ITLRecovery") == 0))
			cfg_bad(c, path, "%s signs lists or files: rsa-2048 or rsa-4096",
				cfg_q(k->identity));
		if (strcmp(k->identity, "TFTP-EC") == 0 && strncmp(k->key, "rsa-", 4) == 0)
			cfg_bad(c, path, "TFTP-EC is the EC certificate of the file server");
	}
}

static void do_signer(struct cfg_ctx *c, struct cfg *cfg, const struct raw_signer *r)
{
	struct cfg_signer *s = &cfg->signer;
	char *kek = NULL;

	if (c->rc == 0 && r->kek_file == NULL &&
	    asprintf(&kek, "%s/signer/kek", cfg->paths.state) < 0)
		c->rc = -ENOMEM;
	if (c->rc != 0)
		return;
	s->kek_file = kek != NULL ? kek : cfg_text(c, r->kek_file, NULL);
	TEXT(signer, pkcs11_uri, NULL);
	TEXT(signer, pkcs11_module, NULL);
	TEXT(signer, pkcs11_pin, NULL);
	do_ident_keys(c, s, r);
	TEXT(signer, cluster_name, "ravelin");
	WORD(signer, server_key, CFG_KEY_RSA_2048, key_types);
	NUM(signer, lsc_days, 1825, 1, 36500);
	NUM(signer, ca_days, 3650, 1, 36500);
	NUM(signer, server_days, 1825, 1, 36500);
	s->server_names = cfg_texts(c, r->server_names, r->server_names_count);
	s->server_names_count = s->server_names != NULL ? r->server_names_count : 0;
	s->trust = cfg_texts(c, r->trust, r->trust_count);
	s->trust_count = s->trust != NULL ? r->trust_count : 0;
	if (c->rc != 0)
		return;
	if (s->kek_file[0] != '/' && !is_credential(s->kek_file))
		cfg_bad(c, "signer.kek_file", "%s is neither an absolute path nor credential:NAME",
		    cfg_q(s->kek_file));
	if (s->pkcs11_module != NULL && s->pkcs11_module[0] != '/')
		cfg_bad(c, "signer.pkcs11_module", "%s is not an absolute path", cfg_q(s->pkcs11_module));
	if (s->pkcs11_pin != NULL && s->pkcs11_pin[0] != '/' && !is_credential(s->pkcs11_pin))
		cfg_bad(c, "signer.pkcs11_pin", "%s is neither an absolute path nor credential:NAME",
		    cfg_q(s->pkcs11_pin));
	if (s->pkcs11_uri != NULL && strncmp(s->pkcs11_uri, "pkcs11:", 7) != 0)
		cfg_bad(c, "signer.pkcs11_uri", "%s does not begin with pkcs11:", cfg_q(s->pkcs11_uri));
	if (s->pkcs11_uri != NULL && strstr(s->pkcs11_uri, "pin-value") != NULL)
		cfg_bad(c, "signer.pkcs11_uri", "a PIN does not belong in this file: use signer.pkcs11_pin");
	if (!cfg_words_only(s->cluster_name, 40))
		cfg_bad(c, "signer.cluster_name", "%s is not 1 to 40 of A-Z a-z 0-9 . _ -",
		    cfg_q(s->cluster_name));
	if (s->server_days > s->ca_days)
		cfg_bad(c, "signer.server_days", "%u is more than signer.ca_days, %u", s->server_days,
		    s->ca_days);
	for (unsigned i = 0; i < s->server_names_count; i++) {
		char path[60];
		struct cfg_addr a;

		snprintf(path, sizeof(path), "signer.server_names[%u]", i);
		if (!cfg_words_only(s->server_names[i], 253) &&
		    (cfg_addr_parse(s->server_names[i], &a) < 0 || a.port != 0 ||
		     strchr(s->server_names[i], '/')))
			cfg_bad(c, path, "%s is neither a DNS name nor an address",
			    cfg_q(s->server_names[i]));
	}
}

#define ENTITY_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"

/* [NAME@]HOST[:PORT], an address perhaps in brackets (RFC 3435 s3.2.1.3). False: it is not. */
static bool entity(const char *s, struct cfg_addr *ret_addr, bool *ret_port)
{
	const char *at = strrchr(s, '@'), *host = at != NULL ? at + 1 : s, *end = host + strcspn(host, "]"), *colon;
	char text[64], *stop;
	unsigned long port;

	if (strlen(s) > 56 || strspn(s, at != NULL ? ENTITY_CHARS "@" : ENTITY_CHARS) != strlen(s) || at == s || (at != NULL && memchr(s, '@', (size_t)(at - s)) != NULL))
		return false;
	if (*host == '[' && *end == '\0')
		return false;
	colon = strchr(*host == '[' ? end : host, ':');
	*ret_port = colon != NULL;
	port = colon != NULL ? strtoul(colon + 1, &stop, 10) : 1;
	if (port == 0 || port > 65535 || (colon != NULL && (colon[1] < '0' || colon[1] > '9' || *stop != '\0')))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(*host == '[' ? end - host - 1 : colon != NULL ? colon - host : (ptrdiff_t)strlen(host)), host + (*host == '['));
	if (cfg_addr_parse(text, ret_addr) < 0)
		ret_addr->family = 0;
	return text[0] != '\0' && (*host == '[' ? ret_addr->family != 0 && (end[1] == '\0' || end[1] == ':') : strpbrk(text, "[]") == NULL);
}

static void do_agents(struct cfg_ctx *c, struct cfg *cfg, const struct raw_mgcp *r)
{
	cfg->mgcp.agents = cfg_texts(c, r->agents, r->agents_count);
	cfg->mgcp.agents_count = cfg->mgcp.agents != NULL ? r->agents_count : 0;
	for (unsigned i = 0; c->rc == 0 && i < cfg->mgcp.agents_count; i++) {
		const char *s = cfg->mgcp.agents[i];
		struct cfg_addr a;
		char path[40];
		bool port;

		snprintf(path, sizeof(path), "mgcp.agents[%u]", i);
		if (!entity(s, &a, &port))
			cfg_bad(c, path, "%s is not [NAME@]HOST[:PORT] of 56 characters at most", cfg_q(s));
		else if (i == 0 && port)
			cfg_bad(c, path, "%s: our own name has no port: it is the one that the gateway speaks to", cfg_q(s));
		else if (i == 0 && a.family != 0 && (a.family != cfg->mgcp_local.family || memcmp(a.ip, cfg->mgcp_local.ip, sizeof(a.ip)) != 0))
			cfg_bad(c, path, "%s is not the address of mgcp.local, and the first is our own", cfg_q(s));
	}
}

static void do_mgcp(struct cfg_ctx *c, struct cfg *cfg, const struct raw_mgcp *r)
{
	TEXT(mgcp, local, NULL);
	WORD(mgcp, claim, CFG_CLAIM_PARTNERS, claims);
	NUM(mgcp, answer_s, 60, 5, 600);
	NUM(mgcp, audit_rate, 4000, 10, 100000);
	if (c->rc == 0 && cfg->mgcp.local == NULL && r->agents_count > 0)
		cfg_bad(c, "mgcp.agents", "%s is for gateways, which need mgcp.local", cfg_q(r->agents[0]));
	if (c->rc != 0 || cfg->mgcp.local == NULL ||
	    !cfg_host(c, "mgcp.local", cfg->mgcp.local, true, &cfg->mgcp_local))
		return;
	if (cfg->mgcp_local.port == 0)
		cfg->mgcp_local.port = 2727;
	if (!is_port_addr(cfg, &cfg->mgcp_local))
		cfg_bad(c, "mgcp.local", "%s is no address of dataplane.ports", cfg->mgcp.local);
	do_agents(c, cfg, r);
}

/* What a phone can dial; NULL: none. */
static void do_number(struct cfg_ctx *c, const char *key, const char *text)
{
	if (c->rc == 0 && text != NULL && (text[0] == '\0' || strlen(text) > 16 || text[strspn(text, "0123456789*#")] != '\0'))
		cfg_bad(c, key, "%s is not 1 to 16 of 0-9 * #", cfg_q(text));
}

static void do_calls(struct cfg_ctx *c, struct cfg *cfg, const struct raw_calls *r)
{
	NUM(calls, max_per_line, 4, 1, 200);
	NUM(calls, busy_trigger, 2, 1, 200);
	NUM(calls, cdr_max, 1000000, 0, 1000000000);
	NUM(calls, cdr_days, 90, 0, 36500);
	NUM(calls, interdigit_s, 4, 1, 60);
	NUM(calls, no_answer_s, 12, 1, 300);
	NUM(calls, forward_hops, 12, 0, 60);
	WORD(calls, secure_tone, CFG_TONE_LOCAL, tones);
	if (c->rc == 0 && cfg->calls.busy_trigger > cfg->calls.max_per_line)
		cfg_bad(c, "calls.busy_trigger", "%u is more than calls.max_per_line", cfg->calls.busy_trigger);
	if (r->park != NULL)
		cfg_range(c, "calls.park", r->park, 1000, &cfg->calls.park);
	NUM(calls, park_reversion_s, 60, 5, 3600);
	cfg->calls.pickup_other = cfg_texts(c, r->pickup_other, r->pickup_other_count);
	cfg->calls.pickup_other_count = cfg->calls.pickup_other != NULL ? r->pickup_other_count : 0;
	for (unsigned i = 0; i < cfg->calls.pickup_other_count; i++) {
		const char *text = cfg->calls.pickup_other[i];
		char path[40];

		snprintf(path, sizeof(path), "calls.pickup_other[%u]", i);
		if (c->rc == 0 && (text[strspn(text, "0123456789*#+ ")] != '\0' || strchr(text, ' ') == NULL || text[0] == ' ' ||
				   strstr(text, "  ") != NULL || text[strlen(text) - 1] == ' '))
			cfg_bad(c, path, "%s is not two or more numbers with a space between", cfg_q(text));
	}
	TEXT(calls, voicemail, NULL);
	TEXT(calls, mwi_on, NULL);
	TEXT(calls, mwi_off, NULL);
	do_number(c, "calls.voicemail", cfg->calls.voicemail);
	do_number(c, "calls.mwi_on", cfg->calls.mwi_on);
	do_number(c, "calls.mwi_off", cfg->calls.mwi_off);
	if (c->rc == 0 && (cfg->calls.mwi_on == NULL) != (cfg->calls.mwi_off == NULL))
		cfg_bad(c, "calls.mwi_on", "goes with calls.mwi_off");
}

static void do_capture(struct cfg_ctx *c, struct cfg *cfg, const struct raw_capture *r)
{
	struct cfg_capture *p = &cfg->capture;

	WORD(capture, enabled, 0, cfg_truth);
	WORD(capture, plain, CFG_CAPTURE_DENY, plains);
	WORD(capture, signalling, CFG_CAPTURE_DENY, signallings);
	NUM(capture, max_s, 600, 1, 86400);
	NUM(capture, max_mb, 256, 1, 1048576);
	p->directory = cfg_directory(c, "capture.directory", r->directory, cfg, "captures");
	if (c->rc != 0)
		return;
	if (p->plain == CFG_CAPTURE_ALLOW && !p->enabled)
		cfg_bad(c, "capture.plain", "allow needs capture.enabled: true");
	if (c->rc == 0 && p->signalling != CFG_CAPTURE_DENY && !p->enabled)
		cfg_bad(c, "capture.signalling", "%s needs capture.enabled: true", signallings[p->signalling]);
}

static void do_sa_key(struct cfg_ctx *c, unsigned i, const char *which, const char *text, size_t max)
{
	size_t len = text != NULL ? strlen(text) / 2 : 0;
	uint8_t bytes[64];
	char path[60];

	/* Key values are never printed. */
	snprintf(path, sizeof(path), "ipsec.sas[%u].%s", i, which);
	if (text != NULL && (len > max || cfg_hex_parse(text, bytes, len) < 0))
		cfg_bad(c, path, "not hex digits, two for each of at most %zu bytes", max);
	explicit_bzero(bytes, sizeof(bytes));
}

static void do_sa_life(struct cfg_ctx *c, unsigned i, struct cfg_sa *s, const struct raw_sa *r)
{
	const struct {
		const char *name, *hard, *soft;
		uint64_t *ret_hard, *ret_soft;
	} lives[] = {
		{"s", r->hard_s, r->soft_s, &s->hard_s, &s->soft_s},
		{"bytes", r->hard_bytes, r->soft_bytes, &s->hard_bytes, &s->soft_bytes},
		{"packets", r->hard_packets, r->soft_packets, &s->hard_packets, &s->soft_packets},
	};

	for (unsigned k = 0; k < 3; k++) {
		char path[60];

		snprintf(path, sizeof(path), "ipsec.sas[%u].hard_%s", i, lives[k].name);
		*lives[k].ret_hard = (uint64_t)cfg_num(c, path, lives[k].hard, 0, 1, INT64_MAX);
		snprintf(path, sizeof(path), "ipsec.sas[%u].soft_%s", i, lives[k].name);
		*lives[k].ret_soft = (uint64_t)cfg_num(c, path, lives[k].soft, 0, 1, INT64_MAX);
		if (c->rc == 0 && *lives[k].ret_hard != 0 && *lives[k].ret_soft > *lives[k].ret_hard)
			cfg_bad(c, path, "longer than hard_%s", lives[k].name);
	}
}

static void do_sa(struct cfg_ctx *c, struct cfg *cfg, unsigned i, const struct raw_sa *r)
{
	struct cfg_sa *s = &cfg->sas[i];
	struct cfg_addr l, m;
	char path[60];

	snprintf(path, sizeof(path), "ipsec.sas[%u].spi", i);
	s->spi = (uint32_t)cfg_num(c, path, r->spi, 0, 256, UINT32_MAX);
	s->gateway = cfg_text(c, r->gateway, NULL);
	s->direction = cfg_text(c, r->direction, NULL);
	s->mode = cfg_text(c, r->mode, NULL);
	s->algorithm = cfg_text(c, r->algorithm, NULL);
	s->key = cfg_text(c, r->key, NULL);
	s->auth_key = cfg_text(c, r->auth_key, NULL);
	s->local = cfg_text(c, r->local, NULL);
	s->remote = cfg_text(c, r->remote, NULL);
	snprintf(path, sizeof(path), "ipsec.sas[%u].esn", i);
	s->esn = cfg_word(c, path, r->esn, 0, cfg_truth) != 0;
	snprintf(path, sizeof(path), "ipsec.sas[%u].window", i);
	s->window = r->window == NULL ? 0 : (uint16_t)cfg_num(c, path, r->window, 0, 64, 4096);
	snprintf(path, sizeof(path), "ipsec.sas[%u].tfc", i);
	s->tfc = r->tfc == NULL ? 0 : (uint16_t)cfg_num(c, path, r->tfc, 0, 0, 1400);
	if (c->rc == 0 && s->tfc != 0 && (strcmp(s->direction, "out") != 0 || strcmp(s->mode, "tunnel") != 0))
		cfg_bad(c, path, "needs direction: out and mode: tunnel");
	snprintf(path, sizeof(path), "ipsec.sas[%u].keepalive", i);
	s->keepalive = cfg_word(c, path, r->keepalive, 0, cfg_truth) != 0;
	do_sa_life(c, i, s, r);
	if (c->rc != 0)
		return;
	for (unsigned k = 0; k < i; k++)
		if (cfg->sas[k].spi == s->spi && strcmp(cfg->sas[k].direction, s->direction) == 0 &&
		    (strcmp(s->direction, "in") == 0 ||
		     strcmp(cfg->sas[k].remote, s->remote) == 0)) {
			snprintf(path, sizeof(path), "ipsec.sas[%u].spi", i);
			cfg_bad(c, path, "%u is given twice", s->spi);
		}
	snprintf(path, sizeof(path), "ipsec.sas[%u].direction", i);
	if (strcmp(s->direction, "in") != 0 && strcmp(s->direction, "out") != 0)
		cfg_bad(c, path, "%s is neither in nor out", cfg_q(s->direction));
	snprintf(path, sizeof(path), "ipsec.sas[%u].mode", i);
	if (strcmp(s->mode, "transport") != 0 && strcmp(s->mode, "tunnel") != 0)
		cfg_bad(c, path, "%s is neither transport nor tunnel", cfg_q(s->mode));
	do_sa_key(c, i, "key", s->key, 36);
	do_sa_key(c, i, "auth_key", s->auth_key, 64);
	snprintf(path, sizeof(path), "ipsec.sas[%u].local", i);
	if (c->rc != 0 || !cfg_host(c, path, s->local, true, &l))
		return;
	if (!is_port_addr(cfg, &l))
		cfg_bad(c, path, "%s is no address of dataplane.ports", s->local);
	snprintf(path, sizeof(path), "ipsec.sas[%u].remote", i);
	if (!cfg_host(c, path, s->remote, true, &m))
		return;
	if (l.family != m.family || (l.port == 0) != (m.port == 0))
		cfg_bad(c, path, "family and use of a port must be as in local");
	snprintf(path, sizeof(path), "ipsec.sas[%u].keepalive", i);
	if (c->rc == 0 && s->keepalive && (l.port == 0 || strcmp(s->direction, "out") != 0))
		cfg_bad(c, path, "needs direction: out and UDP encapsulation");
}

static void do_ipsec(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ipsec *r)
{
	WORD(ipsec, old_algorithms, 0, plains);
	NUM(ipsec, dummy_pps, 0, 0, 50);
	cfg_do_policies(c, cfg, r);
	cfg->sas = cfg_array(c, r->sas_count, sizeof(*cfg->sas));
	for (unsigned i = 0; c->rc == 0 && i < r->sas_count; i++) {
		cfg->sas_count = i + 1;
		do_sa(c, cfg, i, &r->sas[i]);
	}
}

#define OR_NONE(member, type) (raw->member != NULL ? raw->member : &(struct type){0})

static int complete(const struct raw_cfg *raw, const struct cfg_scan *scan, struct cfg **ret_cfg,
                    char *err, size_t err_size)
{
	struct cfg_ctx ctx = {.scan = scan, .err = err, .err_size = err_size}, *c = &ctx;
	struct cfg *cfg = cfg_array(c, 1, sizeof(*cfg));

	if (cfg != NULL) {
		do_paths(c, cfg, OR_NONE(paths, raw_paths));
		do_log(c, cfg, OR_NONE(log, raw_log));
		do_dataplane(c, cfg, OR_NONE(dataplane, raw_dataplane));
		do_media(c, cfg, OR_NONE(media, raw_media));
		do_sccp(c, cfg, OR_NONE(sccp, raw_sccp));
		do_signer(c, cfg, OR_NONE(signer, raw_signer));
		do_mgcp(c, cfg, OR_NONE(mgcp, raw_mgcp));
		do_calls(c, cfg, OR_NONE(calls, raw_calls));
		cfg_do_conference(c, cfg, OR_NONE(conference, raw_conference));
		do_capture(c, cfg, OR_NONE(capture, raw_capture));
		cfg_do_moh(c, cfg, OR_NONE(moh, raw_moh));
		cfg_do_provision(c, cfg, OR_NONE(provision, raw_provision));
		cfg_do_ctl_provider(c, cfg, OR_NONE(ctl_provider, raw_ctl_provider));
		cfg_do_enrol(c, cfg, OR_NONE(enrol, raw_enrol));
		do_ipsec(c, cfg, OR_NONE(ipsec, raw_ipsec));
		cfg_do_ike(c, cfg, OR_NONE(ike, raw_ike));
	}
	if (ctx.rc != 0) {
		cfg_free(cfg);
		return ctx.rc;
	}
	*ret_cfg = cfg;
	return 0;
}

int cfg_load_data(const uint8_t *data, size_t len, struct cfg **ret_cfg, char *err, size_t err_size)
{
	struct raw_cfg none = {0}, *raw = NULL;
	struct cfg_scan scan;
	int rc;

	snprintf(err, err_size, "out of memory");
	rc = cfg_scan_init(&scan, data, len, err, err_size);
	if (rc == 0 && !scan.empty)
		rc = cfg_raw_load(data, len, &scan, &raw, err, err_size);
	if (rc == 0)
		rc = complete(raw != NULL ? raw : &none, &scan, ret_cfg, err, err_size);
	cfg_raw_free(raw);
	cfg_scan_fini(&scan);
	if (rc == 0)
		err[0] = '\0';
	return rc;
}

static int read_file(const char *path, uint8_t **ret_data, size_t *ret_len, char *err,
                     size_t err_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	uint8_t *data = NULL;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0) {
		rc = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	data = malloc(FILE_MAX + 1);
	if (data == NULL)
		rc = -ENOMEM;
	while (rc == 0 && len <= FILE_MAX && n > 0) {
		n = read(fd, data + len, FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			rc = -errno;
		else
			len += (size_t)n;
	}
	close(fd);
	if (rc == 0 && len > FILE_MAX)
		rc = -EINVAL;
	if (rc != 0) {
		snprintf(err, err_size, "%s: %s", path,
		         rc == -EINVAL ? "larger than 1 MiB" : strerror(-rc));
		if (data != NULL)
			explicit_bzero(data, len);
		free(data);
		return rc;
	}
	*ret_data = data;
	*ret_len = len;
	return 0;
}

int cfg_load(const char *path, struct cfg **ret_cfg, char *err, size_t err_size)
{
	uint8_t *data = NULL;
	char *inner;
	size_t len = 0;
	int rc;

	if (path == NULL)
		return cfg_load_data((const uint8_t *)"", 0, ret_cfg, err, err_size);
	rc = read_file(path, &data, &len, err, err_size);
	if (rc < 0)
		return rc;
	rc = cfg_load_data(data, len, ret_cfg, err, err_size);
	explicit_bzero(data, len);
	free(data);
	if (rc < 0 && (inner = strdup(err)) != NULL) {
		snprintf(err, err_size, "%s: %s", path, inner);
		free(inner);
	}
	return rc;
}

static void free_secret(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

void cfg_free(struct cfg *cfg)
{
	if (cfg == NULL)
		return;
	for (unsigned i = 0; i < cfg->sas_count; i++) {
		struct cfg_sa *s = &cfg->sas[i];

		free(s->gateway);
		free(s->direction);
		free(s->mode);
		free(s->algorithm);
		free_secret(s->key);
		free_secret(s->auth_key);
		free(s->local);
		free(s->remote);
	}
	free(cfg->sas);
	free(cfg->ipsec.policies);
	free(cfg->conference.meetme);
	for (unsigned i = 0; i < cfg->dataplane.ports_count; i++) {
		struct cfg_dp_port *p = &cfg->dataplane.ports[i];

		free(p->device);
		free(p->gateway);
		free(p->gateway6);
		free(p->mac);
		free(p->punt);
		cfg_free_texts(p->addresses, p->addresses_count);
	}
	free(cfg->dataplane.ports);
	free(cfg->dataplane.worker_lcores);
	free(cfg->dataplane.file_prefix);
	for (unsigned i = 0; i < cfg->media.addresses_count; i++) {
		free(cfg->media.addresses[i].address);
		free(cfg->media.addresses[i].region);
	}
	free(cfg->media.addresses);
	for (unsigned i = 0; i < cfg->media.regions_count; i++)
		free(cfg->media.regions[i].name);
	free(cfg->media.regions);
	cfg_free_texts(cfg->media.suites, cfg->media.suites_count);
	free(cfg->paths.state);
	free(cfg->paths.run);
	free(cfg->sccp.listen);
	free(cfg->sccp.date_template);
	free(cfg->signer.kek_file);
	free(cfg->signer.pkcs11_uri);
	free(cfg->signer.pkcs11_module);
	free(cfg->signer.pkcs11_pin);
	for (unsigned i = 0; i < cfg->signer.keys_count; i++) {
		free(cfg->signer.keys[i].identity);
		free(cfg->signer.keys[i].key);
	}
	free(cfg->signer.keys);
	free(cfg->signer.cluster_name);
	cfg_free_texts(cfg->signer.server_names, cfg->signer.server_names_count);
	cfg_free_texts(cfg->calls.pickup_other, cfg->calls.pickup_other_count);
	cfg_free_texts(cfg->signer.trust, cfg->signer.trust_count);
	free(cfg->mgcp.local);
	cfg_free_texts(cfg->mgcp.agents, cfg->mgcp.agents_count);
	free(cfg->calls.voicemail);
	free(cfg->calls.mwi_on);
	free(cfg->calls.mwi_off);
	free(cfg->capture.directory);
	cfg_free_moh(cfg);
	cfg_free_ike(cfg);
	cfg_free_provision(cfg);
	free(cfg);
}
