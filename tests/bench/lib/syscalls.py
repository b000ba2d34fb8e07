"""Counts the system calls that a subject makes per unit of work, with strace -c. Its figures are counts, never
times: a traced process is many times slower."""
import os
import shutil
import signal
import subprocess
import time

from . import measure
from .subjects import Running
from .workloads import GIB, gen

ATTACH_SECONDS = 10
COUNT = ('-c', '-f', '-U', 'calls,errors,name')

# workload -> (unit, how the load is made, how many units it was)
LOADS = {
    'W1': ('request', dict(mode='get', path='/b/1024', conns=64, requests=20000), lambda g: g['requests']),
    'W2': ('request', dict(mode='get', path='/b/1024', conns=64, requests=5000, close=True), lambda g: g['requests']),
    'W3': ('GiB', dict(mode='get', path='/b/%d' % (GIB // 8), conns=8, requests=8), lambda g: g['bytes_in'] / GIB),
    'W4': ('GiB', dict(mode='tunnel', path='/b/%d' % (GIB // 8), conns=8, requests=8), lambda g: g['bytes_in'] / GIB),
    'W5': ('GiB', dict(mode='post', body=GIB // 16, conns=8, requests=16), lambda g: g['requests'] / 16),
    'W7': ('request', dict(mode='get', path='/b/1024', conns=64, requests=10000), lambda g: g['requests']),
    'W24': ('hit', dict(mode='get', path='/c/1024', conns=64, requests=20000), lambda g: g['requests']),
    'W25': ('GiB', dict(mode='get', path='/c/262144', conns=8, requests=4096), lambda g: g['bytes_in'] / GIB),
    'W9': ('tunnel', dict(mode='churn', conns=32, requests=5000), lambda g: g['requests']),
}


def attach(pid, out, options=COUNT):
    """strace on all processes of a subject and their threads; returns once it follows them."""
    family = measure.tree(pid)
    words = [word for member in family for word in ('-p', str(member))]
    tracer = subprocess.Popen(['strace', *options, '-o', out] + words, stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    end = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < end and tracer.poll() is None:
        if all(traced(member) for member in family):
            return tracer
        time.sleep(0.05)
    raise RuntimeError('strace did not attach')


def traced(pid):
    with open('/proc/%d/status' % pid) as f:
        return any(l.startswith('TracerPid:') and l.split()[1] != '0' for l in f)


def parse(path):
    """Rows of (name, calls, errors), most frequent first."""
    rows = []
    with open(path) as f:
        for text in f:
            words = text.split()
            if len(words) >= 2 and words[0].isdigit() and words[-1] != 'total':
                rows.append((words[-1], int(words[0]), int(words[1]) if len(words) == 3 else 0))
    return sorted(rows, key=lambda r: -r[1])


def count(ctx, subject, workload):
    """(unit, units done, rows) of one traced run."""
    unit, load, units = LOADS[workload.name]
    load = dict(load)
    mode = load.pop('mode')
    with Running(subject, ctx, workload.opts(workload.variants[0])) as run:
        gen(ctx, run, mode, **dict(load, requests=load['conns']))     # connections and caches are warm
        out = os.path.join(ctx.top, 'strace-%s-%s' % (workload.name, subject.name))
        tracer = attach(run.pid, out)
        g = gen(ctx, run, mode, give_up=300, **load)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        return unit, units(g), parse(out)


def table(ctx, subjects, workloads):
    """Markdown text: calls per unit of work."""
    if not shutil.which('strace'):
        return 'not counted: strace is not installed\n'
    lines = ['| workload | subject | per | calls | of which |', '|---|---|---|---|---|']
    for workload in workloads:
        for subject in subjects:
            if workload.name not in LOADS or subject.name not in workload.subjects:
                continue
            unit, units, rows = count(ctx, subject, workload)
            parts = ['%s %.2f%s' % (name, calls / units, ' (%.2f failed)' % (errors / units) if errors / units >= 0.005 else '')
                     for name, calls, errors in rows if calls / units >= 0.005]
            total = sum(calls for _, calls, _ in rows) / units
            lines.append('| %s | %s | %s | %.2f | %s |' % (workload.name, subject.name, unit, total, ', '.join(parts)))
    return '\n'.join(lines) + '\n'
