#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# src/event: transfers, lookups, wake-ups, thread jobs, random bytes, through
# a module that only tests load.

import os
import re
import subprocess
import sys
import threading
import time
import zlib
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_harness import *
from conduit_peer import *

PROBE = os.path.join(BUILD, 'ngx_http_conduit_probe_module.so')

if not os.path.exists(PROBE):
    skip_all('the probe module is not built (make probe)')

LOCATIONS = '''
        location /plain { return 200 "plain"; }
        location /transfer { conduit_probe transfer; }
        location /wake { conduit_probe wake; }
        location /thread { conduit_probe thread; }
        location /drain { conduit_probe drain; }
        location /random { conduit_probe random; }
        location /active { conduit_probe active; }
'''

HTTP = '''
    server {
        listen 127.0.0.1:%%PORT%%;
''' + LOCATIONS + '''
    }
'''


def nginx(t, http=HTTP, cls=Nginx, **kw):
    kw.setdefault('modules', [PROBE])
    return cls(t, http, **kw)


def outcome(response):
    """The lines of a reply of "conduit_probe transfer" as a dict."""

    head, _, reply = response.text.partition('\n\n')
    d = dict(line.partition('=')[::2] for line in head.splitlines())
    d['reply'] = reply
    return d


def query(url, **args):
    return '/transfer?url=%s%s' % (quote(url, safe=''), ''.join(
        '&%s=%s' % (k, quote(str(v), safe='')) for k, v in args.items()))


def transfer(ng, url, **args):
    return outcome(ng.get(query(url, **args)))


def idle(t, ng, name):
    """Nothing is left in the only worker, its connections are free."""

    free = ng.get('/active').text.split()
    t.eq(free[0], '0', name + ': no transfer is left')
    return int(free[1])


# replies


def test_replies(t):
    peer = Peer()

    with nginx(t) as ng:
        free = idle(t, ng, 'start')

        o = transfer(ng, peer.url('/ok'))
        t.eq((o['error'], o['status'], o['sent'], o['reply'], o['type']),
             ('ok', '200', '1', 'fine', 'text/plain'), 'a reply')
        t.eq(o['reused'], '0', 'on a connection of its own')

        o = transfer(ng, peer.url('/ok'))
        t.eq((o['error'], o['reused']), ('ok', '1'),
             'the next one on the same connection')
        t.eq(peer.connections, 1, 'there was one')

        o = transfer(ng, peer.url('/echo/a%20b?c=d&e=%2f'), method='PUT',
                     body=70000, header='a value')
        lines = o['reply'].splitlines()
        t.eq(lines[0], 'PUT /echo/a%20b?c=d&e=%2f HTTP/1.1',
             'method and URL as given')
        t.ok('x-probe: a value' in lines, 'header')
        t.ok('content-length: 70000' in lines, 'length of the body')
        t.eq(lines[-1], 'body 70000', 'body')
        t.ok(not [l for l in lines if l.startswith(('expect', 'content-type',
                                                    'transfer-encoding'))],
             'nothing that was not asked for')

        o = transfer(ng, peer.url('/echo'), method='POST')
        t.ok('content-length: 0' in o['reply'], 'POST without a body')

        o = transfer(ng, peer.url('/echo/../x/./y'))
        t.like(o['reply'], r'^GET /echo/../x/./y ', 'the path is kept as is')

        o = transfer(ng, peer.url('/none'), method='DELETE')
        t.eq((o['error'], o['status'], o['len']), ('ok', '204', '0'), '204')

        o = transfer(ng, peer.url('/status/503'))
        t.eq((o['error'], o['status'], o['reply']), ('ok', '503', 'no'),
             'any status is a reply')

        o = transfer(ng, peer.url('/redirect/a'))
        t.eq((o['status'], o['redirect']),
             ('302', peer.url('/other/a')), 'a redirect is told, not followed')

        size = 300000
        crc = '%08x' % zlib.crc32(pattern(size))
        o = transfer(ng, peer.url('/pattern/%d' % size))
        t.eq((o['error'], o['len'], o['crc']), ('ok', str(size), crc),
             'a longer reply')

        o = transfer(ng, peer.url('/chunked/50000'))
        t.eq((o['error'], o['len']), ('ok', '50000'), 'chunked')

        t.eq(idle(t, ng, 'end'), free, 'connections are free')

    peer.close()


def test_limits(t):
    peer = Peer()

    with nginx(t) as ng:
        o = transfer(ng, peer.url('/size/1000'), max=1000)
        t.eq((o['error'], o['len']), ('ok', '1000'), 'as large as allowed')

        for what in '/size/1001', '/chunked/1001', '/chunked/900000':
            o = transfer(ng, peer.url(what), max=1000)
            t.eq((o['error'], o['status']), ('too_large', '200'),
                 'too large: ' + what)
            t.ok(int(o['len']) <= 1000, 'no more than allowed is kept')

        o = transfer(ng, peer.url('/headers/50'))
        t.eq(o['error'], 'ok', '50 KB of headers')

        o = transfer(ng, peer.url('/headers/70'))
        t.eq(o['error'], 'protocol', '70 KB of headers')

        idle(t, ng, 'limits')

    peer.close()


# failures


def test_failures(t):
    peer = Peer()

    with nginx(t) as ng:
        free = idle(t, ng, 'start')

        o = transfer(ng, 'http://127.0.0.1:%d/' % free_port())
        t.eq((o['error'], o['sent'], o['status']), ('connect', '0', '0'),
             'refused')

        for what in 'early', 'reset', 'garbage':
            o = transfer(ng, peer.url('/' + what))
            t.eq((o['error'], o['sent']), ('protocol', '1'), what)

        o = transfer(ng, peer.url('/cut'))
        t.eq((o['error'], o['sent'], o['status'], o['reply']),
             ('protocol', '1', '200', 'abc'), 'a reply that is cut short')

        o = transfer(ng, peer.url('/slow'), timeout=300)
        t.eq((o['error'], o['sent'], o['status']), ('timeout', '1', '0'),
             'no reply')
        t.between(int(o['elapsed']), 300, 1000 * PATIENCE,
                  'after the timeout')

        o = transfer(ng, peer.url('/drip/20'), timeout=500, read=200)
        t.eq((o['error'], o['status']), ('timeout', '200'),
             'a drip ends with the timeout of all')
        t.between(int(o['elapsed']), 500, 1500 * PATIENCE,
                  'and not before')

        o = transfer(ng, peer.url('/stall'), read=300)
        t.eq((o['error'], o['reply']), ('timeout', 'abc'), 'a reply that stops')
        t.between(int(o['elapsed']), 300, 1500 * PATIENCE,
                  'after the timeout of a read')

        o = transfer(ng, peer.url('/slow/600'), read=200)
        t.eq(o['error'], 'ok', 'which does not run before the reply begins')

        for url in ('ftp://127.0.0.1/', 'file:///etc/passwd', '/x', '',
                    'http://', 'http://127.0.0.1:99999/'):
            o = transfer(ng, url)
            t.eq((o['error'], o['sent']), ('internal', '0'),
                 'URL ' + repr(url))

        o = transfer(ng, peer.url('/ok'), header='a\r\nb: c')
        t.eq(o['error'], 'internal', 'a line break in a header')

        t.eq(idle(t, ng, 'end'), free, 'connections are free')

    peer.close()


def test_addresses(t):
    peer = Peer()

    with nginx(t) as ng:
        o = transfer(ng, peer.url('/ok'), deny='127.0.0.1')
        t.eq((o['error'], o['sent']), ('blocked', '0'), 'an address')
        t.eq(peer.connections, 0, 'is not connected to')

        url = peer.url('/ok').replace('127.0.0.1', 'localhost')
        o = transfer(ng, url, deny='127.0.0.1')
        t.eq((o['error'], o['sent']), ('blocked', '0'), 'localhost')

        for host in '127.1', '0x7f.0.0.1', '2130706433', '0177.0.0.1':
            o = transfer(ng, peer.url('/ok').replace('127.0.0.1', host),
                         deny='127.0.0.1')
            t.eq((o['error'], o['sent']), ('blocked', '0'), 'spelled ' + host)

        o = transfer(ng, url)
        t.eq((o['error'], o['reply']), ('ok', 'fine'), 'others are')

        o = transfer(ng, url, deny='127.0.0.1')
        t.eq((o['error'], o['sent']), ('blocked', '0'),
             'a kept connection is checked, too')

        t.eq(len(peer.requests), 1, 'one request was made')

    peer.close()


def test_dead_connection(t):
    peer = Peer()

    with nginx(t) as ng:
        url = peer.url('/die')

        o = transfer(ng, url, method='POST', body=10, once=1)
        t.eq((o['error'], o['reused']), ('ok', '0'), 'first')

        o = transfer(ng, url, method='POST', body=10, once=1)
        t.eq((o['error'], o['sent'], o['status']), ('protocol', '1', '0'),
             'a request that a kept connection swallowed')
        t.eq(len(peer.seen('/die')), 2, 'is not sent again')

        o = transfer(ng, url)
        t.eq(o['error'], 'ok', 'third')
        before = len(peer.seen('/die'))

        o = transfer(ng, url)
        t.eq((o['error'], o['reply']), ('ok', 'once'),
             'one that may be repeated is')
        t.eq(len(peer.seen('/die')), before + 2, 'it was sent twice')

        idle(t, ng, 'dead connection')

    peer.close()


def test_idle_connection(t):
    # a server that closes its idle connections

    http = HTTP + '''
    server {
        listen 127.0.0.1:%%PORT1%%;
        keepalive_timeout 200ms;
        location / { return 200 "$connection"; }
    }
    '''

    with nginx(t, http) as ng:
        url = 'http://127.0.0.1:%d/' % ng.port(1)
        seen = set()

        for i in range(3):
            o = transfer(ng, url, once=1, method='POST')
            t.eq((o['error'], o['status']), ('ok', '200'), 'request %d' % i)
            seen.add(o['reply'])
            time.sleep(0.4)

        t.eq(len(seen), 3, 'closed connections are not used')


# streams


def test_sink(t):
    peer = Peer()
    size = 2000000
    crc = '%08x' % zlib.crc32(pattern(size))

    with nginx(t) as ng:
        url = peer.url('/pattern/%d' % size)

        o = transfer(ng, url, sink='take', max=size)
        t.eq((o['error'], o['taken'], o['crc']), ('ok', str(size), crc),
             'a sink takes all')

        o = transfer(ng, url, sink='pause', max=size)
        t.eq((o['error'], o['taken'], o['crc']), ('ok', str(size), crc),
             'a sink that pauses, too')
        t.ok(int(o['pauses']) > 20, 'it paused')

        o = transfer(ng, url, sink='pause', max=100000)
        t.eq(o['error'], 'too_large', 'the limit holds')

        o = transfer(ng, url, sink='error', max=size)
        t.eq((o['error'], o['status']), ('aborted', '200'),
             'a sink that refuses')

        o = transfer(ng, url, sink='cancel', max=size)
        t.eq(o['error'], 'cancelled', 'a sink that cancels')

        o = transfer(ng, peer.url('/stall'), sink='pause', timeout=500)
        t.eq(o['error'], 'timeout', 'a paused transfer times out')

        idle(t, ng, 'sink')

    peer.close()


def test_cancel(t):
    peer = Peer()

    with nginx(t) as ng:
        free = idle(t, ng, 'start')

        for what in '/slow', '/drip/10', '/stall':
            o = transfer(ng, peer.url(what), cancel=100)
            t.eq(o['error'], 'cancelled', 'cancelled in flight: ' + what)

        t.eq(idle(t, ng, 'cancel'), free, 'connections are free')

        o = transfer(ng, peer.url('/ok'))
        t.eq(o['error'], 'ok', 'others go on')

    peer.close()


def deaf():
    """A listening socket that takes no more connections, and who holds it."""

    server = socket.socket()
    server.bind((HOST, 0))
    server.listen(0)
    held = []

    while True:
        c = socket.socket()
        c.settimeout(0.3)
        held.append(c)

        try:
            c.connect(server.getsockname())

        except TimeoutError:
            return server, held


def test_connecting(t):
    server, held = deaf()
    url = 'http://%s:%d/' % server.getsockname()

    with nginx(t) as ng:
        free = idle(t, ng, 'start')

        o = transfer(ng, url, timeout=300)
        t.eq((o['error'], o['sent']), ('timeout', '0'), 'no connection in time')

        o = transfer(ng, url, cancel=100)
        t.eq(o['error'], 'cancelled', 'cancelled while it connects')

        t.eq(idle(t, ng, 'end'), free, 'connections are free')

    with nginx(t) as ng:
        with ng.connect() as c:
            c.send(b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'
                   % query(url).encode())
            wait_for(lambda: ng.get('/active').text.split()[0] == '1',
                     what='the transfer')
            t.eq(ng.stop(), 0, 'a fast end while it connects')

    for s in held + [server]:
        s.close()


def test_parallel(t):
    peer = Peer()

    with nginx(t) as ng:
        free = idle(t, ng, 'start')

        start = time.monotonic()
        o = outcome(ng.get(query(peer.url('/slow/500'), n=100)))
        t.eq(o['ok'], '100', 'a hundred at once')
        t.ok(time.monotonic() - start < 10 * PATIENCE, 'side by side')

        o = outcome(ng.get(query(peer.url('/ok'), n=100)))
        t.eq(o['ok'], '100', 'another hundred')
        t.ok(int(o['reused']) > 50, 'on kept connections')

        t.eq(idle(t, ng, 'parallel'), free, 'connections are free')

    with nginx(t, connections=40) as ng:
        o = outcome(ng.get(query(peer.url('/slow/500'), n=100)))
        t.eq(int(o['ok']) + int(o['internal']), 100,
             'too few connections: told, all others arrive')
        t.between(int(o['ok']), 10, 39, 'as many as there are')

        o = transfer(ng, peer.url('/ok'))
        t.eq(o['error'], 'ok', 'later ones go on')

    peer.close()


# TLS


def certificates(folder):
    """A CA, and a certificate for localhost and 127.0.0.1 signed by it."""

    def openssl(*args, **kw):
        subprocess.run(['openssl'] + list(args), check=True, cwd=folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
            '/CN=test ca', '-keyout', 'ca.key', '-out', 'ca.pem')
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
            '-nodes', '-subj', '/CN=localhost', '-keyout', 'server.key',
            '-out', 'server.csr')

    with open(os.path.join(folder, 'ext'), 'w') as f:
        f.write('subjectAltName=DNS:localhost,DNS:good.test\n')

    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey',
            'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'ext',
            '-out', 'server.pem')


TLS = HTTP + '''
    server {
        listen 127.0.0.1:%%PORT1%% ssl http2;
        listen 127.0.0.1:%%PORT2%% ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        location / {
            return 200 "$server_protocol $connection $ssl_session_reused";
        }
        location /file { alias html/; }
    }
'''


def test_tls(t):
    ng = nginx(t, TLS, start=False)
    certificates(ng.path('conf'))
    size = 3000000

    with open(ng.path('html/big'), 'wb') as f:
        f.write(pattern(size))

    with ng:
        ng.start()
        ca = ng.path('conf/ca.pem')

        for n, protocol in (1, 'HTTP/2.0'), (2, 'HTTP/1.1'):
            url = 'https://localhost:%d/' % ng.port(n)

            o = transfer(ng, url)
            t.eq((o['error'], o['sent']), ('tls', '0'),
                 'an unknown CA, ' + protocol)

            o = transfer(ng, url, ca=ca)
            t.eq((o['error'], o['reply'].split(' ')[0]), ('ok', protocol),
                 'a known one')

            o2 = transfer(ng, url, ca=ca)
            t.eq((o2['reused'], o2['reply']), ('1', o['reply']),
                 'the next on the same connection')

            o = transfer(ng, url)
            t.eq((o['error'], o['sent']), ('tls', '0'),
                 'which is not used under another CA')

            o = transfer(ng, url.replace('localhost', '127.0.0.1'), ca=ca)
            t.eq((o['error'], o['sent']), ('tls', '0'), 'a name it is not')

            o = outcome(ng.get(query(url, ca=ca, n=100)))
            t.eq(o['ok'], '100', 'a hundred at once')

            for sink in 'take', 'pause':
                o = transfer(ng, url + 'file/big', ca=ca, sink=sink, max=size)
                t.eq((o['error'], o['taken'], o['crc']),
                     ('ok', str(size), '%08x' % zlib.crc32(pattern(size))),
                     'a large reply, sink=' + sink)

            o = transfer(ng, url + 'file/big', ca=ca, sink='cancel', max=size)
            t.eq(o['error'], 'cancelled', 'cancelled inside')

            o = transfer(ng, url, ca=ca)
            t.eq(o['error'], 'ok', 'others go on')

        o = transfer(ng, url, ca=ng.path('conf/absent.pem'))
        t.eq(o['error'], 'tls', 'no CA file')

        o = transfer(ng, 'https://127.0.0.1:%d/' % ng.port())
        t.eq((o['error'], o['sent']), ('tls', '0'), 'no TLS there')

        t.ok('ignoring stale global SSL error' not in ng.error_log(),
             'nothing is left in the error queue')


# names


def names(host=HOST, port=0):
    return Names(host, port, {'good.test': ['127.0.0.1'],
                              'both.test': ['127.0.0.1', '127.0.0.2']})


def check_names(t, ng, peer, n=0):
    def url(host):
        return 'http://%s:%d/ok' % (host, peer.port)

    o = transfer(ng, url('good.test'))
    t.eq((o['error'], o['reply']), ('ok', 'fine'), 'a name')

    o = transfer(ng, url('GOOD.test'), once=1)
    t.eq((o['error'], o['reused']), ('ok', '1'), 'the same name')

    o = transfer(ng, url('absent.test'))
    t.eq((o['error'], o['sent']), ('dns', '0'), 'no such name')

    o = transfer(ng, url('both.test'), deny='127.0.0.2')
    t.eq((o['error'], o['sent']), ('blocked', '0'),
         'one refused address is enough')

    o = outcome(ng.get(query(url('good.test'), n=50)))
    t.eq(o['ok'], '50', 'many at once')


def check_mute(t, ng, peer, listen):
    got = []

    def slow(i):
        got.append(transfer(ng, 'http://mute%d.test:%d/ok' % (i, peer.port),
                            lookup=1500))

    threads = [threading.Thread(target=slow, args=(i % 3,)) for i in range(6)]

    for thread in threads:
        thread.start()

    wait_for(lambda: int(ng.get('/active').text.split()[0]) == 6,
             what='lookups')

    longest = 0
    end = time.monotonic() + 1

    with listen() as c:
        while time.monotonic() < end:
            start = time.monotonic()
            c.request('GET', '/plain')
            longest = max(longest, time.monotonic() - start)
            time.sleep(0.005)

    t.ok(longest < 0.3 * PATIENCE,
         'others are served meanwhile (%.3f s)' % longest)

    for thread in threads:
        thread.join()

    t.eq([o['error'] for o in got], ['dns'] * 6, 'a mute name server')
    t.between(max(int(o['elapsed']) for o in got), 1400,
              4000 * PATIENCE, 'in time')

    o = transfer(ng, 'http://mute3.test:%d/' % peer.port, cancel=100)
    t.eq(o['error'], 'cancelled', 'cancelled while it is resolved')
    idle(t, ng, 'names')


def test_resolver(t):
    peer, ns = Peer(), names()
    http = 'resolver 127.0.0.1:%d ipv6=off; resolver_timeout 1s;' % ns.port

    with nginx(t, http + HTTP) as ng:
        check_names(t, ng, peer)
        check_mute(t, ng, peer, ng.connect)

        url = peer.url('/ok').replace('127.0.0.1', 'localhost')
        t.eq(transfer(ng, url)['error'], 'ok', 'localhost')
        t.ok('localhost' not in [n for n, _ in ns.asked], 'is not asked for')

        t.eq(ng.quit(), 0, 'quits')

    peer.close()
    ns.close()


class Jailed(Nginx):
    """nginx with a resolv.conf of its own."""

    def command(self, *args):
        return ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" '
                '"$(realpath /etc/resolv.conf)" && exec "$@"',
                self.path('conf/resolv.conf')] + super().command(*args)


def test_system(t):
    # an address of our own: the port of name servers cannot be chosen

    try:
        subprocess.run(['unshare', '-m', 'sh', '-c', 'mount --bind '
                        '/etc/hostname "$(realpath /etc/resolv.conf)"'],
                       check=True, stderr=subprocess.DEVNULL)
        ns = names('127.71.%d.%d' % divmod(os.getpid() % 65000 + 256, 256), 53)

    except (OSError, subprocess.CalledProcessError) as e:
        t.ok(True, 'the system\'s configuration cannot be replaced # SKIP')
        return

    peer = Peer()
    ng = nginx(t, cls=Jailed, start=False)
    ng.write('conf/resolv.conf', 'nameserver %s\n' % ns.sock.getsockname()[0])

    with ng:
        ng.start()
        check_names(t, ng, peer)
        check_mute(t, ng, peer, ng.connect)

        # threads that wait for the name server do not hold up the end

        start = time.monotonic()
        t.eq(ng.quit(), 0, 'quits')
        t.ok(time.monotonic() - start < 3 * PATIENCE, 'at once')

    peer.close()
    ns.close()


# shutdown


def test_shutdown(t):
    peer = Peer()
    got = []

    def slow(ng, what, **args):
        def run():
            try:
                got.append(transfer(ng, peer.url(what), **args))

            except (OSError, ConnectionError) as e:
                got.append({'error': str(e) or 'closed'})

        thread = threading.Thread(target=run)
        thread.start()
        wait_for(lambda: peer.seen(what), what='the request')
        return thread

    with nginx(t, workers=1) as ng:
        thread = slow(ng, '/slow/1500')
        old = ng.workers()
        ng.reload()
        t.ok(alive(old[0]), 'an old worker stays for its transfer')
        thread.join()
        t.eq(got.pop()['error'], 'ok', 'which ends well')
        wait_for(lambda: not alive(old[0]), what='the old worker\'s end')

        thread = slow(ng, '/slow/1000')
        t.eq(ng.quit(), 0, 'quit waits, too')
        thread.join()
        t.eq(got.pop()['error'], 'ok', 'for the transfer')

    with nginx(t, main='worker_shutdown_timeout 300ms;') as ng:
        peer.requests.clear()
        thread = slow(ng, '/slow')
        start = time.monotonic()
        t.eq(ng.quit(), 0, 'worker_shutdown_timeout')
        t.ok(time.monotonic() - start < 5 * PATIENCE, 'is kept')
        thread.join()
        got.clear()

    with nginx(t) as ng:
        peer.requests.clear()
        threads = [slow(ng, what) for what in ('/drip/50', '/slow', '/stall')]
        t.eq(ng.stop(), 0, 'a fast end with transfers in flight')

        for thread in threads:
            thread.join()

    peer.close()


# the others


def test_wakeups(t):
    with nginx(t, workers=3, level='notice') as ng:
        for slot in range(3):
            ng.get('/wake?slot=%d' % slot)
            ng.wait_log('probe: woken, slot %d' % slot)

        ng.get('/wake?slot=3')
        ng.get('/wake?slot=1000')

        def woken(slot):
            return len(re.findall('woken, slot %d' % slot, ng.error_log()))

        ng.reload()
        wait_for(lambda: not ng.old_workers(), what='old workers\' end')

        before = [woken(slot) for slot in range(3)]

        for pid in ng.workers():
            ng.kill_worker(pid)

        for slot in range(3):
            ng.get('/wake?slot=%d' % slot)
            wait_for(lambda: woken(slot) > before[slot],
                     what='slot %d' % slot)

        t.ok(True, 'all were woken after a reload and a respawn')

        def descriptors():
            return len([f for f in os.listdir('/proc/%d/fd' % ng.pid)
                        if 'eventfd' in os.readlink('/proc/%d/fd/%s' % (
                            ng.pid, f))])

        t.eq(descriptors(), 3, 'the master holds those of one cycle')

    with nginx(t, master=False, level='notice') as ng:
        ng.get('/wake?slot=0')
        ng.wait_log('probe: woken, slot 0')
        t.ok(True, 'without a master, too')


def test_drain(t):
    with nginx(t, workers=1) as ng:
        waits = [ng.connect() for _ in range(5)]

        for c in waits:
            c.send(encode_request('GET', '/drain'))

        gone = ng.connect()
        gone.send(encode_request('GET', '/drain'))

        # requests are served in turn: these have come in

        t.eq(ng.get('/plain').text, 'plain', 'they wait')
        gone.close()

        ng.reload()
        t.eq([c.read_response().text for c in waits], ['drained'] * 5,
             'all are told of the reload')
        wait_for(lambda: not ng.old_workers(), what='the old worker\'s end')

        c = ng.connect()
        c.send(encode_request('GET', '/drain'))
        t.eq(ng.get('/plain').text, 'plain', 'another waits')
        t.eq(ng.quit(), 0, 'quits')
        t.eq(c.read_response().text, 'drained', 'it is told')


def test_threads(t):
    with nginx(t) as ng:
        t.eq(ng.get('/thread').text, 'done', 'a job')

        got = []
        thread = threading.Thread(
            target=lambda: got.append(ng.get('/thread?ms=3000').text))
        thread.start()

        time.sleep(0.1)
        t.eq(ng.get('/plain').text, 'plain', 'others')
        t.eq(got, [], 'are served meanwhile')

        t.eq(ng.quit(), 0, 'an end waits for it')
        thread.join()
        t.eq(got, ['done'], 'it is done')


def test_random(t):
    with nginx(t, workers=2) as ng:
        got = [ng.get('/random?n=16').text for _ in range(300)]
        t.eq(len(set(got)), 300, 'never the same in two workers')
        t.eq({len(x) for x in got}, {32}, 'all of it')
        t.eq(len(ng.get('/random?n=3000').text), 6000, 'a lot')

        with ng.connect() as c:
            text = ''.join(c.request('GET', '/random?n=100').text
                           for _ in range(100))

        counts = [text.count(x) for x in '0123456789abcdef']
        t.ok(min(counts) > 1000 and max(counts) < 1500, 'evenly spread')


def test_master_off(t):
    peer = Peer()

    with nginx(t, master=False) as ng:
        t.eq(transfer(ng, peer.url('/ok'))['error'], 'ok', 'a transfer')
        t.eq(ng.get('/thread').text, 'done', 'a job')

    peer.close()


run(*[test for name, test in list(globals().items())
      if name.startswith('test_') and (not sys.argv[1:]
                                       or name in sys.argv[1:])])
