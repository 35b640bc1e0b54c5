"""docs/extending.md: its system is one file, trains, and is evaluated; an incomplete one is told what it lacks."""

import json
import os

import extending
import pytest

from jointpose import main, run_options, systems
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.options import scopes


def test_the_system_of_the_page_trains(arrays_folder, tmp_path, monkeypatch):
    """From nothing to a rate: the joints of four training people are found in the end."""
    words = ['--train', '--system', 'small', '--width', '16', '--n_epochs', '50']
    words += ['--train_examples', '4', '--batch_size', '4', '--test_examples', '1']
    places = ['--data', arrays_folder, '--model_path', str(tmp_path), '--tb_folder', '']
    predictions = ['--predictions', str(tmp_path / 'predictions.mat'), '--run', 'small']
    monkeypatch.setattr('sys.argv', ['main.py', *words, '--lr', '0.003', *places, *predictions])
    with extending.system_file(tmp_path, 'small', extending.example()), tf.Graph().as_default():
        assert 'small' in systems.names()
        assert not main.run_main()
    with open(tmp_path / 'small' / 'log.jsonl', encoding='utf-8') as file:
        epochs = [json.loads(line) for line in file]
    losses = [epoch['train']['loss_small'] for epoch in epochs]
    assert losses[-1] < 0.7 * losses[0]
    assert epochs[-1]['train']['rate_small'] > 50
    assert os.path.exists(tmp_path / 'predictions.mat')


def test_an_incomplete_system_is_told_all_that_it_lacks(tmp_path):
    code = extending.example()
    for part in ('    SCORE = "height of the heat map\'s peak"\n', '    OUTPUTS = '):
        assert part in code
    code = code.replace('    SCORE = "height of the heat map\'s peak"\n', '')
    code = code.replace('def losses(', 'def lost(').replace('def decode(', 'def decoded(')
    with (
        extending.system_file(tmp_path, 'incomplete', code),
        pytest.raises(TypeError, match=r'incomplete\.py: class Small lacks SCORE, decode, losses'),
    ):
        systems.load('incomplete')


def test_a_file_without_a_system_is_no_system(tmp_path):
    with (
        extending.system_file(tmp_path, 'nothing', 'SIDE = 3\n'),
        pytest.raises(TypeError, match=r'nothing\.py: must define one subclass of System, has 0'),
    ):
        systems.load('nothing')


@pytest.mark.parametrize('name', systems.names())
def test_every_option_of_a_system_has_a_scope(name):
    """Added by scopes.add, not by argparse's add_argument, whose options would have the default scope."""
    parser = command_line.build_parser(systems.load(name), systems.names())
    options, system, *_ = run_options.resolve_options(['--train', '--system', name])
    assert type(system) is systems.load(name) and system.name() == name == options.system
    without = [action.dest for action in parser._actions if not hasattr(action, 'scope')]
    assert set(without) <= {'help', 'version'}
    settings = command_line.settings_of(options, systems.load(name))
    stored = {option for option, scope in scopes.scopes_of(parser).items() if scope.stored}
    assert set(settings) == stored
