"""Other programs' weights: every way of writing them gives the same, and what is no array is refused, not run."""

import os

import numpy as np
import pytest

from jointpose.nn import import_weights
from jointpose.utils.errors import InputError

RNG = np.random.default_rng(0)
LAYERS = {
    'conv1': (
        RNG.normal(size=(3, 3, 2, 4)).astype(np.float32),
        RNG.normal(size=4).astype(np.float32),
    ),
    'fc8': (RNG.normal(size=(5, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)),
}


@pytest.mark.parametrize(
    'content',
    [
        {
            f'{name}/{letter}': part
            for name, pair in LAYERS.items()
            for letter, part in zip('Wb', pair)
        },
        {
            f'{name}_{letter}': part.astype(np.float64)
            for name, pair in LAYERS.items()
            for letter, part in zip('Wb', pair)
        },
        {
            f'{name}/{word}:0': part
            for name, pair in LAYERS.items()
            for word, part in zip(('weights', 'biases'), pair)
        },
    ],
    ids=['slashes', 'underlines', 'words'],
)
def test_layers_are_read_however_they_are_named(tmp_path, content):
    path = str(tmp_path / 'w.npz')
    np.savez(path, unrelated=np.zeros(3), **content)
    got = import_weights.load(path)
    assert got.keys() == LAYERS.keys()
    for name, pair in LAYERS.items():
        for one, other in zip(got[name], pair):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, rtol=1e-6)


class Malice:
    def __reduce__(self):
        return os.mkdir, (Malice.folder,)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path):
    path, Malice.folder = str(tmp_path / 'w.npz'), str(tmp_path / 'broken_in')
    np.savez(path, conv1=np.array([Malice()], object))
    with pytest.raises(
        InputError, match=r'--init .*w\.npz: not the weights of layers: conv1\.npy: pickled objects'
    ):
        import_weights.load(path)
    assert not os.path.exists(Malice.folder)


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 torn', b'no archive at all'])
def test_what_is_no_archive_is_an_error_of_one_line(tmp_path, content):
    path = tmp_path / 'w.npz'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'--init .*w\.npz: not the weights'):
        import_weights.load(str(path))


def test_absent_and_empty_files(tmp_path):
    with pytest.raises(InputError, match='No such file'):
        import_weights.load(str(tmp_path / 'absent.npz'))
    np.savez(tmp_path / 'other.npz', something=np.zeros(3), half_W=np.zeros(2))
    with pytest.raises(InputError, match='no weights of layers'):
        import_weights.load(str(tmp_path / 'other.npz'))


@pytest.mark.parametrize('array', [np.array(['a']), np.ones(3, complex)], ids=['text', 'complex'])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path, array):
    np.savez(tmp_path / 'w.npz', **{'conv1/W': np.ones((1, 1, 3, 1)), 'conv1/b': array})
    with pytest.raises(InputError, match=r'conv1/b: holds .*, expected numbers'):
        import_weights.load(str(tmp_path / 'w.npz'))
