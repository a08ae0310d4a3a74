/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "capring.h"
#include "watch.h"

#define DP_CAPTURE_PKT 9728 /* bytes: a jumbo frame's IP packet */

/* The next capture of that leg and side, from *k on; NULL: no more. */
static const struct dp_watch_capture *next(const struct dp_worker *w, uint32_t leg_id, enum dp_capture_side side, uint32_t *k)
{
	const struct dp_watch *watch = w->watch;

	while (*k < watch->capture_cnt) {
		const struct dp_watch_capture *c = &watch->capture[(*k)++];

		if (c->leg_id == leg_id && c->side == side)
			return c;
	}
	return NULL;
}

static struct dp_cap_rec *take(struct dp_worker *w, const struct dp_watch_capture *c, enum dp_dir dir, uint32_t len)
{
	struct dp_cap_rec *rec = dp_capring_take(w->cap_ring, RTE_MIN(len, c->snap_len));

	if (rec == NULL) {
		__atomic_store_n(&w->cap_lost[c->slot], w->cap_lost[c->slot] + 1, __ATOMIC_RELAXED);
		return NULL;
	}
	rec->cyc = rte_rdtsc();
	rec->orig_len = len;
	rec->slot = c->slot;
	rec->dir = (uint8_t)dir;
	return rec;
}

void dp_capture_wire(struct dp_worker *w, uint32_t leg_id, enum dp_dir dir, const struct rte_mbuf *m)
{
	const struct dp_watch_capture *c;

	for (uint32_t k = 0; (c = next(w, leg_id, DP_CAPTURE_CIPHER, &k)) != NULL;) {
		struct dp_cap_rec *rec = take(w, c, dir, m->pkt_len);
		const void *data;

		if (rec == NULL)
			continue;
		/* in one piece unless a stage accepts chained buffers */
		data = rte_pktmbuf_read(m, 0, rec->len, rec->data);
		if (data != NULL && data != rec->data)
			memcpy(rec->data, data, rec->len);
		dp_capring_push(w->cap_ring, rec);
	}
}

void dp_capture_clear(struct dp_worker *w, uint32_t leg_id, enum dp_dir dir, const struct dp_capture_path *path,
		      const uint8_t *data, uint16_t len)
{
	uint16_t h = dp_udp_hdr_len(path->family);
	const struct dp_watch_capture *c;
	uint8_t pkt[DP_CAPTURE_PKT];

	for (uint32_t k = 0; (c = next(w, leg_id, DP_CAPTURE_PLAIN, &k)) != NULL;) {
		struct dp_cap_rec *rec = take(w, c, dir, (uint32_t)h + len);

		if (rec == NULL)
			continue;
		/* The checksum wants header and payload together; the record may be cut. */
		if ((uint32_t)h + len <= sizeof(pkt)) {
			memcpy(pkt + h, data, len);
			dp_build_udp(pkt, path->family, path->src, path->src_port, path->dst, path->dst_port, len, 0, true);
			memcpy(rec->data, pkt, rec->len);
		} else {
			memset(rec->data, 0, rec->len); /* longer than any port's MTU */
		}
		dp_capring_push(w->cap_ring, rec);
	}
	explicit_bzero(pkt, RTE_MIN(sizeof(pkt), (size_t)h + len));
}
