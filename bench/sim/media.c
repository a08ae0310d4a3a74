/* SPDX-License-Identifier: BSD-3-Clause */
#include "media.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "record.h"
#include "util.h"

#define RTP_HDR    12
#define PACKET_MAX 2048
#define NTP_1970   2208988800ULL /* seconds from 1900 to 1970 */

struct sim_media {
	struct sim_media_cfg cfg;
	struct sim_addr local;
	int rtp_fd, rtcp_fd, tick_fd;
	struct event *rtp_ev, *rtcp_ev, *tick_ev, *report_ev;

	bool sending;
	struct sim_addr to, rtcp_to;
	uint8_t send_pt;
	size_t frame_len; /* octets = samples */
	uint8_t *wav;
	uint8_t wav_pt;
	size_t wav_len, wav_off;
	bool wav_over;
	struct sim_srtp_key send_key;
	struct sim_srtp *tx, *next_tx; /* next_tx: made, waits for the other side */
	FILE *played;
	uint16_t seq, first_seq;
	uint32_t ts, ssrc;
	uint64_t sent, sent_octets, send_errors, late_frames, played_frames;
	uint64_t rtcp_sent;

	bool receiving;
	uint8_t recv_pt;
	struct sim_srtp_key recv_key;
	struct sim_srtp *rx, *old_rx; /* old_rx: good until old_until_us */
	uint64_t old_until_us, under_old, rekeys;
	struct sim_record *rec;
	uint64_t auth_failed, replayed, malformed, other_pt, not_open, other_source;
	uint64_t rtcp_received, rtcp_verified, rtcp_bad;
	uint32_t peer_sr_mid;  /* middle of the peer's last NTP time, for reports */
	uint64_t peer_sr_us;
	uint32_t peer_lost, peer_fraction; /* as the peer reports about us */
	char suite_tx[32], suite_rx[32];
};

/* --- sending --- */

static void send_frame(struct sim_media *m)
{
	uint8_t pkt[RTP_HDR + 480 + SIM_SRTP_OVERHEAD];
	size_t left = m->wav_len - m->wav_off, n = left < m->frame_len ? left : m->frame_len;
	int len = RTP_HDR + (int)m->frame_len;
	bool ends = false;

	if (m->wav_over && m->cfg.quiet)
		return;
	pkt[0] = 0x80;
	pkt[1] = (uint8_t)(m->send_pt | (m->sent == 0 ? 0x80 : 0));
	pkt[2] = (uint8_t)(m->seq >> 8);
	pkt[3] = (uint8_t)m->seq;
	sim_put32(pkt + 4, m->ts);
	sim_put32(pkt + 8, m->ssrc);
	memset(pkt + RTP_HDR, m->send_pt == SIM_PT_ALAW ? 0xD5 : 0xFF, m->frame_len);
	if (m->cfg.fill != NULL)
		m->cfg.fill(m->cfg.ctx, m->send_pt, pkt + RTP_HDR, m->frame_len);
	else if (n > 0)
		memcpy(pkt + RTP_HDR, m->wav + m->wav_off, n);
	m->wav_off += n;
	if (!m->wav_over && m->wav_len > 0 && m->wav_off == m->wav_len) {
		if (m->cfg.loop) {
			m->wav_off = 0;
		} else {
			m->wav_over = true;
			ends = true;
		}
	}
	if (m->played != NULL)
		fwrite(pkt + RTP_HDR, 1, m->frame_len, m->played);
	m->played_frames++;
	m->seq++;
	m->ts += (uint32_t)m->frame_len;
	if (m->tx != NULL && sim_srtp_rtp(m->tx, pkt, &len) < 0)
		m->send_errors++;
	else if (sendto(m->rtp_fd, pkt, (size_t)len, 0, (const struct sockaddr *)&m->to.ss, m->to.len) < 0)
		m->send_errors++; /* ICMP of the far end, a full queue: counted, the pace goes on */
	m->sent++;
	m->sent_octets += m->frame_len;
	if (ends) {
		sim_event(m->cfg.who, "play-done", "{s:I}", "frames", (json_int_t)m->played_frames);
		if (m->cfg.play_done != NULL)
			m->cfg.play_done(m->cfg.ctx);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct sim_media *m = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (n > 1)
		m->late_frames += n - 1; /* sent now, together: the clock decides how many, not the loop */
	for (; n > 0 && m->sending; n--)
		send_frame(m);
}

static void send_rtcp(struct sim_media *m)
{
	uint8_t p[256 + SIM_SRTP_OVERHEAD] = {0};
	struct timespec now;
	struct sim_record_rr rr;
	bool have_rr = m->rec != NULL && sim_record_rr(m->rec, &rr), sr = m->sent > 0;
	size_t off = 8, name_len = strnlen(m->cfg.who, 60), sdes;
	int len, fd = sim_addr_port(&m->rtcp_to) == sim_addr_port(&m->to) ? m->rtp_fd : m->rtcp_fd;

	clock_gettime(CLOCK_REALTIME, &now);
	sim_put32(p + 4, m->ssrc);
	if (sr) {
		sim_put32(p + 8, (uint32_t)((uint64_t)now.tv_sec + NTP_1970));
		sim_put32(p + 12, (uint32_t)(((uint64_t)now.tv_nsec << 32) / 1000000000));
		sim_put32(p + 16, m->ts);
		sim_put32(p + 20, (uint32_t)m->sent);
		sim_put32(p + 24, (uint32_t)m->sent_octets);
		off = 28;
	}
	if (have_rr) {
		sim_put32(p + off, rr.ssrc);
		sim_put32(p + off + 4, (uint32_t)rr.fraction << 24 | (rr.lost & 0xFFFFFF));
		sim_put32(p + off + 8, rr.highest);
		sim_put32(p + off + 12, rr.jitter);
		sim_put32(p + off + 16, m->peer_sr_mid);
		sim_put32(p + off + 20, m->peer_sr_us == 0 ? 0
						       : (uint32_t)(((sim_now_us() - m->peer_sr_us) << 16) /
								    1000000));
		off += 24;
	}
	p[0] = (uint8_t)(0x80 | have_rr);
	p[1] = sr ? 200 : 201;
	p[3] = (uint8_t)(off / 4 - 1);
	sdes = off;
	p[off] = 0x81;
	p[off + 1] = 202;
	sim_put32(p + off + 4, m->ssrc);
	p[off + 8] = 1; /* CNAME */
	p[off + 9] = (uint8_t)name_len;
	memcpy(p + off + 10, m->cfg.who, name_len);
	off += 10 + name_len + 1; /* at least one zero ends the chunk */
	off += (4 - off % 4) % 4;
	p[sdes + 3] = (uint8_t)((off - sdes) / 4 - 1);
	len = (int)off;
	if (m->tx != NULL && sim_srtp_rtcp(m->tx, p, &len) < 0) {
		m->send_errors++;
		return;
	}
	if (sendto(fd, p, (size_t)len, 0, (const struct sockaddr *)&m->rtcp_to.ss, m->rtcp_to.len) < 0)
		m->send_errors++;
	m->rtcp_sent++;
}

static void on_report(evutil_socket_t fd, short what, void *arg)
{
	struct sim_media *m = arg;

	(void)fd;
	(void)what;
	if (m->sending)
		send_rtcp(m);
}

/* --- receiving --- */

/* With the key in force, else, for a while after it came, with the one before. */
static int unprotect(struct sim_media *m, int (*fn)(struct sim_srtp *, uint8_t *, int *), uint8_t *p, int *len)
{
	uint8_t copy[PACKET_MAX];
	int n = *len, rc;

	if (m->rx == NULL)
		return -EPROTO;
	if (m->old_rx != NULL && sim_now_us() > m->old_until_us) {
		sim_srtp_destroy(m->old_rx);
		m->old_rx = NULL;
	}
	if (m->old_rx != NULL)
		memcpy(copy, p, (size_t)n);
	rc = fn(m->rx, p, len);
	if (rc == 0 && m->next_tx != NULL) {
		sim_srtp_carry(m->next_tx, m->tx);
		sim_srtp_destroy(m->tx);
		m->tx = m->next_tx;
		m->next_tx = NULL;
	}
	if (rc == 0 || m->old_rx == NULL)
		return rc;
	memcpy(p, copy, (size_t)n);
	*len = n;
	if (fn(m->old_rx, p, len) < 0)
		return rc;
	m->under_old++;
	return 0;
}

static void rx_rtcp(struct sim_media *m, uint8_t *p, int len)
{
	m->rtcp_received++;
	if (m->recv_key.alg != SIM_SRTP_NONE && unprotect(m, sim_srtp_rtcp, p, &len) < 0) {
		m->rtcp_bad++;
		return;
	}
	for (int off = 0; off < len;) { /* a compound: all of it must hold together */
		int n;

		if (len - off < 8 || p[off] >> 6 != 2 || p[off + 1] < 200 || p[off + 1] > 207) {
			m->rtcp_bad++;
			return;
		}
		n = 4 * ((p[off + 2] << 8 | p[off + 3]) + 1);
		if (n > len - off) {
			m->rtcp_bad++;
			return;
		}
		if (p[off + 1] == 200 && n >= 28) {
			m->peer_sr_mid = sim_be32(p + off + 8) << 16 | sim_be32(p + off + 12) >> 16;
			m->peer_sr_us = sim_now_us();
		}
		if (p[off + 1] <= 201 && (p[off] & 31) > 0) {
			int rr = off + (p[off + 1] == 200 ? 28 : 8);

			if (rr + 24 <= off + n && sim_be32(p + rr) == m->ssrc) {
				m->peer_fraction = p[rr + 4];
				m->peer_lost = sim_be32(p + rr + 4) & 0xFFFFFF;
			}
		}
		off += n;
	}
	m->rtcp_verified++;
}

static void rx_rtp(struct sim_media *m, uint8_t *p, int len)
{
	int hdr, pad = 0, rc;

	if (!m->receiving) {
		m->not_open++;
		return;
	}
	if (m->recv_key.alg != SIM_SRTP_NONE) {
		rc = unprotect(m, sim_srtp_rtp, p, &len);
		if (rc == -EALREADY)
			m->replayed++;
		else if (rc == -EBADMSG)
			m->malformed++;
		else if (rc < 0)
			m->auth_failed++;
		if (rc < 0)
			return;
	}
	hdr = RTP_HDR + 4 * (p[0] & 15);
	if (len >= hdr + 4 && (p[0] & 0x10) != 0)
		hdr += 4 + 4 * (p[hdr + 2] << 8 | p[hdr + 3]);
	if (len > 0 && (p[0] & 0x20) != 0)
		pad = p[len - 1];
	if (len < RTP_HDR || p[0] >> 6 != 2 || len < hdr + pad) {
		m->malformed++;
		return;
	}
	if ((p[1] & 0x7F) != m->recv_pt) {
		m->other_pt++;
		return;
	}
	sim_record_add(m->rec, sim_be32(p + 8), (uint16_t)(p[2] << 8 | p[3]), sim_be32(p + 4), p + hdr,
		       (size_t)(len - hdr - pad), sim_now_us());
	if (m->cfg.heard != NULL)
		m->cfg.heard(m->cfg.ctx, m->recv_pt, p + hdr, (size_t)(len - hdr - pad));
}

static void on_media(evutil_socket_t fd, short what, void *arg)
{
	struct sim_media *m = arg;
	uint8_t p[PACKET_MAX];

	(void)what;
	for (int burst = 0; burst < 64; burst++) {
		struct sim_addr from = {.len = sizeof(from.ss)};
		ssize_t n = recvfrom(fd, p, sizeof(p), MSG_DONTWAIT, (struct sockaddr *)&from.ss, &from.len);

		if (n < 0)
			return;
		if (m->to.len != 0 && !sim_addr_same_ip(&from, &m->to))
			m->other_source++; /* counted, not refused: phones take media from anywhere */
		/* RFC 5761: packet types 192 to 223 are RTCP on a multiplexed port. */
		if (fd == m->rtcp_fd || (n >= 2 && p[1] >= 192 && p[1] <= 223))
			rx_rtcp(m, p, (int)n);
		else
			rx_rtp(m, p, (int)n);
	}
}

/* --- life --- */

static int open_port(const struct sim_addr *local, uint16_t port)
{
	struct sim_addr a = *local;
	int fd = socket(a.ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = 1 << 20;

	if (fd < 0)
		return -errno;
	sim_addr_set_port(&a, port);
	if (bind(fd, (const struct sockaddr *)&a.ss, a.len) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

static int open_pair(struct sim_media *m)
{
	uint32_t lo = m->cfg.port_min + (m->cfg.port_min & 1U), hi = m->cfg.port_max, span, at = 0;

	if (sim_addr_port(&m->cfg.local) != 0)
		lo = hi = sim_addr_port(&m->cfg.local);
	if (hi < lo)
		return -EINVAL;
	span = (hi - lo) / 2 + 1;
	RAND_bytes((unsigned char *)&at, sizeof(at));
	for (uint32_t i = 0; i < span; i++) {
		uint16_t port = (uint16_t)(lo + (at % span + i) % span * 2);

		m->rtp_fd = open_port(&m->cfg.local, port);
		if (m->rtp_fd == -EADDRINUSE)
			continue;
		if (m->rtp_fd < 0)
			return m->rtp_fd;
		m->rtcp_fd = open_port(&m->cfg.local, (uint16_t)(port + 1));
		if (m->rtcp_fd >= 0) {
			m->local = m->cfg.local;
			sim_addr_set_port(&m->local, port);
			return 0;
		}
		close(m->rtp_fd);
		m->rtp_fd = -1;
	}
	return -EADDRINUSE;
}

struct sim_media *sim_media_create(const struct sim_media_cfg *cfg, char *ret_err, size_t err_len)
{
	struct sim_media *m = calloc(1, sizeof(*m));
	int rc = -ENOMEM;

	if (m == NULL)
		goto fail;
	m->cfg = *cfg;
	m->rtp_fd = m->rtcp_fd = m->tick_fd = -1;
	rc = open_pair(m);
	if (rc < 0)
		goto fail;
	rc = -ENOMEM;
	m->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	m->rec = sim_record_create();
	if (m->tick_fd < 0 || m->rec == NULL)
		goto fail;
	m->rtp_ev = event_new(cfg->base, m->rtp_fd, EV_READ | EV_PERSIST, on_media, m);
	m->rtcp_ev = event_new(cfg->base, m->rtcp_fd, EV_READ | EV_PERSIST, on_media, m);
	m->tick_ev = event_new(cfg->base, m->tick_fd, EV_READ | EV_PERSIST, on_tick, m);
	m->report_ev = event_new(cfg->base, -1, EV_PERSIST, on_report, m);
	if (m->rtp_ev == NULL || m->rtcp_ev == NULL || m->tick_ev == NULL || m->report_ev == NULL)
		goto fail;
	event_add(m->rtp_ev, NULL);
	event_add(m->rtcp_ev, NULL);
	event_add(m->tick_ev, NULL);
	if (RAND_bytes((unsigned char *)&m->ssrc, sizeof(m->ssrc)) != 1 ||
	    RAND_bytes((unsigned char *)&m->ts, sizeof(m->ts)) != 1 ||
	    RAND_bytes((unsigned char *)&m->seq, sizeof(m->seq)) != 1)
		goto fail;
	/* Below 2^15 both ends agree on ROC 0 even if the first packets are lost: RFC 3711 3.3.1. */
	m->seq = cfg->first_seq >= 0 ? (uint16_t)cfg->first_seq : m->seq & 0x7FFF;
	m->first_seq = m->seq;
	if (cfg->played != NULL) {
		m->played = fopen(cfg->played, "wbe");
		if (m->played == NULL) {
			snprintf(ret_err, err_len, "%s: %s", cfg->played, strerror(errno));
			sim_media_destroy(m);
			return NULL;
		}
	}
	return m;
fail:
	snprintf(ret_err, err_len, "media on %s: %s", sim_addr_ip_str(&cfg->local), strerror(-rc));
	sim_media_destroy(m);
	return NULL;
}

void sim_media_destroy(struct sim_media *m)
{
	if (m == NULL)
		return;
	sim_media_send_stop(m);
	sim_media_recv_stop(m);
	if (m->rtp_ev != NULL)
		event_free(m->rtp_ev);
	if (m->rtcp_ev != NULL)
		event_free(m->rtcp_ev);
	if (m->tick_ev != NULL)
		event_free(m->tick_ev);
	if (m->report_ev != NULL)
		event_free(m->report_ev);
	if (m->rtp_fd >= 0)
		close(m->rtp_fd);
	if (m->rtcp_fd >= 0)
		close(m->rtcp_fd);
	if (m->tick_fd >= 0)
		close(m->tick_fd);
	if (m->played != NULL)
		fclose(m->played);
	sim_srtp_destroy(m->tx);
	sim_srtp_destroy(m->rx);
	sim_srtp_destroy(m->next_tx);
	sim_srtp_destroy(m->old_rx);
	sim_record_destroy(m->rec);
	free(m->wav);
	OPENSSL_cleanse(&m->send_key, sizeof(m->send_key));
	OPENSSL_cleanse(&m->recv_key, sizeof(m->recv_key));
	free(m);
}

const struct sim_addr *sim_media_local(const struct sim_media *m)
{
	return &m->local;
}

static bool same_key(const struct sim_srtp_key *a, const struct sim_srtp_key *b)
{
	size_t n = sim_srtp_salt_len(a->alg);

	return a->alg == b->alg &&
	       (a->alg == SIM_SRTP_NONE || (CRYPTO_memcmp(a->key, b->key, sim_srtp_key_len(a->alg)) == 0 &&
					    CRYPTO_memcmp(a->salt, b->salt, n) == 0));
}

/* Take over a key; an unchanged one keeps its context, so that no index is ever used twice. */
static int take_key(struct sim_media *m, struct sim_srtp **ctx, struct sim_srtp_key *have,
		    const struct sim_srtp_key *key, bool inbound)
{
	struct sim_srtp *fresh = NULL;

	if (same_key(have, key) && (key->alg == SIM_SRTP_NONE || *ctx != NULL))
		return 0;
	if (key->alg != SIM_SRTP_NONE) {
		fresh = sim_srtp_create(m->cfg.engine, key, inbound);
		if (fresh == NULL)
			return -ENOTSUP;
		sim_key(m->cfg.who, inbound ? "srtp-recv" : "srtp-send", sim_srtp_name(key->alg), key->key,
			sim_srtp_key_len(key->alg),
			key->salt, sim_srtp_salt_len(key->alg));
	}
	sim_srtp_destroy(*ctx);
	*ctx = fresh;
	*have = *key;
	return 0;
}

int sim_media_rekey(struct sim_media *m, const struct sim_srtp_key *recv, const struct sim_srtp_key *send)
{
	struct sim_srtp *rx = NULL, *tx = NULL;

	/* Nothing runs there yet: the next recv or send begins with the new one. */
	if (m->rx != NULL && (rx = sim_srtp_create(m->cfg.engine, recv, true)) == NULL)
		return -ENOTSUP;
	if (m->tx != NULL && (tx = sim_srtp_create(m->cfg.engine, send, false)) == NULL) {
		sim_srtp_destroy(rx);
		return -ENOTSUP;
	}
	if (rx != NULL) {
		sim_srtp_carry(rx, m->rx);
		sim_srtp_destroy(m->old_rx);
		m->old_rx = m->rx;
		m->old_until_us = sim_now_us() + SIM_REKEY_OVERLAP_US;
		m->rx = rx;
		m->recv_key = *recv;
		sim_key(m->cfg.who, "srtp-recv", sim_srtp_name(recv->alg), recv->key, sim_srtp_key_len(recv->alg),
			recv->salt, sim_srtp_salt_len(recv->alg));
	}
	if (tx != NULL) {
		sim_srtp_destroy(m->next_tx);
		m->next_tx = tx;
		m->send_key = *send;
		sim_key(m->cfg.who, "srtp-send", sim_srtp_name(send->alg), send->key, sim_srtp_key_len(send->alg),
			send->salt, sim_srtp_salt_len(send->alg));
	}
	m->rekeys++;
	sim_event(m->cfg.who, "rekeyed", "{s:I}", "rekeys", (json_int_t)m->rekeys);
	return 0;
}

int sim_media_recv(struct sim_media *m, uint8_t pt, const struct sim_srtp_key *key)
{
	int rc = take_key(m, &m->rx, &m->recv_key, key, true);

	if (rc < 0)
		return rc;
	m->recv_pt = pt;
	m->receiving = true;
	snprintf(m->suite_rx, sizeof(m->suite_rx), "%s", sim_srtp_name(key->alg));
	return 0;
}

void sim_media_recv_stop(struct sim_media *m)
{
	m->receiving = false;
}

int sim_media_send(struct sim_media *m, const struct sim_addr *to, uint8_t pt, uint32_t packet_ms,
		   const struct sim_srtp_key *key, bool rtcp_mux)
{
	struct itimerspec every = {0};
	struct timeval report = {.tv_sec = m->cfg.rtcp_interval_s != 0 ? m->cfg.rtcp_interval_s : 5};
	int rc;

	if (packet_ms < 10 || packet_ms > 60 || packet_ms % 10 != 0)
		return -ENOTSUP;
	if (m->cfg.play != NULL && (m->wav == NULL || m->wav_pt != pt)) {
		uint8_t *wav;
		const char *why;
		size_t len;

		rc = sim_wav_load(m->cfg.play, pt, &wav, &len, &why);
		if (rc < 0)
			return rc;
		free(m->wav);
		m->wav = wav;
		m->wav_len = len;
		m->wav_pt = pt;
		m->wav_off = m->wav_off > len ? len : m->wav_off;
	}
	rc = take_key(m, &m->tx, &m->send_key, key, false);
	if (rc < 0)
		return rc;
	m->to = *to;
	m->rtcp_to = *to;
	if (!rtcp_mux)
		sim_addr_set_port(&m->rtcp_to, (uint16_t)(sim_addr_port(to) + 1));
	m->send_pt = pt;
	snprintf(m->suite_tx, sizeof(m->suite_tx), "%s", sim_srtp_name(key->alg));
	if (m->sending && m->frame_len == 8 * packet_ms)
		return 0;
	m->frame_len = 8 * packet_ms;
	m->sending = true;
	/* The kernel's absolute clock sets the pace: what a busy loop misses is made up, nothing drifts. */
	every.it_interval.tv_nsec = (long)packet_ms * 1000000;
	every.it_value.tv_nsec = 1;
	if (timerfd_settime(m->tick_fd, 0, &every, NULL) < 0)
		return -errno;
	event_add(m->report_ev, &report);
	return 0;
}

void sim_media_send_stop(struct sim_media *m)
{
	struct itimerspec off = {0};

	if (!m->sending)
		return;
	m->sending = false;
	timerfd_settime(m->tick_fd, 0, &off, NULL);
	event_del(m->report_ev);
	if (m->played != NULL)
		fflush(m->played);
}

bool sim_media_sending(const struct sim_media *m)
{
	return m->sending;
}

int sim_media_save(struct sim_media *m)
{
	if (m->played != NULL && fflush(m->played) != 0)
		return -errno;
	return m->cfg.record == NULL ? 0 : sim_record_save(m->rec, m->cfg.record, m->recv_pt);
}

void sim_media_stats(const struct sim_media *m, uint32_t ret[7])
{
	ret[0] = (uint32_t)m->sent;
	ret[1] = (uint32_t)m->sent_octets;
	sim_record_stats(m->rec, ret + 2);
	ret[6] = 0;
}

json_t *sim_media_report(const struct sim_media *m)
{
	json_t *tx = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:i, s:i, s:I, s:b}", "suite", m->suite_tx,
			       "to", sim_addr_str(&m->to), "pt", m->send_pt, "packets", (json_int_t)m->sent,
			       "octets", (json_int_t)m->sent_octets, "send_errors", (json_int_t)m->send_errors,
			       "late_frames", (json_int_t)m->late_frames, "first_seq", m->first_seq, "last_seq",
			       (uint16_t)(m->seq - 1), "ssrc", (json_int_t)m->ssrc, "play_done", m->wav_over);
	json_t *rx = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "suite", m->suite_rx, "local",
			       sim_addr_str(&m->local), "pt", m->recv_pt, "auth_failed",
			       (json_int_t)m->auth_failed, "replayed", (json_int_t)m->replayed, "malformed",
			       (json_int_t)m->malformed, "other_pt", (json_int_t)m->other_pt, "not_open",
			       (json_int_t)m->not_open, "other_source", (json_int_t)m->other_source, "rekeys",
			       (json_int_t)m->rekeys, "under_old_key", (json_int_t)m->under_old);
	json_t *rtcp = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)m->rtcp_sent, "received",
				 (json_int_t)m->rtcp_received, "verified", (json_int_t)m->rtcp_verified, "bad",
				 (json_int_t)m->rtcp_bad, "peer_lost", (json_int_t)m->peer_lost,
				 "peer_fraction", (json_int_t)m->peer_fraction);

	sim_record_report(m->rec, rx);
	return json_pack("{s:o, s:o, s:o}", "sent", tx, "received", rx, "rtcp", rtcp);
}
