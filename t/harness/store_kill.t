#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# kill -9 of all of nginx under load, again and again: every task that was
# accepted is there afterwards and ends, every end that anybody has seen is
# still that end, and webhooks are sent: twice only what was on its way.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_sink import Sink

ROUNDS = 8 if SANITIZE else 50
SECONDS = 60 * SLOW

HTTP_CONF = '''
    conduit_store %%%%DIR%%%%/store sync=%s;
    conduit_task_limit per_key=100000 total=100000;
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
    conduit_webhook_rate off;
'''


class Load:
    """Threads that create, poll and cancel; what they were told is noted."""

    def __init__(self, api, sink):
        self.api = api
        self.sink = sink
        self.lock = threading.Lock()
        self.accepted = {}          # id: webhook path, or None
        self.ended = {}             # id: document
        self.wrong = []
        self.keys = {}              # Idempotency-Key: id
        self.stop = False
        self.threads = []

    def start(self, creators=3, pollers=2):
        self.stop = False
        self.threads = [threading.Thread(target=self.create, args=(i,))
                        for i in range(creators)]
        self.threads += [threading.Thread(target=self.poll)
                         for i in range(pollers)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()

    def note(self, document):
        """A document of a task: an end stays what it was."""

        if document['status'] not in FINAL:
            return

        task = document['task_id']

        # how its webhook stands changes after the end

        document = dict(document, webhook=None)

        with self.lock:
            before = self.ended.setdefault(task, document)

        if before != document:
            self.wrong.append((before, document))

    def create(self, seed):
        rng = random.Random()
        n = 0

        while not self.stop:
            n += 1
            prompt = 'sandbox:duration=%dms' % rng.choice((10, 60, 300))
            body = {'model': 'sandbox-image', 'prompt': prompt,
                    'size': '32x32'}
            headers = {}
            path = None

            if rng.random() < 0.2:
                body['prompt'] += ' sandbox:error=provider_error'

            if rng.random() < 0.3:
                path = '/%d-%d-%d' % (seed, n, rng.getrandbits(32))
                body.update(webhook_url=self.sink.url(path),
                            webhook_events=['completed', 'failed'])

            if rng.random() < 0.3:
                headers['Idempotency-Key'] = '%d-%d-%d' % (
                    seed, n, rng.getrandbits(32))

            try:
                with Connection(self.api.port(), timeout=5 * SLOW) as c:
                    c.send(self.api.alice.encode('POST', IMAGES + '/async',
                                                 body, headers))
                    r = c.read_response()

            except (OSError, EOFError, AssertionError, ValueError):
                time.sleep(0.01)
                continue

            if r.status != 202:
                if r.status not in (502, 503):
                    self.wrong.append(r)
                continue

            with self.lock:
                self.accepted[r['task_id']] = path
                if headers:
                    self.keys[headers['Idempotency-Key']] = (body,
                                                             r['task_id'])

    def poll(self):
        rng = random.Random()

        while not self.stop:
            with self.lock:
                tasks = list(self.accepted)[-200:]

            if not tasks:
                time.sleep(0.01)
                continue

            task = rng.choice(tasks)
            cancel = rng.random() < 0.05

            try:
                with Connection(self.api.port(), timeout=5 * SLOW) as c:
                    path = '%s/%s' % (TASKS, task)
                    c.send(self.api.alice.encode(
                        'POST' if cancel else 'GET',
                        path + ('/cancel' if cancel else '')))
                    r = c.read_response()

            except (OSError, EOFError, AssertionError, ValueError):
                time.sleep(0.01)
                continue

            if r.status == 404:
                self.wrong.append(('lost', task))

            elif r.status == 200:
                self.note(r.json())


def kill_group(api):
    """The master, and also a worker that it is making at the moment."""

    api.killed.update(group_pids(api.pid))
    os.killpg(api.pid, signal.SIGKILL)
    api.process.wait()
    wait_for(lambda: not group_pids(api.pid), what='all ends')


def check(t, api, load, sink, kills):
    ends = {}

    for task in load.accepted:
        try:
            ends[task] = api.alice.wait(task, 30)
            load.note(ends[task])

        except AssertionError as e:
            load.wrong.append(('lost', str(e)))

    t.eq([d for d in ends.values() if d['status'] not in FINAL], [],
         '%d accepted tasks have ended' % len(load.accepted))
    t.eq(load.wrong[:3], [], 'none was lost, and no end has changed')

    bad = []
    for key, (body, task) in list(load.keys.items())[-100:]:
        r = api.alice.post(IMAGES + '/async', body, {'Idempotency-Key': key})
        if r.status != 202 or r['task_id'] != task:
            bad.append((r, task))
    t.eq(bad[:1], [], 'and no Idempotency-Key was forgotten')

    want = [path for task, path in load.accepted.items()
            if path and ends[task]['status'] != 'cancelled']
    wait_for(lambda: all(sink.hits(path) for path in want), 60 * SLOW,
             'all webhooks')
    t.ok(True, 'all %d webhooks came' % len(want))

    # what came twice, came again because the kill was too near

    late = []
    for path in want:
        hits = sink.hits(path)
        for first, again in zip(hits, hits[1:]):
            if not any(first.at - 3 <= kill <= min(again.at,
                                                   first.at + 5 * SLOW)
                       for kill in kills):
                late.append((first, again, kills))
        if len({hit.id for hit in hits}) > 1:
            late.append(hits)
    t.eq(late[:1], [], 'and twice only what a kill has met')


def check_rounds(t, rounds, sync, seconds):
    sink = Sink()
    begun = time.monotonic()
    kills = []
    done = 0

    with Api(t, workers=2, zone='conduit:64m', http=HTTP_CONF % sync) as api:
        load = Load(api, sink)

        for done in range(1, rounds + 1):
            load.start()
            time.sleep(random.uniform(0.1, 0.5))

            if done % 5 == 0:
                api.kill_worker(random.choice(api.workers()), respawn=False)

            kills.append(time.monotonic())
            kill_group(api)
            load.end()
            api.start()

            if done >= 5 and time.monotonic() - begun > seconds:
                break

        t.ok(done >= min(rounds, 5), '%d rounds, sync=%s' % (done, sync))
        t.diag('%d rounds in %.1f s' % (done, time.monotonic() - begun))
        check(t, api, load, sink, kills)
        api.quit(DEADLINE * 2)
        api.start()
        t.eq([task for task, d in load.ended.items()
              if dict(api.alice.document(task), webhook=None) != d][:1], [],
             'a restart brings them all again')


def test_no_sync(t):
    check_rounds(t, ROUNDS * 4 // 5, 'off', SECONDS * 4 // 5)


def test_sync(t):
    check_rounds(t, ROUNDS // 5, 'on', SECONDS // 5)


run(test_no_sync, test_sync)
