"""The charts hold the numbers of the logs."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from matplotlib.figure import Figure

from jointpose.utils.errors import InputError
from tools import plot_log


@pytest.fixture
def runs(tmp_path):
    """Three runs of 3, 4 and 5 epochs; the run r's rate after epoch e is 10 r + e, its loss 1 / that."""
    for r in (1, 2, 3):
        (tmp_path / f'run{r}').mkdir()
        lines = [
            {
                'epoch': e,
                'step': 10 * e,
                'train': {},
                'test': {
                    'loss_pd': 9.0,
                    'loss_sm': 1 / (10 * r + e),
                    'rate_pd': 1.0,
                    'rate_sm': 10.0 * r + e,
                },
            }
            for e in range(1, r + 3)
        ]
        (tmp_path / f'run{r}' / 'log.jsonl').write_text(
            ''.join(json.dumps(line) + '\n' for line in lines) + '{"epo'
        )
    return [str(tmp_path / f'run{r}') for r in (1, 2, 3)]


def test_several_runs_are_a_line_each(runs):
    loss, rate = Figure().subplots(1, 2)
    assert plot_log.draw_runs(loss, rate, *runs) == 'run1 3 epochs, run2 4 epochs, run3 5 epochs'
    for axis, values in ((loss, lambda r, e: 1 / (10 * r + e)), (rate, lambda r, e: 10 * r + e)):
        assert [line.get_label() for line in axis.lines] == ['run1', 'run2', 'run3']
        assert len({line.get_color() for line in axis.lines}) == 3
        for r, line in enumerate(axis.lines, 1):
            epochs = list(range(1, r + 3))
            assert line.get_xdata().tolist() == epochs
            assert line.get_ydata().tolist() == [values(r, e) for e in epochs]


def test_command_and_a_run_without_log(runs, tmp_path):
    out = tmp_path / 'chart.png'
    command = [sys.executable, '-m', 'tools.plot_log', '--out', str(out)]
    done = subprocess.run([*command, *runs], cwd=ROOT, capture_output=True, text=True)
    assert (
        done.returncode == 0
        and 'run2 4 epochs' in done.stdout
        and out.read_bytes()[:4] == b'\x89PNG'
    )
    with pytest.raises(InputError, match=r'log\.jsonl'):
        plot_log.draw_runs(*Figure().subplots(1, 2), runs[0], os.path.join(runs[0], 'none'))
