/* SPDX-License-Identifier: BSD-3-Clause */
#include "punt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "worker.h"

#define RING_DEPTH 1024    /* each holds all there can be */
#define BURST      32
#define IKE_PORT   500
#define BUSY_NS    50000   /* the thread looks at its ring so often while there is traffic, */
#define IDLE_NS    1000000 /* and so often when there was none */
#define BUSY_LOOKS 2000    /* for how many looks: a tenth of a second */

struct punt_if {
	int fd;       /* -1: it went away */
	uint8_t port;
};

struct dp_punt {
	struct dp_node *node;
	struct rte_ring *out, *done, *in, *empty;
	struct rte_mbuf *spare; /* the thread's: the buffer that the next read goes into */
	uint32_t if_cnt;
	struct punt_if ifs[DP_PORT_MAX];
	pthread_t thread;
	bool running;
	uint32_t stop;          /* atomic */
	/* worker 0's */
	uint32_t pending;       /* in 'out', at the thread, or in 'done' */
	uint32_t laid;          /* in 'empty', at the thread, or in 'in' */
};

bool dp_punt_rate_take(struct dp_punt_rate *r, uint32_t pps, uint64_t now_us)
{
	uint64_t max = (uint64_t)pps * 100000, gone = now_us - r->us;

	if (max < 64000000)
		max = 64000000;
	if (!r->begun || gone > 1000000)
		r->credit = max;
	else
		r->credit += gone * pps;
	if (r->credit > max)
		r->credit = max;
	r->begun = true;
	r->us = now_us;
	if (r->credit < 1000000)
		return false;
	r->credit -= 1000000;
	return true;
}

/* --- main lcore --- */

int dp_punt_tap(const char *ifname, const uint8_t *mac, uint16_t mtu)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), s = -1, rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		rc = -errno;
	/* No headers for offloads, no large packets: each read is a frame as it goes on the wire, checksums in it. */
	if (rc == 0 && ioctl(fd, TUNSETOFFLOAD, 0UL) < 0)
		rc = -errno;
	if (rc == 0 && (s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		rc = -errno;
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	if (rc == 0 && ioctl(s, SIOCSIFHWADDR, &ifr) < 0)
		rc = -errno;
	ifr.ifr_mtu = mtu;
	if (rc == 0 && ioctl(s, SIOCSIFMTU, &ifr) < 0)
		rc = -errno;
	if (rc == 0 && ioctl(s, SIOCGIFFLAGS, &ifr) < 0)
		rc = -errno;
	ifr.ifr_flags |= IFF_UP;
	if (rc == 0 && ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		rc = -errno;
	if (s >= 0)
		close(s);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static struct rte_ring *ring(const struct dp_node *node, const char *what)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "punt-%s%s", what, node->tag);
	return rte_ring_create(name, RING_DEPTH, (int)rte_socket_id(), RING_F_SP_ENQ | RING_F_SC_DEQ);
}

struct dp_punt *dp_punt_create(struct dp_node *node)
{
	struct dp_punt *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->node = node;
	p->out = ring(node, "out");
	p->done = ring(node, "done");
	p->in = ring(node, "in");
	p->empty = ring(node, "empty");
	if (p->out == NULL || p->done == NULL || p->in == NULL || p->empty == NULL) {
		dp_punt_destroy(p);
		return NULL;
	}
	return p;
}

int dp_punt_add(struct dp_punt *p, uint8_t port, int fd)
{
	if (p->if_cnt == DP_PORT_MAX)
		return -ENOSPC;
	p->ifs[p->if_cnt++] = (struct punt_if){.fd = fd, .port = port};
	p->node->ports[port].punt = true;
	return 0;
}

static void drain(struct rte_ring *r)
{
	void *m;

	while (r != NULL && rte_ring_sc_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void dp_punt_destroy(struct dp_punt *p)
{
	if (p == NULL)
		return;
	if (p->running) {
		__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
		pthread_join(p->thread, NULL);
	}
	for (uint32_t i = 0; i < p->if_cnt; i++) {
		p->node->ports[p->ifs[i].port].punt = false;
		if (p->ifs[i].fd >= 0)
			close(p->ifs[i].fd);
	}
	drain(p->out);
	drain(p->done);
	drain(p->in);
	drain(p->empty);
	rte_pktmbuf_free(p->spare);
	free(p);
}

/* --- the thread --- */

static struct punt_if *if_of(struct dp_punt *p, uint8_t port)
{
	for (uint32_t i = 0; i < p->if_cnt; i++)
		if (p->ifs[i].port == port)
			return &p->ifs[i];
	return NULL;
}

/* What worker 0 gave us, to the kernel. */
static unsigned int write_some(struct dp_punt *p)
{
	void *m[BURST];
	unsigned int n = rte_ring_sc_dequeue_burst(p->out, m, BURST, NULL);

	for (unsigned int i = 0; i < n; i++) {
		struct dp_mbuf_priv *priv = rte_mbuf_to_priv((struct rte_mbuf *)m[i]);
		const struct punt_if *f = if_of(p, priv->port);
		uint16_t len = ((struct rte_mbuf *)m[i])->data_len;
		ssize_t got = -1;

		if (f != NULL && f->fd >= 0)
			got = write(f->fd, rte_pktmbuf_mtod((struct rte_mbuf *)m[i], void *), len);
		priv->refused = got != (ssize_t)len; /* down, or no memory there */
	}
	if (n > 0)
		(void)rte_ring_sp_enqueue_bulk(p->done, m, n, NULL); /* holds all there are */
	return n;
}

/* One frame of the kernel's. 1: taken; 0: none there; -ENOBUFS: no buffer for it. */
static int read_one(struct dp_punt *p, struct punt_if *f)
{
	struct dp_mbuf_priv *priv;
	struct rte_mbuf *m = p->spare;
	void *empty;
	ssize_t n;

	if (m == NULL) {
		if (rte_ring_sc_dequeue(p->empty, &empty) != 0)
			return -ENOBUFS;
		m = p->spare = empty;
	}
	n = read(f->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		cfg_log(CFG_LOG_ERR, "punt-interface-gone", "device=%s error=%s", p->node->ports[f->port].device,
			n < 0 ? strerror(errno) : "closed");
		close(f->fd);
		f->fd = -1;
		return 0;
	}
	if (n < DP_ETH_LEN)
		return 1;
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	priv = rte_mbuf_to_priv(m);
	*priv = (struct dp_mbuf_priv){.port = f->port};
	p->spare = NULL;
	(void)rte_ring_sp_enqueue(p->in, m); /* holds all that were laid out */
	return 1;
}

static void *serve(void *arg)
{
	struct dp_punt *p = arg;
	unsigned int idle = 0;

	(void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
	while (__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE) == 0) {
		struct timespec ts = {.tv_nsec = idle < BUSY_LOOKS ? BUSY_NS : IDLE_NS};
		struct pollfd pfd[DP_PORT_MAX];
		unsigned int n = write_some(p);
		bool room = true;

		for (uint32_t i = 0; i < p->if_cnt; i++) {
			int rc = 0;

			for (int k = 0; k < BURST && p->ifs[i].fd >= 0 && (rc = read_one(p, &p->ifs[i])) == 1; k++)
				n++;
			room = room && rc != -ENOBUFS;
			pfd[i] = (struct pollfd){.fd = p->ifs[i].fd, .events = POLLIN};
		}
		if (n > 0) {
			idle = 0;
			continue;
		}
		idle++;
		/* Without buffers there is nothing to wake up for: worker 0 lays new ones out in its rounds. */
		(void)ppoll(pfd, room ? p->if_cnt : 0, &ts, NULL);
	}
	return NULL;
}

int dp_punt_start(struct dp_punt *p)
{
	int rc = rte_ctrl_thread_create(&p->thread, "ravelin-punt", NULL, serve, p);

	p->running = rc == 0;
	return rc > 0 ? -rc : rc;
}

/* --- worker --- */

static void to_thread(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_punt *p = w->node->punt;

	if (p->pending == DP_PUNT_DEPTH || !dp_punt_rate_take(&w->punt_rate, w->node->cfg->dataplane.punt_pps, w->now_us)) {
		dp_worker_drop(w, m, DP_DROP_PUNT_FULL);
		return;
	}
	p->pending++;
	w->cnt->in_flight++;
	(void)rte_ring_sp_enqueue(p->out, m);
}

void dp_punt_handed(struct dp_worker *w, struct rte_mbuf *m)
{
	to_thread(w, m);
}

void dp_punt_frame(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why)
{
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);

	if (!w->node->ports[priv->port].punt) {
		dp_worker_drop(w, m, why);
	} else if (w->id == 0) {
		to_thread(w, m);
	} else if (!dp_punt_rate_take(&w->punt_rate, w->node->cfg->dataplane.punt_pps, w->now_us)) {
		dp_worker_drop(w, m, DP_DROP_PUNT_FULL);
	} else {
		priv->punt = 1;
		dp_worker_handoff(w, 0, m);
	}
}

/* The destination as it stands in the frame, if that is whole: a frame that is malformed otherwise has one too. */
static bool destination(const uint8_t *frame, uint16_t len, uint8_t *ret_family, uint8_t *dst)
{
	uint16_t etype = dp_get16(frame + 12);

	memset(dst, 0, 16);
	if (etype == DP_ETYPE_IP4 && len >= DP_ETH_LEN + 20) {
		*ret_family = 4;
		memcpy(dst, frame + DP_ETH_LEN + 16, 4);
		return true;
	}
	if (etype == DP_ETYPE_IP6 && len >= DP_ETH_LEN + 40) {
		*ret_family = 6;
		memcpy(dst, frame + DP_ETH_LEN + 24, 16);
		return true;
	}
	return false;
}

void dp_punt_refused(struct dp_worker *w, struct rte_mbuf *m, const struct dp_frame *f, enum dp_drop why)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);
	const struct dp_port *port = &w->node->ports[priv->port];
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t len = m->data_len, etype;
	uint8_t family, dst[16];
	bool kernels;

	if (!port->punt || len < DP_ETH_LEN || m->nb_segs != 1 || memcmp(frame + 6, port->mac, 6) == 0 ||
	    ((frame[0] & 1) == 0 && memcmp(frame, port->mac, 6) != 0)) {
		dp_worker_drop(w, m, why);
		return;
	}
	etype = dp_get16(frame + 12);
	if (etype == DP_ETYPE_IP4 || etype == DP_ETYPE_IP6) {
		kernels = destination(frame, len, &family, dst) &&
			  dp_locals_find(&w->node->locals, family, dst) == NULL;
		if (f != NULL && f->proto == DP_PROTO_UDP && f->dst_port == IKE_PORT)
			kernels = true;
	} else {
		kernels = etype != DP_ETYPE_VLAN; /* ARP does not come here */
	}
	if (kernels)
		dp_punt_frame(w, m, why);
	else
		dp_worker_drop(w, m, why);
}

/* Buffers for what the kernel sends, as many as it may have. */
static void lay_out(struct dp_worker *w, struct dp_punt *p)
{
	struct rte_mbuf *m[BURST];

	if (p->laid > DP_PUNT_EMPTY - BURST || rte_pktmbuf_alloc_bulk(w->node->pool, m, BURST) != 0)
		return;
	p->laid += BURST;
	(void)rte_ring_sp_enqueue_bulk(p->empty, (void **)m, BURST, NULL);
}

unsigned int dp_punt_poll(struct dp_worker *w)
{
	struct dp_punt *p = w->node->punt;
	struct rte_mbuf *m[BURST];
	unsigned int done, n;

	static_assert(DP_PUNT_IN <= BURST, "one burst a round");
	done = rte_ring_sc_dequeue_burst(p->done, (void **)m, BURST, NULL);
	for (unsigned int i = 0; i < done; i++) {
		const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m[i]);

		w->cnt->in_flight--;
		dp_worker_drop(w, m[i], priv->refused ? DP_DROP_PUNT_FULL : DP_DROP_PUNTED);
	}
	p->pending -= done;
	n = rte_ring_sc_dequeue_burst(p->in, (void **)m, DP_PUNT_IN, NULL);
	p->laid -= n;
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m[i]);

		w->cnt->made_pkts++;
		if (m[i]->data_len > w->node->ports[priv->port].mtu + DP_ETH_LEN)
			dp_worker_drop(w, m[i], DP_DROP_NO_ROOM);
		else
			dp_worker_send(w, priv->port, m[i]);
	}
	lay_out(w, p);
	return done + n;
}
