/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says over NETLINK_XFRM, read by the controlplane's parser: a line for each SA and policy that is there, then for each message
 * as it comes, until the time is over. No keys. xfrmtell SECONDS
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/dp_esp.h"
#include "ike/xfrm.h"

#define GROUP(n) (1u << ((n) - 1))

static void tell(const uint8_t *data, size_t len)
{
	struct cp_xfrm_msg m;
	char why[200], name[16], src[64], dst[64];
	size_t used;

	for (size_t at = 0; at < len; at += used) {
		int rc = cp_xfrm_parse(data + at, len - at, &m, &used, why, sizeof(why));
		const struct dp_esp_suite *s = dp_esp_suite(m.sa.alg);

		printf("TELL %s %s", (m.flags & NLM_F_MULTI) != 0 ? "there" : "new", cp_xfrm_type_name(m.type, name, sizeof(name)));
		if (rc < 0)
			printf(" refused=%d (%s)", rc, why);
		else if (m.type == XFRM_MSG_NEWSA || m.type == XFRM_MSG_UPDSA || m.type == XFRM_MSG_EXPIRE)
			printf(" alg=%s mode=%s esn=%d window=%u proto=%u reqid=%u spi=%08x %s>%s", s != NULL ? s->name : "-",
			       m.sa.mode == DP_ESP_TRANSPORT ? "transport" : "tunnel", m.sa.esn, m.sa.window, m.sa.id.proto, m.sa.reqid, m.sa.id.spi,
			       cfg_addr_print(&m.sa.src, src, sizeof(src)), cfg_addr_print(&m.sa.id.dst, dst, sizeof(dst)));
		else if (m.type == XFRM_MSG_NEWPOLICY || m.type == XFRM_MSG_UPDPOLICY)
			printf(" dir=%u block=%d templates=%u reqid=%u spi=%08x", m.policy.dir, m.policy.block, m.policy.tmpl_cnt, m.policy.tmpl[0].reqid,
			       m.policy.tmpl[0].spi);
		else if (m.type == XFRM_MSG_DELSA)
			printf(" spi=%08x", m.id.spi);
		printf("\n");
		explicit_bzero(&m, sizeof(m));
		if (used == 0)
			break;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_XFRM);
	static _Alignas(8) uint8_t buf[65536], msg[CP_XFRM_BUF];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	static const uint16_t dumps[] = {XFRM_MSG_GETSA, XFRM_MSG_GETPOLICY};

	if (nl == NULL || mnl_socket_bind(nl, GROUP(XFRMNLGRP_SA) | GROUP(XFRMNLGRP_EXPIRE) | GROUP(XFRMNLGRP_POLICY), MNL_SOCKET_AUTOPID) < 0) {
		perror("NETLINK_XFRM");
		return 1;
	}
	for (unsigned i = 0; i <= 2; i++) {
		if (i < 2)
			mnl_socket_sendto(nl, msg, cp_xfrm_put_dump(msg, dumps[i], i + 1));
		while (time(NULL) < end) {
			struct pollfd p = {.fd = mnl_socket_get_fd(nl), .events = POLLIN};
			ssize_t n = poll(&p, 1, 200) > 0 ? mnl_socket_recvfrom(nl, buf, sizeof(buf)) : 0;

			if (n > 0)
				tell(buf, (size_t)n);
			if (n > 0 && ((struct nlmsghdr *)(void *)buf)->nlmsg_type == NLMSG_DONE)
				break;
		}
	}
	printf("TOLD\n");
	mnl_socket_close(nl);
	return 0;
}
