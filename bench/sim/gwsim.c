/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-gwsim: an MGCP voice gateway with its own ESP, or a farm of them. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "gw.h"

static const char help[] =
	"usage: ravelin-gwsim --listen IP[:2427] --agent IP:PORT --name DOMAIN --endpoint NAME... [options]\n"
	"\n"
	"An MGCP gateway (RFC 3435): RSIP at start, executes CRCX MDCX DLCX RQNT AUEP AUCX EPCF at most once,\n"
	"rings, answers, plays and records G.711 in RTP or SRTP (keys by a=crypto or a=X-crypto).\n"
	"\n"
	"  --listen IP[:PORT]     own MGCP address (port 2427)\n"
	"  --agent IP:PORT        call agent (also --ca-agent)\n"
	"  --name DOMAIN          behind the @ of its endpoints\n"
	"  --endpoint NAME        aaln/S1/SU0/0; repeat for more. cnf/1, ...: a conference, whose connections of mode confrnce\n"
	"                         hear the sum of all others\n"
	"  --mgcp-version V       0.1 or 1.0, of own commands (1.0)\n"
	"  --keepalive S          NTFY with X: 0 so often (off)\n"
	"Calls\n"
	"  --answer-after S       go off hook S seconds after it begins to ring (1); --no-answer\n"
	"  --dial DIGITS          the first endpoint goes off hook when it is watched, and dials; --duration counts from the answer\n"
	"  --duration S           on hook S seconds after the answer;  --hangup  on hook when the WAV is over\n"
	"  --early-media          analog endpoints (aaln/...) send before they are off hook\n"
	"  --linger MS            between the end of the WAV and on hook (300)\n"
	"  --calls N              end after N calls (0: on a signal)\n"
	"Media\n"
	"  --play FILE.wav        8 kHz mono: 16-bit PCM or G.711; --loop: again and again (else then silence)\n"
	"  --record FILE.wav      what was received, as G.711; 2nd connection: FILE.wav.2\n"
	"  --played FILE          the G.711 octets that were sent, from the first packet on\n"
	"  --media-ip IP          (that of --listen);  --media-ports A-B (16384-32766);  --rtcp S (5)\n"
	"  --first-seq N          first RTP sequence number (random)\n"
	"  --offer SUITE          SRTP in own description when CRCX had none: AEAD_AES_256_GCM, ...\n"
	"  --crypto rfc|x         form of that offer; answers use the form of the other side\n"
	"  --srtp ENGINE          libsrtp (libsrtp2) or openssl (own code on EVP)\n"
	"ESP: once an SA is given, nothing is sent or accepted in clear\n"
	"  --sa-in SPEC, --sa-out SPEC    spi=0x1000,alg=aes-gcm-128,key=HEX[,auth=HEX][,mode=transport|tunnel]\n"
	"                         [,encap=4500][,esn][,seq=N][,peer=IP]; alg aes-gcm-128, -192, -256 (key and salt; ICV of 16 octets, or\n"
	"                         with -12, -8 behind it), aes-cbc-128, aes-ctr-128 (and -192, -256), 3des-cbc, null, each with\n"
	"                         -sha1, -sha256, -sha384, -sha512 (key, CTR's nonce, auth). Protocol 50 wants CAP_NET_RAW.\n"
	"  --sa-file FILE         lines \"in SPEC\", \"out SPEC\", or with \"gw=DOMAIN \" before them; SIGHUP reads\n"
	"                         it again and adds what is new (the last outbound one is used)\n"
	"Load and faults\n"
	"  --farm N               N gateways on N addresses from --listen on; %d in --name is 1 to N\n"
	"  --number N             %d begins at N instead of 1: a farm of several processes\n"
	"  --start-over S         their first RSIPs spread over so long (0)\n"
	"  --lose N               ignore each N-th command, so that it is repeated\n"
	"  --piggyback            messages of one moment go in one datagram;  --provisional MS  CRCX, MDCX and RQNT are answered\n"
	"                         100, and so long after it finally, until that is acknowledged\n"
	"  --control FIFO         lines: \"rsip METHOD [DELAY [ENDPOINT]]\", \"notify ENDPOINT EVENT\", \"keepalive\", \"again\" (its\n"
	"                         last command, octet for octet), \"fail VERB CODE TIMES\"\n"
	"Output\n"
	"  --report FILE          JSON at the end (- is stdout);  --events[=FILE]  JSON lines as things happen\n"
	"  --dump-keys FILE       SRTP and ESP keys, mode 0600\n"
	"\n"
	"SIGUSR1 goes on hook, SIGUSR2 answers. SIGINT and SIGTERM end it (RSIP forced, recordings, report).\n"
	"Exit: 0 RSIP was answered, 1 it was not or files failed, 2 usage.\n";

enum {
	O_LISTEN = 256, O_AGENT, O_NAME, O_ENDPOINT, O_VERSION, O_KEEPALIVE, O_ANSWER_AFTER, O_NO_ANSWER, O_DIAL, O_DURATION,
	O_HANGUP, O_EARLY, O_LINGER, O_CALLS, O_PLAY, O_LOOP, O_RECORD, O_PLAYED, O_MEDIA_IP, O_MEDIA_PORTS, O_RTCP,
	O_FIRST_SEQ, O_OFFER, O_CRYPTO, O_SRTP, O_SA_IN, O_SA_OUT, O_SA_FILE, O_FARM, O_NUMBER, O_START_OVER, O_LOSE, O_REPORT, O_EVENTS,
	O_DUMP_KEYS, O_PIGGYBACK, O_PROVISIONAL, O_CONTROL, O_HELP,
};

static const struct option options[] = {
	{"listen", 1, NULL, O_LISTEN}, {"agent", 1, NULL, O_AGENT}, {"ca-agent", 1, NULL, O_AGENT},
	{"name", 1, NULL, O_NAME}, {"endpoint", 1, NULL, O_ENDPOINT}, {"mgcp-version", 1, NULL, O_VERSION},
	{"keepalive", 1, NULL, O_KEEPALIVE}, {"answer-after", 1, NULL, O_ANSWER_AFTER},
	{"no-answer", 0, NULL, O_NO_ANSWER}, {"dial", 1, NULL, O_DIAL}, {"duration", 1, NULL, O_DURATION}, {"hangup", 0, NULL, O_HANGUP},
	{"early-media", 0, NULL, O_EARLY}, {"linger", 1, NULL, O_LINGER}, {"calls", 1, NULL, O_CALLS}, {"play", 1, NULL, O_PLAY},
	{"loop", 0, NULL, O_LOOP}, {"record", 1, NULL, O_RECORD}, {"played", 1, NULL, O_PLAYED},
	{"media-ip", 1, NULL, O_MEDIA_IP}, {"media-ports", 1, NULL, O_MEDIA_PORTS}, {"rtcp", 1, NULL, O_RTCP},
	{"first-seq", 1, NULL, O_FIRST_SEQ}, {"offer", 1, NULL, O_OFFER}, {"crypto", 1, NULL, O_CRYPTO},
	{"srtp", 1, NULL, O_SRTP}, {"sa-in", 1, NULL, O_SA_IN}, {"sa-out", 1, NULL, O_SA_OUT},
	{"sa-file", 1, NULL, O_SA_FILE}, {"farm", 1, NULL, O_FARM}, {"number", 1, NULL, O_NUMBER}, {"start-over", 1, NULL, O_START_OVER}, {"lose", 1, NULL, O_LOSE},
	{"report", 1, NULL, O_REPORT}, {"events", 2, NULL, O_EVENTS}, {"dump-keys", 1, NULL, O_DUMP_KEYS},
	{"piggyback", 0, NULL, O_PIGGYBACK}, {"provisional", 1, NULL, O_PROVISIONAL}, {"control", 1, NULL, O_CONTROL},
	{"help", 0, NULL, O_HELP}, {NULL, 0, NULL, 0},
};

struct app {
	struct sim_gw_opts gw;
	struct sim_wire_cfg wire; /* of the first gateway: SAs from the command line */
	const char *name, *report, *events, *dump_keys, *sa_file, *control;
	unsigned int farm, calls, calls_done, registered, start_over_ms, number; /* number: of the first */
	struct sim_gw **gws;
	struct event *end_timer, *sig[5], *control_ev;
	int control_fd;
	char line[256]; /* of the FIFO, as far as it has come */
	size_t line_len;
	bool ending;
};

static _Noreturn void usage(const char *what, const char *arg)
{
	fprintf(stderr, "ravelin-gwsim: %s%s%s; try --help\n", what, arg != NULL ? ": " : "", arg != NULL ? arg : "");
	exit(2);
}

static double number(const char *name, const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= min && v <= max)) {
		fprintf(stderr, "ravelin-gwsim: --%s wants a number from %g to %g, not %s\n", name, min, max, text);
		exit(2);
	}
	return v;
}

static void add_sa(struct app *a, const char *spec, bool inbound)
{
	struct sim_sa *list = inbound ? a->wire.in : a->wire.out;
	size_t *cnt = inbound ? &a->wire.in_cnt : &a->wire.out_cnt;
	const char *why = "";

	if (*cnt == SIM_WIRE_SAS)
		usage("too many SAs", NULL);
	if (sim_sa_parse(spec, &list[*cnt], &why) < 0)
		usage(inbound ? "--sa-in" : "--sa-out", why);
	(*cnt)++;
}

static void option(struct app *a, int o, const char *name, const char *v)
{
	struct sim_media_cfg *m = &a->gw.media;
	unsigned int lo, hi;

	switch (o) {
	case O_LISTEN:
		if (sim_addr_parse(v, 2427, &a->wire.local) < 0)
			usage("not an address", v);
		break;
	case O_AGENT:
		if (sim_addr_parse(v, 2427, &a->wire.agent) < 0)
			usage("not an address", v);
		break;
	case O_NAME: a->name = v; break;
	case O_ENDPOINT:
		if (a->gw.endpoint_cnt == SIM_GW_ENDPOINTS || strchr(v, '@') != NULL || strlen(v) > 63)
			usage("too many endpoints, or not the local part of a name", v);
		a->gw.endpoints[a->gw.endpoint_cnt++] = v;
		break;
	case O_VERSION:
		if (strcmp(v, "0.1") != 0 && strcmp(v, "1.0") != 0)
			usage("--mgcp-version knows 0.1 and 1.0, not", v);
		a->gw.version = v;
		break;
	case O_KEEPALIVE: a->gw.keepalive_s = (unsigned int)number(name, v, 1, 3600); break;
	case O_ANSWER_AFTER: a->gw.answer_after_ms = (int)(number(name, v, 0, 3600) * 1000); break;
	case O_NO_ANSWER: a->gw.answer_after_ms = -1; break;
	case O_DURATION: a->gw.duration_ms = (unsigned int)(number(name, v, 0.1, 86400) * 1000); break;
	case O_HANGUP: a->gw.hangup_at_end = true; break;
	case O_EARLY: a->gw.early_media = true; break;
	case O_LINGER: a->gw.linger_ms = (unsigned int)number(name, v, 0, 60000); break;
	case O_CALLS: a->calls = (unsigned int)number(name, v, 0, 1e9); break;
	case O_PLAY: m->play = v; break;
	case O_LOOP: m->loop = true; break;
	case O_RECORD: m->record = v; break;
	case O_PLAYED: m->played = v; break;
	case O_MEDIA_IP:
		if (sim_addr_parse(v, 0, &m->local) < 0)
			usage("not an address", v);
		break;
	case O_MEDIA_PORTS:
		if (sscanf(v, "%u-%u", &lo, &hi) != 2 || lo < 1024 || hi > 65534 || lo > hi)
			usage("--media-ports wants A-B, not", v);
		m->port_min = (uint16_t)lo;
		m->port_max = (uint16_t)hi;
		break;
	case O_RTCP: m->rtcp_interval_s = (uint32_t)number(name, v, 1, 3600); break;
	case O_FIRST_SEQ: m->first_seq = (int)number(name, v, 0, 65535); break;
	case O_OFFER:
		a->gw.offer = sim_srtp_alg_of(v, strlen(v));
		if (a->gw.offer == SIM_SRTP_NONE)
			usage("--offer: unknown suite", v);
		break;
	case O_CRYPTO:
		if (strcmp(v, "rfc") != 0 && strcmp(v, "x") != 0)
			usage("--crypto knows rfc and x, not", v);
		a->gw.form = v[0] == 'x' ? SIM_CRYPTO_X : SIM_CRYPTO_RFC;
		break;
	case O_SRTP:
		if (strcmp(v, "libsrtp") != 0 && strcmp(v, "openssl") != 0)
			usage("--srtp knows libsrtp and openssl, not", v);
		m->engine = v[0] == 'o' ? SIM_SRTP_OPENSSL : SIM_SRTP_LIBSRTP;
		break;
	case O_SA_IN: add_sa(a, v, true); break;
	case O_SA_OUT: add_sa(a, v, false); break;
	case O_SA_FILE: a->sa_file = v; break;
	case O_FARM: a->farm = (unsigned int)number(name, v, 1, 16384); break;
	case O_NUMBER: a->number = (unsigned int)number(name, v, 1, 1e6); break;
	case O_START_OVER: a->start_over_ms = (unsigned int)(number(name, v, 0, 600) * 1000); break;
	case O_LOSE: a->gw.lose_every = (unsigned int)number(name, v, 2, 1e6); break;
	case O_PIGGYBACK: a->gw.piggyback = true; break;
	case O_PROVISIONAL: a->gw.provisional_ms = (unsigned int)number(name, v, 1, 60000); break;
	case O_CONTROL: a->control = v; break;
	case O_REPORT: a->report = v; break;
	case O_DIAL: a->gw.dial = v; break;
	case O_EVENTS: a->events = v != NULL ? v : "-"; break;
	case O_DUMP_KEYS: a->dump_keys = v; break;
	case O_HELP:
		fputs(help, stdout);
		exit(0);
	default:
		exit(2); /* getopt said what is wrong */
	}
}

/* "%d" in a name becomes the gateway's number. */
static void name_of(const char *pattern, unsigned int i, char *ret, size_t room)
{
	const char *at = strstr(pattern, "%d");

	if (at == NULL)
		snprintf(ret, room, "%s", pattern);
	else
		snprintf(ret, room, "%.*s%u%s", (int)(at - pattern), pattern, i, at + 2);
}

static void dump_sa(const char *who, const struct sim_sa *sa, bool inbound)
{
	sim_key(who, inbound ? "esp-in" : "esp-out", sa->alg, sa->key, sa->key_len, sa->salt, sa->salt_len);
	if (sa->auth_len > 0)
		sim_key(who, inbound ? "esp-in-auth" : "esp-out-auth", sa->alg, sa->auth, sa->auth_len, sa->auth, 0);
}

/* --- the file of SAs: read once for all gateways, and found by name in it --- */

struct sa_line {
	const char *gw, *spec; /* gw "": for all */
	size_t line_no;
	bool inbound;
};

struct sa_lines {
	char *text;
	size_t len, n;
	struct sa_line *line; /* by gateway, in the order of the file */
};

static int by_gateway(const void *a, const void *b)
{
	const struct sa_line *x = a, *y = b;
	int by = strcmp(x->gw, y->gw);

	return by != 0 ? by : (x->line_no > y->line_no) - (x->line_no < y->line_no);
}

static void sa_lines_free(struct sa_lines *f)
{
	if (f->text != NULL)
		OPENSSL_cleanse(f->text, f->len);
	free(f->text);
	free(f->line);
	*f = (struct sa_lines){0};
}

/* 0, or -1 after saying what is wrong. */
static int sa_lines_read(const struct app *a, struct sa_lines *ret)
{
	size_t line_no = 0, room = 1;
	char *save = NULL;

	ret->text = (char *)sim_read_file(a->sa_file, 64U << 20, &ret->len);
	for (size_t i = 0; ret->text != NULL && i < ret->len; i++)
		room += ret->text[i] == '\n';
	ret->line = ret->text != NULL ? calloc(room, sizeof(*ret->line)) : NULL;
	if (ret->line == NULL) {
		fprintf(stderr, "ravelin-gwsim: %s: %s\n", a->sa_file, strerror(errno));
		return -1;
	}
	for (char *line = strtok_r(ret->text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		struct sa_line *l = &ret->line[ret->n];

		line_no++;
		line += strspn(line, " \t");
		if (*line == '\0' || *line == '#')
			continue;
		*l = (struct sa_line){.gw = "", .line_no = line_no};
		if (strncmp(line, "gw=", 3) == 0) {
			l->gw = line + 3;
			line += 3 + strcspn(line + 3, " \t");
			if (*line != '\0')
				*line++ = '\0';
			line += strspn(line, " \t");
		}
		l->inbound = strncmp(line, "in ", 3) == 0;
		if (!l->inbound && strncmp(line, "out ", 4) != 0) {
			fprintf(stderr, "ravelin-gwsim: %s, line %zu: it wants \"in SPEC\" or \"out SPEC\"\n", a->sa_file, line_no);
			return -1;
		}
		l->spec = line + (l->inbound ? 3 : 4);
		ret->n++;
	}
	qsort(ret->line, ret->n, sizeof(*ret->line), by_gateway);
	return 0;
}

/* One SA for one gateway: into cfg before it starts, or into its running wire. 0, or -1 after saying what is wrong. */
static int sa_add(const struct app *a, const struct sa_line *l, const char *gw_name, struct sim_wire_cfg *cfg, struct sim_wire *wire)
{
	const char *why = "too many SAs";
	struct sim_sa sa = {0};
	int rc = sim_sa_parse(l->spec, &sa, &why);

	if (rc == 0 && wire != NULL) {
		rc = sim_wire_add_sa(wire, &sa, l->inbound);
	} else if (rc == 0) {
		size_t *cnt = l->inbound ? &cfg->in_cnt : &cfg->out_cnt;

		why = "too many SAs";
		rc = *cnt == SIM_WIRE_SAS ? -1 : 0;
		if (rc == 0)
			(l->inbound ? cfg->in : cfg->out)[(*cnt)++] = sa;
	}
	if (rc == 0)
		dump_sa(gw_name, &sa, l->inbound);
	else
		fprintf(stderr, "ravelin-gwsim: %s, line %zu: %s\n", a->sa_file, l->line_no, why);
	OPENSSL_cleanse(&sa, sizeof(sa));
	return rc < 0 ? -1 : 0;
}

static int sa_file(const struct app *a, const struct sa_lines *f, const char *gw_name, struct sim_wire_cfg *cfg, struct sim_wire *wire)
{
	size_t lo = 0, hi = f->n;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->n && f->line[i].gw[0] == '\0'; i++)
		rc = sa_add(a, &f->line[i], gw_name, cfg, wire);
	while (lo < hi) { /* the first of its name */
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(f->line[mid].gw, gw_name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; rc == 0 && lo < f->n && strcmp(f->line[lo].gw, gw_name) == 0; lo++)
		rc = sa_add(a, &f->line[lo], gw_name, cfg, wire);
	return rc;
}

static void end_now(evutil_socket_t fd, short what, void *arg)
{
	struct app *a = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(a->gw.base);
}

static void end(struct app *a)
{
	struct timeval soon = {.tv_usec = 200000}; /* for the answer to RSIP */

	if (a->ending) {
		event_base_loopbreak(a->gw.base);
		return;
	}
	a->ending = true;
	for (unsigned int i = 0; i < a->farm; i++)
		sim_gw_stop(a->gws[i]);
	event_add(a->end_timer, &soon);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct app *a = arg;
	struct sa_lines f = {0};
	char name[64];

	(void)what;
	if (sig == SIGHUP && (a->sa_file == NULL || sa_lines_read(a, &f) < 0)) {
		sa_lines_free(&f);
		return;
	}
	if (sig == SIGINT || sig == SIGTERM) {
		end(a);
		return;
	}
	for (unsigned int i = 0; i < a->farm; i++) {
		if (sig == SIGUSR1)
			sim_gw_hangup(a->gws[i]);
		else if (sig == SIGUSR2)
			sim_gw_answer(a->gws[i]);
		else {
			name_of(a->name, a->number + i, name, sizeof(name));
			sa_file(a, &f, name, NULL, sim_gw_wire(a->gws[i]));
		}
	}
	sa_lines_free(&f);
}

static void on_registered(void *ctx, struct sim_gw *g)
{
	struct app *a = ctx;

	(void)g;
	a->registered++;
}

static void on_call_ended(void *ctx, struct sim_gw *g)
{
	struct app *a = ctx;
	struct timeval soon = {.tv_sec = 1}; /* L/hu and its answer */

	(void)g;
	if (a->ending || ++a->calls_done != a->calls)
		return;
	a->ending = true;
	event_add(a->end_timer, &soon);
}

static const struct sim_gw_ops gw_ops = {.registered = on_registered, .call_ended = on_call_ended};

static int create(struct app *a, const struct sa_lines *f)
{
	char name[64], err[256];

	for (unsigned int i = 0; i < a->farm; i++) {
		struct sim_wire_cfg cfg = a->wire;

		cfg.base = a->gw.base;
		sim_addr_add(&cfg.local, i);
		name_of(a->name, a->number + i, name, sizeof(name));
		for (size_t k = 0; k < cfg.in_cnt; k++)
			dump_sa(name, &cfg.in[k], true);
		for (size_t k = 0; k < cfg.out_cnt; k++)
			dump_sa(name, &cfg.out[k], false);
		if (a->sa_file != NULL && sa_file(a, f, name, &cfg, NULL) < 0)
			return -1;
		a->gws[i] = sim_gw_create(&a->gw, name, &cfg, &gw_ops, a, err, sizeof(err));
		OPENSSL_cleanse(&cfg, sizeof(cfg));
		if (a->gws[i] == NULL) {
			fprintf(stderr, "ravelin-gwsim: %s\n", err);
			return -1;
		}
	}
	return 0;
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct app *a = arg;
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != '\n') {
			if (a->line_len + 1 < sizeof(a->line))
				a->line[a->line_len++] = buf[i];
			continue;
		}
		a->line[a->line_len] = '\0';
		a->line_len = 0;
		for (unsigned int g = 0; g < a->farm; g++)
			if (!sim_gw_control(a->gws[g], a->line))
				fprintf(stderr, "ravelin-gwsim: --control: not understood: %s\n", a->line);
	}
}

/* Open for writing, too: then it has no end when who writes goes. */
static int open_control(struct app *a)
{
	a->control_fd = open(a->control, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	a->control_ev = a->control_fd >= 0 ? event_new(a->gw.base, a->control_fd, EV_READ | EV_PERSIST, on_control, a) : NULL;
	if (a->control_ev == NULL) {
		fprintf(stderr, "ravelin-gwsim: %s: %s\n", a->control, strerror(errno));
		return -1;
	}
	event_add(a->control_ev, NULL);
	return 0;
}

static int start(struct app *a)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP};
	struct sa_lines f = {0};
	int rc;

	a->gws = calloc(a->farm, sizeof(struct sim_gw *));
	a->end_timer = event_new(a->gw.base, -1, 0, end_now, a);
	if (a->gws == NULL || a->end_timer == NULL)
		return -1;
	for (size_t i = 0; i < 5; i++) {
		a->sig[i] = evsignal_new(a->gw.base, signals[i], on_signal, a);
		if (a->sig[i] == NULL)
			return -1;
		evsignal_add(a->sig[i], NULL);
	}
	sim_raise_files(256 + (uint64_t)a->farm * 16);
	rc = a->sa_file != NULL ? sa_lines_read(a, &f) : 0;
	if (rc == 0)
		rc = create(a, &f);
	sa_lines_free(&f);
	if (rc < 0)
		return -1;
	if (a->control != NULL && open_control(a) < 0)
		return -1;
	for (unsigned int i = 0; i < a->farm; i++)
		sim_gw_start(a->gws[i], (unsigned int)((uint64_t)a->start_over_ms * i / a->farm));
	return 0;
}

static int report(struct app *a)
{
	json_t *list = json_array(), *r;
	int rc;

	for (unsigned int i = 0; i < a->farm; i++)
		json_array_append_new(list, sim_gw_report(a->gws[i]));
	r = json_pack("{s:i, s:i, s:i, s:o}", "gateways", (int)a->farm, "registered", (int)a->registered, "calls",
		      (int)a->calls_done, "gateway", list);
	rc = sim_report_write(a->report, r);
	if (rc < 0)
		fprintf(stderr, "ravelin-gwsim: cannot write %s\n", a->report);
	json_decref(r);
	return rc;
}

static void check(struct app *a)
{
	const char *why;
	uint8_t *wav;
	size_t len;

	if (a->wire.local.len == 0 || a->wire.agent.len == 0 || a->name == NULL || a->gw.endpoint_cnt == 0)
		usage("--listen, --agent, --name and --endpoint are all needed", NULL);
	if (a->wire.local.ss.ss_family != a->wire.agent.ss.ss_family)
		usage("--listen and --agent are of two families", NULL);
	if (strlen(a->name) > 50)
		usage("--name is too long", a->name);
	if (a->farm > 1 && strstr(a->name, "%d") == NULL)
		usage("--farm wants %d in --name", NULL);
	if (a->farm > 1 && a->wire.in_cnt + a->wire.out_cnt > 0)
		usage("--farm takes its SAs from --sa-file: one key for many gateways would repeat IVs", NULL);
	if (a->gw.media.play != NULL) {
		if (sim_wav_load(a->gw.media.play, SIM_PT_ULAW, &wav, &len, &why) < 0) {
			fprintf(stderr, "ravelin-gwsim: %s: %s\n", a->gw.media.play, why);
			exit(2);
		}
		free(wav);
	}
}

int main(int argc, char **argv)
{
	struct app a = {
		.gw = {.version = "1.0", .answer_after_ms = 1000, .linger_ms = 300,
		       .media = {.port_min = 16384, .port_max = 32766, .first_seq = -1}},
		.farm = 1, .number = 1,
	};
	int o, idx = 0, rc = 1;

	prctl(PR_SET_DUMPABLE, 0); /* --sa-in stands in the arguments anyway; keys in memory need not be dumped */
	while ((o = getopt_long(argc, argv, "", options, &idx)) != -1)
		option(&a, o, options[idx].name, optarg);
	if (optind != argc)
		usage("what is", argv[optind]);
	check(&a);
	if (sim_events_open(a.events) < 0)
		usage("cannot write", a.events);
	if (a.dump_keys != NULL && sim_keys_open(a.dump_keys) < 0)
		usage("cannot write", a.dump_keys);
	a.gw.base = event_base_new();
	if (a.gw.base == NULL)
		return 2;
	if (start(&a) == 0) {
		event_base_dispatch(a.gw.base);
		for (unsigned int i = 0; a.calls != 0 && i < a.farm; i++)
			sim_gw_stop(a.gws[i]);
		if (report(&a) == 0 && a.registered >= a.farm)
			rc = 0;
	}
	for (unsigned int i = 0; a.gws != NULL && i < a.farm; i++)
		sim_gw_destroy(a.gws[i]);
	free(a.gws);
	for (size_t i = 0; i < 5; i++) {
		if (a.sig[i] != NULL)
			event_free(a.sig[i]);
	}
	if (a.control_ev != NULL) {
		event_free(a.control_ev);
		close(a.control_fd);
	}
	if (a.end_timer != NULL)
		event_free(a.end_timer);
	event_base_free(a.gw.base);
	OPENSSL_cleanse(&a.wire, sizeof(a.wire));
	return rc;
}
