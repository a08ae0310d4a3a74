/* SPDX-License-Identifier: BSD-3-Clause */
/* Families of a bundle: their numbers there, which never change, and the store's. */
#ifndef CP_BACKUP_FAMILIES_H
#define CP_BACKUP_FAMILIES_H

#include "store/store.h"

static const struct cp_backup_family {
	unsigned id; /* in a bundle */
	enum cp_cf cf;
	const char *name;
} cp_backup_families[] = {
	{1, CP_CF_DEVICE, "device"}, {2, CP_CF_PROFILE, "profile"}, {3, CP_CF_LINE, "line"},   {4, CP_CF_GATEWAY, "gateway"},
	{5, CP_CF_CERT, "cert"},     {6, CP_CF_TRUST, "trust"},     {7, CP_CF_CAPF, "capf"},   {8, CP_CF_CTL, "ctl"},
	{9, CP_CF_LEDGER, "ledger"}, {10, CP_CF_USER, "user"},      {11, CP_CF_DIAL, "dial"},
};
#define CP_BACKUP_FAMILIES (sizeof(cp_backup_families) / sizeof(cp_backup_families[0]))

#endif
