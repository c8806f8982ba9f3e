#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Which pages may use a hub: conduit_cors, preflights, the header Origin.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

GOOD = 'https://app.example.com'
SERVER = '''
    location /hubs/any { conduit_cors *; conduit_hub image; }
    location /hubs/off { conduit_cors off; conduit_hub image; }
'''

# what the four kinds of requests to a hub look like

EVENTS = {'Accept': 'text/event-stream'}
UPGRADE = {'Upgrade': 'websocket', 'Connection': 'Upgrade',
           'Sec-WebSocket-Version': '13',
           'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='}
KINDS = [('negotiate', 'POST', '/negotiate', {}),
         ('WebSocket', 'GET', '', UPGRADE),
         ('events', 'GET', '?id=x', EVENTS),
         ('poll', 'GET', '?id=x', {}),
         ('send', 'POST', '?id=x', {}),
         ('end', 'DELETE', '?id=x', {})]


def ask(api, kind, hub, origin, query=False, host='localhost'):
    name, method, path, headers = kind

    if query:
        path += '&' if '?' in path else '?'
        path += 'access_token=' + api.alice.key

    if origin:
        headers = dict(headers, Origin=origin)

    with Connection(api.port()) as c:
        c.send(encode_request(method, hub + path, headers, None,
                              None if query else api.alice.key, host=host))
        r = c.read_head()

        if r.header('content-length'):
            r.body = c.read_exactly(int(r.header('content-length')))

        return r


def refused(r):
    return (r.status, r.error(), r.error('type')) == (
        403, 'origin_not_allowed', 'permission_error')


def test_list(t):
    with Api(t, server=SERVER, http='conduit_cors http://localhost:3000 %s;'
             % GOOD) as api:
        for kind in KINDS:
            for query in False, True:
                name = kind[0] + (', key in the query: ' if query else ': ')

                for origin in (GOOD.upper().replace('HTTPS', 'https'),
                               'http://localhost:3000', 'http://localhost',
                               None):
                    r = ask(api, kind, IMAGE_HUB, origin, query)
                    t.ok(not refused(r) and r.status != 403,
                         name + 'from %s' % origin)
                    t.eq(r.header('access-control-allow-origin'),
                         None if origin in (None, 'http://localhost')
                         else origin, name + 'told')

                for origin in (GOOD + '.evil.example', 'http' + GOOD[5:],
                               GOOD + ':444', 'null', '', 'x',
                               'https://localhost.example'):
                    r = ask(api, kind, IMAGE_HUB, origin or ' ', query)
                    t.ok(refused(r), name + 'not from %r: %r'
                         % (origin, r))
                    t.eq(r.header('access-control-allow-origin'), None,
                         name + 'not told')

        log = wait_for(lambda: re.search('access_token=.*POST',
                                         api.access_log(), re.S)
                       and api.access_log())
        t.ok(api.alice.key not in log, 'no key of a query in the access log')


def test_any_and_off(t):
    with Api(t, server=SERVER) as api:
        for kind in KINDS:
            for query in False, True:
                name = kind[0] + (', key in the query: ' if query else ': ')

                r = ask(api, kind, '/hubs/any', GOOD, query)
                t.ok(not refused(r), name + 'any may')
                t.eq((r.header('access-control-allow-origin'),
                      r.header('access-control-allow-credentials')),
                     (GOOD, 'true'), name + 'with credentials')
                t.like(r.header('vary') or '', 'Origin', name + 'Vary')

                for hub in '/hubs/off', IMAGE_HUB:
                    r = ask(api, kind, hub, GOOD, query)
                    t.eq(refused(r), query, name + 'off')
                    t.eq(r.header('access-control-allow-origin'), None,
                         name + 'not told')

                r = ask(api, kind, '/hubs/off', 'http://hubs.example:81',
                        query, host='Hubs.example:81')
                t.ok(not refused(r), name + 'from the same host')
                r = ask(api, kind, '/hubs/off', 'http://hubs.example:82',
                        query, host='hubs.example:81')
                t.eq(refused(r), query, name + 'from another port')


def test_preflight(t):
    with Api(t, http='conduit_cors %s;' % GOOD) as api:
        for path, method in (('/negotiate?negotiateVersion=1', 'POST'),
                             ('?id=x', 'GET'), ('?id=x', 'DELETE')):
            def preflight(origin):
                return api.request(
                    'OPTIONS', IMAGE_HUB + path, {
                        'Origin': origin,
                        'Access-Control-Request-Method': method,
                        'Access-Control-Request-Headers':
                        'authorization,x-requested-with,x-signalr-user-agent'})

            r = preflight(GOOD)
            t.eq((r.status, r.body), (204, b''), 'a preflight')
            t.eq((r.header('access-control-allow-origin'),
                  r.header('access-control-allow-credentials')),
                 (GOOD, 'true'), 'its origin, with credentials')
            t.like(r.header('access-control-allow-methods'), method,
                   'its method')
            for name in ('authorization', 'x-requested-with',
                         'x-signalr-user-agent'):
                t.like(r.header('access-control-allow-headers').lower(),
                       name, name)
            t.ok(int(r.header('access-control-max-age')) > 0, 'its age')

            r = preflight('https://evil.example')
            t.eq((r.header('access-control-allow-origin'),
                  r.header('access-control-allow-methods')), (None, None),
                 'nothing for another')

        for key, status in ((None, 401), ('nobody', 401)):
            with Connection(api.port()) as c:
                r = c.request('POST', IMAGE_HUB + '/negotiate',
                              {'Origin': GOOD}, b'', key)
            t.eq((r.status, r.header('access-control-allow-origin')),
                 (status, GOOD), 'errors can be read')


run(test_list, test_any_and_off, test_preflight)
