/* SPDX-License-Identifier: BSD-3-Clause */
/* What runs, what went wrong, backups, and whether the machine is fit. */
#include "table.h"

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

const struct ctl_cmd ctl_cmds_machine[] = {
	{"status", "status", NO_POS, NULL, CTL_PLAIN, "what runs, what does not, how much of it"},
	{"show alarms", "show.alarms", NO_POS, NULL, CTL_PLAIN, "what needs somebody's attention"},
	{"show audit", "show.audit", NO_POS, audit_opts, CTL_PLAIN, "who changed what, alarms that came and went"},
	{"backup create", "backup.create", POS_AS("FILE", CTL_LOCAL, NULL), backup_opts, CTL_BACKUP,
	 "keys, certificates, trust lists and records into one encrypted file"},
	{"backup show", "show", POS_AS("FILE", CTL_LOCAL, NULL), backup_opts, CTL_BUNDLE,
	 "what such a file holds; all of it is checked. Needs no appliance"},
	{"backup verify", "verify", POS_AS("FILE", CTL_LOCAL, NULL), backup_opts, CTL_BUNDLE,
	 "the same without printing it"},
	{"restore", "restore", POS_AS("FILE", CTL_LOCAL, NULL), restore_opts, CTL_BUNDLE,
	 "make this machine what the backup is of: with the daemons stopped"},
	{"alarm clear", "alarm.clear", {{"ID", CTL_STR, "id", true}, {"SUBJECT", CTL_STR, "subject", true}}, alarm_opts,
	 CTL_PLAIN, "clear an alarm by hand"},
	{"doctor", "doctor", NO_POS, doctor_opts, CTL_DOCTOR,
	 "is this machine fit for the configuration? Needs no appliance; 1 if something is bad"},
	CTL_END,
};
