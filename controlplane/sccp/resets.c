/* SPDX-License-Identifier: BSD-3-Clause */
#include "resets.h"

#include <stdio.h>
#include <string.h>

#define LIVE "services take it over while they run"

static const struct cp_reset_row rows[CP_RESET_EV_MAX] = {
	[CP_RESET_EV_MODE] = {"security mode or profile of a device", "reset the device", "001:L316, 004a:L901, 004b:SEC-09, 004b:SEC-11, 004b:R-29",
			      "its file is made anew; a phone whose connection no longer fits is disconnected", CP_RESET_RESET,
			      CP_RESET_THE_DEVICE, true},
	[CP_RESET_EV_HARDEN] = {"hardening of a device", "reset the device", "001:L317, 004a:L904, 004a:SVC-04, 004b:HARD-01", "its file is made anew",
				CP_RESET_RESET, CP_RESET_THE_DEVICE, true},
	[CP_RESET_EV_DEVICE] = {"load, locale, SRST reference or protocol of a device", "restart the device", "001:L520, 004a:L1408, 004a:TFTP-06",
				"its file is made anew", CP_RESET_RESET, CP_RESET_THE_DEVICE, true},
	[CP_RESET_EV_LINES] = {"lines, labels, region or suite of a device", "restart the device", "001:L520, 004a:L1408",
			       "its file is made anew", CP_RESET_RESTART, CP_RESET_THE_DEVICE, true},
	[CP_RESET_EV_PROFILE] = {"settings of a security profile", "reset the devices that have it", "001:L316, 000:P0-59",
				 "their files are made anew; a changed mode resets them by itself", CP_RESET_RESET, CP_RESET_THE_PROFILE,
				 false},
	[CP_RESET_EV_SRST] = {"SRST reference", "reset dependent devices", "001:L326, 004a:L914, 004a:SRST-04, 004b:SRST-03, 004b:SRST-07, 004b:SRST-12, 004c:SR-03",
			      "their files are made anew; reset the gateway too", CP_RESET_RESET, CP_RESET_THE_SRST, false},
	[CP_RESET_EV_SRST_CERT] = {"certificate of an SRST reference", "reset dependent devices", "004b:SRST-08, 004c:SR-04, 004c:SR-06",
				   "their files are made anew", CP_RESET_RESET, CP_RESET_THE_SRST, false},
	[CP_RESET_EV_CLUSTER] = {"settings of the cluster (hardening, locales, URLs, default load)", "reset devices, restart CallManager",
				 "001:L317, 004b:SEC-08", LIVE, CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_IMPORT] = {"records by import", "restart the devices", "001:L520, 004a:L1408",
				"devices that are written restart by themselves; profiles, SRST references and the cluster need it",
				CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_CLUSTER_MODE] = {"cluster mode", "reset devices, restart CallManager",
				      "001:L318, 001:L322, 004a:L908, 004a:L919, 004b:CTL-07", LIVE, CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_CTL] = {"CTL made or updated", "restart all devices, CallManager and TFTP",
			     "001:L319, 001:L324, 004a:L911, 004a:L926, 004a:CTL-23, 004b:CTL-07, 004b:R-12, 004c:CT-21, 004c:CR-04", LIVE, CP_RESET_RESTART, CP_RESET_ALL,
			     false},
	[CP_RESET_EV_CAPF_OP] = {"CAPF operation of a device", "reset the device: that begins the operation", "004b:CAPF-25", LIVE,
				 CP_RESET_RESET, CP_RESET_THE_DEVICE, false},
	[CP_RESET_EV_CAPF_FILE] = {"enrol: in the configuration file", "restart CAPF; reset devices after a port's change",
				   "001:L320, 001:L323, 004a:L922, 004a:CAPF-05, 004b:R-19", "restart ravelin-controlplane: it reads the file at its start",
				   CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_SCCP_PORT] = {"sccp.port, sccp.tls_port in the configuration file", "(the documents state none)", "004a:T2",
				   "restart ravelin-controlplane: phones are told ports in their files", CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_CTLP_PORT] = {"ctl_provider: in the configuration file", "restart the CTL provider", "001:L321, 004a:L916",
				   "restart ravelin-controlplane", CP_RESET_NONE, CP_RESET_NOBODY, false},
	[CP_RESET_EV_CTLP] = {"CTL provider switched on or off", "restart CallManager and TFTP", "001:L325",
			      "restart ravelin-controlplane", CP_RESET_NONE, CP_RESET_NOBODY, false},
	[CP_RESET_EV_CALLMANAGER] = {"CallManager certificate replaced", "CTL update, restart CallManager and TFTP", "001:L471, 001:P1-049",
				     "handshakes show it at once, nobody loses a registration; then ravelinctl ctl update",
				     CP_RESET_RESTART, CP_RESET_ALL, false},
	[CP_RESET_EV_CAPF_CERT] = {"CAPF certificate replaced", "CTL update, restart CAPF and TFTP, reset the phones", "001:L471, 001:P1-049, 002:P2-34",
				   "handshakes show it at once; then ravelinctl ctl update", CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_TFTP_CERT] = {"TFTP certificate replaced", "CTL update, restart TFTP, CallManager and the CTL provider, reset the phones", "002:P2-36, 004b:R-12",
				   "files are signed anew; then ravelinctl ctl update", CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_TVS_CERT] = {"TVS certificate replaced", "restart TFTP, reset the phones", "002:P2-35",
				  LIVE ", ravelinctl trust plan says what is safe", CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_FILE] = {"file in provision.directory", "restart affected devices", "001:L520, 001:P1-055, 004a:L1408, 004a:TFTP-06",
			      "it is signed anew when it is asked for", CP_RESET_RESTART, CP_RESET_ALL, false},
	[CP_RESET_EV_CAPTURE] = {"capture of a phone's signalling", "reset the phone", "004c:PC-12",
				 "nothing: a capture begins at once", CP_RESET_NONE, CP_RESET_NOBODY, false},
	[CP_RESET_EV_SETUP] = {"whole set-up finished", "reset all phones, reboot all servers", "001:L732, 004a:L1769",
			       "no server is rebooted", CP_RESET_RESET, CP_RESET_ALL, false},
	[CP_RESET_EV_RESTORE] = {"restored from a backup", "CTL update, restart TFTP and CallManager, reset all devices",
				 "004a:L1135, 004a:L1202, 004a:L1258, 004a:BR-03 to BR-05", "a backup holds the same keys: no CTL update", CP_RESET_RESET,
				 CP_RESET_ALL, false},
	[CP_RESET_EV_VOICE_MAIL] = {"Unity certificate, mode of a voice-mail port", "restart CallManager, reset the port",
				    "004a:L933, 004a:PKI-08, 004a:SVC-05, 004b:PKI-06, 004b:VM-05", LIVE ", a port whose mode no longer fits is disconnected", CP_RESET_RESET,
				    CP_RESET_THE_DEVICE, true},
	[CP_RESET_EV_TOKEN_PC] = {"Smart Card service of the CTL client's PC", "reboot that PC", "001:L327, 004a:L936",
				  "ravelinctl needs no such service", CP_RESET_NONE, CP_RESET_NOBODY, false},
	[CP_RESET_EV_APP_USER] = {"service parameters of application users' CAPF profiles", "restart IPMA, WebDialer, Extended Functions",
				  "001:L329", "there are no such applications here", CP_RESET_NONE, CP_RESET_NOBODY, false},
	[CP_RESET_EV_DIRECTORY] = {"directory-trust certificate", "restart Tomcat and DirSync", "001:L450", "there is no LDAP here",
				   CP_RESET_NONE, CP_RESET_NOBODY, false},
};

const struct cp_reset_row *cp_reset_row(enum cp_reset_event ev)
{
	return (unsigned)ev < CP_RESET_EV_MAX ? &rows[ev] : NULL;
}

const char *cp_reset_act_name(enum cp_reset_act act)
{
	return act == CP_RESET_RESET ? "reset" : act == CP_RESET_RESTART ? "restart" : "none";
}

const char *cp_reset_scope_name(enum cp_reset_scope scope)
{
	static const char *const names[] = {"nobody", "device", "profile", "srst", "all"};

	return (unsigned)scope <= CP_RESET_ALL ? names[scope] : "nobody";
}

json_t *cp_reset_say(enum cp_reset_event ev, const char *subject)
{
	const struct cp_reset_row *r = cp_reset_row(ev);
	char command[160];

	if (r == NULL)
		return NULL;
	if (subject == NULL)
		subject = "";
	switch (r->scope) {
	case CP_RESET_THE_DEVICE:
		snprintf(command, sizeof(command), "ravelinctl phone %s %s", cp_reset_act_name(r->act), subject);
		break;
	case CP_RESET_THE_PROFILE:
	case CP_RESET_THE_SRST:
		snprintf(command, sizeof(command), "ravelinctl phone %s --%s %s", cp_reset_act_name(r->act), cp_reset_scope_name(r->scope),
			 subject);
		break;
	case CP_RESET_ALL:
		snprintf(command, sizeof(command), "ravelinctl phone %s --all", cp_reset_act_name(r->act));
		break;
	default:
		command[0] = '\0';
	}
	return json_pack("{s:s,s:s,s:b,s:s?,s:s}", "phones", cp_reset_act_name(r->act), "scope", cp_reset_scope_name(r->scope), "by_itself",
			 r->itself, "command", r->itself || command[0] == '\0' ? NULL : command, "why", r->rows);
}

json_t *cp_reset_table(void)
{
	json_t *list = json_array();

	for (int i = 0; i < CP_RESET_EV_MAX; i++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b,s:s,s:s,s:s}", "change", rows[i].change, "phones",
						      cp_reset_act_name(rows[i].act), "scope", cp_reset_scope_name(rows[i].scope),
						      "by_itself", rows[i].itself, "beside", rows[i].here, "asked", rows[i].asked, "rows",
						      rows[i].rows));
	return list;
}

static bool same_lines(const struct cp_device *a, const struct cp_device *b)
{
	if (a->line_cnt != b->line_cnt)
		return false;
	for (unsigned i = 0; i < a->line_cnt; i++)
		if (strcmp(a->lines[i].number, b->lines[i].number) != 0 || strcmp(a->lines[i].label, b->lines[i].label) != 0)
			return false;
	return true;
}

static bool same_secret(const struct cp_buf *a, const struct cp_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

enum cp_reset_event cp_reset_of_device(const struct cp_device *a, const struct cp_device *b)
{
	if (a->mode != b->mode || strcmp(a->profile, b->profile) != 0)
		return CP_RESET_EV_MODE;
	if (memcmp(a->harden.v, b->harden.v, sizeof(a->harden.v)) != 0)
		return CP_RESET_EV_HARDEN;
	if (a->protocol != b->protocol || strcmp(a->srst, b->srst) != 0 || strcmp(a->load, b->load) != 0 ||
	    strcmp(a->user_locale, b->user_locale) != 0 || strcmp(a->network_locale, b->network_locale) != 0 ||
	    strcmp(a->digest_user, b->digest_user) != 0 || strcmp(a->model, b->model) != 0 ||
	    !same_secret(&a->digest_secret, &b->digest_secret) || !same_secret(&a->config_key, &b->config_key))
		return CP_RESET_EV_DEVICE;
	if (!same_lines(a, b) || a->srtp != b->srtp || a->suite != b->suite || strcmp(a->region, b->region) != 0 ||
	    strcmp(a->description, b->description) != 0)
		return CP_RESET_EV_LINES;
	return CP_RESET_EV_MAX;
}

static uint32_t mix(uint32_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h * 16777619u; /* an end: "ab", "c" is not "a", "bc" */
}

uint32_t cp_reset_digest(const struct cp_device *d)
{
	const char *const texts[] = {d->profile, d->srst, d->load, d->user_locale, d->network_locale, d->digest_user, d->model};
	uint32_t h = 2166136261u;
	uint8_t small[2] = {(uint8_t)d->mode, d->protocol};

	h = mix(h, small, sizeof(small));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		h = mix(h, texts[i], strlen(texts[i]));
	h = mix(h, d->harden.v, sizeof(d->harden.v));
	h = mix(h, d->digest_secret.data, d->digest_secret.len);
	return mix(h, d->config_key.data, d->config_key.len);
}
