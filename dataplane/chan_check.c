/* SPDX-License-Identifier: BSD-3-Clause */
/* Every field of every command of api/dp_msg.h. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "chan.h"
#include "dp_esp.h"
#include "dp_suite.h"
#include "ipsec/iphdr.h"
#include "mgcp/pkg.h"
#include "mgcp/sdp.h"
#include "parse.h"

uint16_t dp_chan_size(uint16_t type)
{
	return type < DP_MSG_REPLY ? dp_msg_size(type) : 0; /* replies and events come from us */
}

static bool zero(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t or = 0;

	for (size_t i = 0; i < len; i++)
		or |= b[i];
	return or == 0;
}

/* An address that packets can go to or come from; 'none': may be absent; 'port': 0 may not, -1 must not, 1 must be set. */
static bool addr(const struct dp_sockaddr *a, bool none, int port)
{
	if (!zero(a->zero, sizeof(a->zero)))
		return false;
	if (a->family == 0)
		return none && zero(a, sizeof(*a));
	if (a->family == 4) {
		if (!zero(a->ip + 4, 12) || a->ip[0] == 0 || a->ip[0] == 127 || a->ip[0] >= 224)
			return false;
	} else if (a->family == 6) {
		if (a->ip[0] == 0xff || zero(a->ip, 16))
			return false;
	} else {
		return false;
	}
	return port == 0 || (a->port != 0) == (port > 0);
}

/* NUL-terminated, printable, zero behind the end, so that no byte goes unchecked. */
static bool text(const char *s, size_t size, bool empty)
{
	size_t n = strnlen(s, size);

	if (n == size || (n == 0 && !empty))
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return zero(s + n, size - n);
}

#define REFUSE(type, field) return (int)offsetof(struct type, field)

/* Each returns -1, or the offset of the field that does not fit. */

static int hello(const struct dp_hello *m)
{
	if (m->version != DP_MSG_VERSION)
		REFUSE(dp_hello, version);
	if (m->zero != 0)
		REFUSE(dp_hello, zero);
	if (m->epoch == 0)
		REFUSE(dp_hello, epoch);
	return -1;
}

static int leg_set(const struct dp_chan_lim *lim, const struct dp_leg_set *m)
{
	if (m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_leg_set, leg_id);
	if (m->peer_id != UINT32_MAX && (m->peer_id >= lim->leg_id_cnt || m->peer_id == m->leg_id ||
					 DP_LEG_SHARD(m->peer_id) != DP_LEG_SHARD(m->leg_id)))
		REFUSE(dp_leg_set, peer_id);
	if (m->rx_suite >= DP_SRTP_SUITE_MAX)
		REFUSE(dp_leg_set, rx_suite);
	if (m->tx_suite >= DP_SRTP_SUITE_MAX)
		REFUSE(dp_leg_set, tx_suite);
	if (m->latch >= DP_LATCH_MAX || (m->latch == DP_LATCH_AUTH && m->rx_suite == DP_SRTP_NONE))
		REFUSE(dp_leg_set, latch);
	if ((m->flags & ~DP_LEG_F_ALL) != 0)
		REFUSE(dp_leg_set, flags);
	if (!addr(&m->remote, true, 1))
		REFUSE(dp_leg_set, remote);
	if (!addr(&m->remote_rtcp, true, 1) ||
	    (m->remote_rtcp.family != 0 && m->remote_rtcp.family != m->remote.family))
		REFUSE(dp_leg_set, remote_rtcp);
	if (m->dscp > 63)
		REFUSE(dp_leg_set, dscp);
	if (m->codec >= DP_CODEC_MAX)
		REFUSE(dp_leg_set, codec);
	if (m->pt_map_cnt > DP_PT_MAP_MAX)
		REFUSE(dp_leg_set, pt_map_cnt);
	if (m->ssrc_max > DP_SSRC_MAX)
		REFUSE(dp_leg_set, ssrc_max);
	if (m->clock_hz > 192000)
		REFUSE(dp_leg_set, clock_hz);
	for (unsigned int i = 0; i < DP_PT_MAP_MAX; i++) {
		if (m->pt_map[i].from > 127 || m->pt_map[i].to > 127 ||
		    (i >= m->pt_map_cnt && (m->pt_map[i].from != 0 || m->pt_map[i].to != 0)))
			REFUSE(dp_leg_set, pt_map);
		for (unsigned int k = 0; k < i && i < m->pt_map_cnt; k++)
			if (m->pt_map[k].from == m->pt_map[i].from)
				REFUSE(dp_leg_set, pt_map);
	}
	return -1;
}

static int leg_key(const struct dp_chan_lim *lim, const struct dp_leg_key *m)
{
	const struct dp_suite *suite = dp_suite(m->suite);

	if (m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_leg_key, leg_id);
	if (suite == NULL)
		REFUSE(dp_leg_key, suite);
	if (m->dir > DP_DIR_SEND)
		REFUSE(dp_leg_key, dir);
	if (m->mki_len > DP_SRTP_MKI_MAX)
		REFUSE(dp_leg_key, mki_len);
	if (m->kdr > 24)
		REFUSE(dp_leg_key, kdr);
	if (m->overlap_ms > 60000)
		REFUSE(dp_leg_key, overlap_ms);
	if (m->index_floor >> 48 != 0)
		REFUSE(dp_leg_key, index_floor);
	if (m->rtcp_floor >> 31 != 0)
		REFUSE(dp_leg_key, rtcp_floor);
	if (m->lifetime > (uint64_t)1 << 48)
		REFUSE(dp_leg_key, lifetime);
	/* RFC 3711 s8.1.1: either an MKI or <From,To> names the key. */
	if (m->from >> 48 != 0 || (m->to == 0 && m->from != 0) || (m->to != 0 && m->mki_len != 0))
		REFUSE(dp_leg_key, from);
	if (m->to >> 48 != 0 || m->to < m->from)
		REFUSE(dp_leg_key, to);
	if ((m->flags & ~DP_KEY_F_ALL) != 0 || ((m->flags & DP_KEY_F_STANDBY) != 0 && (m->flags & DP_KEY_F_ADD) == 0))
		REFUSE(dp_leg_key, flags);
	if (m->roc != 0 && (m->flags & DP_KEY_F_HAVE_ROC) == 0)
		REFUSE(dp_leg_key, roc);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_leg_key, zero);
	if (!zero(m->key + suite->key_len, sizeof(m->key) - suite->key_len))
		REFUSE(dp_leg_key, key);
	if (!zero(m->salt + suite->salt_len, sizeof(m->salt) - suite->salt_len))
		REFUSE(dp_leg_key, salt);
	if (!zero(m->zero2, sizeof(m->zero2)))
		REFUSE(dp_leg_key, zero2);
	if (!zero(m->mki + m->mki_len, sizeof(m->mki) - m->mki_len))
		REFUSE(dp_leg_key, mki);
	return -1;
}

static int key_del(const struct dp_chan_lim *lim, const struct dp_key_del *m)
{
	if (m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_key_del, leg_id);
	if (m->dir > DP_DIR_SEND)
		REFUSE(dp_key_del, dir);
	if (m->mki_len == 0 || m->mki_len > DP_SRTP_MKI_MAX)
		REFUSE(dp_key_del, mki_len);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_key_del, zero);
	if (!zero(m->mki + m->mki_len, sizeof(m->mki) - m->mki_len))
		REFUSE(dp_key_del, mki);
	return -1;
}

static int shard_move(const struct dp_shard_move *m)
{
	if (m->shard >= DP_SHARDS)
		REFUSE(dp_shard_move, shard);
	return -1; /* how many workers there are is the node's to know */
}

/* A name within one directory, never a way out of it. */
static bool file_name(const char *s, size_t size)
{
	return text(s, size, false) && s[0] != '.' &&
	       s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

static int music_set(const struct dp_music_set *m)
{
	if (!text(m->name, sizeof(m->name), false))
		REFUSE(dp_music_set, name);
	for (unsigned int i = 0; i < DP_MUSIC_FILE_CNT; i++)
		if (!zero(m->file[i], sizeof(m->file[i])) && !file_name(m->file[i], sizeof(m->file[i])))
			return (int)(offsetof(struct dp_music_set, file) + i * sizeof(m->file[i]));
	return -1;
}

static int leg_music(const struct dp_chan_lim *lim, const struct dp_leg_music *m)
{
	bool on = m->name[0] != '\0';

	if (m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_leg_music, leg_id);
	if (m->codec >= DP_MUSIC_CODEC_MAX)
		REFUSE(dp_leg_music, codec);
	if (m->pt > 127)
		REFUSE(dp_leg_music, pt);
	if (on ? m->ptime_ms == 0 || m->ptime_ms > 60 || m->ptime_ms % 10 != 0 : m->ptime_ms != 0)
		REFUSE(dp_leg_music, ptime_ms);
	if (m->zero != 0 || (!on && (m->codec | m->pt) != 0))
		REFUSE(dp_leg_music, zero);
	if (!text(m->name, sizeof(m->name), true))
		REFUSE(dp_leg_music, name);
	return -1;
}

static int capture(const struct dp_chan_lim *lim, const struct dp_capture *m)
{
	if (m->id == 0)
		REFUSE(dp_capture, id);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_capture, zero);
	if (m->max_bytes == 0) /* an end: the rest is not read, and not there */
		return zero(&m->leg_id, sizeof(*m) - offsetof(struct dp_capture, leg_id)) ?
			       -1 : (int)offsetof(struct dp_capture, max_bytes);
	if (m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_capture, leg_id);
	if (m->side != DP_CAPTURE_CIPHER && m->side != DP_CAPTURE_PLAIN)
		REFUSE(dp_capture, side);
	if (m->max_s == 0)
		REFUSE(dp_capture, max_s);
	if (!file_name(m->name, sizeof(m->name)))
		REFUSE(dp_capture, name);
	return -1;
}

static int trace(const struct dp_chan_lim *lim, const struct dp_trace *m)
{
	if (m->id == 0)
		REFUSE(dp_trace, id);
	if (m->count > 10000)
		REFUSE(dp_trace, count);
	if (m->leg_id != UINT32_MAX && m->leg_id >= lim->leg_id_cnt)
		REFUSE(dp_trace, leg_id);
	if (m->drops_only > 1)
		REFUSE(dp_trace, drops_only);
	if (m->zero != 0)
		REFUSE(dp_trace, zero);
	if (!addr(&m->src, true, 0))
		REFUSE(dp_trace, src);
	return -1;
}

static int obj(const struct dp_chan_lim *lim, const struct dp_obj *m)
{
	uint32_t max = m->kind == DP_OBJ_LEG ? lim->leg_id_cnt : m->kind == DP_OBJ_SA ? DP_SA_MAX : DP_GW_MAX;
	bool fits;

	switch (m->hdr.type) {
	case DP_MSG_LEG_DEL:
		fits = m->kind == DP_OBJ_LEG;
		break;
	case DP_MSG_SA_DEL:
		fits = m->kind == DP_OBJ_SA;
		break;
	case DP_MSG_GW_DEL:
		fits = m->kind == DP_OBJ_GW;
		break;
	default:
		fits = m->kind >= DP_OBJ_LEG && m->kind <= DP_OBJ_GW;
	}
	if (!fits)
		REFUSE(dp_obj, kind);
	if (m->id >= max)
		REFUSE(dp_obj, id);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_obj, zero);
	return -1;
}

static int sa_set(const struct dp_sa_set *m)
{
	const struct dp_esp_suite *suite = dp_esp_suite(m->alg);

	if (m->sa_id >= DP_SA_MAX)
		REFUSE(dp_sa_set, sa_id);
	if (m->spi <= 255)
		REFUSE(dp_sa_set, spi);
	if (m->gw_id != UINT32_MAX && m->gw_id >= DP_GW_MAX)
		REFUSE(dp_sa_set, gw_id);
	if (m->dir > DP_DIR_SEND)
		REFUSE(dp_sa_set, dir);
	if (suite == NULL)
		REFUSE(dp_sa_set, alg);
	if (m->mode == 0 || m->mode >= DP_ESP_MODE_MAX)
		REFUSE(dp_sa_set, mode);
	if (m->esn > 1)
		REFUSE(dp_sa_set, esn);
	if (!addr(&m->local, false, 0))
		REFUSE(dp_sa_set, local);
	if (!addr(&m->remote, false, 0) || m->remote.family != m->local.family ||
	    (m->remote.port != 0) != (m->local.port != 0))
		REFUSE(dp_sa_set, remote);
	/* Selectors may be any range, 0.0.0.0/0 too: their own rules are the SA's (dp_sa_init). */
	if (m->sel_local.family != 0 && m->sel_local.family != 4 && m->sel_local.family != 6)
		REFUSE(dp_sa_set, sel_local);
	if (!zero(m->sel_local.zero, sizeof(m->sel_local.zero)))
		REFUSE(dp_sa_set, sel_local);
	if ((m->sel_remote.family != 0 && m->sel_remote.family != 4 && m->sel_remote.family != 6) ||
	    !zero(m->sel_remote.zero, sizeof(m->sel_remote.zero)))
		REFUSE(dp_sa_set, sel_remote);
	if (m->sel_local_plen > (m->sel_local.family == 4 ? 32 : 128))
		REFUSE(dp_sa_set, sel_local_plen);
	if (m->sel_remote_plen > (m->sel_remote.family == 4 ? 32 : 128))
		REFUSE(dp_sa_set, sel_remote_plen);
	if (m->shard >= DP_SHARDS || (m->dir == DP_DIR_RECV && m->spi % DP_SHARDS != m->shard))
		REFUSE(dp_sa_set, shard);
	if (m->hard_bytes != 0 && m->soft_bytes > m->hard_bytes)
		REFUSE(dp_sa_set, soft_bytes);
	if (m->hard_s != 0 && m->soft_s > m->hard_s)
		REFUSE(dp_sa_set, soft_s);
	if (m->hard_pkts != 0 && m->soft_pkts > m->hard_pkts)
		REFUSE(dp_sa_set, soft_pkts);
	if (m->replay_window != 0 && (m->replay_window < DP_SA_WINDOW_MIN || m->replay_window > DP_SA_WINDOW_MAX))
		REFUSE(dp_sa_set, replay_window);
	if (!zero(m->key + suite->key_len, sizeof(m->key) - suite->key_len))
		REFUSE(dp_sa_set, key);
	if (!zero(m->auth + suite->auth_len, sizeof(m->auth) - suite->auth_len))
		REFUSE(dp_sa_set, auth);
	if (!zero(m->salt + suite->salt_len, sizeof(m->salt) - suite->salt_len))
		REFUSE(dp_sa_set, salt);
	if (m->tfc > DP_SA_TFC_MAX || (m->tfc != 0 && (m->dir != DP_DIR_SEND || m->mode != DP_ESP_TUNNEL)))
		REFUSE(dp_sa_set, tfc);
	if ((m->flags & ~DP_SA_F_ALL) != 0 || ((m->flags & DP_SA_F_KEEPALIVE) != 0 && (m->dir != DP_DIR_SEND || m->local.port == 0)))
		REFUSE(dp_sa_set, flags);
	if (m->zero != 0)
		REFUSE(dp_sa_set, zero);
	return -1;
}

/* An address range; family 0: any, and all zero. */
static bool prefix(const struct dp_sockaddr *a, uint8_t plen)
{
	uint8_t bits = a->family == 4 ? 32 : 128;

	if (a->family == 0)
		return zero(a, sizeof(*a)) && plen == 0;
	if ((a->family != 4 && a->family != 6) || a->port != 0 || !zero(a->zero, sizeof(a->zero)) || plen > bits)
		return false;
	for (unsigned int i = plen; i < 128; i++)
		if ((a->ip[i / 8] >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

static int spd_set(const struct dp_spd_set *m)
{
	bool ports = dp_iphdr_has_ports(m->proto), icmp = m->proto == DP_PROTO_ICMP || m->proto == DP_PROTO_ICMP6;
	bool protect = m->action == DP_SPD_PROTECT;

	if (m->pos >= DP_SPD_MAX)
		REFUSE(dp_spd_set, pos);
	if (m->dirs == 0 || (m->dirs & ~(DP_SPD_IN | DP_SPD_OUT)) != 0)
		REFUSE(dp_spd_set, dirs);
	if (m->action == 0 || m->action >= DP_SPD_ACTION_MAX)
		REFUSE(dp_spd_set, action);
	if (m->df >= DP_SPD_DF_MAX || (m->df != 0 && !protect))
		REFUSE(dp_spd_set, df);
	if (protect ? m->dscp > 63 && m->dscp != DP_SPD_DSCP_COPY : m->dscp != 0)
		REFUSE(dp_spd_set, dscp);
	if (!prefix(&m->local, m->local_plen))
		REFUSE(dp_spd_set, local);
	if (!prefix(&m->remote, m->remote_plen) ||
	    (m->local.family != 0 && m->remote.family != 0 && m->local.family != m->remote.family))
		REFUSE(dp_spd_set, remote);
	if (m->local_lo > m->local_hi || (!ports && (m->local_lo != 0 || m->local_hi != UINT16_MAX)))
		REFUSE(dp_spd_set, local_lo);
	if (m->remote_lo > m->remote_hi || (!ports && (m->remote_lo != 0 || m->remote_hi != UINT16_MAX)))
		REFUSE(dp_spd_set, remote_lo);
	if (m->icmp_lo > m->icmp_hi || (!icmp && (m->icmp_lo != 0 || m->icmp_hi != UINT8_MAX)))
		REFUSE(dp_spd_set, icmp_lo);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_spd_set, zero);
	return -1;
}

static int spd_commit(const struct dp_spd_commit *m)
{
	if (m->count > DP_SPD_MAX)
		REFUSE(dp_spd_commit, count);
	if (m->zero != 0)
		REFUSE(dp_spd_commit, zero);
	return -1;
}

static int sa_grant(const struct dp_sa_grant *m)
{
	if (m->sa_id >= DP_SA_MAX)
		REFUSE(dp_sa_grant, sa_id);
	if (m->spi <= 255)
		REFUSE(dp_sa_grant, spi);
	return -1;
}

static int gw_set(const struct dp_gw_set *m)
{
	if (m->gw_id >= DP_GW_MAX)
		REFUSE(dp_gw_set, gw_id);
	if (m->shard >= DP_SHARDS)
		REFUSE(dp_gw_set, shard);
	if ((m->flags & ~DP_GW_F_ALL) != 0)
		REFUSE(dp_gw_set, flags);
	if (m->other_port != 0 && ((m->flags & DP_GW_F_AUTO) == 0 || m->other_port == m->local.port))
		REFUSE(dp_gw_set, other_port);
	if (!text(m->notified, sizeof(m->notified), true) || strchr(m->notified, ' ') != NULL)
		REFUSE(dp_gw_set, notified);
	if (!text(m->agent, sizeof(m->agent), true) || strchr(m->agent, ' ') != NULL)
		REFUSE(dp_gw_set, agent);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_gw_set, zero);
	if (!addr(&m->remote, false, 1))
		REFUSE(dp_gw_set, remote);
	if (!addr(&m->local, false, 1) || m->local.family != m->remote.family)
		REFUSE(dp_gw_set, local);
	/* A name in an MGCP line: the worker would not take it otherwise. */
	if (!text(m->domain, sizeof(m->domain), false) || strpbrk(m->domain, " @") != NULL)
		REFUSE(dp_gw_set, domain);
	return -1;
}

static bool verb_out(uint8_t verb)
{
	return verb == DP_MGCP_EPCF || verb == DP_MGCP_CRCX || verb == DP_MGCP_MDCX || verb == DP_MGCP_DLCX ||
	       verb == DP_MGCP_RQNT || verb == DP_MGCP_AUEP || verb == DP_MGCP_AUCX;
}

static bool media(const struct dp_mgcp_media *d)
{
	const struct dp_suite *suite = dp_suite(d->suite);
	uint8_t key_len = suite != NULL ? suite->key_len : 0, salt_len = suite != NULL ? suite->salt_len : 0;

	if (d->addr.family == 0)
		return zero(d, sizeof(*d));
	if (suite == NULL && (d->suite != DP_SRTP_NONE || d->mki_len != 0 || d->kdr != 0 || d->lifetime != 0 ||
			      d->flags != 0))
		return false;
	return addr(&d->addr, true, 1) && dp_sdp_audio_ok(d) && d->zero2 == 0 && d->pt <= 127 && d->telephone_event <= 127 && d->zero == 0 &&
	       d->mki_len <= sizeof(d->mki) && d->kdr <= 24 && d->lifetime <= 48 &&
	       (d->flags & ~DP_MGCP_SRTP_ALL) == 0 &&
	       (d->mki_len == sizeof(d->mki) || d->mki >> 8 * d->mki_len == 0) &&
	       zero(d->key + key_len, sizeof(d->key) - key_len) && zero(d->salt + salt_len, sizeof(d->salt) - salt_len);
}

static int mgcp_cmd(const struct dp_mgcp_cmd *m)
{
	const struct dp_mgcp_media *d = &m->media;

	if (m->gw_id >= DP_GW_MAX)
		REFUSE(dp_mgcp_cmd, gw_id);
	if (!verb_out(m->verb))
		REFUSE(dp_mgcp_cmd, verb);
	if (m->mode >= DP_MGCP_M_MAX)
		REFUSE(dp_mgcp_cmd, mode);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_mgcp_cmd, zero);
	if (!media(d))
		REFUSE(dp_mgcp_cmd, media);
	if (!text(m->endpoint, sizeof(m->endpoint), false))
		REFUSE(dp_mgcp_cmd, endpoint);
	if (!text(m->call_id, sizeof(m->call_id), true))
		REFUSE(dp_mgcp_cmd, call_id);
	if (!text(m->conn_id, sizeof(m->conn_id), true))
		REFUSE(dp_mgcp_cmd, conn_id);
	if (!text(m->request_id, sizeof(m->request_id), true))
		REFUSE(dp_mgcp_cmd, request_id);
	if (!text(m->events, sizeof(m->events), true))
		REFUSE(dp_mgcp_cmd, events);
	if (!text(m->signals, sizeof(m->signals), true))
		REFUSE(dp_mgcp_cmd, signals);
	if (!zero(m->zero2, sizeof(m->zero2)))
		REFUSE(dp_mgcp_cmd, zero2);
	return -1;
}

static int mgcp_ask(const struct dp_mgcp_ask *m)
{
	uint32_t pkgs;
	size_t n = strnlen(m->params, sizeof(m->params));

	if (m->gw_id >= DP_GW_MAX)
		REFUSE(dp_mgcp_ask, gw_id);
	if (!verb_out(m->verb) || m->verb == DP_MGCP_CRCX || m->verb == DP_MGCP_MDCX)
		REFUSE(dp_mgcp_ask, verb);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_mgcp_ask, zero);
	if (!text(m->endpoint, sizeof(m->endpoint), false))
		REFUSE(dp_mgcp_ask, endpoint);
	if (!text(m->call_id, sizeof(m->call_id), true))
		REFUSE(dp_mgcp_ask, call_id);
	if (!text(m->conn_id, sizeof(m->conn_id), true))
		REFUSE(dp_mgcp_ask, conn_id);
	if (!text(m->request_id, sizeof(m->request_id), true))
		REFUSE(dp_mgcp_ask, request_id);
	if (n == sizeof(m->params) || !zero(m->params + n, sizeof(m->params) - n) ||
	    dp_mgcp_params_check(m->verb, m->params, sizeof(m->params), &pkgs) < 0)
		REFUSE(dp_mgcp_ask, params);
	if (m->zero2 != 0)
		REFUSE(dp_mgcp_ask, zero2);
	return -1;
}

static int mgcp_ack(const struct dp_mgcp_ack *m)
{
	if (m->token == 0)
		REFUSE(dp_mgcp_ack, token);
	if (m->code < 200 || m->code > 999)
		REFUSE(dp_mgcp_ack, code);
	if (!zero(m->zero, sizeof(m->zero)))
		REFUSE(dp_mgcp_ack, zero);
	return -1;
}

int dp_chan_check(const struct dp_chan_lim *lim, const void *msg, uint16_t len, uint32_t *ret_detail)
{
	const struct dp_msg_hdr *hdr = msg;
	int at = -1;

	*ret_detail = 0;
	if (len < sizeof(*hdr) || dp_chan_size(hdr->type) == 0)
		return -EBADMSG;
	*ret_detail = offsetof(struct dp_msg_hdr, len);
	if (hdr->len != dp_chan_size(hdr->type) || hdr->len != len)
		return -EBADMSG;
	*ret_detail = offsetof(struct dp_msg_hdr, seq);
	if (hdr->seq == 0)
		return -EBADMSG;
	switch (hdr->type) {
	case DP_MSG_HELLO:
		at = hello(msg);
		break;
	case DP_MSG_LEG_SET:
		at = leg_set(lim, msg);
		break;
	case DP_MSG_LEG_KEY:
		at = leg_key(lim, msg);
		break;
	case DP_MSG_KEY_DEL:
		at = key_del(lim, msg);
		break;
	case DP_MSG_SHARD_MOVE:
		at = shard_move(msg);
		break;
	case DP_MSG_CAPTURE:
		at = capture(lim, msg);
		break;
	case DP_MSG_TRACE:
		at = trace(lim, msg);
		break;
	case DP_MSG_MUSIC_SET:
		at = music_set(msg);
		break;
	case DP_MSG_LEG_MUSIC:
		at = leg_music(lim, msg);
		break;
	case DP_MSG_SPD_SET:
		at = spd_set(msg);
		break;
	case DP_MSG_SPD_COMMIT:
		at = spd_commit(msg);
		break;
	case DP_MSG_LEG_DEL:
	case DP_MSG_SA_DEL:
	case DP_MSG_GW_DEL:
	case DP_MSG_ADOPT:
		at = obj(lim, msg);
		break;
	case DP_MSG_SA_SET:
		at = sa_set(msg);
		break;
	case DP_MSG_SA_GRANT:
		at = sa_grant(msg);
		break;
	case DP_MSG_GW_SET:
		at = gw_set(msg);
		break;
	case DP_MSG_MGCP_CMD:
		at = mgcp_cmd(msg);
		break;
	case DP_MSG_MGCP_ASK:
		at = mgcp_ask(msg);
		break;
	case DP_MSG_MGCP_ACK:
		at = mgcp_ack(msg);
		break;
	default: /* SWEEP: its epoch is compared where epochs are known */
		break;
	}
	*ret_detail = at >= 0 ? (uint32_t)at : 0;
	return at >= 0 ? -EBADMSG : 0;
}
