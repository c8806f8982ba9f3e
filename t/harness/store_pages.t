#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Bytes of the embedded store's tables are changed, here and there: nginx says
# so and does not start, or it has all as it was; it never crashes or hangs.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

ROUNDS = 20 if SANITIZE else 50
FILES = ('data.mdb', 'journal.0', 'journal.1')
PAGE = 4096


def contents(api, name):
    with open(api.path('store/' + name), 'rb') as f:
        return f.read()


def put(api, files):
    for name, data in files.items():
        with open(api.path('store/' + name), 'wb') as f:
            f.write(data)


def made(api):
    """Tasks of all kinds, all in the tables."""

    c = api.alice
    tasks = [c.image('a', 'gpu-image', metadata={'text': 'x' * (i * 97)},
                     headers={'Idempotency-Key': 'k%d' % i})['task_id']
             for i in range(40)]

    for task in tasks[::3]:
        c.cancel(task)

    tasks += [c.run(c.image('sandbox:duration=10ms'))['task_id']
              for i in range(3)]
    documents = {task: c.document(task) for task in tasks}
    api.kill_all()
    api.start()
    api.kill_all()

    return documents


def places(data, rng):
    """Of pages that are used: their heads, and anything in them."""

    used = [n for n in range(len(data) // PAGE)
            if data[n * PAGE:(n + 1) * PAGE].strip(b'\0')]

    for i in range(ROUNDS):
        page = rng.choice(used) * PAGE
        yield page + (rng.randrange(64) if i % 2 else rng.randrange(PAGE - 8))


def test(t):
    rng = random.Random(7)

    with Api(t, workers=1, gpu=GPU, allow=['conduit_store'],
             http='conduit_store %%DIR%%/store max_size=8m;') as api:
        documents = made(api)
        files = {name: contents(api, name) for name in FILES}
        data = files['data.mdb']
        refused = 0
        wrong = []

        for place in places(data, rng):
            bad = bytearray(data)
            for i in range(place, place + rng.choice((1, 2, 8))):
                bad[i] ^= rng.randrange(1, 256)
            put(api, dict(files, **{'data.mdb': bytes(bad)}))

            try:
                api.start()

            except RuntimeError as e:
                refused += 1
                if not re.search('conduit_store ".*" cannot be used: .', str(e)):
                    wrong.append((place, str(e)[-500:]))
                if contents(api, 'data.mdb') != bytes(bad):
                    wrong.append((place, 'the file was changed'))
                continue

            # sequences of those that go on have jumped

            for task, d in documents.items():
                now = api.alice.document(task)
                for name in d:
                    if now[name] != d[name] and name != 'sequence':
                        wrong.append((place, task, name))

            r = api.alice.image('sandbox:duration=10ms')
            if r.status != 202:
                wrong.append((place, r.status))
            api.kill_all()

        t.eq(wrong, [], 'clear in all of %d places' % ROUNDS)
        t.ok(refused > ROUNDS // 4, 'damage was seen in %d' % refused)
        put(api, files)
        api.start()
        t.eq(api.alice.image('sandbox:duration=10ms').status, 202,
             'the whole one goes on')


run(test)
