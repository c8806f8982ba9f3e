# Copyright (C) Conduit for nginx authors

"""Benchmarks of several hosts with one Redis.

Two hosts, a process each.  An event is published at one by HTTP and read at
the other by WebSocket: in turn by hubs, and by nchan with the same Redis, the
same number of connections and the same messages.  A poll of a task of the
other host is compared with one at its owner.  Redis itself counts the commands
that the life of a task needs, those of scripts included.  And a host with many
tasks is killed: how long until the other one has them all, and what it costs.
"""

import hashlib
import re
import statistics
import time

from conduit_crowd import *
from conduit_redis import Redis
from hubs import MESSAGE, NCHAN, used
from store import line, rate

ROUNDS = int(os.environ.get('BENCH_REDIS_ROUNDS', 3))
SECONDS = int(os.environ.get('BENCH_LOAD_SECONDS', 20)) // 2
RATE = 1000
TASKS = 1000
POLLS = 2000
LIVES = 200
TAKEN = 30000

KEY = 'condt_bench0000'
IMAGES = '/v1/images/generations'
BODY = {'model': 'mine', 'prompt': 'a lighthouse at dusk'}

HOST_CONF = '''
    access_log off;
    keepalive_requests 100000000;

    conduit_zone conduit:256m;
    conduit_store redis;
    conduit_redis %s;
    conduit_instance %s;
    conduit_rate off;
    conduit_task_ttl 3s;
    conduit_task_limit per_key=100000 total=200000;
    conduit_connections per_key=100000 total=100000;
    conduit_key bench { secret sha256:%s; worker on; }
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
    conduit_webhook_rate off;

    conduit_provider mine { type worker; lease 1h;
                            limit concurrency=100000 queue=100000; }
    conduit_model mine provider=mine kind=image;

    conduit_provider far {
        kind image;
        base http://127.0.0.1:%d;
        auth none;

        submit POST /submit json {
            field /prompt $prompt required;
            take  id /id;
        }

        poll GET /poll/${id} { every 200ms; }

        status /status { completed completed; default processing; }
        result url /url;
    }

    conduit_model far provider=far kind=image;

    server {
        listen 127.0.0.1:%%%%PORT%%%% backlog=8192;

        location /v1/images/generations { conduit_generations image; }
        location /worker/ { conduit_worker; }
        location /hubs/tasks { conduit_hub tasks; }
        location = /metrics { conduit_metrics; }
    }
'''

PEER = '''
    access_log off;

    server {
        listen 127.0.0.1:%%PORT%%;
        default_type application/json;

        location = /submit { return 200 '{"id":"job"}'; }
        location = /hook { return 200; }

        location /poll/ {
            return 200
               '{"status":"completed","url":"http://127.0.0.1/x.png"}';
        }
    }
'''

CHANNELS = '''
    access_log off;
    keepalive_requests 100000000;

    nchan_max_reserved_memory 512m;

    upstream redis {
        nchan_redis_server %s;
    }

    server {
        listen 127.0.0.1:%%%%PORT%%%% backlog=8192;

        location ~ ^/publish/(.+)$ {
            nchan_publisher;
            nchan_redis_pass redis;
            nchan_channel_id $1;
            nchan_message_buffer_length 1;
            nchan_message_timeout 5s;
        }

        location ~ ^/subscribe/(.+)$ {
            nchan_subscriber websocket;
            nchan_redis_pass redis;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }
    }
'''

MAIN = 'worker_rlimit_nofile %d;' % crowd_size(TASKS + 2000, 0)


def nginx(t, http, name, modules=()):
    return Nginx(t, http, MAIN, workers=1, connections=TASKS + 2000,
                 level='warn', modules=modules, name=name)


class Hosts:
    """Two hosts, and a provider."""

    frames = TOLD
    upgrade = UPGRADE % ('/hubs/tasks', KEY)
    hello = HELLO
    publish = publish('/worker/tasks/{id}/progress', KEY,
                      '{"progress":50,"message":"step {n}"}')

    def __init__(self, t, redis):
        digest = hashlib.sha256(KEY.encode()).hexdigest()

        self.redis = redis
        self.peer = nginx(t, PEER, 'peer')
        self.a, self.b = [nginx(t, HOST_CONF % (redis.url, name, digest,
                                                self.peer.port()), name)
                          for name in ('a', 'b')]
        self.all = [self.a, self.b, self.peer]
        self.started = time.monotonic()

        for ng in (self.a, self.b):
            wait_for(lambda: self.create(ng, 'far').status == 202, 30,
                     'a create with Redis')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for ng in self.all:
            ng.close()

    def create(self, ng, model, **more):
        return ng.post(IMAGES + '/async', body=json.dumps(
            dict(BODY, model=model, **more)), key=KEY)

    def tasks(self, n):
        """Running tasks of the first host."""

        ids = []

        with self.a.connect() as c:
            for _ in range(n):
                c.request('POST', IMAGES + '/async', None, json.dumps(BODY),
                          KEY)
                r = c.request('POST', '/worker/claim', None, None, KEY)
                ids.append(r.json()['task_id'])

        return ids

    def end(self, ids):
        with self.a.connect() as c:
            for task in ids:
                r = c.request('POST', '/worker/tasks/%s/complete' % task,
                              None, '{"data":[{"url":"http://127.0.0.1/x"}]}',
                              KEY)

                if r.status != 200:
                    raise RuntimeError('complete: %r' % r)


class Channels:
    """The same of nchan."""

    frames = 0
    upgrade = UPGRADE % ('/subscribe/{id}', KEY)
    hello = ''
    publish = publish('/publish/{id}', KEY, MESSAGE)

    def __init__(self, t, redis):
        http = CHANNELS % redis.url
        self.a, self.b = [nginx(t, http, name, [NCHAN])
                          for name in ('nchan-a', 'nchan-b')]
        self.all = [self.a, self.b]

        for ng in self.all:
            wait_for(lambda: ng.post('/publish/first', body='x').status < 300,
                     30, 'nchan to have Redis')

    def __enter__(self):
        return self

    __exit__ = Hosts.__exit__

    def tasks(self, n):
        return ['00000000-0000-4000-8000-%012d' % i for i in range(n)]


class Watchers(Crowd):
    """Clients of the second host; the first is published to."""

    def __init__(self, hosts, ids):
        super().__init__(hosts.b, ids, hosts.upgrade, hosts.hello,
                         hosts.publish, to=hosts.a)
        got = self.do('open', len(ids), 64, hosts.frames)

        if got['open'] != len(ids):
            raise RuntimeError('open: %r' % got)


def redis(t, bars):
    with Redis() as server:
        with Hosts(t, server) as hosts:
            polls(bars, hosts)
            commands(bars, hosts)

        events(t, bars, server)

        with Hosts(t, server) as hosts:
            takeover(bars, hosts)


def events(t, bars, server):
    """A thousand changes in a second.  The time is that from the request to
    the client."""

    names = ['hub'] + (['nchan'] if os.path.exists(NCHAN) else [])
    hosts, crowds, got = {}, {}, {}

    for name in names:
        hosts[name] = (Hosts if name == 'hub' else Channels)(t, server)
        crowds[name] = Watchers(hosts[name], hosts[name].tasks(TASKS))
        crowds[name].do('publish', RATE, RATE, TASKS)
        got[name] = []

    for _ in range(ROUNDS):
        for name in names:
            pids = [ng.workers()[0] for ng in (hosts[name].a, hosts[name].b)]
            pids.append(server.process.pid)
            before = [used(pid) for pid in pids]
            r = crowds[name].do('publish', RATE * SECONDS, RATE, TASKS)
            r['cpu'] = [(used(pid) - b) / (RATE * SECONDS) * 1e6
                        for pid, b in zip(pids, before)]
            got[name].append(r)

    ended = ends(hosts['hub'], crowds['hub'])

    for name in names:
        crowds[name].close()
        hosts[name].__exit__()

    events_rows(bars, got, ended)


def ends(hosts, crowd):
    hosts.end(crowd.ids)

    return crowd.do('wait', 1, 30)


def events_rows(bars, got, ended):
    def median(name, what):
        return statistics.median(r[what] for r in got[name]) / 1000

    def cpu(name):
        return ' + '.join('%.0f' % statistics.median(r['cpu'][i]
                                                     for r in got[name])
                          for i in range(3))

    name = 'host to host, %d events/s' % RATE
    lost = sum(r['lost'] for r in got['hub'])

    bars.row(name + ': p50', '%.2f ms' % median('hub', 'p50us'))
    bars.row(name + ': p99', '%.2f ms' % median('hub', 'p99us'),
             'at most 10 ms', median('hub', 'p99us') <= 10)

    if 'nchan' in got:
        bars.row('nchan: p50', '%.2f ms' % median('nchan', 'p50us'))
        bars.row('nchan: p99', '%.2f ms' % median('nchan', 'p99us'),
                 'above the hub',
                 median('nchan', 'p99us') > median('hub', 'p99us'))

    bars.row(name + ': lost', '%d' % lost, 'none', lost == 0)
    bars.row(name + ': ends seen once', '%d of %d' % (ended['ends'], TASKS),
             'all', ended['least'] == 1 and ended['ends'] == TASKS)
    bars.row('CPU of hosts and Redis for each, us', cpu('hub'))

    if 'nchan' in got:
        bars.row('nchan: the same', cpu('nchan'))


def polls(bars, hosts):
    """One after the other, at the owner and at the other host in turn."""

    task = hosts.tasks(1)[0]
    request = encode_request('GET', '%s/%s' % (IMAGES, task), None, None, KEY)
    times = [[], []]
    cpu = [0, 0]

    with hosts.a.connect() as a, hosts.b.connect() as b:
        for i in range(20):
            for n, (ng, c) in enumerate(((hosts.a, a), (hosts.b, b))):
                before = used(ng.workers()[0])

                for _ in range(POLLS // 20):
                    start = time.perf_counter()
                    c.send(request)

                    if c.read_response().status != 200:
                        raise RuntimeError('poll: no 200')

                    # the first ones of another host ask Redis

                    if i:
                        times[n].append(time.perf_counter() - start)

                cpu[n] += (used(ng.workers()[0]) - before) * (i > 0)

    bars.row('poll at the owner: p50', '%.0f us'
             % (statistics.median(times[0]) * 1e6))
    bars.ratio('poll at another host: p50', statistics.median(times[1])
               / statistics.median(times[0]), 2)
    bars.row('the same: CPU', '%.2f x' % (cpu[1] / cpu[0]))
    hosts.end([task])


def commands(bars, hosts):
    """From the create until Redis has forgotten the task.  What hosts ask of
    Redis while there are no tasks is not counted, and they look for tasks of
    others more often after their start."""

    time.sleep(max(0, hosts.started + 18 - time.monotonic()))

    for name, more in (('', {}),
                       (', followed by a poll', {'follow': True}),
                       (', with a webhook', {'webhook': True})):
        forgotten(hosts)
        idle, seconds = tally(hosts, lambda: time.sleep(3))
        spent, took = tally(hosts, lambda: lives(hosts, **more))

        each = {k: (v - idle.get(k, 0) * took / seconds) / LIVES
                for k, v in spent.items()}
        each = {k: v for k, v in each.items() if v >= 0.05}

        total = round(sum(each.values()), 1)
        name = 'commands in the life of a task' + name

        if more:
            bars.row(name, '%.1f' % total)

        else:
            bars.row(name, '%.1f' % total, 'at most 12', total <= 12)

        print('    ' + ', '.join('%s %.1f' % pair
                                 for pair in sorted(each.items())))


def tally(hosts, what):
    """Commands by name, and seconds."""

    def stats():
        got = {}

        for line in hosts.redis.call('INFO', 'commandstats').decode().split():
            if line.startswith('cmdstat_'):
                name, text = line[8:].split(':')
                got[name] = int(text.split(',')[0].split('=')[1])

        return got

    start = time.monotonic()
    before = stats()
    what()
    after = stats()

    return ({name: n - before.get(name, 0) for name, n in after.items()
             if not name.startswith(('info', 'keys'))},
            time.monotonic() - start)


def lives(hosts, follow=False, webhook=False):
    more = {}

    if webhook:
        more['webhook_url'] = 'http://127.0.0.1:%d/hook' % hosts.peer.port()

    ids = [hosts.create(hosts.a, 'far', **more).json()['task_id']
           for _ in range(LIVES)]

    if follow:
        for task in ids:
            r = hosts.b.get('%s/%s' % (IMAGES, task), key=KEY)

            if r.status != 200:
                raise RuntimeError('poll: %r' % r)

    forgotten(hosts)


def takeover(bars, hosts):
    def pending(ng):
        m = ng.get('/metrics').text
        return int(re.search(r'^conduit_tasks{status="pending"} (\d+)$', m,
                             re.M).group(1))

    create = line('POST', IMAGES + '/async', json.dumps(BODY))

    while pending(hosts.a) < TAKEN:
        rate(hosts.a, 'create', create)

    poll = [IMAGES + '/' + hosts.create(hosts.b, 'mine').json()['task_id'],
            None, None, KEY]
    wanted = pending(hosts.a) + pending(hosts.b)
    pid = hosts.b.workers()[0]
    before = used(pid)
    worst = 0
    hosts.a.kill_all()
    begun = time.monotonic()
    end = None

    with hosts.b.connect() as c:
        while end is None:
            for _ in range(20):
                now = time.monotonic()
                c.request('GET', *poll)
                worst = max(worst, time.monotonic() - now)
                time.sleep(0.01)

            if pending(hosts.b) == wanted:
                end = time.monotonic()
            elif time.monotonic() - begun > 120:
                raise RuntimeError('%d of %d tasks are left'
                                   % (wanted - pending(hosts.b), wanted))

    seconds = end - begun
    bars.row('tasks of a host that is killed', '%d' % wanted)
    bars.row('until the other one has them all', '%.1f s' % seconds,
             'at most 15 s', seconds <= 15)
    bars.row('the slowest poll meanwhile', '%.0f ms' % (worst * 1000))
    bars.row('CPU for a task, us', '%.0f' % ((used(pid) - before) * 1e6
                                             / wanted))


def forgotten(hosts):
    """No task is left but for those that workers of a client have."""

    def left():
        m = hosts.a.get('/metrics').text
        return sum(float(line.split()[-1]) for line in m.splitlines()
                   if line.startswith('conduit_tasks{'))

    wait_for(lambda: left() == 0, 120, 'no task', 0.5)
