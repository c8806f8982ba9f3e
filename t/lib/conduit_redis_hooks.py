# Copyright (C) Conduit for nginx authors

"""Hosts with one Redis that deliver webhooks, and what Redis knows of that."""

from conduit_hooks import *
from conduit_redis import *

RETRY = '''
    conduit_webhook_retry %s 3s 4s 5s 6s 7s jitter=0%%;
    conduit_webhook_breaker 5 60s;
'''


def host(t, redis, name, like=None, http='', first='2s', **more):
    """first: the pause before the second attempt, in which a test may have
    something to do."""

    return make_host(Hooks, t, redis, name, like, http=RETRY % first + http,
                     **more)


def field(redis, task, name):
    for key in redis.keys('conduit:*:task:' + task):
        return redis.call('HGET', key, name)


def courier(redis, task):
    """Who delivers, as Redis has it; empty: all has ended."""

    value = field(redis, task, 'p')
    return value and value.decode().split(' ', 1)[1].split('@')[0]


def leases(redis):
    return [member.decode() for key in redis.keys('conduit:*:leases')
            for member in redis.call('ZRANGE', key, 0, -1)]


def over(redis, task):
    wait_for(lambda: courier(redis, task) == '', 30, 'the end in Redis')
    wait_for(lambda: not [m for m in leases(redis) if m[-36:] == task], 10,
             'no lease')
