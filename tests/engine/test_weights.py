"""Other programs' weights: every way of writing them gives the same, and what is no array is refused, not run."""
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from engine import weights
from engine.files import InputError

RNG = np.random.default_rng(0)
LAYERS = {'conv1': (RNG.normal(size=(3, 3, 2, 4)).astype(np.float32), RNG.normal(size=4).astype(np.float32)),
          'fc8': (RNG.normal(size=(5, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32))}


def pairs():
    """{layer: object array [weights, bias]}."""
    result = {name: np.empty(2, object) for name in LAYERS}
    for name, pair in LAYERS.items():
        result[name][0], result[name][1] = pair
    return result


@pytest.mark.parametrize('content', [
    pairs(), {name: np.array({'weights': w, 'biases': b}, object) for name, (w, b) in LAYERS.items()},
    {f'{name}/{letter}': part for name, pair in LAYERS.items() for letter, part in zip('Wb', pair)},
    {f'{name}_{letter}': part.astype(np.float64) for name, pair in LAYERS.items() for letter, part in zip('Wb', pair)},
    {f'{name}/{word}:0': part for name, pair in LAYERS.items() for word, part in zip(('weights', 'biases'), pair)}],
    ids=['pairs', 'dictionaries', 'slashes', 'underlines', 'words'])
def test_layers_are_read_however_they_are_named(tmp_path, content):
    path = str(tmp_path / 'w.npz')
    np.savez(path, unrelated=np.zeros(3), **content)
    got = weights.load(path)
    assert got.keys() == LAYERS.keys()
    for name, pair in LAYERS.items():
        for one, other in zip(got[name], pair):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize('protocol', [2, 5])
def test_pickles_of_other_programs_are_arrays_too(tmp_path, protocol):
    path = str(tmp_path / 'w.npz')
    write_pickled(path, 'conv1', pairs()['conv1'], protocol)
    np.testing.assert_array_equal(weights.load(path)['conv1'][0], LAYERS['conv1'][0])


def write_pickled(path, name, value, protocol=2):
    """An .npz whose one array is a pickle of `value`."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {'descr': '|O', 'fortran_order': False, 'shape': (2,)})
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr(f'{name}.npy', head.getvalue() + pickle.dumps(value, protocol))


class Malice:
    def __reduce__(self):
        return os.mkdir, (Malice.folder,)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path):
    path, Malice.folder = str(tmp_path / 'w.npz'), str(tmp_path / 'broken_in')
    write_pickled(path, 'conv1', Malice())
    with pytest.raises(InputError, match=r'--init .*w\.npz: not the weights of layers: .*mkdir'):
        weights.load(path)
    assert not os.path.exists(Malice.folder)


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 torn', b'no archive at all'])
def test_what_is_no_archive_is_an_error_of_one_line(tmp_path, content):
    path = tmp_path / 'w.npz'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'--init .*w\.npz: not the weights'):
        weights.load(str(path))


def test_absent_and_empty_files(tmp_path):
    with pytest.raises(InputError, match='No such file'):
        weights.load(str(tmp_path / 'absent.npz'))
    np.savez(tmp_path / 'other.npz', something=np.zeros(3), half_W=np.zeros(2))
    with pytest.raises(InputError, match='no weights of layers there'):
        weights.load(str(tmp_path / 'other.npz'))
