/* SPDX-License-Identifier: BSD-3-Clause */
#include "sdp.h"

#include <arpa/inet.h>
#include <emmintrin.h>
#include <errno.h>
#include <string.h>

#include "dp_suite.h"

#define TAGS_MAX 16 /* crypto lines of one stream whose tags are compared */
static_assert(DP_SRTP_KEY_MAX + DP_SRTP_SALT_MAX <= DP_SDP_INLINE_MAX, "key and salt");

/* The first reason stays: it is what the owner of the description has to mend first. */
static int refuse(struct dp_sdp_no *no, enum dp_sdp_why why, const char *text, const struct dp_mgcp_str *name)
{
	size_t n = strlen(text);

	if (no->why != DP_SDP_OK)
		return -ENOTSUP;
	no->why = why;
	if (n >= sizeof(no->text))
		n = sizeof(no->text) - 1;
	memcpy(no->text, text, n);
	no->text[n] = '\0';
	if (name != NULL && n + 2 < sizeof(no->text)) {
		no->text[n++] = ' ';
		dp_mgcp_str_copy(no->text + n, sizeof(no->text) - n, name);
	}
	return -ENOTSUP;
}

/* --- parse --- */

struct reader {
	const char *s;
	size_t len;
};

#define WORD_INLINE static inline __attribute__((always_inline)) /* the compiler knows the word, and compares its bytes in place */

WORD_INLINE bool begins(const struct reader *r, const char *word)
{
	size_t n = strlen(word);

	return r->len >= n && memcmp(r->s, word, n) == 0;
}

WORD_INLINE bool take(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if (!begins(r, word))
		return false;
	r->s += n;
	r->len -= n;
	return true;
}

/* Up to one of 'stops' (four at most), a zero, or the end; the stop character stays. Compares only: a key may be what is read. */
WORD_INLINE struct dp_mgcp_str take_until(struct reader *r, const char *stops)
{
	size_t k = strlen(stops), n = 0, len = r->len < UINT16_MAX ? r->len : UINT16_MAX;
	char a = stops[0], b = stops[k > 1 ? 1 : 0], c = stops[k > 2 ? 2 : 0], d = stops[k > 3 ? 3 : 0];
	struct dp_mgcp_str v = {r->s, 0};

	for (; len - n >= 16; n += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(r->s + n));
		__m128i ab = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(a)), _mm_cmpeq_epi8(x, _mm_set1_epi8(b)));
		__m128i cd = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(c)), _mm_cmpeq_epi8(x, _mm_set1_epi8(d)));
		__m128i zero = _mm_cmpeq_epi8(x, _mm_setzero_si128());
		unsigned bits = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(ab, cd), zero));

		if (bits != 0) {
			len = n += (unsigned)__builtin_ctz(bits);
			break;
		}
	}
	while (n < len && r->s[n] != a && r->s[n] != b && r->s[n] != c && r->s[n] != d && r->s[n] != '\0')
		n++;
	v.len = (uint16_t)n;
	r->s += n;
	r->len -= n;
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

static bool digits(const struct dp_mgcp_str *v, uint64_t *ret)
{
	uint64_t n = 0;

	if (v->len == 0)
		return false;
	for (uint16_t i = 0; i < v->len; i++) {
		uint64_t d = (uint64_t)(v->s[i] - '0');

		if (v->s[i] < '0' || v->s[i] > '9' || n > (UINT64_MAX - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*ret = n;
	return true;
}

/* RFC 4568 s6.1: a power of two, or a number of packets: the power below it. 2^48 is SRTP's end. */
static bool parse_lifetime(struct dp_mgcp_str v, struct dp_mgcp_media *m)
{
	bool power = v.len > 2 && v.s[0] == '2' && v.s[1] == '^';
	struct dp_mgcp_str n = power ? (struct dp_mgcp_str){v.s + 2, (uint16_t)(v.len - 2)} : v;
	uint64_t x;

	if (!digits(&n, &x))
		return false;
	if (!power) {
		if (x > (uint64_t)1 << 48)
			return false;
		x = x > 1 ? 63 - (uint64_t)__builtin_clzll(x) : 0;
	}
	if (x < 1 || x > 48)
		return false; /* a key for one packet is none */
	m->lifetime = (uint8_t)x;
	return true;
}

/* RFC 4568 s6.1: value ":" bytes, the value in decimal. */
static bool parse_mki(struct dp_mgcp_str v, struct dp_mgcp_media *m)
{
	const char *colon = memchr(v.s, ':', v.len);
	struct dp_mgcp_str val = {v.s, (uint16_t)(colon - v.s)}, len = {colon + 1, (uint16_t)(v.len - val.len - 1)};
	uint64_t mki, bytes;

	if (!digits(&val, &mki) || !digits(&len, &bytes) || bytes == 0 || bytes > sizeof(m->mki) ||
	    (bytes < sizeof(m->mki) && mki >> 8 * bytes != 0))
		return false;
	m->mki = mki;
	m->mki_len = (uint8_t)bytes;
	return true;
}

/* "|lifetime|MKI:length" behind the key; either may be missing, the old form's "||" has both empty. */
static int key_tail(struct reader *r, struct dp_mgcp_media *m, struct dp_sdp_no *no)
{
	for (unsigned i = 0; i < 2 && r->len > 0 && *r->s == '|'; i++) {
		struct dp_mgcp_str v;

		r->s++;
		r->len--;
		v = take_until(r, "| \t;");
		if (v.len == 0)
			continue;
		if (memchr(v.s, ':', v.len) != NULL) {
			if (!parse_mki(v, m))
				return refuse(no, DP_SDP_KEY, "MKI", NULL);
			break; /* it stands last */
		}
		if (i != 0 || !parse_lifetime(v, m))
			return refuse(no, DP_SDP_KEY, "key lifetime", NULL);
	}
	if (r->len > 0 && *r->s == ';')
		return refuse(no, DP_SDP_KEY, "several keys in one line", NULL);
	if (r->len > 0 && *r->s != ' ' && *r->s != '\t')
		return refuse(no, DP_SDP_KEY, "what follows the key", NULL);
	return 0;
}

/* May it be logged? Registered names are so; a key in a suite's place is not. */
static bool loggable(const struct dp_mgcp_str *name)
{
	if (name->len == 0 || name->len > 36)
		return false;
	for (uint16_t i = 0; i < name->len; i++)
		if (!(name->s[i] >= 'A' && name->s[i] <= 'Z') && !(name->s[i] >= '0' && name->s[i] <= '9') &&
		    name->s[i] != '_')
			return false;
	return true;
}

/*
 * RFC 4568 s6.3. What begins with '-' may be passed over, WSH only advises us; every other one that we do not do
 * makes the line unusable. A NULL cipher for SRTP alone is not what our NULL suites are: both or none.
 */
static int session_params(struct reader *r, struct dp_mgcp_media *m, struct dp_sdp_no *no)
{
	bool plain = false;

	for (;;) {
		struct dp_mgcp_str p;
		struct reader v;
		const char *eq;
		uint32_t n;

		while (r->len > 0 && (*r->s == ' ' || *r->s == '\t')) {
			r->s++;
			r->len--;
		}
		if (r->len == 0)
			break;
		p = take_until(r, " \t");
		if (*p.s == '-')
			continue;
		v = (struct reader){p.s, p.len};
		eq = memchr(p.s, '=', p.len);
		if (eq != NULL) /* what is logged is its name: FEC_KEY has a key behind it */
			p.len = (uint16_t)(eq - p.s);
		if (take(&v, "WSH=")) {
			if (!take_u32(&v, UINT32_MAX, &n) || n < 64 || v.len != 0)
				return refuse(no, DP_SDP_PARAM, "session parameter", loggable(&p) ? &p : NULL);
		} else if (take(&v, "KDR=")) {
			if (v.len == 0 || *v.s == '0' || !take_u32(&v, 24, &n) || v.len != 0 || m->kdr != 0)
				return refuse(no, DP_SDP_PARAM, "session parameter", loggable(&p) ? &p : NULL);
			m->kdr = (uint8_t)n;
		} else if (dp_mgcp_str_is(&p, "UNENCRYPTED_SRTCP")) {
			m->flags |= DP_MGCP_SRTP_RTCP_CLEAR;
		} else if (dp_mgcp_str_is(&p, "UNENCRYPTED_SRTP")) {
			plain = true;
		} else { /* UNAUTHENTICATED_SRTP, FEC_ORDER, FEC_KEY, what is not known */
			return refuse(no, DP_SDP_PARAM, "session parameter", loggable(&p) ? &p : NULL);
		}
	}
	if (!plain)
		return 0;
	if ((m->flags & DP_MGCP_SRTP_RTCP_CLEAR) == 0)
		return refuse(no, DP_SDP_PARAM, "UNENCRYPTED_SRTP without UNENCRYPTED_SRTCP", NULL);
	if (m->suite == DP_AES_CM_128_HMAC_SHA1_80)
		m->suite = DP_NULL_HMAC_SHA1_80;
	else if (m->suite == DP_AES_CM_128_HMAC_SHA1_32)
		m->suite = DP_NULL_HMAC_SHA1_32;
	else
		return refuse(no, DP_SDP_PARAM, "UNENCRYPTED_SRTP with a suite other than AES_CM_128", NULL);
	return 0;
}

/* Suites by their names in SDP; the NULL suites have none there. */
static uint8_t suite_of(const struct dp_mgcp_str *name)
{
	for (uint8_t s = DP_SRTP_NONE + 1; s < DP_SRTP_SUITE_MAX; s++)
		if (!dp_suite(s)->null_cipher && dp_mgcp_str_is(name, dp_suite(s)->name))
			return s;
	return DP_SRTP_NONE;
}

/*
 * Behind "a=crypto:" or "a=X-crypto:". 0: usable, what it says is set in *ret; -ENOTSUP: passed over, 'no' says why;
 * -EBADMSG: the line breaks the description (a tag twice).
 */
static int parse_crypto(struct reader r, bool old, struct dp_mgcp_media *ret, uint32_t *tags, unsigned *tag_cnt,
			struct dp_sdp_no *no)
{
	uint8_t raw[DP_SDP_INLINE_MAX];
	struct dp_mgcp_media m = *ret;
	struct dp_mgcp_str name, key;
	const struct dp_suite *suite;
	uint32_t tag = 0;
	int rc;

	if (!old) {
		if (!take_u32(&r, DP_MGCP_TID_MAX, &tag) || r.len == 0 || *r.s != ' ')
			return -EBADMSG;
		for (unsigned i = 0; i < *tag_cnt; i++)
			if (tags[i] == tag)
				return -EBADMSG;
		if (*tag_cnt < TAGS_MAX)
			tags[(*tag_cnt)++] = tag;
		skip_blanks(&r);
		if (tag == 0 || tag > UINT8_MAX)
			return refuse(no, DP_SDP_KEY, "crypto tag", NULL);
	}
	name = take_until(&r, " \t");
	m.suite = suite_of(&name);
	suite = dp_suite(m.suite);
	if (suite == NULL)
		return refuse(no, DP_SDP_SUITE, loggable(&name) ? "suite" : "no suite's name", loggable(&name) ? &name : NULL);
	skip_blanks(&r);
	if (!take(&r, "inline:"))
		return refuse(no, DP_SDP_KEY, "key method", NULL);
	key = take_until(&r, "| \t;");
	if (key_tail(&r, &m, no) < 0 || session_params(&r, &m, no) < 0)
		return -ENOTSUP;
	rc = dp_b64_decode(raw, (size_t)suite->key_len + suite->salt_len, key.s, key.len);
	if (rc < 0)
		return refuse(no, DP_SDP_KEY, "a key that is not the suite's", NULL);
	m.tag = (uint8_t)tag;
	memcpy(m.key, raw, suite->key_len);
	memcpy(m.salt, raw + suite->key_len, suite->salt_len);
	*ret = m;
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(&m, sizeof(m));
	return 0;
}

/* Codecs by the names that rtpmap has for them; a static number stands for its codec without one (RFC 3551 s6). */
static const struct {
	const char *name, *map;
	int8_t pt;
} audios[DP_AUDIO_MAX] = {
	[DP_AUDIO_PCMU] = {"PCMU", "PCMU/8000", 0},
	[DP_AUDIO_PCMA] = {"PCMA", "PCMA/8000", 8},
	[DP_AUDIO_G722] = {"G722", "G722/8000", 9},
	[DP_AUDIO_G729] = {"G729", "G729/8000", 18},
	[DP_AUDIO_ILBC] = {"iLBC", "iLBC/8000", DP_ILBC_PT},
};

const char *dp_sdp_audio_name(unsigned audio)
{
	return audio > DP_AUDIO_NONE && audio < DP_AUDIO_MAX ? audios[audio].name : NULL;
}

uint8_t dp_sdp_audio_pt(unsigned audio)
{
	return audio > DP_AUDIO_NONE && audio < DP_AUDIO_MAX ? (uint8_t)audios[audio].pt : 0;
}

#define PTS_MAX 16 /* of a stream's payload types, the first so many are looked at */

struct parse {
	struct dp_mgcp_media media;
	uint8_t pts[PTS_MAX];
	unsigned pt_cnt;
	uint8_t maps[128];    /* enum dp_audio by payload type, of rtpmap lines; DP_AUDIO_MAX: another codec */
	uint8_t ilbc_ms[128]; /* of fmtp lines */
	struct dp_sockaddr session_c, media_c;
	bool audio;  /* m= of the stream that we take was seen */
	bool within; /* lines belong to it */
	bool other;  /* lines belong to a stream that we pass over */
	bool secure; /* RTP/SAVP */
	bool version;
	bool ice, dtls, host_name; /* said of the session or of our stream */
	uint32_t tags[TAGS_MAX];
	unsigned tag_cnt;
	struct dp_sdp_no no;     /* why no stream was taken */
	struct dp_sdp_no crypto; /* why no crypto line was */
};

/* What stands behind the port of a stream that nobody here can carry. */
static int refuse_profile(struct parse *p, const struct dp_mgcp_str *profile)
{
	if (dp_mgcp_str_is(profile, "udptl"))
		return refuse(&p->no, DP_SDP_T38, "T.38 (udptl)", NULL);
	if (dp_mgcp_str_is(profile, "UDP/TLS/RTP/SAVP") || dp_mgcp_str_is(profile, "UDP/TLS/RTP/SAVPF"))
		return refuse(&p->no, DP_SDP_DTLS, "DTLS-SRTP", profile);
	return refuse(&p->no, DP_SDP_PROFILE, "profile", profile);
}

/* m=audio 18000 RTP/SAVP 0 101. Streams that we pass over leave a reason for the case that none is ours. */
static int parse_m(struct reader r, struct parse *p)
{
	struct dp_mgcp_str kind = take_until(&r, " "), profile;
	bool audio = dp_mgcp_str_is(&kind, "audio");
	uint32_t port, ports, pt;

	p->within = false;
	p->other = true;
	if (p->audio)
		return 0;
	skip_blanks(&r);
	if (!take_u32(&r, UINT16_MAX, &port))
		return audio ? -EBADMSG : 0;
	if (take(&r, "/") && (!take_u32(&r, UINT16_MAX, &ports) || ports != 1)) {
		if (audio)
			refuse(&p->no, DP_SDP_PROFILE, "several ports of one stream", NULL);
		return 0;
	}
	if (port == 0)
		return 0;
	skip_blanks(&r);
	profile = take_until(&r, " ");
	if (dp_mgcp_str_is(&profile, "udptl") || (audio && !dp_mgcp_str_is(&profile, "RTP/SAVP") &&
						  !dp_mgcp_str_is(&profile, "RTP/AVP"))) {
		refuse_profile(p, &profile);
		return 0;
	}
	if (!audio)
		return 0;
	do {
		skip_blanks(&r);
		if (!take_u32(&r, 127, &pt) || (r.len > 0 && *r.s != ' ')) {
			if (p->pt_cnt == 0)
				return -EBADMSG;
			break; /* a blank at the end, or no number: what stands in front of it is the stream's */
		}
		if (p->pt_cnt < PTS_MAX)
			p->pts[p->pt_cnt++] = (uint8_t)pt;
	} while (r.len > 0);
	p->secure = dp_mgcp_str_is(&profile, "RTP/SAVP");
	p->media.addr.port = (uint16_t)port;
	p->audio = true;
	p->within = true;
	p->other = false;
	return 0;
}

/* rtpmap:116 iLBC/8000. Names are the same in either case (RFC 4855 s3). */
static int parse_rtpmap(struct reader r, struct parse *p)
{
	struct dp_mgcp_str name;
	uint32_t pt, rate = 0;

	if (!take_u32(&r, 127, &pt) || r.len == 0 || *r.s != ' ')
		return -EBADMSG;
	skip_blanks(&r);
	name = take_until(&r, "/ ");
	if (dp_mgcp_str_is(&name, "telephone-event")) {
		p->media.telephone_event = (uint8_t)pt;
		return 0;
	}
	p->maps[pt] = DP_AUDIO_MAX;
	for (uint8_t a = DP_AUDIO_NONE + 1; a < DP_AUDIO_MAX; a++)
		if (dp_mgcp_str_is(&name, audios[a].name))
			p->maps[pt] = a;
	if (take(&r, "/") && (!take_u32(&r, UINT32_MAX, &rate) || rate != 8000))
		p->maps[pt] = DP_AUDIO_MAX;
	return 0;
}

/* fmtp:116 mode=20. Of other codecs nothing there changes what we do. */
static int parse_fmtp(struct reader r, struct parse *p)
{
	uint32_t pt, ms;

	if (!take_u32(&r, 127, &pt) || r.len == 0 || *r.s != ' ')
		return -EBADMSG;
	while (r.len > 0) {
		while (r.len > 0 && (*r.s == ' ' || *r.s == ';')) {
			r.s++;
			r.len--;
		}
		if (take(&r, "mode=") && take_u32(&r, 255, &ms) && (ms == 20 || ms == 30))
			p->ilbc_ms[pt] = (uint8_t)ms;
		take_until(&r, ";");
	}
	return 0;
}

static int parse_a(struct reader r, struct parse *p)
{
	uint32_t v;
	int rc;
	bool old;

	if (!p->other) {
		p->ice |= begins(&r, "ice-ufrag:") || begins(&r, "ice-pwd:") || begins(&r, "candidate:") || begins(&r, "ice-lite");
		p->dtls |= begins(&r, "fingerprint:") || begins(&r, "tls-id:");
	}
	if (take(&r, "ptime:")) {
		if (!take_u32(&r, 1000, &v))
			return -EBADMSG;
		if (v <= UINT8_MAX)
			p->media.ptime_ms = (uint8_t)v;
		return 0;
	}
	if (!p->within)
		return 0;
	if (take(&r, "rtpmap:"))
		return parse_rtpmap(r, p);
	if (take(&r, "fmtp:"))
		return parse_fmtp(r, p);
	old = take(&r, "X-crypto:") || take(&r, "x-crypto:");
	if (!old && !take(&r, "crypto:"))
		return 0;
	if (!p->secure || p->media.suite != DP_SRTP_NONE)
		return 0; /* keys of RTP/AVP are ignored; the first usable line is taken */
	rc = parse_crypto(r, old, &p->media, p->tags, &p->tag_cnt, &p->crypto);
	return rc == -EBADMSG ? rc : 0;
}

/* A host name is a reason only where an address is needed. */
static int parse_conn(struct reader r, struct parse *p)
{
	struct dp_sockaddr ignored;
	int rc = parse_c(r, p->within ? &p->media_c : p->other ? &ignored : &p->session_c);

	if (rc != -ENOTSUP)
		return rc;
	if (!p->other)
		p->host_name = true;
	return 0;
}

static int parse_line(struct parse *p, const char *s, size_t n)
{
	struct reader r = {s + 2, n - 2};

	switch (s[0]) {
	case 'v':
		if (p->version || r.len != 1 || r.s[0] != '0')
			return -EBADMSG;
		p->version = true;
		return 0;
	case 'c':
		return parse_conn(r, p);
	case 'm':
		return parse_m(r, p);
	case 'a':
		return parse_a(r, p);
	default:
		return 0;
	}
}

/* The stream's codec: the first that is known here. Without one the number stays what the stream has first. */
static void pick_audio(struct parse *p)
{
	for (unsigned i = 0; i < p->pt_cnt; i++) {
		uint8_t pt = p->pts[i], audio = p->maps[pt];

		for (uint8_t a = DP_AUDIO_NONE + 1; a < DP_AUDIO_MAX && audio == DP_AUDIO_NONE; a++)
			if (a != DP_AUDIO_ILBC && audios[a].pt == pt)
				audio = a;
		if (audio == DP_AUDIO_NONE || audio == DP_AUDIO_MAX)
			continue;
		p->media.pt = pt;
		p->media.audio[0] = audio;
		if (audio == DP_AUDIO_ILBC) /* RFC 3952 s5: said by nobody, it is 30 */
			p->media.ilbc_ms = p->ilbc_ms[pt] != 0 ? p->ilbc_ms[pt] : 30;
		return;
	}
	p->media.pt = p->pts[0];
}

/* All lines are read. Nothing of ICE or DTLS was offered: an answer that holds it is not an answer to us. */
static int conclude(struct parse *p)
{
	uint16_t port = p->media.addr.port;

	if (!p->audio)
		return refuse(&p->no, DP_SDP_NO_AUDIO, "no audio stream", NULL);
	p->no = (struct dp_sdp_no){0}; /* of streams that we passed over */
	pick_audio(p);
	if (p->ice)
		return refuse(&p->no, DP_SDP_ICE, "ICE", NULL);
	if (p->dtls && p->media.suite == DP_SRTP_NONE)
		return refuse(&p->no, DP_SDP_DTLS, "DTLS-SRTP", NULL);
	if (p->secure && p->media.suite == DP_SRTP_NONE) {
		p->no = p->crypto;
		return refuse(&p->no, DP_SDP_KEY, "RTP/SAVP without a key", NULL);
	}
	p->media.addr = p->media_c.family != 0 ? p->media_c : p->session_c;
	p->media.addr.port = port;
	if (p->media.addr.family == 0 || p->host_name)
		return refuse(&p->no, DP_SDP_ADDRESS, p->host_name ? "a host name as address" : "no address", NULL);
	return 0;
}

int dp_sdp_parse(const char *s, size_t len, struct dp_mgcp_media *ret_media, struct dp_sdp_no *ret_no)
{
	struct parse p = {0};
	int rc = len > 0 && memchr(s, 0, len) != NULL ? -EBADMSG : 0; /* a NUL would cut strings further on */

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
		/* type, '=', value */
		if (n < 2 || s[off + 1] != '=' || s[off] < 'a' || s[off] > 'z' || (off == 0 && s[0] != 'v'))
			rc = -EBADMSG;
		else
			rc = parse_line(&p, s + off, n);
		off = (size_t)(nl - s) + 1;
	}
	if (rc == 0 && !p.version)
		rc = -EBADMSG;
	if (rc == 0)
		rc = conclude(&p);
	if (rc == -EBADMSG) {
		p.no = (struct dp_sdp_no){0};
		refuse(&p.no, DP_SDP_MALFORMED, "malformed description", NULL);
	}
	if (ret_no != NULL)
		*ret_no = p.no;
	if (rc == 0)
		*ret_media = p.media;
	explicit_bzero(&p, sizeof(p));
	return rc;
}

/* --- build --- */

static void put_fmtp(struct dp_mgcp_buf *b, uint8_t pt, const char *text)
{
	dp_mgcp_put(b, "a=fmtp:");
	dp_mgcp_put_u32(b, pt);
	dp_mgcp_put(b, " ");
	dp_mgcp_put(b, text);
	dp_mgcp_put(b, "\r\n");
}

static void put_rtpmap(struct dp_mgcp_buf *b, uint8_t pt, uint8_t audio, uint8_t ilbc_ms)
{
	for (uint8_t a = DP_AUDIO_NONE + 1; a < DP_AUDIO_ILBC && audio == DP_AUDIO_NONE; a++)
		if (audios[a].pt == pt)
			audio = a;
	if (audio == DP_AUDIO_NONE)
		return; /* a number alone, which nobody said the codec of */
	dp_mgcp_put(b, "a=rtpmap:");
	dp_mgcp_put_u32(b, pt);
	dp_mgcp_put(b, " ");
	dp_mgcp_put(b, audios[audio].map);
	dp_mgcp_put(b, "\r\n");
	if (audio == DP_AUDIO_G729)
		put_fmtp(b, pt, "annexb=no"); /* RFC 4856 s2.1.9: silent means yes */
	else if (audio == DP_AUDIO_ILBC)
		put_fmtp(b, pt, ilbc_ms == 20 ? "mode=20" : "mode=30");
}

/* The payload types of the stream, and then what they are. */
static void put_audio(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m, bool maps)
{
	for (unsigned i = 0; i < DP_AUDIO_LIST && (i == 0 || m->audio[i] != DP_AUDIO_NONE); i++) {
		uint8_t pt = i > 0 ? dp_sdp_audio_pt(m->audio[i]) : m->pt;

		if (maps) {
			put_rtpmap(b, pt, m->audio[i], m->ilbc_ms);
			continue;
		}
		dp_mgcp_put(b, " ");
		dp_mgcp_put_u32(b, pt);
	}
}

static void put_u64(struct dp_mgcp_buf *b, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	dp_mgcp_putn(b, text + at, sizeof(text) - at);
}

static void put_crypto(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m, bool x_crypto)
{
	const struct dp_suite *suite = dp_suite(m->suite);
	size_t len = (size_t)suite->key_len + suite->salt_len;
	uint8_t raw[DP_SDP_INLINE_MAX];
	char text[(DP_SDP_INLINE_MAX + 2) / 3 * 4];

	if (x_crypto) {
		dp_mgcp_put(b, "a=X-crypto:");
	} else {
		dp_mgcp_put(b, "a=crypto:");
		dp_mgcp_put_u32(b, m->tag != 0 ? m->tag : 1);
		dp_mgcp_put(b, " ");
	}
	dp_mgcp_put(b, m->suite == DP_NULL_HMAC_SHA1_80 ? "AES_CM_128_HMAC_SHA1_80" :
		       m->suite == DP_NULL_HMAC_SHA1_32 ? "AES_CM_128_HMAC_SHA1_32" : suite->name);
	dp_mgcp_put(b, " inline:");
	memcpy(raw, m->key, suite->key_len);
	memcpy(raw + suite->key_len, m->salt, suite->salt_len);
	dp_b64_encode(text, raw, len);
	dp_mgcp_putn(b, text, (len + 2) / 3 * 4);
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(text, sizeof(text));
	if (m->lifetime != 0 || x_crypto)
		dp_mgcp_put(b, "|");
	if (m->lifetime != 0) {
		dp_mgcp_put(b, "2^");
		dp_mgcp_put_u32(b, m->lifetime);
	}
	if (m->mki_len != 0 || x_crypto)
		dp_mgcp_put(b, "|");
	if (m->mki_len != 0) {
		put_u64(b, m->mki);
		dp_mgcp_put(b, ":");
		dp_mgcp_put_u32(b, m->mki_len);
	}
	if (m->kdr != 0) {
		dp_mgcp_put(b, " KDR=");
		dp_mgcp_put_u32(b, m->kdr);
	}
	if (suite->null_cipher)
		dp_mgcp_put(b, " UNENCRYPTED_SRTP");
	if (suite->null_cipher || (m->flags & DP_MGCP_SRTP_RTCP_CLEAR) != 0)
		dp_mgcp_put(b, " UNENCRYPTED_SRTCP");
	dp_mgcp_put(b, "\r\n");
}

bool dp_sdp_audio_ok(const struct dp_mgcp_media *m)
{
	bool end = false;

	for (unsigned i = 0; i < DP_AUDIO_LIST; i++) {
		if (m->audio[i] >= DP_AUDIO_MAX || (end && m->audio[i] != DP_AUDIO_NONE))
			return false;
		end |= m->audio[i] == DP_AUDIO_NONE;
	}
	return m->ilbc_ms == 0 || m->ilbc_ms == 20 || m->ilbc_ms == 30;
}

/* "IN IP4 192.0.2.1" */
static void put_net(struct dp_mgcp_buf *b, const struct dp_sockaddr *a)
{
	char ip[INET6_ADDRSTRLEN] = "";

	dp_mgcp_put(b, a->family == 6 ? "IN IP6 " : "IN IP4 ");
	if (a->family == 6) {
		dp_mgcp_put(b, inet_ntop(AF_INET6, a->ip, ip, sizeof(ip)) != NULL ? ip : "");
		return;
	}
	for (unsigned i = 0; i < 4; i++) { /* inet_ntop() prints through stdio */
		dp_mgcp_put(b, i > 0 ? "." : "");
		dp_mgcp_put_u32(b, a->ip[i]);
	}
}

void dp_sdp_build(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m, uint32_t session, bool x_crypto)
{
	uint8_t text[sizeof("IN IP6 ") + INET6_ADDRSTRLEN];
	struct dp_mgcp_buf net;

	if ((m->addr.family != 4 && m->addr.family != 6) || m->addr.port == 0 || m->pt > 127 ||
	    m->telephone_event > 127 || (m->suite != DP_SRTP_NONE && dp_suite(m->suite) == NULL) ||
	    !dp_sdp_audio_ok(m) || m->mki_len > sizeof(m->mki) || m->kdr > 24 || m->lifetime > 48)
		b->bad = true;
	if (b->bad)
		return;
	dp_mgcp_buf_init(&net, text, sizeof(text));
	put_net(&net, &m->addr);
	dp_mgcp_put(b, "v=0\r\no=- ");
	dp_mgcp_put_u32(b, session);
	dp_mgcp_put(b, " 1 ");
	dp_mgcp_putn(b, (const char *)text, net.len);
	dp_mgcp_put(b, "\r\ns=-\r\nc=");
	dp_mgcp_putn(b, (const char *)text, net.len);
	dp_mgcp_put(b, "\r\nt=0 0\r\nm=audio ");
	dp_mgcp_put_u32(b, m->addr.port);
	dp_mgcp_put(b, m->suite != DP_SRTP_NONE ? " RTP/SAVP" : " RTP/AVP");
	put_audio(b, m, false);
	if (m->telephone_event != 0) {
		dp_mgcp_put(b, " ");
		dp_mgcp_put_u32(b, m->telephone_event);
	}
	dp_mgcp_put(b, "\r\n");
	put_audio(b, m, true);
	if (m->telephone_event != 0) {
		dp_mgcp_put(b, "a=rtpmap:");
		dp_mgcp_put_u32(b, m->telephone_event);
		dp_mgcp_put(b, " telephone-event/8000\r\n");
		put_fmtp(b, m->telephone_event, "0-15");
	}
	if (m->ptime_ms != 0) {
		dp_mgcp_put(b, "a=ptime:");
		dp_mgcp_put_u32(b, m->ptime_ms);
		dp_mgcp_put(b, "\r\n");
	}
	if (m->suite != DP_SRTP_NONE)
		put_crypto(b, m, x_crypto);
}
