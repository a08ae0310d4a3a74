/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-phonesim: an SCCP phone, or ten thousand of them. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "cmp.h"
#include "load.h"
#include "phone.h"

static const char help[] =
	"usage: ravelin-phonesim --server IP[:PORT] (--tls --cert FILE --ca FILE | --tcp) --name SEP... [options]\n"
	"       ravelin-phonesim --server IP[:PORT] ... --load N [options]\n"
	"       ravelin-phonesim --compare PLAYED RECORDED [--edge N] [--tail N] [--min-frames N]\n"
	"\n"
	"An SCCP phone: registers, keeps alive, calls and answers, plays and records speech.\n"
	"\n"
	"Connection\n"
	"  --server IP[:PORT]     call manager; port 2443 with --tls, 2000 with --tcp; [IP6]:PORT\n"
	"  --tls, --tcp           SCCP over TLS 1.2 or 1.3, or in clear\n"
	"  --cert FILE            PEM with the phone's private key and certificate\n"
	"  --ca FILE              PEM with the certificates that may issue the server's; --insecure: any\n"
	"  --tls-version 1.2|1.3  only this one\n"
	"  --source IP            own signalling address\n"
	"  --name SEP...          device name, SEP and 12 hex digits; or a voice-mail port's\n"
	"  --protocol N           highest SCCP protocol version, 3 to 22 (17)\n"
	"  --device-type N        number of the phone's model (434: 7942)\n"
	"  --retry MS             come back so long after a loss (1000); 0: do not\n"
	"  --give-up S            end when the server stays away so long (60); 0: never\n"
	"  --timeout S            for connecting and registering (10)\n"
	"Calls\n"
	"  --dial NUMBER          go off hook and key in 0-9 * #, when ready; --enbloc: the number at once\n"
	"  --dial-after MS        wait so long after start-up (0);   --digit-ms MS  between digits (50)\n"
	"  --answer[=S]           answer calls, S seconds after they ring (0); --answer-offhook: by the hook\n"
	"  --duration S           hang up S seconds after the first media; without a call: leave after S seconds\n"
	"  --hangup               hang up when the WAV is over (with --linger MS, 300)\n"
	"  --calls N              leave after N calls (1)\n"
	"  --commands             read commands from stdin: dial N, digit D, answer, softkey N, hangup, quit\n"
	"Media\n"
	"  --play FILE.wav        8 kHz mono: 16-bit PCM or G.711; --loop: again and again (else then silence)\n"
	"  --record FILE.wav      what was received, as G.711; 2nd call: FILE.wav.2\n"
	"  --played FILE          the G.711 octets that were sent, from the first packet on\n"
	"  --media-ip IP          own media address (that of the connection);  --media-ports A-B (16384-32766)\n"
	"  --first-seq N          first RTP sequence number (random);  --rtcp S  seconds between reports (5)\n"
	"  --srtp ENGINE          libsrtp (libsrtp2) or openssl (own code on EVP)\n"
	"Load\n"
	"  --load N               N phones register, stay, and leave; --hold S  seconds after all settled (10)\n"
	"  --first SEP...         name of the first (SEP000000000001);  --rate R  starts per second (500)\n"
	"  --parallel N           at most so many registering at once (200)\n"
	"  --cert-dir DIR         DIR/SEP....pem for each;  or --load-ca FILE  CA key and certificate in PEM\n"
	"  --source-ips A-B       spread over own addresses\n"
	"  --calls-s S            then the 1st calls the 2nd, the 3rd the 4th, ... for S seconds, without media: --number N is the\n"
	"                         1st's, N+1 the 2nd's; --calls-rate R a second (0: all that --calls-parallel P, 50, allow)\n"
	"Output\n"
	"  --report FILE          JSON at the end (- is stdout);  --events[=FILE]  JSON lines as things happen\n"
	"  --dump-keys FILE       SRTP keys, mode 0600;  --keylog FILE  TLS secrets (SSLKEYLOGFILE format)\n"
	"\n"
	"SIGUSR1 hangs up. SIGINT and SIGTERM hang up, unregister and report; twice: exit at once.\n"
	"Exit: 0 done (registered; with --dial or --answer: a call was connected), 1 failed, 2 usage.\n";

enum {
	O_SERVER = 256, O_TLS, O_TCP, O_CERT, O_CA, O_INSECURE, O_TLSVER, O_SOURCE, O_NAME, O_PROTOCOL, O_TYPE,
	O_RETRY, O_GIVE_UP, O_TIMEOUT, O_DIAL, O_ENBLOC, O_DIAL_AFTER, O_DIGIT_MS, O_ANSWER, O_ANSWER_OFFHOOK, O_DURATION,
	O_HANGUP, O_LINGER, O_CALLS, O_COMMANDS, O_PLAY, O_LOOP, O_RECORD, O_PLAYED, O_MEDIA_IP, O_MEDIA_PORTS,
	O_FIRST_SEQ, O_RTCP, O_SRTP, O_LOAD, O_CALLS_S, O_CALLS_RATE, O_CALLS_PARALLEL, O_NUMBER, O_HOLD, O_FIRST, O_RATE, O_PARALLEL, O_CERT_DIR, O_LOAD_CA,
	O_SOURCE_IPS, O_REPORT, O_EVENTS, O_DUMP_KEYS, O_KEYLOG, O_COMPARE, O_EDGE, O_TAIL, O_MIN_FRAMES, O_HELP,
};

static const struct option options[] = {
	{"server", 1, NULL, O_SERVER}, {"tls", 0, NULL, O_TLS}, {"tcp", 0, NULL, O_TCP},
	{"cert", 1, NULL, O_CERT}, {"ca", 1, NULL, O_CA}, {"insecure", 0, NULL, O_INSECURE},
	{"tls-version", 1, NULL, O_TLSVER}, {"source", 1, NULL, O_SOURCE}, {"name", 1, NULL, O_NAME},
	{"protocol", 1, NULL, O_PROTOCOL}, {"device-type", 1, NULL, O_TYPE}, {"retry", 1, NULL, O_RETRY},
	{"give-up", 1, NULL, O_GIVE_UP}, {"timeout", 1, NULL, O_TIMEOUT}, {"dial", 1, NULL, O_DIAL}, {"enbloc", 0, NULL, O_ENBLOC},
	{"dial-after", 1, NULL, O_DIAL_AFTER}, {"digit-ms", 1, NULL, O_DIGIT_MS}, {"answer", 2, NULL, O_ANSWER},
	{"answer-offhook", 0, NULL, O_ANSWER_OFFHOOK}, {"duration", 1, NULL, O_DURATION},
	{"hangup", 0, NULL, O_HANGUP}, {"linger", 1, NULL, O_LINGER}, {"calls", 1, NULL, O_CALLS},
	{"commands", 0, NULL, O_COMMANDS}, {"play", 1, NULL, O_PLAY}, {"loop", 0, NULL, O_LOOP},
	{"record", 1, NULL, O_RECORD}, {"played", 1, NULL, O_PLAYED}, {"media-ip", 1, NULL, O_MEDIA_IP},
	{"media-ports", 1, NULL, O_MEDIA_PORTS}, {"first-seq", 1, NULL, O_FIRST_SEQ}, {"rtcp", 1, NULL, O_RTCP},
	{"srtp", 1, NULL, O_SRTP}, {"load", 1, NULL, O_LOAD}, {"calls-s", 1, NULL, O_CALLS_S},
	{"calls-rate", 1, NULL, O_CALLS_RATE}, {"calls-parallel", 1, NULL, O_CALLS_PARALLEL}, {"number", 1, NULL, O_NUMBER},
	 {"hold", 1, NULL, O_HOLD},
	{"first", 1, NULL, O_FIRST}, {"rate", 1, NULL, O_RATE}, {"parallel", 1, NULL, O_PARALLEL},
	{"cert-dir", 1, NULL, O_CERT_DIR}, {"load-ca", 1, NULL, O_LOAD_CA},
	{"source-ips", 1, NULL, O_SOURCE_IPS}, {"report", 1, NULL, O_REPORT}, {"events", 2, NULL, O_EVENTS},
	{"dump-keys", 1, NULL, O_DUMP_KEYS}, {"keylog", 1, NULL, O_KEYLOG}, {"compare", 1, NULL, O_COMPARE},
	{"edge", 1, NULL, O_EDGE}, {"tail", 1, NULL, O_TAIL}, {"min-frames", 1, NULL, O_MIN_FRAMES},
	{"help", 0, NULL, O_HELP}, {NULL, 0, NULL, 0},
};

struct app {
	struct sim_phone_opts phone;
	struct sim_load_opts load;
	struct sim_media_cfg *media;
	const char *server, *name, *cert, *ca, *keylog, *events, *dump_keys, *report, *compare, *tls_version;
	bool tls, tcp, insecure, commands;
	unsigned int calls;
	size_t edge, tail, min_frames;

	struct sim_phone *one;
	struct event *timer, *dial_timer, *sigint, *sigterm, *sigusr1, *input;
	unsigned int calls_done;
	bool connected, failed, leaving, leave_after_call;
};

static _Noreturn void usage(const char *what, const char *arg)
{
	fprintf(stderr, "ravelin-phonesim: %s%s%s; try --help\n", what, arg != NULL ? ": " : "",
		arg != NULL ? arg : "");
	exit(2);
}

static double number(const char *name, const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= min && v <= max)) {
		fprintf(stderr, "ravelin-phonesim: --%s wants a number from %g to %g, not %s\n", name, min, max,
			text);
		exit(2);
	}
	return v;
}

static void address(const char *text, struct sim_addr *ret)
{
	if (sim_addr_parse(text, 0, ret) < 0)
		usage("not an address", text);
}

static bool is_name(const char *text)
{
	return strlen(text) == 15 && strncmp(text, "SEP", 3) == 0 &&
	       strspn(text + 3, "0123456789ABCDEF") == 12;
}

static void range(const char *text, char *first, size_t room, const char **second)
{
	const char *dash = strchr(text, '-');

	if (dash == NULL || (size_t)(dash - text) >= room)
		usage("not a range A-B", text);
	memcpy(first, text, (size_t)(dash - text));
	first[dash - text] = '\0';
	*second = dash + 1;
}

static void option(struct app *a, int o, const char *name, const char *v)
{
	struct sim_phone_opts *p = &a->phone;
	struct sim_load_opts *l = &a->load;
	char first[64];
	const char *second;

	switch (o) {
	case O_SERVER: a->server = v; break;
	case O_TLS: a->tls = true; break;
	case O_TCP: a->tcp = true; break;
	case O_CERT: a->cert = v; break;
	case O_CA: a->ca = v; break;
	case O_INSECURE: a->insecure = true; break;
	case O_TLSVER: a->tls_version = v; break;
	case O_SOURCE: address(v, &p->source); break;
	case O_NAME: a->name = v; break;
	case O_PROTOCOL: p->protocol = (uint8_t)number(name, v, 3, 22); break;
	case O_TYPE: p->device_type = (uint32_t)number(name, v, 1, 1e6); break;
	case O_RETRY: p->retry_ms = (unsigned int)number(name, v, 0, 3600000); break;
	case O_GIVE_UP: p->give_up_s = (unsigned int)number(name, v, 0, 86400); break;
	case O_TIMEOUT: p->timeout_s = (unsigned int)number(name, v, 1, 3600); break;
	case O_DIAL: p->dial = v; break;
	case O_ENBLOC: p->enbloc = true; break;
	case O_DIAL_AFTER: p->dial_after_ms = (unsigned int)number(name, v, 0, 3600000); break;
	case O_DIGIT_MS: p->digit_ms = (unsigned int)number(name, v, 0, 60000); break;
	case O_ANSWER:
		p->answer = true;
		p->answer_after_ms = v == NULL ? 0 : (unsigned int)(number(name, v, 0, 3600) * 1000);
		break;
	case O_ANSWER_OFFHOOK: p->answer = p->answer_offhook = true; break;
	case O_DURATION: p->duration_ms = (unsigned int)(number(name, v, 0.1, 86400) * 1000); break;
	case O_HANGUP: p->hangup_at_end = true; break;
	case O_LINGER: p->linger_ms = (unsigned int)number(name, v, 0, 60000); break;
	case O_CALLS: a->calls = (unsigned int)number(name, v, 1, 1e6); break;
	case O_COMMANDS: a->commands = true; break;
	case O_PLAY: a->media->play = v; break;
	case O_LOOP: a->media->loop = true; break;
	case O_RECORD: a->media->record = v; break;
	case O_PLAYED: a->media->played = v; break;
	case O_MEDIA_IP: address(v, &a->media->local); break;
	case O_MEDIA_PORTS:
		range(v, first, sizeof(first), &second);
		a->media->port_min = (uint16_t)number(name, first, 1024, 65534);
		a->media->port_max = (uint16_t)number(name, second, 1024, 65534);
		break;
	case O_FIRST_SEQ: a->media->first_seq = (int)number(name, v, 0, 65535); break;
	case O_RTCP: a->media->rtcp_interval_s = (uint32_t)number(name, v, 1, 3600); break;
	case O_SRTP:
		if (strcmp(v, "libsrtp") != 0 && strcmp(v, "openssl") != 0)
			usage("--srtp knows libsrtp and openssl, not", v);
		a->media->engine = v[0] == 'o' ? SIM_SRTP_OPENSSL : SIM_SRTP_LIBSRTP;
		break;
	case O_LOAD: l->phones = (unsigned int)number(name, v, 1, 200000); break;
	case O_CALLS_S: l->calls_s = number(name, v, 0.1, 86400); break;
	case O_CALLS_RATE: l->calls_rate = number(name, v, 0, 1e6); break;
	case O_CALLS_PARALLEL: l->calls_parallel = (unsigned int)number(name, v, 1, 1e5); break;
	case O_NUMBER: l->number = (unsigned long long)number(name, v, 1, 1e15); break;
	case O_HOLD: l->hold_s = number(name, v, 0, 86400); break;
	case O_FIRST: l->first = v; break;
	case O_RATE: l->rate = number(name, v, 0.1, 1e6); break;
	case O_PARALLEL: l->parallel = (unsigned int)number(name, v, 1, 1e6); break;
	case O_CERT_DIR: l->cert_dir = v; break;
	case O_LOAD_CA: l->ca = v; break;
	case O_SOURCE_IPS:
		range(v, first, sizeof(first), &second);
		address(first, &l->source_first);
		address(second, &l->source_last);
		break;
	case O_REPORT: a->report = v; break;
	case O_EVENTS: a->events = v != NULL ? v : "-"; break;
	case O_DUMP_KEYS: a->dump_keys = v; break;
	case O_KEYLOG: a->keylog = v; break;
	case O_COMPARE: a->compare = v; break;
	case O_EDGE: a->edge = (size_t)number(name, v, 0, 1e9); break;
	case O_TAIL: a->tail = (size_t)number(name, v, 0, 1e9); break;
	case O_MIN_FRAMES: a->min_frames = (size_t)number(name, v, 0, 1e9); break;
	case O_HELP:
		fputs(help, stdout);
		exit(0);
	default:
		exit(2); /* getopt said what is wrong */
	}
}

static void leave(struct app *a)
{
	if (a->leaving) {
		event_base_loopbreak(a->phone.base);
		return;
	}
	a->leaving = true;
	sim_phone_leave(a->one);
}

static void on_ready(void *ctx, struct sim_phone *p)
{
	struct app *a = ctx;
	struct timeval tv = {.tv_sec = a->phone.dial_after_ms / 1000,
			     .tv_usec = (a->phone.dial_after_ms % 1000) * 1000};
	struct timeval stay = {.tv_sec = a->phone.duration_ms / 1000,
			       .tv_usec = (a->phone.duration_ms % 1000) * 1000};

	(void)p;
	if (a->phone.dial != NULL && a->calls_done == 0 && !sim_phone_in_call(a->one))
		event_add(a->dial_timer, &tv);
	if (a->phone.dial == NULL && !a->phone.answer && !a->commands && a->phone.duration_ms != 0)
		event_add(a->timer, &stay);
}

static void on_dial(evutil_socket_t fd, short what, void *arg)
{
	struct app *a = arg;

	(void)fd;
	(void)what;
	if (a->leaving)
		return;
	sim_phone_dial(a->one, a->phone.dial);
}

static void on_failed(void *ctx, struct sim_phone *p, const char *reason)
{
	struct app *a = ctx;

	if (sim_phone_state(p) == SIM_PHONE_WAITING)
		return; /* it comes back by itself */
	fprintf(stderr, "ravelin-phonesim: %s: %s\n", sim_phone_name(p), reason);
	a->failed = true;
	event_base_loopexit(a->phone.base, NULL);
}

static void on_connected(void *ctx, struct sim_phone *p)
{
	struct app *a = ctx;

	(void)p;
	a->connected = true;
}

static void on_call_ended(void *ctx, struct sim_phone *p)
{
	struct app *a = ctx;
	struct timeval tv = {.tv_sec = a->phone.dial_after_ms / 1000,
			     .tv_usec = (a->phone.dial_after_ms % 1000) * 1000 + 100000};

	(void)p;
	a->calls_done++;
	if (a->leaving)
		return;
	if (a->leave_after_call || (!a->commands && a->calls_done >= a->calls)) {
		struct timeval soon = {.tv_usec = 200000}; /* the server's last messages about the call */

		event_add(a->timer, &soon);
	} else if (a->phone.dial != NULL && !a->commands) {
		event_add(a->dial_timer, &tv);
	}
}

static void on_left(void *ctx, struct sim_phone *p)
{
	struct app *a = ctx;

	(void)p;
	event_base_loopexit(a->phone.base, NULL);
}

static const struct sim_phone_ops one_ops = {
	.ready = on_ready,
	.failed = on_failed,
	.connected = on_connected,
	.call_ended = on_call_ended,
	.left = on_left,
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct app *a = arg;

	(void)what;
	if (sig == SIGUSR1) {
		sim_phone_hangup(a->one);
	} else if (!a->leave_after_call && sim_phone_in_call(a->one) && sim_phone_hangup(a->one) == 0) {
		a->leave_after_call = true; /* the call's end leads on */
	} else {
		leave(a);
	}
}

static void command(struct app *a, char *line)
{
	int rc = 0;

	line[strcspn(line, "\r")] = '\0';
	if (strncmp(line, "dial ", 5) == 0) {
		static char dialled[48];

		snprintf(dialled, sizeof(dialled), "%.47s", line + 5);
		rc = sim_phone_dial(a->one, dialled);
	} else if (strncmp(line, "digit ", 6) == 0) {
		rc = sim_phone_digit(a->one, line[6]);
	} else if (strcmp(line, "answer") == 0) {
		rc = sim_phone_answer(a->one);
	} else if (strncmp(line, "softkey ", 8) == 0) {
		rc = sim_phone_softkey(a->one, (uint32_t)strtoul(line + 8, NULL, 10));
	} else if (strcmp(line, "hangup") == 0) {
		rc = sim_phone_hangup(a->one);
	} else if (strcmp(line, "quit") == 0) {
		leave(a);
	} else {
		rc = -EINVAL;
	}
	if (rc < 0)
		sim_event(sim_phone_name(a->one), "command-refused", "{s:s, s:s}", "command", line, "error",
			  strerror(-rc));
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
	static char buf[1024];
	static size_t len;
	struct app *a = arg;
	ssize_t n = read(fd, buf + len, sizeof(buf) - 1 - len);
	char *nl;

	(void)what;
	if (n <= 0) {
		event_del(a->input);
		leave(a);
		return;
	}
	len += (size_t)n;
	buf[len] = '\0';
	while ((nl = memchr(buf, '\n', len)) != NULL) {
		*nl = '\0';
		command(a, buf);
		len -= (size_t)(nl + 1 - buf);
		memmove(buf, nl + 1, len);
	}
	if (len == sizeof(buf) - 1)
		len = 0; /* no command is that long */
}

static int run_one(struct app *a, X509 *cert, EVP_PKEY *key)
{
	struct event_base *base = a->phone.base;
	json_t *report;
	bool good;
	int rc = 1;

	a->one = sim_phone_create(&a->phone, a->name, cert, key, &one_ops, a);
	a->timer = event_new(base, -1, 0, on_timer, a);
	a->dial_timer = event_new(base, -1, 0, on_dial, a);
	a->sigint = evsignal_new(base, SIGINT, on_signal, a);
	a->sigterm = evsignal_new(base, SIGTERM, on_signal, a);
	a->sigusr1 = evsignal_new(base, SIGUSR1, on_signal, a);
	a->input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, a);
	if (a->one == NULL || a->timer == NULL || a->dial_timer == NULL || a->sigint == NULL ||
	    a->sigterm == NULL || a->sigusr1 == NULL || a->input == NULL)
		return 2;
	evsignal_add(a->sigint, NULL);
	evsignal_add(a->sigterm, NULL);
	evsignal_add(a->sigusr1, NULL);
	if (a->commands)
		event_add(a->input, NULL);
	sim_phone_start(a->one);
	event_base_dispatch(base);
	sim_phone_save(a->one);
	report = sim_phone_report(a->one);
	good = !a->failed && json_is_true(json_object_get(report, "registered")) &&
	       (a->connected || (a->phone.dial == NULL && !a->phone.answer));
	json_object_set_new(report, "result", json_string(good ? "ok" : "failed"));
	if (sim_report_write(a->report, report) < 0)
		fprintf(stderr, "ravelin-phonesim: cannot write %s\n", a->report);
	else if (good)
		rc = 0;
	json_decref(report);
	sim_phone_destroy(a->one);
	event_free(a->timer);
	event_free(a->dial_timer);
	event_free(a->sigint);
	event_free(a->sigterm);
	event_free(a->sigusr1);
	event_free(a->input);
	return rc;
}

/* Wrong files are found now, not in the middle of a call. */
static void check(struct app *a)
{
	uint8_t *wav;
	const char *why;
	size_t len;

	if (a->server == NULL)
		usage("--server is missing", NULL);
	if (a->tls == a->tcp)
		usage("one of --tls and --tcp", NULL);
	if (sim_addr_parse(a->server, a->tls ? 2443 : 2000, &a->phone.server) < 0)
		usage("not an address", a->server);
	if (a->load.phones == 0 && (a->name == NULL || (!is_name(a->name) && (strlen(a->name) > 15 || strstr(a->name, "-VI") == NULL))))
		usage("--name wants SEP and 12 hex digits (upper case), or a voice-mail port's name (CiscoUM-VI1)", a->name);
	if (!is_name(a->load.first))
		usage("--first wants SEP and 12 hex digits (upper case)", a->load.first);
	if (a->tls && a->ca == NULL && !a->insecure)
		usage("--tls needs --ca (or --insecure)", NULL);
	if (a->phone.dial != NULL && (a->phone.dial[0] == '\0' ||
				      a->phone.dial[strspn(a->phone.dial, "0123456789*#")] != '\0'))
		usage("--dial takes 0-9 * #, not", a->phone.dial);
	if (a->media->play != NULL) {
		if (sim_wav_load(a->media->play, SIM_PT_ULAW, &wav, &len, &why) < 0) {
			fprintf(stderr, "ravelin-phonesim: %s: %s\n", a->media->play, why);
			exit(2);
		}
		free(wav);
	}
	if (a->media->port_max < a->media->port_min)
		usage("--media-ports is empty", NULL);
}

int main(int argc, char **argv)
{
	struct app a = {
		.phone = {.protocol = 17, .device_type = 434, .load = "SCCP42.9-4-2SR3-1S", .timeout_s = 10,
			  .retry_ms = 1000, .give_up_s = 60, .digit_ms = 50, .linger_ms = 300, .media = true},
		.load = {.rate = 500, .parallel = 200, .hold_s = 10, .first = "SEP000000000001"},
		.calls = 1, .edge = 25, .tail = 25, .min_frames = 1,
	};
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	char err[256];
	int o, idx = 0, rc;

	a.media = &a.phone.media_cfg;
	a.media->port_min = 16384;
	a.media->port_max = 32766;
	a.media->first_seq = -1;
	while ((o = getopt_long(argc, argv, "", options, &idx)) != -1)
		option(&a, o, options[idx].name, optarg);
	if (a.compare != NULL) {
		if (optind != argc - 1)
			usage("--compare takes two files: PLAYED RECORDED", NULL);
		return sim_cmp_main(a.compare, argv[optind], a.edge, a.tail, a.min_frames);
	}
	if (optind != argc)
		usage("what is", argv[optind]);
	check(&a);
	if (a.phone.protocol < 17)
		a.phone.load = NULL;
	signal(SIGPIPE, SIG_IGN);
	if (sim_events_open(a.events) < 0)
		usage("cannot write", a.events);
	if (a.dump_keys != NULL && sim_keys_open(a.dump_keys) < 0)
		usage("cannot write", a.dump_keys);
	a.phone.base = event_base_new();
	if (a.phone.base == NULL)
		return 2;
	if (a.tls) {
		a.phone.tls = sim_tls_create(a.ca, a.keylog, err, sizeof(err));
		if (a.phone.tls == NULL)
			usage(err, NULL);
		if (a.tls_version != NULL) {
			int v = strcmp(a.tls_version, "1.2") == 0   ? TLS1_2_VERSION
				: strcmp(a.tls_version, "1.3") == 0 ? TLS1_3_VERSION
								    : 0;

			if (v == 0)
				usage("--tls-version knows 1.2 and 1.3, not", a.tls_version);
			SSL_CTX_set_min_proto_version(a.phone.tls, v);
			SSL_CTX_set_max_proto_version(a.phone.tls, v);
		}
		if (a.cert != NULL) {
			rc = sim_pem_load(a.cert, &key, &cert);
			if (rc < 0)
				usage(rc == -EBADMSG ? "no matching key and certificate in" : "cannot read",
				      a.cert);
		}
	}
	if (a.load.phones > 0) {
		a.phone.media = false;
		a.phone.pretend = a.phone.enbloc = a.phone.answer = a.load.calls_s > 0;
		a.load.report = a.report;
		rc = sim_load_run(&a.phone, &a.load);
	} else {
		rc = run_one(&a, cert, key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	SSL_CTX_free(a.phone.tls);
	event_base_free(a.phone.base);
	return rc;
}
