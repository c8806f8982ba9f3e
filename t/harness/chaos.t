#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Everything at once: creates, polls, streams, cancels and retries, while
# workers are killed and nginx is reloaded.  What must hold, holds.
# CHAOS_SECONDS and CHAOS_SEED set how long and with which numbers.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

SECONDS = float(os.environ.get('CHAOS_SECONDS', '8'))
SEED = int(os.environ.get('CHAOS_SEED', '1'))
SLOTS = 6


def edit(text):
    text = text.replace('conduit_provider videos_compat {',
                        'conduit_provider videos_compat {\n'
                        '    limit concurrency=%d;' % SLOTS)
    return text.replace('timeout     submit=300s;',
                        'limit concurrency=%d;' % SLOTS)


class Chaos:
    def __init__(self, api):
        self.api = api
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.tasks = {}
        self.ends = {}
        self.retried = set()
        self.faults = []
        self.number = 0

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def look(self, d):
        """What every document that is seen has to satisfy."""

        task, sequence = d['task_id'], d['sequence']

        with self.lock:
            end = self.ends.get(task)
            if end and sequence == end[0] and d['status'] != end[1]:
                self.faults.append('%s changed after its end' % task)
            if d['status'] in FINAL:
                if end is None or sequence > end[0]:
                    self.ends[task] = (sequence, d['status'])
                elif end[1] != 'failed' and (sequence,
                                             d['status']) != end:
                    self.faults.append('%s: %r after %r' % (task, d, end))
            if not 0 <= d['progress'] <= 100 or (
                    (d['progress'] == 100) != (d['status'] == 'completed')):
                self.faults.append('progress of %r' % d)

    def attempt(self, function):
        """A request may be cut by a kill, and only by that."""

        try:
            return function()
        except (ConnectionError, socket.timeout):
            return None

    def create(self, rng):
        with self.lock:
            self.number += 1
            n = self.number

        kind = rng.randrange(3)
        script = 'b64' if kind == 2 else rng.choice([
            'ok', 'quick', 'steps', 'steps', 'failed', '503-once',
            'poll-500', 'poll-lost'])
        name = 'script:%s n%d.' % (script, n)
        key = {'Idempotency-Key': 'k%d' % n}

        if kind == 0:
            def make():
                return self.api.alice.image('sandbox:duration=150ms',
                                            size='16x16', headers=key)
        elif kind == 1:
            def make():
                return self.api.alice.video(name, 'sora-2', headers=key)
        else:
            def make():
                return self.api.alice.image(name, 'dall-e-3',
                                            headers=key)

        # after a cut the same key makes the same task

        end = time.monotonic() + DEADLINE * PATIENCE

        while True:
            r = self.attempt(make)
            if r is not None and r.status != 409:
                break
            if time.monotonic() > end:
                break
            time.sleep(0.05)

        if r is None or r.status not in (202, 503):
            self.fault('create: %r' % r)
        elif r.status == 202:
            with self.lock:
                self.tasks[r['task_id']] = name

    def client(self, seed):
        rng = random.Random(seed)

        while not self.stop.is_set():
            with self.lock:
                known = list(self.tasks)[-40:]
            what = rng.random()

            if what < 0.3 or not known:
                self.create(rng)
                continue

            task = rng.choice(known)

            if what < 0.8:
                r = self.attempt(lambda: self.api.alice.status(
                    task, {'Prefer': 'wait=1'} if what < 0.5 else None))
                if r is not None and r.status == 200:
                    self.look(r.json())
                elif r is not None:
                    self.fault('poll: %r' % r)

            elif what < 0.88:
                r = self.attempt(lambda: self.api.alice.cancel(task))
                if r is not None and r.status == 200:
                    self.look(r.json())
                elif r is not None and r.status != 409:
                    self.fault('cancel: %r' % r)

            elif what < 0.92:
                self.retried.add(task)
                r = self.attempt(lambda: self.api.alice.retry(task))
                if r is not None and r.status not in (202, 409):
                    self.fault('retry: %r' % r)

            else:
                self.attempt(lambda: self.stream(task))

    def stream(self, task):
        last = 0
        for ident, d in self.api.alice.events(task, timeout=10):
            if int(ident) <= last:
                self.fault('stream goes back: %s' % task)
            last = int(ident)
            self.look(d)
            if self.stop.is_set():
                return


def test_chaos(t):
    with Api(t, workers=3, providers=['videos', 'openai'], edit=edit,
             http=MEDIA + 'conduit_task_limit per_key=10000 total=10000;'
             ) as api:
        p = api.provider
        chaos = Chaos(api)
        rng = random.Random(SEED)
        threads = [threading.Thread(target=chaos.client, args=(SEED + i,))
                   for i in range(6)]
        for thread in threads:
            thread.start()

        end = time.monotonic() + SECONDS
        kills = 0

        while time.monotonic() < end:
            time.sleep(rng.uniform(0.2, 0.9))
            if rng.random() < 0.3:
                api.reload()
            else:
                kills += 1
                api.kill_worker(rng.choice(api.workers()))

        chaos.stop.set()
        for thread in threads:
            thread.join()

        t.diag('%d tasks, %d kills, seed %d' % (len(chaos.tasks), kills,
                                                SEED))
        late = {}
        for task in chaos.tasks:
            d = api.alice.wait(task, 30)
            chaos.look(d)
            if d['status'] not in FINAL:
                late[task] = d
        t.eq(list(late.values())[:2], [], 'every task ends')
        t.eq(chaos.faults[:3], [], 'what is seen is sound')

        gauge = [api.metric('conduit_tasks', status=s)
                 for s in ('pending', 'processing')]
        t.eq(gauge, [0, 0], 'the counts are right')
        made = sum(api.metric('conduit_tasks', status=s) for s in FINAL)
        t.eq(made, len(chaos.tasks), 'no task is there twice')

        extra = sum(max(0, p.count('submit', name) - (2 if '503' in name
                                                      else 1))
                    for task, name in chaos.tasks.items()
                    if task not in chaos.retried)
        t.ok(extra <= 2 * kills, 'few submits are made again') or t.diag(
            '%d of %d tasks' % (extra, len(chaos.tasks)))

        p.script('full', poll=[{'state': 'processing', 'until': 'end'}, {}])
        tasks = [api.alice.video('script:full %d' % i, 'sora-2')['task_id']
                 for i in range(SLOTS + 3)]
        t.ok(p.wait(lambda p: p.count('submit', 'script:full') == SLOTS),
             'all slots have come back') or t.diag(
                 p.count('submit', 'script:full'))
        p.release('end')
        t.eq({api.alice.wait(task)['status'] for task in tasks},
             {'completed'}, 'and serve')


run(test_chaos)
