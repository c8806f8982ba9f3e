#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# conduit_key_file: read again when it changes, without a reload.

import datetime
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def stamp(seconds):
    return (datetime.datetime.utcnow() + datetime.timedelta(
        seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%SZ')


def everywhere(api, client, expected):
    """Whether all workers answer so, now that they have read the file."""

    return all(client.list().status == expected for _ in range(8))


def test_key_file(t):
    with Api(t, workers=2, start=False, keys={'dave': None, 'erin': None},
             http='conduit_key_file %%DIR%%/keys.json;') as api:
        def put(**keys):
            began = time.monotonic()
            api.put_keys(json.dumps(keys))
            return time.monotonic() - began

        dave = {'secret': api.sha256('dave')}
        api.write('keys.json', json.dumps({'dave': dave}))
        api.start()
        t.eq(api.dave.list().status, 200, 'a key of the file')
        t.eq(api.erin.list().status, 401, 'no such key')
        task = api.dave.image('kept')['task_id']

        took = put(dave=dave, erin={
            'secret': [{'sha256': api.sha256('erin')}],
            'rate': '6000r/m burst=77', 'worker': True,
            'models': ['sandbox-v*']})
        t.ok(everywhere(api, api.erin, 200), 'a new key')
        t.between(took, 0, 2.2 * BUSY, 'within 2 s')
        t.eq(api.erin.list().header('x-ratelimit-limit'), '77', 'its rate')
        t.eq(api.erin.worker('claim', {}).status, 204, 'worker')
        r = api.erin.image('x')
        t.eq((r.status, r.error()), (403, 'model_not_allowed'), 'models')
        t.eq(api.erin.video('x').status, 202, 'a model that fits')

        pids = api.workers()
        api.write('keys.json', '{"dave": {"secret": ')
        api.wait_log('keys.json')
        t.eq((api.dave.list().status, api.erin.list().status), (200, 200),
             'a bad file leaves the last good one')

        put(dave=dict(dave, disabled=True), erin={
            'secret': {'sha256': api.sha256('erin'),
                       'expires': stamp(-10)}})
        t.ok(everywhere(api, api.dave, 403), 'disabled')
        t.eq(api.dave.list().error(), 'key_disabled', 'its code')
        r = api.erin.list()
        t.eq((r.status, r.error(), r.header('www-authenticate')),
             (401, 'invalid_api_key', 'Bearer'), 'an expired secret')

        put(dave=dict(dave, expires=stamp(3600)))
        t.ok(everywhere(api, api.dave, 200), 'enabled again')
        t.eq(api.dave.status(task).status, 200, 'its tasks are there')
        t.eq(api.erin.list().status, 401, 'a removed key')

        api.write('keys.json', json.dumps({'dave': dave, 'alice': dave}))
        api.wait_log('alice')
        t.eq(api.alice.list().status, 200, 'a name of nginx.conf is refused')

        put(dave={'secret': [api.sha256('erin'), api.sha256('dave')]})
        t.ok(everywhere(api, api.erin, 200), 'rotation: the new secret')
        t.eq(api.erin.status(task).status, 200, 'opens the same tasks')
        t.eq(api.dave.status(task).status, 200, 'rotation: the old one')
        t.eq(api.workers(), pids, 'without a reload')

        os.unlink(api.path('keys.json'))
        api.wait_log('No such file')
        t.eq(api.dave.list().status, 200, 'a missing file changes nothing')
        put(erin={'secret': api.sha256('erin')})
        t.ok(everywhere(api, api.dave, 401), 'until it is back')


def test_checks(t):
    with Api(t, start=False,
             http='conduit_key_file %%DIR%%/keys.json;') as api:
        good = api.sha256('alice')

        for text, what in (
                ('{', 'bad JSON'), ('[]', 'no object'),
                ('{"x": {}}', 'no secret'),
                ('{"x": {"secret": "clear text"}}', 'a clear secret'),
                ('{"x": {"secret": "%s", "rate": "fast"}}' % good,
                 'a bad rate'),
                ('{"x": {"secret": "%s", "expires": "soon"}}' % good,
                 'a bad time'),
                ('{"alice": {"secret": "%s"}}' % good,
                 'a name of nginx.conf')):
            api.write('keys.json', text)
            ok, out = api.check()
            t.ok(not ok and 'keys.json' in out,
                 'nginx -t: ' + what) or t.diag(out)


run(test_key_file, test_checks)
