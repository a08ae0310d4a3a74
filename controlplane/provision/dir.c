/* SPDX-License-Identifier: BSD-3-Clause */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 1000 /* the directory itself may be replaced: looked for so often */

struct cp_filedir {
	char *path;
	struct cp_fcache *cache;
	atomic_bool by_hand; /* no openat2() */
	pthread_rwlock_t lock;
	int fd;              /* lock */
	uint64_t dev, ino;   /* lock: of fd */
	atomic_uint_least64_t looked_ms;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct cp_filedir *cp_filedir_create(const char *path, size_t cache_bytes)
{
	struct cp_filedir *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->fd = -1;
	d->path = strdup(path);
	d->cache = cp_fcache_create(cache_bytes);
	if (d->path == NULL || d->cache == NULL || pthread_rwlock_init(&d->lock, NULL) != 0) {
		cp_fcache_destroy(d->cache);
		free(d->path);
		free(d);
		return NULL;
	}
	return d;
}

void cp_filedir_destroy(struct cp_filedir *d)
{
	if (d == NULL)
		return;
	if (d->fd >= 0)
		close(d->fd);
	cp_fcache_destroy(d->cache);
	pthread_rwlock_destroy(&d->lock);
	free(d->path);
	free(d);
}

void cp_filedir_no_openat2(struct cp_filedir *d)
{
	atomic_store(&d->by_hand, true);
}

void cp_filedir_stats(struct cp_filedir *d, struct cp_fcache_stats *ret)
{
	cp_fcache_stats(d->cache, ret);
}

/* Is the directory still the one that is open? */
static void look(struct cp_filedir *d)
{
	uint64_t now = now_ms(), last = atomic_load(&d->looked_ms);
	struct stat st;

	if (now - last < LOOK_MS && last != 0)
		return;
	if (!atomic_compare_exchange_strong(&d->looked_ms, &last, now))
		return; /* another thread does */
	if (stat(d->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		int fd = -1;

		pthread_rwlock_wrlock(&d->lock);
		if (d->fd < 0 || d->dev != st.st_dev || d->ino != st.st_ino)
			fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			if (d->fd >= 0)
				close(d->fd);
			d->fd = fd;
			if (fstat(fd, &st) == 0) {
				d->dev = st.st_dev;
				d->ino = st.st_ino;
			}
		}
		pthread_rwlock_unlock(&d->lock);
	} else {
		pthread_rwlock_wrlock(&d->lock);
		if (d->fd >= 0)
			close(d->fd);
		d->fd = -1;
		pthread_rwlock_unlock(&d->lock);
		atomic_store(&d->looked_ms, 0); /* ask again with the next name: it may come */
	}
}

/* What openat2() does in one call: each component without following a link. The name has no "..": cp_file_name_ok(). */
static int walk(int at, const char *name, int flags)
{
	char part[CP_FILE_NAME_MAX];
	int fd = fcntl(at, F_DUPFD_CLOEXEC, 0);

	while (fd >= 0) {
		size_t n = strcspn(name, "/");
		int next;

		memcpy(part, name, n);
		part[n] = '\0';
		next = openat(fd, part, name[n] == '/' ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags | O_NOFOLLOW);
		if (next < 0) {
			int err = errno;

			close(fd);
			errno = err;
			return -1;
		}
		close(fd);
		fd = next;
		if (name[n] == '\0')
			return fd;
		name += n + 1;
	}
	return -1;
}

/* 0 and an open file, -ENOENT, -EIO. 'flags': O_PATH, or O_RDONLY. */
static int open_in(struct cp_filedir *d, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1, err = ENOENT;

	if (!cp_file_name_ok(name))
		return -ENOENT;
	look(d);
	pthread_rwlock_rdlock(&d->lock);
	if (d->fd >= 0) {
		if (!atomic_load(&d->by_hand)) {
			fd = (int)syscall(SYS_openat2, d->fd, name, &how, sizeof(how));
			if (fd < 0 && (errno == ENOSYS || errno == EPERM))
				atomic_store(&d->by_hand, true); /* an old kernel, or a filter that does not know the call */
		}
		if (fd < 0 && atomic_load(&d->by_hand))
			fd = walk(d->fd, name, flags | O_CLOEXEC);
		err = errno;
	}
	pthread_rwlock_unlock(&d->lock);
	if (fd >= 0)
		return fd;
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == EIO ? -EIO : -ENOENT;
}

static int stamp_of(int fd, struct cp_stamp *ret, struct stat *ret_st)
{
	if (fstat(fd, ret_st) < 0)
		return -EIO;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOENT;
	*ret = (struct cp_stamp){{ret_st->st_dev, ret_st->st_ino, (uint64_t)ret_st->st_size,
				  (uint64_t)ret_st->st_mtim.tv_sec * 1000000000u + (uint64_t)ret_st->st_mtim.tv_nsec,
				  (uint64_t)ret_st->st_ctim.tv_sec * 1000000000u + (uint64_t)ret_st->st_ctim.tv_nsec}};
	return 0;
}

int cp_filedir_stamp(struct cp_filedir *d, const char *name, struct cp_stamp *ret)
{
	struct stat st;
	int fd = open_in(d, name, O_PATH), rc;

	if (fd < 0)
		return fd;
	rc = stamp_of(fd, ret, &st);
	close(fd);
	return rc;
}

struct cp_file *cp_filedir_cached(struct cp_filedir *d, const char *name, const struct cp_stamp *stamp)
{
	return cp_fcache_get(d->cache, name, stamp);
}

static int read_all(int fd, uint8_t *data, size_t len)
{
	size_t have = 0;
	uint8_t more;

	while (have < len) {
		ssize_t n = read(fd, data + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO;
		if (n == 0)
			return -EAGAIN; /* it shrank */
		have += (size_t)n;
	}
	return read(fd, &more, 1) == 0 ? 0 : -EAGAIN;
}

int cp_filedir_read(struct cp_filedir *d, const char *name, struct cp_file **ret, struct cp_stamp *ret_stamp)
{
	struct cp_stamp before, after;
	struct cp_file *file = NULL;
	uint8_t *data = NULL;
	struct stat st;
	int fd = open_in(d, name, O_RDONLY | O_NONBLOCK), rc; /* a FIFO must not hold us up */

	if (fd < 0)
		return fd;
	rc = stamp_of(fd, &before, &st);
	if (rc == 0 && (file = cp_fcache_get(d->cache, name, &before)) != NULL) { /* while this waited for its turn */
		close(fd);
		*ret = file;
		if (ret_stamp != NULL)
			*ret_stamp = before;
		return 0;
	}
	if (rc == 0 && st.st_size > (off_t)CP_DIR_FILE_MAX)
		rc = -EFBIG;
	if (rc == 0) {
		data = malloc((size_t)st.st_size + 1);
		rc = data == NULL ? -ENOMEM : read_all(fd, data, (size_t)st.st_size);
	}
	if (rc == 0)
		rc = stamp_of(fd, &after, &st);
	if (rc == 0 && memcmp(&before, &after, sizeof(before)) != 0)
		rc = -EAGAIN; /* half of the old and half of the new: nobody gets that */
	close(fd);
	if (rc == 0) {
		file = cp_file_create(CP_FILE_PLAIN, name, data, (size_t)st.st_size, st.st_mtim.tv_sec, false);
		data = NULL;
		rc = file == NULL ? -ENOMEM : 0;
	}
	free(data);
	if (rc < 0)
		return rc;
	*ret = cp_fcache_put(d->cache, name, &before, file);
	if (ret_stamp != NULL)
		*ret_stamp = before;
	return 0;
}
