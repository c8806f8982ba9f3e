#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a node of a Redis Cluster that comes back as it was some time ago

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *
from conduit_redis_cluster import *


def test_earlier(t):
    with RedisCluster(3, conf='cluster-require-full-coverage no\n',
                      timeout=5000) as cluster, \
            host(t, cluster, 'a') as a, host(t, cluster, 'b', a) as b:

        node = cluster.nodes[1]

        def marks():
            return {x: int(node.call('GET', x))
                    for x in node.keys('conduit:*:mark:*')}

        def known():
            return {key.rsplit(':', 1)[1]
                    for key in node.keys('conduit:*:task:*')}

        before = wait_for(lambda: len(marks()) > 20 and marks(), 40,
                          'both hosts to leave marks')
        node.call('SAVE')

        tasks = {a.alice.image('sandbox:duration=50ms', seed=i)['task_id']
                 for i in range(20)}

        for task in tasks:
            a.alice.wait(task)

        mine = known() & tasks
        t.ok(mine, 'the node has some of them')

        wait_for(lambda: all(marks()[x] > before[x] for x in before), 40,
                 'marks that are not in the copy')

        node.stop()
        node.start()
        t.eq(known() & tasks, set(), 'its copy has none')

        a.wait_log('has gone back to an earlier state', 60)
        wait_for(lambda: known() & tasks == mine, 60, 'them to be put again')

        with host(t, cluster, 'c', a) as c:
            t.eq({c.alice.wait(task)['status'] for task in mine},
                 {'completed'}, 'a new host knows them')

        t.ok('has been emptied' not in a.error_log(), 'and nothing else')


run(test_earlier)
