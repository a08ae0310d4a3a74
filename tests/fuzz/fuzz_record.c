/* SPDX-License-Identifier: BSD-3-Clause */
/* Store records: the first byte picks the kind. What is read must be valid, and writing it must settle at once. */
#include <stdlib.h>
#include <string.h>

#include "provision/signedcache.h"
#include "store/capfrec.h"
#include "store/cdrrec.h"
#include "store/waverec.h"
#include "store/owner.h"
#include "store/phonecfg.h"
#include "store/records.h"
#include "trust/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ROUND(type, parse, build, release)                                                         \
	do {                                                                                       \
		struct type a, b;                                                                  \
		struct cp_buf first = {0}, second = {0};                                           \
		if (parse(data, len, &a) < 0)                                                      \
			break;                                                                     \
		if (build(&a, &first) == 0) {                                                      \
			if (parse(first.data, first.len, &b) < 0 || build(&b, &second) < 0 ||      \
			    second.len != first.len || memcmp(first.data, second.data, first.len) != 0) \
				abort();                                                           \
			release(&b);                                                               \
		}                                                                                  \
		free(first.data);                                                                  \
		free(second.data);                                                                 \
		release(&a);                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t kind;

	if (len == 0)
		return 0;
	kind = *data++;
	len--;
	switch (kind % 19) {
	case 0:
		ROUND(cp_device, cp_device_parse, cp_device_build, cp_device_free);
		break;
	case 18:
		ROUND(cp_cdr, cp_cdr_parse, cp_cdr_build, cp_cdr_free);
		break;
	case 1:
		ROUND(cp_gateway, cp_gateway_parse, cp_gateway_build, cp_gateway_free);
		break;
	case 2:
		ROUND(cp_sa, cp_sa_parse, cp_sa_build, cp_sa_free);
		break;
	case 3:
		ROUND(cp_call_rec, cp_call_rec_parse, cp_call_rec_build, cp_call_rec_free);
		break;
	case 5:
		ROUND(cp_ledger_rec, cp_ledger_rec_parse, cp_ledger_rec_build, cp_ledger_rec_free);
		break;
	case 6:
		ROUND(cp_ledger_file, cp_ledger_file_parse, cp_ledger_file_build, cp_ledger_file_free);
		break;
	case 7:
		ROUND(cp_profile, cp_profile_parse, cp_profile_build, cp_profile_free);
		break;
	case 8:
		ROUND(cp_srst, cp_srst_parse, cp_srst_build, cp_srst_free);
		break;
	case 9:
		ROUND(cp_cluster, cp_cluster_parse, cp_cluster_build, cp_cluster_free);
		break;
	case 10:
		ROUND(cp_phone_cert, cp_phone_cert_parse, cp_phone_cert_build, cp_phone_cert_free);
		break;
	case 11:
		ROUND(cp_signed, cp_signed_parse, cp_signed_build, cp_signed_free);
		break;
	case 12:
		ROUND(cp_capf_oprec, cp_capf_oprec_parse, cp_capf_oprec_build, cp_capf_oprec_free);
		break;
	case 13:
		ROUND(cp_lsc, cp_lsc_parse, cp_lsc_build, cp_lsc_free);
		break;
	case 14:
		ROUND(cp_wave_rec, cp_wave_rec_parse, cp_wave_rec_build, cp_wave_rec_free);
		break;
	case 15:
		ROUND(cp_wave_item, cp_wave_item_parse, cp_wave_item_build, cp_wave_item_free);
		break;
	case 16:
		ROUND(cp_capf_app, cp_capf_app_parse, cp_capf_app_build, cp_capf_app_free);
		break;
	default:
		ROUND(cp_owner, cp_owner_parse, cp_owner_build, cp_owner_free);
		break;
	}
	return 0;
}
