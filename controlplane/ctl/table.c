/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command of ravelinctl, once: parsed and explained from here. */
#include "table.h"

static const struct ctl_cmd *const parts[] = {ctl_cmds_machine, ctl_cmds_phone, ctl_cmds_dial, ctl_cmds_run, ctl_cmds_trust, ctl_cmds_capf};

const struct ctl_cmd *ctl_command(unsigned i)
{
	for (unsigned k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
		for (const struct ctl_cmd *c = parts[k]; c->words != NULL; c++)
			if (i-- == 0)
				return c;
	return NULL;
}
