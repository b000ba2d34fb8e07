"""Connections in which no HTTP is spoken: TLS by the name in its first record, and anything by its destination; and requests
that go through a parent."""
import os

from .pairs import PAIRS, SLICE, Pairs
from .subjects import ExaProxy, HAProxy, SUBJECTS, write

NAME = 'www.hello.bench.test'
MIB = 1 << 20


class HAProxySni(HAProxy):
    name, announced, hello = 'haproxy-sni', True, NAME
    what = 'TCP mode, a PROXY header in front, destination by the name in the ClientHello (req.ssl_sni, do-resolve), splice-auto'

    def command(self, ctx, folder, port, opts):
        conf = write(os.path.join(folder, 'haproxy.cfg'), '''global
  nbthread 1
  maxconn 9600
  maxpipes 100
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 600s
  timeout server 600s
resolvers r
  nameserver stub %s:53
  hold valid 300s
  timeout resolve 1s
  timeout retry 1s
frontend f
  bind 127.0.0.1:%d accept-proxy
  tcp-request inspect-delay 5s
  tcp-request content reject unless { req.ssl_hello_type 1 }
  tcp-request content do-resolve(txn.dst,r,ipv4) req.ssl_sni
  tcp-request content set-dst var(txn.dst)
  default_backend b
backend b
  server o 0.0.0.0:0
''' % (ctx.dns_addr, port))
        return self.words() + ['-db', '-f', conf], {}


class ExaProxyTls(ExaProxy):
    name, announced, hello = 'exaproxy-tls', True, NAME
    what = 'TLS by the name in the ClientHello, a PROXY header in front'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_http_enable='false', exaproxy_tls_enable='true', exaproxy_tls_connections='9600',
                           exaproxy_tls_host="'127.0.0.1:%d proxied'" % port)


class ExaProxyPassthrough(ExaProxy):
    name, what = 'exaproxy-passthrough', 'passthrough to the origin, which answers CONNECT itself'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_http_enable='false', exaproxy_passthrough_enable='true',
                           exaproxy_passthrough_connections='9600',
                           exaproxy_passthrough_host="'127.0.0.1:%d'" % port,
                           exaproxy_passthrough_destination='127.0.0.1:%d' % ctx.origin_port)


class ExaProxySni(ExaProxy):
    name, what = 'exaproxy-sni', 'as exaproxy, with security.sni=enforce'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_security_sni='enforce')


class ExaProxyParent(ExaProxy):
    name, what = 'exaproxy-parent', 'as exaproxy, through the origin as a parent: it takes absolute URIs'

    def command(self, ctx, folder, port, opts):
        words, env = super().command(ctx, folder, port, opts)
        return words, dict(env, exaproxy_parent_proxy='127.0.0.1:%d' % ctx.origin_port)


for own in (ExaProxyParent(), HAProxySni(), ExaProxyTls(), ExaProxyPassthrough(), ExaProxySni()):
    SUBJECTS[own.name] = own


class Opaque(Pairs):
    name = 'W20'
    what = ('open and close of a connection of TLS by its name against HAProxy, of a CONNECT tunnel with a hello under '
            'security.sni=enforce against off, and 8 tunnels of 128 MiB by TLS and passthrough against CONNECT, in %d pairs of '
            '%s s' % (PAIRS, SLICE))
    CHURN, BULK = {'conns': 32}, {'conns': 8, 'path': '/b/%d' % (128 * MIB), 'requests': 8}
    INSIDE = {'conns': 32, 'host': NAME, 'hello': NAME}
    variants = [{'variant': name, 'mode': mode, 'first': first, 'second': second, 'args': args}
                for name, mode, first, second, args in (
        ('TLS, same', 'churn', 'exaproxy-tls', 'exaproxy-tls', CHURN),
        ('TLS by name', 'churn', 'haproxy-sni', 'exaproxy-tls', CHURN),
        ('enforce', 'churn', 'exaproxy', 'exaproxy-sni', INSIDE),
        ('bulk, same', 'tunnel', 'exaproxy', 'exaproxy', BULK),
        ('bulk by TLS', 'tunnel', 'exaproxy', 'exaproxy-tls', BULK),
        ('bulk by passthrough', 'tunnel', 'exaproxy', 'exaproxy-passthrough', BULK))]


class Parent(Pairs):
    name = 'W31'
    what = 'W1 through a parent against W1 to the origin, in %d pairs of %s s' % (PAIRS, SLICE)
    variants = [{'variant': 'same'}, {'variant': 'parent', 'second': 'exaproxy-parent'}]
