"""Where everything runs: private namespaces, cores, the tools, and the folder of a run."""
import atexit
import contextlib
import fcntl
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

from . import measure

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Context:
    def __init__(self, isolated, pin, keep, copy):
        self.isolated, self.keep = isolated, keep
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_cores = {cores[0]} if pin else set(cores)
        self.load_cores = {cores[1 % len(cores)]} if pin else set(cores)
        self.top = tempfile.mkdtemp(prefix='proxybench-')
        os.chmod(self.top, 0o755)
        atexit.register(self.clean)
        self.tools, self.folders, self.names_used = [], 0, 0
        self.next_port = 9200
        self.origin_port = 9100 if isolated else self.free_port()
        self.slow_port = 9101 if isolated else self.free_port()
        self.dns_addr = '127.0.0.53'
        self.resolv_conf = os.path.join(self.top, 'resolv.conf')
        with open(self.resolv_conf, 'w') as f:
            f.write('nameserver %s\n' % self.dns_addr)
        if isolated:
            subprocess.run(['mount', '--bind', self.resolv_conf, '/etc/resolv.conf'], check=True)
        self.built = {}
        for name in ('gen', 'prober', 'attack', 'origin', 'dnsstub', 'urlhelper', 'floor'):
            self.build(name)
        self.build('mallocs.so', '-shared', '-fPIC', '-fno-builtin')
        # a copy of the script, so that the first argument names an executable file without spaces
        self.py_helper = os.path.join(self.top, 'urlhelper.py')
        with open(os.path.join(BENCH, 'helpers', 'urlhelper.py')) as f:
            body = f.read().split('\n', 1)[1]
        with open(self.py_helper, 'w') as f:
            system = '/usr/bin/python3'       # some subjects drop privileges and cannot reach a private one
            f.write('#!%s\n%s' % (system if os.access(system, os.X_OK) else sys.executable, body))
        os.chmod(self.py_helper, 0o755)
        self.helper_mark = 'urlhelper'        # squid shows only the base name
        self.tool_start('origin', '--port', str(self.origin_port), '--slow-port', str(self.slow_port),
                        '--slow-rate', '1000000', *(['--copy'] if copy else []))
        self.dns = isolated
        if isolated:
            self.tool_start('dnsstub', self.dns_addr, '53')

    def build(self, name, *options):
        out = os.path.join(self.top, name)
        source = os.path.join(BENCH, 'helpers', os.path.splitext(name)[0] + '.c')
        subprocess.run([os.environ.get('CC', 'cc'), '-O2', *options, '-o', out, source], check=True)
        self.built[name] = out

    def tool(self, name):
        return self.built[name]

    def tool_start(self, name, *args):
        p = subprocess.Popen([self.built[name]] + list(args), stdout=subprocess.PIPE, preexec_fn=self.pin_load)
        if p.stdout.readline().strip() != b'ready':
            sys.exit('%s did not start' % name)
        self.tools.append(p)

    def tools_cpu(self):
        return sum(measure.cpu_clock(p.pid) or 0 for p in self.tools) / 1e9

    def helper_command(self, kind):
        """The command line of a url helper: 'py', 'c', or 'slow N' for one in C that takes N milliseconds."""
        return self.py_helper if kind == 'py' else ' '.join([self.built['urlhelper']] + kind.split()[kind == 'c':])

    def pin_proxy(self):
        os.sched_setaffinity(0, self.proxy_cores)
        limit_files()

    def pin_load(self):
        os.sched_setaffinity(0, self.load_cores)
        limit_files()

    @contextlib.contextmanager
    def every_core(self):
        """Within, proxies and tools may use all cores, those that run already included."""
        cores = self.proxy_cores, self.load_cores
        self.proxy_cores = self.load_cores = cores[0] | cores[1]
        for tool in self.tools:
            os.sched_setaffinity(tool.pid, self.load_cores)
        try:
            yield
        finally:
            self.proxy_cores, self.load_cores = cores
            for tool in self.tools:
                os.sched_setaffinity(tool.pid, self.load_cores)

    def folder(self, name):
        self.folders += 1
        path = os.path.join(self.top, '%03d-%s' % (self.folders, name))
        os.mkdir(path)
        return path

    def free_port(self):
        if self.isolated:
            self.next_port = 9200 if self.next_port >= 9990 else self.next_port + 1
            return self.next_port
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            return s.getsockname()[1]

    def clean(self):
        for p in self.tools:
            if p.poll() is None:
                p.terminate()
                try:
                    p.wait(2)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
        if self.isolated:
            subprocess.run(['umount', '/etc/resolv.conf'], stderr=subprocess.DEVNULL)
        if not self.keep:
            shutil.rmtree(self.top, ignore_errors=True)


def limit_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def loopback_up():
    SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        req = struct.pack('16sh22x', b'lo', 0)
        flags = struct.unpack('16sh22x', fcntl.ioctl(s, SIOCGIFFLAGS, req))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack('16sh22x', b'lo', flags | 1))


def ip(*commands):
    """False where one of these commands of iproute2 fails."""
    if not shutil.which('ip'):
        return False
    return not any(subprocess.run(['ip'] + words.split(), stderr=subprocess.DEVNULL).returncode for words in commands)


def add_way():
    """A way out for IPv4, as most machines have: without any route each name is two questions here, where the peers are told
    to ask for IPv4 only."""
    if not ip('link add way type veth peer name out', 'addr add 192.0.2.1/24 dev way', 'link set way up', 'link set out up',
              'route add default via 192.0.2.2'):
        print('note: no route could be added (ip of iproute2): each name is two questions', file=sys.stderr)


def add_ipv6():
    """Names are asked for in two families only on a machine from which both lead out."""
    if not ip('-6 addr add fd00::1/128 dev lo', '-6 route add default dev way'):
        print('note: no IPv6 route could be added (ip of iproute2): each name is one question', file=sys.stderr)


def isolate():
    """Own network, mount and process namespaces, so that ports, sysctls, resolv.conf and left-over
    processes stay private. Returns False where that is not allowed."""
    if os.environ.get('BENCH_ISOLATED') == '1':
        loopback_up()
        add_way()
        for name, value in (('ip_local_port_range', '10000 65535'), ('tcp_max_tw_buckets', '2000')):
            try:
                with open('/proc/sys/net/ipv4/' + name, 'w') as f:
                    f.write(value)
            except OSError as e:
                print('note: %s not set: %s' % (name, e), file=sys.stderr)
        return True
    words = ['unshare', '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']
    if os.geteuid() or not shutil.which('unshare'):
        return False
    if subprocess.run(words + ['true'], stderr=subprocess.DEVNULL).returncode:
        return False
    os.environ['BENCH_ISOLATED'] = '1'
    os.execvp('unshare', words + [sys.executable, os.path.abspath(sys.argv[0])] + sys.argv[1:])
