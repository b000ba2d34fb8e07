"""Other people's traffic while a proxy is loaded: how long a round trip takes in a tunnel and on the web page."""
import http.client
import threading
import time

PAUSE = 0.003       # seconds between two round trips of one kind: frequent enough for a p99, no load of its own
PATIENCE = 60       # seconds for one round trip


class Others:
    """A tunnel and, where the subject has one, a connection to its web page. Both are opened at once, and kept."""

    def __init__(self, port, origin_port, web_port):
        tunnel = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE)
        tunnel.set_tunnel('127.0.0.1', origin_port)
        self.kinds = {'tunnel': (tunnel, '/b/64')}
        if web_port:
            self.kinds['page'] = (http.client.HTTPConnection('127.0.0.1', web_port, timeout=PATIENCE), '/json/running')

    def __enter__(self):
        for connection, path in self.kinds.values():
            round_trip(connection, path)
        return self

    def __exit__(self, *_):
        for connection, _ in self.kinds.values():
            connection.close()

    def during(self, work):
        """p99 of each kind, in milliseconds, while `work` is done."""
        stop = threading.Event()
        times = {kind: [] for kind in self.kinds}
        troubles = []
        threads = [threading.Thread(target=repeat, args=(stop, connection, path, times[kind], troubles))
                   for kind, (connection, path) in self.kinds.items()]
        for thread in threads:
            thread.start()
        try:
            work()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if troubles:
            raise RuntimeError('other traffic failed: %s' % troubles[0])
        return {kind: p99(values) * 1e3 for kind, values in times.items()}


def round_trip(connection, path):
    connection.request('GET', path)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError('status %d for %s' % (response.status, path))


def repeat(stop, connection, path, times, troubles):
    while not stop.is_set():
        start = time.monotonic()
        try:
            round_trip(connection, path)
        except (OSError, RuntimeError, http.client.HTTPException) as e:
            troubles.append('%s: %r' % (path, e))
            return
        times.append(time.monotonic() - start)
        stop.wait(PAUSE)


def p99(values):
    if not values:
        raise RuntimeError('no round trip was completed')
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
