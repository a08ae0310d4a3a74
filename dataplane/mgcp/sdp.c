/* SPDX-License-Identifier: BSD-3-Clause */
#include "sdp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const char *const suite_names[DP_SRTP_SUITE_MAX] = {
	[DP_AES_CM_128_HMAC_SHA1_80] = "AES_CM_128_HMAC_SHA1_80",
	[DP_AES_CM_128_HMAC_SHA1_32] = "AES_CM_128_HMAC_SHA1_32",
};

#define KEY_LEN  16
#define SALT_LEN 14
#define TAGS_MAX 16 /* crypto lines of one stream whose tags are compared */
static_assert(KEY_LEN + SALT_LEN == DP_SDP_INLINE_LEN, "AES-CM-128");

const char *dp_sdp_suite_name(uint8_t suite)
{
	return suite < DP_SRTP_SUITE_MAX ? suite_names[suite] : NULL;
}

/* --- base64 in constant shape --- */

/* All ones if lo <= c <= hi, else 0. c, lo, hi below 256. */
static uint32_t in_range(uint32_t c, uint32_t lo, uint32_t hi)
{
	return (((c - lo) | (hi - c)) >> 31) - 1; /* bit 31: one of them is negative */
}

/* 6 bits -> character. */
static char b64_char(uint32_t v)
{
	uint32_t c = 'A' + v;

	c += in_range(v, 26, 63) & (uint32_t)('a' - 26 - 'A');
	c += in_range(v, 52, 63) & (uint32_t)('0' - 52 - ('a' - 26));
	c += in_range(v, 62, 62) & (uint32_t)('+' - 62 - ('0' - 52));
	c += in_range(v, 63, 63) & (uint32_t)('/' - 63 - ('0' - 52));
	return (char)c;
}

/* Character -> 6 bits; *bad gets bits set if it is none. */
static uint32_t b64_value(char ch, uint32_t *bad)
{
	uint32_t c = (unsigned char)ch, v = 0, ok = 0, m;

	m = in_range(c, 'A', 'Z');
	ok |= m;
	v |= m & (c - 'A');
	m = in_range(c, 'a', 'z');
	ok |= m;
	v |= m & (c - 'a' + 26);
	m = in_range(c, '0', '9');
	ok |= m;
	v |= m & (c - '0' + 52);
	m = in_range(c, '+', '+');
	ok |= m;
	v |= m & 62;
	m = in_range(c, '/', '/');
	ok |= m;
	v |= m & 63;
	*bad |= ~ok;
	return v & 63;
}

void dp_b64_encode(char *dst, const uint8_t *src, size_t n)
{
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i; /* lengths are public */
		uint32_t v = (uint32_t)src[i] << 16;

		if (left > 1)
			v |= (uint32_t)src[i + 1] << 8;
		if (left > 2)
			v |= src[i + 2];
		*dst++ = b64_char(v >> 18 & 63);
		*dst++ = b64_char(v >> 12 & 63);
		*dst++ = left > 1 ? b64_char(v >> 6 & 63) : '=';
		*dst++ = left > 2 ? b64_char(v & 63) : '=';
	}
}

int dp_b64_decode(uint8_t *dst, size_t n, const char *src, size_t src_len)
{
	uint32_t bad = 0;

	if (src_len != 4 * ((n + 2) / 3)) {
		memset(dst, 0, n);
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i += 3, src += 4) {
		size_t left = n - i;
		uint32_t v = b64_value(src[0], &bad) << 18 | b64_value(src[1], &bad) << 12;

		if (left > 1)
			v |= b64_value(src[2], &bad) << 6;
		else
			bad |= (uint32_t)(src[2] ^ '=');
		if (left > 2)
			v |= b64_value(src[3], &bad);
		else
			bad |= (uint32_t)(src[3] ^ '=');
		dst[i] = (uint8_t)(v >> 16);
		if (left > 1)
			dst[i + 1] = (uint8_t)(v >> 8);
		else
			bad |= v &
			       0xffff; /* bits that no byte takes must be 0: one encoding per key */
		if (left > 2)
			dst[i + 2] = (uint8_t)v;
		else
			bad |= v & 0xff;
	}
	if (bad != 0) {
		explicit_bzero(dst, n);
		return -EBADMSG;
	}
	return 0;
}

/* --- parse --- */

struct reader {
	const char *s;
	size_t len;
};

static bool take(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if (r->len < n || memcmp(r->s, word, n) != 0)
		return false;
	r->s += n;
	r->len -= n;
	return true;
}

/* Up to 'stop' or a blank or the end; the stop character stays. */
static struct dp_mgcp_str take_until(struct reader *r, const char *stops)
{
	struct dp_mgcp_str v = {r->s, 0};

	while (r->len > 0 && strchr(stops, *r->s) == NULL && v.len < UINT16_MAX) {
		r->s++;
		r->len--;
		v.len++;
	}
	return v;
}

static bool take_u32(struct reader *r, uint32_t max, uint32_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	while (r->len > 0 && *r->s >= '0' && *r->s <= '9' && n < 10) {
		v = v * 10 + (uint64_t)(*r->s - '0');
		r->s++;
		r->len--;
		n++;
	}
	if (n == 0 || v > max || (r->len > 0 && *r->s >= '0' && *r->s <= '9'))
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void skip_blanks(struct reader *r)
{
	while (r->len > 0 && *r->s == ' ') {
		r->s++;
		r->len--;
	}
}

/* c=IN IP4 192.0.2.1[/ttl]; 0, -EBADMSG, -ENOTSUP for a host name. */
static int parse_c(struct reader r, struct dp_sockaddr *ret)
{
	struct dp_sockaddr a = {0};
	struct dp_mgcp_str host;
	char text[INET6_ADDRSTRLEN];
	bool v6;

	if (take(&r, "IN IP4 "))
		v6 = false;
	else if (take(&r, "IN IP6 "))
		v6 = true;
	else
		return -EBADMSG;
	skip_blanks(&r);
	host = take_until(&r, "/ ");
	if (host.len == 0)
		return -EBADMSG;
	if (!dp_mgcp_str_copy(text, sizeof(text), &host) ||
	    inet_pton(v6 ? AF_INET6 : AF_INET, text, a.ip) != 1)
		return -ENOTSUP;
	a.family = v6 ? 6 : 4;
	*ret = a;
	return 0;
}

/* "|lifetime|MKI:length" behind the key. True if the key can be used: no MKI, lifetime well-formed.
 */
static bool key_tail_usable(struct reader *r)
{
	for (unsigned i = 0; i < 2 && r->len > 0 && *r->s == '|'; i++) {
		uint32_t v;

		r->s++;
		r->len--;
		if (r->len == 0 || *r->s == '|' || *r->s == ' ')
			continue; /* empty field: old form's "||" */
		if (take(r, "2^")) {
			if (!take_u32(r, 48, &v))
				return false;
		} else {
			struct dp_mgcp_str n = take_until(r, "|: \t;");

			if (n.len == 0 || n.len > 15)
				return false;
			for (uint16_t k = 0; k < n.len; k++)
				if (n.s[k] < '0' || n.s[k] > '9')
					return false;
		}
		if (r->len > 0 && *r->s == ':')
			return false; /* MKI */
	}
	return r->len == 0 || *r->s == ' ' || *r->s == '\t';
}

/* Session parameters that leave the packets as they are: WSH and optional ones ("-..."). */
static bool session_params_usable(struct reader *r)
{
	while (r->len > 0) {
		uint32_t v;

		if (*r->s == ' ' || *r->s == '\t') {
			r->s++;
			r->len--;
		} else if (*r->s == '-') {
			take_until(r, " \t");
		} else if (take(r, "WSH=")) {
			if (!take_u32(r, UINT32_MAX, &v) || v < 64)
				return false;
		} else {
			return false;
		}
	}
	return true;
}

/*
 * Behind "a=crypto:" or "a=X-crypto:". 0: usable, suite, tag, key and salt are set in *m; -ENOTSUP:
 * passed over; -EBADMSG: the line breaks the description (a tag twice).
 */
static int parse_crypto(struct reader r, bool old, struct dp_mgcp_media *m, uint32_t *tags,
                        unsigned *tag_cnt)
{
	uint8_t raw[DP_SDP_INLINE_LEN];
	struct dp_mgcp_str name, key;
	uint8_t suite = DP_SRTP_NONE;
	uint32_t tag = 0;

	if (!old) {
		if (!take_u32(&r, DP_MGCP_TID_MAX, &tag) || r.len == 0 || *r.s != ' ')
			return -EBADMSG;
		for (unsigned i = 0; i < *tag_cnt; i++)
			if (tags[i] == tag)
				return -EBADMSG;
		if (*tag_cnt < TAGS_MAX)
			tags[(*tag_cnt)++] = tag;
		skip_blanks(&r);
	}
	name = take_until(&r, " \t");
	for (uint8_t i = 1; i < DP_SRTP_SUITE_MAX; i++)
		if (suite_names[i] != NULL && dp_mgcp_str_is(&name, suite_names[i]))
			suite = i;
	skip_blanks(&r);
	if (suite == DP_SRTP_NONE || tag > UINT8_MAX || (!old && tag == 0) || !take(&r, "inline:"))
		return -ENOTSUP;
	key = take_until(&r, "| \t;");
	if (!key_tail_usable(&r) || !session_params_usable(&r) ||
	    dp_b64_decode(raw, sizeof(raw), key.s, key.len) < 0)
		return -ENOTSUP;
	m->suite = suite;
	m->tag = (uint8_t)tag;
	memcpy(m->key, raw, KEY_LEN);
	memcpy(m->salt, raw + KEY_LEN, SALT_LEN);
	explicit_bzero(raw, sizeof(raw));
	return 0;
}

struct parse {
	struct dp_mgcp_media media;
	struct dp_sockaddr session_c, media_c;
	bool audio;  /* m= of the stream that we take was seen */
	bool within; /* lines belong to it */
	bool other;  /* lines belong to a stream that we pass over */
	bool secure; /* RTP/SAVP */
	bool version;
	uint32_t tags[TAGS_MAX];
	unsigned tag_cnt;
};

/* m=audio 18000 RTP/SAVP 0 101 */
static int parse_m(struct reader r, struct parse *p)
{
	uint32_t port, ports, pt;
	bool audio = take(&r, "audio ");

	p->within = false;
	p->other = true;
	if (!audio || p->audio)
		return 0;
	skip_blanks(&r);
	if (!take_u32(&r, UINT16_MAX, &port))
		return -EBADMSG;
	if (take(&r, "/") && (!take_u32(&r, UINT16_MAX, &ports) || ports != 1))
		return -ENOTSUP;
	if (port == 0)
		return 0;
	skip_blanks(&r);
	if (take(&r, "RTP/SAVP "))
		p->secure = true;
	else if (!take(&r, "RTP/AVP "))
		return -ENOTSUP;
	skip_blanks(&r);
	if (!take_u32(&r, 127, &pt) || (r.len > 0 && *r.s != ' '))
		return -EBADMSG;
	p->media.addr.port = (uint16_t)port;
	p->media.pt = (uint8_t)pt;
	p->audio = true;
	p->within = true;
	p->other = false;
	return 0;
}

static int parse_a(struct reader r, struct parse *p)
{
	struct dp_mgcp_str name;
	uint32_t v;
	bool old;

	if (take(&r, "ptime:")) {
		if (!take_u32(&r, 1000, &v))
			return -EBADMSG;
		if (v <= UINT8_MAX)
			p->media.ptime_ms = (uint8_t)v;
		return 0;
	}
	if (!p->within)
		return 0;
	if (take(&r, "rtpmap:")) {
		if (!take_u32(&r, 127, &v) || r.len == 0 || *r.s != ' ')
			return -EBADMSG;
		skip_blanks(&r);
		name = take_until(&r, "/ ");
		if (dp_mgcp_str_is(&name, "telephone-event"))
			p->media.telephone_event = (uint8_t)v;
		return 0;
	}
	old = take(&r, "X-crypto:") || take(&r, "x-crypto:");
	if (!old && !take(&r, "crypto:"))
		return 0;
	if (!p->secure || p->media.suite != DP_SRTP_NONE)
		return 0; /* keys of RTP/AVP are ignored; the first usable line is taken */
	return parse_crypto(r, old, &p->media, p->tags, &p->tag_cnt) == -EBADMSG ? -EBADMSG : 0;
}

static int parse_line(struct parse *p, const char *s, size_t n)
{
	struct reader r = {s + 2, n - 2};
	struct dp_sockaddr ignored;

	switch (s[0]) {
	case 'v':
		if (p->version || r.len != 1 || r.s[0] != '0')
			return -EBADMSG;
		p->version = true;
		return 0;
	case 'c':
		return parse_c(r, p->within ? &p->media_c : p->other ? &ignored : &p->session_c);
	case 'm':
		return parse_m(r, p);
	case 'a':
		return parse_a(r, p);
	default:
		return 0;
	}
}

int dp_sdp_parse(const char *s, size_t len, struct dp_mgcp_media *ret_media)
{
	struct parse p = {0};
	uint16_t port;
	int rc = 0;

	for (size_t off = 0; off < len && rc == 0;) {
		const char *nl = memchr(s + off, '\n', len - off);
		size_t n;

		if (nl == NULL) {
			rc = -EBADMSG;
			break;
		}
		n = (size_t)(nl - (s + off));
		if (n > 0 && s[off + n - 1] == '\r')
			n--;
		/* type, '=', value; a NUL would cut strings further on */
		if (n < 2 || s[off + 1] != '=' || s[off] < 'a' || s[off] > 'z' ||
		    memchr(s + off, 0, n) != NULL || (off == 0 && s[0] != 'v'))
			rc = -EBADMSG;
		else
			rc = parse_line(&p, s + off, n);
		off = (size_t)(nl - s) + 1;
	}
	if (rc < 0)
		goto out;
	rc = -EBADMSG;
	if (!p.version)
		goto out;
	rc = -ENOTSUP;
	if (!p.audio || (p.secure && p.media.suite == DP_SRTP_NONE))
		goto out;
	port = p.media.addr.port;
	p.media.addr = p.media_c.family != 0 ? p.media_c : p.session_c;
	p.media.addr.port = port;
	if (p.media.addr.family == 0)
		goto out;
	*ret_media = p.media;
	rc = 0;
out:
	explicit_bzero(&p, sizeof(p));
	return rc;
}

/* --- build --- */

static void put_rtpmap(struct dp_mgcp_buf *b, uint8_t pt)
{
	const char *name = pt == 0    ? "PCMU/8000"
	                   : pt == 8  ? "PCMA/8000"
	                   : pt == 18 ? "G729/8000"
	                              : NULL;

	if (name == NULL)
		return; /* dynamic types have no mapping here: the payload number alone */
	dp_mgcp_put(b, "a=rtpmap:");
	dp_mgcp_put_u32(b, pt);
	dp_mgcp_put(b, " ");
	dp_mgcp_put(b, name);
	dp_mgcp_put(b, "\r\n");
}

static void put_crypto(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m, bool x_crypto)
{
	uint8_t raw[DP_SDP_INLINE_LEN];
	char text[DP_SDP_INLINE_LEN / 3 * 4];

	if (x_crypto) {
		dp_mgcp_put(b, "a=X-crypto:");
	} else {
		dp_mgcp_put(b, "a=crypto:");
		dp_mgcp_put_u32(b, m->tag != 0 ? m->tag : 1);
		dp_mgcp_put(b, " ");
	}
	dp_mgcp_put(b, suite_names[m->suite]);
	dp_mgcp_put(b, " inline:");
	memcpy(raw, m->key, KEY_LEN);
	memcpy(raw + KEY_LEN, m->salt, SALT_LEN);
	dp_b64_encode(text, raw, sizeof(raw));
	dp_mgcp_putn(b, text, sizeof(text));
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(text, sizeof(text));
	dp_mgcp_put(b, x_crypto ? "||\r\n" : "\r\n");
}

void dp_sdp_build(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m, uint32_t session,
                  bool x_crypto)
{
	char ip[INET6_ADDRSTRLEN] = "";
	const char *net = m->addr.family == 6 ? "IN IP6 " : "IN IP4 ";

	if ((m->addr.family != 4 && m->addr.family != 6) || m->addr.port == 0 || m->pt > 127 ||
	    m->telephone_event > 127 || m->suite > DP_AES_CM_128_HMAC_SHA1_32 ||
	    inet_ntop(m->addr.family == 6 ? AF_INET6 : AF_INET, m->addr.ip, ip, sizeof(ip)) == NULL)
		b->bad = true;
	if (b->bad)
		return;
	dp_mgcp_put(b, "v=0\r\no=- ");
	dp_mgcp_put_u32(b, session);
	dp_mgcp_put(b, " 1 ");
	dp_mgcp_put(b, net);
	dp_mgcp_put(b, ip);
	dp_mgcp_put(b, "\r\ns=-\r\nc=");
	dp_mgcp_put(b, net);
	dp_mgcp_put(b, ip);
	dp_mgcp_put(b, "\r\nt=0 0\r\nm=audio ");
	dp_mgcp_put_u32(b, m->addr.port);
	dp_mgcp_put(b, m->suite != DP_SRTP_NONE ? " RTP/SAVP " : " RTP/AVP ");
	dp_mgcp_put_u32(b, m->pt);
	if (m->telephone_event != 0) {
		dp_mgcp_put(b, " ");
		dp_mgcp_put_u32(b, m->telephone_event);
	}
	dp_mgcp_put(b, "\r\n");
	put_rtpmap(b, m->pt);
	if (m->telephone_event != 0) {
		dp_mgcp_put(b, "a=rtpmap:");
		dp_mgcp_put_u32(b, m->telephone_event);
		dp_mgcp_put(b, " telephone-event/8000\r\na=fmtp:");
		dp_mgcp_put_u32(b, m->telephone_event);
		dp_mgcp_put(b, " 0-15\r\n");
	}
	if (m->ptime_ms != 0) {
		dp_mgcp_put(b, "a=ptime:");
		dp_mgcp_put_u32(b, m->ptime_ms);
		dp_mgcp_put(b, "\r\n");
	}
	if (m->suite != DP_SRTP_NONE)
		put_crypto(b, m, x_crypto);
}
