/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates between files and requests: what is uploaded goes as it is, in base64; what is exported comes as PEM or DER. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base64.h"
#include "ctl.h"
#include "readfile.h"

#define FILE_MAX (1u << 19) /* bytes read; the appliance has its own limit and says it */

int ctl_cert_read(const char *path, json_t *args, char *why, size_t size)
{
	bool in = strcmp(path, "-") == 0;
	const char *base = strrchr(path, '/');
	uint8_t *data = NULL, *text = NULL;
	size_t len = 0;
	json_t *label;
	int rc = ctl_read_file(in ? NULL : path, FILE_MAX, &data, &len);

	if (rc == 0 && (text = malloc(len / 3 * 4 + 8)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		text[EVP_EncodeBlock(text, data, (int)len)] = '\0';
		json_object_set_new(args, "data", json_string((const char *)text));
	} else {
		snprintf(why, size, "%s: %s", in ? "standard input" : path, strerror(-rc));
	}
	/* where it came from, if that is a text: only shown */
	label = in || rc < 0 ? NULL : json_string(base != NULL ? base + 1 : path);
	if (label != NULL && json_string_length(label) < 64)
		json_object_set(args, "file", label);
	json_decref(label);
	OPENSSL_clear_free(data, len + 1); /* somebody may have taken the wrong file */
	free(text);
	return rc;
}

static int put(int fd, const unsigned char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, data + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int ctl_cert_write(const json_t *result, bool der, const char *path, char *why, size_t size)
{
	const char *text = json_string_value(json_object_get(result, der ? "der" : "pem"));
	size_t len = text != NULL ? strlen(text) : 0;
	uint8_t *raw = NULL;
	int fd = STDOUT_FILENO, rc = 0;

	if (len == 0 || len > 4 * FILE_MAX) {
		snprintf(why, size, "the answer holds no certificate");
		return -EPROTO;
	}
	if (der && pki_base64_decode(text, len, len, &raw, &len) < 0) {
		snprintf(why, size, "the answer holds no certificate");
		return -EPROTO;
	}
	if (path != NULL)
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	rc = fd < 0 ? -errno : put(fd, der ? raw : (const unsigned char *)text, len);
	if (path != NULL && fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		snprintf(why, size, "%s: %s", path != NULL ? path : "standard output", strerror(-rc));
	free(raw);
	return rc;
}
