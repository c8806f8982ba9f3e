#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The journal of the embedded store: what was accepted is found there after a
# kill, whatever has become of its end; what is missing in its middle is told.

import os
import struct
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

STORE = 'conduit_store %%DIR%%/store max_size=64m;'
OTHERS = ['conduit_store']
PAGE = 4096


def read(api, name):
    with open(api.path('store/' + name), 'rb') as f:
        return f.read()


def write(api, name, data):
    with open(api.path('store/' + name), 'wb') as f:
        f.write(data)


def blocks(api):
    """Blocks of the last generation: (file, [offset, length])."""

    found = {}

    for n in (0, 1):
        name = 'journal.%d' % n
        data = read(api, name)
        offset = 0
        while data[offset:offset + 8] == b'conduit2':
            generation, = struct.unpack_from('=Q', data, offset + 16)
            length, = struct.unpack_from('=I', data, offset + 40)
            size = -(-(48 + 8 + length) // PAGE) * PAGE
            found.setdefault(generation, (name, []))[1].append((offset, size))
            offset += size

    return found[max(found)]


def refused(t, api, why, name):
    try:
        api.start()
        t.ok(False, name)

    except RuntimeError as e:
        t.like(str(e), why, name)


def made(t, api, n=6):
    """Tasks that have ended, then a kill; none is in the tables yet, as it
    would be some seconds later."""

    while True:
        tables = read(api, 'data.mdb')
        tasks = [api.alice.run(api.alice.image('sandbox:duration=10ms'))
                 for i in range(n)]
        api.kill_all()

        if read(api, 'data.mdb') == tables:
            return tasks

        api.start()


def there(api, tasks):
    return [api.alice.status(d['task_id']).status == 200
            and api.alice.document(d['task_id']) == d for d in tasks]


def test_tail(t):
    with Api(t, workers=1, http=STORE) as api:
        tasks = made(t, api)
        name, found = blocks(api)
        data = read(api, name)
        t.ok(len(found) > 6, '%d blocks in the journal' % len(found))
        last, size = found[-1]
        end = last + size

        # a block that was being written

        half = data[:end] + data[last:last + size // 2] + b'\xff' * 5000
        write(api, name, half)
        api.start()
        t.eq(there(api, tasks), [True] * len(tasks), 'behind it: no matter')
        more = made(t, api)
        api.start()
        t.eq(there(api, tasks + more), [True] * len(tasks + more),
             'nothing of it comes back')

        # the same generation's bytes, where they do not belong

        made(t, api)
        name, found = blocks(api)
        data = read(api, name)
        first = data[:found[1][0]]
        end = sum(found[-1])
        write(api, name, data[:end] + first + data[end + len(first):])
        api.start()
        t.eq(there(api, tasks + more), [True] * len(tasks + more),
             'nor of an earlier block that stands behind')


def test_middle(t):
    with Api(t, workers=1, http=STORE, allow=OTHERS) as api:
        tasks = made(t, api)
        name, found = blocks(api)
        data = read(api, name)
        middle = found[len(found) // 2][0]

        for what, offset in (('head', middle + 20), ('body', middle + 200),
                             ('first head', 9), ('first body', 300)):
            bad = bytearray(data)
            bad[offset] ^= 4
            write(api, name, bytes(bad))
            refused(t, api, 'cannot be used: its journal is damaged',
                    'damage in a ' + what)

        cut = data[:middle] + bytes(len(data) - middle)
        os.rename(api.path('store/' + name), api.path('store/kept'))
        write(api, name, cut)
        api.start()
        got = there(api, tasks)
        t.ok(got == sorted(got, reverse=True) and True in got
             and False in got, 'a power cut leaves what came first')
        api.kill_all()
        os.rename(api.path('store/kept'), api.path('store/' + name))
        api.start()
        t.eq(there(api, tasks)[0], True, 'it was folded only once')


def test_others(t):
    """Files that are not of one kind."""

    with Api(t, workers=1, http=STORE, allow=OTHERS) as api:
        tables = read(api, 'data.mdb')
        for i in range(3):
            tasks = made(t, api)
            new = read(api, 'data.mdb')
            api.start()
        tasks = made(t, api)
        new = read(api, 'data.mdb')
        write(api, 'data.mdb', tables)
        refused(t, api, 'belongs to later tables', 'tables from a backup')
        write(api, 'data.mdb', new)
        api.start()
        t.eq(there(api, tasks), [True] * len(tasks), 'its own are taken')


def test_turns(t):
    """Files take turns while tasks come, and kills hit whatever they hit."""

    with Api(t, workers=2, gpu=GPU, sandbox='', http='''
             conduit_store %%DIR%%/store max_size=4m;
             conduit_task_limit per_key=100000 total=100000;''') as api:
        text = 'x' * 20000
        tasks = []

        for i in range(6):
            for j in range(20):
                r = api.alice.image('turns', 'gpu-image',
                                    metadata={'text': text})
                if r.status == 202:
                    tasks.append(r['task_id'])
            api.kill_all()
            api.start()
            t.eq({api.alice.document(task)['status'] for task in tasks},
                 {'pending'}, '%d tasks are there' % len(tasks))

        size = sum(os.path.getsize(api.path('store/' + name))
                   for name in ('data.mdb', 'journal.0', 'journal.1'))
        t.ok(size <= (4 << 20) + 2 * (1 << 17), 'all files together: %d' % size)


run(test_tail, test_middle, test_others, test_turns)
