#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# ways to reach Redis: passwords, ACL, databases, sockets, TLS, Sentinel

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


class Place:
    """What a host needs to know of a server."""

    def __init__(self, url):
        self.url = url


def works(t, place, name, more='', **conf):
    with make_host(Api, t, place, 'a', more=more, **conf) as api:
        task = api.alice.image('x')['task_id']
        t.eq(api.alice.wait(task)['status'], 'completed', name)
        log = api.error_log()

    return task, log


def test_login(t):
    with Redis(password='sesame-4711') as redis:
        _, log = works(t, redis, 'a password', workers=2)
        t.ok('sesame' not in log, 'that is not logged')

        works(t, Place('redis://sesame%%2D4711@127.0.0.1:%d' % redis.port),
              'with an escape')

        # a wrong one: creates are refused, and the log says why

        with Api(t, http=settings(Place('redis://wrong@127.0.0.1:%d'
                                        % redis.port), 'a')) as api:
            api.wait_log(r'conduit_redis: 127\.0\.0\.1:\d+: WRONGPASS')
            t.eq(api.alice.image('x').status, 503, 'a wrong password')

    with Redis(acl=('conduit', 'sesame-4711')) as redis:
        works(t, redis, 'a user of an ACL')


def test_places(t):
    with Redis(unix=True) as redis:
        task, _ = works(t, redis, 'a socket', 'db=3')
        c = redis.client()
        c.call('SELECT', '3')
        t.ok(any(k.decode().endswith(task) for k in c.call('KEYS', '*')),
             'and a database')
        c.close()

        works(t, Place('redis://localhost:%d/2' % redis.port), 'a name')
        works(t, redis, 'a prefix', 'prefix=other:1')
        t.ok(any(k.startswith('other:1:{') for k in redis.keys()),
             'begins all names')


class Certificates:
    def __init__(self):
        folder = new_folder('tls')
        make_certificates(folder)
        self.cert = os.path.join(folder, 'server.pem')
        self.key = os.path.join(folder, 'server.key')
        self.ca = os.path.join(folder, 'ca.pem')


def test_tls(t):
    tls = Certificates()

    with Redis(tls=tls) as redis:
        url = Place('rediss://localhost:%d' % redis.port)
        works(t, url, 'TLS', 'ca=' + tls.ca)

        with Api(t, http=settings(url, 'a')) as api:
            api.wait_log('certificate is not trusted|handshake failed')
            t.eq(api.alice.image('x').status, 503, 'an unknown CA')


def test_sentinel(t):
    with Redis() as one, Redis(replica_of=one) as two, \
            Sentinels(one) as sentinels:

        wait_for(sentinels.replicas, 30, 'the sentinel to see the replica')

        place = Place('redis://%s' % sentinels.name)

        with make_host(Api, t, place, 'a',
                       more='sentinel=127.0.0.1:1,' + sentinels.list) as api:
            first = api.alice.image('x')['task_id']
            api.alice.wait(first)

            wait_for(two.in_step, 30, 'the replica to have all')
            one.stop()
            wait_for(lambda: api.alice.image('x').status == 202, 60,
                     'a failover')

            t.eq(two.call('ROLE')[0], b'master', 'the replica is the master')
            t.eq(api.alice.wait(first)['status'], 'completed',
                 'nothing is lost')

            task = api.alice.create('x')
            t.eq(api.alice.wait(task)['status'], 'completed', 'all goes on')


run(test_login, test_places, test_tls, test_sentinel)
