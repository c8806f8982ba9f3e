# Copyright (C) Conduit for nginx authors

"""Clients as others have written them: packages of npm and PyPI, installed
below build/ as t/clients names them, once for each state of its lists.

    modules = npm()         # a folder for CONDUIT_CLIENTS
    python = venv()         # an interpreter
    path = java()           # a class path
    command = wstest()      # of autobahntestsuite; None without Python 2.7

Without the registry the test is skipped."""

import fcntl
import glob
import hashlib
import shutil
import threading

from conduit_harness import *

CLIENTS = os.path.join(TOP, 't', 'clients')
HOME = os.path.join(TOP, 'build')


def _once(name, lists, install):
    """Runs install(folder) unless it was done for these lists."""

    folder = os.path.join(HOME, name)
    digest = hashlib.sha256()

    for file in lists:
        with open(os.path.join(CLIENTS, file), 'rb') as f:
            digest.update(f.read())

    os.makedirs(HOME, exist_ok=True)

    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = os.path.join(folder, '.installed')

        try:
            with open(stamp) as f:
                if f.read() == digest.hexdigest():
                    return folder

        except FileNotFoundError:
            pass

        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)

        try:
            install(folder)

        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, 'stdout', None) or b'').decode()
            skip_all('cannot install %s: %s' % (
                ', '.join(lists), (said.strip() or str(error))
                .replace('\n', ' ')[-300:]))

        with open(stamp, 'w') as f:
            f.write(digest.hexdigest())

    return folder


def _call(*command, **more):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   timeout=300, **more)


def npm():
    """The folder that holds node_modules."""

    lists = ('package.json', 'package-lock.json')

    def install(folder):
        for name in lists:
            shutil.copy(os.path.join(CLIENTS, name), folder)
        _call('npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts',
              '--loglevel=error', cwd=folder)

    return _once('clients', lists, install)


def venv():
    """The interpreter of a virtual environment."""

    def install(folder):
        _call(sys.executable, '-m', 'venv', folder)
        _call(os.path.join(folder, 'bin', 'pip'), 'install', '--quiet',
              '--disable-pip-version-check', '--no-deps', '--only-binary',
              ':all:', '-r', os.path.join(CLIENTS, 'requirements.txt'))

    return os.path.join(_once('venv', ('requirements.txt',), install),
                        'bin', 'python')


def java():
    """The class path of t/clients/java, compiled."""

    lists = ('java/pom.xml', 'java/HubClient.java')

    def install(folder):
        _call('mvn', '-B', '-q', '-f', os.path.join(CLIENTS, lists[0]),
              'dependency:copy-dependencies', '-DoutputDirectory=' + folder)
        _call('javac', '-d', folder, '-cp', folder + '/*',
              os.path.join(CLIENTS, lists[1]))

    folder = _once('java', lists, install)
    return folder + ':' + folder + '/*'


WSTEST = '''
import site, sys
site.addsitedir(%r)
sys.argv[0] = "wstest"
from autobahntestsuite.wstest import run
run()
'''


def python2():
    """An interpreter of Python 2.7, in the path or built beside it."""

    root = os.environ.get('PYENV_ROOT', os.path.expanduser('~/.pyenv'))

    for python in ['python2.7'] + sorted(
            glob.glob(os.path.join(root, 'versions/2.7*/bin/python'))):
        try:
            if subprocess.run([python, '-m', 'pip', '--version'],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return python

        except OSError:
            pass

    return None


def wstest():
    """The command of Autobahn's own program, which is Python 2 for ever."""

    python = python2()

    if python is None:
        return None

    def install(folder):
        _call(python, '-m', 'pip', 'install', '--quiet', '--no-deps',
              '--disable-pip-version-check', '--target', folder, '-r',
              os.path.join(CLIENTS, 'autobahn.txt'))

    return [python, '-c', WSTEST % _once('autobahn', ('autobahn.txt',),
                                         install)]


class Program:
    """A client that prints what it sees, one JSON array a line.

        with Program(['node', 'hub.mjs'], TASK=task) as client:
            client.until('subscribed')      # arrays up to that one

    said has all of them."""

    def __init__(self, command, **env):
        self.said = []
        self.process = subprocess.Popen(
            command, env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)

        except ProcessLookupError:
            pass

        self.process.stdout.close()
        self.process.wait()

    def _late(self):
        os.killpg(self.process.pid, signal.SIGKILL)

    def next(self):
        """The next array; it is an error if there is none in time."""

        timer = threading.Timer(DEADLINE * 4 * PATIENCE, self._late)
        timer.start()

        try:
            line = self.process.stdout.readline()

        finally:
            timer.cancel()

        if not line:
            raise AssertionError('the client ended or hangs: %r' % self.said)

        self.said.append(json.loads(line))
        return self.said[-1]

    def until(self, *words):
        """What comes up to an array that begins with these."""

        found = []

        while not found or found[-1][:len(words)] != list(words):
            found.append(self.next())

        return found

    def ended(self):
        """The exit code."""

        while True:
            try:
                self.next()

            except AssertionError:
                return self.process.wait()
