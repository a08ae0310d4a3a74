/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One party's media: an RTP socket on an even port, RTCP on the next one (or multiplexed), G.711 frames at an
 * exact pace, everything received counted and recorded in sequence order. RFC 3550.
 */
#ifndef SIM_MEDIA_H
#define SIM_MEDIA_H

#include <event2/event.h>

#include "srtp.h"
#include "util.h"
#include "wav.h"

#define SIM_REKEY_OVERLAP_US 5000000U

struct sim_media;

struct sim_media_cfg {
	struct event_base *base;
	const char *who;          /* borrowed: name in events and key files */
	struct sim_addr local;    /* address; port 0: any even port of the range */
	uint16_t port_min, port_max;
	const char *play;         /* WAV file; NULL: silence */
	const char *record;       /* WAV to write at the end, or NULL */
	const char *played;       /* raw G.711 as sent, or NULL */
	bool loop;                /* begin again at the end of the WAV */
	bool quiet;               /* send nothing when the WAV is over (default: silence) */
	int first_seq;            /* of RTP; -1: random below 32768 */
	uint32_t rtcp_interval_s; /* 0: 5 */
	enum sim_srtp_engine engine;
	void (*play_done)(void *ctx); /* the last frame of the WAV has left; may be NULL */
	void (*heard)(void *ctx, uint8_t pt, const uint8_t *payload, size_t len); /* a packet came; may be NULL */
	void (*fill)(void *ctx, uint8_t pt, uint8_t *frame, size_t len);          /* the next frame, instead of the WAV's; may be NULL */
	void *ctx;
};

/** Open the sockets. NULL with a sentence in ret_err. */
struct sim_media *sim_media_create(const struct sim_media_cfg *cfg, char *ret_err, size_t err_len);
void sim_media_destroy(struct sim_media *m);

/** Where the other side should send to. */
const struct sim_addr *sim_media_local(const struct sim_media *m);

/**
 * Begin to accept (or go on with another key): payload type, its key (alg none: RTP). The same key again
 * changes nothing. 0, -ENOTSUP.
 */
int sim_media_recv(struct sim_media *m, uint8_t pt, const struct sim_srtp_key *key);
void sim_media_recv_stop(struct sim_media *m);
/**
 * New keys for streams that run, nothing lost: what comes under the old one is taken for SIM_REKEY_OVERLAP_US more, and
 * the new one is not used to send before the first packet under the other side's new one has come: it has our answer then.
 */
int sim_media_rekey(struct sim_media *m, const struct sim_srtp_key *recv, const struct sim_srtp_key *send);
/** Begin to send, or send elsewhere: a new key starts a new SRTP context. 0, -ENOTSUP, -errno (the WAV). */
int sim_media_send(struct sim_media *m, const struct sim_addr *to, uint8_t pt, uint32_t packet_ms,
		   const struct sim_srtp_key *key, bool rtcp_mux);
void sim_media_send_stop(struct sim_media *m);
bool sim_media_sending(const struct sim_media *m);

/** Write the recording. 0 or -errno. */
int sim_media_save(struct sim_media *m);
/** All counters, as a new reference. */
json_t *sim_media_report(const struct sim_media *m);
/** packets sent, octets sent, packets received, octets received, lost, jitter (ms), latency (0). */
void sim_media_stats(const struct sim_media *m, uint32_t ret[7]);

#endif
