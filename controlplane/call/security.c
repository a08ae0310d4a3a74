/* SPDX-License-Identifier: BSD-3-Clause */
#include "security.h"

enum cp_security cp_security_party(const struct cp_party_security *p)
{
	if (!p->authenticated)
		return CP_SEC_NOT_SECURE;
	/* Keys that travelled in the open protect nothing: media counts only behind encrypted signalling. */
	if (p->signal_encrypted && p->media_encrypted)
		return CP_SEC_ENCRYPTED;
	return CP_SEC_AUTHENTICATED;
}

enum cp_security cp_security_call(const struct cp_party_security *parties, unsigned n)
{
	enum cp_security min = n == 0 ? CP_SEC_UNKNOWN : CP_SEC_ENCRYPTED;

	for (unsigned i = 0; i < n; i++) {
		enum cp_security s = cp_security_party(&parties[i]);

		if (s < min)
			min = s;
	}
	return min;
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
