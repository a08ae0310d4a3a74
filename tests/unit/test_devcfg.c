/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's configuration: what holds and who says so, and the XML that says it. Read back by libxml2; every text with
 * what XML would stumble over; wire formats section 7, the catalogues' rows as cited.
 * Rows: 001:P1-041, P1-147, R-05; 004a:SRST-02, SRST-03, SVC-04; 004b:R-05, SEC-03, SRST-05, SRST-07; 004c:SR-03, SR-04.
 */
#include <event2/event.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "provision/devcfg.h"
#include "sgn.h"
#include "store/change.h"
#include "store_tmp.h"
#include "suite.h"

static struct event_base *base;
static struct cp_store *store;
static struct cfg *cfg;
static X509 *cert;

#define PHONE "SEP0A1B2C3D4E51"

static void up(void)
{
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	tmp_make();
	base = event_base_new();
	o.base = base;
	CU_ASSERT_FATAL(cp_store_open(&o, &store, err, sizeof(err)) == 0);
	CU_ASSERT_FATAL(cfg_load_data((const uint8_t *)"provision: {call_managers: [cm1.example, 192.0.2.2]}", 52, &cfg, err,
				      sizeof(err)) == 0);
}

static void down(void)
{
	cp_store_close(store);
	cfg_free(cfg);
	event_base_free(base);
	tmp_remove();
}

static volatile int wrote;

static void written(void *ctx, int rc)
{
	(void)ctx;
	CU_ASSERT(rc == 0);
	wrote = 1;
}

static void commit(struct cp_change *c)
{
	wrote = 0;
	CU_ASSERT_FATAL(cp_change_submit(c, "test", "test", NULL, written, NULL) == 0);
	wait_for(base, &wrote);
}

static char why[400];

static void put(const struct cp_cluster *cl, const struct cp_srst *s, const struct cp_profile *p, const struct cp_device *d)
{
	struct cp_change *c = cp_change_create(store);
	int rc = s != NULL ? cp_change_srst_put(c, s, true, why, sizeof(why)) : 0;

	if (rc == 0 && cl != NULL)
		rc = cp_change_cluster_put(c, cl, why, sizeof(why));
	if (rc == 0 && p != NULL)
		rc = cp_change_profile_put(c, p, true, why, sizeof(why));
	if (rc == 0 && d != NULL)
		rc = cp_change_device_put(c, d, true, why, sizeof(why));
	CU_ASSERT_EQUAL(rc, 0);
	if (rc != 0)
		fprintf(stderr, "%s\n", why);
	commit(c);
}

static struct cp_device device(void)
{
	struct cp_device d = {.name = PHONE, .mode = CP_DEVICE_ENCRYPTED, .model = "8851", .region = "default"};

	return d;
}

/* --- reading it back --- */

static xmlDocPtr doc;
static xmlXPathContextPtr xp;

static void parse(const struct cp_buf *b)
{
	doc = xmlReadMemory((const char *)b->data, (int)b->len, "x.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
	CU_ASSERT_FATAL(doc != NULL);
	xp = xmlXPathNewContext(doc);
}

static void forget(void)
{
	xmlXPathFreeContext(xp);
	xmlFreeDoc(doc);
}

static const char *at(const char *path)
{
	static char text[4][4096];
	static unsigned n;
	char *out = text[n++ % 4];
	xmlXPathObjectPtr o = xmlXPathEvalExpression((const xmlChar *)path, xp);
	xmlChar *s = NULL;

	out[0] = '\0';
	if (o != NULL && o->type == XPATH_NODESET && (o->nodesetval == NULL || o->nodesetval->nodeNr == 0))
		strcpy(out, "(none)");
	else if (o != NULL && (s = xmlXPathCastToString(o)) != NULL)
		snprintf(out, 4096, "%s", (const char *)s);
	xmlFree(s);
	xmlXPathFreeObject(o);
	return out;
}

#define IS(path, text) CU_ASSERT_STRING_EQUAL(at(path), text)

static void build(bool mixed, enum cp_devcfg_form form, const char *secret, struct cp_devcfg *c)
{
	struct cp_buf b;

	CU_ASSERT_FATAL(cp_devcfg_gather(store, cfg, mixed, PHONE, c) == 0);
	CU_ASSERT_FATAL(cp_devcfg_build(c, form, secret, &b) == 0);
	parse(&b);
	free(b.data);
}

/* --- tests --- */

/* 004b:SEC-07, 004a:TFTP-12: nonsecure in a non-secure cluster, whatever is set. */
static void test_mode(void)
{
	static const enum cp_device_mode modes[] = {CP_DEVICE_NONSECURE, CP_DEVICE_AUTHENTICATED, CP_DEVICE_ENCRYPTED};
	static const char *const said[] = {"1", "2", "3"};
	struct cp_devcfg c;

	up();
	for (unsigned i = 0; i < 3; i++) {
		struct cp_device d = device();

		d.mode = modes[i];
		put(NULL, NULL, NULL, &d);
		build(true, CP_DEVCFG_FULL, NULL, &c);
		IS("/device/deviceSecurityMode", said[i]);
		CU_ASSERT_EQUAL(c.from.mode, CP_FROM_DEVICE);
		forget();
		cp_devcfg_free(&c);
		build(false, CP_DEVCFG_FULL, NULL, &c);
		IS("/device/deviceSecurityMode", "1");
		CU_ASSERT_EQUAL(c.mode_set, modes[i]); /* ignored, not forgotten: 004b:R-04 */
		CU_ASSERT_EQUAL(c.from.mode, i == 0 ? CP_FROM_DEVICE : CP_FROM_MODE);
		forget();
		cp_devcfg_free(&c);
	}
	down();
}

/* The order of children as in wire formats section 7. */
static void test_order(void)
{
	static const char *const order[] = {"fullConfig", "deviceProtocol", "ipAddressMode", "devicePool", "TVS", "vendorConfig",
					    "versionStamp", "loadInformation", "deviceSecurityMode", "authenticationURL",
					    "directoryURL", "servicesURL", "messagesURL", "idleURL", "informationURL",
					    "phoneServices", "transportLayerProtocol", "TLSResumptionTimer", "capfAuthMode",
					    "capfList", "certHash", "encrConfig"};
	struct cp_device d = device();
	struct cp_devcfg c;
	xmlNodePtr n;
	unsigned i = 0;

	up();
	put(NULL, NULL, NULL, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	for (n = xmlDocGetRootElement(doc)->children; n != NULL; n = n->next)
		if (n->type == XML_ELEMENT_NODE) {
			CU_ASSERT_FATAL(i < sizeof(order) / sizeof(order[0]));
			CU_ASSERT_STRING_EQUAL((const char *)n->name, order[i]);
			i++;
		}
	CU_ASSERT_EQUAL(i, sizeof(order) / sizeof(order[0]));
	IS("/device/fullConfig", "true");
	IS("/device/deviceProtocol", "SCCP");
	IS("count(//callManagerGroup/members/member)", "2");
	IS("//callManagerGroup/members/member[@priority='0']//processNodeName", "cm1.example");
	IS("//callManagerGroup/members/member[@priority='1']//processNodeName", "192.0.2.2");
	IS("//callManager/ports/ethernetPhonePort", "2000");
	IS("//callManager/ports/securedSipPort", "5061");
	IS("/device/TVS/members/member[@priority='1']/address", "192.0.2.2");
	IS("/device/TVS/members/member/port", "2445");
	IS("count(/device/capfList/capf)", "2");
	IS("/device/capfList/capf[1]/phonePort", "3804");
	IS("/device/certHash", "");
	IS("/device/encrConfig", "false");
	IS("/device/transportLayerProtocol", "4");
	forget();
	cp_devcfg_free(&c);
	down();
}

/* 000:P0-46; 004b:HARD-01 to HARD-06: each setting by device, else profile, else cluster, else the default. */
static void test_harden(void)
{
	struct cp_device d = device();
	struct cp_profile p = {.name = "lobby", .mode = CP_DEVICE_ENCRYPTED};
	struct cp_cluster cl = {0};
	struct cp_devcfg c;
	char path[80];

	up();
	put(NULL, NULL, NULL, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++) {
		snprintf(path, sizeof(path), "/device/vendorConfig/%s", cp_harden_rows[i].name);
		IS(path, cp_harden_rows[i].value[cp_harden_rows[i].otherwise]);
		CU_ASSERT_EQUAL(c.from.harden[i], CP_FROM_DEFAULT);
	}
	IS("//pcPort", "0");
	IS("//settingsAccess", "1");
	IS("//garp", "0");
	IS("//voiceVlanAccess", "0");
	IS("//webAccess", "0");
	IS("//spanToPCPort", "1");
	forget();
	cp_devcfg_free(&c);
	CU_ASSERT(cp_harden_parse(&cl.harden, "garp", "off", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&cl.harden, "pcPort", "off", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&cl.harden, "webAccess", "off", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&p.harden, "pcPort", "on", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&p.harden, "settingsAccess", "restricted", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&d.harden, "webAccess", "on", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&d.harden, "settingsAccess", "off", why, sizeof(why)) == 0);
	CU_ASSERT(cp_harden_parse(&d.harden, "garp", "restricted", why, sizeof(why)) < 0 && strstr(why, "garp") != NULL);
	CU_ASSERT(cp_harden_parse(&d.harden, "nothing", "on", why, sizeof(why)) < 0);
	strcpy(d.profile, "lobby");
	strcpy(p.ciphers_off, "1,2");
	put(&cl, NULL, &p, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	IS("//garp", "1");
	CU_ASSERT_EQUAL(c.from.harden[CP_HARDEN_GARP], CP_FROM_CLUSTER);
	IS("//pcPort", "0");
	CU_ASSERT_EQUAL(c.from.harden[CP_HARDEN_PC_PORT], CP_FROM_PROFILE);
	IS("//settingsAccess", "0");
	IS("//webAccess", "0");
	CU_ASSERT_EQUAL(c.from.harden[CP_HARDEN_WEB], CP_FROM_DEVICE);
	IS("//disableTLSCiphers", "1,2");
	forget();
	cp_devcfg_free(&c);
	down();
}

/* 004a:TFTP-11; 004b:SRST-06, R-37: each of the four conditions missing makes it clear. 004b:SRST-03: the certificate in the file. */
static void test_srst(void)
{
	struct cp_srst_addr addrs[2] = {0};
	struct cp_srst s = {.name = "branch", .addr_cnt = 2, .addrs = addrs, .secure = true, .user_modifiable = true};
	struct cp_device d = device();
	struct cp_devcfg c;
	uint8_t *der = NULL;
	char b64[4096];

	up();
	cfg_addr_parse("192.0.2.9", &addrs[0].sccp);
	cfg_addr_parse("192.0.2.9:5065", &addrs[0].sip);
	cfg_addr_parse("192.0.2.10:2001", &addrs[1].sccp);
	s.cert.len = (size_t)i2d_X509(cert, &der);
	s.cert.data = der;
	EVP_EncodeBlock((uint8_t *)b64, der, (int)s.cert.len);
	strcpy(d.srst, "branch");
	put(NULL, &s, NULL, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	IS("//srstInfo/name", "branch");
	IS("//srstInfo/srstOption", "Enable");
	IS("//srstInfo/userModifiable", "true");
	IS("//srstInfo/ipAddr1", "192.0.2.9");
	IS("//srstInfo/port1", "2000");
	IS("//srstInfo/port2", "2001");
	IS("//srstInfo/sipIpAddr1", "192.0.2.9");
	IS("//srstInfo/sipPort1", "5065");
	IS("//srstInfo/isSecure", "true");
	{
		char got[4096];
		size_t n = 0;

		for (const char *p = at("//srstInfo/certificate"); *p != '\0'; p++)
			if (*p != '\n' && *p != '\r' && *p != ' ')
				got[n++] = *p;
		got[n] = '\0';
		CU_ASSERT_STRING_EQUAL(got, b64);
	}
	forget();
	cp_devcfg_free(&c);
	build(false, CP_DEVCFG_FULL, NULL, &c); /* not mixed */
	IS("//srstInfo/isSecure", "false");
	IS("//srstInfo/certificate", "(none)");
	forget();
	cp_devcfg_free(&c);
	d.mode = CP_DEVICE_NONSECURE;
	put(NULL, NULL, NULL, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	IS("//srstInfo/isSecure", "false");
	forget();
	cp_devcfg_free(&c);
	d.mode = CP_DEVICE_AUTHENTICATED;
	s.secure = false;
	put(NULL, &s, NULL, &d);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	IS("//srstInfo/isSecure", "false");
	forget();
	cp_devcfg_free(&c);
	s.secure = true;
	s.cert = (struct cp_buf){0};
	put(NULL, &s, NULL, NULL);
	build(true, CP_DEVCFG_FULL, NULL, &c);
	IS("//srstInfo/isSecure", "false");
	forget();
	cp_devcfg_free(&c);
	OPENSSL_free(der);
	down();
}

/* What XML would stumble over comes back as it was. */
static void test_escape(void)
{
	static const char nasty[] = "<a href='x'>&amp;]]>\"</a>\xc3\xa9";
	struct cp_line line = {.number = "1001"};
	struct cp_device d = device();
	struct cp_cluster cl = {0};
	struct cp_devcfg c;

	up();
	strcpy(d.description, nasty);
	strcpy(line.label, nasty);
	strcpy(cl.url[CP_URL_DIRECTORY], "https://cm1.example:8443/dir?a=1&b=<2>");
	strcpy(cl.time_zone, nasty);
	d.lines = &line;
	d.line_cnt = 1;
	d.protocol = CP_PROTOCOL_SIP;
	strcpy(d.digest_user, nasty);
	put(&cl, NULL, NULL, &d);
	build(true, CP_DEVCFG_FULL, nasty, &c);
	IS("//phoneLabel", nasty);
	IS("//line[@button='1']/displayName", nasty);
	IS("//line/authName", nasty);
	IS("//line/authPassword", nasty);
	IS("//timeZone", nasty);
	IS("/device/directoryURL", "https://cm1.example:8443/dir?a=1&b=<2>");
	IS("/device/secureDirectoryURL", "https://cm1.example:8443/dir?a=1&b=<2>");
	IS("/device/phoneServices/@useHTTPS", "true");
	IS("/device/transportLayerProtocol", "3");
	forget();
	cp_devcfg_free(&c);
	down();
}

static void stamp(bool mixed, char ret[64])
{
	struct cp_devcfg c;

	build(mixed, CP_DEVCFG_FULL, NULL, &c);
	snprintf(ret, 64, "%s", at("/device/versionStamp"));
	forget();
	cp_devcfg_free(&c);
}

/* It changes if and only if the content does. */
static void test_stamp(void)
{
	struct cp_device d = device();
	char a[64], b[64], x[64], y[64];

	up();
	put(NULL, NULL, NULL, &d);
	stamp(true, a);
	CU_ASSERT_EQUAL(strlen(a), 32);
	put(NULL, NULL, NULL, &d); /* written anew: another time, the same content */
	stamp(true, b);
	CU_ASSERT_STRING_EQUAL(a, b);
	strcpy(d.load, "sip88xx.14-1-1");
	put(NULL, NULL, NULL, &d);
	stamp(true, x);
	CU_ASSERT_STRING_NOT_EQUAL(a, x);
	stamp(false, y);
	CU_ASSERT_STRING_NOT_EQUAL(x, y);
	d.load[0] = '\0';
	put(NULL, NULL, NULL, &d);
	stamp(true, b);
	CU_ASSERT_STRING_EQUAL(a, b);
	down();
}

/* wire formats section 3 */
static void test_short(void)
{
	struct cp_profile p = {.name = "enc", .mode = CP_DEVICE_ENCRYPTED, .encrypted_config = true, .capf_auth = CP_CAPF_LSC};
	struct cp_phone_cert pc = {.device = PHONE};
	struct cp_device d = device();
	struct cp_batch *b;
	struct cp_buf val;
	struct cp_devcfg c;
	uint8_t *der = NULL;
	char hash[33];

	up();
	strcpy(d.profile, "enc");
	strcpy(d.load, "sip88xx");
	put(NULL, NULL, &p, &d);
	pc.cert.len = (size_t)i2d_X509(cert, &der);
	pc.cert.data = der;
	CU_ASSERT_FATAL(cp_phone_cert_build(&pc, &val) == 0);
	b = cp_batch_create();
	cp_batch_put(b, CP_CF_CAPF, PHONE, strlen(PHONE), val.data, val.len);
	free(val.data);
	CU_ASSERT(cp_store_commit(store, b) == 0);
	build(true, CP_DEVCFG_SHORT, NULL, &c);
	pki_cert_hash(cert, hash);
	IS("count(/device/*)", "7");
	IS("/device/fullConfig", "false");
	IS("/device/ipAddressMode", "0");
	IS("/device/loadInformation", "sip88xx");
	IS("/device/capfAuthMode", "3");
	IS("/device/capfList/capf[1]/processNodeName", "cm1.example");
	IS("/device/certHash", hash);
	IS("/device/encrConfig", "true");
	forget();
	cp_devcfg_free(&c);
	OPENSSL_free(der);
	down();
}

/* What the configuration says of servers is what a phone's file says: ports, and the address family to speak. */
static void test_reach(void)
{
	static const struct {
		const char *text, *mode, *port;
	} cases[] = {
		{"provision: {call_managers: [cm1.example, 192.0.2.2]}", "0", "2000"},
		{"provision: {call_managers: ['2001:db8::2', '2001:db8::3']}", "1", "2000"},
		{"{provision: {call_managers: ['2001:db8::2', 192.0.2.2]}, sccp: {port: 2010}}", "2", "2010"},
		{"{provision: {call_managers: ['2001:db8::2', cm1.example]}, sccp: {port: 0}}", "2", "2000"},
		{"sccp: {listen: '2001:db8::2', port: 2001}", "1", "2001"},
	};
	struct cp_device d = device();
	struct cp_devcfg c;
	char err[200];

	up();
	put(NULL, NULL, NULL, &d);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cfg_free(cfg);
		cfg = NULL;
		CU_ASSERT_FATAL(cfg_load_data((const uint8_t *)cases[i].text, strlen(cases[i].text), &cfg, err, sizeof(err)) == 0);
		build(true, CP_DEVCFG_FULL, NULL, &c);
		IS("/device/ipAddressMode", cases[i].mode);
		IS("//member[@priority='0']//ethernetPhonePort", cases[i].port);
		forget();
		cp_devcfg_free(&c);
		build(true, CP_DEVCFG_SHORT, NULL, &c);
		IS("/device/ipAddressMode", cases[i].mode); /* copied: wire formats section 3 */
		forget();
		cp_devcfg_free(&c);
	}
	down();
}

static int setup(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);

	xmlInitParser();
	cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"gw", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	EVP_PKEY_free(key);
	return 0;
}

static int teardown(void)
{
	X509_free(cert);
	xmlCleanupParser();
	return 0;
}

static CU_TestInfo tests[] = {
	{"the mode is nonsecure in a non-secure cluster", test_mode},
	{"elements and their order", test_order},
	{"hardening: device, profile, cluster, default", test_harden},
	{"SRST is secure when all four conditions hold", test_srst},
	{"texts come back as they were", test_escape},
	{"the version stamp follows the content", test_stamp},
	{"the short configuration", test_short},
	{"servers: ports and address families", test_reach},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("devcfg", tests, setup, teardown)
