"""Clients that ask at fixed times, in a process of its own (helpers/prober.c), which is its own origin too."""
import json
import subprocess


class Prober:
    """Counts in phases; every figure is of one phase. `listen` is the address of its origin."""

    def __init__(self, ctx, run, listen, **args):
        argv = [ctx.tool('prober'), '--connect', '127.0.0.1:%d' % run.port, '--listen', listen]
        for key, value in args.items():
            argv += ['--' + key.replace('_', '-'), str(value)]
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=ctx.pin_load)
        self.ctx = ctx
        self.realtime = self.read()['realtime']
        ctx.tools.append(self.p)

    def read(self):
        line = self.p.stdout.readline()
        if not line:
            raise RuntimeError('the prober has ended (%s)' % self.p.wait())
        return json.loads(line)

    def phase(self):
        """Ends a phase; returns its figures by kind of request and begins the next one."""
        self.p.stdin.write(b'\n')
        self.p.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p in self.ctx.tools:
            self.ctx.tools.remove(self.p)
        self.p.stdin.close()
        self.p.wait()
