#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The life of an nginx: a single process, quitting with clients and tasks,
# other modules beside it, and what it must not gather over time.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HELD = GPU.replace('lease 1s', 'lease 60s')

NCHAN = '/usr/lib/nginx/modules/ngx_nchan_module.so'


def test_single_process(t):
    """master_process off: nobody else to wake, nothing to take over."""

    with Api(t, master=False, providers=['videos', 'openai'], gpu=HELD,
             http=MEDIA) as api:
        r = api.alice.image('x', headers={'Prefer': 'wait=10'})
        t.eq((r.status, r['status']), (200, 'completed'), 'single: sandbox')
        d = api.alice.run(api.alice.video('script:ok x', 'sora-2'))
        t.eq(d['status'], 'completed', 'single: a provider')
        r = api.alice.sync('x', 'dall-e-3')
        t.eq(r.status, 200, 'single: sync')
        task = api.alice.image('x', 'gpu-image')['task_id']
        stream = api.alice.events(task)
        t.eq(api.robot.worker('claim', {'wait': 5})['task_id'], task,
             'single: a claim')
        api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(list(stream)[-1][1]['status'], 'completed',
             'single: an event stream')
        task = api.alice.video('script:forever x', 'sora-2')['task_id']
        api.provider.wait(lambda p: p.count('poll', 'forever'))
        api.alice.cancel(task)
        t.ok(api.provider.wait(lambda p: p.count('cancel', 'forever')),
             'single: a cancel')


def test_quit(t):
    """SIGQUIT with waiting clients: all are answered, and it is quick."""

    with Api(t, workers=2, providers=['videos', 'openai'], gpu=HELD,
             http=MEDIA) as api:
        p = api.provider
        task = api.alice.video('script:held x', 'sora-2')['task_id']
        api.alice.until(task, lambda d: d['progress'] == 50)
        d = api.alice.document(task)
        poll, claim = api.alice.connect(), api.robot.connect()
        sync = api.alice.connect()
        poll.send(api.alice.encode('GET', '%s/%s' % (TASKS, task), None, {
            'If-None-Match': '"%d"' % d['sequence'],
            'Prefer': 'wait=50'}))
        claim.send(api.robot.encode('POST', WORKER + 'claim',
                                    {'wait': 50}))
        stream = api.alice.events(task)
        sync.send(api.alice.encode('POST', IMAGES, {
            'model': 'dall-e-3', 'prompt': 'script:held-submit x'}))
        p.wait(lambda p: p.count('submit', 'held-submit'))

        os.kill(api.pid, signal.SIGQUIT)
        r = poll.read_response()
        t.ok(r.status in (200, 304), 'quit: a waiting poll') or t.diag(r)
        r = claim.read_response('POST')
        t.eq(r.status, 204, 'quit: a waiting claim')
        t.eq([d['status'] for _, d in stream], ['processing'],
             'quit: an event stream ends')
        p.release('go')
        r = sync.read_response('POST')
        t.eq(r.status, 200, 'quit: a synchronous create')
        t.eq(api.process.wait(15 * BUSY), 0, 'quit: nginx ends')
        t.eq((p.count('submit', 'held x'),
              p.count('submit', 'held-submit')), (1, 1),
             'quit: nothing is submitted twice')


def test_beside_nchan(t):
    if not os.path.exists(NCHAN):
        return

    for modules, name in (([NCHAN], 'first'), ([], 'last')):
        main = '' if modules else 'load_module %s;' % NCHAN
        with Api(t, workers=2, providers=['videos'], http=MEDIA,
                 modules=modules, main=main, server='''
                 location /sub { nchan_subscriber; nchan_channel_id t; }
                 location /pub { nchan_publisher; nchan_channel_id t; }
                 ''') as api:
            t.eq(api.alice.post('/pub', b'hello').status // 100, 2,
                 'nchan %s: it publishes' % name)
            d = api.alice.run(api.alice.video('script:ok x', 'sora-2'))
            t.eq(d['status'], 'completed', 'nchan %s: we work' % name)
            api.reload()
            d = api.alice.run(api.alice.video('script:ok x', 'sora-2'))
            t.eq(d['status'], 'completed',
                 'nchan %s: over a reload' % name)


def descriptors(pid):
    return len(os.listdir('/proc/%d/fd' % pid))


def work(api, n):
    """Some of everything."""

    def one(i):
        if i % 4 == 0:
            api.alice.run(api.alice.video('script:quick %d' % i, 'sora-2'))
        elif i % 4 == 1:
            api.alice.sync('script:lost %d' % i, 'dall-e-3')
        elif i % 4 == 2:
            list(api.alice.events(api.alice.image(
                'sandbox:duration=20ms', size='16x16')['task_id']))
        else:
            api.alice.cancel(api.alice.video('script:forever %d' % i,
                                             'sora-2')['task_id'])

    parallel(one, range(n), 8)


def polls(api, n):
    task = api.alice.image('polled', 'gpu-image')['task_id']
    data = api.alice.encode('GET', '%s/%s' % (TASKS, task)) * 100

    with api.alice.connect() as c:
        for _ in range(n // 100):
            c.send(data)
            for _ in range(100):
                c.read_response()


def test_growth(t):
    with Api(t, workers=1, providers=['videos', 'openai'], gpu=HELD,
             http=MEDIA) as api:
        work(api, 120)
        polls(api, 5000)
        pid = api.workers()[0]
        memory, open_files = rss(pid), descriptors(pid)
        polls(api, 30000)
        grown = rss(pid) - memory
        t.ok(SANITIZE or grown <= 128 << 10,
             'polls take no memory') or t.diag(grown)
        work(api, 120)
        memory = rss(pid)
        work(api, 240)
        grown = rss(pid) - memory
        t.ok(SANITIZE or grown <= 1 << 20,
             'calls of providers take none for ever') or t.diag(grown)
        wait_for(lambda: descriptors(pid) <= open_files + 20, 5,
                 'descriptors %d' % open_files)
        t.ok(True, 'nor descriptors')

        api.reload()
        master = descriptors(api.pid)
        for _ in range(3):
            api.reload()

        # the master keeps a worker's channel until that worker has gone

        wait_for(lambda: descriptors(api.pid) <= master, 10,
                 'descriptors of the master: %d' % master)
        t.ok(True, 'reloads leave none open')


def test_orphaned_reply(t):
    """A worker dies that owes a synchronous reply to a key."""

    with Api(t, workers=2, providers=['openai']) as api:
        p = api.provider
        p.script('orphan', submit=[{'hold': 'never'}, {}])
        key = {'Idempotency-Key': 'orphan'}
        body = {'model': 'dall-e-3', 'prompt': 'script:orphan x'}

        with api.alice.connect() as c:
            c.send(api.alice.encode('POST', IMAGES, body, key))
            p.wait(lambda p: p.count('submit'))
            for pid in api.workers():
                api.kill_worker(pid)
            try:
                c.read_response('POST')
            except ConnectionError:
                pass

        def answer():
            r = api.alice.post(IMAGES, body, key)
            return r if r.status != 409 else None

        r = wait_for(answer, 20, 'an answer')
        t.eq(r.status, 200, 'the key is not locked for ever')
        tasks = api.alice.list()['data']
        t.eq({d['status'] for d in tasks}, {'completed'},
             'the task went on')
        t.ok(p.count('submit') <= 3, 'submits') or t.diag(
            (p.count('submit'), len(tasks)))


def test_large_documents(t):
    """Results in documents, read slowly."""

    with Api(t, workers=2, providers=['openai'], tls=True,
             zone='conduit:32m') as api:
        d = api.alice.run(api.alice.image('script:b64-5mb x', 'dall-e-3'))
        t.eq((d['status'], len(d['result']['data'][0]['b64_json'])),
             ('completed', ((5 << 20) + 2) // 3 * 4), 'a large result')

        for client in (api.alice, Client(api.port(1), api.alice.key,
                                         tls=True)):
            with client.connect() as c:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                  65536)
                c.send(client.encode('GET', '%s/%s' % (TASKS,
                                                       d['task_id'])))
                time.sleep(0.2)
                t.eq(api.alice.list().status, 200, 'others are served')
                t.eq(c.read_response().json(), d, 'a slow reader')

        done = subprocess.run(
            ['curl', '-sS', '--http2', '--cacert', api.path('ca.pem'),
             '-H', 'Authorization: Bearer ' + api.alice.key,
             '--limit-rate', '20M', 'https://localhost:%d%s/%s' % (
                 api.port(1), TASKS, d['task_id'])],
            stdout=subprocess.PIPE, timeout=60)
        t.eq(json.loads(done.stdout), d, 'over HTTP/2')

        tasks = [api.alice.image('script:b64-5mb %d' % i, 'dall-e-3')
                 ['task_id'] for i in range(6)]
        ends = [api.alice.wait(task) for task in tasks]
        t.ok(all(d['status'] in ('completed', 'failed') for d in ends),
             'more than fit: they end') or t.diag(
                 [d['error_code'] for d in ends])
        t.eq(api.alice.document(tasks[0])['task_id'], tasks[0],
             'and it goes on')


run(test_single_process, test_quit, test_beside_nchan, test_growth,
    test_orphaned_reply, test_large_documents)
