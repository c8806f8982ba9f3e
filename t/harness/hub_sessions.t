#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Hub connections that outlive a socket, a request or a process: taken over by
# a successor, resumed, ended at reloads, kills and revocations.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELD = GPU.replace('lease 1s', 'lease 60s')
SPREAD = '''listen 127.0.0.1:%%PORT1%% reuseport backlog=8192;
            location = /stub { stub_status; }'''
ALL = 'WebSockets', 'ServerSentEvents', 'LongPolling'
PLAIN = ALL[1:]

# replies of GetTask that fill the client's buffers, and not the server's

TAKES = 16384
UNREAD = 200


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


def four(t, **more):
    return Api(t, gpu=HELD, workers=4, server=SPREAD, **more)


def drop(api, hub):
    """The client is gone, without a word."""

    if isinstance(hub.ws, Poller):
        return

    before = api.metric('conduit_hub_closed_total')
    hub.ws.c.close()
    wait_for(lambda: api.metric('conduit_hub_closed_total') > before)


def subscribed(api, task, transport='WebSockets', **more):
    hub = Hub(api.port(1), api.alice.key, transport=transport, **more)
    hub.invoke('SubscribeToTask', task)
    hub.until('TaskProgress')
    return hub


def rest(hub):
    """What is told until the server ends the connection."""

    events = []

    try:
        while True:
            events.append(hub.event())
    except Closed:
        return events


def held(api):
    text = api.get('/stub').text
    return int(re.search(r'Writing: (\d+)', text).group(1)) - 1


def test_succeed(t):
    with four(t) as api:
        for old_way in ALL:
            for new_way in ALL:
                task = claimed(api)
                old = subscribed(api, task, old_way, version=0)
                tell(api, task, 10)
                old.until('TaskProgress')
                drop(api, old)
                tell(api, task, 20)
                before = api.metric('conduit_hub_reconnects_total')

                new = Hub(api.port(1), api.alice.key, old=old.id, version=0,
                          transport=new_way)
                got = new.event()
                tell(api, task, 30)
                more = new.event()
                finish(api, task)
                end = new.until('TaskCompleted')
                t.eq((got, more, len(end)),
                     (('TaskProgress', [task, 20]),
                      ('TaskProgress', [task, 30]), 1),
                     '%s after %s' % (new_way, old_way))
                t.eq(api.metric('conduit_hub_reconnects_total'), before + 1,
                     'counted')
                new.close()


def test_alive(t):
    """The server does not know yet that the old connection is dead."""

    with four(t) as api:
        for way in ALL[:2]:
            for _ in range(4):
                task = claimed(api)
                old = subscribed(api, task, way, version=0)
                new = Hub(api.port(1), api.alice.key, old=old.id, version=0)
                progress = 'TaskProgress', [task, 20]
                tell(api, task, 20)

                # it may have been told before the old one gave way

                good = progress in rest(old) or new.event() == progress
                finish(api, task)
                ends = new.until('TaskCompleted')
                good &= all(event == progress for event in ends[:-1])

                # a third one knows the second only

                drop(api, new)
                last = Hub(api.port(1), api.alice.key, old=new.id, version=0)
                last.invoke('UnsubscribeFromTask', task)
                good &= last.records == []
                last.close()

                if not good:
                    break

            t.ok(good, way + ' gives way, and nothing is told twice')


def test_unread(t):
    """The client's host has not taken what the old connection sent."""

    with four(t) as api:
        for method in 'SubscribeToTask', 'SubscribeToAllTasks':
            task = claimed(api)
            old = Hub(api.port(1), api.alice.key, version=0,
                      c=Connection(api.port(1), takes=TAKES))
            old.invoke(method, *[task] if 'All' not in method else [])
            before = api.metric('conduit_hub_invocations_total')

            for _ in range(UNREAD):
                old.call('GetTask', task)

            wait_for(lambda: api.metric('conduit_hub_invocations_total')
                     >= before + UNREAD)
            finish(api, task)
            api.alice.wait(task)

            new = Hub(api.port(1), api.alice.key, old=old.id, version=0)
            end = new.until('TaskCompleted')[-1]
            t.eq(end[1][0], task, method + ': the end is told again')
            old.close()
            new.close()


def test_reset(t):
    """What the client's host has taken is lost with a reset."""

    with four(t) as api:
        for method in 'SubscribeToTask', 'SubscribeToAllTasks':
            task = claimed(api)
            old = Hub(api.port(1), api.alice.key, version=0)
            old.invoke(method, *[task] if 'All' not in method else [])
            old.until('TaskProgress')
            before = api.metric('conduit_hub_messages_total')
            finish(api, task)
            wait_for(lambda: api.metric('conduit_hub_messages_total') > before)
            before = api.metric('conduit_hub_closed_total')

            # hosts acknowledge data a little later

            time.sleep(0.3)

            old.ws.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     struct.pack('ii', 1, 0))
            old.close()
            wait_for(lambda: api.metric('conduit_hub_closed_total') > before)

            new = Hub(api.port(1), api.alice.key, old=old.id, version=0)
            t.eq(new.until('TaskCompleted')[-1][1][0], task,
                 method + ': the end is told again')
            new.close()


def test_foreign(t):
    with four(t) as api:
        task = claimed(api)
        old = subscribed(api, task, version=0)
        drop(api, old)
        tell(api, task, 50)

        for name, key, path in (
                ('another key', api.bob.key, IMAGE_HUB),
                ('another hub', api.alice.key, VIDEO_HUB)):
            with Hub(api.port(1), key, path, old=old.id) as hub:
                hub.invoke('UnsubscribeFromTask', task)
                t.eq(hub.records, [], name + ' gets nothing')

        for name in 'x', old.id[:-3] + 'AAA', 'A' * 22:
            with Hub(api.port(1), api.alice.key, old=name) as hub:
                hub.invoke('UnsubscribeFromTask', task)
                t.eq(hub.records, [], 'nor does a wrong id')

        with Hub(api.port(1), api.alice.key, old=old.id) as hub:
            t.eq(hub.event(), ('TaskProgress', [task, 50]), 'it is still there')
            hub.send({'type': 7})
            hub.ws.ended()

        with Hub(api.port(1), api.alice.key, old=hub.id) as again:
            again.invoke('GetTask', task)
            t.eq(again.records, [], 'who says goodbye leaves nothing')


def test_all(t):
    with four(t) as api:
        hub = Hub(api.port(1), api.alice.key, TASKS_HUB)
        hub.invoke('SubscribeToAllTasks')
        first = claimed(api)
        hub.until('TaskProgress')
        drop(api, hub)
        finish(api, first)
        second = claimed(api)

        with Hub(api.port(1), api.alice.key, TASKS_HUB, old=hub.id,
                 transport='LongPolling') as new:
            events = new.until('TaskProgress')
            t.eq([(e[0], e[1][0]) for e in events],
                 [('TaskCompleted', first), ('TaskStarted', second),
                  ('TaskProgress', second)], 'all tasks: what was missed')
            finish(api, second)
            t.eq(new.event()[0], 'TaskCompleted', 'and what follows')


def test_resume(t):
    with four(t) as api:
        for _ in range(3):
            task = claimed(api)
            hub = Hub(api.port(1), api.alice.key, stateful=True)
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')
            t.eq(hub.record(), {'type': 8, 'sequenceId': 1}, 'acknowledged')
            hub.send({'type': 8, 'sequenceId': 1})
            tell(api, task, 10)
            hub.until('TaskProgress')
            seats = api.metric('conduit_hub_connections')

            for i in range(2):
                old = hub.ws
                if i:
                    old.c.close()
                hub.records = []
                hub.ws = WebSocket(api.port(1), IMAGE_HUB + '?id='
                                   + hub.token, key=api.alice.key)
                t.eq(hub.record(), {'type': 9, 'sequenceId': 2}, 'it goes on')
                t.eq(hub.event(), ('TaskProgress', [task, 0]),
                     'with what was not acknowledged')
                t.eq(hub.event(), ('TaskProgress', [task, 10]), 'in order')
                hub.send({'type': 9, 'sequenceId': 2})
                if i == 0:
                    t.eq(old.ended(), None, 'the old socket is dropped')

            # what the client sends again is not done again

            hub.calls = 1
            number = hub.call('CancelTask', task)
            r = hub.next()
            events = []
            while r.get('invocationId') != number:
                events.append(r)
                r = hub.next()
            t.eq(r['result']['status'], 'cancelled', 'a call')
            hub.records = []
            hub.ws.c.close()
            hub.ws = WebSocket(api.port(1), IMAGE_HUB + '?id=' + hub.token,
                               key=api.alice.key)
            got = [hub.record() for _ in range(5)]
            t.eq([x.get('sequenceId') or x.get('target') or x['result'][
                  'status'] for x in got],
                 [2, 'TaskProgress', 'TaskProgress']
                 + (['cancelled', 'TaskFailed'] if not events
                    else ['TaskFailed', 'cancelled']), 'all of it again')
            hub.send({'type': 9, 'sequenceId': 2})
            hub.send({'type': 1, 'target': 'CancelTask', 'arguments': [task],
                      'invocationId': number})
            r = hub.invoke('Nonsense')
            t.ok('Unknown hub method' in r['error'], 'the next one')
            t.ok(all(x.get('type') == 8 for x in hub.records),
                 'the repeated call has no second answer')
            t.eq(api.metric('conduit_hub_connections'), seats, 'one seat')

            hub.send({'type': 9, 'sequenceId': 99})
            record = hub.next()
            while record['type'] != 7:
                record = hub.next()
            t.ok('error' in record, 'a number that is too high')

            try:
                WebSocket(api.port(1), IMAGE_HUB + '?id=' + hub.token,
                          key=api.alice.key)
                t.ok(False, 'the id is dead')
            except Refused as e:
                t.eq(e.status, 404, 'the id is dead')


def test_not_resumed(t):
    with four(t) as api:
        r = Client(api.port(1), api.alice.key).post(
            IMAGE_HUB + '/negotiate?negotiateVersion=1'
            '&useStatefulReconnect=true').json()
        t.ok(r['useStatefulReconnect'] is True, 'granted')
        for query in ('negotiateVersion=1', 'useStatefulReconnect=true',
                      'negotiateVersion=1&useStatefulReconnect=false'):
            r = Client(api.port(1), api.alice.key).post(
                IMAGE_HUB + '/negotiate?' + query).json()
            t.ok('useStatefulReconnect' not in r, 'not granted: ' + query)

        def status(hub):
            try:
                WebSocket(api.port(1), IMAGE_HUB + '?id=' + hub.token,
                          key=api.alice.key).close()
            except Refused as e:
                return e.status

        hub = Hub(api.port(1), api.alice.key, stateful=True, handshake=False)
        hub.handshake(1)
        t.eq(status(hub), 409, 'an old handshake: not stateful')
        drop(api, hub)
        t.eq(status(hub), 404, 'and gone')

        hub = Hub(api.port(1), api.alice.key, stateful=True)
        hub.ws.send(struct.pack('>H', 1000), CLOSE)
        t.eq(hub.ws.ended(), 1000, 'a close')
        t.eq(status(hub), 404, 'ends it')


def test_kill(t):
    with four(t, http='conduit_connections per_key=40 total=1000;') as api:
        task = claimed(api)
        hubs = [subscribed(api, task, way, version=0)
                for way in ALL for _ in range(4)]
        before = len(hubs)
        t.eq(api.metric('conduit_hub_connections'), before, 'all are there')

        # subscriptions are written into the zone each half second, unseen

        time.sleep(1.2 * BUSY)

        polls = concurrent.futures.ThreadPoolExecutor(4)
        waiting = [polls.submit(hub.ws.poll) for hub in hubs[8:]]
        wait_for(lambda: held(api) >= 8)

        for pid in api.workers():
            api.kill_worker(pid)

        wait_for(lambda: api.metric('conduit_hub_connections') == 0, 5 * BUSY)
        t.ok(True, 'seats are given back within 5 s')

        for poll in waiting:
            try:
                t.ok(poll.result(DEADLINE).status != 200, 'a poll ended')
            except OSError:
                t.ok(True, 'a poll ended')

        tell(api, task, 60)

        for hub in hubs:
            new = Hub(api.port(1), api.alice.key, old=hub.id, version=0)
            t.eq(new.event(), ('TaskProgress', [task, 60]), 'taken over')
            new.close()


def test_reload(t):
    with four(t, main='worker_shutdown_timeout 20s;') as api:
        task = claimed(api)
        hubs = [subscribed(api, task, way) for way in PLAIN for _ in range(8)]
        polls = concurrent.futures.ThreadPoolExecutor(8)
        ends = [polls.submit(hub.next) for hub in hubs[8:]]
        wait_for(lambda: held(api) >= 16)
        api.reload(wait=False)

        goodbye = {'type': 7, 'allowReconnect': True}
        t.eq([hub.next() for hub in hubs[:8]], [goodbye] * 8, 'streams')
        t.eq([end.result(DEADLINE * 2) for end in ends], [goodbye] * 8,
             'polls')
        t.eq({hub.ws.ended() for hub in hubs}, {1000}, 'all ended')
        t.eq({hub.ws.post('x').status for hub in hubs}, {404}, 'and dead')
        wait_for(lambda: not api.old_workers())

        # one that is between two polls goes on

        hub = subscribed(api, task, 'LongPolling')
        api.reload()
        finish(api, task)
        t.eq(hub.event()[0], 'TaskCompleted', 'over a reload')
        hub.close()


def test_revoked(t):
    with four(t, start=False, keys={'dave': None},
              http='conduit_key_file %%DIR%%/keys.json;') as api:
        dave = {'secret': api.sha256('dave')}
        api.write('keys.json', json.dumps({'dave': dave}))
        api.start()
        hubs = [Hub(api.port(1), api.secrets['dave'], transport=way)
                for way in PLAIN for _ in range(4)]
        polls = concurrent.futures.ThreadPoolExecutor(4)
        ends = [polls.submit(hub.next) for hub in hubs[4:]]
        wait_for(lambda: held(api) >= 8)
        start = time.time()
        api.write('keys.json', '{}')
        last = ([hub.next() for hub in hubs[:4]]
                + [end.result(DEADLINE) for end in ends])
        t.between(time.time() - start, 0, 2.2 * BUSY, 'within two seconds')
        t.eq({x['type'] for x in last}, {7}, 'all are told')
        t.ok(all('allowReconnect' not in x for x in last), 'for good')
        t.eq({hub.ws.post('x').status for hub in hubs}, {401}, 'and refused')


def test_times(t):
    """All that takes 15 s, side by side."""

    with four(t, http='''
              conduit_hub_keepalive 1s;
              conduit_hub_timeout 2s;''') as api:
        task = claimed(api)
        silent = [Hub(api.port(1), api.alice.key, transport=way,
                      handshake=False) for way in PLAIN]
        polls = concurrent.futures.ThreadPoolExecutor(4)
        refused = [polls.submit(hub.record) for hub in silent]

        idle = subscribed(api, task, 'LongPolling')
        cut = Hub(api.port(1), api.alice.key, stateful=True)
        cut.ws.c.close()

        start = time.time()
        pinged = Hub(api.port(1), api.alice.key, transport='ServerSentEvents')
        quiet = Hub(api.port(1), api.alice.key, transport='ServerSentEvents')
        t.eq([quiet.record(), quiet.record()], [{'type': 6}] * 2, 'pings')
        pinged.send({'type': 6})
        record = pinged.next()
        t.ok(record['type'] == 7 and 'error' in record, 'one that has pinged')
        t.eq(pinged.ws.ended(), 1000, 'may not be silent')
        t.between(time.time() - start, 2.5, 6 * BUSY, 'in time')
        t.eq(quiet.record(), {'type': 6}, 'one that never pings may')
        quiet.close()

        for future in refused:
            t.eq(future.result(DEADLINE * 3),
                 {'error': 'Handshake was canceled.'}, 'no handshake')
        t.eq({hub.ws.ended() for hub in silent}, {1000}, 'ends it')

        wait_for(lambda: api.metric('conduit_hub_connections') == 0,
                 20 * SLOW)
        t.eq(idle.ws.poll().status, 404, 'no poll in 15 s')
        with Hub(api.port(1), api.alice.key, old=idle.token) as new:
            finish(api, task)
            t.eq(new.until('TaskCompleted')[-1][0], 'TaskCompleted',
                 'but its successor goes on')


def test_slow_stream(t):
    with Api(t, gpu=HELD, http='conduit_hub_buffer 4k;',
             server='listen 127.0.0.1:%%PORT1%% sndbuf=16k;') as api:
        task = claimed(api)
        hub = Hub(api.port(1), api.alice.key, TASKS_HUB,
                  transport='ServerSentEvents')
        hub.ws.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hub.invoke('SubscribeToTask', task)
        hub.until('TaskProgress')
        before = rss(api.workers()[0])

        with api.robot.connect() as c:
            for i in range(1500):
                r = c.request('POST', WORKER + 'tasks/%s/progress' % task,
                              None, {'progress': 1 + i // 16,
                                     'message': str(i) + 'x' * 900},
                              api.robot.key)
                if r.status != 200:
                    raise AssertionError(repr(r))

        grown = rss(api.workers()[0]) - before
        t.ok(SANITIZE or grown < 4 << 20, 'memory is bounded: %d' % grown)
        t.ok(api.metric('conduit_hub_skipped_total') > 0, 'some is skipped')
        finish(api, task)
        events = hub.until('TaskCompleted')
        t.ok(len(events) < 1500, 'not all progress: %d' % len(events))
        values = [e[1][1] for e in events if e[0] == 'TaskProgress']
        t.eq(values, sorted(values), 'it never falls')
        hub.close()


run(test_succeed, test_alive, test_unread, test_reset, test_foreign, test_all,
    test_resume, test_not_resumed, test_kill, test_reload, test_revoked,
    test_times, test_slow_stream)
