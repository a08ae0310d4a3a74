/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests for an external CA into files, and its certificates back from them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "ctl.h"
#include "readfile.h"

#define PIECE    100
#define FILE_MAX (64u << 20)

static int failed(char *why, size_t size, const char *path)
{
	int rc = errno != 0 ? -errno : -EIO;

	snprintf(why, size, "%s: %s", path, strerror(-rc));
	return rc;
}

/* Its result, a new reference. NULL: *ret is the refusal, or NULL. */
static json_t *request(ctl_ask_fn ask, void *ctx, const char *cmd, json_t *args, json_t **ret)
{
	json_t *answer = ask(ctx, cmd, args), *result = json_is_true(json_object_get(answer, "ok")) ? json_object_get(answer, "result") : NULL;

	json_decref(args);
	if (result == NULL) {
		*ret = answer;
		return NULL;
	}
	json_incref(result);
	json_decref(answer);
	return result;
}

/* --- out --- */

struct out {
	const char *to;
	bool folder;
	FILE *pem, *csv;
	unsigned n;
};

static int put_one(struct out *o, const json_t *row, char *why, size_t size)
{
	const char *device = json_string_value(json_object_get(row, "device")), *pem = json_string_value(json_object_get(row, "pem"));
	const char *since = json_string_value(json_object_get(row, "since")), *key = json_string_value(json_object_get(row, "key_sha256"));
	char path[4400];
	FILE *f = o->pem;

	if (device == NULL || pem == NULL || since == NULL || key == NULL || strchr(device, '/') != NULL) {
		snprintf(why, size, "the answer makes no sense");
		return -EPROTO;
	}
	errno = 0;
	if (o->folder) {
		snprintf(path, sizeof(path), "%s/%s.csr.pem", o->to, device);
		f = fopen(path, "w");
		if (f == NULL)
			return failed(why, size, path);
	}
	if (fputs(pem, f) < 0 || (o->folder && fclose(f) != 0))
		return failed(why, size, o->folder ? path : o->to);
	fprintf(o->csv, "%s,%s,%s%s%s%s\n", device, since, key, o->folder ? "," : "", o->folder ? device : "", o->folder ? ".csr.pem" : "");
	o->n++;
	return 0;
}

static int put_all(struct out *o, ctl_ask_fn ask, void *ctx, const json_t *rows, json_t **ret, char *why, size_t size)
{
	size_t n = json_array_size(rows);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < n; at += PIECE) {
		json_t *names = json_array(), *list, *one;
		size_t i;

		for (i = at; i < n && i < at + PIECE; i++)
			json_array_append(names, json_object_get(json_array_get(rows, i), "device"));
		list = request(ask, ctx, "capf.request", json_pack("{s:o}", "devices", names), ret);
		if (list == NULL)
			return -EIO;
		json_array_foreach(list, i, one)
			if (rc == 0)
				rc = put_one(o, one, why, size);
		json_decref(list);
	}
	return rc;
}

int ctl_capf_requests(ctl_ask_fn ask, void *ctx, const char *to, json_t *args, json_t **ret, char *why, size_t size)
{
	struct out o = {.to = to};
	json_t *rows;
	char csv[4200];
	struct stat st;
	int rc = 0;

	*ret = NULL;
	why[0] = '\0';
	rows = request(ask, ctx, "capf.requests", json_incref(args), ret);
	if (rows == NULL)
		return -EIO;
	if (to == NULL) {
		*ret = rows;
		return 0;
	}
	o.folder = stat(to, &st) == 0 ? S_ISDIR(st.st_mode) : to[strlen(to) - 1] == '/';
	errno = 0;
	if (o.folder && mkdir(to, 0755) < 0 && errno != EEXIST)
		rc = failed(why, size, to);
	snprintf(csv, sizeof(csv), o.folder ? "%s/requests.csv" : "%s.csv", to);
	if (rc == 0 && !o.folder && (o.pem = fopen(to, "w")) == NULL)
		rc = failed(why, size, to);
	if (rc == 0 && (o.csv = fopen(csv, "w")) == NULL)
		rc = failed(why, size, csv);
	if (rc == 0) {
		fprintf(o.csv, "device,since,key_sha256%s\n", o.folder ? ",file" : "");
		rc = put_all(&o, ask, ctx, rows, ret, why, size);
	}
	if (o.pem != NULL && fclose(o.pem) != 0 && rc == 0)
		rc = failed(why, size, to);
	if (o.csv != NULL && fclose(o.csv) != 0 && rc == 0)
		rc = failed(why, size, csv);
	json_decref(rows);
	if (rc == 0)
		*ret = json_pack("{s:i,s:s}", "requests", (int)o.n, "list", csv);
	return rc;
}

/* --- in --- */

struct in {
	ctl_ask_fn ask;
	void *ctx;
	json_t *sum, **ret;
	char *why;
	size_t size;
};

static void add(json_t *sum, const char *key, const json_t *r)
{
	json_object_set_new(sum, key, json_integer(json_integer_value(json_object_get(sum, key)) + json_integer_value(json_object_get(r, key))));
}

/* Up to PIECE certificates. 'first' is the number of the first one in its file. */
static int send_piece(struct in *in, const char *path, const unsigned char *data, size_t len, unsigned first)
{
	unsigned char *text = malloc(len / 3 * 4 + 8);
	json_t *r, *list, *one;
	size_t i;

	if (text == NULL) {
		snprintf(in->why, in->size, "out of memory");
		return -ENOMEM;
	}
	text[EVP_EncodeBlock(text, data, (int)len)] = '\0';
	r = request(in->ask, in->ctx, "capf.certificates", json_pack("{s:s}", "data", (const char *)text), in->ret);
	free(text);
	if (r == NULL) {
		const char *code = json_string_value(json_object_get(json_object_get(*in->ret, "error"), "code"));

		if (code == NULL || strcmp(code, "invalid") != 0)
			return -EIO;
		/* this file is none: the others are looked at all the same */
		json_array_append_new(json_object_get(in->sum, "refused"),
				      json_pack("{s:s,s:i,s:s,s:O}", "file", path, "certificate", 0, "device", "", "reason",
						json_object_get(json_object_get(*in->ret, "error"), "message")));
		json_decref(*in->ret);
		*in->ret = NULL;
		return 0;
	}
	add(in->sum, "taken", r);
	add(in->sum, "known", r);
	list = json_object_get(r, "refused");
	json_array_foreach(list, i, one) {
		json_object_set_new(one, "certificate", json_integer(json_integer_value(json_object_get(one, "certificate")) + first));
		json_object_set_new(one, "file", json_string(path));
		json_array_append(json_object_get(in->sum, "refused"), one);
	}
	json_decref(r);
	return 0;
}

static int send_data(struct in *in, const char *path, const unsigned char *data, size_t len)
{
	static const char mark[] = "-----BEGIN CERTIFICATE-----";
	const unsigned char *from = data, *p = data, *end = data + len;
	unsigned n = 0, first = 0;
	int rc = 0;

	while (rc == 0 && (p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1)) != NULL) {
		if (n > 0 && n % PIECE == 0) {
			rc = send_piece(in, path, from, (size_t)(p - from), first);
			from = p;
			first = n;
		}
		n++;
		p += sizeof(mark) - 1;
	}
	return rc == 0 ? send_piece(in, path, from, (size_t)(end - from), first) : rc;
}

static int send_file(struct in *in, const char *path)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int rc = ctl_read_file(path, FILE_MAX, &data, &len);

	if (rc < 0) {
		errno = -rc;
		return failed(in->why, in->size, path);
	}
	rc = send_data(in, path, data, len);
	OPENSSL_clear_free(data, len + 1);
	return rc;
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

int ctl_capf_certs(ctl_ask_fn ask, void *ctx, const char *from, json_t **ret, char *why, size_t size)
{
	struct in in = {ask, ctx, json_pack("{s:i,s:i,s:[]}", "taken", 0, "known", 0, "refused"), ret, why, size};
	struct dirent **names = NULL;
	struct stat st;
	int rc = 0, n = 0;

	*ret = NULL;
	why[0] = '\0';
	if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
		n = scandir(from, &names, visible, alphasort);
		if (n < 0)
			rc = failed(why, size, from);
		for (int i = 0; i < n; i++) {
			char path[4400];

			snprintf(path, sizeof(path), "%s/%s", from, names[i]->d_name);
			if (rc == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode))
				rc = send_file(&in, path);
			free(names[i]);
		}
		free(names);
	} else {
		rc = send_file(&in, from);
	}
	if (rc < 0)
		json_decref(in.sum);
	else
		*ret = in.sum;
	return rc;
}
