#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A worker is killed when the store has a change that it has not made yet, or
# when the store does not have it yet: the next one asks the store, so that no
# job is submitted twice, and no end is told twice.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_sink import Sink

STORE = 'conduit_store %%DIR%%/store;'


class Death:
    """The only worker, which dies at a system call on the journal: what was
    written is kept as soon as it comes to be flushed.
    """

    def __init__(self, api, call):
        self.api = api
        self.call = call
        self.pid = api.workers()[0]
        api.killed.add(self.pid)
        self.out = []
        self.strace = subprocess.Popen(
            ['strace', '-f', '-p', str(self.pid), '-e', 'trace=' + call,
             '-P', api.path('store/journal.0'),
             '-P', api.path('store/journal.1'),
             '-e', 'inject=%s:signal=KILL:when=1' % call],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(
            target=lambda: self.out.extend(self.strace.stderr), daemon=True)
        self.reader.start()
        wait_for(lambda: self.out or self.strace.poll() is not None,
                 30 * SLOW, 'strace')

    def come(self, t):
        try:
            self.strace.wait(30 * SLOW)

        finally:
            if self.strace.poll() is None:
                self.strace.kill()
                self.strace.wait()
            self.reader.join(5)

        t.ok(any(self.call in line for line in self.out),
             'a worker was killed in %s()' % self.call) or \
            t.diag(''.join(self.out))
        wait_for(lambda: not alive(self.pid) and self.api.workers(),
                 what='a new worker')


def test_submitted(t):
    with Api(t, workers=1, providers=['videos'], http=STORE + MEDIA) as api:
        c = api.alice
        p = api.provider
        p.script('known', submit=[{'hold': 'known'}, {}])
        task = c.video('script:known 1', 'sora-2')['task_id']
        wait_for(lambda: p.count('submit', 'known') == 1, what='the submit')
        death = Death(api, 'fdatasync')
        p.release('known')
        death.come(t)
        t.eq(c.wait(task, 30)['status'], 'completed', 'its job is known')
        t.eq(p.count('submit', 'known'), 1, 'and was submitted once')


def test_ended(t):
    with Api(t, workers=1, gpu=GPU.replace('lease 1s', 'lease 60s'),
             http=STORE + '''
             conduit_webhook_plain on;
             conduit_webhook_allow 127.0.0.0/8;''') as api:
        c = api.alice
        sink = Sink()

        def create():
            task = c.image('a', 'gpu-image', webhook_url=sink.url('/told'),
                           webhook_events=['completed'])['task_id']
            t.eq(api.robot.worker('claim')['task_id'], task, 'claimed')
            return task

        def complete(task):
            return api.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]})

        task = create()
        death = Death(api, 'fdatasync')
        try:
            complete(task)
        except (OSError, EOFError, AssertionError):
            pass
        death.come(t)
        d = c.wait(task, 30)
        t.eq(d['status'], 'completed', 'an end that was kept is seen')
        wait_for(lambda: sink.hits('/told'), 20 * SLOW, 'its webhook')
        api.kill_all()
        api.start()
        now = c.document(task)
        t.eq(dict(now, webhook=None), dict(d, webhook=None), 'it is that end')

        # one that was not kept: the worker tells it again

        task = create()
        death = Death(api, 'pwrite64')
        try:
            complete(task)
        except (OSError, EOFError, AssertionError):
            pass
        death.come(t)
        answers = []

        def again():
            answers.append(complete(task))
            return c.document(task)['status'] == 'completed'

        try:
            wait_for(again, 30 * SLOW, 'the end of the ticket', 0.2)
            t.ok(True, 'is made when it is')
        except TimeoutError:
            t.ok(False, 'is made when it is')
            t.diag(answers[-1].text)

        wait_for(lambda: len(sink.hits('/told')) >= 2, 20 * SLOW,
                 'its webhook')
        t.eq(len({h.headers['webhook-id'] for h in sink.hits('/told')}), 2,
             'each end was told as one event')


if not shutil.which('strace'):
    skip_all('strace is not installed')

run(test_submitted, test_ended)
