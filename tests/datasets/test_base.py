"""The interface of a data set: skeletons against hand-made lists; a new data set in one file; what one lacks."""

import sys
import textwrap

import numpy as np
import pytest

from jointpose import data, datasets
from jointpose.datasets import arrays

FLIPS = {
    'flic': (3, 4, 5, 0, 1, 2, 7, 6, 8, 9),
    'lsp': (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13),
    'mpii': (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10),
    'coco': (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15),
}


@pytest.fixture
def forget_data_sets():
    """Data sets that a test adds are not known to the next one."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith('jointpose.datasets.'):
            del sys.modules[name]
    for function in (datasets.names, datasets.load, datasets.readers):
        function.cache_clear()


def add_data_set(folder, monkeypatch, name, code):
    """Puts a module beside those of the package."""
    (folder / f'{name}.py').write_text(textwrap.dedent(code))
    monkeypatch.setattr(datasets, '__path__', [*datasets.__path__, str(folder)])
    for function in (datasets.names, datasets.load, datasets.readers):
        function.cache_clear()


def test_names():
    assert datasets.names() == ('coco', 'flic', 'lsp', 'mpii', 'own')
    assert datasets.readers() == {**{name: name for name in datasets.names()}, 'parse': 'lsp'}
    for name in datasets.names():
        assert datasets.load(name).name == name and datasets.load(name) is datasets.load(name)


@pytest.mark.parametrize('name', FLIPS)
def test_skeleton(name):
    data_set = datasets.load(name)
    assert data_set.flip == FLIPS[name]
    assert data_set.points[: len(data_set.joints)] == tuple(data_set.joints)
    assert all(left[1:] == right[1:] for left, right in data_set.mirror_pairs)
    assert set(data_set.torso_joints) <= set(data_set.joints)
    assert set(data_set.normaliser or ()) <= set(data_set.joints)
    for (a, b), (i, j) in zip(data_set.limbs, data_set.limb_indices):
        assert data_set.joints[i] == a and data_set.joints[j] == b


def test_a_new_data_set_is_one_file(tmp_path, monkeypatch, capsys, forget_data_sets):
    """Drawn hands: data.py finds the data set by its name, and the arrays are read back."""
    code = """
        import numpy as np

        from jointpose.datasets import lsp, records
        from jointpose.datasets.base import PictureDataSet


        class Halves(PictureDataSet):
            name = 'halves'
            joints = ('lwri', 'rwri', 'head')
            limbs = (('lwri', 'head'), ('rwri', 'head'))
            torso_joints = ('lwri', 'rwri')
            normaliser = ('lwri', 'rwri')
            rate_name = 'PCK@0.2'
            hit_radius = 0.2

            def read(self, metas, folders):
                root, splits = lsp.Lsp().read(metas, folders)
                columns = [lsp.JOINTS.index(joint) for joint in self.joints]
                return root, {split: self.of(part, columns) for split, part in splits.items()}

            def of(self, part, columns):
                people = part.people
                return records.make_annotated(
                    part.pictures['file'], people['picture'], part.joints[:, columns],
                    people['visible'][:, columns], box=people['box'], unit=people['unit'],
                )

            def write_synthetic(self, folder, n, seed):
                return lsp.Lsp().write_synthetic(folder, n, seed)
    """
    add_data_set(tmp_path, monkeypatch, 'halves', code)
    assert datasets.load('halves').flip == (1, 0, 2)
    out = str(tmp_path / 'arrays')
    arguments = ['--dataset', 'halves', '--synthetic', '4', '--out', out, '--workers', '1']
    monkeypatch.setattr(sys, 'argv', ['data.py', *arguments])
    data.main()
    assert '2 people (2 with joints)' in capsys.readouterr().out
    split = arrays.load_split(out, 'train', arrays.read_manifest(out), verify=True)
    assert split.joints.shape == (2, 3, 2) and np.isfinite(split.joints).all()
    assert arrays.default_folder('halves') == 'arrays_halves'


def test_what_a_data_set_lacks(tmp_path, monkeypatch, forget_data_sets):
    code = """
        from jointpose.datasets.base import PictureDataSet


        class Empty(PictureDataSet):
            name = 'empty'
            limbs = ()
            normaliser = None
    """
    add_data_set(tmp_path, monkeypatch, 'empty', code)
    with pytest.raises(
        TypeError, match='Empty lacks joints, rate_name, hit_radius, read, write_sy'
    ):
        datasets.load('empty')
