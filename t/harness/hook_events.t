#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Which events of a task are told, what they say, in which order and when.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

ALL = ['started', 'progress', 'completed', 'failed', 'cancelled']
PICTURE = {'data': [{'url': 'https://cdn.example.com/a.png'},
                    {'url': 'https://cdn.example.com/b.png'}]}
CLIP = {'data': [{'url': 'https://cdn.example.com/a.mp4'}]}
METADATA = '{"user_id":"12345","n":1.50,"big":9007199254740993,"u":"\\u00e9"}'


def pairs(text):
    """JSON with the order of its members and the digits of its numbers."""

    return json.loads(text, object_pairs_hook=list, parse_float=str,
                      parse_int=str)


def names(hit):
    return [name for name, value in pairs(hit.body)]


def claim(api, model='sdxl'):
    r = api.robot.worker('claim', {'models': [model], 'wait': 10})
    if r.status != 200:
        raise AssertionError('claim: %r' % r)
    return r


def report(api, task, verb, **body):
    return api.robot.worker('tasks/%s/%s' % (task, verb), body)


def life(t, api):
    """All events of a picture with everything in it."""

    sink = Sink()
    body = json.dumps({
        'model': 'gpu-image', 'prompt': 'A beautiful sunset',
        'webhook_url': sink.url('/life'), 'webhook_events': ALL,
        'webhook_headers': {'Authorization': 'Bearer ' + HEADER_SECRET,
                            'X-Custom-Header': 'custom-value', 'X-Empty': ''}})
    task = api.alice.post(IMAGES + '/async', body[:-1].encode()
                          + b', "webhook_metadata": ' + METADATA.encode()
                          + b'}')['task_id']
    claim(api)
    sink.wait('/life', 1)
    report(api, task, 'progress', progress=50, message='Rendering frames',
           estimated_seconds_remaining=30)
    sink.wait('/life', 2)
    report(api, task, 'complete', **PICTURE)
    document = api.alice.wait(task)

    def check():
        hits = sink.wait('/life', 3)
        started, progress, done = [hit.json() for hit in hits]
        t.eq(names(hits[0]), ['task_id', 'status', 'webhook_type',
                              'timestamp', 'metadata', 'type', 'event_id',
                              'sequence'], 'started: its members')
        t.eq(names(hits[1]), ['task_id', 'status', 'webhook_type',
                              'timestamp', 'metadata', 'progress_percentage',
                              'message', 'estimated_seconds_remaining',
                              'type', 'event_id', 'sequence'],
             'progress: its members')
        t.eq(names(hits[2]), ['task_id', 'status', 'webhook_type',
                              'timestamp', 'image_url',
                              'generation_duration_seconds', 'model',
                              'prompt', 'metadata', 'type', 'event_id',
                              'sequence', 'image_urls'],
             'completed: its members')
        t.eq([(e['task_id'], e['status'], e['webhook_type'], e['type'])
              for e in (started, progress, done)],
             [(task, 'processing', 'image_generation_started',
               'image.generation.started'),
              (task, 'processing', 'image_generation_progress',
               'image.generation.progress'),
              (task, 'completed', 'image_generation_completed',
               'image.generation.completed')], 'their names')
        t.eq((progress['progress_percentage'], progress['message'],
              progress['estimated_seconds_remaining']),
             (50, 'Rendering frames', 30), 'progress: what was said')
        t.eq((done['image_url'], done['image_urls'], done['model'],
              done['prompt']),
             (PICTURE['data'][0]['url'],
              [one['url'] for one in PICTURE['data']], 'gpu-image',
              'A beautiful sunset'), 'completed: the result')
        t.eq((done['timestamp'], done['sequence'],
              done['generation_duration_seconds']),
             (document['updated_at'], document['sequence'],
              document['generation_duration_seconds']),
             'completed: as in the status document')

        for hit in hits:
            t.eq(dict(pairs(hit.body))['metadata'], pairs(METADATA),
                 'metadata, digit for digit')
            t.eq(dict(pairs(api.alice.status(task).body))['metadata'],
                 pairs(METADATA), 'as in the status document')
            t.ok(b'": ' not in hit.body and b', "' not in hit.body
                 and b'null' not in hit.body, 'compact, without null')
            check_headers(t, hit)

        sequences = [hit.json()['sequence'] for hit in hits]
        t.ok(sequences == sorted(set(sequences)), 'sequences rise')

    return check


def check_headers(t, hit):
    e = hit.json()
    h = hit.headers
    t.eq((hit.method, hit.version, h['content-type'], h['webhook-id'],
          h['idempotency-key'], h['x-webhook-type'],
          h['x-webhook-timestamp'], h['authorization'],
          h['x-custom-header'], h.get('x-empty', '')),
         ('POST', 'HTTP/1.1', 'application/json', e['event_id'],
          e['event_id'], e['webhook_type'], h['webhook-timestamp'],
          'Bearer ' + HEADER_SECRET, 'custom-value', ''), 'headers')
    t.ok(HOOK_ID.match(hit.id) and TIME.match(e['timestamp'])
         and int(h['content-length']) == len(hit.body)
         and 'user-agent' in h and 'transfer-encoding' not in h
         and 'expect' not in h, 'and their forms')
    t.ok(len({name.lower() for name, value in hit.header_list})
         == len(hit.header_list), 'no header twice')
    t.ok(any(line.startswith(b'X-Empty:') for line in
             hit.head.split(b'\r\n')), 'an empty one is sent')


def ends(t, api):
    """Failed, cancelled, a video, and a task without metadata."""

    sink = Sink()
    failed = api.fire(sink.url('/failed'), events=['failed'],
                      error='content_policy_violation',
                      webhook_metadata={})
    cancelled = api.alice.image('x', 'gpu-image',
                                webhook_url=sink.url('/cancelled'))
    api.alice.cancel(cancelled['task_id'])
    video = api.alice.video('y', 'gpu-video',
                            webhook_url=sink.url('/video'))['task_id']
    claim(api, 'wan')
    report(api, video, 'complete', **CLIP)

    def check():
        hit, = sink.wait('/failed', 1)
        e = hit.json()
        t.eq(names(hit), ['task_id', 'status', 'webhook_type', 'timestamp',
                          'error', 'error_code', 'model', 'prompt',
                          'metadata', 'type', 'event_id', 'sequence'],
             'failed: its members')
        t.eq((e['task_id'], e['status'], e['webhook_type'], e['type'],
              e['error'], e['error_code'], e['metadata']),
             (failed, 'failed', 'image_generation_completed',
              'image.generation.failed', 'Content policy violation detected',
              'content_policy_violation', {}), 'failed: what it says')

        hit, = sink.wait('/cancelled', 1)
        e = hit.json()
        t.eq((e['status'], e['webhook_type'], e['type'], e['error'],
              e['error_code']),
             ('cancelled', 'image_generation_completed',
              'image.generation.cancelled', 'Task was cancelled',
              'cancelled'), 'cancelled: what it says')
        t.ok('metadata' not in e and 'generation_duration_seconds' not in e,
             'and what it does not say')

        hit, = sink.wait('/video', 1)
        e = hit.json()
        t.eq((e['status'], e['webhook_type'], e['type'], e['video_url']),
             ('completed', 'video_generation_completed',
              'video.generation.completed', CLIP['data'][0]['url']),
             'a video')
        t.ok('image_url' not in e and 'image_urls' not in e,
             'without members of pictures')

    return check


def filters(t, api):
    """Each of the words alone, its alias, and the default."""

    sink = Sink()

    def run_one(path, **more):
        task = api.alice.image('f', 'gpu-image', webhook_url=sink.url(path),
                               **more)['task_id']
        claim(api)
        report(api, task, 'progress', progress=10)
        report(api, task, 'complete', **PICTURE)
        return task

    tasks = {word: run_one('/' + word, webhook_events=[word])
             for word in ALL}
    tasks['alias'] = run_one('/alias', webhook_events_filter=['completed',
                                                              'completed'])
    tasks['default'] = run_one('/default')
    plain = api.alice.image('no hook', 'gpu-image')['task_id']
    claim(api)
    report(api, plain, 'complete', **PICTURE)

    def check():
        for word in ('started', 'completed', 'alias', 'default'):
            api.settled(tasks[word], n=0)

        for word, expected in (('started', ['started']),
                               ('completed', ['completed']),
                               ('alias', ['completed']),
                               ('failed', []), ('cancelled', [])):
            t.eq([hit.json()['type'].rpartition('.')[2]
                  for hit in sink.hits('/' + word)], expected,
                 'only ' + word)

        wait_for(lambda: any(b'"completed"' in hit.body for hit in
                             sink.hits('/default')), what='the default')
        t.ok(not any(b'started' in hit.body for hit in
                     sink.hits('/default')), 'started only if asked for')
        t.eq(api.alice.document(tasks['failed'])['webhook'], {
            'status': 'none', 'attempts': 0, 'last_status': None,
            'last_error': None}, 'an outcome that is not told: none')
        t.eq(api.alice.document(plain)['webhook'], None,
             'no webhook: null')
        t.eq(api.alice.document(tasks['completed'])['webhook']['status'],
             'delivered', 'delivered')

    return check


def bad_words(t, api):
    for events in ([], ['finished'], ['completed', 'x'], 'completed', [1],
                   {'a': 1}):
        r = api.alice.image('x', webhook_url='http://127.0.0.1:8099/',
                            webhook_events=events)
        t.eq((r.status, r.error(), r.error('param')),
             (400, 'invalid_parameter', 'webhook_events'), repr(events))

    r = api.alice.image('x', webhook_url='http://127.0.0.1:8099/',
                        webhook_events=['failed'],
                        webhook_events_filter=['failed'])
    t.eq((r.status, r.error('param')), (400, 'webhook_events_filter'),
         'both spellings')
    return lambda: None


def throttle(t, api):
    """The first report goes at once, then the newest each 2 s; what was
    overtaken is not sent, and nothing comes after the end."""

    sink = Sink()
    task = api.alice.image('p', 'gpu-image', webhook_url=sink.url('/p'),
                           webhook_events=['progress', 'completed']
                           )['task_id']
    claim(api)
    begin = time.monotonic()
    told = {}                   # when a report was made, and when it was in

    def tell(i):
        at = time.monotonic()
        report(api, task, 'progress', progress=i)
        told[i] = at, time.monotonic()

    def talk():
        for i in range(1, 46):
            tell(i)
            time.sleep(0.1)
        tell(97)
        tell(98)
        report(api, task, 'complete', **PICTURE)
        told['end'] = time.monotonic()

    talker = threading.Thread(target=talk)
    talker.start()

    def check():
        talker.join()
        wait_for(lambda: any(b'"completed"' in hit.body
                             for hit in sink.hits('/p')), what='the end')
        hits = sink.hits('/p')
        reports = [hit for hit in hits if b'_progress"' in hit.body]
        said = [hit.json()['progress_percentage'] for hit in reports]
        t.between(len(reports), 2, 2 + (time.monotonic() - begin) / 2,
                  'reports of 47')
        t.eq(said[0], 1, 'the first at once')
        newest = max(i for i in told if i != 'end'
                     and told[i][1] < told[1][0] + 1.9)
        t.ok(said == sorted(set(said)) and said[1] >= newest,
             'then newer ones') or t.diag((said, newest))
        at = [int(hit.headers['webhook-timestamp']) for hit in reports]
        t.ok(all(b - a >= 1 for a, b in zip(at, at[1:])),
             'at most one in 2 s') or t.diag(at)
        t.ok(hits[-1].json()['status'] == 'completed', 'the end is last')

        # unless this test was stopped for so long that they were due

        last = max(i for i in said if i < 97)
        late = told['end'] > told[last][0] + 1.9
        t.ok(late or (97 not in said and 98 not in said),
             'what the end overtakes is not sent')
        items = api.deliveries(task)
        t.eq([item['event'] for item in items
              if item['status'] == 'delivered'][-1], 'completed', 'the list')
        t.ok(len(items) <= 3, 'progress is not kept for ever')

    return check


def progress_once(t, api):
    """Progress is tried once, and the end waits for nothing."""

    sink = Sink()
    sink.script('/once', 500)
    task = api.alice.image('o', 'gpu-image', webhook_url=sink.url('/once'),
                           webhook_events=['progress', 'completed']
                           )['task_id']
    claim(api)
    report(api, task, 'progress', progress=10)
    item = api.settled(task)
    sink.script('/once', 200)
    report(api, task, 'complete', **PICTURE)

    def check():
        t.eq(api.outcome(item), ('failed', 1, 500, 'status'),
             'progress is tried once')
        wait_for(lambda: len(sink.hits('/once')) == 2, what='the end')
        t.ok(sink.hits('/once')[1].json()['status'] == 'completed',
             'then the end')

    return check


def order(t, api):
    """The end waits for a started event that is being tried again."""

    sink = Sink()
    sink.script('/order', 500, 500, 200)
    task = api.alice.image('o', 'gpu-image', webhook_url=sink.url('/order'),
                           webhook_events=['started', 'completed']
                           )['task_id']
    claim(api)
    report(api, task, 'complete', **PICTURE)

    def check():
        hits = sink.wait('/order', 4)
        t.eq([hit.json()['type'].rpartition('.')[2] for hit in hits],
             ['started'] * 3 + ['completed'], 'in the order of sequences')

    return check


def runs(t, api):
    """A second run of a failed task is told like the first."""

    sink = Sink()
    task = api.alice.image('r', 'gpu-image', webhook_url=sink.url('/run'),
                           webhook_events=ALL)['task_id']
    claim(api)
    report(api, task, 'fail', error='no', error_code='provider_error')
    sink.wait('/run', 2)
    t.eq(api.alice.retry(task).status, 202, 'a second run')
    t.eq(api.alice.document(task)['webhook']['status'], 'pending',
         'its outcome is to be told')
    claim(api)
    report(api, task, 'complete', **PICTURE)

    def check():
        hits = sink.wait('/run', 4)
        t.eq([hit.json()['type'].rpartition('.')[2] for hit in hits],
             ['started', 'failed', 'started', 'completed'], 'two runs')
        t.eq(len({hit.id for hit in hits}), 4, 'four events')
        sequences = [hit.json()['sequence'] for hit in hits]
        t.eq(sequences, sorted(set(sequences)), 'sequences rise')

    return check


def creates(t, api):
    """Synchronous creates are told, replayed ones are not told again."""

    sink = Sink()
    r = api.alice.sync('sandbox:duration=0', webhook_url=sink.url('/sync'),
                       webhook_events=['completed'])
    t.eq(r.status, 200, 'a synchronous create')
    first = None

    for _ in range(3):
        task = api.fire(sink.url('/replay'),
                        headers={'Idempotency-Key': 'the same'})
        t.ok(first in (None, task), 'a replay')
        first = task

    def check():
        api.settled(r.header('x-conduit-task-id'))
        api.settled(first)
        t.eq((len(sink.hits('/sync')), len(sink.hits('/replay')),
              len(api.deliveries(first))), (1, 1, 1), 'each told once')
        e = sink.hits('/sync')[0].json()
        t.ok(len(sink.hits('/sync')[0].body) < 4096
             and 'b64_json' not in json.dumps(e) and e['image_urls'] == []
             and 'image_url' not in e, 'base64 is not told')

    return check


def test_events(t):
    with Hooks(t, http='conduit_webhook_retry 400ms 400ms 400ms;') as api:
        side_by_side(t, api, (throttle, life, ends, filters, bad_words,
                              progress_once, order, runs, creates))


run(test_events)
