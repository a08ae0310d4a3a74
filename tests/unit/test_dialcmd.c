/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dial plan's commands (admin/dial.c), and a plan in import: each of them, what it refuses and why; what is named is there, and what
 * is used stays and says who uses it; an import is taken whole or not at all. Requests and answers as ravelinctl's, in JSON with ' for ".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <jansson.h>

#include "admin/admin.h"
#include "log.h"
#include "store/store.h"
#include "store_tmp.h"

static struct event_base *base;
static struct cp_store *store;
static struct cp_admin *admin;
static char *last;
static int answered;

static void on_answer(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	free(last);
	last = strndup(line, len);
	answered = 1;
}

/* "ok RESULT", or "CODE: MESSAGE"; an import's errors behind it, as " | LIST NAME CODE: MESSAGE". Overwritten by the next one. */
static const char *ask(const char *cmd, const char *args)
{
	static char out[16384];
	json_t *req, *o, *err, *items, *i;
	char *text = strdup(args), *line;
	size_t k, n;

	for (char *c = text; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	req = json_pack("{s:s, s:o}", "cmd", cmd, "args", json_loads(text, 0, NULL));
	CU_ASSERT_PTR_NOT_NULL_FATAL(req);
	line = json_dumps(req, JSON_COMPACT);
	answered = 0;
	cp_admin_input(admin, line, strlen(line), on_answer, NULL);
	free(line);
	free(text);
	json_decref(req);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &answered));
	o = json_loads(last, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	err = json_object_get(o, "error");
	if (err == NULL) {
		text = json_dumps(json_object_get(o, "result"), JSON_COMPACT | JSON_ENCODE_ANY);
		snprintf(out, sizeof(out), "ok %s", text != NULL ? text : "");
		free(text);
		for (char *c = out; *c != '\0'; c++)
			if (*c == '"')
				*c = '\'';
	} else {
		n = (size_t)snprintf(out, sizeof(out), "%s: %s", json_string_value(json_object_get(err, "code")),
				     json_string_value(json_object_get(err, "message")));
		items = json_object_get(err, "items");
		json_array_foreach(items, k, i)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " | %s %s %s: %s", json_string_value(json_object_get(i, "list")),
					      json_string_value(json_object_get(i, "name")), json_string_value(json_object_get(i, "code")),
					      json_string_value(json_object_get(i, "message")));
	}
	json_decref(o);
	return out;
}

struct row {
	const char *cmd, *args, *answer; /* "ok": begins so; "... X": has X in it; else all of it */
};

static void go(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *a = ask(rows[i].cmd, rows[i].args), *want = rows[i].answer;
		bool right = strcmp(want, "ok") == 0 ? strncmp(a, "ok", 2) == 0 :
			     strncmp(want, "... ", 4) == 0 ? strstr(a, want + 4) != NULL : strcmp(a, want) == 0;

		if (!right)
			printf("\n%s %s:\n  %s\n  not: %s\n", rows[i].cmd, rows[i].args, a, want);
		CU_ASSERT_TRUE(right);
	}
}

#define GO(rows) go(rows, sizeof(rows) / sizeof(rows[0]))

static void open_store(void)
{
	struct cp_admin_backend be = {.version = "1"};
	struct cp_store_opts o = {.path = tmp_store, .base = base, .no_sync = true};
	char err[256];

	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	be.store = store;
	admin = cp_admin_create(base);
	CU_ASSERT_EQUAL_FATAL(cp_admin_commands(admin, &be), 0);
}

static void close_store(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
}

static void begin(void)
{
	tmp_make();
	base = event_base_new();
	open_store();
}

static void end(void)
{
	close_store();
	event_base_free(base);
	free(last);
	last = NULL;
	tmp_remove();
}

#define PHONE "SEP000000000001"

static const struct row world[] = {
	{"partition.add", "{'name':'lab','description':'a room'}", "ok {'name':'lab'}"},
	{"partition.add", "{'name':'out'}", "ok {'name':'out'}"},
	{"css.add", "{'name':'staff','partitions':['out','lab']}", "ok {'name':'staff'}"},
	{"gateway.add", "{'name':'gw1','address':'192.0.2.1','endpoints':['aaln/1','aaln/2'],'numbers':['4000']}", "ok"},
	{"gateway.add", "{'name':'bridge','address':'192.0.2.3','conference':true,'endpoints':['cnf/1'],'mki':4}", "ok"},
	{"device.add", "{'name':'" PHONE "','css':'staff','lines':[{'number':'1001'},{'number':'1002','partition':'lab','css':'staff'}]}", "ok"},
};

static void test_partitions(void)
{
	static const struct row rows[] = {
		{"partition.add", "{'name':'lab'}", "exists: partition/lab exists"},
		{"partition.add", "{'name':'lab','description':'b','replace':true}", "ok {'name':'lab'}"},
		{"partition.add", "{}", "invalid: partition \"\" is not 1 to 31 of letters, digits and . _ -"},
		{"partition.add", "{'name':'a b'}", "invalid: partition \"a b\" is not 1 to 31 of letters, digits and . _ -"},
		{"partition.add", "{'name':'a/b'}", "invalid: partition \"a/b\" is not 1 to 31 of letters, digits and . _ -"},
		{"partition.add", "{'name':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}", "invalid: name is longer than 31 bytes"},
		{"partition.add", "{'name':5}", "invalid: name is not a string"},
		{"partition.add", "{'name':'x','colour':'red'}", "invalid: unknown member \"colour\""},
		{"partition.add", "{'name':'x','description':'\\u0001'}", "invalid: description is no text"},
		{"show.partitions", "{}", "... {'name':'lab','description':'b','changed_us':"},
		{"show.partitions", "{'name':'lab'}", "... invalid: "},
		{"partition.del", "{'name':'none'}", "not-found: no \"partition/none\""},
		{"partition.del", "{}", "invalid: the string name is needed"},
		{"partition.del", "{'name':'lab','force':true}", "invalid: the string name is needed"},
		{"partition.del", "{'name':7}", "invalid: the string name is needed"},
		/* by whom it is used */
		{"partition.del", "{'name':'lab'}", "in-use: partition/lab is used by css/staff"},
		{"css.add", "{'name':'staff','partitions':['out'],'replace':true}", "ok"},
		{"partition.del", "{'name':'lab'}", "in-use: partition/lab is used by device " PHONE},
		{"line.del", "{'number':'1002','partition':'lab'}", "ok"},
		{"pattern.add", "{'pattern':'9.!','partition':'lab','kind':'block'}", "ok"},
		{"partition.del", "{'name':'lab'}", "in-use: partition/lab is used by pattern/lab/9!"},
		{"pattern.del", "{'pattern':'9.!','partition':'lab'}", "ok"},
		{"partition.del", "{'name':'lab'}", "ok {'name':'lab'}"},
		{"partition.del", "{'name':'lab'}", "not-found: no \"partition/lab\""},
		{"partition.del", "{'name':''}", "not-found: no \"partition/\""},
	};

	begin();
	GO(world);
	GO(rows);
	end();
}

static void test_css(void)
{
	static const struct row rows[] = {
		{"css.add", "{'name':'staff','partitions':[]}", "exists: css/staff exists"},
		{"css.add", "{'name':'none','partitions':['lab','nowhere']}", "invalid: none: no partition nowhere"},
		{"css.add", "{'name':'twice','partitions':['lab','lab']}", "invalid: partition lab is named twice"},
		{"css.add", "{'name':'odd','partitions':['']}", "invalid: partition \"\" is not 1 to 31 of letters, digits and . _ -"},
		{"css.add", "{'name':'odd','partitions':'lab'}", "invalid: partitions is not an array of at most 32"},
		{"css.add", "{'name':'odd','partitions':[1]}", "invalid: an item of partitions is not a string"},
		{"css.add", "{'name':'odd','partitions':['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']}", "invalid: a partition's name is longer than 31 bytes"},
		{"css.add", "{'name':'a b'}", "invalid: calling search space \"a b\" is not 1 to 31 of letters, digits and . _ -"},
		{"css.add", "{'name':'odd','lines':[]}", "invalid: unknown member \"lines\""},
		{"css.add", "{'name':'empty'}", "ok {'name':'empty'}"},
		{"show.css", "{}", "... 'partitions':['out','lab']"},
		{"css.del", "{'name':'none'}", "not-found: no \"css/none\""},
		{"css.del", "{'css':'staff'}", "invalid: the string name is needed"},
		{"css.del", "{'name':'empty'}", "ok {'name':'empty'}"},
		/* a device's, a line's, a translation's, a forwarding's */
		{"css.del", "{'name':'staff'}", "in-use: css/staff is used by device " PHONE},
		{"device.add", "{'name':'" PHONE "','lines':[{'number':'1001'},{'number':'1002','partition':'lab','css':'staff'}],'replace':true}", "ok"},
		{"css.del", "{'name':'staff'}", "in-use: css/staff is used by device " PHONE},
		{"device.add", "{'name':'" PHONE "','lines':[{'number':'1001'}],'replace':true}", "ok"},
		{"pattern.add", "{'pattern':'8X','kind':'translate','mask':'1001','css':'staff'}", "ok"},
		{"css.del", "{'name':'staff'}", "in-use: css/staff is used by pattern//8X"},
		{"pattern.del", "{'pattern':'8X'}", "ok"},
		{"forward.set", "{'number':'1001','all':'8','css':'staff'}", "ok"},
		{"css.del", "{'name':'staff'}", "in-use: css/staff is used by forward/1001@"},
		{"forward.set", "{'number':'1001','css':''}", "ok"},
		{"css.del", "{'name':'staff'}", "ok {'name':'staff'}"},
		{"device.add", "{'name':'SEP000000000002','css':'staff'}", "... no calling search space staff"},
	};

	begin();
	GO(world);
	GO(rows);
	end();
}

static void test_patterns(void)
{
	static const struct row rows[] = {
		{"pattern.add", "{'pattern':'0.!','to':['gw1/aaln/1','gw1'],'discard':'predot','calling_mask':'8955XXXX'}", "ok {'pattern':'0.!'}"},
		{"pattern.add", "{'pattern':'0!','to':['gw1']}", "exists: pattern//0! exists"}, /* the '.' does not make it another */
		{"pattern.add", "{'pattern':'0!','partition':'out','to':['gw1']}", "ok"},
		{"pattern.add", "{'pattern':'0.!','to':['gw1/aaln/2'],'replace':true}", "ok"},
		{"show.patterns", "{}", "... 'to':['gw1/aaln/2']"},
		{"pattern.add", "{'pattern':'1[432]-x','kind':'block','reason':'no'}", "ok"}, /* in its one spelling */
		{"show.patterns", "{}", "... {'pattern':'1[2-4]X',"},
		{"pattern.add", "{'pattern':'1[2-4]X','kind':'block'}", "exists: pattern//1[2-4]X exists"},
		{"pattern.add", "{'pattern':'9.@','to':['gw1']}", "... invalid: pattern \"9.@\": '@' needs a numbering plan"},
		{"pattern.add", "{'to':['gw1']}", "invalid: pattern \"\": it is empty"},
		{"pattern.add", "{'pattern':'7X','kind':'maybe'}", "... kind"},
		{"pattern.add", "{'pattern':'7X'}", "invalid: a route needs a gateway"},
		{"pattern.add", "{'pattern':'7X','kind':'block','to':['gw1']}", "invalid: only a route has gateways"},
		{"pattern.add", "{'pattern':'7X','to':['gw9']}", "invalid: 7X: no gateway gw9"},
		{"pattern.add", "{'pattern':'7X','to':['gw1/aaln/9']}", "invalid: 7X: gateway gw1 has no endpoint aaln/9"},
		{"pattern.add", "{'pattern':'7X','to':'gw1'}", "invalid: to is not an array of at most 16"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'partition':'nowhere'}", "invalid: 7X: no partition nowhere"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'css':'staff'}", "invalid: only a translation has a calling search space"},
		{"pattern.add", "{'pattern':'7X','kind':'translate','css':'nobody'}", "invalid: 7X: no calling search space nobody"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'reason':'x'}", "invalid: only a block has a reason and a tone"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'discard':'predot'}", "invalid: discard predot needs a '.' in the pattern"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'discard':'half'}", "... discard"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'mask':'4!'}", "... mask"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'calling_mask':'4!'}", "... calling_mask"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'prefix':'a'}", "... prefix"},
		{"pattern.add", "{'pattern':'7X','to':['gw1'],'urgent':1}", "invalid: urgent is not true or false"},
		/* a number that somebody has, in that partition: a line's, a gateway's; not so in another one */
		{"pattern.add", "{'pattern':'1001','kind':'block'}", "exists: pattern 1001 is a number of that partition, which has an owner"},
		{"pattern.add", "{'pattern':'1002','partition':'lab','kind':'block'}", "exists: pattern 1002 is a number of that partition, which has an owner"},
		{"pattern.add", "{'pattern':'4000','kind':'block'}", "exists: pattern 4000 is a number of that partition, which has an owner"},
		{"pattern.add", "{'pattern':'1002','kind':'block'}", "ok"},
		{"device.add", "{'name':'SEP000000000002'}", "ok"},
		{"line.add", "{'number':'1002','device':'SEP000000000002'}", "exists: number 1002 is a pattern of that partition"},
		{"gateway.add", "{'name':'gw2','address':'192.0.2.2','numbers':['1002']}", "exists: number 1002 is a pattern"},
		{"gateway.add", "{'name':'gw2','address':'192.0.2.2','numbers':['1002*']}", "ok"}, /* one that begins so: the pattern is closer */
		/* what a route leads to stays */
		{"gateway.del", "{'name':'gw1'}", "... in-use: pattern/"},
		{"gateway.add", "{'name':'gw1','address':'192.0.2.1','endpoints':['aaln/1'],'replace':true}",
		 "in-use: pattern//0! leads to endpoint aaln/2 of gateway gw1: change it first"},
		{"gateway.add", "{'name':'gw1','address':'192.0.2.9','endpoints':['aaln/2'],'replace':true}", "ok"},
		{"pattern.del", "{'pattern':'0!'}", "ok {'pattern':'0!'}"},
		{"pattern.del", "{'pattern':'0!'}", "not-found: no \"pattern//0!\""},
		{"pattern.del", "{'pattern':'0!','partition':'out'}", "ok"},
		{"pattern.del", "{'pattern':'0!','partition':5}", "invalid: the string pattern is needed, and perhaps partition"},
		{"pattern.del", "{'partition':'out'}", "invalid: the string pattern is needed, and perhaps partition"},
		{"pattern.del", "{'pattern':'!!'}", "invalid: pattern \"!!\": it has two '!'"},
		{"gateway.del", "{'name':'gw1'}", "ok"},
	};

	begin();
	GO(world);
	GO(rows);
	end();
}

static void test_forwards(void)
{
	static const struct row rows[] = {
		{"forward.set", "{'number':'1001','all':'2000','ring_s':20}", "ok {'number':'1001'}"},
		{"forward.set", "{'number':'1001','busy':'2001'}", "ok"}, /* what is not given stays */
		{"show.forwards", "{}", "... 'all':'2000','busy':'2001'"},
		{"forward.set", "{'number':'1002','all':'2000'}", "not-found: no line 1002"},
		{"forward.set", "{'number':'1002','partition':'lab','all':'2000','css':'staff'}", "ok"},
		{"forward.set", "{'number':'4000','all':'2000'}", "not-found: no line 4000"}, /* a gateway's */
		{"forward.set", "{'all':'2000'}", "invalid: number is missing, or not one of 1 to 32 digits"},
		{"forward.set", "{'number':'1001','all':'x'}", "... invalid: all "},
		{"forward.set", "{'number':'1001','ring_s':301}", "invalid: ring_s is not 0 to 300"},
		{"forward.set", "{'number':'1001','ring_s':-1}", "invalid: ring_s is not a whole number"},
		{"forward.set", "{'number':'1001','css':'nobody'}", "invalid: 1001: no calling search space nobody"},
		{"forward.set", "{'number':'1001','when':'always'}", "invalid: unknown member \"when\""},
		/* nothing left: no record; and none without its line */
		{"forward.set", "{'number':'1001','all':'','busy':'','ring_s':0}", "ok"},
		{"show.forwards", "{}", "... [{'number':'1002',"},
		{"line.del", "{'number':'1002'}", "not-found: no line 1002"},
		{"line.del", "{'number':'1002','partition':'out'}", "not-found: no line 1002"},
		{"line.del", "{'number':'1002','partition':'a b'}", "... invalid: number \"1002@a b\" is not"},
		{"line.del", "{'number':'1002','partition':'lab','device':'SEP000000000009'}", "not-found: no line 1002 of \"SEP000000000009\""},
		{"line.del", "{'number':'1002','partition':2}", "... invalid: needed are the string number"},
		{"line.del", "{'number':'1002','partition':'lab'}", "ok"},
		{"show.forwards", "{}", "ok []"},
	};

	begin();
	GO(world);
	GO(rows);
	end();
}

/* A plan in one piece: what its parts name may be in it; one that is wrong, and nothing is there. */
static void test_import(void)
{
	static const char plan[] =
		"{'partitions':[{'name':'in'},{'name':'far'}],'css':[{'name':'all','partitions':['in','far']}],"
		"'gateways':[{'name':'gw9','address':'192.0.2.9','endpoints':['e/1']}],"
		"'devices':[{'name':'SEP00000000000A','css':'all','lines':[{'number':'55','partition':'in'}]}],"
		"'patterns':[{'pattern':'0.!','partition':'far','to':['gw9/e/1'],'discard':'predot'},{'pattern':'7X','kind':'translate','mask':'55','css':'all'}],"
		"'forwards':[{'number':'55','partition':'in','busy':'70','css':'all'}]}";
	static const struct row rows[] = {
		{"import", "{'partitions':[{'name':'in'},{'name':'a b'}],'css':[{'name':'all','partitions':['in','none']}],"
			   "'patterns':[{'pattern':'7?','kind':'block'},{'pattern':'8X','to':['gw9']},{'pattern':'9X','kind':'block'}],"
			   "'forwards':[{'number':'55','all':'1'}]}",
		 "invalid: 5 of 7 items are wrong: nothing was changed"
		 " | partitions a b invalid: partition \"a b\" is not 1 to 31 of letters, digits and . _ -"
		 " | css all invalid: all: no partition none"
		 " | patterns 7? invalid: pattern \"7?\": '?' is not supported"
		 " | patterns 8X invalid: 8X: no gateway gw9"
		 " | forwards 55 not-found: no line 55"},
		{"show.partitions", "{}", "ok []"},
		{"show.patterns", "{}", "ok []"},
		{"import", "{'patterns':{}}", "invalid: patterns is not an array"},
		{"import", "{'patterns':[5]}", "... patterns  invalid: it is no object"},
		/* two of one key within it; one that is a number of a line within it */
		{"import", "{'patterns':[{'pattern':'5.X','kind':'block'},{'pattern':'5X','kind':'block'}]}", "... patterns 5X exists: pattern//5X exists"},
		{"import", "{'devices':[{'name':'SEP00000000000B','lines':['66']}],'patterns':[{'pattern':'66','kind':'block'}]}",
		 "... patterns 66 exists: pattern 66 is a number of that partition, which has an owner"},
		{"import", plan, "ok {'devices':1,'gateways':1,'lines':0,'partitions':2,'css':1,'patterns':2,'forwards':1}"},
		{"import", plan, "... partitions in exists: partition/in exists"},
		{"import", "{'replace':true,'partitions':[{'name':'in','description':'here'}],'css':[{'name':'all','partitions':['far']}]}", "ok"},
		{"show.partitions", "{}", "... {'name':'in','description':'here',"},
		{"show.css", "{}", "... 'partitions':['far']"},
		{"partition.del", "{'name':'in'}", "in-use: partition/in is used by device SEP00000000000A"},
		{"css.del", "{'name':'all'}", "in-use: css/all is used by forward/55@in"},
	};

	begin();
	GO(rows);
	end();
}

static void forget_times(char *text)
{
	while ((text = strstr(text, "'changed_us':")) != NULL) {
		text += strlen("'changed_us':");
		memmove(text, text + strspn(text, "0123456789"), strlen(text + strspn(text, "0123456789")) + 1);
	}
}

/* An export is an import: into an empty store, and it is the same again. */
static void test_out_and_in(void)
{
	static const struct row more[] = {
		{"pattern.add", "{'pattern':'0.!','partition':'out','to':['gw1/aaln/2','gw1'],'discard':'predot','urgent':true,'description':'away'}", "ok"},
		{"pattern.add", "{'pattern':'8X','kind':'translate','mask':'10XX','prefix':'5','calling_prefix':'+49','css':'staff'}", "ok"},
		{"pattern.add", "{'pattern':'1[13]','kind':'block','reason':'no','busy_tone':true}", "ok"},
		{"forward.set", "{'number':'1002','partition':'lab','no_answer':'80','ring_s':9,'css':'staff'}", "ok"},
	};
	static const char *const shows[] = {"show.partitions", "show.css", "show.patterns", "show.forwards", "export", "show.devices"};
	char *before[6], *out;

	begin();
	GO(world);
	GO(more);
	close_store(); /* and what was acknowledged is there after a restart */
	open_store();
	for (int i = 0; i < 6; i++)
		before[i] = strdup(ask(shows[i], "{}"));
	out = strdup(ask("export", "{}") + 3);
	end();
	begin();
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("import", out), "ok {'devices':1,'gateways':2,'lines':0,'partitions':2,'css':1,'patterns':3,'forwards':1,"));
	for (int i = 0; i < 6; i++) {
		char *again = strdup(ask(shows[i], "{}"));

		forget_times(before[i]);
		forget_times(again);
		CU_ASSERT_STRING_EQUAL(again, before[i]);
		CU_ASSERT(strlen(again) > 20);
		free(again);
		free(before[i]);
	}
	free(out);
	end();
}

static int first;

static void on_first(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	first = memmem(line, len, "\"ok\":true", 9) != NULL ? 1 : -1;
}

/* While something of the plan is on its way nobody can say who uses what: the second command waits for it, and its answer is true then. */
static void test_under_way(void)
{
	static const char add[] = "{\"cmd\":\"css.add\",\"args\":{\"name\":\"new\",\"partitions\":[\"lab\"]}}";
	static const char del[] = "{\"cmd\":\"partition.del\",\"args\":{\"name\":\"lab\"}}";
	static const struct row rows[] = {
		{"partition.add", "{'name':'lab'}", "ok"},
		{"partition.add", "{'name':'out'}", "ok"},
	};

	begin();
	GO(rows);
	answered = first = 0;
	cp_admin_input(admin, add, strlen(add), on_first, NULL);
	cp_admin_input(admin, del, strlen(del), on_answer, NULL);
	CU_ASSERT_TRUE(first == 0 && answered == 0);
	CU_ASSERT_TRUE(wait_for(base, &answered) && first == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last, "partition/lab is used by css/new"));
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("show.partitions", "{}"), "'name':'lab'"));
	end();
}

static CU_TestInfo tests[] = {
	{"partitions", test_partitions},
	{"calling search spaces", test_css},
	{"patterns", test_patterns},
	{"forwarding", test_forwards},
	{"a plan in import", test_import},
	{"out and in again", test_out_and_in},
	{"while the plan is being changed", test_under_way},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("dialcmd", tests, setup, NULL)
