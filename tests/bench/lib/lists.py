"""A block list of 1,000,000 names: what it costs a request, how long the loop is held while it is replaced, and what Squid
pays for the same."""
import base64
import os
import subprocess
import time

from .pairs import PAIRS, SLICE, Pairs
from .subjects import ExaProxy, Running, Squid, SUBJECTS, write
from .turns import AWAY, HERE, MARK, Stage, Turns, ask
from .workloads import MIB, Window, Workload, gen, rate_row

LISTED = 1_000_000
ASKED = 'www.small.bench.test'   # a name that is on no list, and leads to the origin


def names(version=0):
    return ('a%06d.list%d.bench.test\n' % (number, number % 7 + 10 * version) for number in range(LISTED))


def listed(ctx):
    """The file, made once."""
    path = os.path.join(ctx.top, 'million')
    if not os.path.exists(path):
        write(path, ''.join(names()))
    return path


class ExaProxyLists(ExaProxy):
    name, what = 'exaproxy-lists', 'as exaproxy, with a block list of 1,000,000 names'

    def command(self, ctx, folder, port, opts):
        argv, env = super().command(ctx, folder, port, opts)
        return argv, dict(env, exaproxy_acl_blocklist=listed(ctx))


class SquidLists(Squid):
    name, what, patience = 'squid-lists', 'as squid, with dstdomain of the same 1,000,000 names', 120

    def command(self, ctx, folder, port, opts):
        argv, env = super().command(ctx, folder, port, opts)
        conf = argv[argv.index('-f') + 1]
        with open(conf) as f:
            text = f.read()
        write(conf, text.replace('http_access allow all', 'acl listed dstdomain -n "%s"\nhttp_access deny listed\n'
                                 'http_access allow all' % listed(ctx), 1))
        return argv, env


USER, PASSWORD = 'anna', 'birch-lake-7'
CREDENTIALS = 'Proxy-Authorization: Basic ' + base64.b64encode(('%s:%s' % (USER, PASSWORD)).encode()).decode()


def users(ctx):
    """A users file with one hash, of a kind that both read."""
    path = os.path.join(ctx.top, 'users')
    if not os.path.exists(path):
        made = subprocess.run(['openssl', 'passwd', '-apr1', '-salt', 'bench', PASSWORD], stdout=subprocess.PIPE, check=True)
        write(path, '%s:%s' % (USER, made.stdout.decode()))
    return path


class ExaProxyAuth(ExaProxyLists):
    name, what, credentials = 'exaproxy-auth', 'as exaproxy-lists, for users with a password ($apr1$)', True

    def command(self, ctx, folder, port, opts):
        argv, env = super().command(ctx, folder, port, opts)
        return argv, dict(env, exaproxy_auth_enable='true', exaproxy_auth_users=users(ctx))


class SquidAuth(SquidLists):
    name, what, credentials = 'squid-auth', 'as squid-lists, with basic_ncsa_auth and the same users file', True
    helper = '/usr/lib/squid/basic_ncsa_auth'

    def command(self, ctx, folder, port, opts):
        argv, env = super().command(ctx, folder, port, opts)
        conf = argv[argv.index('-f') + 1]
        with open(conf) as f:
            text = f.read()
        write(conf, 'auth_param basic program %s %s\nauth_param basic children 5\nauth_param basic credentialsttl 2 hours\n'
              'acl users proxy_auth REQUIRED\n' % (self.helper, users(ctx))
              + text.replace('http_access allow all', 'http_access allow users\nhttp_access deny all', 1))
        return argv, env


for own in (ExaProxyLists(), SquidLists(), ExaProxyAuth(), SquidAuth()):
    SUBJECTS[own.name] = own


class ListPairs(Pairs):
    name = 'W16'
    what = ('small GET of a name, 64 kept connections, with a block list of 1,000,000 other names against without, in %d pairs '
            'of %s s' % (PAIRS, SLICE))
    variants = [dict(variant, args={'path': '/b/1024', 'conns': 64, 'names': ASKED}) for variant in (
        {'variant': 'none'}, {'variant': 'list', 'second': 'exaproxy-lists'})]


class ListStage(Stage):
    """Two versions of the list, which differ in all names; the marker is in each second one."""

    def __init__(self, ctx, versions):
        self.folder = ctx.folder('lists')
        self.port = ctx.free_port()
        self.hosts, self.list = os.path.join(self.folder, 'hosts'), os.path.join(self.folder, 'list')
        self.version = {'lists': 0}
        write(self.hosts, '%s %s\n' % (HERE, MARK))
        for version in range(versions + 1):
            write('%s.%d' % (self.list, version), (MARK + '\n' if version % 2 else '') + ''.join(names(version)))
        self.replace()

    def replace(self):
        os.rename('%s.%d' % (self.list, self.version['lists']), self.list)

    def opts(self):
        return {'env': {'exaproxy_dns_hosts': self.hosts, 'exaproxy_acl_blocklist': self.list},
                'local': ['%s:%d' % (host, self.port) for host in (HERE, AWAY)]}

    def happen(self, run, event):
        self.version[event] += 1
        self.replace()

    def has_arrived(self, run, event, asker):
        status, _ = ask(run.port, 'http://%s:%d/p/0123456789' % (MARK, self.port))
        return (status == 403) == (self.version[event] % 2 == 1)


class ListTurns(Turns):
    name = 'W17'
    what = ('64 busy clients while a block list of 1,000,000 names is replaced by another; a client of its own asks every 2 ms')
    variants = [{'variant': 'lists'}]
    stage = ListStage


class ListLoad(Workload):
    """From the start of the process until it serves, then what it holds, then small GETs."""
    name, unit = 'W18', 'req/s'
    what = 'start with a block list of 1,000,000 names, then W1 for a name that is not listed'
    columns = ['ready_s', 'load_cpu_s', 'rss_mib', 'p50_us', 'p99_us']
    subjects = ['squid', 'squid-lists', 'squid-auth', 'exaproxy', 'exaproxy-lists', 'exaproxy-auth']

    def measure(self, ctx, subject, variant, size):
        listed(ctx)
        start = time.monotonic()
        with Running(subject, ctx) as run:
            # It may listen before it serves.
            header = CREDENTIALS if getattr(subject, 'credentials', False) else None
            given = dict([header.split(': ')]) if header else {}
            status, _ = ask(run.port, 'http://%s:%d/b/1024' % (ASKED, ctx.origin_port), given)
            ready, loaded = time.monotonic() - start, run.snapshot()
            if status != 200:
                raise RuntimeError('%s answers %d: %s' % (subject.name, status, run.said()))
            args = dict(path='/b/1024', conns=64, names=ASKED, header=header)
            gen(ctx, run, 'get', duration=size.warm, **args)
            rss = run.rss() / MIB
            w = Window(ctx, run)
            g = gen(ctx, run, 'get', duration=size.seconds, **args)
            cpu = sum(loaded.cpu.values()) / 1e9
            return dict(rate_row(g, w.close(g['gen_cpu'])), ready_s=ready, load_cpu_s=cpu, rss_mib=rss)
