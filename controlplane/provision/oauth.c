/* SPDX-License-Identifier: BSD-3-Clause */
#include "oauth.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "jwt.h"
#include "log.h"

#define POLL_S 2

struct cp_oauth {
	const struct cfg_oauth *cfg;
	struct event *tick;
	struct stat seen;
	bool told;             /* that the file cannot be read */
	pthread_mutex_t lock;  /* of the pointer only */
	struct cp_jwt_keys *keys;
};

static void refuse(struct cp_oauth *o, const char *why)
{
	if (!o->told)
		cfg_log(CFG_LOG_ERR, "token-keys-unusable", "file=%s reason=%s kept=%u", cfg_q(o->cfg->keys), cfg_q(why),
			o->keys != NULL ? cp_jwt_keys_count(o->keys) : 0);
	o->told = true;
}

static void load(struct cp_oauth *o)
{
	struct cp_jwt_keys *keys = NULL, *old;
	uint8_t *data = NULL;
	char err[128] = "";
	size_t len = 0;
	struct stat st;
	int fd = open(o->cfg->keys, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		refuse(o, fd < 0 ? strerror(errno) : "not a file");
		memset(&o->seen, 0, sizeof(o->seen));
		goto out;
	}
	if (st.st_ino == o->seen.st_ino && st.st_size == o->seen.st_size &&
	    st.st_mtim.tv_sec == o->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == o->seen.st_mtim.tv_nsec)
		goto out;
	o->told = false;
	o->seen = st;
	data = malloc(CP_JWT_FILE_MAX + 1);
	while (data != NULL && len <= CP_JWT_FILE_MAX) {
		ssize_t n = read(fd, data + len, CP_JWT_FILE_MAX + 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (data == NULL || cp_jwt_keys_parse(data, len, &keys, err, sizeof(err)) < 0) {
		refuse(o, err);
		goto out;
	}
	pthread_mutex_lock(&o->lock);
	old = o->keys;
	o->keys = keys;
	pthread_mutex_unlock(&o->lock);
	cp_jwt_keys_put(old);
	cfg_log(CFG_LOG_NOTICE, "token-keys", "file=%s keys=%u", cfg_q(o->cfg->keys), cp_jwt_keys_count(keys));
out:
	free(data);
	if (fd >= 0)
		close(fd);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	load(arg);
}

int cp_oauth_create(struct event_base *base, const struct cfg_oauth *cfg, struct cp_oauth **ret_oauth)
{
	static const struct timeval every = {POLL_S, 0};
	struct cp_oauth *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -ENOMEM;
	o->cfg = cfg;
	pthread_mutex_init(&o->lock, NULL);
	if (cfg->keys != NULL) {
		load(o);
		o->tick = event_new(base, -1, EV_PERSIST, on_tick, o);
		if (o->tick == NULL || event_add(o->tick, &every) < 0) {
			cp_oauth_destroy(o);
			return -ENOMEM;
		}
	}
	*ret_oauth = o;
	return 0;
}

void cp_oauth_destroy(struct cp_oauth *oauth)
{
	if (oauth == NULL)
		return;
	if (oauth->tick != NULL)
		event_free(oauth->tick);
	cp_jwt_keys_put(oauth->keys);
	pthread_mutex_destroy(&oauth->lock);
	free(oauth);
}

static struct cp_jwt_keys *keys_of(struct cp_oauth *o)
{
	struct cp_jwt_keys *k;

	pthread_mutex_lock(&o->lock);
	k = o->keys != NULL ? cp_jwt_keys_take(o->keys) : NULL;
	pthread_mutex_unlock(&o->lock);
	return k;
}

int cp_oauth_check(void *oauth, const char *token, size_t len, const char *device, const char **ret_why)
{
	struct cp_oauth *o = oauth;
	struct cp_jwt_want want = {.issuer = o->cfg->issuer, .audience = o->cfg->audience, .scope = o->cfg->scope,
				   .device = device, .now = time(NULL)};
	struct cp_jwt_keys *keys;
	int rc;

	if (o->cfg->issuer == NULL) {
		*ret_why = "no issuer is configured";
		return -EACCES;
	}
	keys = keys_of(o);
	if (keys == NULL) {
		*ret_why = "no keys of the issuer";
		return -EACCES;
	}
	rc = cp_jwt_check(keys, token, len, &want, ret_why);
	cp_jwt_keys_put(keys);
	return rc;
}

json_t *cp_oauth_show(struct cp_oauth *oauth)
{
	struct cp_jwt_keys *keys = keys_of(oauth);
	json_t *o = json_pack("{s:s?, s:i}", "issuer", oauth->cfg->issuer, "keys",
			      keys != NULL ? (int)cp_jwt_keys_count(keys) : 0);

	cp_jwt_keys_put(keys);
	return o;
}
