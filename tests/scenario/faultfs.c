/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LD_PRELOAD: a disk that fails. Calls on files below FAULTFS_PATH are counted from faultfs_arm() on; number
 * FAULTFS_AT (from 1) and the FAULTFS_FOR - 1 after it fail.
 *     FAULTFS_OP   write (write, pwrite), sync (fsync, fdatasync), open (for writing), rename, all of these, short (half is written)
 *     FAULTFS_ERR  ENOSPC or EIO; LIE: an fsync that fails says that it did it, and nothing else fails
 *     FAULTFS_WHEN a file: armed while it is there, so that programs need not know of this; calls are counted from 1 when it comes. If it
 *                  says "OP ERR AT FOR", that is what fails, and not what the environment says
 *     FAULTFS_SAID a file that gets a byte for each call that failed
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

/* What is to fail: the words of FAULTFS_WHEN's file, or the environment's. */
struct plan {
	char op[16], err[16];
	int at, count;
};

static void plan_get(struct plan *p)
{
	const char *when = getenv("FAULTFS_WHEN"), *op = getenv("FAULTFS_OP"), *err = getenv("FAULTFS_ERR"), *at = getenv("FAULTFS_AT"),
		   *count = getenv("FAULTFS_FOR");
	FILE *f = when != NULL ? fopen(when, "re") : NULL;
	int n = f != NULL ? fscanf(f, "%15s %15s %d %d", p->op, p->err, &p->at, &p->count) : 0;

	if (f != NULL)
		fclose(f);
	if (n == 4)
		return;
	snprintf(p->op, sizeof(p->op), "%s", op != NULL ? op : "");
	snprintf(p->err, sizeof(p->err), "%s", err != NULL ? err : "");
	p->at = at != NULL ? atoi(at) : 1;
	p->count = count != NULL ? atoi(count) : 1;
}

static void say(void)
{
	const char *path = getenv("FAULTFS_SAID");
	int fd = path != NULL ? REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (fd >= 0) {
		if (REAL(write)(fd, "x", 1) != 1)
			abort();
		close(fd);
	}
}

/* Should this call fail? 'op' is its kind; the path is the descriptor's or given. */
static int hit(const char *op, int fd, const char *path)
{
	const char *below = getenv("FAULTFS_PATH");
	char link[64], buf[4096];
	struct plan p;
	int n;

	if (!is_armed() || below == NULL)
		return 0;
	plan_get(&p);
	if (strcmp(p.op, op) != 0 && (strcmp(p.op, "all") != 0 || strcmp(op, "short") == 0))
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
	if (n < p.at || n - p.at >= p.count)
		return 0;
	__atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
	say();
	return 1;
}

/* A disk that says that it has what it has not. */
static int lies(void)
{
	struct plan p;

	plan_get(&p);
	return strcmp(p.err, "LIE") == 0;
}

static int fail(void)
{
	struct plan p;

	plan_get(&p);
	errno = strcmp(p.err, "EIO") == 0 ? EIO : ENOSPC;
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
