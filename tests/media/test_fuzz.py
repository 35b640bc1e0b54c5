"""Damaged files for every loader: each gives a sound result or one line that names the file.

A sound result has the right shapes and types; where the file has a checksum, it equals that of the
undamaged file. A case that takes longer than HANG seconds fails. `CASES` has the number of cases of
each kind, of which a short run takes a quarter and `make test-long` all.
"""

import contextlib
import faulthandler
import os
import shutil
import signal

import cv2
import hypothesis
import numpy as np
import pytest
import scipy.io
from conftest import make_arrays
from hypothesis import strategies

from jointpose import data, pairwise_distr, systems
from jointpose.checkpoints import checkpoint
from jointpose.datasets import arrays, flic
from jointpose.evaluation import other_systems, predictions
from jointpose.options import options
from jointpose.systems import tompson
from jointpose.training import run_log, trainer
from jointpose.utils import numpy_files
from jointpose.utils.errors import InputError

HANG = 20
SHARE = 1 if 'FUZZ' in os.environ else 4
CASES = {
    'jpeg': 120,
    'examples': 60,
    'npy': 80,
    'split': 80,
    'manifest': 60,
    'priors': 60,
    'predictions.mat': 60,
    'third party': 60,
    'checkpoint': 60,
    'logs': 30,
    'options': 120,
}


# --- damage -------------------------------------------------------------------------------------
def flip(content, i, bits):
    return (
        content[:i] + bytes([content[i] ^ max(1, bits[0])]) + content[i + 1 :]
        if i < len(content)
        else content
    )


DAMAGES = {
    'flip': flip,
    'overwrite': lambda content, i, other: content[:i] + other + content[i + len(other) :],
    'insert': lambda content, i, other: content[:i] + other + content[i:],
    'delete': lambda content, i, other: content[:i] + content[i + len(other) :],
    'truncate': lambda content, i, _: content[:i],
    'behead': lambda content, i, _: content[i:],
    'repeat': lambda content, i, other: content[:i] + content[max(0, i - 64 * len(other)) :],
    'zero': lambda content, i, other: (
        content[:i] + bytes(64 * len(other)) + content[i + 64 * len(other) :]
    ),
}
# How and where (below 1/2: in the first 400 bytes, where the headers are) a file is damaged, and the
# bytes that are used: any, or those that numbers end in.
BYTES = strategies.one_of(
    strategies.binary(min_size=1, max_size=8),
    strategies.sampled_from([b'\xff' * 4, b'\x7f', b'\0' * 8, b'9', b'-1', b'{', b'\x80\x04']),
)
DAMAGE = strategies.lists(
    strategies.tuples(strategies.sampled_from(sorted(DAMAGES)), strategies.floats(0, 1), BYTES),
    min_size=1,
    max_size=3,
)


def damaged(content, damage):
    for kind, where, other in damage:
        i = (
            int(2 * where * min(400, len(content)))
            if where < 0.5
            else int((2 * where - 1) * len(content))
        )
        content = DAMAGES[kind](content, i, other)
    return content


def fuzz(kind, *more):
    """Decorator: runs a test on CASES[kind] cases of (damage, *more), always the same ones."""

    def decorate(test):
        limited = hypothesis.settings(
            max_examples=CASES[kind] // SHARE,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(test)
        return pytest.mark.fuzz(hypothesis.given(DAMAGE, *more)(limited))

    return decorate


class Hang(BaseException):
    pass


@contextlib.contextmanager
def sound_or_refused(name):
    """Asserts that the block ends in time, or raises an InputError that names the file."""

    def alarm(*_):
        raise Hang(f'took longer than {HANG} s')

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(HANG)
    try:
        yield
    except InputError as error:
        assert name in str(error), error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, content):
    with open(path, 'wb') as file:
        file.write(content)
    return str(path)


# --- the undamaged files ------------------------------------------------------------------------
@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A folder of small valid files: synthetic FLIC, arrays, priors, predictions, a checkpoint."""
    folder = tmp_path_factory.mktemp('made')
    make_arrays(folder / 'arrays', 6)
    frame = cv2.imread(str(next((folder / 'arrays' / 'synthetic_FLIC' / 'images').iterdir())))
    cv2.imwrite(
        str(folder / 'progressive.jpg'),
        frame,
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 40),
    )
    cv2.imwrite(str(folder / 'baseline.jpg'), frame, (cv2.IMWRITE_JPEG_QUALITY, 40))
    rng = np.random.default_rng(0)
    own = {f'flic_pred_{model}': rng.uniform(0, 480, (2, 9, 4)) for model in ('pd', 'sm')}
    own.update(index=np.arange(4), split='test', data_id='0123abcd')
    other = {'pred': rng.uniform(0, 480, (2, 11, 4))}
    scipy.io.savemat(folder / 'own.mat', own)
    scipy.io.savemat(folder / 'packed.mat', own, do_compression=True)
    scipy.io.savemat(folder / 'other.mat', other)
    np.savez(folder / 'other.npz', **other)
    return folder


@pytest.fixture(autouse=True, scope='module')
def no_stack_of_a_crashed_child():
    """SciPy crashes on some files, in a process of its own; pytest would print the stack."""
    faulthandler.disable()
    yield
    faulthandler.enable()


def test_cases():
    assert sum(CASES.values()) >= 500


# --- data.py's input ----------------------------------------------------------------------------
@fuzz('jpeg', strategies.sampled_from(['baseline.jpg', 'progressive.jpg']))
def test_pictures(made, tmp_path, damage, name):
    path = write(tmp_path / 'a.jpg', damaged(read(made / name), damage))
    with sound_or_refused('a.jpg'):
        image = data.decode(path)
        assert image.shape == (480, 720, 3) and image.dtype == np.uint8


@pytest.mark.parametrize(
    ('size', 'word'),
    [
        (b'\x40\0\x40\0', 'is 16384x16384, expected 720x480'),
        (b'\0\1\xff\0', 'is 65280x1, expected'),
        (b'\0\0\2\xd0', 'not a whole'),
    ],
)
def test_a_picture_of_another_size_is_refused_before_memory_is_taken_for_it(
    made, tmp_path, size, word
):
    content = read(made / 'baseline.jpg')
    at = content.index(b'\xff\xc0') + 5  # height and width, two bytes each
    path = write(tmp_path / 'big.jpg', content[:at] + size + content[at + 4 :])
    with pytest.raises(InputError, match=word):
        data.decode(path)


@fuzz('examples')
def test_examples(made, tmp_path, damage):
    path = write(
        tmp_path / 'examples.mat',
        damaged(read(made / 'arrays' / 'synthetic_FLIC' / 'examples.mat'), damage),
    )
    with sound_or_refused('examples.mat'):
        people = flic.read_annotations(path)
        n = len(people.file)
        assert people.joints_xy.shape == (n, flic.N_MAPS, 2) and np.isfinite(people.joints_xy).all()
        assert (
            people.torsobox.shape == (n, 4)
            and len(people.split) == len(people.row) == len(people.backward) == n
        )
        assert set(people.split) <= {'train', 'test', ''}
        data.report(people)


# --- arrays -------------------------------------------------------------------------------------
@fuzz('npy')
def test_npy(made, tmp_path, damage):
    content = read(made / 'arrays' / 'joints_train_flic.npy')
    path = write(tmp_path / 'a.npy', damaged(content, damage))
    with sound_or_refused('a.npy'):
        array = numpy_files.open_npy(path)
        assert array.nbytes + 64 <= os.path.getsize(path)  # each element can be read: no bus error
        array.tobytes()
    with sound_or_refused('a.npy'):
        assert numpy_files.open_npy(path, np.dtype(np.float32), (None, 10, 2)).shape[1:] == (10, 2)


@fuzz(
    'split',
    strategies.sampled_from(['x_train_flic.npy', 'joints_train_flic.npy', 'people_train_flic.npy']),
    strategies.booleans(),
)
def test_split(made, tmp_path, damage, name, verify):
    folder = str(made / 'arrays')
    manifest = arrays.read_manifest(folder)
    whole = arrays.load_split(folder, 'train', manifest)
    for file in map(arrays.file_name, ('x', 'joints', 'people'), 3 * ['train']):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(tmp_path / file)
        if file == name:
            write(tmp_path / file, damaged(read(made / 'arrays' / file), damage))
        else:
            os.link(made / 'arrays' / file, tmp_path / file)
    with sound_or_refused(name):
        split = arrays.load_split(str(tmp_path), 'train', manifest, verify)
        for got, expected in zip(split[:3], whole[:3]):
            assert got.shape == expected.shape and got.dtype == expected.dtype
            # x is so large that only samples of it are compared, unless --verify asks for all.
            assert got[:].tobytes() == expected[:].tobytes() or (len(got.shape) == 4 and not verify)


@fuzz('manifest')
def test_manifest(made, tmp_path, damage):
    folder = str(made / 'arrays')
    write(tmp_path / arrays.MANIFEST, damaged(read(made / 'arrays' / arrays.MANIFEST), damage))
    for name in os.listdir(folder):
        if name.endswith('.npy') and not os.path.exists(tmp_path / name):
            os.link(made / 'arrays' / name, tmp_path / name)
    with sound_or_refused(str(tmp_path)):
        manifest = arrays.read_manifest(str(tmp_path))
        arrays.load_split(str(tmp_path), 'test', manifest)
        assert manifest['counts']['test'] == arrays.read_manifest(folder)['counts']['test']


@fuzz('priors')
def test_priors(made, tmp_path, damage):
    whole = made / 'arrays' / pairwise_distr.FILE
    path = write(tmp_path / 'priors.npz', damaged(read(whole), damage))
    with sound_or_refused('priors.npz'):
        np.testing.assert_array_equal(
            pairwise_distr.load(path), pairwise_distr.load(str(whole))
        )  # CRC in the zip


# --- predictions --------------------------------------------------------------------------------
@fuzz('predictions.mat', strategies.sampled_from(['own.mat', 'packed.mat']))
def test_own_predictions(made, tmp_path, damage, name):
    manifest = {'id': '0123abcd', 'dataset': 'flic', 'counts': {'test': 4}}
    whole = predictions.read(str(made / name), manifest)
    path = write(tmp_path / name, damaged(read(made / name), damage))
    with sound_or_refused(name):
        found = predictions.read(path, manifest)
        assert found.split == 'test' and len(found.rows) <= 4
        for model, pred_xy in found.models.items():
            assert pred_xy.shape == (len(found.rows), 9, 2) and np.isfinite(pred_xy).all()
            if name == 'packed.mat':  # each variable ends in its Adler-32
                np.testing.assert_array_equal(pred_xy, whole.models[model])


@fuzz('third party', strategies.sampled_from(['other.mat', 'other.npz']))
def test_third_party_predictions(made, tmp_path, damage, name):
    path = write(tmp_path / name, damaged(read(made / name), damage))
    names = other_systems.joint_names(other_systems.FLIC_FILE_JOINTS)
    with sound_or_refused(name):
        found = other_systems.read(path, None, names, 4)
        (pred_xy,) = found.models.values()
        assert pred_xy.shape == (4, len(found.joints), 2) and np.isfinite(pred_xy).all()
        if name == 'other.npz':
            columns = [names.index(joint) for joint in found.joints]
            np.testing.assert_array_equal(
                pred_xy, np.load(made / name)['pred'].transpose(2, 1, 0)[:, columns]
            )


@pytest.mark.parametrize('name', ['a.npy', 'a.npz', 'a.mat'])
def test_pickled_objects_are_never_unpickled(tmp_path, name):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'sprung'),)

    trap = np.array([Trap()], object)
    path = str(tmp_path / name)
    if name == 'a.npz':
        np.savez(path, pred=trap, data_id=trap)
    else:
        with open(path, 'wb') as file:
            np.save(file, trap, allow_pickle=True)
    loaders = {
        'a.npy': [numpy_files.open_npy],
        'a.mat': [predictions.load_variables, flic.read_annotations],
        'a.npz': [predictions.load_variables, pairwise_distr.load, numpy_files.open_npy],
    }
    for load in loaders[name]:
        with pytest.raises(InputError, match=name):
            load(path)
    assert not (tmp_path / 'sprung').exists()


# --- runs ---------------------------------------------------------------------------------------
@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A checkpoint's folder."""
    from jointpose.nn.tf1 import tf

    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable('weights', [4])
        session.run(tf.global_variables_initializer())
        state = {
            **trainer.initial_state(),
            'step': 7,
            'settings': {'width': 16, 'lr': 0.001},
            'code': 'a',
        }
        return checkpoint.save(
            session, tf.train.Saver(), str(tmp_path_factory.mktemp('run')), state, 1
        )


@fuzz(
    'checkpoint',
    strategies.sampled_from(['model.index', 'model.data-00000-of-00001', checkpoint.STATE]),
)
def test_checkpoints(saved, tmp_path, damage, name):
    path = shutil.copytree(saved, tmp_path / 'step-00000007', dirs_exist_ok=True)
    write(path / name, damaged(read(path / name), damage))
    with sound_or_refused('step-00000007'):
        assert checkpoint.load(str(path)).state == checkpoint.load(saved).state
        assert name == checkpoint.STATE or read(path / name) == read(os.path.join(saved, name))


@fuzz('logs')
def test_logs_of_a_resumed_run(tmp_path, damage):
    for kind, key in (('log', 'epoch'), ('steps', 'step')):
        content = ''.join(
            f'{{"{key}": {i}, "loss_pd": 0.5, "file": "\N{EM DASH}.jpg"}}\n' for i in range(9)
        )
        write(tmp_path / f'{kind}.jsonl', damaged(content.encode(), damage))
    log = run_log.RunLog(str(tmp_path), {'step': 5, 'epochs_logged': 2})
    log.write('steps', {'step': 6})
    assert read(tmp_path / 'steps.jsonl').endswith(b'{"step": 6}\n')


WORDS = strategies.one_of(
    strategies.sampled_from(
        [
            '--train',
            '--restore',
            '--gpus',
            '--lr',
            '--run',
            '--seed',
            '--batch_size',
            '--n_epochs',
            '--optimizer',
            '--save_minutes',
            '--keep',
            '--lmbd',
            '--priors',
            '--conv',
            '--decode',
            '--test_examples',
            '--train_examples',
            '--use_sm',
            '--data',
            '--',
            'adam',
            'fft',
        ]
    ),
    strategies.integers(-(2**70), 2**70).map(str),
    strategies.floats().map(str),
    strategies.text(max_size=8),
)


@pytest.mark.fuzz
@hypothesis.settings(
    max_examples=CASES['options'] // SHARE, derandomize=True, database=None, deadline=None
)
@hypothesis.given(strategies.lists(WORDS, max_size=6))
def test_options(words):
    try:
        chosen, _ = options.parse(tompson.Tompson, systems.names(), ['--train', *words])
    except SystemExit as stop:
        assert stop.code in (2, 0) and (stop.code or '-h' in ' '.join(words))
        return
    assert (
        1 <= chosen.batch_size < 2**31 and 0 <= chosen.seed < 2**31 and 0 <= chosen.n_epochs < 2**31
    )
    assert (
        0 < chosen.lr < 2**31
        and 0 <= chosen.lmbd < 2**31
        and chosen.keep >= 1
        and chosen.save_minutes > 0
    )
    assert chosen.gpus and all(0 <= gpu < 2**31 for gpu in chosen.gpus)
    assert chosen.run and '/' not in chosen.run and chosen.optimizer in ('adam', 'momentum')
