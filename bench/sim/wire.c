/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define ENCAP_PORT 4500
#define PACKET_MAX 9216 /* octets */
#define PROTO_UDP  17
#define PROTO_IPV4 4
#define PROTO_IPV6 41

struct sim_wire {
	struct sim_wire_cfg cfg;
	int udp_fd, raw_fd, encap_fd;
	struct event *udp_ev, *raw_ev, *encap_ev;
	uint16_t ip_id;
	uint64_t clear_refused, clear_received, sent, send_errors, received, no_sa, not_udp, keepalives, ike;
	uint64_t bad_checksum;
};

static bool secured(const struct sim_wire *w)
{
	return w->cfg.in_cnt > 0 || w->cfg.out_cnt > 0;
}

static uint32_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += (uint32_t)(p[0] << 8 | p[1]);
	return len > 0 ? sum + ((uint32_t)p[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* UDP checksum with the pseudo header of either family; 0 when a received one is right. */
static uint16_t udp_sum(const uint8_t *src, const uint8_t *dst, size_t ip_len, const uint8_t *udp, size_t len)
{
	uint32_t sum = sum16(src, ip_len, 0);

	sum = sum16(dst, ip_len, sum);
	return fold(sum16(udp, len, sum + PROTO_UDP + (uint32_t)len));
}

/* IP header of tunnel mode, UDP header, text. Length, or -ENOSPC. */
static int inner(struct sim_wire *w, bool tunnel, const char *text, size_t len, const struct sim_addr *to, uint8_t *out,
		 size_t room)
{
	size_t ip_len = sim_addr_ip_len(&w->cfg.local), hdr = !tunnel ? 0 : ip_len == 16 ? 40 : 20;
	const uint8_t *src = sim_addr_ip(&w->cfg.local), *dst = sim_addr_ip(to);
	uint8_t *udp = out + hdr;
	uint16_t sum;

	if (hdr + 8 + len > room || len > 65507)
		return -ENOSPC;
	put16(udp, sim_addr_port(&w->cfg.local));
	put16(udp + 2, sim_addr_port(to));
	put16(udp + 4, 8 + len);
	put16(udp + 6, 0);
	memcpy(udp + 8, text, len);
	sum = udp_sum(src, dst, ip_len, udp, 8 + len);
	put16(udp + 6, sum == 0 ? 0xFFFF : sum);
	memset(out, 0, hdr);
	if (hdr == 20) {
		out[0] = 0x45;
		put16(out + 2, 20 + 8 + len);
		put16(out + 4, ++w->ip_id);
		out[8] = 64;
		out[9] = PROTO_UDP;
		memcpy(out + 12, src, 4);
		memcpy(out + 16, dst, 4);
		put16(out + 10, fold(sum16(out, 20, 0)));
	} else if (hdr == 40) {
		out[0] = 0x60;
		put16(out + 4, 8 + len);
		out[6] = PROTO_UDP;
		out[7] = 64;
		memcpy(out + 8, src, 16);
		memcpy(out + 24, dst, 16);
	}
	return (int)(hdr + 8 + len);
}

/* With a peer of its own an SA is for that one alone, the others are the call agent's. */
static struct sim_sa *out_sa(struct sim_wire *w, const struct sim_addr *to)
{
	for (size_t i = w->cfg.out_cnt; i-- > 0;) {
		const struct sim_sa *sa = &w->cfg.out[i];

		if (sim_addr_same_ip(sa->peer.len != 0 ? &sa->peer : &w->cfg.agent, to))
			return &w->cfg.out[i];
	}
	return NULL;
}

int sim_wire_send(struct sim_wire *w, const char *text, size_t len, const struct sim_addr *dest)
{
	uint8_t plain[PACKET_MAX], esp[PACKET_MAX + SIM_ESP_OVERHEAD];
	struct sim_addr to = *dest;
	struct sim_sa *sa;
	ssize_t sent;
	int n, rc = 0;

	if (!secured(w)) {
		sent = sendto(w->udp_fd, text, len, 0, (const struct sockaddr *)&to.ss, to.len);
		goto out;
	}
	sa = out_sa(w, dest);
	if (sa == NULL) {
		w->no_sa++;
		return -ENOKEY;
	}
	n = inner(w, sa->tunnel, text, len, dest, plain, sizeof(plain));
	if (n < 0)
		return n;
	n = sim_esp_seal(sa, !sa->tunnel                        ? PROTO_UDP
			     : sim_addr_ip_len(&w->cfg.local) == 16 ? PROTO_IPV6
								    : PROTO_IPV4,
			 plain, (size_t)n, esp, sizeof(esp));
	OPENSSL_cleanse(plain, sizeof(plain));
	if (n < 0)
		return n;
	sim_addr_set_port(&to, sa->encap ? ENCAP_PORT : 0);
	sent = sendto(sa->encap ? w->encap_fd : w->raw_fd, esp, (size_t)n, 0, (const struct sockaddr *)&to.ss,
		      to.len);
out:
	if (sent < 0) {
		rc = -errno;
		w->send_errors++;
	} else {
		w->sent++;
	}
	return rc;
}

/* A decrypted UDP datagram that came from these addresses. */
static void rx_udp(struct sim_wire *w, uint8_t *udp, size_t len, const struct sim_addr *src, const uint8_t *dst)
{
	size_t n = len < 8 ? 0 : (size_t)(udp[4] << 8 | udp[5]);
	struct sim_addr from = *src;

	if (n < 8 || n > len || (udp[2] << 8 | udp[3]) != sim_addr_port(&w->cfg.local)) {
		w->not_udp++;
		return;
	}
	if ((udp[6] | udp[7]) != 0 && udp_sum(sim_addr_ip(src), dst, sim_addr_ip_len(src), udp, n) != 0) {
		w->bad_checksum++;
		return;
	}
	sim_addr_set_port(&from, (uint16_t)(udp[0] << 8 | udp[1]));
	w->received++;
	w->cfg.rx(w->cfg.ctx, (char *)udp + 8, n - 8, &from);
}

static void rx_inner(struct sim_wire *w, uint8_t *p, size_t len, uint8_t next, bool tunnel,
		     const struct sim_addr *outer)
{
	struct sim_addr src;
	size_t hdr;

	if (!tunnel && next == PROTO_UDP) {
		rx_udp(w, p, len, outer, sim_addr_ip(&w->cfg.local));
		return;
	}
	if (tunnel && next == PROTO_IPV4 && len >= 20 && p[0] >> 4 == 4) {
		hdr = 4 * (size_t)(p[0] & 15);
		if (hdr >= 20 && hdr <= len && p[9] == PROTO_UDP && fold(sum16(p, hdr, 0)) == 0 &&
		    (p[6] & 0x3F) == 0 && p[7] == 0 && (size_t)(p[2] << 8 | p[3]) <= len) {
			sim_addr_set(&src, p + 12, AF_INET, 0);
			rx_udp(w, p + hdr, (size_t)(p[2] << 8 | p[3]) - hdr, &src, p + 16);
			return;
		}
	}
	if (tunnel && next == PROTO_IPV6 && len >= 40 && p[0] >> 4 == 6 && p[6] == PROTO_UDP) {
		sim_addr_set(&src, p + 8, AF_INET6, 0);
		rx_udp(w, p + 40, len - 40, &src, p + 24);
		return;
	}
	w->not_udp++;
}

static void rx_esp(struct sim_wire *w, const uint8_t *p, size_t len, const struct sim_addr *from)
{
	uint8_t plain[PACKET_MAX + 1];
	uint32_t spi;
	uint8_t next;
	int n;

	if (len < 8)
		return;
	spi = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (size_t i = w->cfg.in_cnt; i-- > 0;) {
		struct sim_sa *sa = &w->cfg.in[i];

		if (sa->spi != spi)
			continue;
		n = sim_esp_open(sa, p, len, plain, PACKET_MAX, &next);
		if (n >= 0)
			rx_inner(w, plain, (size_t)n, next, sa->tunnel, from);
		else
			sim_event(w->cfg.who, "esp-refused", "{s:i, s:s}", "spi", (int)spi, "error", strerror(-n));
		OPENSSL_cleanse(plain, sizeof(plain));
		return;
	}
	w->no_sa++;
}

static void on_raw(evutil_socket_t fd, short what, void *arg)
{
	struct sim_wire *w = arg;
	uint8_t buf[PACKET_MAX];

	(void)what;
	for (int i = 0; i < 64; i++) {
		struct sim_addr from = {.len = sizeof(from.ss)};
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from.ss, &from.len);
		size_t hdr = 0;

		if (n < 0)
			return;
		if (from.ss.ss_family == AF_INET) /* raw IPv4 sockets give the IP header, IPv6 ones do not */
			hdr = n < 20 ? (size_t)n : 4 * (size_t)(buf[0] & 15);
		if (hdr <= (size_t)n)
			rx_esp(w, buf + hdr, (size_t)n - hdr, &from);
	}
}

static void on_encap(evutil_socket_t fd, short what, void *arg)
{
	struct sim_wire *w = arg;
	uint8_t buf[PACKET_MAX];

	(void)what;
	for (int i = 0; i < 64; i++) {
		struct sim_addr from = {.len = sizeof(from.ss)};
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from.ss, &from.len);

		if (n < 0)
			return;
		if (n == 1 && buf[0] == 0xFF)
			w->keepalives++;
		else if (n >= 4 && memcmp(buf, "\0\0\0\0", 4) == 0)
			w->ike++;
		else
			rx_esp(w, buf, (size_t)n, &from);
	}
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct sim_wire *w = arg;
	char buf[PACKET_MAX + 1];

	(void)what;
	for (int i = 0; i < 64; i++) {
		struct sim_addr from = {.len = sizeof(from.ss)};
		ssize_t n = recvfrom(fd, buf, PACKET_MAX, MSG_DONTWAIT, (struct sockaddr *)&from.ss, &from.len);

		if (n < 0)
			return;
		w->clear_received++;
		if (secured(w)) {
			w->clear_refused++;
			sim_event(w->cfg.who, "clear-refused", "{s:s, s:i}", "from", sim_addr_str(&from), "len",
				  (int)n);
			continue;
		}
		w->received++;
		w->cfg.rx(w->cfg.ctx, buf, (size_t)n, &from);
	}
}

static int open_fd(const struct sim_addr *local, int type, int proto, uint16_t port)
{
	struct sim_addr a = *local;
	int fd = socket(a.ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto), size = 1 << 20, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	sim_addr_set_port(&a, port);
	if (bind(fd, (const struct sockaddr *)&a.ss, a.len) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

int sim_wire_add_sa(struct sim_wire *w, const struct sim_sa *sa, bool inbound)
{
	struct sim_sa *list = inbound ? w->cfg.in : w->cfg.out;
	size_t *cnt = inbound ? &w->cfg.in_cnt : &w->cfg.out_cnt;

	for (size_t i = 0; i < *cnt; i++) {
		if (list[i].spi == sa->spi)
			return 0;
	}
	if (*cnt == SIM_WIRE_SAS)
		return -ENOSPC;
	list[(*cnt)++] = *sa;
	return 0;
}

struct sim_wire *sim_wire_create(const struct sim_wire_cfg *cfg, char *ret_err, size_t err_len)
{
	struct sim_wire *w = calloc(1, sizeof(*w));
	bool raw = false, encap = false;
	const char *what = "UDP";
	int rc = -ENOMEM;

	if (w == NULL)
		return NULL;
	w->cfg = *cfg;
	w->udp_fd = w->raw_fd = w->encap_fd = -1;
	for (size_t i = 0; i < SIM_WIRE_SAS; i++) {
		raw |= (i < cfg->in_cnt && !cfg->in[i].encap) || (i < cfg->out_cnt && !cfg->out[i].encap);
		encap |= (i < cfg->in_cnt && cfg->in[i].encap) || (i < cfg->out_cnt && cfg->out[i].encap);
	}
	/* With SAs the clear port is open as well: to count what should not come, and to keep ICMP quiet. */
	rc = w->udp_fd = open_fd(&cfg->local, SOCK_DGRAM, 0, sim_addr_port(&cfg->local));
	if (rc >= 0 && raw) {
		what = "raw socket for protocol 50";
		rc = w->raw_fd = open_fd(&cfg->local, SOCK_RAW, IPPROTO_ESP, 0);
	}
	if (rc >= 0 && encap) {
		what = "UDP port 4500";
		rc = w->encap_fd = open_fd(&cfg->local, SOCK_DGRAM, 0, ENCAP_PORT);
	}
	if (rc >= 0) {
		w->udp_ev = event_new(cfg->base, w->udp_fd, EV_READ | EV_PERSIST, on_udp, w);
		w->raw_ev = raw ? event_new(cfg->base, w->raw_fd, EV_READ | EV_PERSIST, on_raw, w) : NULL;
		w->encap_ev = encap ? event_new(cfg->base, w->encap_fd, EV_READ | EV_PERSIST, on_encap, w) : NULL;
		if (w->udp_ev == NULL || (raw && w->raw_ev == NULL) || (encap && w->encap_ev == NULL))
			rc = -ENOMEM;
	}
	if (rc < 0) {
		snprintf(ret_err, err_len, "%s on %s: %s", what, sim_addr_str(&cfg->local), strerror(-rc));
		sim_wire_destroy(w);
		return NULL;
	}
	event_add(w->udp_ev, NULL);
	if (raw)
		event_add(w->raw_ev, NULL);
	if (encap)
		event_add(w->encap_ev, NULL);
	return w;
}

void sim_wire_destroy(struct sim_wire *w)
{
	if (w == NULL)
		return;
	if (w->udp_ev != NULL)
		event_free(w->udp_ev);
	if (w->raw_ev != NULL)
		event_free(w->raw_ev);
	if (w->encap_ev != NULL)
		event_free(w->encap_ev);
	if (w->udp_fd >= 0)
		close(w->udp_fd);
	if (w->raw_fd >= 0)
		close(w->raw_fd);
	if (w->encap_fd >= 0)
		close(w->encap_fd);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
}

static json_t *sas(const struct sim_sa *list, size_t cnt)
{
	json_t *a = json_array();
	char spi[16];

	for (size_t i = 0; i < cnt; i++) {
		snprintf(spi, sizeof(spi), "0x%08x", list[i].spi);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "spi", spi,
						   "alg", list[i].alg, "mode",
						   list[i].tunnel ? "tunnel" : "transport", "encap",
						   list[i].encap, "packets", (json_int_t)list[i].packets,
						   "auth_failed", (json_int_t)list[i].auth_failed, "replayed",
						   (json_int_t)list[i].replayed, "malformed",
						   (json_int_t)list[i].malformed, "last_seq",
						   (json_int_t)(list[i].seq != 0 ? list[i].seq : list[i].top)));
	}
	return a;
}

json_t *sim_wire_report(const struct sim_wire *w)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "esp", secured(w),
			 "sent", (json_int_t)w->sent, "send_errors", (json_int_t)w->send_errors, "received",
			 (json_int_t)w->received, "clear_received", (json_int_t)w->clear_received,
			 "clear_refused", (json_int_t)w->clear_refused, "no_sa", (json_int_t)w->no_sa, "not_mgcp",
			 (json_int_t)w->not_udp, "bad_checksum", (json_int_t)w->bad_checksum, "keepalives",
			 (json_int_t)w->keepalives, "sa_in", sas(w->cfg.in, w->cfg.in_cnt), "sa_out",
			 sas(w->cfg.out, w->cfg.out_cnt));
}
