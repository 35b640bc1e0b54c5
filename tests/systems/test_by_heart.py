"""Real people are learnt by heart: eight by HRNet at half the width, the twelve in COCO's four pictures by SPM at a
quarter; both with a module a stage and a block a branch."""
import os

import numpy as np
import pytest
from conftest import SHARED

import data
import main
from datasets import arrays
from engine import batches, towers
from engine.tf1 import tf
from systems import hrnet

# Of a system: the data set, what data.py makes of it below SHARED, options of main.py, samples, updates.
CASES = {'hrnet': ('lsp', ('parse', 'parse/labels.mat', 'parse'), ('--width', '16'), 8, 80),
         'spm': ('coco', ('coco', 'coco_sample/test_coco.json', 'coco_sample'), ('--width', '8', '--lr', '0.003'), 4,
                 140)}


def samples_of(system, options, source, n, folder, monkeypatch):
    """A Batch of the first n samples of a data set made by data.py, train and test."""
    dataset, meta, images = source
    meta, images = (os.path.join(SHARED, path) for path in (meta, images))
    if not os.path.exists(meta):
        pytest.skip(f'real pictures are not at {images} (set POSE_SHARED)')
    monkeypatch.setattr('sys.argv', ['data.py', '--dataset', dataset, '--meta', meta, '--images', images,
                                     '--out', folder])
    data.main()
    manifest = arrays.read_manifest(folder)
    splits = [arrays.samples(arrays.load_split(folder, split, manifest), system.MOST_PEOPLE) for split in arrays.SPLITS]
    rows = [(split, row) for split in splits for row in range(len(split.images))][:n]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *(
        batches.plain_batch(system, split, [row], options) for split, row in rows))


@pytest.mark.long
@pytest.mark.parametrize('name', CASES)
def test_people_are_learnt_by_heart(tf_graph, name, tmp_path, monkeypatch):
    """Over 90 % of the joints by the data set's own measure, found as in evaluation."""
    dataset, source, arguments, n, steps = CASES[name]
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    options, system, *_ = main.understand(['--train', '--system', name, '--dataset', dataset, '--schedule', 'cosine',
                                           *arguments])
    batch = samples_of(system, options, source, n, str(tmp_path), monkeypatch)
    tf.set_random_seed(0)
    tf.train.get_or_create_global_step()
    fed = batches.placeholders(system, options)
    training = towers.build_training(system, fed, ['/cpu:0'], options, steps)
    inference = towers.build_inference(system, fed, ['/cpu:0'], options)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        feed = batches.feed(fed, batch)
        for _ in range(steps):
            session.run(training.step, feed)
        losses, outputs = session.run([inference.losses, inference.outputs], feed)
    meter = system.meter(options, list(outputs))
    meter.add({output: loss.mean() for output, loss in losses.items()}, outputs, batches.facts(batch))
    means = meter.means()
    assert means[f'rate_{name}'] > 90, means
