/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packages: which events and signals there are (RFC 3660: line, DTMF, trunk, RTP, generic), so that what is asked of a gateway is
 * something it can know; and what gateways say of themselves in audits. RFC 3435 s2.1.4 to s2.1.6, s2.3.10.
 */
#ifndef DP_MGCP_PKG_H
#define DP_MGCP_PKG_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"
#include "msg.h"

enum dp_mgcp_pkg {
	DP_PKG_L, /* line */
	DP_PKG_D, /* DTMF */
	DP_PKG_T, /* trunk */
	DP_PKG_R, /* RTP */
	DP_PKG_G, /* generic media */
	DP_PKG_HS, /* handset emulation: a gateway's line of the network is spoken to as the phone that it is there */
	DP_PKG_SRTP, /* no events: that it is listed says that the gateway does SRTP */
	DP_PKG_CNT
};

const char *dp_pkg_name(enum dp_mgcp_pkg pkg);
/** By its name, in any case of letters; -1: not one of ours. */
int dp_pkg_find(const struct dp_mgcp_str *name);

/**
 * A list of requested events (R:, T:) or signals (S:): "L/hd(N), D/[0-9#*T](D)", "L/rg(to=6000)". Names are those of the packages'
 * tables, '*' and "all" included; actions N A D S I K E(R(..),S(..),D(..)). 0: *ret_pkgs has a bit for each package that is named;
 * -EBADMSG: grammar; -ENOTSUP: a package, event, signal or action that we do not know.
 */
int dp_pkg_events(const struct dp_mgcp_str *list, uint32_t *ret_pkgs);
int dp_pkg_signals(const struct dp_mgcp_str *list, uint32_t *ret_pkgs);

/** Lines of dp_mgcp_ask.params. 0; -EBADMSG: grammar, or what the verb has not; -ENOTSUP, -E2BIG: as above, and of dp_digitmap_compile(). */
int dp_mgcp_params_check(uint8_t verb, const char *params, size_t size, uint32_t *ret_pkgs);

/* What A: lines said. */
struct dp_mgcp_caps {
	uint32_t pkgs;    /* v: bits of enum dp_mgcp_pkg */
	uint32_t others;  /* v: how many packages that we do not know */
	uint32_t modes;   /* m: bits of enum dp_mgcp_mode */
	uint32_t audio;   /* a: bits of enum dp_audio */
	bool listed;      /* there was a v: list */
};

/** Add the value of one A: line. What is not understood is passed over. */
void dp_mgcp_caps_add(struct dp_mgcp_caps *caps, const struct dp_mgcp_str *value);

/** "PS=1245, OS=62345, ..." 0; -EBADMSG: not so; names that we do not know are passed over. */
int dp_mgcp_stat_parse(const struct dp_mgcp_str *value, struct dp_mgcp_stat *ret);

#endif
