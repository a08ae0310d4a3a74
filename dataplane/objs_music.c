/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore's part in music on hold (objs.h): sources come from files and go, legs are told what to play. */
#include "objs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "log.h"
#include "node.h"
#include "objs_impl.h"

/* --- records --- */

struct dp_music *dp_objs_music_take(struct dp_objs *o)
{
	struct dp_music *mu = o->music_free;

	if (mu != NULL) {
		o->music_free = (struct dp_music *)mu->beat.next;
		mu->beat.next = NULL;
		return mu;
	}
	if (o->music_fresh == o->node->music.max)
		return NULL;
	return &o->node->music.mem[o->music_fresh++];
}

void dp_objs_music_give(struct dp_objs *o, struct dp_music *mu)
{
	if (mu == NULL)
		return;
	memset(mu, 0, sizeof(*mu));
	mu->beat.next = (struct dp_beat *)o->music_free; /* its first member */
	o->music_free = mu;
}

/* --- files --- */

static int refuse(const struct dp_music_set *m, const char *file, const char *why, int rc)
{
	cfg_log(CFG_LOG_WARN, "music-refused", "source=%s file=%s reason=%s", cfg_q(m->name), cfg_q(file), cfg_q(why));
	return rc;
}

/* The whole of a regular file; the caller frees *ret. */
static int read_all(int fd, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	uint8_t *buf;
	size_t n = 0;
	int rc = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)DP_TUNE_FILE_MAX)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return -ENOMEM;
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, buf + n, (size_t)st.st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) { /* it has become shorter: what is there counts */
			rc = got < 0 ? -errno : 0;
			break;
		}
		n += (size_t)got;
	}
	if (rc < 0) {
		free(buf);
		return rc;
	}
	*ret = buf;
	*ret_len = n;
	return 0;
}

static int load_file(struct dp_objs *o, const struct dp_music_set *m, unsigned int kind, struct dp_tune *tune)
{
	const char *name = m->file[kind], *why = "no memory";
	uint8_t *data = NULL;
	char path[512];
	size_t len = 0;
	int fd, rc;

	if (snprintf(path, sizeof(path), "%s/%s", o->node->cfg->moh.directory, name) >= (int)sizeof(path))
		return refuse(m, name, "the path is too long", -EINVAL);
	/* Not of a fifo, whose other end may never come. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return refuse(m, name, strerror(errno), errno == ENOENT ? -ENOENT : -EINVAL);
	rc = read_all(fd, &data, &len);
	close(fd);
	if (rc < 0)
		return refuse(m, name, rc == -EFBIG ? "it is longer than 32 MiB" : rc == -EINVAL ? "it is not a file" : strerror(-rc),
			      rc == -EFBIG || rc == -ENOMEM ? rc : -EINVAL);
	rc = dp_tune_add(tune, kind, data, len, &why);
	free(data);
	return rc < 0 ? refuse(m, name, why, rc) : 0;
}

/* --- sources --- */

/* The place of a name, or -1. */
static int find(const struct dp_objs *o, const char *name)
{
	for (int i = 0; i < DP_MUSIC_MAX; i++)
		if (strcmp(o->music[i].name, name) == 0)
			return i;
	return -1;
}

/* Workers read either what was or what is; the old one goes when nobody does any more. */
static void exchange(struct dp_objs *o, int at, struct dp_tune *tune)
{
	struct dp_tune *old = o->node->music.tune[at];

	__atomic_store_n(&o->node->music.tune[at], tune, __ATOMIC_RELEASE);
	rte_rcu_qsbr_synchronize(o->node->qs, RTE_QSBR_THRID_INVALID);
	dp_tune_free(old);
}

static void unload(struct dp_objs *o, int at)
{
	cfg_log(CFG_LOG_NOTICE, "music-unloaded", "source=%s", cfg_q(o->music[at].name));
	exchange(o, at, NULL);
	memset(&o->music[at], 0, sizeof(o->music[at]));
}

int dp_objs_music_set(struct dp_objs *o, const struct dp_music_set *m)
{
	int at = find(o, m->name), rc = 0;
	struct dp_tune *tune;
	bool any = false;

	for (unsigned int i = 0; i < DP_MUSIC_FILE_CNT; i++)
		any = any || m->file[i][0] != '\0';
	if (!any) {
		if (at < 0)
			return -ENOENT;
		unload(o, at);
		return 0;
	}
	if (at < 0)
		at = find(o, "");
	if (at < 0)
		return -ENOSPC;
	tune = calloc(1, sizeof(*tune));
	if (tune == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < DP_MUSIC_FILE_CNT && rc == 0; i++)
		if (m->file[i][0] != '\0')
			rc = load_file(o, m, i, tune);
	if (rc < 0) {
		dp_tune_free(tune);
		return rc;
	}
	if (o->music[at].name[0] == '\0') {
		memcpy(o->music[at].name, m->name, sizeof(m->name));
		o->music[at].id = ++o->music_id;
	}
	o->music[at].gen = o->gen;
	tune->id = o->music[at].id;
	exchange(o, at, tune);
	cfg_log(CFG_LOG_NOTICE, "music-loaded", "source=%s pcm_ms=%u g722_ms=%u g729_ms=%u", cfg_q(m->name),
		tune->part[DP_MUSIC_PCMU].ms, tune->part[DP_MUSIC_G722].ms, tune->part[DP_MUSIC_G729].ms);
	return 0;
}

void dp_objs_music_sweep(struct dp_objs *o)
{
	for (int i = 0; i < DP_MUSIC_MAX; i++)
		if (o->music[i].name[0] != '\0' && o->music[i].gen != o->gen)
			unload(o, i);
}

void dp_objs_music_free(struct dp_objs *o)
{
	for (int i = 0; i < DP_MUSIC_MAX; i++) {
		dp_tune_free(o->node->music.tune[i]);
		o->node->music.tune[i] = NULL;
	}
}

/* --- legs --- */

int dp_objs_leg_music(struct dp_objs *o, const struct dp_leg_music *m)
{
	uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(m->leg_id));
	bool on = m->name[0] != '\0';
	struct dp_cmd *cmd;
	int at = 0;

	if (o->leg[m->leg_id] >> 24 == 0)
		return -ENOENT;
	if (on) {
		at = find(o, m->name);
		if (at < 0)
			return -ENOENT;
		if (o->node->music.tune[at]->part[m->codec].data == NULL)
			return -ENOTSUP;
	}
	cmd = dp_objs_cmd_take(o, wi, DP_OP_LEG_MUSIC);
	if (cmd == NULL)
		return -EAGAIN;
	if (on && (cmd->music = dp_objs_music_take(o)) == NULL) {
		dp_objs_cmd_give(o, wi, cmd);
		return -ENOSPC;
	}
	cmd->id = m->leg_id;
	cmd->u.music.on = on;
	cmd->u.music.tune = (uint8_t)at;
	cmd->u.music.tune_id = o->music[at].id;
	cmd->u.music.codec = m->codec;
	cmd->u.music.pt = m->pt;
	cmd->u.music.ptime_ms = m->ptime_ms;
	dp_objs_submit(o, wi, cmd);
	return 0;
}
