"""data.py: counts of the real FLIC, the backward swap, and real faults."""

import json
import os
import shutil

import cv2
import forked
import numpy as np
import pytest
import scipy.io

from jointpose import data, run_options
from jointpose.datasets import arrays, flic, lsp, records
from jointpose.datasets.flic import COLUMNS, JOINTS, read_annotations
from jointpose.datasets.synthetic import flic_set
from jointpose.training import batches
from jointpose.utils.errors import InputError


@pytest.fixture
def flic_like(tmp_path):
    """Ten synthetic people in FLIC's format: (meta path, images folder)."""
    flic_set.write(str(tmp_path / 'set'), 10, 1)
    return str(tmp_path / 'set' / 'examples.mat'), str(tmp_path / 'set' / 'images')


def run(*arguments, limit=None):
    return forked.run(['data.py', *arguments], file_size=limit)


def refused(result, out, *words):
    """One line, exit 2, nothing under a final name and nothing left over."""
    lines = [line for line in result.stderr.splitlines() if line and 'img/s' not in line]
    assert result.returncode == 2, result
    assert len(lines) == 1 and lines[0].startswith('data.py: error:'), result.stderr
    for word in words:
        assert word in lines[0]
    assert not out.exists() or not [
        name for name in os.listdir(out) if name.endswith(('.npy', '.json', '.partial'))
    ]


def test_real_flic_counts(flic):
    people = read_annotations(os.path.join(flic, 'examples.mat'))
    assert [(people.split == split).sum() for split in ('train', 'test', '')] == [3987, 1016, 0]
    assert [people.backward[people.split == split].sum() for split in ('train', 'test')] == [
        199,
        48,
    ]
    text = data.report(people)
    assert (
        'frame, clamped in the heat maps: 14 (8 people)' in text
        and 'frames in both splits: 2' in text
    )


def test_backward_people_are_swapped_and_others_not(flic):
    path = os.path.join(flic, 'examples.mat')
    people = read_annotations(path)
    examples = scipy.io.loadmat(path)['examples'].ravel()
    for i in [*np.flatnonzero(people.backward)[:30], *np.flatnonzero(~people.backward)[:30]]:
        x = dict(zip(JOINTS, examples[i]['coords'].T[list(COLUMNS)]))
        backward = x['lhip'][0] < x['rhip'][0]
        assert backward == people.backward[i]
        for j, name in enumerate(JOINTS):
            other = (
                {'l': 'r', 'r': 'l'}.get(name[0], '') + name[1:]
                if backward and name != 'nose'
                else name
            )
            np.testing.assert_allclose(people.joints_xy[i, j], x[other], rtol=1e-6)
        torso = np.mean([x[name] for name in ('lsho', 'rsho', 'lhip', 'rhip')], axis=0)
        np.testing.assert_allclose(people.joints_xy[i, 9], torso, rtol=1e-5)
    crossed_hips = [
        person['coords'][0, COLUMNS[6]] < person['coords'][0, COLUMNS[7]] for person in examples
    ]
    np.testing.assert_array_equal(people.backward, crossed_hips)  # of FLIC, hips alone would do
    assert (people.joints_xy[:, 6, 0] >= people.joints_xy[:, 7, 0]).all()


@pytest.mark.parametrize(
    ('train', 'test', 'words'),
    [
        ((0, 20), (1, 5), None),
        ((20, 20), (0, 5), '20 of 20 train people'),
        ((19, 20), (5, 5), '19 of 20 train and 5 of 5'),
        ((3, 3), (0, 5), None),
        ((15, 20), (4, 5), None),
    ],
)
def test_a_split_seen_from_behind_is_doubtful(train, test, words):
    """As a file looks whose left is the picture's; three people can well face away."""
    said = data.doubtful_sides(
        {split: np.arange(n) < behind for split, (behind, n) in (('train', train), ('test', test))}
    )
    assert (len(said) == 1 and words in said[0]) if words else not said


def test_labels_of_every_set_are_looked_at(tmp_path):
    """Of LSP's joints: who lacks a hip is not counted among those seen from behind, nor among all."""
    xy = np.zeros((8, 14, 2))
    xy[:, [lsp.JOINTS.index(joint) for joint in ('rsho', 'rhip')], 0] = 9
    xy[7] = 0  # from the front
    visible = np.full((8, 14), 2)
    visible[6, lsp.JOINTS.index('lhip')] = 0
    names, boxes = [f'{i}.jpg' for i in range(8)], np.tile([0, 0, 9, 9], (8, 1))
    part = records.make_annotated(names, np.arange(8), xy, visible, box=boxes)
    splits = {'train': part, 'test': records.keep_pictures(part, np.arange(8) < 6)}
    text = data.report_annotated(splits, lsp.Lsp(), str(tmp_path))
    assert '6 of 7 train and 6 of 6 test people seem to be seen from behind' in text
    assert 'frames in both splits: 6' in text and 'warning: 6 pictures are' in text


def test_arrays_hold_frames_and_joints(flic_like, tmp_path):
    meta, images = flic_like
    out = tmp_path / 'out'
    assert run('--meta', meta, '--images', images, '--out', out, '--workers', 2).returncode == 0
    manifest = arrays.read_manifest(out)
    assert sorted(os.listdir(out)) == sorted([*manifest['checksums'], arrays.MANIFEST])
    people = read_annotations(meta)
    for split in arrays.SPLITS:
        loaded = arrays.load_split(out, split, manifest, verify=True)
        mine = people.select(people.split == split)
        assert manifest['counts'][split] == len(mine.file) == len(loaded.images)
        for i, file in enumerate(mine.file):
            frame = cv2.imread(os.path.join(images, file))[..., ::-1]
            assert np.abs(frame.astype(int) - loaded.images[i]).max() <= 1  # two builds of libjpeg
            np.testing.assert_array_equal(loaded.joints[i], mine.joints_xy[i])
        np.testing.assert_array_equal(loaded.people['file'], mine.file)


def test_same_seed_same_bytes(tmp_path):
    ids = set()
    for name in 'ab':
        assert run('--synthetic', 6, '--seed', 3, '--out', tmp_path / name).returncode == 0
        ids.add(arrays.read_manifest(tmp_path / name)['id'])
    assert len(ids) == 1
    assert run('--synthetic', 6, '--seed', 4, '--out', tmp_path / 'c').returncode == 0
    assert arrays.read_manifest(tmp_path / 'c')['id'] not in ids


def truncate(path, share):
    with open(path, 'rb') as file:
        content = file.read()
    with open(path, 'wb') as file:
        file.write(content[: int(len(content) * share)])


def cut_middle(path):
    """Truncated in the middle but ending as a JPEG does."""
    with open(path, 'rb') as file:
        content = file.read()
    with open(path, 'wb') as file:
        file.write(content[: len(content) // 2] + b'\xff\xd9')


def smaller(path):
    cv2.imwrite(path, np.zeros((240, 360, 3), np.uint8))


@pytest.mark.parametrize(
    ('fault', 'word'),
    [
        (os.unlink, 'No such file'),
        (lambda path: truncate(path, 0.9), 'whole image'),
        (cut_middle, 'whole image'),
        (lambda path: truncate(path, 0), 'whole image'),
        (smaller, 'is 360x240'),
        (lambda path: shutil.copy(__file__, path), 'whole image'),
    ],
)
def test_bad_pictures_are_refused_or_left_out(flic_like, tmp_path, fault, word):
    meta, images = flic_like
    victim = sorted(os.listdir(images))[5]
    fault(os.path.join(images, victim))
    out = tmp_path / 'out'
    refused(run('--meta', meta, '--images', images, '--out', out), out, victim, word)
    result = run('--meta', meta, '--images', images, '--out', out, '--skip_missing')
    assert (
        result.returncode == 0 and victim in result.stdout and 'left out: 1 person' in result.stdout
    )
    assert sum(arrays.read_manifest(out)['counts'].values()) == 9


def test_bad_meta_is_refused(flic_like, tmp_path):
    meta, images = flic_like
    out = tmp_path / 'out'
    refused(
        run('--meta', tmp_path / 'no.mat', '--images', images, '--out', out),
        out,
        'no.mat',
        'no such file: name the annotation file with --meta, or draw people with --synthetic N',
    )
    scipy.io.savemat(tmp_path / 'foreign.mat', {'x': np.eye(3)})
    refused(
        run('--meta', tmp_path / 'foreign.mat', '--images', images, '--out', out),
        out,
        'foreign.mat',
    )
    truncate(meta, 0.6)
    refused(run('--meta', meta, '--images', images, '--out', out), out, 'examples.mat')


@pytest.mark.parametrize('box', [(0, 0, 0, 0), (200, 100, 100, 300), (100, 300, 200, 100)])
def test_a_torsobox_of_no_size_is_refused(flic_like, box):
    """Other systems than Tompson's cut people out by it."""
    meta, _ = flic_like
    examples = scipy.io.loadmat(meta)['examples']
    examples.ravel()[3]['torsobox'] = np.array([box], float)
    scipy.io.savemat(meta, {'examples': examples})
    with pytest.raises(
        InputError, match=r'person 3 \(.*\): torsobox .* is not x1, y1, x2, y2 of positive size'
    ):
        read_annotations(meta)


def test_full_disk_is_one_line(flic_like, tmp_path):
    meta, images = flic_like
    out = tmp_path / 'out'
    refused(
        run('--meta', meta, '--images', images, '--out', out, limit=1 << 20),
        out,
        'cannot be written',
    )


def test_a_failed_run_leaves_the_former_arrays(flic_like, tmp_path):
    meta, images = flic_like
    out = tmp_path / 'out'
    assert run('--meta', meta, '--images', images, '--out', out).returncode == 0
    before = arrays.read_manifest(out)
    os.unlink(os.path.join(images, sorted(os.listdir(images))[-1]))
    assert run('--meta', meta, '--images', images, '--out', out).returncode == 2
    assert arrays.read_manifest(out) == before
    for split in arrays.SPLITS:
        arrays.load_split(out, split, before, verify=True)


def test_arrays_that_do_not_fit_the_manifest_are_refused(flic_like, tmp_path):
    meta, images = flic_like
    out = tmp_path / 'out'
    assert run('--meta', meta, '--images', images, '--out', out).returncode == 0
    manifest = arrays.read_manifest(out)
    x = np.load(out / 'x_train_flic.npy', mmap_mode='r+')
    x[3, 100:110] ^= 1
    x.flush()
    with pytest.raises(InputError, match='damaged, or of another run'):
        arrays.load_split(out, 'train', manifest, verify=True)
    broken = np.load(out / 'joints_test_flic.npy')
    broken[0, 0, 0] = np.nan
    with pytest.raises(InputError, match='NaN'):
        flic.check_joints(broken, 'x')
    manifest['counts']['train'] += 1
    with pytest.raises(InputError, match='has shape'):
        arrays.load_split(out, 'train', manifest)
    (out / 'manifest.json').write_text(json.dumps(manifest)[:-9])
    with pytest.raises(InputError, match='not a manifest'):
        arrays.read_manifest(out)


def numbered_split(n, frames=False):
    """A Split of n people whose row can be read off everything they have."""
    row = np.arange(n)
    images = np.zeros((n, 480, 720, 3) if frames else (n, 1), np.uint8)
    images[:] = row.reshape(-1, *[1] * (images.ndim - 1)) % 251
    people, joints_xy = (
        np.zeros(n, flic.PERSON_DTYPE),
        np.full((n, 10, 2), 8.0, np.float32) * row[:, None, None],
    )
    people['row'] = row
    return arrays.Split(
        images, joints_xy, flic.Flic().complete_people(people, joints_xy), row, 'train'
    )


@pytest.mark.parametrize('n', [100, 137, 999, 1000, 3987])
def test_held_out_people_are_stretches_of_a_tenth(n):
    rest, held = arrays.hold_out(numbered_split(n))
    assert sorted([*rest.rows, *held.rows]) == list(range(n))  # disjoint and complete
    assert n / 14 < len(held.rows) < n / 9
    stretches = np.split(held.rows, np.flatnonzero(np.diff(held.rows) != 1) + 1)
    assert len(stretches) == 10 and {len(stretch) - n // 100 for stretch in stretches} <= {0, 1}
    starts = np.array([stretch[0] for stretch in stretches])
    assert np.abs(np.diff(starts) - n / 10).max() <= 1  # over the whole split
    for part in (rest, held):
        assert (part.people['row'] == part.rows).all() and (
            part.joints[:, 4, 1] == 8 * part.rows
        ).all()
        assert part.split == 'train' and len(part.images) == len(part.rows)
    again = arrays.hold_out(numbered_split(n))
    assert all((one.rows == other.rows).all() for one, other in zip((rest, held), again))


def test_real_flic_holds_398_people_out():
    _, held = arrays.hold_out(numbered_split(3987))
    assert (
        len(held.rows) == 398 and held.rows[0] == 359 and held.rows[-1] == 3986
    )  # 8.97 to 9.97 %, 98.9 to 100 %


@pytest.mark.parametrize('n', [10, 16, 20, 25, 59, 90, 99])
def test_small_splits_hold_about_a_tenth_out(n):
    rest, held = arrays.hold_out(numbered_split(n))
    assert (
        sorted([*rest.rows, *held.rows]) == list(range(n))
        and n // 20 < len(held.rows) <= n // 10 + 1
    )


@pytest.mark.parametrize('n', [0, 1, 9])
def test_too_few_to_hold_some_out(n):
    with pytest.raises(InputError, match='--validation'):
        arrays.hold_out(numbered_split(n))


@pytest.mark.parametrize(('have', 'n'), [(3987, 1400), (3589, 120), (100, 99), (7, 3), (5, 1)])
def test_fewer_people_are_evenly_spread(have, n):
    split = numbered_split(have)
    rows = arrays.evenly_spaced(split, n).rows
    gaps = np.diff([*rows, have])
    assert len(rows) == n and rows[0] == 0 and gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
    for all_of_them in (have, have + 1, None):
        assert arrays.evenly_spaced(split, all_of_them).rows.tolist() == list(range(have))


def test_selected_people_in_batches_are_the_right_ones():
    """Frames, joints and targets of a part of a part of a split come from the rows that it names."""
    _, held = arrays.hold_out(numbered_split(137, frames=True))
    part = arrays.evenly_spaced(held, 4)
    expected = [
        held.rows[i] for i in (0, len(held.rows) // 4, len(held.rows) // 2, 3 * len(held.rows) // 4)
    ]
    assert part.rows.tolist() == expected
    seen = []
    _, system, *_ = run_options.resolve_options(['--train', '--batch_size', '3'])
    for batch in (
        batches.plain_batch(system, part, np.array([3, 1])),
        *(batches.training_batch(system, part, step) for step in (0, 1)),
    ):
        originals = part.rows[batch.rows]
        assert (batch.images == (originals % 251)[:, None, None, None]).all()
        for joint_xy, targets, row in zip(batch.joints_xy, batch.targets['heat_maps'], originals):
            inside = np.minimum(8 * row, (719, 479))  # as numbered_split lays them
            assert (joint_xy == inside).all()
            assert np.unravel_index(targets[..., 0].argmax(), (60, 90)) == tuple(inside[::-1] // 8)
        seen.append(originals.tolist())
    assert (
        seen[0] == [expected[3], expected[1]] and sorted(seen[1] + seen[2]) == expected
    )  # once an epoch
