/* SPDX-License-Identifier: BSD-3-Clause */
/* The service: index of phones, refusals and their alarms, keep-alive timer, joint with net/, what
 * admin shows. */
#include "sccp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "clock.h"
#include "devtype.h"
#include "log.h"
#include "net/show.h"
#include "phonealarm.h"
#include "resets.h"
#include "session.h"

static uint64_t mono_ms(void *ctx)
{
	(void)ctx;
	return cp_mono_ms();
}

static int64_t real_ms(void *ctx)
{
	(void)ctx;
	return cp_wall_us() / 1000;
}

uint64_t cp_sccp_now(const struct cp_sccp *s)
{
	return s->o.now_ms(s->o.now_ctx);
}

/*
 * id: of the alarm. text: what the phone shows (RegisterReject, 32 bytes), "" where the handshake fails before it has asked. The rows
 * of the documents name three alarms and say nothing of refusals (004c:TR-01 to TR-03); ravelinctl shows the remedy with each.
 */
static const struct {
	const char *id, *text, *remedy;
} refusals[CP_SCCP_REF_MAX] = {
	[CP_SCCP_REF_UNKNOWN] = {"sccp-unknown-device", "No Device Entry", "ravelinctl device add, or correct the phone's name"},
	[CP_SCCP_REF_CERT_NAME] = {"sccp-cert-name", "Certificate: other device",
				   "give it an LSC of its own (ravelinctl capf set); if it is an intruder, revoke that certificate"},
	[CP_SCCP_REF_CERT_UNTRUSTED] = {"sccp-cert-untrusted", "",
					"upload its CA to CallManager-trust if it may be trusted, or give it an LSC (ravelinctl capf set)"},
	[CP_SCCP_REF_CERT_EXPIRED] = {"sccp-cert-expired", "Certificate expired", "renew its LSC (ravelinctl capf set --op install); check the clocks"},
	[CP_SCCP_REF_CERT_MISSING] = {"sccp-cert-missing", "", "give it an LSC (ravelinctl capf set), or set its mode to nonsecure"},
	[CP_SCCP_REF_CERT_INVALID] = {"sccp-cert-invalid", "", "look at the certificate (ravelinctl cert show); give it a new LSC"},
	[CP_SCCP_REF_CERT_REVOKED] = {"sccp-cert-revoked", "Certificate revoked", "get it a new LSC (ravelinctl capf set)"},
	[CP_SCCP_REF_CLEAR] = {"sccp-clear-registration", "Secure device: use TLS",
			       "reset it, so that it loads its file; see ravelinctl explain for what it gets"},
	[CP_SCCP_REF_WEAK] = {"sccp-tls-weak", "TLS without encryption", "set its mode to authenticated, or update its firmware"},
	[CP_SCCP_REF_MIC] = {"sccp-mic-only", "LSC needed", "give it an LSC (ravelinctl capf set), or sccp.mic_only: admit"},
	[CP_SCCP_REF_INCOMPATIBLE] = {"sccp-tls-incompatible", "", "update its firmware, or sccp.legacy_tls: true for 79xx phones"},
	[CP_SCCP_REF_DUPLICATE] = {"sccp-duplicate", "Registered elsewhere",
				   "find out which of the two addresses is the phone's; sccp.duplicate: evict lets the last one in"},
	[CP_SCCP_REF_PHONE_TFTP] = {"phone-tftp-not-authorized", "",
				    "look at the DHCP server's addresses, or name that server in the CTL (ravelinctl ctl tftp add)"},
	[CP_SCCP_REF_PHONE_FILE] = {"phone-file-auth", "",
				    "ravelinctl explain: what it holds and who signs; if its lists are broken, erase them at the phone, then ravelinctl trust forget"},
	[CP_SCCP_REF_NONSECURE_TLS] = {"sccp-tls-nonsecure", "", "reset it, so that it loads its file; or give it a secure mode"},
};

const char *cp_sccp_refusal_id(enum cp_sccp_refusal why)
{
	return (unsigned)why < CP_SCCP_REF_MAX ? refusals[why].id : "sccp-refused";
}

const char *cp_sccp_refusal_remedy(enum cp_sccp_refusal why)
{
	return (unsigned)why < CP_SCCP_REF_MAX ? refusals[why].remedy : "";
}

const char *cp_sccp_refusal_text(enum cp_sccp_refusal why)
{
	return (unsigned)why < CP_SCCP_REF_MAX && refusals[why].text[0] != '\0' ? refusals[why].text : "Refused";
}

/* An address becomes an alarm's subject: only so many at a time, or a stranger with many could fill
 * the list. */
static void stranger(struct cp_sccp *s, const struct cfg_addr *host)
{
	struct cfg_addr *slot = &s->strangers[s->stranger_at];
	char text[64];

	for (unsigned i = 0; i < CP_SCCP_STRANGERS; i++)
		if (s->strangers[i].family == host->family &&
		    memcmp(s->strangers[i].ip, host->ip, 16) == 0)
			return;
	if (slot->family != 0)
		for (int i = 0; i < CP_SCCP_REF_MAX; i++)
			s->o.alarm(s->o.ctx, cp_sccp_refusal_id((enum cp_sccp_refusal)i),
			           cfg_addr_print(slot, text, sizeof(text)), NULL);
	*slot = *host;
	s->stranger_at = (s->stranger_at + 1) % CP_SCCP_STRANGERS;
}

void cp_sccp_vouch(struct cp_sccp *s, const struct cfg_addr *from)
{
	struct cfg_addr host = *from;
	char text[64];

	host.port = 0;
	for (unsigned i = 0; i < CP_SCCP_STRANGERS; i++) {
		struct cfg_addr *slot = &s->strangers[i];

		if (slot->family != host.family || memcmp(slot->ip, host.ip, 16) != 0)
			continue;
		for (int k = 0; k < CP_SCCP_REF_MAX; k++)
			s->o.alarm(s->o.ctx, cp_sccp_refusal_id((enum cp_sccp_refusal)k),
			           cfg_addr_print(&host, text, sizeof(text)), NULL);
		memset(slot, 0, sizeof(*slot));
		return;
	}
}

void cp_sccp_refuse(struct cp_sccp *s, enum cp_sccp_refusal why, const char *name,
                    const struct cfg_addr *from, const char *detail)
{
	static struct cfg_log_rate rates[CP_SCCP_REF_MAX]; /* one kind cannot hide another */
	struct cfg_addr host = *from;
	char addr[64], subject[64], text[512];
	uint32_t skipped = 0;

	host.port = 0;
	cfg_addr_print(&host, addr, sizeof(addr));
	if (name != NULL && s->o.find_device(s->o.ctx, name) != NULL) {
		snprintf(subject, sizeof(subject), "%s", name);
	} else {
		snprintf(subject, sizeof(subject), "%s", addr);
		stranger(s, &host);
	}
	snprintf(text, sizeof(text), "device %s from %s: %s; remedy: %s",
	         name != NULL ? cfg_q(name) : "unknown", addr, detail, cp_sccp_refusal_remedy(why));
	s->stats.refused[why]++;
	if (cfg_log_allow(&rates[why], 5, 1, &skipped))
		cfg_log(CFG_LOG_WARN, cp_sccp_refusal_id(why),
		        "device=%s from=%s detail=%s skipped=%u",
		        name != NULL ? cfg_q(name) : "none", addr, cfg_q(detail),
		        (unsigned)skipped);
	s->o.alarm(s->o.ctx, cp_sccp_refusal_id(why), subject, text);
}

/* --- index --- */

static uint32_t bucket(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h % CP_SCCP_BUCKETS;
}

struct cp_phone *cp_sccp_find(const struct cp_sccp *s, const char *name)
{
	struct cp_phone *p;

	for (p = s->buckets[bucket(name)]; p != NULL; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

int64_t cp_sccp_registered_ms(const struct cp_sccp *s, const char *name)
{
	const struct cp_phone *p = cp_sccp_find(s, name);

	return p == NULL ? -1 : (int64_t)(cp_sccp_now(s) - p->registered_ms);
}

/* A phone silent for so long is gone. */
static uint64_t limit_ms(const struct cp_sccp *s)
{
	return ((uint64_t)s->o.keepalive_s + s->o.grace_s) * 1000;
}

static void look_at(struct cp_phone *p, uint64_t when_ms)
{
	LIST_INSERT_HEAD(&p->sccp->look[when_ms / 1000 % CP_SCCP_LOOKS], p, look);
}

void cp_sccp_index_add(struct cp_sccp *s, struct cp_phone *p)
{
	uint32_t b = bucket(p->name);

	p->next = s->buckets[b];
	s->buckets[b] = p;
	TAILQ_INSERT_TAIL(&s->all, p, all);
	look_at(p, cp_session_heard(p) + limit_ms(s));
}

void cp_sccp_index_del(struct cp_sccp *s, struct cp_phone *p)
{
	struct cp_phone **at;

	for (at = &s->buckets[bucket(p->name)]; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	TAILQ_REMOVE(&s->all, p, all);
	LIST_REMOVE(p, look);
}

/* --- life --- */

/*
 * Who has been silent for too long. A phone that speaks moves nowhere: it is only looked at when what was last known of it is that old,
 * and then goes to where it is to be looked at next.
 */
static void drop_silent(struct cp_sccp *s)
{
	uint64_t now = cp_sccp_now(s);
	struct cp_phone *p;

	for (unsigned i = 0; i < CP_SCCP_LOOKS && s->looked_s <= now / 1000; i++, s->looked_s++) {
		struct cp_looks *slot = &s->look[s->looked_s % CP_SCCP_LOOKS], due;

		due = *slot; /* apart: some come back into the same slot */
		LIST_INIT(slot);
		if (LIST_FIRST(&due) != NULL)
			LIST_FIRST(&due)->look.le_prev = &LIST_FIRST(&due);
		while ((p = LIST_FIRST(&due)) != NULL) {
			uint64_t heard = cp_session_heard(p); /* asked once: its loop may answer it meanwhile */

			if (heard + limit_ms(s) > now) {
				LIST_REMOVE(p, look);
				look_at(p, heard + limit_ms(s));
				continue;
			}
			s->stats.timeouts++;
			cfg_log_limited(CFG_LOG_WARN, "phone-silent", "device=%s silent_ms=%llu", cfg_q(p->name),
					(unsigned long long)(now - heard));
			cp_session_gone(p, CP_GONE_TIMEOUT);
		}
	}
	s->looked_s = now / 1000; /* not over yet */
}

void cp_sccp_tick(struct cp_sccp *s)
{
	drop_silent(s);
	cp_session_tick(s);
	cp_resetq_run(s);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_sccp_tick(arg);
}

int cp_sccp_create(const struct cp_sccp_opts *opts, struct cp_sccp **ret_sccp)
{
	const struct timeval second = {1, 0};
	struct cp_sccp *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->o = *opts;
	if (s->o.now_ms == NULL)
		s->o.now_ms = mono_ms;
	if (s->o.wall_ms == NULL)
		s->o.wall_ms = real_ms;
	TAILQ_INIT(&s->all);
	for (unsigned i = 0; i < CP_SCCP_LOOKS; i++)
		LIST_INIT(&s->look[i]);
	s->looked_s = cp_sccp_now(s) / 1000;
	TAILQ_INIT(&s->due);
	TAILQ_INIT(&s->held);
	if (s->o.reset_rate == 0)
		s->o.reset_rate = 20;
	s->due_rate = s->o.reset_rate;
	if (opts->base != NULL) {
		s->tick = event_new(opts->base, -1, EV_PERSIST, on_tick, s);
		if (s->tick == NULL || event_add(s->tick, &second) != 0) {
			cp_sccp_destroy(s);
			return -ENOMEM;
		}
	}
	*ret_sccp = s;
	return 0;
}

void cp_sccp_destroy(struct cp_sccp *s)
{
	struct cp_phone *p;

	if (s == NULL)
		return;
	while ((p = TAILQ_FIRST(&s->all)) != NULL)
		cp_session_gone(p, CP_GONE_REMOVED);
	if (s->tick != NULL)
		event_free(s->tick);
	free(s);
}

void cp_sccp_device_changed(struct cp_sccp *s, const char *name)
{
	const struct cp_device *dev = s->o.find_device(s->o.ctx, name);
	struct cp_phone *p = cp_sccp_find(s, name);
	enum cp_phone_sec sec;

	if (p == NULL)
		return;
	if (dev == NULL || cp_session_admit(p, dev, &sec) != 0) {
		if (dev != NULL && cp_phone_reset(p, CP_SCCP_RESET_RESET) == 0) /* its file says how to come back */
			s->stats.resets++;
		cp_session_gone(p, CP_GONE_REMOVED);
	} else {
		cp_resetq_add(s, p, cp_reset_digest(dev) != p->boot ? CP_SCCP_RESET_RESET : CP_SCCP_RESET_RESTART);
	}
}

unsigned cp_sccp_mode_changed(struct cp_sccp *s)
{
	struct cp_phone *p, *next;
	unsigned n = 0;

	for (p = TAILQ_FIRST(&s->all); p != NULL; p = next) {
		const struct cp_device *dev = s->o.find_device(s->o.ctx, p->name);
		enum cp_phone_sec sec;

		next = TAILQ_NEXT(p, all);
		if (dev != NULL && cp_session_admit(p, dev, &sec) == 0)
			continue;
		if (dev != NULL && cp_phone_reset(p, CP_SCCP_RESET_RESET) == 0) /* its file says how to come back */
			s->stats.resets++;
		cp_session_gone(p, CP_GONE_REMOVED);
		n++;
	}
	return n;
}

bool cp_sccp_certs_changed(struct cp_sccp *s, const char *name)
{
	struct cp_phone *p = cp_sccp_find(s, name);

	if (p == NULL || p->peer.cert == NULL || s->o.cert_revoked == NULL || !s->o.cert_revoked(s->o.ctx, p->peer.cert))
		return false;
	cp_sccp_refuse(s, CP_SCCP_REF_CERT_REVOKED, name, &p->peer.addr, "while it was registered");
	cp_session_gone(p, CP_GONE_REMOVED);
	return true;
}

const struct cp_sccp_stats *cp_sccp_stats(const struct cp_sccp *s)
{
	return &s->stats;
}

/* --- handshakes that failed --- */

/* The handshake failed on the certificate: nothing in it is proven, its name is only a hint for the
 * text. */
void cp_sccp_refuse_handshake(struct cp_sccp *s, const struct cfg_addr *from, enum cp_tls_fail why, int verify_err, X509 *leaf)
{
	static const enum cp_sccp_refusal map[CP_TLS_FAIL_MAX] = {
		[CP_TLS_OK] = CP_SCCP_REF_CERT_INVALID,
		[CP_TLS_FAIL_UNTRUSTED] = CP_SCCP_REF_CERT_UNTRUSTED,
		[CP_TLS_FAIL_EXPIRED] = CP_SCCP_REF_CERT_EXPIRED,
		[CP_TLS_FAIL_NO_CERT] = CP_SCCP_REF_CERT_MISSING,
		[CP_TLS_FAIL_CERT] = CP_SCCP_REF_CERT_INVALID,
		[CP_TLS_FAIL_INCOMPATIBLE] = CP_SCCP_REF_INCOMPATIBLE,
		[CP_TLS_FAIL_PROTOCOL] = CP_SCCP_REF_CERT_INVALID,
	};
	char name[CP_DEVICE_NAME_MAX] = "";

	if (leaf == NULL || s->o.cert_name(leaf, name) != 0)
		name[0] = '\0';
	cp_sccp_refuse(s, map[why], name[0] != '\0' ? name : NULL, from,
	               why == CP_TLS_FAIL_INCOMPATIBLE ? "no TLS version or cipher in common"
	               : why == CP_TLS_FAIL_NO_CERT    ? "no certificate"
	                                               : X509_verify_cert_error_string(verify_err));
}

/* --- admin --- */

static const char *sec_name(unsigned sec)
{
	return sec == CP_PHONE_ENCRYPTED       ? "encrypted"
	       : sec == CP_PHONE_AUTHENTICATED ? "authenticated"
	                                       : "nonsecure";
}

/* Outside bytes may not be UTF-8, which JSON text must be. */
static json_t *outside(const char *s)
{
	char clean[96];
	size_t n = 0;

	for (; s[n] != '\0' && n < sizeof(clean) - 1; n++)
		clean[n] = s[n] >= 0x20 && s[n] < 0x7f ? s[n] : '?';
	clean[n] = '\0';
	return json_string(clean);
}

json_t *cp_sccp_show_registrations(const struct cp_sccp *s)
{
	json_t *list = json_array();
	uint64_t now = cp_sccp_now(s), heard;
	struct cp_phone *p;

	TAILQ_FOREACH (p, &s->all, all) {
		json_t *o = json_object(), *lines = json_array(), *codecs = json_array();
		const struct cp_device *dev = s->o.find_device(s->o.ctx, p->name);
		char addr[64];

		for (unsigned i = 1; i <= p->line_cnt; i++)
			json_array_append_new(lines, json_string(cp_phone_line_number(p, i)));
		for (unsigned i = 0; i < p->cap_cnt; i++)
			json_array_append_new(codecs, json_integer(p->caps[i].codec));
		json_object_set_new(o, "device", outside(p->name));
		json_object_set_new(o, "protocol", json_string("sccp"));
		json_object_set_new(o, "address",
		                    json_string(cfg_addr_print(&p->peer.addr, addr, sizeof(addr))));
		json_object_set_new(o, "security", json_string(sec_name(p->sec)));
		json_object_set_new(o, "transport", json_string(p->peer.tls ? "tls" : "tcp"));
		json_object_set_new(o, "tls_version",
		                    p->peer.tls ? json_string(p->peer.tls_version) : json_null());
		json_object_set_new(o, "tls_cipher",
		                    p->peer.tls ? json_string(p->peer.tls_cipher) : json_null());
		json_object_set_new(o, "version", json_integer(p->ver));
		json_object_set_new(o, "type", json_integer(p->type));
		json_object_set_new(o, "load", outside(p->load));
		json_object_set_new(o, "trust", json_string(cp_devtype_trust_text(cp_devtype_find(dev != NULL ? dev->model : "", p->type))));
		json_object_set_new(o, "last_alarm", p->said != NULL ? outside(p->said) : json_null());
		json_object_set_new(o, "last_alarm_reason", p->said_number >= 0 ? json_string(cp_phone_alarm_reason(p->said_number)) : json_null());
		json_object_set_new(o, "lines", lines);
		json_object_set_new(o, "codecs", codecs);
		json_object_set_new(o, "registered_s",
		                    json_integer((json_int_t)((now - p->registered_ms) / 1000)));
		heard = cp_session_heard(p); /* its loop may have answered it after 'now' */
		json_object_set_new(o, "heard_s", json_integer(heard < now ? (json_int_t)((now - heard) / 1000) : 0));
		json_array_append_new(list, o);
	}
	return list;
}

static void set(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

json_t *cp_sccp_show_counters(const struct cp_sccp *s, const struct cp_net_stats *net)
{
	json_t *o = json_object(), *refused = json_object();

	for (int i = 0; i < CP_SCCP_REF_MAX; i++)
		set(refused, cp_sccp_refusal_id((enum cp_sccp_refusal)i), s->stats.refused[i]);
	set(o, "registers", s->stats.registers);
	set(o, "registered_encrypted", s->stats.registered[CP_PHONE_ENCRYPTED]);
	set(o, "registered_authenticated", s->stats.registered[CP_PHONE_AUTHENTICATED]);
	set(o, "registered_nonsecure", s->stats.registered[CP_PHONE_NONSECURE]);
	set(o, "replaced", s->stats.replaced);
	set(o, "tokens", s->stats.tokens);
	set(o, "held_back", s->stats.held_back);
	set(o, "probes", s->stats.probes);
	set(o, "auto_added", s->stats.auto_added);
	set(o, "unregisters", s->stats.unregisters);
	set(o, "keepalive_timeouts", s->stats.timeouts);
	set(o, "unknown_ids", s->stats.unknown_ids);
	set(o, "early", s->stats.early);
	set(o, "malformed", s->stats.malformed);
	set(o, "phone_alarms", s->stats.phone_alarms);
	set(o, "resets", s->stats.resets);
	set(o, "restarts", s->stats.restarts);
	set(o, "resets_waiting", s->due_cnt);
	set(o, "statistics_reports", s->stats.stats_reports);
	json_object_set_new(o, "refused", refused);
	if (net != NULL)
		json_object_set_new(o, "net", cp_net_show_stats(net));
	return o;
}
