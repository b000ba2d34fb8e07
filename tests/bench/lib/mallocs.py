"""Counts how often a subject asks its allocator for memory per unit of work, with a preloaded counter
(helpers/mallocs.c). The counts do not depend on how busy the machine is."""
import os
import struct

from .subjects import Running, write
from .syscalls import LOADS
from .workloads import gen

FIELDS = ('malloc', 'realloc', 'free', 'malloc bytes', 'realloc bytes')
GOALS = {'W1': 3}        # calls of malloc and realloc per unit
WARM = 64                # units of the load's own kind before counting begins, for each of its connections


def read(path):
    with open(path, 'rb') as f:
        return struct.unpack('5Q', f.read(40))


def count(ctx, subject, workload):
    """(unit, units done, counts) of one run; the load's connections are opened within it."""
    unit, load, units = LOADS[workload.name]
    load = dict(load)
    mode = load.pop('mode')
    path = write(os.path.join(ctx.folder('mallocs'), 'counts'), '\0' * 4096)
    os.chmod(path, 0o666)
    opts = dict(workload.opts(workload.variants[0]),
                preload={'LD_PRELOAD': ctx.tool('mallocs.so'), 'MALLOC_COUNTS': path})
    with Running(subject, ctx, opts) as run:
        warm = load['conns'] if unit == 'GiB' else WARM * load['conns']
        gen(ctx, run, mode, give_up=60, **dict(load, requests=warm))
        before = read(path)
        if not any(before):
            raise RuntimeError('%s was not counted: it does not use the allocator of libc' % subject.name)
        g = gen(ctx, run, mode, give_up=300, **load)
        return unit, units(g), [a - b for a, b in zip(read(path), before)]


def table(ctx, subjects, workloads):
    """Markdown text: calls per unit of work."""
    lines = ['| workload | subject | per | malloc + realloc | goal | ' + ' | '.join(FIELDS) + ' |', '|' + '---|' * 10]
    for workload in workloads:
        for subject in subjects:
            if workload.name not in LOADS or subject.name not in workload.subjects:
                continue
            try:
                unit, units, counts = count(ctx, subject, workload)
            except RuntimeError as e:
                lines.append('| %s | %s | %s |' % (workload.name, subject.name, str(e).replace('|', '/')))
                continue
            goal = GOALS.get(workload.name)
            each = [n / units for n in counts]
            verdict = '-'
            if goal:      # what is done once a second adds thousandths
                verdict = '%d: %s' % (goal, 'met' if round(each[0] + each[1], 1) <= goal else 'MISSED')
            lines.append('| %s | %s | %s | %.2f | %s | %s |' % (
                workload.name, subject.name, unit, each[0] + each[1], verdict, ' | '.join('%.2f' % n for n in each)))
    return '\n'.join(lines) + '\n'
