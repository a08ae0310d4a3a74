/* SPDX-License-Identifier: BSD-3-Clause */
#include "records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"
#include "owner.h"

/* Tags are forever: a field that goes leaves its tag unused. */
static const struct cp_field line_fields[] = {
	F(1, CP_F_STR, cp_line, number),
	F(2, CP_F_STR, cp_line, label),
	F(3, CP_F_STR, cp_line, partition),
	F(4, CP_F_STR, cp_line, css),
	F(20, CP_F_STR, cp_line, pickup),
	END,
};
static const struct cp_list line_list = {sizeof(struct cp_line), CP_DEVICE_LINES_MAX,
					 offsetof(struct cp_device, line_cnt), false, line_fields};
static const struct cp_field device_fields[] = {
	F(1, CP_F_STR, cp_device, name),
	F(2, CP_F_UINT, cp_device, mode),
	F(3, CP_F_STR, cp_device, description),
	F(4, CP_F_STR, cp_device, model),
	F(5, CP_F_STR, cp_device, region),
	F(6, CP_F_BOOL, cp_device, srtp),
	L(7, cp_device, lines, &line_list),
	F(8, CP_F_UINT, cp_device, changed_us),
	F(9, CP_F_UINT, cp_device, suite),
	F(10, CP_F_STR, cp_device, profile),
	F(11, CP_F_STR, cp_device, srst),
	F(12, CP_F_UINT, cp_device, protocol),
	F(13, CP_F_STR, cp_device, load),
	F(14, CP_F_STR, cp_device, user_locale),
	F(15, CP_F_STR, cp_device, network_locale),
	F(16, CP_F_STR, cp_device, digest_user),
	F(17, CP_F_BUF, cp_device, digest_secret),
	F(18, CP_F_BUF, cp_device, config_key),
	F(19, CP_F_STR, cp_device, css),
	F(28, CP_F_UINT, cp_device, bridge),
	CP_HARDEN_FIELDS(32, cp_device),
	F(54, CP_F_BOOL, cp_device, secure_tone),
	END,
};

static const struct cp_field endpoint_fields[] = {
	F(1, CP_F_STR, cp_endpoint, name),
	F(30, CP_F_UINT, cp_endpoint, line),
	END,
};
static const struct cp_list endpoint_list = {sizeof(struct cp_endpoint), CP_GW_ENDPOINTS_MAX,
					     offsetof(struct cp_gateway, endpoint_cnt), false, endpoint_fields};
static const struct cp_field gw_number_fields[] = {
	F(1, CP_F_STR, cp_gw_number, number),
	F(2, CP_F_BOOL, cp_gw_number, prefix),
	F(3, CP_F_STR, cp_gw_number, endpoint),
	END,
};
static const struct cp_list gw_number_list = {sizeof(struct cp_gw_number), CP_GW_NUMBERS_MAX,
					      offsetof(struct cp_gateway, number_cnt), false, gw_number_fields};
static const struct cp_field gateway_fields[] = {
	F(1, CP_F_STR, cp_gateway, name),
	F(2, CP_F_UINT, cp_gateway, gw_id),
	F(3, CP_F_ADDR, cp_gateway, address),
	F(4, CP_F_STR, cp_gateway, region),
	F(5, CP_F_UINT, cp_gateway, flags),
	L(6, cp_gateway, endpoints, &endpoint_list),
	L(7, cp_gateway, numbers, &gw_number_list),
	F(8, CP_F_UINT, cp_gateway, changed_us),
	F(9, CP_F_UINT, cp_gateway, suite),
	F(10, CP_F_UINT, cp_gateway, mki_len),
	F(11, CP_F_UINT, cp_gateway, lifetime),
	F(12, CP_F_UINT, cp_gateway, ports),
	F(13, CP_F_UINT, cp_gateway, conference_max),
	F(14, CP_F_UINT, cp_gateway, ike.version),
	F(15, CP_F_UINT, cp_gateway, ike.flags),
	F(16, CP_F_ADDR, cp_gateway, ike.local),
	F(17, CP_F_ADDR, cp_gateway, ike.remote),
	F(18, CP_F_STR, cp_gateway, ike.local_id),
	F(19, CP_F_STR, cp_gateway, ike.remote_id),
	F(20, CP_F_BUF, cp_gateway, ike.psk),
	F(21, CP_F_STR, cp_gateway, ike.proposals),
	F(22, CP_F_STR, cp_gateway, ike.esp),
	F(23, CP_F_STR, cp_gateway, ike.local_ts),
	F(24, CP_F_STR, cp_gateway, ike.remote_ts),
	F(25, CP_F_UINT, cp_gateway, ike.dpd_s),
	F(26, CP_F_UINT, cp_gateway, ike.rekey_s),
	F(27, CP_F_UINT, cp_gateway, ike.reauth_s),
	F(28, CP_F_UINT, cp_gateway, ike.child_s),
	F(29, CP_F_UINT, cp_gateway, ike.changed_us),
	F(30, CP_F_STR, cp_gateway, group),
	F(31, CP_F_UINT, cp_gateway, priority),
	F(32, CP_F_UINT, cp_gateway, weight),
	F(33, CP_F_UINT, cp_gateway, capacity),
	F(34, CP_F_UINT, cp_gateway, admin),
	F(35, CP_F_UINT, cp_gateway, line),
	F(36, CP_F_STR, cp_gateway, incoming),
	F(37, CP_F_STR, cp_gateway, css),
	F(38, CP_F_STR, cp_gateway, agent),
	F(46, CP_F_UINT, cp_gateway, dialect),
	F(47, CP_F_UINT, cp_gateway, heard),
	F(48, CP_F_UINT, cp_gateway, heard_port),
	F(49, CP_F_BOOL, cp_gateway, piggyback),
	F(54, CP_F_STR, cp_gateway, type),
	F(55, CP_F_STR, cp_gateway, digit_map),
	F(56, CP_F_UINT, cp_gateway, quarantine),
	F(57, CP_F_UINT, cp_gateway, bearer),
	END,
};

static const struct cp_field sa_fields[] = {
	F(1, CP_F_STR, cp_sa, name),
	F(2, CP_F_STR, cp_sa, gateway),
	F(3, CP_F_UINT, cp_sa, sa_id),
	F(4, CP_F_UINT, cp_sa, spi),
	F(5, CP_F_UINT, cp_sa, dir),
	F(6, CP_F_UINT, cp_sa, alg),
	F(7, CP_F_UINT, cp_sa, mode),
	F(8, CP_F_BOOL, cp_sa, esn),
	F(9, CP_F_ADDR, cp_sa, local),
	F(10, CP_F_ADDR, cp_sa, remote),
	F(11, CP_F_ADDR, cp_sa, sel_local),
	F(12, CP_F_ADDR, cp_sa, sel_remote),
	F(13, CP_F_UINT, cp_sa, seq_reserved),
	F(14, CP_F_BUF, cp_sa, sealed),
	F(15, CP_F_UINT, cp_sa, changed_us),
	F(16, CP_F_UINT, cp_sa, window),
	F(17, CP_F_UINT, cp_sa, hard_s),
	F(18, CP_F_UINT, cp_sa, hard_bytes),
	F(19, CP_F_UINT, cp_sa, hard_pkts),
	F(20, CP_F_UINT, cp_sa, soft_s),
	F(21, CP_F_UINT, cp_sa, soft_bytes),
	F(22, CP_F_UINT, cp_sa, soft_pkts),
	F(23, CP_F_UINT, cp_sa, added_s),
	F(24, CP_F_UINT, cp_sa, tfc),
	F(25, CP_F_BOOL, cp_sa, keepalive),
	END,
};

static const struct cp_field leg_fields[] = {
	F(1, CP_F_UINT, cp_call_leg, leg_id),
	F(2, CP_F_UINT, cp_call_leg, sa_gw_id),
	F(3, CP_F_STR, cp_call_leg, party),
	F(4, CP_F_STR, cp_call_leg, endpoint),
	F(5, CP_F_STR, cp_call_leg, conn_id),
	F(6, CP_F_STR, cp_call_leg, number),
	F(7, CP_F_UINT, cp_call_leg, line),
	F(8, CP_F_UINT, cp_call_leg, callref),
	F(9, CP_F_UINT, cp_call_leg, rx_suite),
	F(10, CP_F_UINT, cp_call_leg, tx_suite),
	F(11, CP_F_ADDR, cp_call_leg, remote),
	F(12, CP_F_UINT, cp_call_leg, codec),
	F(13, CP_F_UINT, cp_call_leg, event_pt),
	F(14, CP_F_UINT, cp_call_leg, rekeying),
	F(15, CP_F_UINT, cp_call_leg, held),
	F(16, CP_F_UINT, cp_call_leg, stream),
	F(17, CP_F_UINT, cp_call_leg, untrusted),
	F(18, CP_F_UINT, cp_call_leg, waits),
	F(28, CP_F_UINT, cp_call_leg, bridges),
	F(29, CP_F_UINT, cp_call_leg, guest),
	F(22, CP_F_UINT, cp_call_leg, proven),
	F(19, CP_F_UINT, cp_call_leg, conf),
	F(20, CP_F_UINT, cp_call_leg, conf_flags),
	F(21, CP_F_STR, cp_call_leg, conf_owner),
	F(40, CP_F_UINT, cp_call_leg, best),
	F(41, CP_F_UINT, cp_call_leg, worst),
	F(42, CP_F_UINT, cp_call_leg, cdr_leg),
	F(30, CP_F_UINT, cp_call_leg, packet_ms),
	F(31, CP_F_UINT, cp_call_leg, audio_pt),
	F(43, CP_F_UINT, cp_call_leg, parked),
	END,
};
static const struct cp_list leg_list = {sizeof(struct cp_call_leg), 2, offsetof(struct cp_call_rec, leg_cnt), true,
					leg_fields};
static const struct cp_field call_fields[] = {
	F(1, CP_F_UINT, cp_call_rec, call_id),
	F(2, CP_F_UINT, cp_call_rec, state),
	F(3, CP_F_UINT, cp_call_rec, security),
	F(4, CP_F_STR, cp_call_rec, mgcp_call_id),
	F(28, CP_F_UINT, cp_call_rec, cap),
	F(5, CP_F_UINT, cp_call_rec, started_us),
	L(6, cp_call_rec, leg, &leg_list),
	F(40, CP_F_UINT, cp_call_rec, global_id),
	F(41, CP_F_UINT, cp_call_rec, setup_ms),
	F(42, CP_F_UINT, cp_call_rec, connect_ms),
	F(43, CP_F_STR, cp_call_rec, dialled),
	F(44, CP_F_STR, cp_call_rec, redirecting),
	F(45, CP_F_UINT, cp_call_rec, origin),
	F(46, CP_F_UINT, cp_call_rec, best),
	F(47, CP_F_UINT, cp_call_rec, worst),
	END,
};


RECORD(cp_device, CP_KIND_DEVICE, device_fields, cp_device_check)
RECORD(cp_gateway, CP_KIND_GATEWAY, gateway_fields, cp_gateway_check)
RECORD(cp_sa, CP_KIND_SA, sa_fields, cp_sa_check)

int cp_call_rec_build(const struct cp_call_rec *call, struct cp_buf *ret)
{
	return cp_fields_build(CP_KIND_CALL, call_fields, call, &call->unknown, ret);
}

int cp_call_rec_parse(const uint8_t *data, size_t len, struct cp_call_rec *ret)
{
	return cp_fields_parse(CP_KIND_CALL, call_fields, data, len, ret, sizeof(*ret), &ret->unknown);
}

void cp_call_rec_free(struct cp_call_rec *call)
{
	if (call != NULL)
		cp_fields_free(call_fields, call, sizeof(*call), &call->unknown);
}

/* A copy that shares nothing: 'n' items of 'size' bytes. False: no memory. */
static bool dup(const void *from, size_t n, size_t size, void *ret_ptr)
{
	void *to = NULL;

	if (n > 0 && size > 0) {
		to = malloc(n * size);
		if (to == NULL)
			return false;
		memcpy(to, from, n * size);
	}
	memcpy(ret_ptr, &to, sizeof(to));
	return true;
}

int cp_device_copy(const struct cp_device *dev, struct cp_device *ret)
{
	struct cp_device d = *dev;

	d.lines = NULL;
	d.digest_secret.data = d.config_key.data = NULL;
	d.unknown = (struct cp_buf){NULL, dev->unknown.len};
	if (!dup(dev->lines, dev->line_cnt, sizeof(*dev->lines), &d.lines) ||
	    !dup(dev->digest_secret.data, dev->digest_secret.len, 1, &d.digest_secret.data) ||
	    !dup(dev->config_key.data, dev->config_key.len, 1, &d.config_key.data) ||
	    !dup(dev->unknown.data, dev->unknown.len, 1, &d.unknown.data)) {
		cp_device_free(&d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

int cp_gateway_copy(const struct cp_gateway *gw, struct cp_gateway *ret)
{
	struct cp_gateway g = *gw;

	g.endpoints = NULL;
	g.numbers = NULL;
	g.ike.psk.data = NULL;
	g.unknown = (struct cp_buf){NULL, gw->unknown.len};
	if (!dup(gw->endpoints, gw->endpoint_cnt, sizeof(*gw->endpoints), &g.endpoints) ||
	    !dup(gw->numbers, gw->number_cnt, sizeof(*gw->numbers), &g.numbers) ||
	    !dup(gw->ike.psk.data, gw->ike.psk.len, 1, &g.ike.psk.data) ||
	    !dup(gw->unknown.data, gw->unknown.len, 1, &g.unknown.data)) {
		cp_gateway_free(&g);
		return -ENOMEM;
	}
	*ret = g;
	return 0;
}

bool cp_gateway_same(const struct cp_gateway *a, const struct cp_gateway *b)
{
	struct cp_gateway x = *a, y = *b;
	struct cp_buf bx = {0}, by = {0};
	bool same;

	x.heard = y.heard = 0;
	x.heard_port = y.heard_port = 0;
	x.changed_us = y.changed_us = 0;
	same = cp_gateway_build(&x, &bx) == 0 && cp_gateway_build(&y, &by) == 0 && bx.len == by.len && memcmp(bx.data, by.data, bx.len) == 0;
	free(bx.data);
	free(by.data);
	return same;
}
