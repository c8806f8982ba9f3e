#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Event streams: clients that are slow, gone, back again, or very patient, and
# a worker that shuts down.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

# what sanitizers keep of freed memory is no leak: they see those themselves

HELD = GPU.replace('lease 1s', 'lease 60s')


def claimed(api, **more):
    """A task that the test itself works on."""

    task = api.alice.image('s', 'gpu-image', **more)['task_id']
    api.robot.worker('claim', {})
    return task


def tell(c, api, task, progress, message):
    r = c.request('POST', WORKER + 'tasks/%s/progress' % task, None,
                  {'progress': progress, 'message': message}, api.robot.key)
    if r.status != 200:
        raise AssertionError(repr(r))


def finish(api, task):
    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/a.png'}]})
    if r.status != 200:
        raise AssertionError(repr(r))


def api_for(t, **more):
    return Api(t, gpu=HELD, sandbox='',
               server=more.pop('server', '') + '''
               location = /nginx { stub_status; }''', **more)


def active(api):
    return int(api.alice.get('/nginx').text.split()[2])


def test_resume(t):
    with api_for(t, workers=2) as api:
        task = claimed(api)
        stream = api.alice.events(task)
        first, d = next(iter(stream))
        t.eq(d['status'], 'processing', 'the state at once')
        stream.close()

        stream = api.alice.events(task, {'Last-Event-ID': first})
        t.eq(stream.head.status, 200, 'resumed: the header comes at once')

        with api.robot.connect() as c:
            tell(c, api, task, 10, 'news')

        i, d = next(iter(stream))
        t.eq((d['progress'], d['message']), (10, 'news'), 'then what is new')
        t.eq(int(i), int(first) + 1, 'nothing is sent twice')
        stream.close()

        for value in 'x', '-1', '1x', '':
            stream = api.alice.events(task, {'Last-Event-ID': value})
            t.eq(next(iter(stream))[0], i, 'no number: %r' % value)
            stream.close()

        stream = api.alice.events(task, {'Last-Event-ID': '999999'})
        finish(api, task)
        t.eq(list(stream), [], 'a number from the future: nothing but the end')

        r = api.alice.status(task, {'Last-Event-ID': '999999'}, '/events')
        t.eq((r.status, r.body), (204, b''), 'and 204 after the end')

        r = api.alice.status(task, {'Last-Event-ID': first}, '/events')
        t.eq(r.text.count('event: '), 1, 'an old number after the end')


def test_documents(t):
    with api_for(t) as api:
        task = claimed(api, webhook_metadata={'a': 'b\nc'})
        body = ('{"model": "gpu-image", "prompt": "two\\nlines",\r\n'
                ' "webhook_metadata": {\n\t"a":\r\n 1}}')
        r = api.request('POST', IMAGES + '/async', None, body, api.alice.key)
        odd = r.json()['task_id']

        for one in task, odd:
            r = api.alice.cancel(one)
            t.eq(r.status, 200, 'cancelled')
            r = api.alice.status(one, None, '/events')
            t.like(r.text, r'\Aevent: status\nid: \d+\ndata: [^\r\n]+\n\n\Z',
                   'data is one line')
            d = json.loads(r.text.split('data: ')[1])
            t.eq(d, api.alice.document(one), 'the document of a poll')
            t.ok('prompt' not in d, 'without the prompt')

        r = api.alice.status(odd, None, '/events?include=prompt')
        t.eq(json.loads(r.text.split('data: ')[1])['prompt'], 'two\nlines',
             'with the prompt, if asked')

        with api.alice.connect() as c:
            for _ in range(3):
                r = c.request('GET', '%s/%s/events' % (TASKS, task), None,
                              None, api.alice.key)
                t.eq(r.status, 200, 'on a connection that is kept')

        r = api.request('GET', '%s/%s/events' % (TASKS, task), None, None,
                        api.alice.key, version='1.0')
        t.like(r.text, r'\Aevent: status\nid: \d+\ndata: .+\n\n\Z', 'HTTP/1.0')


def test_slow_client(t):
    with api_for(t, workers=1) as api:
        api.setup(server='''
            location = /nginx { stub_status; }
            send_timeout 60s;''')
        task = claimed(api, webhook_metadata={'pad': 'p' * 15000})

        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HOST, api.port()))
        sock.sendall(api.alice.encode('GET', '%s/%s/events' % (TASKS, task)))

        pid = api.workers()[0]
        wait_for(lambda: active(api) == 2, what='the stream')
        before = rss(pid)

        with api.robot.connect() as c:
            for i in range(1500):
                tell(c, api, task, i * 99 // 1500, 'step %d' % i)

        grown = rss(pid) - before
        t.ok(SANITIZE or grown < 4 << 20,
             'nothing is piled up for who does not read (%d)' % grown)

        finish(api, task)
        sock.settimeout(DEADLINE * PATIENCE)
        text = b''

        while not text.endswith(b'0\r\n\r\n'):
            data = sock.recv(65536)
            if not data:
                break
            text += data

        sock.close()
        count = text.count(b'event: status')
        t.between(count, 2, 1200, 'progress is skipped')
        t.ok(b'"status":"completed"' in text, 'the end is not')


def test_idle_client(t):
    with api_for(t, workers=1, server='send_timeout 500ms;') as api:
        task = claimed(api, webhook_metadata={'pad': 'p' * 15000})

        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HOST, api.port()))
        sock.sendall(api.alice.encode('GET', '%s/%s/events' % (TASKS, task)))
        wait_for(lambda: active(api) == 2, what='the stream')

        with api.robot.connect() as c:
            for i in range(1500):
                tell(c, api, task, i * 99 // 1500, 'step %d' % i)

        wait_for(lambda: active(api) == 1, what='the end of the connection')
        t.ok(True, 'who never reads is left alone')
        sock.close()

        gone = [api.alice.events(task) for _ in range(20)]
        wait_for(lambda: active(api) == 21, what='streams')

        for stream in gone:
            stream.close()

        wait_for(lambda: active(api) == 1, what='ends')
        finish(api, task)
        t.eq(api.alice.document(task)['status'], 'completed',
             'clients that leave')


def test_memory(t):
    with api_for(t, workers=1) as api:
        task = claimed(api)
        stream = api.alice.events(task)
        pid = api.workers()[0]
        seen = []

        reader = threading.Thread(target=lambda: seen.extend(stream))
        reader.start()

        with api.robot.connect() as c:
            for i in range(300):
                tell(c, api, task, 0, 'warm %d' % i)

            before = rss(pid)

            for i in range(3000):
                tell(c, api, task, i * 99 // 3000, 'step %d' % i)

        grown = rss(pid) - before
        finish(api, task)
        reader.join(DEADLINE * PATIENCE)
        t.ok(len(seen) > 100, 'a long stream (%d events)' % len(seen))
        t.ok(SANITIZE or grown < 1 << 20,
             'takes no more memory at its end (%d)' % grown)


def test_beat(t):
    with api_for(t, workers=1) as api:
        task = claimed(api)
        start = time.monotonic()
        stream = api.alice.events(task)
        next(iter(stream))
        text = stream.connection.read_chunk(60)
        t.eq(text, b':\n\n', 'a comment')
        t.between(time.monotonic() - start, 13, 15 + 2 * BUSY,
                  'every 15 seconds')
        finish(api, task)
        t.eq(list(stream)[-1][1]['status'], 'completed', 'and the end')


def test_reload(t):
    with api_for(t, workers=2) as api:
        task = claimed(api)
        streams = [api.alice.events(task) for _ in range(30)]
        ids = [next(iter(s))[0] for s in streams]
        start = time.monotonic()
        api.reload()
        left = [list(s) for s in streams]
        t.eq(left, [[]] * 30, 'a reload ends streams in order')
        wait_for(lambda: not api.old_workers(), what='old workers\' end')
        t.ok(time.monotonic() - start < 5 * BUSY, 'soon')

        again = [api.alice.events(task, {'Last-Event-ID': i}) for i in ids]
        finish(api, task)
        ends = [[d['status'] for _, d in s] for s in again]
        t.eq(ends, [['completed']] * 30, 'who comes again misses nothing')

        task = claimed(api)
        stream = api.alice.events(task)
        next(iter(stream))
        t.eq(api.quit(), 0, 'a worker that quits')
        t.eq(list(stream), [], 'ends its streams')


def test_sync_over_reload(t):
    with api_for(t, workers=1) as api:
        c = api.alice.connect()
        c.send(api.alice.encode('POST', IMAGES, {'model': 'gpu-image',
                                                 'prompt': 's'}))
        r = wait_for(lambda: (lambda r: r.status == 200 and r)(
            api.robot.worker('claim', {})), what='the task')
        task = r.json()['task_id']
        api.reload()
        finish(api, task)
        r = c.read_response('POST')
        t.eq((r.status, r.json()['data'][0]['url']),
             (200, 'https://example.com/a.png'),
             'a synchronous create that waits in an old worker')
        wait_for(lambda: not api.old_workers(), what='old workers\' end')


def test_gone(t):
    """Clients that have gone before a worker has read what they want."""

    with api_for(t) as api:
        task = claimed(api)
        path = TASKS + '/' + task
        etag = api.alice.status(task).header('etag')
        token = api.alice.post('/hubs/tasks/negotiate?negotiateVersion=1')[
            'connectionToken']

        wants = {
            'a stream': ('GET', path + '/events', None),
            'a poll': ('GET', path, {'If-None-Match': etag,
                                     'Prefer': 'wait=60'}),
            'a create': ('POST', IMAGES, {}),
            'a hub': ('GET', '/hubs/tasks?id=' + token,
                      {'Accept': 'text/event-stream'})
        }

        for name, (method, path, headers) in wants.items():
            body = {'model': 'gpu-image', 'prompt': 'x'} \
                if method == 'POST' else None
            wait_for(lambda: active(api) == 1, what='the end of all others')
            ended = api.access_log().count('\n')

            with api.asleep(), api.alice.connect() as c:
                c.send(api.alice.encode(method, path, body, headers))

            wait_for(lambda: api.access_log().count('\n') > ended,
                     what='the end of ' + name)
            wait_for(lambda: active(api) == 1, what='its connection\'s end')
            t.ok(True, name + ' that nobody waits for ends')


run(test_gone, test_resume, test_documents, test_slow_client, test_idle_client,
    test_memory, test_beat, test_reload, test_sync_over_reload)
