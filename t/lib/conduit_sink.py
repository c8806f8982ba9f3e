# Copyright (C) Conduit for nginx authors

"""Receivers of webhooks that do as their script says, and a name server that
changes its mind.  All of them live in threads of the test.

    sink = Sink()
    sink.script('/a', 500, 500, 200)
    ... a task with webhook_url=sink.url('/a') ...
    hits = sink.wait('/a', 3)

An answer is a status or what one of the functions below makes; the last of a
script is given again and again, and what has no script is answered with 200.
"""

import base64
import hashlib
import hmac
import json
import os
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

from conduit_harness import HOST, wait_for

_LINGER = struct.pack('ii', 1, 0)


class Hit:
    """A request: what came, when, and over which connection."""

    def __init__(self, connection, count, head, body, at, wall, peer=None):
        self.connection = connection
        self.peer = peer
        self.count = count          # on its connection, from 1
        self.head = head
        self.body = body
        self.at = at                # monotonic; its head was there
        self.wall = wall
        self.closed = None          # monotonic; a held request ended
        self.answered_with = None   # a status, once all of it was sent
        self.active = 0             # for its path, when it came, with it
        self.answered = 0           # of its path before it came
        lines = head.decode('latin1').split('\r\n')
        self.line = lines[0]
        self.method, self.target, self.version = lines[0].split(' ')
        self.path = self.target.partition('?')[0]
        self.header_list = [tuple(line.split(': ', 1)) for line in lines[1:]
                            if ': ' in line]
        self.headers = {name.lower(): value
                        for name, value in self.header_list}

    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers.get('webhook-id')

    def __repr__(self):
        return 'Hit(%s %s %.3f)' % (self.connection, self.line, self.at)


# answers: each is called with the socket and the request; true: keep alive


def status(code, body=b'noted', headers=(), close=False):
    """A whole reply."""

    def answer(sock, hit):
        lines = ['HTTP/1.1 %d Reply' % code]
        lines += ['%s: %s' % pair for pair in dict(headers).items()]
        lines.append('Content-Length: %d' % len(body))
        if close:
            lines.append('Connection: close')
        sock.sendall('\r\n'.join(lines).encode('latin1') + b'\r\n\r\n'
                     + body)
        return not close

    return answer


def busy(code, after):
    """A refusal with Retry-After."""

    return status(code, headers={'Retry-After': after})


def redirect(code, location):
    return status(code, headers={'Location': location} if location else {})


def late(seconds, then=200):
    """Another answer after a while, or not at all if the peer has left."""

    def answer(sock, hit):
        if _gone(sock, seconds):
            hit.closed = time.monotonic()
            return False
        return _answer(then)(sock, hit)

    return answer


def after(event, then=200):
    """Another answer when something has happened in the test."""

    def answer(sock, hit):
        event.wait(60)
        return _answer(then)(sock, hit)

    return answer


def hold():
    """No answer until the peer leaves."""

    def answer(sock, hit):
        _gone(sock, 120)
        hit.closed = time.monotonic()
        return False

    return answer


def drop():
    """The request is read, then the connection is closed."""

    return lambda sock, hit: False


def reset():
    """The request is read and taken, then the connection is reset."""

    def answer(sock, hit):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        return False

    return answer


def raw(*parts, pause=0, forever=False, keep=False):
    """Bytes, with a pause after each part; the last ones for ever."""

    def answer(sock, hit):
        try:
            for part in parts:
                sock.sendall(part)
                if pause and _gone(sock, pause):
                    return False

            while forever:
                sock.sendall(parts[-1])
                if _gone(sock, pause):
                    return False

            if not keep:
                return False

            return True

        finally:
            hit.closed = time.monotonic()

    return answer


def drip_head(pause=0.2):
    """Header bytes one by one, for ever."""

    return raw(b'HTTP/1.1 200 OK\r\nX-Slow: ', b'x', pause=pause,
               forever=True)


def drip_body(pause=0.2, code=200):
    """A head, then body bytes one by one, for ever."""

    return raw(b'HTTP/1.1 %d Slow\r\nContent-Length: 1000000\r\n\r\n' % code,
               b'x', pause=pause, forever=True)


def endless_body(code=200):
    return raw(b'HTTP/1.1 %d Much\r\n\r\n' % code, b'x' * 65536,
               forever=True)


def endless_headers():
    return raw(b'HTTP/1.1 200 OK\r\n', b'X-Much: %s\r\n' % (b'v' * 1000),
               forever=True)


def one_header(size):
    """A reply with one header of that size."""

    return raw(b'HTTP/1.1 200 OK\r\nX-Big: %s\r\nContent-Length: 0\r\n\r\n'
               % (b'v' * size), keep=True)


def many_headers(n, size=100):
    return raw(b'HTTP/1.1 200 OK\r\n' + b''.join(
        b'X-%d: %s\r\n' % (i, b'v' * size) for i in range(n))
        + b'Content-Length: 0\r\n\r\n', keep=True)


def cut_body(code=200):
    """A body that is shorter than it was said to be."""

    return raw(b'HTTP/1.1 %d Cut\r\nContent-Length: 1000\r\n\r\nabc' % code)


def http09():
    return raw(b'just a text, as in 1991\n')


def interim(code, n=None, then=200, pause=0):
    """Interim replies, n of them or for ever, then another answer."""

    def answer(sock, hit):
        text = b'HTTP/1.1 %d Interim\r\n\r\n' % code
        if n is None:
            return raw(text, pause=pause, forever=True)(sock, hit)
        sock.sendall(text * n)
        return _answer(then)(sock, hit)

    return answer


def _gone(sock, seconds):
    """Waits, and tells whether the peer has closed meanwhile."""

    end = time.monotonic() + seconds

    while True:
        left = end - time.monotonic()

        try:
            if select.select([sock], [], [], max(left, 0))[0]:
                if not sock.recv(65536):
                    return True

        except (OSError, ValueError):
            return True

        if left <= 0:
            return False


def _answer(answer):
    return status(answer) if isinstance(answer, int) else answer


class Sink:
    """One origin.  greet: what is done with a new connection, before
    anything is read, if not None: "reset", "close", "hold" or bytes that are
    sent."""

    def __init__(self, host=HOST, port=0, tls=None, name=None):
        self.host = host
        self.name = name or host
        self.tls = tls
        self.lock = threading.Lock()
        self.recorded = []
        self.scripts = {}
        self.connections = 0
        self.active = {}            # path: requests being answered
        self.most = {}              # and the most of them at a time
        self.answered = {}          # requests that were answered
        self.open = set()
        self.greet = None
        self.port = port
        self.default = 200
        self.accept()

    # life

    def accept(self):
        self.listener = socket.create_server((self.host, self.port),
                                             backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()
        return self

    def refuse(self):
        """Closes the port; accept() opens it again."""

        try:
            self.listener.shutdown(socket.SHUT_RDWR)

        except OSError:
            pass

        self.listener.close()
        self.hang_up()
        return self

    def hang_up(self):
        """Closes all connections."""

        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)

                except OSError:
                    pass

    close = refuse

    @property
    def origin(self):
        return '%s://%s:%d' % ('https' if self.tls else 'http', self.name,
                               self.port)

    def url(self, path='/'):
        return self.origin + path

    # scripts and records

    def script(self, path, *answers):
        with self.lock:
            self.scripts[path] = list(answers)

        return self.url(path)

    def hits(self, path=None):
        with self.lock:
            return [hit for hit in self.recorded
                    if path is None or hit.path == path]

    def wait(self, path, n, timeout=30):
        wait_for(lambda: len(self.hits(path)) >= n, timeout,
                 '%d requests for %s' % (n, path))
        return self.hits(path)

    def next(self, path):
        with self.lock:
            answers = self.scripts.get(path)

            if not answers:
                return self.default

            return answers.pop(0) if len(answers) > 1 else answers[0]

    # connections

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()

            except OSError:
                return

            with self.lock:
                self.connections += 1
                number = self.connections
                self.open.add(sock)

            threading.Thread(target=self._serve, args=(sock, number),
                             daemon=True).start()

    def _serve(self, raw_sock, number):
        sock = raw_sock

        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            if self.greet:
                if self.greet == 'reset':
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                    _LINGER)
                elif self.greet == 'hold':
                    _gone(sock, 120)
                elif isinstance(self.greet, bytes):
                    sock.sendall(self.greet)
                    _gone(sock, 1)
                return

            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)

            count = 0

            while True:
                hit = self._read(sock, number, count + 1)

                if hit is None:
                    return

                count += 1

                if not self._reply(sock, hit):
                    return

        except (OSError, ValueError):
            pass

        finally:
            with self.lock:
                self.open.discard(raw_sock)

            sock.close()

    def _reply(self, sock, hit):
        with self.lock:
            self.recorded.append(hit)
            n = self.active.get(hit.path, 0) + 1
            self.active[hit.path] = n
            self.most[hit.path] = max(n, self.most.get(hit.path, 0))
            hit.active = n
            hit.answered = self.answered.get(hit.path, 0)

        try:
            answer = self.next(hit.path)
            alive = _answer(answer)(sock, hit)

            if isinstance(answer, int):
                hit.answered_with = answer

            return alive

        finally:
            with self.lock:
                self.active[hit.path] -= 1
                self.answered[hit.path] = self.answered.get(hit.path, 0) + 1

    def _read(self, sock, number, count):
        data = b''

        while b'\r\n\r\n' not in data:
            more = sock.recv(65536)
            if not more:
                return None
            data += more

        at, wall = time.monotonic(), time.time()
        head, _, body = data.partition(b'\r\n\r\n')
        hit = Hit(number, count, head, b'', at, wall, sock.getpeername()[0])
        size = int(hit.headers.get('content-length', 0))

        while len(body) < size:
            more = sock.recv(65536)
            if not more:
                return None
            body += more

        hit.body = body
        return hit


# certificates


class Authority:
    """A CA of its own; context(names) is for Sink(tls=...)."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        os.makedirs(folder, exist_ok=True)
        self.file = os.path.join(folder, 'ca.pem')
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                      '-subj', '/CN=webhook test CA', '-keyout', 'ca.key',
                      '-out', 'ca.pem')

    def _openssl(self, *arguments):
        subprocess.run(('openssl',) + arguments, cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def context(self, *names, signed=True, expired=False):
        self.count += 1
        base = 'cert%d' % self.count
        alt = ','.join(('IP:' if name.replace('.', '').isdigit() else 'DNS:')
                       + name for name in names)
        with open(os.path.join(self.folder, base + '.ext'), 'w') as f:
            f.write('subjectAltName=%s\n' % alt)

        self._openssl('req', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-subj',
                      '/CN=' + names[0], '-keyout', base + '.key', '-out',
                      base + '.csr')

        if expired:
            # notAfter lies in the past only where "ca" signs
            for name in ('index.txt', 'index.txt.attr'):
                open(os.path.join(self.folder, name), 'w').close()
            with open(os.path.join(self.folder, 'ca.conf'), 'w') as f:
                f.write('[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\n'
                        'new_certs_dir=.\ndefault_md=sha256\npolicy=p\n'
                        'rand_serial=yes\n[p]\ncommonName=supplied\n')
            self._openssl('ca', '-batch', '-notext', '-config', 'ca.conf',
                          '-cert', 'ca.pem', '-keyfile', 'ca.key', '-in',
                          base + '.csr', '-out', base + '.pem', '-startdate',
                          '20200101000000Z', '-enddate', '20210101000000Z',
                          '-extfile', base + '.ext')

        else:
            signer = (('-CA', 'ca.pem', '-CAkey', 'ca.key',
                       '-CAcreateserial') if signed
                      else ('-signkey', base + '.key'))
            self._openssl('x509', '-req', '-in', base + '.csr', '-days', '2',
                          '-extfile', base + '.ext', '-out', base + '.pem',
                          *signer)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.folder, base + '.pem'),
                                os.path.join(self.folder, base + '.key'))
        return context


# names


class Zone:
    """A name server.  hosts: name -> list of steps, one per query for A;
    the last is given again and again.  A step is a list of addresses, IPv4
    and IPv6 mixed, {'cname': name}, 'none' (NXDOMAIN) or 'mute'."""

    def __init__(self, hosts=None, ttl=60, host=HOST):
        self.hosts = hosts or {}
        self.ttl = ttl
        self.asked = []
        self.at = {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.sock.close()

    def queries(self, name, kind=1):
        return sum(1 for asked in list(self.asked)
                   if asked == (name, kind))

    def _serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(2048)

            except OSError:
                return

            reply = self._answer(query)

            if reply:
                self.sock.sendto(reply, peer)

    def _step(self, name, kind):
        steps = self.hosts.get(name, ['none'])
        at = self.at.get(name, 0)

        if kind == 1:
            self.at[name] = at + 1

        else:
            at = max(0, at - 1)

        return steps[min(at, len(steps) - 1)]

    def _answer(self, query):
        labels, i = [], 12

        while query[i]:
            labels.append(query[i + 1:i + 1 + query[i]].decode().lower())
            i += query[i] + 1

        name = '.'.join(labels)
        kind = struct.unpack('>H', query[i + 1:i + 3])[0]
        self.asked.append((name, kind))
        step = self._step(name, kind)

        if step == 'mute':
            return None

        if step == 'none':
            return (query[:2] + b'\x81\x83'
                    + struct.pack('>HHHH', 1, 0, 0, 0) + query[12:i + 5])

        records, owner = [], b'\xc0\x0c'

        while isinstance(step, dict):
            target = b''.join(bytes([len(part)]) + part.encode() for part in
                              step['cname'].split('.')) + b'\0'
            records.append(owner + struct.pack('>HHIH', 5, 1, self.ttl,
                                               len(target)) + target)
            owner = target
            step = self.hosts.get(step['cname'], [[]])[-1]

        for address in step:
            family = socket.AF_INET6 if ':' in address else socket.AF_INET
            data = socket.inet_pton(family, address)
            if kind == (28 if ':' in address else 1):
                records.append(owner + struct.pack(
                    '>HHIH', kind, 1, self.ttl, len(data)) + data)

        return (query[:2] + b'\x81\x80'
                + struct.pack('>HHHH', 1, len(records), 0, 0)
                + query[12:i + 5] + b''.join(records))


# signatures, by the words of Standard Webhooks


def new_secret(size=32):
    return 'whsec_' + base64.b64encode(os.urandom(size)).decode()


def signature(secret, hit):
    """The entry that a secret makes for a request."""

    key = base64.b64decode(secret.partition('_')[2])
    text = b'.'.join((hit.headers['webhook-id'].encode(),
                      hit.headers['webhook-timestamp'].encode(), hit.body))
    return 'v1,' + base64.b64encode(
        hmac.new(key, text, hashlib.sha256).digest()).decode()
