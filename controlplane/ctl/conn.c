/* SPDX-License-Identifier: BSD-3-Clause */
#include "conn.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"
#include "say.h"

#define ANSWER_S 120 /* an import of a hundred thousand devices, and a slow disk */

static int connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {ANSWER_S, 0};
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* Send one line, read one. The answer, or NULL with errno in *ret_rc. */
static json_t *ask(int fd, const json_t *request, int *ret_rc)
{
	char *line = json_dumps(request, JSON_COMPACT), *answer = NULL;
	size_t len = line == NULL ? 0 : strlen(line), cap = 65536;
	json_t *o = NULL;

	*ret_rc = line == NULL ? -ENOMEM : 0;
	if (line != NULL)
		line[len++] = '\n'; /* over the terminating zero */
	for (size_t at = 0; at < len && *ret_rc == 0;) {
		ssize_t n = send(fd, line + at, len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			break; /* what it says to us may still be there to read */
	}
	if (line != NULL)
		OPENSSL_cleanse(line, len);
	free(line);
	answer = malloc(cap);
	len = 0;
	while (answer != NULL && *ret_rc == 0) {
		ssize_t n = recv(fd, answer + len, cap - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_rc = n == 0 ? -EPIPE : -errno;
			break;
		}
		len += (size_t)n;
		if (answer[len - 1] == '\n')
			break;
		if (len == cap) {
			char *grown = malloc(cap * 2);

			if (grown != NULL)
				memcpy(grown, answer, len);
			OPENSSL_cleanse(answer, len);
			free(answer);
			answer = grown;
			cap *= 2;
		}
	}
	if (answer == NULL)
		*ret_rc = -ENOMEM;
	if (*ret_rc == 0) {
		o = json_loadb(answer, len, 0, NULL);
		if (o == NULL)
			*ret_rc = -EPROTO;
	}
	if (answer != NULL)
		OPENSSL_cleanse(answer, len);
	free(answer);
	return o;
}

json_t *ctl_ask_at(void *ctx, const char *cmd, json_t *args)
{
	const char *socket_path = ctx;
	json_t *request, *answer;
	char why[4400];
	int fd = connect_to(socket_path), rc = 0;

	if (fd < 0) {
		snprintf(why, sizeof(why), "the appliance does not answer at %s: %s", socket_path, strerror(-fd));
		(void)ctl_fail(CTL_UNREACHABLE, "unreachable", why, NULL);
		return NULL;
	}
	request = json_pack("{s:s,s:O}", "cmd", cmd, "args", args);
	answer = ask(fd, request, &rc);
	json_decref(request);
	close(fd);
	if (answer == NULL) {
		snprintf(why, sizeof(why), "no answer from %s: %s", socket_path,
			 rc == -EAGAIN ? "it takes too long" : strerror(-rc));
		(void)ctl_fail(CTL_UNREACHABLE, "unreachable", why, NULL);
	}
	return answer;
}
