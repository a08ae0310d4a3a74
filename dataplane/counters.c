/* SPDX-License-Identifier: BSD-3-Clause */
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_telemetry.h>

#include "quality/emodel.h"
#include "quality/quality.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* linux/fcntl.h, Linux 5.1 */
#endif

static const char *const stages[DP_STAGE_MAX] = {
	[DP_STAGE_RX] = "rx",
	[DP_STAGE_PARSE] = "parse",
	[DP_STAGE_LOOKUP] = "lookup",
	[DP_STAGE_UNPROTECT] = "unprotect",
	[DP_STAGE_PROTECT] = "protect",
	[DP_STAGE_REWRITE] = "rewrite",
	[DP_STAGE_TX] = "tx",
	[DP_STAGE_OTHER] = "other",
};

static struct dp_page *telemetry_page; /* telemetry callbacks carry no context */

const char *dp_stage_name(unsigned int stage)
{
	return stage < DP_STAGE_MAX ? stages[stage] : NULL;
}

int dp_page_create(uint32_t worker_cnt, uint32_t leg_cnt, uint32_t sa_cnt, struct dp_page **ret_page,
		   size_t *ret_size, int *ret_fd)
{
	size_t worker_off = sizeof(struct dp_page);
	size_t leg_off = worker_off + worker_cnt * sizeof(struct dp_page_worker);
	size_t sa_off = leg_off + leg_cnt * sizeof(struct dp_page_leg);
	size_t size = sa_off + sa_cnt * sizeof(struct dp_page_sa);
	struct dp_page *page;
	int fd, rc;

	size = (size + 4095) & ~(size_t)4095;
	fd = memfd_create("ravelin-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		goto fail;
	/* Our mapping stays writable, nobody can make another one that is. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		rc = -errno;
		munmap(page, size);
		close(fd);
		return rc;
	}
	page->magic = DP_PAGE_MAGIC;
	page->version = DP_PAGE_VERSION;
	page->size = size;
	page->worker_cnt = worker_cnt;
	page->worker_off = worker_off;
	page->leg_cnt = leg_cnt;
	page->leg_off = leg_off;
	page->sa_cnt = sa_cnt;
	page->sa_off = sa_off;
	*ret_page = page;
	*ret_size = size;
	*ret_fd = fd;
	return 0;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

/* --- what somebody outside did wrong --- */

static const uint8_t told[] = {
	DP_DROP_L3_MALFORMED,  DP_DROP_L4_MALFORMED,  DP_DROP_SOURCE,       DP_DROP_RTP_MALFORMED,
	DP_DROP_RTCP_MALFORMED, DP_DROP_AUTH,         DP_DROP_REPLAY,       DP_DROP_STALE,
	DP_DROP_KEY_LIMIT,     DP_DROP_NO_STREAM,     DP_DROP_POLICED,      DP_DROP_ESP_MALFORMED,
	DP_DROP_ESP_NO_SA,     DP_DROP_ESP_AUTH,      DP_DROP_ESP_REPLAY,   DP_DROP_ESP_STALE,
	DP_DROP_ESP_EXPIRED,   DP_DROP_ESP_BYTES,     DP_DROP_ESP_PKTS,     DP_DROP_ESP_SEQ,
	DP_DROP_AH,            DP_DROP_ESP_SELECTOR,  DP_DROP_POLICY,       DP_DROP_MGCP_MALFORMED,
	DP_DROP_MGCP_UNKNOWN,
};

unsigned int dp_drops_new(struct dp_drops_seen *seen, struct dp_page *page, char *ret_text, size_t size)
{
	const struct dp_page_worker *w = dp_page_workers(page);
	unsigned int cnt = 0;
	size_t at = 0;

	ret_text[0] = '\0';
	if (page->alive - seen->alive < 2) /* half seconds */
		return 0;
	seen->alive = page->alive;
	for (unsigned int k = 0; k < sizeof(told); k++) {
		uint64_t sum = 0;
		int n;

		for (uint64_t i = 0; i < page->worker_cnt; i++)
			sum += w[i].drop[told[k]];
		if (sum == seen->drop[told[k]])
			continue;
		n = snprintf(ret_text + at, size - at, "%s%s=%llu", at > 0 ? " " : "", dp_drop_name(told[k]),
			     (unsigned long long)(sum - seen->drop[told[k]]));
		if (n < 0 || (size_t)n >= size - at) {
			ret_text[at] = '\0'; /* told next time */
			break;
		}
		at += (size_t)n;
		seen->drop[told[k]] = sum;
		cnt++;
	}
	return cnt;
}

/* --- telemetry: runs in the library's thread, reads only --- */

static int tel_info(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct dp_page *p = telemetry_page;

	(void)cmd;
	(void)params;
	if (p == NULL)
		return -ENODEV;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "boot_id", p->boot_id);
	rte_tel_data_add_dict_u64(d, "epoch", p->epoch);
	rte_tel_data_add_dict_u64(d, "workers", p->worker_cnt);
	rte_tel_data_add_dict_u64(d, "leg_bytes", p->leg_bytes);
	rte_tel_data_add_dict_u64(d, "mbufs_total", p->mbufs_total);
	rte_tel_data_add_dict_u64(d, "mbufs_used", p->mbufs_used);
	rte_tel_data_add_dict_u64(d, "chan_bad", p->chan_bad);
	rte_tel_data_add_dict_u64(d, "events_dropped", p->events_dropped);
	return 0;
}

static int tel_workers(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct dp_page_worker *w;

	(void)cmd;
	(void)params;
	if (telemetry_page == NULL)
		return -ENODEV;
	w = dp_page_workers(telemetry_page);
	rte_tel_data_start_dict(d);
	for (uint64_t i = 0; i < telemetry_page->worker_cnt; i++) {
		struct rte_tel_data *one = rte_tel_data_alloc();
		char name[16];

		if (one == NULL)
			return -ENOMEM;
		rte_tel_data_start_dict(one);
		rte_tel_data_add_dict_u64(one, "rx_pkts", w[i].rx_pkts);
		rte_tel_data_add_dict_u64(one, "tx_pkts", w[i].tx_pkts);
		rte_tel_data_add_dict_u64(one, "made_pkts", w[i].made_pkts);
		rte_tel_data_add_dict_u64(one, "handoff_in", w[i].handoff_in);
		rte_tel_data_add_dict_u64(one, "handoff_out", w[i].handoff_out);
		rte_tel_data_add_dict_u64(one, "polls", w[i].polls);
		rte_tel_data_add_dict_u64(one, "busy_polls", w[i].busy_polls);
		for (unsigned int s = 0; s < DP_STAGE_MAX; s++) {
			char key[32];

			snprintf(key, sizeof(key), "cyc_%s", stages[s]);
			rte_tel_data_add_dict_u64(one, key, w[i].stage_cyc[s]);
		}
		snprintf(name, sizeof(name), "%u", (unsigned int)i);
		rte_tel_data_add_dict_container(d, name, one, 0);
	}
	return 0;
}

static int tel_drops(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct dp_page_worker *w;

	(void)cmd;
	(void)params;
	if (telemetry_page == NULL)
		return -ENODEV;
	w = dp_page_workers(telemetry_page);
	rte_tel_data_start_dict(d);
	for (unsigned int why = DP_OK + 1; why < DP_DROP_MAX; why++) {
		uint64_t sum = 0;

		for (uint64_t i = 0; i < telemetry_page->worker_cnt; i++)
			sum += w[i].drop[why];
		rte_tel_data_add_dict_u64(d, dp_drop_name(why), sum);
	}
	return 0;
}

/* The next RTE_TEL_MAX_ARRAY_ENTRIES legs that are up, from an identifier on. */
static int tel_legs(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct dp_page *p = telemetry_page;
	uint64_t from = 0;
	unsigned int n = 0;
	char *end;

	(void)cmd;
	if (p == NULL)
		return -ENODEV;
	if (params != NULL && params[0] != '\0') {
		from = strtoull(params, &end, 10);
		if (*end != '\0')
			return -EINVAL;
	}
	rte_tel_data_start_array(d, RTE_TEL_U64_VAL);
	for (uint64_t i = from; i < p->leg_cnt && n < RTE_TEL_MAX_ARRAY_ENTRIES; i++)
		if (dp_page_legs(telemetry_page)[i].state != DP_PAGE_LEG_FREE)
			n += rte_tel_data_add_array_u64(d, i) == 0;
	return 0;
}

/* Telemetry has no fractions. What is not known is not said. */
static void add_quality(struct rte_tel_data *d, const char *r_name, const char *mos_name, double r)
{
	if (isnan(r))
		return;
	rte_tel_data_add_dict_int(d, r_name, (int)lround(r * 10));
	rte_tel_data_add_dict_int(d, mos_name, (int)lround(dp_emodel_mos(r) * 100));
}

static int tel_leg(const char *cmd, const char *params, struct rte_tel_data *d)
{
	static const struct {
		const char *name;
		size_t off;
	} fields[] = {
#define F(n) {#n, offsetof(struct dp_page_leg, n)}
#define R(n) {"rtp_" #n, offsetof(struct dp_page_leg, rtp.n)}
#define C(n) {"rtcp_" #n, offsetof(struct dp_page_leg, rtcp.n)}
		F(session), F(peer), F(state), F(rx_suite), F(tx_suite), F(codec), F(clock_hz), F(ptime_ms), F(rx_pkts),
		F(rx_bytes), F(tx_pkts), F(tx_bytes), F(rx_rtcp), F(tx_rtcp), F(auth_fail), F(replayed), F(policed),
		F(other_drop), F(last_rx_s), F(latches), F(tx_reserved), F(tx_rtcp_reserved), F(rx_top), F(rx_rtcp_top),
		R(ssrc), R(ssrc_changes), R(expected), R(received), R(reordered), R(gap_max_us), R(ext_seq), C(reports),
		C(fraction), C(rtt_us),
#undef F
#undef R
#undef C
	};
	const struct dp_page_leg *pl;
	struct dp_quality q;
	uint64_t id, hz;
	char *end;

	(void)cmd;
	if (telemetry_page == NULL)
		return -ENODEV;
	if (params == NULL || params[0] == '\0')
		return -EINVAL;
	id = strtoull(params, &end, 10);
	if (*end != '\0' || id >= telemetry_page->leg_cnt)
		return -EINVAL;
	pl = &dp_page_legs(telemetry_page)[id];
	if (pl->state == DP_PAGE_LEG_FREE)
		return -ENOENT;
	hz = pl->clock_hz != 0 ? pl->clock_hz : 8000;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "leg", id);
	for (unsigned int k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
		uint64_t v;

		memcpy(&v, (const uint8_t *)pl + fields[k].off, sizeof(v));
		rte_tel_data_add_dict_u64(d, fields[k].name, v);
	}
	rte_tel_data_add_dict_u64(d, "rtp_lost", pl->rtp.expected > pl->rtp.received ? pl->rtp.expected - pl->rtp.received : 0);
	rte_tel_data_add_dict_u64(d, "rtp_jitter_us", pl->rtp.jitter * 1000000 / 16 / hz);
	rte_tel_data_add_dict_u64(d, "rtcp_jitter_us", pl->rtcp.jitter * 1000000 / hz);
	rte_tel_data_add_dict_int(d, "rtcp_lost", (int)(int64_t)pl->rtcp.lost);
	rte_tel_data_add_dict_u64(d, "rx_key_age_s", pl->rx_key_s != 0 && telemetry_page->now_s > pl->rx_key_s ?
							     telemetry_page->now_s - pl->rx_key_s : 0);
	rte_tel_data_add_dict_u64(d, "tx_key_age_s", pl->tx_key_s != 0 && telemetry_page->now_s > pl->tx_key_s ?
							     telemetry_page->now_s - pl->tx_key_s : 0);
	dp_quality_of(pl, &q);
	add_quality(d, "rx_r_tenths", "rx_mos_hundredths", q.rx_r);
	add_quality(d, "tx_r_tenths", "tx_mos_hundredths", q.tx_r);
	return 0;
}

int dp_telemetry_init(struct dp_page *page)
{
	int rc;

	telemetry_page = page;
	if (page == NULL)
		return 0;
	rc = rte_telemetry_register_cmd("/ravelin/info", tel_info, "Identity and memory of this dataplane.");
	if (rc == 0)
		rc = rte_telemetry_register_cmd("/ravelin/workers", tel_workers, "Counters of each worker.");
	if (rc == 0)
		rc = rte_telemetry_register_cmd("/ravelin/drops", tel_drops, "Dropped packets by reason.");
	if (rc == 0)
		rc = rte_telemetry_register_cmd("/ravelin/legs", tel_legs,
						"Legs that are up, 512 at most. Parameter: the first identifier.");
	if (rc == 0)
		rc = rte_telemetry_register_cmd("/ravelin/leg", tel_leg, "Counters of a leg. Parameter: its identifier.");
	return rc;
}
