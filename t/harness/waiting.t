#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# 1000 waiting polls and event streams: all see the end.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

POLLS = 1000
STREAMS = 300
TASKS_MADE = 20


async def wait_for_end(api, task, stream):
    """The last document that a waiting poll or a stream shows."""

    reader, writer = await asyncio.open_connection(HOST, api.port())

    try:
        if stream:
            path, headers = '%s/%s/events' % (TASKS, task), {}
        else:
            path = '%s/%s' % (TASKS, task)
            headers = {'Prefer': 'wait=50'}
        writer.write(api.alice.encode('GET', path, None, headers))
        head = (await reader.readuntil(b'\r\n\r\n')).decode()
        if ' 200 ' not in head.split('\r\n')[0]:
            return head
        if not stream:
            size = int(re.search(r'(?i)content-length: (\d+)', head)[1])
            return json.loads(await reader.readexactly(size))

        text = b''
        while True:
            size = int(await reader.readuntil(b'\r\n'), 16)
            text += (await reader.readexactly(size + 2))[:size]
            if size == 0:
                break
        last = [line for line in text.decode().split('\n')
                if line.startswith('data:')][-1]
        return json.loads(last[5:])

    except (OSError, EOFError) as error:
        return repr(error)

    finally:
        writer.close()


def finish(api, tasks):
    for task in tasks:
        r = api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/%s.png' % task}]})
        if r.status != 200:
            raise AssertionError(repr(r))


async def crowd(api, tasks):
    waits = [asyncio.ensure_future(wait_for_end(
        api, tasks[i % len(tasks)], i >= POLLS))
        for i in range(POLLS + STREAMS)]

    def active():
        return api.alice.get('/nginx').text.split()[2]

    loop = asyncio.get_running_loop()
    while int(await loop.run_in_executor(None, active)) < len(waits):
        await asyncio.sleep(0.05)

    began = time.monotonic()
    await loop.run_in_executor(None, finish, api, tasks)
    ends = await asyncio.wait_for(asyncio.gather(*waits), 60 * SLOW)
    return ends, time.monotonic() - began


def check(t, workers):
    with Api(t, workers=workers, gpu=GPU.replace('lease 1s', 'lease 60s'),
             sandbox='',
             server='location = /nginx { stub_status; }') as api:
        tasks = [api.alice.image('w', 'gpu-image')['task_id']
                 for _ in range(TASKS_MADE)]
        for task in tasks:
            api.robot.worker('claim', {})
        before = sum(map(rss, api.workers()))
        ends, took = asyncio.run(crowd(api, tasks))
        bad = [e for i, e in enumerate(ends)
               if not isinstance(e, dict) or e['status'] != 'completed'
               or e['task_id'] != tasks[i % len(tasks)]]
        t.eq(bad[:3], [], '%d workers: all see the end' % workers)
        t.between(took, 0, 5 * BUSY, '%d workers: soon' % workers)
        t.ok(sum(map(rss, api.workers())) - before < 64 << 20,
             '%d workers: in bounded memory' % workers)
        t.eq(api.alice.image('after', 'gpu-image').status, 202,
             '%d workers: they go on' % workers)


def test_one_worker(t):
    check(t, 1)


def test_two_workers(t):
    check(t, 2)


def test_four_workers(t):
    check(t, 4)


run(test_one_worker, test_two_workers, test_four_workers)
