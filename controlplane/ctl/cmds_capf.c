/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones' certificates: CAPF and TVS. */
#include "table.h"

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

const struct ctl_cmd ctl_cmds_capf[] = {
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
	{"capf wave show", "capf.wave.show", POS_AS("WAVE", CTL_INT, "wave"), NULL, CTL_PLAIN, "one wave, and the devices that went wrong"},
	{"capf wave pause", "capf.wave.pause", POS_AS("WAVE", CTL_INT, "wave"), NULL, CTL_PLAIN, "no more devices are set; those that are go on"},
	{"capf wave resume", "capf.wave.resume", POS_AS("WAVE", CTL_INT, "wave"), NULL, CTL_PLAIN, "one that was paused or stopped goes on"},
	{"capf wave cancel", "capf.wave.cancel", POS_AS("WAVE", CTL_INT, "wave"), NULL, CTL_PLAIN, "no more devices are set, ever; those that are go on (capf cancel ends one)"},
	{"capf profile add", "capf.profile.add", POS("USER", "user"), capf_app_opts, CTL_PLAIN, "an application that may have a certificate: its user and instance id"},
	{"capf profile set", "capf.profile.set", POS("USER", "user"), capf_app_opts, CTL_PLAIN, "it may have another one"},
	{"capf profile list", "capf.profile.list", NO_POS, NULL, CTL_PLAIN, "applications: status, string, certificate"},
	{"capf profile issue", "capf.profile.issue", POS("USER", "user"), capf_app_issue_opts, CTL_APP_ISSUE, "an application's certificate, from a request that came as a file"},
	{"capf profile revoke", "capf.profile.revoke", POS("USER", "user"), capf_app_which_opts, CTL_PLAIN, "its certificate is refused from now on"},
	{"capf requests", "capf.requests", NO_POS, capf_requests_opts, CTL_CAPF_REQUESTS, "requests that wait for an external CA"},
	{"capf certificates", "capf.certificates", NO_POS, capf_certs_opts, CTL_CAPF_CERTS, "take what an external CA made of them"},
	{"show capf", "show.capf", NO_POS, NULL, CTL_PLAIN, "the CAPF service: sessions and how they ended, certificates"},
	{"show tvs", "show.tvs", NO_POS, NULL, CTL_PLAIN, "the trust verification service: whom it vouches for, what it was asked"},
	CTL_END,
};
