/* SPDX-License-Identifier: BSD-3-Clause */
#include "reqfile.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "readfile.h"

#define FILE_MAX (64u << 20)

int ctl_read_key(struct ctl_request *r, char *why, size_t size)
{
	uint8_t *text = NULL;
	size_t len = 0, n = 0;
	int rc = ctl_read_file(r->local[0], FILE_MAX, &text, &len);

	if (rc < 0) {
		snprintf(why, size, "%s: %s", r->local[0] != NULL ? r->local[0] : "standard input", strerror(-rc));
		return rc;
	}
	for (size_t i = 0; i < len; i++) /* hex, perhaps in groups or lines */
		if (text[i] != ' ' && text[i] != '\n' && text[i] != '\r' && text[i] != ':')
			text[n++] = text[i];
	text[n] = '\0';
	if (n == 0 || strspn((const char *)text, "0123456789abcdefABCDEF") != n) {
		snprintf(why, size, "the key is not hex");
		rc = -EINVAL;
	} else {
		json_object_set_new(r->args, "key", json_string((const char *)text));
	}
	OPENSSL_clear_free(text, len + 1);
	return rc;
}

int ctl_read_secrets(struct ctl_request *r, char *why, size_t size)
{
	static const char *const phone[2] = {"digest_password", "config_key_hex"}, *const gateway[2] = {"ike_psk", NULL};
	const char *const *members = r->cmd->special == CTL_IKE_PSK ? gateway : phone;
	int rc = 0;

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		uint8_t *text = NULL;
		size_t len = 0;
		json_t *v;

		if (r->local[i] == NULL || members[i] == NULL)
			continue;
		rc = ctl_read_file(r->local[i], FILE_MAX, &text, &len);
		if (rc < 0) {
			snprintf(why, size, "%s: %s", r->local[i], strerror(-rc));
			break;
		}
		text[strcspn((const char *)text, "\r\n")] = '\0';
		v = json_string((const char *)text);
		if (v == NULL) {
			snprintf(why, size, "%s is not UTF-8", r->local[i]);
			rc = -EINVAL;
		} else {
			json_object_set_new(r->args, members[i], v);
		}
		OPENSSL_clear_free(text, len + 1);
	}
	return rc;
}

int ctl_read_import(struct ctl_request *r, char *why, size_t size)
{
	json_error_t err;
	json_t *o = json_load_file(r->local[0], JSON_REJECT_DUPLICATES, &err);

	if (o == NULL || !json_is_object(o)) {
		snprintf(why, size, "%s:%d: %s", r->local[0], o == NULL ? err.line : 1,
			 o == NULL ? err.text : "not an object");
		json_decref(o);
		return -EINVAL;
	}
	json_object_update(o, r->args);
	json_decref(r->args);
	r->args = o;
	return 0;
}

int ctl_read_passphrase(struct ctl_request *r, const char *file, char *why, size_t size)
{
	char buf[1100] = "";
	FILE *f = file == NULL || strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	json_t *v;

	if (f == NULL) {
		snprintf(why, size, "%s: %s", file, strerror(errno));
		return -errno;
	}
	setvbuf(f, NULL, _IONBF, 0);
	if (fgets(buf, sizeof(buf), f) != NULL)
		buf[strcspn(buf, "\r\n")] = '\0';
	if (f != stdin)
		fclose(f);
	v = buf[0] != '\0' ? json_string(buf) : NULL;
	OPENSSL_cleanse(buf, sizeof(buf));
	if (v == NULL) {
		snprintf(why, size, "no passphrase: give --passphrase-file, or a line on standard input");
		return -EINVAL;
	}
	json_object_set_new(r->args, "passphrase", v);
	return 0;
}

/* Write a file of mode 0600 in one step: it is whole, or as it was. */
static int write_file(const char *dir, const char *name, const char *suffix, const char *const *parts)
{
	char path[4096], tmp[4120];
	int fd, rc = 0;

	if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	for (; *parts != NULL && rc == 0; parts++)
		for (size_t at = 0, len = strlen(*parts); at < len && rc == 0;) {
			ssize_t n = write(fd, *parts + at, len - at);

			if (n < 0)
				rc = -errno;
			else
				at += (size_t)n;
		}
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(tmp);
	return rc;
}

int ctl_save_cert(const struct ctl_request *r, json_t *result, char *why, size_t size)
{
	const char *device = NULL, *key = NULL, *cert = NULL, *ca = NULL;
	int rc;

	if (json_unpack(result, "{s:s,s:s,s:s,s:s}", "device", &device, "key", &key, "cert", &cert, "ca", &ca) < 0 ||
	    strchr(device, '/') != NULL) {
		snprintf(why, size, "the answer holds no certificate");
		return -EPROTO;
	}
	if (mkdir(r->local[0], 0700) < 0 && errno != EEXIST)
		rc = -errno;
	else
		rc = write_file(r->local[0], device, ".pem", (const char *const[]){key, cert, NULL});
	if (rc == 0)
		rc = write_file(r->local[0], "ca", ".pem", (const char *const[]){ca, NULL});
	if (rc < 0) {
		snprintf(why, size, "%s: %s", r->local[0], strerror(-rc));
		return rc;
	}
	/* what is printed holds no key */
	json_object_del(result, "key");
	json_object_del(result, "cert");
	json_object_del(result, "ca");
	snprintf(why, size, "%s/%s.pem", r->local[0], device);
	json_object_set_new(result, "file", json_string(why));
	snprintf(why, size, "%s/ca.pem", r->local[0]);
	json_object_set_new(result, "ca_file", json_string(why));
	return 0;
}

int ctl_take_bundle(json_t *result, const char *to, char *why, size_t size)
{
	const char *from = json_string_value(json_object_get(result, "file"));
	int in = from != NULL ? open(from, O_RDONLY | O_CLOEXEC) : -1, out, rc = 0;
	char tmp[4200], dir[4200], *slash;
	static char buf[65536];
	ssize_t n = 0;

	snprintf(tmp, sizeof(tmp), "%s.tmp-%d", to, (int)getpid());
	snprintf(dir, sizeof(dir), "%s", to);
	slash = strrchr(dir, '/');
	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	if (in < 0) {
		snprintf(why, size, "%s: %s", from != NULL ? from : "the bundle", strerror(errno));
		return -errno;
	}
	out = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		rc = -errno;
	while (rc == 0 && (n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, k; rc == 0 && at < n; at += k)
			if ((k = write(out, buf + at, (size_t)(n - at))) < 0) {
				rc = -errno;
				k = 0;
			}
	if (rc == 0 && (n < 0 || fsync(out) < 0 || rename(tmp, to) < 0))
		rc = -errno;
	if (out >= 0)
		close(out);
	close(in);
	if (rc < 0) {
		if (out >= 0) /* else it is somebody else's */
			unlink(tmp);
		snprintf(why, size, "%s: %s; the bundle is %s", to, strerror(-rc), from);
		return rc;
	}
	out = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out >= 0) {
		fsync(out);
		close(out);
	}
	unlink(from);
	json_object_set_new(result, "file", json_string(to));
	return 0;
}
