"""compare.py against a stand-in for main.py whose times and errors are known."""

import json
import os
import signal
import sys

import pytest
import scipy.io

from jointpose import systems
from jointpose.datasets import arrays
from jointpose.options import options
from jointpose.utils.errors import InputError
from tools import compare, experiments

CPU_SECONDS = {'tompson': 0.5, 'deeppose': 0.125, 'hrnet': 3.0}  # of a sample


@pytest.fixture
def run(tmp_path, arrays_of_26, monkeypatch):
    """run(*arguments) -> the options of each call of main.py."""
    calls = []

    def stand_in(arguments):
        words = [str(word) for word in arguments]
        name = words[words.index('--system') + 1] if '--system' in words else 'tompson'
        said, _ = options.parse(systems.load(name), systems.names(), words)
        calls.append(said)
        if said.train:
            write_run(said)
        write_predictions(said)
        return run.finite

    def run(*arguments):
        calls.clear()
        compare.main(
            [
                '--data',
                arrays_of_26,
                '--out',
                str(tmp_path / 'results.jsonl'),
                '--model_path',
                str(tmp_path / 'models'),
                '--train_examples',
                '16',
                *map(str, arguments),
            ]
        )
        return list(calls)

    monkeypatch.setattr(experiments, 'call_main', stand_in)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)  # pytest's own handlers stay
    run.finite, run.calls, run.out, run.chart = (
        True,
        calls,
        tmp_path / 'results.jsonl',
        tmp_path / 'results.png',
    )
    return run


def write_run(said):
    """Logs as main.py leaves them; its last output's rate rises by a point an epoch."""
    folder = os.path.join(said.model_path, said.run)
    os.makedirs(folder)
    with open(os.path.join(folder, 'log.jsonl'), 'w') as file:
        for epoch in range(said.n_epochs):
            file.write(
                json.dumps(
                    {
                        'step': epoch,
                        'test': {'rate_pd': 1.0, 'rate_sm': 50.0 + epoch},
                        'cpu_seconds': CPU_SECONDS[said.system] * said.train_examples,
                    }
                )
                + '\n'
            )
    with open(os.path.join(folder, 'steps.jsonl'), 'w') as file:
        file.write('{}\n' * (said.n_epochs * -(-said.train_examples // said.batch_size)))
    with open(os.path.join(folder, 'settings.json'), 'w') as file:
        json.dump({'code': 'abc'}, file)


def write_predictions(said):
    """Of the test people: the detector's all wrong, the spatial model's right but for the wrists."""
    manifest = arrays.read_manifest(said.data)
    people = arrays.load_split(said.data, 'test', manifest)
    wrong = people.joints[:, :9] + 1000
    right = people.joints[:, :9].copy()
    right[:, [2, 5]] += 1000
    scipy.io.savemat(
        said.predictions,
        {
            'flic_pred_pd': wrong.transpose(2, 1, 0),
            'flic_pred_sm': right.transpose(2, 1, 0),
            'index': people.rows,
            'split': 'test',
            'data_id': manifest['id'],
        },
    )


def test_epochs_come_nearest_to_the_time_asked_for(run):
    """A minute: 60 s / (0.5 s * 16 people) = 7.5 epochs, 30 of the fast system, one of the slow one."""
    calls = run('--minutes', 1, '--systems', 'tompson', 'deeppose', 'hrnet')
    trained = [said for said in calls if said.train and said.train_examples == 16]
    assert [said.n_epochs for said in trained] == [8, 30, 1]
    assert all(
        said.validation
        and said.data_augm
        and said.rotation == 15
        and said.zoom == [0.75, 1.35]
        and said.schedule == 'cosine'
        and said.optimizer == 'adam'
        for said in trained
    )
    assert [said.validation for said in calls] == [
        True,
        True,
        False,
    ] * 3  # the test people only at the end
    rows = [json.loads(line) for line in run.out.read_text().splitlines()]
    assert [row['epochs'][-1] for row in rows] == [[64.0, 57.0], [60.0, 79.0], [48.0, 50.0]]
    assert [row['updates'] for row in rows] == [16, 60, 2]


def test_people_count_from_the_same_confidence_in_training_and_at_the_end(run, monkeypatch):
    monkeypatch.setitem(CPU_SECONDS, 'spm', 3.0)
    assert [said.threshold for said in run('--minutes', 1, '--systems', 'spm')] == 3 * [0.05]


def test_rates_are_those_of_the_last_output(run, capsys):
    run('--minutes', 1, '--systems', 'deeppose')
    (row,) = (json.loads(line) for line in run.out.read_text().splitlines())
    assert row['rates']['wrist'] == 0 and row['rates']['elbow'] == 100
    assert (
        row['rates']['mean of 9'] == pytest.approx(700 / 9, abs=0.01) and row['pck']['elbow'] == 100
    )
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split('|')[1:-1]]
    assert cells == [
        'deeppose',
        '8',
        '60',
        '1.0',
        '8.0',
        '0.0',
        '100.0',
        '100.0',
        '100.0',
        '100.0',
        '77.8',
        '100.0, 0.0',
        '92.3, 82.0',
    ]
    assert run.chart.read_bytes().startswith(b'\x89PNG')


def test_what_is_there_is_not_run_again(run):
    assert len(run('--minutes', 1, '--systems', 'deeppose')) == 3
    assert {said.system for said in run('--minutes', 1, '--systems', 'deeppose', 'hrnet')[:-1]} == {
        'hrnet'
    }
    assert run('--minutes', 1, '--table') == []
    assert len(run('--minutes', 2, '--systems', 'deeppose')) == 3


def test_what_cannot_be_written_is_found_out_before_the_training(run, tmp_path):
    with pytest.raises(InputError, match=r'--out .*none/results\.jsonl: No such file'):
        run('--minutes', 1, '--out', tmp_path / 'none' / 'results.jsonl')
    with (
        experiments.open_results(str(run.out)),
        pytest.raises(InputError, match='another process writes to it'),
    ):
        run('--minutes', 1)
    assert run.calls == []


def test_errors_in_one_line(run, monkeypatch):
    with pytest.raises(InputError, match='no results of --minutes 3'):
        run('--minutes', 3, '--table')
    run.finite = False
    with pytest.raises(InputError, match=r"not stay finite: main.py '--train'"):
        run('--minutes', 3, '--systems', 'deeppose')
    assert run.out.read_text() == ''
    monkeypatch.undo()
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    with pytest.raises(InputError, match=r"exit code 1: main.py '--train'"):
        compare.run_main('--train')


def test_a_system_without_options_for_short_trainings_is_narrow(run, monkeypatch):
    monkeypatch.setattr(systems.load('hrnet'), 'SHORT_TRAINING', ())
    first, second, _ = run('--systems', 'hrnet', '--minutes', '0.1')
    assert first.width == second.width == systems.load('hrnet').DEBUG_WIDTH
    monkeypatch.setattr(systems.load('hrnet'), 'DATASETS', ('mpii',))
    with pytest.raises(InputError, match='--systems hrnet: is not trained on FLIC'):
        run('--systems', 'hrnet', '--minutes', '0.2')
