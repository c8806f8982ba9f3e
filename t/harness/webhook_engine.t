#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The delivery of webhooks: what is sent and how often; 10 000 deliveries
# while workers are killed and the configuration is loaded again: nothing is
# lost, and only what was on its way in a killed worker is sent twice.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HOOKS = '''
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
    conduit_webhook_rate off;
'''

TASKS_N = 2000 if SANITIZE else 10000
PER_ORIGIN = 16


class Receiver:
    """Answers any number of POSTs from one thread, by a function of the
    path and the number of requests for it so far; records them all."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda path, n: 200)
        self.hits = []              # (time, path, webhook-id, body)
        self.paths = {}
        self.confirmed = {}         # webhook-id: times it got a 2xx
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self.ready.wait()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(self.loop.create_server(
            lambda: _Protocol(self), HOST, 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    def url(self, path):
        return 'http://%s:%d%s' % (HOST, self.port, path)

    def of(self, path):
        return [hit for hit in list(self.hits) if hit[1] == path]

    def wait(self, path, n, timeout=30):
        wait_for(lambda: len(self.of(path)) >= n, timeout * SLOW,
                 '%d POSTs to %s' % (n, path))
        return self.of(path)


class _Protocol(asyncio.Protocol):
    def __init__(self, receiver):
        self.receiver = receiver
        self.buffer = b''

    def connection_made(self, transport):
        self.transport = transport
        self.receiver.connections += 1

    def data_received(self, data):
        self.buffer += data

        while True:
            head, mark, rest = self.buffer.partition(b'\r\n\r\n')
            if not mark:
                return

            fields = dict(line.lower().split(b': ', 1) if b': ' in line
                          else (line, b'') for line in head.split(b'\r\n'))
            length = int(fields.get(b'content-length', 0))
            if len(rest) < length:
                return

            self.buffer = rest[length:]
            self.reply(head, rest[:length])

    def reply(self, head, body):
        r = self.receiver
        path = head.split(b' ', 2)[1].decode()
        ident = re.search(rb'webhook-id: (\S+)', head).group(1).decode()
        r.hits.append((time.monotonic(), path, ident, body))
        r.paths[path] = r.paths.get(path, 0) + 1
        code = r.answer(path, r.paths[path])

        if 200 <= code < 300:
            r.confirmed[ident] = r.confirmed.get(ident, 0) + 1

        self.transport.write(b'HTTP/1.1 %d Reply\r\nContent-Length: 0\r\n\r\n'
                             % code)


def ids(hits):
    return [hit[2] for hit in hits]


def check_events(t, api, sink):
    task = api.alice.image('sandbox:duration=50ms', webhook_url=sink.url(
        '/events'), webhook_metadata={'n': 1},
        webhook_events=['started', 'completed'])['task_id']
    hits = sink.wait('/events', 2)
    bodies = [json.loads(hit[3]) for hit in hits]
    t.eq([b['type'] for b in bodies], ['image.generation.started',
                                       'image.generation.completed'],
         'events in the order of their sequences')
    t.eq({b['task_id'] for b in bodies}, {task}, 'of the task')
    t.eq([b['event_id'] for b in bodies], ids(hits), 'event_id is the header')
    t.eq([b['metadata'] for b in bodies], [{'n': 1}] * 2, 'metadata')
    t.ok(bodies[0]['sequence'] < bodies[1]['sequence'], 'sequence rises')
    api.alice.image('sandbox:duration=50ms', webhook_url=sink.url('/plain'))
    body = json.loads(sink.wait('/plain', 1)[-1][3])
    t.ok('metadata' not in body, 'no metadata without webhook_metadata')


def check_retry(t, api, sink):
    api.alice.image('sandbox:duration=20ms', webhook_events=['completed'],
                    webhook_url=sink.url('/500'))
    hits = sink.wait('/500', 3)
    gaps = [b[0] - a[0] for a, b in zip(hits, hits[1:])]
    t.ok(gaps[0] >= 2 and gaps[1] >= 4, 'pauses of 2 and 4 s') or t.diag(gaps)
    t.eq(len(set(ids(hits))), 1, 'one webhook-id')
    t.eq(len({hit[3] for hit in hits}), 1, 'and the same bytes')


def check_gone(t, api, sink):
    task = api.alice.image('sandbox:error=provider_error sandbox:duration=20ms',
                           webhook_url=sink.url('/410'))['task_id']
    sink.wait('/410', 1)
    api.alice.wait(task)
    api.alice.post('/v1/tasks/%s/retry' % task)
    api.alice.wait(task)
    t.eq(len(sink.of('/410')), 1, 'a 410 ends all deliveries of a task')


def test_basic(t):
    sink = Receiver(lambda path, n: {'/500': 500 if n < 3 else 200,
                                     '/410': 410}.get(path, 200))

    with Api(t, workers=2, http=HOOKS) as api:
        threads = [threading.Thread(target=check, args=(t, api, sink))
                   for check in (check_events, check_retry, check_gone)]
        for thread in threads:
            thread.start()
            thread.join()

        before = sink.connections
        for i in range(40):
            task = api.alice.image(
                'sandbox:duration=10ms', webhook_url=sink.url('/kept'),
                webhook_events=['completed'])['task_id']
            wait_for(lambda: api.alice.document(task)['webhook']['status']
                     == 'delivered', what='the next')

        t.between(sink.connections - before, 0, 2,
                  'deliveries in a row use kept connections')


async def create(api, sink, made, n, stop):
    """Creates tasks over one connection until there are n in all; tasks
    that fail, for pictures take longer to make than to deliver."""

    request = api.alice.encode('POST', IMAGES + '/async', {
        'model': 'sandbox-image', 'prompt': 'sandbox:error='
        'provider_error sandbox:duration=%dms' % random.choice((10, 100, 400)),
        'webhook_url': sink.url('/many'), 'webhook_events': ['failed']})

    while len(made) < n and not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(HOST, api.port())

            while len(made) < n:
                writer.write(request)
                head = await asyncio.wait_for(
                    reader.readuntil(b'\r\n\r\n'), 10)
                length = int(re.search(rb'Content-Length: (\d+)',
                                       head).group(1))
                body = await reader.readexactly(length)

                if head.startswith(b'HTTP/1.1 202'):
                    made.append(json.loads(body)['task_id'])

                else:
                    await asyncio.sleep(0.05)

            writer.close()

        except (OSError, EOFError, asyncio.TimeoutError):
            await asyncio.sleep(0.01)


def test_kill(t):
    sink = Receiver()
    made = []
    stop = threading.Event()
    rng = random.Random(11)

    with Api(t, workers=4, http=HOOKS + '''
            conduit_webhook_concurrency per_origin=%d per_key=%d total=256;
            conduit_task_limit per_key=20000 total=20000;
            ''' % (PER_ORIGIN, PER_ORIGIN), zone='conduit:128m',
            keys={'alice': 'tasks 20000;'}) as api:

        async def clients():
            await asyncio.gather(*(create(api, sink, made, TASKS_N, stop)
                                   for _ in range(8)))

        thread = threading.Thread(target=lambda: asyncio.run(clients()))
        thread.start()
        kills = 0

        try:
            while thread.is_alive() or kills < 4:
                time.sleep(rng.uniform(0.2, 0.6))
                workers = api.workers()
                if len(workers) > 1:
                    pid = rng.choice(workers)
                    api.killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                if kills % 5 == 3:
                    api.reload()

            thread.join()

        finally:
            stop.set()

        def told():
            return {json.loads(hit[3])['task_id'] for hit in list(sink.hits)}

        try:
            wait_for(lambda: len(sink.confirmed) >= len(made), 40 * SLOW,
                     'all deliveries', pause=0.2)
        except TimeoutError:
            pass

        t.eq(len(set(made) - told()), 0, '%d tasks, %d kills: none is lost'
             % (len(made), kills))
        again = sum(n - 1 for n in sink.confirmed.values())
        t.between(again, 0, kills * PER_ORIGIN,
                  'only what was in flight is sent again')
        t.diag('%d sent again' % again)


run(test_basic, test_kill)
