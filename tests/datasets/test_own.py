"""Key points of one's own: read from hand-made files, stored with the arrays, and told apart by sides."""

import json
import sys

import numpy as np
import own_files
import pytest

from jointpose import data, datasets
from jointpose.datasets import arrays, own, skeleton
from jointpose.utils.errors import InputError
from jointpose.vision import joints


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['data.py', *map(str, arguments), '--workers', '1'])
    data.main()


def read(folder, monkeypatch, *options, change=None):
    """Writes the spiders, makes their arrays; returns the folder of these and the truth."""
    paths, truths = own_files.write(folder, change=change)
    out = folder / 'arrays'
    words = ['--coco', *paths, '--images', folder / 'images', '--skeleton', '--out', out]
    run(monkeypatch, *words, *options)
    return str(out), truths


def loaded(folder):
    """(manifest, data set, {split: arrays.Split})."""
    manifest = arrays.read_manifest(folder)
    splits = {
        split: arrays.load_split(folder, split, manifest, verify=True) for split in arrays.SPLITS
    }
    return manifest, datasets.of_manifest(manifest), splits


# --- the reader -----------------------------------------------------------------------------------


def test_spiders_are_read_as_they_are(tmp_path, monkeypatch, capsys):
    folder, truths = read(tmp_path, monkeypatch)
    manifest, data_set, splits = loaded(folder)
    assert data_set.joints == own_files.JOINTS and data_set.category == 'spider'
    assert data_set.limb_indices == tuple((a - 1, b - 1) for a, b in own_files.LIMBS)
    assert data_set.mirror_pairs == own_files.PAIRS and data_set.flip == own_files.FLIP
    assert data_set.coco_joints == list(own_files.JOINTS)
    for split, truth in zip(splits.values(), truths):
        expected_xy = np.concatenate(list(truth.values()))
        np.testing.assert_allclose(split.joints, expected_xy, rtol=1e-6)
        extent = np.ptp(expected_xy, axis=1) + 10
        np.testing.assert_allclose(split.people['unit'], np.sqrt(extent.prod(axis=1)), rtol=1e-6)
        assert (split.people['visible'] == 2).all()
        assert [len(image) for image in split.images] == len(split.people) * [own_files.SIZE[1]]
    assert manifest['settings']['source'] == 'own_skeleton'
    printed = capsys.readouterr().out
    assert 'spider: 12 key points, 11 limbs' in printed
    assert 'left_eye - right_eye' in printed and 'stay: head, back, tail, sting' in printed
    assert 'behind' not in printed and 'people' not in printed.split('pictures;')[0]


def test_the_normaliser_is_a_distance(tmp_path, monkeypatch, capsys):
    """An instance without one of its ends counts in no rate, and that is said."""

    def hide(made):
        made['annotations'][0]['keypoints'][3 * 2 + 2] = 0

    words = ('--normaliser', 'head', 'tail')
    folder, truths = read(tmp_path, monkeypatch, *words, change=hide)
    _, data_set, splits = loaded(folder)
    expected = np.concatenate(list(truths[0].values()))
    lengths = np.hypot(*(expected[:, 0] - expected[:, 2]).T)
    np.testing.assert_allclose(splits['train'].people['unit'][1:], lengths[1:], rtol=1e-6)
    assert np.isnan(splits['train'].people['unit'][0])
    assert data_set.unit_name == 'the distance from head to tail'
    assert (
        'in no rate, as the distance from head to tail is not known: 1 instance (0001.jpg)'
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ('words', 'pairs'),
    [
        ((), own_files.PAIRS),
        (('--flip_pairs',), ()),
        (('--flip_pairs', 'head:sting', 'tail:back'), (('head', 'sting'), ('tail', 'back'))),
    ],
)
def test_flip_pairs(tmp_path, monkeypatch, words, pairs):
    folder, _ = read(tmp_path, monkeypatch, *words)
    assert loaded(folder)[1].mirror_pairs == pairs


def test_equal_arrays_with_another_skeleton_have_another_id(tmp_path, monkeypatch):
    """Training would resume with other mirror pairs."""
    ids = set()
    for words in ((), ('--flip_pairs',), ()):
        folder, _ = read(tmp_path, monkeypatch, *words)
        ids.add(loaded(folder)[0]['id'])
    assert len(ids) == 2


def test_limbs_counted_from_0_and_twice(tmp_path, monkeypatch):
    def renumber(made):
        limbs = [[a - 1, b - 1] for a, b in own_files.LIMBS]
        made['categories'][0]['skeleton'] = [*limbs, limbs[0][::-1], [3, 3]]

    folder, _ = read(tmp_path, monkeypatch, change=renumber)
    expected = tuple((a - 1, b - 1) for a, b in own_files.LIMBS)
    assert loaded(folder)[1].limb_indices == expected


@pytest.mark.parametrize('value', [None, []])
def test_a_file_without_limbs(tmp_path, monkeypatch, value):
    def without(made):
        made['categories'][0]['skeleton'] = value

    folder, _ = read(tmp_path, monkeypatch, change=without)
    assert loaded(folder)[1].limbs == ()


def test_the_second_file_may_have_another_order(tmp_path, monkeypatch):
    def reverse(made):
        if made['images'][0]['id'] == 1:
            return
        made['categories'][0]['keypoints'].reverse()
        for one in made['annotations']:
            points = np.reshape(one['keypoints'], (12, 3))[::-1]
            one['keypoints'] = points.ravel().tolist()

    folder, truths = read(tmp_path, monkeypatch, change=reverse)
    expected_xy = np.concatenate(list(truths[1].values()))
    np.testing.assert_allclose(loaded(folder)[2]['test'].joints, expected_xy, rtol=1e-6)


def test_one_file_is_split_by_tenths(tmp_path, monkeypatch):
    paths, _ = own_files.write(tmp_path, n=12)
    out = tmp_path / 'arrays'
    words = ['--coco', paths[0], '--images', tmp_path / 'images', '--skeleton', '--out', out]
    run(monkeypatch, *words)
    _, _, splits = loaded(str(out))
    assert set(splits['test'].people['file']) == {'0002.jpg', '0012.jpg'}


def two_categories(made):
    made['categories'][1]['keypoints'] = ['front', 'back']


def test_one_of_several_categories(tmp_path, monkeypatch, capsys):
    words = ('--category', 'spider')
    folder, _ = read(tmp_path, monkeypatch, *words, change=two_categories)
    assert loaded(folder)[1].joints == own_files.JOINTS
    with pytest.raises(
        InputError, match=r"train\.json: several .* 'spider' \(head, .*'fly' \(front"
    ):
        read(tmp_path, monkeypatch, change=two_categories)
    with pytest.raises(InputError, match=r'--category wasp: no such category; it has .spider'):
        read(tmp_path, monkeypatch, '--category', 'wasp', change=two_categories)
    with pytest.raises(InputError, match=r'train\.json: no train people'):
        read(tmp_path, monkeypatch, '--category', 'fly', change=two_categories)


def rename(index, name):
    def change(made):
        made['categories'][0]['keypoints'][index] = name

    return change


def more_names(made):
    made['categories'][0]['keypoints'].append('wing')


def put(key, value):
    def change(made):
        made['categories'][0][key] = value

    return change


@pytest.mark.parametrize(
    ('change', 'words', 'message'),
    [
        (put('keypoints', []), (), r"train.json: no category has `keypoints`.*'spider'; 'fly'"),
        (rename(2, 'head'), (), r"train.json: category 'spider': 2 key points are called 'head'"),
        (rename(2, ' '), (), r"train.json: category 'spider': key point 3 has no name"),
        (put('skeleton', [[1, 13]]), (), r'`skeleton` has \[1, 13\], and there are 12 key points'),
        (put('skeleton', [[1, 2, 3]]), (), '`skeleton` is not a list of pairs'),
        (put('skeleton', 'all'), (), '`skeleton` is not a list of pairs'),
        (more_names, (), r'annotations\[0\].*: 12 key points, and the category names 13'),
        (
            None,
            ('--flip_pairs', 'head:nose'),
            "train.json: --flip_pairs head:nose: 'nose' is no key point; it has head, back",
        ),
        (None, ('--flip_pairs', 'head:tail', 'tail:back'), 'tail:back: tail is in two pairs'),
        (None, ('--flip_pairs', 'head:head'), 'head:head: head is in two pairs, or twice in one'),
        (None, ('--normaliser', 'head', 'neck'), "--normaliser head neck: 'neck' is no key point"),
        (None, ('--normaliser', 'head', 'head'), '--normaliser: head twice'),
    ],
)
def test_faults_are_named(tmp_path, monkeypatch, change, words, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, monkeypatch, *words, change=change)
    assert '\n' not in str(error.value)


def test_files_with_different_key_points(tmp_path, monkeypatch):
    def change(made):
        if made['images'][0]['id'] > 1:
            made['categories'][0]['keypoints'][0] = 'brow'

    with pytest.raises(InputError, match=r'val\.json: category .spider. has brow, .*same key poin'):
        read(tmp_path, monkeypatch, change=change)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--synthetic', '4', '--category', 'x'), '--category goes with --skeleton'),
        (('--synthetic', '4', '--flip_pairs'), '--flip_pairs goes with --skeleton'),
        (('--skeleton',), '--skeleton goes with --coco FILE'),
        (('--skeleton', '--synthetic', '4', '--flip_pairs', 'head'), 'must be LEFT:RIGHT'),
        (('--skeleton', '--coco', 'a.json'), '--coco goes with --images'),
        (('--skeleton', '--synthetic', '4', '--dataset', 'lsp'), 'goes without --dataset lsp'),
    ],
)
def test_options_that_do_not_go_together(monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit):
        run(monkeypatch, *words)
    assert message in capsys.readouterr().err


def test_a_file_without_people_hints_at_the_option(tmp_path, monkeypatch):
    paths, _ = own_files.write(tmp_path)
    words = ['--coco', paths[0], '--images', tmp_path / 'images', '--out', tmp_path / 'out']
    with pytest.raises(InputError, match=r"no category has .*; with --skeleton the file's own key"):
        run(monkeypatch, *words)


def test_arrays_of_custom_people_are_not_lost(tmp_path, monkeypatch):
    """`--coco` with and without --skeleton have one default folder."""
    (train, _), (images, _) = datasets.load('coco').write_synthetic(str(tmp_path / 'set'), 12, 0)
    words = ['--coco', train, '--images', images, '--out', tmp_path / 'out']
    run(monkeypatch, *words, '--skeleton')
    assert len(loaded(str(tmp_path / 'out'))[1].joints) == 17
    with pytest.raises(InputError, match='holds the arrays of own_skeleton, which would be lost'):
        run(monkeypatch, *words)


# --- the skeleton as data -------------------------------------------------------------------------


def of_data_set(name):
    """The Skeleton of a named data set, under its own names."""
    data_set = datasets.load(name)
    return skeleton.Skeleton(
        'person', tuple(data_set.joints), data_set.limbs, data_set.mirror_pairs, None
    )


@pytest.mark.parametrize('name', ['lsp', 'mpii', 'coco'])
def test_a_named_skeleton_as_data_is_the_same(name):
    named = datasets.load(name)
    made = datasets.load('own', of_data_set(name))
    assert made.flip == named.flip and made.limb_indices == named.limb_indices
    assert made.layout == named.layout and made.points == named.points
    assert [made.side(joint) for joint in made.joints] == [
        joints.side_of(joint) for joint in made.joints
    ]
    assert joints.mirror_pairs(named.joints) == tuple(sorted_pairs(named))
    assert not made.torso_labelled(np.full((2, len(made.joints)), 2)).any()


def sorted_pairs(data_set):
    """The mirror pairs in the order of the left joints."""
    return sorted(data_set.mirror_pairs, key=lambda pair: data_set.joints.index(pair[0]))


HAND = ('wrist', *(f'{finger}_{i}' for finger in 'abcde' for i in range(4)))  # no sides


@pytest.mark.parametrize(
    ('joints_of_file', 'n_pairs'),
    [
        (datasets.load('flic').coco_joints, 4),
        (datasets.load('lsp').coco_joints, 6),
        (datasets.load('coco').coco_joints, 8),
        (list(HAND), 0),
        (['tip'], 0),
    ],
)
def test_any_number_of_key_points_in_a_file(tmp_path, joints_of_file, n_pairs):
    """Nine, fourteen, seventeen, twenty-one and one: read as they are, by the file's names."""
    rng = np.random.default_rng(0)
    k = len(joints_of_file)
    truth = rng.uniform(20, 80, (12, k, 2))
    visible = rng.integers(1, 3, (12, k))
    limbs = [[i, i + 1] for i in range(1, k)]
    made = {
        'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in range(12)],
        'categories': [{'id': 3, 'name': 'x', 'keypoints': joints_of_file, 'skeleton': limbs}],
        'annotations': [
            {
                'image_id': i,
                'category_id': 3,
                'bbox': [10, 10, 80, 45],
                'keypoints': np.column_stack([truth[i], visible[i]]).ravel().tolist(),
            }
            for i in range(12)
        ],
    }
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(made))
    data_set = datasets.load('own', own.read_skeleton(str(path)))
    assert data_set.coco_joints == joints_of_file and len(data_set.mirror_pairs) == n_pairs
    assert data_set.limb_indices == tuple((i, i + 1) for i in range(k - 1))
    _, splits = data_set.read([str(path)], [str(tmp_path)])
    for split, rows in (('train', [0, *range(2, 11)]), ('test', [1, 11])):
        np.testing.assert_allclose(splits[split].joints, truth[rows], rtol=1e-6)
        np.testing.assert_array_equal(splits[split].people['visible'], visible[rows])
        np.testing.assert_allclose(splits[split].people['unit'], 60)
        assert splits[split].people.dtype == data_set.layout['people'][0]


def test_sides_of_limbs():
    """Drawn in their colours."""
    pairs = (('left', 'right'), ('a', 'b'))
    made = skeleton.Skeleton('s', ('left', 'right', 'a', 'b', 'c'), (), pairs, None)
    data_set = datasets.load('own', made)
    assert [data_set.side(joint) for joint in made.joints] == ['l', 'r', 'l', 'r', '']
    for limb, side in {'left a': 'l', 'c b': 'r', 'left right': '', 'c c': '', 'a c': 'l'}.items():
        assert data_set.side(*limb.split()) == side


def test_flics_nine_joints_as_data():
    flic = datasets.load('flic')
    limbs = tuple(limb for limb in flic.limbs if set(limb) <= set(flic.joints))
    nine = skeleton.Skeleton('person', tuple(flic.joints), limbs, flic.mirror_pairs, None)
    assert datasets.load('own', nine).flip == flic.flip[:9]


def test_round_trip_as_json():
    made = skeleton.Skeleton('s', ('a', 'b', 'c'), (('a', 'b'),), (('b', 'c'),), ('a', 'c'))
    stored = json.loads(json.dumps(made.as_json()))
    assert skeleton.from_json(stored) == made
    assert datasets.load('own', made) is datasets.load('own', skeleton.from_json(stored))
    assert datasets.load('own').joints == ()  # another one is not changed


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ({'joints': []}, ValueError),
        ({'joints': ['a', 'a']}, ValueError),
        ({'joints': ['a', 3]}, ValueError),
        ({'limbs': [['a', 'z']]}, ValueError),
        ({'limbs': [['a']]}, ValueError),
        ({'mirror_pairs': [['a', 'b'], ['b', 'c']]}, ValueError),
        ({'normaliser': ['a', 'a']}, ValueError),
        ({'normaliser': ['a', 'z']}, ValueError),
        ({'category': None}, ValueError),
        ({'mirror_pairs': None}, TypeError),
    ],
)
def test_what_is_no_skeleton(change, error, tmp_path, monkeypatch):
    made = skeleton.Skeleton('s', ('a', 'b', 'c'), (('a', 'b'),), (('b', 'c'),), ('a', 'c'))
    with pytest.raises(error):
        skeleton.from_json({**made.as_json(), **change})


def test_a_manifest_without_its_skeleton_is_refused(tmp_path, monkeypatch):
    folder, _ = read(tmp_path, monkeypatch)
    path = tmp_path / 'arrays' / arrays.MANIFEST
    manifest = json.loads(path.read_text())
    for change in ({'skeleton': None}, {'dataset': 'coco'}, {'skeleton': {'joints': ['a']}}):
        path.write_text(json.dumps({**manifest, **change}))
        with pytest.raises(InputError, match='not a manifest'):
            arrays.read_manifest(folder)
    del manifest['skeleton']
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r'not a manifest of data.py: .*skeleton'):
        arrays.read_manifest(folder)


# --- sides by names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('left_paw', 'right_paw'),
        ('l_paw', 'r_paw'),
        ('paw_left', 'paw_right'),
        ('paw_L', 'paw_R'),
        ('paw_l', 'paw_r'),
        ('LeftPaw', 'RightPaw'),
        ('leftPaw', 'rightPaw'),
        ('PawLeft', 'PawRight'),
        ('LEFT_PAW', 'RIGHT_PAW'),
        ('Left Paw', 'Right Paw'),
        ('Paw.L', 'Paw.R'),
        ('paw-l', 'paw-r'),
        ('LPaw', 'RPaw'),
        ('leftpaw', 'rightpaw'),
        ('pawleft', 'pawright'),
        ('front_l_paw', 'front_r_paw'),
        ('left_front_paw', 'right_front_paw'),
        ('L_F_Paw', 'R_F_Paw'),
        ('left', 'right'),
        ('lsho', 'rsho'),
        ('left_eye', 'Right-Eye'),
    ],
)
def test_sides_are_read_from_names(left, right):
    others = ('leg', 'reg', 'rump', 'lump', 'nose', 'upright', 'larm', 'lip', 'rib')
    assert joints.mirror_pairs((right, *others, left)) == ((left, right),)
    assert joints.has_side(left) and joints.has_side(right)
    assert not any(map(joints.has_side, ('leg', 'rump', 'tail', 'lip')))


@pytest.mark.parametrize(
    'names',
    [
        ('left_ear', 'l_ear', 'right_ear'),  # two left ears
        ('left_ear', 'right_eye'),
        ('left_left', 'right_left', 'left_right'),  # left_left could be of two pairs
        ('a', 'b'),
    ],
)
def test_doubtful_names_are_no_pairs(names):
    assert joints.mirror_pairs(names) == ()


def test_names_with_a_side_and_no_partner_are_listed():
    made = skeleton.Skeleton('s', ('left_ear', 'tail'), (), (), None)
    text = own.describe(made)
    assert 'look at the names: left_ear have a side but no partner; --flip_pairs' in text
    assert 'look at' not in own.describe(made._replace(joints=('ear', 'tail')))
