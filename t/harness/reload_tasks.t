#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Reload with tasks in flight: nothing is lost and nothing done twice.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def check_in_flight(t, api):
    p = api.provider
    p.script('held2', poll=[{'state': 'processing', 'progress': 30,
                             'until': 'go2'}, {}])
    tasks = [api.alice.video('script:held2 %d.' % i, 'sora-2')['task_id']
             for i in range(10)]
    submit = api.alice.image('script:held-submit sync', 'dall-e-3')
    sand = api.alice.image('sandbox:duration=2s')['task_id']
    for task in tasks:
        api.alice.until(task, lambda d: d['progress'] == 30)
    p.wait(lambda p: p.count('submit', 'held-submit'))

    stream = api.alice.events(tasks[0])
    poll = api.alice.connect()
    d = api.alice.document(tasks[1])
    poll.send(api.alice.encode('GET', '%s/%s' % (TASKS, tasks[1]), None, {
        'If-None-Match': '"%d"' % d['sequence'], 'Prefer': 'wait=20'}))
    sync = api.alice.connect()
    sync.send(api.alice.encode('POST', IMAGES, {
        'model': 'dall-e-3', 'prompt': 'script:held-submit open'}))
    p.wait(lambda p: p.count('submit', 'open'))

    api.reload()
    created = [api.alice.video('script:ok reload %d.' % i,
                               'sora-2')['task_id'] for i in range(4)]
    api.reload()
    p.release('go2')
    p.release('go')

    ends = [api.alice.wait(task) for task in
            tasks + created + [sand, submit['task_id']]]
    t.eq([d['status'] for d in ends], ['completed'] * 16,
         'all tasks complete')
    t.eq([p.count('submit', 'held2 %d.' % i) for i in range(10)], [1] * 10,
         'with one submit each')
    t.eq(p.count('submit', 'held-submit sync'), 1,
         'a submit in flight is not made again')

    r = poll.read_response()
    t.ok(r.status in (200, 304), 'a waiting poll of an old worker ends well')
    last = list(stream)[-1][1]
    t.ok(last['status'] in ('processing', 'completed'),
         'so does an event stream')
    r = sync.read_response('POST')
    t.eq((r.status, p.count('submit', 'open')), (200, 1),
         'a synchronous create of an old worker is answered')
    wait_for(lambda: not api.old_workers(), 15, 'the end of old workers')
    t.ok(True, 'old workers end')


def check_under_load(t, api):
    """Creates and polls during several reloads."""

    stop = threading.Event()
    made, bad = [], []

    def load(n):
        i = 0
        while not stop.is_set():
            i += 1
            try:
                r = api.alice.video('script:quick load %d.%d.' % (n, i),
                                    'sora-2')
                if r.status != 202:
                    bad.append(r)
                    continue
                made.append((n, i, r['task_id']))
                s = api.alice.status(r['task_id'])
                if s.status != 200:
                    bad.append(s)
            except Exception as error:
                bad.append(error)

    threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        api.reload()
    stop.set()
    for thread in threads:
        thread.join()

    t.eq(bad[:3], [], 'no request fails over reloads')
    ends = {api.alice.wait(task)['status'] for _, _, task in made}
    t.eq(ends, {'completed'}, 'all tasks of the load complete')
    counts = [api.provider.count('submit', 'load %d.%d.' % (n, i))
              for n, i, _ in made]
    t.eq(set(counts), {1}, 'one submit each')


def check_changes(t, api):
    """Keys, models and providers that change while tasks run."""

    p = api.provider
    p.script('held3', poll=[{'state': 'processing', 'until': 'go3'}, {}])
    stays = api.alice.video('script:held3 stays', 'sora-2')['task_id']
    goes = api.bob.image('script:held-submit2 x', 'dall-e-3')['task_id']
    p.script('held4', poll=[{'state': 'processing', 'until': 'go4'}, {}])
    gone = api.alice.video('script:held4 gone', 'minimax-video')['task_id']
    p.wait(lambda p: p.count('poll', 'held4') and p.count('poll', 'held3'))

    api.blocks = ['videos', 'openai']
    api.key_members['bob'] = 'disabled;'
    api.setup()
    api.reload()
    p.release('go3')
    p.release('go4')
    d = api.alice.wait(stays)
    t.eq(d['status'], 'completed', 'a provider that stays')
    d = api.alice.wait(gone)
    t.eq((d['status'], d['error_code']),
         ('failed', 'provider_unavailable'), 'a provider that is gone')
    t.eq((api.bob.status(goes).status, api.bob.status(goes).error()),
         (403, 'key_disabled'), 'a key that is disabled')
    r = api.alice.video('x', 'minimax-video')
    t.eq((r.status, r.error()), (404, 'model_not_found'), 'no such model')


def check_zone(t, api):
    """Another size of the zone is refused, the old one goes on."""

    task = api.alice.image('kept')['task_id']
    api.alice.wait(task)
    pids = api.workers()
    api.setup(zone='conduit:20m')
    api.allow.append(r'\[emerg\].*conduit')
    api.reload(wait=False)
    api.wait_log(r'\[emerg\].*conduit_zone|\[emerg\].*"conduit"')
    t.eq(api.workers(), pids, 'another size is refused')
    t.eq(api.alice.status(task).status, 200, 'tasks are kept')
    api.setup(zone='conduit:16m')
    api.reload()
    t.eq(api.alice.status(task).status, 200, 'and over the next reload')


def test_reload(t):
    with Api(t, workers=2, providers=['videos', 'openai', 'minimax'],
             http=MEDIA) as api:
        api.provider.script('held-submit2', submit=[{}])
        check_in_flight(t, api)
        check_under_load(t, api)
        check_changes(t, api)
        check_zone(t, api)


run(test_reload)
