# Copyright (C) Conduit for nginx authors

"""The books of a chaos test: what clients were told, what went wrong when, and
what Redis had kept at which moment.

    books = Books()             tasks, ends, faults and troubles
    ledger = Ledger(redis)      marks time in Redis as long as it runs
    ledger.read()               all that was kept: ledger.tasks
"""

import collections
import datetime
import glob
import os
import re
import threading
import time

from conduit_api import BUSY, FINAL
from conduit_redis import RedisError

# seconds in which a host has its connections to Redis again, and in which
# hosts let each other renew what they have after an outage

BACK = 4 * BUSY
GRACE = 5

# what tells all documents of an end apart from each other; how a webhook
# stands is told beside

LOOSE = ('webhook',)

# troubles that part a host from Redis, or all of them

APART = ('cut', 'stall', 'drop')
REDIS = ('redis_kill', 'redis_stop', 'redis_pause', 'redis_hang', 'clients')


def end_of(document):
    return {name: value for name, value in document.items()
            if name not in LOOSE}


class Order:
    """A create: it may make one task, however often it is sent."""

    def __init__(self, number, prompt, video, path, key, body):
        self.number = number
        self.prompt = prompt
        self.video = video
        self.path = path            # of its webhook, or None
        self.key = key              # its Idempotency-Key, or None
        self.host = None            # that was asked first
        self.body = body
        self.refused = None         # an answer for good
        self.task = None


class Task:
    """What is known of an accepted task."""

    def __init__(self, id, order, host, at):
        self.id = id
        self.order = order
        self.host = host            # that accepted it
        self.at = at                # its 202 was there
        self.prompt = order.prompt
        self.video = order.video
        self.path = order.path
        self.ends = []              # (when, by, document), each kind once
        self.told = []              # (when, by, event, arguments) of hubs
        self.local = False          # Redis was not told of it at first

    @property
    def end(self):
        return self.ends[-1][2] if self.ends else None

    def created(self):
        """By the monotonic clock; 0: it has not ended."""

        if not self.end:
            return 0

        wall = datetime.datetime.fromisoformat(
            self.end['created_at'].replace('Z', '+00:00')).timestamp()
        return wall - time.time() + time.monotonic()


class Trouble:
    """A disturbance: from and to are times of the monotonic clock."""

    def __init__(self, kind, host=None):
        self.kind = kind
        self.host = host
        self.begun = time.monotonic()
        self.over = None

    def near(self, first, last):
        return (self.begun <= last
                and (self.over is None or self.over >= first))

    def __repr__(self):
        return '%s %s %.2f..%s' % (self.kind, self.host, self.begun,
                                   self.over and '%.2f' % self.over)


class Books:
    def __init__(self, local=False):
        self.local = local          # hosts take tasks without Redis
        self.lock = threading.Lock()
        self.orders = []
        self.tasks = {}
        self.faults = []
        self.backward = []          # see Verdict.backward()
        self.behind = []            # Verdict.behind()
        self.silent = []            # Verdict.silent()
        self.lost = []              # Verdict.lost()
        self.periods = []           # Verdict.periods()
        self.rewound = []           # and Verdict.rewound()
        self.troubles = []
        self.replies = collections.Counter()

    def fault(self, *what):
        with self.lock:
            self.faults.append((round(time.monotonic(), 2),) + what)

    def accept(self, order, id, host):
        with self.lock:
            if order.task not in (None, id):
                self.faults.append(('one create, two tasks', order.number,
                                    order.key, order.task, id))

            order.task = id

            if id not in self.tasks:
                task = Task(id, order, host, time.monotonic())
                task.local = self.local and bool(
                    self.parted(host, task.at - 1, task.at))
                self.tasks[id] = task

    def pick(self, rng):
        """A task that all hosts know."""

        with self.lock:
            known = [id for id, task in self.tasks.items() if not task.local]

        if not known:
            return None

        return rng.choice(known[-60:] if rng.random() < 0.8 else known)

    def look(self, document, by):
        """A document as somebody has got it."""

        task = self.tasks.get(document['task_id'])

        if task is None or document['status'] not in FINAL:
            return

        end = end_of(document)

        with self.lock:
            if all(end != known for _, _, known in task.ends):
                task.ends.append((time.monotonic(), by, end))

    def near(self, first, last, kinds, host=None):
        """Troubles of these kinds, of that host if it is of one host."""

        return [trouble for trouble in self.troubles
                if trouble.kind in kinds and trouble.near(first, last)
                and (host is None or trouble.host in (None, host))]

    def killed(self, host, first, last, kinds=('host', 'worker')):
        """Was the host killed, or a worker of it, in that time?"""

        return self.near(first, last, kinds, host)

    def parted(self, host, first, last):
        """Was the host not able to tell Redis something in that time?"""

        return self.near(first - BACK, last, APART + REDIS, host)


# what was kept


class Kept:
    """A value that a field of a task was given, between two moments."""

    def __init__(self, low, high, value):
        self.low = low
        self.high = high
        self.value = value

    def __repr__(self):
        return '%.3f..%.3f %r' % (self.low, self.high, self.value)


class Record:
    """A task in Redis, from its begin to its end."""

    def __init__(self, id):
        self.id = id
        self.fields = collections.defaultdict(list)

    def states(self):
        """[(Kept, sequence, status, time of the end)]: 2 and more are ends"""

        result = []

        for kept in self.fields['h']:
            numbers = kept.value.split(b'\n')[0].split(b' ')
            result.append((kept,) + tuple(int(numbers[i])
                                          for i in (0, 1, 12)))

        return result

    def ends(self):
        return [state for state in self.states() if state[2] > 1]

    def ended(self):
        """When its end was kept, or None."""

        return next((kept for kept, _, _, _ in self.ends()), None)

    def holders(self, field):
        """[(Kept, name of the host, its life)]: owners ("o") or, by "p",
        who delivers.  Each change once."""

        result = []

        for kept in self.fields[field]:
            text = kept.value.decode()

            if field == 'p':
                text = text.partition(' ')[2]

            name, _, life = text.partition('@')

            if not result or result[-1][1:] != (name, life):
                result.append((kept, name, life))

        return result

    def knows(self, job):
        """When the id of a job was kept, or None."""

        text = b'"' + job.encode() + b'"'
        return next((kept for kept in self.fields['r'] if text in kept.value),
                    None)

    def confirmed(self, hook):
        """When it was kept that a webhook has been delivered, or None."""

        return next((kept for kept in self.fields['e:' + hook[4:]]
                     if kept.value.startswith(b'2 ')), None)


_TASK = re.compile(rb'conduit:\{\d\d\}:task:([0-9a-f-]{36})\Z')


class Ledger(threading.Thread):
    """Redis writes each change to its file before it confirms it.  Marks in
    between, one in 20 ms, tell when that was."""

    KEY = 'chaos:mark'
    CONF = ('appendonly yes\nappendfsync always\n'
            'auto-aof-rewrite-percentage 0\n')

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.redis = redis
        self.sent = [time.monotonic()]
        self.done = [time.monotonic()]
        self.tasks = {}
        self.ends = threading.Event()
        self.start()

    def run(self):
        client = None

        while not self.ends.wait(0.02):
            self.sent.append(time.monotonic())
            self.done.append(float('inf'))

            try:
                client = client or self.redis.client()
                client.call('SET', self.KEY, len(self.sent) - 1)
                self.done[-1] = time.monotonic()

            except (OSError, RedisError):
                client = None

    def read(self):
        self.ends.set()
        self.join()

        folder = os.path.join(self.redis.folder, 'appendonlydir')
        paths = glob.glob(os.path.join(folder, '*.incr.aof'))
        low, waiting = self.sent[0], []

        for path in sorted(paths, key=lambda p: int(p.split('.')[-3])):
            with open(path, 'rb') as file:
                for args in self.commands(file):
                    if args[0] == b'SET' and args[1] == self.KEY.encode():
                        low = self.mark(int(args[2]), waiting)

                    elif args[0] == b'HSET':
                        waiting += self.change(args, low)

        return self

    def mark(self, number, waiting):
        """What came before it was kept before it was answered."""

        for kept in waiting:
            kept.high = min(kept.high, self.done[number])

        if self.done[number] != float('inf'):
            waiting.clear()

        return self.sent[number]

    def change(self, args, low):
        found = _TASK.match(args[1])

        if not found:
            return []

        id = found.group(1).decode()
        record = self.tasks.setdefault(id, Record(id))
        made = []

        for name, value in zip(args[2::2], args[3::2]):
            kept = Kept(low, float('inf'), value)
            record.fields[name.decode()].append(kept)
            made.append(kept)

        return made

    @staticmethod
    def commands(file):
        """What was begun when Redis was killed is no command."""

        while True:
            line = file.readline()

            if not line.endswith(b'\n'):
                return

            if line.startswith(b'#'):
                continue

            args = []

            for _ in range(int(line[1:])):
                size = file.readline()

                if not size.endswith(b'\n'):
                    return

                args.append(file.read(int(size[1:])))
                file.read(2)

            yield args
