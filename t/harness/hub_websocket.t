#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Hubs over WebSocket: upgrade, handshake, subscriptions, frames, limits.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELD = GPU.replace('lease 1s', 'lease 60s')


def claimed(api, kind='image', **more):
    """A task that the test itself works on."""

    task = getattr(api.alice, kind)('s', 'gpu-' + kind, **more)['task_id']
    api.robot.worker('claim', {})
    return task


def tell(api, task, progress):
    r = api.robot.worker('tasks/%s/progress' % task, {'progress': progress})
    if r.status != 200:
        raise AssertionError(repr(r))


def finish(api, task, name='a.png'):
    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/' + name}]})
    if r.status != 200:
        raise AssertionError(repr(r))


def refused(function):
    try:
        function()
        return None
    except Refused as e:
        return e.response


def test_subscribe(t):
    with Api(t, gpu=HELD, workers=2) as api:
        task = claimed(api)

        with Hub(api.port(), api.alice.key) as hub:
            r = hub.invoke('SubscribeToTask', task)
            t.ok('error' not in r and r.get('result') is None, 'subscribed')
            t.eq(hub.event(), ('TaskProgress', [task, 0]), 'its state at once')

            tell(api, task, 42)
            t.eq(hub.event(), ('TaskProgress', [task, 42]), 'progress')

            finish(api, task)
            name, (one, result) = hub.event()
            t.eq((name, one), ('TaskCompleted', task), 'completed')
            t.eq(result['imageUrl'], 'https://example.com/a.png', 'its result')
            t.eq(result['status'], 'completed', 'and status')

            r = hub.invoke('SubscribeToTask', task)
            t.eq(hub.event()[0], 'TaskCompleted', 'an end is told again')
            r = hub.invoke('UnsubscribeFromTask', task)
            t.ok('error' not in r, 'unsubscribed')

            r = hub.invoke('GetTask', task)
            t.eq(r['result'], api.alice.document(task), 'the document')

        with Hub(api.port(), api.alice.key, negotiate=False) as hub:
            r = hub.invoke('SubscribeToTask', task)
            t.eq(hub.event()[0], 'TaskCompleted', 'without negotiation')


def test_methods(t):
    with Api(t, gpu=HELD) as api:
        image = claimed(api)
        video = claimed(api, 'video')
        other = api.bob.image('s', 'gpu-image')['task_id']

        with Hub(api.port(), api.alice.key) as hub:
            for one in other, video, 'x', 'a' * 36:
                r = hub.invoke('SubscribeToTask', one)
                t.eq(r.get('error'), 'Task not found', 'not ours: %s' % one)

            r = hub.invoke('Nonsense', image)
            t.eq(r.get('error'), "Unknown hub method 'Nonsense'", 'unknown')
            r = hub.invoke('SubscribeToTask')
            t.like(r.get('error'), 'SubscribeToTask', 'no argument')
            r = hub.invoke('SubscribeToTask', 7)
            t.like(r.get('error'), 'SubscribeToTask', 'not a string')

            hub.send({'type': 1, 'target': 'SubscribeToTask',
                      'arguments': [image]})
            t.eq(hub.event()[0], 'TaskProgress', 'a send has no completion')

            r = hub.invoke('CancelTask', image)
            t.eq(r['result']['status'], 'cancelled', 'cancelled')
            t.eq(hub.event(), ('TaskFailed', [image, 'Task was cancelled']),
                 'and told')
            r = hub.invoke('CancelTask', image)
            t.ok('error' in r, 'but once')

        with Hub(api.port(), api.alice.key, TASKS_HUB) as hub:
            hub.invoke('SubscribeToTask', video, ['started', 'completed'])
            name, arguments = hub.event()
            t.eq((name, arguments[0]), ('TaskStarted', video), 'started')
            tell(api, video, 10)
            finish(api, video, 'a.mp4')
            name, (one, result) = hub.event()
            t.eq((name, result['videoUrl']), (
                 'TaskCompleted', 'https://example.com/a.mp4'), 'filtered')


def test_all_tasks(t):
    with Api(t, gpu=HELD, workers=2) as api:
        first = claimed(api)

        with Hub(api.port(), api.alice.key) as hub, \
                Hub(api.port(), api.alice.key, TASKS_HUB) as tasks, \
                Hub(api.port(), api.bob.key, TASKS_HUB) as other:
            for one in hub, tasks, other:
                t.ok('error' not in one.invoke('SubscribeToAllTasks'), 'all')

            t.eq(hub.event(), ('TaskProgress', [first, 0]), 'one that runs')

            video = claimed(api, 'video')
            second = claimed(api)
            tell(api, second, 7)
            finish(api, first)
            finish(api, second)

            events = []
            while sum(e[0] == 'TaskCompleted' for e in events) < 2:
                events.append(hub.event())

            ids = {e[1][0] for e in events}
            t.eq(ids, {first, second}, 'all of the kind')
            t.eq([e[1][0] for e in events if e[0] == 'TaskCompleted'],
                 [first, second], 'each end once')

            finish(api, video, 'a.mp4')
            events = []
            while sum(e[0] == 'TaskCompleted' for e in events) < 3:
                events.append(tasks.event())

            t.eq([e[1][0] for e in events if e[0] == 'TaskStarted'],
                 [first, video, second], 'each start once')

            t.ok('error' not in hub.invoke('UnsubscribeFromAllTasks'), 'off')
            third = claimed(api)
            finish(api, third)
            tasks.until('TaskCompleted')
            r = hub.invoke('UnsubscribeFromTask', third)
            t.eq(hub.records, [], 'nothing more')

            r = other.invoke('UnsubscribeFromTask', third)
            t.eq(other.records, [], 'nothing of another key')


def test_handshake(t):
    with Api(t) as api:
        for name, text, error in (
                ('xml', {'protocol': 'xml', 'version': 1},
                 "The protocol 'xml' is not supported."),
                ('version', {'protocol': 'json', 'version': 3},
                 "The server does not support version 3 of the 'json' "
                 "protocol."),
                ('no protocol', {}, None)):
            with Hub(api.port(), api.alice.key, handshake=False) as hub:
                hub.send(text)
                reply = hub.record()
                if error:
                    t.eq(reply, {'error': error}, name)
                else:
                    t.ok('error' in reply, name)
                t.eq(hub.ws.ended(), 1000, 'closed')

        task = api.alice.image('x')['task_id']

        with Hub(api.port(), api.alice.key, handshake=False) as hub:
            text = '{"protocol": "json", "version": 0}' + RS
            for ch in text:
                hub.ws.send(ch)
            t.eq(hub.record(), {}, 'byte by byte')

        with Hub(api.port(), api.alice.key, handshake=False) as hub:
            hub.ws.send(text + json.dumps(
                {'type': 1, 'invocationId': 'x', 'target': 'GetTask',
                 'arguments': [task]}) + RS, BINARY)
            t.eq(hub.record(), {}, 'two messages in one frame')
            t.eq(hub.record()['result']['task_id'], task, 'both are read')

        with Hub(api.port(), api.alice.key, handshake=False,
                 behind=frame(TEXT, text)) as hub:
            t.eq(hub.record(), {}, 'sent behind the request')


def test_frames(t):
    with Api(t) as api:
        for name, data, code in (
                ('not masked', frame(TEXT, 'x', mask=False), 1002),
                ('reserved bit', frame(TEXT, 'x', bits=0x40), 1002),
                ('opcode', frame(3, 'x'), 1002),
                ('long ping', frame(PING, 'x' * 126), 1002),
                ('split ping', frame(PING, 'x', fin=False), 1002),
                ('continuation', frame(0, 'x'), 1002),
                ('utf-8', frame(TEXT, b'\xff'), 1007),
                ('close code', frame(CLOSE, b'\x03\xec'), 1002),
                ('bad message', frame(TEXT, '{' + RS), 1000),
                ('too big', frame(TEXT, 'x' * 32769), 1000)):
            with Hub(api.port(), api.alice.key) as hub:
                hub.ws.c.send(data)
                t.eq(hub.ws.ended(), code, name)

        with Hub(api.port(), api.alice.key) as hub:
            hub.ws.send('hello', PING)
            t.eq(hub.ws.read(), (PONG, b'hello'), 'pong')
            hub.ws.send('x', PONG)
            hub.ws.send('{"type":', fin=False)
            hub.ws.send('', PING)
            t.eq(hub.ws.read(), (PONG, b''), 'between fragments')
            hub.ws.send('6}' + RS, 0)
            hub.ws.send(struct.pack('>H', 1001) + b'bye', CLOSE)
            t.eq(hub.ws.ended(), 1001, 'close is echoed')

        with Hub(api.port(), api.alice.key) as hub:
            hub.send({'type': 7})
            t.eq(hub.record(), {'type': 7}, 'Close is answered')
            t.eq(hub.ws.ended(), 1000, 'and the socket closed')


def test_refusals(t):
    with Api(t, keys={'carl': 'disabled;'}) as api:
        port = api.port()
        carl = api.secrets['carl']

        def connect(key=api.alice.key, **more):
            return refused(lambda: Hub(port, key, **more).close())

        for negotiate in True, False:
            t.eq(connect('nobody', negotiate=negotiate).status, 401, '401')
            r = connect(None, negotiate=negotiate)
            t.eq((r.status, r.header('www-authenticate')), (401, 'Bearer'),
                 'no key')
            t.eq(connect(carl, negotiate=negotiate).status, 403, '403')

        path = IMAGE_HUB + '?access_token=' + api.alice.key
        t.ok(connect(None, path=path, negotiate=False) is None,
             'the key in the query')

        r = connect(negotiate=False,
                    headers={'Sec-WebSocket-Version': '12'})
        t.eq((r.status, r.header('sec-websocket-version')), (426, '13'),
             'version')
        with Connection(api.port()) as c:
            c.send(encode_request('GET', IMAGE_HUB, {
                'Upgrade': 'websocket', 'Connection': 'Upgrade',
                'Sec-WebSocket-Version': '12'}, None, api.alice.key))
            t.eq(c.read_until(b'\r\n'), b'HTTP/1.1 426 Upgrade Required\r\n',
                 'and its words')
        r = connect(negotiate=False, headers={'Sec-WebSocket-Key': 'x'})
        t.eq(r.status, 400, 'key')
        r = connect(negotiate=False, path=IMAGE_HUB + '?id=x')
        t.eq((r.status, 'No Connection with that ID' in r.text), (404, True),
             'forged token')

        token = Hub.negotiate(type('X', (), {'port': port,
                                             'key': api.alice.key}),
                              IMAGE_HUB)['connectionToken']
        r = connect(api.bob.key, negotiate=False,
                    path=IMAGE_HUB + '?id=' + token)
        t.eq(r.status, 404, "another key's token")
        r = connect(negotiate=False, path=VIDEO_HUB + '?id=' + token)
        t.eq(r.status, 404, "another hub's token")
        r = api.alice.get(IMAGE_HUB)
        t.eq(r.status, 400, 'no upgrade')
        r = api.alice.get(IMAGE_HUB + '/negotiate')
        t.eq(r.status, 405, 'GET of negotiate')


def test_negotiate(t):
    with Api(t) as api:
        r = api.alice.post(IMAGE_HUB + '/negotiate?negotiateVersion=1')
        d = r.json()
        t.eq((r.status, r.header('content-type')), (200, 'application/json'),
             'negotiated')
        t.eq((d['negotiateVersion'], len(d['connectionId'])), (1, 22), 'v1')
        t.ok(d['connectionToken'] != d['connectionId'], 'a token')
        t.eq(d['availableTransports'][0], {
            'transport': 'WebSockets', 'transferFormats': ['Text', 'Binary']},
            'WebSockets first')

        for query in '', '?negotiateVersion=0':
            d = api.alice.post(IMAGE_HUB + '/negotiate' + query).json()
            t.eq(d['negotiateVersion'], 0, 'v0')
            t.ok('connectionToken' not in d, 'without a token')

        with Hub(api.port(), api.alice.key, version=0) as hub:
            t.ok(hub.id, 'connected by the id')

        r = api.alice.post(IMAGE_HUB + '/negotiate?negotiateVersion=x')
        t.eq((r.status, list(r.json())), (200, ['error']), 'no number')


def test_limits(t):
    with Api(t, workers=4, keys={'dora': 'connections 100;'},
             http='conduit_connections per_key=5 total=1000;') as api:
        port = api.port()
        hubs = [Hub(port, api.alice.key) for _ in range(5)]
        r = refused(lambda: Hub(port, api.alice.key))
        t.eq(r.status, 429, 'negotiate')
        t.ok(r.header('retry-after'), 'Retry-After')
        r = refused(lambda: Hub(port, api.alice.key, negotiate=False))
        t.eq(r.status, 429, 'connect')

        hubs.pop().close()
        wait_for(lambda: refused(
            lambda: hubs.append(Hub(port, api.alice.key))) is None)
        t.ok(True, 'a place that was given back')

        def connect(_):
            try:
                return Hub(port, api.dora.key, negotiate=False)
            except Refused as e:
                return e.status

        got = parallel(connect, range(200), 50)
        inside = [hub for hub in got if isinstance(hub, Hub)]
        t.eq(len(inside), 100, 'exactly 100 of 200 at once')
        t.eq({x for x in got if not isinstance(x, Hub)}, {429}, 'others: 429')

        for hub in hubs + inside:
            hub.close()


def test_kill(t):
    with Api(t, workers=2,
             http='conduit_connections per_key=10 total=1000;') as api:
        hubs = [Hub(api.port(), api.alice.key) for _ in range(10)]

        for pid in api.workers():
            api.kill_worker(pid)

        start = time.time()
        new = []

        def all_in():
            try:
                while len(new) < 10:
                    new.append(Hub(api.port(), api.alice.key))
            except (Refused, ConnectionError, Closed):
                return False
            return True

        wait_for(all_in)
        t.between(time.time() - start, 0, 5 * BUSY, 'given back within 5 s')

        for hub in hubs + new:
            hub.close()


def test_reload(t):
    with Api(t, gpu=HELD, workers=2,
             main='worker_shutdown_timeout 20s;') as api:
        task = claimed(api)
        hubs = [Hub(api.port(), api.alice.key) for _ in range(20)]

        for hub in hubs:
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')

        api.reload(wait=False)

        for hub in hubs:
            events = []
            try:
                while True:
                    record = hub.next()
                    events.append(record)
            except Closed as e:
                closed = e
            good = (events[-1:] == [{'type': 7, 'allowReconnect': True}]
                    and closed.code == 1000)
            if not good:
                break
            hub.close()

        t.ok(good, 'all are told to come again: %r' % (events,))
        wait_for(lambda: not api.old_workers())
        t.ok(True, 'old workers are gone')

        with Hub(api.port(), api.alice.key) as hub:
            hub.invoke('SubscribeToTask', task)
            finish(api, task)
            hub.until('TaskCompleted')
            t.ok(True, 'nothing is lost')


run(test_subscribe, test_methods, test_all_tasks, test_handshake, test_frames,
    test_refusals, test_negotiate, test_limits, test_kill, test_reload)
