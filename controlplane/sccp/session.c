/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration, and what a phone tells call control. */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "log.h"

#define SECONDARY_KEEPALIVE_S 60
#define STIMULUS_LINE         9

struct cp_phone *cp_session_open(struct cp_sccp *sccp, const struct cp_sccp_link *link, void *io,
                                 const struct cp_sccp_peer *peer)
{
	struct cp_phone *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->sccp = sccp;
	p->link = link;
	p->io = io;
	p->peer = *peer;
	p->ver = 3;
	return p;
}

/* No longer registered; the connection may go on. */
static void leave(struct cp_phone *p, enum cp_phone_gone why)
{
	struct cp_sccp *s = p->sccp;

	cp_sccp_index_del(s, p);
	s->stats.registered[p->sec]--;
	p->state = CP_SESSION_GONE; /* down-calls from inside gone() are refused */
	cfg_log(CFG_LOG_INFO, "phone-gone", "device=%s why=%d", cfg_q(p->name), why);
	if (s->o.seen != NULL)
		s->o.seen(s->o.ctx, p->name, &p->peer.addr, NULL, false);
	s->o.call->gone(s->o.call_ctx, p, why);
}

void cp_session_gone(struct cp_phone *p, enum cp_phone_gone why)
{
	if (p->state == CP_SESSION_GONE)
		return;
	if (p->state == CP_SESSION_REGISTERED)
		leave(p, why);
	p->state = CP_SESSION_GONE;
	if (!p->dead)
		p->link->close(p->io);
}

void cp_session_closed(struct cp_phone *p, enum cp_phone_gone why)
{
	p->dead = true; /* the link is going: nothing more may be sent */
	cp_session_gone(p, why);
	free(p->lines);
	free(p);
}

int cp_session_send(struct cp_phone *p, const uint8_t *frame, size_t n)
{
	if (n == 0)
		return -EINVAL;
	if (p->dead || p->state == CP_SESSION_GONE)
		return -ENOTCONN;
	if (p->link->send(p->io, frame, n, false) != 0) {
		p->dead = true;
		return -ENOTCONN;
	}
	return 0;
}

void cp_session_malformed(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	char text[64];

	p->sccp->stats.malformed++;
	cfg_log_limited(CFG_LOG_WARN, "sccp-malformed",
	                "from=%s device=%s id=0x%04x len=%zu version=%u",
	                cfg_addr_print(&p->peer.addr, text, sizeof(text)), cfg_q(p->name),
	                (unsigned)f->id, f->len, (unsigned)f->version);
}

/* --- registration --- */

static enum cp_device_mode effective(const struct cp_phone *p, const struct cp_device *dev)
{
	return p->sccp->o.device_mode != NULL ? p->sccp->o.device_mode(p->sccp->o.ctx, dev) : dev->mode;
}

int cp_session_admit(const struct cp_phone *p, const struct cp_device *dev,
                     enum cp_phone_sec *ret_sec)
{
	enum cp_device_mode mode = effective(p, dev);

	if (!p->peer.tls) {
		if (mode != CP_DEVICE_NONSECURE)
			return 1 + CP_SCCP_REF_CLEAR;
		*ret_sec = CP_PHONE_NONSECURE;
		return 0;
	}
	switch (mode) {
	case CP_DEVICE_ENCRYPTED:
		if (!p->peer.encrypts)
			return 1 + CP_SCCP_REF_WEAK;
		*ret_sec = CP_PHONE_ENCRYPTED;
		return 0;
	case CP_DEVICE_AUTHENTICATED:
		*ret_sec = CP_PHONE_AUTHENTICATED;
		return 0;
	default:
		*ret_sec = CP_PHONE_NONSECURE;
		return 0;
	}
}

static void reject(struct cp_phone *p, enum cp_sccp_refusal why, const char *name,
                   const char *detail)
{
	static const char *const texts[CP_SCCP_REF_MAX] = {
		[CP_SCCP_REF_UNKNOWN] = "No Device Entry",
		[CP_SCCP_REF_CERT_NAME] = "Certificate: other device",
		[CP_SCCP_REF_CERT_EXPIRED] = "Certificate expired",
		[CP_SCCP_REF_CERT_REVOKED] = "Certificate revoked",
		[CP_SCCP_REF_CLEAR] = "Secure device: use TLS",
		[CP_SCCP_REF_WEAK] = "TLS without encryption",
	};
	uint8_t buf[CP_SCCP_BUILD_MAX];

	cp_sccp_refuse(p->sccp, why, name, &p->peer.addr, detail);
	cp_session_send(
		p, buf,
		cp_sccp_build_register_reject(buf, texts[why] != NULL ? texts[why] : "Refused"));
	cp_session_gone(p, CP_GONE_REMOVED);
}

/* The certificate must name the device, and must still be valid: a resumed TLS session did not
 * check that again. */
static bool certificate_fits(struct cp_phone *p, const char *name)
{
	struct cp_sccp *s = p->sccp;
	char proven[CP_DEVICE_NAME_MAX] = "";
	time_t now = (time_t)(s->o.wall_ms(s->o.now_ctx) / 1000);
	char detail[128];

	if (p->peer.cert == NULL) {
		reject(p, CP_SCCP_REF_CERT_MISSING, name, "none");
		return false;
	}
	if (X509_cmp_time(X509_get0_notAfter(p->peer.cert), &now) < 0) {
		reject(p, CP_SCCP_REF_CERT_EXPIRED, name, "since the session began");
		return false;
	}
	if (s->o.cert_name(p->peer.cert, proven) != 0)
		proven[0] = '\0';
	if (strcmp(proven, name) != 0) {
		snprintf(detail, sizeof(detail), "certificate of %s",
		         proven[0] != '\0' ? cfg_q(proven) : "no device");
		reject(p, CP_SCCP_REF_CERT_NAME, name, detail);
		return false;
	}
	if (s->o.cert_revoked != NULL && s->o.cert_revoked(s->o.ctx, p->peer.cert)) {
		reject(p, CP_SCCP_REF_CERT_REVOKED, name, "get it a new LSC");
		return false;
	}
	return true;
}

static int take_lines(struct cp_phone *p, const struct cp_device *dev)
{
	unsigned n = dev->line_cnt > CP_SCCP_BUTTONS ? CP_SCCP_BUTTONS : dev->line_cnt;
	struct cp_line *lines = calloc(n > 0 ? n : 1, sizeof(*lines));

	if (lines == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(lines, dev->lines, n * sizeof(*lines));
	free(p->lines);
	p->lines = lines;
	p->line_cnt = (uint8_t)n;
	return 0;
}

static void send_register_ack(struct cp_phone *p)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	uint8_t buf[CP_SCCP_BUILD_MAX];

	cp_session_send(p, buf,
	                cp_sccp_build_register_ack(buf, p->ver, o->keepalive_s, o->date_template,
	                                           SECONDARY_KEEPALIVE_S));
	cp_session_send(p, buf, cp_sccp_build_empty(buf, p->ver, CP_SCCP_CAPABILITIES_REQ));
}

static void on_register(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp *s = p->sccp;
	struct cp_sccp_register reg;
	const struct cp_device *dev;
	struct cp_phone *old;
	enum cp_phone_sec sec;
	char text[64];
	int refused;

	if (cp_sccp_parse_register(f, &reg) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	if (p->state == CP_SESSION_REGISTERED) {
		if (strcmp(p->name, reg.name) != 0) {
			cp_session_gone(p, CP_GONE_PROTOCOL);
			return;
		}
		/* It begins anew, after a restart say: with the record as it is now. */
		leave(p, CP_GONE_REPLACED);
		p->state = CP_SESSION_NEW;
		p->user = NULL;
		p->cap_cnt = 0;
	}
	if (p->peer.tls && !certificate_fits(p, reg.name))
		return;
	dev = s->o.find_device(s->o.ctx, reg.name);
	if (dev == NULL) {
		reject(p, CP_SCCP_REF_UNKNOWN, reg.name, "not in the store");
		return;
	}
	refused = cp_session_admit(p, dev, &sec);
	if (refused != 0) {
		reject(p, (enum cp_sccp_refusal)(refused - 1), reg.name,
		       dev->mode == CP_DEVICE_ENCRYPTED ? "an encrypted device"
		                                        : "an authenticated device");
		return;
	}
	if (take_lines(p, dev) != 0) {
		cp_session_gone(p, CP_GONE_REMOVED);
		return;
	}
	memcpy(p->name, reg.name, sizeof(p->name));
	memcpy(p->load, reg.load, sizeof(p->load));
	memcpy(p->features, reg.features, sizeof(p->features));
	p->type = reg.type;
	p->ver = (uint8_t)cp_sccp_negotiate(reg.protocol);
	p->sec = (uint8_t)sec;
	/* This one has proven all that can be asked of it: only now may it take another's place. */
	old = cp_sccp_find(s, p->name);
	if (old != NULL) {
		s->stats.replaced++;
		cfg_log_limited(CFG_LOG_NOTICE, "phone-replaced", "device=%s from=%s",
		                cfg_q(p->name), cfg_addr_print(&p->peer.addr, text, sizeof(text)));
		cp_session_gone(old, CP_GONE_REPLACED);
	}
	p->state = CP_SESSION_REGISTERED;
	p->registered_ms = p->last_rx_ms = cp_sccp_now(s);
	cp_sccp_index_add(s, p);
	s->stats.registers++;
	s->stats.registered[sec]++;
	p->link->authed(p->io);
	for (int i = 0; i < CP_SCCP_REF_MAX; i++)
		if (i != CP_SCCP_REF_NONSECURE_TLS)
			s->o.alarm(s->o.ctx, cp_sccp_refusal_id((enum cp_sccp_refusal)i), p->name,
			           NULL);
	if (p->peer.tls) /* what its address had been refused for, when it had no name to go by */
		cp_sccp_vouch(s, &p->peer.addr);
	if (p->peer.tls && sec == CP_PHONE_NONSECURE)
		cp_sccp_refuse(s, CP_SCCP_REF_NONSECURE_TLS, p->name, &p->peer.addr,
		               "accepted as non-secure");
	else
		s->o.alarm(s->o.ctx, cp_sccp_refusal_id(CP_SCCP_REF_NONSECURE_TLS), p->name, NULL);
	cfg_log(CFG_LOG_INFO, "phone-registered",
	        "device=%s from=%s protocol=%u security=%d tls=%s load=%s", cfg_q(p->name),
	        cfg_addr_print(&p->peer.addr, text, sizeof(text)), (unsigned)p->ver, sec,
	        p->peer.tls ? cfg_q(p->peer.tls_cipher) : "none", cfg_q(p->load));
	if (s->o.seen != NULL)
		s->o.seen(s->o.ctx, p->name, &p->peer.addr, p->peer.cert, true);
	send_register_ack(p);
	s->o.call->registered(s->o.call_ctx, p);
}

/* --- call control --- */

static void on_orc_ack(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_media_ack a;

	if (cp_sccp_parse_orc_ack(f, &a) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	if (a.status == 0 && (a.addr.family == 0 || a.addr.port == 0)) {
		cp_session_malformed(p, f);
		a.status = 1; /* says ok, but not where: no media */
	}
	o->call->orc_ack(o->call_ctx, p, a.status, a.status == 0 ? &a.addr : NULL, a.party,
	                 a.callref);
}

static void on_quality(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_quality q;

	if (cp_sccp_parse_stats(f, &q) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	p->sccp->stats.stats_reports++;
	cfg_log_limited(
		CFG_LOG_INFO, "call-statistics",
		"device=%s callref=%u tx=%u rx=%u lost=%u jitter_ms=%u latency_ms=%u quality=%s",
		cfg_q(p->name), (unsigned)q.callref, (unsigned)q.tx_pkts, (unsigned)q.rx_pkts,
		(unsigned)q.lost, (unsigned)q.jitter, (unsigned)q.latency, cfg_q(q.quality));
}

static void on_keypad(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_keypad k;

	if (cp_sccp_parse_keypad(f, &k) != 0)
		cp_session_malformed(p, f);
	else
		o->call->digit(o->call_ctx, p, k.digit, k.line, k.callref);
}

static void on_enbloc(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_enbloc e;

	if (cp_sccp_parse_enbloc(f, &e) != 0)
		cp_session_malformed(p, f);
	else
		o->call->enbloc(o->call_ctx, p, e.number, e.line);
}

static void on_softkey(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_softkey_event k;

	if (cp_sccp_parse_softkey(f, &k) != 0)
		cp_session_malformed(p, f);
	else
		o->call->softkey(o->call_ctx, p, k.event, k.line, k.callref);
}

static void on_stimulus(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_stimulus st;

	if (cp_sccp_parse_stimulus(f, &st) != 0)
		cp_session_malformed(p, f);
	else if (st.stimulus == STIMULUS_LINE) /* a line's button takes that line off hook */
		o->call->offhook(o->call_ctx, p, st.instance, st.callref);
}

static void on_media(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_media_failure fail;
	struct cp_sccp_media_ack a;

	if (f->id == CP_SCCP_ORC_ACK)
		on_orc_ack(p, f);
	else if (f->id == CP_SCCP_SMT_ACK && cp_sccp_parse_smt_ack(f, &a) == 0)
		o->call->smt_ack(o->call_ctx, p, a.status, a.party, a.callref);
	else if (f->id == CP_SCCP_MEDIA_FAILURE && cp_sccp_parse_media_failure(f, &fail) == 0)
		o->call->media_failed(o->call_ctx, p, fail.party, fail.callref);
	else
		cp_session_malformed(p, f);
}

/* Messages of a registered phone. */
static void registered_frame(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	struct cp_sccp_hook hook;

	if (cp_session_startup(p, f))
		return;
	switch (f->id) {
	case CP_SCCP_OFF_HOOK:
		cp_sccp_parse_hook(f, &hook);
		o->call->offhook(o->call_ctx, p, hook.line, hook.callref);
		break;
	case CP_SCCP_ON_HOOK:
		cp_sccp_parse_hook(f, &hook);
		o->call->onhook(o->call_ctx, p, hook.line, hook.callref);
		break;
	case CP_SCCP_KEYPAD:
		on_keypad(p, f);
		break;
	case CP_SCCP_ENBLOC:
		on_enbloc(p, f);
		break;
	case CP_SCCP_STIMULUS:
		on_stimulus(p, f);
		break;
	case CP_SCCP_SOFTKEY_EVENT:
		on_softkey(p, f);
		break;
	case CP_SCCP_ORC_ACK:
	case CP_SCCP_SMT_ACK:
	case CP_SCCP_MEDIA_FAILURE:
		on_media(p, f);
		break;
	case CP_SCCP_STATISTICS_RES:
		on_quality(p, f);
		break;
	default:
		p->sccp->stats.unknown_ids++;
		cfg_log_limited(CFG_LOG_DEBUG, "sccp-unknown-id", "device=%s id=0x%04x len=%zu",
		                cfg_q(p->name), (unsigned)f->id, f->len);
	}
}

static void on_alarm(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_alarm a;
	char from[64], text[160];

	cfg_addr_print(&p->peer.addr, from, sizeof(from));
	p->sccp->stats.phone_alarms++;
	if (f->id == CP_SCCP_XML_ALARM) {
		cfg_log_limited(CFG_LOG_NOTICE, "phone-alarm", "from=%s device=%s xml=%s", from,
		                cfg_q(p->name),
		                cfg_qn(text, sizeof(text), (const char *)f->body, f->len));
		return;
	}
	if (cp_sccp_parse_alarm(f, &a) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	cfg_log_limited(CFG_LOG_NOTICE, "phone-alarm",
	                "from=%s device=%s severity=%u text=%s p1=%u p2=%u", from, cfg_q(p->name),
	                (unsigned)a.severity, cfg_q(a.text), (unsigned)a.param1,
	                (unsigned)a.param2);
}

void cp_session_frame(struct cp_phone *p, const uint8_t *frame, size_t len)
{
	static const uint32_t ok = 0;
	uint8_t buf[CP_SCCP_BUILD_MAX];
	struct cp_sccp_register token;
	struct cp_sccp_frame f;

	if (p->state == CP_SESSION_GONE)
		return;
	if (cp_sccp_frame_parse(frame, len, &f) !=
	    0) { /* the reader checks the length: not reached from a socket */
		cp_session_gone(p, CP_GONE_PROTOCOL);
		return;
	}
	if (p->state == CP_SESSION_REGISTERED) {
		p->last_rx_ms = cp_sccp_now(p->sccp);
		TAILQ_REMOVE(&p->sccp->lru, p, lru);
		TAILQ_INSERT_TAIL(&p->sccp->lru, p, lru);
	} else if (++p->early > CP_SCCP_EARLY_MAX) {
		cp_session_gone(p, CP_GONE_PROTOCOL);
		return;
	}
	switch (f.id) {
	case CP_SCCP_KEEPALIVE:
		cp_session_send(p, buf, cp_sccp_build_empty(buf, 0, CP_SCCP_KEEPALIVE_ACK));
		return;
	case CP_SCCP_REGISTER:
		on_register(p, &f);
		return;
	case CP_SCCP_TOKEN_REQ: /* there is room; who it is, registration decides */
		if (cp_sccp_parse_token(&f, &token) != 0)
			cp_session_malformed(p, &f);
		else
			cp_session_send(p, buf, cp_sccp_build_empty(buf, 0, CP_SCCP_TOKEN_ACK));
		return;
	case CP_SCCP_UNREGISTER:
		p->sccp->stats.unregisters += p->state == CP_SESSION_REGISTERED;
		cp_session_send(p, buf,
		                cp_sccp_build_words(buf, 0, CP_SCCP_UNREGISTER_ACK, &ok, 1));
		cp_session_gone(p, CP_GONE_UNREGISTERED);
		return;
	case CP_SCCP_ALARM:
	case CP_SCCP_XML_ALARM:
		on_alarm(p, &f);
		return;
	case CP_SCCP_IP_PORT:
		return; /* base of the phone's RTP ports: the channel acknowledgements say the port
		         */
	default:
		break;
	}
	if (p->state == CP_SESSION_REGISTERED)
		registered_frame(p, &f);
	else
		p->sccp->stats.early++;
}
