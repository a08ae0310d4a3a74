/* SPDX-License-Identifier: BSD-3-Clause */
#include "security.h"

#include <stddef.h>

enum cp_security cp_security_party(const struct cp_party_security *p)
{
	if (!p->authenticated || p->untrusted)
		return CP_SEC_NOT_SECURE;
	/* Keys that travelled in the open protect nothing: media counts only behind encrypted signalling. */
	if (p->signal_encrypted && p->media_encrypted)
		return CP_SEC_ENCRYPTED;
	return CP_SEC_AUTHENTICATED;
}

/* A guest in an authenticated call leaves the others their shield; a lock it does take. */
static enum cp_security weakest(const struct cp_party_security *parties, unsigned n)
{
	enum cp_security min = CP_SEC_ENCRYPTED;
	bool guest = false, others = false;

	for (unsigned i = 0; i < n; i++) {
		enum cp_security s = cp_security_party(&parties[i]);

		if (parties[i].guest && !parties[i].untrusted) {
			guest = true;
			continue;
		}
		others = true;
		if (s < min)
			min = s;
	}
	if (!others)
		return CP_SEC_NOT_SECURE;
	return guest && min == CP_SEC_ENCRYPTED ? CP_SEC_AUTHENTICATED : min;
}

enum cp_security cp_security_call(const struct cp_party_security *parties, unsigned n, const struct cp_path_security *path)
{
	enum cp_security s = n == 0 ? CP_SEC_UNKNOWN : weakest(parties, n);

	if (path == NULL || n == 0)
		return s;
	if (path->shared_bridge || path->h323_trunk || (path->sip_trunk && !path->sip_shield))
		return CP_SEC_NOT_SECURE;
	/* 001:P1-119 says where it falls to: from encrypted to not secure, not to the shield. */
	if (s == CP_SEC_ENCRYPTED && path->clear_stream)
		return CP_SEC_NOT_SECURE;
	if (s == CP_SEC_ENCRYPTED && path->sip_trunk)
		return CP_SEC_AUTHENTICATED;
	return s;
}

const char *cp_security_name(enum cp_security s)
{
	switch (s) {
	case CP_SEC_NOT_SECURE:
		return "not-secure";
	case CP_SEC_AUTHENTICATED:
		return "authenticated";
	case CP_SEC_ENCRYPTED:
		return "encrypted";
	default:
		return "unknown";
	}
}
