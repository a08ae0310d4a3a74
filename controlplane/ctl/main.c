/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl: one request to the admin socket, one answer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"
#include "doctor.h"
#include "trust.h"
#include "file.h"

#define DEFAULT_CONFIG "/etc/ravelin/ravelin.yaml"
#define ANSWER_S       120 /* an import of a hundred thousand devices, and a slow disk */
#define FILE_MAX       (64u << 20)

static bool json_out;

static int fail(int status, const char *code, const char *message, json_t *error)
{
	if (json_out) {
		json_t *o = error != NULL ? json_pack("{s:O}", "error", error)
					  : json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
		char *text = json_dumps(o, JSON_COMPACT);

		puts(text != NULL ? text : "{\"error\":{}}");
		free(text);
		json_decref(o);
	} else {
		json_t *items = json_object_get(error, "items");

		fprintf(stderr, "ravelinctl: %s\n", message);
		if (json_array_size(items) > 0)
			ctl_render(stderr, items);
	}
	return status;
}

/* A whole file, or standard input for NULL. Heap, zero-terminated; -errno. */
static int read_file(const char *path, char **ret, size_t *ret_len)
{
	int fd = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t len = 0, cap = 4096;
	char *data = fd < 0 ? NULL : malloc(cap);
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (data != NULL && rc == 0) {
		n = read(fd, data + len, cap - len - 1);
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len + 1 == cap) {
			char *grown = cap >= FILE_MAX ? NULL : malloc(cap * 2);

			if (grown == NULL)
				rc = -EFBIG;
			else
				memcpy(grown, data, len);
			OPENSSL_cleanse(data, len);
			free(data);
			data = grown;
			cap *= 2;
		}
	}
	if (fd != STDIN_FILENO)
		close(fd);
	if (data == NULL || rc < 0) {
		free(data);
		return rc < 0 ? rc : -ENOMEM;
	}
	data[len] = '\0';
	*ret = data;
	*ret_len = len;
	return 0;
}

/* Write a file of mode 0600 in one step: it is whole, or as it was. */
static int write_file(const char *dir, const char *name, const char *suffix, const char *const *parts)
{
	char path[4096], tmp[4120];
	int fd, rc = 0;

	if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	for (; *parts != NULL && rc == 0; parts++)
		for (size_t at = 0, len = strlen(*parts); at < len && rc == 0;) {
			ssize_t n = write(fd, *parts + at, len - at);

			if (n < 0)
				rc = -errno;
			else
				at += (size_t)n;
		}
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(tmp);
	return rc;
}

static int read_key(struct ctl_request *r, char *why, size_t size)
{
	char *text = NULL;
	size_t len = 0, n = 0;
	int rc = read_file(r->local[0], &text, &len);

	if (rc < 0) {
		snprintf(why, size, "%s: %s", r->local[0] != NULL ? r->local[0] : "standard input", strerror(-rc));
		return rc;
	}
	for (size_t i = 0; i < len; i++) /* hex, perhaps in groups or lines */
		if (text[i] != ' ' && text[i] != '\n' && text[i] != '\r' && text[i] != ':')
			text[n++] = text[i];
	text[n] = '\0';
	if (n == 0 || strspn(text, "0123456789abcdefABCDEF") != n) {
		snprintf(why, size, "the key is not hex");
		rc = -EINVAL;
	} else {
		json_object_set_new(r->args, "key", json_string(text));
	}
	OPENSSL_cleanse(text, len);
	free(text);
	return rc;
}

/* A device's secrets come from files: what is typed stays in histories. The first line, without its end. */
static int read_secrets(struct ctl_request *r, char *why, size_t size)
{
	static const char *const members[2] = {"digest_password", "config_key_hex"};
	int rc = 0;

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		char *text = NULL;
		size_t len = 0;
		json_t *v;

		if (r->local[i] == NULL)
			continue;
		rc = read_file(r->local[i], &text, &len);
		if (rc < 0) {
			snprintf(why, size, "%s: %s", r->local[i], strerror(-rc));
			break;
		}
		text[strcspn(text, "\r\n")] = '\0';
		v = json_string(text);
		if (v == NULL) {
			snprintf(why, size, "%s is not UTF-8", r->local[i]);
			rc = -EINVAL;
		} else {
			json_object_set_new(r->args, members[i], v);
		}
		OPENSSL_cleanse(text, len);
		free(text);
	}
	return rc;
}

static int read_import(struct ctl_request *r, char *why, size_t size)
{
	json_error_t err;
	json_t *o = json_load_file(r->local[0], JSON_REJECT_DUPLICATES, &err);

	if (o == NULL || !json_is_object(o)) {
		snprintf(why, size, "%s:%d: %s", r->local[0], o == NULL ? err.line : 1,
			 o == NULL ? err.text : "not an object");
		json_decref(o);
		return -EINVAL;
	}
	json_object_update(o, r->args);
	json_decref(r->args);
	r->args = o;
	return 0;
}

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

static int save_cert(const struct ctl_request *r, json_t *result, char *why, size_t size)
{
	const char *device = NULL, *key = NULL, *cert = NULL, *ca = NULL;
	int rc;

	if (json_unpack(result, "{s:s,s:s,s:s,s:s}", "device", &device, "key", &key, "cert", &cert, "ca", &ca) < 0 ||
	    strchr(device, '/') != NULL) {
		snprintf(why, size, "the answer holds no certificate");
		return -EPROTO;
	}
	if (mkdir(r->local[0], 0700) < 0 && errno != EEXIST)
		rc = -errno;
	else
		rc = write_file(r->local[0], device, ".pem", (const char *const[]){key, cert, NULL});
	if (rc == 0)
		rc = write_file(r->local[0], "ca", ".pem", (const char *const[]){ca, NULL});
	if (rc < 0) {
		snprintf(why, size, "%s: %s", r->local[0], strerror(-rc));
		return rc;
	}
	/* what is printed holds no key */
	json_object_del(result, "key");
	json_object_del(result, "cert");
	json_object_del(result, "ca");
	snprintf(why, size, "%s/%s.pem", r->local[0], device);
	json_object_set_new(result, "file", json_string(why));
	snprintf(why, size, "%s/ca.pem", r->local[0]);
	json_object_set_new(result, "ca_file", json_string(why));
	return 0;
}

/* --- commands of several requests --- */

static volatile int interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static json_t *ask_at(void *ctx, const char *cmd, json_t *args)
{
	const char *socket_path = ctx;
	json_t *request, *answer;
	char why[4400];
	int fd = connect_to(socket_path), rc = 0;

	if (fd < 0) {
		snprintf(why, sizeof(why), "the appliance does not answer at %s: %s", socket_path, strerror(-fd));
		(void)fail(CTL_UNREACHABLE, "unreachable", why, NULL);
		return NULL;
	}
	request = json_pack("{s:s,s:O}", "cmd", cmd, "args", args);
	answer = ask(fd, request, &rc);
	json_decref(request);
	close(fd);
	if (answer == NULL) {
		snprintf(why, sizeof(why), "no answer from %s: %s", socket_path,
			 rc == -EAGAIN ? "it takes too long" : strerror(-rc));
		(void)fail(CTL_UNREACHABLE, "unreachable", why, NULL);
	}
	return answer;
}

static int run_follow(struct ctl_request *r, const char *socket_path)
{
	char *path = strdup(socket_path);
	json_t *ret = NULL;
	int rc, status = CTL_OK;

	if (r->cmd->special == CTL_TRACE) {
		signal(SIGINT, on_interrupt);
		signal(SIGTERM, on_interrupt);
		rc = ctl_trace(ask_at, path, r->args, json_out, &interrupted, stdout, &ret);
	} else {
		rc = ctl_legs(ask_at, path, r->args, &ret);
	}
	free(path);
	if (rc < 0 && ret == NULL) {
		status = CTL_UNREACHABLE;
	} else if (rc < 0) {
		json_t *error = json_object_get(ret, "error");
		const char *message = json_string_value(json_object_get(error, "message"));

		status = fail(CTL_REFUSED, "failed", message != NULL ? message : "refused", error);
	} else if (ret != NULL && json_out) {
		char *text = json_dumps(ret, JSON_COMPACT);

		puts(text != NULL ? text : "null");
		free(text);
	} else if (ret != NULL) {
		json_t *few = r->local[0] == NULL ? ctl_legs_short(ret) : json_incref(ret);

		ctl_render(stdout, few);
		json_decref(few);
	}
	json_decref(ret);
	if (fflush(stdout) != 0 || ferror(stdout))
		return CTL_REFUSED;
	return status;
}

/* --- backup and restore --- */

/* The first line of a file or of standard input, into the request. */
static int read_passphrase(struct ctl_request *r, const char *file, char *why, size_t size)
{
	char buf[1100] = "";
	FILE *f = file == NULL || strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	json_t *v;

	if (f == NULL) {
		snprintf(why, size, "%s: %s", file, strerror(errno));
		return -errno;
	}
	setvbuf(f, NULL, _IONBF, 0);
	if (fgets(buf, sizeof(buf), f) != NULL)
		buf[strcspn(buf, "\r\n")] = '\0';
	if (f != stdin)
		fclose(f);
	v = buf[0] != '\0' ? json_string(buf) : NULL;
	OPENSSL_cleanse(buf, sizeof(buf));
	if (v == NULL) {
		snprintf(why, size, "no passphrase: give --passphrase-file, or a line on standard input");
		return -EINVAL;
	}
	json_object_set_new(r->args, "passphrase", v);
	return 0;
}

/* The appliance wrote the bundle where it may write: bring it where it is wanted, whole or not at all. */
static int take_bundle(json_t *result, const char *to, char *why, size_t size)
{
	const char *from = json_string_value(json_object_get(result, "file"));
	int in = from != NULL ? open(from, O_RDONLY | O_CLOEXEC) : -1, out, rc = 0;
	char tmp[4200], dir[4200], *slash;
	static char buf[65536];
	ssize_t n = 0;

	snprintf(tmp, sizeof(tmp), "%s.tmp-%d", to, (int)getpid());
	snprintf(dir, sizeof(dir), "%s", to);
	slash = strrchr(dir, '/');
	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	if (in < 0) {
		snprintf(why, size, "%s: %s", from != NULL ? from : "the bundle", strerror(errno));
		return -errno;
	}
	out = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		rc = -errno;
	while (rc == 0 && (n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, k; rc == 0 && at < n; at += k)
			if ((k = write(out, buf + at, (size_t)(n - at))) < 0) {
				rc = -errno;
				k = 0;
			}
	if (rc == 0 && (n < 0 || fsync(out) < 0 || rename(tmp, to) < 0))
		rc = -errno;
	if (out >= 0)
		close(out);
	close(in);
	if (rc < 0) {
		unlink(tmp);
		snprintf(why, size, "%s: %s; the bundle is %s", to, strerror(-rc), from);
		return rc;
	}
	out = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out >= 0) {
		fsync(out);
		close(out);
	}
	unlink(from);
	json_object_set_new(result, "file", json_string(to));
	return 0;
}

/* What opens a bundle is the controlplane's own program: beside this one, or found as programs are. */
static int run_bundle(const struct ctl_request *r, const char *config)
{
	bool restore = strcmp(r->cmd->cmd, "restore") == 0;
	char self[4000], beside[2][4100] = {"", ""};
	const char *argv[12];
	char *slash;
	int n = 0;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	argv[n++] = "ravelin-controlplane";
	if (config != NULL && restore) {
		argv[n++] = "-c";
		argv[n++] = config;
	}
	argv[n++] = restore ? "--restore" : "--show-backup";
	argv[n++] = r->local[0];
	if (r->local[1] != NULL) {
		argv[n++] = "--passphrase-file";
		argv[n++] = r->local[1];
	}
	if (restore && r->local[2] != NULL)
		argv[n++] = "--force";
	if (restore && r->local[3] != NULL) {
		argv[n++] = "--strand";
		argv[n++] = r->local[3];
	}
	argv[n] = NULL;
	if (strcmp(r->cmd->cmd, "verify") == 0 && freopen("/dev/null", "w", stdout) == NULL)
		return CTL_REFUSED;
	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		snprintf(beside[0], sizeof(beside[0]), "%s/ravelin-controlplane", self);
		snprintf(beside[1], sizeof(beside[1]), "%s/../ravelin-controlplane", self);
	}
	for (int i = 0; i < 2; i++)
		execv(beside[i], (char *const *)(uintptr_t)argv);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	return fail(CTL_UNREACHABLE, "unreachable", "ravelin-controlplane is not installed here", NULL);
}

static int run_ctlop(struct ctl_request *r, const char *socket_path)
{
	char *path = strdup(socket_path), why[512];
	json_t *answer = NULL;
	int rc = ctl_trust(r, ask_at, path, &answer, why, sizeof(why)), status = CTL_OK;

	free(path);
	if (rc == -ENOTCONN)
		return why[0] != '\0' ? fail(CTL_UNREACHABLE, "unreachable", why, NULL) : CTL_UNREACHABLE;
	if (rc < 0)
		return fail(CTL_USAGE, "usage", why, NULL);
	if (!json_is_true(json_object_get(answer, "ok"))) {
		json_t *error = json_object_get(answer, "error");
		const char *message = json_string_value(json_object_get(error, "message"));

		status = fail(CTL_REFUSED, "failed", message != NULL ? message : "refused", error);
	} else if (json_out) {
		char *text = json_dumps(json_object_get(answer, "result"), JSON_COMPACT | JSON_ENCODE_ANY);

		puts(text != NULL ? text : "null");
		free(text);
	} else {
		ctl_render(stdout, json_object_get(answer, "result"));
	}
	json_decref(answer);
	if (fflush(stdout) != 0 || ferror(stdout))
		return CTL_REFUSED;
	return status;
}

static int refused(int rc, json_t *ret, const char *why)
{
	json_t *error = json_object_get(ret, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	int status = CTL_UNREACHABLE; /* and it has been said */

	if (ret != NULL)
		status = fail(CTL_REFUSED, "failed", message != NULL ? message : "refused", error);
	else if (why[0] != '\0')
		status = fail(rc == -EIO ? CTL_REFUSED : CTL_USAGE, "failed", why, NULL);
	json_decref(ret);
	return status;
}

static int import_phones(struct ctl_request *r, const char *socket_path)
{
	char *path = strdup(socket_path), why[4400];
	json_t *ret = NULL, *errors;
	int rc = ctl_import_phones(ask_at, path, r->local[0], r->args, r->local[1] != NULL, &ret, why, sizeof(why));
	json_int_t wrong;

	free(path);
	if (rc < 0)
		return refused(rc, ret, why);
	wrong = json_integer_value(json_object_get(ret, "wrong"));
	errors = json_object_get(ret, "errors");
	if (json_out) {
		char *text = json_dumps(ret, JSON_COMPACT);

		puts(text != NULL ? text : "null");
		free(text);
	} else {
		json_t *ignored = json_object_get(ret, "ignored"), *name;
		bool dry = json_is_true(json_object_get(ret, "dry_run"));
		size_t i;

		if (json_array_size(errors) > 0)
			ctl_render(stderr, errors);
		if (wrong > (json_int_t)json_array_size(errors))
			fprintf(stderr, "... and %lld more\n", (long long)(wrong - (json_int_t)json_array_size(errors)));
		json_array_foreach(ignored, i, name)
			fprintf(stderr, "%s%s%s", i == 0 ? "columns not used: " : ", ", json_string_value(name),
				i + 1 == json_array_size(ignored) ? "\n" : "");
		json_array_foreach(json_object_get(ret, "warnings"), i, name)
			fprintf(stderr, "warning: %s\n", json_string_value(name));
		printf("%lld lines: %lld phones %s, %lld wrong\n", (long long)json_integer_value(json_object_get(ret, "lines")),
		       (long long)json_integer_value(json_object_get(ret, "phones")),
		       dry ? "could be taken (nothing was changed)" : "taken", (long long)wrong);
	}
	json_decref(ret);
	return wrong > 0 || fflush(stdout) != 0 || ferror(stdout) ? CTL_REFUSED : CTL_OK;
}

static int wave_start(struct ctl_request *r, const char *socket_path)
{
	char *path = strdup(socket_path), why[4400];
	json_t *ret = NULL, *errors;
	json_int_t wrong;
	bool begun;
	int rc = ctl_wave_start(ask_at, path, r->local[0], r->args, r->local[1] != NULL, &ret, why, sizeof(why));

	free(path);
	if (rc < 0)
		return refused(rc, ret, why);
	errors = json_object_get(ret, "errors");
	wrong = json_integer_value(json_object_get(ret, "wrong"));
	begun = json_is_integer(json_object_get(ret, "wave"));
	if (json_out) {
		char *text = json_dumps(ret, JSON_COMPACT);

		puts(text != NULL ? text : "{}");
		free(text);
	} else {
		if (json_array_size(errors) > 0)
			ctl_render(stderr, errors);
		if (wrong > (json_int_t)json_array_size(errors))
			fprintf(stderr, "... and %lld more\n", (long long)(wrong - (json_int_t)json_array_size(errors)));
		if (begun)
			printf("wave %lld: %lld devices\n", (long long)json_integer_value(json_object_get(ret, "wave")),
			       (long long)json_integer_value(json_object_get(ret, "devices")));
		else
			fprintf(stderr, "ravelinctl: nothing was begun: mend these lines, or say --skip-wrong\n");
	}
	json_decref(ret);
	return !begun || fflush(stdout) != 0 || ferror(stdout) ? CTL_REFUSED : CTL_OK;
}

static int export_phones(struct ctl_request *r, const char *socket_path)
{
	FILE *out = r->local[0] == NULL ? stdout : fopen(r->local[0], "w");
	char *path = strdup(socket_path), why[4400];
	json_t *ret = NULL;
	int rc;

	if (out == NULL) {
		snprintf(why, sizeof(why), "%s: %s", r->local[0], strerror(errno));
		free(path);
		return fail(CTL_USAGE, "failed", why, NULL);
	}
	rc = ctl_export_phones(ask_at, path, out, &ret, why, sizeof(why));
	free(path);
	if (out != stdout && fclose(out) != 0 && rc == 0) {
		snprintf(why, sizeof(why), "%s: %s", r->local[0], strerror(errno));
		rc = -EIO;
	}
	return rc < 0 ? refused(rc, ret, why) : CTL_OK;
}

static int cdr(struct ctl_request *r, const char *socket_path)
{
	bool list = r->cmd->special == CTL_CDR_LIST;
	const json_t *max = json_object_get(r->args, "_max");
	json_int_t most = list ? 100 : 0;
	enum ctl_cdr_form form = json_out || (!list && r->local[0] != NULL) ? CTL_CDR_LINES : list ? CTL_CDR_TABLE : CTL_CDR_CSV;
	const char *file = list ? NULL : r->local[1];
	FILE *out = file == NULL ? stdout : fopen(file, "we");
	char *path = strdup(socket_path), why[4400] = "";
	json_t *ret = NULL;
	int rc;

	if (max != NULL)
		most = json_integer_value(max);
	json_object_del(r->args, "_max");
	if (out == NULL) {
		snprintf(why, sizeof(why), "%s: %s", file, strerror(errno));
		free(path);
		return fail(CTL_USAGE, "failed", why, NULL);
	}
	rc = ctl_cdr(ask_at, path, r->args, form, most, out, &ret);
	free(path);
	if (fflush(out) != 0 || (out != stdout && fclose(out) != 0)) {
		snprintf(why, sizeof(why), "%s: %s", file != NULL ? file : "standard output", strerror(errno));
		rc = -EIO;
	}
	return rc < 0 ? refused(rc, ret, why) : CTL_OK;
}

static int capf_ca(struct ctl_request *r, const char *socket_path)
{
	bool out = r->cmd->special == CTL_CAPF_REQUESTS;
	char *path = strdup(socket_path), why[4400];
	json_t *ret = NULL;
	int rc = out ? ctl_capf_requests(ask_at, path, r->local[0], r->args, &ret, why, sizeof(why)) :
		       ctl_capf_certs(ask_at, path, r->local[0], &ret, why, sizeof(why));
	int status = CTL_OK;

	free(path);
	if (rc < 0)
		return refused(rc, ret, why);
	if (!out && json_array_size(json_object_get(ret, "refused")) > 0)
		status = CTL_REFUSED;
	if (json_out) {
		char *text = json_dumps(ret, JSON_COMPACT);

		puts(text != NULL ? text : "null");
		free(text);
	} else {
		if (!out && status == CTL_REFUSED)
			ctl_render(stderr, json_object_get(ret, "refused"));
		if (!out)
			json_object_del(ret, "refused");
		ctl_render(stdout, ret);
	}
	json_decref(ret);
	return fflush(stdout) != 0 || ferror(stdout) ? CTL_REFUSED : status;
}

static int run(struct ctl_request *r, const char *socket_path)
{
	char why[4400] = "";
	json_t *request, *answer, *result, *error;
	int fd, rc = 0, status = CTL_OK;

	if (r->cmd->special == CTL_IMPORT)
		rc = read_import(r, why, sizeof(why));
	else if (r->cmd->special == CTL_SA_KEY)
		rc = read_key(r, why, sizeof(why));
	else if (r->cmd->special == CTL_SECRETS)
		rc = read_secrets(r, why, sizeof(why));
	else if (r->cmd->special == CTL_BACKUP)
		rc = read_passphrase(r, r->local[1], why, sizeof(why));
	else if (r->cmd->special == CTL_CERT_FILE || r->cmd->special == CTL_APP_ISSUE)
		rc = ctl_cert_read(r->local[0], r->args, why, sizeof(why));
	if (rc < 0)
		return fail(CTL_USAGE, "usage", why, NULL);
	fd = connect_to(socket_path);
	if (fd < 0) {
		snprintf(why, sizeof(why), "the appliance does not answer at %s: %s", socket_path, strerror(-fd));
		return fail(CTL_UNREACHABLE, "unreachable", why, NULL);
	}
	request = json_pack("{s:s,s:O}", "cmd", r->cmd->cmd, "args", r->args);
	answer = ask(fd, request, &rc);
	json_decref(request);
	close(fd);
	if (answer == NULL) {
		snprintf(why, sizeof(why), "no answer from %s: %s", socket_path,
			 rc == -EAGAIN ? "it takes too long" : strerror(-rc));
		return fail(CTL_UNREACHABLE, "unreachable", why, NULL);
	}
	result = json_object_get(answer, "result");
	error = json_object_get(answer, "error");
	if (!json_is_true(json_object_get(answer, "ok"))) {
		const char *message = json_string_value(json_object_get(error, "message"));

		status = fail(CTL_REFUSED, "failed", message != NULL ? message : "refused", error);
	} else if (r->cmd->special == CTL_CERT && save_cert(r, result, why, sizeof(why)) < 0) {
		status = fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_CERT_OUT && !(json_out && r->local[1] == NULL)) {
		if (ctl_cert_write(result, r->local[0] != NULL, r->local[1], why, sizeof(why)) < 0)
			status = fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_APP_ISSUE && ctl_cert_write(result, false, r->local[1], why, sizeof(why)) < 0) {
		status = fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_BACKUP && take_bundle(result, r->local[0], why, sizeof(why)) < 0) {
		status = fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_CSV && r->local[0] != NULL) {
		ctl_render_csv(stdout, result, true);
	} else if (json_out) {
		char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);

		puts(text != NULL ? text : "null");
		free(text);
	} else {
		ctl_render(stdout, result);
	}
	json_decref(answer);
	if (fflush(stdout) != 0 || ferror(stdout))
		return CTL_REFUSED;
	return status;
}

/* The configuration that was named, the usual one, or where there is none the defaults. */
static int load_config(const char *config, struct cfg **ret_cfg, char *why, size_t why_size)
{
	const char *file = config != NULL ? config : DEFAULT_CONFIG;

	if (config == NULL && access(file, F_OK) < 0)
		file = NULL;
	return cfg_load(file, ret_cfg, why, why_size);
}

static int doctor(const char *config, const char *root)
{
	const struct ctl_doctor_env env = {.root = root != NULL ? root : "", .sync_us = ctl_doctor_sync_us};
	struct cfg *cfg = NULL;
	unsigned int bad;
	char why[512];
	json_t *list;

	if (load_config(config, &cfg, why, sizeof(why)) < 0)
		return fail(CTL_USAGE, "configuration", why, NULL);
	list = ctl_doctor(cfg, &env);
	cfg_free(cfg);
	if (list == NULL)
		return fail(CTL_REFUSED, "failed", "out of memory", NULL);
	bad = ctl_doctor_print(json_out ? NULL : stdout, list);
	if (json_out) {
		char *text = json_dumps(list, JSON_COMPACT);

		puts(text != NULL ? text : "null");
		free(text);
	}
	json_decref(list);
	return bad > 0 || fflush(stdout) != 0 || ferror(stdout) ? CTL_REFUSED : CTL_OK;
}

static int default_socket(const char *config, char *path, size_t size, char *why, size_t why_size)
{
	struct cfg *cfg = NULL;
	int rc = load_config(config, &cfg, why, why_size);

	if (rc < 0)
		return rc;
	snprintf(path, size, "%s/admin.sock", cfg->paths.run);
	cfg_free(cfg);
	return 0;
}

int main(int argc, char **argv)
{
	const char *config = NULL, *socket_opt = NULL;
	struct ctl_request r = {0};
	char path[4096], why[512] = "";
	int i = 1, rc;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0) {
			json_out = true;
		} else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "-s") == 0) && i + 1 < argc) {
			*(argv[i][1] == 'c' ? &config : &socket_opt) = argv[i + 1];
			i++;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			ctl_usage(stdout);
			return CTL_OK;
		} else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
			puts(RAVELIN_VERSION);
			return CTL_OK;
		} else {
			snprintf(why, sizeof(why), "unknown option %s; try --help", argv[i]);
			return fail(CTL_USAGE, "usage", why, NULL);
		}
	}
	/* -j is also taken behind the command: it is what one adds last */
	if (argc > i + 1 && strcmp(argv[argc - 1], "-j") == 0) {
		json_out = true;
		argc--;
	}
	if (i < argc && strcmp(argv[i], "help") == 0) {
		ctl_usage(stdout);
		return CTL_OK;
	}
	if (ctl_parse(argc - i, argv + i, &r, why, sizeof(why)) < 0) {
		if (!json_out && i == argc)
			ctl_usage(stderr);
		return fail(CTL_USAGE, "usage", why, NULL);
	}
	if (r.help) {
		ctl_command_help(stdout, r.cmd);
		json_decref(r.args);
		return CTL_OK;
	}
	if (r.cmd->special == CTL_FILE) {
		rc = ctl_file(r.cmd->cmd, r.args, json_out);
		json_decref(r.args);
		return rc;
	}
	if (r.cmd->special == CTL_DOCTOR) {
		json_decref(r.args);
		return doctor(config, r.local[0]);
	}
	if (r.cmd->special == CTL_BUNDLE) {
		rc = run_bundle(&r, config);
		json_decref(r.args);
		return rc;
	}
	if (socket_opt != NULL) {
		snprintf(path, sizeof(path), "%s", socket_opt);
	} else if (json_object_get(r.args, "_server") != NULL) { /* another machine's: this one may have no configuration */
		path[0] = '\0';
	} else if (default_socket(config, path, sizeof(path), why, sizeof(why)) < 0) {
		json_decref(r.args);
		return fail(CTL_USAGE, "configuration", why, NULL);
	}
	if (r.cmd->special == CTL_CDR_LIST || r.cmd->special == CTL_CDR_EXPORT) {
		rc = cdr(&r, path);
		json_decref(r.args);
		return rc;
	}
	if (r.cmd->special == CTL_CAPF_REQUESTS || r.cmd->special == CTL_CAPF_CERTS) {
		rc = capf_ca(&r, path);
		json_decref(r.args);
		return rc;
	}
	if (r.cmd->special == CTL_WAVE && r.local[0] != NULL) {
		rc = wave_start(&r, path);
		json_decref(r.args);
		return rc;
	}
	if (r.cmd->special == CTL_IMPORT_PHONES || r.cmd->special == CTL_EXPORT_PHONES) {
		rc = r.cmd->special == CTL_IMPORT_PHONES ? import_phones(&r, path) : export_phones(&r, path);
		json_decref(r.args);
		return rc;
	}
	rc = r.cmd->special == CTL_LEGS || r.cmd->special == CTL_TRACE ? run_follow(&r, path) :
	     r.cmd->special == CTL_CTLOP			       ? run_ctlop(&r, path) :
									 run(&r, path);
	json_decref(r.args);
	return rc;
}
