/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the signer: whole or not at all, and what is told is what is found later, on a disk that fails as well: fsync() and
 * renameat2() are this program's, and fail where a test wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>

#include "file.h"

static char dir[] = "/tmp/test-pkifile-XXXXXX";
static int syncs, fail_sync, fail_syncs; /* counted; the first that fails, from 1; how many do */
static int renames, fail_rename;

int fsync(int fd)
{
	syncs++;
	if (fail_sync != 0 && syncs >= fail_sync && syncs < fail_sync + fail_syncs) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	if (++renames == fail_rename) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static void disk(int sync, int count, int rename)
{
	syncs = renames = 0;
	fail_sync = sync;
	fail_syncs = count;
	fail_rename = rename;
}

static int setup(void)
{
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void)
{
	return rmdir(dir);
}

static bool holds(const char *path, const char *text)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int rc = pki_file_read(path, &data, &len);
	bool same = text == NULL ? rc == -ENOENT : rc == 0 && len == strlen(text) && memcmp(data, text, len) == 0;

	OPENSSL_free(data);
	return same;
}

/* What a write that was cut short leaves; a sweep removes it. */
static bool left(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/.tmp-%s", dir, name);
	return pki_file_exists(path);
}

static void test_files(void)
{
	char path[200], big[200];
	uint8_t *data = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/f", dir);
	CU_ASSERT_EQUAL(pki_file_write(path, "one", 3, 0644, true), 0);
	CU_ASSERT_EQUAL(pki_file_write(path, "two", 3, 0644, true), -EEXIST);
	CU_ASSERT_EQUAL_FATAL(pki_file_read(path, &data, &len), 0);
	CU_ASSERT_STRING_EQUAL((char *)data, "one");
	OPENSSL_free(data);
	CU_ASSERT_EQUAL(pki_file_write(path, "two", 3, 0644, false), 0);
	CU_ASSERT_EQUAL_FATAL(pki_file_read(path, &data, &len), 0);
	CU_ASSERT_STRING_EQUAL((char *)data, "two");
	OPENSSL_free(data);
	unlink(path);
	CU_ASSERT_EQUAL(pki_file_read(path, &data, &len), -ENOENT);
	CU_ASSERT_EQUAL(pki_file_read("/dev/zero", &data, &len), -EINVAL);
	snprintf(big, sizeof(big), "%s/none/f", dir);
	CU_ASSERT_EQUAL(pki_file_write(big, "x", 1, 0600, true), -ENOENT);
	/* a directory that others may write to is not ours */
	snprintf(path, sizeof(path), "%s/open", dir);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT_EQUAL(chmod(path, 0777), 0);
	CU_ASSERT_EQUAL(pki_dir_make(path), -EPERM);
	CU_ASSERT_EQUAL(rmdir(path), 0);
}

/* Whatever fails: told is what the next start finds. The first fsync is the bytes', the second the name's. */
static void test_told_is_found(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/f", dir);
	for (int fresh = 0; fresh < 2; fresh++)
		for (int sync = 1; sync <= 2; sync++)
			for (int count = 1; count <= 3; count++) {
				unlink(path);
				disk(0, 0, 0);
				if (!fresh)
					CU_ASSERT_EQUAL(pki_file_write(path, "old", 3, 0400, true), 0);
				disk(sync, count, 0);
				CU_ASSERT_EQUAL(pki_file_write(path, "new", 3, 0400, fresh), -EIO);
				CU_ASSERT_TRUE(holds(path, fresh ? NULL : "old"));
				CU_ASSERT_FALSE(left("f"));
				disk(0, 0, 0);
				CU_ASSERT_EQUAL(pki_file_write(path, "new", 3, 0400, fresh), 0);
				CU_ASSERT_EQUAL(syncs, 2);
				CU_ASSERT_TRUE(holds(path, "new"));
				CU_ASSERT_FALSE(left("f"));
			}
	/* one that may be there and is not */
	unlink(path);
	disk(2, 2, 0);
	CU_ASSERT_EQUAL(pki_file_write(path, "new", 3, 0644, false), -EIO);
	CU_ASSERT_TRUE(holds(path, NULL));
	/* the name itself cannot be given */
	disk(0, 0, 1);
	CU_ASSERT_EQUAL(pki_file_write(path, "new", 3, 0644, false), -EIO);
	CU_ASSERT_TRUE(holds(path, NULL));
	CU_ASSERT_FALSE(left("f"));
	unlink(path);
}

/* Neither forth nor back: that is said by its own name, and both are there. */
static void test_unknown(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/f", dir);
	disk(0, 0, 0);
	CU_ASSERT_EQUAL(pki_file_write(path, "old", 3, 0400, true), 0);
	disk(2, 1, 2);
	CU_ASSERT_EQUAL(pki_file_write(path, "new", 3, 0400, false), -EUCLEAN);
	CU_ASSERT_TRUE(holds(path, "new"));
	CU_ASSERT_TRUE(left("f"));
	disk(0, 0, 0);
	CU_ASSERT_EQUAL(pki_file_sweep(dir), 0);
	CU_ASSERT_FALSE(left("f"));
	CU_ASSERT_TRUE(holds(path, "new"));
	unlink(path);
}

static CU_TestInfo tests[] = {
	{"files are written whole", test_files},
	{"what is told is what is found", test_told_is_found},
	{"neither forth nor back", test_unknown},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("pkifile", tests, setup, teardown)
