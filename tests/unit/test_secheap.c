/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/secheap.c: a heap for as many connections as may be, all of it locked, or the part that may be; and that a TLS 1.3
 * connection of ours needs no more of it than was reckoned. Each case in a process of its own, as the heap is for ever.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <CUnit/CUnit.h>

#include "log.h"
#include "net/net.h"
#include "sccp/msg.h"
#include "secheap.h"
#include "tls_peer.h"

static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* So much may be locked, by root, too. */
static int may_lock(size_t bytes)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	struct rlimit lim = {bytes, bytes};

	return setrlimit(RLIMIT_MEMLOCK, &lim) == 0 && syscall(SYS_capset, &head, none) == 0 ? 0 : -1;
}

/* How many blocks as a connection's there are. */
static unsigned blocks(void)
{
	unsigned n = 0;

	while (OPENSSL_secure_malloc(CP_SECHEAP_EACH) != NULL)
		n++;
	return n;
}

static int all_of_it(void)
{
	uint32_t conns = 0;

	if (cp_secheap_init(30000, &conns) != 0 || conns != 30000)
		return 1;
	return blocks() >= 30000 + CP_SECHEAP_MIN / 2 / CP_SECHEAP_EACH ? 0 : 2;
}

static int a_part(void)
{
	uint32_t conns = 0;

	if (may_lock((2 << 20) + 65536) != 0)
		return 1;
	if (cp_secheap_init(60000, &conns) != 0 || conns != CP_SECHEAP_MIN / CP_SECHEAP_EACH)
		return 2;
	return blocks() >= conns ? 0 : 3;
}

static int nothing_locked(void)
{
	uint32_t conns = 0;

	if (may_lock(4096) != 0)
		return 1;
	if (cp_secheap_init(60000, &conns) != -ENOMEM || conns != 60000)
		return 2;
	return blocks() >= conns ? 0 : 3;
}

static void test_sizes(void)
{
	CU_ASSERT_EQUAL(in_child(all_of_it), 0);
	CU_ASSERT_EQUAL(in_child(a_part), 0);
	CU_ASSERT_EQUAL(in_child(nothing_locked), 0);
}

/* --- what a connection keeps --- */

#define CONNS 200

static void *opened(void *ctx, struct cp_conn *conn)
{
	(void)ctx;
	cp_conn_authed(conn);
	return conn;
}

static void frame(void *user, const uint8_t *msg, size_t len)
{
	(void)user, (void)msg, (void)len;
}

static void closed(void *user, enum cp_close why)
{
	(void)user, (void)why;
}

/* The other ends, in a process of their own: they have ephemeral keys, too. */
static void clients(uint16_t port, const struct tp_id *phone)
{
	static struct tp_client c[CONNS];
	struct event_base *base = event_base_new();

	for (unsigned i = 0; i < CONNS; i++) {
		tp_open(&c[i], base, port, TLS1_3_VERSION, phone);
		TP_PUMP(base, c[i].connected, 3000);
	}
	TP_RUN(base, 60000);
	_exit(0);
}

static int per_connection(void)
{
	static const struct cp_net_ops ops = {
		.frame_max = CP_SCCP_FRAME_MAX, .frame_len = cp_sccp_frame_len, .opened = opened, .frame = frame, .closed = closed, .server_first = true};
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	const struct cp_net_opts opts = {.max_conns = 2 * CONNS, .max_preauth = 2 * CONNS, .max_source = 2 * CONNS, .handshake_ms = 60000};
	struct cfg_addr any = {.family = 4, .plen = 32};
	struct event_base *base = event_base_new();
	struct tp_id ca, server, phone;
	STACK_OF(X509) *trust = sk_X509_new_null();
	size_t before, each;
	struct cp_net *net;
	struct cp_tls *tls;
	uint32_t conns;
	uint16_t port;
	char err[200];
	pid_t pid;

	memcpy(any.ip, loopback, 4);
	if (cp_secheap_init(CONNS, &conns) != 0)
		return 1;
	ca = tp_issue("CA", NULL, -1000, 100000);
	server = tp_issue("cm1", &ca, -1000, 100000);
	phone = tp_issue("SEP0A1B2C3D4E51", &ca, -1000, 100000);
	sk_X509_push(trust, ca.cert);
	if (cp_tls_create(CP_TLS_MODERN, false, &tls) != 0 ||
	    cp_tls_load(tls, &(struct cp_tls_identity){server.key, server.cert, NULL, trust}, err, sizeof(err)) != 0 ||
	    cp_net_create(base, &opts, &net) != 0 || cp_net_listen(net, &any, tls, &ops, NULL, &port) != 0)
		return 2;
	before = CRYPTO_secure_used();
	pid = fork();
	if (pid == 0)
		clients(port, &phone);
	TP_PUMP(base, cp_net_stats(net)->handshakes == CONNS, 20000);
	if (cp_net_stats(net)->handshakes != CONNS || cp_net_stats(net)->conns != CONNS)
		return 3;
	each = (CRYPTO_secure_used() - before + CONNS - 1) / CONNS;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fprintf(stderr, "a TLS 1.3 connection keeps %zu bytes of the secure heap\n", each);
	return each <= CP_SECHEAP_EACH ? 0 : 4;
}

static void test_per_connection(void)
{
	CU_ASSERT_EQUAL(in_child(per_connection), 0);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

static CU_TestInfo tests[] = {
	{"as large as it must be, or may be", test_sizes},
	{"what a connection keeps of it", test_per_connection},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("secheap", tests, setup, NULL)
