"""The cache: what a hit costs, how clients that ask at once share, what an object takes, what a miss costs more."""
import urllib.request

from . import measure
from .pairs import PAIRS, SLICE, Pairs
from .workloads import GIB, MIB, Download, KeepAlive, Window, Workload, bulk_row, gen, rate_row

CACHES = ['squid', 'nginx', 'varnish', 'exaproxy']


class Hits(KeepAlive):
    name = 'W24'
    what = 'hits of 1 KiB, 64 kept connections, as W1'
    subjects = CACHES

    def opts(self, variant):
        return {'cache': True}

    def drive(self, ctx, run, variant, size):
        args = dict(path='/c/1024', conns=64)
        gen(ctx, run, 'get', duration=size.warm, **args)
        asked = served(ctx)
        w = Window(ctx, run)
        g = gen(ctx, run, 'get', duration=size.seconds, **args)
        row = rate_row(g, w.close(g['gen_cpu']))
        if served(ctx) != asked:
            raise RuntimeError('%d requests were no hits' % (served(ctx) - asked))
        return row


class LargeHits(Download):
    name = 'W25'
    what = 'hits of 256 KiB, 8 connections, 1 GiB in all'
    subjects = CACHES

    def opts(self, variant):
        return {'cache': True}

    def drive(self, ctx, run, variant, size):
        count = size.bulk_mib * 16
        args = dict(path='/c/%d' % (256 << 10), conns=8)
        gen(ctx, run, 'get', requests=8, give_up=30, **args)
        asked = served(ctx)
        if run.pid:
            measure.reset_peak(run.pid)
        w = Window(ctx, run)
        g = gen(ctx, run, 'get', requests=count, give_up=120, **args)
        row = bulk_row(g, w.close(g['gen_cpu']), count * (256 << 10), g['bytes_in'])
        if served(ctx) != asked:
            raise RuntimeError('%d requests were no hits' % (served(ctx) - asked))
        row['peak_mib'] = measure.peak_rss(run.pid) / MIB if run.pid else 0
        return row


class Collapsed(Workload):
    name, unit, cost, cost_unit = 'W26', 'clients/s', 'asked', 'requests at the origin'
    what = '1,000 clients at once for one object of 1 MiB that is not there'
    columns = ['cpu_s_per_gib', 'peak_mib', 'p99_us', 'errors']
    subjects = CACHES
    clients = 1000

    def opts(self, variant):
        return {'cache': True}

    def drive(self, ctx, run, variant, size):
        gen(ctx, run, 'get', path='/c/1024', conns=64, duration=size.warm)
        asked = served(ctx)
        measure.reset_peak(run.pid)
        w = Window(ctx, run)
        g = gen(ctx, run, 'get', path='/c/%d' % MIB, conns=self.clients, requests=self.clients, give_up=120)
        row = w.close(g['gen_cpu'])
        if g['requests'] < self.clients:
            raise RuntimeError('%d of %d clients were served' % (g['requests'], self.clients))
        return dict(row, rate=g['requests'] / g['secs'], asked=served(ctx) - asked, p99_us=g['p99_us'], errors=g['errors'],
                    cpu_s_per_gib=row['main_cpu'] / (g['bytes_in'] / GIB), peak_mib=measure.peak_rss(run.pid) / MIB)


class Objects(Workload):
    """Against the memory before, once everything that a first thousand objects bring is there."""
    name, unit, cost, cost_unit = 'W27', 'req/s', 'beside', 'bytes beside the body'
    what = '100,000 objects of 1,000 bytes that are kept'
    columns = ['rss_mib', 'cpu_us']
    subjects = CACHES
    max_rounds = 1
    body = 1000

    def opts(self, variant):
        return {'cache': True}

    def drive(self, ctx, run, variant, size):
        args = dict(path='/c/%d?%%d' % self.body, conns=64, numbered=True, give_up=120)
        gen(ctx, run, 'get', requests=1000, **args)
        before = run.rss()
        count = 10_000 if size.bulk_mib < 256 else 100_000
        w = Window(ctx, run)
        g = gen(ctx, run, 'get', requests=count, names_start=1000, **args)
        row = rate_row(g, w.close(g['gen_cpu']))
        return dict(row, beside=(run.rss() - before) / count - self.body, rss_mib=run.rss() / MIB)


class Misses(Pairs):
    name = 'W28'
    what = ('W1 with a cache that has none of it, against W1 without one, in %d pairs of %s s; kept: each response is one that '
            'is kept, and another goes for it' % (PAIRS, SLICE))
    private = {'path': '/b/1024', 'conns': 64}
    kept = {'path': '/c/1024?%d', 'conns': 64, 'numbered': True}
    variants = [{'variant': 'none', 'args': private},
                {'variant': 'not kept', 'args': private, 'second': 'exaproxy-cached'},
                {'variant': 'kept', 'args': kept, 'second': 'exaproxy-cached'}]
    numbers = 0

    @staticmethod
    def slice(ctx, run, mode, args):
        # Each run of the generator asks for what none has asked for before.
        Misses.numbers += 1_000_000
        more = {'names_start': Misses.numbers} if args.get('numbered') else {}
        return Pairs.slice(ctx, run, mode, dict(args, **more))


def served(ctx):
    """How often the origin has sent what may be kept."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open('http://127.0.0.1:%d/count' % ctx.origin_port, timeout=10) as reply:
        return int(reply.read())
