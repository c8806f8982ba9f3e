#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# ServerSentEvents and LongPolling, byte by byte, on four workers: each request
# of a connection lands where the kernel puts it.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELD = GPU.replace('lease 1s', 'lease 60s')
SPREAD = '''listen 127.0.0.1:%%PORT1%% reuseport backlog=8192;
            location = /stub { stub_status; }'''
PLAIN = 'ServerSentEvents', 'LongPolling'
TEXT_TYPE = {'Content-Type': 'text/plain;charset=UTF-8'}


def claimed(api, **more):
    task = api.alice.image('s', 'gpu-image', **more)['task_id']
    api.robot.worker('claim', {})
    return task


def tell(api, task, progress):
    r = api.robot.worker('tasks/%s/progress' % task, {'progress': progress})
    if r.status != 200:
        raise AssertionError(repr(r))


def finish(api, task):
    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/a.png'}]})
    if r.status != 200:
        raise AssertionError(repr(r))


def four(t, **more):
    return Api(t, gpu=HELD, workers=4, server=SPREAD, **more)


def held(api):
    """How many requests are being served, besides this one."""

    text = api.get('/stub').text
    return int(re.search(r'Writing: (\d+)', text).group(1)) - 1


def token(api, path=IMAGE_HUB, key=None, query=''):
    r = Client(api.port(1), key or api.alice.key).post(
        path + '/negotiate?negotiateVersion=1' + query)
    return r.json()['connectionToken']


def test_negotiate(t):
    with four(t) as api:
        for version in '', '?negotiateVersion=1':
            d = api.alice.post(IMAGE_HUB + '/negotiate' + version).json()
            t.eq(d['availableTransports'], [
                {'transport': 'WebSockets',
                 'transferFormats': ['Text', 'Binary']},
                {'transport': 'ServerSentEvents',
                 'transferFormats': ['Text']},
                {'transport': 'LongPolling',
                 'transferFormats': ['Text', 'Binary']}], 'all, in order')


def test_follow(t):
    """A task to its end, again and again, so that all workers take part."""

    with four(t) as api:
        for transport in PLAIN:
            for i in range(6):
                task = claimed(api, webhook_metadata={'a': 'b'})
                hub = Hub(api.port(1), api.alice.key, transport=transport)
                r = hub.invoke('SubscribeToTask', task)
                good = 'error' not in r
                good &= hub.event() == ('TaskProgress', [task, 0])
                tell(api, task, 40)
                good &= hub.event() == ('TaskProgress', [task, 40])
                r = hub.invoke('GetTask', task)
                good &= r['result']['progress'] == 40
                finish(api, task)
                events = hub.until('TaskCompleted')
                good &= (events[0][1][1]['imageUrl']
                         == 'https://example.com/a.png')
                r = hub.invoke('Nonsense')
                good &= 'Unknown hub method' in r['error']

                if not good:
                    break

                hub.send({'type': 7})

                if transport == 'ServerSentEvents':
                    good &= hub.next() == {'type': 7}

                good &= hub.ws.ended() == 1000
                good &= hub.ws.post('x').status == 404

                if not good:
                    break

            t.ok(good, transport)
            t.eq(api.metric('conduit_hub_connects_total',
                            transport=transport), i + 1, 'counted')

        wait_for(lambda: api.metric('conduit_hub_connections') == 0)
        t.eq(api.metric('conduit_hub_closed_total'), 12, 'all have ended')


def test_stream(t):
    with four(t) as api:
        path = IMAGE_HUB + '?id=' + token(api)
        stream = EventStream(api.port(1), path, key=api.alice.key)
        h = stream.head
        t.eq(h.header('content-type'), 'text/event-stream', 'type')
        t.eq((h.header('cache-control'), h.header('pragma'),
              h.header('content-encoding'), h.header('x-accel-buffering')),
             ('no-cache, no-store', 'no-cache', 'identity', 'no'), 'headers')
        t.eq(stream.c.read_chunk(), b':\r\n', 'the first bytes, at once')

        try:
            EventStream(api.port(1), path, key=api.alice.key)
            t.ok(False, 'a second one')
        except Refused as e:
            t.eq(e.status, 409, 'a second one')

        text = '{"protocol":"json","version":1}' + RS
        for part in text[:7], text[7:20], text[20:]:
            r = stream.post(part)
            t.eq((r.status, r.body, r.header('content-type')),
                 (200, b'', 'text/plain'), 'a part of the handshake')
        t.eq(stream.c.read_chunk(), b'data: {}\x1e\r\n\r\n', 'its answer')

        r = stream.request('DELETE')
        t.eq((r.status, 'DELETE endpoint' in r.text), (400, True), 'DELETE')

        with Connection(api.port(1)) as c:
            r = c.request('GET', path, None, None, api.alice.key)
        t.eq((r.status, 'Cannot change transports' in r.text), (400, True),
             'a poll of it')

        task = claimed(api)
        stream.post('{"type":1,"target":"SubscribeToTask","arguments":["%s"]}'
                    '\x1e{"type":6}\x1e{"type":1,"target":"GetTask",'
                    '"invocationId":"7","arguments":["%s"]}\x1e'
                    % (task, task))
        records = []
        while len(records) < 2:
            records += [json.loads(m) for m in
                        stream.message().rstrip(RS).split(RS)]
        t.eq([records[0]['target'], records[1]['invocationId']],
             ['TaskProgress', '7'], 'several messages in one POST')
        stream.close()
        wait_for(lambda: stream.post('x').status == 404)
        t.ok(True, 'a stream that was cut off is gone')

        for text, error in (('{"protocol":"messagepack","version":1}',
                             "Cannot use the 'messagepack' protocol on the "
                             "current transport."),
                            ('{"protocol":"xml","version":1}',
                             "The protocol 'xml' is not supported.")):
            stream = EventStream(api.port(1), IMAGE_HUB + '?id=' + token(api),
                                 key=api.alice.key)
            stream.post(text + RS)
            t.like(stream.message(), re.escape(error), 'refused')
            t.eq(stream.ended(), 1000, 'and ended')


def test_polls(t):
    with four(t) as api:
        path = IMAGE_HUB + '?id=' + token(api)
        start = time.time()
        poller = Poller(api.port(1), path, key=api.alice.key)
        t.between(time.time() - start, 0, 1.5 * BUSY, 'a first poll at once')

        poller.send('{"protocol":"json","version":1}' + RS)
        r = poller.poll()
        t.eq((r.status, r.body, r.header('content-type')),
             (200, b'{}\x1e', 'application/octet-stream'), 'the handshake')
        t.eq((r.header('cache-control'), r.header('pragma'),
              r.header('expires')),
             ('no-cache, no-store', 'no-cache',
              'Thu, 01 Jan 1970 00:00:00 GMT'), 'headers')

        def poll(_=None):
            return poller.poll()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for i in range(8):
                polls = {pool.submit(poll), pool.submit(poll)}
                first, second = concurrent.futures.wait(
                    polls, DEADLINE, concurrent.futures.FIRST_COMPLETED)
                good = [x.result().status for x in first] == [204]
                poller.send('{"type":1,"invocationId":"1","target":"x",'
                            '"arguments":[]}' + RS)
                r = second.pop().result(DEADLINE)
                good &= r.status == 200 and b'Unknown hub method' in r.body
                if not good:
                    break
            t.ok(good, 'a second poll ends the first')

            wait_for(lambda: held(api) == 0)
            pending = pool.submit(poll)
            wait_for(lambda: held(api) == 1)
            r = poller.request('DELETE')
            t.eq((r.status, r.body), (202, b''), 'DELETE')
            t.eq(pending.result(DEADLINE).status, 204, 'ends the poll')

        for method in 'GET', 'POST', 'DELETE':
            r = poller.request(method, b'' if method == 'POST' else None)
            t.eq((r.status, 'No Connection with that ID' in r.text),
                 (404, True), method + ' after it')

        # messages that come while no poll is there wait for the next one

        with Hub(api.port(1), api.alice.key, transport='LongPolling') as hub:
            task = claimed(api)
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')
            for progress in 10, 20, 30:
                tell(api, task, progress)
            t.eq(hub.event(), ('TaskProgress', [task, 30]), 'the latest only')
            finish(api, task)
            t.eq(hub.until('TaskCompleted')[0][0], 'TaskCompleted', 'the end')
            hub.ws.send('{"type":1,' + 'x' * 33000)
            t.eq(hub.next(), {
                'type': 7, 'error': 'Connection closed with an error.',
                'allowReconnect': True}, 'a message that is too large')
            t.eq(hub.ws.ended(), 1000, 'and the end')
            t.eq(hub.ws.poll().status, 404, 'told once')


def test_binary(t):
    with four(t) as api:
        path = IMAGE_HUB + '?id=' + token(api)
        poller = Poller(api.port(1), path, key=api.alice.key)
        poller.send('{"protocol":"messagepack","version":1}' + RS)
        t.eq(poller.poll().body, b'{}\x1e', 'the handshake')

        task = claimed(api)
        call = (b'\x96\x01\x80\xa11\xafSubscribeToTask\x91\xd9\x24'
                + task.encode() + b'\x90')
        whole = bytes([len(call)]) + call
        poller.send(whole[:9])
        poller.send(whole[9:])
        body = b''
        while b'TaskProgress' not in body:
            body += poller.poll().body
        t.ok(b'\x03\x80\xa11' in body, 'a completion')
        finish(api, task)
        t.ok(b'TaskCompleted' in poller.poll().body, 'and the end')
        poller.close()


def test_refusals(t):
    with four(t, keys={'carl': 'disabled;'}) as api:
        port = api.port(1)
        alice = Client(port, api.alice.key)
        good = token(api)
        events = {'Accept': 'text/event-stream'}

        for method in 'GET', 'POST', 'DELETE':
            body = b'x' if method == 'POST' else None

            def ask(query, key=api.alice.key, headers=None):
                with Connection(port) as c:
                    return c.request(method, IMAGE_HUB + query, headers, body,
                                     key)

            r = ask('')
            t.eq((r.status, 'Connection ID required' in r.text), (400, True),
                 method + ' without an id')
            for name, query, key in (
                    ('forged', '?id=' + good[:-2] + 'AA', api.alice.key),
                    ('nonsense', '?id=x', api.alice.key),
                    ("another key's", '?id=' + good, api.bob.key)):
                r = ask(query, key)
                t.eq((r.status, 'No Connection with that ID' in r.text),
                     (404, True), '%s, %s token' % (method, name))
            t.eq(ask('?id=' + good, 'nobody').status, 401, 'no key')
            t.eq(ask('?id=' + good, api.secrets['carl']).status, 403,
                 'disabled')
            if method != 'GET':
                t.eq(ask('?id=' + good).status, 404, 'not connected yet')

        t.eq(alice.request('GET', IMAGE_HUB, None, events).status, 400,
             'events without an id')
        r = alice.request('PUT', IMAGE_HUB + '?id=' + good)
        t.eq((r.status, r.header('allow')),
             (405, 'GET, POST, DELETE, OPTIONS'), 'PUT')

        with Hub(port, api.alice.key) as hub:
            plain = Plain(port, IMAGE_HUB + '?id=' + hub.token,
                          key=api.alice.key)
            r = plain.post('x')
            t.eq((r.status, 'not allowed for WebSocket' in r.text),
                 (405, True), 'POST to a WebSocket')
            t.eq(plain.request('DELETE').status, 400, 'DELETE of one')
            t.eq(plain.request('GET').status, 400, 'a poll of one')
            try:
                WebSocket(port, plain.path, key=api.alice.key)
                t.ok(False, 'a second WebSocket')
            except Refused as e:
                t.eq(e.status, 409, 'a second WebSocket')

        def gone():
            try:
                WebSocket(port, plain.path, key=api.alice.key).close()
            except Refused as e:
                return e.status == 404

        wait_for(gone)
        t.ok(True, 'an id is good for one connection')


def test_inbox(t):
    with four(t, http='conduit_hub_message_size 4k;') as api:
        path = IMAGE_HUB + '?id=' + token(api)
        poller = Poller(api.port(1), path, key=api.alice.key)
        poller.send('{"protocol":"json","version":1}' + RS)

        r = poller.post('x' * (16 * 1024 + 1))
        t.eq((r.status, r.error()), (413, 'request_too_large'), 'too large')

        ping = '{"type":6}' + RS
        statuses = [poller.post(ping * 100).status for _ in range(20)]
        t.eq(set(statuses), {200, 429}, 'nobody reads what is sent')
        r = poller.post(ping * 100)
        t.eq((r.error(), r.header('retry-after')), ('connection_busy', '1'),
             'it says so')
        t.eq(poller.poll().body, b'{}\x1e', 'a poll reads it')
        t.eq(poller.post(ping).status, 200, 'and there is room')
        poller.close()


run(test_negotiate, test_follow, test_stream, test_polls, test_binary,
    test_refusals, test_inbox)
