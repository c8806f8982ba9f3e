#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a Redis Cluster whose masters die: replaced by a replica, or back and empty

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_hub import *
from conduit_redis import *
from conduit_redis_cluster import *


def test_failover(t):
    """The master that the URL names dies under load."""

    with RedisCluster(3, 1, timeout=5000) as cluster, \
            host(t, cluster, 'a', workers=2) as a, \
            host(t, cluster, 'b', a) as b:

        first, replica = cluster.nodes[0], cluster.nodes[3]
        task = a.alice.image('sandbox:duration=4s')['task_id']

        with Load(a, b) as load:
            load.more(50)
            first.stop()
            wait_for(lambda: replica.call('ROLE')[0] == b'master', 60,
                     'a failover')
            load.more(100)

        t.diag('%d accepted, %d refused' % (len(load.accepted),
                                            load.refused))
        t.eq(load.ends(b), {'completed': len(load.accepted)},
             'all that was accepted ends')
        t.eq(a.alice.wait(task)['status'], 'completed', 'and what went on')
        wait_for(lambda: {api.alice.get('/health')['status']
                          for api in (a, b)} == {'Healthy'}, 30,
                 'both hosts to be well')

        with Hub(b.port(), a.secrets['alice']) as hub:
            task = a.alice.image('sandbox:duration=500ms')['task_id']
            hub.invoke('SubscribeToTask', task)
            t.eq(hub.until('TaskCompleted')[-1][0], 'TaskCompleted',
                 'channels, too')

        # it comes back as a replica, which the URL names

        first.start()
        wait_for(lambda: first.call('ROLE')[0] == b'slave', 30, 'a replica')

        with host(t, cluster, 'c', a) as c:
            t.eq(c.alice.wait(task)['status'], 'completed',
                 'a replica is as good as a master')


def test_empty(t):
    """A master without a replica dies and comes back with nothing."""

    with RedisCluster(3, conf='cluster-require-full-coverage no\n',
                      timeout=5000) as cluster, \
            host(t, cluster, 'a', workers=2) as a, \
            host(t, cluster, 'b', a) as b:

        node = cluster.nodes[1]

        def known(where, tasks):
            keys = where.keys('conduit:*:task:*')
            return {task for task in tasks
                    if any(key.endswith(task) for key in keys)}

        done = {a.alice.image('x', seed=i)['task_id'] for i in range(40)}

        for task in done:
            a.alice.wait(task)

        live = {a.alice.image('sandbox:duration=900s')['task_id']
                for i in range(20)}
        kept = known(node, done), known(node, live)
        t.ok(all(kept), 'a node has some of both')
        wait_for(lambda: len([k for k in cluster.keys('conduit:*:epoch')
                              if '{' in k]) == 64, 30,
                 'each shard to have an epoch')

        node.stop()

        # others are served, and who would have to wait is told so

        replies = wait_for(lambda: (lambda r: {202, 503} <= set(r) and r)(
            [a.alice.image('x', timeout=60).status for i in range(20)]),
            60, 'creates of dead shards to be refused')
        t.eq(set(replies), {202, 503}, 'a part of creates is accepted')
        begun = time.monotonic()
        replies = [a.alice.image('x').status for i in range(20)]
        t.ok(time.monotonic() - begun < 20 * SLOW, 'without waiting each')

        # what is accepted goes on, also when leases of dead shards have ended

        left = time.monotonic() + 6
        ends = set()

        while time.monotonic() < left or len(ends) < 2:
            r = a.alice.image('x')
            ends.add(b.alice.run(r)['status'] if r.status == 202 else None)

        t.eq(ends, {None, 'completed'}, 'other shards go on')

        node.start()
        wait_for(lambda: 'has been emptied' in a.error_log(), 60, 'a look')
        wait_for(lambda: known(node, done | live) == kept[0] | kept[1], 60,
                 'all to be put again')

        with host(t, cluster, 'c', a) as c:
            t.eq({c.alice.document(task)['status'] for task in done},
                 {'completed'}, 'what had ended has')
            t.eq({c.alice.cancel(task)['status'] for task in live},
                 {'cancelled'}, 'what goes on can be cancelled')


        # all of them

        for node in cluster.nodes:
            node.stop()

        def state(api):
            return api.alice.get('/health')['status']

        wait_for(lambda: state(a) == state(b) == 'Degraded', 60, 'degraded')
        t.eq(a.alice.image('x').status, 503, 'a cluster that is gone')

        for node in cluster.nodes:
            node.start()

        wait_for(lambda: {api.alice.image('x', seed=i).status
                          for i in range(8) for api in (a, b)} == {202}, 60,
                 'a cluster that is back')
        wait_for(lambda: state(a) == state(b) == 'Healthy', 30,
                 'both to be well again')


run(test_failover, test_empty)
