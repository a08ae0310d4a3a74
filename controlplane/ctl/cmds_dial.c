/* SPDX-License-Identifier: BSD-3-Clause */
/* The dial plan, gateways and their SAs. */
#include "table.h"

#define DESCRIPTION_OPT {"--description", "TEXT", CTL_STR, "description", NULL, false, "shown in lists"}
#define REPLACE_OPT(what) {"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change the " what " if it exists"}
static const struct ctl_opt partition_opts[] = {
	DESCRIPTION_OPT,
	REPLACE_OPT("partition"),
	END,
};
static const struct ctl_opt css_opts[] = {
	{"--partition", "NAME", CTL_LIST, "partitions", NULL, false, "a partition, in order: the first of those that fit as closely is taken; may be repeated"},
	DESCRIPTION_OPT,
	REPLACE_OPT("calling search space"),
	END,
};

#define PARTITION_OPT {"--partition", "NAME", CTL_STR, "partition", NULL, false, "partition that it is in (default: the one that all see)"}
static const struct ctl_opt pattern_opts[] = {
	PARTITION_OPT,
	{"--kind", "KIND", CTL_STR, "kind", NULL, false, "route (default), translate or block"},
	{"--to", "GATEWAY[/ENDPOINT]|@GROUP", CTL_LIST, "to", NULL, false, "where a route leads; repeated: one after the other, if one is busy or fails"},
	{"--urgent", NULL, CTL_TRUE, "urgent", NULL, false, "does not wait for more digits"},
	{"--discard", "WHAT", CTL_STR, "discard", NULL, false, "none (default), predot, trailing-#, predot-trailing-# or all, of the digits dialled"},
	{"--mask", "MASK", CTL_STR, "mask", NULL, false, "then laid over them from the right: X is a digit that stays"},
	{"--prefix", "DIGITS", CTL_STR, "prefix", NULL, false, "then put before them"},
	{"--calling-mask", "MASK", CTL_STR, "calling_mask", NULL, false, "the same of the caller's number, as the other side is shown it"},
	{"--calling-prefix", "DIGITS", CTL_STR, "calling_prefix", NULL, false, "and put before it"},
	{"--css", "NAME", CTL_STR, "css", NULL, false, "of a translation: where the other digits are looked up (default: as the caller)"},
	{"--reason", "TEXT", CTL_STR, "reason", NULL, false, "of a block: shown to the caller"},
	{"--busy-tone", NULL, CTL_TRUE, "busy_tone", NULL, false, "of a block: busy instead of reorder"},
	DESCRIPTION_OPT,
	REPLACE_OPT("pattern"),
	END,
};
static const struct ctl_opt pattern_del_opts[] = {
	PARTITION_OPT,
	END,
};
static const struct ctl_opt forward_opts[] = {
	{"--partition", "NAME", CTL_STR, "partition", NULL, false, "partition that the line is in (default: the one that all see)"},
	{"--all", "NUMBER", CTL_STR, "all", NULL, false, "all calls; empty: off. So are the others"},
	{"--busy", "NUMBER", CTL_STR, "busy", NULL, false, "if it is busy"},
	{"--no-answer", "NUMBER", CTL_STR, "no_answer", NULL, false, "if nobody answers"},
	{"--unregistered", "NUMBER", CTL_STR, "unregistered", NULL, false, "if no phone of it is registered"},
	{"--ring", "S", CTL_INT, "ring_s", NULL, false, "seconds that it rings before (default: calls.no_answer_s)"},
	{"--css", "NAME", CTL_STR, "css", NULL, false, "calling search space of the numbers (default: the line's)"},
	END,
};
static const struct ctl_opt explain_opts[] = {
	{"--from", "DEVICE", CTL_STR, "device", NULL, true, "who dials"},
	{"--line", "N", CTL_INT, "line", NULL, false, "on which line, from 1 (default)"},
	END,
};
#define GATEWAY_MORE \
	{"--group", "NAME", CTL_STR, "group", NULL, false, "a farm of gateways that it is one of: patterns lead to @NAME"}, \
	{"--priority", "N", CTL_INT, "priority", NULL, false, "in its group: 1 (default) to 16, lower ones first"}, \
	{"--weight", "N", CTL_INT, "weight", NULL, false, "of its share of the calls among its priority, 1 to 1000 (100)"}, \
	{"--capacity", "N", CTL_INT, "capacity", NULL, false, "calls at a time (default: its endpoints)"}, \
	{"--line", "WHAT", CTL_STR, "line", NULL, false, "calls from its endpoints: fxs (analog phones dial), fxo (a line that rings); default: not taken"}, \
	{"--incoming", "NUMBER", CTL_STR, "incoming", NULL, false, "where calls from its fxo endpoints are led to"}, \
	{"--css", "NAME", CTL_STR, "css", NULL, false, "calling search space of calls from it"}, \
	{"--digit-map", "MAP", CTL_STR, "digit_map", NULL, false, "by which its phones' digits are collected there, (0T|[1-7]xxx|9011x.T); default: each is told"}, \
	{"--quarantine", "WHAT", CTL_STR, "quarantine", NULL, false, "step (default): a request for each notification of digits; loop: one for all"}, \
	{"--bearer", "LAW", CTL_STR, "bearer", NULL, false, "mu-law, a-law: what its lines speak is said when it comes up (EPCF); none (default)"}, \
	{"--agent", "HOST[:PORT]", CTL_STR, "agent", NULL, false, "another call agent: it is sent there (521) while it is drained or disabled"}
#define GATEWAY_IKE \
	{"--ike", "VERSION", CTL_STR, "ike", NULL, false, "IKE: 2, 1 (main mode), or no (default)"}, \
	{"--ike-psk-file", "FILE", CTL_LOCAL, NULL, NULL, false, "its first line is the pre-shared key, 8 to 255 bytes"}, \
	{"--ike-cert", NULL, CTL_TRUE, "ike_cert", NULL, false, "certificates instead: ours is IPsec's, theirs is found in IPsec-trust"}, \
	{"--ike-local", "IP", CTL_STR, "ike_local", NULL, false, "our IKE address (mgcp.local's)"}, \
	{"--ike-remote", "IP", CTL_STR, "ike_remote", NULL, false, "the gateway's IKE address (its MGCP address)"}, \
	{"--ike-local-id", "ID", CTL_STR, "ike_local_id", NULL, false, "our identity (our address; with certificates its subject)"}, \
	{"--ike-remote-id", "ID", CTL_STR, "ike_remote_id", NULL, false, "the gateway's identity (its address); needed with certificates"}, \
	{"--ike-proposal", "ALG", CTL_LIST, "ike_proposals", NULL, false, \
	 "aes-cbc-256-sha256/modp2048, aes-gcm-128-sha256/x25519, ...; may be repeated"}, \
	{"--ike-esp", "ALG", CTL_LIST, "ike_esp", NULL, false, "aes-gcm-128, aes-cbc-128-sha1, aes-gcm-256/ecp384, ...; may be repeated"}, \
	{"--ike-mode", "MODE", CTL_STR, "ike_mode", NULL, false, "transport (default) or tunnel"}, \
	{"--ike-local-ts", "TS", CTL_STR, "ike_local_ts", NULL, false, "our traffic: ADDRESS[/PREFIX][[udp/PORT]] (MGCP's)"}, \
	{"--ike-remote-ts", "TS", CTL_STR, "ike_remote_ts", NULL, false, "the gateway's (MGCP's)"}, \
	{"--ike-encap", NULL, CTL_TRUE, "ike_encap", NULL, false, "ESP in UDP, NAT or not"}, \
	{"--ike-no-encap", NULL, CTL_FALSE, "ike_encap", NULL, false, "only where there is a NAT (default)"}, \
	{"--ike-esn", NULL, CTL_TRUE, "ike_esn", NULL, false, "extended sequence numbers"}, \
	{"--ike-no-esn", NULL, CTL_FALSE, "ike_esn", NULL, false, "none (default)"}, \
	{"--ike-begin", "WHEN", CTL_STR, "ike_begin", NULL, false, "now (default): we begin, and again when it is down; wait: the gateway does; trap: its first packet"}, \
	{"--ike-dpd-s", "S", CTL_INT, "ike_dpd_s", NULL, false, "dead peer detection after so much silence (30)"}, \
	{"--ike-rekey-s", "S", CTL_INT, "ike_rekey_s", NULL, false, "the IKE SA gets new keys (14400)"}, \
	{"--ike-reauth-s", "S", CTL_INT, "ike_reauth_s", NULL, false, "it is authenticated anew (never)"}, \
	{"--ike-child-s", "S", CTL_INT, "ike_child_s", NULL, false, "ESP gets new keys (3600)"}
static const struct ctl_opt gateway_change_opts[] = {
	{"--address", "IP[:PORT]", CTL_STR, "address", NULL, false, "its MGCP address"},
	{"--type", "TYPE", CTL_STR, "type", NULL, false, "VG224, 2811, ...: decides whether it is trusted"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "region of its media address"},
	{"--endpoint", "NAME", CTL_LIST, "endpoints", NULL, false, "all its endpoints anew; repeated"},
	{"--number", "N|PREFIX*", CTL_LIST, "numbers", NULL, false, "all its numbers anew; repeated"},
	{"--suite", "SUITE", CTL_STR, "suite", NULL, false, "offered first, before media.suites"},
	GATEWAY_MORE,
	GATEWAY_IKE,
	END,
};
static const struct ctl_opt gateway_opts[] = {
	{"--address", "IP[:PORT]", CTL_STR, "address", NULL, true, "its MGCP address; port 2427 unless given"},
	GATEWAY_MORE,
	{"--type", "TYPE", CTL_STR, "type", NULL, false, "VG224, 2811, ...: decides whether it is trusted (default: the vendor's)"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "region of its media address (default: default)"},
	{"--endpoint", "NAME", CTL_LIST, "endpoints", NULL, false, "local endpoint name; may be repeated"},
	{"--number", "N|PREFIX*", CTL_LIST, "numbers", NULL, false,
	 "a number, or every number with a prefix; may be repeated"},
	{"--dialect", "D", CTL_STR, "dialect", NULL, false,
	 "rfc3435 (default); cisco: port 2427 on both sides, keep-alives, MGCP 0.1, a=X-crypto; auto: as it is heard to speak"},
	{"--version", "V", CTL_STR, "version", NULL, false, "MGCP 1.0 or 0.1 (default: the dialect's)"},
	{"--crypto", "FORM", CTL_STR, "crypto", NULL, false, "rfc: a=crypto; x: a=X-crypto (default: the dialect's)"},
	{"--piggyback", NULL, CTL_TRUE, "piggyback", NULL, false, "messages without keys may share a datagram"},
	{"--suite", "SUITE", CTL_STR, "suite", NULL, false, "offered first, before media.suites: AEAD_AES_256_GCM, ..."},
	{"--mki", "BYTES", CTL_INT, "mki", NULL, false, "keys sent to it carry an MKI of so many bytes, 1 to 8 (default: none)"},
	{"--lifetime", "N", CTL_INT, "lifetime", NULL, false, "keys sent to it are good for 2^N packets, 16 to 48"},
	{"--srtcp-clear", NULL, CTL_TRUE, "srtcp_clear", NULL, false, "SRTCP unencrypted, both ways (UNENCRYPTED_SRTCP)"},
	{"--keys-without-ipsec", NULL, CTL_TRUE, "keys_without_ipsec", NULL, false,
	 "DANGEROUS: media keys may go to it in clear"},
	{"--clear", NULL, CTL_TRUE, "clear", NULL, false, "commands without keys may go to it in clear"},
	{"--conference", NULL, CTL_TRUE, "conference", NULL, false, "a conference bridge: its endpoints mix; cnf/$: any one of them"},
	{"--ports", "N", CTL_INT, "ports", NULL, false, "conference bridge: connections at a time, 3 to 4096 (48)"},
	{"--conference-max", "N", CTL_INT, "conference_max", NULL, false, "conference bridge: members of one conference, 3 to 64 (8)"},
	GATEWAY_IKE,
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change the gateway if it exists"},
	END,
};
static const struct ctl_opt sa_opts[] = {
	{"--gateway", "NAME", CTL_STR, "gateway", NULL, true, "whose MGCP it carries"},
	{"--in", NULL, CTL_CONST, "direction", "in", false, "from the gateway"},
	{"--out", NULL, CTL_CONST, "direction", "out", false, "to the gateway"},
	{"--spi", "N", CTL_INT, "spi", NULL, true, "above 255; decimal or 0x..."},
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "transport (default) or tunnel"},
	{"--alg", "ALG", CTL_STR, "algorithm", NULL, true,
	 "aes-gcm-128 (192, 256; -12, -8: shorter ICV), aes-cbc-256-sha256, aes-ctr-128-sha1, ..."},
	{"--local", "A[:PORT]", CTL_STR, "local", NULL, true, "our outer address; a port means UDP encapsulation"},
	{"--remote", "A[:PORT]", CTL_STR, "remote", NULL, true, "the gateway's outer address"},
	{"--key-file", "FILE", CTL_LOCAL, NULL, NULL, false, "key in hex: the cipher's, with GCM and CTR the salt, then the HMAC's; default: standard input"},
	{"--esn", NULL, CTL_TRUE, "esn", NULL, false, "extended sequence numbers"},
	{"--window", "N", CTL_INT, "window", NULL, false, "anti-replay window of an SA from the gateway, 64 to 4096 packets (192)"},
	{"--tfc", "N", CTL_INT, "tfc", NULL, false, "tunnel, to the gateway: pad packets to N bytes, at most 1400, so that their length tells nothing"},
	{"--keepalive", NULL, CTL_TRUE, "keepalive", NULL, false, "in UDP, to the gateway: a NAT keepalive after each 20 s of silence"},
	{"--hard-s", "S", CTL_INT, "hard_s", NULL, false, "it ends so many seconds after this command"},
	{"--hard-bytes", "N", CTL_INT, "hard_bytes", NULL, false, "it ends before more bytes than these are encrypted"},
	{"--hard-packets", "N", CTL_INT, "hard_packets", NULL, false, "and after so many packets"},
	{"--soft-s", "S", CTL_INT, "soft_s", NULL, false, "alarm sa-expiring then (nine tenths of --hard-s)"},
	{"--soft-bytes", "N", CTL_INT, "soft_bytes", NULL, false, "the same (nine tenths of --hard-bytes)"},
	{"--soft-packets", "N", CTL_INT, "soft_packets", NULL, false, "the same (nine tenths of --hard-packets)"},
	END,
};

const struct ctl_cmd ctl_cmds_dial[] = {
	{"show sas", "show.sas", NO_POS, NULL, CTL_PLAIN, "IPsec security associations"},
	{"show policies", "show.policies", NO_POS, NULL, CTL_PLAIN, "IPsec policies: configured, of gateways, built in"},
	{"show ike", "show.ike", NO_POS, NULL, CTL_PLAIN, "IKE with each gateway that has it, up or not"},
	{"ike up", "ike.up", POS("GATEWAY", "name"), NULL, CTL_PLAIN, "begin IKE with a gateway now; answers when it is up, or why not"},
	{"ike down", "ike.down", POS("GATEWAY", "name"), NULL, CTL_PLAIN, "end IKE with a gateway: until ike up, or until the gateway begins"},
	{"show gateways", "show.gateways", NO_POS, NULL, CTL_PLAIN, "gateways and their state"},
	{"partition add", "partition.add", POS("NAME", "name"), partition_opts, CTL_PLAIN, "add a partition of the dial plan"},
	{"partition del", "partition.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete one that nothing is in"},
	{"show partitions", "show.partitions", NO_POS, NULL, CTL_PLAIN, "partitions of the dial plan"},
	{"css add", "css.add", POS("NAME", "name"), css_opts, CTL_PLAIN, "add a calling search space: a list of partitions"},
	{"css del", "css.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete one that nothing uses"},
	{"show css", "show.css", NO_POS, NULL, CTL_PLAIN, "calling search spaces"},
	{"pattern add", "pattern.add", POS("PATTERN", "pattern"), pattern_opts, CTL_PLAIN, "add a pattern: 0-9 * # + X [1-4] ! and '.'"},
	{"pattern del", "pattern.del", POS("PATTERN", "pattern"), pattern_del_opts, CTL_PLAIN, "delete a pattern"},
	{"show patterns", "show.patterns", NO_POS, NULL, CTL_PLAIN, "patterns of the dial plan"},
	{"forward set", "forward.set", POS("NUMBER", "number"), forward_opts, CTL_PLAIN, "where calls to a line go instead; what is not given stays"},
	{"show forwards", "show.forwards", NO_POS, NULL, CTL_PLAIN, "lines that forward calls"},
	{"dial explain", "dial.explain", POS("DIGITS", "digits"), explain_opts, CTL_PLAIN, "what the digits lead to, each thing that fits, and why"},
	{"gateway add", "gateway.add", POS("NAME", "name"), gateway_opts, CTL_IKE_PSK, "add a voice gateway: its MGCP domain"},
	{"gateway show", "gateway.show", POS("NAME", "name"), NULL, CTL_PLAIN, "one gateway's record"},
	{"gateway change", "gateway.change", POS("NAME", "name"), gateway_change_opts, CTL_IKE_PSK, "change what is given of a gateway's record"},
	{"gateway drain", "gateway.drain", POS("NAME", "name"), NULL, CTL_PLAIN, "no new calls to or from it; those it has go on"},
	{"gateway restore", "gateway.restore", POS("NAME", "name"), NULL, CTL_PLAIN, "in service again"},
	{"gateway disable", "gateway.disable", POS("NAME", "name"), NULL, CTL_PLAIN, "out of service: its calls end now"},
	{"gateway del", "gateway.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a gateway and its numbers"},
	{"sa add", "sa.add", POS("NAME", "name"), sa_opts, CTL_SA_KEY, "add a manual security association"},
	{"sa del", "sa.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a manual security association"},
	CTL_END,
};
