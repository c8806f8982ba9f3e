# Copyright (C) Conduit for nginx authors

"""A real Redis Cluster for tests.

    with RedisCluster(masters=3, replicas=1) as cluster:
        cluster.url                     what conduit_redis wants: one node
        cluster.keys('conduit:*')       of all masters
        cluster.master(slot)            the node that has the slot
        cluster.move(slot, target)      key by key, as operators do
        cluster.errors()                {'MOVED': 3}

    with Load(api, other) as load:      creates, until the block ends
"""

import threading

from conduit_api import Api
from conduit_harness import HOST, free_port, wait_for
from conduit_redis import Redis, RedisError, make_host

SLOTS = 16384


def slot_of(name):
    """CRC16 of the tag of a key, bit by bit."""

    data = name.encode()
    begin = data.find(b'{')
    end = data.find(b'}', begin + 1)

    if begin >= 0 and end > begin + 1:
        data = data[begin + 1:end]

    crc = 0

    for byte in data:
        crc ^= byte << 8

        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff

    return crc % SLOTS


class Node(Redis):
    """A server with cluster mode."""

    def __init__(self, timeout=1500, conf='', **more):
        self.bus = free_port()
        super().__init__(conf='cluster-enabled yes\n'
                              'cluster-port %d\n'
                              'cluster-node-timeout %d\n'
                              'cluster-replica-validity-factor 0\n'
                              'repl-diskless-sync-delay 0\n'
                              'repl-ping-replica-period 1\n'
                              % (self.bus, timeout) + conf, **more)

    @property
    def id(self):
        return self.call('CLUSTER', 'MYID').decode()

    def cluster_info(self):
        text = self.call('CLUSTER', 'INFO').decode()
        return dict(line.split(':', 1) for line in text.split('\r\n') if line)


class RedisCluster:
    def __init__(self, masters=3, replicas=0, **more):
        self.n = masters
        self.nodes = [Node(**more) for _ in range(masters * (1 + replicas))]

    def __enter__(self):
        for node in self.nodes:
            node.start()

        masters, replicas = self.nodes[:self.n], self.nodes[self.n:]

        for i, node in enumerate(masters):
            node.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
            node.call('CLUSTER', 'ADDSLOTSRANGE', SLOTS * i // self.n,
                      SLOTS * (i + 1) // self.n - 1)

        for node in self.nodes[1:]:
            self.meet(node)

        wait_for(lambda: all(int(node.cluster_info()['cluster_known_nodes'])
                             == len(self.nodes) for node in self.nodes),
                 30, 'nodes to know each other')

        for i, node in enumerate(replicas):
            master = masters[i % self.n]
            wait_for(lambda: self.accepts(node, 'CLUSTER', 'REPLICATE',
                                          master.id), 30, 'a replica')

        wait_for(self.healthy, 30, 'the cluster')
        wait_for(lambda: all(node.info('master_link_status') == 'up'
                             for node in replicas), 30, 'replicas')

        return self

    def __exit__(self, *exc):
        for node in self.nodes:
            node.stop()

    def meet(self, node):
        first = self.nodes[0]
        node.call('CLUSTER', 'MEET', HOST, first.port, first.bus)

    def accepts(self, node, *args):
        try:
            return node.call(*args) == 'OK'

        except RedisError:
            return False

    def alive(self):
        return [node for node in self.nodes if node.process]

    def healthy(self):
        return all(node.cluster_info()['cluster_state'] == 'ok'
                   for node in self.alive())

    @property
    def url(self):
        return self.nodes[0].url

    def masters(self):
        return [node for node in self.alive()
                if node.call('ROLE')[0] == b'master']

    def master(self, slot):
        for first, last, (host, port, *_), *_ in self.alive()[-1].call(
                'CLUSTER', 'SLOTS'):
            if first <= slot <= last:
                return next(n for n in self.nodes if n.port == port)

    def keys(self, pattern='*'):
        return sorted(key for node in self.masters()
                      for key in node.keys(pattern))

    def call(self, *args):
        """A command whose first argument is its key."""

        return self.master(slot_of(args[1])).call(*args)

    def move(self, slot, target, between=None):
        """Moves a slot, unless it is there; between() is called when a part
        of it has gone, and before the end.  One target at a time: nodes may
        never agree if several of them get slots while news still spread."""

        source = self.master(slot)

        if source is target:
            return

        ids = source.id, target.id

        target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[0])
        source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[1])
        first = True

        while True:
            keys = source.call('CLUSTER', 'GETKEYSINSLOT', slot, 10)

            if between and (first or not keys):
                between()

            first = False

            if not keys:
                break

            source.call('MIGRATE', HOST, target.port, '', 0, 5000, 'KEYS',
                        *keys)

        for node in [target, source] + self.masters():
            node.call('CLUSTER', 'SETSLOT', slot, 'NODE', ids[1])

    def errors(self):
        """{kind: how many of such errors all nodes have replied}"""

        counts = {}

        for node in self.alive():
            for line in node.call('INFO', 'errorstats').decode().split():
                kind, found, n = line.partition(':count=')

                if found:
                    kind = kind.partition('_')[2]
                    counts[kind] = counts.get(kind, 0) + int(n)

        return counts


class Place:
    def __init__(self, url):
        self.url = url


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, zone='conduit:256m', **more)


class Load:
    """Creates at hosts in turn until it is stopped; what was accepted, and
    how many were not."""

    def __init__(self, *apis, pause=0.01):
        self.apis = apis
        self.accepted = []
        self.refused = 0
        self.pause = pause
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()

    def work(self):
        while not self.stopped.wait(self.pause):
            n = len(self.accepted) + self.refused
            r = self.apis[n % len(self.apis)].alice.image('x', seed=n)

            if r.status == 202:
                self.accepted.append(r['task_id'])

            else:
                self.refused += 1

    def more(self, n):
        """Waits for n further creates that were accepted."""

        begun = len(self.accepted)
        wait_for(lambda: len(self.accepted) >= begun + n, 60, 'creates')

    def ends(self, api):
        """{status at the end: how many}"""

        counts = {}

        for task in self.accepted:
            status = api.alice.wait(task, 60)['status']
            counts[status] = counts.get(status, 0) + 1

        return counts
