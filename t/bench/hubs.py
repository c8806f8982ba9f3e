# Copyright (C) Conduit for nginx authors

"""Benchmarks of the hubs, beside nchan and a bare pusher.

Each server has one process that serves, the same number of WebSocket
connections and the same messages; they are published by HTTP, one request for
each.  CPU is that of the server's process, all of it: with the requests that
publish.  Rounds are interleaved, and the median of the ratios counts.
"""

import hashlib
import statistics
import subprocess

from conduit_crowd import *

NCHAN = '/usr/lib/nginx/modules/ngx_nchan_module.so'

PUSHER = os.path.join(BUILD, 'bench', 'pusher')

ROUNDS = int(os.environ.get('BENCH_ROUNDS', 9))
CROWD_SIZE = crowd_size(int(os.environ.get('BENCH_CROWD', 10000)))
SECONDS = int(os.environ.get('BENCH_LOAD_SECONDS', 20))
KEYS = 1000

KEY = 'condt_bench0000'

MAIN = 'worker_rlimit_nofile %d;' % crowd_size(CROWD_SIZE + 2000, 0)

# what the hub sends, for those that pass on what is published to them

MESSAGE = ('{"type":1,"target":"TaskProgress","arguments":["{id}",50,'
           '"step {n}"]}\x1e')

HUBS = '''
    access_log off;
    keepalive_requests 100000000;

    conduit_zone conduit:256m;
    conduit_store off;
    conduit_rate off;
    conduit_task_limit per_key=100000 total=200000;
    conduit_connections per_key=100000 total=100000;
    conduit_key_file %%DIR%%/keys.json;

    conduit_provider mine { type worker; lease 1h;
                            limit concurrency=100000 queue=100000; }
    conduit_model mine provider=mine kind=image;

    server {
        listen 127.0.0.1:%%PORT%% backlog=8192;

        location /v1/images/generations { conduit_generations image; }
        location /worker/ { conduit_worker; }
        location /hubs/tasks { conduit_hub tasks; }
        location = /metrics { conduit_metrics; }
    }
'''

CHANNELS = '''
    access_log off;
    keepalive_requests 100000000;

    nchan_max_reserved_memory 512m;

    server {
        listen 127.0.0.1:%%PORT%% backlog=8192;

        location ~ ^/publish/(.+)$ {
            nchan_publisher;
            nchan_channel_id $1;
            nchan_message_buffer_length 1;
            nchan_message_timeout 5s;
        }

        location ~ ^/subscribe/(.+)$ {
            nchan_subscriber websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }
    }
'''


def memory(pid):
    """The proportional share of a process in bytes."""

    with open('/proc/%d/smaps_rollup' % pid) as f:
        for line in f:
            if line.startswith('Pss:'):
                return int(line.split()[1]) * 1024


def used(pid):
    """CPU seconds of a process, finer than in clock ticks."""

    with open('/proc/%d/schedstat' % pid) as f:
        return int(f.read().split()[0]) / 1e9


class Clients(Crowd):
    def __init__(self, server, ids, **more):
        args = dict(upgrade=server.upgrade, hello=server.hello,
                    publish=server.publish)
        args.update(more)
        super().__init__(server, ids, **args)

    def open(self, n):
        got = self.do('open', n, 256, self.server.frames)

        if got['open'] != n:
            raise RuntimeError('open: %r' % got)

    def published(self, n, rate=0, window=16):
        """Publishes n times; seconds of CPU of all of the server, and what
        the clients saw."""

        before = sum(map(used, self.server.pids()))
        got = self.do('publish', n, rate, window)
        spent = sum(map(used, self.server.pids())) - before

        if got['lost'] or got['repeated']:
            raise RuntimeError('publish: %r' % got)

        return spent, got


def secret(n):
    return 'condt_bench%04d' % n


def keys():
    return json.dumps({
        'k%d' % n: {'secret': 'sha256:' + hashlib.sha256(
            secret(n).encode()).hexdigest(), 'worker': True}
        for n in range(KEYS + 1)})


class Hubs(Nginx):
    frames = TOLD
    upgrade = UPGRADE % ('/hubs/tasks', KEY)
    hello = HELLO
    publish = publish('/worker/tasks/{id}/progress', KEY,
                      '{"progress":50,"message":"step {n}"}')

    def __init__(self, t, workers=1):
        super().__init__(t, HUBS, MAIN, workers=workers,
                         connections=CROWD_SIZE + 2000, level='warn',
                         start=False, name='hubs')
        self.write('keys.json', keys())
        self.start()

    pids = Nginx.workers

    def tasks(self, n):
        """Running tasks."""

        ids = []

        with self.connect() as c:
            for _ in range(n):
                r = c.request('POST', '/v1/images/generations/async', None,
                              '{"model":"mine","prompt":"x"}', KEY)
                ids.append(r.json()['task_id'])
                r = c.request('POST', '/worker/claim', None, None, KEY)
                if r.status != 200:
                    raise RuntimeError('claim: %r' % r)

        return ids


class Nchan(Nginx):
    frames = 0
    upgrade = UPGRADE % ('/subscribe/{id}', KEY)
    hello = ''
    publish = publish('/publish/{id}', KEY, MESSAGE)
    pids = Nginx.workers

    def __init__(self, t):
        super().__init__(t, CHANNELS, MAIN, workers=1,
                         connections=CROWD_SIZE + 2000, level='warn',
                         modules=[NCHAN], name='nchan')

    def tasks(self, n):
        return ['00000000-0000-4000-8000-%012d' % i for i in range(n)]


class Pusher:
    frames = 0
    upgrade = UPGRADE % ('/{id}', KEY)
    hello = ''
    publish = publish('/{id}', KEY, MESSAGE)

    def __init__(self, t):
        self.folder = new_folder('pusher')
        self.number = free_port()
        self.process = subprocess.Popen([PUSHER, str(self.number)])
        wait_for(self.listens, what='the pusher')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()

    def listens(self):
        try:
            socket.create_connection((HOST, self.number), 1).close()
            return True

        except OSError:
            return False

    def path(self, name):
        return os.path.join(self.folder, name)

    def port(self):
        return self.number

    def pids(self):
        return [self.process.pid]

    def tasks(self, n):
        return ['%036d' % i for i in range(n)]


def hubs(t, bars):
    nchan = os.path.exists(NCHAN)

    for watchers in (1000, CROWD_SIZE):
        one_task(t, bars, nchan, watchers)

    many_tasks(t, bars, nchan)
    bystanders(t, bars)
    load(t, bars)

    if not nchan:
        print('nchan was not measured: libnginx-mod-nchan is missing')


class Side:
    """The servers that are compared, and their clients."""

    def __init__(self, t, nchan, tasks):
        self.servers = {'pusher': Pusher(t), 'hub': Hubs(t)}

        if nchan:
            self.servers['nchan'] = Nchan(t)

        self.crowds = {name: Clients(server, server.tasks(tasks))
                       for name, server in self.servers.items()}
        self.memory = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for crowd in self.crowds.values():
            crowd.close()

        for server in self.servers.values():
            server.__exit__()

    def open(self, n):
        for name, crowd in self.crowds.items():
            pid = self.servers[name].pids()[0]
            before = memory(pid)
            crowd.open(n)
            self.memory[name] = (memory(pid) - before) / n

    def rounds(self, n, window):
        """Microseconds of CPU for each publish."""

        costs = {name: [] for name in self.crowds}

        for _ in range(ROUNDS):
            for name, crowd in self.crowds.items():
                costs[name].append(crowd.published(n, 0, window)[0] / n * 1e6)

        return costs


def one_task(t, bars, nchan, watchers):
    """One task with many watchers; all of the CPU is for its messages."""

    with Side(t, nchan, 1) as side:
        side.open(watchers)
        costs = side.rounds(max(1, 50000 // watchers), 1)

    name = '1 task, %d watchers' % watchers

    if watchers == CROWD_SIZE:
        memory_rows(bars, side, name)

    bars.row(name + ': bare push',
             '%.2f us' % (statistics.median(costs['pusher']) / watchers))
    compare(bars, name, ratios(costs, 'hub'), 1.2,
            ratios(costs, 'nchan') if nchan else None)


def many_tasks(t, bars, nchan):
    """Each message has a request that publishes it; what that costs without
    any watcher is measured as well, and the difference is the push."""

    with Side(t, nchan, CROWD_SIZE) as side:
        alone = side.rounds(CROWD_SIZE, 16)
        side.open(CROWD_SIZE)
        costs = side.rounds(CROWD_SIZE, 16)

    name = '%d tasks, 1 watcher each' % CROWD_SIZE
    memory_rows(bars, side, name)

    push = {server: statistics.median(costs[server])
            - statistics.median(alone[server]) for server in costs}

    bars.row(name + ': bare push', '%.2f us' % push['pusher'])
    compare(bars, name, push['hub'] / push['pusher'], 1.4,
            push['nchan'] / push['pusher'] if nchan else None)

    bars.row('the same with the request that publishes',
             '%.2f x' % ratios(costs, 'hub'))

    if nchan:
        bars.row('nchan: the same', '%.2f x' % ratios(costs, 'nchan'))


def ratios(costs, name):
    return statistics.median(a / b for a, b in
                             zip(costs[name], costs['pusher']))


def memory_rows(bars, side, name):
    bars.row(name + ': memory each', '%d bytes' % side.memory['hub'],
             'at most 2048 bytes', side.memory['hub'] <= 2048)

    if 'nchan' in side.memory:
        bars.row('nchan: the same', '%d bytes' % side.memory['nchan'])


def compare(bars, name, value, bar, nchan):
    bars.ratio(name + ': push', value, bar)

    if nchan is not None:
        bars.row('nchan: the same', '%.2f x' % nchan, 'above the hub',
                 nchan > value)


def bystanders(t, bars):
    """Ten watchers of one task, alone and among all the others."""

    costs = {'alone': [], 'crowd': []}

    with Hubs(t) as alone, Hubs(t) as crowd:
        others = Clients(crowd, crowd.tasks(CROWD_SIZE - KEYS))
        others.open(CROWD_SIZE - KEYS)

        # each of these has a key of its own

        keyed = Clients(crowd, [secret(n + 1) for n in range(KEYS)],
                        upgrade=UPGRADE % ('/hubs/tasks', '{id}'),
                        hello=HELLO.replace('ToTask', 'ToAllTasks')
                        .replace('"{id}"', ''))
        keyed.do('open', KEYS, 256, 2)

        few = {}

        for name, server in (('alone', alone), ('crowd', crowd)):
            few[name] = Clients(server, server.tasks(1))
            few[name].open(10)

        for _ in range(ROUNDS):
            for name, clients in few.items():
                costs[name].append(clients.published(3000, 0, 1)[0])

        for clients in (others, keyed, few['alone'], few['crowd']):
            clients.close()

    bars.ratio('an event among %d others, %d keys' % (CROWD_SIZE, KEYS),
               statistics.median(a / b for a, b in zip(costs['crowd'],
                                                       costs['alone'])),
               1.1)


def load(t, bars):
    """A thousand changes in a second over two workers, one for each task in
    turn.  The time is that from the request to the client, so more than that
    from the change to the socket."""

    with Hubs(t, workers=2) as server:
        with Clients(server, server.tasks(CROWD_SIZE)) as clients:
            clients.open(CROWD_SIZE)
            spent, got = clients.published(1000 * SECONDS, 1000, CROWD_SIZE)

    bars.row('%d connections, 1000 events/s: p50' % CROWD_SIZE,
             '%.2f ms' % (got['p50us'] / 1000))
    bars.row('the same: p99', '%.2f ms' % (got['p99us'] / 1000),
             'at most 20 ms', got['p99us'] <= 20000)
    bars.row('the same: events lost', '%d of %d' % (got['lost'],
             got['messages']), 'none', got['lost'] == 0)
