/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams of the channel. What is executed must be of a known type and size and inside the limits. */
#include <stdlib.h>
#include <string.h>

#include "chan.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int hello(void *ctx, uint64_t epoch, struct dp_hello_reply *ret)
{
	(void)ctx;
	(void)ret;
	if (epoch == 0)
		abort();
	return 0;
}

static int cmd(void *ctx, const struct dp_msg_hdr *msg, uint32_t *ret_detail)
{
	uint8_t copy[DP_MSG_MAX];

	(void)ctx;
	*ret_detail = 0;
	if (msg->len != dp_chan_size(msg->type) || msg->seq == 0)
		abort();
	memcpy(copy, msg, msg->len);
	if (msg->type == DP_MSG_LEG_SET && ((const struct dp_leg_set *)msg)->leg_id >= DP_LEGS_PER_ADDR)
		abort();
	if (msg->type == DP_MSG_SA_SET && ((const struct dp_sa_set *)msg)->sa_id >= DP_SA_MAX)
		abort();
	if (msg->type == DP_MSG_GW_SET && memchr(((const struct dp_gw_set *)msg)->domain, 0, DP_MGCP_NAME_MAX) == NULL)
		abort();
	return copy[0] & 1 ? -11 : 0;
}

static void bad(void *ctx)
{
	(void)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dp_chan_lim lim = {.leg_id_cnt = DP_LEGS_PER_ADDR};
	static const struct dp_chan_ops ops = {.hello = hello, .cmd = cmd, .bad = bad};
	static struct dp_chan *chan;
	static uint8_t out[DP_MSG_DATAGRAM_MAX];
	uint8_t *copy;

	if (chan == NULL) {
		cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
		chan = dp_chan_create_test(&lim, &ops, 1);
	}
	if (size > DP_MSG_DATAGRAM_MAX)
		return 0;
	copy = malloc(size + 1);
	memcpy(copy, data, size);
	if (dp_chan_datagram(chan, copy, (uint32_t)size, out) > sizeof(out))
		abort();
	free(copy);
	return 0;
}
