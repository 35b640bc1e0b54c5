"""Real people are learnt by heart: eight of PARSE and five of MPII by HRNet at half the width, the
twelve in four of COCO's pictures by SPM at a quarter; all with a module a stage and a block a
branch."""

import os

import numpy as np
import pytest
from conftest import SHARED

from jointpose import data, datasets, run_options
from jointpose.datasets import arrays
from jointpose.metrics.average_precision import coco_result, precision_table
from jointpose.nn.tf1 import tf
from jointpose.systems import hrnet
from jointpose.training import batches, towers
from jointpose.vision.affine import transform_points

# System, its data set, what data.py makes of it below SHARED (COCO's test pictures are its training ones), options of
# main.py, samples, updates.
CASES = (
    ('hrnet', 'lsp', ('parse', ['parse/labels.mat'], ['parse']), ('--width', '16'), 8, 80),
    (
        'hrnet',
        'mpii',
        ('mpii', ['mpii_sample/test_mpii.json'], ['mpii_sample']),
        ('--width', '16'),
        5,
        100,
    ),
    (
        'spm',
        'coco',
        ('coco', 2 * ['coco_sample/test_coco.json'], 2 * ['coco_sample']),
        ('--width', '8', '--lr', '0.003'),
        4,
        160,
    ),
)


def samples_of(system, options, source, n, folder, monkeypatch):
    """A Batch of the first n samples of a data set made by data.py, train and test."""
    dataset, metas, images = source
    metas, images = ([os.path.join(SHARED, path) for path in paths] for paths in (metas, images))
    if not os.path.exists(metas[0]):
        pytest.skip(f'real pictures are not at {images[0]} (set POSE_SHARED)')
    monkeypatch.setattr(
        'sys.argv',
        ['data.py', '--dataset', dataset, '--meta', *metas, '--images', *images, '--out', folder],
    )
    data.main()
    manifest = arrays.read_manifest(folder)
    splits = [
        arrays.system_samples(arrays.load_split(folder, split, manifest), system.MAX_PEOPLE)
        for split in arrays.SPLITS
    ]
    rows = [(split, row) for split in splits for row in range(len(split.images))][:n]
    return tf.nest.map_structure(
        lambda *parts: np.concatenate(parts),
        *(batches.plain_batch(system, split, [row]) for split, row in rows),
    )


def average_precision(folder, batch, people):
    """COCO's, of the Poses found in the training pictures, in pixels of the frames."""
    manifest = arrays.read_manifest(folder)
    split = arrays.load_split(folder, 'train', manifest)
    table = arrays.load_array(folder, 'pictures', 'train', manifest)
    results = [
        coco_result(picture, transform_points(back, pose.joints_xy), pose.scores, pose.score)
        for picture, back, poses in zip(table['id'], batch.back, people)
        for pose in poses
    ]
    return dict(precision_table(datasets.load('coco').joints, table, split, results)[2])['AP']


@pytest.mark.long
@pytest.mark.parametrize(('name', 'dataset', 'source', 'arguments', 'n', 'steps'), CASES)
def test_people_are_learnt_by_heart(
    tf_graph, name, dataset, source, arguments, n, steps, tmp_path, monkeypatch
):
    """Over 90 % of the joints by the data set's own measure, found as in evaluation."""
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    options, system, *_ = run_options.resolve_options(
        ['--train', '--system', name, '--dataset', dataset, '--schedule', 'cosine', *arguments]
    )
    batch = samples_of(system, options, source, n, str(tmp_path), monkeypatch)
    tf.set_random_seed(0)
    tf.train.get_or_create_global_step()
    fed = batches.placeholders(system)
    training = towers.build_training(system, fed, ['/cpu:0'], steps)
    inference = towers.build_inference(system, fed, ['/cpu:0'])
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        feed = batches.feed(fed, batch)
        for _ in range(steps):
            session.run(training.step, feed)
        losses, outputs = session.run([inference.losses, inference.outputs], feed)
    meter = system.meter(list(outputs))
    meter.add(
        {output: loss.mean() for output, loss in losses.items()},
        outputs,
        batches.without_images(batch),
    )
    means = meter.means()
    assert means[f'rate_{name}'] > 90, means
    if dataset == 'coco':
        assert float(average_precision(str(tmp_path), batch, system.decode(outputs[name]))) > 60
