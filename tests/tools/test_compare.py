"""compare.py on small arrays, with logs, joints and a stand-in for main.py that are known."""

import json
import os
import signal

import pytest

from jointpose.datasets import arrays
from jointpose.utils.errors import InputError
from tools import compare, experiments, stored_joints

ROWS = (
    compare.Compared('tompson', 'weights/tompson', 'first', (97.0, 95.5)),
    compare.Compared('hrnet', 'weights/hrnet', 'second'),
)
SECONDS = {'tompson': 0.5, 'hrnet': 3.0}  # of a person


@pytest.fixture
def run(tmp_path, arrays_of_26, monkeypatch):
    """run(*arguments) -> the words of each call of main.py; weights and joints are in the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, 'COMPARED', ROWS)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)  # pytest's own handlers stay
    manifest = arrays.read_manifest(arrays_of_26)
    write_stage('weights/tompson', 4, [100, 200], [40.0, 60.0])
    write_stage('weights/hrnet/first_stage', 2, [50, 100], [10.0, 20.0])
    write_stage('weights/hrnet', 2, [50], [30.0])
    write_joints(arrays_of_26, manifest)
    calls = []

    def stand_in(words):
        words = [str(word) for word in words]
        calls.append(words)
        system = words[words.index('--system') + 1]
        folder = os.path.join(words[words.index('--model_path') + 1], 'trial')
        times = [100.0, SECONDS[system] * compare.TRIAL_PEOPLE]  # the first epoch has the start
        write_stage(folder, 1, [1, 2], [0.0, 0.0], times)
        return run.finite

    def run(*arguments):
        calls.clear()
        words = ['--data', arrays_of_26, '--folder', 'joints', '--out', 'speeds.jsonl']
        monkeypatch.setattr('sys.argv', ['compare', *words, *arguments])
        compare.main()
        return list(calls)

    monkeypatch.setattr(experiments, 'call_main', stand_in)
    run.finite = True
    return run


def write_stage(folder, batch_size, steps, rates, seconds=None):
    """A training's settings and logs; the last of two outputs has these rates.

    It stopped one step after the last epoch.
    """
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'settings.json'), 'w') as file:
        json.dump({'batch_size': batch_size, 'width': 8, 'code': 'abc'}, file)
    with open(os.path.join(folder, 'log.jsonl'), 'w') as file:
        times = seconds or [1.0] * len(steps)
        for epoch, (step, rate, time) in enumerate(zip(steps, rates, times), 1):
            test = {'rate_pd': 1.0, 'rate_sm': rate}
            record = {'epoch': epoch, 'step': step, 'test': test, 'cpu_seconds': time}
            file.write(json.dumps(record) + '\n')
    with open(os.path.join(folder, 'steps.jsonl'), 'w') as file:
        file.write(f'{{"step": 1}}\n{{"step": {steps[-1] + 1}}}\n')


def write_joints(data, manifest):
    """Of the first system all is right but the wrists, of the second all is wrong."""
    os.makedirs('joints')
    people = arrays.load_split(data, 'test', manifest)
    right = people.joints[:, :9].copy()
    right[:, [2, 5]] += 1000
    for name, found in (('first', right), ('second', right + 1000)):
        stored_joints.write(f'joints/{name}.npz', manifest, people.rows, {'model': found})


def test_second_epoch_is_timed_and_trained_as_the_weights_were(run):
    first, second = run('--speed')
    assert first[first.index('--init') + 1] == 'weights/tompson'
    assert first[first.index('--batch_size') + 1] == '4'
    assert second[second.index('--batch_size') + 1] == '2' and '--validation' in second
    with open('speeds.jsonl') as file:
        lines = [json.loads(line) for line in file]
    assert [line['seconds'] for line in lines] == [0.5, 3.0]
    assert [line['weights'] for line in lines] == [row.weights for row in ROWS]
    assert run() == []  # measured once


def test_table_has_rates_of_the_stored_joints_and_the_floor(run, capsys):
    run('--speed')
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith('| ') and '---' not in line]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table]
    assert [row[0] for row in rows] == ['system', 'tompson', 'constant pose', 'hrnet']
    hours = 201 * 4 * 0.5 / 3600
    assert rows[1] == [
        *('tompson', '8', f'{hours:.1f}', '2.0'),
        *('0.0', '100.0', '100.0', '100.0', '100.0', '77.8'),
        *('100.0, 0.0', '97.0, 95.5'),
    ]
    assert rows[3][4:10] == ['0.0'] * 6 and rows[3][-1] == '-'
    with open('speeds.png', 'rb') as file:
        assert file.read(4) == b'\x89PNG'


def test_curve_goes_on_from_the_first_stage(run):
    """Which trained for a step after its last epoch."""
    stages = compare.read_stages('weights/hrnet')
    samples, rates = compare.learning_curve(stages)
    assert samples.tolist() == [100, 200, 2 * 101 + 100] and rates.tolist() == [10, 20, 30]
    assert [stage.epochs for stage in stages] == [101 / 50, 51 / 50]


def test_errors_in_one_line(run):
    with pytest.raises(InputError, match=r'speeds\.jsonl: No such file'):
        run()
    with open('speeds.jsonl', 'w') as file:
        file.write('{"weights": "weights/tompson", "seconds": 1}\n')
    with pytest.raises(InputError, match=r'no speed of weights/hrnet; measure with --speed'):
        run()
    run.finite = False
    with pytest.raises(InputError, match='weights/tompson: the loss did not stay finite'):
        run('--speed')
