"""The benchmark: the plain implementations say what ours say, and rounds alternate."""

import json
import math
import os
import shutil
import sys

import forked
import numpy as np
import pytest

from jointpose import pairwise_distr, run_options, spatial_model
from jointpose.datasets import arrays, flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.nn import test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.training import batches
from jointpose.utils.errors import InputError
from jointpose.vision import augmentation, heatmaps
from tools import baseline_tf1
from tools.benchmark import __main__ as benchmark
from tools.benchmark import plain, preparation, sizes, table, timing


def test_plain_messages_are_ours(tf_graph):
    rng = np.random.default_rng(0)
    energies = tf.constant(rng.normal(size=(81, 12, 16)), tf.float32)
    maps = tf.constant(rng.random((10, 2, 6, 8)), tf.float32)
    ours = spatial_model.messages(spatial_model.softplus(energies), maps)
    plain = [
        baseline_tf1.message(energies[i], maps[v])[:, 1:, 1:]
        for i, (_, v) in enumerate(spatial_model.PAIRS_TO_JOINTS)
    ]
    with tf_graph() as session:
        np.testing.assert_allclose(*session.run([tf.stack(ours), tf.stack(plain)]), rtol=1e-4)


def test_plain_histograms_are_ours():
    people = np.random.default_rng(0).uniform(-20, 740, size=(7, flic.N_MAPS, 2)).astype(np.float32)
    np.testing.assert_allclose(
        plain.plain_histograms(people),
        pairwise_distr.pairwise_histograms(PersonFrame(flic.Flic()).clamp(people), flic.MAP_SIZE),
        rtol=1e-5,
        atol=1e-9,
    )


def test_plain_scales_are_ours_but_for_rounding(arrays_folder):
    split = arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder))
    _, system, *_ = run_options.resolve_options(['--train'])
    ours = batches.views_batch(system, split, np.array([3])).images / 255
    assert (
        np.abs(plain.plain_scaled(split.images[3]) - ours).mean() < 0.02
    )  # 0.1 to 0.3 between scales


def test_plain_maps_come_back(tf_graph):
    smooth = heatmaps.render_targets(np.array([[[300, 200]]]), (60, 90))[0]  # [60, 90, 1]
    smooth = np.stack([smooth] * len(test_time_augmentation.SCALES))
    ours = test_time_augmentation.merge_views(tf.constant(smooth))
    theirs = plain.plain_combined(smooth)
    with tf_graph() as session:
        found = session.run(ours)[0]
    # Masses differ (ours scales each map to 1), and the plain one rounds to whole cells: centres of mass agree to one.
    centres = [
        [(m[..., 0].sum(axis=1 - axis) @ np.arange(m.shape[axis])) / m.sum() for axis in (0, 1)]
        for m in (found, theirs)
    ]
    np.testing.assert_allclose(*centres, atol=1)


def test_plain_augmentation_keeps_shapes_and_range(arrays_folder, tf_graph):
    split = arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder))
    targets = heatmaps.render_targets(flic.clamp_to_frame(split.joints[:1]), (60, 90))
    image, maps = baseline_tf1.augment(
        tf.constant(split.images[0] / 255, tf.float32), tf.constant(targets[0])
    )
    with tf_graph() as session:
        image, maps = session.run([image, maps])
    assert image.shape == (480, 720, 3) and 0 <= image.min() < image.max() <= 1
    assert maps.shape == (60, 90, 10) and 0 <= maps.min() < maps.max() <= 0.25 * 1.1


def test_rounds_alternate_and_medians_leave_the_warm_up_out():
    calls = []

    def fake(name, walls):
        times = iter(walls)

        def function():
            calls.append(name)
            return timing.Time(next(times), 1)

        return function

    (ours, plain), runs = timing.measure(3, fake('ours', [9, 1, 2, 3]), fake('plain', [9, 5, 4, 6]))
    assert (ours.wall, plain.wall, runs) == (2, 5, 3)
    assert calls == ['ours', 'plain'] * 4
    (slow,), runs = timing.measure(5, fake('slow', [100, 300, 200]))
    assert (slow.wall, runs) == (200, 3)


SMALL = sizes.Sizes(
    1, 256, ((1 / 16, 1),), ((1 / 16, 1),), (), (1,), 1, 40, (1,), (1,), (1 / 16,), ()
)
CHEAP = ('augmentation', 'multiscale', 'histograms', 'preprocessing')


@pytest.mark.parametrize(
    'piece',
    [
        pytest.param(piece, marks=[] if piece in CHEAP else pytest.mark.long)
        for piece in benchmark.PIECES
    ],
)
def test_each_piece_gives_its_rows(tmp_path, arrays_folder, monkeypatch, piece):
    for name in os.listdir(arrays_folder):
        os.symlink(os.path.join(arrays_folder, name), tmp_path / name)
    monkeypatch.setattr(preparation, 'TRAIN', 30)
    monkeypatch.setattr(batches, 'THREADS', 1)
    rows = list(benchmark.PIECES[piece](SMALL, str(tmp_path)))
    assert rows
    for row in rows:
        cells = table.growth_cells(row) if piece == 'growth' else table.cells(row, 1e9)
        assert len(cells) == len(table.GROWTH_HEADER if piece == 'growth' else table.HEADER)
        assert 0 < float(cells[2]) < math.inf and 0 < float(cells[3]) < math.inf, cells


def test_rows_are_kept_though_a_later_piece_fails(tmp_path, monkeypatch, capsys):
    second = timing.Time(1, 1)
    pieces = {
        'first': lambda *_: [table.Row('well', 'small', second, second, 5, 2)],
        'second': lambda *_: [][0],
    }
    monkeypatch.setattr(benchmark, 'PIECES', pieces)
    monkeypatch.setattr(benchmark, 'script', lambda *_: None)
    kept = tmp_path / 'lines.jsonl'
    monkeypatch.setattr(sys, 'argv', ['benchmark', '--quick', '--out', str(kept)])
    with pytest.raises(IndexError):
        benchmark.main()
    assert '| well ' in capsys.readouterr().out
    about, row = map(json.loads, kept.read_text().splitlines())
    assert about['peak_gflop_per_s'] > 0 and 'cores' in about['machine']
    assert row['piece'] == 'well' and row['ours'] == {'wall': 1, 'cpu': 1} and row['runs'] == 5


def test_help():
    done = forked.run(['-m', 'tools.benchmark', '--help'], cwd=forked.ROOT)
    assert done.returncode == 0 and '--quick' in done.stdout and 'spatial' in done.stdout


def test_a_baseline_has_the_constants_of_the_project():
    """It cannot import our modules, under Python 3.7."""
    for module, names in (
        (flic, ('HEIGHT', 'WIDTH', 'FLIP')),
        (heatmaps, ('STRIDE',)),
        (augmentation, ('FLIP_PROBABILITY', 'BRIGHTNESS', 'CONTRAST', 'CROP_FRACTION')),
    ):
        assert all(getattr(baseline_tf1, name) == getattr(module, name) for name in names)
    assert (
        flic.N_JOINTS == baseline_tf1.JOINTS
        and augmentation.DEFAULT_RANGES.rotation == baseline_tf1.ROTATION
    )
    assert tuple(baseline_tf1.PAIRS) == spatial_model.PAIRS_TO_JOINTS


def test_a_baseline_runs_in_another_process(monkeypatch, tmp_path):
    (tmp_path / 'tools').mkdir()
    shutil.copy(os.path.join(forked.ROOT, 'tools', 'baselines.py'), tmp_path / 'tools')
    (tmp_path / 'tools' / 'baseline_own.py').write_text(
        'def training_step(width, batch_size, word):\n    assert (width, batch_size, word) == (4, 2, "x"), "so not"\n'
        '    return lambda: sum(range(10 ** 5))\n'
    )
    monkeypatch.setattr(timing, 'ROOT', str(tmp_path))
    with timing.Baseline(sys.executable, 'own', 4, 2, 'x') as side:
        (_, other), runs = timing.measure(2, lambda: None, side)
    assert runs == 2 and other.wall > 0 and side.process.returncode == 0
    for python, arguments, reason in (
        (sys.executable, ('own', 4, 3, 'x'), 'AssertionError: so not'),
        ('/nowhere/python', (), 'No such file'),
    ):
        with pytest.raises(InputError, match=f'{python}: {reason}'):
            timing.Baseline(python, *arguments)
