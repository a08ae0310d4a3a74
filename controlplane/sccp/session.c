/* SPDX-License-Identifier: BSD-3-Clause */
/* A session's life, and what a phone tells call control. Registration is in register.c. */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "phonealarm.h"

#define STIMULUS_LINE         9
#define STIMULUS_VOICEMAIL    15
#define SAID_MAX              80 /* bytes kept of an alarm's text */

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
	p->said_number = -1;
	p->said_what = CP_SCCP_REF_MAX;
	return p;
}

/* No longer registered; the connection may go on. */
void cp_session_leave(struct cp_phone *p, enum cp_phone_gone why)
{
	static struct cfg_log_rate rate;
	struct cp_sccp *s = p->sccp;
	uint32_t skipped = 0;

	if (p->link->left != NULL)
		p->link->left(p->io);
	cp_sccp_index_del(s, p);
	cp_resetq_del(s, p);
	s->stats.registered[p->sec]--;
	p->state = CP_SESSION_GONE; /* down-calls from inside gone() are refused */
	if (cfg_log_allow(&rate, CP_SCCP_LOG_BURST, CP_SCCP_LOG_RATE, &skipped))
		cfg_log(CFG_LOG_INFO, "phone-gone", "device=%s why=%d skipped=%u", cfg_q(p->name), why, skipped);
	if (s->o.seen != NULL)
		s->o.seen(s->o.ctx, p->name, &p->peer.addr, NULL, false);
	s->o.call->gone(s->o.call_ctx, p, why);
}

void cp_session_gone(struct cp_phone *p, enum cp_phone_gone why)
{
	if (p->state == CP_SESSION_GONE)
		return;
	cp_session_unhold(p);
	if (p->state == CP_SESSION_REGISTERED)
		cp_session_leave(p, why);
	p->state = CP_SESSION_GONE;
	if (!p->dead)
		p->link->close(p->io);
}

void cp_session_closed(struct cp_phone *p, enum cp_phone_gone why)
{
	p->dead = true; /* the link is going: nothing more may be sent */
	cp_session_gone(p, why);
	cp_session_tap_gone(p);
	free(p->lines);
	free(p->said);
	free(p);
}

uint64_t cp_session_answered(const struct cp_phone *p)
{
	uint64_t quiet = p->link->quiet_ms != NULL ? p->link->quiet_ms(p->io) : UINT64_MAX, now = cp_sccp_now(p->sccp);

	return quiet <= now ? now - quiet : 0;
}

uint64_t cp_session_heard(const struct cp_phone *p)
{
	uint64_t answered = cp_session_answered(p);

	return answered > p->last_rx_ms ? answered : p->last_rx_ms;
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
	cp_session_tap_out(p, frame, NULL, n);
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
	else if (st.stimulus == STIMULUS_VOICEMAIL)
		o->call->softkey(o->call_ctx, p, CP_SCCP_KEY_MESSAGES, 0, 0);
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

/*
 * What it says of itself: kept for show registrations; the two of the documents are alarms (004c:TR-04, TR-05). Who it is: as registered,
 * as its certificate says, or else as it says.
 */
static void alarm_said(struct cp_phone *p, const char *text, size_t len)
{
	struct cp_sccp *s = p->sccp;
	struct cp_phone_alarm a;
	char name[CP_DEVICE_NAME_MAX] = "", detail[128];
	const char *who;

	cp_phone_alarm_parse(text, len, &a);
	free(p->said);
	p->said = strndup(text, len < SAID_MAX ? len : SAID_MAX);
	p->said_number = (int16_t)(a.number <= INT16_MAX ? a.number : -1);
	if (a.kind == CP_PHONE_ALARM_OTHER)
		return;
	if (p->name[0] == '\0' && (p->peer.cert == NULL || s->o.cert_name(p->peer.cert, name) != 0))
		name[0] = '\0';
	who = p->name[0] != '\0' ? p->name : name[0] != '\0' ? name : a.device[0] != '\0' ? a.device : NULL;
	if (a.kind == CP_PHONE_ALARM_TFTP)
		snprintf(detail, sizeof(detail), "its CTL does not name the file server %s", a.server[0] != '\0' ? a.server : "it was told of");
	else
		snprintf(detail, sizeof(detail), "it does not believe a file's signature, or its list is broken");
	p->said_what = a.kind == CP_PHONE_ALARM_TFTP ? CP_SCCP_REF_PHONE_TFTP : CP_SCCP_REF_PHONE_FILE;
	cp_sccp_refuse(s, (enum cp_sccp_refusal)p->said_what, who, &p->peer.addr, detail);
}

static void on_alarm(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_alarm a;
	char from[64], text[160];

	cfg_addr_print(&p->peer.addr, from, sizeof(from));
	p->sccp->stats.phone_alarms++;
	if (f->id == CP_SCCP_XML_ALARM) {
		alarm_said(p, (const char *)f->body, f->len);
		cfg_log_limited(CFG_LOG_NOTICE, "phone-alarm", "from=%s device=%s reason=%s xml=%s", from, cfg_q(p->name),
		                cfg_q(cp_phone_alarm_reason(p->said_number)), cfg_qn(text, sizeof(text), (const char *)f->body, f->len));
		return;
	}
	if (cp_sccp_parse_alarm(f, &a) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	alarm_said(p, a.text, strlen(a.text));
	cfg_log_limited(CFG_LOG_NOTICE, "phone-alarm", "from=%s device=%s severity=%u text=%s reason=%s p1=%u p2=%u", from, cfg_q(p->name),
	                (unsigned)a.severity, cfg_q(a.text), cfg_q(cp_phone_alarm_reason(p->said_number)), (unsigned)a.param1,
	                (unsigned)a.param2);
}

void cp_session_frame(struct cp_phone *p, const uint8_t *frame, size_t len)
{
	static const uint32_t ok = 0;
	uint8_t buf[CP_SCCP_BUILD_MAX];
	struct cp_sccp_frame f;

	if (p->state == CP_SESSION_GONE)
		return;
	if (cp_sccp_frame_parse(frame, len, &f) !=
	    0) { /* the reader checks the length: not reached from a socket */
		cp_session_gone(p, CP_GONE_PROTOCOL);
		return;
	}
	cp_session_tap_in(p, &f, frame, len);
	if (p->state == CP_SESSION_REGISTERED) {
		p->last_rx_ms = cp_sccp_now(p->sccp);
		if (p->probed)
			cp_session_alive(p);
	} else if (++p->early > CP_SCCP_EARLY_MAX) {
		cp_session_gone(p, CP_GONE_PROTOCOL);
		return;
	}
	switch (f.id) {
	case CP_SCCP_KEEPALIVE:
		cp_session_send(p, buf, cp_sccp_build_empty(buf, 0, CP_SCCP_KEEPALIVE_ACK));
		return;
	case CP_SCCP_REGISTER:
		cp_session_register(p, &f);
		return;
	case CP_SCCP_TOKEN_REQ:
		cp_session_token(p, &f);
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
