# Copyright (C) Conduit for nginx authors

"""Peers of the event tests: an HTTP server that misbehaves on request, and a
name server that may be mute.  Both live in threads of the test."""

import socket
import struct
import threading

HOST = '127.0.0.1'


class Peer:
    """What it does is the first part of the path; requests are recorded as
    (connection number, request line)."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.requests = []
        self.connections = 0
        self.open = set()
        self.release = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, path):
        return 'http://%s:%d%s' % (HOST, self.port, path)

    def close(self):
        self.release.set()
        self.listener.close()

        with self.lock:
            for sock in self.open:
                sock.close()

    def seen(self, path):
        with self.lock:
            return [n for n, line in self.requests if line.split()[1] == path]

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()

            except OSError:
                return

            with self.lock:
                self.connections += 1
                self.open.add(sock)
                number = self.connections

            threading.Thread(target=self.serve, args=(sock, number),
                             daemon=True).start()

    def serve(self, sock, number):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            f = sock.makefile('rb')
            count = 0

            while True:
                line = f.readline().decode().strip()
                if not line:
                    return

                headers = {}

                while True:
                    h = f.readline().decode().strip()
                    if not h:
                        break

                    name, _, value = h.partition(':')
                    headers[name.lower()] = value.strip()

                body = f.read(int(headers.get('content-length', 0)))
                count += 1

                with self.lock:
                    self.requests.append((number, line))

                if not self.reply(sock, line, headers, body, count):
                    return

        except OSError:
            pass

        finally:
            with self.lock:
                self.open.discard(sock)

            try:
                sock.shutdown(socket.SHUT_RDWR)

            except OSError:
                pass

            sock.close()

    def reply(self, sock, line, headers, body, count):
        method, target, _ = line.split()
        what, _, arg = target[1:].partition('/')
        arg = arg.partition('?')[0]
        return getattr(self, 'do_' + what)(sock, line, headers, body, arg,
                                           count)

    def send(self, sock, body, status='200 OK', extra=''):
        sock.sendall(('HTTP/1.1 %s\r\nContent-Type: text/plain\r\n'
                      'Content-Length: %d\r\n%s\r\n' % (
                          status, len(body), extra)).encode() + body)
        return True

    # what it can do; a false value closes the connection

    def do_ok(self, sock, line, headers, body, arg, count):
        return self.send(sock, b'fine')

    def do_echo(self, sock, line, headers, body, arg, count):
        text = '%s\n%s\nbody %d' % (line, '\n'.join(
            '%s: %s' % h for h in headers.items()), len(body))
        return self.send(sock, text.encode())

    def do_size(self, sock, line, headers, body, arg, count):
        return self.send(sock, b'x' * int(arg))

    def do_pattern(self, sock, line, headers, body, arg, count):
        return self.send(sock, pattern(int(arg)))

    def do_chunked(self, sock, line, headers, body, arg, count):
        sock.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        left = int(arg)

        while left:
            n = min(left, 1000)
            sock.sendall(b'%x\r\n%s\r\n' % (n, b'y' * n))
            left -= n

        sock.sendall(b'0\r\n\r\n')
        return True

    def do_status(self, sock, line, headers, body, arg, count):
        return self.send(sock, b'no', arg + ' Status')

    def do_none(self, sock, line, headers, body, arg, count):
        sock.sendall(b'HTTP/1.1 204 No Content\r\n\r\n')
        return True

    def do_redirect(self, sock, line, headers, body, arg, count):
        return self.send(sock, b'', '302 Found',
                         'Location: ../other/%s\r\n' % arg)

    def do_drip(self, sock, line, headers, body, arg, count):
        """A byte each arg milliseconds."""

        sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')

        for _ in range(1000):
            sock.sendall(b'.')
            if self.release.wait(int(arg) / 1000):
                return False

        return True

    def do_stall(self, sock, line, headers, body, arg, count):
        """A part of the body, then nothing."""

        sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc')
        self.release.wait()

    def do_slow(self, sock, line, headers, body, arg, count):
        """A reply after arg milliseconds, or not before the release."""

        self.release.wait(int(arg) / 1000 if arg else None)
        return self.send(sock, b'late')

    def do_early(self, sock, line, headers, body, arg, count):
        return False

    def do_reset(self, sock, line, headers, body, arg, count):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack('ii', 1, 0))
        return False

    def do_cut(self, sock, line, headers, body, arg, count):
        sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc')

    def do_garbage(self, sock, line, headers, body, arg, count):
        sock.sendall(b'what is it?\r\n\r\n')

    def do_headers(self, sock, line, headers, body, arg, count):
        extra = ''.join('X-%d: %s\r\n' % (i, 'v' * 1000)
                        for i in range(int(arg)))
        return self.send(sock, b'many', extra=extra)

    def do_die(self, sock, line, headers, body, arg, count):
        """The second request on a connection is read and not answered."""

        return self.send(sock, b'once') if count == 1 else False


def pattern(size):
    return (bytes(i * 7 % 251 for i in range(251)) * (size // 251 + 1))[:size]


class Names:
    """A name server; names that begin with "mute" get no answer."""

    def __init__(self, host=HOST, port=0, hosts=None):
        self.hosts = hosts or {}
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, port))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.sock.close()

    def serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(2048)

            except OSError:
                return

            reply = self.answer(query)

            if reply:
                self.sock.sendto(reply, peer)

    def answer(self, query):
        labels, i = [], 12

        while query[i]:
            labels.append(query[i + 1:i + 1 + query[i]].decode().lower())
            i += query[i] + 1

        name = '.'.join(labels)
        kind = struct.unpack('>H', query[i + 1:i + 3])[0]
        question = query[12:i + 5]
        self.asked.append((name, kind))

        if name.startswith('mute'):
            return None

        known = name in self.hosts
        records = self.hosts.get(name, []) if kind == 1 else []
        answers = b''.join(b'\xc0\x0c\0\1\0\1' + struct.pack('>IH', 60, 4)
                           + socket.inet_aton(a) for a in records)

        return (query[:2] + (b'\x81\x80' if known else b'\x81\x83')
                + struct.pack('>HHHH', 1, len(records), 0, 0)
                + question + answers)
