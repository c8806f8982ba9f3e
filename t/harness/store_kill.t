#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# kill -9 of all of nginx under load, again and again: every task that was
# accepted is there afterwards and ends; every end that anybody has seen, by a
# poll, the list, an event stream, a hub or a webhook, is still that end; each
# webhook is delivered, and not again if nginx had kept that it was.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import TASKS_HUB, Closed, Hub, Refused
from conduit_sink import Sink

# with flushes, and without them

ROUNDS = (8, 2) if SANITIZE else (40, 10)

WORKERS = 2
WEBHOOKS = '/v1/webhooks'
EVENTS = ['started', 'progress', 'completed', 'failed', 'cancelled']

HTTP_CONF = '''
    conduit_store %%%%DIR%%%%/store%s;
    conduit_task_limit per_key=100000 total=100000;
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
    conduit_webhook_rate off;
'''

SERVER_CONF = '''
        add_header X-Worker $pid always;
        location /v1/webhooks { conduit_webhooks; }
'''

BROKEN = (OSError, EOFError, AssertionError, ValueError, Closed, Refused)


class Books:
    """What anybody was told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.accepted = {}          # id: webhook path, or None
        self.keys = {}              # Idempotency-Key: (body, id)
        self.ended = {}             # id: status
        self.documents = {}         # id: document at the end
        self.seen = {}              # who: ends
        self.kept = {}              # webhook-id: known to be kept since
        self.wrong = []

    def told(self, by, task, status):
        """An end stays what it was, whoever tells it."""

        with self.lock:
            self.seen[by] = self.seen.get(by, 0) + 1
            before = self.ended.setdefault(task, status)

        if before != status:
            self.wrong.append((by, task, before, status))

    def note(self, by, document):
        if document['status'] not in FINAL:
            return

        # how its webhook stands changes after the end

        document = dict(document, webhook=None)
        task = document['task_id']
        self.told(by, task, document['status'])

        with self.lock:
            before = self.documents.setdefault(task, document)

        if before != document:
            self.wrong.append((by, before, document))


class Load:
    """Threads that create, watch and cancel until nginx dies."""

    def __init__(self, api, sink, books):
        self.api = api
        self.sink = sink
        self.books = books
        self.stop = False
        self.threads = []

    def start(self):
        self.stop = False
        jobs = [self.create] * 3 + [self.poll] * 2 + [self.watch, self.hub,
                                                      self.witness]
        self.threads = [threading.Thread(target=self.again, args=(job,))
                        for job in jobs]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()

    def again(self, job):
        rng = random.Random()

        while not self.stop:
            try:
                job(rng)

            except BROKEN:
                time.sleep(0.01)

    def connect(self):
        return Connection(self.api.port(), timeout=5 * SLOW)

    def ask(self, c, method, path, body=None, headers=None):
        c.send(self.api.alice.encode(method, path, body, headers))
        return c.read_response()

    def recent(self, n=100):
        with self.books.lock:
            return list(self.books.accepted)[-n:]

    def create(self, rng):
        with self.connect() as c:
            while not self.stop:
                self.create_one(c, rng)

    def create_one(self, c, rng):
        ms = rng.choice((10, 60, 300, 900))
        name = '%016x' % rng.getrandbits(64)
        body = {'model': 'sandbox-image', 'size': '32x32',
                'prompt': 'sandbox:duration=%dms' % ms}
        headers = {}
        path = None

        if rng.random() < 0.2:
            body['prompt'] += ' sandbox:error=provider_error'

        if rng.random() < 0.4:
            path = '/' + name
            body.update(webhook_url=self.sink.url(path),
                        webhook_events=EVENTS)

        if rng.random() < 0.3:
            headers['Idempotency-Key'] = name

        r = self.ask(c, 'POST', IMAGES + '/async', body, headers)

        if r.status != 202:
            if r.status not in (502, 503):
                self.books.wrong.append(r)
            return

        with self.books.lock:
            self.books.accepted[r['task_id']] = path
            if headers:
                self.books.keys[name] = (body, r['task_id'])

    def poll(self, rng):
        with self.connect() as c:
            while not self.stop:
                self.poll_one(c, rng)
                time.sleep(0.002)

    def poll_one(self, c, rng):
        task = rng.choice(self.recent() or [None])

        if task is None:
            return

        path = '%s/%s' % (TASKS, task)
        kind = rng.random()

        if kind < 0.05:
            r = self.ask(c, 'GET', TASKS + '?limit=20')
            for document in r['data'] or []:
                self.books.note('list', document)
            return

        if kind < 0.1:
            r = self.ask(c, 'POST', path + '/cancel')
        else:
            r = self.ask(c, 'GET', path)

        if r.status == 404:
            self.books.wrong.append(('lost', task))

        elif r.status == 200:
            self.books.note('poll', r.json())

    def watch(self, rng):
        task = rng.choice(self.recent(20) or [None])

        if task:
            events = self.api.alice.events(task, timeout=5 * SLOW)
            for _, document in events:
                self.books.note('stream', document)

    def hub(self, rng):
        ends = {'TaskCompleted': 'completed', 'TaskFailed': 'failed',
                'TaskCancelled': 'cancelled'}

        with Hub(self.api.port(), self.api.secrets['alice'], TASKS_HUB,
                 timeout=5 * SLOW) as hub:
            hub.call('SubscribeToAllTasks')

            while not self.stop:
                record = hub.next()
                if record.get('target') in ends:
                    self.books.told('hub', record['arguments'][0],
                                    ends[record['target']])

    def witness(self, rng):
        """Notes which deliveries are kept as such.  A worker keeps one thing
        after the other: when each has kept a task that was created after a
        delivery was seen to be over, that was kept before.
        """

        workers = {}

        for i in range(30):
            c = self.connect()
            r = self.ask(c, 'GET', '/health')
            workers.setdefault(r.header('x-worker'), c)
            if len(workers) == WORKERS:
                break

        while not self.stop and len(workers) == WORKERS:
            c = rng.choice(list(workers.values()))
            r = self.ask(c, 'GET', WEBHOOKS + '?status=delivered&limit=100')
            over = [d['id'] for d in r['data']]
            body = {'model': 'sandbox-image', 'prompt': 'sandbox:duration=0'}

            for name, c in workers.items():
                r = self.ask(c, 'POST', IMAGES + '/async', body)
                if r.status != 202 or r.header('x-worker') != name:
                    return
                with self.books.lock:
                    self.books.accepted[r['task_id']] = None

            now = time.monotonic()
            for id in over:
                self.books.kept.setdefault(id, now)

            time.sleep(0.01)


def kill_group(api):
    """The master, and also a worker that it is making at the moment."""

    api.killed.update(group_pids(api.pid))
    os.killpg(api.pid, signal.SIGKILL)
    api.process.wait()
    wait_for(lambda: not group_pids(api.pid), what='all ends')


def drained(sink):
    """What has been sent to it has been read: how much that is."""

    before = sink.connections
    socket.create_connection((sink.host, sink.port)).close()
    wait_for(lambda: sink.connections > before and not sink.open,
             what='the last request')
    return len(sink.hits())


def every_task(client):
    """All documents there are: {id: document}"""

    found = {}
    query = {'limit': 100}

    while True:
        r = client.list(**query)
        found.update((d['task_id'], d) for d in r['data'])

        if not r['has_more']:
            return found

        query['after'] = r['last_id']


def check_tasks(t, api, books):
    def ended():
        found = every_task(api.alice)
        lost.update(task for task in books.accepted if task not in found)
        return found if lost or all(
            found[task]['status'] in FINAL for task in books.accepted) else {}

    lost = set()
    found = wait_for(ended, 60 * SLOW, 'all ends', pause=0.2)
    t.eq(len(lost), 0, 'all of %d accepted tasks are there and have ended'
         % len(books.accepted))
    for document in found.values():
        books.note('last', document)
    bad = []
    for key, (body, task) in list(books.keys.items())[-100:]:
        r = api.alice.post(IMAGES + '/async', body, {'Idempotency-Key': key})
        if r.status != 202 or r['task_id'] != task:
            bad.append((r, task))
    t.eq(bad[:1], [], 'no Idempotency-Key was forgotten')


def is_end(hit):
    return hit.json()['type'].rpartition('.')[2] in FINAL


def check_hooks(t, sink, books, rounds):
    """Each end was told, and told as everybody else was told it."""

    want = {path: task for task, path in books.accepted.items() if path}
    hits = {}

    def come():
        hits.clear()
        for hit in sink.hits():
            hits.setdefault(hit.path, []).append(hit)
        return all(any(is_end(hit) for hit in hits.get(path, ()))
                   for path in want)

    wait_for(come, 60 * SLOW, 'all webhooks', pause=0.2)
    t.ok(True, 'all of %d webhooks came' % len(want))
    bad = []
    progress = []

    for path, task in want.items():
        final = {}
        last = 0
        ids = set()

        for hit in hits[path]:
            body = hit.json()
            if body['task_id'] != task:
                bad.append((task, body))
            if is_end(hit):
                final[hit.id] = (body['status'], body['sequence'])
                books.told('webhook', task, body['status'])
            if hit.id not in ids and body['sequence'] <= last:
                bad.append(('order', hits[path]))
            if body['type'].endswith('.progress'):
                progress.append(hit.id)
            ids.add(hit.id)
            last = max(last, body['sequence'])

        d = books.documents[task]
        if list(final.values()) != [(d['status'], d['sequence'])]:
            bad.append((final, d))

    t.eq(bad[:2], [], 'each told one end, after the rest, as polls did')
    t.ok(len(progress) > rounds, 'progress was told: %d' % len(progress))
    t.eq(len(progress), len(set(progress)), 'never twice')


def check_again(t, sink, books, lives):
    """What came twice, came again after a kill."""

    hits = {}
    for n, hit in enumerate(sink.hits()):
        hit.life = sum(n >= end for end in lives)
        hits.setdefault(hit.id, []).append(hit)

    kept = [(hits[id], since) for id, since in books.kept.items()
            if hits[id][-1].at > since]
    t.eq(kept[:2], [], 'none came again of %d whose delivery was kept'
         % len(books.kept))
    twice = [pair for h in hits.values() for pair in zip(h, h[1:])]
    t.eq([pair for pair in twice if pair[0].life == pair[1].life][:2], [],
         'others only after a kill: %d of %d' % (len(twice), len(hits)))


def check_rounds(t, rounds, sync):
    sink = Sink()
    books = Books()
    begun = time.monotonic()
    lives = []

    with Api(t, workers=WORKERS, zone='conduit:64m', http=HTTP_CONF % sync,
             server=SERVER_CONF) as api:
        load = Load(api, sink, books)

        for i in range(rounds):
            load.start()
            time.sleep(random.uniform(0.1, 0.5) * SLOW)

            if i % 5 == 4:
                api.kill_worker(random.choice(api.workers()), respawn=False)

            kill_group(api)
            load.end()
            lives.append(drained(sink))
            api.start()

        t.eq(len(lives), rounds, '%d rounds%s' % (rounds, sync))
        t.diag('%d rounds in %.1f s' % (rounds, time.monotonic() - begun))
        check_tasks(t, api, books)
        check_hooks(t, sink, books, rounds)
        check_again(t, sink, books, lives)
        t.eq(books.wrong[:2], [], 'none was lost, and no end has changed')
        t.diag('ends: %s' % books.seen)
        if rounds > 5:
            t.ok(all(books.seen.get(by) for by in (
                'poll', 'list', 'stream', 'hub', 'webhook')),
                 'all of them saw ends')
        t.ok(len(books.kept) > rounds // 2, 'deliveries that were kept: %d'
             % len(books.kept))
        api.quit(DEADLINE * 2)
        api.start()
        found = every_task(api.alice)
        t.eq([d for task, d in books.documents.items()
              if dict(found[task], webhook=None) != d][:1], [],
             'a restart brings them all again')
        t.diag('%.1f s' % (time.monotonic() - begun))


def test_sync(t):
    check_rounds(t, ROUNDS[0], '')


def test_no_sync(t):
    check_rounds(t, ROUNDS[1], ' sync=off')


run(test_sync, test_no_sync)
