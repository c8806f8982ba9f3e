#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Idempotency-Key: races over several workers, replays, conflicts.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def check_race(t, workers, rounds, sockets):
    with Api(t, workers=workers) as api:
        made = api.alice.encode
        bad = []
        replays = 0

        for i in range(rounds):
            body = {'model': 'sandbox-image', 'prompt': 'round %d' % i,
                    'size': '32x32'}
            data = made('POST', IMAGES + '/async', body,
                        {'Idempotency-Key': 'round-%d' % i})
            replies = together(api.port(), [data] * sockets)
            ids = {r['task_id'] for r in replies if r.status == 202}
            fresh = [r for r in replies if r.status == 202
                     and r.header('idempotency-replayed') is None]
            replays += sum(r.header('idempotency-replayed') == 'true'
                           for r in replies)
            others = [r for r in replies if r.status != 202]

            if (len(ids) != 1 or len(fresh) != 1
                    or any(r.status != 409 or not r.header('retry-after')
                           or r.error() != 'idempotency_in_progress'
                           or r.header('x-should-retry') == 'false'
                           for r in others)):
                bad.append(replies)

        t.eq(bad[:1], [], '%d workers: one task per key' % workers)
        t.ok(replays > 0, '%d workers: replays' % workers)
        t.eq(sum(1 for _ in all_tasks(api.alice)), rounds,
             '%d workers: exactly one task for each' % workers)


def all_tasks(client):
    query = {'limit': 100}

    while True:
        r = client.list(**query)
        yield from r['data']
        if not r['has_more']:
            return
        query['after'] = r['last_id']


def test_two_workers(t):
    check_race(t, 2, 40, 6)


def test_four_workers(t):
    check_race(t, 4, 40, 8)


def check_replay(t, api):
    key = {'Idempotency-Key': '"a key"'}
    body = {'model': 'sandbox-image', 'prompt': 'once'}
    first = api.alice.post(IMAGES + '/async', body, key)
    again = api.alice.post(IMAGES + '/async', body,
                           dict(key, Prefer='wait=5'))
    t.eq((again.status, again.body, again.header('location')),
         (202, first.body, first.header('location')), 'the stored reply')
    t.eq((first.header('idempotency-replayed'),
          again.header('idempotency-replayed')), (None, 'true'),
         'Idempotency-Replayed')

    r = api.alice.post(IMAGES + '/async', dict(body, n=2), key)
    t.eq((r.status, r.error()), (422, 'idempotency_mismatch'),
         'another body')
    r = api.alice.post(VIDEOS + '/async', dict(
        body, model='sandbox-video'), key)
    t.eq(r.status, 422, 'another path')
    r = api.bob.post(IMAGES + '/async', body, key)
    t.eq((r.status, r['task_id'] != first['task_id']), (202, True),
         'another virtual key')

    for bad in ('', 'x' * 256, '"x" y\x7f', 'sch\u00f6n'):
        r = api.alice.post(IMAGES + '/async', body,
                           {'Idempotency-Key': bad})
        t.eq(r.status, 400, 'bad key %r' % bad[:5])
    r = api.alice.post(IMAGES + '/async', body,
                       {'Idempotency-Key': 'x' * 255})
    t.eq(r.status, 202, '255 characters')

    key = {'Idempotency-Key': 'after an error'}
    r = api.alice.post(IMAGES + '/async', {'model': 'sandbox-image'}, key)
    t.eq(r.status, 400, 'an error')
    r = api.alice.post(IMAGES + '/async', body, key)
    t.eq(r.status, 202, 'is not stored')


def check_limits(t, api):
    """Replays work when nothing new can be made."""

    key = {'Idempotency-Key': 'full'}
    body = {'model': 'sandbox-image', 'prompt': 'sandbox:duration=60s'}
    first = api.few.post(IMAGES + '/async', body, key)
    r = api.few.post(IMAGES + '/async', body)
    t.eq((first.status, r.status, r.error()),
         (202, 429, 'too_many_tasks'), 'a limit')
    t.ok(r.header('retry-after') and r.header('retry-after-ms'),
         'with Retry-After')
    r = api.few.post(IMAGES + '/async', body, key)
    t.eq((r.status, r.body), (202, first.body), 'a replay at the limit')


def check_sync(t, api):
    p = api.provider
    key = {'Idempotency-Key': 'sync'}
    body = {'model': 'dall-e-3', 'prompt': 'script:held-submit sync'}

    with api.alice.connect() as c:
        c.send(api.alice.encode('POST', IMAGES, body, key))
        p.wait(lambda p: p.count('submit', 'sync'))
        r = api.alice.post(IMAGES, body, key)
        t.eq((r.status, r.error(), r.header('x-should-retry')),
             (409, 'idempotency_in_progress', None), 'sync: in progress')
        t.ok(r.header('retry-after'), 'sync: with Retry-After')
        p.release('go')
        first = c.read_response('POST')

    again = api.alice.post(IMAGES, body, key)
    t.eq((first.status, again.status, again.body,
          again.header('idempotency-replayed')),
         (200, 200, first.body, 'true'), 'sync: the final body')
    t.eq(p.count('submit', 'sync'), 1, 'sync: one submit')

    bodies = [api.alice.encode('POST', IMAGES, {
        'model': 'dall-e-3', 'prompt': 'script:slow-submit race'},
        {'Idempotency-Key': 'sync race'})] * 6
    replies = together(api.port(), bodies)
    t.eq(p.count('submit', 'race'), 1, 'sync: a race makes one submit')
    t.eq({r.status for r in replies} - {200, 409}, set(),
         'sync: the others wait or get 409')

    key = {'Idempotency-Key': 'sync failure'}
    body = {'model': 'dall-e-3', 'prompt': 'script:submit-404 failing'}
    p.script('submit-404', submit=[{'status': 404}, {}])
    r = api.alice.post(IMAGES, body, key)
    t.eq(r.status, 404, 'sync: a failure')
    r = api.alice.post(IMAGES, body, key)
    t.eq(r.status, 200, 'sync: is not stored')


def test_rules(t):
    with Api(t, workers=2, providers=['openai'],
             keys={'few': 'tasks 1;'}) as api:
        check_replay(t, api)
        check_limits(t, api)
        check_sync(t, api)


run(test_two_workers, test_four_workers, test_rules)
