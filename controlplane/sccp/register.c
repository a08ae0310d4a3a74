/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may register: certificate, record, mode, place in a storm, and the one who is there already. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "resets.h"
#include "session.h"

#define SECONDARY_KEEPALIVE_S 60
#define PROBE_MS   2000
#define BURST_US   1000000ull /* registrations of so long may come at once */
#define BACK_MAX_S 300
#define STORM_MS   30000 /* a storm is over when nobody was held back for so long */

enum cp_session_again { FIRST, AGAIN, EVICT }; /* how a registration came here: from the phone, or after it was held */

static void go_on(struct cp_phone *p, const struct cp_sccp_register *reg, enum cp_session_again again);

static enum cp_device_mode effective(const struct cp_phone *p, const struct cp_device *dev)
{
	return p->sccp->o.device_mode != NULL ? p->sccp->o.device_mode(p->sccp->o.ctx, dev) : dev->mode;
}

int cp_session_admit(const struct cp_phone *p, const struct cp_device *dev, enum cp_phone_sec *ret_sec)
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
		/* 004b:VM-04: both ends' modes are equal, or the port does not register; a phone is let in with the alarm. */
		if (cp_vm_port_name_ok(dev->name))
			return 1 + CP_SCCP_REF_NONSECURE_TLS;
		*ret_sec = CP_PHONE_NONSECURE;
		return 0;
	}
}

static const char *refused_words(const struct cp_device *dev)
{
	if (cp_vm_port_name_ok(dev->name))
		return "a voice-mail port whose mode is not that of its server: set them equal and reset both";
	return dev->mode == CP_DEVICE_ENCRYPTED ? "an encrypted device" : "an authenticated device";
}

static void reject_text(struct cp_phone *p, const char *text)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	cp_session_send(p, buf, cp_sccp_build_register_reject(buf, text));
	cp_session_gone(p, CP_GONE_REMOVED);
}

static void reject(struct cp_phone *p, enum cp_sccp_refusal why, const char *name, const char *detail)
{
	cp_sccp_refuse(p->sccp, why, name, &p->peer.addr, detail);
	reject_text(p, cp_sccp_refusal_text(why));
}

/* The certificate must name the device, and must still be valid: a resumed TLS session did not check that again. */
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
		snprintf(detail, sizeof(detail), "certificate of %s", proven[0] != '\0' ? cfg_q(proven) : "no device");
		reject(p, CP_SCCP_REF_CERT_NAME, name, detail);
		return false;
	}
	if (s->o.cert_revoked != NULL && s->o.cert_revoked(s->o.ctx, p->peer.cert)) {
		reject(p, CP_SCCP_REF_CERT_REVOKED, name, "deleted or revoked");
		return false;
	}
	if (s->o.cert_lsc != NULL && !s->o.cert_lsc(s->o.ctx, p->peer.cert)) {
		reject(p, CP_SCCP_REF_MIC, name, "no LSC of our CAPF");
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

	cp_session_send(p, buf, cp_sccp_build_register_ack(buf, p->ver, o->keepalive_s, o->date_template, SECONDARY_KEEPALIVE_S));
	cp_session_send(p, buf, cp_sccp_build_empty(buf, p->ver, CP_SCCP_CAPABILITIES_REQ));
}

/* --- storms --- */

/*
 * A place among those who may register now: true. Else *ret_wait_s: when to come. slot_us runs ahead of the clock by what was given out
 * (GCRA); those who are turned away are promised times one after the other, so that they do not come all at once again.
 */
static bool take_place(struct cp_sccp *s, unsigned *ret_wait_s)
{
	uint64_t now = cp_sccp_now(s) * 1000, step, wait;
	char text[160];

	if (s->o.register_rate == 0)
		return true;
	step = 1000000 / s->o.register_rate;
	if (s->slot_us < now)
		s->slot_us = now;
	if (s->slot_us - now + step <= BURST_US) {
		s->slot_us += step;
		return true;
	}
	if (s->back_us < s->slot_us)
		s->back_us = s->slot_us;
	s->back_us += step;
	if (s->back_us > now + BACK_MAX_S * 1000000ull) /* enough: they are spread over the last part of it */
		s->back_us = now + BACK_MAX_S * 500000ull;
	wait = (s->back_us - now + 999999) / 1000000;
	*ret_wait_s = (unsigned)wait;
	s->stats.held_back++;
	if (s->storm_ms == 0) {
		snprintf(text, sizeof(text), "more than %u registrations a second: phones are told to come later; remedy: none needed, or sccp.register_rate",
			 (unsigned)s->o.register_rate);
		s->o.alarm(s->o.ctx, "sccp-storm", "registrations", text);
	}
	s->storm_ms = cp_sccp_now(s);
	if (s->storm_ms == 0)
		s->storm_ms = 1;
	return false;
}

void cp_session_token(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp *s = p->sccp;
	struct cp_sccp_register reg;
	const struct cp_device *dev;
	enum cp_phone_sec sec;
	uint8_t buf[CP_SCCP_BUILD_MAX];
	unsigned wait_s = 0;

	if (cp_sccp_parse_token(f, &reg) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	/* Who it is, registration decides; but a stranger takes no place, nor a secure phone's on the clear port, and nobody two. */
	dev = s->o.find_device(s->o.ctx, reg.name);
	if (!p->token && p->state != CP_SESSION_REGISTERED && dev != NULL && cp_session_admit(p, dev, &sec) == 0)
		p->token = take_place(s, &wait_s);
	if (wait_s > 0) {
		uint32_t w = wait_s;

		cp_session_send(p, buf, cp_sccp_build_words(buf, 0, CP_SCCP_TOKEN_REJECT, &w, 1));
		return;
	}
	s->stats.tokens++;
	cp_session_send(p, buf, cp_sccp_build_empty(buf, 0, CP_SCCP_TOKEN_ACK));
}

/* --- registrations that wait --- */

static int hold(struct cp_phone *p, const struct cp_sccp_register *reg, enum cp_session_hold why)
{
	if (p->reg == NULL) {
		p->reg = malloc(sizeof(*p->reg));
		if (p->reg == NULL)
			return -ENOMEM;
		*p->reg = *reg;
	}
	p->hold_why = (uint8_t)why;
	p->hold_until_ms = cp_sccp_now(p->sccp) + PROBE_MS;
	p->state = CP_SESSION_HELD;
	TAILQ_INSERT_TAIL(&p->sccp->held, p, hold);
	return 0;
}

void cp_session_unhold(struct cp_phone *p)
{
	if (p->state != CP_SESSION_HELD)
		return;
	TAILQ_REMOVE(&p->sccp->held, p, hold);
	p->state = CP_SESSION_NEW;
	free(p->reg);
	p->reg = NULL;
}

static void resume(struct cp_phone *p, enum cp_session_again again)
{
	struct cp_sccp_register reg = *p->reg;

	cp_session_unhold(p);
	go_on(p, &reg, again);
}

/* The first of that name that waits for that. */
static struct cp_phone *held(struct cp_sccp *s, enum cp_session_hold why, const char *name)
{
	struct cp_phone *p;

	TAILQ_FOREACH (p, &s->held, hold)
		if (p->hold_why == why && strcmp(p->reg->name, name) == 0)
			return p;
	return NULL;
}

void cp_session_alive(struct cp_phone *p)
{
	struct cp_phone *other;
	char name[CP_SCCP_NAME_MAX + 1];

	p->probed = false;
	memcpy(name, p->name, sizeof(name));
	while ((other = held(p->sccp, CP_HOLD_PROBE, name)) != NULL) {
		cp_session_unhold(other);
		reject(other, CP_SCCP_REF_DUPLICATE, name, "the first one answers");
	}
}

void cp_session_tick(struct cp_sccp *s)
{
	uint64_t now = cp_sccp_now(s);
	struct cp_phone *p, *next, *first;

	for (p = TAILQ_FIRST(&s->held); p != NULL; p = next) {
		next = TAILQ_NEXT(p, hold);
		if (p->hold_why != CP_HOLD_PROBE || (p->hold_until_ms > now && cp_sccp_find(s, p->reg->name) != NULL))
			continue;
		first = cp_sccp_find(s, p->reg->name);
		if (first != NULL && first->probed && cp_session_answered(first) + PROBE_MS >= p->hold_until_ms) { /* not passed on to us */
			cp_session_alive(first);
			next = TAILQ_FIRST(&s->held); /* who waited for the same is there no more */
			continue;
		}
		/* Not probed: it has just come in place of the one that was silent, and is asked in its turn. */
		resume(p, first != NULL && !first->probed ? AGAIN : EVICT);
	}
	if (s->storm_ms != 0 && now - s->storm_ms > STORM_MS) {
		s->storm_ms = 0;
		s->o.alarm(s->o.ctx, "sccp-storm", "registrations", NULL);
	}
}

void cp_sccp_auto_added(struct cp_sccp *s, const char *name, int rc)
{
	struct cp_phone *p;

	if (rc == 0)
		s->stats.auto_added++;
	while ((p = held(s, CP_HOLD_RECORD, name)) != NULL) {
		if (rc == 0) {
			resume(p, AGAIN);
			continue;
		}
		cp_session_unhold(p);
		reject(p, CP_SCCP_REF_UNKNOWN, name, "its record could not be written");
	}
}

/* No record: one may be made. True: it waits for it. */
static bool add_record(struct cp_phone *p, const struct cp_sccp_register *reg, char *why, size_t why_size)
{
	struct cp_sccp *s = p->sccp;
	int rc;

	snprintf(why, why_size, "not in the store");
	if (s->o.auto_add == NULL)
		return false;
	rc = held(s, CP_HOLD_RECORD, reg->name) != NULL ? 0 : s->o.auto_add(s->o.ctx, reg->name, reg->type, why, why_size);
	return rc == 0 && hold(p, reg, CP_HOLD_RECORD) == 0;
}

/* --- */

static void done(struct cp_phone *p, const struct cp_sccp_register *reg, const struct cp_device *dev, enum cp_phone_sec sec)
{
	static struct cfg_log_rate rate;
	struct cp_sccp *s = p->sccp;
	struct cp_phone *old;
	uint32_t skipped = 0;
	char text[64];

	memcpy(p->name, reg->name, sizeof(p->name));
	memcpy(p->load, reg->load, sizeof(p->load));
	memcpy(p->features, reg->features, sizeof(p->features));
	p->type = reg->type;
	p->ver = (uint8_t)cp_sccp_negotiate(reg->protocol);
	p->sec = (uint8_t)sec;
	p->boot = cp_reset_digest(dev);
	p->token = p->probed = false; /* the next registration takes another place */
	/* This one has proven all that can be asked of it: only now may it take another's place. */
	old = cp_sccp_find(s, p->name);
	if (old != NULL) {
		s->stats.replaced++;
		cfg_log_limited(CFG_LOG_NOTICE, "phone-replaced", "device=%s from=%s", cfg_q(p->name),
		                cfg_addr_print(&p->peer.addr, text, sizeof(text)));
		cp_session_gone(old, CP_GONE_REPLACED);
	}
	p->state = CP_SESSION_REGISTERED;
	p->registered_ms = p->last_rx_ms = cp_sccp_now(s);
	cp_sccp_index_add(s, p);
	s->stats.registers++;
	s->stats.registered[sec]++;
	p->link->authed(p->io);
	for (int i = 0; i < CP_SCCP_REF_MAX; i++)
		if (i != CP_SCCP_REF_NONSECURE_TLS && i != p->said_what) /* what it has just said of itself stands */
			s->o.alarm(s->o.ctx, cp_sccp_refusal_id((enum cp_sccp_refusal)i), p->name, NULL);
	p->said_what = CP_SCCP_REF_MAX; /* until it says it again, or registers anew without */
	if (p->peer.tls) /* what its address had been refused for, when it had no name to go by */
		cp_sccp_vouch(s, &p->peer.addr);
	if (p->peer.tls && sec == CP_PHONE_NONSECURE)
		cp_sccp_refuse(s, CP_SCCP_REF_NONSECURE_TLS, p->name, &p->peer.addr, "accepted as non-secure");
	else
		s->o.alarm(s->o.ctx, cp_sccp_refusal_id(CP_SCCP_REF_NONSECURE_TLS), p->name, NULL);
	if (cfg_log_allow(&rate, CP_SCCP_LOG_BURST, CP_SCCP_LOG_RATE, &skipped))
		cfg_log(CFG_LOG_INFO, "phone-registered", "device=%s from=%s protocol=%u security=%d tls=%s load=%s skipped=%u",
			cfg_q(p->name), cfg_addr_print(&p->peer.addr, text, sizeof(text)), (unsigned)p->ver, sec,
			p->peer.tls ? cfg_q(p->peer.tls_cipher) : "none", cfg_q(p->load), skipped);
	if (s->o.seen != NULL)
		s->o.seen(s->o.ctx, p->name, &p->peer.addr, p->peer.cert, true);
	send_register_ack(p);
	s->o.call->registered(s->o.call_ctx, p);
	cp_resetq_back(s, p);
}

/*
 * The living first one keeps its place: it is asked, with the one message that every phone answers. True: the second waits. One that
 * could not register so any more keeps nothing, nor does one that has only said its name against one that has proven it.
 */
static bool ask_first(struct cp_phone *p, const struct cp_sccp_register *reg, const struct cp_device *dev)
{
	struct cp_sccp *s = p->sccp;
	struct cp_phone *old = cp_sccp_find(s, reg->name);
	enum cp_phone_sec sec;
	uint8_t buf[CP_SCCP_BUILD_MAX];

	if (!s->o.refuse_duplicates || old == NULL)
		return false;
	if (cp_session_admit(old, dev, &sec) != 0 || (p->peer.tls && !old->peer.tls))
		return false;
	if (old->probed) /* it was asked, and has its time */
		return hold(p, reg, CP_HOLD_PROBE) == 0;
	if (cp_session_send(old, buf, cp_sccp_build_empty(buf, old->ver, CP_SCCP_CAPABILITIES_REQ)) != 0)
		return false; /* it cannot even be asked */
	if (hold(p, reg, CP_HOLD_PROBE) != 0)
		return false;
	old->probed = true;
	s->stats.probes++;
	return true;
}

static void go_on(struct cp_phone *p, const struct cp_sccp_register *reg, enum cp_session_again again)
{
	struct cp_sccp *s = p->sccp;
	const struct cp_device *dev;
	enum cp_phone_sec sec;
	unsigned wait_s = 0;
	char text[96];
	int refused;

	if (p->peer.tls && !certificate_fits(p, reg->name))
		return;
	dev = s->o.find_device(s->o.ctx, reg->name);
	if (dev == NULL) {
		if (again != FIRST || !add_record(p, reg, text, sizeof(text)))
			reject(p, CP_SCCP_REF_UNKNOWN, reg->name, again != FIRST ? "it was deleted" : text);
		return;
	}
	refused = cp_session_admit(p, dev, &sec);
	if (refused != 0) {
		reject(p, (enum cp_sccp_refusal)(refused - 1), reg->name, refused_words(dev));
		return;
	}
	if (!p->token && !take_place(s, &wait_s)) {
		snprintf(text, sizeof(text), "Busy: try in %u s", wait_s); /* no alarm of this phone: it did nothing wrong */
		reject_text(p, text);
		return;
	}
	p->token = true;
	if (again != EVICT && ask_first(p, reg, dev))
		return;
	if (take_lines(p, dev) != 0) {
		cp_session_gone(p, CP_GONE_REMOVED);
		return;
	}
	done(p, reg, dev, sec);
}

/* It registers on its connection again and again: true, too often. */
static bool too_often(struct cp_phone *p)
{
	uint64_t now = cp_sccp_now(p->sccp);
	char text[64];

	if (now - p->again_ms >= CP_SCCP_AGAIN_MS) {
		p->again_ms = now;
		p->again = 0;
	}
	if (++p->again <= CP_SCCP_AGAIN_MAX)
		return false;
	cfg_log_limited(CFG_LOG_WARN, "phone-registers-over-and-over", "device=%s from=%s", cfg_q(p->name),
			cfg_addr_print(&p->peer.addr, text, sizeof(text)));
	return true;
}

void cp_session_register(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_register reg;

	if (cp_sccp_parse_register(f, &reg) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	if (p->state == CP_SESSION_HELD) { /* it will be answered */
		p->sccp->stats.early++;
		return;
	}
	if (p->state == CP_SESSION_REGISTERED) {
		if (strcmp(p->name, reg.name) != 0 || too_often(p)) {
			cp_session_gone(p, CP_GONE_PROTOCOL);
			return;
		}
		/* It begins anew, after a restart say: with the record as it is now. */
		cp_session_leave(p, CP_GONE_REPLACED);
		p->state = CP_SESSION_NEW;
		p->user = NULL;
		p->cap_cnt = 0;
		p->token = true; /* a phone that is in is not turned away */
	}
	go_on(p, &reg, FIRST);
}
