#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Where webhooks may not go: names are judged at each attempt by all their
# addresses, and by the one that is really connected to.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

QUICK = '''
    conduit_webhook_timeout 3s connect=2s;
    conduit_webhook_retry 1500ms;
    resolver_timeout 1s;
    resolver 127.0.0.1:%d;
'''
BLOCKED = ('failed', 1, None, 'blocked')

# by default everything on this machine is refused

NAMES = {
    'loopback.example.com': [['127.0.0.1']],
    'private.example.com': [['10.0.0.1']],
    'metadata.example.com': [['169.254.169.254']],
    'shared.example.com': [['100.64.0.1']],
    'zero.example.com': [['0.0.0.0']],
    'azure.example.com': [['168.63.129.16']],
    'oracle.example.com': [['192.0.0.192']],
    'multicast.example.com': [['224.0.0.1']],
    'broadcast.example.com': [['255.255.255.255']],
    'loopback6.example.com': [['::1']],
    'mapped.example.com': [['::ffff:127.0.0.1']],
    'compatible.example.com': [['::127.0.0.1']],
    'nat64.example.com': [['64:ff9b::7f00:1']],
    'six-to-four.example.com': [['2002:7f00:1::']],
    'teredo.example.com': [['2001:0:1::1']],
    'unique-local.example.com': [['fd00:ec2::254']],
    'link-local.example.com': [['fe80::1']],
    'documentation.example.com': [['2001:db8::1']],
    'one-of-two.example.com': [['192.0.2.1', '127.0.0.1']],
    'last-of-many.example.com': [['198.18.0.1'] * 3 + ['127.0.0.1']],
    'alias.example.com': [{'cname': 'inner.example.com'}],
    'inner.example.com': [['127.0.0.1']],
    '127.0.0.1.nip.io': [['127.0.0.1']],
    '10-0-0-1.sslip.io': [['10.0.0.1']],
    'six-only-bad.example.com': [['8.8.8.8', '::1']],
}


def test_default(t):
    zone = Zone(NAMES)
    sink = Sink()

    with Hooks(t, local=False, http='conduit_webhook_plain on;'
               + QUICK % zone.port) as api:
        tasks = {name: api.fire('http://%s:%d/x' % (name, sink.port))
                 for name in NAMES}

        for name, task in tasks.items():
            item = api.settled(task)
            t.eq(api.outcome(item), BLOCKED, name)
            t.ok(not any(address in json.dumps(item) for address in
                         ('169.254', '10.0.0.1"', '127.0.0.1"')),
                 name + ': the address is not told')

        t.eq((sink.connections, sink.hits()), (0, []),
             'nobody was connected to')

        for url in ('http://127.0.0.1:8081/', 'http://10.0.0.1/',
                    'http://[::1]/', 'http://169.254.169.254/'):
            r = api.alice.image('x', webhook_url=url)
            t.eq((r.status, r.error('param'), r.error()),
                 (400, 'webhook_url', 'invalid_webhook_url'),
                 url + ' at the create')

    zone.close()


def test_allowed(t):
    """With some of this machine's addresses allowed."""

    sinks = {last: Sink(host='127.0.0.%d' % last) for last in (2, 3, 9)}
    port = sinks[2].port
    for last in (3, 9):
        sinks[last].refuse()
        sinks[last].port = port
        sinks[last].accept()

    zone = Zone({
        'good.example.com': [['127.0.0.2']],
        'mixed.example.com': [['127.0.0.2', '127.0.0.9']],
        'six.example.com': [['127.0.0.2', '::1']],
        'public.example.com': [['127.0.0.2', '192.0.2.1']],
        'alias.example.com': [{'cname': 'good.example.com'}],
        'trap.example.com': [{'cname': 'bad.example.com'}],
        'bad.example.com': [['127.0.0.9']],
        'rebind.example.com': [['127.0.0.2'], ['127.0.0.9']],
        'kept.example.com': [['127.0.0.2'], ['127.0.0.9']],
        'moved.example.com': [['127.0.0.2'], ['127.0.0.3']],
        'own.example.com': [['127.0.0.1']],
        'mute.example.com': ['mute'],
        'empty.example.com': [[]],
        'late.example.com': ['none', ['127.0.0.2']],
        'second.example.com': [['127.0.0.4', '127.0.0.2']],
    }, ttl=0)

    with Hooks(t, local=False, http='''
               conduit_webhook_plain on;
               conduit_webhook_allow 127.0.0.0/8;
               conduit_webhook_deny 127.0.0.9;
               ''' + QUICK % zone.port, workers=1) as api:

        def fire(name, path='/x', at=port):
            return api.fire('http://%s.example.com:%d%s' % (name, at, path))

        for path in ('/rebind', '/moved'):
            sinks[2].script(path, status(500, close=True))
        first = {name: fire(name) for name in (
            'good', 'mixed', 'six', 'public', 'alias', 'trap', 'mute',
            'empty', 'missing', 'late', 'kept', 'second')}
        first['rebind'] = fire('rebind', '/rebind')
        first['moved'] = fire('moved', '/moved')
        first['own'] = fire('own', at=api.port())

        for name, expected in (
                ('good', ('delivered', 1, 200, None)),
                ('alias', ('delivered', 1, 200, None)),
                ('mixed', BLOCKED), ('six', BLOCKED), ('public', BLOCKED),
                ('trap', BLOCKED), ('own', BLOCKED),
                ('mute', ('failed', 2, None, 'dns')),
                ('empty', ('failed', 2, None, 'dns')),
                ('missing', ('failed', 2, None, 'dns')),
                ('late', ('delivered', 2, 200, None)),
                ('second', ('delivered', 1, 200, None)),
                ('kept', ('delivered', 1, 200, None)),
                ('moved', ('delivered', 2, 200, None)),
                ('rebind', ('failed', 2, None, 'blocked'))):
            t.eq(api.outcome(api.settled(first[name])), expected, name)

        log = api.delivery(first['rebind'])['attempt_log']
        t.eq([(entry['status'], entry['error'], entry['address'])
              for entry in log],
             [(500, 'status', 'loopback'), (None, 'blocked', None)],
             'rebind: its attempts')
        t.eq([[len(sinks[last].hits(path)) for last in (2, 3, 9)]
              for path in ('/rebind', '/moved')], [[1, 0, 0], [1, 1, 0]],
             'each attempt went where its name pointed then')
        t.eq(sinks[9].connections, 0, 'no denied address was connected to')

        # the connection of the first delivery may still be open

        wait_for(lambda: zone.queries('kept.example.com') >= 1, what='query')
        wait_for(lambda: api.outcome(api.settled(fire('kept')))[3]
                 == 'blocked', what='the new address', pause=0.3)
        t.ok(True, 'a kept connection is not used for a name that moved')
        t.eq(sinks[9].connections, 0, 'nor is the denied one made')

        r = api.alice.image('x', webhook_url='http://127.0.0.1:%d/'
                            % api.port())
        t.eq((r.status, r.error()), (400, 'invalid_webhook_url'),
             'this server itself, at the create')
        r = api.alice.image('x', webhook_url='http://127.0.0.9:81/')
        t.eq((r.status, r.error()), (400, 'invalid_webhook_url'),
             'a denied literal, at the create')

    zone.close()


def test_reload(t):
    """What a new configuration no longer allows is not sent, though it was
    accepted, and though a connection was open."""

    sink, proxy = Sink(), Sink()
    quick = 'conduit_webhook_retry 2s;'
    environment = {name: proxy.origin for name in (
        'http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'ALL_PROXY')}

    with Hooks(t, http=quick, env=environment, main='''
               env http_proxy; env all_proxy; env HTTP_PROXY; env ALL_PROXY;
               ''') as api:
        api.settled(api.fire(sink.url('/kept')))
        one = api.fire(sink.script('/one', 500, 200))
        sink.wait('/one', 1)
        api.setup(http='conduit_webhook_plain on;' + quick)
        api.reload()
        t.eq(api.outcome(api.settled(one)), ('failed', 2, None, 'blocked'),
             'the address is no longer allowed')

        api.setup(http=LOCAL + quick)
        api.reload()
        two = api.fire(sink.script('/two', 500, 200))
        sink.wait('/two', 1)
        api.setup(http='conduit_webhook_allow 127.0.0.0/8;' + quick)
        api.reload()
        t.eq(api.outcome(api.settled(two)), ('failed', 2, None, 'blocked'),
             'http:// is no longer allowed')
        r = api.alice.image('x', webhook_url=sink.url('/x'))
        t.eq((r.status, r.error('param')), (400, 'webhook_url'),
             'and refused at the create')
        t.eq((len(sink.hits('/one')), len(sink.hits('/two'))), (1, 1),
             'no more was sent')

        api.setup(http=LOCAL + quick + 'conduit_webhook_bind 127.0.0.77;')
        api.reload()
        t.eq(api.outcome(api.settled(api.fire(sink.url('/bound')))),
             ('delivered', 1, 200, None), 'with a source address')
        t.eq(sink.hits('/bound')[0].peer, '127.0.0.77', 'which is seen')
        t.eq(proxy.connections, 0, 'proxies of the environment are not used')


run(test_default, test_allowed, test_reload)
