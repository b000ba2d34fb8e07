"""What the proxy is held to: per workload a figure, what it is compared with, the bound and the goal."""
from .report import compared, number

BEST = 'best peer'

# workload (and variant), what a reader calls it, the figure, compared with (None: the figure itself), must be at most,
# goal; of a rate it is the other's that is divided by ours
GOALS = [
    ('W1', 'small GET, 64 keep-alive clients', 'cost', 'haproxy', 0.75, 0.65),
    ('W1', 'the same', 'cost', 'floor', 1.35, 1.2),
    ('W2', 'new client connection per request', 'cost', 'nginx', 1.0, 0.9),
    ('W3', 'download of 256 MiB bodies', 'cost', 'haproxy', 0.95, 0.75),
    ('W4', 'CONNECT bulk', 'cost', BEST, 0.95, 0.75),
    ('W5', 'upload of 64 MiB bodies', 'cost', 'haproxy', 0.95, 0.75),
    ('W9', 'CONNECT open and close', 'cost', BEST, 0.9, 0.8),
    ('W8', 'cold names through a local name server', 'cost', 'haproxy-dst', 1.2, 1.0),
    ('W6', 'idle client connection, bytes of RSS', 'cost', None, 1024, 350),
    ('W6', 'small GET while 9,000 idle clients are held, against itself', 'slowdown', None, 1.1, 1.05),
    ('W7 c', 'small GET with url helpers in C', 'cost', 'squid-c100', 0.5, 0.4),
    ('W7 c', 'the same', 'cost', 'original', 0.12, 0.1),
    ('W7 c', 'the same, on top of the plain request', 'on_top', None, 20, 15),
    ('W7', 'requests per second with url helpers', 'rate', 'squid-c100', 1.0, 1.0),
    ('W7', 'requests per second with url helpers', 'rate', 'original', 1.0, 1.0),
    ('W10', '500 requests wait for slow helpers: p99 of others rises by, ms', 'cost', None, 5, 2),
    ('W11', 'scraping 10 times a second, percent of a core', 'cost', None, 1.0, 0.5),
    ('W13', 'access log to a file, percent of CPU', 'cost', None, 5.0, 3.0),
    ('W19 intercept', 'interception of small GETs, percent more than forward mode', 'cost', None, 5.0, 2.0),
    ('W19 PROXY header', 'PROXY header of version 2 in, percent of a connection with one request', 'cost', None, 3.0, 1.0),
    ('W23 unix', 'small GETs by a Unix socket, percent more than by loopback TCP', 'cost', None, 0.0, -15.0),
    ('W20 TLS by name', 'connection of TLS by its name, percent more than HAProxy', 'cost', None, -10.0, -25.0),
    ('W20 enforce', 'security.sni=enforce, percent of the open and close of a tunnel', 'cost', None, 6.0, 3.0),
    ('W20 bulk by TLS', 'bulk by TLS, percent more than CONNECT', 'cost', None, 2.0, 0.0),
    ('W20 bulk by passthrough', 'bulk by passthrough, percent more than CONNECT', 'cost', None, 2.0, 0.0),
    ('W31 parent', 'small GET through a parent, percent more than to the origin', 'cost', None, 5.0, 2.0),
    ('W21 users', 'small GET with a user (bcrypt, checked before), percent of CPU', 'cost', None, 3.0, 1.5),
    ('W12', 'dearest page with 9,000 sessions, ms', 'cost', None, 5, 2),
    ('W14', 'longest wait while files are read again, ms', 'cost', None, 5, 2),
    ('W14', 'the longest turn of the loop itself, ms', 'turn_ms', None, 5, 2),
    ('W16 list', 'small GET with a list of 1,000,000 names, percent of CPU', 'cost', None, 2.0, 1.0),
    ('W17', 'the longest turn while such a list is replaced, ms', 'turn_ms', None, 5, 2),
    ('W24', 'hit of 1 KiB', 'cost', 'squid', 0.25, 0.15),
    ('W24', 'the same', 'cost', 'nginx', 0.9, 0.7),
    ('W24', 'the same', 'cost', 'varnish', 0.9, 0.7),
    ('W25', 'hits of 256 KiB', 'cost', BEST, 1.0, 0.7),
    ('W26', '1,000 clients at once for one object, requests at the origin', 'cost', None, 1, 1),
    ('W27', 'bytes beside the body of an object that is kept', 'cost', None, 400, 250),
    ('W28 not kept', 'small GET that is a miss, percent of CPU that a cache takes more', 'cost', None, 4.0, 2.0),
    ('W29', 'ICAP REQMOD of a head', 'cost', 'c-icap', 1.0, 0.5),
    ('W30', 'the same with url helpers in C, on top', 'on_top', None, 20, 15),
    ('W32 two', 'small GET by two loops, percent more CPU than by one', 'cost', None, 10.0, 5.0),
    ('W5s', '32 uploads to a slow origin, growth in MiB', 'cost', None, 4.0, 1.4),
]
# What counts as one and the same peer
CONFIGURATIONS = {'haproxy': ('haproxy', 'haproxy-splice', 'haproxy-big'), 'squid-c100': ('squid-c100', 'squid')}
UNITS = {'W1': 'us', 'W7': 'us', 'W2': 'us', 'W9': 'us', 'W8': 'us', 'W24': 'us', 'W3': 's/GiB', 'W4': 's/GiB', 'W5': 's/GiB',
         'W25': 's/GiB', 'W29': 'us', 'W30': 'us'}
NEEDED = {'on_top': 'W1', 'slowdown': 'W1', 'turn_ms': 'perf:'}     # for a figure that may be missing
RATE_UNITS = {'rate': 'req/s'}


def reference(rows, wanted):
    """The row that ours is compared with, of a peer's configurations the best; None where none was measured."""
    if wanted == BEST:
        peers = [r for r in rows if compared(r)]
    else:
        peers = [r for r in rows if r['subject'] in CONFIGURATIONS.get(wanted, (wanted,))]
    return min(peers, key=lambda r: r['cost'], default=None)


def verdict(value, must, goal):
    return 'goal' if value <= goal else 'met' if value <= must else 'MISSED'


def unmeasured(label, ours, what, goal):
    return [label, number(ours.get(goal[2])), what + ' not measured', '-', '-', number(goal[4]), number(goal[5]), '-']


def ratios(ours, other, field):
    """Of medians and of lowest values; below one is in our favour."""
    if field == 'rate':
        return other['rate'] / ours['rate'], None
    return ours[field] / other[field], ours['cost_low'] / other['cost_low']


def line(what, ours, rows, goal):
    name, _, field, wanted, must, aim = goal
    unit = UNITS.get(name.split()[0], '') if field in ('cost', 'on_top') else RATE_UNITS.get(field, '')
    label = what + (' (%s)' % ours['variant'] if ours['variant'] else '')
    if wanted is None:
        if field not in ours:
            return unmeasured(label, ours, NEEDED[field], goal)
        value, lows, against = ours[field], None, '-'
    else:
        other = reference(rows, wanted)
        if other is None:
            return unmeasured(label, ours, wanted, goal)
        value, lows = ratios(ours, other, field)
        against = '%s %s %s' % (other['subject'], number(other[field]), unit)
    shown = number(ours[field]) + (' ' + unit if unit else '')
    return [label, shown, against.strip(), number(value) if wanted else '-', number(lows), number(must), number(aim),
            verdict(value, must, aim)]


def table(summary, subject='exaproxy'):
    """Markdown text; empty where the subject was not measured."""
    lines = []
    for goal in GOALS:
        workload, _, variant = goal[0].partition(' ')
        for ours in summary:
            if ours['workload'] == workload and ours['subject'] in (subject, subject + '-icap') and variant in ('', ours['variant']):
                if 'error' in ours:
                    lines.append([goal[1], 'failed', '-', '-', '-', number(goal[4]), number(goal[5]), 'MISSED'])
                    continue
                same = [r for r in summary if r['workload'] == workload and r['variant'] == ours['variant']
                        and 'error' not in r]
                lines.append(line(goal[1], ours, same, goal))
    if not lines:
        return ''
    head = ['workload', subject, 'compared with', 'ratio', 'by lows', 'must', 'goal', '']
    rows = ['| %s |' % ' | '.join(cells) for cells in [head] + lines]
    rows.insert(1, '|' + '---|' * len(head))
    return '\n'.join(rows) + '\n'
