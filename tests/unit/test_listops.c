/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on trust lists from elsewhere: tokens on another machine, another cluster's CTL, the operations as JSON; and the lists' records.
 * Rows: 004a:CTL-18; 004b:CTL-06; 004c:CR-03, CR-05, CT-24.
 */
#include "suite.h"

#include "lists_fix.h"

static struct fx f;

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
	CU_ASSERT(fx_says(&f, "Could not verify Message."));
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT(store_sigs(d, fx_key(2), false, 2) < 0);
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	CU_ASSERT(store_sigs(d, fx_key(2), true, 1) < 0);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	/* what was prepared names a certificate that is no longer ours */
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	fx_regen(&f, "CallManager");
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(2), false, 0), -ESTALE);
	CU_ASSERT(fx_says(&f, "a certificate of ours was changed meanwhile"));
	/* phones that came between prepare and store count too */
	CU_ASSERT_EQUAL_FATAL(cp_lists_ctl_prepare(f.lists, &ch, -1, &d, &stranded, why, sizeof(why)), 0);
	f.allow_rc = -EPERM;
	CU_ASSERT_EQUAL(store_sigs(d, fx_key(2), false, 0), -EPERM);
	CU_ASSERT(fx_says(&f, "7 phones would be stranded"));
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
	CU_ASSERT(fx_says(&f, "sign with one of them where its key is"));
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
	CU_ASSERT(fx_says(&f, "7 phones would be stranded"));
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
	CU_ASSERT(fx_says(&f, "The CTL File signature is invalid or the CTL File is corrupt."));
	file[len - 1] ^= 1;
	CU_ASSERT_EQUAL(import(file, len - 1), -EBADMSG);
	CU_ASSERT_EQUAL(import(file, len), 0);
	CU_ASSERT(fx_says(&f, "Next: make our CTL"));
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
	CU_ASSERT(fx_says(&f, "You must recreate the CTL File."));
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
	CU_ASSERT(fx_says(&f, "No CTL File."));
	CU_ASSERT_EQUAL(op("change", "a", json_pack("{s:s}", "mode", "sideways")), -EINVAL);
	CU_ASSERT_EQUAL(op("change", "a", json_pack("{s:s,s:i}", "mode", "mixed", "more", 1)), -EINVAL);
	CU_ASSERT(fx_says(&f, "more"));
	/* one writer at a time (004a:CTL-18) */
	CU_ASSERT_EQUAL(op("lease", "alice", json_pack("{s:s}", "action", "take")), 0);
	CU_ASSERT_EQUAL(op("lease", "bob", json_pack("{s:s}", "action", "take")), -EBUSY);
	CU_ASSERT(fx_says(&f, "alice"));
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
	CU_ASSERT(fx_says(&f, "in another session"));
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
	{"tokens elsewhere", test_remote_token},
	{"another cluster's CTL", test_import},
	{"records", test_records},
	{"operations as JSON", test_ops},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("listops", tests, NULL, fx_keys_free)
