"""What the proxy is held to: per workload a figure, what it is compared with, the bound and the goal."""
from .report import compared, number

BEST = 'best peer'

# workload, what a reader calls it, the figure, compared with (None: the figure itself), must be at most, goal
GOALS = [
    ('W1', 'small GET, 64 keep-alive clients', 'cost', 'haproxy', 1.0, 0.8),
    ('W2', 'new client connection per request', 'cost', 'haproxy', 1.1, 0.9),
    ('W3', 'download of 256 MiB bodies', 'cost', 'haproxy', 0.75, 0.65),
    ('W4', 'CONNECT bulk', 'cost', BEST, 0.75, 0.60),
    ('W5', 'upload of 64 MiB bodies', 'cost', 'haproxy', 0.75, 0.60),
    ('W9', 'CONNECT open and close', 'cost', BEST, 1.1, 0.9),
    ('W8', 'cold names through a local name server', 'cost', 'haproxy-dst', 1.2, 1.0),
    ('W6', 'idle client connection, bytes of RSS', 'cost', None, 1024, 350),
    ('W6', 'small GET while 9,000 idle clients are held, against itself', 'slowdown', None, 1.1, 1.05),
    ('W5s', '32 uploads to a slow origin, growth in MiB', 'cost', None, 4.0, 1.4),
]
UNITS = {'W1': 'us', 'W2': 'us', 'W9': 'us', 'W8': 'us', 'W3': 's/GiB', 'W4': 's/GiB', 'W5': 's/GiB'}


def reference(rows, wanted):
    """The row that ours is compared with; None where it was not measured."""
    if wanted != BEST:
        return next((r for r in rows if r['subject'] == wanted), None)
    peers = [r for r in rows if compared(r)]
    return min(peers, key=lambda r: r['cost'], default=None)


def verdict(value, must, goal):
    return 'goal' if value <= goal else 'met' if value <= must else 'MISSED'


def line(what, ours, rows, goal):
    name, _, field, wanted, must, aim = goal
    label = what + (' (%s)' % ours['variant'] if ours['variant'] else '')
    if wanted is None:
        value, lows, against = ours[field], None, '-'
    else:
        other = reference(rows, wanted)
        if other is None:
            return [label, number(ours['cost']), wanted + ' not measured', '-', '-', number(must), number(aim), '-']
        value, lows = ours['cost'] / other['cost'], ours['cost_low'] / other['cost_low']
        against = '%s %s %s' % (other['subject'], number(other['cost']), UNITS.get(name, ''))
    shown = number(ours[field]) + (' ' + UNITS[name] if name in UNITS else '')
    return [label, shown, against.strip(), number(value) if wanted else '-', number(lows), number(must), number(aim),
            verdict(value, must, aim)]


def table(summary, subject='exaproxy'):
    """Markdown text; empty where the subject was not measured."""
    lines = []
    for goal in GOALS:
        for ours in summary:
            if ours['workload'] == goal[0] and ours['subject'] == subject:
                if 'error' in ours:
                    lines.append([goal[1], 'failed', '-', '-', '-', number(goal[4]), number(goal[5]), 'MISSED'])
                    continue
                same = [r for r in summary if r['workload'] == goal[0] and r['variant'] == ours['variant']
                        and 'error' not in r]
                lines.append(line(goal[1], ours, same, goal))
    if not lines:
        return ''
    head = ['workload', subject, 'compared with', 'ratio', 'by lows', 'must', 'goal', '']
    rows = ['| %s |' % ' | '.join(cells) for cells in [head] + lines]
    rows.insert(1, '|' + '---|' * len(head))
    return '\n'.join(rows) + '\n'
