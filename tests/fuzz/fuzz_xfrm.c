/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/ike/xfrm.c: what is read keeps its promises; what was read of an SA or a policy and is written again reads the same. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>

#include "api/dp_esp.h"
#include "ike/xfrm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check_sa(const struct cp_xfrm_sa *sa)
{
	_Alignas(8) uint8_t buf[CP_XFRM_BUF];
	struct cp_xfrm_msg back;
	char why[200];
	size_t used, len;

	REQUIRE(sa->key_len <= CP_XFRM_KEY_MAX && sa->alg < DP_ESP_ALG_MAX && sa->window <= 4096 && sa->tfc <= DP_SA_TFC_MAX);
	REQUIRE(sa->mode == DP_ESP_TUNNEL || sa->mode == DP_ESP_TRANSPORT);
	REQUIRE(sa->alg == 0 || (sa->id.proto == 50 && sa->key_len == dp_esp_suite(sa->alg)->key_len + dp_esp_suite(sa->alg)->salt_len +
									 dp_esp_suite(sa->alg)->auth_len));
	REQUIRE((sa->src.port != 0) == (sa->id.dst.port != 0));
	len = cp_xfrm_put_sa(buf, XFRM_MSG_NEWSA, 0, 1, 2, sa, false);
	REQUIRE(len <= sizeof(buf) && cp_xfrm_parse(buf, len, &back, &used, why, sizeof(why)) == 0 && used == len);
	REQUIRE(back.sa.id.spi == sa->id.spi && back.sa.reqid == sa->reqid && back.sa.mode == sa->mode);
	REQUIRE(memcmp(&back.sa.sel, &sa->sel, sizeof(sa->sel)) == 0);
}

static void check_policy(const struct cp_xfrm_policy *p)
{
	_Alignas(8) uint8_t buf[CP_XFRM_BUF];
	struct cp_xfrm_msg back;
	char why[200];
	size_t used, len;

	REQUIRE(p->tmpl_cnt <= CP_XFRM_TMPL_MAX && p->dir < 2 * CP_XFRM_SOCKET);
	len = cp_xfrm_put_policy(buf, XFRM_MSG_UPDPOLICY, 0, 1, 2, p);
	REQUIRE(len <= sizeof(buf) && cp_xfrm_parse(buf, len, &back, &used, why, sizeof(why)) == 0);
	REQUIRE(memcmp(&back.policy.sel, &p->sel, sizeof(p->sel)) == 0 && back.policy.tmpl_cnt == p->tmpl_cnt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t *copy = calloc(1, size + 8); /* aligned as a buffer that is read into */
	struct cp_xfrm_msg m;
	char why[200];
	size_t at = 0, used;

	if (size == 0) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	while (at < size) {
		int rc = cp_xfrm_parse((const uint8_t *)copy + at, size - at, &m, &used, why, sizeof(why));

		REQUIRE(rc == 0 || rc == -EBADMSG || rc == -EOPNOTSUPP);
		REQUIRE((rc == 0) == (why[0] == '\0'));
		REQUIRE(used <= size - at && (rc < 0 || used >= 16));
		if (rc == 0 && (m.type == XFRM_MSG_NEWSA || m.type == XFRM_MSG_UPDSA))
			check_sa(&m.sa);
		if (rc == 0 && (m.type == XFRM_MSG_NEWPOLICY || m.type == XFRM_MSG_UPDPOLICY))
			check_policy(&m.policy);
		if (used == 0)
			break;
		at += used;
	}
	free(copy);
	return 0;
}
