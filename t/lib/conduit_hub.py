# Copyright (C) Conduit for nginx authors

"""A SignalR client of nothing but the standard library.

    with Hub(api.port(), key, '/hubs/image-generation') as hub:
        hub.invoke('SubscribeToTask', task)
        target, arguments = hub.event()

It speaks JSON over WebSocket; everything below a message can be sent raw, too.
"""

import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import threading
import time

from conduit_harness import Connection, HOST, encode_request

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

IMAGE_HUB = '/hubs/image-generation'
VIDEO_HUB = '/hubs/video-generation'
TASKS_HUB = '/hubs/tasks'

RS = '\x1e'

# seconds in which more than pings has to come

SILENCE = 60


def frame(opcode, data=b'', fin=True, mask=True, bits=0):
    """A client's frame."""

    if isinstance(data, str):
        data = data.encode()

    head = bytes([(fin << 7) | bits | opcode])
    flag = mask << 7

    if len(data) < 126:
        head += bytes([flag | len(data)])
    elif len(data) < 65536:
        head += bytes([flag | 126]) + struct.pack('>H', len(data))
    else:
        head += bytes([flag | 127]) + struct.pack('>Q', len(data))

    if not mask:
        return head + data

    key = os.urandom(4)
    n = len(data)
    pad = (key * (n // 4 + 1))[:n]
    masked = (int.from_bytes(data, 'big') ^ int.from_bytes(pad, 'big'))
    return head + key + masked.to_bytes(n, 'big')


class Refused(Exception):
    """The answer to an upgrade was not 101; response tells what it was."""

    def __init__(self, response):
        super().__init__(repr(response))
        self.response = response
        self.status = response.status


class Closed(Exception):
    """The server's close frame, or its end without one (code None)."""

    def __init__(self, code=None, reason=b''):
        super().__init__('closed: %s %r' % (code, reason))
        self.code = code
        self.reason = reason


class WebSocket:
    def __init__(self, port, path, headers=None, timeout=None, tls=False,
                 behind=b'', c=None, key=None):
        self.c = c or Connection(port, timeout=timeout, tls=tls)
        nonce = base64.b64encode(os.urandom(16)).decode()
        headers = dict({'Upgrade': 'websocket', 'Connection': 'Upgrade',
                        'Sec-WebSocket-Version': '13',
                        'Sec-WebSocket-Key': nonce}, **(headers or {}))
        self.c.send(encode_request('GET', path, headers, None, key) + behind)
        self.head = self.c.read_head()

        if self.head.status != 101:
            length = int(self.head.header('content-length') or 0)
            self.head.body = self.c.read_exactly(length)
            self.c.close()
            raise Refused(self.head)

        accept = base64.b64encode(hashlib.sha1(
            nonce.encode() + GUID).digest()).decode()

        if self.head.header('sec-websocket-accept') != accept:
            raise AssertionError('wrong Sec-WebSocket-Accept')

    def send(self, data, opcode=TEXT, **more):
        self.c.send(frame(opcode, data, **more))

    def read(self):
        """One frame of the server: (opcode, payload)."""

        try:
            first, second = self.c.read_exactly(2)
            n = second & 127

            if second & 128 or first & 0x70 or not first & 128:
                raise AssertionError('bad frame: %02x %02x' % (first, second))

            if n == 126:
                n = struct.unpack('>H', self.c.read_exactly(2))[0]
            elif n == 127:
                n = struct.unpack('>Q', self.c.read_exactly(8))[0]

            return first & 15, self.c.read_exactly(n)

        except (EOFError, OSError):
            raise Closed()

    def message(self):
        """The next message, text or bytes; answers pings on the way."""

        while True:
            opcode, data = self.read()

            if opcode == PING:
                self.send(data, PONG)
            elif opcode == CLOSE:
                code = struct.unpack('>H', data[:2])[0] if data else 1005
                raise Closed(code, data[2:])
            elif opcode == TEXT:
                return data.decode()
            elif opcode == BINARY:
                return data

    def ended(self):
        """The code of the server's close frame, whatever comes before."""

        try:
            while True:
                self.message()
        except Closed as closed:
            return closed.code

    def close(self):
        self.c.close()


class Plain:
    """What ServerSentEvents and LongPolling have in common: a POST sends."""

    def __init__(self, port, path, headers=None, key=None):
        self.port = port
        self.path = path
        self.headers = headers
        self.key = key

    def request(self, method, body=None, timeout=None):
        with Connection(self.port, timeout=timeout) as c:
            return c.request(method, self.path,
                             dict(self.headers or {}, Connection='close'),
                             body, self.key)

    def post(self, data):
        if isinstance(data, str):
            data = data.encode()
        return self.request('POST', data)

    def send(self, data):
        r = self.post(data)
        if r.status != 200:
            raise Refused(r)

    def ended(self):
        """Reads up to the end, whatever comes before."""

        try:
            while True:
                self.message()
        except Closed as closed:
            return closed.code


class EventStream(Plain):
    def __init__(self, port, path, headers=None, key=None, timeout=None):
        super().__init__(port, path, headers, key)
        self.c = Connection(port, timeout=timeout)
        self.c.send(encode_request(
            'GET', path, dict(headers or {}, Accept='text/event-stream'),
            None, key))
        self.head = self.c.read_head()

        if self.head.status != 200:
            length = int(self.head.header('content-length') or 0)
            self.head.body = self.c.read_exactly(length)
            self.c.close()
            raise Refused(self.head)

        self.text = b''

    def message(self):
        while True:
            event, mark, rest = self.text.partition(b'\r\n\r\n')

            if not mark:
                try:
                    chunk = self.c.read_chunk()
                except (EOFError, OSError):
                    chunk = None
                if not chunk:
                    raise Closed(None if chunk is None else 1000)
                self.text += chunk
                continue

            self.text = rest
            lines = [line for line in event.split(b'\r\n')
                     if not line.startswith(b':')]

            if any(not line.startswith(b'data: ') for line in lines):
                raise AssertionError('bad event: %r' % event)
            if lines:
                return b'\n'.join(line[6:] for line in lines).decode()

    def close(self):
        self.c.close()


class Poller(Plain):
    """A first poll is answered at once; then message() polls."""

    def __init__(self, port, path, headers=None, key=None, timeout=100):
        super().__init__(port, path, headers, key)
        self.timeout = timeout
        r = self.poll()

        if r.status != 200 or r.body:
            raise Refused(r)

    def poll(self):
        return self.request('GET', timeout=self.timeout)

    def message(self):
        while True:
            r = self.poll()

            if r.status == 204:
                raise Closed(1000)
            if r.status != 200:
                raise Refused(r)
            if r.body:
                return r.body.decode()

    def close(self):
        self.request('DELETE')


class Cutter:
    """A proxy in front of a port that cuts its connections at a word."""

    def __init__(self, port):
        self.target = port
        self.pairs = []
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection((HOST, self.target))
            self.pairs.append((client, server))
            for pair in (client, server), (server, client):
                threading.Thread(target=self.copy, args=pair,
                                 daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Resets what there is; the listener goes on."""

        pairs, self.pairs = self.pairs, []

        for pair in pairs:
            for s in pair:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack('ii', 1, 0))
                try:
                    s.shutdown(socket.SHUT_RD)
                except OSError:
                    pass
                s.close()

    def close(self):
        self.listener.close()
        self.cut()


TRANSPORTS = {'WebSockets': WebSocket, 'ServerSentEvents': EventStream,
              'LongPolling': Poller}


class Hub:
    def __init__(self, port, key, path=IMAGE_HUB, handshake=True,
                 negotiate=True, version=1, headers=None, old=None,
                 transport='WebSockets', stateful=False, **more):
        self.port = port
        self.key = key
        self.records = []
        self.calls = 0
        self.id = None
        self.ws = None
        token = None

        if negotiate:
            reply = self.negotiate(path, version, headers, old, stateful)
            self.id = reply['connectionId']
            token = reply.get('connectionToken', self.id)

        if token:
            path += '?id=' + token

        self.token = token
        self.ws = TRANSPORTS[transport](port, path, headers, key=key, **more)

        if handshake:
            self.handshake(2 if stateful else 1)

    def negotiate(self, path, version=1, headers=None, old=None,
                  stateful=False):
        with Connection(self.port) as c:
            r = c.request('POST', '%s/negotiate?negotiateVersion=%d%s%s'
                          % (path, version, '&id=' + old if old else '',
                             '&useStatefulReconnect=true' if stateful else ''),
                          headers, b'', self.key)

        if r.status != 200:
            raise Refused(r)

        return r.json()

    def handshake(self, version=1):
        self.send({'protocol': 'json', 'version': version})
        reply = self.record()
        if reply != {}:
            raise AssertionError(reply)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.ws:
            self.ws.close()

    def send(self, *messages):
        self.ws.send(''.join(json.dumps(m) + RS for m in messages))

    def record(self):
        """The next message of the server."""

        while not self.records:
            text = self.ws.message()
            if not text.endswith(RS):
                raise AssertionError('incomplete message: %r' % text)
            self.records += [json.loads(part)
                             for part in text[:-1].split(RS)]

        return self.records.pop(0)

    def next(self):
        """The same without pings."""

        deadline = time.monotonic() + SILENCE

        while True:
            record = self.record()
            if record != {'type': 6}:
                return record
            if time.monotonic() > deadline:
                raise AssertionError('nothing but pings')

    def call(self, method, *arguments):
        """Sends an invocation and returns its id."""

        self.calls += 1
        self.send({'type': 1, 'target': method,
                   'arguments': list(arguments),
                   'invocationId': str(self.calls)})
        return str(self.calls)

    def invoke(self, method, *arguments):
        """The completion; events before it are kept for event()."""

        number = self.call(method, *arguments)
        kept = []

        while True:
            record = self.next()

            if record.get('type') == 3 and record['invocationId'] == number:
                self.records = kept + self.records
                return record

            kept.append(record)

    def event(self):
        """The next event: (name, arguments)."""

        record = self.next()

        if record.get('type') != 1:
            raise AssertionError('no event: %r' % record)

        return record['target'], record['arguments']

    def until(self, *names):
        """Events up to the first of these names, which comes last."""

        events = []

        while not events or events[-1][0] not in names:
            events.append(self.event())

        return events


class Stateful(Hub):
    """Both sides number their messages, and repeat what the other one has not
    acknowledged."""

    def __init__(self, *args, **more):
        self.kept = []              # not acknowledged
        self.first = 1              # number of the first one of them
        self.number = 1             # number of what comes
        self.had = 0
        super().__init__(*args, stateful=True, **more)

    def send(self, *messages):
        self.kept += [m for m in messages if 'type' in m]
        super().send(*messages)

    def resume(self, ws):
        """Goes on with another socket; false if the session does not."""

        self.ws, self.records, self.number = ws, [], None
        super().send({'type': 9, 'sequenceId': self.first}, *self.kept)
        record = super().record()
        self.number = record.get('sequenceId')
        return self.number is not None

    def record(self):
        while True:
            record = super().record()
            kind = record.get('type')

            if kind == 8:
                done = record['sequenceId'] + 1 - self.first
                self.kept = self.kept[done:]
                self.first += done

            elif kind not in (1, 3):
                return record

            elif self.take():
                return record

    def take(self):
        """Whether the message is a new one."""

        number, self.number = self.number, self.number + 1

        if number > self.had + 1:
            raise AssertionError('message %d after %d' % (number, self.had))

        if number <= self.had:
            return False

        self.had = number

        # a message is there, whether or not that can still be told

        if number % 4 == 0:
            with contextlib.suppress(OSError):
                super().send({'type': 8, 'sequenceId': number})

        return True
