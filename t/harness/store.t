#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The embedded store: after a kill -9 of all of nginx, or a restart, tasks are
# there again and go on; reloads and binary upgrades go on with it.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_sink import Sink
from conduit_redis import clock

STORE = 'conduit_store %%DIR%%/store;'
LEASED = GPU.replace('lease 1s', 'lease 10s')
HOOKS = 'conduit_webhook_plain on; conduit_webhook_allow 127.0.0.0/8;'


def restart(api, kill=True):
    """All of nginx ends, and starts again."""

    if kill:
        api.kill_all()

    else:
        api.quit(DEADLINE * 2)

    api.start()


def loaded(api):
    """How often, and what, was read from the store."""

    return [line for line in api.error_log().splitlines()
            if 'there again' in line]


def every_task(client):
    query = {'limit': 100}
    tasks = []

    while True:
        r = client.list(**query)
        tasks += r['data']

        if not r['has_more']:
            return tasks

        query['after'] = r['last_id']


def claim(api):
    return wait_for(lambda: api.robot.worker('claim')['task_id'],
                    what='a claim')


def test_restart(t):
    with Api(t, workers=2, providers=['videos'], gpu=LEASED,
             http=STORE + MEDIA) as api:
        c = api.alice
        p = api.provider
        p.script('known', poll=[{'state': 'processing', 'progress': 30,
                                 'until': 'known'}, {}])

        done = c.run(c.image('sandbox:duration=20ms', metadata={'a': 'x'}))
        failed = c.run(c.image('sandbox:duration=20ms '
                               'sandbox:error=content_policy'))
        gone = c.image('sandbox:duration=60s')['task_id']
        c.until(gone, lambda d: d['status'] == 'processing')
        t.eq(c.cancel(gone).status, 200, 'cancelled')
        gone = c.document(gone)

        again = c.run(c.image('sandbox:duration=20ms '
                              'sandbox:error=provider_error'))
        t.eq(c.retry(again['task_id']).status, 202, 'retried')
        again = c.wait(again['task_id'])

        known = c.video('script:known 1', 'sora-2')['task_id']
        seen = c.until(known, lambda d: d['progress'] == 30)
        slow = c.image('sandbox:duration=1500ms')['task_id']
        before = c.until(slow, lambda d: d['status'] == 'processing')
        queued = c.image('a', 'gpu-image')['task_id']
        leased = c.image('b', 'gpu-image')['task_id']
        claimed = api.robot.worker('claim', {'models': ['sdxl']})
        t.eq(claimed['task_id'], queued, 'a worker has a task')

        key = {'Idempotency-Key': 'k1'}
        first = c.image('sandbox:duration=20ms', headers=key)
        sync = c.sync('sandbox:duration=20ms',
                      headers={'Idempotency-Key': 'k2'})
        t.eq((first.status, sync.status), (202, 200), 'with keys')
        order = [d['task_id'] for d in every_task(c)]

        restart(api)

        t.eq([c.document(d['task_id']) for d in (done, failed, gone, again)],
             [done, failed, gone, again], 'ended tasks are as they were')
        t.eq([d['task_id'] for d in every_task(c)], order,
             'the list has its order')
        replay = c.image('sandbox:duration=20ms', headers=key)
        t.eq((replay.status, replay.header('idempotency-replayed'),
              replay['task_id']), (202, 'true', first['task_id']),
             'a repeated request gets its task')
        replay = c.sync('sandbox:duration=20ms',
                        headers={'Idempotency-Key': 'k2'})
        t.eq((replay.status, replay.header('idempotency-replayed'),
              replay.text), (200, 'true', sync.text),
             'and a synchronous one its result')
        t.eq(c.image('other', headers=key).status, 422,
             'a key is of one request')

        d = c.document(slow)
        t.ok(d['sequence'] > before['sequence'], 'sequences go on')
        t.eq(c.wait(slow, 20)['status'], 'completed', 'what ran runs again')

        p.release('known')
        d = c.wait(known)
        t.eq(d['status'], 'completed', 'a job is polled on')
        t.ok(d['sequence'] > seen['sequence'], 'its sequence, too')
        t.eq(p.count('submit', 'known'), 1, 'and not submitted again')

        offered = {claim(api) for i in range(2)}
        t.eq(offered, {queued, leased}, 'tasks of workers are offered again')
        for task in offered:
            r = api.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]})
            t.eq(r.status, 200, 'and completed')

        t.eq(api.metric('conduit_store_loaded_tasks'), len(order),
             'as many as there were')
        t.eq(api.metric('conduit_store_failures_total'), 0, 'no failure')
        restart(api, kill=False)
        t.eq({c.document(task)['status'] for task in order} - {
            'completed', 'failed', 'cancelled'}, set(), 'all have ended')


def test_ttl(t):
    """What is forgotten in the zone is removed from the store."""

    with Api(t, workers=1, http=STORE + 'conduit_task_ttl 8s;') as api:
        c = api.alice
        tasks = [c.image('sandbox:duration=10ms')['task_id']
                 for i in range(10)]
        for task in tasks:
            c.wait(task)
        restart(api)
        t.eq(api.metric('conduit_store_loaded_tasks'), 10, 'still there')
        wait_for(lambda: {c.status(task).status for task in tasks} == {404},
                 10 * SLOW, 'the end of their time')
        wait_for(lambda: api.metric('conduit_store_writes_total') >= 10,
                 what='removals')
        restart(api, kill=False)
        t.eq(api.metric('conduit_store_loaded_tasks'), 0, 'and forgotten')

        # a time that ends while nginx is not there

        task = c.run(c.image('sandbox:duration=10ms'))['task_id']
        api.kill_all()
        time.sleep(8.2)
        api.start()
        wait_for(lambda: c.status(task).status == 404, 5, 'its end')
        restart(api, kill=False)
        t.eq(api.metric('conduit_store_loaded_tasks'), 0, 'forgotten as well')


def test_keys(t):
    """An Idempotency-Key outlives its task, also over restarts."""

    def ask(c, name):
        return (c.image('sandbox:duration=0', headers={
                    'Idempotency-Key': 'async ' + name}),
                c.sync('sandbox:duration=0', headers={
                    'Idempotency-Key': 'sync ' + name}))

    with Api(t, workers=1, http=STORE + 'conduit_task_ttl 3s;') as api:
        c = api.alice
        first = ask(c, 'one')
        tasks = [first[0]['task_id'], first[1].header('x-conduit-task-id')]
        wait_for(lambda: {c.status(task).status for task in tasks} == {404},
                 20, 'the end of their time')

        for ttl in '3s', '1h':
            api.setup(http=STORE + 'conduit_task_ttl %s;' % ttl)
            restart(api)
            again = ask(c, 'one')
            t.eq([r.status for r in again], [202, 200], 'accepted')
            t.eq([r.header('idempotency-replayed') for r in again],
                 ['true'] * 2, 'replays')
            t.eq((again[0]['task_id'], again[1].text),
                 (tasks[0], first[1].text), 'what was told then')


def test_sequences(t):
    """What comes after a start looks like nothing that was seen before, also
    if nothing was kept in between."""

    with Api(t, workers=1, http=STORE) as api:
        task = api.alice.image('sandbox:duration=60s')['task_id']
        seen = []
        for i in range(4):
            d = api.alice.until(task, lambda d: d['status'] == 'processing')
            seen.append(d['sequence'])
            restart(api, kill=i % 2)
        t.eq(seen, sorted(set(seen)), 'sequences rise: %s' % seen)


def test_timeout(t):
    """The time of a task goes on while nginx is not there."""

    with Api(t, workers=1, gpu=GPU, http=STORE) as api:
        task = api.alice.image('late', 'gpu-image',
                               timeout_seconds=2)['task_id']
        api.kill_all()
        time.sleep(2.1)
        api.start()
        d = api.alice.wait(task)
        t.eq((d['status'], d['error_code']), ('failed', 'timeout'),
             'its time is over')


def test_reload(t):
    with Api(t, workers=2, http=STORE, allow=['can be changed only']) as api:
        c = api.alice
        task = c.image('sandbox:duration=700ms')['task_id']
        t.eq(len(loaded(api)), 1, 'read at start')
        api.reload()
        t.eq(len(loaded(api)), 1, 'a reload does not read it again')
        t.eq(c.wait(task)['status'], 'completed', 'the task went on')

        for n, other in ((1, 'conduit_store off;'),
                         (2, 'conduit_store %%DIR%%/other;')):
            api.setup(http=other)
            api.reload(wait=False)
            wait_for(lambda: api.error_log().count('keeps the tasks') == n,
                     what='a refusal')

        api.setup(http=STORE, zone='other:16m')
        api.reload(wait=False)
        api.wait_log('conduit_zone "conduit" holds the tasks')
        t.eq(c.image('sandbox:duration=10ms').status, 202, 'and it goes on')
        api.setup(http=STORE.replace(';', ' sync=off max_size=64m;'),
                  zone='conduit:16m')
        api.reload()
        task = c.run(c.image('sandbox:duration=10ms'))
        restart(api)
        t.eq(c.document(task['task_id']), task, 'kept without flushes')


def upgraded(api):
    """The old nginx runs, and a new one beside it: (their pids)."""

    def pid():
        return int(api.read('logs/nginx.pid') or 0)

    # nginx ignores USR2 while the process that has started it is there

    conf = api.read('conf/nginx.conf')
    api.write('conf/nginx.conf', conf.replace('daemon off', 'daemon on'))
    subprocess.run(api.command(), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   start_new_session=True, timeout=DEADLINE * 3)
    old = wait_for(lambda: api.accepts(api.port()) and pid(), what='nginx')

    yield old

    os.kill(old, signal.SIGUSR2)
    api.wait_log('is in use by the nginx that is replaced')
    new = wait_for(lambda: pid() not in (0, old) and pid(),
                   what='the new nginx')
    try:
        yield new

    finally:
        os.kill(new, signal.SIGQUIT)
        wait_for(lambda: not alive(new), DEADLINE * 2, 'its end')
        api.write('conf/nginx.conf', conf)


def persist(ask, status):
    """Asks until the old nginx has answered: (answer, those of the new)."""

    others = []

    def asked():
        r = ask()
        if r.status == status:
            return r
        others.append((r.status, r.error(), r.header('retry-after')))

    return wait_for(asked, what='the old nginx', pause=0.005), others


def test_upgrade(t):
    """USR2: the new nginx waits for the old one, and takes all over."""

    with Api(t, workers=2, providers=['videos'], gpu=GPU, start=False,
             http=STORE + MEDIA, main='env LD_PRELOAD; env ASAN_OPTIONS;'
             ' env UBSAN_OPTIONS;') as api:
        c = api.alice
        p = api.provider
        p.script('known', poll=[{'state': 'processing', 'progress': 30,
                                 'until': 'known'}, {}])
        life = upgraded(api)
        old = next(life)
        done = c.run(c.image('sandbox:duration=10ms'))
        known = c.video('script:known 1', 'sora-2')['task_id']
        c.until(known, lambda d: d['progress'] == 30)
        queued = c.image('a', 'gpu-image')['task_id']
        new = next(life)
        t.ok(new != old, 'another nginx beside the old one')

        r, refused = persist(lambda: c.status(known), 200)
        t.eq(r['status'], 'processing', 'the old one goes on')
        while not refused:
            r, refused = persist(lambda: c.status(known), 200)
        t.eq(set(refused), {(503, 'store_unavailable', '1')},
             'the new one says that it has to wait')
        r, others = persist(lambda: c.image('sandbox:duration=10ms'), 202)
        late = r['task_id']
        t.ok(True, 'the old one takes new tasks')
        os.kill(old, signal.SIGQUIT)
        wait_for(lambda: not alive(old), DEADLINE * 2,
                 'the end of the old one')
        wait_for(lambda: len(loaded(api)) == 2, what='the tasks')
        wait_for(lambda: {c.status(known).status for i in range(20)} == {200},
                 what='the new one')
        t.eq(c.document(done['task_id']), done, 'an ended task is there')
        t.eq(c.wait(late)['status'], 'completed', 'so is a late one')
        p.release('known')
        t.eq(c.wait(known)['status'], 'completed', 'a job is polled on')
        t.eq(p.count('submit', 'known'), 1, 'and not submitted again')
        t.eq(claim(api), queued, 'a task of a worker is offered')
        more = c.wait(c.create('sandbox:duration=10ms'))
        t.eq(more['status'], 'completed', 'new ones are made')
        life.close()
        api.start()
        t.eq(c.document(more['task_id']), more, 'all is kept')


def test_webhooks(t):
    """What was not confirmed is sent after the start, all else is not."""

    sink = Sink()
    sink.script('/down', 500, 200)
    sink.script('/gone', 410)

    with Api(t, workers=1, http=STORE + HOOKS) as api:
        c = api.alice

        def fire(path, prompt=''):
            task = c.image('sandbox:duration=10ms ' + prompt,
                           webhook_events=['completed', 'failed'],
                           webhook_url=sink.url(path))['task_id']
            c.wait(task)
            sink.wait(path, 1)
            return task

        def state(task):
            return c.document(task)['webhook']['status']

        good = fire('/good')
        gone = fire('/gone', 'sandbox:error=provider_error')
        down = fire('/down')

        # three records each, and of the first two how they have ended: that
        # is kept a moment later than the receiver has answered

        wait_for(lambda: api.metric('conduit_store_writes_total') >= 9,
                 what='the store')
        restart(api)
        hits = sink.wait('/down', 2)
        t.eq(len({hit.id for hit in hits}), 1, 'the same event is sent again')
        t.eq(hits[0].body, hits[1].body, 'with the same bytes')
        wait_for(lambda: state(down) == 'delivered', what='the delivery')
        t.eq([state(good), state(gone)], ['delivered', 'failed'],
             'ended deliveries are known')
        t.eq(c.retry(gone).status, 202, 'a further run')
        c.wait(gone)
        restart(api, kill=False)
        wait_for(lambda: state(down) == 'delivered', what='what is known')
        t.eq([len(sink.hits(path)) for path in ('/good', '/gone', '/down')],
             [1, 1, 2], 'nothing is sent again')


def at(api, hours):
    """Starts it with a clock that is ahead."""

    os.environ.update(LD_PRELOAD=clock(), CONDUIT_CLOCK=str(hours * 3600000))

    try:
        api.start()

    finally:
        del os.environ['LD_PRELOAD'], os.environ['CONDUIT_CLOCK']


def test_clock(t):
    """A clock that is set back over a restart makes no pause longer."""

    sink = Sink()
    sink.script('/down', 500, 200)

    with Api(t, workers=1, http=STORE + HOOKS, start=False) as api:
        at(api, 1)
        task = api.alice.image('sandbox:duration=10ms',
                               webhook_url=sink.url('/down'),
                               webhook_events=['completed'])['task_id']
        sink.wait('/down', 1)
        wait_for(lambda: api.metric('conduit_store_writes_total') >= 3,
                 what='the store')
        restart(api)
        sink.wait('/down', 2)
        wait_for(lambda: api.alice.document(task)['webhook']['status']
                 == 'delivered', what='the delivery')
        t.ok(True, 'it goes on')


def test_swept(t):
    """Idempotency-Keys of yesterday leave the file as fast as others come."""

    def ask(names):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda name: api.alice.image(
                'sandbox:duration=0 sandbox:error=provider_error',
                headers={'Idempotency-Key': name}), names))

    old = ['old %d' % i for i in range(1800)]

    with Api(t, workers=1, http=STORE + 'conduit_task_ttl 1s;',
             start=False) as api:
        at(api, 0)
        ask(old)
        wait_for(lambda: not api.alice.list().json()['data'], 30)

        for hours in 0, 0, 25:
            api.stop()
            at(api, hours)

        ask('new %d' % i for i in range(700))

        # what is in the file still would hold again

        for hours in 25, 0:
            api.stop()
            at(api, hours)

        replayed = [r.header('idempotency-replayed') for r in ask(old)]
        t.eq(replayed.count('true'), 0, 'all have left it')


run(test_restart, test_ttl, test_keys, test_sequences, test_timeout, test_reload,
    test_upgrade, test_webhooks, test_clock, test_swept)
