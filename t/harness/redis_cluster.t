#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a Redis Cluster: all that hosts share

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_hub import *
from conduit_redis import *
from conduit_redis_cluster import *


def test_hosts(t):
    # a node that is late for a while does not fall out of the cluster

    with RedisCluster(3, password='sesame-4711', timeout=15000) as cluster, \
            host(t, cluster, 'a', workers=2) as a, \
            host(t, cluster, 'b', a) as b:

        # tasks of all shards

        tasks = [a.alice.image('x', seed=i)['task_id'] for i in range(60)]
        t.eq({b.alice.wait(task)['status'] for task in tasks}, {'completed'},
             'b sees the ends of all tasks of a')
        t.ok(all(node.keys('conduit:*:task:*') for node in cluster.nodes),
             'they are spread over all nodes')
        t.eq({d['task_id'] for d in b.alice.list(limit=100)['data']}
             >= set(tasks), True, 'and listed')

        # changes by the other host

        task = a.alice.image('sandbox:duration=20s')['task_id']
        t.eq(b.alice.cancel(task)['status'], 'cancelled', 'cancelled on b')
        t.eq(a.alice.wait(task)['status'], 'cancelled', 'told to a')

        task = a.alice.image('sandbox:error=provider_error')['task_id']
        t.eq(a.alice.wait(task)['status'], 'failed', 'failed on a')
        t.eq(b.alice.retry(task).status, 202, 'tried again on b')
        t.eq(a.alice.wait(task)['status'], 'failed', 'a waits for it')

        key = {'Idempotency-Key': 'one'}
        first = a.alice.image('x', headers=key)
        again = b.alice.image('x', headers=key)
        t.eq((again.status, again['task_id']), (202, first['task_id']),
             'an Idempotency-Key')

        # channels

        with Hub(b.port(), a.secrets['alice']) as hub:
            for i in range(6):
                task = a.alice.image('sandbox:duration=60s '
                                     'sandbox:progress=99')['task_id']
                hub.invoke('SubscribeToTask', task)
                t.eq(hub.until('TaskProgress')[-1][1][0], task,
                     'progress of a on b')
                a.alice.cancel(task)
                t.eq(hub.until('TaskFailed')[-1][1][0], task, 'and the end')

        # scripts that some nodes do not know

        for node in cluster.nodes:
            node.call('SCRIPT', 'FLUSH')

        tasks = [a.alice.image('x', seed=i)['task_id'] for i in range(20)]
        t.eq({b.alice.wait(task)['status'] for task in tasks}, {'completed'},
             'scripts are sent again')

        # a host is reloaded, the other dies

        b.reload()
        connect_all(b)

        tasks = [a.alice.image('sandbox:duration=9s')['task_id']
                 for i in range(6)]
        a.kill_all()
        t.eq({b.alice.wait(task, 60)['status'] for task in tasks},
             {'completed'}, 'b takes over')
        t.ok('took over task' in b.error_log(), 'and says so')

        t.eq(cluster.errors().keys() - {'NOSCRIPT'}, set(),
             'every call went to its node at once')

        # another database

        place = Place(cluster.url + '/3')

        with Api(t, http=settings(place, 'c')) as api:
            api.wait_log('a cluster has no database other than 0')
            t.eq(api.alice.image('x').status, 503, 'a database')


run(test_hosts)
