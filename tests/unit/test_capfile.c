/* SPDX-License-Identifier: BSD-3-Clause */
/* capring.c and capfile.c: the ring between worker and writer, and the file with its limits and failures. */
/* Rows: 004c:PC-08. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <CUnit/CUnit.h>

#include "capfile.h"
#include "capring.h"
#include "pcapng.h"
#include "suite.h"

static char dir[64], path[192];

static int setup(void)
{
	signal(SIGXFSZ, SIG_IGN);
	strcpy(dir, "/tmp/capfile.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct dp_capfile_opts opts(const char *name, uint64_t max)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (struct dp_capfile_opts){.dir = dir, .name = name, .comment = "a comment", .max_bytes = max, .snap_len = 2000,
					.link_type = DP_CAPFILE_RAW_IP};
}

/* --- ring --- */

static void test_ring_order_and_wrap(void)
{
	struct dp_capring *r = dp_capring_create(1024);
	uint32_t put = 0, got = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_PTR_NULL(dp_capring_peek(r));
	CU_ASSERT_PTR_NULL(dp_capring_take(r, 257)); /* over a quarter: never */
	/* lengths that meet the end of the memory at every offset */
	while (got < 5000) {
		const struct dp_cap_rec *rec;
		struct dp_cap_rec *w;
		uint32_t len = put * 37 % 250;

		w = dp_capring_take(r, len);
		if (w != NULL) {
			CU_ASSERT_EQUAL(w->len, len);
			memset(w->data, (int)(put & 0xff), len);
			w->orig_len = put++;
			dp_capring_push(r, w);
			if (put % 3 != 0)
				continue;
		}
		rec = dp_capring_peek(r);
		CU_ASSERT_PTR_NOT_NULL_FATAL(rec);
		CU_ASSERT_EQUAL(rec->orig_len, got);
		CU_ASSERT_EQUAL(rec->len, got * 37 % 250);
		for (uint32_t i = 0; i < rec->len; i++)
			if (rec->data[i] != (uint8_t)got)
				CU_FAIL("data of another record");
		dp_capring_pop(r);
		got++;
	}
	while (dp_capring_peek(r) != NULL)
		dp_capring_pop(r), got++;
	CU_ASSERT_EQUAL(got, put);
	dp_capring_destroy(r);
	dp_capring_destroy(NULL);
}

static void test_ring_full(void)
{
	struct dp_capring *r = dp_capring_create(1024);
	const struct dp_cap_rec *rec;
	uint32_t n = 0;
	struct dp_cap_rec *w;

	while ((w = dp_capring_take(r, 100)) != NULL) {
		dp_capring_push(r, w);
		n++;
	}
	CU_ASSERT_EQUAL(n, 8); /* 128 bytes each */
	rec = dp_capring_peek(r);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rec);
	dp_capring_pop(r);
	/* what was read is wiped: it may have been speech */
	for (unsigned int i = 0; i < 128; i++)
		CU_ASSERT_EQUAL_FATAL(((const uint8_t *)rec)[i], 0);
	CU_ASSERT_PTR_NOT_NULL(dp_capring_take(r, 100));
	/* taken, not pushed: nobody sees it */
	for (n = 0; dp_capring_peek(r) != NULL; n++)
		dp_capring_pop(r);
	CU_ASSERT_EQUAL(n, 7);
	dp_capring_destroy(r);
}

static void *produce(void *arg)
{
	for (uint32_t i = 0; i < 300000;) {
		struct dp_cap_rec *w = dp_capring_take(arg, i % 200);

		if (w == NULL)
			continue;
		memset(w->data, (int)(i & 0xff), i % 200);
		w->orig_len = i++;
		dp_capring_push(arg, w);
	}
	return NULL;
}

static void test_ring_threads(void)
{
	struct dp_capring *r = dp_capring_create(4096);
	uint32_t bad = 0;
	pthread_t t;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, produce, r), 0);
	for (uint32_t i = 0; i < 300000;) {
		const struct dp_cap_rec *rec = dp_capring_peek(r);

		if (rec == NULL)
			continue;
		bad += rec->orig_len != i || rec->len != i % 200 ||
		       (rec->len > 0 && (rec->data[0] != (uint8_t)i || rec->data[rec->len - 1] != (uint8_t)i));
		dp_capring_pop(r);
		i++;
	}
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(bad, 0);
	dp_capring_destroy(r);
}

/* --- file --- */

static void test_names(void)
{
	static const char *const refused[] = {"", ".", "..", ".hidden", "a/b", "/etc/x", "../x", "a b", "a\n", "\xc3\xa4",
					      "a:b", "a%n"};
	char name[64];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct dp_capfile_opts o = opts(refused[i], 1 << 20);
		struct dp_capfile *f;

		CU_ASSERT_FALSE(dp_capfile_name_ok(refused[i]));
		CU_ASSERT_EQUAL(dp_capfile_open(&o, &f), -EINVAL);
	}
	memset(name, 'a', sizeof(name));
	name[60] = '\0';
	CU_ASSERT_FALSE(dp_capfile_name_ok(name));
	name[59] = '\0';
	CU_ASSERT_TRUE(dp_capfile_name_ok(name));
	CU_ASSERT_TRUE(dp_capfile_name_ok("leg-7.cipher_1.pcapng"));
}

static void test_blocks(void)
{
	struct dp_capfile_opts o = opts("blocks", 1 << 20);
	uint64_t pkts, bytes;
	struct dp_capfile *f;
	uint8_t data[300];

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	CU_ASSERT_EQUAL_FATAL(dp_capfile_open(&o, &f), 0);
	for (uint32_t i = 0; i < 200; i++)
		CU_ASSERT_EQUAL(dp_capfile_packet(f, 0x1122334455667788 + i, i & 1, data + i % 7, i, i + 5), 0);
	CU_ASSERT_EQUAL(dp_capfile_close(f, 1, 3, &pkts, &bytes), 0);
	CU_ASSERT_EQUAL(pkts, 200);
	pcapng_read(path);
	CU_ASSERT_EQUAL(bytes, pcapng.size);
	CU_ASSERT_EQUAL(pcapng.n, 200);
	CU_ASSERT_EQUAL(pcapng.link, 101);
	CU_ASSERT_EQUAL(pcapng.snap, 2000);
	CU_ASSERT_TRUE(pcapng.ended);
	CU_ASSERT_EQUAL(pcapng.recv, 203);
	CU_ASSERT_EQUAL(pcapng.drop, 3);
	for (uint32_t i = 0; i < 200; i++) {
		const struct pcapng_pkt *p = &pcapng.pkt[i];

		CU_ASSERT_EQUAL(p->ns, 0x1122334455667788 + i);
		CU_ASSERT_EQUAL(p->len, i);
		CU_ASSERT_EQUAL(p->orig_len, i + 5);
		CU_ASSERT_EQUAL(p->flags, (i & 1) == DP_DIR_RECV ? 1 : 2); /* inbound, outbound */
		CU_ASSERT_EQUAL(memcmp(p->data, data + i % 7, i), 0);
	}
}

/* PC-08: a file stops at its size, and never gets larger. */
static void test_size_limit(void)
{
	uint8_t data[200] = {0};

	for (uint64_t max = DP_CAPFILE_MIN; max < DP_CAPFILE_MIN + 300; max += 7) {
		struct dp_capfile_opts o = opts("limit", max);
		uint64_t pkts, bytes;
		struct dp_capfile *f;
		uint32_t n = 0;
		int rc;

		CU_ASSERT_EQUAL_FATAL(dp_capfile_open(&o, &f), 0);
		while ((rc = dp_capfile_packet(f, n, DP_DIR_RECV, data, sizeof(data), sizeof(data))) == 0)
			n++;
		CU_ASSERT_EQUAL(rc, -EFBIG);
		CU_ASSERT_EQUAL(dp_capfile_close(f, 0, 0, &pkts, &bytes), 0);
		CU_ASSERT_EQUAL(pkts, n);
		pcapng_read(path);
		CU_ASSERT_TRUE(pcapng.size <= max);
		CU_ASSERT_TRUE(pcapng.size + 300 > max); /* and not much less either */
		CU_ASSERT_EQUAL(pcapng.n, n);
		CU_ASSERT_TRUE(pcapng.ended);
		CU_ASSERT_EQUAL(unlink(path), 0);
	}
	struct dp_capfile_opts o = opts("small", DP_CAPFILE_MIN - 1);
	struct dp_capfile *f;

	CU_ASSERT_EQUAL(dp_capfile_open(&o, &f), -EINVAL);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

static void test_never_over_something(void)
{
	struct dp_capfile_opts o = opts("there", 1 << 20);
	struct dp_capfile *f;
	char target[128], link[128];
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	CU_ASSERT_EQUAL(write(fd, "precious", 8), 8);
	close(fd);
	CU_ASSERT_EQUAL(dp_capfile_open(&o, &f), -EEXIST);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_size, 8);
	/* a link, to a file or to nothing, is not followed */
	snprintf(target, sizeof(target), "%s/target", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	CU_ASSERT_EQUAL(symlink(target, link), 0);
	o = opts("link", 1 << 20);
	CU_ASSERT_EQUAL(dp_capfile_open(&o, &f), -EEXIST);
	CU_ASSERT_NOT_EQUAL(access(target, F_OK), 0);
	/* a directory that others may write to, one that is a link, one that is a file */
	o.name = "x";
	CU_ASSERT_EQUAL(mkdir(target, 0700), 0);
	CU_ASSERT_EQUAL(chmod(target, 0770), 0);
	o.dir = target;
	CU_ASSERT_EQUAL(dp_capfile_open(&o, &f), -EACCES);
	CU_ASSERT_EQUAL(chmod(target, 0750), 0);
	o.dir = link;
	CU_ASSERT_TRUE(dp_capfile_open(&o, &f) < 0);
	snprintf(path, sizeof(path), "%s/there", dir);
	o.dir = path;
	CU_ASSERT_TRUE(dp_capfile_open(&o, &f) < 0);
	/* an absent one is made, for nobody else */
	char made[128];
	uint64_t a, b;

	snprintf(made, sizeof(made), "%s/made", dir);
	o.dir = made;
	umask(0);
	CU_ASSERT_EQUAL_FATAL(dp_capfile_open(&o, &f), 0);
	umask(022);
	CU_ASSERT_EQUAL(stat(made, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
	CU_ASSERT_EQUAL(dp_capfile_close(f, 0, 0, &a, &b), 0);
	snprintf(path, sizeof(path), "%s/x", made);
	pcapng_read(path); /* 0600 with any umask; empty but valid */
	CU_ASSERT_EQUAL(pcapng.n, 0);
}

/* The disk takes no more in the middle of a block: at any byte, the file is whole blocks, and the numbers are true. */
static void test_no_space(void)
{
	for (rlim_t limit = 4200; limit < 4500; limit++) {
		struct rlimit old, cut = {limit, RLIM_INFINITY};
		struct dp_capfile_opts o = opts("nospace", 1 << 20);
		uint64_t pkts = 0, bytes = 0;
		struct dp_capfile *f;
		uint8_t data[100];
		int rc = 0, end;

		memset(data, 0xaa, sizeof(data));
		CU_ASSERT_EQUAL_FATAL(dp_capfile_open(&o, &f), 0);
		getrlimit(RLIMIT_FSIZE, &old);
		cut.rlim_max = old.rlim_max;
		CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &cut), 0);
		for (unsigned int i = 0; i < 1000 && rc == 0; i++) {
			rc = dp_capfile_packet(f, i, DP_DIR_SEND, data, sizeof(data), 1500);
			if (rc == 0 && i % 9 == 8)
				rc = dp_capfile_flush(f);
		}
		CU_ASSERT_EQUAL(rc, -ENOSPC);
		CU_ASSERT_EQUAL(dp_capfile_packet(f, 0, DP_DIR_SEND, data, 1, 1), -ENOSPC); /* it stays so */
		end = dp_capfile_close(f, 0, 0, &pkts, &bytes);
		setrlimit(RLIMIT_FSIZE, &old);
		CU_ASSERT_EQUAL(end, -ENOSPC);
		pcapng_read(path);
		CU_ASSERT_EQUAL(pcapng.n, pkts);
		CU_ASSERT_EQUAL(pcapng.size, bytes);
		CU_ASSERT_TRUE(pkts > 20 && pkts < 40);
		CU_ASSERT_FALSE(pcapng.ended);
		CU_ASSERT_EQUAL(unlink(path), 0);
	}
	/* not even the head */
	struct rlimit old, cut = {10, RLIM_INFINITY};
	struct dp_capfile_opts o = opts("nohead", 1 << 20);
	struct dp_capfile *f;
	int rc;

	getrlimit(RLIMIT_FSIZE, &old);
	cut.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &cut);
	rc = dp_capfile_open(&o, &f);
	setrlimit(RLIMIT_FSIZE, &old);
	CU_ASSERT_EQUAL(rc, -ENOSPC);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

static CU_TestInfo tests[] = {
	{"ring: order and wrap, at every length", test_ring_order_and_wrap},
	{"ring: full, and wiped behind the reader", test_ring_full},
	{"ring: two threads", test_ring_threads},
	{"names stay in the directory", test_names},
	{"blocks as the format wants them", test_blocks},
	{"a file stops at its size", test_size_limit},
	{"never over something that is there", test_never_over_something},
	{"a full disk leaves whole blocks", test_no_space},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capfile", tests, setup, teardown)
