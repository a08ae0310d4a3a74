/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust ledger on a store: what is heard is written in few batches, survives, is let go, and what may not be written
 * comes again. What a change means for it is test_trustdrill.c's; a few counts that it does not reach are here.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/sha.h>

#include "admin/admin.h"
#include "store/fields.h"
#include "trust/ledger.h"
#include "trust/world.h"
#include "trust_fix.h"

static struct event_base *base;
static struct cp_store *store;
static struct cp_ledger *ledger;
static int64_t clock_us;
static struct cp_tm_world world_now;
static bool world_there;
static X509 *cert_tftp, *cert_tvs, *cert_tftp2;
static struct cp_buf list[4]; /* generations of an ITL */
static uint8_t sha[4][32];

static int64_t fake_now(void *ctx)
{
	(void)ctx;
	return clock_us;
}

static int fake_world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	(void)ctx;
	*ret = world_now;
	ret->modern = cls == PKI_CLASS_MODERN;
	return world_there ? 0 : -EAGAIN;
}

static void open_all(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base, .no_sync = true};
	struct cp_ledger_env env = {.base = base, .world = fake_world, .now_us = fake_now};
	char err[200];

	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	env.store = store;
	CU_ASSERT_EQUAL_FATAL(cp_ledger_create_env(&env, &ledger), 0);
}

static void close_all(void)
{
	cp_ledger_stop(ledger);
	cp_store_close(store);
	cp_ledger_destroy(ledger);
	ledger = NULL;
	store = NULL;
}

static void settle(void)
{
	struct cp_ledger_stats st;

	for (int i = 0; i < 3000; i++) {
		struct timeval tv = {0, 5000};

		cp_ledger_stats(ledger, &st);
		if (st.idle)
			return;
		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	CU_FAIL("the ledger does not come to rest");
}

static void make_lists(void)
{
	struct pki_tl_entry e[3] = {{.role = PKI_TL_SAST}, {.role = PKI_TL_TFTP}, {.role = PKI_TL_TVS}};

	cert_tftp = fix_cert("TFTP", fix_key(0));
	cert_tftp2 = fix_cert("TFTP", fix_key(1));
	cert_tvs = fix_cert("TVS", fix_key(2));
	for (unsigned i = 0; i < 4; i++) {
		struct pki_tl_opts o = {.kind = PKI_TL_ITL, .cls = PKI_CLASS_MODERN, .timestamp = 1000 + i};

		e[0].cert = e[1].cert = o.signer = i < 3 ? cert_tftp : cert_tftp2;
		e[2].cert = cert_tvs;
		fix_list(&o, fix_key(i < 3 ? 0 : 1), e, 3, &list[i]);
		SHA256(list[i].data, list[i].len, sha[i]);
	}
}

static int setup(void)
{
	base = event_base_new();
	tmp_make();
	make_lists();
	clock_us = INT64_C(1700000000) * 1000000;
	return 0;
}

static int teardown(void)
{
	for (unsigned i = 0; i < 4; i++)
		OPENSSL_free(list[i].data);
	X509_free(cert_tftp);
	X509_free(cert_tftp2);
	X509_free(cert_tvs);
	fix_keys_free();
	tmp_remove();
	event_base_free(base);
	return 0;
}

static void fetched(unsigned phone, unsigned gen)
{
	char name[16];

	fix_name(phone, name);
	cp_ledger_list(ledger, name, PKI_TL_ITL, list[gen].data, list[gen].len, CP_LEDGER_FETCHED);
}

static const struct cp_ledger_rec *rec(unsigned phone)
{
	char name[16];

	fix_name(phone, name);
	return cp_ledger_find(ledger, name);
}

#define PHONES 2000

/* Two thousand phones that boot at once are a handful of synced writes; the same again none. It is there after a restart. */
static void test_storm(void)
{
	struct cp_ledger_stats st;

	open_all();
	CU_ASSERT_EQUAL_FATAL(fix_devices(store, base, 0, PHONES, ""), 0);
	for (unsigned i = 0; i < PHONES; i++)
		fetched(i, 0);
	CU_ASSERT_PTR_NOT_NULL(rec(5));
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.phones, PHONES);
	CU_ASSERT_EQUAL(st.lists, 1);
	CU_ASSERT_EQUAL(st.writes, PHONES);
	CU_ASSERT_TRUE(st.batches <= 2);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LEDGER), PHONES);
	for (unsigned i = 0; i < PHONES; i++)
		fetched(i, 0);
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.writes, PHONES);
	clock_us += CP_LEDGER_SEEN_US; /* "seen" is worth a write once an hour */
	fetched(0, 0);
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.writes, PHONES + 1);

	close_all();
	open_all();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.phones, PHONES);
	CU_ASSERT_EQUAL(st.lists, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rec(PHONES - 1));
	CU_ASSERT_TRUE(rec(PHONES - 1)->has_itl);
	CU_ASSERT_FALSE(rec(PHONES - 1)->has_ctl);
	CU_ASSERT_EQUAL(memcmp(rec(PHONES - 1)->itl, sha[0], 32), 0);
	CU_ASSERT_EQUAL(rec(PHONES - 1)->itl_how, CP_LEDGER_FETCHED);
	CU_ASSERT_EQUAL(rec(0)->seen_us, clock_us);
	close_all();
}

/* A list goes with its last phone, on disk too; one that comes back is written again. */
static void test_lists_go(void)
{
	struct cp_ledger_stats st;

	open_all();
	for (unsigned i = 0; i < PHONES; i++)
		fetched(i, 1);
	fetched(7, 0); /* one stays behind */
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.lists, 2);
	fetched(7, 2);
	fetched(8, 2);
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.lists, 2);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_TRUST), 2);
	close_all();
	open_all();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.lists, 2);
	for (unsigned i = 0; i < PHONES; i++)
		fetched(i, 0);
	settle();
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.lists, 1);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_TRUST), 1);
	close_all();
}

/* Strangers, nonsense, devices that go, phones that are reset. */
static void test_who(void)
{
	struct cp_ledger_stats st;
	struct fix_wait w = {.left = 1};
	struct cp_dir_ctx c = {.who = "test", .fn = fix_stored, .ctx = &w};
	unsigned cnt;
	char name[16];

	open_all();
	cp_ledger_stats(ledger, &st);
	cnt = st.phones;
	fetched(PHONES + 1, 0); /* no such device */
	cp_ledger_list(ledger, "../../etc", PKI_TL_ITL, list[0].data, list[0].len, CP_LEDGER_FETCHED);
	cp_ledger_list(ledger, "", PKI_TL_ITL, list[0].data, list[0].len, CP_LEDGER_FETCHED);
	fix_name(3, name);
	cp_ledger_list(ledger, name, PKI_TL_ITL, list[0].data, list[0].len / 2, CP_LEDGER_FETCHED); /* no list */
	cp_ledger_list(ledger, name, PKI_TL_CTL, list[0].data, list[0].len, CP_LEDGER_FETCHED);     /* known, as an ITL */
	cp_ledger_stats(ledger, &st);
	CU_ASSERT_EQUAL(st.phones, cnt);
	CU_ASSERT_EQUAL(memcmp(rec(3)->itl, sha[0], 32), 0);

	cp_ledger_handshake(ledger, name, cert_tftp2);
	cp_ledger_lsc(ledger, name, cert_tvs, CP_LEDGER_HANDSHAKE);
	CU_ASSERT_TRUE(rec(3)->has_ccm);
	CU_ASSERT_TRUE(rec(3)->has_lsc);
	CU_ASSERT_TRUE(rec(3)->lsc_expires_us > clock_us);
	CU_ASSERT_EQUAL(cp_ledger_forget(ledger, name), 0);
	CU_ASSERT_FALSE(rec(3)->has_itl);
	CU_ASSERT_TRUE(rec(3)->blank);
	CU_ASSERT_TRUE(rec(3)->has_lsc); /* lists and LSC are erased apart */
	CU_ASSERT_EQUAL(cp_ledger_forget(ledger, "SEPFFFFFFFFFFFF"), -ENOENT);
	settle();
	close_all();
	open_all();
	CU_ASSERT_TRUE(rec(3)->blank);
	CU_ASSERT_TRUE(rec(3)->has_ccm);
	cp_ledger_lsc(ledger, name, NULL, CP_LEDGER_CAPF);
	CU_ASSERT_FALSE(rec(3)->has_lsc);
	fetched(3, 0);
	CU_ASSERT_FALSE(rec(3)->blank);

	CU_ASSERT_EQUAL_FATAL(cp_dir_device_del(store, name, &c), 0);
	while (w.left > 0)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_PTR_NULL(rec(3));
	settle();
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LEDGER), cnt - 1);
	CU_ASSERT_EQUAL_FATAL(fix_devices(store, base, 3, 1, ""), 0);
	CU_ASSERT_PTR_NULL(rec(3)); /* another phone under that name begins anew */
	fetched(3, 0);
	CU_ASSERT_PTR_NOT_NULL(rec(3));
	close_all();
}

/* Gathered and not yet written when it stops: written. */
static void test_stop(void)
{
	open_all();
	for (unsigned i = 0; i < 100; i++)
		fetched(i, 2);
	close_all();
	open_all();
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(memcmp(rec(i)->itl, sha[2], 32), 0);
	close_all();
}

static X509 *own(void *ctx, const char *name)
{
	X509 *c = strcmp(name, "TFTP") == 0 ? cert_tftp : strcmp(name, "TVS") == 0 ? cert_tvs : NULL;

	(void)ctx;
	if (c != NULL)
		X509_up_ref(c);
	return c;
}

/* What is not known of a phone is counted apart, and against the change. */
static void test_unknown(void)
{
	struct cp_tm_source src = {.own = own, .cls = PKI_CLASS_MODERN, .with = "TFTP", .itl = list[0].data, .itl_len = list[0].len};
	struct cp_trust_ask tvs = {.change = CP_TRUST_REGEN, .subject = "TVS"}, tftp = {.change = CP_TRUST_REGEN, .subject = "TFTP"};
	struct cp_trust_ask web = {.change = CP_TRUST_REGEN, .subject = "HTTPS"};
	unsigned n = 99;
	char why[512], name[16];

	open_all();
	world_there = false;
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tvs, 0, &n, why, sizeof(why)), -EAGAIN); /* not "nobody" */
	CU_ASSERT_NOT_EQUAL(why[0], '\0');
	CU_ASSERT_EQUAL_FATAL(cp_tm_world_make(&src, &world_now), 0);
	CU_ASSERT_TRUE(world_now.itl.served);
	CU_ASSERT_EQUAL(memcmp(world_now.itl.signer, world_now.ident[CP_TM_TFTP].id, CP_TM_ID), 0);
	world_there = true;

	for (unsigned i = 0; i < PHONES; i++)
		fetched(i, 0);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, 0, &n, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tvs, 0, &n, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &web, 0, &n, why, sizeof(why)), 0); /* no phone ever sees it */

	/* TVS is new, and nobody came for the list that says so: the TFTP key is what holds all of them */
	{
		struct cp_tm_step s = {.op = CP_TM_REGEN, .ident = CP_TM_TVS};

		CU_ASSERT_EQUAL(cp_tm_apply(&world_now, &s, NULL, 0), 0);
	}
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, 0, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(n, PHONES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "2000 phones would be stranded"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "cannot take the new ITL"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "--strand 2000"));
	/* the very number, no other */
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, PHONES - 1, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, PHONES + 1, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, INT64_MAX, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, PHONES, &n, why, sizeof(why)), 0);

	/* reset by hand: it takes what it is given */
	fix_name(1, name);
	CU_ASSERT_EQUAL(cp_ledger_forget(ledger, name), 0);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, 0, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(n, PHONES - 1);
	/* a device nobody ever heard of: it holds nothing, or what is served */
	CU_ASSERT_EQUAL_FATAL(fix_devices(store, base, PHONES, 1, ""), 0);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, 0, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(n, PHONES - 1);
	/* heard of, but not what it holds: counted with the others */
	fix_name(PHONES, name);
	cp_ledger_handshake(ledger, name, cert_tftp);
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tftp, 0, &n, why, sizeof(why)), -EPERM);
	CU_ASSERT_EQUAL(n, PHONES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "1 of them of which it is not known"));
	CU_ASSERT_EQUAL(cp_ledger_allow(ledger, &tvs, 0, &n, why, sizeof(why)), 0);
	close_all();
}

/* The TFTP key made anew without its old one to lead over: list 3's. */
static X509 *own_anew(void *ctx, const char *name)
{
	if (strcmp(name, "TFTP") != 0)
		return own(ctx, name);
	X509_up_ref(cert_tftp2);
	return cert_tftp2;
}

/* A cluster that serves list 0 and nobody answers as TVS; 'n' devices that were never seen. */
static void serve_first(unsigned n)
{
	struct cp_tm_source src = {.own = own, .cls = PKI_CLASS_MODERN, .with = "TFTP", .itl = list[0].data, .itl_len = list[0].len,
				   .no_tvs = true};
	struct fix_wait w = {0};

	for (unsigned i = 0; i <= PHONES; i++) { /* what earlier tests left */
		struct cp_dir_ctx c = {.who = "test", .fn = fix_stored, .ctx = &w};
		char name[16];

		fix_name(i, name);
		w.left++;
		if (cp_dir_device_del(store, name, &c) < 0)
			w.left--;
		while (w.left > 0)
			event_base_loop(base, EVLOOP_ONCE);
	}
	settle();
	CU_ASSERT_EQUAL_FATAL(fix_devices(store, base, 0, n, ""), 0);
	CU_ASSERT_EQUAL_FATAL(cp_tm_world_make(&src, &world_now), 0);
	world_there = true;
}

static void fetched_at(unsigned phone, unsigned gen, const char *addr)
{
	struct cfg_addr from;
	char name[16];

	fix_name(phone, name);
	CU_ASSERT_EQUAL_FATAL(cfg_addr_parse(addr, &from), 0);
	cp_ledger_claim(ledger, name, PKI_TL_ITL, sha[gen], list[gen].data, list[gen].len, &from);
}

static void registers(unsigned phone, const char *addr)
{
	struct cfg_addr from;
	char name[16];

	fix_name(phone, name);
	CU_ASSERT_EQUAL_FATAL(cfg_addr_parse(addr, &from), 0);
	cp_ledger_here(ledger, name, &from);
}

static unsigned asked(enum cp_trust_change change, const char *subject, char why[512])
{
	struct cp_trust_ask a = {.change = change, .subject = subject};
	unsigned n = 0;
	int rc = cp_ledger_allow(ledger, &a, 0, &n, why, 512);

	CU_ASSERT_EQUAL(rc, n > 0 ? -EPERM : 0);
	return n;
}

/* 002:P2-34: a fetch is the phone's if it registers from there; until then it may hold the one list or the other. */
static void test_claims(void)
{
	struct cp_tm_source anew = {.own = own_anew, .cls = PKI_CLASS_MODERN, .with = "TFTP", .itl = list[3].data, .itl_len = list[3].len,
				    .no_tvs = true};
	struct cp_tm_phone p;
	char why[512], name[16];

	open_all();
	serve_first(40);
	for (unsigned i = 0; i < 40; i++)
		fetched(i, 0);
	/* the new key is led in by the old: list 2 is signed by TFTP as list 0 is, and stands for it */
	fetched_at(0, 2, "10.0.0.1");
	CU_ASSERT_EQUAL(memcmp(rec(0)->itl, sha[0], 32), 0);
	CU_ASSERT_EQUAL(rec(0)->claim_cnt, 1);
	registers(0, "10.0.0.2:49152"); /* that is somewhere else */
	CU_ASSERT_EQUAL(rec(0)->claim_cnt, 1);
	registers(0, "10.0.0.1:49152");
	CU_ASSERT_EQUAL(rec(0)->claim_cnt, 0);
	CU_ASSERT_EQUAL(memcmp(rec(0)->itl, sha[2], 32), 0);
	CU_ASSERT_EQUAL(rec(0)->doubt, 0);
	/* too late: somebody else may have had that address since */
	fetched_at(1, 2, "10.0.0.1");
	clock_us += CP_LEDGER_PROOF_US + 1;
	registers(1, "10.0.0.1");
	CU_ASSERT_EQUAL(rec(1)->claim_cnt, 1);
	fetched_at(1, 2, "10.0.0.1"); /* its next boot mends that */
	registers(1, "10.0.0.1");
	CU_ASSERT_EQUAL(rec(1)->claim_cnt, 0);
	CU_ASSERT_EQUAL(memcmp(rec(1)->itl, sha[2], 32), 0);
	/* what it holds is no claim */
	fetched_at(1, 2, "10.0.0.1");
	CU_ASSERT_EQUAL(rec(1)->claim_cnt, 0);
	/* of nothing but claims: the last, or nothing at all; after a restart as well */
	fix_name(2, name);
	CU_ASSERT_EQUAL_FATAL(cp_ledger_forget(ledger, name), 0);
	fetched_at(2, 0, "10.0.0.3");
	fetched_at(2, 2, "10.0.0.3");
	fetched_at(2, 1, "10.9.9.9");
	CU_ASSERT_EQUAL(rec(2)->claim_cnt, 2);
	settle();
	close_all();
	open_all();
	CU_ASSERT_EQUAL_FATAL(rec(2)->claim_cnt, 2);
	CU_ASSERT_EQUAL(memcmp(rec(2)->claim[0].itl, sha[2], 32), 0);
	CU_ASSERT_EQUAL(memcmp(rec(2)->claim[1].itl, sha[1], 32), 0);
	CU_ASSERT_EQUAL(rec(2)->claim[1].from.ip[3], 9);
	registers(2, "10.0.0.3");
	CU_ASSERT_EQUAL(memcmp(rec(2)->itl, sha[2], 32), 0);
	CU_ASSERT_EQUAL(rec(2)->claim_cnt, 0); /* what the other one fetched is idle now */
	/* an operator knows: it was the phone */
	CU_ASSERT_EQUAL(cp_ledger_confirm(ledger, name), -ENOENT);
	fetched_at(2, 0, "10.9.9.9");
	CU_ASSERT_EQUAL(cp_ledger_confirm(ledger, name), 0);
	CU_ASSERT_EQUAL(memcmp(rec(2)->itl, sha[0], 32), 0);
	CU_ASSERT_EQUAL(rec(2)->itl_how, CP_LEDGER_IMPORTED);
	/* more places than are kept: what it may hold is not known any more */
	for (unsigned i = 0; i < 4; i++) {
		static const char *const at[] = {"10.9.9.1", "10.9.9.2", "2001:db8::1", "2001:db8::2"};

		clock_us++;
		fetched_at(2, i == 0 ? 1 : 2, at[i]);
	}
	CU_ASSERT_EQUAL(rec(2)->claim_cnt, CP_LEDGER_CLAIMS);
	CU_ASSERT_TRUE(rec(2)->vague);
	CU_ASSERT_TRUE(cp_ledger_holds(ledger, name, &p));

	/* Who may hold list 0 is stranded by what strands its holders: forty; who may also hold list 3 by what strands those. */
	serve_first(40);
	for (unsigned i = 0; i < 40; i++)
		fetched(i, 0);
	fetched_at(3, 3, "10.0.0.4");
	fetched_at(4, 3, "10.0.0.5");
	CU_ASSERT_EQUAL(asked(CP_TRUST_REGEN, "TVS", why), 0);
	CU_ASSERT_EQUAL(asked(CP_TRUST_REGEN, "TFTP", why), 40);
	CU_ASSERT_PTR_NULL(strstr(why, "if a list"));
	CU_ASSERT_EQUAL_FATAL(cp_tm_world_make(&anew, &world_now), 0);
	CU_ASSERT_EQUAL(asked(CP_TRUST_REGEN, "TFTP", why), 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "2 of them if a list that was fetched in their name"));
	close_all();
}

/* 002:P2-37: a phone that fetches what it must refuse holds what it held. It counts as lost, and is told apart. */
static void test_doubt(void)
{
	struct cp_tm_source src = {.own = own_anew, .cls = PKI_CLASS_MODERN, .with = "TFTP", .itl = list[3].data, .itl_len = list[3].len,
				   .no_tvs = true};
	char why[512], name[16];

	open_all();
	serve_first(10);
	for (unsigned i = 0; i < 10; i++)
		fetched(i, 0);
	CU_ASSERT_EQUAL_FATAL(cp_tm_world_make(&src, &world_now), 0); /* list 3, of another key, is served: --strand 10 was said */
	for (unsigned i = 0; i < 3; i++)
		fetched(i, 3);
	fix_name(9, name);
	CU_ASSERT_EQUAL_FATAL(cp_ledger_forget(ledger, name), 0); /* reset by hand: it takes it */
	fetched(9, 3);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(memcmp(rec(i)->itl, sha[0], 32), 0);
		CU_ASSERT_EQUAL(rec(i)->doubt, CP_LEDGER_DOUBT_ITL);
	}
	CU_ASSERT_EQUAL(memcmp(rec(9)->itl, sha[3], 32), 0);
	settle();
	close_all();
	open_all(); /* it stays */
	CU_ASSERT_EQUAL(rec(0)->doubt, CP_LEDGER_DOUBT_ITL);
	CU_ASSERT_EQUAL_FATAL(rec(0)->claim_cnt, 1);
	fetched(0, 3); /* again: nothing new */
	CU_ASSERT_EQUAL(rec(0)->claim_cnt, 1);
	/* what strands who took list 3 strands them if they did: 1 does hold it, 3 may */
	CU_ASSERT_EQUAL(asked(CP_TRUST_REGEN, "TFTP", why), 4);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "3 of them if they took a list that they should have refused"));
	/* a list that it takes: no doubt any more. Its reset, or an operator who saw it, end it too */
	fetched(0, 1);
	CU_ASSERT_EQUAL(rec(0)->doubt, 0);
	CU_ASSERT_EQUAL(memcmp(rec(0)->itl, sha[1], 32), 0);
	fix_name(1, name);
	CU_ASSERT_EQUAL(cp_ledger_forget(ledger, name), 0);
	CU_ASSERT_EQUAL(rec(1)->doubt, 0);
	CU_ASSERT_EQUAL(rec(1)->claim_cnt, 0);
	fix_name(2, name);
	CU_ASSERT_EQUAL(cp_ledger_confirm(ledger, name), 0);
	CU_ASSERT_EQUAL(rec(2)->doubt, 0);
	CU_ASSERT_EQUAL(memcmp(rec(2)->itl, sha[3], 32), 0);
	close_all();
}

/* It believed our CallManager, and only the list that it should have refused names that one: it took it. */
static void test_handshake(void)
{
	struct pki_tl_entry e[4] = {{.role = PKI_TL_SAST}, {.role = PKI_TL_TFTP}, {.role = PKI_TL_CCM}};
	struct pki_tl_opts o = {.kind = PKI_TL_ITL, .cls = PKI_CLASS_MODERN, .timestamp = 2000};
	struct cp_buf b;
	char name[16];

	open_all();
	serve_first(2);
	e[0].cert = e[1].cert = o.signer = cert_tftp2;
	e[2].cert = cert_tvs; /* stands for CallManager's */
	fix_list(&o, fix_key(1), e, 3, &b);
	fetched(0, 0);
	fix_name(0, name);
	cp_ledger_list(ledger, name, PKI_TL_ITL, b.data, b.len, CP_LEDGER_FETCHED);
	CU_ASSERT_EQUAL(rec(0)->doubt, CP_LEDGER_DOUBT_ITL);
	cp_ledger_handshake(ledger, name, cert_tftp); /* neither names that one in the role */
	CU_ASSERT_EQUAL(rec(0)->doubt, CP_LEDGER_DOUBT_ITL);
	cp_ledger_handshake(ledger, name, cert_tvs);
	CU_ASSERT_EQUAL(rec(0)->doubt, 0);
	CU_ASSERT_EQUAL(rec(0)->itl_how, CP_LEDGER_HANDSHAKE);
	CU_ASSERT_NOT_EQUAL(memcmp(rec(0)->itl, sha[0], 32), 0);
	OPENSSL_free(b.data);
	close_all();
}

static void test_records(void)
{
	struct cp_ledger_rec a = {.device = "SEP0A1B2C3D4E51", .has_itl = true, .itl_how = CP_LEDGER_FETCHED, .itl_us = 5, .seen_us = 9,
				  .has_lsc = true, .lsc_us = 1, .lsc_expires_us = 2}, b;
	struct cp_ledger_file f = {.kind = PKI_TL_ITL, .first_us = 77, .file = {list[0].data, list[0].len}}, g;
	struct cp_buf buf, again;

	memset(a.itl, 0xab, sizeof(a.itl));
	memset(a.lsc, 0xcd, sizeof(a.lsc));
	CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_build(&a, &buf), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_parse(buf.data, buf.len, &b), 0);
	CU_ASSERT_EQUAL(memcmp(&a, &b, offsetof(struct cp_ledger_rec, unknown)), 0);
	CU_ASSERT_EQUAL(cp_ledger_rec_build(&b, &again), 0);
	CU_ASSERT_EQUAL(again.len, buf.len);
	CU_ASSERT_EQUAL(memcmp(again.data, buf.data, buf.len), 0);
	cp_ledger_rec_free(&b);
	free(again.data);
	for (size_t n = 0; n < buf.len; n++) { /* a cut record is none, or one with fewer fields, never more */
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, buf.data, n);
		if (cp_ledger_rec_parse(cut, n, &b) == 0) {
			CU_ASSERT_STRING_EQUAL(b.device, a.device);
			cp_ledger_rec_free(&b);
		}
		free(cut);
	}
	free(buf.data);
	{ /* of before there were claims: read as what it says */
		static const uint8_t old[] = {1,   CP_KIND_LEDGER, 0, 1, 0, 0, 0, 15, 'S', 'E', 'P', '0', 'A', '1', 'B', '2', 'C',
					      '3', 'D', '4', 'E', '5', '1', 0, 14, 0, 0, 0, 1, 1};

		CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_parse(old, sizeof(old), &b), 0);
		CU_ASSERT_TRUE(b.blank);
		CU_ASSERT_EQUAL(b.doubt, 0);
		CU_ASSERT_EQUAL(b.claim_cnt, 0);
		cp_ledger_rec_free(&b);
	}
	{
		struct cp_ledger_claim c[2] = {{.from = {.family = 4, .plen = 32, .ip = {10, 1, 2, 3}}, .has_itl = true, .us = 8},
					       {.has_ctl = true, .has_itl = true, .us = 7}};
		struct cp_ledger_rec d = a;

		memset(c[0].itl, 1, 32);
		memset(c[1].itl, 2, 32);
		memset(c[1].ctl, 3, 32);
		d.claim = c;
		d.claim_cnt = 2;
		d.doubt = CP_LEDGER_DOUBT_CTL;
		d.vague = true;
		CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_build(&d, &buf), 0);
		CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_parse(buf.data, buf.len, &b), 0);
		CU_ASSERT_EQUAL(memcmp(&d, &b, offsetof(struct cp_ledger_rec, unknown)), 0);
		CU_ASSERT_EQUAL_FATAL(b.claim_cnt, 2);
		CU_ASSERT_EQUAL(memcmp(b.claim, c, sizeof(c)), 0);
		cp_ledger_rec_free(&b);
		for (size_t n = 0; n < buf.len; n++)
			if (cp_ledger_rec_parse(buf.data, n, &b) == 0)
				cp_ledger_rec_free(&b);
		free(buf.data);
		c[0].has_itl = false; /* a claim of nothing */
		CU_ASSERT_EQUAL(cp_ledger_rec_build(&d, &buf), -EINVAL);
		c[0].has_itl = true;
		d.claim_cnt = CP_LEDGER_CLAIMS + 1;
		CU_ASSERT_EQUAL(cp_ledger_rec_build(&d, &buf), -EINVAL);
		d.claim_cnt = 2;
		d.doubt = 4;
		CU_ASSERT_EQUAL(cp_ledger_rec_build(&d, &buf), -EINVAL);
	}
	a.blank = true; /* and yet a list */
	CU_ASSERT_EQUAL(cp_ledger_rec_build(&a, &buf), -EINVAL);
	a.blank = false;
	strcpy(a.device, "phone");
	CU_ASSERT_EQUAL(cp_ledger_rec_build(&a, &buf), -EINVAL);

	CU_ASSERT_EQUAL_FATAL(cp_ledger_file_build(&f, &buf), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ledger_file_parse(buf.data, buf.len, &g), 0);
	CU_ASSERT_EQUAL(g.file.len, f.file.len);
	CU_ASSERT_EQUAL(g.first_us, 77);
	cp_ledger_file_free(&g);
	for (size_t n = 0; n < buf.len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, buf.data, n);
		CU_ASSERT_NOT_EQUAL(cp_ledger_file_parse(cut, n, &g), 0);
		free(cut);
	}
	free(buf.data);
	f.kind = 9;
	CU_ASSERT_EQUAL(cp_ledger_file_build(&f, &buf), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"records", test_records},
	{"phones that boot together", test_storm},
	{"lists go with their last phone", test_lists_go},
	{"strangers, removals, resets", test_who},
	{"stopping writes what waits", test_stop},
	{"what is not known counts", test_unknown},
	{"a fetch that nobody can be sure of", test_claims},
	{"a fetch that was refused", test_doubt},
	{"a handshake says what it took", test_handshake},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("trust ledger", tests, setup, teardown)
