"""How long the loop is held when files are read again while it is busy: what another client of the proxy notices."""
import http.client
import os
import shutil
import signal
import socket
import sys
import threading
import time

from . import turnlength
from .prober import Prober
from .subjects import Running, write
from .workloads import Background, Window, Workload, gen

NAMES = 500_000          # lines of the hosts file
PAGES = ('classify', 'deny', 'dns', 'error', 'internal_error', 'noconnect', 'success')
PAGE_FILES = 32
PAGE_BYTES = 1 << 20
ASK_US = 2000            # between two requests of the prober
ASK_PAGES = 0.05         # seconds between two requests that are answered with a page of the folder
LOOK = 0.1               # seconds between two looks whether a change has arrived
PATIENCE = 20            # seconds for a change to arrive
AFTER = 1.0              # seconds that still belong to an event once it has arrived: old values are dropped then
CALM = 4.0               # seconds without an event before each one
MARK = 'marker.bench.test'
HERE, AWAY = '127.0.0.1', '127.0.0.99'


class Stage:
    """The files that are replaced, each version made before anything is measured, and whether the last has arrived."""

    def __init__(self, ctx, versions):
        self.folder = ctx.folder('turns')
        self.port = ctx.free_port()
        self.hosts, self.pages = os.path.join(self.folder, 'hosts'), os.path.join(self.folder, 'pages')
        self.conf = os.path.join(self.folder, 'exaproxy.conf')
        os.mkdir(self.pages)
        names = ['host-%06d.list.bench.test' % n for n in range(NAMES - 1)]
        for version in range(versions + 1):
            text = '%s %s\n' % (AWAY if version % 2 else HERE, MARK)
            write('%s.%d' % (self.hosts, version),
                  text + ''.join('192.0.2.%d %s\n' % (version + 1, name) for name in names))
            self.write_pages(version)
        self.version = {'hosts': 0, 'pages': 0, 'reload': 0}
        self.replace_hosts()
        self.replace_pages()
        self.write_conf()

    def write_pages(self, version):
        folder = '%s.%d' % (self.pages, version)
        os.mkdir(folder)
        for name in PAGES + tuple('picture%02d' % n for n in range(PAGE_FILES - len(PAGES))):
            text = '<html><!-- version %d -->' % version
            write(os.path.join(folder, name + '.html'), text + '.' * (PAGE_BYTES - len(text)))

    def replace_hosts(self):
        os.rename('%s.%d' % (self.hosts, self.version['hosts']), self.hosts)

    def replace_pages(self):
        folder = '%s.%d' % (self.pages, self.version['pages'])
        for name in os.listdir(folder):
            os.rename(os.path.join(folder, name), os.path.join(self.pages, name))

    def write_conf(self):
        write(self.conf + '.new', '[http]\nvia = bench%d\n' % self.version['reload'])
        os.rename(self.conf + '.new', self.conf)

    def opts(self):
        return {'env': {'exaproxy_dns_hosts': self.hosts, 'exaproxy_web_html': self.pages}, 'words': ['-c', self.conf],
                'local': ['%s:%d' % (host, self.port) for host in (HERE, AWAY)]}

    def happen(self, run, event):
        self.version[event] += 1
        if event == 'hosts':
            self.replace_hosts()
        elif event == 'pages':
            self.replace_pages()
        else:
            self.write_conf()
            os.kill(run.pid, signal.SIGHUP)

    def has_arrived(self, run, event, asker):
        version = self.version[event]
        if event == 'pages':
            return all(seen == version for seen in asker.seen.values())
        status, via = ask(run.port, 'http://%s:%d/p/0123456789' % (MARK, self.port))
        if event == 'hosts':
            return (status == 200) == (version % 2 == 0)
        return 'bench%d' % version in via

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def ask(port, target, fields=()):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE)
    try:
        connection.request('GET', target, headers=dict(fields))
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader('Via') or ''
    finally:
        connection.close()


class Asker:
    """Asks for what is answered with pages of the folder, each kind in turn, and remembers which version came."""
    REQUESTS = {
        'error': b'GET / HTTP/1.1\r\n\r\n',
        'noconnect': b'GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n',
        'dns': b'GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\nConnection: close\r\n\r\n',
    }

    def __init__(self, run):
        self.port = run.port
        self.seen = {name: None for name in self.REQUESTS}
        self.trouble = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def work(self):
        while not self.stop.is_set():
            for name, request in self.REQUESTS.items():
                try:
                    self.seen[name] = self.version(request)
                except (OSError, ValueError) as e:
                    self.trouble = '%s: %r' % (name, e)
                self.stop.wait(ASK_PAGES)

    def version(self, request):
        with socket.create_connection(('127.0.0.1', self.port), PATIENCE) as s:
            s.sendall(request)
            head, length = b'', 0
            while True:
                data = s.recv(1 << 18)
                if not data:
                    break
                head = (head + data)[:4096]
                length += len(data)
        if length < PAGE_BYTES:
            raise ValueError('%d bytes came, %r' % (length, head[:200]))
        return int(head.split(b'<!-- version ', 1)[1].split(b' ', 1)[0])


class Turns(Workload):
    """The longest wait beyond the median one is how long the loop was held, and what stood in the queue then."""
    name, unit, cost, cost_unit = 'W14', 'req/s', 'held_ms', 'ms longest wait'
    what = ('64 busy clients while a hosts file of 500,000 lines or a page folder of 32 MiB is replaced, or SIGHUP comes '
            'with both; a client of its own asks every 2 ms')
    columns = ['turn_ms', 'calm_turn_ms', 'p999_ms', 'calm_held_ms', 'calm_p999_ms', 'median_ms', 'arrived_s', 'lost', 'errors']
    subjects = ['exaproxy']
    variants = [{'variant': 'hosts'}, {'variant': 'pages'}, {'variant': 'reload'}]
    stage = Stage

    def measure(self, ctx, subject, variant, size):
        cores = os.sched_getaffinity(0)
        stage = self.stage(ctx, size.events)
        os.sched_setaffinity(0, ctx.load_cores)       # this process works, too
        try:
            with Running(subject, ctx, stage.opts()) as run:
                # It listens before it has read its files.
                ask(run.port, 'http://127.0.0.1:%d/b/1024' % ctx.origin_port)
                gen(ctx, run, 'get', path='/b/1024', conns=64, duration=size.warm)
                row = self.watch(ctx, run, stage, variant['variant'], size.events)
                if not run.alive():
                    raise RuntimeError('%s died: %s' % (subject.name, run.said()))
                return row
        finally:
            os.sched_setaffinity(0, cores)
            stage.clean()

    def watch(self, ctx, run, stage, event, events):
        calm, busy, arrived, times = [], [], [], []
        with Asker(run) if event == 'pages' else Nothing() as asker, \
                Background(ctx, run, 'get', path='/b/1024', conns=64) as load, \
                Prober(ctx, run, '%s:%d' % (HERE, stage.port), interval_us=ASK_US) as prober:
            tracer = turnlength.Tracer(ctx, run)
            time.sleep(1)
            w = Window(ctx, run)
            prober.phase()
            times.append(time.monotonic())
            for _ in range(events):
                time.sleep(CALM)
                calm.append(prober.phase()['kept'])
                times.append(time.monotonic())
                arrived.append(self.wait_for(run, stage, event, asker))
                time.sleep(AFTER)
                busy.append(prober.phase()['kept'])
                times.append(time.monotonic())
            window = w.close(0)
            turns = tracer.finish()
            g = load.finish()
        if tracer.what:
            print('note: turns were not traced: %s' % tracer.what, file=sys.stderr)
        if asker and asker.trouble:
            raise RuntimeError('asking for pages: %s' % asker.trouble)
        median = sorted(p['p50_us'] for p in calm)[len(calm) // 2]

        def worst(phases, name):
            return (max(p[name] for p in phases) - median) / 1e3
        return dict(window, rate=g['requests'] / g['secs'], errors=g['errors'], median_ms=median / 1e3,
                    held_ms=worst(busy, 'max_us'), p999_ms=worst(busy, 'p999_us'),
                    calm_held_ms=worst(calm, 'max_us'), calm_p999_ms=worst(calm, 'p999_us'),
                    turn_ms=turnlength.longest(turns, list(zip(times[1::2], times[2::2]))),
                    calm_turn_ms=turnlength.longest(turns, list(zip(times[0::2], times[1::2]))),
                    lost=sum(p['failed'] for p in calm + busy), arrived_s=max(arrived))

    @staticmethod
    def wait_for(run, stage, event, asker):
        """Seconds from an event until the proxy works with what is new."""
        start = time.monotonic()
        stage.happen(run, event)
        while not stage.has_arrived(run, event, asker):
            if time.monotonic() - start > PATIENCE:
                raise RuntimeError('%s: the change did not arrive in %d s' % (event, PATIENCE))
            time.sleep(LOOK)
        return time.monotonic() - start


class Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        pass
