/* SPDX-License-Identifier: BSD-3-Clause */
#include "proc.h"

#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define START_S 120 /* for daemons to answer */

volatile sig_atomic_t bench_stopped;
static struct sigaction old_int, old_term;

static void on_signal(int sig)
{
	(void)sig;
	bench_stopped = 1;
}

int bench_place_make(struct bench_place *p, const char *name)
{
	const struct sigaction sa = {.sa_handler = on_signal};
	char exe[PATH_MAX / 2] = "";

	strcpy(p->dir, "/tmp/ravelin-bench.XXXXXX");
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0 || mkdtemp(p->dir) == NULL) {
		fprintf(stderr, "ravelin-bench: %s: ", name);
		perror(p->dir);
		return -1;
	}
	snprintf(p->bin, sizeof(p->bin), "%s", dirname(exe));
	bench_stopped = 0;
	sigaction(SIGINT, &sa, &old_int);
	sigaction(SIGTERM, &sa, &old_term);
	return 0;
}

void bench_place_end(struct bench_place *p, const char *name, bool keep)
{
	if (keep)
		fprintf(stderr, "ravelin-bench: %s: logs are in %s\n", name, p->dir);
	else
		bench_rm(p->dir);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
}

char *bench_program(const struct bench_place *p, const char *built, char *ret, size_t size)
{
	const char *base = strrchr(built, '/');

	snprintf(ret, size, "%s/%s", p->bin, built);
	if (access(ret, X_OK) < 0)
		snprintf(ret, size, "%s/%s", p->bin, base + 1);
	return ret;
}

pid_t bench_spawn(const struct bench_place *p, const char *log, char *const argv[], int cpu)
{
	char path[PATH_MAX];
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", p->dir, log);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cpu >= 0) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET((unsigned)cpu, &set);
			(void)sched_setaffinity(0, sizeof(set), &set);
		}
		dup2(fd, 1);
		dup2(fd, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(fd);
	return pid;
}

void bench_rest(double s)
{
	const struct timespec ts = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&ts, NULL);
}

int bench_reap(pid_t *pid, double limit)
{
	double end = bench_now() + limit;
	int status = -1;

	if (*pid <= 0)
		return -1;
	while (waitpid(*pid, &status, WNOHANG) == 0) {
		if (bench_now() > end || bench_stopped) {
			kill(*pid, SIGKILL);
			waitpid(*pid, &status, 0);
			break;
		}
		bench_rest(0.02);
	}
	*pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void bench_end(pid_t *pid)
{
	if (*pid > 0)
		kill(*pid, SIGTERM);
	(void)bench_reap(pid, 10);
}

unsigned long bench_files(unsigned long want)
{
	struct rlimit lim = {0}, up;

	(void)getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur >= want)
		return lim.rlim_cur;
	up = (struct rlimit){want, lim.rlim_max > want ? lim.rlim_max : want}; /* above the hard one: root may */
	if (setrlimit(RLIMIT_NOFILE, &up) != 0) {
		up = (struct rlimit){lim.rlim_max, lim.rlim_max};
		if (setrlimit(RLIMIT_NOFILE, &up) != 0)
			up = lim;
	}
	return up.rlim_cur;
}

void bench_last_words(const struct bench_place *p, const char *log, char *ret, size_t size)
{
	char path[PATH_MAX], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", p->dir, log);
	ret[0] = '\0';
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0')
			snprintf(ret, size, "%s", line);
	}
	if (f != NULL)
		fclose(f);
}

double bench_cpu_of(pid_t pid, bool children)
{
	unsigned long cuser = 0, csys = 0;
	char path[64], line[512], *at;
	struct timespec ts = {0};
	clockid_t clock;
	double own = 0;
	FILE *f;

	/* To the nanosecond; /proc counts ticks of 10 ms. */
	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &ts) == 0)
		own = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	if (!children)
		return own;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return own;
	at = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
	if (at == NULL || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &cuser, &csys) != 2)
		cuser = csys = 0;
	fclose(f);
	return own + (double)(cuser + csys) / (double)sysconf(_SC_CLK_TCK);
}

double bench_resident(pid_t pid)
{
	unsigned long size, pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

int bench_configure(const struct bench_place *p, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/ravelin.yaml", p->dir);
	f = fopen(path, "we");
	if (f == NULL)
		return -1;
	fprintf(f, "paths: {state: %s/state, run: %s/run}\n", p->dir, p->dir);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	return fclose(f) == 0 ? 0 : -1;
}

int bench_appliance(const struct bench_place *p, pid_t *ret_signer, pid_t *ret_cp)
{
	char cfg[PATH_MAX], program[PATH_MAX];
	double limit = bench_now() + START_S;
	json_t *up;

	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", p->dir);
	bench_program(p, "../pki/signer/ravelin-signer", program, sizeof(program));
	*ret_signer = bench_spawn(p, "signer.log", (char *[]){program, (char *)"-c", cfg, NULL}, -1);
	bench_program(p, "../controlplane/ravelin-controlplane", program, sizeof(program));
	*ret_cp = bench_spawn(p, "controlplane.log", (char *[]){program, (char *)"-c", cfg, NULL}, -1);
	while ((up = bench_admin(p, "status", json_object())) == NULL) {
		if (bench_now() > limit || bench_stopped)
			return -1;
		bench_rest(0.05);
	}
	json_decref(up);
	return 0;
}

uint16_t bench_free_port(int type)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		sin.sin_port = 0;
	if (fd >= 0)
		close(fd);
	return ntohs(sin.sin_port);
}

json_t *bench_admin(const struct bench_place *p, const char *cmd, json_t *args)
{
	const struct timeval tv = {.tv_sec = 60};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	json_t *ask = json_pack("{s:s,s:o}", "cmd", cmd, "args", args), *o, *result = NULL;
	char *text = json_dumps(ask, JSON_COMPACT), *buf = malloc(1 << 20);
	size_t len = 0, room = 1 << 20;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/run/admin.sock", p->dir);
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (fd >= 0 && text != NULL && buf != NULL && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    send(fd, text, strlen(text), MSG_NOSIGNAL) > 0 && send(fd, "\n", 1, MSG_NOSIGNAL) > 0) {
		ssize_t n;

		while ((len == 0 || buf[len - 1] != '\n') && (n = recv(fd, buf + len, room - len, 0)) > 0) {
			len += (size_t)n;
			if (len == room) { /* tables of thousands of phones */
				char *more = realloc(buf, room *= 2);

				if (more == NULL)
					break;
				buf = more;
			}
		}
	}
	if (fd >= 0)
		close(fd);
	o = len > 0 ? json_loadb(buf, len, 0, NULL) : NULL;
	if (json_is_true(json_object_get(o, "ok")))
		result = json_incref(json_object_get(o, "result"));
	json_decref(o);
	json_decref(ask);
	free(text);
	free(buf);
	return result;
}
