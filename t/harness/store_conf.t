#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Stores that cannot be used: nginx says why and does not start, and leaves
# what it has found as it is.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

STORE = 'conduit_store %%DIR%%/store;'
OTHERS = ['conduit_store']


def refuses(t, api, why, name, tested=True):
    """It does not start, and if nginx -t can see it, it says so, too."""

    if tested:
        good, out = api.check()
        t.ok(not good and re.search(why, out), 'nginx -t: ' + name) or \
            t.diag(out)

    try:
        api.start()
        t.ok(False, name)

    except RuntimeError as e:
        t.like(str(e), why, name)


def made(t, name='store'):
    """An nginx that has a task in its store, and has ended."""

    api = Api(t, workers=1, http='conduit_store %%%%DIR%%%%/%s;' % name,
              allow=OTHERS)
    task = api.alice.run(api.alice.image('sandbox:duration=10ms'))
    api.quit(DEADLINE * 2)
    return api, task


def change(path, function):
    with open(path, 'rb') as f:
        data = f.read()

    with open(path, 'wb') as f:
        f.write(function(data))

    return data


def test_places(t):
    with Api(t, workers=1, start=False, allow=OTHERS,
             http='conduit_store %%DIR%%/no/store;') as api:
        good, out = api.check()
        refuses(t, api, 'No such file', 'a parent that is not there',
                tested=False)
        api.write('file', 'x')
        api.setup(http='conduit_store %%DIR%%/file;')
        refuses(t, api, 'conduit_store ".*" cannot be used',
                'a file in its place')
        api.setup(http='conduit_store relative sync=off max_size=2m;')
        good, out = api.check()
        t.ok(good, 'nginx -t does not need the folder') or t.diag(out)
        t.ok(not os.path.exists(api.path('relative')), 'nor make it')
        os.mkdir(api.path('relative'))
        good, out = api.check()
        t.ok(good, 'an empty folder is good as well') or t.diag(out)
        t.eq(os.listdir(api.path('relative')), [], 'and left empty')
        os.rmdir(api.path('relative'))
        api.start()
        t.ok(os.path.isdir(api.path('relative')), 'it is made by the start')
        t.eq(os.stat(api.path('relative')).st_mode & 0o77, 0, 'for nobody else')
        t.eq(api.metric('conduit_store_info', backend='lmdb'), 1,
             'metrics name it')
        good, out = api.check()
        t.ok(good, 'nginx -t beside an nginx that runs') or t.diag(out)


def test_two(t):
    with Api(t, workers=1, http=STORE) as api:
        folder = api.path('store')
        with Api(t, workers=1, start=False, allow=OTHERS,
                 http='conduit_store %s;' % folder) as other:
            refuses(t, other, 'in use by another nginx', 'a second nginx',
                    tested=False)
            t.eq(api.alice.image('x').status, 202, 'the first one goes on')
            api.kill_all()
            other.start()
            t.ok(True, 'whoever comes next may have it')
            try:
                api.start()
                t.ok(False, 'and the first one is refused')
            except RuntimeError as e:
                t.like(str(e), 'in use by another nginx',
                       'and the first one is refused')
            api.allow += OTHERS


def test_damage(t):
    api, task = made(t)
    data = api.path('store/data.mdb')

    with api:
        good = change(data, lambda b: b.replace(b'conduit-store-3',
                                                b'conduit-store-7'))
        refuses(t, api, 'another version of the module', 'another format')
        change(data, lambda b: b'\0' * 65536)
        refuses(t, api, 'conduit_store ".*" cannot be used: .*LMDB',
                'no LMDB file')
        change(data, lambda b: good[:3 * 4096])
        refuses(t, api, 'conduit_store ".*" cannot be used: .*short',
                'a file that was cut off')
        change(data, lambda b: good)
        api.start()
        t.eq(api.alice.document(task['task_id']), task,
             'nothing was changed in it')


def test_zone(t):
    """A zone that cannot hold what is kept."""

    with Api(t, workers=1, gpu=GPU, sandbox='', zone='conduit:8m',
             http=STORE + 'conduit_task_limit per_key=9999;',
             allow=OTHERS + ['conduit_zone']) as api:
        tasks = [api.alice.image('x', 'gpu-image',
                                 metadata={'x': 'y' * 4000})['task_id']
                 for i in range(200)]
        api.quit(DEADLINE * 2)
        api.setup(zone='conduit:1m')
        refuses(t, api, 'conduit_zone "conduit" is too small', 'a small zone',
                tested=False)
        api.setup(zone='conduit:8m')
        api.start()
        t.eq({api.alice.document(task)['status'] for task in tasks},
             {'pending'}, 'nothing is lost by that')


run(test_places, test_two, test_damage, test_zone)
