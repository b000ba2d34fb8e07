"""How long the turns of an event loop take, seen from outside: perf notes when the thread leaves epoll_wait and when it
comes back to it. Time in which others had its core is not counted; time in which it slept elsewhere, as for a disk, is."""
import os
import re
import shutil
import signal
import subprocess
import time

EVENTS = 'syscalls:sys_enter_epoll_wait,syscalls:sys_exit_epoll_wait'
TRACEFS = '/sys/kernel/tracing'
LINE = re.compile(r'(\d+\.\d+):\s+(PERF_RECORD_SWITCH IN|PERF_RECORD_SWITCH OUT *(?:preempt)?|\S+)')


class Tracer:
    """Of the thread whose number is the process's. `what` says why there is none."""

    def __init__(self, ctx, run):
        self.p, self.path = None, os.path.join(run.folder, 'perf.data')
        self.what = prepare(ctx)
        if self.what:
            return
        words = ['perf', 'record', '-q', '-k', 'CLOCK_MONOTONIC', '-o', self.path, '-e', EVENTS, '--switch-events', '-t',
                 str(run.pid)]
        self.p = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ctx.pin_load)
        time.sleep(0.5)
        if self.p.poll() is not None:
            self.p, self.what = None, 'perf cannot trace system calls here'

    def finish(self):
        """All turns: when one began and ended (time.monotonic), and its seconds."""
        if not self.p:
            return []
        self.p.send_signal(signal.SIGINT)
        self.p.wait()
        words = ['perf', 'script', '-i', self.path, '-F', 'time,event', '--ns', '--show-switch-events']
        out = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return list(turns(out.stdout.decode(errors='replace').splitlines()))


def prepare(ctx):
    """Why it cannot be done, or None."""
    if not shutil.which('perf'):
        return 'perf is not installed'
    if ctx.isolated and not os.path.exists(TRACEFS + '/events'):
        subprocess.run(['mount', '-t', 'tracefs', 'nodev', TRACEFS], stderr=subprocess.DEVNULL)
    return None


def turns(lines):
    began = away = None
    lost = 0.0               # seconds of this turn in which others had the core
    for line in lines:
        found = LINE.search(line)
        if not found:
            continue
        at, event = float(found[1]), found[2].rstrip(':')
        if event.endswith('sys_exit_epoll_wait'):
            began, away, lost = at, None, 0.0
        elif event.endswith('sys_enter_epoll_wait'):
            if began is not None:
                yield began, at, at - began - lost
            began = None
        elif event.endswith('preempt'):
            away = at
        elif event.endswith('IN') and away is not None:
            lost += at - away
            away = None


def longest(found, windows):
    """Milliseconds of the longest turn of which a part is in one of the windows; None where there is none."""
    inside = [length for began, ended, length in found if any(began <= b and ended >= a for a, b in windows)]
    return max(inside) * 1e3 if inside else None
