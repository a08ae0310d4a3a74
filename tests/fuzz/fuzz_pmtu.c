/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP about an SA's packets (dataplane/ipsec/pmtu.c). The first byte chooses one of four SAs (family, UDP); the rest is the message,
 * in a buffer of its size. Whatever it says, a path MTU only falls, and not below the family's least.
 */
#include <stdlib.h>
#include <string.h>

#include "ipsec/pmtu.h"
#include "ipsec/sa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the corpus has it: SPI 0x1000, number 0x80 of 0x100, addresses 1.1.1.1 and 2.2.2.2 or 01.. and 02... */
static void sa_init(struct dp_sa *sa, uint8_t which)
{
	memset(sa, 0, sizeof(*sa));
	sa->dir = DP_DIR_SEND;
	sa->spi = 0x1000;
	sa->seq = 0x100;
	sa->family = sa->local.family = sa->remote.family = which & 1 ? 4 : 6;
	sa->udp = which >> 1 & 1;
	sa->local.port = sa->remote.port = sa->udp ? 4500 : 0;
	memset(sa->local.ip, 1, sa->family == 4 ? 4 : 16);
	memset(sa->remote.ip, 2, sa->family == 4 ? 4 : 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dp_sa sa;
	struct dp_pmtu msg;
	uint8_t *copy, family;
	uint16_t before;

	if (size < 1 || size > 2000)
		return 0;
	sa_init(&sa, data[0]);
	sa.pmtu = before = data[0] & 4 ? 1350 : 0;
	family = data[0] & 8 ? (uint8_t)(10 - sa.family) : sa.family;
	copy = malloc(size); /* never 0 */
	if (copy == NULL)
		abort();
	memcpy(copy, data + 1, size - 1);
	if (dp_pmtu_read(family, copy, (uint16_t)(size - 1), &msg) == DP_OK && dp_pmtu_apply(&sa, &msg, 7)) {
		if (sa.pmtu < (sa.family == 4 ? DP_PMTU_MIN4 : DP_PMTU_MIN6) || sa.pmtu >= msg.total ||
		    (before != 0 && sa.pmtu > before) || msg.spi != sa.spi || family != sa.family)
			abort();
	} else if (sa.pmtu != before) {
		abort();
	}
	free(copy);
	return 0;
}
