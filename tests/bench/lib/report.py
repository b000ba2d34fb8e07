"""Medians over rounds and the tables."""
import statistics

from .subjects import SUBJECTS
from .catalogue import WORKLOADS

LABEL = {'p50_us': 'p50 us', 'p99_us': 'p99 us', 'load_core': 'load core', 'helper_us': 'helper us/req',
         'peak_mib': 'peak RSS MiB', 'base_mib': 'base RSS MiB', 'main_cpu': 'CPU s', 'rss_mib': 'RSS MiB held', 'setup_us': 'us CPU to set up',
         'w1_before_us': 'W1 us before', 'w1_held_us': 'W1 us held', 'slowdown': 'CPU/req ratio',
         'rate_ratio': 'rate ratio', 'helpers': 'helpers', 'calm_ms': 'p99 ms before', 'tunnel_ms': 'tunnel p99 ms',
         'page_ms': 'page p99 ms', 'growth_mib': 'MiB RSS growth', 'errors': 'errors',
         'scrape_ms': 'ms CPU for both', 'trip_ms': 'round trip ms', 'statistics_ms': 'ms CPU for the statistics',
         'statistics_trip_ms': 'their round trip ms', 'first_us': 'us of the first', 'second_us': 'us of the second',
         'turn_ms': 'longest turn ms', 'calm_turn_ms': 'longest turn ms without', 'p999_ms': 'p99.9 ms', 'calm_held_ms': 'longest ms without', 'calm_p999_ms': 'p99.9 ms without',
         'median_ms': 'median ms', 'arrived_s': 's until it arrived', 'lost': 'lost probes',
         'quartile_low': 'lower quartile', 'quartile_high': 'upper quartile'}


def number(x):
    if x is None:
        return '-'
    if abs(x) >= 100:
        return '%.0f' % x
    if abs(x) >= 10:
        return '%.1f' % x
    return '%.2f' % x if abs(x) >= 1 else '%.3f' % x


def row_error(row):
    return ' '.join(row['error'].replace('|', '/').split())[-120:]


def compared(row):
    """Whether a row is a peer's: relays that know no HTTP count for tunnels only."""
    subject = SUBJECTS[row['subject']]
    return subject.peer and row['cost'] > 0 and (subject.forms == 'http' or row['workload'] in ('W4', 'W9'))


def summarise(samples):
    """One dict per workload, subject and variant: medians, and the spread of the primary figure."""
    groups, order = {}, []
    for s in samples:
        key = (s['workload'], s['subject'], s.get('variant', ''))
        if key not in groups:
            order.append(key)
        groups.setdefault(key, []).append(s)
    out = []
    for key in order:
        rows = groups[key]
        good = [r for r in rows if 'error' not in r]
        row = {'workload': key[0], 'subject': key[1], 'variant': key[2], 'rounds': len(good)}
        if not good:
            row['error'] = rows[-1]['error']
            out.append(row)
            continue
        calm = [r for r in good if not r.get('disturbed')] or good
        row['calm_rounds'] = len([r for r in good if not r.get('disturbed')])
        for field, value in calm[0].items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and field != 'round':
                row[field] = statistics.median(r[field] for r in calm)
        cost = WORKLOADS[key[0]].cost
        row['cost'] = row[cost]
        row['cost_low'], row['cost_high'] = min(r[cost] for r in calm), max(r[cost] for r in calm)
        out.append(row)
    for row in out:
        if 'error' in row:
            continue
        same = [r for r in out if r['workload'] == row['workload'] and r['variant'] == row['variant']
                and 'error' not in r]
        direct = [r for r in same if r['subject'] == 'direct']
        peers = [r for r in same if compared(r)]
        if direct:
            row['rate_vs_direct'] = row['rate'] / direct[0]['rate']
        if peers:
            best = min(peers, key=lambda r: r['cost'])
            row['best_peer'] = best['subject']
            low = min(r['cost_low'] for r in peers)
            row['cost_vs_best'] = row['cost'] / best['cost'] if row['subject'] != 'direct' else None
            row['low_vs_best'] = row['cost_low'] / low if row['subject'] != 'direct' and low > 0 else None
            row['rate_vs_best'] = row['rate'] / best['rate']
        without = {'W7': 'W1', 'W30': 'W29'}.get(row['workload'])
        plain = [r for r in out if r['workload'] == without and r['subject'] == row['subject'] and 'error' not in r]
        if plain:
            row['on_top'] = row['cost'] - plain[0]['cost']
        original = [r for r in same if r['subject'] == 'original']
        if original and original[0]['cost'] > 0:
            row['cost_vs_original'] = row['cost'] / original[0]['cost'] if row['subject'] != 'direct' else None
    return out


def table(summary):
    """Markdown text."""
    lines = []
    for name, w in WORKLOADS.items():
        rows = [r for r in summary if r['workload'] == name]
        if not rows:
            continue
        has_direct = any('rate_vs_direct' in r for r in rows)
        has_variants = any(r['variant'] for r in rows)
        head = ['subject'] + (['variant'] if has_variants else []) + [w.unit, w.cost_unit, 'low..high', 'x best peer',
                                                                    'by lows', 'x original']
        head += (['rate/direct'] if has_direct else []) + [LABEL.get(c, c) for c in w.columns] + ['calm rounds']
        lines += ['', '**%s** %s' % (name, w.what), '', '| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
        for r in rows:
            cells = [r['subject']] + ([r['variant']] if has_variants else [])
            if 'error' in r:
                cells.append('failed: ' + row_error(r))
                cells += [''] * (len(head) - len(cells))
            else:
                free = r['subject'] == 'direct'
                cells += [number(r['rate']), '-' if free else number(r['cost']),
                          '-' if free else '%s..%s' % (number(r['cost_low']), number(r['cost_high'])),
                          number(r.get('cost_vs_best')), number(r.get('low_vs_best')), number(r.get('cost_vs_original'))]
                if has_direct:
                    cells.append(number(r.get('rate_vs_direct')))
                cells += [number(r.get(c)) for c in w.columns]
                cells.append('%d/%d' % (r['calm_rounds'], r['rounds']))
            lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines).strip() + '\n'
