/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LD_PRELOAD: a disk that fails. Calls on files below FAULTFS_PATH are counted from faultfs_arm() on; number
 * FAULTFS_AT (from 1) and the FAULTFS_FOR - 1 after it fail.
 *     FAULTFS_OP   write (write, pwrite), sync (fsync, fdatasync), open (for writing), rename, all of these, short (half is written)
 *     FAULTFS_ERR  ENOSPC or EIO; LIE: an fsync that fails says that it did it, and nothing else fails
 *     FAULTFS_WHEN a file: armed while it is there, so that programs need not know of this; calls are counted from 1 when it comes
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void faultfs_arm(void);
int faultfs_fired(void);

static int armed, calls, fired;

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		abort();
	return p;
}

#define REAL(fn) ((__typeof__(&fn))real(#fn))

void faultfs_arm(void)
{
	__atomic_store_n(&armed, 1, __ATOMIC_SEQ_CST);
}

int faultfs_fired(void)
{
	return __atomic_load_n(&fired, __ATOMIC_SEQ_CST);
}

static int is_armed(void)
{
	const char *when = getenv("FAULTFS_WHEN");
	int there = when != NULL && access(when, F_OK) == 0;

	if (when != NULL && !there)
		__atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
	return there || __atomic_load_n(&armed, __ATOMIC_SEQ_CST);
}

/* Should this call fail? 'op' is its kind; the path is the descriptor's or given. */
static int hit(const char *op, int fd, const char *path)
{
	const char *below = getenv("FAULTFS_PATH"), *want = getenv("FAULTFS_OP"), *at = getenv("FAULTFS_AT"),
		   *count = getenv("FAULTFS_FOR");
	char link[64], buf[4096];
	int n, first;

	if (!is_armed() || below == NULL || want == NULL ||
	    (strcmp(want, op) != 0 && (strcmp(want, "all") != 0 || strcmp(op, "short") == 0)))
		return 0;
	if (path == NULL) {
		ssize_t len;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		len = readlink(link, buf, sizeof(buf) - 1);
		if (len < 0)
			return 0;
		buf[len] = '\0';
		path = buf;
	}
	if (strncmp(path, below, strlen(below)) != 0)
		return 0;
	n = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
	first = at != NULL ? atoi(at) : 1;
	if (n < first || n >= first + (count != NULL ? atoi(count) : 1))
		return 0;
	__atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
	return 1;
}

/* A disk that says that it has what it has not. */
static int lies(void)
{
	const char *e = getenv("FAULTFS_ERR");

	return e != NULL && strcmp(e, "LIE") == 0;
}

static int fail(void)
{
	const char *e = getenv("FAULTFS_ERR");

	errno = e != NULL && strcmp(e, "EIO") == 0 ? EIO : ENOSPC;
	return -1;
}

ssize_t write(int fd, const void *buf, size_t n)
{
	ssize_t (*next)(int, const void *, size_t) = REAL(write);

	if (hit("write", fd, NULL))
		return fail();
	return next(fd, buf, n > 1 && hit("short", fd, NULL) ? n / 2 : n);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	ssize_t (*next)(int, const void *, size_t, off_t) = REAL(pwrite);

	if (hit("write", fd, NULL))
		return fail();
	return next(fd, buf, n > 1 && hit("short", fd, NULL) ? n / 2 : n, at);
}

int fsync(int fd)
{
	return !hit("sync", fd, NULL) ? REAL(fsync)(fd) : lies() ? 0 : fail();
}

int fdatasync(int fd)
{
	return !hit("sync", fd, NULL) ? REAL(fdatasync)(fd) : lies() ? 0 : fail();
}

int rename(const char *from, const char *to)
{
	return hit("rename", -1, from) ? fail() : REAL(rename)(from, to);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((flags & O_ACCMODE) != O_RDONLY && hit("open", -1, path))
		return fail();
	return REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at) __attribute__((alias("pwrite")));
