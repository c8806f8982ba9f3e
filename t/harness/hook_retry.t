#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Retries of webhooks with the default schedule: how many, when, and after
# which replies.  All scenarios run at the same time, each against its sink.

import calendar
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

# "never earlier", but for the clocks of two processes; later if the machine
# is busy
EARLY = 0.02
LATE = 2 * BUSY


def pauses(t, got, expected, name):
    t.eq(len(got), len(expected), name + ': how many pauses')

    for i, (pause, least) in enumerate(zip(got, expected)):
        t.between(pause, least - EARLY, least + LATE,
                  '%s: pause %d' % (name, i + 1))


def dead(t, api):
    """500 for ever: 4 POSTs, then failed, and everybody can see it."""

    sink = Sink()
    task = api.fire(sink.script('/dead', 500) + '?token=' + QUERY_SECRET,
                    webhook_headers={'Authorization': HEADER_SECRET})

    def check():
        item = api.settled(task)
        hits = sink.hits('/dead')
        t.eq(len(hits), 4, 'dead: exactly 4 POSTs')
        pauses(t, gaps(hits), (2, 4, 8), 'dead')
        t.ok(same(hits), 'dead: the same id and bytes each time')
        t.ok(all(hit.headers['webhook-signature']
                 == signature(api.signing['alice'], hit) for hit in hits),
             'dead: each attempt signed for its time')
        times = [int(hit.headers['webhook-timestamp']) for hit in hits]
        t.ok(all(b - a >= 1 for a, b in zip(times, times[1:]))
             and all(abs(stamp - hit.wall) < 2 + LATE
                     for stamp, hit in zip(times, hits)),
             'dead: with the time of the attempt')
        t.eq(api.outcome(item), ('failed', 4, 500, 'status'), 'dead: failed')
        t.eq(item['next_attempt_at'], None, 'dead: nothing more to come')
        t.eq(item['url'], sink.url('/dead'), 'dead: the URL without query')
        log = item['attempt_log']
        t.eq([(entry['attempt'], entry['status'], entry['error'],
               entry['address']) for entry in log],
             [(n, 500, 'status', 'loopback') for n in (1, 2, 3, 4)],
             'dead: the attempts')
        t.eq(api.alice.document(task)['webhook'], {
            'status': 'failed', 'attempts': 4, 'last_status': 500,
            'last_error': 'status'}, 'dead: in the status document')
        t.ok(not any(secret in json.dumps(item) for secret in
                     (HEADER_SECRET, QUERY_SECRET)), 'dead: no secret shown')

    return check


def refused(t, api):
    """Nobody listens."""

    sink = Sink().refuse()
    task = api.fire(sink.url('/refused'))

    def check():
        item = api.settled(task)
        t.eq(api.outcome(item), ('failed', 4, None, 'connect'), 'refused')
        t.eq([entry['error'] for entry in item['attempt_log']],
             ['connect'] * 4, 'refused: the attempts')

    return check


def black_hole(t, api):
    """An attempt ends at 10 s, and the next begins 2 s later."""

    sink = Sink()
    task = api.fire(sink.script('/hole', hold()))

    def check():
        hits = sink.wait('/hole', 2, 40)
        t.between(hits[0].closed - hits[0].at, 9.8, 10.2 + LATE,
                  'black hole: the attempt ends at 10 s')
        t.between(hits[1].at - hits[0].closed, 2 - 0.1, 2 + LATE,
                  'black hole: the next begins 2 s later')
        entry = api.delivery(task)['attempt_log'][0]
        t.eq((entry['status'], entry['error']), (None, 'timeout'),
             'black hole: the attempt')
        t.between(entry['duration_ms'], 9900, 10200 + 1000 * LATE,
                  'black hole: its duration')

    return check


def recovers(t, api):
    sink = Sink()
    task = api.fire(sink.script('/twice', 500, 500, 200))

    def check():
        item = api.settled(task)
        hits = sink.hits('/twice')
        t.eq(len(hits), 3, '500-500-200: 3 POSTs')
        pauses(t, gaps(hits), (2, 4), '500-500-200')
        t.ok(same(hits), '500-500-200: the same id and bytes')
        t.eq(api.outcome(item), ('delivered', 3, 200, None),
             '500-500-200: delivered')
        t.ok(TIME.match(item['delivered_at'] or ''),
             '500-500-200: with its time')
        t.eq(api.alice.document(task)['webhook'], {
            'status': 'delivered', 'attempts': 3, 'last_status': 200,
            'last_error': None}, '500-500-200: in the status document')

    return check


def date(seconds, form='%a, %d %b %Y %H:%M:%S GMT'):
    return time.strftime(form, time.gmtime(time.time() + seconds))


AFTER = (('seconds', 429, lambda: '4', 4),
         ('decimals', 503, lambda: '3.5', 3.5),
         ('shorter', 429, lambda: '1', 2),
         ('zero', 503, lambda: '0', 2),
         ('a date', 503, lambda: date(5), 4),
         ('RFC 850', 429, lambda: date(5, '%A, %d-%b-%y %H:%M:%S GMT'), 4),
         ('asctime', 429, lambda: date(5, '%a %b %d %H:%M:%S %Y'), 4),
         ('past', 429, lambda: date(-60), 2),
         ('words', 429, lambda: 'soon', 2),
         ('negative', 503, lambda: '-5', 2),
         ('of a 500', 500, lambda: '6', 2))


def soon(code, value):
    """A refusal with a Retry-After that is made when it is sent."""

    return lambda sock, hit: busy(code, value())(sock, hit)


def retry_after(t, api):
    sinks = []

    for name, code, value, least in AFTER:
        sink = Sink()
        sinks.append(sink)
        task = api.fire(sink.script('/after', soon(code, value), 200))

    capped = Sink()
    capped_task = api.fire(capped.script('/after', busy(429, '999999')))

    def check():
        for sink, (name, code, value, least) in zip(sinks, AFTER):
            hits = sink.wait('/after', 2)
            pauses(t, gaps(hits), (least,), 'Retry-After, ' + name)
            t.ok(same(hits), 'Retry-After, %s: the same again' % name)

        item = api.delivery(capped_task)
        t.eq((item['status'], item['last_status']), ('pending', 429),
             'Retry-After: a long one waits')
        due = time.strptime(item['next_attempt_at'][:19],
                            '%Y-%m-%dT%H:%M:%S')
        t.between(calendar.timegm(due) - capped.hits()[0].wall, 3590, 3610,
                  'Retry-After: for an hour at most')

    return check


FINAL_CODES = [300, 301, 302, 303, 304, 307, 308] \
    + [400, 401, 403, 404, 405, 406, 409, 411, 412, 413, 415, 417, 418, 421,
       422, 424, 426, 428, 431, 451, 499]
AGAIN_CODES = [408, 425, 429, 500, 501, 502, 503, 504, 507, 511, 599]
GOOD_CODES = [200, 201, 202, 203, 204, 205, 206, 226, 299]


def codes(t, api):
    """What each status means; redirects are never followed."""

    sink, trap = Sink(), Sink()
    tasks = {}

    for code in FINAL_CODES + GOOD_CODES:
        answer = status(code, b'')
        if code < 200 or code in (204, 304):
            answer = raw(b'HTTP/1.1 %d None\r\n\r\n' % code, keep=True)
        elif 300 <= code < 400:
            answer = redirect(code, trap.url('/trap'))
        tasks[code] = api.fire(sink.script('/code/%d' % code, answer))

    bare = api.fire(sink.script('/bare', redirect(302, None)))
    again = {}

    for code in AGAIN_CODES:
        own = Sink()
        again[code] = own
        api.fire(own.script('/again', code, 200))

    def check():
        for code, task in tasks.items():
            item = api.settled(task)
            expected = (('delivered', 1, code, None) if code < 300
                        else ('failed', 1, code, 'redirect') if code < 400
                        else ('failed', 1, code, 'status'))
            t.eq(api.outcome(item), expected, '%d' % code)

        t.eq(api.outcome(api.settled(bare)), ('failed', 1, 302, 'redirect'),
             '302 without Location')
        t.eq(trap.hits(), [], 'no redirect was followed')

        for code, own in again.items():
            pauses(t, gaps(own.wait('/again', 2)), (2,), '%d again' % code)

        counts = {hit.path: 0 for hit in sink.hits()}
        for hit in sink.hits():
            counts[hit.path] += 1
        t.eq({path for path, n in counts.items() if n != 1}, set(),
             'no second POST after any of these')

    return check


def gone(t, api):
    """410 also stops all further deliveries of the task."""

    sink = Sink()
    url = sink.script('/gone', 410)
    task = api.alice.image('x', 'gpu-image', webhook_url=url,
                           webhook_events=['started', 'progress',
                                           'completed'])['task_id']
    api.robot.worker('claim', {'models': ['sdxl']})
    sink.wait('/gone', 1)
    api.settled(task)
    api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://cdn.example.com/a.png'}]})
    api.alice.wait(task)
    other = api.fire(sink.script('/here', 200))

    def check():
        t.eq(api.outcome(api.settled(other)), ('delivered', 1, 200, None),
             '410: other tasks are told')
        items = api.deliveries(task)
        t.eq([(item['event'], item['status'], item['last_status'])
              for item in items], [('started', 'failed', 410)],
             '410: the last of the task')
        t.eq(len(sink.hits('/gone')), 1, '410: one POST')

    return check


BROKEN = (('closed', drop(), 'protocol'), ('reset', reset(), 'protocol'),
          ('HTTP/0.9', http09(), 'protocol'),
          ('garbage', raw(b'\x00\x01\x02\r\n\r\n'), 'protocol'),
          ('a cut head', raw(b'HTTP/1.1 200 OK\r\nX-'), 'protocol'))


def lost(t, api):
    """No reply, or none to be understood: the same once more."""

    sinks = []

    for name, answer, error in BROKEN:
        sink = Sink()
        sinks.append((sink, api.fire(sink.script('/lost', answer, 200))))

    def check():
        for (name, answer, error), (sink, task) in zip(BROKEN, sinks):
            item = api.settled(task)
            hits = sink.hits('/lost')
            t.eq(api.outcome(item), ('delivered', 2, 200, None), name)
            t.eq(item['attempt_log'][0]['error'], error, name + ': its class')
            t.ok(len(hits) == 2 and same(hits),
                 name + ': the same id and bytes again')
            pauses(t, gaps(hits), (2,), name)

    return check


def test_schedule(t):
    secret = new_secret()

    with Hooks(t, keys={'alice': 'webhook_secret %s;' % secret}) as api:
        api.signing['alice'] = secret
        api.private.append(secret[6:])
        side_by_side(t, api, (dead, refused, black_hole, recovers,
                              retry_after, codes, gone, lost))


run(test_schedule)
