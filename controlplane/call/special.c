/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that are nobody's line: those of the park range, the voice-mail pilot, and what voice-mail ports dial for a lamp. The pilot can be forwarded to. */
#include <string.h>

#include "callint.h"

enum special special_number(const struct cp_call *call, const char *digits)
{
	enum special park = park_number(call->calls, digits), vm = vm_number(call, digits);

	return park > vm ? park : vm;
}

bool special_route(struct cp_call *call)
{
	if (park_number(call->calls, call->digits) == SPECIAL_WHOLE) {
		park_retrieve(call);
		return true;
	}
	return vm_lamp(call);
}
