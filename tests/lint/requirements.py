#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The registry of requirement rows: docs/requirements.csv, and docs/requirements.md made from it.

requirements.py              checks both and the tests that they name, prints counts; exit 1 if something is wrong
requirements.py --table      writes docs/requirements.md
requirements.py --self-test  shows on trees of its own that each rule finds what it is for

A row is DOCUMENT:ID (004b:CAPF-22) or DOCUMENT:Lnnn for a line of a table without ids. 'test' names suites (test_NAME), scenarios
(NAME.sh, NAME.py) and fuzz targets (fuzz_NAME); each cites the row in its source: "004b:CAPF-22", "004b:CAPF-20, CAPF-22 to
CAPF-24", or all of a kind with "004a: TFTP rows". 'limit' says what is not shown, and why.
"""
import csv
import io
import os
import re
import sys
import tempfile

DOCUMENTS = ('000', '001', '002', '004a', '004b', '004c')  # 003 is about a phone family that is not served here
COLUMNS = ['row', 'area', 'text', 'test', 'limit']
LATER = 'not built yet'
TEXT_MAX = 160

ROW = re.compile(r'(\d{3}[a-c]?):([A-Z][A-Z0-9]*?)(-?)(\d+)')
CITE = re.compile(r'(?<![0-9A-Za-z.])(\d{3}[a-c]?):([A-Z][A-Z0-9]*-\d+|L\d+)(?![0-9A-Za-z])')
MORE = re.compile(r'(,? and |, | to )([A-Z][A-Z0-9]*-\d+|L\d+)(?![0-9A-Za-z])')
KIND = re.compile(r'(?<![0-9A-Za-z.])(\d{3}[a-c]?): ?([A-Z][A-Z0-9]*) rows\b')
TEST = re.compile(r'test_[a-z0-9_]+|fuzz_[a-z0-9_]+|[a-z0-9_-]+\.(sh|py)')


def split(row):
    """('004b', 'CAPF', '-', 22) of '004b:CAPF-22', None if it is no row."""
    m = ROW.fullmatch(row)
    return (m[1], m[2], m[3], int(m[4])) if m else None


def order(row):
    s = split(row)
    return (s[0], s[1], s[3])


def name(doc, kind, dash, number, like):
    """A row's id with as many digits as 'like' has."""
    return '%s:%s%s%0*d' % (doc, kind, dash, len(re.search(r'\d+$', like)[0]), number)


def citations(text, kinds):
    """The rows that a source cites, and the (document, kind) pairs it cites whole. 'kinds': those of the registry, so that a word
    behind a citation that only looks like an id is none."""
    text = re.sub(r'\s*\n[ \t]*(\*(?!/)|#|//)?[ \t]*', ' ', text)
    rows = set()
    for m in CITE.finditer(text):
        doc, last, at = m[1], m[2], m.end()
        rows.add(doc + ':' + last)
        while True:
            n = MORE.match(text, at)
            if n is None or (doc, split(doc + ':' + n[2])[1]) not in kinds:
                break
            here, before = split(doc + ':' + n[2]), split(doc + ':' + last)
            if n[1] == ' to ' and here[1] == before[1]:
                rows.update(name(doc, here[1], here[2], k, n[2]) for k in range(before[3], here[3] + 1))
            rows.add(doc + ':' + n[2])
            last, at = n[2], n.end()
    return rows, {(m[1], m[2]) for m in KIND.finditer(text)}


class Tree:
    """A repository: what is read of it is read once."""

    def __init__(self, root):
        self.root = root
        self.cited = {}  # test's name -> its citations

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def read(self, *parts):
        try:
            with open(self.path(*parts), encoding='utf-8', errors='replace', newline='') as f:
                return f.read()
        except FileNotFoundError:
            return None

    def list(self, folder, *ends):
        try:
            return sorted(n for n in os.listdir(self.path(folder)) if n.endswith(ends))
        except FileNotFoundError:
            return []

    def source(self, test):
        """The file of a test that is run, or why there is none: (path, '') or (None, why)."""
        if test.startswith('test_'):
            path = ('tests', 'unit', test + '.c')
            run = re.search(r"^\s*'%s'\s*:" % re.escape(test[5:]), self.read('tests', 'unit', 'meson.build') or '', re.M)
        elif test.startswith('fuzz_'):
            path, run = ('tests', 'fuzz', test + '.c'), test[5:] in (self.read('tests', 'fuzz', 'meson.build') or '')
        else:
            path, run = ('tests', 'scenario', test), True
            if test.endswith('.py'):
                run = any(test in self.read('tests', 'scenario', n) for n in self.list('tests/scenario', '.sh'))
        if not os.path.isfile(self.path(*path)):
            return None, 'there is no ' + os.path.join(*path)
        return (path, '') if run else (None, 'nothing runs ' + os.path.join(*path))

    def scan(self, kinds):
        for folder, ends in (('unit', ('.c', '.h')), ('scenario', ('.sh', '.py')), ('fuzz', ('.c',)), ('xval', ('.c',))):
            for n in self.list('tests/' + folder, *ends):
                test = n if folder == 'scenario' else re.sub(r'\.c$', '', n)
                self.cited[test] = citations(self.read('tests', folder, n), kinds)


def load(tree, bad):
    text = tree.read('docs', 'requirements.csv')
    if text is None:
        bad.append('docs/requirements.csv is not there')
        return []
    if '\r' in text or not text.endswith('\n'):
        bad.append('docs/requirements.csv: lines end with one newline')
    try:
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as e:
        bad.append('docs/requirements.csv: %s' % e)
        return []
    if not lines or lines[0] != COLUMNS:
        bad.append('docs/requirements.csv: the first line is ' + ','.join(COLUMNS))
        return []
    rows = []
    for n, line in enumerate(lines[1:], 2):
        where = 'docs/requirements.csv line %d: ' % n
        if len(line) != len(COLUMNS):
            bad.append(where + '%d columns instead of %d' % (len(line), len(COLUMNS)))
        elif split(line[0]) is None:
            bad.append(where + '"%s" is no row' % line[0])
        else:
            rows.append(dict(zip(COLUMNS, line)))
    return rows


def check_rows(rows, bad):
    before = None
    for r in rows:
        who = r['row'] + ': '
        if before is not None and order(r['row']) == order(before):
            bad.append(who + 'is there twice')
        elif before is not None and order(r['row']) < order(before):
            bad.append(who + 'is behind ' + before + ': rows are sorted')
        before = r['row']
        if not re.fullmatch(r'[a-z][a-z-]*', r['area']):
            bad.append(who + 'area "%s" is not one word of small letters' % r['area'])
        for c in COLUMNS:
            if '\n' in r[c] or r[c] != r[c].strip() or '  ' in r[c] or '|' in r[c]:
                bad.append(who + c + ' is not one tidy line')
        if not 0 < len(r['text']) <= TEXT_MAX:
            bad.append(who + 'text has %d characters, 1 to %d are allowed' % (len(r['text']), TEXT_MAX))
        if not r['test'] and not r['limit']:
            bad.append(who + 'has neither a test nor a limit')
    docs = {split(r['row'])[0] for r in rows}
    for d in sorted(docs.symmetric_difference(DOCUMENTS)):
        bad.append('document %s: %s' % (d, 'is not known' if d in docs else 'has no row'))


def check_tests(tree, rows, bad):
    there = {r['row']: r for r in rows}
    tree.scan({split(r['row'])[:2] for r in rows})
    for r in rows:
        tests = r['test'].split(' ') if r['test'] else []
        if len(set(tests)) != len(tests):
            bad.append(r['row'] + ': a test is named twice')
        for t in tests:
            path, why = (None, '"%s" is no name of a test' % t) if TEST.fullmatch(t) is None else tree.source(t)
            if path is None:
                bad.append('%s: %s' % (r['row'], why))
                continue
            cited, whole = tree.cited[t]
            if r['row'] not in cited and split(r['row'])[:2] not in whole:
                bad.append('%s: %s does not cite it' % (r['row'], os.path.join(*path)))
    for t in sorted(tree.cited):
        for row in sorted(tree.cited[t][0]):
            if row.split(':')[0] not in DOCUMENTS:
                continue
            if row not in there:
                bad.append('%s cites %s, which docs/requirements.csv does not have' % (t, row))
            elif LATER in there[row]['limit'] and not there[row]['test']:
                bad.append('%s cites %s, which docs/requirements.csv says is %s: name the test there' % (t, row, LATER))


def counts(rows):
    shown = sum(bool(r['test']) for r in rows)
    part = sum(bool(r['test'] and r['limit']) for r in rows)
    later = sum(not r['test'] and LATER in r['limit'] for r in rows)
    return '%d rows: %d shown by tests (%d of them with a limit), %d limits, %d %s' % (
        len(rows), shown, part, len(rows) - shown - later, later, LATER)


def table(rows):
    out = ['<!-- Made by tests/lint/requirements.py --table from docs/requirements.csv: edit that. -->',
           '# Requirement rows', '',
           'Every row of the requirement catalogues, in our words, with the tests that show it or the limit that is in the way. A row',
           'that has both is shown but for what the limit says. Suites are `tests/unit/test_NAME.c`, scenarios `tests/scenario/NAME.sh`;',
           'each cites its rows. ' + counts(rows) + '.', '',
           'Documents, newest first: 000, 002, 001, 004a to 004c; where they differ the newer one counts. Lnnn is a line of a table without',
           'ids. 003 is about a phone family that is not served here.', '']
    for area in sorted({r['area'] for r in rows}):
        out += ['## ' + area, '', '| row | what | shown by | limit |', '|---|---|---|---|']
        for r in rows:
            if r['area'] == area:
                out.append('| %s | %s | %s | %s |' % (r['row'], r['text'], r['test'].replace(' ', ', '), r['limit']))
        out.append('')
    return '\n'.join(out)


def check(root):
    """(what is wrong, the rows)"""
    bad = []
    tree = Tree(root)
    rows = load(tree, bad)
    if rows:
        check_rows(rows, bad)
        check_tests(tree, rows, bad)
        if not bad and tree.read('docs', 'requirements.md') != table(rows):
            bad.append('docs/requirements.md is not of docs/requirements.csv: tests/lint/requirements.py --table')
    elif not bad:
        bad.append('docs/requirements.csv has no rows')
    return bad, rows


# --- does each rule find what it is for? ---

def self_test():
    good = [[d + ':AB-01', 'area', 'words', '', 'a limit'] for d in DOCUMENTS]
    good[0] = ['000:AB-01', 'area', 'words', 'test_one two.sh', '']
    good.insert(1, ['000:AB-02', 'area', 'words', 'test_one', 'but for this'])
    good.insert(2, ['000:AB-10', 'area', 'words', 'test_one', ''])
    good.insert(3, ['000:CD-01', 'area', 'words', '', LATER])
    good.insert(4, ['000:L7', 'area', 'words', 'two.sh', ''])
    files = {
        'tests/unit/meson.build': "suites = {\n  'one': [dep],\n}\n",
        'tests/unit/test_one.c': '/*\n * What is shown: 000:AB-01,\n * AB-02 and AB-10, TLS-13 beside.\n */\n',
        'tests/unit/test_idle.c': '/* never run, 000:AB-01 */\n',
        'tests/scenario/two.sh': '# 000: AB rows, and 000:L7\n',
    }

    def run(change=None, rows=None, stale=False):
        lines = [list(r) for r in good]
        if rows is not None:
            rows(lines)
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**files, **(change or {})}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                    f.write(text)
            os.makedirs(os.path.join(root, 'docs'))
            with open(os.path.join(root, 'docs', 'requirements.csv'), 'w', encoding='utf-8', newline='') as f:
                csv.writer(f, lineterminator='\n').writerows([COLUMNS] + lines)
            with open(os.path.join(root, 'docs', 'requirements.md'), 'w', encoding='utf-8') as f:
                f.write('old' if stale else table([dict(zip(COLUMNS, r)) for r in lines if len(r) == len(COLUMNS) and split(r[0])]))
            return check(root)[0]

    def put(n, c, value):
        def do(lines):
            lines[n][COLUMNS.index(c)] = value
        return do

    one = files['tests/unit/test_one.c']
    cases = [
        ('neither a test nor a limit', 'neither', None, put(5, 'limit', '')),
        ('a test that is not there', 'there is no tests/unit/test_none.c', None, put(0, 'test', 'test_none')),
        ('a scenario that is not there', 'there is no tests/scenario/none.sh', None, put(0, 'test', 'none.sh')),
        ('a suite that nothing runs', 'nothing runs', None, put(0, 'test', 'test_idle')),
        ('a name of no test', 'no name of a test', None, put(0, 'test', 'one')),
        ('a test twice', 'twice', None, put(0, 'test', 'test_one test_one')),
        ('a row that its test does not cite', '000:AB-10: tests/unit/test_one.c does not cite it',
         {'tests/unit/test_one.c': one.replace(' and AB-10', '')}, None),
        ('a range', '', {'tests/unit/test_one.c': '/* 000:AB-01 to AB-10 */\n'},
         None),
        ('a cited row that is unknown', 'cites 000:AB-03', {'tests/unit/test_one.c': one + '/* 000:AB-03 */\n'}, None),
        ('a cited row of another document', '', {'tests/unit/test_one.c': one + '/* 003:AB-03 */\n'}, None),
        ('a cited row that is said to be missing', 'name the test there', {'tests/unit/test_one.c': one + '/* 000:CD-01 */\n'}, None),
        ('a row twice', 'is there twice', None, lambda l: l.insert(0, list(l[0]))),
        ('rows out of order', 'rows are sorted', None, lambda l: l.insert(0, l.pop(2))),
        ('a document without rows', 'document 004c: has no row', None, lambda l: l.pop()),
        ('an unknown document', 'document 009: is not known', None, lambda l: l.append(['009:A-01', 'area', 'x', '', 'y'])),
        ('no row at all', 'is no row', None, put(0, 'row', 'AB-01')),
        ('a column too few', '4 columns', None, lambda l: l[0].pop()),
        ('no text', 'text has 0', None, put(0, 'text', '')),
        ('too much text', 'text has 161', None, put(0, 'text', 'x' * 161)),
        ('two lines', 'one tidy line', None, put(0, 'text', 'x\ny')),
        ('an area of two words', 'area', None, put(0, 'area', 'Two words')),
    ]
    wrong = ['in order, and yet: ' + b for b in run()]
    if not any('is not of docs/requirements.csv' in b for b in run(stale=True)):
        wrong.append('a stale table was not found')
    for what, words, change, rows in cases:
        bad = run(change, rows)
        if what == 'a range':  # 03 to 09 are not there, 01, 02 and 10 are cited by it
            if len(bad) != 7 or not all('cites 000:AB-0' in b and 'does not have' in b for b in bad):
                wrong.append('%s: %s' % (what, bad))
        elif (words == '') != (bad == []) or (words != '' and not any(words in b for b in bad)):
            wrong.append('%s: %s' % (what, bad or 'was not found'))
    return wrong, len(cases) + 2


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    if sys.argv[1:] == ['--self-test']:
        wrong, n = self_test()
        for w in wrong:
            print('requirements: self-test: ' + w)
        print('requirements: self-test: %d of %d as they should be' % (n - len(wrong), n))
        return 1 if wrong else 0
    if sys.argv[1:] not in ([], ['--table']):
        sys.exit(__doc__)
    if sys.argv[1:] == ['--table']:
        bad = []
        rows = load(Tree(root), bad)
        if bad:
            sys.exit('\n'.join(bad))
        with open(os.path.join(root, 'docs', 'requirements.md'), 'w', encoding='utf-8') as f:
            f.write(table(rows))
    bad, rows = check(root)
    for b in bad:
        print('requirements: ' + b)
    print('requirements: ' + counts(rows))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
