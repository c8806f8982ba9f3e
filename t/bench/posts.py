# Copyright (C) Conduit for nginx authors

"""Benchmarks of webhooks, beside a bare poster by libcurl.

Deliveries are parked behind a breaker first, so that what is measured is their
sending alone: CPU of the one worker, from the probe that succeeds to the last
delivery.  The poster posts bodies of the same length with the same headers, as
many at a time, to the same receiver; rounds are interleaved.
"""

import hashlib
import statistics
import subprocess
import threading
import time

from conduit_harness import *

RECEIVER = os.path.join(BUILD, 'bench', 'receiver')
POSTER = os.path.join(BUILD, 'bench', 'poster')

ROUNDS = int(os.environ.get('BENCH_POST_ROUNDS', 5))
POSTS = int(os.environ.get('BENCH_POSTS', 10000))
PARKED = int(os.environ.get('BENCH_PARKED', 100000))
PARALLEL = 10

KEY = 'condt_bench0000'
BODY = {'model': 'fails', 'prompt': 'sandbox:error=provider_error '
        'sandbox:duration=0ms a lighthouse at dusk, with a keeper on the '
        'gallery who looks out for ships'}

HTTP = '''
    access_log off;
    keepalive_requests 100000000;

    conduit_zone conduit:1024m;
    conduit_store off;
    conduit_rate off;
    conduit_task_limit per_key=1000000 total=1000000;
    conduit_key_file %%DIR%%/keys.json;
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
    conduit_webhook_rate off;
    conduit_webhook_breaker 5 2s;

    conduit_provider fails { type sandbox; }
    conduit_model fails provider=fails kind=image;

    server {
        listen 127.0.0.1:%%PORT%% backlog=8192;

        location /v1/images/generations { conduit_generations image; }
        location = /metrics { conduit_metrics; }
    }
'''


class Receiver:
    def __init__(self):
        self.number = free_port()
        self.process = subprocess.Popen([RECEIVER, str(self.number)])
        wait_for(self.listens, what='the receiver')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()

    def listens(self):
        try:
            self.get('/')
            return True

        except OSError:
            return False

    def get(self, path):
        with Connection(self.number) as c:
            return c.request('GET', path).text

    def url(self, path='/'):
        return 'http://%s:%d%s' % (HOST, self.number, path)

    def state(self):
        """count, connections, and ms of the half, 99 % and the last"""

        return [int(n) for n in self.get('/').split()]


def start(t):
    ng = Nginx(t, HTTP, workers=1, level='warn', start=False,
               connections=4096)
    ng.write('keys.json', json.dumps({'bench': {
        'secret': 'sha256:' + hashlib.sha256(KEY.encode()).hexdigest(),
        'tasks': 1000000, 'webhook_secret': [
            'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']}}))
    ng.start()
    return ng


def create(ng, n, url=None, pace=None):
    """n tasks over four connections, which fail at once."""

    body = dict(BODY)

    if url:
        body.update(webhook_url=url, webhook_events=['failed'])

    one = encode_request('POST', '/v1/images/generations/async', {}, body,
                         KEY)
    many = 1 if pace else 16
    threads = 4
    begin = time.monotonic()

    def run(number):
        with Connection(ng.port()) as c:
            for i in range(n // threads // many):
                c.send(one * many)

                for _ in range(many):
                    if c.read_response().status != 202:
                        raise RuntimeError('no 202')

                if pace:
                    due = begin + (i * threads + number) / pace
                    time.sleep(max(0, due - time.monotonic()))

    pool = [threading.Thread(target=run, args=(i,)) for i in range(threads)]

    for thread in pool:
        thread.start()

    for thread in pool:
        thread.join()

    return n // threads // many * many * threads


def metric(ng, name):
    return sum(float(line.rpartition(' ')[2])
               for line in ng.get('/metrics').text.splitlines()
               if line.startswith(name))


def park(ng, receiver, n):
    """That many deliveries wait behind a breaker."""

    receiver.get('/503')
    made = create(ng, n, receiver.url())
    wait_for(lambda: metric(ng, 'conduit_tasks{status="failed"}') >= made,
             120, 'the ends of all tasks')
    return made


def drain(ng, receiver, n):
    """CPU of the worker for each of n deliveries, in microseconds."""

    pid = ng.workers()[0]
    receiver.get('/0')
    before = cpu(pid)
    receiver.get('/200')
    wait_for(lambda: receiver.state()[0] >= n, 300, 'all deliveries', 0.05)

    return (cpu(pid) - before) / n * 1e6


def posts(t, bars):
    with Receiver() as receiver:
        cost(t, bars, receiver)
        parked(t, bars, receiver)
        delay(t, bars, receiver)


def cost(t, bars, receiver):
    bare, ours, ratios = [], [], []

    for _ in range(ROUNDS):
        with start(t) as ng:
            n = park(ng, receiver, POSTS)
            ours.append(drain(ng, receiver, n))

        bare.append(float(subprocess.run(
            [POSTER, receiver.url(), str(POSTS), str(PARALLEL), '620'],
            stdout=subprocess.PIPE, check=True).stdout))
        ratios.append(ours[-1] / bare[-1])

    bars.row('a POST of a bare poster', '%.1f us' % statistics.median(bare))
    bars.row('a delivery', '%.1f us' % statistics.median(ours))
    bars.ratio('a delivery, to a bare poster', statistics.median(ratios), 1.5)


def parked(t, bars, receiver):
    with start(t) as ng:
        free = metric(ng, 'conduit_zone_free_bytes')
        plain = create(ng, PARKED // 4)
        wait_for(lambda: metric(ng, 'conduit_tasks{status="failed"}')
                 >= plain, 120, 'the ends of all tasks')
        task = (free - metric(ng, 'conduit_zone_free_bytes')) / plain

        free = metric(ng, 'conduit_zone_free_bytes')
        n = park(ng, receiver, PARKED)
        each = (free - metric(ng, 'conduit_zone_free_bytes')) / n - task
        bars.row('100 000 parked deliveries', '%.0f MB' % (each / 10),
                 'at most 150 MB', each <= 1500)

        # the same number with nearly all in the queue, and with few

        deep = drain(ng, receiver, n // 10)
        wait_for(lambda: receiver.state()[0] >= n, 300, 'all deliveries')

    with start(t) as ng:
        few = []

        for _ in range(60):
            n = park(ng, receiver, 100)
            few.append(drain(ng, receiver, n))

    bars.ratio('a delivery of 100 000, to one of 100',
               deep / statistics.mean(few), 1.1, 0.1)


def delay(t, bars, receiver):
    with start(t) as ng:
        receiver.get('/200')
        create(ng, 1000, receiver.url(), 1000)
        receiver.get('/0')
        n = create(ng, 20000, receiver.url(), 1000)
        wait_for(lambda: receiver.state()[0] >= n, 60, 'all deliveries')
        _, connections, half, most, last = receiver.state()
        bars.row('from event to first byte at 1000/s, median',
                 '%d ms' % half)
        bars.row('99 %', '%d ms' % most, 'at most 10 ms', most <= 10)
