/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int cfg_no_dump(void)
{
	const struct rlimit none = {0, 0};
	/* First: once we are not dumpable, /proc/self belongs to root. */
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0 || write(fd, "0", 1) != 1)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (setrlimit(RLIMIT_CORE, &none) < 0 && rc == 0)
		rc = -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 && rc == 0)
		rc = -errno;
	return rc;
}
