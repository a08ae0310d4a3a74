/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>

#include "enrol/tvsbook.h"
#include "trustlist.h"
#include "x509.h"

struct entry {
	X509 *cert;
	uint8_t sha256[32];
	char issuer[CP_TVS_DN_MAX];
	const uint8_t *serial; /* inside cert; without leading zeros */
	size_t serial_len;
	uint8_t *der;
	size_t der_len;
	uint8_t roles[CP_TVS_ROLES_MAX];
	unsigned role_cnt;
};

struct cp_tvs_book {
	struct entry *list; /* closed: by sha256 */
	struct entry **by_serial;
	unsigned cnt, room;
};

struct cp_tvs_book *cp_tvs_book_create(void)
{
	return calloc(1, sizeof(struct cp_tvs_book));
}

void cp_tvs_book_destroy(struct cp_tvs_book *b)
{
	for (unsigned i = 0; b != NULL && i < b->cnt; i++) {
		X509_free(b->list[i].cert);
		OPENSSL_free(b->list[i].der);
	}
	if (b != NULL) {
		free(b->list);
		free(b->by_serial);
	}
	free(b);
}

unsigned cp_tvs_book_count(const struct cp_tvs_book *b)
{
	return b->cnt;
}

static int serial_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len != b_len ? (a_len < b_len ? -1 : 1) : memcmp(a, b, a_len);
}

static int by_sha(const void *a, const void *b)
{
	return memcmp(((const struct entry *)a)->sha256, ((const struct entry *)b)->sha256, 32);
}

static int by_serial(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

	return serial_cmp(x->serial, x->serial_len, y->serial, y->serial_len);
}

static int fill(struct entry *e, X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int len;

	if (pki_fingerprint(cert, e->sha256) < 0)
		return -ENOMEM;
	if (pki_tl_dn(X509_get_issuer_name(cert), e->issuer, sizeof(e->issuer)) < 0)
		return -EINVAL;
	e->serial = ASN1_STRING_get0_data(serial);
	e->serial_len = (size_t)ASN1_STRING_length(serial);
	if (e->serial_len == 0 || e->serial_len > CP_TVS_SERIAL_MAX)
		return -EINVAL;
	len = i2d_X509(cert, &e->der);
	if (len <= 0)
		return -ENOMEM;
	e->der_len = (size_t)len;
	X509_up_ref(cert);
	e->cert = cert;
	return 0;
}

int cp_tvs_book_add(struct cp_tvs_book *b, X509 *cert, uint8_t role)
{
	struct entry *e, new = {0};
	int rc = fill(&new, cert);

	if (rc < 0) {
		OPENSSL_free(new.der);
		return rc;
	}
	for (e = b->list; e < b->list + b->cnt && memcmp(e->sha256, new.sha256, 32) != 0; e++)
		;
	if (e < b->list + b->cnt) {
		X509_free(new.cert);
		OPENSSL_free(new.der);
	} else {
		if (b->cnt == b->room) {
			unsigned room = b->room > 0 ? b->room * 2 : 32;
			struct entry *grown = realloc(b->list, room * sizeof(*grown));

			if (grown == NULL) {
				X509_free(new.cert);
				OPENSSL_free(new.der);
				return -ENOMEM;
			}
			b->list = grown;
			b->room = room;
		}
		e = &b->list[b->cnt++];
		*e = new;
	}
	if (memchr(e->roles, role, e->role_cnt) != NULL)
		return 0;
	if (e->role_cnt == CP_TVS_ROLES_MAX)
		return -ENOSPC;
	e->roles[e->role_cnt++] = role;
	return 0;
}

int cp_tvs_book_close(struct cp_tvs_book *b)
{
	free(b->by_serial);
	b->by_serial = malloc((b->cnt > 0 ? b->cnt : 1) * sizeof(struct entry *));
	if (b->by_serial == NULL)
		return -ENOMEM;
	if (b->cnt > 0)
		qsort(b->list, b->cnt, sizeof(*b->list), by_sha);
	for (unsigned i = 0; i < b->cnt; i++)
		b->by_serial[i] = &b->list[i];
	if (b->cnt > 0)
		qsort(b->by_serial, b->cnt, sizeof(struct entry *), by_serial);
	return 0;
}

static const struct entry *find_cert(const struct cp_tvs_book *b, const uint8_t *der, size_t len)
{
	struct entry key;

	if (b->cnt == 0 || EVP_Digest(der, len, key.sha256, NULL, EVP_sha256(), NULL) != 1)
		return NULL;
	return bsearch(&key, b->list, b->cnt, sizeof(key), by_sha);
}

/* Serials are unique per issuer only: of those with this serial, the one of this issuer. */
static const struct entry *find_serial(const struct cp_tvs_book *b, const char *issuer, const uint8_t *serial, size_t len)
{
	unsigned low = 0, high = b->cnt;

	while (len > 1 && serial[0] == 0)
		serial++, len--;
	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (serial_cmp(b->by_serial[mid]->serial, b->by_serial[mid]->serial_len, serial, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < b->cnt && serial_cmp(b->by_serial[low]->serial, b->by_serial[low]->serial_len, serial, len) == 0; low++)
		if (strcmp(b->by_serial[low]->issuer, issuer) == 0 || pki_tl_dn_equal(b->by_serial[low]->issuer, issuer))
			return b->by_serial[low];
	return NULL;
}

static bool time_left(X509 *cert, time_t at, int64_t *ret_s)
{
	ASN1_TIME *now = ASN1_TIME_set(NULL, at);
	int days = 0, secs = 0;
	bool ok = now != NULL && ASN1_TIME_diff(&days, &secs, now, X509_get0_notAfter(cert)) == 1;

	ASN1_TIME_free(now);
	*ret_s = (int64_t)days * 86400 + secs;
	return ok && *ret_s > 0;
}

enum cp_tvs_answer cp_tvs_book_answer(const struct cp_tvs_book *b, const struct cp_tvs_msg *req, int64_t now, uint32_t ttl_s,
				      struct cp_tvs_msg *out)
{
	const struct entry *e;
	time_t at = (time_t)now;
	int64_t left = 0;
	bool query = req->type == CP_TVS_QUERY_REQUEST;

	if (!query && req->type != CP_TVS_VERIFY_REQUEST)
		return CP_TVS_NO_REQUEST;
	*out = (struct cp_tvs_msg){
		.type = query ? CP_TVS_QUERY_RESPONSE : CP_TVS_VERIFY_RESPONSE,
		.id = req->id,
		.have = CP_TVS_BIT(CP_TVS_STATUS),
		.status = CP_TVS_NOT_VALID,
	};
	e = query ? find_serial(b, req->issuer, req->serial, req->serial_len) : find_cert(b, req->cert, req->cert_len);
	if (e == NULL)
		return CP_TVS_UNKNOWN;
	if (X509_cmp_time(X509_get0_notBefore(e->cert), &at) >= 0 || !time_left(e->cert, at, &left))
		return CP_TVS_EXPIRED;
	out->status = CP_TVS_VALID;
	out->have |= CP_TVS_BIT(CP_TVS_ROLES) | CP_TVS_BIT(CP_TVS_TTL);
	memcpy(out->roles, e->roles, e->role_cnt);
	out->role_cnt = e->role_cnt;
	/* no answer outlives what it is about */
	out->ttl_s = left < (int64_t)ttl_s ? (uint32_t)left : ttl_s;
	if (query) {
		out->have |= CP_TVS_BIT(CP_TVS_CERT);
		out->cert = e->der;
		out->cert_len = e->der_len;
	}
	return CP_TVS_VOUCHED;
}
