/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Distinguished names as trust lists write them: KEY=value of CN, O, OU, L, ST, C in the certificate's order,
 * joined by ';'. Special characters as in RFC 4514 section 2.4, which is what keeps two different names two
 * different texts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/objects.h>

#include "trustlist.h"

#define DN_ATTRS 32
#define DN_BYTES 1024

static const struct {
	int nid;
	const char *key;
} keys[] = {
	{NID_commonName, "CN"},   {NID_organizationName, "O"},	{NID_organizationalUnitName, "OU"},
	{NID_localityName, "L"},  {NID_stateOrProvinceName, "ST"}, {NID_countryName, "C"},
};

static bool put(char *buf, size_t size, size_t *at, const char *s, size_t len)
{
	if (size - *at <= len) /* the NUL */
		return false;
	memcpy(buf + *at, s, len);
	*at += len;
	buf[*at] = '\0';
	return true;
}

static bool put_value(char *buf, size_t size, size_t *at, const unsigned char *val, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = (char)val[i], esc[4] = {'\\', c, '\0'};
		size_t n = 2;

		if (val[i] < 0x20 || val[i] == 0x7f)
			n = (size_t)snprintf(esc, sizeof(esc), "\\%02X", val[i]);
		else if (strchr("\"+,;<>\\", c) == NULL && !(i == 0 && (c == '#' || c == ' ')) &&
			 !(i + 1 == len && c == ' '))
			n = 0;
		if (!(n > 0 ? put(buf, size, at, esc, n) : put(buf, size, at, &c, 1)))
			return false;
	}
	return true;
}

int pki_tl_dn(const X509_NAME *name, char *buf, size_t size)
{
	size_t at = 0;

	if (size == 0)
		return -EMSGSIZE;
	buf[0] = '\0';
	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
		unsigned char *utf8 = NULL;
		const char *key = NULL;
		bool ok;
		int len;

		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			if (keys[k].nid == nid)
				key = keys[k].key;
		if (key == NULL)
			continue; /* lists have no word for it */
		len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
		if (len < 0)
			return -EBADMSG;
		ok = (at == 0 || put(buf, size, &at, ";", 1)) && put(buf, size, &at, key, strlen(key)) &&
		     put(buf, size, &at, "=", 1) && put_value(buf, size, &at, utf8, (size_t)len);
		OPENSSL_free(utf8);
		if (!ok)
			return -EMSGSIZE;
	}
	return (int)at;
}

struct attr {
	const char *key;
	size_t key_len;
	const char *val; /* unescaped, in the caller's room */
	size_t val_len;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Does an attribute begin here? A separator in front of anything else belongs to a value that was not escaped,
 * as in "O=Example, Inc.;CN=...". */
static bool attr_begins(const char *s)
{
	size_t n = strspn(s, " ");
	size_t k = strspn(s + n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");

	return k > 0 && s[n + k] == '=';
}

/* Number of attributes, below 0: too many or not of this form. */
static int split(const char *s, struct attr attrs[DN_ATTRS], char room[DN_BYTES])
{
	size_t used = 0;
	int n = 0;

	while (*s != '\0') {
		struct attr *a = &attrs[n];
		size_t trim;

		if (n == DN_ATTRS || !attr_begins(s))
			return -1;
		s += strspn(s, " ");
		a->key = s;
		a->key_len = strcspn(s, "=");
		a->val = room + used;
		s += a->key_len + 1;
		trim = used; /* blanks in front of a separator count only if they were escaped */
		while (*s != '\0' && !((*s == ';' || *s == ',') && attr_begins(s + 1))) {
			bool escaped = *s == '\\' && s[1] != '\0';
			char c = *s++;

			if (escaped && hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0) {
				c = (char)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
				s += 2;
			} else if (escaped) {
				c = *s++;
			}
			if (used == DN_BYTES)
				return -1;
			room[used++] = c;
			if (escaped || c != ' ')
				trim = used;
		}
		used = trim;
		a->val_len = (size_t)(room + used - a->val);
		n++;
		if (*s != '\0' && *++s == '\0')
			return -1; /* ends in a separator */
	}
	return n;
}

static bool attr_equal(const struct attr *a, const struct attr *b)
{
	return a->key_len == b->key_len && a->val_len == b->val_len && strncasecmp(a->key, b->key, a->key_len) == 0 &&
	       memcmp(a->val, b->val, a->val_len) == 0;
}

bool pki_tl_dn_equal(const char *a, const char *b)
{
	char room[2][DN_BYTES];
	struct attr as[DN_ATTRS], bs[DN_ATTRS];
	bool used[DN_ATTRS] = {false};
	int n;

	if (a == NULL || b == NULL)
		return false;
	if (strcmp(a, b) == 0)
		return true;
	n = split(a, as, room[0]);
	if (n < 0 || split(b, bs, room[1]) != n)
		return false;
	for (int i = 0; i < n; i++) {
		int j = 0;

		while (j < n && (used[j] || !attr_equal(&as[i], &bs[j])))
			j++;
		if (j == n)
			return false;
		used[j] = true;
	}
	return true;
}
