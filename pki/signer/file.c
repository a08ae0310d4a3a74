/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "file.h"

#define TMP ".tmp-"

int pki_dir_make(const char *path)
{
	char buf[PATH_MAX];
	struct stat st;

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return -ENAMETOOLONG;
	for (char *p = buf + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid != geteuid() || (st.st_mode & 022) != 0 ? -EPERM : 0;
}

/* dir and base of a path, and the name that its bytes are gathered under. */
static int split(const char *path, char dir[PATH_MAX], char tmp[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) : 0;

	if (slash == NULL || strlen(path) + sizeof(TMP) >= PATH_MAX)
		return -EINVAL;
	memcpy(dir, path, n);
	strcpy(dir + n, n == 0 ? "/" : "");
	n = (size_t)(slash + 1 - path);
	memcpy(tmp, path, n);
	memcpy(tmp + n, TMP, sizeof(TMP) - 1);
	strcpy(tmp + n + sizeof(TMP) - 1, slash + 1);
	return 0;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * The name is there and its directory does not get to the disk: whoever is told that nothing changed must find nothing changed at
 * the next start. What a power cut leaves then is not known, but nobody was told otherwise.
 */
static int undo(const char *path, const char *tmp, const char *dir, bool swapped, int rc)
{
	if ((swapped ? renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE) : renameat2(AT_FDCWD, path, AT_FDCWD, tmp, RENAME_NOREPLACE)) < 0)
		return -EUCLEAN; /* the old one stays in 'tmp' */
	unlink(tmp);
	(void)sync_dir(dir);
	return rc;
}

int pki_file_write(const char *path, const void *data, size_t len, mode_t mode, bool fresh)
{
	char dir[PATH_MAX], tmp[PATH_MAX];
	bool swap = !fresh && pki_file_exists(path); /* so that there is something to go back to */
	int fd, rc = split(path, dir, tmp);

	if (rc < 0)
		return rc;
	if (unlink(tmp) < 0 && errno != ENOENT)
		return -errno;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, data, len);
	if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat2(AT_FDCWD, tmp, AT_FDCWD, path, fresh ? RENAME_NOREPLACE : swap ? RENAME_EXCHANGE : 0) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(tmp);
		return rc;
	}
	rc = sync_dir(dir);
	if (rc < 0)
		return undo(path, tmp, dir, swap, rc);
	if (swap)
		unlink(tmp); /* the old one; a kill leaves it to pki_file_sweep() */
	return 0;
}

int pki_file_read(const char *path, uint8_t **ret_data, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), rc = 0;
	struct stat st;
	uint8_t *data = NULL;
	size_t len = 0, room = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (st.st_size > PKI_FILE_MAX)
		rc = -EFBIG;
	if (rc == 0) {
		room = (size_t)st.st_size;
		data = OPENSSL_malloc(room + 1);
		if (data == NULL)
			rc = -ENOMEM;
	}
	while (rc == 0 && len < room) {
		ssize_t n = read(fd, data + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (rc < 0) {
		OPENSSL_clear_free(data, room + 1);
		return rc;
	}
	data[len] = '\0';
	*ret_data = data;
	*ret_len = len;
	return 0;
}

int pki_file_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, TMP, sizeof(TMP) - 1) == 0 &&
		    unlinkat(dirfd(d), e->d_name, 0) < 0)
			rc = -errno;
	closedir(d);
	return rc;
}

bool pki_file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 || errno != ENOENT;
}

int pki_file_secret(const char *path, char *ret, size_t size)
{
	const char *creds = getenv("CREDENTIALS_DIRECTORY");
	char buf[PATH_MAX];
	struct stat st;
	ssize_t n = -1;
	int fd, rc = 0;

	if (strncmp(path, "credential:", 11) == 0) {
		if (creds == NULL || snprintf(buf, sizeof(buf), "%s/%s", creds, path + 11) >= (int)sizeof(buf))
			return -ENOENT;
		path = buf;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 077) != 0)
		rc = -EPERM;
	else if ((n = read(fd, ret, size - 1)) <= 0)
		rc = n < 0 ? -errno : -EBADMSG;
	close(fd);
	if (rc < 0)
		return rc;
	ret[n] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	return ret[0] != '\0' ? 0 : -EBADMSG;
}
