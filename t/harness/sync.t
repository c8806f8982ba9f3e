#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Synchronous images, as the SDKs of OpenAI ask for them.

import base64
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

CODES = {'content_policy_violation': 400, 'invalid_request': 400,
         'unsupported_model': 404, 'rate_limited': 429, 'cancelled': 409,
         'provider_auth': 502, 'provider_quota': 502,
         'provider_unavailable': 502, 'provider_error': 502,
         'provider_unknown': 502, 'result_too_large': 502,
         'result_expired': 502, 'timeout': 504, 'internal_error': 500}


def test_sandbox(t):
    with Api(t, workers=2) as api:
        r = api.alice.sync('a cat', size='64x32')
        t.eq(r.status, 200, 'sync create')
        t.eq(set(r.json()) & {'created', 'data'}, {'created', 'data'},
             'members')
        t.ok(abs(r['created'] - time.time()) < 60, 'created in seconds')
        picture = base64.b64decode(r['data'][0]['b64_json'])
        t.eq(picture[:8], b'\x89PNG\r\n\x1a\n', 'a picture')
        t.eq((int.from_bytes(picture[16:20], 'big'),
              int.from_bytes(picture[20:24], 'big')), (64, 32), 'its size')
        task = r.header('x-conduit-task-id')
        t.ok(UUID.match(task or ''), 'X-Conduit-Task-Id')
        t.eq(api.alice.document(task)['status'], 'completed', 'the task')

        again = [api.alice.sync('a cat', size='64x32', seed=s)
                 ['data'][0]['b64_json'] for s in (5, 5, 6)]
        t.ok(again[0] == again[1] != again[2],
             'the same for the same prompt and seed only')
        r = api.alice.sync('three', n=3)
        t.eq(len(r['data']), 3, 'n results')

        def fail(code):
            return api.alice.sync('sandbox:duration=50ms sandbox:error='
                                  + code)

        codes = [c for c in CODES if c != 'cancelled']
        for code, r in zip(codes, parallel(fail, codes)):
            t.eq((r.status, r.error(), r.header('x-should-retry')),
                 (CODES[code], code, 'false'), 'failure: ' + code)
            t.ok(UUID.match(r.header('x-conduit-task-id') or ''),
                 'task id of a failure')
            t.eq([r.header(h) for h in ('retry-after', 'retry-after-ms')],
                 ['5', '5000'] if r.status == 429 else [None, None],
                 'Retry-After of a 429 only')

        r = api.alice.post(VIDEOS, {'model': 'sandbox-video',
                                    'prompt': 'x'})
        t.eq((r.status, r.error()), (404, 'not_found'), 'no sync videos')
        t.like(r.error('message'), '/async', 'which says why')
        r = api.alice.get(IMAGES)
        t.eq((r.status, r.header('allow')), (405, 'POST, OPTIONS'),
             'GET without id')


def test_gone(t):
    with Api(t, workers=2, providers=['openai'],
             server='conduit_wait_max 1s;') as api:
        p = api.provider
        with api.alice.connect() as c:
            c.send(api.alice.encode('POST', IMAGES, {
                'model': 'dall-e-3', 'prompt': 'script:held-submit gone'}))
            p.wait(lambda p: p.count('submit', 'gone'))
        task = api.alice.list()['data'][0]['task_id']
        t.eq(api.alice.document(task)['status'], 'processing',
             'the task goes on without its client')
        p.release('go')
        d = api.alice.wait(task)
        t.eq(d['status'], 'completed', 'to its end')
        t.eq(p.count('submit', 'gone'), 1, 'with one submit')

        p.script('wait', submit=[{'hold': 'later'}])
        with api.alice.connect() as c:
            c.send(api.alice.encode('POST', IMAGES, {
                'model': 'dall-e-3', 'prompt': 'script:wait cancel'}))
            p.wait(lambda p: p.count('submit', 'cancel'))
            task = api.alice.list()['data'][0]['task_id']
            api.alice.cancel(task)
            r = c.read_response('POST')
        t.eq((r.status, r.error(), r.header('x-should-retry')),
             (409, 'cancelled', 'false'), 'cancelled while it is awaited')
        t.ok(p.wait(lambda p: any(q.aborted for q in
                                  p.select('submit', 'cancel'))),
             'the provider\'s connection is closed')

        r = api.alice.sync('script:slow-submit late', 'dall-e-3')
        t.eq(r.status, 200, 'the wait is not bounded by conduit_wait_max')


run(test_sandbox, test_gone)
