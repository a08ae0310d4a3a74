/* SPDX-License-Identifier: BSD-3-Clause */
#include "httpmsg.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

size_t cp_http_head_len(const char *buf, size_t len, size_t *scan)
{
	const char *end = buf + len, *p = buf + *scan, *nl;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (nl + 1 < end && nl[1] == '\n')
			return (size_t)(nl + 2 - buf);
		if (nl + 2 < end && nl[1] == '\r' && nl[2] == '\n')
			return (size_t)(nl + 3 - buf);
		if (nl + 2 >= end)
			break; /* what follows it has not come */
		p = nl + 1;
		*scan = (size_t)(p - buf);
	}
	return 0;
}

static bool is_token(const char *s, size_t len)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr(extra, c) != NULL)))
			return false;
	}
	return len > 0;
}

static bool same(struct cp_http_text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.ptr, word, t.len) == 0;
}

/* --- the request line --- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Path of a target into a file's name: percent signs decoded once. 0 or 400. */
static int target(const char *s, size_t len, char name[CP_FILE_NAME_MAX])
{
	size_t n = 0;
	bool fits = true;

	if (len > 7 && strncasecmp(s, "http://", 7) == 0) {
		const char *slash = memchr(s + 7, '/', len - 7);

		len = slash != NULL ? len - (size_t)(slash - s) : 0;
		s = slash;
	} else if (len > 8 && strncasecmp(s, "https://", 8) == 0) {
		const char *slash = memchr(s + 8, '/', len - 8);

		len = slash != NULL ? len - (size_t)(slash - s) : 0;
		s = slash;
	}
	if (len == 0 || s[0] != '/')
		return 400;
	for (size_t i = 1; i < len && s[i] != '?'; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex(s[i + 1]) : -1, lo = i + 2 < len ? hex(s[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return 400;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7f || c == '#') {
			return 400;
		}
		if (c == '\0' || n + 1 >= CP_FILE_NAME_MAX)
			fits = false; /* no file's name; cut or ended early it would be another */
		else
			name[n++] = c;
	}
	name[fits ? n : 0] = '\0';
	if (!cp_file_name_ok(name))
		name[0] = '\0';
	return 0;
}

static int request_line(const char *s, size_t len, struct cp_http_req *r)
{
	const char *sp = memchr(s, ' ', len), *sp2;
	size_t method = sp != NULL ? (size_t)(sp - s) : 0, rest;
	int status = 0;

	if (!is_token(s, method))
		return 400;
	rest = len - method - 1;
	sp2 = memchr(sp + 1, ' ', rest);
	if (sp2 == NULL)
		return rest > CP_HTTP_TARGET_MAX ? 414 : 400;
	if ((size_t)(sp2 - sp - 1) > CP_HTTP_TARGET_MAX)
		return 414;
	rest -= (size_t)(sp2 - sp);
	if (rest != 8 || memcmp(sp2 + 1, "HTTP/", 5) != 0 || sp2[7] != '.' || hex(sp2[6]) < 0 || hex(sp2[8]) < 0)
		return 400;
	if (sp2[6] != '1')
		return 505;
	r->http11 = sp2[8] != '0';
	r->keep_alive = r->http11;
	if (method == 4 && memcmp(s, "HEAD", 4) == 0)
		r->head = true;
	else if (method != 3 || memcmp(s, "GET", 3) != 0)
		status = method > 16 ? 501 : 405;
	if (status == 0)
		status = target(sp + 1, (size_t)(sp2 - sp - 1), r->name);
	return status;
}

/* --- header fields --- */

struct seen { /* what matters beyond the request itself */
	unsigned hosts;
	bool body, bad;
};

static void connection(struct cp_http_req *r, struct cp_http_text v)
{
	const char *p = v.ptr, *end = v.ptr + v.len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct cp_http_text t = {p, (size_t)((comma != NULL ? comma : end) - p)};

		p = comma != NULL ? comma + 1 : end;
		while (t.len > 0 && (*t.ptr == ' ' || *t.ptr == '\t')) {
			t.ptr++;
			t.len--;
		}
		while (t.len > 0 && (t.ptr[t.len - 1] == ' ' || t.ptr[t.len - 1] == '\t'))
			t.len--;
		if (same(t, "close")) {
			r->keep_alive = false;
			return;
		}
		if (same(t, "keep-alive"))
			r->keep_alive = true;
	}
}

static void field(struct cp_http_req *r, struct seen *seen, struct cp_http_text n, struct cp_http_text v)
{
	static const struct {
		const char *name;
		size_t off;
	} texts[] = {
		{"range", offsetof(struct cp_http_req, range)},
		{"if-range", offsetof(struct cp_http_req, if_range)},
		{"if-match", offsetof(struct cp_http_req, if_match)},
		{"if-none-match", offsetof(struct cp_http_req, if_none_match)},
		{"if-modified-since", offsetof(struct cp_http_req, if_modified_since)},
		{"if-unmodified-since", offsetof(struct cp_http_req, if_unmodified_since)},
	};

	switch (n.ptr[0] | 0x20) {
	case 'h':
		seen->hosts += same(n, "host");
		break;
	case 'c':
		if (same(n, "connection")) {
			connection(r, v);
		} else if (same(n, "content-length")) {
			/* no body is taken: any length but none is one too many, and a wrong one might hide a request */
			seen->bad |= v.len == 0 || strspn(v.ptr, "0123456789") < v.len;
			seen->body |= strspn(v.ptr, "0") < v.len;
		}
		break;
	case 't':
		seen->body |= same(n, "transfer-encoding");
		break;
	case 'a':
		if (!same(n, "authorization"))
			break;
		if (r->bearer.ptr != NULL) /* two: whose? */
			seen->bad = true;
		if (v.len > 7 && strncasecmp(v.ptr, "Bearer ", 7) == 0) {
			r->bearer = (struct cp_http_text){v.ptr + 7, v.len - 7};
			while (r->bearer.len > 0 && *r->bearer.ptr == ' ') {
				r->bearer.ptr++;
				r->bearer.len--;
			}
		}
		break;
	case 'r':
	case 'i':
		for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			if (same(n, texts[i].name))
				memcpy((char *)r + texts[i].off, &v, sizeof(v));
		break;
	default:
		break;
	}
}

int cp_http_parse(const char *buf, size_t len, struct cp_http_req *ret)
{
	struct cp_http_req r = {0};
	struct seen seen = {0};
	const char *p = buf, *end = buf + len;
	unsigned lines = 0;
	int status = 0;

	memset(ret, 0, sizeof(*ret));
	if (memchr(buf, '\0', len) != NULL)
		return 400;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *colon;
		struct cp_http_text n, v;
		size_t line;

		if (nl == NULL)
			return 400;
		line = (size_t)(nl - p);
		if (line > 0 && p[line - 1] == '\r')
			line--;
		if (memchr(p, '\r', line) != NULL)
			return 400; /* others would see a line's end there */
		if (lines == 0) {
			int rc = line > 0 ? request_line(p, line, &r) : 400;

			if (rc != 0 && rc != 405 && rc != 501)
				return rc;
			status = rc;
			lines = 1;
			p = nl + 1;
			continue;
		}
		if (line == 0)
			break;
		if (++lines > CP_HTTP_FIELDS_MAX + 1)
			return 431;
		colon = memchr(p, ':', line);
		if (colon == NULL || !is_token(p, (size_t)(colon - p)))
			return 400; /* a blank before the colon, a folded line, ... */
		n = (struct cp_http_text){p, (size_t)(colon - p)};
		v = (struct cp_http_text){colon + 1, line - n.len - 1};
		while (v.len > 0 && (*v.ptr == ' ' || *v.ptr == '\t')) {
			v.ptr++;
			v.len--;
		}
		while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
			v.len--;
		field(&r, &seen, n, v);
		p = nl + 1;
	}
	if (lines == 0 || seen.bad || seen.hosts > 1 || (r.http11 && seen.hosts == 0))
		return 400;
	ret->head = r.head;
	if (status != 0)
		return status;
	if (seen.body)
		return 413;
	*ret = r;
	return 0;
}

/* --- conditions and ranges --- */

/* Is the file's tag in a list of them? Weak ones match if 'weak' (RFC 9110 section 8.8.3.2); ours are strong. */
static bool tag_in(struct cp_http_text list, const char *etag, bool weak)
{
	const char *p = list.ptr, *end = list.ptr + list.len;
	size_t len = strlen(etag);

	if (list.len == 1 && *p == '*')
		return true;
	while (p < end) {
		bool is_weak = false;
		const char *q;

		while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
			p++;
		if (end - p > 2 && p[0] == 'W' && p[1] == '/') {
			is_weak = true;
			p += 2;
		}
		if (p >= end || *p != '"')
			return false;
		q = memchr(p + 1, '"', (size_t)(end - p - 1));
		if (q == NULL)
			return false;
		if ((weak || !is_weak) && (size_t)(q + 1 - p) == len && memcmp(p, etag, len) == 0)
			return true;
		p = q + 1;
	}
	return false;
}

/* IMF-fixdate only: what we send, and so what comes back. */
static bool date_of(struct cp_http_text t, int64_t *ret)
{
	char text[32];
	struct tm tm = {0};
	const char *end;

	if (t.len != 29)
		return false;
	memcpy(text, t.ptr, t.len);
	text[t.len] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*ret = timegm(&tm);
	return true;
}

static bool digits(const char **p, const char *end, size_t *ret)
{
	const char *start = *p;
	size_t v = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
		if (v > (SIZE_MAX - 9) / 10)
			return false;
		v = v * 10 + (size_t)(**p - '0');
	}
	*ret = v;
	return *p > start;
}

/* 0: no range that we know; 206; 416. One range only: a list of them is answered with the whole. */
static int range(struct cp_http_text t, size_t size, size_t *ret_at, size_t *ret_len)
{
	const char *p = t.ptr, *end = t.ptr + t.len;
	size_t first, last;

	if (t.len < 8 || strncasecmp(p, "bytes=", 6) != 0)
		return 0;
	p += 6;
	if (*p == '-') {
		p++;
		if (!digits(&p, end, &last) || p != end)
			return 0;
		if (last == 0 || size == 0)
			return 416;
		*ret_len = last < size ? last : size;
		*ret_at = size - *ret_len;
		return 206;
	}
	if (!digits(&p, end, &first) || p == end || *p++ != '-')
		return 0;
	if (p == end)
		last = SIZE_MAX;
	else if (!digits(&p, end, &last) || p != end || last < first)
		return 0;
	if (first >= size)
		return 416;
	*ret_at = first;
	*ret_len = (last < size - 1 ? last : size - 1) - first + 1;
	return 206;
}

int cp_http_select(const struct cp_http_req *req, const struct cp_file *file, size_t *ret_at, size_t *ret_len)
{
	int64_t t;
	int status;

	*ret_at = 0;
	*ret_len = file->len;
	if (req->if_match.ptr != NULL ? !tag_in(req->if_match, file->etag, false)
				      : req->if_unmodified_since.ptr != NULL && date_of(req->if_unmodified_since, &t) &&
						file->mtime > t)
		status = 412;
	else if (req->if_none_match.ptr != NULL ? tag_in(req->if_none_match, file->etag, true)
						: req->if_modified_since.ptr != NULL && date_of(req->if_modified_since, &t) &&
							  file->mtime <= t)
		status = 304;
	else
		status = 200;
	if (status != 200) {
		*ret_len = 0;
		return status;
	}
	if (req->range.ptr == NULL || req->head)
		return 200;
	if (req->if_range.ptr != NULL &&
	    (req->if_range.len > 0 && (*req->if_range.ptr == '"' || *req->if_range.ptr == 'W')
		     ? !tag_in(req->if_range, file->etag, false)
		     : !(date_of(req->if_range, &t) && t == file->mtime)))
		return 200;
	status = range(req->range, file->len, ret_at, ret_len);
	if (status == 416)
		*ret_len = 0;
	return status != 0 ? status : 200;
}

/* --- answers --- */

const char *cp_http_date(int64_t t, char out[30])
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t tt = (time_t)t;
	struct tm tm;

	if (gmtime_r(&tt, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099) {
		tt = 0;
		gmtime_r(&tt, &tm);
	}
	/* not strftime(3): the language is fixed */
	snprintf(out, 30, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100u,
		 months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
		 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
	return out;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 206:
		return "Partial Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 416:
		return "Range Not Satisfiable";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Service Unavailable";
	}
}

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (dot == NULL)
		return "application/octet-stream";
	if (strcmp(dot, ".xml") == 0)
		return "text/xml";
	if (strcmp(dot, ".txt") == 0)
		return "text/plain";
	if (strcmp(dot, ".png") == 0)
		return "image/png";
	return "application/octet-stream";
}

size_t cp_http_answer(const struct cp_http_req *req, const struct cp_file *file, int status, size_t at, size_t len,
		      const char *date, char out[CP_HTTP_ANSWER_MAX])
{
	char mtime[30], part[96] = "";
	const char *conn = !req->keep_alive ? "Connection: close\r\n" : !req->http11 ? "Connection: keep-alive\r\n" : "";
	int n;

	/* everything here is short or bounded: it fits many times over */
	if (status == 206)
		snprintf(part, sizeof(part), "Content-Range: bytes %zu-%zu/%zu\r\n", at, at + len - 1, file->len);
	else if (status == 416)
		snprintf(part, sizeof(part), "Content-Range: bytes */%zu\r\n", file->len);
	n = snprintf(out, CP_HTTP_ANSWER_MAX, "HTTP/1.1 %d %s\r\nServer: ravelin\r\nDate: %s\r\n%sETag: %s\r\nCache-Control: %s\r\n",
		     status, reason(status), date, conn, file->etag, file->secret ? "no-store" : "no-cache");
	if (status == 200 || status == 206)
		n += snprintf(out + n, CP_HTTP_ANSWER_MAX - (size_t)n,
			      "Last-Modified: %s\r\nAccept-Ranges: bytes\r\nContent-Type: %s\r\n",
			      cp_http_date(file->mtime, mtime), type_of(file->name));
	if (status != 304)
		n += snprintf(out + n, CP_HTTP_ANSWER_MAX - (size_t)n, "%sContent-Length: %zu\r\n", part, len);
	n += snprintf(out + n, CP_HTTP_ANSWER_MAX - (size_t)n, "\r\n");
	return (size_t)n;
}

size_t cp_http_refusal(int status, const char *why, bool keep_alive, bool head, const char *date,
		       char out[CP_HTTP_ANSWER_MAX])
{
	char extra[320] = "", body[64];
	int len = snprintf(body, sizeof(body), "%d %s\n", status, reason(status)), n;

	if (status == 401)
		snprintf(extra, sizeof(extra), "WWW-Authenticate: Bearer realm=\"ravelin\"%s%.200s%s\r\n",
			 why != NULL ? ", error=\"invalid_token\", error_description=\"" : "", why != NULL ? why : "",
			 why != NULL ? "\"" : "");
	else if (status == 405)
		snprintf(extra, sizeof(extra), "Allow: GET, HEAD\r\n");
	else if (status == 503)
		snprintf(extra, sizeof(extra), "Retry-After: 5\r\n");
	n = snprintf(out, CP_HTTP_ANSWER_MAX,
		     "HTTP/1.1 %d %s\r\nServer: ravelin\r\nDate: %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n"
		     "Cache-Control: no-store\r\n%s\r\n%s",
		     status, reason(status), date, extra, len, keep_alive ? "" : "Connection: close\r\n", head ? "" : body);
	return (size_t)n;
}
