/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command of ravelinctl, once: parsed and explained from here. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define NO_POS {{NULL, CTL_STR, NULL, false}, {NULL, CTL_STR, NULL, false}}
#define POS(n, m) {{n, CTL_STR, m, false}, {NULL, CTL_STR, NULL, false}}
#define END {NULL, NULL, CTL_STR, NULL, NULL, false, NULL}

#define RESET_OPT {"--reset", NULL, CTL_TRUE, "reset", NULL, false, "then tell the phones that need it to reset: the answer's \"reset\""}
#define SHARED_OPT {"--shared", NULL, CTL_TRUE, "shared", NULL, false, "a number may be a line of several devices"}
static const struct ctl_opt reset_opts[] = {
	{"--profile", "NAME", CTL_STR, "profile", NULL, false, "all phones that have this profile"},
	{"--srst", "NAME", CTL_STR, "srst", NULL, false, "all phones that use this SRST reference: their own, their profile's, the cluster's"},
	{"--all", NULL, CTL_TRUE, "all", NULL, false, "all phones"},
	{"--per-second", "N", CTL_INT, "per_second", NULL, false, "so many of them each second, 1 to 10000 (default: sccp.reset_rate)"},
	END,
};
static const struct ctl_opt move_opts[] = {
	{"--worker", "M", CTL_INT, "worker", NULL, true, "to this worker, counted from 0"},
	END,
};
static const struct ctl_opt device_opts[] = {
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "encrypted (default), authenticated or nonsecure"},
	{"--line", "NUMBER", CTL_LIST, "lines", NULL, false, "a line, in button order; may be repeated"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "region of its media address (default: default)"},
	{"--description", "TEXT", CTL_STR, "description", NULL, false, "shown in lists and on the phone"},
	{"--model", "MODEL", CTL_STR, "model", NULL, false, "model, as a name"},
	{"--suite", "SUITE", CTL_STR, "suite", NULL, false,
	 "best that it knows: AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80 or _32 (default: what all secure phones know)"},
	{"--no-srtp", NULL, CTL_FALSE, "srtp", NULL, false, "the model cannot do SRTP"},
	SHARED_OPT,
	{"--protected", NULL, CTL_TRUE, "protected", NULL, false, "it plays a tone at connect: is the call secure or not"},
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change the device if it exists"},
	END,
};
static const struct ctl_opt line_opts[] = {
	{"--device", "NAME", CTL_STR, "device", NULL, true, "the device it is added to, as its last line"},
	{"--label", "TEXT", CTL_STR, "label", NULL, false, "shown beside the button instead of the number"},
	{"--partition", "NAME", CTL_STR, "partition", NULL, false, "partition that the number is in (default: the one that all see)"},
	{"--css", "NAME", CTL_STR, "css", NULL, false, "calling search space of what it dials (default: the device's)"},
	{"--pickup", "GROUP", CTL_STR, "pickup", NULL, false, "number of its pickup group: others of it may answer what rings here"},
	SHARED_OPT,
	END,
};
static const struct ctl_opt line_del_opts[] = {
	{"--device", "NAME", CTL_STR, "device", NULL, false, "the device, where several have the line"},
	END,
};
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
	{"--to", "GATEWAY[/ENDPOINT]", CTL_LIST, "to", NULL, false, "where a route leads; repeated: one after the other, if one is busy or fails"},
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
static const struct ctl_opt gateway_opts[] = {
	{"--address", "IP[:PORT]", CTL_STR, "address", NULL, true, "its MGCP address; port 2427 unless given"},
	{"--type", "TYPE", CTL_STR, "type", NULL, false, "VG224, 2811, ...: decides whether it is trusted (default: the vendor's)"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "region of its media address (default: default)"},
	{"--endpoint", "NAME", CTL_LIST, "endpoints", NULL, false, "local endpoint name; may be repeated"},
	{"--number", "N|PREFIX*", CTL_LIST, "numbers", NULL, false,
	 "a number, or every number with a prefix; may be repeated"},
	{"--version", "V", CTL_STR, "version", NULL, false, "MGCP 1.0 (default) or 0.1"},
	{"--crypto", "FORM", CTL_STR, "crypto", NULL, false, "rfc: a=crypto (default); x: a=X-crypto"},
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
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change the gateway if it exists"},
	END,
};
static const struct ctl_opt sa_opts[] = {
	{"--gateway", "NAME", CTL_STR, "gateway", NULL, true, "whose MGCP it carries"},
	{"--in", NULL, CTL_CONST, "direction", "in", false, "from the gateway"},
	{"--out", NULL, CTL_CONST, "direction", "out", false, "to the gateway"},
	{"--spi", "N", CTL_INT, "spi", NULL, true, "above 255; decimal or 0x..."},
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "transport (default) or tunnel"},
	{"--alg", "ALG", CTL_STR, "algorithm", NULL, true, "aes-gcm-128 or aes-cbc-128-sha1-96"},
	{"--local", "A[:PORT]", CTL_STR, "local", NULL, true, "our outer address; a port means UDP encapsulation"},
	{"--remote", "A[:PORT]", CTL_STR, "remote", NULL, true, "the gateway's outer address"},
	{"--key-file", "FILE", CTL_LOCAL, NULL, NULL, false, "key in hex (GCM: with the salt); default: standard input"},
	{"--esn", NULL, CTL_TRUE, "esn", NULL, false, "extended sequence numbers"},
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
static const struct ctl_opt cert_opts[] = {
	{"--out", "DIR", CTL_LOCAL, NULL, NULL, true, "directory for NAME.pem (key and certificate) and ca.pem"},
	END,
};
static const struct ctl_opt import_opts[] = {
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change devices and gateways that exist"},
	SHARED_OPT,
	RESET_OPT,
	END,
};
static const struct ctl_opt phones_opts[] = {
	{"--dry-run", NULL, CTL_TRUE, "dry_run", NULL, false, "check every line, change nothing"},
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "change devices that exist: what the table has columns for"},
	SHARED_OPT,
	{"--all-or-nothing", NULL, CTL_LOCAL, NULL, NULL, false, "take nothing if a line is wrong (default: take what is right)"},
	END,
};
static const struct ctl_opt table_opts[] = {
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, false, "into a file, which is replaced"},
	END,
};
static const struct ctl_opt alarm_opts[] = {
	{"--all", NULL, CTL_TRUE, "all", NULL, false, "every alarm"},
	END,
};
static const struct ctl_opt audit_opts[] = {
	{"--max", "N", CTL_INT, "max", NULL, false, "how many, newest first (default 50, at most 1000)"},
	END,
};

static const struct ctl_opt doctor_opts[] = {
	{"--root", "DIR", CTL_LOCAL, NULL, NULL, false, "read DIR/sys, DIR/proc and DIR/dev: the tree of another machine"},
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

static const struct ctl_opt upload_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, true,
	 "CallManager-trust, CAPF-trust, TVS-trust, IPsec-trust, HTTPS-trust, Phone-Edge-trust or directory-trust"},
	END,
};
static const struct ctl_opt store_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, false, "only of this trust store; own: our own"},
	END,
};
#define STRAND_OPT {"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will not find back"}
#define KEY_OPT                                                                                    \
	{"--key", "KIND", CTL_STR, "key", NULL, false,                                              \
	 "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, or the pkcs11: URI of one in a token (default: the kind it has)"}
static const struct ctl_opt regenerate_opts[] = {
	KEY_OPT,
	STRAND_OPT,
	END,
};
static const struct ctl_opt csr_opts[] = {
	KEY_OPT,
	{"--der", NULL, CTL_LOCAL, NULL, NULL, false, "DER instead of PEM"},
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, false, "into a file"},
	END,
};
static const struct ctl_opt export_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, false, "only of this trust store; own: our own"},
	{"--der", NULL, CTL_LOCAL, NULL, NULL, false, "DER instead of PEM"},
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, false, "into a file"},
	END,
};

#define FILE_JUDGE                                                                                                    \
	{"--cert", "PEM", CTL_STR, "cert", NULL, false, "the signer's certificate, PEM or DER"},                      \
	{                                                                                                             \
		"--list", "TLV", CTL_STR, "list", NULL, false, "the trust list that decides who may sign"             \
	}
static const struct ctl_opt file_opts[] = {
	FILE_JUDGE,
	{"--name", "NAME", CTL_STR, "name", NULL, false, "what it was asked for: the name inside must fit"},
	END,
};
static const struct ctl_opt file_sign_opts[] = {
	{"--key", "PEM", CTL_STR, "key", NULL, true, "the signer's private key, and its certificate if it is behind"},
	{"--cert", "PEM", CTL_STR, "cert", NULL, false, "the signer's certificate"},
	{"--out", "FILE", CTL_STR, "out", NULL, false, "default: FILE.sgn, or FILE.enc.sgn"},
	{"--name", "NAME", CTL_STR, "name", NULL, false, "the name inside (default: the last part of --out)"},
	{"--digest", "ALG", CTL_STR, "digest", NULL, false, "sha512 (default), sha256, or sha1 for 7900-series phones"},
	{"--enc-cert", "PEM", CTL_STR, "enc_cert", NULL, false, "encrypt for this phone's certificate"},
	{"--sym-key-file", "FILE", CTL_STR, "sym_key", NULL, false, "encrypt with 16 bytes that the phone was given"},
	{"--time", "SECONDS", CTL_INT, "time", NULL, false, "time stamp since 1970 (default: now; 0: none)"},
	END,
};
static const struct ctl_opt file_decrypt_opts[] = {
	{"--key", "PEM", CTL_STR, "key", NULL, false, "the phone's private key"},
	{"--sym-key-file", "FILE", CTL_STR, "sym_key", NULL, false, "the 16 bytes that the phone was given"},
	FILE_JUDGE,
	{"--out", "FILE", CTL_STR, "out", NULL, false, "where the plain file goes (default: standard output)"},
	END,
};
#define REMOTE                                                                                                          \
	{"--server", "HOST[:PORT]", CTL_STR, "_server", NULL, false, "ask the CTL provider of an appliance, port 2444, not the admin socket"}, \
	{"--ca", "PEM", CTL_STR, "_ca", NULL, false, "with --server: what its certificate must chain to"},               \
	{"--user", "NAME", CTL_STR, "_user", NULL, false, "with --server: administrator"},                               \
	{"--password-file", "FILE", CTL_STR, "_password_file", NULL, false, "his password (default: standard input)"},   \
	{"--client-cert", "PEM", CTL_STR, "_client_cert", NULL, false, "certificate and key that a user's record names, instead of a password"}
#define SIGN_HERE                                                                                                       \
	{"--signer", "NAME", CTL_STR, "signer", NULL, false, "which of our tokens in the CTL signs (default: the last one)"}, \
	{"--key", "PEM", CTL_STR, "_key", NULL, false, "sign here, with this token's key"},                              \
	{"--pkcs11", "URI", CTL_STR, "_pkcs11", NULL, false, "sign here, with a PKCS#11 token's key (pkcs11:...); needs --cert"}, \
	{"--cert", "PEM", CTL_STR, "_cert", NULL, false, "the signing token's certificate (default: in the file of --key)"}, \
	{"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will trust us no more"}
static const struct ctl_opt mode_opts[] = {
	{"--tokenless", NULL, CTL_TRUE, "tokenless", NULL, false, "the CallManager key signs; the ITL recovery key is the second SAST"},
	{"--recreate", NULL, CTL_TRUE, "recreate", NULL, false,
	 "all tokens are lost, or one leaked: a CTL as if there were none; phones that hold the old one refuse it until theirs is erased"},
	{"--token", "PEM", CTL_LIST, "_tokens", NULL, false, "add a token by its certificate; may be repeated"},
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt token_opts[] = {
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt tftp_opts[] = {
	{"--server-cert", "PEM", CTL_STR, "_tftp_cert", NULL, true, "its certificate"},
	{"--address", "IPV4", CTL_STR, "_address", NULL, false, "written into its record"},
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt get_opts[] = {
	{"--out", "DIR", CTL_STR, "_out", NULL, true, "folder for CTLFile-CLASS.tlv"},
	REMOTE,
	END,
};
static const struct ctl_opt remote_opts[] = {
	REMOTE,
	END,
};
static const struct ctl_opt user_opts[] = {
	{"--role", "ROLE", CTL_STR, "role", NULL, false, "admin (default), or reader"},
	{"--password-file", "FILE", CTL_STR, "_password_file", NULL, false, "8 to 128 characters (default: standard input)"},
	{"--cert-sha256", "HEX", CTL_STR, "cert", NULL, false, "a client certificate instead of a password"},
	END,
};
static const struct ctl_opt list_opts[] = {
	{"--class", "CLASS", CTL_STR, "class", NULL, false, "79xx or modern (default)"},
	END,
};
static const struct ctl_opt strand_opts[] = {
	{"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will trust us no more"},
	END,
};

#define HARDEN_OPT \
	{"--harden", "NAME=SET,...", CTL_PAIRS, "harden", NULL, false, \
	 "pcPort, settingsAccess, garp, voiceVlanAccess, webAccess, ...: on, off, restricted or default"}
#define FILE_OPTS \
	{"--load", "NAME", CTL_STR, "load", NULL, false, "firmware, without .loads"}, \
	{"--user-locale", "NAME", CTL_STR, "user_locale", NULL, false, "folder of the user's locale"}, \
	{"--network-locale", "NAME", CTL_STR, "network_locale", NULL, false, "folder of the network's locale"}, \
	{"--srst", "NAME", CTL_STR, "srst", NULL, false, "SRST reference"}, HARDEN_OPT
#define ON_OFF(opt, member, help_on, help_off) \
	{"--" opt, NULL, CTL_TRUE, member, NULL, false, help_on}, {"--no-" opt, NULL, CTL_FALSE, member, NULL, false, help_off}

static const struct ctl_opt device_set_opts[] = {
	{"--profile", "NAME", CTL_STR, "profile", NULL, false, "security profile, whose mode it gets; empty: none"},
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "encrypted, authenticated or nonsecure (without a profile)"},
	{"--protocol", "P", CTL_STR, "protocol", NULL, false, "sccp or sip"},
	{"--region", "NAME", CTL_STR, "region", NULL, false, "region of its media address"},
	{"--description", "TEXT", CTL_STR, "description", NULL, false, "shown in lists and on the phone"},
	{"--model", "MODEL", CTL_STR, "model", NULL, false, "model, as a name: decides how its files are signed"},
	ON_OFF("protected", "protected", "it plays a tone at connect: is the call secure or not", "it does not"),
	{"--built-in-bridge", "V", CTL_STR, "built_in_bridge", NULL, false, "on, off or default (as the cluster has it): others may barge in"},
	{"--digest-user", "NAME", CTL_STR, "digest_user", NULL, false, "user of its digest credentials; empty: none"},
	{"--digest-password-file", "FILE", CTL_LOCAL, NULL, NULL, false, "their password: first line of the file"},
	{"--config-key-file", "FILE", CTL_LOCAL, NULL, NULL, false,
	 "32 hex digits: the key of its encrypted configuration, of a phone without PKI"},
	FILE_OPTS, RESET_OPT,
	END,
};
#define PROFILE_OPTS \
	{"--description", "TEXT", CTL_STR, "description", NULL, false, "what it is for"}, \
	{"--protocol", "P", CTL_STR, "protocol", NULL, false, "sccp, sip or any"}, \
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "device security mode: encrypted, authenticated or nonsecure"}, \
	{"--transport", "T", CTL_STR, "transport", NULL, false, "SIP: tcp, udp, tls or default: as the mode needs it"}, \
	{"--port", "N", CTL_INT, "port", NULL, false, "SIP port of the phone"}, \
	ON_OFF("digest", "digest", "SIP: requests of the phone are challenged", "they are not"), \
	{"--nonce", "S", CTL_INT, "nonce_s", NULL, false, "seconds that a nonce is valid (600)"}, \
	ON_OFF("digest-exclude", "digest_exclude", "digest credentials stay out of the file", "they go into it"), \
	ON_OFF("oauth", "oauth", "the configuration is for bearers of a token, on the token port", "it is not"), \
	ON_OFF("encrypted-config", "encrypted_config", "the configuration is encrypted for each phone", "it is not"), \
	ON_OFF("no-verify", "no_verify", "these phones cannot verify signatures", "they can"), \
	{"--capf-auth", "HOW", CTL_STR, "capf_auth", NULL, false, "none, string, null, lsc or mic"}, \
	{"--capf-key", "KEY", CTL_STR, "capf_key", NULL, false, "rsa-2048, ec-p256, ..."}, \
	{"--capf-backup", "KEY", CTL_STR, "capf_backup", NULL, false, "RSA key to ask for if the phone cannot make the EC key"}, \
	{"--ciphers-off", "N,...", CTL_STR, "ciphers_off", NULL, false, "disableTLSCiphers of the phone"}, FILE_OPTS
static const struct ctl_opt profile_opts[] = {
	PROFILE_OPTS,
	END,
};
static const struct ctl_opt profile_set_opts[] = {
	PROFILE_OPTS, RESET_OPT,
	END,
};
static const struct ctl_opt region_opts[] = {
	{"--max-kbps", "N", CTL_INT, "max_kbps", NULL, false, "bit rate of the voice at most: 64 (default), 8, 256, ...; 0: not said"},
	{"--codec", "NAME", CTL_LIST, "codecs", NULL, false,
	 "wideband, g722, g711ulaw, g711alaw, ilbc or g729, best first; may be repeated; default: not said"},
	{"--media", "HOW", CTL_STR, "media", NULL, false, "relay, direct, or default: not said"},
	{"--suite", "SUITE", CTL_LIST, "suites", NULL, false, "AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80, _32, ..., best first; may be repeated; default: not said"},
	END,
};
static const struct ctl_opt devtype_opts[] = {
	{"--replace", NULL, CTL_TRUE, "replace", NULL, false, "there may be one of that name"},
	END,
};
static const struct ctl_opt srst_opts[] = {
	{"--address", "A[:P][/A[:P]]", CTL_LIST, "addresses", NULL, false, "of SCCP, and of SIP if another; up to three"},
	ON_OFF("secure", "secure", "TLS to it, with its certificate (srst fetch, srst accept)", "in clear: its certificate is deleted"),
	{"--cert-port", "N", CTL_STR, "cert_port", NULL, false, "of its certificate provider: 1024 to 49151 (2445)"},
	ON_OFF("user-modifiable", "user_modifiable", "users may change it on the phone", "they may not"), RESET_OPT,
	END,
};
static const struct ctl_opt srst_cert_opts[] = {
	RESET_OPT,
	END,
};
static const struct ctl_opt vm_add_opts[] = {
	{"--ports", "N", CTL_INT, "ports", NULL, true, "so many new ports: NAME-VI1, NAME-VI2, ..."},
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "of a new server: nonsecure (default), authenticated or encrypted"},
	END,
};
static const struct ctl_opt vm_port_opts[] = {
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "nonsecure, authenticated or encrypted: as at the voice-mail server"},
	{"--description", "TEXT", CTL_STR, "description", NULL, false, "shown in lists"},
	END,
};
static const struct ctl_opt phone_list_opts[] = {
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "whose record or profile says so: nonsecure, authenticated or encrypted"},
	{"--effective-mode", "MODE", CTL_STR, "effective_mode", NULL, false, "whose mode that is now: in a non-secure cluster all are nonsecure"},
	END,
};
static const struct ctl_opt vm_list_opts[] = {
	{"--mode", "MODE", CTL_STR, "mode", NULL, false, "only ports of this mode"},
	END,
};
static const struct ctl_opt srst_fetch_opts[] = {
	{"--timeout", "S", CTL_INT, "timeout_s", NULL, false, "wait so long for the gateway, 1 to 60 (10)"},
	END,
};
static const struct ctl_opt srst_accept_opts[] = {
	{"--fingerprint", "HEX", CTL_STR, "fingerprint", NULL, true, "SHA-256, as srst fetch showed it and the gateway's operator says it"},
	END,
};
static const struct ctl_opt cluster_opts[] = {
	ON_OFF("sip-oauth", "sip_oauth", "profiles may demand tokens", "none does"),
	ON_OFF("plain-secrets", "plain_secrets", "DANGEROUS: digest passwords may stand in files that are not encrypted", "they may not"),
	ON_OFF("foreign-files", "foreign_files", "phones behind one address (NAT) may get each other's files", "they may not"),
	{"--built-in-bridge", "V", CTL_STR, "built_in_bridge", NULL, false, "on (default) or off: of phones that do not say"},
	{"--realm", "TEXT", CTL_STR, "realm", NULL, false, "SIP station realm"},
	{"--date-template", "T", CTL_STR, "date_template", NULL, false, "D.M.Y"},
	{"--time-zone", "NAME", CTL_STR, "time_zone", NULL, false, "as phones name it"},
	{"--resumption", "S", CTL_INT, "resumption_s", NULL, false, "TLSResumptionTimer (3600)"},
	{"--monitor", "S", CTL_INT, "monitor_s", NULL, false, "connectionMonitorDuration (120)"},
	{"--url-authentication", "URL", CTL_STR, "url_authentication", NULL, false, "http or https"},
	{"--url-directory", "URL", CTL_STR, "url_directory", NULL, false, "the same"},
	{"--url-services", "URL", CTL_STR, "url_services", NULL, false, "the same"},
	{"--url-messages", "URL", CTL_STR, "url_messages", NULL, false, "the same"},
	{"--url-idle", "URL", CTL_STR, "url_idle", NULL, false, "the same"},
	{"--url-information", "URL", CTL_STR, "url_information", NULL, false, "the same"},
	FILE_OPTS, RESET_OPT,
	END,
};

static const struct ctl_opt backup_opts[] = {
	{"--passphrase-file", "FILE", CTL_LOCAL, NULL, NULL, false, "its first line (default: standard input)"},
	END,
};
static const struct ctl_opt restore_opts[] = {
	{"--passphrase-file", "FILE", CTL_LOCAL, NULL, NULL, false, "its first line (default: standard input)"},
	{"--force", NULL, CTL_LOCAL, NULL, NULL, false, "also over a state that is there; it is kept as STATE.before-restore"},
	{"--strand", "N", CTL_LOCAL, NULL, NULL, false, "do it although exactly N phones will trust us no more"},
	END,
};

static const struct ctl_opt capf_set_opts[] = {
	{"--op", "OP", CTL_STR, "op", NULL, true, "install (or upgrade), delete or troubleshoot"},
	{"--auth", "MODE", CTL_STR, "auth", NULL, false, "string, null, lsc or mic (default: as its profile has it)"},
	{"--string", "DIGITS", CTL_STR, "string", NULL, false, "authentication string, 4 to 10 digits, for one operation"},
	{"--generate", NULL, CTL_TRUE, "generate", NULL, false, "make one"},
	{"--key", "KIND", CTL_STR, "key", NULL, false,
	 "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, ec-p521 (default: as its profile has it, or rsa-2048)"},
	{"--backup", "KIND", CTL_STR, "backup", NULL, false, "RSA key to ask for if the phone cannot make the EC key"},
	{"--by", "TIME", CTL_STR, "by", NULL, false, "complete by YYYY:MM:DD:HH or YYYY-MM-DDTHH:MM (default: in enrol.expires_days)"},
	{"--force", NULL, CTL_TRUE, "force", NULL, false, "delete although no LSC is on record, or the phone has shown no MIC"},
	END,
};
static const struct ctl_opt capf_report_opts[] = {
	{"--status", "TEXT", CTL_STR, "status", NULL, false, "pending, failed or successful"},
	{"--expiring", "DAYS", CTL_INT, "expiring", NULL, false, "whose LSC expires within so many days, or has"},
	{"--profile", "NAME", CTL_STR, "profile", NULL, false, "devices of this security profile"},
	{"--model", "MODEL", CTL_STR, "model", NULL, false, "devices of this model"},
	{"--wave", "N", CTL_INT, "wave", NULL, false, "devices of this wave, in its order; those too whose turn is to come"},
	{"--csv", NULL, CTL_LOCAL, NULL, NULL, false, "as CSV"},
	END,
};
static const struct ctl_opt capf_wave_opts[] = {
	{"--csv", "FILE", CTL_LOCAL, NULL, NULL, false, "devices of a table with a column device or name, in its order; - is standard input"},
	{"--skip-wrong", NULL, CTL_LOCAL, NULL, NULL, false, "begin without the lines that are wrong; else nothing begins"},
	{"--expiring", "DAYS", CTL_INT, "expiring", NULL, false, "devices whose LSC expires within so many days, or has"},
	{"--profile", "NAME", CTL_STR, "profile", NULL, false, "devices of this security profile"},
	{"--model", "MODEL", CTL_STR, "model", NULL, false, "devices of this model"},
	{"--mic-only", NULL, CTL_TRUE, "mic_only", NULL, false, "devices that have shown a MIC and hold no LSC"},
	{"--op", "OP", CTL_STR, "op", NULL, false, "install (default), delete or troubleshoot"},
	{"--auth", "MODE", CTL_STR, "auth", NULL, false, "string, null, lsc or mic (default: the certificate that a device has, or as its profile says)"},
	{"--key", "KIND", CTL_STR, "key", NULL, false, "as capf set"},
	{"--backup", "KIND", CTL_STR, "backup", NULL, false, "as capf set"},
	{"--per-minute", "N", CTL_INT, "per_minute", NULL, false, "devices that are set in a minute, up to 6000 (60)"},
	{"--at-once", "N", CTL_INT, "at_once", NULL, false, "devices whose operation is pending at once (50)"},
	{"--stop-at", "PERCENT", CTL_INT, "stop_at", NULL, false, "it stops when more than so many of the last ones failed (20; 100: never)"},
	{"--window", "N", CTL_INT, "window", NULL, false, "how many of the last ones are looked at for that (20)"},
	{"--within", "MINUTES", CTL_INT, "within", NULL, false, "time that a device has, then it has failed (60; by string: enrol.expires_days)"},
	{"--reset", NULL, CTL_TRUE, "reset", NULL, false, "reset registered phones when they are set, so that they come; not in a call"},
	END,
};
static const struct ctl_opt capf_app_opts[] = {
	{"--instance", "ID", CTL_STR, "instance", NULL, true, "of this instance of the application: each has its own"},
	{"--auth", "MODE", CTL_STR, "auth", NULL, false, "string or null (default: string if one is given or made)"},
	{"--string", "DIGITS", CTL_STR, "string", NULL, false, "authentication string, 4 to 10 digits, for one certificate"},
	{"--generate", NULL, CTL_TRUE, "generate", NULL, false, "make one"},
	{"--key", "KIND", CTL_STR, "key", NULL, false, "what the request's key must be: rsa-2048, ec-p256, ... (default: any that is good enough)"},
	END,
};
static const struct ctl_opt capf_app_issue_opts[] = {
	{"--instance", "ID", CTL_STR, "instance", NULL, true, "of this instance"},
	{"--csr", "FILE", CTL_LOCAL, NULL, NULL, true, "its request, PKCS#10 in PEM or DER"},
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, true, "where its certificate goes"},
	{"--string", "DIGITS", CTL_STR, "string", NULL, false, "what the applicant said"},
	END,
};
static const struct ctl_opt capf_app_which_opts[] = {
	{"--instance", "ID", CTL_STR, "instance", NULL, true, "of this instance"},
	END,
};
static const struct ctl_opt capf_requests_opts[] = {
	{"--out", "FILE|DIR", CTL_LOCAL, NULL, NULL, false, "write them, as PEM, with a list in CSV beside it; without it they are only listed"},
	{"--all", NULL, CTL_TRUE, "all", NULL, false, "list also what is asked by SCEP, ready or refused"},
	END,
};
static const struct ctl_opt capf_certs_opts[] = {
	{"--in", "FILE|DIR", CTL_LOCAL, NULL, NULL, true, "certificates in PEM (any number) or DER, or a folder of such files"},
	END,
};
static const struct ctl_opt capf_revoke_opts[] = {
	{"--reason", "WORD", CTL_STR, "reason", NULL, false, "lost (default) or ceased"},
	END,
};

const struct ctl_cmd ctl_commands[] = {
	{"status", "status", NO_POS, NULL, CTL_PLAIN, "what runs, what does not, how much of it"},
	{"show devices", "show.devices", NO_POS, NULL, CTL_PLAIN, "configured devices"},
	{"show lines", "show.lines", NO_POS, NULL, CTL_PLAIN, "numbers and who owns them"},
	{"show registrations", "show.registrations", NO_POS, NULL, CTL_PLAIN, "phones that are registered now"},
	{"show calls", "show.calls", NO_POS, NULL, CTL_PLAIN, "running calls and sessions"},
	{"mwi", "line.mwi", {{"LINE", CTL_STR, "number", false}, {"on|off", CTL_STR, "state", false}}, NULL, CTL_PLAIN, "the message lamp of a line"},
	{"show mwi", "show.mwi", NO_POS, NULL, CTL_PLAIN, "lines with a message waiting"},
	{"cdr list", "cdr.list", NO_POS, cdr_list_opts, CTL_CDR_LIST, "calls that have ended, the most telling columns"},
	{"cdr export", "cdr.list", NO_POS, cdr_export_opts, CTL_CDR_EXPORT, "the same with all columns, for other programs"},
	{"show legs", "show.legs", NO_POS, legs_opts, CTL_LEGS, "media legs: packets, loss, jitter, quality, keys"},
	{"show captures", "show.captures", NO_POS, NULL, CTL_PLAIN, "packet captures that run, and the last that ended"},
	{"show sas", "show.sas", NO_POS, NULL, CTL_PLAIN, "IPsec security associations"},
	{"show gateways", "show.gateways", NO_POS, NULL, CTL_PLAIN, "gateways and their state"},
	{"show counters", "show.counters", NO_POS, NULL, CTL_PLAIN, "packet, drop and message counters"},
	{"show provision", "show.provision", NO_POS, NULL, CTL_PLAIN,
	 "the servers that phones boot from: transfers, bytes, refusals by reason"},
	{"show workers", "show.workers", NO_POS, NULL, CTL_PLAIN, "the dataplane's workers: shards, packets, drops"},
	{"show music", "show.music", NO_POS, NULL, CTL_PLAIN, "sources of music on hold, and how many hear them"},
	{"show shards", "show.shards", NO_POS, NULL, CTL_PLAIN, "which worker has which shard"},
	{"show alarms", "show.alarms", NO_POS, NULL, CTL_PLAIN, "what needs somebody's attention"},
	{"show certs", "show.certs", NO_POS, store_opts, CTL_PLAIN, "our own certificates and the trust stores"},
	{"show audit", "show.audit", NO_POS, audit_opts, CTL_PLAIN, "who changed what, alarms that came and went"},
	{"show ctl", "show.ctl", NO_POS, list_opts, CTL_PLAIN, "the certificate trust list in force"},
	{"show itl", "show.itl", NO_POS, list_opts, CTL_PLAIN, "the identity trust list in force"},
	{"ctl set-mode", "ctl.change", POS("MODE", "mode"), mode_opts, CTL_CTLOP, "make the CTL for mixed or nonsecure mode"},
	{"utils ctl set-cluster", "ctl.change", POS("MODE", "mode"), mode_opts, CTL_CTLOP,
	 "the same with mixed-mode or non-secure-mode"},
	{"ctl update", "ctl.change", NO_POS, mode_opts, CTL_CTLOP, "make the CTL anew with the certificates of today"},
	{"utils ctl update CTLFile", "ctl.change", NO_POS, mode_opts, CTL_CTLOP, "the same"},
	{"ctl token add", "ctl.change", POS("PEM", "_token_file"), token_opts, CTL_CTLOP, "add a token (SAST) by its certificate"},
	{"ctl token del", "ctl.change", POS("TOKEN", "_del_token"), token_opts, CTL_CTLOP, "remove one, or what an import brought: name, or digits of its SHA-256"},
	{"ctl tftp add", "ctl.change", POS("HOST", "_tftp_host"), tftp_opts, CTL_CTLOP, "add an alternate TFTP server"},
	{"ctl tftp del", "ctl.change", POS("HOST", "_del_tftp"), token_opts, CTL_CTLOP, "remove one"},
	{"ctl servers", "ctl.servers", NO_POS, remote_opts, CTL_CTLOP, "servers in the CTL, and their certificates"},
	{"ctl get", "ctl.read", NO_POS, get_opts, CTL_CTLOP, "the CTL's files, for an alternate TFTP server"},
	{"ctl version", "ctl.version", NO_POS, remote_opts, CTL_CTLOP, "serial and MD5 of the CTL's files"},
	{"ctl mode", "ctl.mode", NO_POS, remote_opts, CTL_CTLOP, "the cluster's security mode"},
	{"ctl lease", "ctl.lease", POS("ACTION", "action"), remote_opts, CTL_CTLOP, "take, release or break the right to change the CTL"},
	{"user add", "user.add", POS("NAME", "name"), user_opts, CTL_CTLOP, "an administrator of the CTL provider"},
	{"user del", "user.del", POS("NAME", "name"), NULL, CTL_PLAIN, "remove one"},
	{"show users", "show.users", NO_POS, NULL, CTL_PLAIN, "administrators of the CTL provider"},
	{"trust status", "trust.status", NO_POS, NULL, CTL_PLAIN, "how many phones hold which trust lists"},
	{"trust ledger", "trust.ledger", {{"SEP...", CTL_LIST, "devices", true}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "what phones are known to hold, and since when"},
	{"trust forget", "trust.forget", {{"SEP...", CTL_LIST, "devices", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "these phones were reset by hand: they hold no lists"},
	{"trust confirm", "trust.confirm", {{"SEP...", CTL_LIST, "devices", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "these phones hold what was last fetched in their name: it was they"},
	{"trust plan", "trust.plan", {{"CHANGE", CTL_LIST, "change", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "whom a change would strand, and the order that strands nobody: regenerate TVS + regenerate TFTP"},
	{"itl sign-with", "itl.set", POS("NAME", "sign_with"), strand_opts, CTL_PLAIN,
	 "auto (TFTP, and its old key as long as that is kept), TFTP, TFTP.prev or ITLRecovery"},
	{"utils itl reset", "itl.reset", POS("KEY", "key"), strand_opts, CTL_PLAIN,
	 "localkey: sign the ITL with the recovery key, which all phones know"},
	{"itl rollback", "itl.rollback", POS("ON", "rollback"), strand_opts, CTL_PLAIN,
	 "on: an ITL with empty TVS and TFTP sections, before phones go to an older release; off"},
	{"device add", "device.add", POS("NAME", "name"), device_opts, CTL_PLAIN, "add a phone: SEP and its MAC address"},
	{"device set", "device.set", POS("NAME", "name"), device_set_opts, CTL_SECRETS,
	 "change what is given of a phone's record; the rest stays"},
	{"device show", "device.show", POS("NAME", "name"), NULL, CTL_PLAIN, "one device"},
	{"device del", "device.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a phone and its lines"},
	{"phone list", "phone.list", NO_POS, phone_list_opts, CTL_PLAIN, "phones found by their security mode"},
	{"phone reset", "phone.reset", {{"SEP...", CTL_LIST, "devices", true}, {NULL, CTL_STR, NULL, false}}, reset_opts, CTL_PLAIN,
	 "these phones start anew: they load their files and register again"},
	{"phone restart", "phone.restart", {{"SEP...", CTL_LIST, "devices", true}, {NULL, CTL_STR, NULL, false}}, reset_opts, CTL_PLAIN,
	 "the same without a reboot of the phone"},
	{"show resets", "show.resets", NO_POS, NULL, CTL_PLAIN, "what must be reset after which change, and what the appliance does by itself"},
	{"profile add", "profile.add", POS("NAME", "name"), profile_opts, CTL_PLAIN, "add a security profile"},
	{"profile set", "profile.set", POS("NAME", "name"), profile_set_opts, CTL_PLAIN,
	 "change what is given of a profile, for all phones that have it"},
	{"profile show", "profile.show", POS("NAME", "name"), NULL, CTL_PLAIN, "one profile, and how many phones have it"},
	{"profile del", "profile.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a profile that no phone has"},
	{"show profiles", "show.profiles", NO_POS, NULL, CTL_PLAIN, "security profiles"},
	{"srst add", "srst.add", POS("NAME", "name"), srst_opts, CTL_PLAIN, "add an SRST reference: where phones go without us"},
	{"srst set", "srst.set", POS("NAME", "name"), srst_opts, CTL_PLAIN, "change what is given of one; not its certificate"},
	{"srst cert", "srst.cert", {{"NAME", CTL_STR, "name", false}, {"FILE", CTL_LOCAL, NULL, false}}, srst_cert_opts, CTL_CERT_FILE,
	 "accept the gateway's certificate from a file: PEM or DER"},
	{"srst fetch", "srst.fetch", POS("NAME", "name"), srst_fetch_opts, CTL_PLAIN,
	 "fetch the gateway's certificate over TLS and show it; nothing is stored"},
	{"srst accept", "srst.accept", POS("NAME", "name"), srst_accept_opts, CTL_PLAIN, "store the certificate that was fetched and shown"},
	{"srst reject", "srst.reject", POS("NAME", "name"), NULL, CTL_PLAIN, "forget the certificate that was fetched"},
	{"srst show", "srst.show", POS("NAME", "name"), NULL, CTL_PLAIN, "one SRST reference"},
	{"srst del", "srst.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete one that nothing uses"},
	{"show srst", "show.srst", NO_POS, NULL, CTL_PLAIN, "SRST references"},
	{"region set", "region.set", {{"A", CTL_STR, "a", false}, {"B", CTL_STR, "b", false}}, region_opts, CTL_PLAIN,
	 "what calls between two regions may use, or within (=); * is any other; what is not given stays"},
	{"region del", "region.del", {{"A", CTL_STR, "a", false}, {"B", CTL_STR, "b", false}}, NULL, CTL_PLAIN, "delete such a rule"},
	{"region explain", "region.explain", {{"NAME", CTL_STR, "a", false}, {"NAME", CTL_STR, "b", false}}, NULL, CTL_PLAIN,
	 "what a call between two devices would get, and why: rule, codec, suites, path"},
	{"show regions", "show.regions", NO_POS, NULL, CTL_PLAIN, "the region table"},
	{"devtype install", "devtype.install", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, devtype_opts, CTL_IMPORT,
	 "a device type of another vendor, from its package"},
	{"devtype del", "devtype.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete an installed one that no device has"},
	{"show devtypes", "show.devtypes", NO_POS, NULL, CTL_PLAIN, "device types: modes, trust, icon, tone"},
	{"vm server add", "vm.server.add", POS("NAME", "name"), vm_add_opts, CTL_PLAIN,
	 "a voice-mail server, or more ports of one, which take its mode; a port gets its number by line add"},
	{"vm port set", "device.set", POS("PORT", "name"), vm_port_opts, CTL_PLAIN, "change a voice-mail port; reset it and the server's side"},
	{"vm port del", "device.del", POS("PORT", "name"), NULL, CTL_PLAIN, "delete a voice-mail port and its number"},
	{"show vm", "show.vm", NO_POS, vm_list_opts, CTL_PLAIN, "voice-mail ports"},
	{"cluster set", "cluster.set", NO_POS, cluster_opts, CTL_PLAIN, "settings of all phones, unless profile or device say otherwise"},
	{"cluster show", "cluster.show", NO_POS, NULL, CTL_PLAIN, "these settings"},
	{"explain", "explain", POS("NAME", "name"), NULL, CTL_PLAIN,
	 "a phone's settings and why, what it will ask for, what it will get, whether it can verify that"},
	{"capf set", "capf.set", POS("DEVICE", "device"), capf_set_opts, CTL_PLAIN,
	 "what a phone is to do with its LSC; reset it then, or it comes by itself at its next start"},
	{"capf show", "capf.show", POS("DEVICE", "device"), NULL, CTL_PLAIN, "a phone's operation, its certificates, and what to do next"},
	{"capf report", "capf.report", NO_POS, capf_report_opts, CTL_CSV, "all operations: status, string, mode, error, remedy"},
	{"capf cancel", "capf.cancel", POS("DEVICE", "device"), NULL, CTL_PLAIN, "no operation is pending any more"},
	{"capf unlock", "capf.unlock", POS("DEVICE", "device"), NULL, CTL_PLAIN, "after ten wrong strings: let it try again now"},
	{"capf revoke", "capf.revoke", POS("DEVICE|SERIAL", "what"), capf_revoke_opts, CTL_PLAIN,
	 "a phone's LSCs, or one, are refused from now on"},
	{"capf wave start", "capf.wave.start", NO_POS, capf_wave_opts, CTL_WAVE,
	 "one operation for many devices, in order, at a rate; stops by itself when too many fail"},
	{"capf wave list", "capf.wave.list", NO_POS, NULL, CTL_PLAIN, "waves, and how far they are"},
	{"capf wave show", "capf.wave.show", {{"WAVE", CTL_INT, "wave", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN, "one wave, and the devices that went wrong"},
	{"capf wave pause", "capf.wave.pause", {{"WAVE", CTL_INT, "wave", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN, "no more devices are set; those that are go on"},
	{"capf wave resume", "capf.wave.resume", {{"WAVE", CTL_INT, "wave", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN, "one that was paused or stopped goes on"},
	{"capf wave cancel", "capf.wave.cancel", {{"WAVE", CTL_INT, "wave", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN, "no more devices are set, ever; those that are go on (capf cancel ends one)"},
	{"capf profile add", "capf.profile.add", POS("USER", "user"), capf_app_opts, CTL_PLAIN, "an application that may have a certificate: its user and instance id"},
	{"capf profile set", "capf.profile.set", POS("USER", "user"), capf_app_opts, CTL_PLAIN, "it may have another one"},
	{"capf profile list", "capf.profile.list", NO_POS, NULL, CTL_PLAIN, "applications: status, string, certificate"},
	{"capf profile issue", "capf.profile.issue", POS("USER", "user"), capf_app_issue_opts, CTL_APP_ISSUE, "an application's certificate, from a request that came as a file"},
	{"capf profile revoke", "capf.profile.revoke", POS("USER", "user"), capf_app_which_opts, CTL_PLAIN, "its certificate is refused from now on"},
	{"capf requests", "capf.requests", NO_POS, capf_requests_opts, CTL_CAPF_REQUESTS, "requests that wait for an external CA"},
	{"capf certificates", "capf.certificates", NO_POS, capf_certs_opts, CTL_CAPF_CERTS, "take what an external CA made of them"},
	{"show capf", "show.capf", NO_POS, NULL, CTL_PLAIN, "the CAPF service: sessions and how they ended, certificates"},
	{"show tvs", "show.tvs", NO_POS, NULL, CTL_PLAIN, "the trust verification service: whom it vouches for, what it was asked"},
	{"show files", "show.files", NO_POS, NULL, CTL_PLAIN, "files served, made, signed, refused"},
	{"export phones", "export.phones", NO_POS, table_opts, CTL_EXPORT_PHONES, "all phones as a table (CSV) that import reads"},
	{"export", "export", NO_POS, NULL, CTL_PLAIN, "cluster, SRST, profiles and devices as import reads them (with -j)"},
	{"line add", "line.add", POS("NUMBER", "number"), line_opts, CTL_PLAIN, "add a line to a device"},
	{"line del", "line.del", POS("NUMBER", "number"), line_del_opts, CTL_PLAIN, "remove a line from its device"},
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
	{"gateway add", "gateway.add", POS("NAME", "name"), gateway_opts, CTL_PLAIN, "add a voice gateway: its MGCP domain"},
	{"gateway show", "gateway.show", POS("NAME", "name"), NULL, CTL_PLAIN, "one gateway's record"},
	{"gateway del", "gateway.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a gateway and its numbers"},
	{"sa add", "sa.add", POS("NAME", "name"), sa_opts, CTL_SA_KEY, "add a manual security association"},
	{"sa del", "sa.del", POS("NAME", "name"), NULL, CTL_PLAIN, "delete a manual security association"},
	{"session add", "session.add", NO_POS, session_opts, CTL_PLAIN, "relay media between two parties given by hand"},
	{"session del", "session.del", {{"ID", CTL_INT, "id", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "end such a session"},
	{"move shard", "shard.move", {{"SHARD", CTL_INT, "shard", false}, {NULL, CTL_STR, NULL, false}}, move_opts, CTL_PLAIN,
	 "move a shard to another worker while traffic flows"},
	{"call hangup", "call.hangup", {{"ID", CTL_INT, "id", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "end a call"},
	{"rekey", "call.rekey", {{"CALL", CTL_INT, "id", false}, {NULL, CTL_STR, NULL, false}}, rekey_opts, CTL_PLAIN,
	 "new media keys for a running call"},
	{"music load", "music.load", {{"SOURCE", CTL_STR, "source", true}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "read the files of a source of music (or of all) again, while it plays"},
	{"capture start", "capture.start", NO_POS, capture_opts, CTL_PLAIN, "write a leg's packets to a pcapng file"},
	{"capture signalling", "capture.signalling", {{"DEVICE", CTL_STR, "device", false}, {"CERTFILE", CTL_LOCAL, NULL, false}}, sigcap_opts,
	 CTL_CERT_FILE, "write a phone's messages to pcapng files that only the certificate's owner can read"},
	{"capture stop", "capture.stop", {{"ID", CTL_INT, "id", false}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "end a capture before its time"},
	{"trace", "trace.start", NO_POS, trace_opts, CTL_TRACE, "what each stage of the dataplane says of the next packets"},
	{"cert issue", "cert.issue", POS("NAME", "device"), cert_opts, CTL_CERT, "issue a key and an LSC for a phone"},
	{"cert list", "show.certs", NO_POS, store_opts, CTL_PLAIN, "as show certs"},
	{"cert show", "cert.show", POS("ID", "id"), store_opts, CTL_PLAIN,
	 "everything about a certificate: ID is a name, the first digits of the SHA-256 fingerprint, or a whole SHA-1 or MD5 one"},
	{"cert upload", "cert.upload", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, upload_opts, CTL_CERT_FILE,
	 "certificates of a PEM or DER file into a trust store: all of them, or none"},
	{"cert delete", "cert.delete", POS("ID", "id"), upload_opts, CTL_PLAIN, "take a certificate out of a trust store"},
	{"cert export", "cert.export", POS("ID", "id"), export_opts, CTL_CERT_OUT, "a certificate as PEM or DER"},
	{"cert regenerate", "cert.regenerate", POS("NAME", "name"), regenerate_opts, CTL_PLAIN,
	 "a new key and self-signed certificate of our own; what was stays as NAME.prev"},
	{"cert csr", "cert.csr", POS("NAME", "name"), csr_opts, CTL_CERT_OUT,
	 "a request (PKCS#10) with a new key, for a CA to sign; nothing changes before cert import"},
	{"cert import", "cert.import", {{"NAME", CTL_STR, "name", false}, {"CHAINFILE", CTL_LOCAL, NULL, false}}, strand_opts,
	 CTL_CERT_FILE, "a CA's answer to the request, with its chain"},
	{"cert retire", "cert.retire", POS("NAME", "name"), strand_opts, CTL_PLAIN, "drop NAME.prev: what NAME was before"},
	{"import ctl", "ctl.import", POS("FILE", "_file"), remote_opts, CTL_CTLOP,
	 "take over what phones of another cluster need: SASTs, CAPF and TVS of its CTLFile.tlv"},
	{"import phones", "import.phones", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, phones_opts,
	 CTL_IMPORT_PHONES, "phones from a table (CSV), BAT's \"all details\" too; - is standard input"},
	{"import", "import", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, import_opts, CTL_IMPORT,
	 "devices, lines, gateways, profiles, SRST, cluster from a JSON file, all or nothing"},
	{"backup create", "backup.create", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, backup_opts, CTL_BACKUP,
	 "keys, certificates, trust lists and records into one encrypted file"},
	{"backup show", "show", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, backup_opts, CTL_BUNDLE,
	 "what such a file holds; all of it is checked. Needs no appliance"},
	{"backup verify", "verify", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, backup_opts, CTL_BUNDLE,
	 "the same without printing it"},
	{"restore", "restore", {{"FILE", CTL_LOCAL, NULL, false}, {NULL, CTL_STR, NULL, false}}, restore_opts, CTL_BUNDLE,
	 "make this machine what the backup is of: with the daemons stopped"},
	{"alarm clear", "alarm.clear", {{"ID", CTL_STR, "id", true}, {"SUBJECT", CTL_STR, "subject", true}}, alarm_opts,
	 CTL_PLAIN, "clear an alarm by hand"},
	{"doctor", "doctor", NO_POS, doctor_opts, CTL_DOCTOR,
	 "is this machine fit for the configuration? Needs no appliance; 1 if something is bad"},
	{"file show", "file.show", POS("FILE", "file"), file_opts, CTL_FILE,
	 "a trust list or signed file from anywhere, tag by tag. Needs no appliance; 0 valid, 1 not, 2 unreadable"},
	{"file verify", "file.verify", POS("FILE", "file"), file_opts, CTL_FILE,
	 "is it signed by who it says? A list by its own record unless --list or --cert say otherwise"},
	{"file sign", "file.sign", POS("FILE", "file"), file_sign_opts, CTL_FILE, "make FILE.sgn, or FILE.enc.sgn"},
	{"file decrypt", "file.decrypt", POS("FILE", "file"), file_decrypt_opts, CTL_FILE,
	 "what is in a signed or encrypted file"},
	{NULL, NULL, NO_POS, NULL, CTL_PLAIN, NULL},
};

static int no(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int no(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* How many of argv's words name 'cmd'; 0: another command. */
static int match(const struct ctl_cmd *cmd, int argc, char **argv)
{
	const char *w = cmd->words;
	int n = 0;

	while (*w != '\0') {
		size_t len = strcspn(w, " ");

		if (n == argc || strlen(argv[n]) != len || strncmp(argv[n], w, len) != 0)
			return 0;
		n++;
		w += len + (w[len] == ' ');
	}
	return n;
}

static int set_value(json_t *args, enum ctl_type type, const char *name, const char *member, const char *text, char *why,
		     size_t size)
{
	json_t *v = NULL;
	long long n;
	char *end;

	if (type == CTL_INT) {
		errno = 0;
		n = strtoll(text, &end, 0);
		if (*text == '\0' || *end != '\0' || errno != 0)
			return no(why, size, "%s: %s is not an integer", name, text);
		v = json_integer(n);
	} else if (type == CTL_PAIRS) {
		char *copy = strdup(text), *save, *p;

		v = json_object();
		for (p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
			char *eq = strchr(p, '=');
			json_t *s = eq == NULL ? NULL : json_string(eq + 1);

			if (s == NULL) {
				no(why, size, "%s: %s is not key=value", name, p);
				json_decref(v);
				free(copy);
				return -EINVAL;
			}
			*eq = '\0';
			for (char *k = p; *k != '\0'; k++)
				if (*k == '-')
					*k = '_';
			json_object_set_new(v, p, s);
		}
		free(copy);
	} else {
		v = json_string(text);
	}
	if (v == NULL)
		return no(why, size, "%s is not valid UTF-8", name);
	if (type == CTL_LIST) {
		json_t *list = json_object_get(args, member);

		if (list == NULL) {
			list = json_array();
			json_object_set_new(args, member, list);
		}
		json_array_append_new(list, v);
		return 0;
	}
	if (json_object_get(args, member) != NULL) {
		json_decref(v);
		return no(why, size, "%s is given twice", name);
	}
	json_object_set_new(args, member, v);
	return 0;
}

static const struct ctl_opt *find_opt(const struct ctl_cmd *cmd, const char *arg, size_t len, unsigned *ret_local)
{
	unsigned local = 0;

	for (const struct ctl_pos *p = cmd->pos; p < cmd->pos + 2; p++)
		local += p->name != NULL && p->type == CTL_LOCAL;
	for (const struct ctl_opt *o = cmd->opts; o != NULL && o->name != NULL; o++) {
		if (strlen(o->name) == len && strncmp(o->name, arg, len) == 0) {
			*ret_local = local;
			return o;
		}
		local += o->type == CTL_LOCAL;
	}
	return NULL;
}

/* One option at argv[*i]; moves *i over its value. */
static int parse_opt(struct ctl_request *r, int argc, char **argv, int *i, char *why, size_t size)
{
	const char *arg = argv[*i];
	size_t len = strcspn(arg, "=");
	unsigned local = 0;
	const struct ctl_opt *o = find_opt(r->cmd, arg, len, &local);
	const char *value = arg[len] == '=' ? arg + len + 1 : NULL;

	if (o == NULL)
		return no(why, size, "%s: unknown option %s", r->cmd->words, arg);
	if (o->arg == NULL) {
		if (value != NULL)
			return no(why, size, "%s takes no value", o->name);
		if (o->type == CTL_CONST)
			return set_value(r->args, CTL_STR, o->name, o->member, o->value, why, size);
		if (o->type == CTL_LOCAL) {
			r->local[local] = o->name;
			return 0;
		}
		json_object_set_new(r->args, o->member, o->type == CTL_TRUE ? json_true() : json_false());
		return 0;
	}
	if (value == NULL) {
		if (*i + 1 == argc)
			return no(why, size, "%s needs %s", o->name, o->arg);
		value = argv[++*i];
	}
	if (o->type == CTL_LOCAL) {
		r->local[local] = value;
		return 0;
	}
	return set_value(r->args, o->type, o->name, o->member, value, why, size);
}

static int parse_rest(struct ctl_request *r, int argc, char **argv, char *why, size_t size)
{
	unsigned pos = 0, local = 0;
	bool only_pos = false;
	int rc = 0;

	for (int i = 0; i < argc && rc == 0; i++) {
		const struct ctl_pos *p = pos < 2 ? &r->cmd->pos[pos] : NULL;

		if (!only_pos && strcmp(argv[i], "--") == 0) {
			only_pos = true;
		} else if (!only_pos && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			r->help = true;
			return 0;
		} else if (!only_pos && argv[i][0] == '-' && argv[i][1] != '\0') {
			rc = parse_opt(r, argc, argv, &i, why, size);
		} else if (p == NULL || p->name == NULL) {
			rc = no(why, size, "%s: one word too many: %s", r->cmd->words, argv[i]);
		} else {
			if (p->type == CTL_LOCAL)
				r->local[local++] = argv[i];
			else
				rc = set_value(r->args, p->type, p->name, p->member, argv[i], why, size);
			pos += p->type != CTL_LIST; /* takes all that follow */
		}
	}
	if (rc < 0)
		return rc;
	if (pos < 2 && r->cmd->pos[pos].name != NULL && !r->cmd->pos[pos].optional &&
	    (r->cmd->pos[pos].type != CTL_LIST || json_object_get(r->args, r->cmd->pos[pos].member) == NULL))
		return no(why, size, "%s: %s is missing", r->cmd->words, r->cmd->pos[pos].name);
	for (const struct ctl_opt *o = r->cmd->opts; o != NULL && o->name != NULL; o++) {
		find_opt(r->cmd, o->name, strlen(o->name), &local);
		if (o->required &&
		    (o->type == CTL_LOCAL ? r->local[local] == NULL : json_object_get(r->args, o->member) == NULL))
			return no(why, size, "%s: %s is missing", r->cmd->words, o->name);
	}
	return 0;
}

int ctl_parse(int argc, char **argv, struct ctl_request *ret, char *why, size_t size)
{
	struct ctl_request r = {0};
	int n = 0, rc;

	for (const struct ctl_cmd *c = ctl_commands; c->words != NULL && r.cmd == NULL; c++) {
		n = match(c, argc, argv);
		if (n > 0)
			r.cmd = c;
	}
	if (r.cmd == NULL)
		return argc == 0 ? no(why, size, "no command given")
				 : no(why, size, "unknown command %s%s%s", argv[0], argc > 1 ? " " : "",
				      argc > 1 ? argv[1] : "");
	r.args = json_object();
	rc = parse_rest(&r, argc - n, argv + n, why, size);
	if (rc < 0) {
		json_decref(r.args);
		return rc;
	}
	*ret = r;
	return 0;
}

void ctl_usage(FILE *out)
{
	fputs("usage: ravelinctl [-c FILE | -s SOCKET] [-j] COMMAND\n\n"
	      "  -c FILE    configuration that names the run directory (default /etc/ravelin/ravelin.yaml)\n"
	      "  -s SOCKET  the appliance's admin.sock\n"
	      "  -j         print the answer as JSON, errors too\n"
	      "  COMMAND --help explains a command\n\n",
	      out);
	for (const struct ctl_cmd *c = ctl_commands; c->words != NULL; c++)
		fprintf(out, "  %-20s %s\n", c->words, c->help);
	fputs("\nexit status: 0 done, 1 refused by the appliance or found bad by doctor, 2 usage, 3 appliance not reachable\n", out);
}

void ctl_command_help(FILE *out, const struct ctl_cmd *c)
{
	fprintf(out, "usage: ravelinctl %s", c->words);
	for (unsigned i = 0; i < 2 && c->pos[i].name != NULL; i++)
		fprintf(out, c->pos[i].optional ? " [%s]" : " %s", c->pos[i].name);
	for (const struct ctl_opt *o = c->opts; o != NULL && o->name != NULL; o++)
		fprintf(out, " %s%s%s%s%s%s", o->required ? "" : "[", o->name, o->arg != NULL ? " " : "",
			o->arg != NULL ? o->arg : "", o->required ? "" : "]", o->type == CTL_LIST ? "..." : "");
	fprintf(out, "\n\n  %s\n", c->help);
	if (c->opts != NULL)
		fputc('\n', out);
	for (const struct ctl_opt *o = c->opts; o != NULL && o->name != NULL; o++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
		fprintf(out, "  %-24s %s\n", left, o->help);
	}
}
