/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust lists: what is in them, who signs, what a change may do, and that what is in force is what is in the store. Rows:
 * 002:P2-02, P2-09, P2-10, P2-15 to P2-29, P2-52; 004a:CTL-01 to CTL-08, CTL-16, CTL-18, CTL-19, CTL-22; 004b:CTL-02,
 * CTL-04, CTL-10 to CTL-23; 004c:CT-08 to CT-18, CR-03, CR-05.
 * Rows: 000:P0-01, R-04; 001:L471, P1-025, R-01, R-23, R-27; 002:P2-14, P2-46, R-03, R-08 to; 004a:GEN-06; 004b:R-01 to
 * SEC-01; 004c:CA-11, CT-04, CT-06.
 */
#include "suite.h"

#include "lists_fix.h"

static struct fx f;

static int up(void)
{
	return 0;
}

static int down(void)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(fx_keys[i]);
	return 0;
}

#define MIXED ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_MIXED})
#define CLEAR ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_NONSECURE})
#define UPDATE ((struct cp_ctl_change){0})

static bool says(const char *what)
{
	if (strstr(f.text, what) != NULL)
		return true;
	fprintf(stderr, "text is: %s\n", f.text);
	return false;
}

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
	CU_ASSERT(says("no TFTP.prev"));
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(fx_itl(&f, "ITLRecovery", -1, 6), -EPERM);
	CU_ASSERT(says("7 phones"));
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
	CU_ASSERT(says("512"));
	CU_ASSERT(says("stays in force"));
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
	CU_ASSERT(says("Invalid Public Key length."));
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
	CU_ASSERT(says("Could not sign CTL File."));
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
	CU_ASSERT(says("No CTL File."));
	CU_ASSERT(cp_lists_auto_registration(f.lists));
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	CU_ASSERT(says("CTL File created successfully. You must restart all the phones")); /* 004b:CTL-07 */
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
	CU_ASSERT(says("You must have at least 2 security tokens in the CTL File"));
	ch.del_token[0] = "CallManager"; /* 004b:CTL-22, 004c:CT-10 */
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(says("You cannot delete this item."));
	ch.del_token[0] = "nobody";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -ENOENT);
	ch = UPDATE;
	ch.del_tftp[0] = "cm.example.test", ch.del_tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	ch = UPDATE;
	ch.token_cnt = 1;
	ch.token[0] = old;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("Certificate expired."));
	ch.token[0] = young;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("Certificate Date Invalid."));
	ch.token[0] = ec;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("Certificate is not of type RSA."));
	ch.token[0] = noname;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("No Issuer Name in Certificate."));
	ch.token[0] = fx_find(&f, "SAST2")->cert; /* 004c:CT-11 */
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	CU_ASSERT(says("The Security Token you have inserted already exists in the CTL File."));
	ch = UPDATE;
	ch.signer = "nobody";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(says("The token must already exist in the CTL file.")); /* what phones would refuse: 004c:CR-06 */
	ch = UPDATE;
	ch.tokenless = true; /* new tokens of ours: added, but they may not sign yet */
	ch.signer = "CallManager";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(says("tokens inserted during update cannot be used to sign"));
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
	CU_ASSERT(says("7 phones would be stranded"));
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
	CU_ASSERT(says("Entry for Server already exists."));
	ch.tftp[0].host = "other.example.test";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	CU_ASSERT(says("Entry for this certificate already exists."));
	ch.tftp[0].cert = fx_find(&f, "TFTP")->cert;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	ch.tftp[0] = (struct cp_ctl_tftp_add){"cm.example.test", NULL, d};
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EEXIST);
	ch.tftp[0].host = "";
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("Invalid Hostname"));
	memset(host, 'a', sizeof(host) - 1);
	ch.tftp[0].host = host;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("CM Name is too long."));
	ch.tftp[0] = (struct cp_ctl_tftp_add){"v6.example.test", "2001:db8::1", d};
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	CU_ASSERT(says("Invalid IP Address"));
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
	CU_ASSERT(says("You must have at least 2 security tokens in the CTL File"));
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

/* --- tokens elsewhere --- */

static int store_sigs(struct cp_ctl_draft *d, EVP_PKEY *key, bool whole, int spoil)
{
	struct cp_buf sig[PKI_CLASS_MAX] = {{0}};
	char why[512] = "";
	int rc;

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		const struct cp_buf *t = cp_lists_draft_tbs(d, (enum pki_tl_class)cls);
		uint8_t s[512], *file = NULL;
		size_t n = sizeof(s), len;

		fx_sign_raw(key, pki_tl_class_limits((enum pki_tl_class)cls)->digest, t->data, t->len, s, &n);
		if (whole) {
			CU_ASSERT_EQUAL(pki_tl_finish(t->data, t->len, s, n, &file, &len), 0);
			if (spoil)
				file[len - 1] ^= 1;
		}
		sig[cls] = (struct cp_buf){malloc(whole ? len : n), whole ? len : n};
		memcpy(sig[cls].data, whole ? file : s, sig[cls].len);
		if (spoil == 2)
			sig[cls].len--;
		OPENSSL_free(file);
	}
	f.done = 0;
	rc = cp_lists_ctl_store(f.lists, d, sig, fx_done, &f, why, sizeof(why));
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		free(sig[cls].data);
	if (rc < 0) {
		snprintf(f.text, sizeof(f.text), "%s", why);
		return rc;
	}
	return wait_for(f.base, &f.done) ? f.rc : -ETIMEDOUT;
}

static void test_remote_token(void)
{
	struct cp_ctl_change ch = MIXED;
	struct cp_ctl_draft *d = NULL, *stale = NULL;
	X509 *t1, *t2;
	unsigned stranded;
	uint64_t serial;
	uint32_t stamp;
	char why[512];

	fx_up(&f);
	t1 = fx_cert("remote token 1", fx_key(2));
	t2 = fx_cert("remote token 2", fx_key(3));
	ch.who = "tester";
	ch.token[0] = t1, ch.token[1] = t2, ch.token_cnt = 2;
	ch.signer_cert = t1;
	f.signs = 0;
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(3), false, 0), -EACCES); /* another key's */
	CU_ASSERT(says("Could not verify Message."));
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT(store_sigs(d, fx_key(2), false, 2) < 0);
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT(store_sigs(d, fx_key(2), true, 1) < 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	/* what was prepared names a certificate that is no longer ours */
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	fx_regen(&f, "CallManager");
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(2), false, 0), -ESTALE);
	CU_ASSERT(says("a certificate of ours was changed meanwhile"));
	/* phones that came between prepare and store count too */
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(2), false, 0), -EPERM);
	CU_ASSERT(says("7 phones would be stranded"));
	f.allow_rc = 0;
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &stale, &stranded, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(2), true, 0), 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	CU_ASSERT_EQUAL(f.signs, 0); /* our keys have no part in it */
	CU_ASSERT_EQUAL(store_sigs(stale, fx_key(2), false, 0), -ESTALE);
	/* none of ours is in it: the signer here cannot, and says why */
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), -EPERM);
	CU_ASSERT(says("sign with one of them where its key is"));
	/* a token that is not in the file */
	ch = UPDATE;
	ch.who = "tester";
	ch.signer_cert = fx_find(&f, "SAST1")->cert;
	CU_ASSERT_EQUAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), -EPERM);
	CU_ASSERT(strstr(why, "The token must already exist in the CTL file.") != NULL);
	/* 004c:CR-03, CR-05: with all tokens lost the CTL is made as if there were none, which the ledger is asked about */
	ch = UPDATE;
	ch.recreate = true;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EINVAL);
	ch = MIXED;
	ch.recreate = true;
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(fx_change(&f, ch, -1), -EPERM);
	CU_ASSERT(says("7 phones would be stranded"));
	serial = cp_lists_ctl(f.lists)->serial;
	stamp = cp_lists_ctl(f.lists)->timestamp;
	CU_ASSERT_EQUAL(fx_change(&f, ch, 7), 0);
	f.allow_rc = 0;
	CU_ASSERT(cp_lists_ctl(f.lists)->serial > serial && cp_lists_ctl(f.lists)->timestamp > stamp);
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->token_cnt, 2);
	CU_ASSERT_STRING_EQUAL(cp_lists_ctl(f.lists)->signer, "SAST1");
	CU_ASSERT_FALSE(cp_ctl_lists(cp_lists_ctl(f.lists), t1, PKI_TL_SAST));
	/* a token that is not in the file: it was forgotten with the rest */
	ch = UPDATE;
	ch.who = "tester";
	ch.signer_cert = t2;
	CU_ASSERT_EQUAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), -EPERM);
	CU_ASSERT(strstr(why, "The token must already exist in the CTL file.") != NULL);
	X509_free(t1);
	X509_free(t2);
	fx_down(&f);
}

/* --- phones of another cluster --- */

static void read_file(const char *name, uint8_t **ret, size_t *len)
{
	char path[512];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/trust/%s", getenv("RAVELIN_VECTORS"), name);
	fp = fopen(path, "rb");
	if (fp == NULL)
		abort();
	*ret = malloc(100000);
	*len = fread(*ret, 1, 100000, fp);
	fclose(fp);
}

static EVP_PKEY *read_key(const char *name, X509 **cert)
{
	char path[512];
	EVP_PKEY *key;
	FILE *fp;

	snprintf(path, sizeof(path), "%s/trust/%s", getenv("RAVELIN_VECTORS"), name);
	fp = fopen(path, "rb");
	if (fp == NULL)
		abort();
	key = PEM_read_PrivateKey(fp, NULL, NULL, NULL);
	*cert = PEM_read_X509(fp, NULL, NULL, NULL);
	fclose(fp);
	return key;
}

static int import(const uint8_t *file, size_t len)
{
	char why[512] = "";
	int rc;

	f.done = 0;
	rc = cp_lists_ctl_import(f.lists, file, len, "tester", fx_done, &f, why, sizeof(why));
	if (rc < 0) {
		snprintf(f.text, sizeof(f.text), "%s", why);
		return rc;
	}
	return wait_for(f.base, &f.done) ? f.rc : -ETIMEDOUT;
}

/* The CTL of the fixtures is another cluster's; its phones hold it. They take ours if its token signs ours. */
static void test_import(void)
{
	struct cp_ctl_change ch = MIXED;
	struct cp_ctl_draft *d = NULL;
	struct pki_tl *theirs = malloc(sizeof(*theirs));
	struct fx_list l;
	X509 *cert = NULL, *extra;
	EVP_PKEY *key = read_key("set-a-sha1/keys/sast1.pem", &cert);
	uint8_t *file, *itl;
	size_t len, itl_len;
	unsigned stranded;
	char why[512];

	fx_up(&f);
	read_file("set-a-sha1/tlv/CTLFile.tlv", &file, &len);
	read_file("set-a-sha1/tlv/ITLFile.tlv", &itl, &itl_len);
	CU_ASSERT_EQUAL_FATAL(pki_tl_parse(file, len, theirs, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(import(itl, itl_len), -EBADMSG);
	file[len - 1] ^= 1;
	CU_ASSERT_EQUAL(import(file, len), -EBADMSG);
	CU_ASSERT(says("The CTL File signature is invalid or the CTL File is corrupt."));
	file[len - 1] ^= 1;
	CU_ASSERT_EQUAL(import(file, len - 1), -EBADMSG);
	CU_ASSERT_EQUAL(import(file, len), 0);
	CU_ASSERT(says("Next: make our CTL"));
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_PTR_NULL(cp_lists_file(f.lists, PKI_TL_CTL, PKI_CLASS_79XX));
	ch.who = "tester";
	ch.signer_cert = cert;
	f.now_us = (int64_t)time(NULL) * 1000000; /* within the validity of both: the fixtures' begins in 2026, ours yesterday */
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(store_sigs(d, key, false, 0), 0);
	l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l.tl);
	CU_ASSERT_EQUAL(pki_tl_verify(l.tl, theirs, NULL, why, sizeof(why)), 0);
	CU_ASSERT_PTR_NOT_NULL(pki_tl_find(l.tl, fx_find(&f, "CallManager")->cert, PKI_TL_CCM));
	/* its CAPF certificate is kept, its CallManager is not */
	for (unsigned i = 0; i < theirs->rec_cnt; i++) {
		const uint8_t *p = theirs->rec[i].cert;
		X509 *x = d2i_X509(NULL, &p, (long)theirs->rec[i].cert_len);

		CU_ASSERT_EQUAL(pki_tl_find(l.tl, x, theirs->rec[i].role) != NULL,
				theirs->rec[i].role == PKI_TL_SAST || theirs->rec[i].role == PKI_TL_CAPF ||
					theirs->rec[i].role == PKI_TL_TVS);
		X509_free(x);
	}
	/* the imported token did not bring ours: they are added by it, and sign from then on */
	fx_list_free(&l);
	ch = UPDATE;
	ch.who = "tester";
	ch.signer_cert = cert;
	ch.token[0] = fx_find(&f, "SAST1")->cert;
	ch.token_cnt = 1;
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(store_sigs(d, key, false, 0), 0);
	/* when nobody comes from there any more: what it brought beside its SASTs goes, one by one */
	while (cp_lists_ctl(f.lists)->extra_cnt > 0) {
		const struct cp_ctl_extra *x = &cp_lists_ctl(f.lists)->extras[0];
		const uint8_t *p = x->cert.data;
		unsigned cnt = cp_lists_ctl(f.lists)->extra_cnt;
		uint8_t md[32];
		char hex[17];

		extra = d2i_X509(NULL, &p, (long)x->cert.len);
		CU_ASSERT_EQUAL_FATAL(EVP_Digest(x->cert.data, x->cert.len, md, NULL, EVP_sha256(), NULL), 1);
		for (unsigned i = 0; i < 8; i++)
			snprintf(hex + 2 * i, 3, "%02x", md[i]);
		ch = UPDATE;
		ch.who = "tester";
		ch.signer_cert = cert;
		ch.del_token[0] = hex, ch.del_token_cnt = 1;
		CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
		CU_ASSERT_EQUAL(store_sigs(d, key, false, 0), 0);
		CU_ASSERT(cp_lists_ctl(f.lists)->extra_cnt < cnt);
		l = fx_list(&f, PKI_TL_CTL, PKI_CLASS_79XX);
		CU_ASSERT(extra != NULL && pki_tl_find(l.tl, extra, -1) == NULL);
		fx_list_free(&l);
		X509_free(extra);
	}
	free(theirs);
	free(file);
	free(itl);
	X509_free(cert);
	EVP_PKEY_free(key);
	fx_down(&f);
}

/* --- records --- */

static void test_records(void)
{
	struct cp_ctl_rec r, s;
	struct cp_buf b;

	fx_up(&f);
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ctl_rec_build(cp_lists_ctl(f.lists), &b), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ctl_rec_parse(b.data, b.len, &r), 0);
	CU_ASSERT_EQUAL(r.token_cnt, 2);
	CU_ASSERT_EQUAL(r.file_cnt, 2);
	cp_ctl_rec_free(&r);
	cp_ctl_rec_free(&r);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, b.data, n);
		if (cp_ctl_rec_parse(cut, n, &s) == 0) /* between two fields it is a shorter record */
			cp_ctl_rec_free(&s);
		free(cut);
	}
	/* a mode there is not; a record that is not one: fail closed, and recreate */
	free(b.data);
	{
		struct cp_batch *batch = cp_batch_create();

		cp_batch_put(batch, CP_CF_CTL, CP_CTL_KEY, 3, "\x01\x02\xff", 3);
		CU_ASSERT_EQUAL(cp_store_commit(f.store, batch), 0);
	}
	fx_close(&f);
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(f.alarms, "trust-list-unreadable", "ctl"));
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), -EBADMSG);
	CU_ASSERT(says("You must recreate the CTL File."));
	CU_ASSERT_EQUAL(fx_change(&f, MIXED, -1), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "trust-list-unreadable", "ctl"));
	fx_down(&f);
}

/* --- the operations as JSON --- */

static json_t *answer;

static void on_answer(void *ctx, int rc, const char *why, json_t *result)
{
	(void)ctx;
	f.rc = rc;
	snprintf(f.text, sizeof(f.text), "%s", why != NULL ? why : "");
	json_decref(answer);
	answer = result;
	f.done = 1;
}

static uint64_t session; /* of who asks */
static const char *cert;

static int op(const char *name, const char *who, json_t *args)
{
	struct cp_ctl_asker by = {.who = who, .local = strcmp(who, "uid 0") == 0, .session = session, .cert = cert};

	f.done = 0;
	if (!cp_ctlcmd_run(cp_lists_cmd(f.lists), name, args, &by, on_answer, NULL))
		f.rc = -ENOSYS;
	else if (!wait_for(f.base, &f.done))
		f.rc = -ETIMEDOUT;
	json_decref(args);
	return f.rc;
}

static void test_ops(void)
{
	fx_up(&f);
	CU_ASSERT_EQUAL(op("nothing", "a", json_object()), -ENOSYS);
	CU_ASSERT_EQUAL(op("read", "a", json_object()), -ENOENT);
	CU_ASSERT(says("No CTL File."));
	CU_ASSERT_EQUAL(op("change", "a", json_pack("{s:s}", "mode", "sideways")), -EINVAL);
	CU_ASSERT_EQUAL(op("change", "a", json_pack("{s:s,s:i}", "mode", "mixed", "more", 1)), -EINVAL);
	CU_ASSERT(says("more"));
	/* one writer at a time (004a:CTL-18) */
	CU_ASSERT_EQUAL(op("lease", "alice", json_pack("{s:s}", "action", "take")), 0);
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "take")), -EBUSY);
	CU_ASSERT(says("alice"));
	CU_ASSERT_EQUAL(op("change", "bob", json_pack("{s:s}", "mode", "mixed")), -EBUSY);
	CU_ASSERT_EQUAL(op("version", "bob", json_object()), 0); /* reading goes on */
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "break")), -EACCES);
	CU_ASSERT_EQUAL(op("change", "alice", json_pack("{s:s}", "mode", "mixed")), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(answer, "mode")), "mixed");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(answer, "servers")), 2); /* per server and class (004b:CTL-06) */
	CU_ASSERT_EQUAL(op("lease", "uid 0", json_pack("{s:s}", "action", "break")), 0);
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "take")), 0);
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "release")), 0);
	/* the lease is of a session, a name and a certificate together, not of whoever has the name */
	session = 7;
	cert = "aa";
	CU_ASSERT_EQUAL(op("lease", "alice", json_pack("{s:s}", "action", "take")), 0);
	CU_ASSERT_TRUE(cp_ctlcmd_holds(cp_lists_cmd(f.lists), 7));
	CU_ASSERT_FALSE(cp_ctlcmd_holds(cp_lists_cmd(f.lists), 8));
	session = 8;
	CU_ASSERT_EQUAL(op("change", "alice", json_pack("{s:s}", "mode", "mixed")), -EBUSY);
	CU_ASSERT(says("in another session"));
	CU_ASSERT_EQUAL(op("lease", "alice", json_pack("{s:s}", "action", "release")), -EBUSY);
	session = 7;
	cert = "bb";
	CU_ASSERT_EQUAL(op("change", "alice", json_pack("{s:s}", "mode", "mixed")), -EBUSY);
	CU_ASSERT_EQUAL(op("change", "bob", json_pack("{s:s}", "mode", "mixed")), -EBUSY);
	cert = "aa";
	CU_ASSERT_EQUAL(op("change", "alice", json_pack("{s:s}", "mode", "mixed")), 0);
	/* a session that ends takes it along */
	cp_ctlcmd_gone(cp_lists_cmd(f.lists), 8);
	CU_ASSERT_TRUE(cp_ctlcmd_holds(cp_lists_cmd(f.lists), 7));
	cp_ctlcmd_gone(cp_lists_cmd(f.lists), 7);
	session = 0;
	cert = NULL;
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "take")), 0);
	/* who calls himself as root on the appliance is called there is not he */
	CU_ASSERT_EQUAL(op("lease", "uid 0", json_pack("{s:s}", "action", "break")), 0);
	CU_ASSERT_EQUAL(op("lease", "uid 0", json_pack("{s:s}", "action", "take")), 0);
	session = 9;
	CU_ASSERT_EQUAL(op("change", "uid 0", json_pack("{s:s}", "mode", "mixed")), -EBUSY);
	session = 0;
	CU_ASSERT_EQUAL(op("lease", "uid 0", json_pack("{s:s}", "action", "release")), 0);
	CU_ASSERT_EQUAL(op("mode", "a", json_object()), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(answer, "cluster_security_mode")), 1); /* 004c:CT-24 */
	CU_ASSERT_EQUAL(op("servers", "a", json_object()), 0);
	CU_ASSERT_EQUAL(json_array_size(answer), 1);
	CU_ASSERT_EQUAL(op("read", "a", json_pack("{s:s}", "class", "79xx")), 0);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(answer, "tokens")), 2);
	CU_ASSERT_EQUAL(op("store", "a", json_pack("{s:s,s:[]}", "draft", "00", "signatures")), -ENOENT);
	CU_ASSERT_EQUAL(op("prepare", "a", json_object()), -EINVAL);
	json_decref(answer);
	answer = NULL;
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
	{"tokens elsewhere", test_remote_token},
	{"another cluster's CTL", test_import},
	{"records", test_records},
	{"operations as JSON", test_ops},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("lists", tests, up, down)
