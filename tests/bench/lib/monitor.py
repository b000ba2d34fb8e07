"""What looking at a proxy costs it: scrapes, and pages with many sessions open."""
import http.client
import statistics
import time

from .subjects import SUBJECTS, Running
from .workloads import Holder, Window, Workload, gen

SCRAPES = ('/metrics', '/json/running')
SCRAPES_A_SECOND = 10
PAGES = ('/', '/information/statistics.html', '/information/sessions.html', '/information/sessions.html?client=127&sort=received&limit=1000',
         '/json/sessions?limit=1000', '/graph/requests.html', '/end-point/clients.html')
LOOKS = 20               # at each page


def look(run, paths, times):
    """Asks for each of the paths so often, and returns CPU milliseconds and the median round trip for one of each."""
    connection = http.client.HTTPConnection('127.0.0.1', run.web_port, timeout=60)
    trips = []
    before = run.snapshot()
    for _ in range(times):
        for path in paths:
            start = time.monotonic()
            connection.request('GET', path)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or not body:
                raise RuntimeError('status %d for %s' % (response.status, path))
            trips.append(time.monotonic() - start)
    main, _ = run.snapshot().since(before)
    connection.close()
    return main / times * 1e3, statistics.median(trips) * 1e3


class Scrape(Workload):
    """The CPU time that regular scrapes take is time that requests do not have."""
    name, unit, cost, cost_unit = 'W11', 'held', 'scrape_share', '% of a core'
    what = '/metrics and /json/running, each scraped %d times a second' % SCRAPES_A_SECOND
    columns = ['scrape_ms', 'trip_ms']
    subjects = ['exaproxy']
    variants = [{'variant': 'quiet'}, {'variant': '9000 idle'}]
    max_rounds = 3

    def drive(self, ctx, run, variant, size):
        gen(ctx, run, 'get', path='/b/1024', conns=64, duration=size.warm)
        holder = Holder(ctx, run, size.idle, 0) if variant['variant'] != 'quiet' else None
        try:
            w = Window(ctx, run)
            cpu, trip = look(run, SCRAPES, 500)
            window = w.close(0)
        finally:
            if holder:
                holder.release()
        return dict(window, rate=holder.got['held'] if holder else 0, scrape_ms=cpu, trip_ms=trip, errors=0,
                    scrape_share=cpu * SCRAPES_A_SECOND / 1e3 * 100)


class Pages(Workload):
    """A page is made in one piece, so that the CPU time of the dearest one is how long the loop is held at most."""
    name, unit, cost, cost_unit = 'W12', 'held', 'dearest_ms', 'ms CPU for the dearest page'
    what = 'pages of the monitor with 9000 sessions open'
    columns = ['statistics_ms', 'statistics_trip_ms']
    subjects = ['exaproxy']
    max_rounds = 3

    def drive(self, ctx, run, variant, size):
        holder = Holder(ctx, run, size.idle, 1)
        try:
            w = Window(ctx, run)
            costs = {page: look(run, [page], LOOKS) for page in PAGES}
            window = w.close(0)
        finally:
            holder.release()
        statistics_ms, trip = costs['/information/statistics.html']
        return dict(window, rate=holder.got['held'], errors=0, dearest_ms=max(cpu for cpu, _ in costs.values()),
                    statistics_ms=statistics_ms, statistics_trip_ms=trip,
                    pages={page: round(cpu, 3) for page, (cpu, _) in costs.items()})
