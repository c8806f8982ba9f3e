#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The pull API of the user's own generators.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

# long enough to tell of progress in time even on a busy machine

LEASE = 3

DATA = {'data': [{'url': 'https://example.com/a.png'}]}


def claim(api, **body):
    r = api.robot.worker('claim', body)
    if r.status != 200:
        raise AssertionError('claim: %r' % r)
    return r


def check_claim(t, api):
    r = api.robot.worker('claim', {'models': ['sdxl'], 'wait': 0})
    t.eq((r.status, r.body), (204, b''), 'nothing to do')
    r = api.alice.worker('claim', {})
    t.eq((r.status, r.error()), (403, 'worker_not_allowed'),
         'only with worker on')

    task = api.alice.image('a task', 'gpu-image', size='64x64', extra=[1],
                           timeout_seconds=900, seed=5,
                           webhook_metadata={'a': 1})['task_id']
    t.eq(api.alice.document(task)['queue_position'], 1, 'its place')
    r = api.robot.worker('claim', {'models': ['other-*', 'wan']})
    t.eq(r.status, 204, 'other models')
    r = claim(api, models=['sd*'])
    t.eq((r['task_id'], r['model'], r['lease_seconds']),
         (task, 'sdxl', 60), 'claimed by the upstream name')
    t.eq(r['request'], {'model': 'gpu-image', 'prompt': 'a task',
                        'size': '64x64', 'extra': [1], 'seed': 5},
         'the client\'s members')
    t.ok(isinstance(r['lease_id'], str) and r['lease_id'], 'lease_id')
    t.eq(api.alice.document(task)['status'], 'processing', 'it is started')
    t.eq(api.robot.worker('claim', {}).status, 204, 'and not offered twice')
    return task, r['lease_id']


def check_progress(t, api, task, lease):
    path = 'tasks/%s/progress' % task
    r = api.robot.worker(path, {'progress': 50, 'lease_id': lease,
                                'message': 'Rendering frames',
                                'estimated_seconds_remaining': 30})
    t.eq((r.status, r['status']), (200, 'processing'), 'progress')
    d = api.alice.document(task)
    t.eq((d['progress'], d['message'], d['estimated_seconds_remaining']),
         (50, 'Rendering frames', 30), 'is seen')

    api.robot.worker(path, {'progress': 20})
    t.eq(api.alice.document(task)['progress'], 50, 'it never goes back')
    api.robot.worker(path, {'progress': 100})
    t.eq(api.alice.document(task)['progress'], 99, '100 is shown as 99')

    for bad in (101, -1, 1.5, '50', None, True):
        r = api.robot.worker(path, {'progress': bad})
        t.eq((r.status, r.error('param')), (400, 'progress'),
             'bad progress %r' % (bad,))

    for bad in ({}, {'data': []}, {'data': None}):
        r = api.robot.worker('tasks/%s/complete' % task, bad)
        t.eq((r.status, r.error('param')), (400, 'data'),
             'complete without data')

    r = api.robot.worker('tasks/%s/complete' % task, dict(
        DATA, lease_id=lease))
    t.eq((r.status, r['status']), (200, 'completed'), 'complete')
    d = api.alice.document(task)
    t.eq((d['status'], d['image_url'], d['result']['model']),
         ('completed', 'https://example.com/a.png', 'gpu-image'),
         'the result')

    for verb, body in (('progress', {'progress': 1}), ('complete', DATA),
                       ('fail', {'error': 'x'})):
        r = api.robot.worker('tasks/%s/%s' % (task, verb), body)
        t.eq((r.status, r.header('x-should-retry')), (409, 'false'),
             'too late: ' + verb)


def check_names(t, api):
    task = api.alice.video('clip', 'gpu-video')['task_id']
    other = api.alice.image('sandbox:duration=60s')['task_id']
    r = api.robot.worker('tasks/%s/complete' % task, DATA)
    t.eq((r.status, r.error()), (409, 'lease_lost'), 'not leased')
    for bad in (other, '00000000-0000-4000-8000-000000000000', 'x'):
        r = api.robot.worker('tasks/%s/complete' % bad, DATA)
        t.eq(r.status, 404, 'unknown task')
    r = claim(api, models=['gpu-v*'])
    t.eq(r['task_id'], task, 'claimed by the alias')
    r = api.robot2.worker('tasks/%s/complete' % task, DATA)
    t.eq((r.status, r.error()), (409, 'lease_lost'), 'of another key')
    api.alice.cancel(other)

    r = api.alice.cancel(task)
    t.eq(r['status'], 'cancelled', 'cancelled while leased')
    r = api.robot.worker('tasks/%s/progress' % task, {'progress': 60})
    t.eq((r.status, r['status']), (200, 'cancelled'), 'the worker is told')
    for verb, body in (('complete', DATA), ('fail', {'error': 'x'})):
        r = api.robot.worker('tasks/%s/%s' % (task, verb), body)
        t.eq((r.status, r.header('x-should-retry')), (409, 'false'),
             verb + ' of a cancelled one')


def check_fail(t, api):
    task = api.alice.image('f', 'gpu-image')['task_id']
    claim(api)
    r = api.robot.worker('tasks/%s/fail' % task, {
        'error': 'No face found', 'error_code': 'invalid_request'})
    t.eq((r.status, r['status']), (200, 'failed'), 'fail')
    d = api.alice.document(task)
    t.eq((d['error'], d['error_code']),
         ('No face found', 'invalid_request'), 'its text and code')

    task = api.alice.image('f', 'gpu-image')['task_id']
    claim(api)
    api.robot.worker('tasks/%s/fail' % task, {'error': 'x',
                                              'error_code': 'strange'})
    t.eq(api.alice.document(task)['error_code'], 'provider_error',
         'unknown codes')

    task = api.alice.image('again', 'gpu-image')['task_id']
    claim(api)
    api.robot.worker('tasks/%s/progress' % task, {'progress': 40})
    times = []
    for i in range(3):
        times.append(time.monotonic())
        r = api.robot.worker('tasks/%s/fail' % task, {
            'error': 'GPU lost', 'error_code': 'provider_unavailable',
            'retryable': True})
        t.eq(r.status, 200, 'retryable failure')
        if i < 2:
            d = api.alice.document(task)
            t.eq((d['status'], d['progress']), ('pending', 40),
                 'it waits again')
            r = claim(api, wait=20)
            t.eq(r['task_id'], task, 'and is offered again')
    t.between(times[1] - times[0], 0.75, 2 * BUSY, 'after 1 s')
    t.between(times[2] - times[1], 1.55, 3 * BUSY, 'after 2 s')
    d = api.alice.document(task)
    t.eq((d['status'], d['error'], d['error_code']),
         ('failed', 'GPU lost', 'provider_unavailable'),
         'after the last attempt')


def check_lapse(t, api):
    task = api.alice.image('lapse', 'gpu-image')['task_id']
    first = claim(api)
    began = time.monotonic()
    r = api.robot.worker('tasks/%s/progress' % task, {'progress': 30})
    t.eq(r.status, 200, 'it has begun')
    second = claim(api, wait=20)
    t.eq(second['task_id'], task, 'a lapsed task is offered again')
    t.between(time.monotonic() - began, LEASE - 0.2,
              LEASE + 1 * BUSY, 'at once')
    t.ok(second['lease_id'] != first['lease_id'], 'with another lease')
    t.eq(api.alice.document(task)['progress'], 30, 'progress is kept')

    for verb, body in (('progress', {'progress': 90}), ('complete', DATA),
                       ('fail', {'error': 'x'})):
        r = api.robot.worker('tasks/%s/%s' % (task, verb), dict(
            body, lease_id=first['lease_id']))
        t.eq((r.status, r.error(), r.header('x-should-retry')),
             (409, 'lease_lost', 'false'), 'late: ' + verb)

    d = api.alice.until(task, lambda d: d['status'] == 'pending', 5)
    t.eq(d['status'], 'pending', 'pending after a lapse')
    r = api.robot.worker('tasks/%s/progress' % task, {'progress': 31})
    t.eq(r.status, 409, 'no progress without a lease')
    claim(api, wait=5)
    d = api.alice.wait(task)
    t.eq((d['status'], d['error_code']),
         ('failed', 'provider_unavailable'), 'after the last lapse')

    task = api.alice.image('kept', 'gpu-image')['task_id']
    claim(api)
    for i in range(4):
        time.sleep(LEASE * 0.4)
        r = api.robot.worker('tasks/%s/progress' % task, {'progress': i})
        t.eq(r.status, 200, 'progress renews the lease')
    api.robot.worker('tasks/%s/complete' % task, DATA)


def check_wait(t, api):
    """Many wait, each task goes to exactly one of them."""

    def waiting(_):
        return api.robot.worker('claim', {'models': ['sdxl'], 'wait': 10})

    results = []
    pool = [threading.Thread(target=lambda: results.append(waiting(0)))
            for _ in range(6)]
    for thread in pool:
        thread.start()
    wait_for(lambda: int(api.alice.get('/nginx').text.split()[2]) >= 7,
             what='waiting claims')
    began = time.monotonic()
    tasks = {api.alice.image('w', 'gpu-image')['task_id'] for _ in range(6)}
    for thread in pool:
        thread.join()
    t.eq({r['task_id'] for r in results}, tasks, 'each gets one')
    t.between(time.monotonic() - began, 0, 2 * BUSY, 'at once')
    for r in results:
        api.robot.worker('tasks/%s/complete' % r['task_id'], DATA)

    began = time.monotonic()
    r = api.robot.worker('claim', {'wait': 1})
    t.eq(r.status, 204, '204 at the end of the wait')
    t.between(time.monotonic() - began, 0.9, 2.5 * BUSY, 'after its time')
    for bad in (-1, 'x', 1.5):
        r = api.robot.worker('claim', {'wait': bad})
        t.eq((r.status, r.error('param')), (400, 'wait'),
             'bad wait %r' % bad)
    r = api.robot.worker('claim', {'models': 'sdxl'})
    t.eq((r.status, r.error('param')), (400, 'models'), 'bad models')
    r = api.robot.get(WORKER + 'claim')
    t.eq((r.status, 'POST' in (r.header('allow') or '')), (405, True),
         'GET claim')


def check(t, workers):
    with Api(t, workers=workers, gpu=GPU.replace('1s', '60s'),
             keys={'robot2': 'worker on;'},
             server='location = /nginx { stub_status; }') as api:
        task, lease = check_claim(t, api)
        check_progress(t, api, task, lease)
        check_names(t, api)
        check_fail(t, api)
        check_wait(t, api)

    with Api(t, workers=workers,
             gpu=GPU.replace('1s', '%ds' % LEASE)) as api:
        check_lapse(t, api)


def test_one_worker(t):
    check(t, 1)


def test_three_workers(t):
    check(t, 3)


run(test_one_worker, test_three_workers)
