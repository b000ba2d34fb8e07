"""The proxies under test: how each is configured, started and stopped."""
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time

from . import measure

ROOT = os.geteuid() == 0
FD_LIMIT = 20000
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def user_name():
    return pwd.getpwuid(os.geteuid()).pw_name


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


class Subject:
    """peer: counts when the best peer is looked for; program: binary looked for on PATH."""
    name = ''
    program = None
    peer = True
    what = ''
    forms = 'http'           # 'tcp' subjects only relay bytes to the fixed origin
    origin_form = False      # the subject wants origin-form targets (reverse proxies)

    def missing(self):
        return None if shutil.which(self.program) else '%s is not installed' % self.program

    def version(self):
        return ''

    def command(self, ctx, folder, port, opts):
        """Writes the configuration into folder; returns (argv, environment additions)."""
        raise NotImplementedError


def first_line(*argv):
    try:
        out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10)
        return out.stdout.decode(errors='replace').splitlines()[0].split(' - ')[0].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return ''


class Direct(Subject):
    name, peer, what = 'direct', False, 'no proxy: load generator and origin alone'

    def missing(self):
        return None


class HAProxy(Subject):
    name, program, what = 'haproxy', 'haproxy', 'HTTP mode, fixed origin, http-reuse always, 1 thread'
    mode, splice, dynamic = 'http', False, False

    def version(self):
        return first_line('haproxy', '-v')

    def command(self, ctx, folder, port, opts):
        # the fd ratios: by default idle server connections are given up once 25% of the file
        # descriptors are in use, which W6 would reach
        lines = ['global', '  nbthread 1', '  maxconn 9600', '  tune.pool-high-fd-ratio 95',
                 '  tune.pool-low-fd-ratio 90', 'defaults', '  mode ' + self.mode,
                 '  timeout connect 5s', '  timeout client 600s', '  timeout server 600s']
        if self.mode == 'http':
            lines += ['  timeout http-request 600s', '  timeout http-keep-alive 600s']
        if self.splice:
            lines[3:3] = ['  maxpipes 100']
            lines += ['  option splice-auto']
        if self.dynamic:
            lines += ['resolvers r', '  nameserver stub %s:53' % ctx.dns_addr, '  hold valid 300s',
                      '  timeout resolve 1s', '  timeout retry 1s']
        lines += ['frontend f', '  bind 127.0.0.1:%d' % port]
        if self.dynamic:
            ip = 'hdr(host),host_only -m ip'
            lines += ['  http-request set-var(txn.host) hdr(host),host_only',
                      '  acl literal var(txn.host) -m ip 0.0.0.0/0',
                      '  http-request set-var(txn.dst) hdr_ip(host) if literal',
                      '  http-request do-resolve(txn.dst,r,ipv4) var(txn.host) if !literal',
                      '  http-request set-dst var(txn.dst)',
                      '  http-request set-dst-port hdr(host),port_only']
        lines += ['  default_backend b', 'backend b']
        if self.mode == 'http':
            lines += ['  http-reuse always']
        lines += ['  server o ' + ('0.0.0.0:0' if self.dynamic else '127.0.0.1:%d' %
                                   (ctx.slow_port if opts.get('slow') else ctx.origin_port))]
        conf = write(os.path.join(folder, 'haproxy.cfg'), '\n'.join(lines) + '\n')
        return ['haproxy', '-db', '-f', conf], {}


class HAProxyDst(HAProxy):
    name, dynamic = 'haproxy-dst', True
    what = 'HTTP mode, destination taken from the Host header (do-resolve, set-dst)'


class HAProxySplice(HAProxy):
    name, splice, what = 'haproxy-splice', True, 'as haproxy, with splice-auto'


class HAProxyTcp(HAProxy):
    name, mode, splice, forms = 'haproxy-tcp', 'tcp', True, 'tcp'
    what = 'TCP mode to the fixed origin, splice-auto: the layer 4 reference'


class HAProxyTcpCopy(HAProxyTcp):
    name, splice, what = 'haproxy-tcp-copy', False, 'TCP mode without splice'


class Squid(Subject):
    name, program, what, log = 'squid', 'squid', 'forward proxy, caching off, one process, no access log', False
    channels = 0

    def version(self):
        return first_line('squid', '-v')

    def command(self, ctx, folder, port, opts):
        os.chmod(folder, 0o777)
        lines = ['http_port 127.0.0.1:%d' % port, 'http_access allow all', 'cache deny all', 'cache_mem 8 MB',
                 'access_log ' + ('stdio:%s/access.log' % folder if self.log else 'none'),
                 'cache_log %s/cache.log' % folder, 'cache_store_log none', 'logfile_rotate 0',
                 'pid_filename %s/squid.pid' % folder, 'coredump_dir %s' % folder, 'workers 1',
                 'pinger_enable off', 'max_filedescriptors %d' % FD_LIMIT, 'shutdown_lifetime 0 seconds',
                 'request_start_timeout 10 minutes', 'client_idle_pconn_timeout 10 minutes',
                 'server_idle_pconn_timeout 10 minutes', 'visible_hostname bench',
                 'dns_nameservers %s' % ctx.dns_addr]
        if opts.get('helper'):
            channel = ' channel' if self.channels else ''
            lines += ['url_rewrite_program %s%s' % (ctx.helper_command(opts['helper']), channel),
                      'url_rewrite_children %d startup=5 idle=1 concurrency=%d queue-size=1000' % (
                          opts.get('helpers', 25), self.channels)]
        conf = write(os.path.join(folder, 'squid.conf'), '\n'.join(lines) + '\n')
        return ['squid', '-N', '-f', conf], {}


class SquidLog(Squid):
    name, log, what = 'squid-log', True, 'as squid, with an access log file'


class SquidChannels(Squid):
    name, channels, what = 'squid-c100', 100, 'as squid, url helpers with concurrency=100'


class Tinyproxy(Subject):
    name, program, what = 'tinyproxy', 'tinyproxy', 'forward proxy, one thread per connection, no keep-alive'

    def version(self):
        return first_line('tinyproxy', '-v')

    def command(self, ctx, folder, port, opts):
        conf = write(os.path.join(folder, 'tinyproxy.conf'), '\n'.join([
            'Port %d' % port, 'Listen 127.0.0.1', 'Timeout 600', 'MaxClients 12000', 'LogLevel Critical',
            'LogFile "%s/tinyproxy.log"' % folder]) + '\n')
        return ['tinyproxy', '-d', '-c', conf], {}


class Nginx(Subject):
    name, program, what = 'nginx', 'nginx', 'proxy_pass to the fixed origin, upstream keep-alive, 1 worker'
    dynamic = False

    def version(self):
        return first_line('nginx', '-v')

    def command(self, ctx, folder, port, opts):
        to = 'http://$http_host$request_uri' if self.dynamic else 'http://pool'
        conf = '''%s
daemon off; worker_processes 1; pid %s/nginx.pid; error_log %s/error.log error; worker_rlimit_nofile %d;
events { worker_connections 19900; }
http {
  access_log off; server_tokens off; keepalive_timeout 600s; keepalive_requests 1000000000;
  client_header_timeout 600s; client_max_body_size 0;
  client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;
  resolver %s ipv6=off valid=300s;
  upstream pool { server 127.0.0.1:%d; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%d backlog=1024;
    location / {
      proxy_pass %s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_connect_timeout 5s;
      proxy_read_timeout 600s; proxy_send_timeout 600s;
    }
  }
}
''' % ('user %s;' % user_name() if ROOT else '', folder, folder, FD_LIMIT, folder, folder, folder, folder, folder,
            ctx.dns_addr, ctx.slow_port if opts.get('slow') else ctx.origin_port, port, to)
        path = write(os.path.join(folder, 'nginx.conf'), conf)
        return ['nginx', '-e', os.path.join(folder, 'error.log'), '-p', folder, '-c', path], {}


class NginxDyn(Nginx):
    name, dynamic = 'nginx-dyn', True
    what = 'proxy_pass to the Host of the request: no upstream keep-alive then'


class Sozu(Subject):
    name, peer, origin_form = 'sozu', True, True
    what = 'Rust reverse proxy on mio, fixed origin, 1 worker'

    def command_words(self):
        return shlex.split(os.environ.get('SOZU', 'sozu'))

    def missing(self):
        return None if shutil.which(self.command_words()[0]) else 'no sozu on PATH or in SOZU'

    def version(self):
        return first_line(*self.command_words(), '--version')

    def command(self, ctx, folder, port, opts):
        origin = ctx.slow_port if opts.get('slow') else ctx.origin_port
        conf = write(os.path.join(folder, 'sozu.toml'), '''
command_socket = "%s/sozu.sock"
saved_state = "%s/state.json"
log_level = "error"
log_target = "file://%s/sozu.log"
worker_count = 1
worker_automatic_restart = false
handle_process_affinity = false
max_connections = 9600
buffer_size = 16393
min_buffers = 1
max_buffers = 20000
activate_listeners = true
front_timeout = 600
back_timeout = 600
connect_timeout = 5
request_timeout = 600
[[listeners]]
protocol = "http"
address = "127.0.0.1:%d"
front_timeout = 600
back_timeout = 600
request_timeout = 600
[clusters.c]
protocol = "http"
load_balancing = "ROUND_ROBIN"
frontends = [ { address = "127.0.0.1:%d", hostname = "127.0.0.1", path = "/", path_type = "PREFIX" } ]
backends = [ { address = "127.0.0.1:%d" } ]
''' % (folder, folder, folder, port, port, origin))
        return self.command_words() + ['start', '-c', conf], {}


class Floor(Subject):
    """Our own minimal relay, built with the other helpers."""
    name, peer, what, buffer = 'floor', False, 'own minimal C relay, 256 KiB shared buffer: what is attainable', 262144

    def missing(self):
        return None

    def command(self, ctx, folder, port, opts):
        return [ctx.tool('floor'), '--port', str(port), '--buffer', str(self.buffer)], {}


class Floor16(Floor):
    name, buffer, what = 'floor-16k', 16384, 'as floor, 16 KiB buffer'


class Floor64(Floor):
    name, buffer, what = 'floor-64k', 65536, 'as floor, 64 KiB buffer'


class Floor1M(Floor):
    name, buffer, what = 'floor-1m', 1 << 20, 'as floor, 1 MiB buffer'


class Exa(Subject):
    """The original and this project take the same environment variables."""
    variable, default, peer, log, usage, access = '', '', False, False, False, None

    def words(self):
        return shlex.split(os.environ.get(self.variable, self.default))

    def missing(self):
        words = self.words()
        if not words:
            return '%s is not set' % self.variable
        return None if shutil.which(words[0]) else '%s: no such command (%s names it)' % (words[0], self.variable)

    def command(self, ctx, folder, port, opts):
        ports = [ctx.origin_port, ctx.slow_port]
        local = ['127.0.0.1:%d' % p for p in ports] + opts.get('local', [])
        env = {
            'exaproxy_tcp4_host': '127.0.0.1', 'exaproxy_tcp4_port': str(port), 'exaproxy_tcp4_backlog': '1024',
            'exaproxy_web_host': '127.0.0.1', 'exaproxy_web_port': str(ctx.free_port()),
            'exaproxy_daemon_user': user_name(), 'exaproxy_http_connections': '9600',
            'exaproxy_security_local': "'%s'" % ' '.join(local),
            'exaproxy_security_connect': "%s" % ' '.join(['443'] + [str(p) for p in ports]),
            'exaproxy_log_enable': 'true' if self.log else 'false',
            'exaproxy_usage_enable': 'true' if self.usage else 'false',
            'exaproxy_usage_destination': os.path.join(folder, 'usage.log') if self.usage else 'stdout',
            'exaproxy_dns_resolver': ctx.resolv_conf,
        }
        if self.access:
            env.update({'exaproxy_access_enable': 'true', 'exaproxy_access_format': self.access,
                        'exaproxy_access_destination': os.path.join(folder, 'access.log')})
        if opts.get('helper'):
            env.update({'exaproxy_redirector_enable': 'true', 'exaproxy_redirector_protocol': 'url',
                        'exaproxy_redirector_program': ctx.helper_command(opts['helper']),
                        'exaproxy_redirector_minimum': '5',
                        'exaproxy_redirector_maximum': str(opts.get('helpers', 25))})
        env.update(opts.get('env', {}))
        return self.words() + opts.get('words', []), env


class Original(Exa):
    name, variable, what = 'original', 'ORIGINAL_EXAPROXY', 'the Python ExaProxy, epoll reactor, logs off'


class OriginalLog(Original):
    name, log, usage, what = 'original-log', True, True, 'as original, traffic and usage logs on'


class ExaProxy(Exa):
    name, variable, what = 'exaproxy', 'EXAPROXY', 'this proxy, logs off'
    default = shlex.quote(os.path.join(REPOSITORY, 'target', 'release', 'exaproxy'))

    def version(self):
        return first_line(*self.words(), '-v')


class ExaProxyLog(ExaProxy):
    name, log, what = 'exaproxy-log', True, 'as exaproxy, message log on as shipped'


class ExaProxyAccess(ExaProxy):
    name, access, what = 'exaproxy-access', 'squid', "as exaproxy, with an access log file in Squid's form"


class ExaProxyCombined(ExaProxy):
    name, access, what = 'exaproxy-combined', 'combined', 'as exaproxy, with an access log file as it is by default'


SUBJECTS = {s.name: s for s in (cls() for cls in (
    Direct, Floor, Floor16, Floor64, Floor1M, HAProxy, HAProxyDst, HAProxySplice, HAProxyTcp, HAProxyTcpCopy, Squid, SquidLog, SquidChannels,
    Tinyproxy, Nginx, NginxDyn, Sozu, Original, OriginalLog, ExaProxy, ExaProxyLog, ExaProxyAccess,
    ExaProxyCombined))}


class Running:
    """A started subject."""

    def __init__(self, subject, ctx, opts=None):
        self.subject, self.ctx, self.opts = subject, ctx, opts or {}
        self.process = None
        self.folder = ctx.folder(subject.name)
        self.mark = ctx.helper_mark if self.opts.get('helper') else None
        if isinstance(subject, Direct):
            self.port = ctx.slow_port if self.opts.get('slow') else ctx.origin_port
            return
        self.port = ctx.free_port()
        argv, env = subject.command(ctx, self.folder, self.port, self.opts)
        self.web_port = int(env.get('exaproxy_web_port', 0))
        self.out = open(os.path.join(self.folder, 'output'), 'wb')
        clean = {k: v for k, v in os.environ.items() if not k.startswith('exaproxy')}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT, cwd=self.folder,
            env=dict(clean, **env, **self.opts.get('preload', {})), start_new_session=True, preexec_fn=ctx.pin_proxy)
        end = time.time() + 15
        while True:
            if self.process.poll() is not None:
                raise RuntimeError('%s ended with %s: %s' % (subject.name, self.process.returncode, self.said()))
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                break
            except OSError:
                if time.time() > end:
                    said = self.said()
                    self.stop()
                    raise RuntimeError('%s does not listen: %s' % (subject.name, said))
                time.sleep(0.05)
        time.sleep(0.3)

    def said(self):
        try:
            with open(os.path.join(self.folder, 'output'), errors='replace') as f:
                return f.read()[-400:].strip()
        except OSError:
            return ''

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def snapshot(self):
        return measure.Snapshot(self.pid, self.mark) if self.process else None

    def rss(self):
        return measure.rss(self.pid, self.mark) if self.process else 0

    def alive(self):
        return self.process is None or self.process.poll() is None

    def stop(self):
        if not self.process:
            return
        born = {pid: measure.born(pid) for pid in measure.tree(self.pid)}
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        for pid, start in born.items():       # only what was seen below ours just before
            if start is not None and measure.born(pid) == start:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.process.wait()
        self.out.close()
        if not self.ctx.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
