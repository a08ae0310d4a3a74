/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust lists: what is in them, who signs, what a change may do, and that what is in force is what is in the store. Rows:
 * 002:P2-02, P2-09, P2-10, P2-15 to P2-29, P2-52; 004a:CTL-01 to CTL-08, CTL-16, CTL-19, CTL-22; 004b:CTL-02,
 * CTL-04, CTL-10 to CTL-23; 004c:CT-09 to CT-18.
 * Rows: 000:P0-01, R-04; 001:L471, P1-025, R-01, R-23, R-27; 002:P2-14, P2-46, R-03, R-08 to; 004a:GEN-06; 004b:R-01 to
 * SEC-01; 004c:CA-11, CT-04, CT-06.
 */
#include "suite.h"

#include "lists_fix.h"

static struct fx f;

/* --- the ITL --- */

static void test_itl_first(void)
{
	fx_up(&f);
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct fx_list l = fx_list(&f, PKI_TL_ITL, (enum pki_tl_class)cls);
		const struct pki_tl_rec *by = NULL;
		char why[256];

		CU_ASSERT_PTR_NOT_NULL_FATAL(l.tl);
		CU_ASSERT_EQUAL(l.tl->digest, pki_tl_class_limits((enum pki_tl_class)cls)->digest);
		CU_ASSERT_EQUAL(pki_tl_verify(l.tl, NULL, &by, why, sizeof(why)), 0);
		/* 002:P2-27: the TFTP certificate in two records */
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "TFTP")->cert, PKI_TL_SAST));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "TFTP")->cert, PKI_TL_TFTP));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "ITLRecovery")->cert, PKI_TL_SAST));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "TVS")->cert, PKI_TL_TVS));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CAPF")->cert, PKI_TL_CAPF));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CAPF-TLS")->cert, PKI_TL_CAPF));
		CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_SAST), 2);
		CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_CCM), 0); /* not mixed */
		fx_list_free(&l);
	}
	CU_ASSERT_PTR_NULL(cp_lists_file(f.lists, PKI_TL_CTL, PKI_CLASS_MODERN));
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	fx_down(&f);
}

static void test_itl_restart(void)
{
	struct cp_file *a, *b;
	unsigned signs;

	fx_up(&f);
	a = cp_lists_file(f.lists, PKI_TL_ITL, PKI_CLASS_79XX);
	signs = f.signs;
	fx_close(&f);
	f.now_us += 86400 * 1000000LL;
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	b = cp_lists_file(f.lists, PKI_TL_ITL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(f.signs, signs); /* nothing is signed anew */
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
	cp_file_put(a);
	cp_file_put(b);
	/* a change of the certificates while it was down is found */
	fx_close(&f);
	fx_set(&f, "TVS", fx_key(3));
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT(f.signs > signs);
	fx_down(&f);
}

static unsigned watched;

static void on_change(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	(void)ctx;
	(void)cls;
	watched += kind == PKI_TL_ITL;
}

/* A phone that holds the list before takes every one behind it, whatever becomes of TVS. */
static void test_tftp_rolls(void)
{
	struct fx_list before, mid, after;
	const struct pki_tl_rec *by;
	char why[256];

	fx_up(&f);
	watched = 0;
	cp_lists_watch(f.lists, on_change, NULL);
	before = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	fx_regen(&f, "TFTP");
	cp_lists_cert_changed(f.lists, "TFTP");
	fx_settle(&f);
	mid = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(watched, 2);
	CU_ASSERT_STRING_EQUAL(cp_lists_itl_signer(f.lists), "TFTP.prev");
	CU_ASSERT_EQUAL(pki_tl_verify(mid.tl, before.tl, &by, why, sizeof(why)), 0);
	CU_ASSERT(mid.tl->timestamp > before.tl->timestamp);
	CU_ASSERT_EQUAL(fx_roles(mid.tl, PKI_TL_SAST), 2);
	CU_ASSERT_EQUAL(fx_roles(mid.tl, PKI_TL_TFTP), 2); /* files signed by old and new key */
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(mid.tl, fx_find(&f, "TFTP")->cert, PKI_TL_SAST));
	/* retired: the new key signs, and who has the one between takes it; who has the first one only does not */
	fx_drop(&f, "TFTP.prev");
	cp_lists_cert_changed(f.lists, "TFTP");
	fx_settle(&f);
	after = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_STRING_EQUAL(cp_lists_itl_signer(f.lists), "TFTP");
	CU_ASSERT_EQUAL(pki_tl_verify(after.tl, mid.tl, &by, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_tl_verify(after.tl, before.tl, &by, why, sizeof(why)), -EACCES);
	fx_list_free(&after);
	/* ... but the recovery key reaches even those */
	CU_ASSERT_EQUAL(fx_itl(&f, "ITLRecovery", -1, -1), 0);
	after = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_verify(after.tl, before.tl, &by, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(fx_roles(after.tl, PKI_TL_SAST), 2);
	fx_list_free(&before);
	fx_list_free(&mid);
	fx_list_free(&after);
	fx_down(&f);
}

static void test_sign_with(void)
{
	fx_up(&f);
	CU_ASSERT_EQUAL(fx_itl(&f, "SAST1", -1, -1), -EINVAL);
	CU_ASSERT_EQUAL(fx_itl(&f, "TFTP.prev", -1, -1), -ENOENT);
	CU_ASSERT(fx_says(&f, "no TFTP.prev"));
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(fx_itl(&f, "ITLRecovery", -1, 6), -EPERM);
	CU_ASSERT(fx_says(&f, "7 phones"));
	CU_ASSERT_EQUAL(f.allow_what, CP_TRUST_LIST);
	CU_ASSERT_EQUAL(fx_itl(&f, "ITLRecovery", -1, 7), 0);
	CU_ASSERT_STRING_EQUAL(cp_lists_itl_signer(f.lists), "ITLRecovery");
	/* the setting outlives a restart */
	fx_close(&f);
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT_STRING_EQUAL(cp_lists_itl_sign_with(f.lists), "ITLRecovery");
	fx_down(&f);
}

/* 002:P2-52: empty sections, no certificate to hold us to. */
static void test_rollback(void)
{
	struct fx_list l, before;
	char why[256];

	fx_up(&f);
	before = fx_list(&f, PKI_TL_ITL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(fx_itl(&f, NULL, 1, -1), 0);
	CU_ASSERT_EQUAL(f.allow_what, CP_TRUST_LIST);
	CU_ASSERT(cp_lists_rollback(f.lists));
	l = fx_list(&f, PKI_TL_ITL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_TFTP), 1);
	CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_TVS), 1);
	for (unsigned i = 0; i < l.tl->rec_cnt; i++)
		CU_ASSERT(l.tl->rec[i].cert == NULL && l.tl->rec[i].pubkey_len == 0);
	/* a phone that holds the last one takes it */
	CU_ASSERT_EQUAL(pki_tl_verify(l.tl, before.tl, NULL, why, sizeof(why)), 0);
	fx_list_free(&l);
	CU_ASSERT_EQUAL(fx_itl(&f, NULL, 0, -1), 0);
	l = fx_list(&f, PKI_TL_ITL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_SAST), 2);
	fx_list_free(&l);
	fx_list_free(&before);
	fx_down(&f);
}

/* An RSA-4096 key does not fit: named, an alarm, and the old list stays (004c:CT-18). */
static void test_limit(void)
{
	EVP_PKEY *big = EVP_RSA_gen(4096);
	const struct cp_alarm *a;
	struct cp_file *x, *y;
	struct cp_ctl_change ch = UPDATE;

	fx_up(&f);
	x = cp_lists_file(f.lists, PKI_TL_ITL, PKI_CLASS_MODERN);
	fx_set(&f, "TVS", big);
	cp_lists_cert_changed(f.lists, "TVS");
	fx_settle(&f);
	y = cp_lists_file(f.lists, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_PTR_EQUAL(x, y);
	a = cp_alarm_find(f.alarms, "itl-not-made", "itl");
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	snprintf(f.text, sizeof(f.text), "%s", a->text);
	CU_ASSERT(fx_says(&f, "512"));
	CU_ASSERT(fx_says(&f, "stays in force"));
	cp_file_put(x);
	cp_file_put(y);
	fx_set(&f, "TVS", fx_key(1));
	cp_lists_cert_changed(f.lists, "TVS");
	fx_settle(&f);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "itl-not-made", "itl"));
	/* a token of that size */
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	ch.token[ch.token_cnt++] = fx_cert("big token", big);
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Invalid Public Key length."));
	X509_free(ch.token[0]);
	EVP_PKEY_free(big);
	fx_down(&f);
}

/* The signer does not answer: an alarm, and tried again until it does. */
static void test_signer_away(void)
{
	fx_up(&f);
	f.sign_rc = -ECONNREFUSED;
	fx_set(&f, "TVS", fx_key(3));
	cp_lists_cert_changed(f.lists, "TVS");
	fx_settle(&f);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(f.alarms, "itl-not-made", "itl"));
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), -ECONNREFUSED);
	CU_ASSERT(fx_says(&f, "Could not sign CTL File."));
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	f.sign_rc = 0;
	CU_ASSERT(fx_alarm(&f, "itl-not-made", "itl", false));
	{
		struct fx_list l = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);

		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "TVS")->cert, PKI_TL_TVS));
		fx_list_free(&l);
	}
	fx_down(&f);
}

/* --- the CTL --- */

static void test_ctl_first(void)
{
	struct cp_device dev = {.mode = CP_DEVICE_ENCRYPTED};

	fx_up(&f);
	CU_ASSERT_EQUAL(cp_lists_device_mode(f.lists, &dev), CP_DEVICE_NONSECURE);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), -ENOENT); /* 004b:CTL-20 */
	CU_ASSERT(fx_says(&f, "No CTL File."));
	CU_ASSERT(cp_lists_auto_registration(f.lists));
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	CU_ASSERT(fx_says(&f, "CTL File created successfully. You must restart all the phones")); /* 004b:CTL-07 */
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	CU_ASSERT_EQUAL(cp_lists_device_mode(f.lists, &dev), CP_DEVICE_ENCRYPTED);
	CU_ASSERT(!cp_lists_auto_registration(f.lists)); /* 004b:CTL-18, 004c:CR-09 */
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(f.alarms, "auto-registration-off", "cluster"));
	fx_settle(&f);
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		struct fx_list c = fx_list(&f, PKI_TL_CTL, (enum pki_tl_class)cls), i = fx_list(&f, PKI_TL_ITL, (enum pki_tl_class)cls);
		const struct pki_tl_rec *by = NULL;
		char why[256];

		CU_ASSERT_PTR_NOT_NULL_FATAL(c.tl);
		CU_ASSERT_EQUAL(pki_tl_verify(c.tl, NULL, &by, why, sizeof(why)), 0);
		CU_ASSERT_PTR_EQUAL(by, &c.tl->rec[0]);
		CU_ASSERT_EQUAL(fx_roles(c.tl, PKI_TL_SAST), 2);
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(c.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(c.tl, fx_find(&f, "TFTP")->cert, PKI_TL_TFTP));
		/* there before the first CTL, so in it: nothing is to be updated for it later (004a:CTL-24, 004b:CTL-27) */
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(c.tl, fx_find(&f, "CAPF")->cert, PKI_TL_CAPF));
		CU_ASSERT_STRING_EQUAL(pki_tl_find(c.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM)->dns, "cm.example.test");
		CU_ASSERT_EQUAL(fx_roles(i.tl, PKI_TL_CCM), 0); /* it is in the CTL */
		fx_list_free(&c);
		fx_list_free(&i);
	}
	fx_down(&f);
}

static void test_ctl_survives(void)
{
	struct cp_file *a, *b;

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	a = cp_lists_file(f.lists, PKI_TL_CTL, PKI_CLASS_MODERN);
	fx_close(&f);
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	b = cp_lists_file(f.lists, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
	cp_file_put(a);
	cp_file_put(b);
	fx_down(&f);
}

/* A new CallManager certificate: the CTL is stale until an operator updates it; the ITL speaks for it meanwhile. */
static void test_ctl_stale(void)
{
	struct fx_list l;

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	fx_settle(&f);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	fx_regen(&f, "CallManager");
	cp_lists_cert_changed(f.lists, "CallManager");
	fx_settle(&f);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	CU_ASSERT(strstr(cp_alarm_find(f.alarms, "ctl-stale", "ctl")->text, "CallManager") != NULL);
	l = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
	fx_list_free(&l);
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_PTR_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, -1)); /* by the operation only */
	fx_list_free(&l);
	/* the new list has the new entries: 000:P0-07, 001:P1-049, 002:P2-36 */
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
	fx_settle(&f);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
	fx_list_free(&l);
	/* phones that find no file's signer, or not the right CAPF, in their CTL: 004c:CR-07, CR-10 */
	for (unsigned i = 0; i < 2; i++) {
		static const char *const names[] = {"TFTP", "CAPF"};
		const struct cp_alarm *a;

		fx_regen(&f, names[i]);
		cp_lists_cert_changed(f.lists, names[i]);
		fx_settle(&f);
		a = cp_alarm_find(f.alarms, "ctl-stale", "ctl");
		CU_ASSERT(a != NULL && strstr(a->text, names[i]) != NULL && strstr(a->text, "ctl update") != NULL);
		CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
		fx_settle(&f);
		CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	}
	l = fx_list(&f, PKI_TL_ITL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_CCM), 0);
	fx_list_free(&l);
	fx_down(&f);
}

static void test_ctl_refusals(void)
{
	struct cp_ctl_change ch = UPDATE;
	X509 *tok = NULL, *old = NULL, *young = NULL, *ec = NULL, *noname = NULL;
	EVP_PKEY *eck = EVP_EC_gen("P-256");
	char hex[1] = "";

	(void)hex;
	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	tok = fx_cert("token three", fx_key(2));
	old = fx_cert_days("old", fx_key(2), -20, -10);
	young = fx_cert_days("young", fx_key(2), 10, 20);
	ec = fx_cert("ec", eck);
	noname = fx_cert(NULL, fx_key(2));

	ch.del_token[0] = "SAST1", ch.del_token_cnt = 1; /* 004b:CTL-23 */
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "You must have at least 2 security tokens in the CTL File"));
	ch.del_token[0] = "CallManager"; /* 004b:CTL-22, 004c:CT-10 */
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "You cannot delete this item."));
	ch.del_token[0] = "nobody";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -ENOENT);
	ch = UPDATE;
	ch.del_tftp[0] = "cm.example.test", ch.del_tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	ch = UPDATE;
	ch.token_cnt = 1;
	ch.token[0] = old;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Certificate expired."));
	ch.token[0] = young;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Certificate Date Invalid."));
	ch.token[0] = ec;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Certificate is not of type RSA."));
	ch.token[0] = noname;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "No Issuer Name in Certificate."));
	ch.token[0] = fx_find(&f, "SAST2")->cert; /* 004c:CT-11 */
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	CU_ASSERT(fx_says(&f, "The Security Token you have inserted already exists in the CTL File."));
	ch = UPDATE;
	ch.signer = "nobody";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "The token must already exist in the CTL file.")); /* what phones would refuse: 004c:CR-06 */
	ch = UPDATE;
	ch.tokenless = true; /* new tokens of ours: added, but they may not sign yet */
	ch.signer = "CallManager";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "tokens inserted during update cannot be used to sign"));
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->serial, 1); /* nothing of all that changed anything */
	/* a third token, which may sign from the next operation on; then one of the first can go: one lost, 004c:CR-04 */
	ch = UPDATE;
	ch.token[0] = tok, ch.token_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), 0);
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->token_cnt, 3);
	ch = UPDATE;
	ch.del_token[0] = "SAST2", ch.del_token_cnt = 1;
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "7 phones would be stranded"));
	CU_ASSERT_EQUAL(fx_change(&f, ch, 7), 0);
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->token_cnt, 2);
	X509_free(tok);
	X509_free(old);
	X509_free(young);
	X509_free(ec);
	X509_free(noname);
	EVP_PKEY_free(eck);
	fx_down(&f);
}

static void test_tftp_servers(void)
{
	struct cp_ctl_change ch = UPDATE;
	X509 *c = NULL, *d = NULL;
	struct fx_list l;
	static char host[300];

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	c = fx_cert("tftp2", fx_key(2));
	d = fx_cert("tftp3", fx_key(2));
	ch.tftp[0] = (struct cp_ctl_tftp_add){"tftp2.example.test", "192.0.2.77", c};
	ch.tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), 0);
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pki_tl_find(l.tl, c, PKI_TL_TFTP));
	CU_ASSERT_STRING_EQUAL(pki_tl_find(l.tl, c, PKI_TL_TFTP)->dns, "tftp2.example.test");
	CU_ASSERT(memcmp(pki_tl_find(l.tl, c, PKI_TL_TFTP)->ip, "\xc0\x00\x02\x4d", 4) == 0);
	fx_list_free(&l);
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	CU_ASSERT(fx_says(&f, "Entry for Server already exists."));
	ch.tftp[0].host = "other.example.test";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	CU_ASSERT(fx_says(&f, "Entry for this certificate already exists."));
	ch.tftp[0].cert = fx_find(&f, "TFTP")->cert;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	ch.tftp[0] = (struct cp_ctl_tftp_add){"cm.example.test", NULL, d};
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	ch.tftp[0].host = "";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Invalid Hostname"));
	memset(host, 'a', sizeof(host) - 1);
	ch.tftp[0].host = host;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "CM Name is too long."));
	ch.tftp[0] = (struct cp_ctl_tftp_add){"v6.example.test", "2001:db8::1", d};
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(fx_says(&f, "Invalid IP Address"));
	ch = UPDATE;
	ch.del_tftp[0] = "tftp2.example.test", ch.del_tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), 0);
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->tftp_cnt, 0);
	/* one that became invalid is deleted and added again, with what it has now: 004c:CT-26 */
	ch = UPDATE;
	ch.tftp[0] = (struct cp_ctl_tftp_add){"tftp2.example.test", NULL, d}, ch.tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), 0);
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_PTR_NULL(pki_tl_find(l.tl, c, -1));
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, d, PKI_TL_TFTP));
	fx_list_free(&l);
	X509_free(c);
	X509_free(d);
	fx_down(&f);
}

/* 004b:CTL-16, 004c:CT-13: the CTL stays, without certificates and names; back again the same tokens sign. */
static void test_nonsecure(void)
{
	struct fx_list mixed, clear, again;
	char why[256];

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, CLEAR, -1), 0); /* a CTL of a cluster that stays as it is */
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	mixed = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	f.allow_cnt = 0;
	CU_ASSERT_EQUAL(fx_change(&f, CLEAR, -1), 0);
	CU_ASSERT_EQUAL(f.allow_cnt, 1);
	CU_ASSERT_EQUAL(f.allow_what, CP_TRUST_LIST);
	clear = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(clear.tl);
	CU_ASSERT_EQUAL(clear.tl->rec_cnt, mixed.tl->rec_cnt);
	for (unsigned i = 0; i < clear.tl->rec_cnt; i++)
		CU_ASSERT(clear.tl->rec[i].cert == NULL && clear.tl->rec[i].pubkey == NULL &&
			  (clear.tl->rec[i].subject == NULL || clear.tl->rec[i].subject[0] == '\0') &&
			  (clear.tl->rec[i].issuer == NULL || clear.tl->rec[i].issuer[0] == '\0'));
	CU_ASSERT_EQUAL(pki_tl_verify(clear.tl, mixed.tl, NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0); /* 004b:CTL-20 */
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	again = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_verify(again.tl, mixed.tl, NULL, why, sizeof(why)), 0); /* who missed the one between */
	fx_list_free(&mixed);
	fx_list_free(&clear);
	fx_list_free(&again);
	fx_down(&f);
}

static void test_tokenless(void)
{
	struct cp_ctl_change ch = MIXED;
	struct fx_list l;
	char why[256];

	fx_up(&f);
	ch.tokenless = true;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), 0);
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);
	CU_ASSERT_EQUAL(fx_roles(l.tl, PKI_TL_SAST), 2);
	/* one certificate, two roles: two records */
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, PKI_TL_SAST));
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "ITLRecovery")->cert, PKI_TL_SAST));
	CU_ASSERT_STRING_EQUAL(cp_lists_ctl(f.lists)->signer, "CallManager");
	/* The key that signs is made anew: the recovery key, which phones know, signs the list that brings the new one. */
	fx_regen(&f, "CallManager");
	cp_lists_cert_changed(f.lists, "CallManager");
	fx_settle(&f);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
	CU_ASSERT_STRING_EQUAL(cp_lists_ctl(f.lists)->signer, "ITLRecovery");
	{
		struct fx_list n = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);

		CU_ASSERT_EQUAL(pki_tl_verify(n.tl, l.tl, NULL, why, sizeof(why)), 0);
		CU_ASSERT_PTR_NOT_NULL(pki_tl_find(n.tl, fx_find(&f, "CallManager")->cert, PKI_TL_SAST));
		CU_ASSERT_EQUAL(fx_roles(n.tl, PKI_TL_SAST), 2);
		fx_list_free(&n);
	}
	fx_list_free(&l);
	fx_down(&f);
}

/* Both SASTs made anew at once: the old key of one signs, and goes with the list after. */
static void test_sasts_anew(void)
{
	struct cp_ctl_change ch = UPDATE;
	struct fx_list a, b, c;
	char why[256];

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	a = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	fx_regen(&f, "SAST1");
	fx_regen(&f, "SAST2");
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
	b = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_verify(b.tl, a.tl, NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(fx_roles(b.tl, PKI_TL_SAST), 3);
	/* the third leaves with the next operation: who deletes another one would be left with one (004b:R-07) */
	ch.del_token[0] = "SAST2", ch.del_token_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(fx_says(&f, "You must have at least 2 security tokens in the CTL File"));
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->token_cnt, 3);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
	c = fx_list(&f, PKI_TL_CTL, PKI_CLASS_MODERN);
	CU_ASSERT_EQUAL(pki_tl_verify(c.tl, b.tl, NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(fx_roles(c.tl, PKI_TL_SAST), 2);
	fx_list_free(&a);
	fx_list_free(&b);
	fx_list_free(&c);
	fx_down(&f);
}

static CU_TestInfo tests[] = {
	{"first ITL: TFTP twice, recovery, TVS, CAPF", test_itl_first},
	{"a restart signs nothing and serves the same bytes", test_itl_restart},
	{"TFTP rolls: old key signs until retired", test_tftp_rolls},
	{"sign-with", test_sign_with},
	{"rollback: empty sections", test_rollback},
	{"RSA-4096 is refused by the limit's name", test_limit},
	{"the signer is away", test_signer_away},
	{"first CTL", test_ctl_first},
	{"a restart keeps CTL and mode", test_ctl_survives},
	{"stale CTL", test_ctl_stale},
	{"what a CTL operation refuses", test_ctl_refusals},
	{"alternate TFTP servers", test_tftp_servers},
	{"non-secure mode leaves a CTL without certificates", test_nonsecure},
	{"tokenless", test_tokenless},
	{"both SASTs made anew", test_sasts_anew},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("lists", tests, NULL, fx_keys_free)
