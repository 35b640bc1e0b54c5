"""Pictures found by names that tools wrote elsewhere; never one outside of their folder, never one of two."""

import pytest

from jointpose.annotations import picture_names
from jointpose.datasets import records
from jointpose.utils.errors import InputError

FILES = (
    '1.jpg',
    'train/2.jpg',
    'train/a b.jpg',
    'val/3.jpg',
    'both/4.jpg',
    'val/4.jpg',
    '.thumbnail/3.jpg',
    'caf\u00e9.jpg',
    'back\\slash.jpg',
    '50%25.jpg',
    'UPPER.JPG',
    'case/c.jpg',
    'case/C.jpg',
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / 'secret.jpg').touch()
    return tmp_path / 'images'


@pytest.mark.parametrize(
    ('name', 'path'),
    [
        ('1.jpg', '1.jpg'),
        ('train/2.jpg', 'train/2.jpg'),
        ('2.jpg', 'train/2.jpg'),
        ('train\\2.jpg', 'train/2.jpg'),
        ('images\\1.jpg', '1.jpg'),
        ('C:\\Users\\me\\train\\2.jpg', 'train/2.jpg'),
        ('/data/images/val/4.jpg', 'val/4.jpg'),
        ('..\\..\\upload\\4\\1.jpg', '1.jpg'),
        ('../../secret/3.jpg', 'val/3.jpg'),
        ('D:both\\4.jpg', 'both/4.jpg'),
        ('\\\\server\\share\\1.jpg', '1.jpg'),
        ('./train//2.jpg', './train//2.jpg'),
        ('train/a%20b.jpg', 'train/a b.jpg'),
        ('/data/local-files/?d=1.jpg', '1.jpg'),
        ('http://host/data/local-files/?d=x%2Ftrain%2F2.jpg', 'train/2.jpg'),
        ('https://host/data/a%20b.jpg?key=1#x', 'train/a b.jpg'),
        ('cafe\u0301.jpg', 'caf\u00e9.jpg'),
        ('back\\slash.jpg', 'back\\slash.jpg'),
        ('50%25.jpg', '50%25.jpg'),
        ('3.jpg', 'val/3.jpg'),
        ('x\\upper.jpg', 'UPPER.JPG'),
        ('C.jpg', 'case/C.jpg'),
    ],
)
def test_where_a_picture_is(folder, name, path):
    (found,), said = picture_names.resolve([name], str(folder))
    assert found == path and (folder / found).is_file()
    assert bool(said.names) == (name != path)


@pytest.mark.parametrize(
    'name',
    [
        '../secret.jpg',
        '..\\secret.jpg',
        'train/../../secret.jpg',
        '/etc/passwd',
        'C:\\none.jpg',
        'C:/none.jpg',
        'C:none.jpg',
        'C:\\..\\secret.jpg',
        'file:///etc/passwd',
        '\\\\?\\C:\\none.jpg',
        '%2e%2e/secret.jpg',
        '%2Fetc%2Fpasswd',
        'none/none.jpg',
    ],
)
def test_what_is_not_there_stays_within(folder, name):
    (found,) = picture_names.resolve([name], str(folder))[0]
    records.check_names([found])
    assert not (folder / found).is_file()


@pytest.mark.parametrize('name', ['..', '../..', '/', 'a\0b'])
def test_what_is_no_name_is_refused_later(folder, name):
    with pytest.raises(InputError, match='not a name within --images'):
        records.check_names(picture_names.resolve([name], str(folder))[0])


def test_two_pictures_of_one_name(folder):
    with pytest.raises(
        InputError, match=r"'old\\\\4\.jpg': which of both/4\.jpg, val/4\.jpg .* is not known"
    ):
        picture_names.resolve(['old\\4.jpg'], str(folder))
    with pytest.raises(InputError, match=r"'a/1\.jpg' and 'b/1\.jpg' would both be 1\.jpg"):
        picture_names.resolve(['a/1.jpg', 'b/1.jpg'], str(folder))
    assert picture_names.resolve(['1.jpg', '1.jpg'], str(folder))[0] == ['1.jpg', '1.jpg']


def test_what_is_said(folder):
    _, said = picture_names.resolve(['x\\1.jpg', 'x\\none.jpg'], str(folder))
    assert (
        str(said) == f'1 of the pictures found in {folder} under another name (x\\1.jpg as 1.jpg)'
    )
