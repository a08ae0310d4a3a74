/* SPDX-License-Identifier: BSD-3-Clause */
#include "viciclient.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "log.h"

#define RETRY_S  1
#define AT_ONCE  64                  /* packets that are read before others have their turn */
#define READ_MAX (2 * CP_VICI_MAX)

struct request {
	struct request *next;
	struct cp_vici_msg *msg; /* NULL once it is on its way */
	cp_vici_fn fn;
	void *ctx;
};

struct cp_vici {
	struct event_base *base;
	struct sockaddr_un addr;
	const struct cp_vici_ops *ops;
	void *ctx;
	struct bufferevent *bev;
	struct event *ev_retry, *ev_answer;
	struct request *first, **last; /* as many as 'under_way' are, from the first one on, */
	struct request *unsent;        /* up to this one */
	unsigned queued, under_way;    /* until it is up: an event that is being registered */
	unsigned registered;           /* of ops->events: confirmed */
	bool up;
	bool lost;                     /* inside a callback: to be closed when it is over */
	const char *lost_why;
};

static void read_some(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

bool cp_vici_up(const struct cp_vici *vici)
{
	return vici != NULL && vici->up;
}

uint32_t cp_vici_pid(const struct cp_vici *vici)
{
	struct ucred who = {.pid = 0};
	socklen_t len = sizeof(who);

	if (vici == NULL || vici->bev == NULL || getsockopt(bufferevent_getfd(vici->bev), SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return 0;
	return who.pid > 0 ? (uint32_t)who.pid : 0;
}

static void wiped(const void *data, size_t len, void *msg)
{
	(void)data;
	(void)len;
	cp_vici_msg_destroy(msg);
}

/* The bytes are the message's own until they are written: nothing copies a secret. */
static int put(struct cp_vici *v, struct cp_vici_msg *msg)
{
	if (evbuffer_add_reference(bufferevent_get_output(v->bev), msg->wr.buf, msg->wr.len, wiped, msg) == 0)
		return 0;
	cp_vici_msg_destroy(msg);
	return -ENOMEM;
}

/* Whoever was not answered is told that nobody will. */
static void end_requests(struct request *list)
{
	while (list != NULL) {
		struct request *r = list;

		list = r->next;
		cp_vici_msg_destroy(r->msg);
		if (r->fn != NULL)
			r->fn(r->ctx, -ENOTCONN, NULL);
		free(r);
	}
}

static void drop(struct cp_vici *v, const char *why)
{
	struct request *list = v->first;
	struct timeval tv = {RETRY_S, 0};

	if (v->bev != NULL)
		bufferevent_free(v->bev);
	v->bev = NULL;
	v->up = v->lost = false;
	v->registered = v->queued = v->under_way = 0;
	v->first = v->unsent = NULL;
	v->last = &v->first;
	event_del(v->ev_answer);
	event_add(v->ev_retry, &tv);
	v->ops->down(v->ctx, why);
	end_requests(list);
}

static void connect_now(struct cp_vici *v)
{
	v->bev = bufferevent_socket_new(v->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (v->bev == NULL) {
		drop(v, strerror(ENOMEM));
		return;
	}
	bufferevent_setcb(v->bev, read_some, NULL, on_event, v);
	bufferevent_setwatermark(v->bev, EV_READ, 0, READ_MAX);
	if (bufferevent_socket_connect(v->bev, (struct sockaddr *)&v->addr, sizeof(v->addr)) < 0 && v->bev != NULL)
		drop(v, strerror(errno)); /* on_event() was not called, or it was, and there is none any more */
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct cp_vici *v = arg;

	(void)fd;
	(void)what;
	if (v->bev == NULL)
		connect_now(v);
}

static void on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cfg_log_limited(CFG_LOG_WARN, "vici-no-answer", "after_s=%d", CP_VICI_ANSWER_S);
	drop(arg, "charon does not answer");
}

/* From now on, as long as anything is under way. */
static void wait_answer(struct cp_vici *v)
{
	struct timeval tv = {CP_VICI_ANSWER_S, 0};

	if (v->under_way > 0)
		event_add(v->ev_answer, &tv);
	else
		event_del(v->ev_answer);
}

static void send_more(struct cp_vici *v)
{
	while (v->up && !v->lost && v->unsent != NULL && v->under_way < CP_VICI_WINDOW) {
		struct cp_vici_msg *msg = v->unsent->msg;

		v->unsent->msg = NULL;
		v->unsent = v->unsent->next;
		if (put(v, msg) < 0) {
			v->lost = true;
			v->lost_why = "no memory";
			bufferevent_trigger(v->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS | BEV_TRIG_IGNORE_WATERMARKS);
			return;
		}
		if (v->under_way++ == 0)
			wait_answer(v);
	}
}

/* The next event to be registered; behind the last one it is up. */
static void greet(struct cp_vici *v)
{
	const char *name = v->ops->events[v->registered];
	struct cp_vici_msg *msg;

	if (name == NULL) {
		v->up = true;
		v->ops->up(v->ctx);
		send_more(v);
		return;
	}
	msg = cp_vici_msg_create(CP_VICI_EVENT_REGISTER, name, 0);
	if (msg == NULL || cp_vici_msg_end(msg) < 0 || put(v, msg) < 0) {
		v->lost = true;
		v->lost_why = "no memory";
		return;
	}
	v->under_way = 1;
	wait_answer(v);
}

/* The answer to the first request under way. */
static void finish(struct cp_vici *v, enum cp_vici_type type, const uint8_t *body, size_t len)
{
	struct request *r = v->first;
	json_t *answer = NULL;
	int rc = type == CP_VICI_CMD_UNKNOWN ? -ENOTSUP : cp_vici_parse(body, len, &answer);

	v->under_way--;
	wait_answer(v);
	v->first = r->next;
	if (v->first == NULL)
		v->last = &v->first;
	v->queued--;
	if (r->fn != NULL)
		r->fn(r->ctx, rc, answer);
	json_decref(answer);
	free(r);
	send_more(v);
}

static void one_packet(struct cp_vici *v, const uint8_t *data, size_t len)
{
	char name[CP_VICI_NAME_MAX];
	enum cp_vici_type type;
	const uint8_t *body;
	size_t body_len;
	json_t *msg;

	if (cp_vici_packet(data, len, &type, name, &body, &body_len) < 0) {
		v->lost = true;
		v->lost_why = "malformed packet";
		return;
	}
	switch (type) {
	case CP_VICI_EVENT:
		if (cp_vici_parse(body, body_len, &msg) < 0) {
			cfg_log_limited(CFG_LOG_WARN, "vici-event-malformed", "event=%s bytes=%zu", name, body_len);
			return;
		}
		v->ops->event(v->ctx, name, msg);
		json_decref(msg);
		return;
	case CP_VICI_EVENT_CONFIRM:
	case CP_VICI_EVENT_UNKNOWN:
		if (v->up || v->under_way == 0)
			break;
		if (type == CP_VICI_EVENT_UNKNOWN)
			cfg_log_limited(CFG_LOG_WARN, "vici-event-unknown", "event=%s", v->ops->events[v->registered]);
		v->under_way = 0;
		wait_answer(v);
		v->registered++;
		greet(v);
		return;
	case CP_VICI_CMD_RESPONSE:
	case CP_VICI_CMD_UNKNOWN:
		if (!v->up || v->under_way == 0)
			break;
		finish(v, type, body, body_len);
		return;
	default:
		break;
	}
	v->lost = true;
	v->lost_why = "a packet out of turn";
}

static void read_some(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct cp_vici *v = arg;
	unsigned n = 0;

	while (!v->lost && evbuffer_get_length(in) >= 4) {
		uint8_t head[4];
		struct pki_rd rd;
		uint32_t len;
		uint8_t *data;

		evbuffer_copyout(in, head, sizeof(head));
		rd = pki_rd_init(head, sizeof(head));
		len = pki_rd_u32(&rd);
		if (len == 0 || len > CP_VICI_MAX) {
			v->lost = true;
			v->lost_why = "a packet of impossible length";
			break;
		}
		if (evbuffer_get_length(in) < 4 + (size_t)len)
			return;
		if (n++ == AT_ONCE) {
			bufferevent_trigger(bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
			return;
		}
		data = evbuffer_pullup(in, 4 + (ssize_t)len);
		if (data == NULL) {
			v->lost = true;
			v->lost_why = "no memory";
			break;
		}
		one_packet(v, data + 4, len);
		evbuffer_drain(in, 4 + (size_t)len);
	}
	if (v->lost) {
		cfg_log_limited(CFG_LOG_WARN, "vici-lost", "reason=%s", cfg_q(v->lost_why));
		drop(v, v->lost_why);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct cp_vici *v = arg;

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		bufferevent_enable(v->bev, EV_READ | EV_WRITE);
		greet(v);
		if (v->lost)
			drop(v, v->lost_why);
	} else if ((what & BEV_EVENT_EOF) != 0) {
		drop(v, "charon closed the connection");
	} else if ((what & BEV_EVENT_ERROR) != 0) {
		drop(v, strerror(EVUTIL_SOCKET_ERROR()));
	}
}

int cp_vici_send(struct cp_vici *v, struct cp_vici_msg *msg, cp_vici_fn fn, void *ctx)
{
	struct request *r = NULL;
	int rc = msg == NULL ? -ENOMEM : cp_vici_msg_end(msg);

	if (rc == 0)
		rc = !cp_vici_up(v) ? -ENOTCONN : v->queued >= CP_VICI_QUEUE ? -EAGAIN : 0;
	if (rc == 0) {
		r = calloc(1, sizeof(*r));
		rc = r != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		cp_vici_msg_destroy(msg);
		return rc;
	}
	*r = (struct request){.msg = msg, .fn = fn, .ctx = ctx};
	*v->last = r;
	v->last = &r->next;
	v->queued++;
	if (v->unsent == NULL)
		v->unsent = r;
	send_more(v);
	return 0;
}

struct cp_vici *cp_vici_create(struct event_base *base, const char *path, const struct cp_vici_ops *ops, void *ctx)
{
	struct cp_vici *v = calloc(1, sizeof(*v));
	struct timeval now = {0, 0};

	if (v == NULL)
		return NULL;
	*v = (struct cp_vici){.base = base, .addr.sun_family = AF_UNIX, .ops = ops, .ctx = ctx};
	v->last = &v->first;
	v->ev_retry = evtimer_new(base, on_retry, v);
	v->ev_answer = evtimer_new(base, on_no_answer, v);
	if (strlen(path) >= sizeof(v->addr.sun_path) || v->ev_retry == NULL || v->ev_answer == NULL) {
		cp_vici_destroy(v);
		return NULL;
	}
	memcpy(v->addr.sun_path, path, strlen(path) + 1);
	event_add(v->ev_retry, &now);
	return v;
}

void cp_vici_destroy(struct cp_vici *v)
{
	if (v == NULL)
		return;
	if (v->bev != NULL)
		bufferevent_free(v->bev);
	v->up = false;
	end_requests(v->first);
	if (v->ev_retry != NULL)
		event_free(v->ev_retry);
	if (v->ev_answer != NULL)
		event_free(v->ev_answer);
	free(v);
}
