/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PKCS#11 module between the signer and SoftHSM2: counts logins (a byte each in the file P11_SHIM_LOG) and answers them as a
 * token does that has locked itself, when P11_SHIM_LOCKED is set. SoftHSM2 itself never locks. The layout of the function list
 * is that of PKCS#11 v2.40: a version, then pointers.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUNCTIONS      68
#define GET_LIST       3
#define LOGIN          18
#define CKR_GENERAL    5UL
#define CKR_PIN_LOCKED 0xa4UL

struct list {
	unsigned char version[2];
	void *fn[FUNCTIONS];
};

unsigned long C_GetFunctionList(struct list **ret);

static struct list ours;
static unsigned long (*login)(unsigned long session, unsigned long user, unsigned char *pin, unsigned long len);

static unsigned long count_login(unsigned long session, unsigned long user, unsigned char *pin, unsigned long len)
{
	const char *path = getenv("P11_SHIM_LOG");
	int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;

	if (fd >= 0) {
		if (write(fd, "L", 1) != 1)
			abort();
		close(fd);
	}
	if (getenv("P11_SHIM_LOCKED") != NULL)
		return CKR_PIN_LOCKED;
	return login(session, user, pin, len);
}

unsigned long C_GetFunctionList(struct list **ret)
{
	void *so = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
	unsigned long (*get)(struct list **);
	struct list *theirs = NULL;
	void *sym;

	sym = so != NULL ? dlsym(so, "C_GetFunctionList") : NULL;
	if (sym == NULL)
		return CKR_GENERAL;
	memcpy(&get, &sym, sizeof(sym));
	if (get(&theirs) != 0)
		return CKR_GENERAL;
	ours = *theirs;
	memcpy(&login, &ours.fn[LOGIN], sizeof(login));
	*(unsigned long (**)(unsigned long, unsigned long, unsigned char *, unsigned long))&ours.fn[LOGIN] = count_login;
	*(unsigned long (**)(struct list **))&ours.fn[GET_LIST] = C_GetFunctionList;
	*ret = &ours;
	return 0;
}
