/* SPDX-License-Identifier: BSD-3-Clause */
#include "barge.h"

#include <stddef.h>

struct cp_barge cp_barge_decide(const struct cp_barge_ask *ask)
{
	struct cp_barge r = {CP_BARGE_OK, CP_SEC_NOT_SECURE, false};

	if (ask->shared) /* 001:P1-127: the class is the call manager's to set */
		return r;
	if (ask->call == CP_SEC_ENCRYPTED) {
		r.call = CP_SEC_ENCRYPTED;
		if (ask->barger != CP_PHONE_ENCRYPTED) /* 001:P1-123 */
			r.result = CP_BARGE_BUSY;
		else if (ask->target_old) /* 001:P1-128 */
			r.result = CP_BARGE_FAILURE;
		return r; /* 001:P1-125 */
	}
	if (ask->call == CP_SEC_AUTHENTICATED && ask->barger == CP_PHONE_NONSECURE) { /* 001:P1-126 */
		r.call = CP_SEC_AUTHENTICATED;
		r.guest = true;
	}
	/* Not in the table: two that sign. An encrypted phone makes the call not secure (001:P1-124): its own icon would claim more. */
	if (ask->call == CP_SEC_AUTHENTICATED && ask->barger == CP_PHONE_AUTHENTICATED)
		r.call = CP_SEC_AUTHENTICATED;
	return r;
}

const char *cp_barge_warning(bool old_phones, bool encrypted, bool bridge)
{
	if (!old_phones || !encrypted || !bridge)
		return NULL;
	return "If you configure encryption for Cisco Unified IP Phones 7960 and 7940, those encrypted devices cannot accept a barge "
	       "request when they are participating in an encrypted call. When the call is encrypted, the barge attempt fails.";
}
