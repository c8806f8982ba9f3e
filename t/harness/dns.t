#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Name servers that do not answer, or answer nonsense: a worker goes on
# serving, tasks end with a clear error.

import os
import struct
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

PROVIDER = '''
    resolver 127.0.0.1:%(dns)d valid=1s;
    resolver_timeout 2s;

    conduit_provider far {
        kind  image;
        base  http://%(host)s:%(port)d;
        auth  none;

        submit POST /v1/images/generations json sync {
            field  /prompt $prompt required;
        }

        result  url /data/*/url;
    }

    conduit_model far provider=far kind=image;
'''


class NameServer:
    """Answers A queries with an address, or not at all."""

    def __init__(self, address=None):
        self.address = address
        self.queries = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((HOST, 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            self.queries += 1
            if self.address is None:
                continue
            end = query.index(b'\0', 12) + 5
            kind = struct.unpack('>H', query[end - 4:end - 2])[0]
            n = 1 if kind == 1 else 0
            answer = (query[:2] + b'\x81\x80' + struct.pack(
                '>HHHH', 1, n, 0, 0) + query[12:end])
            if n:
                answer += (b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 1, 4)
                           + socket.inet_aton(self.address))
            self.sock.sendto(answer, peer)


def conf(dns, host, port):
    return PROVIDER % {'dns': dns.port, 'host': host, 'port': port}


def test_mute(t):
    dns = NameServer()

    with Api(t, workers=1, http=conf(dns, 'mute.example.com', 80)) as api:
        tasks = [api.alice.image('far', 'far')['task_id']
                 for _ in range(5)]
        wait_for(lambda: dns.queries, what='a query')
        slowest = 0

        for _ in range(100):
            begin = time.monotonic()
            api.alice.status(tasks[0])
            slowest = max(slowest, time.monotonic() - begin)

        t.between(slowest, 0, 0.3 * BUSY, 'polls are served meanwhile')
        begin = time.monotonic()
        api.alice.run(api.alice.image('sandbox:duration=100ms'))
        t.between(time.monotonic() - begin, 0, 1 * BUSY,
                  'other providers run')
        ends = [api.alice.wait(task, 25) for task in tasks]
        t.eq({(d['status'], d['error_code']) for d in ends},
             {('failed', 'provider_unavailable')}, 'tasks end')
        task = api.alice.image('far', 'far')['task_id']
        begin = time.monotonic()
        t.eq(api.alice.cancel(task).status, 200, 'cancel during a lookup')
        api.reload()
        wait_for(lambda: not api.old_workers(), 10 * SLOW,
                 'the end of the old worker')
        t.between(time.monotonic() - begin, 0, 8 * BUSY,
                  'a lookup does not hold a worker')


def test_answers(t):
    provider = Provider().start()
    dns = NameServer('127.0.0.1')

    with Api(t, workers=1, provider=provider,
             http=conf(dns, 'provider.example.com', provider.port)) as api:
        d = api.alice.run(api.alice.image('near', 'far'))
        t.eq(d['status'], 'completed', 'a name that resolves') \
            or t.diag(d['error'])
        t.eq(provider.select('submit')[0].headers.get('host'),
             'provider.example.com:%d' % provider.port, 'Host')
        before = dns.queries
        dns.address = None
        tasks = []

        def another_query():
            tasks.append(api.alice.image('later', 'far')['task_id'])
            return dns.queries > before

        wait_for(another_query, what='another query', pause=0.2)
        t.ok(True, 'the TTL of an answer is kept')
        task = tasks[-1]
        dns.address = '127.0.0.1'
        d = api.alice.wait(task, 25)
        t.eq(d['status'], 'completed', 'a name server that comes back')

    provider.stop()


run(test_mute, test_answers)
