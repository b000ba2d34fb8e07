"""All workloads by name, in the order of the tables."""
from .hits import Collapsed, Hits, LargeHits, Misses, Objects
from .lists import ListLoad, ListPairs, ListTurns
from .loops import Loops, Memory, Saturated
from .monitor import Pages, Scrape
from .opaque import Opaque, Parent
from .pairs import AccessLog, Before, ByUnixSocket, Users, Ways
from .turns import Turns
from .workloads import (Churn, CloseEach, Download, Icap, IcapHelper, Idle, KeepAlive, Names, Queue, Redirector, SlowUpload, Tunnel,
                        Upload)

ALL = [cls() for cls in (
    KeepAlive, CloseEach, Download, Tunnel, Upload, SlowUpload, Idle, Redirector, Names, Churn, Queue, Scrape, Pages,
    AccessLog, Turns, Before, Ways, ByUnixSocket, ListPairs, ListTurns, ListLoad, Users,
    Hits, LargeHits, Collapsed, Objects, Misses, Opaque, Parent, Icap, IcapHelper, Loops, Saturated, Memory)]
WORKLOADS = {w.name: w for w in ALL}
assert len(WORKLOADS) == len(ALL), 'two workloads of one name'
