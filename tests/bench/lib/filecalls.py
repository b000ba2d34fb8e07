"""Counts the system calls that have to do with files while requests are answered, with a page folder in use: the loop
should make none, neither for what it relays nor for what it answers itself."""
import collections
import os
import re
import shutil
import signal
import socket
import time

from . import syscalls
from .subjects import Running, write

TIMES = 100
SETTLED = 4              # seconds after which a file counts as left alone
TRACED = '%file,fstat,pread64,getdents64,lseek'
PAGES = ('classify', 'deny', 'dns', 'error', 'internal_error', 'noconnect', 'success')


def head(line, host):
    return ('%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' % (line, host)).encode()


def kinds(ctx, dead_port):
    """What is asked, and the statuses that may come."""
    origin = '127.0.0.1:%d' % ctx.origin_port
    return [
        ('GET of 1 KiB, relayed', head('GET http://%s/b/1024' % origin, origin), (200,)),
        ('bad request line', b'GET\r\n\r\n', (400,)),
        ('two lengths that differ', b'POST http://%s/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n' % (
            origin.encode(), origin.encode()), (400,)),
        ('address that is not allowed', head('GET http://127.0.0.1:1/', '127.0.0.1:1'), (403,)),
        ('CONNECT to a port that is not allowed', head('CONNECT 192.0.2.1:25', '192.0.2.1:25'), (403,)),
        ('origin that refuses', head('GET http://127.0.0.1:%d/' % dead_port, '127.0.0.1:%d' % dead_port), (502, 503)),
        ('name without a dot', head('GET http://nodot/', 'nodot'), (502, 503)),
    ]


def ask(port, request):
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        s.sendall(request)
        text = b''
        while data := s.recv(1 << 16):
            text += data
    return int(text.split(b' ', 2)[1])


def parse(path, loop):
    """Calls by the loop's thread and by others, each by name."""
    counts = collections.Counter(), collections.Counter()
    with open(path) as f:
        for line in f:
            found = re.match(r'\s*(\d+)\s+([a-z0-9_]+)\(', line)
            if found:
                counts[int(found[1]) != loop][found[2]] += 1
    return counts


def count(ctx, run, number, request, statuses):
    ask(run.port, request)
    out = os.path.join(ctx.top, 'filecalls-%d' % number)
    tracer = syscalls.attach(run.pid, out, ('-f', '-e', 'trace=' + TRACED))
    got = collections.Counter(ask(run.port, request) for _ in range(TIMES))
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    if set(got) - set(statuses):
        raise RuntimeError('statuses %s instead of %s' % (dict(got), statuses))
    return got, parse(out, run.pid)


def shown(counts):
    return ', '.join('%s %.2f' % (name, n / TIMES) for name, n in counts.most_common()) or '-'


def table(ctx, subjects):
    """Markdown text: calls per answer."""
    if not shutil.which('strace'):
        return 'not counted: strace is not installed\n'
    lines = ['| subject | %d times | status | file calls of the loop per answer (goal 0) | which | of other threads |' % TIMES,
             '|---|---|---|---|---|---|']
    folder, dead = ctx.folder('pages'), ctx.free_port()
    for name in PAGES:
        write(os.path.join(folder, name + '.html'), '<html>%s' % name)
    time.sleep(SETTLED)
    opts = {'env': {'exaproxy_web_html': folder}, 'local': ['127.0.0.1:%d' % dead]}
    for subject in subjects:
        with Running(subject, ctx, opts) as run:
            for number, (what, request, statuses) in enumerate(kinds(ctx, dead)):
                got, (loop, others) = count(ctx, run, number, request, statuses)
                lines.append('| %s | %s | %s | %.2f | %s | %s |' % (
                    subject.name, what, ' '.join(map(str, got)), sum(loop.values()) / TIMES, shown(loop), shown(others)))
    return '\n'.join(lines) + '\n'
