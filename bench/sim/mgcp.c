/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgcp.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

/* The next line: cuts it off its CR LF or LF, moves *at behind it. NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *nl;

	if (line == NULL || *line == '\0')
		return NULL;
	nl = strchr(line, '\n');
	if (nl != NULL) {
		*nl = '\0';
		*at = nl + 1;
		if (nl > line && nl[-1] == '\r')
			nl[-1] = '\0';
	} else {
		*at = line + strlen(line);
	}
	return line;
}

static char *next_word(char **at)
{
	char *word = *at;

	while (*word == ' ' || *word == '\t')
		word++;
	if (*word == '\0')
		return NULL;
	*at = word + strcspn(word, " \t");
	if (**at != '\0')
		*(*at)++ = '\0';
	return word;
}

static bool decimal(const char *text, uint32_t max, uint32_t *ret)
{
	size_t n = text == NULL ? 0 : strspn(text, "0123456789");
	unsigned long v;

	if (n == 0 || n > 10 || text[n] != '\0')
		return false;
	v = strtoul(text, NULL, 10);
	if (v > max)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static int first_line(char *line, struct sim_mgcp_msg *m)
{
	char *word = next_word(&line), *txid = next_word(&line);
	uint32_t code;

	if (word == NULL || !decimal(txid, 999999999, &m->txid) || m->txid == 0)
		return -EBADMSG;
	if (strlen(word) == 3 && decimal(word, 999, &code)) {
		m->response = true;
		m->code = code;
		return 0;
	}
	if (strlen(word) != 4)
		return -EBADMSG;
	for (size_t i = 0; i < 4; i++) {
		if (!isalnum((unsigned char)word[i]))
			return -EBADMSG;
		m->verb[i] = (char)toupper((unsigned char)word[i]);
	}
	word = next_word(&line);
	if (word == NULL || strlen(word) >= sizeof(m->endpoint))
		return -EBADMSG;
	memcpy(m->endpoint, word, strlen(word) + 1);
	word = next_word(&line);
	if (word == NULL || strcasecmp(word, "MGCP") != 0)
		return -EBADMSG;
	word = next_word(&line);
	if (word == NULL || strlen(word) >= sizeof(m->version))
		return -EBADMSG;
	memcpy(m->version, word, strlen(word) + 1);
	return 0;
}

int sim_mgcp_parse(char *text, size_t len, struct sim_mgcp_msg *m)
{
	char *at = text, *line;

	memset(m, 0, sizeof(*m));
	text[len] = '\0';
	if (len > SIM_MGCP_MAX || strlen(text) != len)
		return -EBADMSG; /* a zero octet inside */
	line = next_line(&at);
	if (line == NULL || first_line(line, m) < 0)
		return -EBADMSG;
	while ((line = next_line(&at)) != NULL) {
		char *colon = strchr(line, ':'), *end;

		if (line[0] == '\0') {
			m->sdp = at;
			return 0;
		}
		if (colon == NULL || colon == line || m->param_cnt == SIM_MGCP_PARAMS_MAX)
			return -EBADMSG;
		*colon++ = '\0';
		while (*colon == ' ' || *colon == '\t')
			colon++;
		end = colon + strlen(colon);
		while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
			*--end = '\0';
		m->params[m->param_cnt].name = line;
		m->params[m->param_cnt++].value = colon;
	}
	return 0;
}

const char *sim_mgcp_param(const struct sim_mgcp_msg *m, const char *name)
{
	for (size_t i = 0; i < m->param_cnt; i++) {
		if (strcasecmp(m->params[i].name, name) == 0)
			return m->params[i].value;
	}
	return NULL;
}

bool sim_mgcp_listed(const char *list, const char *event)
{
	size_t len = strlen(event);
	int depth = 0;

	while (list != NULL && *list != '\0') {
		while (*list == ' ' || *list == ',' || *list == '\t')
			list++;
		if (strncasecmp(list, event, len) == 0 && strchr("(, \t", list[len]) != NULL)
			return true; /* the terminating zero is among the characters that strchr finds */
		for (; *list != '\0' && (*list != ',' || depth > 0); list++)
			depth += (*list == '(') - (*list == ')');
	}
	return false;
}

size_t sim_mgcp_next(const char *text, size_t len, size_t *ret_msg_len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		size_t dot = i + 1, after = dot + 1;

		if (text[i] != '\n' || text[dot] != '.')
			continue;
		if (after < len && text[after] == '\r')
			after++;
		if (after < len && text[after] != '\n')
			continue;
		*ret_msg_len = i + 1;
		return after < len ? after + 1 : len;
	}
	*ret_msg_len = len;
	return len;
}

/* --- SDP --- */

static bool parameter_usable(const char *p, size_t n)
{
	if (n > 1 && p[0] == '-')
		return true;
	if (n > 4 && strncasecmp(p, "WSH=", 4) == 0)
		return true;
	return n == 5 && strncasecmp(p, "KDR=0", 5) == 0;
}

/* "MKI:length" (RFC 4568 6.1), a decimal number and its octets on the wire. */
static bool mki_usable(const char *p, size_t n, struct sim_srtp_key *key)
{
	const char *colon = memchr(p, ':', n);
	unsigned long long v;
	unsigned long len;
	char *end;

	if (colon == NULL || !isdigit((unsigned char)p[0]) || !isdigit((unsigned char)colon[1]))
		return false;
	errno = 0;
	v = strtoull(p, &end, 10);
	if (end != colon || errno != 0)
		return false;
	len = strtoul(colon + 1, &end, 10);
	if (end != p + n || len == 0 || len > SIM_SRTP_MKI_MAX || (len < 8 && v >> 8 * len != 0))
		return false;
	key->mki_len = (uint8_t)len;
	for (unsigned long i = 0; i < len; i++)
		key->mki[i] = (uint8_t)(v >> 8 * (len - 1 - i));
	return true;
}

/* "2^N"; others are lifetimes too, but nobody here says them. */
static void lifetime(const char *p, size_t n, struct sim_srtp_key *key)
{
	if (n > 2 && n < 5 && p[0] == '2' && p[1] == '^')
		key->lifetime = (uint8_t)strtoul(p + 2, NULL, 10);
}

int sim_crypto_parse(const char *text, enum sim_crypto_form form, uint32_t *ret_tag, struct sim_srtp_key *ret_key)
{
	struct sim_srtp_key key = {0};
	uint8_t both[48];
	uint32_t tag = 0;
	const char *p = text;
	size_t n, salt_len;
	int len;

	if (form == SIM_CRYPTO_RFC) {
		n = strspn(p, "0123456789");
		if (n == 0 || n > 9 || p[n] != ' ')
			return -EBADMSG;
		tag = (uint32_t)strtoul(p, NULL, 10);
		p += n;
	}
	p += strspn(p, " ");
	n = strcspn(p, " ");
	key.alg = sim_srtp_alg_of(p, n);
	p += n;
	p += strspn(p, " ");
	if (strncmp(p, "inline:", 7) != 0)
		return -EBADMSG;
	p += 7;
	if (key.alg == SIM_SRTP_NONE)
		return -ENOTSUP;
	n = strcspn(p, "| ;");
	salt_len = sim_srtp_salt_len(key.alg);
	len = sim_b64(p, n, both, sizeof(both));
	if (len < 0 || (size_t)len != sim_srtp_key_len(key.alg) + salt_len) {
		OPENSSL_cleanse(both, sizeof(both));
		return -EBADMSG;
	}
	memcpy(key.key, both, sim_srtp_key_len(key.alg));
	memcpy(key.salt, both + sim_srtp_key_len(key.alg), salt_len);
	OPENSSL_cleanse(both, sizeof(both));
	p += n;
	if (*p == ';')
		return -ENOTSUP; /* several keys */
	if (*p == '|') { /* lifetime, then MKI, or one of them; the old form leaves both empty */
		p++;
		n = strcspn(p, "| ;");
		if (memchr(p, ':', n) == NULL)
			lifetime(p, n, &key);
		else if (!mki_usable(p, n, &key))
			return -ENOTSUP;
		p += n;
		if (*p == '|') {
			p++;
			n = strcspn(p, " ;");
			if (n != 0 && (key.mki_len != 0 || !mki_usable(p, n, &key)))
				return -ENOTSUP;
			p += n;
		}
		if (*p == ';')
			return -ENOTSUP;
	}
	while (*p == ' ') {
		p += strspn(p, " ");
		n = strcspn(p, " ");
		if (n > 0 && !parameter_usable(p, n))
			return -ENOTSUP;
		p += n;
	}
	if (*p != '\0')
		return -EBADMSG;
	*ret_tag = tag;
	*ret_key = key;
	return 0;
}

static int media_line(const char *v, struct sim_sdp *s, uint32_t *ret_port)
{
	char word[32];
	size_t n;

	for (int i = 0; *v != '\0'; i++, v += strspn(v, " ")) {
		n = strcspn(v, " ");
		if (n == 0 || n >= sizeof(word))
			return -EBADMSG;
		memcpy(word, v, n);
		word[n] = '\0';
		v += n;
		if (i == 0 && strcmp(word, "audio") != 0)
			return -ENOTSUP;
		if (i == 1 && !decimal(word, 65535, ret_port))
			return -EBADMSG;
		if (i == 2) {
			s->secure = strcmp(word, "RTP/SAVP") == 0;
			if (!s->secure && strcmp(word, "RTP/AVP") != 0)
				return -ENOTSUP;
		}
		if (i > 2 && s->pt_cnt < sizeof(s->pts)) {
			uint32_t pt;

			if (!decimal(word, 127, &pt))
				return -EBADMSG;
			s->pts[s->pt_cnt++] = (uint8_t)pt;
		}
	}
	return s->pt_cnt > 0 ? 0 : -EBADMSG;
}

static int connection_line(const char *v, struct sim_addr *ret)
{
	char ip[64];
	size_t n;

	if (strncmp(v, "IN IP4 ", 7) != 0 && strncmp(v, "IN IP6 ", 7) != 0)
		return -EBADMSG;
	v += 7;
	n = strcspn(v, " /");
	if (n == 0 || n >= sizeof(ip))
		return -EBADMSG;
	memcpy(ip, v, n);
	ip[n] = '\0';
	return sim_addr_parse(ip, 0, ret) < 0 ? -EBADMSG : 0;
}

static int attribute(const char *v, struct sim_sdp *s)
{
	enum sim_crypto_form form = SIM_CRYPTO_RFC;
	size_t skip = 0;
	int rc;

	if (strncmp(v, "ptime:", 6) == 0) {
		s->ptime_ms = (uint32_t)strtoul(v + 6, NULL, 10);
		return 0;
	}
	if (strcmp(v, "rtcp-mux") == 0) {
		s->rtcp_mux = true;
		return 0;
	}
	if (strncmp(v, "crypto:", 7) == 0) {
		skip = 7;
	} else if (strncasecmp(v, "X-crypto:", 9) == 0) {
		skip = 9;
		form = SIM_CRYPTO_X;
	}
	if (skip == 0 || s->have_crypto)
		return 0;
	rc = sim_crypto_parse(v + skip, form, &s->tag, &s->key);
	if (rc == 0) {
		s->have_crypto = true;
		s->form = form;
	}
	return rc == -EBADMSG ? rc : 0; /* one that is not for us is passed over */
}

int sim_sdp_parse(const char *text, struct sim_sdp *ret)
{
	struct sim_sdp s = {0};
	char line[512];
	bool audio = false, other = false;
	uint32_t port = 0;
	int rc = 0;

	for (const char *p = text; rc == 0 && *p != '\0';) {
		size_t n = strcspn(p, "\r\n");
		bool blank = n == 0;

		if (n >= sizeof(line)) {
			rc = -EBADMSG;
			break;
		}
		memcpy(line, p, n);
		line[n] = '\0';
		p += n;
		p += *p == '\r';
		p += *p == '\n';
		if (blank)
			break; /* the second description is another party's */
		if (n < 2 || line[1] != '=') {
			rc = -EBADMSG;
		} else if (line[0] == 'm') {
			rc = audio ? -ENOTSUP : media_line(line + 2, &s, &port);
			other = rc == -ENOTSUP;
			audio |= rc == 0;
			rc = other ? 0 : rc;
		} else if (line[0] == 'c' && !other) {
			rc = connection_line(line + 2, &s.to);
		} else if (line[0] == 'a' && !other) {
			rc = attribute(line + 2, &s);
		}
	}
	OPENSSL_cleanse(line, sizeof(line));
	if (rc == 0 && audio && s.to.len != 0) {
		sim_addr_set_port(&s.to, (uint16_t)port);
		*ret = s;
	} else {
		rc = -EBADMSG;
	}
	OPENSSL_cleanse(&s, sizeof(s));
	return rc;
}

int sim_sdp_build(const struct sim_sdp *s, uint32_t session, char *out, size_t room)
{
	const char *family = sim_addr_ip_len(&s->to) == 16 ? "IP6" : "IP4", *ip = sim_addr_ip_str(&s->to);
	uint8_t both[48];
	char b64[68], pts[128] = "", maps[256] = "", more[48] = "";
	unsigned long long mki = 0;
	size_t salt_len = sim_srtp_salt_len(s->key.alg), key_len = sim_srtp_key_len(s->key.alg);
	int n;

	for (size_t i = 0; i < s->pt_cnt; i++) {
		snprintf(pts + strlen(pts), sizeof(pts) - strlen(pts), " %u", s->pts[i]);
		if (s->pts[i] == 0 || s->pts[i] == 8)
			snprintf(maps + strlen(maps), sizeof(maps) - strlen(maps), "a=rtpmap:%u %s/8000\r\n",
				 s->pts[i], s->pts[i] == 0 ? "PCMU" : "PCMA");
	}
	n = snprintf(out, room, "v=0\r\no=- %u 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio %u RTP/%s%s\r\n%s",
		     session, family, ip, family, ip, sim_addr_port(&s->to), s->secure ? "SAVP" : "AVP", pts, maps);
	if (s->secure && n > 0 && (size_t)n < room) {
		memcpy(both, s->key.key, key_len);
		memcpy(both + key_len, s->key.salt, salt_len);
		sim_b64_str(both, key_len + salt_len, b64);
		for (unsigned int i = 0; i < s->key.mki_len; i++)
			mki = mki << 8 | s->key.mki[i];
		if (s->key.lifetime != 0)
			snprintf(more, sizeof(more), "|2^%u", s->key.lifetime);
		if (s->key.mki_len != 0)
			snprintf(more + strlen(more), sizeof(more) - strlen(more), "|%llu:%u", mki, s->key.mki_len);
		if (s->form == SIM_CRYPTO_X)
			n += snprintf(out + n, room - (size_t)n, "a=X-crypto:%s inline:%s||\r\n",
				      sim_srtp_name(s->key.alg), b64);
		else
			n += snprintf(out + n, room - (size_t)n, "a=crypto:%u %s inline:%s%s\r\n", s->tag,
				      sim_srtp_name(s->key.alg), b64, more);
		OPENSSL_cleanse(both, sizeof(both));
		OPENSSL_cleanse(b64, sizeof(b64));
	}
	if (s->ptime_ms != 0 && n > 0 && (size_t)n < room)
		n += snprintf(out + n, room - (size_t)n, "a=ptime:%u\r\n", s->ptime_ms);
	if (s->rtcp_mux && n > 0 && (size_t)n < room)
		n += snprintf(out + n, room - (size_t)n, "a=rtcp-mux\r\n");
	return n < 0 || (size_t)n >= room ? -ENOSPC : n;
}
