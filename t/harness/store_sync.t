#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What is told is on the disk: each flush of the journal is made to take its
# time, and no 202 and no end of a task comes before the end of one that began
# when the request was there.  Many requests share few flushes, and workers do
# not wait for them: polls are answered meanwhile.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_sink import Sink, after

LEASED = GPU.replace('lease 1s', 'lease 60s')
HTTP = '''
    conduit_store %%%%DIR%%%%/store%s;
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
'''
MANY = 64

# seconds of a flush, and how long anything may take that waits for none

DELAY = 0.5
QUICK = 0.1 * SLOW

LINE = re.compile(r'(\d+\.\d+) (.*)(?:fdatasync|fsync).* = 0 .*'
                  r'<(\d+\.\d+)>$')


class Slow:
    """The workers' flushes of the journal take so long, and are noted."""

    def __init__(self, api, delay=DELAY):
        self.flushes = []           # (begin, end)
        self.lines = []
        pids = [a for pid in api.workers() for a in ('-p', str(pid))]
        self.strace = subprocess.Popen(
            ['strace', '-f', '-ttt', '-T', '-e', 'trace=fdatasync,fsync',
             '-P', api.path('store/journal.0'),
             '-P', api.path('store/journal.1'), '-e',
             'inject=fdatasync,fsync:delay_enter=%d' % (delay * 1e6)] + pids,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: ''.join(self.lines).count('attached')
                 >= len(api.workers()), 30 * SLOW, 'strace')

    def read(self):
        for line in self.strace.stderr:
            self.lines.append(line)
            m = LINE.search(line)
            if m:
                at, took = float(m.group(1)), float(m.group(3))
                if 'resumed' in m.group(2):
                    at -= took
                self.flushes.append((at, at + took))

    def end(self):
        self.strace.terminate()
        self.strace.wait()
        self.reader.join(DEADLINE)

    def kept(self, sent, seen):
        """Was there a flush between the two?  Clocks are read in turn."""

        return any(sent <= begin and end <= seen + 0.002
                   for begin, end in self.flushes)


def timed(function):
    """(begin, end, what the function says)"""

    begin = time.time()
    said = function()
    return begin, time.time(), said


class Beside:
    """Polls of a task and of health, one after the other."""

    def __init__(self, client, task):
        self.client = client
        self.task = task
        self.asked = []
        self.stop = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop:
            self.asked.append(timed(lambda: self.client.status(self.task)))
            self.asked.append(timed(lambda: self.client.get('/health')))

    def end(self):
        self.stop = True
        self.thread.join()


def check_creates(t, workers, most):
    with Api(t, workers=workers, gpu=LEASED, http=HTTP % '') as api:
        c = api.alice
        done = c.run(c.image('sandbox:duration=10ms'))['task_id']
        slow = Slow(api)
        beside = Beside(c, done)
        creates = parallel(lambda i: timed(lambda: c.image('x', 'gpu-image')),
                           range(MANY), MANY)
        beside.end()
        slow.end()
        t.eq([r.status for _, _, r in creates], [202] * MANY,
             '%d creates, %d workers' % (MANY, workers))
        t.eq([(s, e) for s, e, _ in creates if not slow.kept(s, e)], [],
             'each was told after a flush') or t.diag(slow.flushes)
        t.between(len(slow.flushes), 1, most, 'they share few of them')
        t.eq({r.status for _, _, r in beside.asked}, {200},
             'polls were answered')
        during = [sum(begin < s and e < end for s, e, _ in beside.asked)
                  for begin, end in slow.flushes]
        t.ok(min(during) >= 4, 'during each flush: %s' % during)
        times = sorted(e - s for s, e, _ in beside.asked)
        t.ok(times[len(times) * 9 // 10] < QUICK,
             'nine of ten within %.3f s' % times[len(times) * 9 // 10])


def test_creates(t):
    check_creates(t, 1, 4)
    check_creates(t, 2, 6)


def first(look):
    """When something came to be true: (time, number of looks)"""

    looks = []

    wait_for(lambda: looks.append(1) or look(), what='an end', pause=0)

    return time.time(), len(looks)


def streamed(client, task):
    for _, d in client.events(task):
        if d['status'] == 'completed':
            return True


def test_end(t):
    """The end of a task is told to nobody before it is kept."""

    with Api(t, workers=1, gpu=LEASED, http=HTTP % '') as api:
        c = api.alice
        sink = Sink()
        task = c.image('x', 'gpu-image', webhook_url=sink.url('/end'),
                       webhook_events=['completed'])['task_id']
        t.eq(api.robot.worker('claim')['task_id'], task, 'claimed')
        etag = c.status(task).header('etag')
        done = lambda r: r.status == 200 and r['status'] == 'completed'
        wait = {'If-None-Match': etag, 'Prefer': 'wait=20'}
        slow = Slow(api)

        ways = {
            'a poll': lambda: done(c.status(task)),
            'a poll that waits': lambda: done(c.status(task, wait)),
            'the list': lambda: c.list()['data'][0]['status'] == 'completed',
            'an event stream': lambda: streamed(c, task),
        }

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = {way: pool.submit(first, look)
                    for way, look in ways.items()}
            begin = time.time()
            _, end, r = timed(lambda: api.robot.worker(
                'tasks/%s/complete' % task,
                {'data': [{'url': 'https://example.com/a.png'}]}))
            seen = {way: future.result() for way, future in seen.items()}

        seen['the worker'] = (end, 1)
        hit = sink.wait('/end', 1)[0]
        seen['the webhook'] = (hit.wall, 1)
        slow.end()
        t.eq(r.status, 200, 'completed')
        t.ok(seen['a poll'][1] > 4, '%d polls before' % seen['a poll'][1])
        for way, (at, _) in seen.items():
            t.ok(slow.kept(begin, at), way + ' tells it after the flush') or \
                t.diag((begin, at, slow.flushes))


def changed(api):
    """When the journal was written last."""

    return max(os.stat(api.path('store/journal.%d' % i)).st_mtime_ns
               for i in range(2))


def test_late(t):
    """A worker that ends keeps what has become of a webhook behind a slow
    flush; another one has delivered it meanwhile, and that is not undone."""

    sink = Sink()
    held = threading.Event()
    sink.script('/late', after(held, 500), 200)

    with Api(t, workers=1, gpu=LEASED, http=HTTP % '' +
             'conduit_webhook_retry 100ms;') as api:
        c = api.alice
        c.image('sandbox:duration=10ms', webhook_url=sink.url('/late'),
                webhook_events=['completed'])
        sink.wait('/late', 1)
        old = api.workers()[0]
        slow = Slow(api, 5 * SLOW)
        written = changed(api)
        create = threading.Thread(target=c.image, args=('x', 'gpu-image'))
        create.start()
        wait_for(lambda: changed(api) > written, what='a flush')
        api.reload(wait=False)
        wait_for(lambda: set(api.workers()) - {old}, what='another worker')
        held.set()
        sink.wait('/late', 2)
        t.ok(alive(old) and not slow.flushes, 'delivered during the flush')
        create.join()
        wait_for(lambda: not alive(old), 30 * SLOW, 'the end of the worker')
        slow.end()

        # two creates, an end, and two attempts

        wait_for(lambda: api.metric('conduit_store_writes_total') >= 5,
                 what='the store')
        api.kill_all()
        api.start()
        loaded = re.findall(r'(\d+) webhooks to be sent', api.error_log())
        t.eq(loaded[1:], ['0'], 'it is not sent again')


def test_off(t):
    """Who does not want flushes waits for none."""

    with Api(t, workers=1, gpu=LEASED, http=HTTP % ' sync=off') as api:
        slow = Slow(api)
        begin, end, r = timed(lambda: api.alice.image('x', 'gpu-image'))
        slow.end()
        t.eq((r.status, slow.flushes), (202, []), 'no flush with sync=off')
        t.ok(end - begin < DELAY, 'and no delay')


if not shutil.which('strace'):
    skip_all('strace is not installed')

run(test_creates, test_end, test_late, test_off)
