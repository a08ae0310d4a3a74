/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The XML of a phone's configuration, written by libxml2 (which escapes every text). Elements and their order: wire formats
 * section 7. What no public sample shows, and is ours: srstInfo/certificate, base64 of the DER.
 */
#include "devcfg.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgn.h"

#define XML_ROOM 65536 /* bytes asked for at once: growing would leave copies of secrets behind */

struct out {
	xmlTextWriterPtr w;
	bool failed; /* sticky */
};

static void open_el(struct out *o, const char *name)
{
	if (xmlTextWriterStartElement(o->w, (const xmlChar *)name) < 0)
		o->failed = true;
}

static void close_el(struct out *o)
{
	if (xmlTextWriterEndElement(o->w) < 0)
		o->failed = true;
}

static void text(struct out *o, const char *name, const char *value)
{
	if (xmlTextWriterWriteElement(o->w, (const xmlChar *)name, (const xmlChar *)value) < 0)
		o->failed = true;
}

static void number(struct out *o, const char *name, unsigned value)
{
	char buf[16];

	snprintf(buf, sizeof(buf), "%u", value);
	text(o, name, buf);
}

static void boolean(struct out *o, const char *name, bool value)
{
	text(o, name, value ? "true" : "false");
}

static void attr(struct out *o, const char *name, const char *value)
{
	if (xmlTextWriterWriteAttribute(o->w, (const xmlChar *)name, (const xmlChar *)value) < 0)
		o->failed = true;
}

static void priority(struct out *o, unsigned i)
{
	char buf[16];

	snprintf(buf, sizeof(buf), "%u", i);
	open_el(o, "member");
	attr(o, "priority", buf);
}

static void call_managers(struct out *o, const struct cp_devcfg *c)
{
	open_el(o, "callManagerGroup");
	open_el(o, "members");
	for (unsigned i = 0; i < c->server_cnt; i++) {
		priority(o, i);
		open_el(o, "callManager");
		text(o, "name", c->server[i]);
		text(o, "processNodeName", c->server[i]);
		open_el(o, "ports");
		number(o, "ethernetPhonePort", c->sccp_port);
		number(o, "sipPort", 5060);
		number(o, "securedSipPort", 5061);
		open_el(o, "mgcpPorts");
		number(o, "listen", 2427);
		number(o, "keepAlive", 2428);
		close_el(o);
		close_el(o);
		close_el(o);
		close_el(o);
	}
	close_el(o);
	close_el(o);
}

static void host(struct out *o, const char *name, const struct cfg_addr *a)
{
	struct cfg_addr bare = *a;
	char buf[80];

	bare.port = 0;
	bare.plen = bare.family == 4 ? 32 : 128;
	text(o, name, a->family == 0 ? "" : cfg_addr_print(&bare, buf, sizeof(buf)));
}

/* 004a:TFTP-11, 004b:SRST-03 */
static void srst(struct out *o, const struct cp_devcfg *c)
{
	const struct cp_srst *s = &c->srst;
	bool on = s->name[0] != '\0';
	char name[32];

	open_el(o, "srstInfo");
	text(o, "name", on ? s->name : "Disable");
	text(o, "srstOption", on ? "Enable" : "Disable");
	boolean(o, "userModifiable", on && s->user_modifiable);
	for (unsigned i = 0; i < s->addr_cnt && on; i++) {
		snprintf(name, sizeof(name), "ipAddr%u", i + 1);
		host(o, name, &s->addrs[i].sccp);
		snprintf(name, sizeof(name), "port%u", i + 1);
		number(o, name, s->addrs[i].sccp.port != 0 ? s->addrs[i].sccp.port : 2000);
	}
	for (unsigned i = 0; i < s->addr_cnt && on; i++) {
		snprintf(name, sizeof(name), "sipIpAddr%u", i + 1);
		host(o, name, &s->addrs[i].sip);
		snprintf(name, sizeof(name), "sipPort%u", i + 1);
		number(o, name, s->addrs[i].sip.port != 0 ? s->addrs[i].sip.port : c->srst_secure ? 5061 : 5060);
	}
	boolean(o, "isSecure", c->srst_secure);
	if (c->srst_secure) {
		open_el(o, "certificate");
		if (s->cert.len > INT32_MAX ||
		    xmlTextWriterWriteBase64(o->w, (const char *)s->cert.data, 0, (int)s->cert.len) < 0)
			o->failed = true;
		close_el(o);
	}
	close_el(o);
}

static void device_pool(struct out *o, const struct cp_devcfg *c)
{
	const struct cp_cluster *cl = &c->cluster;

	open_el(o, "devicePool");
	open_el(o, "dateTimeSetting");
	text(o, "dateTemplate", cl->date_template[0] != '\0' ? cl->date_template : "D.M.Y");
	text(o, "timeZone", cl->time_zone[0] != '\0' ? cl->time_zone : "Greenwich Standard Time");
	close_el(o);
	call_managers(o, c);
	srst(o, c);
	number(o, "connectionMonitorDuration", cl->monitor_s != 0 ? cl->monitor_s : 120);
	close_el(o);
}

static void tvs(struct out *o, const struct cp_devcfg *c)
{
	open_el(o, "TVS");
	open_el(o, "members");
	for (unsigned i = 0; i < c->server_cnt; i++) {
		priority(o, i);
		number(o, "port", 2445);
		text(o, "address", c->server[i]);
		close_el(o);
	}
	close_el(o);
	close_el(o);
}

static void sip_profile(struct out *o, const struct cp_devcfg *c, const char *secret)
{
	bool tls = c->transport == 3;

	open_el(o, "sipProfile");
	open_el(o, "sipProxies");
	text(o, "registerWithProxy", "true");
	close_el(o);
	text(o, "phoneLabel", c->description);
	number(o, "voipControlPort", c->port != 0 ? c->port : tls ? 5061 : 5060);
	open_el(o, "sipLines");
	for (unsigned i = 0; i < c->line_cnt; i++) {
		const struct cp_line *l = &c->lines[i];
		char button[16];

		snprintf(button, sizeof(button), "%u", i + 1);
		open_el(o, "line");
		attr(o, "button", button);
		number(o, "featureID", 9);
		text(o, "featureLabel", l->label[0] != '\0' ? l->label : l->number);
		text(o, "proxy", "USECALLMANAGER");
		number(o, "port", tls ? 5061 : 5060);
		text(o, "name", l->number);
		text(o, "displayName", l->label[0] != '\0' ? l->label : l->number);
		text(o, "contact", l->number);
		if (secret != NULL) {
			text(o, "authName", c->digest_user);
			text(o, "authPassword", secret);
		}
		close_el(o);
	}
	close_el(o);
	close_el(o);
}

static void vendor_config(struct out *o, const struct cp_devcfg *c)
{
	open_el(o, "vendorConfig");
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++)
		text(o, cp_harden_rows[i].name, cp_harden_rows[i].value[c->harden.v[i]]);
	if (c->ciphers_off[0] != '\0')
		text(o, "disableTLSCiphers", c->ciphers_off);
	close_el(o);
}

static void locale(struct out *o, const struct cp_devcfg *c)
{
	if (c->user_locale[0] != '\0') {
		open_el(o, "userLocale");
		text(o, "name", c->user_locale);
		close_el(o);
	}
	if (c->network_locale[0] != '\0') {
		text(o, "networkLocale", c->network_locale);
		open_el(o, "networkLocaleInfo");
		text(o, "name", c->network_locale);
		close_el(o);
	}
}

/* An https address goes into the "secure" form too, and switches phoneServices over. */
static void urls(struct out *o, const struct cp_devcfg *c)
{
	static const char *const names[CP_URL_CNT][2] = {
		[CP_URL_AUTH] = {"authenticationURL", "secureAuthenticationURL"},
		[CP_URL_DIRECTORY] = {"directoryURL", "secureDirectoryURL"},
		[CP_URL_SERVICES] = {"servicesURL", "secureServicesURL"},
		[CP_URL_MESSAGES] = {"messagesURL", "secureMessagesURL"},
		[CP_URL_IDLE] = {"idleURL", "secureIdleURL"},
		[CP_URL_INFORMATION] = {"informationURL", "secureInformationURL"},
	};
	bool https = false;

	for (unsigned i = 0; i < CP_URL_CNT; i++) {
		const char *url = c->cluster.url[i];
		bool secure = strncmp(url, "https://", 8) == 0;

		text(o, names[i][0], url);
		if (secure)
			text(o, names[i][1], url);
		https |= secure;
	}
	open_el(o, "phoneServices");
	attr(o, "useHTTPS", https ? "true" : "false");
	close_el(o);
}

static void capf(struct out *o, const struct cp_devcfg *c)
{
	number(o, "capfAuthMode", c->capf_auth);
	open_el(o, "capfList");
	for (unsigned i = 0; i < c->server_cnt; i++) {
		open_el(o, "capf");
		number(o, "phonePort", c->capf_port != 0 ? c->capf_port : 3804);
		text(o, "processNodeName", c->server[i]);
		close_el(o);
	}
	close_el(o);
}

static void encryption(struct out *o, const struct cp_devcfg *c)
{
	char hash[33] = "";

	if (c->encrypted && c->cert != NULL && c->cert_wraps && pki_cert_hash(c->cert, hash) < 0)
		o->failed = true;
	text(o, "certHash", hash);
	boolean(o, "encrConfig", c->encrypted);
}

static void full(struct out *o, const struct cp_devcfg *c, const char *secret, const char *stamp)
{
	open_el(o, "device");
	boolean(o, "fullConfig", true);
	text(o, "deviceProtocol", c->protocol == CP_PROTOCOL_SIP ? "SIP" : "SCCP");
	number(o, "ipAddressMode", c->ip_mode);
	device_pool(o, c);
	tvs(o, c);
	if (c->protocol == CP_PROTOCOL_SIP)
		sip_profile(o, c, secret);
	vendor_config(o, c);
	text(o, "versionStamp", stamp);
	text(o, "loadInformation", c->load);
	locale(o, c);
	number(o, "deviceSecurityMode", (unsigned)c->mode);
	urls(o, c);
	number(o, "transportLayerProtocol", c->transport);
	number(o, "TLSResumptionTimer", c->cluster.resumption_s != 0 ? c->cluster.resumption_s : 3600);
	capf(o, c);
	encryption(o, c);
	close_el(o);
}

static void brief(struct out *o, const struct cp_devcfg *c)
{
	open_el(o, "device");
	boolean(o, "fullConfig", false);
	number(o, "ipAddressMode", c->ip_mode);
	text(o, "loadInformation", c->load);
	capf(o, c);
	encryption(o, c);
	close_el(o);
}

static void unknown_phones(struct out *o, const struct cp_devcfg *c, const char *stamp)
{
	open_el(o, "Default");
	call_managers(o, c);
	tvs(o, c);
	text(o, "versionStamp", stamp);
	text(o, "loadInformation", c->load);
	urls(o, c);
	capf(o, c);
	close_el(o);
}

static int write_once(const struct cp_devcfg *c, enum cp_devcfg_form form, const char *secret, const char *stamp,
		      struct cp_buf *ret)
{
	xmlBufferPtr buf = xmlBufferCreateSize(XML_ROOM);
	struct out o = {NULL, false};
	int rc = -ENOMEM;

	if (buf != NULL)
		o.w = xmlNewTextWriterMemory(buf, 0);
	if (o.w == NULL)
		goto out;
	xmlTextWriterSetIndent(o.w, 1);
	if (xmlTextWriterStartDocument(o.w, "1.0", "UTF-8", NULL) < 0)
		goto out;
	if (form == CP_DEVCFG_FULL)
		full(&o, c, secret, stamp);
	else if (form == CP_DEVCFG_SHORT)
		brief(&o, c);
	else
		unknown_phones(&o, c, stamp);
	if (xmlTextWriterEndDocument(o.w) < 0 || xmlTextWriterFlush(o.w) < 0 || o.failed)
		goto out;
	ret->len = (size_t)xmlBufferLength(buf);
	ret->data = malloc(ret->len + 1);
	if (ret->data != NULL) {
		memcpy(ret->data, xmlBufferContent(buf), ret->len);
		rc = 0;
	}
out:
	xmlFreeTextWriter(o.w);
	if (buf != NULL && secret != NULL)
		OPENSSL_cleanse((void *)(uintptr_t)xmlBufferContent(buf), (size_t)xmlBufferLength(buf));
	xmlBufferFree(buf);
	return rc;
}

int cp_devcfg_build(const struct cp_devcfg *c, enum cp_devcfg_form form, const char *secret, struct cp_buf *ret)
{
	static const char hex[] = "0123456789abcdef", open[] = "<versionStamp>", none[] = "00000000000000000000000000000000";
	uint8_t hash[32], *at;
	int rc = write_once(c, form, secret, none, ret);

	if (rc < 0 || form == CP_DEVCFG_SHORT)
		return rc;
	/* The hash of all the rest goes where zeros stand: digits of the same length, and no text can hold a '<'. */
	SHA256(ret->data, ret->len, hash);
	at = memmem(ret->data, ret->len, open, sizeof(open) - 1);
	for (unsigned i = 0; at != NULL && i < 16; i++) {
		at[sizeof(open) - 1 + 2 * i] = (uint8_t)hex[hash[i] >> 4];
		at[sizeof(open) + 2 * i] = (uint8_t)hex[hash[i] & 15];
	}
	return at != NULL ? 0 : -EINVAL;
}
