/* SPDX-License-Identifier: BSD-3-Clause */
#include "srst.h"
#include "sccp/resets.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "log.h"
#include "net/peercert.h"
#include "offload.h"
#include "phonejson.h"
#include "store/change.h"
#include "trust/upload.h"
#include "x509.h"

#define SEEN_MAX     64
#define SEEN_S       3600 /* how long somebody may take to compare a fingerprint */
#define FETCHES_MAX  4    /* at once: others need threads too */
#define TIMEOUT_S    10
#define TIMEOUT_MAX  60

/* Fetched and shown, and not yet accepted. */
struct seen {
	char name[CP_NAME_MAX]; /* "": free */
	int64_t changed_us;     /* of the reference it was fetched for: another one is another */
	int64_t at_s;
	X509 *cert;
	char sha256[65];
};

struct cp_srsts {
	struct cmds *cmds;
	struct seen seen[SEEN_MAX];
	unsigned running;
	atomic_bool stop;
};

static int64_t wall_s(void)
{
	return (int64_t)time(NULL);
}

static void forget(struct seen *s)
{
	X509_free(s->cert);
	*s = (struct seen){0};
}

/* The one of this reference, if it is not too old. */
static struct seen *find(struct cp_srsts *srsts, const char *name)
{
	for (unsigned i = 0; i < SEEN_MAX && name[0] != '\0'; i++) {
		struct seen *s = &srsts->seen[i];

		if (strcmp(s->name, name) != 0)
			continue;
		if (s->at_s + SEEN_S > wall_s())
			return s;
		forget(s);
	}
	return NULL;
}

/* Takes 'cert'. The oldest goes where there is no room. */
static struct seen *keep(struct cp_srsts *srsts, const char *name, int64_t changed_us, X509 *cert)
{
	struct seen *s = find(srsts, name);
	uint8_t sha256[32];

	for (unsigned i = 0; s == NULL && i < SEEN_MAX; i++)
		if (srsts->seen[i].name[0] == '\0')
			s = &srsts->seen[i];
	if (s == NULL) {
		s = &srsts->seen[0];
		for (unsigned i = 1; i < SEEN_MAX; i++)
			if (srsts->seen[i].at_s < s->at_s)
				s = &srsts->seen[i];
	}
	forget(s);
	if (pki_fingerprint(cert, sha256) < 0) {
		X509_free(cert);
		return NULL;
	}
	memcpy(s->name, name, strlen(name) + 1);
	s->changed_us = changed_us;
	s->at_s = wall_s();
	s->cert = cert;
	cp_upload_hex(sha256, sizeof(sha256), s->sha256);
	return s;
}

/* Why it cannot be accepted now; NULL: it can (004b:SRST-06: a certificate that is valid). */
static const char *unfit(X509 *cert, int64_t now)
{
	if (cp_upload_time(X509_get0_notAfter(cert)) <= now)
		return "it has expired";
	if (cp_upload_time(X509_get0_notBefore(cert)) > now)
		return "it is not valid yet";
	return NULL;
}

/* --- phones --- */

struct users {
	const struct cp_store *store;
	const char *name;
	bool cluster;              /* it is the cluster's */
	char profile[CP_NAME_MAX]; /* the last one looked up: devices of one profile mostly stand together */
	char srst[CP_NAME_MAX];    /* of that */
	unsigned n;
};

static void count_phone(void *ctx, const struct cp_device *dev)
{
	struct users *u = ctx;
	struct cp_profile p;

	if (dev->srst[0] != '\0') {
		u->n += strcmp(dev->srst, u->name) == 0;
		return;
	}
	if (strcmp(u->profile, dev->profile) != 0) {
		memcpy(u->profile, dev->profile, sizeof(u->profile));
		u->srst[0] = '\0';
		if (dev->profile[0] != '\0' && cp_store_profile(u->store, dev->profile, &p) == 0) {
			memcpy(u->srst, p.srst, sizeof(u->srst));
			cp_profile_free(&p);
		}
	}
	u->n += u->srst[0] != '\0' ? strcmp(u->srst, u->name) == 0 : u->cluster;
}

unsigned cp_srst_phones(const struct cp_store *store, const char *name)
{
	struct users u = {.store = store, .name = name};
	struct cp_cluster cl;

	cp_store_cluster(store, &cl);
	u.cluster = strcmp(cl.srst, name) == 0;
	cp_cluster_free(&cl);
	cp_dir_each_device(store, count_phone, &u);
	return u.n;
}

void cp_srst_says(const struct cp_store *store, const char *name, bool cert_gone, json_t *answer)
{
	unsigned n = cp_srst_phones(store, name);
	char text[400], phones[200] = "no phone uses it";

	if (n > 0)
		snprintf(phones, sizeof(phones), "%u phone%s use%s it: until reset they have the file they have", n, n == 1 ? "" : "s",
			 n == 1 ? "s" : "");
	snprintf(text, sizeof(text), "%s%s",
		 cert_gone ? "its certificate is deleted: disable the gateway's credential service too, and reset the gateway; " : "", phones);
	json_object_set_new(answer, "phones", json_integer(n));
	json_object_set_new(answer, "notice", json_string(text));
}

/* --- fetching --- */

struct fetch {
	struct cp_srsts *srsts;
	struct cp_admin_req *req;
	char name[CP_NAME_MAX];
	int64_t changed_us;
	struct cfg_addr to;
	unsigned timeout_ms;
	X509 *cert, *issuer;
	char why[400];
	int rc;
};

static void fetch_work(void *arg)
{
	struct fetch *f = arg;

	f->rc = cp_peercert_fetch(&f->to, f->timeout_ms, &f->srsts->stop, &f->cert, &f->issuer, f->why, sizeof(f->why));
}

static void fetch_fail(struct fetch *f)
{
	const char *code = f->rc == -ECANCELED ? "unavailable" : f->rc == -EMLINK || f->rc == -EBADMSG || f->rc == -ENOENT ? "denied" :
			   "unreachable";

	cfg_log(CFG_LOG_NOTICE, "srst-not-fetched", "reference=%s who=%s reason=%s", f->name, cfg_q(cp_admin_who(f->req)), cfg_q(f->why));
	cp_admin_fail(f->req, code, "%s: nothing is changed", f->why);
}

static json_t *shown(X509 *cert, X509 *issuer, const struct cp_srst *sr, const char *sha256)
{
	json_t *o = cp_upload_json(cert, wall_s());
	const char *why = unfit(cert, wall_s());
	uint8_t stored[32];
	char hex[65] = "";
	X509 *old = NULL;
	char name[200];

	if (o == NULL)
		return NULL;
	json_object_set_new(o, "issuer_shown", issuer != NULL ? json_string(cp_upload_name(issuer, name, sizeof(name))) : json_null());
	json_object_set_new(o, "can_be_accepted", json_boolean(why == NULL));
	if (why != NULL)
		json_object_set_new(o, "why_not", json_string(why));
	if (sr->cert.len > 0 && pki_cert_parse(sr->cert.data, sr->cert.len, &old) == 0 && pki_fingerprint(old, stored) == 0)
		cp_upload_hex(stored, sizeof(stored), hex);
	X509_free(old);
	json_object_set_new(o, "stored", json_string(hex[0] == '\0' ? "none" : strcmp(hex, sha256) == 0 ? "the same" : "another"));
	return o;
}

static void fetch_done(void *arg)
{
	struct fetch *f = arg;
	struct cp_store *store = cmds_store(f->srsts->cmds);
	struct cp_srst sr = {0};
	const struct seen *s;
	char next[200], from[80];

	f->srsts->running--;
	if (f->rc < 0) {
		fetch_fail(f);
	} else if (cp_store_srst(store, f->name, &sr) < 0 || sr.changed_us != f->changed_us) {
		cp_admin_fail(f->req, "busy", "SRST reference %s was changed while its certificate was fetched: fetch it again", f->name);
	} else if ((s = keep(f->srsts, f->name, f->changed_us, f->cert)) == NULL) {
		f->cert = NULL;
		cp_admin_fail_rc(f->req, -ENOMEM, NULL);
	} else {
		f->cert = NULL; /* kept */
		cfg_log(CFG_LOG_INFO, "srst-fetched", "reference=%s who=%s sha256=%s", f->name, cfg_q(cp_admin_who(f->req)), s->sha256);
		snprintf(next, sizeof(next), "compare it with the gateway's, then: srst accept %s --fingerprint %s (or srst reject %s)", f->name,
			 s->sha256, f->name);
		cp_admin_reply(f->req, json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", f->name, "from",
						 cfg_addr_print(&f->to, from, sizeof(from)), "fingerprint", s->sha256, "certificate",
						 shown(s->cert, f->issuer, &sr, s->sha256), "next", next));
	}
	cp_srst_free(&sr);
	X509_free(f->cert);
	X509_free(f->issuer);
	free(f);
}

static void srst_fetch(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "timeout_s", NULL};
	struct cp_srsts *srsts = ctx;
	json_int_t timeout_s = TIMEOUT_S;
	const json_t *t = json_object_get(args, "timeout_s");
	const char *name = NULL;
	struct cp_srst sr;
	struct fetch *f;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (t != NULL)
		timeout_s = json_is_integer(t) ? json_integer_value(t) : 0;
	if (timeout_s < 1 || timeout_s > TIMEOUT_MAX) {
		cp_admin_fail(req, "invalid", "timeout_s is not 1 to %d", TIMEOUT_MAX);
		return;
	}
	if (cp_store_srst(cmds_store(srsts->cmds), name, &sr) < 0) {
		cp_admin_fail(req, "not-found", "no SRST reference %s", cfg_q(name));
		return;
	}
	f = calloc(1, sizeof(*f));
	rc = f == NULL ? -ENOMEM : 0;
	if (rc == 0 && !sr.secure) {
		cp_admin_fail(req, "invalid", "SRST reference %s is not secured: srst set %s --secure first", sr.name, sr.name);
		rc = 1;
	}
	if (rc == 0 && srsts->running >= FETCHES_MAX) {
		cp_admin_fail(req, "overload", "%d certificates are being fetched: try again", FETCHES_MAX);
		rc = 1;
	}
	if (rc == 0) {
		*f = (struct fetch){.srsts = srsts, .req = req, .changed_us = sr.changed_us, .timeout_ms = (unsigned)timeout_s * 1000};
		memcpy(f->name, sr.name, sizeof(f->name));
		f->to = sr.addrs[0].sccp.family != 0 ? sr.addrs[0].sccp : sr.addrs[0].sip;
		f->to.port = sr.cert_port != 0 ? sr.cert_port : CP_SRST_CERT_PORT;
		rc = cp_offload_run(cmds_offload(srsts->cmds), fetch_work, fetch_done, f);
		if (rc == 0)
			srsts->running++;
		else
			cp_admin_fail_rc(req, rc, "too much is being done: try again");
	} else if (rc < 0) {
		cp_admin_fail_rc(req, rc, NULL);
	}
	if (rc != 0)
		free(f);
	cp_srst_free(&sr);
}

/* --- accepting --- */

/* Hex digits, with or without colons, of either case. False: they are not those of 'sha256'. */
static bool same_print(const char *text, const char *sha256)
{
	for (; *text != '\0'; text++) {
		char c = *text >= 'A' && *text <= 'F' ? (char)(*text + 32) : *text;

		if (c == ':')
			continue;
		if (*sha256 == '\0' || c != *sha256++)
			return false;
	}
	return *sha256 == '\0';
}

static int take_cert(struct cp_srst *sr, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len <= 0)
		return -ENOMEM;
	free(sr->cert.data);
	sr->cert = (struct cp_buf){malloc((size_t)len), (size_t)len};
	if (sr->cert.data != NULL)
		memcpy(sr->cert.data, der, (size_t)len);
	OPENSSL_free(der);
	return sr->cert.data != NULL ? 0 : -ENOMEM;
}

static int check_accept(struct cp_srsts *srsts, const struct cp_srst *sr, const char *print, const struct seen **ret, char *why, size_t size)
{
	const struct seen *s = find(srsts, sr->name);
	const char *bad;

	if (s == NULL) {
		snprintf(why, size, "no certificate was fetched for %s (or more than an hour ago, or before a restart): srst fetch %s", sr->name,
			 sr->name);
		return -ENOENT;
	}
	if (s->changed_us != sr->changed_us) {
		snprintf(why, size, "%s was changed since its certificate was fetched: srst fetch %s", sr->name, sr->name);
		return -ENOENT;
	}
	if (!same_print(print, s->sha256)) {
		snprintf(why, size, "what was fetched last for %s has the fingerprint %s: look at it first", sr->name, s->sha256);
		return -EACCES;
	}
	bad = unfit(s->cert, wall_s());
	if (bad != NULL) {
		snprintf(why, size, "the certificate is not stored: %s", bad);
		return -EACCES;
	}
	*ret = s;
	return 0;
}

static int attempt_accept(struct pending_change *p, char *why, size_t size)
{
	const char *name = json_string_value(json_object_get(p->args, "name"));
	struct cp_store *store = cmds_store(p->cmds);
	const struct seen *s = NULL;
	struct cp_change *c = NULL;
	struct cp_srst sr;
	int rc = cp_store_srst(store, name, &sr);

	if (rc < 0) {
		snprintf(why, size, "no SRST reference %s", cfg_q(name));
		return rc;
	}
	rc = check_accept(cmds_srsts(p->cmds), &sr, json_string_value(json_object_get(p->args, "fingerprint")), &s, why, size);
	if (rc == 0)
		rc = take_cert(&sr, s->cert);
	if (rc == 0)
		c = cp_change_create(store);
	if (rc == 0)
		rc = c == NULL ? -ENOMEM : cp_change_srst_put(c, &sr, true, why, size);
	if (rc == 0) {
		p->result = json_pack("{s:s, s:s}", "name", name, "stored", s->sha256);
		cp_srst_says(store, name, false, p->result);
		change_says(p, CP_RESET_EV_SRST_CERT, name);
		rc = cp_change_submit(c, "srst.accept", cp_admin_who(p->req), json_pack("{s:s, s:s}", "name", name, "sha256", s->sha256),
				      change_written, p);
		c = NULL;
	}
	cp_change_destroy(c);
	cp_srst_free(&sr);
	return rc;
}

static void srst_accept(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "fingerprint", NULL};
	struct cp_srsts *srsts = ctx;
	const char *name = NULL, *print = NULL;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, "fingerprint", true, &print) < 0)
		return;
	cmds_run(srsts->cmds, req, args, NULL, attempt_accept);
}

static void srst_reject(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_srsts *srsts = ctx;
	const char *name = NULL;
	struct seen *s;

	if (cp_admin_arg_known(req, args, cmds_name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	s = find(srsts, name);
	if (s == NULL) {
		cp_admin_fail(req, "not-found", "no certificate was fetched for %s", cfg_q(name));
		return;
	}
	cfg_log(CFG_LOG_NOTICE, "srst-rejected", "reference=%s who=%s sha256=%s", s->name, cfg_q(cp_admin_who(req)), s->sha256);
	cp_admin_reply(req, json_pack("{s:s, s:s, s:s}", "name", s->name, "rejected", s->sha256, "notice", "the reference is unchanged"));
	forget(s);
}

/* --- showing --- */

static void srst_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_srsts *srsts = ctx;
	const char *name = NULL;
	X509 *cert = NULL;
	struct cp_srst sr;
	const struct seen *s;
	json_t *o;

	if (cp_admin_arg_known(req, args, cmds_name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (cp_store_srst(cmds_store(srsts->cmds), name, &sr) < 0) {
		cp_admin_fail(req, "not-found", "no SRST reference %s", cfg_q(name));
		return;
	}
	o = srst_to_json(&sr);
	json_object_set_new(o, "phones", json_integer(cp_srst_phones(cmds_store(srsts->cmds), sr.name)));
	if (sr.cert.len > 0 && pki_cert_parse(sr.cert.data, sr.cert.len, &cert) == 0)
		json_object_set_new(o, "certificate", cp_upload_json(cert, wall_s()));
	s = find(srsts, sr.name);
	if (s != NULL && s->changed_us == sr.changed_us)
		json_object_set_new(o, "waits_for_acceptance", json_string(s->sha256));
	X509_free(cert);
	cp_admin_reply(req, o);
	cp_srst_free(&sr);
}

int cp_srsts_create(struct cmds *cmds, struct cp_admin *admin, struct cp_srsts **ret)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"srst.fetch", srst_fetch},
		{"srst.accept", srst_accept},
		{"srst.reject", srst_reject},
		{"srst.show", srst_show},
	};
	struct cp_srsts *srsts = calloc(1, sizeof(*srsts));
	int rc = 0;

	*ret = srsts;
	if (srsts == NULL)
		return -ENOMEM;
	srsts->cmds = cmds;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, srsts);
	return rc;
}

void cp_srsts_stop(struct cp_srsts *srsts)
{
	if (srsts != NULL)
		atomic_store(&srsts->stop, true);
}

void cp_srsts_destroy(struct cp_srsts *srsts)
{
	if (srsts == NULL)
		return;
	for (unsigned i = 0; i < SEEN_MAX; i++)
		forget(&srsts->seen[i]);
	free(srsts);
}
