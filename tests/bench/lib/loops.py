"""Several loops in one process: what they cost for each request, what they carry, and what memory their clients take, that of
the kernel included."""
import time

from . import measure
from .pairs import PAIRS, SLICE, Pairs
from .workloads import MIB, Holder, KeepAlive, Workload, Window, gen, rate_row

CLIENTS = 8000           # of which each has a place where a process may have 20,000 descriptors


class Loops(Pairs):
    name = 'W32'
    what = ('W1 by two loops against W1 by one, proxies and load on both cores, in %d pairs of %s s' % (PAIRS, SLICE))
    variants = [{'variant': 'none'}, {'variant': 'two', 'second': 'exaproxy-2'}]

    def measure(self, ctx, subject, variant, size):
        with ctx.every_core():
            return super().measure(ctx, subject, variant, size)


class Saturated(KeepAlive):
    """As many requests as both cores have time for, load and origin on them, too."""
    name, cost, cost_unit = 'W33', 'wall_us', 'us a request'
    what = 'W1 as fast as it goes, proxy and load on both cores; one loop or thread, and two (-2)'
    columns = ['cpu_us', 'p50_us', 'p99_us', 'proxy_core', 'load_core']
    subjects = ['haproxy', 'haproxy-2', 'exaproxy', 'exaproxy-2']

    def measure(self, ctx, subject, variant, size):
        with ctx.every_core():
            return super().measure(ctx, subject, variant, size)

    def drive(self, ctx, run, variant, size):
        args = dict(path='/b/1024', conns=64)
        gen(ctx, run, 'get', duration=size.warm, **args)
        w = Window(ctx, run)
        g = gen(ctx, run, 'get', duration=size.seconds, **args)
        row = rate_row(g, w.close(g['gen_cpu']))
        return dict(row, wall_us=1e6 / row['rate'])


class Memory(Workload):
    """Both ends of a connection are on this machine, so that the kernel's share of a client is half of what it takes more."""
    name, unit, cost, cost_unit = 'W34', 'held', 'per_conn', 'bytes/conn'
    what = '8000 idle clients: memory of the process, of the kernel (slab and socket buffers), and of a loop without clients'
    columns = ['idle_mib', 'rss_mib', 'rss_per_conn', 'kernel_per_conn']
    subjects = ['haproxy', 'haproxy-2', 'exaproxy', 'exaproxy-2', 'exaproxy-4']
    variants = [{'variant': 'none'}, {'variant': 'served'}]
    max_rounds = 2

    def drive(self, ctx, run, variant, size):
        idle = run.rss()
        each = 0 if variant['variant'] == 'none' else 1
        gen(ctx, run, 'get', path='/b/1024', conns=64, duration=size.warm)
        time.sleep(0.5)
        rss, kernel = run.rss(), measure.kernel_sockets()
        w = Window(ctx, run)
        holder = Holder(ctx, run, CLIENTS, each)
        try:
            time.sleep(0.5)
            held = holder.got['held']
            if held < CLIENTS:
                raise RuntimeError('only %d of %d connections held (%s)' % (held, CLIENTS, holder.got))
            full, slab = run.rss(), measure.kernel_sockets()
        finally:
            holder.release()
        own, kernels = (full - rss) / held, (slab - kernel) / held / 2
        return dict(w.close(0), rate=held, idle_mib=idle / MIB, rss_mib=full / MIB, rss_per_conn=own, kernel_per_conn=kernels,
                    per_conn=own + kernels, errors=0)
