/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/chan.c, chan_check.c: a good message of each type passes; then each of its fields is given each value that
 * it must not have, and each truncation, alone and behind a good message: refused, and nothing was executed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "chan.h"
#include "counters.h"
#include "log.h"

static const struct dp_chan_lim lim = {.leg_id_cnt = 2 * DP_LEGS_PER_ADDR};
static unsigned int cmds, hellos, bads;
static uint16_t last_type;

static int on_hello(void *ctx, uint64_t epoch, struct dp_hello_reply *ret)
{
	(void)ctx;
	hellos++;
	ret->boot_id = epoch;
	return 0;
}

static int on_cmd(void *ctx, const struct dp_msg_hdr *msg, uint32_t *ret_detail)
{
	(void)ctx;
	*ret_detail = 0;
	cmds++;
	last_type = msg->type;
	return 0;
}

static void on_bad(void *ctx)
{
	(void)ctx;
	bads++;
}

static const struct dp_chan_ops ops = {.hello = on_hello, .cmd = on_cmd, .bad = on_bad};

static struct dp_sockaddr at(uint16_t port)
{
	return (struct dp_sockaddr){.family = 4, .port = port, .ip = {10, 0, 0, 2}};
}

union any {
	struct dp_msg_hdr hdr;
	struct dp_hello hello;
	struct dp_leg_set leg;
	struct dp_leg_key key;
	struct dp_key_del key_del;
	struct dp_shard_move move;
	struct dp_capture capture;
	struct dp_trace trace;
	struct dp_music_set music;
	struct dp_leg_music hears;
	struct dp_spd_set spd;
	struct dp_spd_commit commit;
	struct dp_obj obj;
	struct dp_sa_set sa;
	struct dp_sa_grant grant;
	struct dp_gw_set gw;
	struct dp_mgcp_cmd cmd;
	struct dp_mgcp_ask ask;
	struct dp_mgcp_ack ack;
	struct dp_sweep sweep;
	uint8_t b[DP_MSG_MAX];
};

/* A good message of each command. */
static uint16_t good(uint16_t type, union any *m)
{
	memset(m, 0, sizeof(*m));
	switch (type) {
	case DP_MSG_HELLO:
		m->hello.version = DP_MSG_VERSION;
		m->hello.epoch = 5;
		break;
	case DP_MSG_LEG_SET:
		m->leg = (struct dp_leg_set){.leg_id = 7, .peer_id = 8, .rx_suite = 1, .tx_suite = 2, .dscp = 46,
					     .latch = DP_LATCH_AUTH, .flags = 7, .pt_map_cnt = 2, .pt_map = {{0, 0}, {8, 18}}, .remote = at(4), .remote_rtcp = at(5),
					     .session = 9, .idle_s = 3};
		break;
	case DP_MSG_LEG_KEY:
		m->key = (struct dp_leg_key){.leg_id = 7, .suite = 1, .dir = 1, .index_floor = 3, .ssrc = 1, .rtcp_floor = 4,
					     .mki_len = 2, .mki = {1, 2}, .key = {1, [15] = 9}, .salt = {1, [13] = 9}};
		break;
	case DP_MSG_LEG_DEL:
	case DP_MSG_ADOPT:
		m->obj = (struct dp_obj){.id = 3, .kind = DP_OBJ_LEG};
		break;
	case DP_MSG_SA_DEL:
		m->obj = (struct dp_obj){.id = 3, .kind = DP_OBJ_SA};
		break;
	case DP_MSG_GW_DEL:
		m->obj = (struct dp_obj){.id = 3, .kind = DP_OBJ_GW};
		break;
	case DP_MSG_SA_SET:
		m->sa = (struct dp_sa_set){.sa_id = 3, .spi = 0x1005, .gw_id = 2, .dir = DP_DIR_RECV, .alg = 1,
					   .mode = 1, .local = at(0), .remote = at(0), .shard = 5, .key = {1},
					   .salt = {1}, .sel_local = at(0), .sel_local_plen = 32,
					   .hard_s = 9, .hard_bytes = 9, .hard_pkts = 9};
		break;
	case DP_MSG_SA_GRANT:
		m->grant = (struct dp_sa_grant){.sa_id = 3, .spi = 0x1005, .seq_limit = 9};
		break;
	case DP_MSG_GW_SET:
		m->gw = (struct dp_gw_set){.gw_id = 3, .shard = 5, .flags = 15, .remote = at(2427), .local = at(2727),
					   .domain = "gw.example", .notified = "ca2@other:2727", .agent = "ca1@[10.0.0.1]", .keepalive_s = 15};
		break;
	case DP_MSG_MGCP_CMD:
		m->cmd = (struct dp_mgcp_cmd){.handle = 1, .gw_id = 3, .verb = DP_MGCP_CRCX, .mode = 3,
					      .endpoint = "aaln/1", .call_id = "1f", .events = "L/hu",
					      .media = {.addr = at(4000), .suite = 1, .pt = 8, .ptime_ms = 20, .tag = 1,
							.key = {1}, .salt = {2}}};
		break;
	case DP_MSG_MGCP_ASK:
		m->ask = (struct dp_mgcp_ask){.handle = 1, .gw_id = 3, .verb = DP_MGCP_RQNT, .endpoint = "aaln/1", .request_id = "1f",
					      .params = "R: L/hu(N)\nD: (0T|xxxx)\n"};
		break;
	case DP_MSG_MGCP_ACK:
		m->ack = (struct dp_mgcp_ack){.token = 3, .code = 200};
		break;
	case DP_MSG_SWEEP:
		m->sweep.epoch = 5;
		break;
	case DP_MSG_KEY_DEL:
		m->key_del = (struct dp_key_del){.leg_id = 7, .dir = 1, .mki_len = 2, .mki = {1, 2}};
		break;
	case DP_MSG_SHARD_MOVE:
		m->move = (struct dp_shard_move){.shard = 63, .worker = 1};
		break;
	case DP_MSG_CAPTURE:
		m->capture = (struct dp_capture){.id = 1, .leg_id = 7, .side = DP_CAPTURE_CIPHER, .max_bytes = 1 << 20,
						 .max_s = 10, .name = "leg7.pcapng"};
		break;
	case DP_MSG_TRACE:
		m->trace = (struct dp_trace){.id = 1, .count = 10, .leg_id = UINT32_MAX, .src = at(0)};
		break;
	case DP_MSG_MUSIC_SET:
		m->music = (struct dp_music_set){.name = "default", .file = {"a.wav", "", "a.g729"}};
		break;
	case DP_MSG_LEG_MUSIC:
		m->hears = (struct dp_leg_music){.leg_id = 7, .codec = DP_MUSIC_PCMA, .pt = 8, .ptime_ms = 20, .name = "default"};
		break;
	case DP_MSG_SPD_SET:
		m->spd = (struct dp_spd_set){.pos = 1, .dirs = 3, .action = DP_SPD_PROTECT, .proto = 17, .df = 1, .dscp = 63,
					     .local = {.family = 4, .ip = {10, 0, 0, 0}}, .local_plen = 8, .local_lo = 2727,
					     .local_hi = 2727, .remote_hi = UINT16_MAX, .icmp_hi = 255};
		break;
	case DP_MSG_SPD_COMMIT:
		m->commit.count = DP_SPD_MAX;
		break;
	default:
		return 0;
	}
	m->hdr = (struct dp_msg_hdr){.type = type, .len = dp_chan_size(type), .seq = 42};
	return m->hdr.len;
}

#define BAD(type_, struct_, field, ...)                                                            \
	{                                                                                          \
		type_, offsetof(struct struct_, field), sizeof(((struct struct_ *)0)->field),      \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/* Values of up to 8 bytes in host order; for longer fields the value is put at each of its bytes that must be zero. */
static const struct {
	uint16_t type;
	size_t off, size;
	uint64_t val[4]; /* 0 ends, but the first counts */
} bad[] = {
	BAD(DP_MSG_HELLO, dp_hello, zero, 1),
	BAD(DP_MSG_HELLO, dp_hello, epoch, 0),
	BAD(DP_MSG_LEG_SET, dp_leg_set, leg_id, 2 * DP_LEGS_PER_ADDR, UINT32_MAX),
	BAD(DP_MSG_LEG_SET, dp_leg_set, peer_id, 7, 128, 2 * DP_LEGS_PER_ADDR), /* itself, other shard, beyond */
	BAD(DP_MSG_LEG_SET, dp_leg_set, rx_suite, 0 /* with LATCH_AUTH */, DP_SRTP_SUITE_MAX, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, ssrc_max, DP_SSRC_MAX + 1, UINT16_MAX),
	BAD(DP_MSG_LEG_SET, dp_leg_set, tx_suite, DP_SRTP_SUITE_MAX, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, latch, 4, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, flags, 32, 128),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.port, 0),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.family, 0, 5, 6, 255), /* 6: RTCP's is 4 */
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.ip[0], 0, 127, 224, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.ip[4], 1),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.ip[15], 1),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote.zero[4], 1),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote_rtcp.port, 0),
	BAD(DP_MSG_LEG_SET, dp_leg_set, remote_rtcp.family, 0, 6, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, dscp, 64, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, codec, DP_CODEC_MAX, 255),
	BAD(DP_MSG_LEG_SET, dp_leg_set, pt_map_cnt, DP_PT_MAP_MAX + 1, 255, 0 /* there are two */, 3 /* 0 twice */),
	BAD(DP_MSG_LEG_SET, dp_leg_set, pt_map[0].from, 128, 8 /* twice */),
	BAD(DP_MSG_LEG_SET, dp_leg_set, pt_map[1].to, 128),
	BAD(DP_MSG_LEG_SET, dp_leg_set, pt_map[7].to, 1),
	BAD(DP_MSG_LEG_SET, dp_leg_set, clock_hz, 192001),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, leg_id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, suite, 0, DP_SRTP_SUITE_MAX, 255),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, dir, 2, 255),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, mki_len, 129, 255, 1 /* two bytes are set */),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, kdr, 25),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, overlap_ms, 60001),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, lifetime, (1ull << 48) + 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, from, 1, 1ull << 48),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, to, 1 /* with an MKI */, 1ull << 48),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, flags, 4 /* standby alone */, 16),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, roc, 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, zero[2], 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, mki[2], 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, mki[127], 1),
	BAD(DP_MSG_KEY_DEL, dp_key_del, leg_id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_KEY_DEL, dp_key_del, dir, 2),
	BAD(DP_MSG_KEY_DEL, dp_key_del, mki_len, 0, 1, 129),
	BAD(DP_MSG_KEY_DEL, dp_key_del, zero[1], 1),
	BAD(DP_MSG_KEY_DEL, dp_key_del, mki[2], 1),
	BAD(DP_MSG_SHARD_MOVE, dp_shard_move, shard, 64, UINT32_MAX),
	BAD(DP_MSG_MUSIC_SET, dp_music_set, name[0], 0, 0x1f, 0xff),
	BAD(DP_MSG_MUSIC_SET, dp_music_set, name[31], 'x'),
	BAD(DP_MSG_MUSIC_SET, dp_music_set, file[0][0], 0, '.', '/'),
	BAD(DP_MSG_MUSIC_SET, dp_music_set, file[1][1], 'x'),
	BAD(DP_MSG_MUSIC_SET, dp_music_set, file[2][1], '/', ' ', 0xff),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, leg_id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, codec, DP_MUSIC_CODEC_MAX, 255),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, pt, 128, 255),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, ptime_ms, 0, 15, 70, 255),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, zero, 1),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, name[0], 0 /* an end, with more behind it */, 0x1f),
	BAD(DP_MSG_LEG_MUSIC, dp_leg_music, name[31], 'x'),
	BAD(DP_MSG_SPD_SET, dp_spd_set, pos, DP_SPD_MAX, 255),
	BAD(DP_MSG_SPD_SET, dp_spd_set, dirs, 0, 4, 255),
	BAD(DP_MSG_SPD_SET, dp_spd_set, action, 0, DP_SPD_ACTION_MAX, DP_SPD_BYPASS /* with DF and DSCP */, DP_SPD_DISCARD),
	BAD(DP_MSG_SPD_SET, dp_spd_set, proto, 0 /* with ports */, 1, 58, 50),
	BAD(DP_MSG_SPD_SET, dp_spd_set, df, DP_SPD_DF_MAX, 255),
	BAD(DP_MSG_SPD_SET, dp_spd_set, dscp, 64, 254),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local_plen, 33, 128, 255),
	BAD(DP_MSG_SPD_SET, dp_spd_set, remote_plen, 1 /* of no address */),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local.family, 0, 5, 255),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local.ip[1], 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local.ip[15], 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local.port, 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local.zero[4], 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, remote.family, 5, 6 /* local is 4 */),
	BAD(DP_MSG_SPD_SET, dp_spd_set, remote.ip[0], 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local_lo, 2728, 65535),
	BAD(DP_MSG_SPD_SET, dp_spd_set, local_hi, 2726, 0),
	BAD(DP_MSG_SPD_SET, dp_spd_set, icmp_lo, 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, icmp_hi, 254, 0),
	BAD(DP_MSG_SPD_SET, dp_spd_set, zero[0], 1),
	BAD(DP_MSG_SPD_SET, dp_spd_set, zero[5], 1),
	BAD(DP_MSG_SPD_COMMIT, dp_spd_commit, count, DP_SPD_MAX + 1, UINT32_MAX),
	BAD(DP_MSG_SPD_COMMIT, dp_spd_commit, zero, 1),
	BAD(DP_MSG_CAPTURE, dp_capture, id, 0),
	BAD(DP_MSG_CAPTURE, dp_capture, leg_id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_CAPTURE, dp_capture, side, 0, 3),
	BAD(DP_MSG_CAPTURE, dp_capture, zero[0], 1),
	BAD(DP_MSG_CAPTURE, dp_capture, max_bytes, 0 /* an end, with more behind it */),
	BAD(DP_MSG_CAPTURE, dp_capture, max_s, 0),
	BAD(DP_MSG_CAPTURE, dp_capture, name[0], 0, '.', '/', 0xff),
	BAD(DP_MSG_CAPTURE, dp_capture, name[1], '/', ' '),
	BAD(DP_MSG_CAPTURE, dp_capture, name[59], 'x'),
	BAD(DP_MSG_TRACE, dp_trace, id, 0),
	BAD(DP_MSG_TRACE, dp_trace, count, 10001),
	BAD(DP_MSG_TRACE, dp_trace, leg_id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_TRACE, dp_trace, drops_only, 2),
	BAD(DP_MSG_TRACE, dp_trace, zero, 1),
	BAD(DP_MSG_TRACE, dp_trace, src.family, 0, 5),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, index_floor, 1ull << 48, UINT64_MAX),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, rtcp_floor, 1ull << 31, UINT64_MAX),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, key[16], 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, key[31], 1),
	BAD(DP_MSG_LEG_KEY, dp_leg_key, zero2[1], 1),
	BAD(DP_MSG_LEG_DEL, dp_obj, id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_LEG_DEL, dp_obj, kind, 0, 2, 3, 255),
	BAD(DP_MSG_LEG_DEL, dp_obj, zero[2], 1),
	BAD(DP_MSG_ADOPT, dp_obj, kind, 0, 4, 255),
	BAD(DP_MSG_ADOPT, dp_obj, id, 2 * DP_LEGS_PER_ADDR),
	BAD(DP_MSG_SA_DEL, dp_obj, kind, 0, 1, 3),
	BAD(DP_MSG_SA_DEL, dp_obj, id, DP_SA_MAX),
	BAD(DP_MSG_GW_DEL, dp_obj, kind, 0, 1, 2),
	BAD(DP_MSG_GW_DEL, dp_obj, id, DP_GW_MAX),
	BAD(DP_MSG_SA_SET, dp_sa_set, sa_id, DP_SA_MAX),
	BAD(DP_MSG_SA_SET, dp_sa_set, spi, 0, 255, 0x1006),
	BAD(DP_MSG_SA_SET, dp_sa_set, gw_id, DP_GW_MAX),
	BAD(DP_MSG_SA_SET, dp_sa_set, dir, 2, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, alg, 0, DP_ESP_ALG_MAX, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, mode, 0, 3, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, esn, 2, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, local.family, 0, 6, 5),
	BAD(DP_MSG_SA_SET, dp_sa_set, local.port, 4500), /* the other side says none */
	BAD(DP_MSG_SA_SET, dp_sa_set, remote.family, 0, 6, 5),
	BAD(DP_MSG_SA_SET, dp_sa_set, remote.zero[0], 1),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_local.family, 5, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_local.zero[0], 1),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_remote.family, 5, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_remote.zero[0], 1),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_local_plen, 33, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, sel_remote_plen, 129, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, shard, 4, 64, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, tfc, 1, 1400, 1401), /* inbound */
	BAD(DP_MSG_SA_SET, dp_sa_set, flags, 1, 2, 255),
	BAD(DP_MSG_SA_SET, dp_sa_set, soft_s, 10, UINT64_MAX), /* hard: 9 */
	BAD(DP_MSG_SA_SET, dp_sa_set, soft_bytes, 10),
	BAD(DP_MSG_SA_SET, dp_sa_set, soft_pkts, 10),
	BAD(DP_MSG_SA_SET, dp_sa_set, replay_window, 1, 63, 4097, UINT32_MAX),
	BAD(DP_MSG_SA_SET, dp_sa_set, key[16], 1),
	BAD(DP_MSG_SA_SET, dp_sa_set, auth[0], 1), /* GCM */
	BAD(DP_MSG_SA_SET, dp_sa_set, zero, 1),
	BAD(DP_MSG_SA_GRANT, dp_sa_grant, sa_id, DP_SA_MAX),
	BAD(DP_MSG_SA_GRANT, dp_sa_grant, spi, 0, 255),
	BAD(DP_MSG_GW_SET, dp_gw_set, gw_id, DP_GW_MAX),
	BAD(DP_MSG_GW_SET, dp_gw_set, shard, 64, 255),
	BAD(DP_MSG_GW_SET, dp_gw_set, flags, 64, 128),
	BAD(DP_MSG_GW_SET, dp_gw_set, other_port, 2427 /* not AUTO */),
	BAD(DP_MSG_GW_SET, dp_gw_set, notified[0], ' ', '\n', 0 /* an end, with more behind it */),
	BAD(DP_MSG_GW_SET, dp_gw_set, notified[63], 'x'),
	BAD(DP_MSG_GW_SET, dp_gw_set, agent[0], ' ', '\n', 0 /* an end, with more behind it */),
	BAD(DP_MSG_GW_SET, dp_gw_set, agent[63], 'x'),
	BAD(DP_MSG_GW_SET, dp_gw_set, zero[6], 1),
	BAD(DP_MSG_GW_SET, dp_gw_set, remote.port, 0),
	BAD(DP_MSG_GW_SET, dp_gw_set, remote.family, 0, 6),
	BAD(DP_MSG_GW_SET, dp_gw_set, local.port, 0),
	BAD(DP_MSG_GW_SET, dp_gw_set, local.family, 0, 6),
	BAD(DP_MSG_GW_SET, dp_gw_set, domain[0], 0, '\n', 0x80),
	BAD(DP_MSG_GW_SET, dp_gw_set, domain[63], 'x'),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, gw_id, DP_GW_MAX),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, verb, 0, DP_MGCP_NTFY, DP_MGCP_RSIP, 255),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, mode, DP_MGCP_M_MAX, 255),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, zero[0], 1),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.addr.port, 0),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.addr.family, 0, 9),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.suite, 0 /* with a key */, DP_SRTP_SUITE_MAX, 255),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.pt, 128),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.telephone_event, 128),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.zero, 1),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.mki_len, 9, 255),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.mki, 1 /* no MKI */),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.kdr, 25),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.lifetime, 49),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.flags, 2),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, media.key[16], 1),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, endpoint[0], 0, '\r', 0xff),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, endpoint[20], 'x'), /* behind the end */
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, call_id[0], '\n'),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, conn_id[32], 'x'),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, request_id[0], 1),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, events[1], '\n'),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, signals[95], 'x'),
	BAD(DP_MSG_MGCP_CMD, dp_mgcp_cmd, zero2[4], 1),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, gw_id, DP_GW_MAX),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, verb, 0, DP_MGCP_CRCX, DP_MGCP_AUEP /* has no R */, 255),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, zero[2], 1),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, endpoint[0], 0, '\r', 0xff),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, call_id[32], 'x'),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, conn_id[0], '\n'),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, request_id[32], 'x'),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, params[0], 'C' /* not a parameter of it */, '\n'),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, params[3], 'X' /* no such package */),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, params[10], 0 /* an end, with more behind it */),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, params[323], 'x'),
	BAD(DP_MSG_MGCP_ASK, dp_mgcp_ask, zero2, 1),
	BAD(DP_MSG_MGCP_ACK, dp_mgcp_ack, token, 0),
	BAD(DP_MSG_MGCP_ACK, dp_mgcp_ack, code, 0, 199, 1000, 65535),
	BAD(DP_MSG_MGCP_ACK, dp_mgcp_ack, zero[5], 1),
};

static struct dp_chan *chan;
static uint8_t out[DP_MSG_DATAGRAM_MAX];

/* One datagram from an exact-size copy. Returns bytes of replies. */
static uint32_t give(const void *data, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	uint32_t n;

	memcpy(copy, data, len);
	n = dp_chan_datagram(chan, copy, len, out);
	free(copy);
	return n;
}

static struct dp_reply last_reply(uint32_t n)
{
	struct dp_reply r = {0};

	if (n >= sizeof(r))
		memcpy(&r, out + n - sizeof(r), sizeof(r));
	return r;
}

static void test_good_ones_pass(void)
{
	union any m;

	for (uint16_t t = 0; t < 256; t++) {
		uint16_t len = good(t, &m);
		unsigned before = cmds + hellos;
		uint32_t n;

		CU_ASSERT_EQUAL(len == 0, dp_chan_size(t) == 0);
		if (len == 0)
			continue;
		n = give(&m, len);
		CU_ASSERT_EQUAL(cmds + hellos, before + 1);
		if (t == DP_MSG_HELLO) {
			CU_ASSERT_EQUAL(n, sizeof(struct dp_hello_reply));
		} else {
			CU_ASSERT_EQUAL(last_type, t);
			CU_ASSERT_EQUAL(n, sizeof(struct dp_reply));
			CU_ASSERT_EQUAL(last_reply(n).rc, 0);
			CU_ASSERT_EQUAL(last_reply(n).hdr.seq, 42);
		}
	}
}

static void test_each_field(void)
{
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (unsigned k = 0; k < 4 && (k == 0 || bad[i].val[k] != 0); k++) {
			union any m;
			uint16_t len = good(bad[i].type, &m);
			unsigned done = cmds + hellos, said = bads;
			uint32_t n;
			struct dp_reply r;

			memcpy(m.b + bad[i].off, &bad[i].val[k], bad[i].size); /* little-endian host */
			n = give(&m, len);
			r = last_reply(n);
			if (cmds + hellos != done || r.rc != -EBADMSG)
				printf("type %u offset %zu value %llu\n", bad[i].type, bad[i].off,
				       (unsigned long long)bad[i].val[k]);
			CU_ASSERT_EQUAL(cmds + hellos, done);
			CU_ASSERT_EQUAL(bads, said + 1);
			CU_ASSERT_EQUAL(r.rc, -EBADMSG);
			CU_ASSERT(r.detail > 4); /* of two fields that do not agree either one may be named */
		}
	}
}

static void test_headers(void)
{
	for (uint16_t t = DP_MSG_HELLO; t < DP_MSG_REPLY; t++) {
		union any m;
		uint16_t len = good(t, &m);
		unsigned done = cmds + hellos;

		if (len == 0)
			continue;
		m.hdr.seq = 0;
		give(&m, len);
		m.hdr.seq = 1;
		for (int d = -8; d <= 8; d++) {
			m.hdr.len = (uint16_t)(len + d);
			if (d != 0)
				give(&m, len);
		}
		m.hdr.len = 0;
		give(&m, len);
		m.hdr.len = UINT16_MAX;
		give(&m, len);
		CU_ASSERT_EQUAL(cmds + hellos, done);
	}
}

static void test_truncations(void)
{
	for (uint16_t t = DP_MSG_HELLO; t < DP_MSG_REPLY; t++) {
		uint8_t two[2 * DP_MSG_MAX];
		union any m, first;
		uint16_t len = good(t, &m), flen = good(DP_MSG_LEG_SET, &first);

		for (uint16_t cut = 0; cut < len; cut++) {
			unsigned done = cmds + hellos;

			give(&m, cut);
			CU_ASSERT_EQUAL(cmds + hellos, done);
			/* behind a good one: that one counts, this one does not */
			memcpy(two, &first, flen);
			memcpy(two + flen, &m, cut);
			give(two, flen + cut);
			CU_ASSERT_EQUAL(cmds + hellos, done + 1);
		}
	}
}

static void test_a_datagram_of_many(void)
{
	static uint8_t big[DP_MSG_DATAGRAM_MAX];
	union any m;
	uint16_t len = good(DP_MSG_LEG_DEL, &m);
	uint32_t at_ = 0;
	unsigned done = cmds;

	while (at_ + len <= sizeof(big)) {
		memcpy(big + at_, &m, len);
		at_ += len;
	}
	/* short commands, equally short replies: most fit, none is written past the end */
	CU_ASSERT(give(big, at_) <= sizeof(out));
	CU_ASSERT(cmds - done >= at_ / len - 4);
	/* greetings have longer answers */
	len = good(DP_MSG_HELLO, &m);
	for (at_ = 0; at_ + len <= sizeof(big); at_ += len)
		memcpy(big + at_, &m, len);
	CU_ASSERT(give(big, at_) <= sizeof(out));
}

static void test_nothing_before_hello(void)
{
	struct dp_chan *c = dp_chan_create_test(&lim, &ops, 0);
	union any m;
	unsigned done = cmds;
	struct dp_chan *keep = chan;

	chan = c;
	for (uint16_t t = DP_MSG_LEG_SET; t <= DP_MSG_SWEEP; t++) {
		uint32_t n = give(&m, good(t, &m));

		CU_ASSERT_EQUAL(last_reply(n).rc, -EPROTO);
	}
	CU_ASSERT_EQUAL(cmds, done);
	give(&m, good(DP_MSG_HELLO, &m));
	give(&m, good(DP_MSG_SWEEP, &m));
	CU_ASSERT_EQUAL(cmds, done + 1);
	chan = keep;
	dp_chan_destroy(c);
}

/* Who speaks another version is told ours, gets no page, and is not greeted. */
static void test_another_version(void)
{
	static const uint32_t others[] = {0, DP_MSG_VERSION - 1, DP_MSG_VERSION + 1, UINT32_MAX};
	struct dp_chan *c = dp_chan_create_test(&lim, &ops, 0), *keep = chan;
	unsigned greeted = hellos, done = cmds, said = bads;
	struct dp_hello_reply r;
	union any m;

	chan = c;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		uint16_t len = good(DP_MSG_HELLO, &m);

		m.hello.version = others[i];
		CU_ASSERT_EQUAL_FATAL(give(&m, len), sizeof(r));
		memcpy(&r, out, sizeof(r));
		CU_ASSERT(r.hdr.type == DP_MSG_HELLO_REPLY && r.hdr.len == sizeof(r) && r.hdr.seq == 42);
		CU_ASSERT(r.rc == -EBADMSG && r.version == DP_MSG_VERSION);
		CU_ASSERT(r.boot_id == 0 && r.page_size == 0);
		CU_ASSERT_EQUAL(last_reply(give(&m, good(DP_MSG_SWEEP, &m))).rc, -EPROTO);
	}
	CU_ASSERT(hellos == greeted && cmds == done && bads == said + sizeof(others) / sizeof(others[0]));
	chan = keep;
	dp_chan_destroy(c);
}

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct timeval tv = {2, 0};

	strcpy(a.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void test_socket(void)
{
	char dir[] = "/tmp/test_chan_XXXXXX", path[64];
	struct dp_chan *c = NULL, *d = NULL;
	struct dp_page *page = NULL;
	struct stat st;
	size_t size;
	int page_fd, fd, second;
	union any m;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dataplane.sock", dir);
	CU_ASSERT_EQUAL_FATAL(dp_page_create(1, 8, 8, &page, &size, &page_fd), 0);
	page->boot_id = 99;
	CU_ASSERT_EQUAL_FATAL(dp_chan_create(path, &lim, &ops, page_fd, &c), 0);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(dp_chan_create(path, &lim, &ops, page_fd, &d), -EADDRINUSE);
	CU_ASSERT_EQUAL(dp_chan_poll(c, 0), 0); /* that attempt's connection comes and goes */
	CU_ASSERT_EQUAL(dp_chan_poll(c, 0), 0);

	fd = dial(path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(dp_chan_poll(c, 100), 0);
	struct dp_leg_aged ev = {.hdr = {.type = DP_MSG_LEG_AGED, .len = sizeof(ev)}};

	CU_ASSERT_EQUAL(dp_chan_event(c, &ev.hdr), -ENOTCONN); /* before hello */
	CU_ASSERT_EQUAL(send(fd, &m, good(DP_MSG_HELLO, &m), 0), sizeof(struct dp_hello));
	CU_ASSERT_EQUAL(dp_chan_poll(c, 100), 0);

	/* the answer brings the page, readable and not writable */
	struct dp_hello_reply r;
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = {&r, sizeof(r)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl)};
	int got = -1;

	CU_ASSERT_EQUAL_FATAL(recvmsg(fd, &mh, 0), sizeof(r));
	CU_ASSERT_EQUAL(r.hdr.type, DP_MSG_HELLO_REPLY);
	CU_ASSERT_EQUAL(r.rc, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(CMSG_FIRSTHDR(&mh));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(got));
	const struct dp_page *ro = mmap(NULL, size, PROT_READ, MAP_SHARED, got, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(ro, MAP_FAILED);
	CU_ASSERT_EQUAL(ro->boot_id, 99);
	page->alive = 7;
	CU_ASSERT_EQUAL(ro->alive, 7);
	CU_ASSERT_PTR_EQUAL(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, got, 0), MAP_FAILED);
	CU_ASSERT(ftruncate(got, 0) < 0);
	CU_ASSERT(pwrite(got, "x", 1, 0) < 0);
	munmap((void *)(uintptr_t)ro, size);
	close(got);

	/* one at a time */
	second = dial(path);
	CU_ASSERT_EQUAL(dp_chan_poll(c, 100), 0);
	char byte;

	CU_ASSERT_EQUAL(recv(second, &byte, 1, 0), 0);
	close(second);

	/* events, until the other side has enough: refused, not lost, not waited for */
	unsigned sent = 0;

	while (dp_chan_event(c, &ev.hdr) == 0)
		sent++;
	CU_ASSERT(sent > 10);
	CU_ASSERT_EQUAL(dp_chan_event(c, &ev.hdr), -EAGAIN);
	for (unsigned i = 0; i < sent; i++)
		CU_ASSERT_EQUAL(recv(fd, &m, sizeof(m), 0), sizeof(ev));
	CU_ASSERT_EQUAL(dp_chan_event(c, &ev.hdr), 0);

	/* an oversized datagram is one bad message */
	static uint8_t big[DP_MSG_DATAGRAM_MAX + 100];
	unsigned said = bads;

	CU_ASSERT_EQUAL(send(fd, big, sizeof(big), 0), sizeof(big));
	dp_chan_poll(c, 100);
	CU_ASSERT_EQUAL(bads, said + 1);
	/* gone and back */
	close(fd);
	dp_chan_poll(c, 100);
	CU_ASSERT_EQUAL(dp_chan_event(c, &ev.hdr), -ENOTCONN);
	fd = dial(path);
	dp_chan_poll(c, 100);
	CU_ASSERT_EQUAL(send(fd, &m, good(DP_MSG_SWEEP, &m), 0), sizeof(struct dp_sweep));
	dp_chan_poll(c, 100);
	struct dp_reply rep;

	CU_ASSERT_EQUAL(recv(fd, &rep, sizeof(rep), 0), sizeof(rep));
	CU_ASSERT_EQUAL(rep.rc, -EPROTO); /* a new connection says hello first */
	close(fd);
	dp_chan_destroy(c);
	CU_ASSERT(stat(path, &st) < 0);
	/* what a killed process left behind is replaced, a file is not */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CU_ASSERT_EQUAL(dp_chan_create(path, &lim, &ops, page_fd, &d), -EEXIST);
	unlink(path);
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	CU_ASSERT_EQUAL(dp_chan_create(path, &lim, &ops, page_fd, &d), 0);
	dp_chan_destroy(d);
	rmdir(dir);
	munmap(page, size);
	close(page_fd);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	chan = dp_chan_create_test(&lim, &ops, 1);
	return chan == NULL;
}

static int teardown(void)
{
	dp_chan_destroy(chan);
	return 0;
}

static CU_TestInfo tests[] = {
	{"good messages of every type pass", test_good_ones_pass},
	{"each field, each value that it must not have", test_each_field},
	{"headers", test_headers},
	{"every truncation", test_truncations},
	{"a datagram full of messages", test_a_datagram_of_many},
	{"nothing before hello", test_nothing_before_hello},
	{"another version is told ours", test_another_version},
	{"the socket: page, second peer, full, gone, back", test_socket},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("chan", tests, setup, teardown)
