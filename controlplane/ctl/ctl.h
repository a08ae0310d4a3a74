/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelinctl: the command table, which makes the parser and the help, and the printing of answers. A thin client of
 * the admin socket (admin/admin.h): what a command means is decided there.
 */
#ifndef CP_CTL_H
#define CP_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 }; /* exit codes */

enum ctl_type {
	CTL_STR,
	CTL_INT,
	CTL_TRUE,  /* no value: member becomes true */
	CTL_FALSE, /* ... false */
	CTL_CONST, /* ... the string 'value' */
	CTL_LIST,  /* may be repeated: an array of strings */
	CTL_PAIRS, /* key=value,key=value: an object; '-' in keys becomes '_' */
	CTL_LOCAL, /* for ravelinctl itself: kept out of the request, see ctl_request.local; without value: its own name */
};

struct ctl_opt {
	const char *name; /* "--mode"; NULL ends a list */
	const char *arg;  /* "MODE"; NULL: takes none */
	enum ctl_type type;
	const char *member; /* of args */
	const char *value;  /* CTL_CONST */
	bool required;
	const char *help;
};

struct ctl_pos {
	const char *name; /* "NAME"; NULL: none */
	enum ctl_type type; /* STR, INT, LOCAL, or LIST: the last one, takes all words that are left */
	const char *member;
	bool optional;
};

enum ctl_special { CTL_PLAIN, CTL_IMPORT, CTL_CERT, CTL_SA_KEY, CTL_DOCTOR, CTL_LEGS, CTL_TRACE, CTL_CERT_FILE, CTL_CERT_OUT, CTL_FILE,
		   CTL_SECRETS, CTL_IKE_PSK, CTL_BACKUP, CTL_BUNDLE, CTL_CTLOP, CTL_IMPORT_PHONES, CTL_EXPORT_PHONES, CTL_CSV, CTL_WAVE,
		   CTL_APP_ISSUE, CTL_CAPF_REQUESTS, CTL_CAPF_CERTS, CTL_CDR_LIST, CTL_CDR_EXPORT };

struct ctl_cmd {
	const char *words; /* "device add" */
	const char *cmd;   /* "device.add" */
	struct ctl_pos pos[2];
	const struct ctl_opt *opts; /* may be NULL */
	enum ctl_special special;
	const char *help;
};

/** Command i of the table, from 0; NULL: there are no more. */
const struct ctl_cmd *ctl_command(unsigned i);

struct ctl_request {
	const struct ctl_cmd *cmd;
	json_t *args;          /* owned */
	const char *local[4];  /* CTL_LOCAL values: of positions and options, in the table's order */
	bool help;
};

/**
 * Parse the words behind the global options. 0, or -EINVAL with one line in 'why'. On success the caller frees
 * ret->args.
 */
int ctl_parse(int argc, char **argv, struct ctl_request *ret, char *why, size_t why_size);

void ctl_usage(FILE *out);
void ctl_command_help(FILE *out, const struct ctl_cmd *cmd);

/*
 * Commands of several requests (follow.c). 'ask' sends one request ("show.legs", arguments borrowed) and returns the whole answer,
 * owned by the caller; NULL: the appliance does not answer, which has been said.
 */
typedef json_t *(*ctl_ask_fn)(void *ctx, const char *cmd, json_t *args);

/**
 * Every page of "show.legs". 0 with an array of all legs; else *ret is the answer that refused, or NULL. Both owned by the
 * caller.
 */
int ctl_legs(ctl_ask_fn ask, void *ctx, json_t *args, json_t **ret);

/** The columns of legs that fit a terminal: a new array. */
json_t *ctl_legs_short(const json_t *legs);

/**
 * A trace until its last packet, printed as it comes (as_json: a line of JSON each), or until *stop is set. 0; else *ret as
 * above.
 */
int ctl_trace(ctl_ask_fn ask, void *ctx, json_t *args, bool as_json, const volatile int *stop, FILE *out, json_t **ret);

/*
 * Tables of phones (phones.c). import: sends the file ("-": standard input) in pieces; 'all': after a dry run that found
 * nothing wrong. 0 with the appliance's result; else *ret is the answer that refused, or NULL with one line in 'why', which
 * is empty where it has been said. export: all devices as a table to 'out'.
 */
int ctl_import_phones(ctl_ask_fn ask, void *ctx, const char *path, json_t *args, bool all, json_t **ret, char *why,
		      size_t size);
int ctl_export_phones(ctl_ask_fn ask, void *ctx, FILE *out, json_t **ret, char *why, size_t size);

/**
 * Begins a wave with the devices of a table ("-": standard input) (wave.c). 0 with the appliance's answer, in which "wave" is null if lines
 * were wrong and nothing was begun; else as ctl_import_phones().
 */
int ctl_wave_start(ctl_ask_fn ask, void *ctx, const char *path, json_t *args, bool skip_wrong, json_t **ret, char *why, size_t size);

/*
 * Certificates (certfile.c). read: a file ("-": standard input) into "data" and "file" of a request's arguments. write: "pem" or
 * "der" of an answer into a file (NULL: standard output). 0, or negative errno with one line in 'why'.
 */
int ctl_cert_read(const char *path, json_t *args, char *why, size_t size);
int ctl_cert_write(const json_t *result, bool der, const char *path, char *why, size_t size);

/*
 * The external CA by hand (capfca.c). requests: those that wait, as one PEM file, or into a folder one file a device; beside it a CSV of
 * device, time, SHA-256 of the key (and file). certificates: a file of PEM or DER, or all files of a folder; *ret is what came of it. 0;
 * else *ret is the answer that refused, or NULL with one line in 'why', which is empty where it has been said.
 */
int ctl_capf_requests(ctl_ask_fn ask, void *ctx, const char *to, json_t *args, json_t **ret, char *why, size_t size);
int ctl_capf_certs(ctl_ask_fn ask, void *ctx, const char *from, json_t **ret, char *why, size_t size);

/**
 * Call detail records (cdr.c): every page that 'args' choose, printed as it comes; the first 'most' of them (0: all). 0; else *ret is the answer
 * that refused, or NULL.
 */
enum ctl_cdr_form { CTL_CDR_TABLE, CTL_CDR_LINES, CTL_CDR_CSV };
int ctl_cdr(ctl_ask_fn ask, void *ctx, json_t *args, enum ctl_cdr_form form, json_int_t most, FILE *out, json_t **ret);

/** A result that is an array of objects, as CSV (RFC 4180), with a header if 'head'; cells that a spreadsheet would compute are quoted. */
void ctl_render_csv(FILE *out, const json_t *result, bool head);

/** Print a result for people: arrays of objects as tables, objects as "name: value". */
void ctl_render(FILE *out, const json_t *result);

#endif
