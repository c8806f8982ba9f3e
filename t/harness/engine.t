#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The engine where things go wrong at the same time: cancel calls that
# outlive their task, reloads that take away what tasks wait for, waits that
# see many changes.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def test_slow_cancel(t):
    """A cancel call goes on when its task is forgotten: one call."""

    with Api(t, workers=2, providers=['videos'],
             http=MEDIA + 'conduit_task_ttl 1s;') as api:
        p = api.provider
        p.script('slow', poll=[{'state': 'processing', 'until': 'never'}],
                 cancel=[{'hold': 'go'}])
        task = api.alice.video('script:slow', 'sora-2')['task_id']
        p.wait(lambda p: p.count('poll', 'script:slow'))
        t.eq(api.alice.cancel(task).status, 200, 'cancelled')
        p.wait(lambda p: p.count('cancel', 'script:slow'))
        used = sum(map(cpu, api.workers()))
        began = time.monotonic()
        wait_for(lambda: api.alice.status(task).status == 404,
                 what='the end of the TTL')
        time.sleep(1)
        t.eq(p.count('cancel', 'script:slow'), 1, 'one cancel call')
        used = sum(map(cpu, api.workers())) - used
        took = time.monotonic() - began
        t.ok(used < 0.3 * SLOW * took, 'workers are idle') or t.diag(
            (used, took))
        p.release('go')
        d = api.alice.run(api.alice.image('after it'))
        t.eq(d['status'], 'completed', 'and serve')
        wait_for(lambda: api.metric('conduit_tasks') == 0,
                 what='the end of all tasks')


def held(api, name, n, model='sora-2'):
    """Tasks that are polled, or wait in the queue behind these."""

    api.provider.script(name, poll=[
        {'state': 'processing', 'until': name}, {}])
    tasks = [api.alice.video('script:%s %d' % (name, i), model)['task_id']
             for i in range(n)]
    api.provider.wait(lambda p: p.count('poll', 'script:' + name))
    return tasks


def unavailable(t, api, tasks, name):
    ends = [api.alice.wait(task, 5) for task in tasks]
    t.eq({(d['status'], d['error_code']) for d in ends},
         {('failed', 'provider_unavailable')}, name)


def test_reload(t):
    def edit(text):
        return text.replace('conduit_provider videos_compat {',
                            'conduit_provider videos_compat {\n'
                            'limit concurrency=1;') + edit.more

    def change(function):
        api.edit = function
        api.setup()
        api.reload()

    def without_model(text):
        return re.sub(r'conduit_model sora-2.*', '', edit(text))

    def worker(text):
        return re.sub(r'(?s)conduit_provider videos_compat.*',
                      'conduit_provider videos_compat { type worker; }\n'
                      'conduit_model sora-2 provider=videos_compat;', text)

    edit.more = ''

    with Api(t, workers=2, providers=['videos'], gpu=GPU, edit=edit,
             http=MEDIA) as api:
        p = api.provider

        tasks = held(api, 'model', 3)
        change(without_model)
        p.release('model')
        t.eq({api.alice.wait(task)['status'] for task in tasks},
             {'completed'}, 'a provider goes on without its model')

        change(edit)
        tasks = held(api, 'gone', 3)
        change(lambda text: re.sub(r'(?s)conduit_provider videos_compat.*',
                                   '', text))
        unavailable(t, api, tasks, 'a provider is gone: also for the queue')

        change(edit)
        tasks = held(api, 'pull', 1)
        waiting = api.alice.image('x', 'gpu-image')['task_id']
        change(worker)
        unavailable(t, api, tasks, 'it is a provider of workers now')
        t.eq(api.alice.document(waiting)['status'], 'pending',
             'others are untouched')

        tasks = [api.alice.video('x', 'sora-2')['task_id']]
        api.builtin = SANDBOX
        change(lambda text: re.sub(r'(?s)conduit_provider videos_compat.*',
                                   '', text))
        unavailable(t, api, tasks + [waiting],
                    'providers of workers are gone')


def test_many_changes(t):
    """A wait keeps nothing of what it has seen in vain."""

    with Api(t, gpu=GPU.replace('lease 1s', 'lease 60s')) as api:
        waiting = api.alice.connect()
        waiting.send(api.alice.encode('POST', IMAGES, {
            'model': 'gpu-image', 'prompt': 'x'}))
        claim = api.robot.worker('claim', {'wait': 10})
        path = WORKER + 'tasks/%s/progress' % claim['task_id']

        def tell(n):
            with api.robot.connect() as c:
                for i in range(n):
                    c.request('POST', path, None, {
                        'progress': 1, 'message': 'number %d' % i},
                        api.robot.key)

        tell(200)
        before = rss(api.workers()[0])
        tell(4000)
        grown = rss(api.workers()[0]) - before
        t.ok(SANITIZE or grown < 1500000,
             'no memory is gathered') or t.diag(grown)

        r = api.robot.worker('tasks/%s/complete' % claim['task_id'], {
            'data': [{'url': 'https://example.com/x.png'}]})
        t.eq((r.status, waiting.read_response('POST').status), (200, 200),
             'the end')


def test_refused(t):
    """Many tasks wait that fail before there is a call."""

    n = 8000

    with Api(t, providers=['videos'], zone='conduit:32m', http=MEDIA +
             'conduit_task_limit per_key=100000 total=100000;',
             edit=lambda text: text.replace(
                 'conduit_provider videos_compat {',
                 'conduit_provider videos_compat {\nlimit concurrency=1;'
             ).replace('field   /size $size;',
                       'field   /size $size required;')) as api:
        api.provider.script('first', submit=[{'hold': 'go'}, {}], poll=[{}])
        first = api.alice.video('script:first', 'sora-2',
                                size='640x480')['task_id']

        with api.alice.connect() as c:
            for _ in range(n):
                r = c.request('POST', VIDEOS + '/async', None, {
                    'model': 'sora-2', 'prompt': 'x'}, api.alice.key)

        t.eq((r.status, r['queue_position']), (202, n), 'all wait')
        api.provider.release('go')
        t.eq(api.alice.wait(first)['status'], 'completed', 'the first')
        d = api.alice.wait(r['task_id'])
        t.eq((d['status'], d['error_code']), ('failed', 'invalid_request'),
             'the others fail one by one')


run(test_refused, test_slow_cancel, test_reload, test_many_changes)
