#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Files of the embedded store are damaged while nginx runs: it says so, new
# tasks are refused, polls go on and tasks end.  No worker dies again and again,
# and whoever has a good copy of what was damaged has lost nothing.

import os
import struct
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

LEASED = GPU.replace('lease 1s', 'lease 60s')
STORE = '''
    conduit_store %%DIR%%/store max_size=8m;
    conduit_task_limit per_key=100000 total=100000;
'''
PAGE = 4096
TABLES = 'store/data.mdb'
JOURNALS = ('store/journal.0', 'store/journal.1')

# deaths in a row after which nobody looks at the tables any more

DEATHS = 3


def contents(api, name):
    with open(api.path(name), 'rb') as f:
        return f.read()


def put(api, name, pages):
    with open(api.path(name), 'r+b') as f:
        for n, data in pages.items():
            f.seek(n * PAGE)
            f.write(data)


def pages_of(data):
    return [data[n:n + PAGE] for n in range(0, len(data), PAGE)]


def used(api, name):
    """The pages of a file that are in use, those of LMDB's head aside."""

    skip = 2 if name == TABLES else 0
    return {n: page for n, page in enumerate(pages_of(contents(api, name)))
            if n >= skip and page.strip(b'\0')}


def hollow(page):
    """A leaf of a table becomes a branch with nothing in it: LMDB takes that
    for its own mistake, and ends the process.
    """

    flags, = struct.unpack_from('=H', page, 10)
    return page[:10] + struct.pack('=HHH', 1, 16, 16) + page[16:] \
        if flags == 2 else page


def zeros(api):
    pages = used(api, TABLES)
    put(api, TABLES, {n: bytes(PAGE) for n in pages})
    return lambda: put(api, TABLES, pages)


def hollows(api):
    pages = used(api, TABLES)
    put(api, TABLES, {n: hollow(page) for n, page in pages.items()})
    return lambda: put(api, TABLES, pages)


def cut(size):
    def damage(api):
        data = contents(api, TABLES)
        os.truncate(api.path(TABLES), size)
        return lambda: put(api, TABLES, {0: data})

    return damage


def journal(api):
    """The first block of those that are not in the tables yet."""

    first = {name: contents(api, name)[:PAGE] for name in JOURNALS}
    name = max(JOURNALS, key=lambda name: struct.unpack_from(
        '=Q', first[name].ljust(PAGE, b'\0'), 16))
    put(api, name, {0: b'\xa5' * PAGE})
    return lambda: put(api, name, {0: first[name]})


class Running:
    """An nginx with tasks of all kinds in its tables, and some that are in
    the journal only."""

    def __init__(self, api):
        self.api = api
        self.c = c = api.alice
        self.ended = [c.run(c.image('sandbox:duration=10ms'))
                      for i in range(2)]
        self.waiting = [self.create('x' * (i * 97)) for i in range(30)]
        api.kill_all()
        api.start()
        self.waiting += [self.create('x') for i in range(3)]

    def ask(self, function):
        """An answer; somebody may die over the question."""

        def asked():
            try:
                return function()

            except (OSError, EOFError, ValueError):
                return None

        return wait_for(asked, what='an answer')

    def create(self, text):
        r = self.ask(lambda: self.c.image('fill', 'gpu-image',
                                          metadata={'text': text}))
        return r['task_id'] if r.status == 202 else r

    def refused(self):
        """Creates until the journal has to be emptied, and cannot be."""

        while True:
            r = self.create('y' * 15000)
            if isinstance(r, Response):
                return r
            self.waiting.append(r)

    def statuses(self, tasks):
        return {self.ask(lambda: self.c.document(task))['status']
                for task in tasks}

    def deaths(self):
        return len(re.findall(r'exited on signal (6|7|11)',
                              self.api.error_log()))


def check(t, name, damage, why, deaths=0):
    allow = [r'\[emerg\].*conduit_store']
    if deaths:
        allow += ['exited on signal 6']

    with Api(t, workers=2, gpu=LEASED, http=STORE, allow=allow) as api:
        t.diag(name)
        nginx = Running(api)
        repair = damage(api)
        r = nginx.refused()
        t.eq((r.status, r.error(), r.header('retry-after') is not None),
             (503, 'store_unavailable', True), name + ': refused clearly')
        t.ok(api.wait_log(r'\[crit\].*conduit_store.*' + why),
             'the log says why')

        # each death costs a worker's connections, so there are few

        wait_for(lambda: nginx.deaths() >= deaths, what='deaths')
        wait_for(lambda: len(api.workers()) == 2, what='workers')
        check_goes_on(t, api, nginx)
        t.between(nginx.deaths(), deaths, deaths * 2,
              'workers that died over it')
        claimed, kept = check_ends(t, api, nginx)
        check_start(t, api, nginx, repair, claimed, kept)


def check_goes_on(t, api, nginx):
    c = api.alice
    t.eq([c.document(d['task_id']) for d in nginx.ended], nginx.ended,
         'polls go on')
    t.eq(nginx.statuses(nginx.waiting), {'pending'}, 'of all tasks')
    t.eq(c.get('/health').json()['checks']['store']['status'], 'Degraded',
         'health says so')
    t.eq(api.metric('conduit_store_failing'), 1, 'so does a metric')
    for i in range(2):
        api.kill_worker()
    t.eq({nginx.ask(lambda: c.image('x', 'gpu-image')).status
          for i in range(10)}, {503}, 'new workers refuse as well')
    t.eq(nginx.statuses(nginx.waiting), {'pending'}, 'and answer polls')
    t.eq(c.get('/health').json()['checks']['store']['status'], 'Degraded',
         'health has not changed its mind')


def check_ends(t, api, nginx):
    """How tasks end is in the journal, which is good, or has room."""

    c = api.alice
    gone = nginx.waiting.pop(0)
    t.eq(c.cancel(gone).status, 200, 'a task can be cancelled')
    claimed = api.robot.worker('claim')['task_id']
    nginx.waiting.remove(claimed)
    r = api.robot.worker('tasks/%s/complete' % claimed, {
        'data': [{'url': 'https://example.com/a.png'}]})
    t.eq(r.status, 200, 'or completed')
    return claimed, [c.document(task) for task in (gone, claimed)]


def check_start(t, api, nginx, repair, claimed, kept):
    c = api.alice
    api.kill_all()
    before = {name: contents(api, name) for name in (TABLES,) + JOURNALS}

    try:
        api.start()
        t.ok(False, 'it does not start')

    except RuntimeError as e:
        t.like(str(e), r'conduit_store ".*" cannot be used: .*'
               '(damaged|short|empty)', 'it does not start')

    t.eq([name for name in before if contents(api, name) != before[name]],
         [], 'and touches nothing')
    repair()
    api.start()
    t.eq([c.document(d['task_id']) for d in nginx.ended + kept],
         nginx.ended + kept, 'with a good copy all ends are there')
    t.eq(nginx.statuses(nginx.waiting), {'pending'},
         'and all of %d tasks' % len(nginx.waiting))
    t.eq(c.image('x', 'gpu-image').status, 202, 'new ones are accepted')


def test_zeros(t):
    check(t, 'empty pages', zeros, 'data.mdb is damaged')


def test_hollows(t):
    check(t, 'pages that LMDB dies over', hollows,
          'data.mdb is damaged, processes have died over it', DEATHS)


def test_cut(t):
    check(t, 'a part of the file', cut(20 * PAGE + 100), 'cut off')
    check(t, 'an empty file', cut(0), 'cut off')


def test_journal(t):
    check(t, 'the journal', journal, 'its journal is damaged')


run(test_zeros, test_hollows, test_cut, test_journal)
