/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl's commands that ask an appliance: requests, answers, what is printed. The exit status (ctl.h). */
#ifndef CP_CTL_RUN_H
#define CP_CTL_RUN_H

#include "ctl.h"

/** Any command but those that need no appliance (CTL_FILE, CTL_DOCTOR, CTL_BUNDLE). */
int ctl_run(struct ctl_request *r, char *socket_path);

#endif
