/* SPDX-License-Identifier: BSD-3-Clause */
/* The controlplane's end of the channel: any datagram, before and after the greeting. Callbacks read all they get. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/fake_dp.h"

static volatile size_t sink;
static bool up;

static void on_up(void *ctx, bool fresh) { (void)ctx; (void)fresh; up = true; }
static void on_down(void *ctx) { (void)ctx; }
static void on_aged(void *ctx, const struct dp_leg_aged *ev) { (void)ctx; sink += ev->leg_id; }
static void on_leg(void *ctx, const struct dp_leg_event *ev) { (void)ctx; sink += ev->kind; }
static void on_sa(void *ctx, const struct dp_sa_event *ev) { (void)ctx; sink += ev->kind; }

static void on_done(void *ctx, struct dp_mgcp_done *ev)
{
	(void)ctx;
	sink += strlen(ev->endpoint) + strlen(ev->conn_id) + strlen(ev->comment);
}

static void on_event(void *ctx, const struct dp_mgcp_event *ev)
{
	(void)ctx;
	sink += strlen(ev->endpoint) + strlen(ev->request_id) + strlen(ev->call_id) + strlen(ev->conn_id) +
		strlen(ev->restart_method) + strlen(ev->observed) + strlen(ev->reason);
}

static const struct cp_dp_ops ops = {.up = on_up, .down = on_down, .leg_aged = on_aged, .leg_event = on_leg,
					 .mgcp_done = on_done, .mgcp_event = on_event, .sa_event = on_sa};

static void on_reply(void *ctx, int rc)
{
	unsigned *n = ctx;

	if (++*n > 1)
		abort(); /* one answer per command */
	sink += (size_t)rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	static struct cp_dp *greeted, *new_one;
	static struct fake_dp fake;
	struct dp_obj del = {.id = 1, .kind = DP_OBJ_LEG};
	static unsigned answers[64];
	static unsigned next;
	uint8_t *copy;

	if (base == NULL) {
		char dir[] = "/tmp/rv-fuzz-dp-XXXXXX", none[] = "/nonexistent";

		if (mkdtemp(dir) == NULL)
			abort();
		base = event_base_new();
		fake.media_addrs = 3;
		fake_start(&fake, base, dir);
		fake.mute = true;
		greeted = cp_dp_create(base, dir, 99, 3, 16384, &ops, NULL);
		LOOP_UNTIL(base, up, 2000);
		if (!up)
			abort();
		new_one = cp_dp_create(base, none, 99, 3, 16384, &ops, NULL);
		unlink(fake.path);
		rmdir(dir);
	}
	if (size > DP_MSG_DATAGRAM_MAX)
		return 0;
	copy = malloc(size + 1);
	memcpy(copy, data, size);
	/* A few commands wait for answers that the input may hit. */
	answers[next] = 0;
	if (next < sizeof(answers) / sizeof(answers[0]) - 1 && cp_dp_send(greeted, DP_MSG_LEG_DEL, &del, on_reply, &answers[next]) == 0)
		next++;
	cp_dp_input(new_one, copy, size);
	memcpy(copy, data, size);
	cp_dp_input(greeted, copy, size);
	free(copy);
	return 0;
}
