"""The proxies under test: how each is configured, started and stopped."""
import glob
import os
import pwd
import resource
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time

from . import measure

ROOT = os.geteuid() == 0
FD_LIMIT = 20000
TOKEN = secrets.token_hex(4)     # of this run: process numbers repeat in private namespaces
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def user_name():
    return pwd.getpwuid(os.geteuid()).pw_name


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


class Subject:
    """peer: counts when the best peer is looked for; program: the command that runs it, unless the environment variable
    `variable` names another."""
    name = ''
    program = ''
    variable = ''
    peer = True
    patience = 15            # seconds until it listens
    what = ''
    forms = 'http'           # 'tcp' subjects only relay bytes to the fixed origin
    origin_form = False      # the subject wants origin-form targets (reverse proxies)
    announced = False        # connections begin with a PROXY header
    unix_path = None         # where its Unix socket is within its folder, if clients come by one
    hello = None             # tunnels begin with a ClientHello that names this, in place of CONNECT

    def words(self):
        """The first words of its command line. It is started in another folder, so a path is made absolute."""
        words = shlex.split(os.environ.get(self.variable) or self.program)
        return [os.path.abspath(word) if os.path.exists(word) else word for word in words[:1]] + words[1:]

    def missing(self):
        words = self.words()
        if not words:
            return '%s is not set' % self.variable
        return None if shutil.which(words[0]) else '%s: no such command; %s names another' % (words[0], self.variable)

    def version(self):
        return ''

    def command(self, ctx, folder, port, opts):
        """Writes the configuration into folder; returns (argv, environment additions)."""
        raise NotImplementedError

    def clean(self, folder):
        """Removes what a killed one leaves outside its folder."""


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
    name, what = 'haproxy', 'HTTP mode, fixed origin, http-reuse always, 1 thread'
    program, variable = 'haproxy', 'HAPROXY'
    mode, splice, dynamic, buffer, reuse = 'http', False, False, 0, 'always'
    threads = 1

    def version(self):
        return first_line(*self.words(), '-v')

    def command(self, ctx, folder, port, opts):
        # the fd ratios: by default idle server connections are given up once 25% of the file
        # descriptors are in use, which W6 would reach
        lines = ['global', '  nbthread %d' % self.threads, '  maxconn 9600', '  tune.pool-high-fd-ratio 95',
                 '  tune.pool-low-fd-ratio 90', 'defaults', '  mode ' + self.mode,
                 '  timeout connect 5s', '  timeout client 600s', '  timeout server 600s']
        if self.mode == 'http':
            lines += ['  timeout http-request 600s', '  timeout http-keep-alive 600s']
        if self.splice:
            lines[3:3] = ['  maxpipes 100']
            lines += ['  option splice-auto']
        if self.buffer:
            lines[3:3] = ['  tune.bufsize %d' % self.buffer]
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
            lines += ['  http-reuse ' + self.reuse]
        lines += ['  server o ' + ('0.0.0.0:0' if self.dynamic else '127.0.0.1:%d' %
                                   (ctx.slow_port if opts.get('slow') else ctx.origin_port))]
        conf = write(os.path.join(folder, 'haproxy.cfg'), '\n'.join(lines) + '\n')
        return self.words() + ['-db', '-f', conf], {}


class HAProxyDst(HAProxy):
    name, dynamic = 'haproxy-dst', True
    what = 'HTTP mode, destination taken from the Host header (do-resolve, set-dst)'


class HAProxyTwo(HAProxy):
    name, threads, what = 'haproxy-2', 2, 'as haproxy, with two threads'


class HAProxySplice(HAProxy):
    name, splice, what = 'haproxy-splice', True, 'as haproxy, with splice-auto'


class HAProxyBig(HAProxy):
    name, buffer, what = 'haproxy-big', 65536, 'as haproxy, with buffers of 64 KiB'


class HAProxyTcp(HAProxy):
    name, mode, splice, forms = 'haproxy-tcp', 'tcp', True, 'tcp'
    what = 'TCP mode to the fixed origin, splice-auto: the layer 4 reference'


class HAProxyTcpCopy(HAProxyTcp):
    name, splice, what = 'haproxy-tcp-copy', False, 'TCP mode without splice'


class Squid(Subject):
    name, what, log = 'squid', 'forward proxy, caching off, one process, no access log', False
    program, variable = 'squid', 'SQUID'
    channels, gap = 0, None

    def version(self):
        return first_line(*self.words(), '-v')

    def service(self, folder):
        """Its name for itself, which its shared memory bears: what a killed one leaves keeps the next Squid of the same name
        from starting."""
        return 'bench%s%s' % (TOKEN, ''.join(c for c in os.path.basename(folder) if c.isalnum()))

    def clean(self, folder):
        for path in glob.glob('/dev/shm/%s-*' % self.service(folder)):
            os.unlink(path)

    def command(self, ctx, folder, port, opts):
        os.chmod(folder, 0o777)
        keeps = ['cache_mem 512 MB', 'maximum_object_size_in_memory 4 MB', 'collapsed_forwarding on', 'memory_pools on']
        lines = ['http_port 127.0.0.1:%d' % port, 'http_access allow all',
                 *(keeps if opts.get('cache') else ['cache deny all', 'cache_mem 8 MB']),
                 'access_log ' + ('stdio:%s/access.log' % folder if self.log else 'none'),
                 'cache_log %s/cache.log' % folder, 'cache_store_log none', 'logfile_rotate 0',
                 'pid_filename %s/squid.pid' % folder, 'coredump_dir %s' % folder, 'workers 1',
                 'client_db off', 'digest_generation off', 'pinger_enable off', 'max_filedescriptors %d' % FD_LIMIT, 'shutdown_lifetime 0 seconds',
                 'request_start_timeout 10 minutes', 'client_idle_pconn_timeout 10 minutes',
                 'server_idle_pconn_timeout 10 minutes', 'visible_hostname bench',
                 'dns_nameservers %s' % ctx.dns_addr]
        if self.gap:
            lines += ['read_ahead_gap ' + self.gap]
        if opts.get('helper'):
            channel = ' channel' if self.channels else ''
            lines += ['url_rewrite_program %s%s' % (ctx.helper_command(opts['helper']), channel),
                      'url_rewrite_children %d startup=5 idle=1 concurrency=%d queue-size=1000' % (
                          opts.get('helpers', 25), self.channels)]
        conf = write(os.path.join(folder, 'squid.conf'), '\n'.join(lines) + '\n')
        return self.words() + ['-n', self.service(folder), '-N', '-f', conf], {}


class SquidLog(Squid):
    name, log, what = 'squid-log', True, 'as squid, with an access log file'


class SquidBig(Squid):
    name, gap, what = 'squid-big', '1 MB', 'as squid, reads up to 1 MB ahead of the client'


class SquidChannels(Squid):
    name, channels, what = 'squid-c100', 100, 'as squid, url helpers with concurrency=100'


class Tinyproxy(Subject):
    name, what = 'tinyproxy', 'forward proxy, one thread per connection, no keep-alive'
    program, variable = 'tinyproxy', 'TINYPROXY'

    def version(self):
        return first_line(*self.words(), '-v')

    def command(self, ctx, folder, port, opts):
        conf = write(os.path.join(folder, 'tinyproxy.conf'), '\n'.join([
            'Port %d' % port, 'Listen 127.0.0.1', 'Timeout 600', 'MaxClients 12000', 'LogLevel Critical',
            'LogFile "%s/tinyproxy.log"' % folder]) + '\n')
        return self.words() + ['-d', '-c', conf], {}


class Nginx(Subject):
    name, what = 'nginx', 'proxy_pass to the fixed origin, upstream keep-alive, 1 worker'
    program, variable = 'nginx', 'NGINX'
    dynamic, buffers = False, ''

    def version(self):
        return first_line(*self.words(), '-v')

    def command(self, ctx, folder, port, opts):
        to = 'http://$http_host$request_uri' if self.dynamic else 'http://pool'
        kept = ''
        if opts.get('cache'):
            # Its files are in the page cache of the system.
            kept = ('sendfile on; tcp_nopush on; open_file_cache max=200000 inactive=600s; proxy_cache z; proxy_cache_lock on; '
                    'proxy_cache_key $http_host$request_uri; proxy_ignore_headers Vary;')
        conf = '''%s
daemon off; worker_processes 1; pid %s/nginx.pid; error_log %s/error.log error; worker_rlimit_nofile %d;
events { worker_connections 19900; }
http {
  access_log off; server_tokens off; keepalive_timeout 600s; keepalive_requests 1000000000;
  client_header_timeout 600s; client_max_body_size 0; %s
  client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;
  resolver %s ipv6=off valid=300s;
  upstream pool { server 127.0.0.1:%d; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%d backlog=1024;
    location / {
      proxy_pass %s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_connect_timeout 5s;
      proxy_read_timeout 600s; proxy_send_timeout 600s; %s %s
    }
  }
}
''' % ('user %s;' % user_name() if ROOT else '', folder, folder, FD_LIMIT,
            'proxy_cache_path %s/kept levels=1:2 keys_zone=z:100m max_size=2g inactive=600m;' % folder if kept else '',
            folder, folder, folder, folder, folder, ctx.dns_addr, ctx.slow_port if opts.get('slow') else ctx.origin_port, port, to, self.buffers, kept)
        path = write(os.path.join(folder, 'nginx.conf'), conf)
        return self.words() + ['-e', os.path.join(folder, 'error.log'), '-p', folder, '-c', path], {}


class NginxDyn(Nginx):
    name, dynamic = 'nginx-dyn', True
    what = 'proxy_pass to the Host of the request: no upstream keep-alive then'


class NginxBig(Nginx):
    name, what = 'nginx-big', 'as nginx, with buffers of 64 to 256 KiB'
    buffers = ('proxy_buffer_size 64k; proxy_buffers 8 256k; proxy_busy_buffers_size 512k; '
               'client_body_buffer_size 256k;')


class Varnish(Subject):
    """A cache that is told to pass everything, and to pipe what it does not know."""
    name, what = 'varnish', 'fixed origin, everything passed, no log to memory, 1 pool of threads'
    program, variable = 'varnishd', 'VARNISH'
    # Everything that it says about a request: writing that to its log in memory is what it spends most of its time with.
    TAGS = ('SessOpen SessClose Link Begin End ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct '
            'RespProtocol RespStatus RespReason RespHeader RespUnset BereqMethod BereqURL BereqProtocol BereqHeader '
            'BereqUnset BereqAcct BerespProtocol BerespStatus BerespReason BerespHeader BerespUnset PipeAcct BackendOpen '
            'BackendClose VCL_call VCL_return VCL_use Timestamp Storage TTL Fetch_Body Length Filters')

    PASSES = '''sub vcl_recv { if (req.method == "CONNECT") { return (pipe); } return (pass); }
sub vcl_backend_response { set beresp.uncacheable = true; return (deliver); }'''
    KEEPS = 'sub vcl_recv { unset req.http.Cookie; return (hash); }'

    def version(self):
        return first_line(*self.words(), '-V')

    def command(self, ctx, folder, port, opts):
        vcl = write(os.path.join(folder, 'bench.vcl'), '''vcl 4.1;
backend o { .host = "127.0.0.1"; .port = "%d"; .connect_timeout = 5s; .first_byte_timeout = 600s;
            .between_bytes_timeout = 600s; }
%s
''' % (ctx.slow_port if opts.get('slow') else ctx.origin_port, self.KEEPS if opts.get('cache') else self.PASSES))
        settings = {'thread_pools': 1, 'thread_pool_min': 100, 'thread_pool_max': 2000, 'timeout_idle': 600,
                    'pipe_timeout': 600, 'idle_send_timeout': 600, 'send_timeout': 600, 'listen_depth': 1024,
                    'vsl_mask': ','.join('-' + tag for tag in self.TAGS.split()), 'fetch_chunksize': '128k'}
        words = [word for name, value in settings.items() for word in ('-p', '%s=%s' % (name, value))]
        return self.words() + ['-F', '-j', 'none', '-n', os.path.join(folder, 'n'), '-a', '127.0.0.1:%d' % port,
                               '-T', 'none', '-f', vcl] + (['-s', 'malloc,512m'] if opts.get('cache') else []) + words, {}


class Sozu(Subject):
    name, peer, origin_form = 'sozu', True, True
    program, variable = 'sozu', 'SOZU'
    what = 'Rust reverse proxy on mio, fixed origin, 1 worker'

    def version(self):
        return first_line(*self.words(), '--version')

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
        return self.words() + ['start', '-c', conf], {}


class Floor(Subject):
    """Our own minimal relay, built with the other helpers."""
    name, peer, what, buffer = 'floor', False, 'own minimal C relay, 256 KiB shared buffer: what is attainable', 262144
    pipe = 0

    def missing(self):
        return None

    def command(self, ctx, folder, port, opts):
        return [ctx.tool('floor'), '--port', str(port), '--buffer', str(self.buffer), '--pipe', str(self.pipe)], {}


class Floor16(Floor):
    name, buffer, what = 'floor-16k', 16384, 'as floor, 16 KiB buffer'


class Floor64(Floor):
    name, buffer, what = 'floor-64k', 65536, 'as floor, 64 KiB buffer'


class Floor1M(Floor):
    name, buffer, what = 'floor-1m', 1 << 20, 'as floor, 1 MiB buffer'


class FloorPipe(Floor):
    """A read that is full has to fill the buffer, so that it is as small as that of the peers."""
    name, buffer, pipe, what = 'floor-pipe', 16384, 1 << 20, 'own minimal C relay with splice, one shared pipe of 1 MiB'


class FloorPipe64(FloorPipe):
    name, pipe, what = 'floor-pipe-64k', 65536, 'as floor-pipe, pipe of 64 KiB'


class FloorPipe256(FloorPipe):
    name, pipe, what = 'floor-pipe-256k', 262144, 'as floor-pipe, pipe of 256 KiB'


class Exa(Subject):
    """The original and this project take the same environment variables."""
    peer, log, usage, access = False, False, False, None

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
        if opts.get('cache'):
            env.update({'exaproxy_cache_enable': 'true', 'exaproxy_cache_size': str(512 << 20)})
        env.update(opts.get('env', {}))
        return self.words() + opts.get('words', []), env


class Original(Exa):
    name, variable, what = 'original', 'ORIGINAL_EXAPROXY', 'the Python ExaProxy, epoll reactor, logs off'


class OriginalLog(Original):
    name, log, usage, what = 'original-log', True, True, 'as original, traffic and usage logs on'


class ExaProxy(Exa):
    name, variable, what = 'exaproxy', 'EXAPROXY', 'this proxy, logs off'
    program = shlex.quote(os.path.join(REPOSITORY, 'target', 'release', 'exaproxy'))

    def version(self):
        return first_line(*self.words(), '-v')


class ExaProxyTwo(ExaProxy):
    name, threads, what = 'exaproxy-2', 2, 'as exaproxy, with two loops'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_daemon_threads=str(self.threads))


class ExaProxyFour(ExaProxyTwo):
    name, threads, what = 'exaproxy-4', 4, 'as exaproxy, with four loops'


class ExaProxyProxied(ExaProxy):
    name, announced, what = 'exaproxy-proxied', True, 'as exaproxy, with a PROXY header of version 2 in front of connections'
    settings = {'exaproxy_http_proxied': 'true'}

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, **self.settings)


class ExaProxyIntercept(ExaProxyProxied):
    name, origin_form, what = 'exaproxy-intercept', True, 'interception, the original destination told by a PROXY header'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_http_enable='false', exaproxy_http_proxied='false', exaproxy_intercept_enable='true',
                           exaproxy_intercept_host="'127.0.0.1:%d proxied'" % port, exaproxy_intercept_connections='9600')


class ExaProxyUnix(ExaProxy):
    name, what = 'exaproxy-unix', 'as exaproxy, asked by its Unix socket'

    @staticmethod
    def unix_path(folder):
        return os.path.join(folder, 'proxy')

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_unix_path=self.unix_path(folder), exaproxy_unix_backlog='1024')


class ExaProxyBefore(ExaProxy):
    name, variable, what = 'exaproxy-before', 'EXAPROXY_BEFORE', 'another build of this proxy, logs off'


class ExaProxyLog(ExaProxy):
    name, log, what = 'exaproxy-log', True, 'as exaproxy, message log on as shipped'


class ExaProxyAccess(ExaProxy):
    name, access, what = 'exaproxy-access', 'squid', "as exaproxy, with an access log file in Squid's form"


class ExaProxyCombined(ExaProxy):
    name, access, what = 'exaproxy-combined', 'combined', 'as exaproxy, with an access log file as it is by default'


class ExaProxyCached(ExaProxy):
    name, what = 'exaproxy-cached', 'as exaproxy, with a cache of 64 MiB'

    def command(self, ctx, folder, port, opts):
        argv, env = super().command(ctx, folder, port, opts)
        return argv, dict(env, exaproxy_cache_enable='true')


class ExaProxyUsers(ExaProxy):
    name, what = 'exaproxy-users', 'as exaproxy, for users with a password'
    # "user:password", by htpasswd -B -C 10
    users = 'user:$2y$10$25Kb3kgEfLhArhjl6BNAQuxz644zAVOzK2PN/1Ewa90SVa1a0qTnW\n'

    def command(self, ctx, folder, port, opts):
        path = os.path.join(folder, 'users')
        with open(path, 'w') as file:
            file.write(self.users)
        os.chmod(path, 0o644)
        argv, env = super().command(ctx, folder, port, opts)
        return argv, dict(env, exaproxy_auth_enable='true', exaproxy_auth_users=path)


class ExaProxyIcap(ExaProxy):
    name, what = 'exaproxy-icap', 'this proxy as an ICAP server, logs off'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_http_enable='false', exaproxy_icap_enable='true', exaproxy_icap_connections='9600',
                           exaproxy_icap_host="'127.0.0.1:%d'" % port)


class CIcap(Subject):
    name, what = 'c-icap', 'its service echo, one process of 80 threads, logs off'
    program, variable = 'c-icap', 'C_ICAP'

    def version(self):
        words = subprocess.run(self.words() + ['-V'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        return 'c-icap ' + words.decode(errors='replace').strip().split(' ')[-1].splitlines()[0]

    def command(self, ctx, folder, port, opts):
        modules = glob.glob('/usr/lib/*/c_icap') + ['/usr/lib/c_icap']
        lines = ['PidFile %s/pid' % folder, 'CommandsSocket %s/control' % folder, 'TmpDir %s' % folder, 'Timeout 300',
                 'MaxKeepAliveRequests -1', 'KeepAliveTimeout 600', 'StartServers 1', 'MaxServers 1',
                 'MinSpareThreads 0', 'MaxSpareThreads 80', 'ThreadsPerChild 80', 'MaxRequestsPerChild 0',
                 'Port 127.0.0.1:%d' % port, 'User %s' % user_name(), 'DebugLevel 0', 'Pipelining on',
                 'ModulesDir ' + modules[0], 'ServicesDir ' + modules[0], 'TemplateDir /usr/share/c_icap/templates/',
                 'LoadMagicFile /etc/c-icap/c-icap.magic', 'ServerLog %s/log' % folder, 'AccessLog /dev/null',
                 'Service echo srv_echo.so']
        conf = write(os.path.join(folder, 'c-icap.conf'), '\n'.join(lines) + '\n')
        return self.words() + ['-N', '-f', conf], {}


SUBJECTS = {s.name: s for s in (cls() for cls in (
    Direct, Floor, Floor16, Floor64, Floor1M, FloorPipe, FloorPipe64, FloorPipe256, HAProxy, HAProxyTwo, HAProxyDst, HAProxySplice, HAProxyBig, HAProxyTcp, HAProxyTcpCopy,
    Squid, SquidLog, SquidBig, SquidChannels, Tinyproxy, Nginx, NginxDyn, NginxBig, Varnish, Sozu, Original, OriginalLog, ExaProxy, ExaProxyTwo, ExaProxyFour, ExaProxyLog, ExaProxyAccess,
    ExaProxyCombined, ExaProxyUsers, ExaProxyCached, ExaProxyBefore, ExaProxyProxied, ExaProxyIntercept, ExaProxyUnix, CIcap, ExaProxyIcap))}


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
            env=dict(clean, **env, **self.opts.get('preload', {})), start_new_session=True, preexec_fn=self.prepare)
        end = time.time() + subject.patience
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

    def prepare(self):
        """In the new process, before the subject is it."""
        self.ctx.pin_proxy()
        for what, value in self.opts.get('limits', {}).items():
            resource.setrlimit(what, (value, value))

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
        self.subject.clean(self.folder)
        if not self.ctx.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
