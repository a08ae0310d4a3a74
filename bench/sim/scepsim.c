/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-scepsim: a CA with SCEP over HTTP on 127.0.0.1, for what Debian's server does not do: requests that wait, AES and SHA-256 in
 * answers, a registration authority beside the CA. One request at a time; a line of JSON for each.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "scepca.h"

static const char usage[] = "usage: ravelin-scepsim --listen IP --port N --ca-key PEM --ca-cert PEM [--pending N] [--challenge TEXT] [--strict]\n"
			    "  --pending N   each transaction is told to wait N times\n"
			    "  --strict      a request must be signed by the key in it\n";

static struct {
	char tid[128];
	unsigned asked;
	X509_REQ *csr;
} known[64];

static EVP_PKEY *key;
static X509 *cert;
static unsigned pending;
static const char *challenge;
static bool strict;
static long serial = 7000;

static void reply(int fd, const char *status, const char *type, const void *data, size_t len)
{
	char head[300];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, type, len);

	if (write(fd, head, (size_t)n) != n || write(fd, data, len) != (ssize_t)len)
		fprintf(stderr, "not sent\n");
}

static unsigned slot(const char *tid)
{
	unsigned i = 0;

	while (i < 63 && known[i].tid[0] != '\0' && strcmp(known[i].tid, tid) != 0)
		i++;
	snprintf(known[i].tid, sizeof(known[i].tid), "%.127s", tid);
	return i;
}

static void operation(int fd, const uint8_t *data, size_t len)
{
	struct scepca_req r;
	struct scepca_say say = {.type = "3"};
	X509 *made[2] = {NULL, NULL};
	uint8_t *der;
	unsigned at;

	if (scepca_read(key, cert, data, len, &r) < 0) {
		reply(fd, "400 Bad Request", "text/plain", "", 0);
		return;
	}
	say.tid = r.tid;
	say.nonce = r.nonce;
	say.to = r.signer;
	at = slot(r.tid);
	if (r.csr != NULL) {
		X509_REQ_free(known[at].csr);
		known[at].csr = X509_REQ_dup(r.csr);
	}
	if (r.csr != NULL && challenge != NULL && strcmp(challenge, r.challenge) != 0) {
		say.status = "2";
		say.fail = "2";
		say.text = "the password is wrong";
	} else if (r.csr != NULL && strict && !r.self_signed) {
		say.status = "2";
		say.fail = "1";
	} else if (known[at].csr == NULL) {
		say.status = "2";
		say.fail = "4";
	} else if (known[at].asked++ < pending) {
		say.status = "3";
	} else {
		say.status = "0";
		made[0] = scepca_issue(key, cert, known[at].csr, serial++, 365);
		say.certs = made;
	}
	der = scepca_say(key, cert, &say, &len);
	printf("{\"type\":%d,\"status\":%s,\"tid\":\"%s\",\"self_signed\":%s}\n", r.type, say.status, r.tid, r.self_signed ? "true" : "false");
	fflush(stdout);
	reply(fd, "200 OK", "application/x-pki-message", der, len);
	OPENSSL_free(der);
	X509_free(made[0]);
	scepca_req_free(&r);
}

static void serve(int fd)
{
	static char buf[131072];
	size_t have = 0, need = 0;
	char *body = NULL, *p;
	unsigned char *der = NULL;
	int n;

	while (have < sizeof(buf) - 1) {
		ssize_t got = read(fd, buf + have, sizeof(buf) - 1 - have);

		if (got <= 0)
			return;
		have += (size_t)got;
		buf[have] = '\0';
		if (body == NULL && (body = strstr(buf, "\r\n\r\n")) != NULL) {
			body += 4;
			p = strcasestr(buf, "\r\nContent-Length:");
			need = p != NULL && p < body ? strtoul(p + 17, NULL, 10) : 0;
		}
		if (body != NULL && (size_t)(buf + have - body) >= need)
			break;
	}
	if (body == NULL)
		return;
	if (strstr(buf, "operation=GetCACaps") != NULL) {
		reply(fd, "200 OK", "text/plain", "AES\nSHA-256\nPOSTPKIOperation\nRenewal\nSCEPStandard\n", 51);
	} else if (strstr(buf, "operation=GetCACert") != NULL) {
		n = i2d_X509(cert, &der);
		reply(fd, "200 OK", "application/x-x509-ca-cert", der, (size_t)n);
		OPENSSL_free(der);
	} else if (strstr(buf, "operation=PKIOperation") != NULL && strncmp(buf, "POST", 4) == 0) {
		operation(fd, (const uint8_t *)body, need);
	} else {
		reply(fd, "404 Not Found", "text/plain", "", 0);
	}
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {{"listen", 1, NULL, 'l'}, {"port", 1, NULL, 'p'}, {"ca-key", 1, NULL, 'k'}, {"ca-cert", 1, NULL, 'c'}, {"pending", 1, NULL, 'n'},
					     {"challenge", 1, NULL, 'w'}, {"strict", 0, NULL, 's'}, {NULL, 0, NULL, 0}};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	const struct timeval tv = {10, 0};
	const char *ip = "127.0.0.1";
	int c, fd, on = 1;
	FILE *f;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 'l': ip = optarg; break;
		case 'p': sin.sin_port = htons((uint16_t)atoi(optarg)); break;
		case 'k':
			f = fopen(optarg, "re");
			key = f != NULL ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
			if (f != NULL)
				fclose(f);
			break;
		case 'c':
			f = fopen(optarg, "re");
			cert = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
			if (f != NULL)
				fclose(f);
			break;
		case 'n': pending = (unsigned)atoi(optarg); break;
		case 'w': challenge = optarg; break;
		case 's': strict = true; break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (key == NULL || cert == NULL || sin.sin_port == 0 || inet_pton(AF_INET, ip, &sin.sin_addr) != 1) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 16) < 0) {
		perror("ravelin-scepsim");
		return 1;
	}
	for (;;) {
		int got = accept(fd, NULL, NULL);

		if (got < 0)
			continue;
		setsockopt(got, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		serve(got);
		close(got);
	}
}
