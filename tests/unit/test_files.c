/* SPDX-License-Identifier: BSD-3-Clause */
/* What phones can fetch, and who: names, the operator's directory, the cache, trust lists, tokens, the default file. */
/* Rows: 000:P0-55, R-19; 001:R-01; 002:R-11. */
#include "files_fix.h"

static void test_names(void)
{
	static const struct {
		const char *name;
		enum cp_name_what what;
		enum cp_name_end end;
		const char *device, *base;
	} rows[] = {
		{"CTLFile.tlv", CP_NAME_LIST, CP_END_PLAIN, "", "CTLFile.tlv"}, /* 004a:TFTP-07 */
		{"ITL" PHONE ".tlv", CP_NAME_LIST, CP_END_PLAIN, PHONE, "ITL" PHONE ".tlv"},
		{"CTLSEP0a1b2c3d4e51.tlv", CP_NAME_DIR, CP_END_PLAIN, "", NULL}, /* upper case only */
		{PHONE ".cnf.xml", CP_NAME_CONFIG, CP_END_PLAIN, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.sgn", CP_NAME_CONFIG, CP_END_SGN, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.enc.sgn", CP_NAME_CONFIG, CP_END_ENC, PHONE, PHONE ".cnf.xml"},
		{PHONE ".cnf.xml.enc", CP_NAME_DIR, CP_END_PLAIN, "", NULL},
		{"x/" PHONE ".cnf.xml", CP_NAME_DIR, CP_END_PLAIN, "", NULL},
		{"XMLDefault.cnf.xml.sgn", CP_NAME_DEFAULT, CP_END_SGN, "", "XMLDefault.cnf.xml"},
		{"New_Zealand/g3-tones.xml.sgn", CP_NAME_DIR, CP_END_SGN, "", "New_Zealand/g3-tones.xml"},
		{".sgn", CP_NAME_DIR, CP_END_PLAIN, "", ".sgn"},
		{".cnf.xml.enc.sgn", CP_NAME_DIR, CP_END_SGN, "", ".cnf.xml.enc"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_name n;

		cp_name_parse(rows[i].name, &n);
		CU_ASSERT_EQUAL(n.what, rows[i].what);
		CU_ASSERT_EQUAL(n.end, rows[i].end);
		CU_ASSERT_STRING_EQUAL(n.device, rows[i].device);
		if (rows[i].base != NULL)
			CU_ASSERT_STRING_EQUAL(n.base, rows[i].base);
	}
}

/* 10,000 tries to leave the tree, with openat2() and by hand: links, dots, what the name check refuses anyway. */
static void test_no_escape(void)
{
	static const char *const parts[] = {"..", ".", "", "link", "dirlink", "sub", "secret", "etc", "passwd", "in", "%2e%2e", "\\"};
	char path[256], outside[256];

	up();
	snprintf(outside, sizeof(outside), "%s/secret", tmp_dir);
	fclose(fopen(outside, "w"));
	snprintf(path, sizeof(path), "%s/sub", cfg->provision.directory);
	mkdir(path, 0755);
	write_file("sub/in", "inside");
	snprintf(path, sizeof(path), "%s/link", cfg->provision.directory);
	CU_ASSERT(symlink(outside, path) == 0);
	snprintf(path, sizeof(path), "%s/dirlink", cfg->provision.directory);
	CU_ASSERT(symlink(tmp_dir, path) == 0);
	snprintf(path, sizeof(path), "%s/pipe", cfg->provision.directory);
	CU_ASSERT(mkfifo(path, 0600) == 0);
	for (int by_hand = 0; by_hand < 2; by_hand++) {

		if (by_hand)
			cp_filedir_no_openat2(files->dir);
		for (unsigned i = 0; i < 5000; i++) {
			char name[CP_FILE_NAME_MAX] = "";
			struct cp_stamp st;
			uint8_t r[6];
			struct cp_file *f = NULL;
			int rc;

			RAND_bytes(r, sizeof(r));
			for (unsigned k = 0; k < 1 + r[0] % 4u; k++) {
				if (k > 0 || r[5] % 8 == 0)
					strcat(name, "/");
				strcat(name, parts[r[k + 1] % (sizeof(parts) / sizeof(parts[0]))]);
			}
			rc = cp_filedir_stamp(files->dir, name, &st);
			if (rc == 0)
				rc = cp_filedir_read(files->dir, name, &f, NULL);
			if (rc == 0) {
				CU_ASSERT(f->len == 6 && memcmp(f->data, "inside", 6) == 0);
			}
			cp_file_put(f);
		}
		CU_ASSERT(get_rc("pipe") == -ENOENT && get_rc("sub") == -ENOENT && get_rc("link") == -ENOENT &&
			  get_rc("dirlink/secret") == -ENOENT && get_rc("../secret") == -ENOENT);
		CU_ASSERT(get_rc("sub/in") == 0);
	}
	down();
}

static void test_directory(void)
{
	struct cp_file *a, *b, *c;

	up();
	CU_ASSERT(get_rc("Ringlist.xml") == -ENOENT);
	write_file("Ringlist.xml", "<a/>");
	a = get("Ringlist.xml");
	b = get("Ringlist.xml");
	CU_ASSERT_FATAL(a != NULL && b != NULL);
	CU_ASSERT(a == b); /* one object for all */
	CU_ASSERT(says(a, "<a/>") && a->len == 4 && !a->secret && a->etag[0] == '"' && strlen(a->etag) == 34);
	write_file("Ringlist.xml", "<bb/>"); /* noticed, and who has the old one keeps it */
	c = get("Ringlist.xml");
	CU_ASSERT(says(c, "<bb/>") && says(a, "<a/>") && strcmp(a->etag, c->etag) != 0);
	cp_file_put(a);
	cp_file_put(b);
	cp_file_put(c);
	down();
}

static void test_cache_bound(void)
{
	struct cp_fcache *c = cp_fcache_create(100000);
	struct cp_stamp st = {{1}}, other = {{2}};
	struct cp_fcache_stats s;
	struct cp_file *f;
	char key[32];

	CU_ASSERT_FATAL(c != NULL);
	for (unsigned i = 0; i < 5000; i++) {
		f = cp_file_create(CP_FILE_PLAIN, "x", calloc(1, 100 + i % 7), 100 + i % 7, 0, i & 1);
		snprintf(key, sizeof(key), "k%u", i);
		cp_file_put(cp_fcache_put(c, key, &st, f));
		cp_fcache_stats(c, &s);
		CU_ASSERT(s.bytes <= 100000);
	}
	CU_ASSERT(s.evicted > 4000 && s.files > 50);
	CU_ASSERT(cp_fcache_get(c, "k0", &st) == NULL); /* the longest unused went */
	f = cp_fcache_get(c, "k4999", &st);
	CU_ASSERT(f != NULL);
	CU_ASSERT(cp_fcache_get(c, "k4999", &other) == NULL); /* of another stamp: gone */
	CU_ASSERT(f != NULL && f->len == 100 + 4999 % 7); /* ours lives on */
	cp_file_put(f);
	CU_ASSERT(cp_fcache_get(c, "k4999", &st) == NULL);
	cp_fcache_destroy(c);
}

/* What is held is in memory once, kept or not: else as many transfers of a large file would be as many copies of it. */
static void test_cache_held(void)
{
	struct cp_fcache *c = cp_fcache_create(10000);
	struct cp_stamp st = {{1}}, other = {{2}};
	struct cp_file *a, *b, *d;
	struct cp_fcache_stats s;

	CU_ASSERT_FATAL(c != NULL);
	a = cp_fcache_put(c, "big", &st, cp_file_create(CP_FILE_PLAIN, "big", calloc(1, 50000), 50000, 7, true));
	cp_fcache_stats(c, &s);
	CU_ASSERT_EQUAL(s.files, 0); /* too large to be kept */
	b = cp_fcache_get(c, "big", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	CU_ASSERT(b != NULL && b->len == 50000 && b->mtime == 7 && b->secret && strcmp(b->name, "big") == 0 && strlen(b->etag) == 34);
	CU_ASSERT(cp_fcache_get(c, "big", &other) == NULL && cp_fcache_get(c, "bi", &st) == NULL);
	d = cp_fcache_put(c, "big", &st, cp_file_create(CP_FILE_PLAIN, "big", calloc(1, 50000), 50000, 7, true)); /* two made it at once */
	CU_ASSERT_PTR_EQUAL(a, d);
	cp_file_put(a);
	cp_file_put(b);
	cp_file_put(d);
	CU_ASSERT(cp_fcache_get(c, "big", &st) == NULL);
	/* pushed out by others, asked for again while somebody holds it: the same, and kept again */
	a = cp_fcache_put(c, "k", &st, cp_file_create(CP_FILE_PLAIN, "k", calloc(1, 2000), 2000, 0, false));
	for (char key[2] = "0"; key[0] <= '9'; key[0]++)
		cp_file_put(cp_fcache_put(c, key, &st, cp_file_create(CP_FILE_PLAIN, key, calloc(1, 2000), 2000, 0, false)));
	b = cp_fcache_get(c, "k", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	cp_file_put(a);
	cp_file_put(b);
	b = cp_fcache_get(c, "k", &st);
	CU_ASSERT_PTR_EQUAL(a, b);
	cp_fcache_destroy(c);
	CU_ASSERT(b != NULL && b->data[1999] == 0); /* outlives the cache */
	cp_file_put(b);
}

/* 000, P0-53, P0-54, P0-58 */
static void test_token(void)
{
	struct cp_profile p = {.name = "sip", .protocol = CP_PROTOCOL_SIP, .mode = CP_DEVICE_ENCRYPTED,
			       .transport = CP_TRANSPORT_TLS, .oauth = true};
	struct cp_file_source src;
	struct cp_file_ask ask = ask_for(PHONE ".cnf.xml.sgn");
	struct cp_file *f;
	int rc;

	up();
	src = cp_files_source(files);
	put_profile(&p);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, with_line);
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	CU_ASSERT(!src.needs_token(src.ctx, PHONE)); /* the cluster's switch is off */
	CU_ASSERT(get_rc(PHONE ".cnf.xml") == 0);
	put_cluster(&(struct cp_cluster){.sip_oauth = true});
	CU_ASSERT(src.needs_token(src.ctx, PHONE) && !src.needs_token(src.ctx, OTHER));
	CU_ASSERT(get_rc(PHONE ".cnf.xml") == -EACCES && get_rc(PHONE ".cnf.xml.enc.sgn") == -EACCES);
	for (int via = CP_VIA_HTTP; via <= CP_VIA_HTTPS; via++) {
		ask.via = (enum cp_file_via)via;
		cp_file_put(get_ask(&ask, &rc));
		CU_ASSERT(rc == -EACCES);
	}
	ask.via = CP_VIA_TOKEN;
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EPERM);
	strcpy(ask.device, OTHER);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES);
	strcpy(ask.device, PHONE);
	f = get_ask(&ask, &rc); /* wire formats 8.2: the token port's .sgn is the file itself */
	CU_ASSERT(rc == 0 && says(f, "<?xml") && f->data[0] == '<' && !says(f, "authPassword"));
	cp_file_put(f);
	strcpy(ask.name, OTHER ".cnf.xml");
	strcpy(ask.device, "");
	cp_file_put(get_ask(&ask, &rc)); /* the others are served there */
	CU_ASSERT(rc == 0);
	down();
}

static void test_foreign(void)
{
	struct cp_file_ask ask = ask_for(PHONE ".cnf.xml");
	struct cfg_addr at;
	int rc;

	up();
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	cfg_addr_parse("10.0.0.9:40000", &at);
	cfg_addr_parse("10.0.0.9:50001", &ask.from);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, OTHER, &at, true);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES); /* that is another phone's address */
	strcpy(ask.name, OTHER ".cnf.xml");
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	strcpy(ask.name, PHONE ".cnf.xml");
	cp_files_phone(files, "SEP0A1B2C3D4E53", &at, true); /* two phones there: nobody's address */
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, "SEP0A1B2C3D4E53", &at, false);
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == -EACCES);
	put_cluster(&(struct cp_cluster){.foreign_files = true});
	cp_file_put(get_ask(&ask, &rc));
	CU_ASSERT(rc == 0);
	cp_files_phone(files, OTHER, &at, false);
	down();
}

static void test_lists(void)
{
	struct cp_file_ask ask = ask_for("ITLFile.tlv");
	struct cp_file *f;
	struct cfg_addr at;
	int rc;

	up();
	list_file = cp_file_create(CP_FILE_ITL, "ITLFile.tlv", (uint8_t *)strdup("ITL!"), 4, 0, false);
	put_device(PHONE, "8851", CP_DEVICE_ENCRYPTED, NULL);
	CU_ASSERT(get_rc("CTLFile.tlv") == -ENOENT); /* none was ever made */
	CU_ASSERT(get_rc("ITL" OTHER ".tlv") == -ENOENT);
	cfg_addr_parse("10.0.0.7:5000", &ask.from);
	f = get_ask(&ask, &rc);
	CU_ASSERT(f == list_file);
	notes = 0;
	cp_files_fetched(files, &ask, f);
	event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(notes, 0); /* nobody knows who that was */
	cp_file_put(f);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	f = get_ask(&ask, &rc);
	CU_ASSERT(f == list_file);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4?"); /* it is registered nowhere: somebody said its name */
	strcpy(ask.name, "ITLFile.tlv"); /* now its address is known */
	notes = 0;
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	/* It registers from elsewhere: whoever fetches here, by its name or as it did before, is not it. */
	cfg_addr_parse("10.0.0.8:40000", &at);
	cp_files_phone(files, PHONE, &at, true);
	notes = 0;
	cp_files_fetched(files, &ask, f);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(notes, 0);
	strcpy(ask.device, PHONE); /* proven by a token: wherever it is */
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4");
	strcpy(ask.device, "");
	cfg_addr_parse("10.0.0.8:1234", &ask.from); /* it itself, and behind a second registration that replaced the first */
	cp_files_phone(files, PHONE, &at, true);
	cp_files_phone(files, PHONE, &at, false);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 2; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 2);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4");
	cfg_addr_parse("[2001:db8::7]:1234", &ask.from); /* it may have an address of the other family */
	cp_files_fetched(files, &ask, f);
	cp_files_phone(files, PHONE, &at, false); /* gone: nobody knows where it comes back */
	cfg_addr_parse("10.0.0.7:5000", &ask.from);
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 4; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 4);
	CU_ASSERT_STRING_EQUAL(noted, PHONE " 2 4?");
	/* from where another phone is registered it says nothing of this one */
	put_device(OTHER, "8851", CP_DEVICE_ENCRYPTED, NULL);
	cp_files_phone(files, OTHER, &ask.from, true);
	strcpy(ask.name, "ITL" PHONE ".tlv");
	notes = 0;
	cp_files_fetched(files, &ask, f);
	strcpy(ask.name, "ITL" OTHER ".tlv");
	cp_files_fetched(files, &ask, f);
	for (int i = 0; i < 100 && notes < 1; i++)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(notes, 1);
	CU_ASSERT_STRING_EQUAL(noted, OTHER " 2 4");
	cp_files_phone(files, OTHER, &ask.from, false);
	cp_file_put(f);
	cp_file_put(list_file);
	list_file = NULL;
	down();
}

/* 004b:R-01, 002:P2-30 to P2-32 */
static void test_default(void)
{
	struct cp_file *f;

	up();
	mixed = unknown_ok = false;
	CU_ASSERT(get_rc("XMLDefault.cnf.xml") == -ENOENT);
	unknown_ok = true;
	f = get("XMLDefault.cnf.xml");
	CU_ASSERT(says(f, "<Default>") && says(f, "processNodeName") && !f->secret);
	cp_file_put(f);
	CU_ASSERT(get_rc("XMLDefault.cnf.xml.sgn") == 0);
	write_file("XMLDefault.cnf.xml", "<Default>mine</Default>");
	f = get("XMLDefault.cnf.xml");
	CU_ASSERT(says(f, "mine"));
	cp_file_put(f);
	mixed = true;
	unknown_ok = false; /* as cp_lists_auto_registration() says then: test_lists.c */
	cp_files_changed(files);
	CU_ASSERT(get_rc("XMLDefault.cnf.xml") == -ENOENT && get_rc("XMLDefault.cnf.xml.sgn") == -ENOENT);
	down();
}

static void no_verify(struct cp_device *d)
{
	strcpy(d->profile, "old");
}

/* 001:P1-139: who cannot verify gets it unsigned */
static void test_unsigned(void)
{
	struct cp_profile p = {.name = "old", .mode = CP_DEVICE_NONSECURE, .no_verify = true};

	up();
	put_profile(&p);
	put_device(PHONE, "7912", CP_DEVICE_NONSECURE, no_verify);
	CU_ASSERT(get_rc(PHONE ".cnf.xml.sgn") == -ENOENT && get_rc(PHONE ".cnf.xml") == 0);
	down();
}

static CU_TestInfo tests[] = {
	{"what a name stands for", test_names},
	{"no name leaves the tree", test_no_escape},
	{"a changed file is noticed, its old readers keep it", test_directory},
	{"the cache is bounded and knows stamps", test_cache_bound},
	{"what is held is in memory once", test_cache_held},
	{"bearers of a token only", test_token},
	{"another phone's address", test_foreign},
	{"trust lists and who has fetched them", test_lists},
	{"unknown phones", test_default},
	{"phones that cannot verify", test_unsigned},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("files", tests, setup, teardown)
