#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A worker is killed at instructions where it holds the lock of the zone and
# has half of a change made: no task is lost, all end, and the counts are right
# again; every end is told by a webhook, and what is seen of a change is all of
# it or nothing.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *
from conduit_sink import Sink

# in the middle of: linking a task, standing in a queue, leaving it, a lease,
# the due tree, a new document

PLACES = ['ngx_http_conduit_node_link_locked',
          'conduit_rank_insert',
          'conduit_rank_changed',
          'conduit_treap_split',
          'conduit_rank_delete',
          'ngx_http_conduit_node_own_locked',
          'ngx_http_conduit_node_due_locked',
          'ngx_http_conduit_advance_status_locked if adv->final',
          'ngx_http_conduit_advance_end_locked',
          'ngx_http_conduit_hook_link_locked',
          'ngx_http_conduit_hook_place_locked',
          'ngx_http_conduit_hook_own_locked',
          'ngx_http_conduit_hook_away_locked',
          'ngx_http_conduit_hook_stop_locked']


def die_at(api, pid, place, traffic):
    """Kills the worker when it comes to that function; 0 if it did not."""

    api.killed.add(pid)
    gdb = subprocess.Popen(
        ['gdb', '-q', '-nx', '-batch', '-p', str(pid),
         '-ex', 'handle SIGALRM SIGIO SIGCHLD nostop noprint pass',
         '-ex', 'break %s' % place,
         '-ex', 'echo READY\\n', '-ex', 'continue',
         '-ex', 'backtrace 3', '-ex', 'kill'],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    out = []
    reader = threading.Thread(target=lambda: out.extend(gdb.stdout),
                              daemon=True)
    reader.start()
    wait_for(lambda: 'READY\n' in out or gdb.poll() is not None, 30,
             'the debugger')
    end = time.monotonic() + 20 * PATIENCE

    while gdb.poll() is None and time.monotonic() < end:
        traffic()

    if gdb.poll() is None:
        gdb.kill()

    gdb.wait()
    reader.join(DEADLINE)

    place = place.split()[0]

    return any('hit' in line and place in line for line in out), ''.join(out)


def check_place(t, api, sink, place):
    made = []

    def create():
        # a request may be lost with its worker: only a 202 counts
        try:
            with Connection(api.port(), timeout=2) as c:
                c.send(api.alice.encode('POST', IMAGES + '/async', {
                    'model': 'queued', 'prompt': 'script:ok',
                    'webhook_url': sink.url('/told')}))
                reply = c.read_response()
                if reply.status == 202:
                    made.append(reply.json()['task_id'])
        except (OSError, EOFError, AssertionError, ValueError):
            pass

    def traffic():
        threads = [threading.Thread(target=create) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if made and len(made) % 3 == 0:
            try:
                api.alice.cancel(made[-1])
            except (OSError, EOFError, AssertionError):
                pass

    pid = api.workers()[0]
    hit, out = die_at(api, pid, place, traffic)

    if not t.ok(hit, 'a worker was killed in %s' % place):
        t.diag(out)

    wait_for(lambda: not alive(pid) and len(api.workers()) == 2,
             what='a new worker')

    # nobody has gone on with what it was doing yet

    return made, [d for d in map(api.alice.document, made)
                  if d['status'] in FINAL]


def sink_told(sink, made, timeout=20):
    """Whether the receiver hears of the ends of all of them."""

    def all_of_them():
        # of a worker that was killed half of a body may have come
        whole = [hit.json() for hit in sink.hits('/told')
                 if len(hit.body) == int(hit.headers['content-length'])]
        told = {body['task_id'] for body in whole
                if body['status'] in FINAL}
        return set(made) <= told

    try:
        return wait_for(all_of_them, timeout * SLOW, 'all to be told')

    except TimeoutError:
        return False


def test(t):
    if not shutil.which('gdb'):
        skip_all('gdb is not installed')

    def narrow(text):
        return text.replace('conduit_provider openai_images {',
                            'conduit_provider openai_images {\n'
                            '    limit concurrency=1;')

    with Api(t, workers=2, providers=['openai'], edit=narrow, http='''
            conduit_task_limit per_key=10000 total=10000;
            conduit_model queued provider=openai_images model=dall-e-3;
            conduit_webhook_plain on;
            conduit_webhook_allow 127.0.0.0/8;
            ''') as api:
        sink = Sink()

        for place in PLACES:
            made, seen = check_place(t, api, sink, place)
            ends = [api.alice.wait(task, 30)['status'] for task in made]
            other = [(d, now) for d in seen for now in
                     [api.alice.document(d['task_id'])]
                     if dict(d, webhook=None) != dict(now, webhook=None)]
            t.eq(other, [], 'an end that was seen is the end')
            if not t.ok(ends and set(ends) <= {'completed', 'cancelled'},
                        '%d accepted tasks have ended well' % len(made)):
                t.diag(' '.join(ends))

            if not t.ok(sink_told(sink, made), 'and were told'):
                t.diag([task for task in made
                        if not sink_told(sink, [task], 0)])

        end = api.alice.image('script:ok after', 'queued')
        t.eq(api.alice.run(end)['status'], 'completed', 'and new ones do')

        listed = set()
        after = ''
        while True:
            page = api.alice.list(limit=100, **({'after': after} if after
                                                else {})).json()
            listed |= {task['task_id'] for task in page['data']}
            after = page['last_id']
            if not page['has_more']:
                break

        left = api.alice.list(status='pending').json()['data']
        left += api.alice.list(status='processing').json()['data']
        t.ok(len(listed) > 0, 'the list is whole: %d tasks' % len(listed))
        t.eq(left, [], 'nothing is left behind')


def test_order(t):
    """Changes are told in their order, which is not that of creation."""

    with Api(t, workers=2,
             gpu=GPU.replace('lease 1s', 'lease 60s')) as api:
        def create():
            try:
                api.alice.image('s', 'gpu-image')
            except (OSError, EOFError, AssertionError):
                pass

        hub = Hub(api.port(), api.alice.key, TASKS_HUB, version=0)
        hub.invoke('SubscribeToAllTasks')
        first, *others = [api.alice.image('s', 'gpu-image')['task_id']
                          for _ in range(3)]

        for _ in range(3):
            api.robot.worker('claim', {})
            hub.until('TaskProgress')

        before = api.metric('conduit_hub_closed_total')
        hub.close()
        wait_for(lambda: api.metric('conduit_hub_closed_total') > before)
        api.robot.worker('tasks/%s/progress' % first, {'progress': 10})

        hit, out = die_at(api, api.workers()[0], PLACES[0], create)
        t.ok(hit, 'a worker was killed') or t.diag(out)
        wait_for(lambda: api.metric('conduit_zone_repairs_total') == 1, 20,
                 'the repair')

        with Hub(api.port(), api.alice.key, TASKS_HUB, old=hub.id,
                 version=0) as hub:
            t.eq(hub.event(), ('TaskProgress', [first, 10, None]),
                 'what was missed')


run(test, test_order)
