/* SPDX-License-Identifier: BSD-3-Clause */
#include "phonecfg.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"
#include "log.h"
#include "store.h"
#include "why.h"

/* Tags are forever. */
static const struct cp_field profile_fields[] = {
	F(1, CP_F_STR, cp_profile, name),
	F(2, CP_F_STR, cp_profile, description),
	F(3, CP_F_UINT, cp_profile, protocol),
	F(4, CP_F_UINT, cp_profile, mode),
	F(5, CP_F_UINT, cp_profile, transport),
	F(6, CP_F_BOOL, cp_profile, digest),
	F(7, CP_F_BOOL, cp_profile, digest_exclude),
	F(8, CP_F_BOOL, cp_profile, oauth),
	F(9, CP_F_BOOL, cp_profile, encrypted_config),
	F(10, CP_F_BOOL, cp_profile, no_verify),
	F(11, CP_F_UINT, cp_profile, capf_auth),
	F(12, CP_F_STR, cp_profile, capf_key),
	F(13, CP_F_UINT, cp_profile, port),
	F(14, CP_F_UINT, cp_profile, nonce_s),
	F(15, CP_F_STR, cp_profile, load),
	F(16, CP_F_STR, cp_profile, user_locale),
	F(17, CP_F_STR, cp_profile, network_locale),
	F(18, CP_F_STR, cp_profile, srst),
	F(19, CP_F_STR, cp_profile, ciphers_off),
	F(20, CP_F_STR, cp_profile, capf_backup),
	CP_HARDEN_FIELDS(32, cp_profile),
	F(60, CP_F_UINT, cp_profile, changed_us),
	END,
};

static const struct cp_field srst_addr_fields[] = {
	F(1, CP_F_ADDR, cp_srst_addr, sccp),
	F(2, CP_F_ADDR, cp_srst_addr, sip),
	END,
};
static const struct cp_list srst_addr_list = {sizeof(struct cp_srst_addr), CP_SRST_ADDRS_MAX,
					      offsetof(struct cp_srst, addr_cnt), false, srst_addr_fields};
static const struct cp_field srst_fields[] = {
	F(1, CP_F_STR, cp_srst, name),
	L(2, cp_srst, addrs, &srst_addr_list),
	F(3, CP_F_BOOL, cp_srst, user_modifiable),
	F(4, CP_F_BOOL, cp_srst, secure),
	F(5, CP_F_UINT, cp_srst, cert_port),
	F(6, CP_F_BUF, cp_srst, cert),
	F(7, CP_F_UINT, cp_srst, changed_us),
	END,
};

static const struct cp_field cluster_fields[] = {
	F(1, CP_F_BOOL, cp_cluster, sip_oauth),
	F(2, CP_F_BOOL, cp_cluster, foreign_files),
	F(3, CP_F_BOOL, cp_cluster, plain_secrets),
	F(4, CP_F_STR, cp_cluster, realm),
	F(5, CP_F_STR, cp_cluster, user_locale),
	F(6, CP_F_STR, cp_cluster, network_locale),
	F(7, CP_F_STR, cp_cluster, srst),
	F(8, CP_F_STR, cp_cluster, date_template),
	F(9, CP_F_STR, cp_cluster, time_zone),
	F(10, CP_F_STR, cp_cluster, load),
	F(11, CP_F_STR, cp_cluster, url[CP_URL_AUTH]),
	F(12, CP_F_STR, cp_cluster, url[CP_URL_DIRECTORY]),
	F(13, CP_F_STR, cp_cluster, url[CP_URL_SERVICES]),
	F(14, CP_F_STR, cp_cluster, url[CP_URL_MESSAGES]),
	F(15, CP_F_STR, cp_cluster, url[CP_URL_IDLE]),
	F(16, CP_F_STR, cp_cluster, url[CP_URL_INFORMATION]),
	F(17, CP_F_UINT, cp_cluster, resumption_s),
	F(18, CP_F_UINT, cp_cluster, monitor_s),
	F(28, CP_F_UINT, cp_cluster, bridge),
	CP_HARDEN_FIELDS(32, cp_cluster),
	F(60, CP_F_UINT, cp_cluster, changed_us),
	END,
};

static const struct cp_field phone_cert_fields[] = {
	F(1, CP_F_STR, cp_phone_cert, device),
	F(2, CP_F_BUF, cp_phone_cert, cert),
	F(3, CP_F_UINT, cp_phone_cert, since_us),
	END,
};

/* Order of rows is that of struct cp_harden and never changes; new ones go behind. */
const struct cp_harden_row cp_harden_rows[CP_HARDEN_CNT] = {
	[CP_HARDEN_PC_PORT] = {"pcPort", {NULL, "0", "1", NULL}, CP_SET_ON},
	[CP_HARDEN_SETTINGS] = {"settingsAccess", {NULL, "1", "0", "2"}, CP_SET_ON},
	[CP_HARDEN_GARP] = {"garp", {NULL, "0", "1", NULL}, CP_SET_ON},
	[CP_HARDEN_VOICE_VLAN] = {"voiceVlanAccess", {NULL, "0", "1", NULL}, CP_SET_ON},
	[CP_HARDEN_WEB] = {"webAccess", {NULL, "0", "1", NULL}, CP_SET_ON},
	[CP_HARDEN_SPAN] = {"spanToPCPort", {NULL, "0", "1", NULL}, CP_SET_OFF},
	[CP_HARDEN_TLS12] = {"tls12Only", {NULL, "1", "0", NULL}, CP_SET_OFF},
	[CP_HARDEN_SSH] = {"sshAccess", {NULL, "0", "1", NULL}, CP_SET_OFF},
	[CP_HARDEN_WEB_PROTOCOL] = {"webProtocol", {NULL, "0", NULL, "1"}, CP_SET_ON},
	[CP_HARDEN_CDP_SW] = {"enableCdpSwPort", {NULL, "1", "0", NULL}, CP_SET_ON},
	[CP_HARDEN_CDP_PC] = {"enableCdpPcPort", {NULL, "1", "0", NULL}, CP_SET_ON},
	[CP_HARDEN_LLDP_SW] = {"enableLldpSwPort", {NULL, "1", "0", NULL}, CP_SET_ON},
	[CP_HARDEN_LLDP_PC] = {"enableLldpPcPort", {NULL, "1", "0", NULL}, CP_SET_ON},
	[CP_HARDEN_BLUETOOTH] = {"bluetooth", {NULL, "1", "0", NULL}, CP_SET_ON},
	[CP_HARDEN_PEER_FIRMWARE] = {"peerFirmwareSharing", {NULL, "1", "0", NULL}, CP_SET_OFF},
	[CP_HARDEN_FIPS] = {"fipsMode", {NULL, "1", "0", NULL}, CP_SET_OFF},
};

const char *cp_set_name(enum cp_set set)
{
	static const char *const names[CP_SET_MAX] = {"default", "on", "off", "restricted"};

	return (unsigned)set < CP_SET_MAX ? names[set] : "unknown";
}

int cp_harden_parse(struct cp_harden *h, const char *name, const char *value, char *why, size_t size)
{
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++) {
		if (strcmp(cp_harden_rows[i].name, name) != 0)
			continue;
		for (unsigned s = 0; s < CP_SET_MAX; s++)
			if (strcmp(cp_set_name((enum cp_set)s), value) == 0 &&
			    (s == CP_SET_DEFAULT || cp_harden_rows[i].value[s] != NULL)) {
				h->v[i] = (uint8_t)s;
				return 0;
			}
		return cfg_invalid(why, size, "%s cannot be %s: default, %s%s%s", name, cfg_q(value), "on",
				   cp_harden_rows[i].value[CP_SET_OFF] != NULL ? ", off" : "",
				   cp_harden_rows[i].value[CP_SET_RESTRICTED] != NULL ? ", restricted" : "");
	}
	return cfg_invalid(why, size, "no hardening setting %s", cfg_q(name));
}

static int harden_check(const struct cp_harden *h, char *why, size_t size)
{
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++)
		if (h->v[i] >= CP_SET_MAX || (h->v[i] != CP_SET_DEFAULT && cp_harden_rows[i].value[h->v[i]] == NULL))
			return cfg_invalid(why, size, "%s: unknown setting %u", cp_harden_rows[i].name, h->v[i]);
	return 0;
}

int cp_harden_check(const struct cp_harden *h, char *why, size_t size)
{
	return harden_check(h, why, size);
}

bool cp_conf_name_ok(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && name[n] == '\0' && n < CP_NAME_MAX;
}

static bool key_ok(const char *key)
{
	static const char *const keys[] = {"",	       "rsa-512",  "rsa-1024", "rsa-2048",
					   "rsa-3072", "rsa-4096", "ec-p256",  "ec-p384", "ec-p521"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

int cp_profile_check(const struct cp_profile *p, char *why, size_t size)
{
	bool secure = p->mode != CP_DEVICE_NONSECURE;

	if (!cp_conf_name_ok(p->name))
		return cfg_invalid(why, size, "name %s is not 1 to %d of letters, digits and . _ -", cfg_q(p->name), CP_NAME_MAX - 1);
	if (!cp_text_ok(p->description))
		return cfg_invalid(why, size, "%s: description is not printable UTF-8 below %d bytes", p->name, CP_TEXT_MAX);
	if (p->protocol > CP_PROTOCOL_SIP || p->transport > CP_TRANSPORT_TLS || p->capf_auth > CP_CAPF_MIC ||
	    p->mode < CP_DEVICE_NONSECURE || p->mode > CP_DEVICE_ENCRYPTED)
		return cfg_invalid(why, size, "%s: unknown protocol, mode, transport or CAPF authentication", p->name);
	if (!key_ok(p->capf_key))
		return cfg_invalid(why, size, "%s: CAPF key %s is not rsa-512 to rsa-4096, ec-p256, ec-p384 or ec-p521", p->name,
				   cfg_q(p->capf_key));
	if (p->capf_backup[0] != '\0' &&
	    (!key_ok(p->capf_backup) || strncmp(p->capf_backup, "rsa-", 4) != 0 || strncmp(p->capf_key, "ec-", 3) != 0))
		return cfg_invalid(why, size, "%s: CAPF backup is an RSA key, for a CAPF key that is an EC key", p->name);
	if (p->nonce_s > 86400)
		return cfg_invalid(why, size, "%s: a nonce is valid for 86400 s at most", p->name);
	if (p->oauth && p->digest)
		return cfg_invalid(why, size, "%s: OAuth and digest authentication exclude each other", p->name);
	if (p->oauth && p->encrypted_config)
		return cfg_invalid(why, size, "%s: OAuth and encrypted configuration exclude each other", p->name);
	if (p->oauth && (p->mode != CP_DEVICE_ENCRYPTED || p->transport != CP_TRANSPORT_TLS))
		return cfg_invalid(why, size, "%s: OAuth needs mode encrypted and transport tls", p->name);
	if (p->protocol != CP_PROTOCOL_SIP &&
	    (p->digest || p->digest_exclude || p->oauth || p->port != 0 || p->transport != CP_TRANSPORT_MODE))
		return cfg_invalid(why, size, "%s: digest, OAuth, port and transport are for protocol sip", p->name);
	if (p->protocol == CP_PROTOCOL_SIP && secure &&
	    p->transport != CP_TRANSPORT_TLS && p->transport != CP_TRANSPORT_MODE)
		return cfg_invalid(why, size, "%s: mode %s needs transport tls", p->name, cp_device_mode_name(p->mode));
	if (p->transport == CP_TRANSPORT_TLS && !secure)
		return cfg_invalid(why, size, "%s: transport tls needs mode authenticated or encrypted", p->name);
	if (p->capf_auth == CP_CAPF_STRING && secure)
		return cfg_invalid(why, size, "%s: CAPF by authentication string needs mode nonsecure: a secure phone does not connect",
				   p->name);
	if (p->encrypted_config && strncmp(p->capf_key, "ec-", 3) == 0)
		return cfg_invalid(why, size, "%s: encrypted configuration needs an RSA key: an EC key cannot unwrap", p->name);
	if (p->srst[0] != '\0' && !cp_conf_name_ok(p->srst))
		return cfg_invalid(why, size, "%s: no SRST reference can be named %s", p->name, cfg_q(p->srst));
	if (!cp_load_ok(p->load) || !cp_locale_ok(p->user_locale) || !cp_locale_ok(p->network_locale))
		return cfg_invalid(why, size, "%s: load or locale is no file name", p->name);
	if (strspn(p->ciphers_off, "0123456789,") != strlen(p->ciphers_off))
		return cfg_invalid(why, size, "%s: ciphers are numbers with commas between", p->name);
	return harden_check(&p->harden, why, size);
}

static bool cert_ok(const struct cp_buf *der)
{
	const unsigned char *at = der->data;
	X509 *cert = der->len > 0 && der->len <= 16384 ? d2i_X509(NULL, &at, (long)der->len) : NULL;
	bool ok = cert != NULL && at == der->data + der->len;

	X509_free(cert);
	return ok;
}

int cp_srst_check(const struct cp_srst *s, char *why, size_t size)
{
	if (!cp_conf_name_ok(s->name))
		return cfg_invalid(why, size, "name %s is not 1 to %d of letters, digits and . _ -", cfg_q(s->name), CP_NAME_MAX - 1);
	if (s->addr_cnt == 0 || s->addr_cnt > CP_SRST_ADDRS_MAX)
		return cfg_invalid(why, size, "%s: 1 to %d addresses are needed", s->name, CP_SRST_ADDRS_MAX);
	for (unsigned i = 0; i < s->addr_cnt; i++)
		if (s->addrs[i].sccp.family == 0 && s->addrs[i].sip.family == 0)
			return cfg_invalid(why, size, "%s: address %u is empty", s->name, i + 1);
	if (s->cert_port != 0 && (s->cert_port < CP_SRST_CERT_PORT_MIN || s->cert_port > CP_SRST_CERT_PORT_MAX)) /* 004c: section 2 */
		return cfg_invalid(why, size, "%s: port of the certificate provider is not 1024 to 49151", s->name);
	if (s->cert.len > 0 && !cert_ok(&s->cert))
		return cfg_invalid(why, size, "%s: its certificate is not X.509 in DER", s->name);
	return 0;
}

int cp_cluster_check(const struct cp_cluster *c, char *why, size_t size)
{
	if (!cp_text_ok(c->realm) || !cp_text_ok(c->time_zone) || !cp_load_ok(c->load) || !cp_locale_ok(c->user_locale) ||
	    !cp_locale_ok(c->network_locale))
		return cfg_invalid(why, size, "realm, time zone, load or locale is not printable, or no file name");
	for (unsigned i = 0; i < sizeof(c->date_template) && c->date_template[i] != '\0'; i++)
		if (c->date_template[i] < 0x20 || c->date_template[i] > 0x7e)
			return cfg_invalid(why, size, "date template is not printable");
	if (c->srst[0] != '\0' && !cp_conf_name_ok(c->srst))
		return cfg_invalid(why, size, "no SRST reference can be named %s", cfg_q(c->srst));
	for (unsigned i = 0; i < CP_URL_CNT; i++)
		for (const char *p = c->url[i]; *p != '\0'; p++)
			if (*p <= 0x20 || *p > 0x7e)
				return cfg_invalid(why, size, "URL %s has characters that no URL has", cfg_q(c->url[i]));
	if (c->resumption_s > 604800 || c->monitor_s > 86400)
		return cfg_invalid(why, size, "TLS resumption is 604800 s at most, the connection monitor 86400 s");
	return harden_check(&c->harden, why, size);
}

static int phone_cert_check(const struct cp_phone_cert *c, char *why, size_t size)
{
	if (!cp_device_name_ok(c->device) || !cert_ok(&c->cert))
		return cfg_invalid(why, size, "no device, or no certificate");
	return 0;
}

RECORD(cp_profile, CP_KIND_PROFILE, profile_fields, cp_profile_check)
RECORD(cp_srst, CP_KIND_SRST, srst_fields, cp_srst_check)
RECORD(cp_cluster, CP_KIND_CLUSTER, cluster_fields, cp_cluster_check)

/* As RECORD(), but that who writes one has the certificate itself: OpenSSL takes 200 us to read it again, for each LSC that is issued. */
int cp_phone_cert_build(const struct cp_phone_cert *rec, struct cp_buf *ret)
{
	if (!cp_device_name_ok(rec->device) || rec->cert.len < 4 || rec->cert.len > 16384 || rec->cert.data[0] != 0x30)
		return -EINVAL;
	return cp_fields_build(CP_KIND_PHONE_CERT, phone_cert_fields, rec, &rec->unknown, ret);
}

int cp_phone_cert_parse(const uint8_t *data, size_t len, struct cp_phone_cert *ret)
{
	char why[200];
	int rc = cp_fields_parse(CP_KIND_PHONE_CERT, phone_cert_fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && phone_cert_check(ret, why, sizeof(why)) < 0) {
		cp_phone_cert_free(ret);
		rc = -EBADMSG;
	}
	return rc;
}

void cp_phone_cert_free(struct cp_phone_cert *rec)
{
	if (rec != NULL)
		cp_fields_free(phone_cert_fields, rec, sizeof(*rec), &rec->unknown);
}

/* --- the view --- */

static int named(const struct cp_store *s, const char *folder, const char *name, const uint8_t **ret, size_t *ret_len)
{
	char key[CP_NAME_MAX + 16];
	int n = snprintf(key, sizeof(key), "%s%s", folder, name);

	if (!cp_conf_name_ok(name) || n >= (int)sizeof(key))
		return -ENOENT;
	return cp_store_get(s, CP_CF_PROFILE, key, (size_t)n, ret, ret_len);
}

int cp_store_profile(const struct cp_store *s, const char *name, struct cp_profile *ret)
{
	const uint8_t *val;
	size_t len;
	int rc = named(s, "profile/", name, &val, &len);

	return rc < 0 ? rc : cp_profile_parse(val, len, ret);
}

int cp_store_srst(const struct cp_store *s, const char *name, struct cp_srst *ret)
{
	const uint8_t *val;
	size_t len;
	int rc = named(s, "srst/", name, &val, &len);

	return rc < 0 ? rc : cp_srst_parse(val, len, ret);
}

void cp_store_cluster(const struct cp_store *s, struct cp_cluster *ret)
{
	const uint8_t *val;
	size_t len;

	if (cp_store_get(s, CP_CF_PROFILE, "cluster", 7, &val, &len) < 0 || cp_cluster_parse(val, len, ret) < 0)
		memset(ret, 0, sizeof(*ret));
}

int cp_store_phone_cert(const struct cp_store *s, const char *device, struct cp_phone_cert *ret)
{
	const uint8_t *val;
	size_t len;
	int rc = cp_store_get(s, CP_CF_CAPF, device, strlen(device), &val, &len);

	return rc < 0 ? rc : cp_phone_cert_parse(val, len, ret);
}

/* --- names --- */

static const char *const protocols[] = {"any", "sccp", "sip"};
static const char *const transports[] = {"default", "tcp", "udp", "tls"};
static const char *const capf_auths[] = {"none", "string", "null", "lsc", "mic"};

static int parse_of(const char *const *names, unsigned n, const char *name, uint8_t *ret)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (uint8_t)i;
			return 0;
		}
	return -EINVAL;
}

const char *cp_protocol_name(unsigned v)
{
	return v < 3 ? protocols[v] : "unknown";
}

int cp_protocol_parse(const char *name, uint8_t *ret)
{
	return parse_of(protocols, 3, name, ret);
}

const char *cp_transport_name(unsigned v)
{
	return v < 4 ? transports[v] : "unknown";
}

int cp_transport_parse(const char *name, uint8_t *ret)
{
	return parse_of(transports, 4, name, ret);
}

const char *cp_capf_auth_name(unsigned v)
{
	return v < 5 ? capf_auths[v] : "unknown";
}

int cp_capf_auth_parse(const char *name, uint8_t *ret)
{
	return parse_of(capf_auths, 5, name, ret);
}

const char *cp_bridge_name(unsigned bridge)
{
	return cp_set_name(bridge <= CP_SET_OFF ? (enum cp_set)bridge : CP_SET_DEFAULT);
}

int cp_bridge_parse(const char *name, uint8_t *ret)
{
	for (unsigned i = CP_SET_DEFAULT; i <= CP_SET_OFF; i++) {
		if (strcmp(name, cp_set_name((enum cp_set)i)) == 0) {
			*ret = (uint8_t)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool cp_bridge_on(uint8_t device, const struct cp_cluster *cluster)
{
	return device == CP_SET_DEFAULT ? cluster->bridge != CP_SET_OFF : device == CP_SET_ON;
}
