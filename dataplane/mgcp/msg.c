/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg.h"

#include <emmintrin.h>
#include <errno.h>
#include <string.h>

/* Indexed by enum dp_mgcp_verb. */
static const char verb_names[DP_MGCP_VERB_MAX][5] = {
	[DP_MGCP_EPCF] = "EPCF", [DP_MGCP_CRCX] = "CRCX", [DP_MGCP_MDCX] = "MDCX",
	[DP_MGCP_DLCX] = "DLCX", [DP_MGCP_RQNT] = "RQNT", [DP_MGCP_NTFY] = "NTFY",
	[DP_MGCP_AUEP] = "AUEP", [DP_MGCP_AUCX] = "AUCX", [DP_MGCP_RSIP] = "RSIP",
};

static const char *const mode_names[DP_MGCP_M_MAX] = {
	[DP_MGCP_M_SENDONLY] = "sendonly", [DP_MGCP_M_RECVONLY] = "recvonly",
	[DP_MGCP_M_SENDRECV] = "sendrecv", [DP_MGCP_M_INACTIVE] = "inactive",
	[DP_MGCP_M_LOOPBACK] = "loopback", [DP_MGCP_M_CONTTEST] = "conttest",
	[DP_MGCP_M_CONFRNCE] = "confrnce", [DP_MGCP_M_NETWLOOP] = "netwloop",
	[DP_MGCP_M_NETWTEST] = "netwtest",
};

/* Indexed by enum dp_mgcp_pname. */
static const char pnames[][3] = {
	[DP_MGCP_P_OTHER] = "", [DP_MGCP_P_A] = "A",   [DP_MGCP_P_B] = "B",   [DP_MGCP_P_C] = "C",
	[DP_MGCP_P_D] = "D",    [DP_MGCP_P_E] = "E",   [DP_MGCP_P_ES] = "ES", [DP_MGCP_P_F] = "F",
	[DP_MGCP_P_I] = "I",    [DP_MGCP_P_I2] = "I2", [DP_MGCP_P_K] = "K",   [DP_MGCP_P_L] = "L",
	[DP_MGCP_P_LC] = "LC",  [DP_MGCP_P_M] = "M",   [DP_MGCP_P_MD] = "MD", [DP_MGCP_P_N] = "N",
	[DP_MGCP_P_O] = "O",    [DP_MGCP_P_P] = "P",   [DP_MGCP_P_PL] = "PL", [DP_MGCP_P_Q] = "Q",
	[DP_MGCP_P_R] = "R",    [DP_MGCP_P_RC] = "RC", [DP_MGCP_P_RD] = "RD", [DP_MGCP_P_RM] = "RM",
	[DP_MGCP_P_S] = "S",    [DP_MGCP_P_T] = "T",   [DP_MGCP_P_X] = "X",   [DP_MGCP_P_Z] = "Z",
	[DP_MGCP_P_Z2] = "Z2",
};

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Of a parameter name: X-UT, X+A, R/qa, LC. */
static bool name_char(char c)
{
	return digit(c) || (upper(c) >= 'A' && upper(c) <= 'Z') || c == '-' || c == '+' ||
	       c == '_' || c == '.' || c == '/' || c == '$' || c == '*' || c == '@' || c == '#';
}

static struct dp_mgcp_str str(const char *s, size_t len)
{
	return (struct dp_mgcp_str){s, (uint16_t)len};
}

static struct dp_mgcp_str trim(const char *s, size_t len)
{
	while (len > 0 && blank(s[0])) {
		s++;
		len--;
	}
	while (len > 0 && blank(s[len - 1]))
		len--;
	return str(s, len);
}

static bool control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* Of 16 bytes: a bit for each that is a control character other than TAB. */
static unsigned controls(const char *s)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);

	low = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), low);
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
}

/* Where the first of them is from 'off' on; 'len': there is none. */
static size_t control_next(const char *s, size_t len, size_t off)
{
	unsigned bits;

	for (; len - off >= 16; off += 16) {
		bits = controls(s + off);
		if (bits != 0)
			return off + (unsigned)__builtin_ctz(bits);
	}
	if (len >= 16 && off < len) { /* the last 16 bytes, without those that were seen */
		bits = controls(s + len - 16) >> (16 - (len - off));
		return bits != 0 ? off + (unsigned)__builtin_ctz(bits) : len;
	}
	while (off < len && !control(s[off]))
		off++;
	return off;
}

/*
 * The line at *off, without its EOL; *off moves behind that. False at the end, and for a line
 * without an end or with a control character in it.
 */
static bool line_next(const char *buf, size_t len, size_t *off, struct dp_mgcp_str *ret_line)
{
	size_t begin = *off, end = control_next(buf, len, begin), nl = end;

	if (nl + 1 < len && buf[nl] == '\r')
		nl++;
	if (nl >= len || buf[nl] != '\n')
		return false;
	*off = nl + 1;
	*ret_line = str(buf + begin, end - begin);
	return true;
}

/* The word at the start of *rest; *rest moves behind it and the blanks that follow. Empty: no more.
 */
static struct dp_mgcp_str word_next(struct dp_mgcp_str *rest)
{
	struct dp_mgcp_str word = str(rest->s, 0);
	uint16_t i = 0;

	while (i < rest->len && !blank(rest->s[i]))
		i++;
	word.len = i;
	while (i < rest->len && blank(rest->s[i]))
		i++;
	rest->s += i;
	rest->len = (uint16_t)(rest->len - i);
	return word;
}

/* Decimal of 1..9 digits, not 0. */
static bool tid_parse(const struct dp_mgcp_str *s, uint32_t *ret_tid)
{
	uint32_t v = 0;

	if (s->len == 0 || s->len > 9)
		return false;
	for (uint16_t i = 0; i < s->len; i++) {
		if (!digit(s->s[i]))
			return false;
		v = v * 10 + (uint32_t)(s->s[i] - '0');
	}
	*ret_tid = v;
	return v != 0;
}

bool dp_mgcp_str_is(const struct dp_mgcp_str *s, const char *word)
{
	for (uint16_t i = 0; i < s->len; i++)
		if (word[i] == '\0' || (s->s[i] != word[i] && upper(s->s[i]) != upper(word[i])))
			return false;
	return word[s->len] == '\0';
}

static int command_line(const struct dp_mgcp_str *line, struct dp_mgcp_msg *m)
{
	struct dp_mgcp_str rest = *line, tid, token, version;

	m->command = true;
	m->verb_name = word_next(&rest);
	tid = word_next(&rest);
	m->endpoint = word_next(&rest);
	token = word_next(&rest);
	version = word_next(&rest); /* a profile name may follow: RFC 3435 3.2.1.4 */
	if (m->verb_name.len != 4 || !tid_parse(&tid, &m->tid) || m->endpoint.len == 0 ||
	    !dp_mgcp_str_is(&token, "MGCP") || version.len == 0)
		return -EBADMSG;
	for (uint16_t i = 0; i < 4; i++)
		if (!name_char(m->verb_name.s[i]))
			return -EBADMSG;
	for (uint8_t v = 1; v < DP_MGCP_VERB_MAX; v++)
		if (dp_mgcp_str_is(&m->verb_name, verb_names[v]))
			m->verb = v;
	m->version = dp_mgcp_str_is(&version, "1.0")   ? DP_MGCP_V_1_0
	             : dp_mgcp_str_is(&version, "0.1") ? DP_MGCP_V_0_1
	                                               : DP_MGCP_V_OTHER;
	m->local = m->endpoint;
	m->domain = str(m->endpoint.s + m->endpoint.len, 0);
	for (uint16_t i = m->endpoint.len; i > 0; i--) {
		if (m->endpoint.s[i - 1] == '@') {
			m->local = str(m->endpoint.s, i - 1u);
			m->domain = str(m->endpoint.s + i, m->endpoint.len - i);
			break;
		}
	}
	return m->local.len > 0 ? 0 : -EBADMSG;
}

static int response_line(const struct dp_mgcp_str *line, struct dp_mgcp_msg *m)
{
	struct dp_mgcp_str rest = *line, code, tid;

	code = word_next(&rest);
	tid = word_next(&rest);
	if (code.len != 3 || !digit(code.s[0]) || !digit(code.s[1]) || !digit(code.s[2]) ||
	    !tid_parse(&tid, &m->tid))
		return -EBADMSG;
	m->code = (uint16_t)((code.s[0] - '0') * 100 + (code.s[1] - '0') * 10 + (code.s[2] - '0'));
	if (rest.len > 0 && rest.s[0] == '/') {
		m->package = word_next(&rest);
		m->package.s++;
		m->package.len--;
	}
	m->comment = trim(rest.s, rest.len);
	return 0;
}

/* Of at least one character. */
static uint8_t pname_id(const struct dp_mgcp_str *name)
{
	char first = upper(name->s[0]), second = name->len > 1 ? upper(name->s[1]) : '\0';

	if (name->len > 2)
		return DP_MGCP_P_OTHER;
	for (uint8_t i = 1; i < sizeof(pnames) / sizeof(pnames[0]); i++)
		if (pnames[i][0] == first && pnames[i][1] == second)
			return i;
	return DP_MGCP_P_OTHER;
}

int dp_mgcp_param_line(const char *s, size_t len, struct dp_mgcp_param *ret)
{
	size_t n = 0;

	while (n < len && name_char(s[n]))
		n++;
	if (n == 0 || n == len || s[n] != ':')
		return -EBADMSG;
	ret->name = str(s, n);
	ret->value = trim(s + n + 1, len - n - 1);
	ret->id = pname_id(&ret->name);
	return 0;
}

static int param_line(const struct dp_mgcp_str *line, struct dp_mgcp_msg *m)
{
	if (m->param_cnt == DP_MGCP_PARAM_MAX || dp_mgcp_param_line(line->s, line->len, &m->param[m->param_cnt]) < 0)
		return -EBADMSG;
	m->param_cnt++;
	return 0;
}

static bool is_dot(const struct dp_mgcp_str *line)
{
	return line->len == 1 && line->s[0] == '.';
}

int dp_mgcp_parse(const uint8_t *buf, size_t len, struct dp_mgcp_msg *ret_msg, size_t *ret_used)
{
	const char *s = (const char *)buf;
	struct dp_mgcp_msg *m = ret_msg;
	struct dp_mgcp_str line;
	size_t off = 0;
	bool in_sdp = false;

	/* param[] is filled as far as param_cnt says; clearing all of it would cost more than the
	 * parse */
	memset(m, 0, offsetof(struct dp_mgcp_msg, param));
	if (len > UINT16_MAX || !line_next(s, len, &off, &line) || line.len == 0)
		return -EBADMSG;
	if ((digit(line.s[0]) ? response_line(&line, m) : command_line(&line, m)) < 0)
		return -EBADMSG;
	while (off < len) {
		size_t start = off;

		if (!line_next(s, len, &off, &line))
			return -EBADMSG;
		if (is_dot(&line)) {
			if (off == len) /* announces a message that is not there */
				return -EBADMSG;
			break;
		}
		if (!in_sdp && line.len > 0) {
			if (param_line(&line, m) < 0)
				return -EBADMSG;
		} else if (line.len == 0) {
			/* Starts a description; a second one after another. Trailing empty lines
			 * mean nothing. */
			if (m->sdp_cnt < DP_MGCP_SDP_MAX || off == len)
				in_sdp = true;
			else
				return -EBADMSG;
		} else {
			bool first =
				start == 0 || m->sdp_cnt == 0 ||
				m->sdp[m->sdp_cnt - 1].s + m->sdp[m->sdp_cnt - 1].len != s + start;

			if (first && m->sdp_cnt == DP_MGCP_SDP_MAX)
				return -EBADMSG;
			if (first)
				m->sdp[m->sdp_cnt++] = str(s + start, 0);
			m->sdp[m->sdp_cnt - 1].len = (uint16_t)(s + off - m->sdp[m->sdp_cnt - 1].s);
		}
	}
	*ret_used = off;
	return 0;
}

const struct dp_mgcp_str *dp_mgcp_param_find(const struct dp_mgcp_msg *msg, enum dp_mgcp_pname id)
{
	for (uint16_t i = 0; i < msg->param_cnt; i++)
		if (msg->param[i].id == id)
			return &msg->param[i].value;
	return NULL;
}

int dp_mgcp_ranges_parse(const struct dp_mgcp_str *value, struct dp_mgcp_range *ret_range,
                         uint16_t max)
{
	struct dp_mgcp_str rest = trim(value->s, value->len);
	uint16_t n = 0;

	while (rest.len > 0) {
		struct dp_mgcp_str item, first, last;
		struct dp_mgcp_range r;
		uint16_t i = 0, dash;

		while (i < rest.len && rest.s[i] != ',')
			i++;
		item = trim(rest.s, i);
		if (i < rest.len && i + 1 == rest.len) /* a comma and nothing behind it */
			return -EBADMSG;
		rest = i < rest.len ? str(rest.s + i + 1, rest.len - i - 1u) : str(rest.s, 0);
		for (dash = 0; dash < item.len && item.s[dash] != '-'; dash++)
			;
		first = trim(item.s, dash);
		last = dash < item.len ? trim(item.s + dash + 1, item.len - dash - 1u) : first;
		if (!tid_parse(&first, &r.first) || !tid_parse(&last, &r.last) || r.first > r.last)
			return -EBADMSG;
		if (n < max)
			ret_range[n++] = r;
	}
	return n;
}

bool dp_mgcp_str_copy(char *dst, size_t size, const struct dp_mgcp_str *src)
{
	size_t n = src->len < size ? src->len : size - 1;

	for (size_t i = 0; i < n; i++)
		dst[i] = src->s[i] >= 0x20 && src->s[i] < 0x7f ? src->s[i] : '?';
	memset(dst + n, 0, size - n);
	return n == src->len;
}

bool dp_mgcp_id_valid(const struct dp_mgcp_str *s)
{
	if (s->len == 0 || s->len >= DP_MGCP_ID_MAX)
		return false;
	for (uint16_t i = 0; i < s->len; i++)
		if (!digit(s->s[i]) && !(upper(s->s[i]) >= 'A' && upper(s->s[i]) <= 'F'))
			return false;
	return true;
}

const char *dp_mgcp_verb_name(uint8_t verb)
{
	return verb > 0 && verb < DP_MGCP_VERB_MAX ? verb_names[verb] : "????";
}

const char *dp_mgcp_mode_name(uint8_t mode)
{
	return mode < DP_MGCP_M_MAX ? mode_names[mode] : NULL;
}

enum dp_mgcp_class dp_mgcp_class(uint16_t code)
{
	static const uint8_t by_hundred[10] = {DP_MGCP_CLASS_ACK, DP_MGCP_CLASS_WAIT, DP_MGCP_CLASS_DONE, DP_MGCP_CLASS_PERMANENT,
					       DP_MGCP_CLASS_LATER, DP_MGCP_CLASS_PERMANENT, DP_MGCP_CLASS_PERMANENT,
					       DP_MGCP_CLASS_PERMANENT, DP_MGCP_CLASS_PACKAGE, DP_MGCP_CLASS_PERMANENT};

	return code < 1000 ? by_hundred[code / 100] : DP_MGCP_CLASS_PERMANENT;
}

const char *dp_mgcp_code_text(uint16_t code)
{
	static const char *const text4[] = {
		"transient error", "already off hook", "already on hook", "no resources", "insufficient bandwidth",
		"endpoint restarting", "transaction timed out", "aborted by another command", NULL, "overload",
		"no endpoint available"};
	static const char *const text5[] = {
		"unknown endpoint", "endpoint not ready", "no resources", "wildcard too complex", "unknown command",
		"unsupported remote descriptor", "options and descriptor conflict", "unsupported functionality",
		"quarantine not supported", "error in remote descriptor", "protocol error", "unrecognised extension",
		"cannot detect an event", "cannot generate a signal", "cannot send announcement", "unknown connection",
		"unknown call", "unsupported mode", "unsupported package", "no digit map", "restarting",
		"go to another agent", "unknown event or signal", "unknown action", "local options inconsistent",
		"unknown extension in local options", "insufficient bandwidth", "missing remote descriptor",
		"incompatible version", "hardware failure", "CAS error", "trunk group failure",
		"unsupported local option value", "response too big", "codec negotiation failed", "packetisation not supported",
		"unknown restart method", "unknown digit map extension", "event or signal parameter error",
		"invalid command parameter", "connection limit of the endpoint", "invalid local option"};
	const char *text = NULL;

	if (code == 0)
		return "";
	if (code / 100 == 1)
		return code == 101 ? "queued" : "executing";
	if (code / 100 == 2)
		return code == 250 ? "deleted" : "OK";
	if (code >= 400 && code - 400u < sizeof(text4) / sizeof(text4[0]))
		text = text4[code - 400];
	if (code >= 500 && code - 500u < sizeof(text5) / sizeof(text5[0]))
		text = text5[code - 500];
	return text != NULL ? text : dp_mgcp_class(code) == DP_MGCP_CLASS_PACKAGE ? "package error" : "error";
}

/* --- build --- */

void dp_mgcp_buf_init(struct dp_mgcp_buf *b, uint8_t *data, uint16_t size)
{
	*b = (struct dp_mgcp_buf){.data = data, .size = size};
}

void dp_mgcp_put_u32(struct dp_mgcp_buf *b, uint32_t v)
{
	static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
				    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
	char digits[10];
	size_t n = sizeof(digits);

	while (v >= 10) {
		n -= 2;
		memcpy(digits + n, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (v > 0 || n == sizeof(digits))
		digits[--n] = (char)('0' + v);
	dp_mgcp_putn(b, digits + n, sizeof(digits) - n);
}

/* Text that must have nothing in it that the line ends with or is divided by: a control character, in a 'word' a blank either. */
static void put_text(struct dp_mgcp_buf *b, const char *s, bool word)
{
	size_t room = (size_t)(b->size - b->len), n = 0;
	uint8_t *to = b->data + b->len;

	if (b->bad)
		return;
	for (; s[n] != '\0' && n < room; n++) {
		if (word ? s[n] <= 0x20 || s[n] >= 0x7f : control(s[n])) {
			b->bad = true;
			return;
		}
		to[n] = (uint8_t)s[n];
	}
	if (s[n] != '\0')
		b->bad = true;
	else
		b->len = (uint16_t)(b->len + n);
}

void dp_mgcp_put_command(struct dp_mgcp_buf *b, uint8_t verb, uint32_t tid, const char *local,
                         const char *domain, bool mgcp_01)
{
	if (verb == 0 || verb >= DP_MGCP_VERB_MAX || tid == 0 || tid > DP_MGCP_TID_MAX ||
	    local[0] == '\0')
		b->bad = true;
	dp_mgcp_put(b, dp_mgcp_verb_name(verb));
	dp_mgcp_put(b, " ");
	dp_mgcp_put_u32(b, tid);
	dp_mgcp_put(b, " ");
	put_text(b, local, true);
	if (domain[0] != '\0') {
		dp_mgcp_put(b, "@");
		put_text(b, domain, true);
	}
	dp_mgcp_put(b, mgcp_01 ? " MGCP 0.1\r\n" : " MGCP 1.0\r\n");
}

void dp_mgcp_put_response(struct dp_mgcp_buf *b, uint16_t code, uint32_t tid, const char *comment)
{
	char digits[4] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10),
	                  (char)('0' + code % 10), ' '};

	if (code > 999 || tid == 0 || tid > DP_MGCP_TID_MAX)
		b->bad = true;
	dp_mgcp_putn(b, digits, sizeof(digits));
	dp_mgcp_put_u32(b, tid);
	if (comment[0] != '\0') {
		dp_mgcp_put(b, " ");
		dp_mgcp_put(b, comment);
	}
	dp_mgcp_put(b, "\r\n");
}

void dp_mgcp_put_param(struct dp_mgcp_buf *b, const char *name, const char *value)
{
	dp_mgcp_put(b, name);
	dp_mgcp_putn(b, ": ", value[0] != '\0' ? 2 : 1);
	put_text(b, value, false);
	dp_mgcp_put(b, "\r\n");
}

void dp_mgcp_put_ranges(struct dp_mgcp_buf *b, const struct dp_mgcp_range *range, uint16_t n)
{
	dp_mgcp_put(b, "K:");
	for (uint16_t i = 0; i < n; i++) {
		dp_mgcp_put(b, i > 0 ? ", " : " ");
		dp_mgcp_put_u32(b, range[i].first);
		if (range[i].last != range[i].first) {
			dp_mgcp_put(b, "-");
			dp_mgcp_put_u32(b, range[i].last);
		}
	}
	dp_mgcp_put(b, "\r\n");
}
