#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Sentinels that are dead, mute, ignorant or wrong, and one that is right

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


class Place:
    """What a host needs to know of a server."""

    def __init__(self, url):
        self.url = url


class Liar:
    """A Sentinel that answers what it is told to; None: nothing at all."""

    def __init__(self, answer=None):
        self.port = free_port()
        self.answer = answer
        self.asked = 0
        self.open = []
        self.listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()

            except OSError:
                return

            self.open.append(client)
            threading.Thread(target=self.reply, args=(client,),
                             daemon=True).start()

    def reply(self, client):
        try:
            if client.recv(4096):
                self.asked += 1

                if self.answer:
                    client.sendall(self.answer)

        except OSError:
            pass

    @property
    def address(self):
        return '127.0.0.1:%d' % self.port


def says(redis):
    """The answer of one that takes this server for the master."""

    port = b'%d' % redis.port
    return b'*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n' % (len(port), port)


def master_of(api):
    """What the connections of each worker are with, by its log."""

    return {pid: [line.rpartition(' ')[2]
                  for line in api.error_log().splitlines()
                  if ' %s#' % pid in line and 'connected to' in line][-2:]
            for pid in map(str, api.workers())}


def test_wrong(t):
    """One is dead, one takes a replica for the master, one is right."""

    with Redis() as one, Redis(replica_of=one) as two, \
            Sentinels(one) as sentinels, Liar(says(two)) as liar:

        wait_for(sentinels.replicas, 30, 'the sentinel to see the replica')
        wait_for(two.in_step, 30, 'the replica')

        place = Place('redis://' + sentinels.name)
        more = 'sentinel=127.0.0.1:1,%s,%s' % (liar.address, sentinels.list)

        with make_host(Api, t, place, 'a', more=more, workers=2) as a, \
                make_host(Api, t, place, 'b', a, more=more, workers=2) as b:

            wanted = '127.0.0.1:%d' % one.port

            for api in (a, b):
                t.eq(set(sum(master_of(api).values(), [])), {wanted},
                     'each worker has the master')
                t.like(api.error_log(), r'127\.0\.0\.1:%d: server is a '
                       'replica' % two.port, 'and has seen the other one')

            t.ok(liar.asked >= 8, 'each connection has been led astray')

            task = a.alice.create('x')
            t.eq(b.alice.wait(task)['status'], 'completed', 'all goes on')

            # another one is the master, and the wrong one is wrong again

            wait_for(two.in_step, 30, 'the replica to have all')
            liar.answer = says(one)
            one.stop()
            wait_for(lambda: two.call('ROLE')[0] == b'master', 30,
                     'a failover')
            one.replica_of = two
            one.start()

            task = b.alice.create('y', 60)
            t.eq(a.alice.wait(task, 60)['status'], 'completed',
                 'found once more')
            wanted = '127.0.0.1:%d' % two.port
            wait_for(lambda: all(set(sum(master_of(api).values(), []))
                                 == {wanted} for api in (a, b)), 30,
                     'all to have the new master')
            t.eq(one.call('ROLE')[0], b'slave', 'the old one is none')


def test_silent(t):
    """One is mute, one knows nobody, one wants a password, one is right."""

    with Redis() as redis, Sentinels(redis) as sentinels, Liar() as mute, \
            Liar(b'*-1\r\n') as ignorant, \
            Sentinels(redis, password='sesame-4711') as closed:

        place = Place('redis://' + sentinels.name)
        more = 'sentinel=' + ','.join((mute.address, ignorant.address,
                                       closed.list, sentinels.list))

        with make_host(Api, t, place, 'a', more=more) as api:
            task = api.alice.create('x')
            t.eq(api.alice.wait(task)['status'], 'completed', 'found')
            log = api.error_log()

            for port, why in ((mute.port, 'timed out'),
                              (ignorant.port, 'sentinel does not know the '
                                              'master'),
                              (closed.ports[0], 'NOAUTH')):
                t.like(log, '127\\.0\\.0\\.1:%d: %s' % (port, why),
                       'the log says of one: ' + why)


run(test_wrong, test_silent)
