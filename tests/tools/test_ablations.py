"""ablations.py: which runs it starts, in which order, what it keeps of them, and the table, against hand-made results.

Most runs are of a stand-in for main.py that writes predictions whose errors are known; one is of
the real program.
"""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import forked
import numpy as np
import pytest
from conftest import ROOT

from jointpose import systems
from jointpose.datasets import arrays
from jointpose.options import options
from jointpose.systems import tompson
from jointpose.utils.errors import InputError
from tools import ablation_variants, ablations, experiments

# Writes what main.py leaves: the detector's joints are off by a third of the torso for the first six joints and exact
# for three, the spatial model's exact for all but the nose.  Runs with FAIL in their name end with CODE; with SLOW, it
# waits, once it has written its process number there.  It does without main.py's own parser, which takes TensorFlow
# seconds to import: `run` looks through the calls instead.
STAND_IN = """
import argparse, json, os, sys, time
import numpy as np, scipy.io
from jointpose.datasets import arrays
p = argparse.ArgumentParser(allow_abbrev=False)
for name in ('restore', 'model_path', 'run', 'data', 'predictions'):
    p.add_argument('--' + name)
for name in ('train_examples', 'test_examples', 'batch_size'):
    p.add_argument('--' + name, type=int)
for name in ('train', 'validation'):
    p.add_argument('--' + name, action='store_true')
o, _ = p.parse_known_args()
if 'SLOW' in os.environ:
    open(os.environ['SLOW'], 'w').write(str(os.getpid()))
    time.sleep(3600)
run = o.restore or os.path.join(o.model_path, o.run)
os.makedirs(run, exist_ok=True)
with open(os.environ['CALLS'], 'a') as file:
    file.write(json.dumps(sys.argv[1:]) + '\\n')
if o.train:
    open(os.path.join(run, 'steps.jsonl'), 'w').write('{}\\n' * -(-o.train_examples // o.batch_size))
    json.dump({'code': 'abc'}, open(os.path.join(run, 'settings.json'), 'w'))
    if os.environ.get('FAIL', ' ') in o.run:
        sys.exit(int(os.environ['CODE']))
assert o.validation
manifest = arrays.read_manifest(o.data)
_, held = arrays.hold_out(arrays.load_split(o.data, 'train', manifest))
held = arrays.evenly_spaced(held, o.test_examples)
torso = np.linalg.norm(held.joints[:, 6] - held.joints[:, 3], axis=-1)
pd, sm = held.joints[:, :9].copy(), held.joints[:, :9].copy()
pd[:, :6, 0] += torso[:, None] / 3
sm[:, 8, 1] += torso / 3
scipy.io.savemat(o.predictions, {'flic_pred_pd': pd.transpose(2, 1, 0), 'flic_pred_sm': sm.transpose(2, 1, 0),
                                 'index': np.arange(len(held.rows)) if 'SPLIT' in os.environ else held.rows,
                                 'split': os.environ.get('SPLIT', held.split),
                                 'data_id': manifest['id']})
"""


@pytest.fixture(scope='session')
def people(arrays_of_26):
    return arrays_of_26


@pytest.fixture
def run(tmp_path, people, monkeypatch):
    """run(*arguments): ablations.main with the stand-in; its calls are in run.calls(), its results in run.rows()."""
    program = tmp_path / 'stand_in.py'
    program.write_text(f'import sys; sys.path.insert(0, {ROOT!r})\n{STAND_IN}')
    monkeypatch.setattr(experiments, 'MAIN', str(program))
    monkeypatch.setattr(
        experiments, 'subprocess', SimpleNamespace(Popen=lambda command: forked.start(command[1:]))
    )
    monkeypatch.setattr(signal, 'signal', lambda *_: None)  # pytest's own handlers stay
    monkeypatch.setenv('CALLS', str(tmp_path / 'calls'))

    def run(*arguments):
        ablations.main([*common(tmp_path, people), *map(str, arguments)])
        for call in run.calls():
            parse(call)  # main.py would take it

    run.out, run.models = tmp_path / 'results.jsonl', tmp_path / 'models'
    run.calls = lambda: lines(tmp_path / 'calls')
    run.rows = lambda: lines(run.out)
    return run


def parse(call):
    """A call's options, and the names of those given, as main.py understands them."""
    return options.parse(tompson.Tompson, systems.names(), call)


def common(folder, people):
    return [
        '--data',
        people,
        '--out',
        str(folder / 'results.jsonl'),
        '--model_path',
        str(folder / 'models'),
        '--train_examples',
        '14',
        '--test_examples',
        '2',
    ]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def cells_of(table):
    """{first cell: the others} of the rows of Markdown."""
    rows = (
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table.splitlines()
        if line[:1] == '|'
    )
    return {first: others for first, *others in rows}


def jobs(rows):
    return [(row['variant'], row['seed']) for row in rows]


def test_all_variants_of_a_seed_come_before_the_next_seed(run):
    names = ['method', 'argmax decoding', 'single scale', 'no augmentation']
    run('--seeds', 3, 5, '--variants', *names[::-1])
    assert jobs(run.rows()) == [(name, seed) for seed in (3, 5) for name in names]
    assert {row['updates'] for row in run.rows()} == {2} and {
        row['people'] for row in run.rows()
    } == {2}
    assert os.listdir(run.models) == []  # no checkpoint is left
    trained = [call for call in run.calls() if '--train' in call]
    assert len(trained) == 4 and len(run.calls()) == 8
    settings = run.rows()[0]['settings']
    assert all(row['settings'] == settings for row in run.rows())


def test_each_variant_differs_from_the_method_by_its_flag_only(run):
    run('--seeds', 4)
    calls = dict(zip(jobs(run.rows()), run.calls()))
    parsed = {name: vars(parse(call)[0]) for (name, _), call in calls.items() if '--train' in call}
    method = parsed.pop('method')
    wanted = {
        'width': 8,
        'batch_size': 7,
        'n_epochs': 1,
        'train_examples': 14,
        'test_examples': 2,
        'seed': 4,
        'use_sm': True,
        'data_augm': True,
        'validation': True,
        'priors': 'exact',
        'tb_folder': '',
        'loss': 'cross_entropy',
        'scales': 'multi',
        'decode': 'subcell',
    }
    assert {key: method[key] for key in wanted} == wanted
    differences = {
        name: {
            key: value
            for key, value in other.items()
            if value != method[key] and key not in ('run', 'predictions')
        }
        for name, other in parsed.items()
    }
    assert differences == {
        'no batch norm': {'no_batch_norm': True},
        'squared loss': {'loss': 'squared'},
        'no auxiliary loss': {'no_auxiliary_loss': True},
        'no augmentation': {'data_augm': False},
        'priors reference': {'priors': 'reference'},
        'priors uniform': {'priors': 'uniform'},
        'self-connections': {'self_connections': True},
    }
    for name, words in (
        ('argmax decoding', ['--decode', 'argmax']),
        ('single scale', ['--scales', 'single']),
    ):
        call = calls[name, 4]
        given = parse(call)[1]
        assert given == {
            'restore',
            words[0][2:],
            'validation',
            'test_examples',
            'data',
            'model_path',
            'predictions',
        }
        assert call[call.index(words[0]) + 1] == words[1]


def test_rates_are_those_of_the_predictions(run):
    run('--variants', 'method', '--seeds', 0)
    (row,) = run.rows()
    assert row['pd'] == {
        'mean': 33.333,
        **dict.fromkeys(('lsho', 'lelb', 'lwri', 'rsho', 'relb', 'rwri'), 0),
        **dict.fromkeys(('lhip', 'rhip', 'nose'), 100),
    }
    assert row['sm'] == {'mean': 88.889, **dict.fromkeys(ablations.JOINTS, 100), 'nose': 0}
    assert row['code'] == 'abc' and row['seconds'] > 0 and row['flag'] == '-'


def test_what_is_there_is_skipped(run):
    run('--variants', 'squared loss', 'method', '--seeds', 0)
    run('--variants', 'squared loss', 'priors uniform', '--seeds', 0, 0)
    run('--variants', 'squared loss', 'priors uniform', '--seeds', 0)
    assert jobs(run.rows()) == [('method', 0), ('squared loss', 0), ('priors uniform', 0)]
    assert len(run.calls()) == 3
    run(
        '--variants', 'squared loss', '--seeds', 0, '--train_examples', 7
    )  # other settings: another result
    assert jobs(run.rows())[3:] == [('squared loss', 0)] and run.rows()[3]['updates'] == 1


def test_evaluations_use_the_method_s_network_while_it_is_there(run):
    run('--variants', 'method', '--seeds', 0)
    assert len(os.listdir(run.models)) == 1  # still needed
    run('--variants', 'argmax decoding', '--seeds', 0)
    assert ['--train' in call for call in run.calls()] == [True, False]
    for folder in os.listdir(run.models):
        for name in os.listdir(run.models / folder):
            os.unlink(run.models / folder / name)
    run('--variants', 'single scale', '--seeds', 0)  # gone: trained again
    assert ['--train' in call for call in run.calls()] == [True, False, True, False]
    assert jobs(run.rows()) == [('method', 0), ('argmax decoding', 0), ('single scale', 0)]
    assert os.listdir(run.models) == []


def test_evaluations_alone_train_the_method_and_say_so(run):
    run('--variants', 'single scale', '--seeds', 1)
    assert jobs(run.rows()) == [('method', 1), ('single scale', 1)]


def test_numbers_that_are_not_finite_are_a_result(run, monkeypatch):
    monkeypatch.setenv('FAIL', 'no-batch')
    monkeypatch.setenv('CODE', '3')
    run('--variants', 'method', 'no batch norm', 'squared loss', '--seeds', 0)
    assert [row.get('failed') for row in run.rows()] == [None, 'not finite', None]
    run('--variants', 'method', 'no batch norm', 'squared loss', '--seeds', 0)
    assert len(run.rows()) == 3
    assert cells_of(ablations.tables(run.rows()))['no batch norm'][3:5] == ['not finite', '-']


def test_any_other_failure_stops_and_what_was_done_stays(run, monkeypatch):
    monkeypatch.setenv('FAIL', 'squared')
    monkeypatch.setenv('CODE', '2')
    with pytest.raises(InputError, match=r'exit code 2.*--loss'):
        run('--variants', 'method', 'squared loss', 'priors uniform', '--seeds', 0)
    assert jobs(run.rows()) == [('method', 0)]
    monkeypatch.delenv('FAIL')
    run('--variants', 'method', 'squared loss', 'priors uniform', '--seeds', 0)
    assert jobs(run.rows()) == [('method', 0), ('squared loss', 0), ('priors uniform', 0)]


def test_predictions_of_test_people_are_refused(run, monkeypatch):
    monkeypatch.setenv('SPLIT', 'test')
    with pytest.raises(InputError, match='held-out'):
        run('--variants', 'method', '--seeds', 0)
    assert run.rows() == []


@pytest.mark.parametrize(
    ('number', 'code'),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)],
)
def test_stopped_and_continued(tmp_path, people, run, number, code):
    """The main.py under way ends too, and the next start does what is missing."""
    run('--variants', 'method', '--seeds', 0)
    script = (
        f'import signal, sys; sys.path.insert(0, {ROOT!r}); '
        'from jointpose.utils import cli; from tools import ablations, experiments; '
        'signal.signal(signal.SIGINT, signal.default_int_handler); '  # whoever runs the tests may ignore it
        f'experiments.MAIN = {experiments.MAIN!r}; cli.run_script(ablations.main)'
    )
    arguments = [*common(tmp_path, people), '--variants', 'method', 'squared loss', '--seeds', '0']
    with subprocess.Popen(
        [sys.executable, '-c', script, *arguments],
        env={**os.environ, 'SLOW': str(tmp_path / 'pid')},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        ends = time.monotonic() + 300
        while not (tmp_path / 'pid').exists() or not (tmp_path / 'pid').read_text():
            assert time.monotonic() < ends
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=300) == code
        assert 'Traceback' not in process.stderr.read()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)
    run('--variants', 'method', 'squared loss', '--seeds', 0)
    assert jobs(run.rows()) == [('method', 0), ('squared loss', 0)]


def test_one_broken_line_is_passed_over_and_more_are_refused(run, capsys):
    run('--variants', 'method', '--seeds', 0, 1)
    whole = run.out.read_text()
    run.out.write_text(whole[:-30])  # the last line cut short
    run('--variants', 'method', '--seeds', 0, 1)
    assert 'line 2 is damaged' in capsys.readouterr().err
    assert jobs(ablations.read_results(str(run.out))) == [('method', 0), ('method', 1)]
    for broken in (
        '{"variant": "method"}',
        '[]',
        'null',
        '\x00\x01',
        whole.splitlines()[0].replace('"mean"', '"x"'),
    ):
        run.out.write_text(f'{whole}{broken}\n')
        assert jobs(ablations.read_results(str(run.out))) == [('method', 0), ('method', 1)]
        run.out.write_text(f'{broken}\n{whole}{broken}\n')
        with pytest.raises(InputError, match='lines 1, 4 are damaged'):
            run('--variants', 'method', '--seeds', 0)


def test_two_at_a_time_are_refused(run):
    with experiments.open_results(str(run.out)), pytest.raises(InputError, match='another process'):
        run('--variants', 'method')


@pytest.mark.parametrize(
    'arguments',
    [['--data', 'nowhere'], ['--out', 'nowhere/x.jsonl'], ['--table', '--out', 'nowhere.jsonl']],
)
def test_bad_places_are_one_line(run, arguments):
    with pytest.raises(InputError, match='nowhere'):
        run(*arguments)
    assert run.calls() == []


def test_nothing_to_tabulate(run):
    run.out.write_text('')
    with pytest.raises(InputError, match='no results yet'):
        run('--table')


def result(variant, seed, sm, pd, **changes):
    settings = {
        'data_id': 'a1',
        'train_examples': 1400,
        'test_examples': 120,
        **ablations.NETWORK,
        **ablations.MEASURE,
    }
    return {
        'variant': variant,
        'seed': seed,
        'flag': ablations.VARIANTS[variant].flag,
        'settings': {**settings, **changes},
        'updates': 200,
        'people': 120,
        'pd': {'mean': pd},
        'sm': {'mean': sm},
        'seconds': 360,
        'code': 'abc',
    }


def test_table_against_hand_computed_numbers():
    """Deviations of a sample, differences of equal seeds only, one table for each set of settings."""
    rows = [
        result('squared loss', 0, 30, 20),
        result('squared loss', 1, 36, 20),
        result('squared loss', 7, 90, 90),
        result('method', 0, 40, 31),
        result('method', 1, 50, 33),
        result('method', 2, 60, 35),
        result('no augmentation', 1, 55.04, 40),
        result('method', 2, 60, 38),  # the latest counts
        result('method', 0, 10, 10, train_examples=700),
    ]
    first, _, second, _ = ablations.tables(rows).split('\n\n')
    cells = cells_of(first)
    assert list(cells)[0] == 'variant' and list(cells)[2:] == [
        'method',
        'squared loss',
        'no augmentation',
    ]
    assert cells['method'][3:] == ['50.0 ± 10.0', '-', '34.0 ± 3.6', '-', '3']
    # 30 36 90: mean 52, deviation sqrt((22^2 + 16^2 + 38^2) / 2); differences: -10, -14; detector: -11, -13
    assert cells['squared loss'] == [
        '`--loss squared`',
        '-',
        ablation_variants.FASTER,
        '52.0 ± 33.0',
        '-12.0 ± 2.8',
        '43.3 ± 40.4',
        '-12.0 ± 1.4',
        '3',
    ]
    assert cells['no augmentation'] == [
        '`without --data_augm`',
        'flips and scalings: better generalisation',
        '-',
        '55.0',
        '+5.0',
        '40.0',
        '+7.0',
        '1',
    ]
    assert '10.0' in second and all(
        line.count('|') == 10 for line in (first + '\n' + second).splitlines()
    )


def test_table_of_the_command_line(run, capsys):
    run('--variants', 'method', 'priors uniform', '--seeds', 0)
    capsys.readouterr()
    run('--table')
    text = capsys.readouterr().out
    assert cells_of(text)['priors uniform'] == [
        '`--priors uniform`',
        '-',
        'histograms: "smart initialization"',
        '88.9',
        '+0.0',
        '33.3',
        '+0.0',
        '1',
    ]
    assert '2 held-out training people after 2 iterations of 7' in text and len(run.calls()) == 2


@pytest.mark.long
def test_with_main_itself(run, people, monkeypatch):
    """Trained, restored and scored by the real program with a narrow network."""
    monkeypatch.setattr(experiments, 'MAIN', os.path.join(ROOT, 'tests', 'narrow_main.py'))
    run('--variants', 'single scale', '--seeds', 0)
    method, single = run.rows()
    assert method['updates'] == single['updates'] == 2 and method['people'] == single['people'] == 2
    for row in (method, single):
        for model in ('pd', 'sm'):
            each = [row[model][joint] for joint in ablations.JOINTS]
            assert set(each) <= {0, 50, 100} and row[model]['mean'] == pytest.approx(
                np.mean(each), abs=1e-3
            )
    assert method['settings']['data_id'] == arrays.read_manifest(people)['id']
    assert os.listdir(run.models) == ['method-14-0']  # until argmax decoding, too
