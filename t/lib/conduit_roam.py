# Copyright (C) Conduit for nginx authors

"""Hub clients that go from host to host in a chaos test.

    roamers = Roamers(world, seed, n)   n of each kind that follow single
    roamers.start()                     tasks, and n that follow all of them
    roamers.missing()                   what they have to be told yet
    roamers.end()

A plain one subscribes anew wherever it comes.  A successor names the connection
that it had, and relies on it unless a host was killed or parted for long.  A
stateful one goes on with its session until it is told that there is none; it
misses no message.  All of them notice what they are told out of order.
"""

import contextlib
import random
import traceback

from conduit_books import *
from conduit_hub import *

KINDS = ('plain', 'successor', 'stateful')

# seconds at one host, and until it comes to the next

STAYS = (0.3, 1, 3, 6, 30)
PAUSES = (0, 0.3, 2)

# how a client leaves: it says so, it is gone, or it is there until it has
# come to the next host

WAYS = ('end', 'reset', 'open')

# tasks that are followed at a time

MANY = 6
ALL = 'all'

# a host that is silent for 8 seconds is given up by others

SILENT = 4

# seconds in which a session has come from host to host, or is in the zone

SAVED = 1 * BUSY

RANKS = {'TaskStarted': 0, 'TaskProgress': 1, 'TaskCompleted': 2,
         'TaskFailed': 2, 'TaskCancelled': 2}
PROGRESS, END = 1, 2


class Roamer(threading.Thread):
    def __init__(self, world, kind, every, rng):
        super().__init__(daemon=True)
        self.world = world
        self.books = world.books
        self.kind = kind
        self.rng = rng
        self.by = '%s client of %s' % (kind, 'all' if every else 'tasks')
        self.stop = threading.Event()
        self.stays = threading.Event()      # it goes nowhere any more
        self.hub = None
        self.lost = True            # it has no session
        self.host = rng.randrange(len(world.hosts))
        self.since = self.heard = time.monotonic()
        self.hops = []              # (since, when, from, to), with a session
        self.wants = {ALL: None} if every else {}   # since when it follows it
        self.told = set()           # ends; of all tasks those since then
        self.seen = {}              # (rank, progress, when) of tasks
        self.pending = {}
        self.later = 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.come()
                self.stay()

            except Refused as e:
                if e.status not in (404, 429, 503):
                    self.books.fault(self.by, e)

                self.pause('refused %d' % e.status)

            except (OSError, EOFError, Closed):
                self.pause('cut')

            except Exception:
                self.books.fault(self.by, traceback.format_exc())
                return

        self.leave()
        self.anew(self.heard)

    def pause(self, why):
        self.count(why)
        self.stop.wait(self.rng.uniform(0.05, 0.3))

    def count(self, what):
        with self.books.lock:
            self.books.replies['roaming, ' + what] += 1

    # from host to host

    def come(self):
        n = self.rng.choice([n for n in range(len(self.world.hosts))
                             if n != self.host])
        resumes = not self.lost and self.kind == 'stateful'

        if resumes:
            self.resume(n)
        else:
            self.connect(n)

        now = time.monotonic()

        if self.lost:
            self.anew(self.heard)
        else:
            self.hops.append((self.since, now, self.host, n))
            self.count(self.kind)

        self.host, self.since, self.heard = n, now, now

        if not resumes:
            self.lost = self.kind != 'successor'
            self.hub.handshake(2 if self.kind == 'stateful' else 1)
            self.lost = self.kind == 'plain'

    def connect(self, n):
        host = self.world.hosts[n]

        try:
            hub = (Stateful if self.kind == 'stateful' else Hub)(
                host.port(), host.secrets['alice'], TASKS_HUB, handshake=False,
                old=None if self.lost else self.hub.token)

        except (OSError, EOFError, Closed):

            # the host may have died with what it had taken over

            self.lost = True
            raise

        self.leave()
        self.hub, self.pending, self.seen = hub, {}, {}

    def resume(self, n):
        host = self.world.hosts[n]

        try:
            ws = WebSocket(host.port(), '%s?id=%s' % (
                TASKS_HUB, self.hub.token), key=host.secrets['alice'])

        except Refused as e:
            if e.status == 404:
                self.lose(n)
            raise

        self.leave()

        # if nobody can say whether its id is a new one it begins a new session

        if not self.hub.resume(ws):
            self.lose(n)
            raise Closed()

    def lose(self, n):
        self.lost = True

        with self.books.lock:
            self.books.lost.append((self.since, self.heard, time.monotonic(),
                                    self.host, n))

    def leave(self):
        """What the old connection still has to say, if it is there."""

        if self.hub is None:
            return

        end = time.monotonic() + 3

        try:
            while time.monotonic() < end:
                self.hub.ws.c.sock.settimeout(3)
                self.take(self.hub.record())

        except (OSError, EOFError, Closed):
            pass

        self.hub.close()

        with self.books.lock:
            self.books.silent += [
                (max(when, self.since), self.heard, self.host, task)
                for task, when in self.wants.items() if when and task != ALL]

    def anew(self, at):
        """It has no subscriptions any more, since some time."""

        begun = self.wants.get(ALL)

        if begun:
            with self.books.lock:
                self.books.periods.append((begun, at, self.host, self.by,
                                           self.told))
            self.told = set()

        self.wants = dict.fromkeys(self.wants)
        self.hops = []

    def doubt(self):
        """When a host may have had what is lost with it, or None."""

        now = time.monotonic()
        self.hops = [hop for hop in self.hops if hop[1] > now - 40]
        near = self.books

        for since, when, old, new in self.hops:
            fresh = [since] + [at for at in self.wants.values()
                               if at and since <= at <= when]
            troubles = near.killed(old, since, when + 10, ('host',))
            troubles += near.killed(old, when - 0.5, when + SAVED)

            for at in fresh:
                troubles += near.killed(old, at - 0.5, at + SAVED)

            troubles += [
                trouble for host in (old, new)
                for trouble in near.near(when - SILENT, when + SAVED,
                                         APART + REDIS, host)
                if (trouble.over or now) - trouble.begun > SILENT
                or trouble.begun > when - 0.5]

            if troubles:
                return min([when] + [trouble.begun for trouble in troubles])

        return None

    # at one host

    def stay(self):
        end = time.monotonic() + self.rng.choice(STAYS)

        while not self.stop.is_set() and (self.stays.is_set()
                                          or time.monotonic() < end):
            self.ask()
            self.hub.ws.c.sock.settimeout(30)
            self.take(self.hub.record())

        way = self.rng.choice(WAYS)

        if way == 'end':
            self.hub.ws.c.sock.shutdown(socket.SHUT_WR)
            self.leave()

        elif way == 'reset' or self.kind == 'plain':
            self.hub.ws.c.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            self.hub.close()

        self.stop.wait(self.rng.choice(PAUSES))

    def ask(self):
        if ALL not in self.wants and len(self.wants) < MANY \
                and not self.stays.is_set():
            task = self.books.pick(self.rng)

            if task and task not in self.told:
                self.wants.setdefault(task)

        if time.monotonic() < self.later:
            return

        for task, when in self.wants.items():
            if when is None and task not in self.pending.values():
                self.pending[str(self.hub.calls + 1)] = task
                self.hub.call(*['SubscribeToAllTasks'] if task == ALL
                              else ['SubscribeToTask', task])

    def take(self, record):
        kind = record.get('type')
        self.heard = time.monotonic()

        if kind == 1:
            self.event(record['target'], record['arguments'])

        elif kind == 3:
            self.answer(self.pending.pop(record['invocationId']), record)

        elif kind == 6:
            lost = self.doubt() if self.kind == 'successor' else None

            if lost:
                self.count('in doubt')
                self.anew(min(lost, self.heard))

        elif kind == 7:
            if self.kind == 'stateful':
                self.lost = True

            raise Closed()

    def answer(self, task, record):
        if 'error' in record:
            if 'not found' in record['error']:
                self.books.fault(self.by, self.host, task, record)

            self.later = self.heard + 0.5
            return

        # how it stands is told anew; of all tasks only what goes on

        if task == ALL:
            self.seen = {id: seen for id, seen in self.seen.items()
                         if seen[0] == END}
        else:
            self.seen.pop(task, None)

        if task in self.wants:
            self.wants[task] = self.heard

    def event(self, name, arguments):
        task, rank = arguments[0], RANKS[name]
        was, before, when = self.seen.get(task, (-1, 0, 0))
        progress = arguments[1] if rank == PROGRESS else before

        if was == END:
            self.books.fault(self.by, self.host, 'after the end', name,
                             arguments, self.seen[task])

        # a host that got to know the task later may not know that

        elif rank < was:
            self.count('begun again')

        if progress < before:
            with self.books.lock:
                self.books.rewound.append((when, self.heard, self.by, task,
                                           before, progress))

        self.seen[task] = max(rank, was), progress, self.heard

        if rank == END:
            self.told.add(task)

            if ALL not in self.wants:
                self.wants.pop(task, None)

            with self.books.lock:
                known = self.books.tasks.get(task)

                if known:
                    known.told.append((self.heard, self.by, name,
                                       arguments[1:]))

    def missing(self):
        """What it has to be told yet, of what has ended."""

        if ALL not in self.wants:
            return list(self.wants)

        begun = self.wants[ALL]

        # that it was accepted may have been learnt long after its end

        return [ALL] if begun is None else [
            task.id for task in list(self.books.tasks.values())
            if task.id not in self.told and task.at > begun
            and task.created() > begun]


class Roamers:
    def __init__(self, world, seed, n):
        self.them = [Roamer(world, kind, every, random.Random(
                         '%s/%s/%s/%s' % (seed, kind, every, i)))
                     for kind in KINDS for every in (False, True)
                     for i in range(n)]

    def start(self):
        for roamer in self.them:
            roamer.start()

    def missing(self):
        """They stay where they are; what has ended has to be told them."""

        for roamer in self.them:
            roamer.stays.set()

        return [(roamer.by, roamer.host, roamer.missing())
                for roamer in self.them if roamer.missing()]

    def end(self):
        for roamer in self.them:
            roamer.stop.set()

            with contextlib.suppress(OSError, AttributeError):
                roamer.hub.ws.c.sock.shutdown(socket.SHUT_RDWR)

        for roamer in self.them:
            roamer.join(60)
