/* SPDX-License-Identifier: BSD-3-Clause */
#include "readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define FIRST 4096

int ctl_read_file(const char *path, size_t max, uint8_t **ret, size_t *ret_len)
{
	int fd = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t len = 0, cap = FIRST;
	uint8_t *data = NULL;

	if (fd < 0)
		return -errno;
	data = OPENSSL_malloc(cap);
	if (data == NULL)
		rc = -ENOMEM;
	while (rc == 0) {
		ssize_t n = read(fd, data + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > max)
			rc = -EFBIG;
		if (rc == 0 && len == cap) { /* so there is room for the zero, too */
			uint8_t *more = OPENSSL_clear_realloc(data, cap, cap * 2);

			if (more == NULL) {
				rc = -ENOMEM;
			} else {
				data = more;
				cap *= 2;
			}
		}
	}
	if (path != NULL)
		close(fd);
	if (rc < 0) {
		OPENSSL_clear_free(data, cap);
		return rc;
	}
	data[len] = '\0';
	/* clear_free() is told how long it is */
	OPENSSL_cleanse(data + len, cap - len);
	*ret = data;
	*ret_len = len;
	return 0;
}
