/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls and media: what goes on now, what was, captures and traces. */
#include "table.h"

static const struct ctl_opt move_opts[] = {
	{"--worker", "M", CTL_INT, "worker", NULL, true, "to this worker, counted from 0"},
	END,
};
static const struct ctl_opt session_opts[] = {
	{"--leg-a", "SPEC", CTL_PAIRS, "leg_a", NULL, true,
	 "remote=IP:PORT,suite=SUITE|RTP,rx-key=BASE64,tx-key=BASE64,region=R,latch=L"},
	{"--leg-b", "SPEC", CTL_PAIRS, "leg_b", NULL, true, "the other party, the same way"},
	END,
};
static const struct ctl_opt rekey_opts[] = {
	{"--party", "WHO", CTL_STR, "party", NULL, false,
	 "gateway (default): without a gap; phone: with one, SCCP opens its streams anew; both"},
	END,
};

#define CDR_OPTS                                                                                                              \
	{"--from", "TIME", CTL_STR, "from", NULL, false, "ended then or later: 2026-11-22, or 2026-11-22T10:20:30, UTC"},     \
	{"--to", "TIME", CTL_STR, "to", NULL, false, "ended then or before"},                                                 \
	{"--device", "NAME", CTL_STR, "device", NULL, false, "calling or called: a phone or a gateway"},                      \
	{"--number", "NUMBER", CTL_STR, "number", NULL, false, "calling, called, dialled or redirecting"}
static const struct ctl_opt cdr_list_opts[] = {
	CDR_OPTS,
	{"--max", "N", CTL_INT, "_max", NULL, false, "so many, the oldest first (default: 100; 0: all)"},
	END,
};
static const struct ctl_opt cdr_export_opts[] = {
	CDR_OPTS,
	{"--json", NULL, CTL_LOCAL, NULL, NULL, false, "one JSON object a line (default: CSV with a header)"},
	{"--output", "FILE", CTL_LOCAL, NULL, NULL, false, "into this file (default: standard output)"},
	END,
};
static const struct ctl_opt legs_opts[] = {
	{"--call", "ID", CTL_INT, "call", NULL, false, "only the legs of a call or session"},
	{"--leg", "N", CTL_INT, "leg", NULL, false, "only this one"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "only those of a region"},
	{"--bad", NULL, CTL_TRUE, "bad", NULL, false, "only those with problems: loss, jitter, quality, forgery, policed, silent"},
	{"--all", NULL, CTL_LOCAL, NULL, NULL, false, "every column"},
	END,
};
static const struct ctl_opt capture_opts[] = {
	{"--leg", "N", CTL_INT, "leg", NULL, true, "whose packets, both directions"},
	{"--side", "SIDE", CTL_STR, "side", NULL, true,
	 "cipher: as on the wire; plain: decrypted, if the configuration allows it"},
	{"--max-mb", "M", CTL_INT, "max_mb", NULL, true, "MiB that the file may have"},
	{"--seconds", "S", CTL_INT, "seconds", NULL, false, "how long (default: capture.max_s)"},
	{"--snap-len", "B", CTL_INT, "snap_len", NULL, false, "bytes of each packet (default: all)"},
	END,
};
static const struct ctl_opt sigcap_opts[] = {
	{"--max-mb", "M", CTL_INT, "max_mb", NULL, true, "MiB that it may take"},
	{"--seconds", "S", CTL_INT, "seconds", NULL, false, "how long (default: capture.max_s)"},
	{"--keys", NULL, CTL_TRUE, "keys", NULL, false, "with the media keys in it, if the configuration allows it (default: zeros in their place)"},
	END,
};
static const struct ctl_opt trace_opts[] = {
	{"--leg", "N", CTL_INT, "leg", NULL, false, "packets that came in on this leg"},
	{"--source", "IP[:PORT]", CTL_STR, "source", NULL, false, "packets from there"},
	{"--port", "P", CTL_INT, "port", NULL, false, "packets to this UDP port"},
	{"--drops", NULL, CTL_TRUE, "drops", NULL, false, "only packets that did not leave"},
	{"--count", "N", CTL_INT, "count", NULL, false, "how many (default 10, at most 10000)"},
	END,
};

const struct ctl_cmd ctl_cmds_run[] = {
	{"show calls", "show.calls", NO_POS, NULL, CTL_PLAIN, "running calls and sessions"},
	{"show conferences", "show.conferences", NO_POS, NULL, CTL_PLAIN, "conferences with their members, and bridges with their free ports"},
	{"mwi", "line.mwi", {{"LINE", CTL_STR, "number", false}, {"on|off", CTL_STR, "state", false}}, NULL, CTL_PLAIN, "the message lamp of a line"},
	{"show mwi", "show.mwi", NO_POS, NULL, CTL_PLAIN, "lines with a message waiting"},
	{"cdr list", "cdr.list", NO_POS, cdr_list_opts, CTL_CDR_LIST, "calls that have ended, the most telling columns"},
	{"cdr export", "cdr.list", NO_POS, cdr_export_opts, CTL_CDR_EXPORT, "the same with all columns, for other programs"},
	{"show legs", "show.legs", NO_POS, legs_opts, CTL_LEGS, "media legs: packets, loss, jitter, quality, keys"},
	{"show captures", "show.captures", NO_POS, NULL, CTL_PLAIN, "packet captures that run, and the last that ended"},
	{"show counters", "show.counters", NO_POS, NULL, CTL_PLAIN, "packet, drop and message counters"},
	{"show workers", "show.workers", NO_POS, NULL, CTL_PLAIN, "the dataplane's workers: shards, packets, drops"},
	{"show music", "show.music", NO_POS, NULL, CTL_PLAIN, "sources of music on hold, and how many hear them"},
	{"show shards", "show.shards", NO_POS, NULL, CTL_PLAIN, "which worker has which shard"},
	{"session add", "session.add", NO_POS, session_opts, CTL_PLAIN, "relay media between two parties given by hand"},
	{"session del", "session.del", POS_AS("ID", CTL_INT, "id"), NULL, CTL_PLAIN,
	 "end such a session"},
	{"move shard", "shard.move", POS_AS("SHARD", CTL_INT, "shard"), move_opts, CTL_PLAIN,
	 "move a shard to another worker while traffic flows"},
	{"call hangup", "call.hangup", POS_AS("ID", CTL_INT, "id"), NULL, CTL_PLAIN,
	 "end a call"},
	{"rekey", "call.rekey", POS_AS("CALL", CTL_INT, "id"), rekey_opts, CTL_PLAIN,
	 "new media keys for a running call"},
	{"music load", "music.load", {{"SOURCE", CTL_STR, "source", true}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "read the files of a source of music (or of all) again, while it plays"},
	{"capture start", "capture.start", NO_POS, capture_opts, CTL_PLAIN, "write a leg's packets to a pcapng file"},
	{"capture signalling", "capture.signalling", {{"DEVICE", CTL_STR, "device", false}, {"CERTFILE", CTL_LOCAL, NULL, false}}, sigcap_opts,
	 CTL_CERT_FILE, "write a phone's messages to pcapng files that only the certificate's owner can read"},
	{"capture stop", "capture.stop", POS_AS("ID", CTL_INT, "id"), NULL, CTL_PLAIN,
	 "end a capture before its time"},
	{"trace", "trace.start", NO_POS, trace_opts, CTL_TRACE, "what each stage of the dataplane says of the next packets"},
	CTL_END,
};
