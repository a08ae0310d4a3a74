/* SPDX-License-Identifier: BSD-3-Clause */
/* What call control asks of a phone: getters, and one message per down-call. */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "dp_msg.h"
#include "session.h"

#define STIMULUS_LINE      9
#define STIMULUS_VOICEMAIL 15

const char *cp_phone_name(const struct cp_phone *p)
{
	return p->name;
}

const struct cp_device *cp_phone_device(const struct cp_phone *p)
{
	return p->sccp->o.find_device(p->sccp->o.ctx, p->name);
}

unsigned cp_phone_lines(const struct cp_phone *p)
{
	return p->line_cnt;
}

const char *cp_phone_line_number(const struct cp_phone *p, unsigned line)
{
	return line >= 1 && line <= p->line_cnt ? p->lines[line - 1].number : NULL;
}

const char *cp_phone_line_label(const struct cp_phone *p, unsigned line)
{
	if (line < 1 || line > p->line_cnt)
		return NULL;
	return p->lines[line - 1].label[0] != '\0' ? p->lines[line - 1].label
	                                           : p->lines[line - 1].number;
}

unsigned cp_phone_find_line(const struct cp_phone *p, const char *number)
{
	for (unsigned i = 0; i < p->line_cnt; i++)
		if (strcmp(p->lines[i].number, number) == 0)
			return i + 1;
	return 0;
}

enum cp_phone_sec cp_phone_security(const struct cp_phone *p)
{
	return (enum cp_phone_sec)p->sec;
}

const struct cp_sccp_cap *cp_phone_caps(const struct cp_phone *p, unsigned *ret_n)
{
	*ret_n = p->cap_cnt;
	return p->caps;
}

bool cp_phone_has_codec(const struct cp_phone *p, uint32_t codec)
{
	for (unsigned i = 0; i < p->cap_cnt; i++)
		if (p->caps[i].codec == codec)
			return true;
	return false;
}

bool cp_phone_srtp(const struct cp_phone *p)
{
	const struct cp_device *dev = cp_phone_device(p);

	return p->sec == CP_PHONE_ENCRYPTED && dev != NULL && dev->srtp;
}

const struct cfg_addr *cp_phone_peer(const struct cp_phone *p)
{
	return &p->peer.addr;
}

uint32_t cp_phone_type(const struct cp_phone *p)
{
	return p->type;
}

unsigned cp_phone_protocol(const struct cp_phone *p)
{
	return p->ver;
}

void cp_phone_set_user(struct cp_phone *p, void *user)
{
	p->user = user;
}

void *cp_phone_user(const struct cp_phone *p)
{
	return p->user;
}

/* --- down --- */

static bool dynamic(const struct cp_phone *p)
{
	return p->ver >= 11 && (p->features[2] & CP_SCCP_FEAT2_DYNAMIC) != 0;
}

static int send_words(struct cp_phone *p, uint32_t id, const uint32_t *words, unsigned n)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(p, buf, cp_sccp_build_words(buf, p->ver, id, words, n));
}

#define SEND_WORDS(p, id, ...)                                                                     \
	send_words(p, id, (const uint32_t[]){__VA_ARGS__},                                         \
	           sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

int cp_phone_call_state(struct cp_phone *p, enum cp_sccp_state state, uint32_t line,
                        uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_CALL_STATE, state, line, callref, 0, 4,
	                  0); /* precedence 4: routine */
}

int cp_phone_callinfo(struct cp_phone *p, const struct cp_phone_callinfo *info)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(
		p, buf,
		cp_sccp_build_callinfo(buf, p->ver, dynamic(p), !p->sccp->o.no_alt_calling, info));
}

int cp_phone_tone(struct cp_phone *p, enum cp_sccp_tone tone, uint32_t line, uint32_t callref)
{
	return cp_phone_tone_to(p, tone, 0, line, callref);
}

int cp_phone_tone_to(struct cp_phone *p, enum cp_sccp_tone tone, uint32_t direction, uint32_t line, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_START_TONE, tone, direction, line, callref);
}

int cp_phone_stop_tone(struct cp_phone *p, uint32_t line, uint32_t callref)
{
	if (p->ver >= 11)
		return SEND_WORDS(p, CP_SCCP_STOP_TONE, line, callref, 0);
	return SEND_WORDS(p, CP_SCCP_STOP_TONE, line, callref);
}

int cp_phone_ringer(struct cp_phone *p, enum cp_sccp_ringer mode, uint32_t line, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_SET_RINGER, mode, 1, line, callref);
}

int cp_phone_lamp(struct cp_phone *p, uint32_t line, enum cp_sccp_lamp mode)
{
	return SEND_WORDS(p, CP_SCCP_SET_LAMP, STIMULUS_LINE, line, mode);
}

int cp_phone_mwi(struct cp_phone *p, uint32_t line, bool on)
{
	return SEND_WORDS(p, CP_SCCP_SET_LAMP, STIMULUS_VOICEMAIL, line, on ? CP_SCCP_LAMP_ON : CP_SCCP_LAMP_OFF);
}

int cp_phone_speaker(struct cp_phone *p, bool on)
{
	return SEND_WORDS(p, CP_SCCP_SET_SPEAKER, on ? 1 : 2);
}

int cp_phone_softkeys(struct cp_phone *p, enum cp_sccp_keyset set, uint32_t line, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_SELECT_SOFTKEYS, line, callref, set, 0xffffffff);
}

int cp_phone_prompt(struct cp_phone *p, const char *text, uint32_t timeout_s, uint32_t line,
                    uint32_t callref)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(
		p, buf,
		cp_sccp_build_prompt(buf, p->ver, dynamic(p), text, timeout_s, line, callref));
}

int cp_phone_clear_prompt(struct cp_phone *p, uint32_t line, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_CLEAR_PROMPT, line, callref);
}

int cp_phone_dialed(struct cp_phone *p, const char *number, uint32_t line, uint32_t callref)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(p, buf, cp_sccp_build_dialed(buf, p->ver, number, line, callref));
}

int cp_phone_forward_stat(struct cp_phone *p, uint32_t line, const char *all, const char *busy, const char *no_answer)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(p, buf, cp_sccp_build_forward_stat(buf, p->ver, line, (const char *const[3]){all, busy, no_answer}));
}

int cp_phone_planes(struct cp_phone *p, uint32_t line)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	if (line == 0)
		return cp_session_send(p, buf,
		                       cp_sccp_build_empty(buf, p->ver, CP_SCCP_DEACTIVATE_PLANE));
	return SEND_WORDS(p, CP_SCCP_ACTIVATE_PLANE, line);
}

/* What was sent, and the same without its keys. */
static void tap_media(struct cp_phone *p, const struct cp_phone_media *m, const uint8_t *sent, size_t n,
                      size_t (*build)(uint8_t *, unsigned, const struct cp_phone_media *))
{
	struct cp_phone_media bare = *m;
	uint8_t buf[CP_SCCP_BUILD_MAX];

	OPENSSL_cleanse(bare.key, sizeof(bare.key));
	OPENSSL_cleanse(bare.salt, sizeof(bare.salt));
	if (build(buf, p->ver, &bare) == n)
		cp_session_tap_out(p, buf, m->suite != DP_SRTP_NONE ? sent : NULL, n);
}

static int send_media(struct cp_phone *p, const struct cp_phone_media *m,
                      size_t (*build)(uint8_t *, unsigned, const struct cp_phone_media *))
{
	uint8_t buf[CP_SCCP_BUILD_MAX];
	size_t n;
	int rc = 0;

	if (m->suite != DP_SRTP_NONE && p->sec != CP_PHONE_ENCRYPTED)
		return -EACCES; /* keys only over an encrypted connection to a proven device */
	if (p->dead || p->state == CP_SESSION_GONE)
		return -ENOTCONN;
	n = build(buf, p->ver, m);
	if (n == 0) {
		rc = -EINVAL;
	} else if (p->link->send(p->io, buf, n, true) != 0) {
		p->dead = true;
		rc = -ENOTCONN;
	} else if (p->sccp->tap != NULL) {
		tap_media(p, m, buf, n, build);
	}
	OPENSSL_cleanse(buf, sizeof(buf));
	return rc;
}

int cp_phone_orc(struct cp_phone *p, const struct cp_phone_media *media)
{
	return send_media(p, media, cp_sccp_build_orc);
}

int cp_phone_smt(struct cp_phone *p, const struct cp_phone_media *media)
{
	return send_media(p, media, cp_sccp_build_smt);
}

int cp_phone_crc(struct cp_phone *p, uint32_t conference, uint32_t party, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_CLOSE_RECEIVE, conference, party, callref, 0);
}

int cp_phone_stopmt(struct cp_phone *p, uint32_t conference, uint32_t party, uint32_t callref)
{
	return SEND_WORDS(p, CP_SCCP_STOP_MT, conference, party, callref, 0);
}

int cp_phone_stats(struct cp_phone *p, const char *number, uint32_t callref)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];

	return cp_session_send(p, buf,
	                       cp_sccp_build_statistics_req(buf, p->ver, number, callref, 0));
}

int cp_phone_reset(struct cp_phone *p, uint32_t type)
{
	if (type < 1 || type > 3)
		return -EINVAL;
	return SEND_WORDS(p, CP_SCCP_RESET, type);
}
