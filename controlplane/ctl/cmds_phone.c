/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones: devices, lines, profiles, SRST, regions, voice mail, the files that they boot from. */
#include "table.h"

#define RESET_OPT {"--reset", NULL, CTL_TRUE, "reset", NULL, false, "then tell the phones that need it to reset: the answer's \"reset\""}
#define SHARED_OPT {"--shared", NULL, CTL_TRUE, "shared", NULL, false, "a number may be a line of several devices"}
static const struct ctl_opt reset_opts[] = {
	{"--profile", "NAME", CTL_STR, "profile", NULL, false, "all phones that have this profile"},
	{"--srst", "NAME", CTL_STR, "srst", NULL, false, "all phones that use this SRST reference: their own, their profile's, the cluster's"},
	{"--all", NULL, CTL_TRUE, "all", NULL, false, "all phones"},
	{"--per-second", "N", CTL_INT, "per_second", NULL, false, "so many of them each second, 1 to 10000 (default: sccp.reset_rate)"},
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
	{"--partition", "NAME", CTL_STR, "partition", NULL, false, "partition that the number is in (default: the one that all see)"},
	{"--device", "NAME", CTL_STR, "device", NULL, false, "the device, where several have the line"},
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

const struct ctl_cmd ctl_cmds_phone[] = {
	{"show devices", "show.devices", NO_POS, NULL, CTL_PLAIN, "configured devices"},
	{"show lines", "show.lines", NO_POS, NULL, CTL_PLAIN, "numbers and who owns them"},
	{"show registrations", "show.registrations", NO_POS, NULL, CTL_PLAIN, "phones that are registered now"},
	{"show provision", "show.provision", NO_POS, NULL, CTL_PLAIN,
	 "the servers that phones boot from: transfers, bytes, refusals by reason"},
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
	{"devtype install", "devtype.install", POS_AS("FILE", CTL_LOCAL, NULL), devtype_opts, CTL_IMPORT,
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
	{"show files", "show.files", NO_POS, NULL, CTL_PLAIN, "files served, made, signed, refused"},
	{"export phones", "export.phones", NO_POS, table_opts, CTL_EXPORT_PHONES, "all phones as a table (CSV) that import reads"},
	{"export", "export", NO_POS, NULL, CTL_PLAIN, "cluster, SRST, profiles and devices as import reads them (with -j)"},
	{"line add", "line.add", POS("NUMBER", "number"), line_opts, CTL_PLAIN, "add a line to a device"},
	{"line del", "line.del", POS("NUMBER", "number"), line_del_opts, CTL_PLAIN, "remove a line from its device"},
	{"import phones", "import.phones", POS_AS("FILE", CTL_LOCAL, NULL), phones_opts,
	 CTL_IMPORT_PHONES, "phones from a table (CSV), BAT's \"all details\" too; - is standard input"},
	{"import", "import", POS_AS("FILE", CTL_LOCAL, NULL), import_opts, CTL_IMPORT,
	 "devices, lines, gateways, profiles, SRST, cluster from a JSON file, all or nothing"},
	CTL_END,
};
