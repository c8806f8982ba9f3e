# Copyright (C) Conduit for nginx authors

"""Network namespaces: hosts that lose packets instead of connections.

    with Network('a', 'b') as net:
        net.url('a', redis)             how host a calls Redis
        net.reach('a', port)            127.0.0.1:port there is so here, too
        net.offer('a', port)            and the other way round
        net.command('a')                prefix of what runs at host a
        net.cut('a')                    packets to and from it disappear
        net.heal('a')

Redis and the test live in the namespace of the machine, each host in one of
its own, with a pair of interfaces between them.  What the test says to a host
does not go that way, so it is not cut.
"""

import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_NOBODY = '02:00:00:00:00:99'
_COUNT = itertools.count()


def _ip(*arguments, check=True):
    return subprocess.run(('ip',) + arguments, check=check,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE).returncode == 0


def why_not():
    """What is missing for namespaces, or None."""

    if os.getuid() != 0:
        return 'network namespaces need root'

    if shutil.which('ip') is None:
        return 'there is no "ip"'

    try:
        with Network('t'):
            return None

    except (OSError, subprocess.CalledProcessError):
        return 'network namespaces are not allowed here'


class Network:
    def __init__(self, *hosts):
        self.hosts = hosts

        # interfaces go some time after their namespace

        self.base = os.getpid() % 2000 * 8 + next(_COUNT) % 8
        self.made = []
        self.listeners = []

    def space(self, host):
        return 'cdt%d%s' % (self.base, host)

    def address(self, host, end):
        """end 1: of the machine, end 2: of the host."""

        n = self.base * 4 + self.hosts.index(host)
        return '10.%d.%d.%d' % (200 + n // 16384, n // 64 % 256,
                                n % 64 * 4 + end)

    def near(self, host):
        return 'cdn%d%s' % (self.base, host)

    def far(self, host):
        return 'cdf%d%s' % (self.base, host)

    def __enter__(self):
        try:
            for host in self.hosts:
                self.make(host)

        except subprocess.CalledProcessError:
            self.__exit__()
            raise

        return self

    def make(self, host):
        space, near, far = self.space(host), self.near(host), self.far(host)

        _ip('netns', 'add', space)
        self.made.append(space)
        _ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far)
        _ip('link', 'set', far, 'netns', space)
        _ip('addr', 'add', self.address(host, 1) + '/30', 'dev', near)
        _ip('link', 'set', near, 'up')
        _ip('-n', space, 'addr', 'add', self.address(host, 2) + '/30', 'dev',
            far)
        _ip('-n', space, 'link', 'set', far, 'up')
        _ip('-n', space, 'link', 'set', 'lo', 'up')

    def __exit__(self, *exc):
        # it goes on to listen while a thread accepts, unless it is told

        for listener, thread in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()

        for space in self.made:
            _ip('netns', 'del', space, check=False)

    def command(self, host):
        return ['ip', 'netns', 'exec', self.space(host)]

    def binds(self):
        """A line for Redis: where hosts look for it."""

        return 'bind 127.0.0.1 %s\n' % ' '.join(self.address(host, 1)
                                                for host in self.hosts)

    def url(self, host, redis):
        return 'redis://%s:%d' % (self.address(host, 1), redis.port)

    def cut(self, host):
        """Both sides write to somebody who is not there."""

        _ip('neigh', 'replace', self.address(host, 2), 'lladdr', _NOBODY,
            'dev', self.near(host), 'nud', 'permanent')
        _ip('-n', self.space(host), 'neigh', 'replace', self.address(host, 1),
            'lladdr', _NOBODY, 'dev', self.far(host), 'nud', 'permanent')

    def heal(self, host):
        _ip('neigh', 'del', self.address(host, 2), 'dev', self.near(host))
        _ip('-n', self.space(host), 'neigh', 'del', self.address(host, 1),
            'dev', self.far(host))

    # a socket belongs to the namespace in which it was made

    def socket_at(self, host):
        made = []

        def make():
            with open('/var/run/netns/' + self.space(host)) as f:
                if _LIBC.setns(f.fileno(), 0) == 0:
                    made.append(socket.socket())

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()

        if not made:
            raise OSError('no socket at ' + host)

        return made[0]

    def reach(self, host, port):
        self.forward(socket.socket(), lambda: self.socket_at(host), port)

    def offer(self, host, port):
        self.forward(self.socket_at(host), socket.socket, port)

    def forward(self, listener, target, port):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(('127.0.0.1', port))
        listener.listen(512)

        thread = threading.Thread(target=self.accept,
                                  args=(listener, target, port), daemon=True)
        thread.start()
        self.listeners.append((listener, thread))

    def accept(self, listener, target, port):
        while True:
            try:
                one = listener.accept()[0]

            except OSError:
                return

            threading.Thread(target=self.join, args=(one, target, port),
                             daemon=True).start()

    def join(self, one, target, port):
        """A connection from here to there, until both sides have ended."""

        with one:
            try:
                two = target()
                two.connect(('127.0.0.1', port))

            except OSError:
                return

            with two:
                back = threading.Thread(target=self.copy, args=(two, one),
                                        daemon=True)
                back.start()
                self.copy(one, two)
                back.join()

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

        for s, how in (sink, socket.SHUT_WR), (source, socket.SHUT_RD):
            try:
                s.shutdown(how)

            except OSError:
                pass
