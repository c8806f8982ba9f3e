#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The life of hub connections: pings, silence, slow readers, keys that are
# revoked, TLS.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELD = GPU.replace('lease 1s', 'lease 60s')


def claimed(api, **more):
    task = api.alice.image('s', 'gpu-image', **more)['task_id']
    api.robot.worker('claim', {})
    return task


def tell(api, task, progress, message=None):
    r = api.robot.worker('tasks/%s/progress' % task,
                         {'progress': progress, 'message': message})
    if r.status != 200:
        raise AssertionError(repr(r))


def finish(api, task):
    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/a.png'}]})
    if r.status != 200:
        raise AssertionError(repr(r))


def test_keepalive(t):
    with Api(t, http='''
             conduit_hub_keepalive 300ms;
             conduit_hub_timeout 1s;''') as api:
        start = time.time()

        with Hub(api.port(), api.alice.key) as hub:
            for _ in range(5):
                t.eq(hub.record(), {'type': 6}, 'ping')
            t.between(time.time() - start, 1.2, 1.5 + 2 * BUSY,
                      'a client that never pings may be silent')

            start = time.time()
            hub.send({'type': 6})
            last = None
            try:
                while True:
                    last = hub.record()
            except Closed as e:
                t.eq(e.code, 1000, 'one that has pinged may not')
            t.ok(last['type'] == 7 and last.get('error'), 'it is told so')
            t.between(time.time() - start, 0.9, 1.5 + 2 * BUSY, 'in time')


def test_directives(t):
    with Api(t, gpu=HELD, http='''
             conduit_hub_events task typed;
             conduit_hub_message_size 2k;''') as api:
        task = claimed(api)

        with Hub(api.port(), api.alice.key) as hub:
            hub.invoke('SubscribeToTask', task)
            finish(api, task)
            names = {e[0] for e in hub.until('ImageGenerationCompleted')}
            t.eq(names, {'ImageGenerationStarted', 'TaskProgress',
                         'ImageGenerationProgress', 'TaskCompleted',
                         'ImageGenerationCompleted'}, 'both dialects')
            hub.ws.send('x' * 2049)
            t.eq(hub.ws.ended(), 1000, 'a message that is too large')

    for name, text in (
            ('connections', 'conduit_connections per_key=0;'),
            ('connections', 'conduit_connections each=1;'),
            ('events', 'conduit_hub_events all;'),
            ('size', 'conduit_hub_message_size 10;'),
            ('buffer', 'conduit_hub_buffer 10g;'),
            ('hub', 'server { location /x { conduit_hub audio; } }')):
        with Api(t, http=text, start=False) as api:
            good, said = api.check()
            t.ok(not good and 'conduit_' in said, '%s is refused' % text)


def test_revoked(t):
    with Api(t, gpu=HELD, workers=2, start=False, keys={'dave': None},
             http='conduit_key_file %%DIR%%/keys.json;') as api:
        dave = {'secret': api.sha256('dave')}
        client = Client(api.port(), api.secrets['dave'])

        for name, change in (('disabled', dict(dave, disabled=True)),
                             ('removed', None)):
            if name == 'disabled':
                api.write('keys.json', json.dumps({'dave': dave}))
                api.start()
            else:
                api.put_keys(json.dumps({'dave': dave}))

            hubs = [Hub(api.port(), client.key) for _ in range(4)]
            other = Hub(api.port(), api.alice.key)
            start = time.time()
            api.write('keys.json', json.dumps(
                {'dave': change} if change else {}))

            for hub in hubs:
                t.eq(hub.ws.ended(), 1000, 'closed')
                hub.close()

            t.between(time.time() - start, 0, 2.2 * BUSY, name)
            t.ok('error' not in other.invoke('UnsubscribeFromTask', 'x'),
                 'others stay')
            other.close()


def test_slow_reader(t):
    with Api(t, gpu=HELD, http='conduit_hub_buffer 4k;',
             server='listen 127.0.0.1:%%PORT1%% sndbuf=16k;') as api:
        task = claimed(api)

        with Hub(api.port(1), api.alice.key, TASKS_HUB) as hub:
            hub.ws.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')
            before = rss(api.workers()[0])

            with api.robot.connect() as c:
                for i in range(1500):
                    r = c.request('POST', WORKER + 'tasks/%s/progress' % task,
                                  None, {'progress': 1 + i // 16,
                                         'message': 'x' * 900 + str(i)},
                                  api.robot.key)
                    if r.status != 200:
                        raise AssertionError(repr(r))

            grown = rss(api.workers()[0]) - before
            t.ok(SANITIZE or grown < 4 << 20,
                 'memory is bounded: %d' % grown)
            t.ok(api.metric('conduit_hub_skipped_total') > 0,
                 'progress was skipped')
            finish(api, task)

            events = hub.until('TaskCompleted')
            t.ok(len(events) < 1500, 'not all progress was sent: %d'
                 % len(events))
            values = [e[1][1] for e in events if e[0] == 'TaskProgress']
            t.eq(values, sorted(values), 'it never falls')
            hub.invoke('UnsubscribeFromTask', task)
            t.eq(hub.records, [], 'nothing follows the end')


def test_unseen_run(t):
    """A task fails, is retried, and ends while its client does not read."""

    with Api(t, gpu=HELD, http='conduit_hub_buffer 4k;',
             server='listen 127.0.0.1:%%PORT1%% sndbuf=16k;') as api:
        task, other = claimed(api), claimed(api)

        with Hub(api.port(1), api.alice.key, TASKS_HUB) as hub:
            hub.ws.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')
            hub.invoke('SubscribeToTask', other)
            hub.until('TaskProgress')

            api.robot.worker('tasks/%s/fail' % task, {
                'error': 'no', 'error_code': 'internal_error'})
            hub.until('TaskFailed')

            for i in range(10000):
                tell(api, other, 50, 'x' * 900 + str(i))
                if i % 20 == 0 and api.metric('conduit_hub_skipped_total'):
                    break

            t.eq(api.alice.retry(task).status, 202, 'retried')
            wait_for(lambda: api.robot.worker('claim', {}).status == 200)
            finish(api, task)

            last = hub.until('TaskCompleted')[-1]
            t.eq(last[1][0], task, 'the end of the second run is told')
            hub.invoke('UnsubscribeFromTask', task)
            t.eq([r for r in hub.records if r['target'] == 'TaskCompleted'],
                 [], 'once')


def test_stalled(t):
    with Api(t, gpu=HELD, http='''
             conduit_hub_buffer 4k;
             conduit_hub_timeout 1s;''') as api:
        task = claimed(api, webhook_metadata={'a': 'x' * 9000})

        with Hub(api.port(), api.alice.key) as hub:
            hub.ws.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
            try:
                for i in range(2000):
                    hub.call('GetTask', task)
            except OSError:
                pass

            wait_for(lambda: api.metric('conduit_hub_connections') == 0,
                     20 * SLOW)
            t.ok(True, 'who does not read is closed')
            t.eq(api.metric('conduit_hub_stalled_total'), 1, 'and counted')


def test_tls(t):
    with Api(t, gpu=HELD, tls=True) as api:
        task = claimed(api)
        text = json.dumps({'protocol': 'json', 'version': 1}) + RS
        call = json.dumps({'type': 1, 'invocationId': '1',
                           'target': 'SubscribeToTask',
                           'arguments': [task]}) + RS

        with Hub(api.port(1), api.alice.key, negotiate=False, tls=True,
                 handshake=False) as hub:

            # two frames in one record: the second is not told by the socket

            hub.ws.c.send(frame(TEXT, text) + frame(TEXT, call))
            t.eq(hub.record(), {}, 'the first frame')
            t.eq(hub.record()['type'], 3, 'the second')
            t.eq(hub.event()[0], 'TaskProgress', 'an event')
            finish(api, task)
            hub.until('TaskCompleted')


run(test_keepalive, test_directives, test_revoked, test_slow_reader,
    test_unseen_run, test_stalled, test_tls)
