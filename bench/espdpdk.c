/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* session pools, whose API DPDK 22.11 has not called stable yet */
#include "espdpdk.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cryptodev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ipsec.h>
#include <rte_mbuf.h>

#include "dp_esp.h"

#define IV_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))
#define BURST     64
#define DATA_ROOM (BENCH_ESPD_HEAD + 2304)
#define MEMORY_MB "448"

struct sa {
	struct rte_ipsec_session ses[2]; /* through the queue, on the CPU */
	void *mem;
};

static struct {
	struct rte_mempool *pool, *ops, *sessions[2]; /* of GCM's device, of the other's */
	struct rte_mbuf **m;
	struct rte_crypto_op **op;
	uint8_t **data;
	unsigned int pkts, sas;
	uint8_t gcm, mb; /* devices */
	bool have_gcm, have_mb;
	struct sa *sa[2]; /* outbound, inbound */
} d;

/* Sessions as dense as the device has them: a size of ours would put all into the same sets of the cache. */
static int device(const char *name, struct rte_mempool **ret_sessions, uint8_t *ret_id)
{
	struct rte_cryptodev_config cfg = {.nb_queue_pairs = 1, .ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY};
	struct rte_cryptodev_qp_conf qp = {.nb_descriptors = 2048};
	int id;

	if (rte_vdev_init(name, NULL) < 0 || (id = rte_cryptodev_get_dev_id(name)) < 0)
		return -1;
	*ret_sessions = rte_cryptodev_sym_session_pool_create(name, 4 * BENCH_ESPD_SAS + 64, rte_cryptodev_sym_get_private_session_size((uint8_t)id), 0,
							      0, SOCKET_ID_ANY);
	qp.mp_session = *ret_sessions;
	if (qp.mp_session == NULL)
		return -1;
	if (rte_cryptodev_configure((uint8_t)id, &cfg) < 0 || rte_cryptodev_queue_pair_setup((uint8_t)id, 0, &qp, SOCKET_ID_ANY) < 0 ||
	    rte_cryptodev_start((uint8_t)id) < 0)
		return -1;
	*ret_id = (uint8_t)id;
	return 0;
}

int bench_espd_up(const struct bench_opts *opts, unsigned int n, uint8_t **data)
{
	static char lcores[32];
	char *argv[] = {(char *)(uintptr_t)"ravelin-bench", lcores, (char *)(uintptr_t)"-m", (char *)(uintptr_t)MEMORY_MB,
			(char *)(uintptr_t)"--no-pci", (char *)(uintptr_t)"--no-telemetry", (char *)(uintptr_t)"--log-level=*:error",
			(char *)(uintptr_t)"--no-huge", (char *)(uintptr_t)"--no-shconf", NULL};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	snprintf(lcores, sizeof(lcores), "--lcores=0@%ld", opts->cpu >= 0 ? (long)opts->cpu : cpus - 1);
	if (rte_eal_init(9, argv) < 0)
		return -1;
	d.pkts = n;
	d.data = data;
	d.pool = rte_pktmbuf_pool_create("espd", n, 0, 16, DATA_ROOM, SOCKET_ID_ANY);
	d.ops = rte_crypto_op_pool_create("espdops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, n, 0, 32, SOCKET_ID_ANY);
	d.m = bench_array(n, sizeof(struct rte_mbuf *));
	d.op = bench_array(n, sizeof(struct rte_crypto_op *));
	if (d.pool == NULL || d.ops == NULL || rte_pktmbuf_alloc_bulk(d.pool, d.m, n) != 0 ||
	    rte_crypto_op_bulk_alloc(d.ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC, d.op, (uint16_t)n) != n) {
		fprintf(stderr, "ravelin-bench esp: no packet buffers: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	for (unsigned int i = 0; i < n; i++) /* spread over cache sets */
		data[i] = (uint8_t *)d.m[i]->buf_addr + BENCH_ESPD_HEAD + (size_t)(i % 6) * 64;
	d.have_gcm = device("crypto_aesni_gcm0", &d.sessions[0], &d.gcm) == 0;
	d.have_mb = device("crypto_aesni_mb0", &d.sessions[1], &d.mb) == 0;
	return 0;
}

void bench_espd_down(void)
{
	bench_espd_sas_end();
	if (d.have_gcm)
		rte_cryptodev_stop(d.gcm);
	if (d.have_mb)
		rte_cryptodev_stop(d.mb);
	free(d.m);
	free(d.op);
	rte_eal_cleanup();
}

/* 'x': two of them, chained where the algorithm has a HMAC. False: not known here. */
static bool xforms(const struct dp_sa_set *s, bool out, struct rte_crypto_sym_xform x[2])
{
	const struct dp_esp_suite *suite = dp_esp_suite(s->alg);
	struct rte_crypto_sym_xform *c = &x[out ? 0 : 1], *a = &x[out ? 1 : 0];
	static const int auth[] = {0, RTE_CRYPTO_AUTH_SHA1_HMAC, RTE_CRYPTO_AUTH_SHA256_HMAC, RTE_CRYPTO_AUTH_SHA384_HMAC,
				   RTE_CRYPTO_AUTH_SHA512_HMAC};

	memset(x, 0, 2 * sizeof(*x));
	if (suite->cipher == DP_ESP_C_GCM) {
		x[0].type = RTE_CRYPTO_SYM_XFORM_AEAD;
		x[0].aead = (struct rte_crypto_aead_xform){
			.op = out ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT, .algo = RTE_CRYPTO_AEAD_AES_GCM,
			.key = {s->key, suite->key_len}, .iv = {IV_OFFSET, 12}, .digest_length = suite->icv_len, .aad_length = 8};
		return true;
	}
	if (suite->cipher != DP_ESP_C_CBC && suite->cipher != DP_ESP_C_CTR)
		return false;
	x[0].next = &x[1];
	c->type = RTE_CRYPTO_SYM_XFORM_CIPHER;
	c->cipher = (struct rte_crypto_cipher_xform){
		.op = out ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT,
		.algo = suite->cipher == DP_ESP_C_CBC ? RTE_CRYPTO_CIPHER_AES_CBC : RTE_CRYPTO_CIPHER_AES_CTR,
		.key = {s->key, suite->key_len}, .iv = {IV_OFFSET, 16}};
	a->type = RTE_CRYPTO_SYM_XFORM_AUTH;
	a->auth = (struct rte_crypto_auth_xform){
		.op = out ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY, .algo = (enum rte_crypto_auth_algorithm)auth[suite->auth],
		.key = {s->auth, suite->auth_len}, .digest_length = suite->icv_len};
	return true;
}

static int one(struct sa *sa, const struct dp_sa_set *s, bool out, uint8_t dev)
{
	uint8_t hdr[20] = {0x45, [8] = 64, [9] = IPPROTO_ESP};
	struct rte_crypto_sym_xform x[2];
	struct rte_ipsec_sa_prm prm = {
		.ipsec_xform = {.spi = s->spi, .options = {.copy_dscp = 1, .ecn = 1, .copy_df = 0},
				.direction = out ? RTE_SECURITY_IPSEC_SA_DIR_EGRESS : RTE_SECURITY_IPSEC_SA_DIR_INGRESS,
				.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP, .mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL,
				.tunnel = {.type = RTE_SECURITY_IPSEC_TUNNEL_IPV4}, .replay_win_sz = out ? 0 : 192},
		.crypto_xform = x, .tun = {.hdr_len = 20, .hdr_l3_off = 0, .next_proto = IPPROTO_IPIP, .hdr = hdr}};
	int size;

	if (!xforms(s, out, x))
		return -1;
	memcpy(hdr + 12, s->local.ip, 4);
	memcpy(hdr + 16, s->remote.ip, 4);
	memcpy(&prm.ipsec_xform.salt, s->salt, 4);
	memcpy(&prm.ipsec_xform.tunnel.ipv4.src_ip, s->local.ip, 4);
	memcpy(&prm.ipsec_xform.tunnel.ipv4.dst_ip, s->remote.ip, 4);
	size = rte_ipsec_sa_size(&prm);
	if (size < 0)
		return -1;
	sa->mem = aligned_alloc(64, ((size_t)size + 63) / 64 * 64);
	if (sa->mem == NULL || rte_ipsec_sa_init(sa->mem, &prm, (uint32_t)size) < 0)
		return -1;
	for (unsigned int sync = 0; sync < 2; sync++) {
		struct rte_ipsec_session *ses = &sa->ses[sync];

		*ses = (struct rte_ipsec_session){.sa = sa->mem,
						  .type = sync ? RTE_SECURITY_ACTION_TYPE_CPU_CRYPTO : RTE_SECURITY_ACTION_TYPE_NONE};
		ses->crypto.dev_id = dev;
		ses->crypto.ses = rte_cryptodev_sym_session_create(dev, x, d.sessions[dp_esp_suite(s->alg)->cipher == DP_ESP_C_GCM ? 0 : 1]);
		if (ses->crypto.ses == NULL || rte_ipsec_session_prepare(ses) < 0)
			return -1;
	}
	return 0;
}

bool bench_espd_sas(const struct bench_opts *opts, const struct dp_sa_set *sets, unsigned int n)
{
	const struct dp_esp_suite *suite = dp_esp_suite(sets[0].alg);
	bool gcm = suite->cipher == DP_ESP_C_GCM;

	d.sas = n;
	d.sa[0] = bench_array(n, sizeof(struct sa));
	d.sa[1] = bench_array(n, sizeof(struct sa));
	for (unsigned int i = 0; i < n && (gcm ? d.have_gcm : d.have_mb); i++)
		if (one(&d.sa[0][i], &sets[i], true, gcm ? d.gcm : d.mb) < 0 || one(&d.sa[1][i], &sets[i], false, gcm ? d.gcm : d.mb) < 0) {
			bench_note(opts, "esp", "%s: librte_ipsec or its device has none", suite->name);
			bench_espd_sas_end();
			return false;
		}
	if (gcm ? d.have_gcm : d.have_mb)
		return true;
	bench_note(opts, "esp", "%s: no cryptodev: is librte_crypto_ipsec_mb installed?", suite->name);
	bench_espd_sas_end();
	return false;
}

void bench_espd_sas_end(void)
{
	for (unsigned int o = 0; o < 2; o++) {
		for (unsigned int i = 0; d.sa[o] != NULL && i < d.sas; i++) {
			for (unsigned int s = 0; s < 2; s++)
				if (d.sa[o][i].ses[s].crypto.ses != NULL)
					rte_cryptodev_sym_session_free(d.sa[o][i].ses[s].crypto.dev_id, d.sa[o][i].ses[s].crypto.ses);
			free(d.sa[o][i].mem);
		}
		free(d.sa[o]);
		d.sa[o] = NULL;
	}
}

void bench_espd_lay(unsigned int n, unsigned int before, unsigned int len)
{
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = d.m[i];

		m->data_off = (uint16_t)(d.data[i] - before - (uint8_t *)m->buf_addr);
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		m->nb_segs = 1;
		m->next = NULL;
		m->ol_flags = 0;
		m->packet_type = 0;
		m->l2_len = 0;
		m->l3_len = 20;
		m->hash.usr = i;
	}
}

/* Packets of a burst from 'at' on that follow each other and have one SA. */
static unsigned int group(const uint32_t *sa, unsigned int at, unsigned int end)
{
	unsigned int n = 1;

	while (at + n < end && sa[at + n] == sa[at])
		n++;
	return n;
}

static unsigned int on_cpu(struct sa *sas, const uint32_t *sa, unsigned int at, unsigned int end)
{
	unsigned int ok = 0;

	while (at < end) {
		unsigned int n = group(sa, at, end);
		const struct rte_ipsec_session *ses = &sas[sa[at]].ses[1];
		struct rte_mbuf *m[BURST];
		uint16_t k;

		memcpy(m, &d.m[at], n * sizeof(*m));
		k = rte_ipsec_pkt_cpu_prepare(ses, m, (uint16_t)n);
		ok += rte_ipsec_pkt_process(ses, m, k);
		at += n;
	}
	return ok;
}

static unsigned int by_queue(struct sa *sas, const uint32_t *sa, unsigned int at, unsigned int end)
{
	uint8_t dev = sas[0].ses[0].crypto.dev_id;
	struct rte_crypto_op *op[BURST];
	struct rte_mbuf *m[BURST];
	unsigned int put = 0, got = 0, ok = 0;

	for (unsigned int n, from = at; from < end; from += n) {
		n = group(sa, from, end);
		memcpy(m, &d.m[from], n * sizeof(*m));
		memcpy(op, &d.op[from], n * sizeof(struct rte_crypto_op *));
		n = rte_ipsec_pkt_crypto_prepare(&sas[sa[from]].ses[0], m, op, (uint16_t)n);
		if (n == 0)
			return 0;
		put += rte_cryptodev_enqueue_burst(dev, 0, op, (uint16_t)n);
	}
	for (unsigned int idle = 0; got < put && idle < 1000; idle++) {
		unsigned int n = rte_cryptodev_dequeue_burst(dev, 0, op, BURST);

		for (unsigned int i = 0; i < n; i++)
			m[got + i] = op[i]->sym->m_src;
		got += n;
	}
	for (unsigned int i = 0; i < got;) {
		uint32_t of = sa[m[i]->hash.usr];
		unsigned int n = 1;

		while (i + n < got && sa[m[i + n]->hash.usr] == of)
			n++;
		ok += rte_ipsec_pkt_process(&sas[of].ses[0], &m[i], (uint16_t)n);
		i += n;
	}
	return ok;
}

unsigned int bench_espd_run(bool encap, bool sync, const uint32_t *sa, unsigned int n, unsigned int burst)
{
	struct sa *sas = d.sa[encap ? 0 : 1];
	unsigned int ok = 0;

	for (unsigned int at = 0; at < n; at += burst)
		ok += (sync ? on_cpu : by_queue)(sas, sa, at, at + burst < n ? at + burst : n);
	return n - ok;
}
