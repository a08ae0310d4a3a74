/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of ours, built only where they may leave, and what the answer to a command says. */
#include "deliverint.h"

#include <errno.h>
#include <string.h>

#include "pkg.h"
#include "sdp.h"

/*
 * The last step before a message is built: may it leave now? With 'keys' it may only inside a live
 * SA or by the gateway's explicit setting, without keys also where clear signalling is set.
 * -ENOKEY: no.
 */
static int may_leave(struct dp_deliver *d, const struct deliver_gw *gw, bool keys, bool *ret_need_sa)
{
	uint8_t flags = gw->set.flags;

	*ret_need_sa = (keys && (flags & DP_GW_F_KEYS_CLEAR) == 0) || (flags & DP_GW_F_CLEAR) == 0;
	return *ret_need_sa && !d->ops.sa_live(d->ctx, gw->set.gw_id) ? -ENOKEY : 0;
}

static int send_now(struct dp_deliver *d, const struct deliver_gw *gw, const uint8_t *data, uint16_t len, unsigned n, bool need_sa)
{
	int rc = d->ops.send(d->ctx, gw->set.gw_id, &gw->set.local, &gw->set.remote, data, len, need_sa);

	if (rc == 0)
		d->stats.tx += n;
	else if (rc != -ENOKEY)
		d->stats.send_fail++;
	return rc == 0 || rc == -ENOKEY ? rc : -EAGAIN;
}

void dp_deliver_flush(struct dp_deliver *d)
{
	unsigned n = d->piggy_cnt;

	d->piggy_cnt = 0;
	if (n > 0) /* lost, with or without an SA: it is said again */
		(void)send_now(d, &d->gw[d->piggy_gw], d->piggy, d->piggy_len, n, d->piggy_sa);
}

/* Put a message behind those that wait for the same gateway, in the order they were made (RFC 3435 s3.5.5). */
static void send_together(struct dp_deliver *d, uint32_t peer, const struct dp_mgcp_buf *b, bool need_sa)
{
	if (d->piggy_cnt > 0 && (d->piggy_gw != peer || d->piggy_sa != need_sa || d->piggy_cnt == DP_MGCP_PIGGY_OUT ||
				 d->piggy_len + 3u + b->len > sizeof(d->piggy)))
		dp_deliver_flush(d);
	if (d->piggy_cnt == 0) {
		d->piggy_len = 0;
		d->piggy_gw = peer;
		d->piggy_sa = need_sa;
	} else {
		memcpy(d->piggy + d->piggy_len, ".\r\n", 3);
		d->piggy_len = (uint16_t)(d->piggy_len + 3);
	}
	memcpy(d->piggy + d->piggy_len, b->data, b->len);
	d->piggy_len = (uint16_t)(d->piggy_len + b->len);
	d->piggy_cnt++;
}

static int send_built(struct dp_deliver *d, uint32_t peer, const struct dp_mgcp_buf *b, bool keys, bool need_sa)
{
	const struct deliver_gw *gw = &d->gw[peer];

	if ((gw->set.flags & DP_GW_F_PIGGYBACK) != 0 && !keys && b->len <= sizeof(d->piggy)) {
		send_together(d, peer, b, need_sa);
		return 0;
	}
	if (d->piggy_cnt > 0 && d->piggy_gw == peer)
		dp_deliver_flush(d);
	return send_now(d, gw, b->data, b->len, 1, need_sa);
}

static const char *codec_name(uint8_t pt)
{
	return pt == 8 ? "PCMA" : pt == 18 ? "G729" : "PCMU";
}

/* L: p:20, a:PCMU;G729 */
static void put_local_options(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m)
{
	dp_mgcp_put(b, "L: p:");
	dp_mgcp_put_u32(b, m->ptime_ms != 0 ? m->ptime_ms : 20);
	dp_mgcp_put(b, ", a:");
	for (unsigned i = 0; i < DP_AUDIO_LIST && (i == 0 || m->audio[i] != DP_AUDIO_NONE); i++) {
		const char *name = dp_sdp_audio_name(m->audio[i]);

		dp_mgcp_put(b, i > 0 ? ";" : "");
		dp_mgcp_put(b, name != NULL ? name : codec_name(m->pt));
	}
	dp_mgcp_put(b, "\r\n");
}

static void put_if(struct dp_mgcp_buf *b, const char *name, const char *value)
{
	if (value[0] != '\0')
		dp_mgcp_put_param(b, name, value);
}

/* Whom the endpoint is to notify from now on (RFC 3435 s2.1.4, s4.1): us, at the port that the gateway speaks to. */
static void put_agent(struct dp_mgcp_buf *b, const struct deliver_gw *gw, uint8_t verb)
{
	if (gw->set.agent[0] == '\0' || (verb != DP_MGCP_RQNT && verb != DP_MGCP_CRCX && verb != DP_MGCP_MDCX))
		return;
	dp_mgcp_put(b, "N: ");
	dp_mgcp_put(b, gw->set.agent);
	dp_mgcp_put(b, ":");
	dp_mgcp_put_u32(b, gw->set.local.port);
	dp_mgcp_put(b, "\r\n");
}

static void build(struct dp_mgcp_buf *b, const struct deliver_gw *gw, const struct dp_mgcp_cmd *c,
                  uint32_t tid, const struct dp_mgcp_range *confirm, uint16_t n)
{
	bool mgcp_01 = (gw->set.flags & DP_GW_F_MGCP_01) != 0;
	const char *mode = dp_mgcp_mode_name(c->mode);

	dp_mgcp_put_command(b, c->verb, tid, c->endpoint, gw->set.domain, mgcp_01);
	if (n > 0)
		dp_mgcp_put_ranges(b, confirm, n);
	put_agent(b, gw, c->verb);
	if (c->verb == DP_MGCP_EPCF)
		dp_mgcp_put_param(b, "B", c->media.pt == 8 ? "e:A" : "e:mu");
	put_if(b, "C", c->call_id);
	put_if(b, "I", c->conn_id);
	if (c->verb == DP_MGCP_CRCX || (c->verb == DP_MGCP_MDCX && c->media.addr.family != 0))
		put_local_options(b, &c->media);
	if (mode != NULL)
		dp_mgcp_put_param(b, "M", mode);
	put_if(b, "X", c->request_id);
	put_if(b, "R", c->events);
	put_if(b, "S", c->signals);
	if (c->media.addr.family != 0) {
		dp_mgcp_put(b, "\r\n");
		dp_sdp_build(b, &c->media, tid, (gw->set.flags & DP_GW_F_X_CRYPTO) != 0);
	}
}

static void build_ask(struct dp_mgcp_buf *b, const struct deliver_gw *gw, const struct dp_mgcp_ask *a, uint32_t tid,
                      const struct dp_mgcp_range *confirm, uint16_t n)
{
	const char *s = a->params, *nl;

	dp_mgcp_put_command(b, a->verb, tid, a->endpoint, gw->set.domain, (gw->set.flags & DP_GW_F_MGCP_01) != 0);
	if (n > 0)
		dp_mgcp_put_ranges(b, confirm, n);
	if (strncmp(s, "N:", 2) != 0 && strstr(s, "\nN:") == NULL) /* unless it is said to whom else */
		put_agent(b, gw, a->verb);
	put_if(b, "C", a->call_id);
	put_if(b, "I", a->conn_id);
	put_if(b, "X", a->request_id);
	for (; (nl = strchr(s, '\n')) != NULL; s = nl + 1) {
		dp_mgcp_putn(b, s, (size_t)(nl - s));
		dp_mgcp_put(b, "\r\n");
	}
}

int dp_deliver_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try,
                       const struct dp_mgcp_range *confirm, uint16_t n)
{
	struct dp_deliver *d = ctx;
	const struct deliver_gw *gw = &d->gw[peer];
	const struct dp_mgcp_cmd *c = &d->cmd[slot].cmd;
	bool ask = c->hdr.type == DP_MSG_MGCP_ASK;
	bool keys = !ask && c->media.addr.family != 0 && c->media.suite != DP_SRTP_NONE, need_sa;
	struct dp_mgcp_buf b;
	int rc = may_leave(d, gw, keys, &need_sa);

	if (rc < 0)
		return rc;
	dp_mgcp_buf_init(&b, d->tx, sizeof(d->tx));
	if (ask)
		build_ask(&b, gw, &d->cmd[slot].ask, tid, confirm, n);
	else
		build(&b, gw, c, tid, confirm, n);
	rc = b.bad ? -EBADMSG : send_built(d, peer, &b, keys, need_sa);
	if (keys)
		explicit_bzero(d->tx, b.len);
	if (rc == 0 && try > 1)
		d->stats.retx++;
	return rc;
}

void dp_deliver_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask)
{
	struct dp_deliver *d = ctx;
	const struct deliver_gw *gw = &d->gw[peer];
	struct dp_mgcp_buf b;
	bool need_sa;

	(void)in;
	if (may_leave(d, gw, false, &need_sa) < 0)
		return; /* the gateway repeats */
	dp_mgcp_buf_init(&b, d->tx, sizeof(d->tx));
	dp_mgcp_put_response(&b, code, tid, dp_mgcp_code_text(code));
	if (code == 521)
		put_if(&b, "N", gw->set.notified);
	if (ask)
		dp_mgcp_put_ranges(&b, NULL, 0);
	send_built(d, peer, &b, false, need_sa);
}

/* --- results --- */

/* "Z: cnf/3@bridge1": a specific endpoint of this gateway. False: it is none. */
static bool read_endpoint(const struct deliver_gw *gw, const struct dp_mgcp_str *z, struct dp_mgcp_done *done)
{
	const char *at = memchr(z->s, '@', z->len);
	struct dp_mgcp_str local = {z->s, (uint16_t)(at != NULL ? at - z->s : z->len)};

	if (at != NULL) {
		struct dp_mgcp_str domain = {at + 1, (uint16_t)(z->len - local.len - 1)};

		if (!dp_mgcp_str_is(&domain, gw->set.domain))
			return false;
	}
	for (uint16_t i = 0; i < local.len; i++)
		if (local.s[i] <= 0x20 || local.s[i] >= 0x7f || local.s[i] == '*' || local.s[i] == '$')
			return false;
	return local.len > 0 && dp_mgcp_str_copy(done->endpoint, sizeof(done->endpoint), &local);
}

/* What the final answer to a command for 'endpoint' says. False: it cannot be used. */
static bool read_answer(struct dp_deliver *d, const struct deliver_gw *gw, const struct dp_mgcp_msg *m,
                        const char *endpoint, struct dp_mgcp_done *done)
{
	const struct dp_mgcp_str *id = dp_mgcp_param_find(m, DP_MGCP_P_I), *z = dp_mgcp_param_find(m, DP_MGCP_P_Z);
	bool success = m->code >= 200 && m->code < 300;
	struct dp_sdp_no no;

	dp_mgcp_str_copy(done->comment, sizeof(done->comment), &m->comment);
	if (!success)
		return true;
	if (done->verb == DP_MGCP_DLCX || done->verb == DP_MGCP_AUCX) {
		const struct dp_mgcp_str *p = dp_mgcp_param_find(m, DP_MGCP_P_P);

		if (p != NULL)
			(void)dp_mgcp_stat_parse(p, &done->stat); /* of no use: then none, the connection is gone all the same */
	}
	if (id != NULL && done->verb != DP_MGCP_AUEP) { /* there it is a list, of all connections */
		if (!dp_mgcp_id_valid(id))
			return false;
		dp_mgcp_str_copy(done->conn_id, sizeof(done->conn_id), id);
	}
	if (done->verb == DP_MGCP_CRCX && id == NULL)
		return false; /* could be neither changed nor deleted */
	/* Who named one has it, in whatever other form the gateway says its name again. */
	if (done->verb == DP_MGCP_CRCX && z != NULL && strchr(endpoint, '$') != NULL && !read_endpoint(gw, z, done))
		return false;
	if (m->sdp_cnt == 0 || (done->verb != DP_MGCP_CRCX && done->verb != DP_MGCP_MDCX))
		return true;
	if (dp_sdp_parse(m->sdp[0].s, m->sdp[0].len, &done->media, &no) < 0) {
		/* T.38, DTLS-SRTP, ICE, a suite that we have not: whoever asked is told by name. */
		static_assert(sizeof(done->comment) >= sizeof(no.text), "reason");
		memset(done->comment, 0, sizeof(done->comment));
		memcpy(done->comment, no.text, sizeof(no.text));
		d->stats.media_refused++;
		return false;
	}
	if (done->media.suite != DP_SRTP_NONE && d->rx_clear &&
	    (gw->set.flags & DP_GW_F_KEYS_CLEAR) == 0) {
		d->stats.policy++; /* others may have read that key */
		explicit_bzero(&done->media, sizeof(done->media));
		return false;
	}
	return true;
}

static void text_put(struct dp_deliver *d, const char *s, uint16_t n, bool *lost)
{
	struct dp_mgcp_text *t = &d->text;

	for (uint16_t i = 0; i < n; i++) {
		if (t->len == sizeof(t->text)) {
			*lost = *lost || d->ops.text == NULL || d->ops.text(d->ctx, t) < 0;
			t->off = (uint16_t)(t->off + t->len);
			t->len = 0;
		}
		t->text[t->len++] = (s[i] >= 0x20 && s[i] < 0x7f) || s[i] == '\n' ? s[i] : '?';
	}
}

/* What an audit answered goes up, line by line. The length of it all: of a datagram's part. */
static uint16_t tell_text(struct dp_deliver *d, const struct dp_mgcp_cmd *c, const struct dp_mgcp_msg *m)
{
	struct dp_mgcp_text *t = &d->text;
	bool lost = false;

	*t = (struct dp_mgcp_text){.hdr = {.type = DP_MSG_MGCP_TEXT, .len = sizeof(*t)}, .handle = c->handle, .gw_id = c->gw_id};
	for (uint16_t i = 0; i < m->param_cnt; i++) {
		const struct dp_mgcp_param *p = &m->param[i];

		if (p->id == DP_MGCP_P_LC || p->id == DP_MGCP_P_RC || p->id == DP_MGCP_P_K)
			continue;
		text_put(d, p->name.s, p->name.len, &lost);
		text_put(d, ": ", 2, &lost);
		text_put(d, p->value.s, p->value.len, &lost);
		text_put(d, "\n", 1, &lost);
	}
	memset(t->text + t->len, 0, sizeof(t->text) - t->len);
	if (!lost && t->len > 0 && d->ops.text != NULL)
		(void)d->ops.text(d->ctx, t);
	return (uint16_t)(t->off + t->len);
}

void dp_deliver_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end)
{
	struct dp_deliver *d = ctx;
	struct dp_mgcp_cmd *c = &d->cmd[slot].cmd;
	struct dp_mgcp_done done = {
		.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
		.handle = c->handle,
		.gw_id = c->gw_id,
		.code = end->code,
		.verb = c->verb,
		.rtt_us = end->rtt_us,
		.tries = end->tries,
	};

	if (end->rc == 0) {
		done.result = read_answer(d, &d->gw[peer], end->answer, cmd_endpoint(&d->cmd[slot]), &done) ? DP_MGCP_ANSWERED : DP_MGCP_BAD_ANSWER;
		d->stats.bad_answer += done.result == DP_MGCP_BAD_ANSWER;
		if (done.media.suite != DP_SRTP_NONE) {
			dp_deliver_learn(d, peer, DP_GW_F_X_CRYPTO, done.media.tag == 0 ? DP_GW_F_X_CRYPTO : 0);
			d->gw[peer].form_known = true;
		}
		if (c->hdr.type == DP_MSG_MGCP_ASK && done.result == DP_MGCP_ANSWERED && dp_mgcp_class(end->code) == DP_MGCP_CLASS_DONE && (c->verb == DP_MGCP_AUEP || c->verb == DP_MGCP_AUCX))
			done.text_len = tell_text(d, c, end->answer);
	} else if (end->rc == -ENOKEY) {
		done.result = DP_MGCP_NO_SA;
		d->stats.no_sa++;
	} else if (end->rc == -ECANCELED) {
		done.result = DP_MGCP_CANCELED;
	} else {
		done.result = DP_MGCP_TIMEOUT;
		d->stats.timeout++;
	}
	explicit_bzero(&d->cmd[slot], sizeof(d->cmd[slot]));
	d->ops.done(d->ctx, &done);
	explicit_bzero(&done, sizeof(done));
}
