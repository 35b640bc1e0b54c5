"""Stored states and settings with a right checksum and wrong content, and how runs resume."""

import argparse
import json
import os
import shlex

import forked
import pytest

from jointpose import run_options, systems
from jointpose.checkpoints import checkpoint
from jointpose.evaluation.meter import Meter
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.utils.errors import InputError

PRETRAINED = os.path.join(forked.ROOT, 'pretrained', 'flic')


@pytest.fixture
def published(tmp_path):
    """A copy of the published checkpoint, and a function that changes its state.json and sets the checksum right."""
    found = checkpoint.find('', PRETRAINED)
    folder = tmp_path / 'models' / 'run' / os.path.basename(found.path)
    folder.mkdir(parents=True)
    for name in os.listdir(found.path):
        if name != checkpoint.STATE:
            os.link(os.path.join(found.path, name), folder / name)

    def rewrite(**changes):
        state = {**found.state, **changes}
        state['settings'] = changes.get(
            'settings', {**found.state['settings'], **changes.pop('some', {})}
        )
        state.pop('some', None)
        (folder / checkpoint.STATE).write_text(json.dumps({**state, 'crc': checkpoint._crc(state)}))
        return str(folder)

    return rewrite


def test_settings_of_every_option_are_taken_as_they_were_stored(published):
    words = [
        '--train',
        '--use_sm',
        '--data_augm',
        '--gpus',
        '0',
        '1',
        '--zoom',
        '0.7',
        '1.4',
        '--train_examples',
        '9',
        '--lr',
        '1',
        '--lr_steps',
        '170:0.1',
        '200:0.01',
        '--colour',
        '0.2',
    ]
    options, explicit = command_line.parse(tompson.Tompson, systems.names(), words)
    settings = json.loads(json.dumps(command_line.settings_of(options, tompson.Tompson)))
    restored, _ = command_line.parse(
        tompson.Tompson, systems.names(), ['--train', '--restore', 'x']
    )
    command_line.merge_restored(
        restored, {'train', 'restore'}, settings, 'x', tompson.Tompson, systems.names()
    )
    assert command_line.settings_of(restored, tompson.Tompson) == settings and explicit


@pytest.mark.parametrize('system', ['../evil', 'nobody', ['tompson'], 7, None])
def test_a_checkpoint_of_no_system_is_refused(published, system):
    with pytest.raises(InputError, match='of an unknown system'):
        run_options.resolve_options(['--restore', published(some={'system': system})])


@pytest.mark.parametrize(
    'changes',
    [
        {'step': '6840'},
        {'step': -1},
        {'step': True},
        {'step': 1.5},
        {'settings': []},
        {'settings': None},
        {'code': 7},
        {'files': ['model.index']},
        {'files': {'model.index': 5}},
        {'time': 'today'},
        {'weights_only': 'no'},
        {'epochs_logged': None},
        {'bad_steps': []},
        {'best': {'step': 3}},
        {'best': {'step': 3, 'rate': 'high'}},
        {'spent': {'samples': 1}},
        {'sums': {'n': 'many'}},
        {'sums': {'n': [[1]]}},
        {'sums': 3},
    ],
    ids=json.dumps,
)
def test_a_state_that_no_training_writes_is_refused(published, changes):
    folder = published(**changes)
    (name,) = changes
    with pytest.raises(InputError) as error:
        checkpoint.load(folder)
    assert str(error.value).startswith(f'{folder}: state.json is damaged: `{name}` cannot be')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', ['[]', '7', 'null', '{}', '{"crc": 0}', '[' * 100_000, ''])
def test_what_is_no_state_is_refused(published, content):
    folder = published()
    with open(os.path.join(folder, checkpoint.STATE), 'w', encoding='utf-8') as file:
        file.write(content)
    with pytest.raises(InputError, match=r'state\.json is damaged: '):
        checkpoint.load(folder)


def test_sums_of_other_joints_are_refused():
    with pytest.raises(InputError, match=r'state\.json: `sums` of counts: \[1, 2\]'):
        Meter(['nose'], ['pd'], None, {'counts': [1, 2]})


@pytest.mark.parametrize(
    'places',
    [{}, {'data': 'my arrays', 'model_path': '/m', 'tb_folder': '', 'predictions': 'a;b.mat'}],
)
def test_the_line_to_go_on_with_leads_to_the_same_places(places):
    words = [word for name, value in places.items() for word in (f'--{name}', value)]
    options, _ = command_line.parse(tompson.Tompson, systems.names(), ['--train', *words])
    line = command_line.resume_command('models ex/run', options)
    assert '\n' not in line
    program, script, *words = shlex.split(line)
    again, explicit = command_line.parse(tompson.Tompson, systems.names(), words)
    assert (program, script, again.train, again.restore) == (
        'python',
        'main.py',
        True,
        'models ex/run',
    )
    for name in ('model_path', 'tb_folder', 'predictions', 'workers', 'chief', 'min_workers'):
        assert getattr(again, name) == getattr(options, name)
    assert explicit == {'train', 'restore', *places} - {'data'}  # the run remembers its arrays


def test_a_training_without_arrays_or_priors_leaves_nothing_behind(tmp_path, arrays_folder):
    (tmp_path / 'no_priors').mkdir()
    for name in os.listdir(arrays_folder):
        if name.endswith(('flic.npy', '.json')):
            os.link(os.path.join(arrays_folder, name), tmp_path / 'no_priors' / name)
    for data, word in (
        ('nowhere', 'run data.py first'),
        ('no_priors', 'run pairwise_distr.py first'),
    ):
        done = forked.run(['main.py', '--train', '--use_sm', '--data', data], cwd=tmp_path)
        assert done.returncode == 2 and word in done.stderr and done.stdout == ''
        assert os.listdir(tmp_path) == ['no_priors']


def test_only_gpus_that_were_asked_for_are_missed():
    def named(*words):
        return command_line.parse(tompson.Tompson, systems.names(), ['--train', *words])[
            0
        ].gpus_named

    assert named('--gpus', '0') and named('--gpus', '0', '1') and not named()
    options, _ = command_line.parse(tompson.Tompson, systems.names(), ['--train', '--restore', 'x'])
    for gpus, asked in (([0], False), ([0, 1], True)):
        restored = argparse.Namespace(**vars(options))
        settings = {**command_line.settings_of(options, tompson.Tompson), 'gpus': gpus}
        command_line.merge_restored(
            restored, {'train', 'restore'}, settings, 'x', tompson.Tompson, systems.names()
        )
        assert restored.gpus_named is asked and 'gpus_named' not in command_line.settings_of(
            restored, tompson.Tompson
        )
