/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of conferences: conf.c has members and status, conftask.c gets ports and moves parties to them, confkey.c is what phones ask. */
#ifndef CP_CONFINT_H
#define CP_CONFINT_H

#include "callint.h"

#define CONF_PLACES 8 /* calls of one phone that are joined at once */

/* Who gets a port. A phone's place is found by device and number, a gateway's by endpoint, whatever becomes of the call meanwhile. */
struct conf_want {
	enum party_kind kind; /* NONE: the port's call has its phone already */
	char name[DP_MGCP_NAME_MAX], endpoint[DP_MGCP_NAME_MAX];
	uint32_t ref;
	uint32_t port; /* number of the port's call */
};

/* What is to happen once every port has been answered for. Until then the calls are as they were. */
struct conf_task {
	char agent[32]; /* the phone that pressed; "": cBarge */
	uint32_t keep;  /* its place that is, or becomes, its place in the conference */
	uint32_t drop[CONF_PLACES];
	unsigned drop_cnt;
	struct conf_want want[CONF_PLACES + 2];
	unsigned want_cnt;
	unsigned tries; /* that something was still under way in the calls */
};

struct conf {
	struct conf *next;
	struct cp_calls *calls;
	uint32_t id;
	char gateway[DP_MGCP_NAME_MAX];
	char endpoint[DP_MGCP_NAME_MAX]; /* "": the bridge has not chosen yet */
	char any[DP_MGCP_NAME_MAX];      /* what it was asked for: "cnf/$" */
	char number[DIGITS_MAX + 1];     /* meet-me */
	char owner[32];                  /* device that controls it; "": nobody */
	bool meetme, shared;             /* shared: made by cBarge */
	enum cp_security min;            /* the least that a member must have; UNKNOWN: anything */
	enum cp_security shown;
	unsigned shown_cnt;
	struct party *ports; /* newest first */
	struct conf_task *task;
	struct event *timer;
};

/* conf.c */
struct conf *conf_new(struct cp_calls *calls, const struct cp_gateway *bridge);
struct conf *conf_by_number(struct cp_calls *calls, const char *number);
/** A bridge that is there and has room for 'n' more ports, all in one conference. NULL: none. */
const struct cp_gateway *conf_bridge(struct cp_calls *calls, unsigned n);
void conf_drop(struct cp_calls *calls, uint32_t id); /* one that got no port */
enum cp_security conf_member_security(const struct party *port); /* of who is across from it, and of the way there */
bool conf_room(const struct conf *conf, unsigned n);
unsigned conf_members(const struct conf *conf);
/** 'p' has the security that members must have, as far as it is its own. */
bool conf_allows(const struct conf *conf, const struct party *p);
enum cp_security conf_level(const struct party *p);
void conf_review_soon(struct conf *conf, unsigned ms);

/* conftask.c */
/** Add a port across 'call', whose party, or region and family of media, stand at place 0; 'member' is that party, here or still
 *  elsewhere. 0 or -errno (-EPROTO: no codec): nothing changed. */
int conf_port(struct conf *conf, struct cp_call *call, const struct party *member);
void conf_ask(struct conf *conf); /* CRCX of every port that can be asked for */
void conf_task_step(struct conf *conf);
/** Begin; the task is taken. On -errno it was freed, and what it has made of ports is gone. */
int conf_task_start(struct conf *conf, struct conf_task *task, const char **why);
void conf_task_fail(struct conf *conf, const char *text);
/** One more party that gets a port. -errno with a reason: it cannot be a member. */
int conf_want(struct conf_task *task, const struct conf *conf, const struct party *p, const char **why);

#endif
