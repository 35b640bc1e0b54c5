"""EpochClock: an epoch that is stopped and resumed takes what both parts take."""

import json
import time

from jointpose.training.epoch_clock import EpochClock


def test_it_goes_on_where_it_was_stopped(monkeypatch):
    now = {'seconds': 100.0, 'cpu_seconds': 40.0}
    monkeypatch.setattr(time, 'monotonic', lambda: now['seconds'])
    monkeypatch.setattr(time, 'process_time', lambda: now['cpu_seconds'])
    clock = EpochClock()
    assert clock.spent() == {'samples': 0, 'seconds': 0, 'cpu_seconds': 0}
    now.update(seconds=103.0, cpu_seconds=45.5)
    clock.samples += 8
    stopped = clock.spent()
    assert stopped == {'samples': 8, 'seconds': 3, 'cpu_seconds': 5.5}

    now.update(seconds=7.0, cpu_seconds=1.0)  # another process
    clock = EpochClock(json.loads(json.dumps(stopped)))
    now.update(seconds=9.0, cpu_seconds=2.25)
    clock.samples += 4
    assert clock.spent() == {'samples': 12, 'seconds': 5, 'cpu_seconds': 6.75}
