#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A disk that is really full: new tasks are refused clearly, polls go on,
# nothing that was kept is lost, whoever is killed meanwhile, and it goes on
# when there is room.

import ctypes
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

LEASED = GPU.replace('lease 1s', 'lease 60s')
STORE = '''
    conduit_store %%DIR%%/disk/store max_size=64m;
    conduit_task_limit per_key=100000 total=100000;
'''
SIZE = 40 << 20
PAGE = 4096
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def call(rc):
    if rc:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Disk:
    """A small one, that nobody but this process and its children sees."""

    def __init__(self, path):
        self.path = path
        self.fill = os.path.join(path, 'fill')
        os.makedirs(path)
        call(libc.mount(b'tmpfs', path.encode(), b'tmpfs', 0,
                        b'size=%d' % SIZE))

    def full(self, but=0):
        """Takes all that is left, but for some bytes."""

        with open(self.fill, 'wb', buffering=0) as f:
            try:
                while f.write(bytes(PAGE)) == PAGE:
                    pass
            except OSError:
                pass
            f.truncate(f.tell() // PAGE * PAGE - but)

    def free(self):
        os.unlink(self.fill)

    def close(self):
        call(libc.umount2(self.path.encode(), 2))


def fill(client, tasks):
    """Creates until one is refused, which it returns."""

    while True:
        r = client.image('fill', 'gpu-image', metadata={'text': 'x' * 15000})
        if r.status != 202:
            return r
        tasks.append(r['task_id'])


def statuses(client, tasks):
    return {d['status'] for d in parallel(client.document, tasks)}


def check_full(t, api, tasks, ended):
    c = api.alice
    before = len(tasks)
    r = fill(c, tasks)
    t.eq((r.status, r.error(), r.header('retry-after') is not None),
         (503, 'store_unavailable', True),
         'refused clearly, after %d' % (len(tasks) - before))
    t.eq(c.get('/health').json()['checks']['store']['status'], 'Degraded',
         'health says so')
    t.eq(api.metric('conduit_store_failing'), 1, 'so does a metric')
    t.eq([c.document(d['task_id']) for d in ended], ended, 'polls go on')
    t.eq(statuses(c, tasks), {'pending'}, 'of all tasks')


def told(api):
    return re.findall(r'\[crit\].*conduit_store.*: (.*)', api.error_log())


def check_ends(t, api, tasks, known):
    """What is small may still have room, then it is kept; else it is neither
    kept nor told."""

    c = api.alice
    gone = []

    while True:
        r = c.cancel(tasks[-1])
        if r.status != 200:
            break
        gone.append(tasks.pop())

    t.eq((r.status, r.error()), (503, 'store_unavailable'),
         'a cancel is refused, after %d' % len(gone))
    t.eq(statuses(c, tasks), {'pending'}, 'and not told')
    failures = api.metric('conduit_store_failures_total')
    api.provider.release('known')
    wait_for(lambda: api.metric('conduit_store_failures_total') > failures,
             what='an end')
    t.eq(c.document(known)['status'], 'processing',
         'nor is an end that cannot be kept')

    return [c.document(task) for task in gone]


def check_start(t, api, disk, tasks, ended):
    """A start has to put the journal into the tables."""

    try:
        api.start()
        t.ok(False, 'nginx has no room for a start')

    except RuntimeError as e:
        t.like(str(e), r'conduit_store ".*" cannot be used: '
               'No space left on device', 'nginx has no room for a start')

    disk.free()
    api.start()
    c = api.alice
    t.eq([c.document(d['task_id']) for d in ended], ended,
         'nothing was lost')
    t.eq(statuses(c, tasks), {'pending'}, 'of %d tasks' % len(tasks))
    t.eq(c.image('x', 'gpu-image').status, 202, 'it goes on')


def test_full(t):
    with Api(t, workers=2, providers=['videos'], gpu=LEASED, start=False,
             http=STORE + MEDIA, allow=[r'\[emerg\].*conduit_store']) as api:
        disk = Disk(api.path('disk'))
        api.start()
        c = api.alice
        api.provider.script('known', poll=[
            {'state': 'processing', 'progress': 30, 'until': 'known'}, {}])
        ended = [c.run(c.image('sandbox:duration=10ms')) for i in range(2)]
        known = c.video('script:known 1', 'sora-2')['task_id']
        c.until(known, lambda d: d['progress'] == 30)
        tasks = []

        # a block of the journal does not fit into the last two pages

        disk.full(but=2 * PAGE)
        check_full(t, api, tasks, ended)
        ended += check_ends(t, api, tasks, known)
        t.eq(set(told(api)), {'No space left on device'},
             'the log says why, and nothing else')
        workers = api.workers()
        disk.free()
        t.eq(c.wait(known)['status'], 'completed', 'it is when there is room')
        ended.append(c.document(known))

        def again():
            tasks.append(c.create('again', model='gpu-image'))
            return 'keeps what is new again' in api.error_log()

        t.ok(wait_for(again, what='a good state'), 'and the log says so')
        t.eq(api.workers(), workers, 'workers are the same')

        # none again, and workers and all of nginx are killed meanwhile

        disk.full()
        check_full(t, api, tasks, ended)
        t.eq(set(told(api)), {'No space left on device'}, 'the log says why')
        for i in range(2):
            api.kill_worker()
        t.eq(fill(c, tasks).status, 503, 'new workers refuse as well')
        t.eq(statuses(c, tasks), {'pending'}, 'and know of all')
        api.kill_all()
        check_start(t, api, disk, tasks, ended)
        api.stop()
        disk.close()


try:
    call(libc.unshare(CLONE_NEWNS))
    call(libc.mount(None, b'/', None, MS_REC | MS_PRIVATE, None))

except OSError as e:
    skip_all('a file system of its own cannot be mounted: %s' % e)

run(test_full)
