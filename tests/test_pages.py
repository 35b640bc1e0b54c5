"""The commands of README.md and docs/*.md run as they stand, from top to bottom, in one folder.

The folder has what a reader is told to bring along: data sets, pretrained layers, pictures, all of
them drawn and under the names that the pages use.  What is changed to make it fast is in SMALLER,
and nothing else.
"""

import glob
import json
import os
import re
import shlex
import shutil
import socket
import time

import forked
import numpy as np
import pytest
import scipy.io
from conftest import ROOT

from jointpose import datasets
from jointpose.datasets.synthetic import flic_set

PAGES = ['README.md', *sorted(glob.glob('docs/*.md', root_dir=ROOT))]
SHORT = 'docs/datasets.md'  # run by `make test`, too
# (a pattern in a command; words put in its place, or at the command's end where the pattern ends with $).  Of an option
# that is given twice, the later value counts.
SMALLER = (
    (r'--synthetic \d+', '--synthetic 12'),
    (r'--gpus 0 1', '--gpus 0'),
    (r'main\.py', 'tests/shallow_main.py'),
    (
        r'main\.py (?!.*--(restore|serve)).*$',
        ' --n_epochs 1 --batch_size 2 --train_examples 4 --test_examples 2',
    ),
    (r'main\.py (?!.*--(restore|serve|init pretrained)).*$', ' --width 4'),
    (r'main\.py (?!.*--(restore|serve|init pretrained|system)).*$', ' --banks 1 --scales single'),
    (r'main\.py .*--system cpm.*$', ' --stages 1 --scales single'),
    (r'main\.py .*--restore(?!.*--predict ).*$', ' --test_examples 2'),
    (r'main\.py (?!.*beasts).*--predict .*$', ' --scales single --zooms 1'),
)


def commands(page):
    """The indented commands of a page that call Python: lists of words."""
    with open(os.path.join(ROOT, page), encoding='utf-8') as file:
        lines = re.findall(r'^    (python (?!-m venv).+)$', file.read(), re.MULTILINE)
    for line in lines:
        for command in re.split(r'; (?=python )', line.split('  #')[0]):
            yield shlex.split(smaller(command.strip()), comments=True)[1:]


def smaller(command):
    original = command
    for pattern, words in SMALLER:
        if pattern.endswith('$'):
            command += words * bool(re.search(pattern, original))
        else:
            command = re.sub(pattern, words, command)
    return command


# ---------------------------------------------------------------- what readers bring along


@pytest.fixture(scope='module')
def belongings(tmp_path_factory):
    """A folder like a clone, with the data sets and files that the pages name."""
    folder = tmp_path_factory.mktemp('belongings')
    for name in ('docs', 'pretrained'):
        (folder / name).symlink_to(os.path.join(ROOT, name))
    (folder / 'report').mkdir()
    shutil.copy(os.path.join(ROOT, 'docs', 'person.jpg'), folder / 'picture.jpg')
    flic_set.write(str(folder / 'FLIC'), 20, 0)
    write_flic_full(folder)
    for name in ('lsp', 'lspet'):
        datasets.load('lsp').write_synthetic(str(folder / name), 12, 0)
    datasets.load('mpii').write_synthetic(str(folder / 'mpii'), 16, 0)
    for name in ('train.json', 'valid.json'):
        (folder / 'mpii' / name).rename(folder / name)
    datasets.load('coco').write_synthetic(str(folder / 'coco'), 40, 0)
    for name in ('train', 'val'):
        (folder / 'coco' / f'{name}.json').rename(folder / f'person_keypoints_{name}2017.json')
        (folder / f'{name}2017').symlink_to('coco/images')
    (folder / 'annotations.json').symlink_to('person_keypoints_train2017.json')
    (folder / 'DIR').symlink_to('coco/images')
    write_layers(folder)
    n_test = sum(
        example['istest']
        for example in scipy.io.loadmat(str(folder / 'FLIC' / 'examples.mat'), simplify_cells=True)[
            'examples'
        ]
    )
    scipy.io.savemat(str(folder / 'NewellARXIV16.mat'), {'pred': np.full((2, 11, n_test), 240.0)})
    return folder


def write_flic_full(folder):
    """Drawn people of another film in FLIC-full's format, and the rows of all of them."""
    flic_set.write(str(folder / 'FLIC-full'), 10, 1)
    path = str(folder / 'FLIC-full' / 'examples.mat')
    examples = scipy.io.loadmat(path)['examples']
    full = np.empty(
        examples.shape, [*examples.dtype.descr, ('isbad', object), ('isunchecked', object)]
    )
    for name in examples.dtype.names:
        full[name] = examples[name]
    for person in full.flat:
        person['isbad'] = person['isunchecked'] = np.zeros((1, 1), np.uint8)
    scipy.io.savemat(path, {'examples': full})
    scipy.io.savemat(
        str(folder / 'tr_plus_indices.mat'),
        {'tr_plus_indices': np.arange(1, full.size + 1)[:, None]},
    )


def write_layers(folder):
    """Layers of the names of VGG-19's and AlexNet's first ones, at --width 4."""
    rng = np.random.default_rng(0)
    np.savez(
        folder / 'vgg19.npz',
        **{'conv1_1/W': rng.normal(size=(3, 3, 3, 4)), 'conv1_1/b': np.zeros(4)},
    )
    layers = {'conv1': [rng.normal(size=(11, 11, 3, 12)), np.zeros(12)]}
    np.save(folder / 'bvlc_alexnet.npy', np.array(layers, object))


# ---------------------------------------------------------------- running


def run(page, folder):
    """Runs a page's commands in a folder, servers beside the others; returns how many there were."""
    servers, found = [], [*commands(page)]
    addresses = iter(free_addresses(2))
    local = {'10.0.0.2:2222': next(addresses), '10.0.0.3:2222': next(addresses)}
    environment = {**os.environ, 'PYTHONPATH': ROOT}
    try:
        for words in found:
            words = [local.get(word, word) for word in words]
            if '--serve' in words:  # "on each of the others": here on both
                for address in local.values():
                    own = [address if word in local.values() else word for word in words]
                    servers.append(forked.start(own, cwd=folder, env=environment))
                continue
            began = time.monotonic()
            done = forked.run(words, cwd=folder, env=environment)
            print(f'{page}: {time.monotonic() - began:.0f} s: {shlex.join(words)}', flush=True)
            assert done.returncode == 0, (
                f'{page}: {shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
            )
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    return len(found)


def free_addresses(n):
    held = [socket.create_server(('127.0.0.1', 0)) for _ in range(n)]
    found = [f'127.0.0.1:{server.getsockname()[1]}' for server in held]
    for server in held:
        server.close()
    return found


def fresh(belongings, tmp_path):
    return shutil.copytree(belongings, tmp_path / 'clone', symlinks=True)


@pytest.mark.parametrize(
    'page',
    [pytest.param(page, marks=[] if page == SHORT else [pytest.mark.long]) for page in PAGES],
)
def test_a_page_runs(page, belongings, tmp_path):
    """By itself, in a folder where no other page has run."""
    n = run(page, fresh(belongings, tmp_path))
    assert n >= 3 or page != SHORT


@pytest.mark.long
def test_pages_run_one_after_another(belongings, tmp_path):
    """In one folder, in the other order."""
    folder = fresh(belongings, tmp_path)
    assert sum(run(page, folder) for page in reversed(PAGES)) > 40
    with open(folder / 'arrays' / 'manifest.json', encoding='utf-8') as file:
        assert json.load(file)['dataset'] == 'flic'


def test_what_is_changed_is_little():
    assert (
        smaller('python data.py --dataset coco --synthetic 400')
        == 'python data.py --dataset coco --synthetic 12'
    )
    assert smaller('python evaluate.py predictions.mat') == 'python evaluate.py predictions.mat'
    assert (
        smaller('python main.py --restore')
        == 'python tests/shallow_main.py --restore --test_examples 2'
    )
    assert smaller('python main.py --train --width 8') == (
        'python tests/shallow_main.py --train --width 8 --n_epochs 1 --batch_size 2'
        ' --train_examples 4 --test_examples 2 --width 4 '
        '--banks 1 --scales single'
    )
