"""Differences of a few percent: two proxies stand side by side and are loaded in turn, for so short a time that the machine
is as noisy for the one as for the other. The figure is the median over pairs."""
import statistics
import time

from .subjects import SUBJECTS, Running
from .workloads import Window, Workload, gen

PAIRS = 150              # of short runs, one of each proxy
SLICE = 0.25             # seconds of one run


class Pairs(Workload):
    unit, cost, cost_unit = 'req/s', 'more_percent', '% more CPU'
    columns = ['first_us', 'second_us', 'quartile_low', 'quartile_high']
    subjects = ['exaproxy']
    max_rounds = 1

    def measure(self, ctx, subject, variant, size):
        mode, args = variant.get('mode', 'get'), variant.get('args', {'path': '/b/1024', 'conns': 64})
        opts = variant.get('opts', {})
        first, second = SUBJECTS[variant.get('first', subject.name)], SUBJECTS[variant.get('second', subject.name)]
        with Running(first, ctx, opts) as one, Running(second, ctx, opts) as other:
            for run in (one, other):
                gen(ctx, run, mode, duration=size.warm, **dict(args, requests=None))
            start, before = Window(ctx, one), other.snapshot()
            pairs, tools = [], 0.0
            for number in range(PAIRS):
                costs = {}
                for run in (one, other) if number % 2 else (other, one):
                    costs[run], cpu = self.slice(ctx, run, mode, args)
                    tools += cpu
                pairs.append((costs[one], costs[other]))
            # The other proxy is no stranger.
            window = start.close(tools + other.snapshot().since(before)[0])
        ratios = sorted(after / before - 1 for before, after in pairs)
        quarter = len(ratios) // 4
        median = statistics.median
        return dict(window, rate=0, errors=0, more_percent=median(ratios) * 100, quartile_low=ratios[quarter] * 100,
                    quartile_high=ratios[-1 - quarter] * 100, first_us=median(pair[0] for pair in pairs) * 1e6,
                    second_us=median(pair[1] for pair in pairs) * 1e6)

    @staticmethod
    def slice(ctx, run, mode, args):
        """CPU seconds of one request, and what the load took."""
        before = run.snapshot()
        g = gen(ctx, run, mode, duration=None if 'requests' in args else SLICE, **args)
        time.sleep(0.05)     # the writer of a log comes behind
        main, _ = run.snapshot().since(before)
        return main / g['requests'], g['gen_cpu']


class AccessLog(Pairs):
    name = 'W13'
    what = 'W1 with an access log to a file, against W1 without one, in %d pairs of %s s' % (PAIRS, SLICE)
    variants = [{'variant': 'none'}, {'variant': 'squid', 'second': 'exaproxy-access'},
                {'variant': 'combined', 'second': 'exaproxy-combined'}]


class Ways(Pairs):
    name = 'W19'
    what = ('W1 by interception against W1 in forward mode, and W2 with a PROXY header of version 2 against W2 without one, in '
            '%d pairs of %s s' % (PAIRS, SLICE))
    variants = [{'variant': name, 'first': first, 'second': second, 'args': args} for name, first, second, args in (
        ('same', 'exaproxy-proxied', 'exaproxy-proxied', {'path': '/b/1024', 'conns': 64}),
        ('intercept', 'exaproxy-proxied', 'exaproxy-intercept', {'path': '/b/1024', 'conns': 64}),
        ('same, a connection each', 'exaproxy', 'exaproxy', {'path': '/b/1024', 'conns': 64, 'close': True}),
        ('PROXY header', 'exaproxy', 'exaproxy-proxied', {'path': '/b/1024', 'conns': 64, 'close': True}))]


class ByUnixSocket(Pairs):
    name = 'W23'
    what = 'W1 and W2 by a Unix socket against the same by loopback TCP, in %d pairs of %s s' % (PAIRS, SLICE)
    variants = [{'variant': name, 'second': second, 'args': args} for name, second, args in (
        ('same', 'exaproxy', {'path': '/b/1024', 'conns': 64}),
        ('unix', 'exaproxy-unix', {'path': '/b/1024', 'conns': 64}),
        ('unix, a connection each', 'exaproxy-unix', {'path': '/b/1024', 'conns': 64, 'close': True}))]


class Before(Pairs):
    name = 'W15'
    what = ('W1, W2, W3 to W5 with bodies of 16 MiB, W7 (helper in C) and W9 of this build against those of the build that '
            'EXAPROXY_BEFORE names, in %d pairs of %s s, or of 32 bodies' % (PAIRS, SLICE))
    variants = [{'variant': name, 'first': first, **what} for first, name, what in (
        ('exaproxy', 'same', {}),
        ('exaproxy-before', 'W1', {}),
        ('exaproxy-before', 'W2', {'args': {'path': '/b/1024', 'conns': 64, 'close': True}}),
        ('exaproxy-before', 'W3', {'args': {'path': '/b/16777216', 'conns': 8, 'requests': 32}}),
        ('exaproxy-before', 'W4', {'mode': 'tunnel', 'args': {'path': '/b/16777216', 'conns': 8, 'requests': 32}}),
        ('exaproxy-before', 'W5', {'mode': 'post', 'args': {'body': 16777216, 'conns': 8, 'requests': 32}}),
        ('exaproxy-before', 'W7', {'opts': {'helper': 'c'}}),
        ('exaproxy-before', 'W9', {'mode': 'churn', 'args': {'conns': 32}}))]


class Users(Pairs):
    name = 'W21'
    what = ('W1 with credentials in each request, at a proxy with users (bcrypt of cost 10, checked before) against one without, '
            'in %d pairs of %s s' % (PAIRS, SLICE))
    args = {'path': '/b/1024', 'conns': 64, 'header': 'Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA=='}
    variants = [{'variant': 'none', 'args': args}, {'variant': 'users', 'second': 'exaproxy-users', 'args': args}]
