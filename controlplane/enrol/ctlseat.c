/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlseat.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "ctluser.h"
#include "log.h"
#include "trust/ctlcmd.h"

void cp_seat_end(struct cp_seats *seats, struct cp_seat *s)
{
	if (s->id != 0 && seats->cmd != NULL)
		cp_ctlcmd_gone(seats->cmd, s->id);
	json_decref(s->data);
	OPENSSL_cleanse(s, sizeof(*s));
}

void cp_seats_age(struct cp_seats *seats)
{
	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		if (seats->seat[i].name[0] != '\0' && seats->seat[i].asks == 0 &&
		    cp_mono_s() - seats->seat[i].seen_s > CP_CTLPROV_SESSION_S)
			cp_seat_end(seats, &seats->seat[i]);
}

unsigned cp_seats_taken(const struct cp_seats *seats)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		n += seats->seat[i].name[0] != '\0';
	return n;
}

struct cp_seat *cp_seat_by_token(struct cp_seats *seats, const char *token)
{
	struct cp_seat *hit = NULL;

	if (strlen(token) != CP_SEAT_TOKEN_LEN)
		return NULL;
	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		if (seats->seat[i].token[0] != '\0' && CRYPTO_memcmp(seats->seat[i].token, token, CP_SEAT_TOKEN_LEN) == 0)
			hit = &seats->seat[i];
	return hit;
}

struct cp_seat *cp_seat_by_id(struct cp_seats *seats, uint64_t id)
{
	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		if (seats->seat[i].name[0] != '\0' && seats->seat[i].id == id)
			return &seats->seat[i];
	return NULL;
}

/* The one that is missed least. */
static struct cp_seat *idlest(struct cp_seats *seats)
{
	struct cp_seat *best = NULL;

	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++) {
		struct cp_seat *s = &seats->seat[i];

		if (s->asks > 0 || cp_ctlcmd_holds(seats->cmd, s->id))
			continue;
		if (best == NULL || (s->data == NULL && best->data != NULL) ||
		    ((s->data == NULL) == (best->data == NULL) &&
		     (s->seen_s < best->seen_s || (s->seen_s == best->seen_s && s->id < best->id))))
			best = s;
	}
	return best;
}

struct cp_seat *cp_seat_of(struct cp_seats *seats, const char *name)
{
	int64_t made_us = cp_users_made_us(seats->users, name);
	struct cp_seat *s = NULL;

	for (unsigned i = 0; i < CP_CTLPROV_EDITORS; i++)
		if (strcmp(seats->seat[i].name, name) == 0) {
			if (seats->seat[i].made_us == made_us)
				return &seats->seat[i];
			cp_seat_end(seats, &seats->seat[i]);
		}
	for (unsigned i = 0; s == NULL && i < CP_CTLPROV_EDITORS; i++)
		if (seats->seat[i].name[0] == '\0')
			s = &seats->seat[i];
	if (s == NULL && (s = idlest(seats)) != NULL) {
		seats->evicted++;
		cfg_log_limited(CFG_LOG_NOTICE, "ctl-session-evicted", "user=%s idle_s=%lld for=%s", cfg_q(s->name),
				(long long)(cp_mono_s() - s->seen_s), cfg_q(name));
		cp_seat_end(seats, s);
	}
	if (s != NULL) {
		*s = (struct cp_seat){.id = ++seats->last_id, .made_us = made_us, .seen_s = cp_mono_s()};
		snprintf(s->name, sizeof(s->name), "%s", name);
	}
	return s;
}

int cp_seat_token(struct cp_seat *s)
{
	uint8_t raw[CP_SEAT_TOKEN_LEN / 2];

	if (s->token[0] != '\0')
		return 0;
	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return -EIO;
	for (unsigned i = 0; i < sizeof(raw); i++)
		snprintf(s->token + 2 * i, 3, "%02x", raw[i]);
	OPENSSL_cleanse(raw, sizeof(raw));
	return 0;
}

void cp_seat_seen(struct cp_seat *s)
{
	s->seen_s = cp_mono_s();
}
