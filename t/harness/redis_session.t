#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a hub connection at one host, what its client sends at another one

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_clients import *
from conduit_hub import *
from conduit_redis import *

PLAIN = 'ServerSentEvents', 'LongPolling'
HELD = GPU.replace('lease 1s', 'lease 60s')

# requests go to two hosts in turn; a proxy logs their URLs, with keys

TURNS = '''
    upstream hosts {
        server 127.0.0.1:%d;
        server 127.0.0.1:%%%%PORT%%%%;
    }

    server {
        listen 127.0.0.1:%%%%PORT1%%%%;
        error_log /dev/null crit;

        location / {
            proxy_pass http://hosts;
            proxy_http_version 1.1;
            proxy_buffering off;
        }
    }
'''


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def spread(hub, port):
    """GETs stay where they are, all else goes to that port."""

    own, request = hub.ws.port, hub.ws.request

    def sent(method, body=None, timeout=None):
        hub.ws.port = own if method == 'GET' else port
        return request(method, body, timeout)

    hub.ws.request = sent


def connect(a, b, transport):
    hub = Hub(a.port(), a.secrets['alice'], transport=transport,
              handshake=False)
    spread(hub, b.port())
    return hub


def by_turns(hub, *apis):
    """Each request goes to the next one."""

    request = hub.ws.request
    count = iter(range(1000000))

    def sent(method, body=None, timeout=None):
        hub.ws.port = apis[next(count) % len(apis)].port()
        return request(method, body, timeout)

    hub.ws.request = sent


def known(a, b):
    """Waits for b to know a."""

    def heard():
        try:
            hub = connect(a, b, 'ServerSentEvents')
            hub.handshake()
            hub.close()
            return True

        except Refused as e:
            if e.response.status not in (404, 503):
                raise

    wait_for(heard, 20, 'b to know a')


def talk(one, other, transport):
    """Whether a connection, of whose client the other host hears, serves.
    Hosts may be late; then a client is told 503, and begins anew."""

    hub = connect(one, other, transport)

    try:
        hub.handshake()

        for i in range(5):
            task = other.alice.image('sandbox:duration=50ms')['task_id']
            r = hub.invoke('SubscribeToTask', task)
            events = hub.until('TaskCompleted')

            if 'error' in r or events[-1][1][0] != task:
                raise AssertionError('%r %r' % (r, events))

        return True

    except Refused as e:
        if e.response.status != 503:
            raise

    finally:
        hub.close()


def test_post(t):
    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b:

        known(a, b)
        known(b, a)

        for transport in PLAIN:
            for one, other in (a, b), (b, a):
                wait_for(lambda: talk(one, other, transport), 60,
                         'hosts that hear each other in time')
                t.ok(True, '%s: five tasks' % transport)


def test_end(t):
    """DELETE at the other host, and requests for what is nowhere."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        known(a, b)

        hub = connect(a, b, 'LongPolling')
        hub.handshake()
        t.eq(hub.ws.request('DELETE').status, 202, 'ended')
        t.eq(hub.ws.poll().status, 404, 'and gone where it was')

        # a host that has just begun does not know yet whom to ask

        r = wait_for(lambda: (lambda r: r.status != 503 and r)(
            hub.ws.post('x')), 30, 'b to know all hosts')
        t.eq(r.status, 404, 'a POST afterwards')
        t.eq(hub.ws.request('DELETE').status, 404, 'a DELETE')

        hub = connect(a, b, 'ServerSentEvents')
        r = hub.ws.request('DELETE')
        t.eq((r.status, r.json()['error']['code']),
             (400, 'invalid_connection'), 'no DELETE for a stream')
        hub.close()


def test_bounds(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        known(a, b)

        # between two polls nobody reads what comes

        hub = connect(a, b, 'LongPolling')
        seen = []

        while len(seen) < 20 and (not seen or seen[-1] == 200):
            seen.append(hub.ws.post('x' * 30000).status)

        t.eq((seen[0], seen[-1]), (200, 429), 'an inbox has a bound')
        t.eq(hub.ws.post('x' * 1000000).status, 413, 'and a body')


def test_outage(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        known(a, b)

        far = connect(a, b, 'ServerSentEvents')
        far.handshake()
        near = connect(b, b, 'ServerSentEvents')
        near.handshake()

        redis.stop()

        r = wait_for(lambda: (lambda r: r.status != 200 and r)(
            far.ws.post(json.dumps({'type': 6}) + RS)), 20, 'a refusal')
        t.eq(r.status, 503, 'Redis is gone')
        t.eq(near.ws.post(json.dumps({'type': 6}) + RS).status, 200,
             'which is nothing to the own ones')

        redis.start()

        wait_for(lambda: far.ws.post(json.dumps({'type': 6}) + RS).status
                 == 200, 20, 'Redis to be back')
        t.ok(True, 'and again')

        far.close()
        near.close()


def test_polls(t):
    """A connection whose polls go to the hosts in turn."""

    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b, \
            host(t, redis, 'c', a) as c:

        for one, other in (a, b), (b, c), (c, a), (a, c), (b, a), (c, b):
            known(one, other)

        for turns in (a, b), (a, b, c):
            hub = Hub(a.port(), a.secrets['alice'], transport='LongPolling',
                      handshake=False)
            by_turns(hub, *turns)
            hub.handshake()

            for i in range(6):
                owner = (a, b, c)[i % 3]
                task = owner.alice.image('sandbox:duration=300ms')['task_id']
                r = hub.invoke('SubscribeToTask', task)
                events = hub.until('TaskCompleted')
                progress = [x[1][1] for x in events[:-1]]
                t.ok('error' not in r and events[-1][1][0] == task
                     and progress == sorted(progress),
                     'polls of %d hosts' % len(turns)) or t.diag((r, events))

            t.eq(hub.ws.request('DELETE').status, 202, 'ended')
            t.eq({hub.ws.poll().status for x in range(3)}, {404},
                 'and gone everywhere')


def test_late(t):
    """A host that is late does not take what has gone on meanwhile."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a, workers=2) as b, \
            host(t, redis, 'c', a) as c:

        for one, other in (a, b), (a, c), (b, a), (b, c), (c, a), (c, b):
            known(one, other)

        task = a.alice.image('sandbox:duration=30s sandbox:progress=99')
        task = task['task_id']

        # one of them answers for the host

        for pid in b.workers():
            hub = Hub(c.port(), a.secrets['alice'], transport='LongPolling')
            t.ok('error' not in hub.invoke('SubscribeToTask', task),
                 'subscribed')

            os.kill(pid, signal.SIGSTOP)

            try:
                hub.ws.port = a.port()
                t.eq(hub.ws.poll().status, 200, 'one host is silent')
                hub.ws.port = b.port()
                t.eq(hub.ws.poll().status, 200, 'its other worker is not')

            finally:
                os.kill(pid, signal.SIGCONT)

            t.eq({hub.ws.poll().status for _ in range(20)}, {200},
                 'what it finds then is over')
            hub.close()


def rounds(t, hub, hosts, hop, what, once):
    """Events of all tasks, for a client that goes from host to host."""

    hub.invoke('SubscribeToAllTasks')
    events = []

    for i in range(4):
        tasks = {x.alice.image('sandbox:duration=%dms' % ms,
                               size='256x256')['task_id']
                 for x in hosts for ms in (100, 300, 700)}

        if hop:
            hub = hop(hub, i)

        while tasks:
            events.append(hub.event())

            if events[-1][0] == 'TaskCompleted':
                tasks.discard(events[-1][1][0])

    told = {}
    for target, arguments in events:
        told.setdefault(arguments[0], []).append(target)

    t.eq(len(told), 4 * 3 * len(hosts), '%s: all of them' % what)
    if once:
        for target in 'TaskStarted', 'TaskCompleted':
            t.eq([x for x in told.values() if x.count(target) > 1], [],
                 'and each %s once' % target)

    return hub


def test_all(t):
    """SubscribeToAllTasks goes with its client."""

    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b, \
            host(t, redis, 'c', a) as c:

        hosts = a, b, c

        for one in hosts:
            for other in hosts:
                if one is not other:
                    known(one, other)

        hub = Hub(a.port(), a.secrets['alice'], transport='LongPolling',
                  handshake=False)
        by_turns(hub, a, b, c)
        hub.handshake()
        rounds(t, hub, hosts, None, 'LongPolling by turns', True).close()

        for transport in TRANSPORTS:

            def hop(old, i):
                new = Hub(hosts[(i + 1) % 3].port(), a.secrets['alice'],
                          old=old.token, transport=transport)
                return new

            hub = Hub(a.port(), a.secrets['alice'], transport=transport)
            rounds(t, hub, hosts, hop, '%s: successors' % transport,
                   False).close()


def test_successor(t):
    """What a client had at one host it finds at another one."""

    with Redis() as redis, host(t, redis, 'a', workers=2, gpu=HELD) as a, \
            host(t, redis, 'b', a, workers=2, gpu=HELD) as b:

        known(a, b)
        known(b, a)

        for transport in TRANSPORTS:
            # what goes to an old one that is open still is lost with it

            for cut in [False] * 6 + [True]:
                task = a.alice.image('s', 'gpu-image')['task_id']
                a.robot.worker('claim', {})

                old = Hub(a.port(), a.secrets['alice'], transport=transport)
                old.invoke('SubscribeToTask', task)

                if cut and transport != 'LongPolling':
                    old.close()

                new = Hub(b.port(), b.secrets['alice'], old=old.token,
                          transport=transport)

                r = a.robot.worker('tasks/%s/complete' % task, {
                    'data': [{'url': 'https://example.com/a.png'}]})
                t.eq(r.status, 200, 'complete')

                events = new.until('TaskCompleted')
                t.eq(events[-1][1][0], task, '%s: a successor' % transport)

                new.close()
                old.close()


def test_stateful(t):
    """Stateful reconnect at another host."""

    with Redis() as redis, host(t, redis, 'a', workers=2, gpu=HELD) as a, \
            host(t, redis, 'b', a, workers=2, gpu=HELD) as b:

        known(a, b)
        known(b, a)

        for closed in False, True:
            task = a.alice.image('s', 'gpu-image')['task_id']
            a.robot.worker('claim', {})

            hub = Hub(a.port(), a.secrets['alice'], stateful=True)
            t.ok('error' not in hub.invoke('SubscribeToTask', task),
                 'subscribed')

            if closed:
                hub.ws.c.close()

            again = WebSocket(b.port(), IMAGE_HUB + '?id=' + hub.token,
                              key=b.secrets['alice'])
            hub.ws, hub.records = again, []

            hub.send({'type': 9, 'sequenceId': 2})
            r = hub.next()
            t.eq((r['type'], r['sequenceId']), (9, 1), 'goes on')
            t.eq(hub.next()['type'], 3, 'nothing is lost')

            r = a.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]})
            t.eq(r.status, 200, 'complete')
            t.eq(hub.until('TaskCompleted')[-1][1][0], task, 'nor missed')

            # the number of a message goes on, too

            t.ok('error' not in hub.invoke('GetTask', task), 'GetTask')
            hub.close()


def test_leaving(t):
    """A worker that leaves while another host is late with its answer."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        known(a, b)
        hub = connect(a, b, 'ServerSentEvents')
        hub.handshake()
        heard = redis.client()
        heard.call('SUBSCRIBE', 'conduit:hosts')

        for pid in a.workers():
            os.kill(pid, signal.SIGSTOP)

        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                sent = pool.submit(hub.ws.post, json.dumps({'type': 6}) + RS)

                while not heard.read()[2].startswith(b'session '):
                    pass

                b.reload(wait=False)
                t.eq(sent.result().status, 503, 'the request is answered')

        finally:
            for pid in a.workers():
                os.kill(pid, signal.SIGCONT)

        hub.close()


class Holding(RedisProxy):
    """Keeps a reply back for a while that holds a word."""

    word = None

    def receive(self, server, replies):
        self.pump(server, lambda data: replies.put((
            time.monotonic() + 4 * (self.word is not None
                                    and self.word.encode() in data), data)))
        replies.put((0, b''))


def test_behind(t):
    """The host that a client of all tasks leaves was parted, and has not heard
    yet what has ended meanwhile."""

    with Redis() as redis, Holding(redis) as proxy, \
            host(t, redis, 'a', gpu=HELD) as a, \
            host(t, proxy, 'b', a, gpu=HELD) as b, \
            host(t, redis, 'c', a, gpu=HELD) as c:

        known(b, c)

        task = a.alice.image('s', 'gpu-image')['task_id']
        a.robot.worker('claim', {})
        old = Hub(b.port(), a.secrets['alice'])
        old.invoke('SubscribeToAllTasks')
        since = len(b.error_log())
        proxy.cut()
        r = a.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(r.status, 200, 'complete')

        # longer than what a host looks back at anyway

        time.sleep(11)

        proxy.word = task
        proxy.listen()
        connect_all(b, since)

        # c has to hear of b first

        for _ in range(8):
            before = c.metric('conduit_hub_reconnects_total')
            new = Hub(c.port(), a.secrets['alice'], old=old.token)
            time.sleep(0.3)

            if c.metric('conduit_hub_reconnects_total') > before:
                break

            new.close()

        while new.until('TaskCompleted')[-1][1][0] != task:
            pass

        t.ok(True, 'the end is told')
        new.close()
        old.close()


def test_counted(t):
    """A message that waits for another host is counted once."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        task = a.alice.image('sandbox:duration=60s')['task_id']
        hub = Hub(b.port(), a.secrets['alice'], stateful=True)
        t.ok('error' not in hub.invoke('SubscribeToTask', task), 'subscribed')

        while True:
            r = hub.next()

            if r['type'] == 8:
                break

        t.eq(r['sequenceId'], 1, 'acknowledged')

        # the client takes it for the first one, too, and the next one is lost
        # on the way

        hub.ws.c.close()
        hub.ws = WebSocket(b.port(), IMAGE_HUB + '?id=' + hub.token,
                           key=b.secrets['alice'])
        hub.records = []
        hub.send({'type': 9, 'sequenceId': 2})
        t.ok('error' not in hub.invoke('GetTask', task), 'the second one')
        hub.close()


def test_waiting(t):
    """Invocations that wait for another host go with their connection."""

    def again(hub, api, task):
        """Comes again and sends all once more."""

        calls = [{'type': 1, 'target': method, 'arguments': [task],
                  'invocationId': method}
                 for method in ('GetTask', 'SubscribeToTask')]

        hub.send(*calls)
        yield

        hub.ws = WebSocket(api.port(), IMAGE_HUB + '?id=' + hub.token,
                           key=hub.key)
        hub.records = []
        hub.send({'type': 9, 'sequenceId': 1}, *calls)
        yield

        t.eq(hub.next(), {'type': 9, 'sequenceId': 1}, 'goes on')
        r = [hub.next() for _ in range(2)]
        t.eq([(x['invocationId'], 'error' in x) for x in r],
             [('GetTask', False), ('SubscribeToTask', False)], 'answered')
        r = hub.invoke('GetTask', task)
        t.ok('error' not in r and r['invocationId'] == '1', 'each once')
        hub.close()
        yield

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, redis, 'a') as a, host(t, proxy, 'b', a, workers=2) as b, \
            host(t, redis, 'c', a) as c:

        known(b, c)
        known(c, b)

        # Redis is late, and the client is cut off meanwhile

        task = a.alice.image('sandbox:duration=60s')['task_id']
        hub = Hub(b.port(), a.secrets['alice'], stateful=True)
        steps = again(hub, b, task)
        proxy.stall()
        next(steps)
        hub.ws.close()
        next(steps)
        proxy.heal()
        next(steps)

        # the owner is late, and the client goes to another host

        task = a.alice.image('sandbox:duration=60s')['task_id']
        hub = Hub(b.port(), a.secrets['alice'], stateful=True)
        steps = again(hub, c, task)

        for pid in a.workers():
            os.kill(pid, signal.SIGSTOP)

        try:
            next(steps)
            next(steps)

        finally:
            for pid in a.workers():
                os.kill(pid, signal.SIGCONT)

        next(steps)


def invoked(api, hub, method, task):
    """Sends an invocation, and waits for the server to have it."""

    before = api.metric('conduit_hub_invocations_total')
    number = hub.call(method, task)
    wait_for(lambda: api.metric('conduit_hub_invocations_total') > before)
    return number


def test_cancels(t):
    """A CancelTask that waits for the store goes with its connection."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'b', workers=2) as b:

        for cut in False, True:
            task = b.alice.image('sandbox:duration=60s')['task_id']
            hub = Hub(b.port(), b.secrets['alice'], stateful=True)
            proxy.stall()
            number = invoked(b, hub, 'CancelTask', task)

            if cut:
                hub.ws.close()

            hub.ws = WebSocket(b.port(), IMAGE_HUB + '?id=' + hub.token,
                               key=hub.key)
            hub.send({'type': 9, 'sequenceId': 2})
            t.eq(hub.next(), {'type': 9, 'sequenceId': 1}, 'goes on')
            proxy.heal()

            r = hub.next()
            t.eq((r.get('invocationId'), r.get('result', {}).get('status')),
                 (number, 'cancelled'), 'answered') or t.diag(r)
            r = hub.invoke('CancelTask', task)
            t.ok('already ended' in r['error'], 'once')
            hub.close()


def test_polled(t):
    """What waits when its poll is lost goes to the next poll."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, redis, 'a') as a, \
            host(t, proxy, 'b', a, workers=4) as b, \
            concurrent.futures.ThreadPoolExecutor(1) as polls:

        known(a, b)
        hub = Hub(b.port(), b.secrets['alice'], transport='LongPolling')

        for api, method in [(a, 'GetTask'), (b, 'CancelTask')] * 4:
            task = api.alice.image('sandbox:duration=60s')['task_id']
            proxy.stall()
            before = b.metric('conduit_hub_invocations_total')
            number = hub.call(method, task)

            with Connection(b.port()) as lost:
                lost.send(encode_request('GET', hub.ws.path, None, None,
                                         hub.key))
                wait_for(lambda: b.metric('conduit_hub_invocations_total')
                         > before)

            poll = polls.submit(hub.next)
            proxy.heal()
            r = poll.result(DEADLINE)
            t.eq((r.get('invocationId'), r.get('result', {}).get('task_id')),
                 (number, task), method) or t.diag(r)

        hub.close()


def test_unknown(t):
    """What Redis has lost is owed until its host can put it again."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a', gpu=HELD) as a, \
            host(t, redis, 'b', a, gpu=HELD) as b, \
            host(t, redis, 'c', a, gpu=HELD) as c:

        known(b, c)
        known(c, b)

        tasks = [a.alice.image('s', 'gpu-image')['task_id'] for _ in range(2)]
        hubs = [Stateful(b.port(), b.secrets['alice']),
                Hub(b.port(), b.secrets['alice'])]

        for hub, task in zip(hubs, tasks):
            a.robot.worker('claim', {})
            t.ok('error' not in hub.invoke('SubscribeToTask', task), 'told')

        proxy.stall()
        redis.call('FLUSHALL')

        one, other = hubs
        t.ok(one.resume(WebSocket(c.port(), IMAGE_HUB + '?id=' + one.token,
                                  key=one.key)), 'goes on')
        other.close()
        hubs[1] = Hub(c.port(), c.secrets['alice'], old=other.token)

        # by then the other host has asked Redis, who says that there is none

        before = redis.calls()

        for hub in hubs:
            t.ok('error' in hub.invoke('GetTask', tasks[0]), 'not there')

        proxy.heal()

        for hub, task in zip(hubs, tasks):
            wait_for(lambda: c.alice.status(task).status == 200, 30, 'a task',
                     0.5)
            t.ok(redis.calls() - before < 10000, 'Redis is not asked all the '
                 'time') or t.diag(redis.calls() - before)
            r = a.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]})
            t.eq(r.status, 200, 'complete')
            t.eq(hub.until('TaskCompleted')[-1][1][0], task, 'it is told')
            hub.close()


def test_signalr(t):
    """The npm package, whose requests go to both hosts in turn."""

    modules = npm()

    with Redis() as redis, host(t, redis, 'a', gpu=HELD) as a, \
            host(t, redis, 'b', a, gpu=HELD, http=TURNS % a.port()) as b:

        known(a, b)
        known(b, a)

        for transport in PLAIN + PLAIN:
            task = a.alice.image('s', 'gpu-image')['task_id']
            a.robot.worker('claim', {})

            client = subprocess.Popen(
                ['node', os.path.join(CLIENTS, 'hub.mjs')],
                env=dict(os.environ, CONDUIT_CLIENTS=modules, TASK=task,
                         CONDUIT_KEY=a.secrets['alice'], PROTOCOL='json',
                         TRANSPORT=transport,
                         CONDUIT_URL='http://127.0.0.1:%d%s'
                         % (b.port(1), IMAGE_HUB)),
                stdout=subprocess.PIPE)

            try:
                said = []

                while ['subscribed'] not in said:
                    line = client.stdout.readline()
                    if not line:
                        raise AssertionError(said)
                    said.append(json.loads(line))

                t.ok(True, 'SignalR by turns, %s' % transport)

                r = a.robot.worker('tasks/%s/complete' % task, {
                    'data': [{'url': 'https://example.com/a.png'}]})
                t.eq(r.status, 200, 'complete')

                said += [json.loads(x) for x in client.stdout]
                t.eq([x[0] for x in said if x[0] != 'TaskProgress'],
                     ['subscribed', 'TaskCompleted', 'GetTask', 'error',
                      'stopped'],
                     'each once')
                t.eq(client.wait(20), 0, 'the client ends')

            finally:
                if client.poll() is None:
                    client.kill()
                client.stdout.close()
                client.wait()


run(test_post, test_end, test_bounds, test_outage, test_polls,
    test_late, test_all, test_successor, test_stateful, test_behind,
    test_leaving, test_counted, test_waiting, test_cancels, test_polled,
    test_unknown, test_signalr)
