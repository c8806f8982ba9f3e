#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a Redis Cluster: slots that move, ways to reach its nodes

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *
from conduit_redis_cluster import *


def test_move(t):
    """Slots on their way under load, so that both kinds of redirects are
    seen, and keys of which a part has left already."""

    with RedisCluster(3, timeout=15000) as cluster, \
            host(t, cluster, 'a', workers=2) as a, \
            host(t, cluster, 'b', a) as b:

        with Load(a, b, pause=0.002) as load:
            load.more(50)

            for shard in range(24):
                cluster.move(slot_of('{%02d}' % shard), cluster.nodes[2],
                             lambda: load.more(8))

            load.more(50)

        t.eq(load.ends(b), {'completed': len(load.accepted)},
             'all that was accepted ends')
        t.eq(load.refused, 0, 'and all was accepted')
        errors = cluster.errors()
        t.ok(errors.get('MOVED'), 'MOVED was seen')
        t.ok(errors.get('ASK'), 'ASK was seen')
        t.diag('%d tasks, %s' % (len(load.accepted), errors))

        wait_for(lambda: not cluster.keys('conduit:*:leases'), 20,
                 'leases to end')


def works(t, place, name, more=''):
    with host(t, place, 'h', more=more) as api:
        replies = [api.alice.image('x', seed=i) for i in range(20)]
        t.eq([r for r in replies if r.status != 202], [], name)
        t.eq({api.alice.run(r)['status'] for r in replies}, {'completed'},
             'and back')


def allowed():
    """The commands of an ACL, as the documentation tells them."""

    with open(os.path.join(TOP, 'README.md')) as f:
        text = f.read().partition('with an ACL needs the commands')[2]

    words = re.findall(r'`([a-z|]+)`', text.partition('\n\n')[0])

    return ' '.join('+' + word for word in words)


def test_places(t):
    """Names of nodes in place of addresses, nothing at all, a user with few
    rights, TLS."""

    with RedisCluster(3, timeout=15000) as cluster:
        def tell(kind):
            for node in cluster.nodes:
                node.call('CONFIG', 'SET', 'cluster-preferred-endpoint-type',
                          kind)

        for node in cluster.nodes:
            node.call('CONFIG', 'SET', 'cluster-announce-hostname',
                      'localhost')
            node.call('ACL', 'SETUSER', 'few', 'on', '>sesame-4711',
                      '~conduit:*', '&conduit:*', *allowed().split())

        wait_for(lambda: all(b'localhost' in str(node.call(
            'CLUSTER', 'SLOTS')).encode() for node in cluster.nodes), 30,
            'names')

        tell('hostname')
        works(t, cluster, 'nodes with names')

        # a map that is out of date, so that redirects tell it, too

        tell('unknown-endpoint')

        with host(t, cluster, 'h') as api:
            for shard in range(64):
                cluster.move(slot_of('{%02d}' % shard), cluster.nodes[2])

            tasks = [api.alice.image('x', seed=i)['task_id']
                     for i in range(40)]
            t.eq({api.alice.wait(task)['status'] for task in tasks},
                 {'completed'}, 'nodes that are not named')

        tell('ip')
        works(t, Place('redis://few:sesame-4711@127.0.0.1:%d'
                       % cluster.nodes[0].port), 'the rights that are named')
        t.eq([entry for node in cluster.nodes
              for entry in node.call('ACL', 'LOG')], [], 'and no others')

    folder = new_folder('tls')
    make_certificates(folder)

    class Certificates:
        cert = os.path.join(folder, 'server.pem')
        key = os.path.join(folder, 'server.key')
        ca = os.path.join(folder, 'ca.pem')

    with RedisCluster(3, tls=Certificates, timeout=15000,
                      conf='tls-cluster yes\ntls-replication yes\n'
                           'tls-ca-cert-file %s\n' % Certificates.ca) as c:
        works(t, Place('rediss://localhost:%d' % c.nodes[0].port), 'TLS',
              'ca=' + Certificates.ca)


run(test_move, test_places)
