/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capffile.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enrol/capfmsg.h"

int cp_capf_file_path(const char *folder, const char *device, unsigned kind, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s-%s.pem", folder, device,
			 kind == CP_CAPF_IS_LSC ? "LSC" : kind == CP_CAPF_IS_MIC ? "MIC" : "other");

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : n;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int cp_capf_file_write(const char *folder, const char *device, unsigned kind, X509 *cert, char *why, size_t size)
{
	char path[512], tmp[520];
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int fd = -1, rc = cp_capf_file_path(folder, device, kind, path, sizeof(path));

	if (rc > 0)
		rc = bio != NULL && X509_print_ex(bio, cert, XN_FLAG_ONELINE, 0) == 1 && PEM_write_bio_X509(bio, cert) == 1 ? 0 : -ENOMEM;
	if (rc == 0 && mkdir(folder, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc == 0) {
		snprintf(tmp, sizeof(tmp), "%s.new", path);
		fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		rc = fd < 0 ? -errno : 0;
	}
	if (rc == 0) {
		len = BIO_get_mem_data(bio, &data);
		rc = write_all(fd, data, (size_t)len);
	}
	if (fd >= 0)
		close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		snprintf(why, size, "%s: %s", path, strerror(-rc));
	BIO_free(bio);
	return rc;
}
