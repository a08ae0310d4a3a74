/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bootphone: one phone that boots, and believes or does not. It keeps the CTL and ITL that it took in a folder, as a phone
 * does in its flash; fetches lists and configuration by itself (TFTP of RFC 1350, HTTP/1.1), judges them by what it held
 * (trustphone.h), decrypts what is encrypted for its key, and looks at the certificate that the CallManager of its configuration
 * shows. JSON report; exit status 0 if it would register.
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "trustphone.h"
#include "tvsask.h"
#include "util.h"

#define FILE_MAX (4u << 20)
#define WAIT_MS  5000

struct opts {
	struct sim_addr server;
	const char *name, *hold, *key, *ccm_out, *report;
	bool http;
	uint16_t port, tls_port, tvs_port;
	struct sim_addr tvs[5];
	unsigned tvs_cnt;
};

/* --- fetching --- */

static int wait_in(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, WAIT_MS) == 1 ? 0 : -ETIMEDOUT;
}

/* A file, heap; -ENOENT: there is none. */
static int tftp(const struct sim_addr *server, const char *name, struct tp_blob *ret)
{
	uint8_t pkt[516 + 4], *data = NULL;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	size_t len = 0, n = (size_t)snprintf((char *)pkt + 2, sizeof(pkt) - 16, "%s", name) + 3;
	unsigned block = 1;
	int fd = socket(server->ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = -ETIMEDOUT;
	bool known = false;

	pkt[0] = 0, pkt[1] = 1;
	memcpy(pkt + n, "octet", 6);
	n += 6;
	for (int tries = 0; fd >= 0 && tries < 4;) {
		uint8_t in[600];
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		ssize_t got;

		if (sendto(fd, pkt, n, 0, (const struct sockaddr *)(known ? &peer : &server->ss), known ? peer_len : server->len) < 0) {
			rc = -errno;
			break;
		}
		if (wait_in(fd) < 0) {
			tries++;
			continue;
		}
		got = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
		if (got < 4 || (known && (from_len != peer_len || memcmp(&from, &peer, from_len) != 0)))
			continue;
		if (in[1] == 5) {
			rc = in[3] == 1 ? -ENOENT : -EIO;
			break;
		}
		if (in[1] != 3 || (unsigned)(in[2] << 8 | in[3]) != (block & 0xffff))
			continue; /* what came twice */
		peer = from;
		peer_len = from_len;
		known = true;
		data = realloc(data, len + 512);
		memcpy(data + len, in + 4, (size_t)got - 4);
		len += (size_t)got - 4;
		pkt[0] = 0, pkt[1] = 4, pkt[2] = in[2], pkt[3] = in[3];
		n = 4;
		block++;
		tries = 0;
		if (got < 516 || len > FILE_MAX) {
			rc = len > FILE_MAX ? -EFBIG : 0;
			(void)!sendto(fd, pkt, n, 0, (const struct sockaddr *)&peer, peer_len);
			break;
		}
	}
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		free(data);
		return rc;
	}
	*ret = (struct tp_blob){data, len};
	return 0;
}

static int dial(const struct sim_addr *a)
{
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval tv = {WAIT_MS / 1000, 0};

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (const struct sockaddr *)&a->ss, a->len) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int http(const struct sim_addr *server, const char *name, struct tp_blob *ret)
{
	char req[512], *head, *body;
	uint8_t *data = malloc(FILE_MAX + 1);
	size_t len = 0, want = 0;
	int fd = dial(server), rc = -EBADMSG, status = 0;
	ssize_t n;

	if (fd < 0 || data == NULL) {
		free(data);
		return fd < 0 ? fd : -ENOMEM;
	}
	n = snprintf(req, sizeof(req), "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name, sim_addr_str(server));
	if (write(fd, req, (size_t)n) != n)
		rc = -errno;
	while (len < FILE_MAX && (n = read(fd, data + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	close(fd);
	data[len] = '\0';
	head = strcasestr((char *)data, "\r\nContent-Length:");
	body = strstr((char *)data, "\r\n\r\n");
	if (body != NULL && sscanf((char *)data, "HTTP/1.1 %d", &status) == 1 && head != NULL && head < body) {
		want = strtoul(head + 17, NULL, 10);
		body += 4;
		rc = status == 404 ? -ENOENT : status != 200 || (uint8_t *)body + want != data + len ? -EIO : 0;
	}
	if (rc == 0) {
		memmove(data, body, want);
		*ret = (struct tp_blob){data, want};
	} else {
		free(data);
	}
	return rc;
}

static int fetch(const struct opts *o, const char *before, const char *after, struct tp_blob *ret)
{
	struct sim_addr a = o->server;
	char name[100];

	*ret = (struct tp_blob){NULL, 0};
	snprintf(name, sizeof(name), "%s%s%s", before, o->name, after);
	sim_addr_set_port(&a, o->port != 0 ? o->port : o->http ? 6970 : 69);
	return o->http ? http(&a, name, ret) : tftp(&a, name, ret);
}

/* --- the encrypted configuration --- */

struct enc {
	size_t header, sig_at, sig_len; /* of the whole signature TLV */
	struct tp_blob iv, key, hash;
	unsigned cut, hash_alg;
};

/* Header tags, containers walked into. */
static int enc_tags(struct tp_blob f, struct enc *e)
{
	size_t at = 10;

	*e = (struct enc){0};
	if (f.len < 10)
		return -EBADMSG;
	e->header = sim_be16(f.p + 8);
	if (e->header > f.len)
		return -EBADMSG;
	while (at < e->header) {
		unsigned t = f.p[at], n;
		const uint8_t *v = f.p + at + 3;

		if (t == 13) {
			at++;
			continue;
		}
		if (e->header - at < 3)
			return -EBADMSG;
		n = sim_be16(f.p + at + 1);
		at += 3;
		if (t == 3 || t == 7 || t == 9 || t == 16 || t == 17 || t == 21)
			continue;
		if (n > e->header - at)
			return -EBADMSG;
		at += n;
		if (t == 19 && n == 16)
			e->iv = (struct tp_blob){v, n};
		else if (t == 20 && n == 2)
			e->cut = sim_be16(v);
		else if (t == 25)
			e->key = (struct tp_blob){v, n};
		else if (t == 26 && n == 1)
			e->hash_alg = v[0];
		else if (t == 27)
			e->hash = (struct tp_blob){v, n};
	}
	return e->iv.p != NULL && e->key.p != NULL && e->hash.p != NULL ? 0 : -EBADMSG;
}

/* In the file's own memory, which is plain text behind its header then. */
static int enc_open(struct tp_blob f, EVP_PKEY *own, struct tp_blob *ret)
{
	uint8_t key[512], md[EVP_MAX_MD_SIZE], *body;
	EVP_PKEY_CTX *unwrap = EVP_PKEY_CTX_new(own, NULL);
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	size_t key_len = sizeof(key), len;
	const EVP_MD *alg;
	unsigned md_len = 0;
	struct enc e;
	int n = 0, rc = enc_tags(f, &e);

	if (rc == 0 && (EVP_PKEY_decrypt_init(unwrap) != 1 || EVP_PKEY_CTX_set_rsa_padding(unwrap, RSA_PKCS1_PADDING) != 1 ||
			EVP_PKEY_decrypt(unwrap, key, &key_len, e.key.p, e.key.len) != 1 || key_len != 16))
		rc = -EACCES;
	if (rc == 0) {
		body = (uint8_t *)(uintptr_t)f.p + e.header;
		len = f.len - e.header;
		alg = e.hash_alg == 1 ? EVP_sha1() : e.hash_alg == 2 ? EVP_sha256() : e.hash_alg == 3 ? EVP_sha512() : NULL;
		if (alg == NULL || len == 0 || len % 16 != 0 || e.cut < 1 || e.cut > 16 ||
		    EVP_DecryptInit_ex(aes, EVP_aes_128_cbc(), NULL, key, e.iv.p) != 1 || EVP_CIPHER_CTX_set_padding(aes, 0) != 1 ||
		    EVP_DecryptUpdate(aes, body, &n, body, (int)len) != 1 || (size_t)n != len)
			rc = -EBADMSG;
		else if (EVP_Digest(body, len - e.cut, md, &md_len, alg, NULL) != 1 || md_len != e.hash.len ||
			 memcmp(md, e.hash.p, md_len) != 0)
			rc = -EACCES;
		else
			*ret = (struct tp_blob){body, len - e.cut};
	}
	OPENSSL_cleanse(key, sizeof(key));
	EVP_PKEY_CTX_free(unwrap);
	EVP_CIPHER_CTX_free(aes);
	ERR_clear_error();
	return rc;
}

/* --- the CallManager --- */

static X509 *shown;

static int look(int ok, X509_STORE_CTX *ctx)
{
	X509 *c = X509_STORE_CTX_get0_cert(ctx);

	(void)ok;
	if (shown == NULL && c != NULL && X509_up_ref(c) == 1)
		shown = c;
	return 1; /* believed or not by the lists, later */
}

static struct tp_blob callmanager(const struct sim_addr *a)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tp_blob der = {NULL, 0};
	unsigned char *p = NULL;
	SSL *ssl = NULL;
	int fd = dial(a), n;

	if (fd >= 0) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, look);
		ssl = SSL_new(ctx);
		SSL_set_fd(ssl, fd);
		(void)SSL_connect(ssl); /* it wants a certificate of ours; its own comes before that */
		n = shown != NULL ? i2d_X509(shown, &p) : 0;
		if (n > 0)
			der = (struct tp_blob){p, (size_t)n};
		close(fd);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return der;
}

/* The text of an element of the configuration. */
static bool element(struct tp_blob xml, const char *name, char *ret, size_t size)
{
	char open[64];
	size_t n = (size_t)snprintf(open, sizeof(open), "<%s>", name);
	const char *at = xml.p != NULL ? memmem(xml.p, xml.len, open, n) : NULL;
	const char *end = at != NULL ? memchr(at + n, '<', xml.len - (size_t)(at + n - (const char *)xml.p)) : NULL;

	if (end == NULL || (size_t)(end - at) - n >= size)
		return false;
	memcpy(ret, at + n, (size_t)(end - at) - n);
	ret[(size_t)(end - at) - n] = '\0';
	return true;
}

/* --- flash --- */

static const struct tp_list *held(struct tp_pool *pool, const char *dir, const char *name)
{
	const struct tp_list *list;
	struct tp_blob b;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	b.p = sim_read_file(path, FILE_MAX, &b.len);
	list = b.p != NULL ? tp_file(pool, b, true) : NULL;
	free((void *)(uintptr_t)b.p); /* the pool has its own */
	return list;
}

static int hold(const char *dir, const char *name, struct tp_blob b)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = sim_create_private(path);
	if (f == NULL || fwrite(b.p, 1, b.len, f) != b.len || fclose(f) != 0)
		return -EIO;
	return 0;
}

static int boot(const struct opts *o)
{
	struct tp_pool *pool = tp_pool_create();
	struct tp_phone ph = {held(pool, o->hold, "ctl.tlv"), held(pool, o->hold, "itl.tlv"), true, 0, 0, 0, 0, 0, 0, 0};
	struct tp_blob ctl, itl, sgn, enc = {NULL, 0}, plain = {NULL, 0}, xml;
	struct tp_offer offer = {0};
	bool had_ctl = ph.ctl != NULL, had_itl = ph.itl != NULL, took_ctl, took_itl, bad_ctl, bad_itl, sgn_ok, enc_ok = true, opened = true;
	char text[200] = "", cm[200] = "";
	json_t *j;
	FILE *f;
	char device[80];
	struct sim_tvs *tvs = NULL;
	unsigned asked = 0, valid = 0, tvs_used = 0;
	int rc[4] = {fetch(o, "CTL", ".tlv", &ctl), fetch(o, "ITL", ".tlv", &itl), fetch(o, "", ".cnf.xml.sgn", &sgn), 0};

	offer.ctl = rc[0] == 0 ? tp_file(pool, ctl, true) : NULL;
	offer.itl = rc[1] == 0 ? tp_file(pool, itl, true) : NULL;
	offer.config = rc[2] == 0 ? tp_file(pool, sgn, false) : NULL;
	snprintf(device, sizeof(device), "CP-8861-%s", o->name);
	/* in the order of its configuration: the next one where nobody answers */
	for (unsigned i = 0; o->tvs_port != 0 && tvs == NULL && i < (o->tvs_cnt > 0 ? o->tvs_cnt : 1); i++) {
		struct sim_addr at = o->tvs_cnt > 0 ? o->tvs[i] : o->server;

		sim_addr_set_port(&at, o->tvs_port);
		tvs = sim_tvs_open(&at, device);
		tvs_used = i;
	}
	if (tvs != NULL) {
		offer.tvs = sim_tvs_cert(tvs);
		offer.tvs_ask = sim_tvs_query;
		offer.tvs_verify = sim_tvs_verify;
		offer.tvs_ctx = tvs;
	}
	tp_boot(pool, &ph, &offer);
	took_ctl = ph.took_ctl, took_itl = ph.took_itl, bad_ctl = ph.bad_ctl, bad_itl = ph.bad_itl;
	sgn_ok = offer.config != NULL && ph.config_ok;
	xml = sgn;
	/* A short one says that there is another, for the phone's key. */
	if (sgn_ok && element(xml, "encrConfig", text, sizeof(text)) && strcmp(text, "true") == 0) {
		FILE *kf = o->key != NULL ? fopen(o->key, "re") : NULL;
		EVP_PKEY *own = kf != NULL ? PEM_read_PrivateKey(kf, NULL, NULL, NULL) : NULL;

		rc[3] = fetch(o, "", ".cnf.xml.enc.sgn", &enc);
		offer.config = rc[3] == 0 ? tp_file(pool, enc, false) : NULL;
		tp_boot(pool, &ph, &offer);
		enc_ok = offer.config != NULL && ph.config_ok;
		opened = enc_ok && own != NULL && enc_open(enc, own, &plain) == 0;
		xml = plain;
		EVP_PKEY_free(own);
		if (kf != NULL)
			fclose(kf);
	}
	if (sgn_ok && enc_ok && opened && element(xml, "processNodeName", cm, sizeof(cm))) {
		struct sim_addr a;

		if (sim_addr_parse(cm, o->tls_port, &a) == 0)
			offer.ccm = callmanager(&a);
		tp_boot(pool, &ph, &offer);
	} else {
		ph.ccm_ok = false; /* it does not know whom to call */
	}
	if ((took_ctl && hold(o->hold, "ctl.tlv", ctl) < 0) || (took_itl && hold(o->hold, "itl.tlv", itl) < 0))
		fprintf(stderr, "ravelin-bootphone: %s: %s\n", o->hold, strerror(errno));
	if (o->ccm_out != NULL && ph.ccm_ok && shown != NULL && (f = fopen(o->ccm_out, "we")) != NULL) {
		PEM_write_X509(f, shown);
		fclose(f);
	}
	if (tvs != NULL)
		sim_tvs_counts(tvs, &asked, &valid);
	j = json_pack("{s:b,s:i,s:i,s:i,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:s,s:i,s:i}", "tvs", (int)(tvs != NULL), "tvs_asked",
		      (int)asked, "tvs_valid", (int)valid, "tvs_used", (int)tvs_used, "held_ctl", (int)had_ctl, "held_itl", (int)had_itl,
		      "took_ctl", (int)took_ctl, "took_itl", (int)took_itl, "bad_ctl", (int)bad_ctl, "bad_itl", (int)bad_itl, "config_ok",
		      (int)sgn_ok, "encrypted", (int)(enc.p != NULL), "encrypted_ok", (int)(enc_ok && opened), "callmanager_shown",
		      (int)(offer.ccm.p != NULL), "callmanager_ok", (int)(offer.ccm.p != NULL && ph.ccm_ok), "callmanager", cm, "checks",
		      (int)tp_pool_checks(pool), "config_bytes", (int)xml.len);
	if (o->report != NULL)
		(void)sim_report_write(o->report, j);
	else
		json_dumpf(j, stdout, JSON_INDENT(2));
	rc[0] = !bad_ctl && !bad_itl && ph.itl != NULL && sgn_ok && enc_ok && opened && offer.ccm.p != NULL && ph.ccm_ok ? 0 : 1;
	json_decref(j);
	tp_pool_destroy(pool);
	sim_tvs_close(tvs);
	free((void *)(uintptr_t)ctl.p);
	free((void *)(uintptr_t)itl.p);
	free((void *)(uintptr_t)sgn.p);
	free((void *)(uintptr_t)enc.p);
	OPENSSL_free((void *)(uintptr_t)offer.ccm.p);
	X509_free(shown);
	return rc[0];
}

static const char usage[] =
	"usage: ravelin-bootphone --server IP --name SEP... --hold DIR [options]\n"
	"  --hold DIR       its flash: ctl.tlv and itl.tlv, what it took at earlier boots; may be empty\n"
	"  --http           by HTTP (port 6970), not by TFTP (69);  --port N  another port\n"
	"  --key FILE       PEM with the phone's private key, for an encrypted configuration\n"
	"  --tls-port N     of the CallManager (2443)\n"
	"  --tvs-port N     of the trust verification service at the same address (2445); 0: the phone asks nobody\n"
	"  --tvs-server IP  where it is asked instead, up to five times: the next one where nobody answers\n"
	"  --ccm-out FILE   the certificate that the CallManager showed, if the phone's lists vouch for it\n"
	"  --report FILE    JSON\n";

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"server", 1, NULL, 's'}, {"name", 1, NULL, 'n'}, {"hold", 1, NULL, 'H'}, {"http", 0, NULL, 'w'}, {"port", 1, NULL, 'p'},
		{"key", 1, NULL, 'k'}, {"tls-port", 1, NULL, 't'}, {"tvs-port", 1, NULL, 'v'}, {"tvs-server", 1, NULL, 'V'}, {"ccm-out", 1, NULL, 'c'}, {"report", 1, NULL, 'r'},
		{"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct opts o = {.tls_port = 2443, .tvs_port = 2445};
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 's':
			if (sim_addr_parse(optarg, 69, &o.server) < 0)
				goto bad;
			break;
		case 'n': o.name = optarg; break;
		case 'H': o.hold = optarg; break;
		case 'w': o.http = true; break;
		case 'p': o.port = (uint16_t)atoi(optarg); break;
		case 'k': o.key = optarg; break;
		case 't': o.tls_port = (uint16_t)atoi(optarg); break;
		case 'v': o.tvs_port = (uint16_t)atoi(optarg); break;
		case 'V':
			if (o.tvs_cnt == 5 || sim_addr_parse(optarg, 2445, &o.tvs[o.tvs_cnt]) < 0)
				goto bad;
			o.tvs_cnt++;
			break;
		case 'c': o.ccm_out = optarg; break;
		case 'r': o.report = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		default: goto bad;
		}
	}
	if (optind != argc || o.server.len == 0 || o.name == NULL || strlen(o.name) > 40 || o.hold == NULL)
		goto bad;
	signal(SIGPIPE, SIG_IGN);
	return boot(&o);
bad:
	fputs(usage, stderr);
	return 2;
}
