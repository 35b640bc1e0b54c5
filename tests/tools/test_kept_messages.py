"""kept_messages.py: what a silenced message leaves, on the published network and drawn people."""

import os

import numpy as np
from conftest import ROOT

from jointpose import spatial_model
from jointpose.datasets import arrays
from jointpose.vision.affine import transform_points
from tools import kept_messages
from tools.trained_network import restored


def test_only_biases_of_other_senders_change():
    biases = np.arange(81.0).reshape(81, 1, 1)
    for name, kept in zip(kept_messages.KEPT, (0, 9, 72, 81)):
        is_kept = kept_messages.KEPT[name]
        found = kept_messages.silenced(biases, 9, is_kept)
        unchanged = found == biases
        assert unchanged.sum() == kept
        senders = np.array(spatial_model.PAIRS_TO_JOINTS)[unchanged.ravel(), 1]
        assert all(is_kept(sender == 9) for sender in senders)


def test_without_messages_the_joints_are_the_detectors(arrays_folder):
    """With all of them they are those of the joint model, untouched."""
    test = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    run = os.path.join(ROOT, 'pretrained', 'flic')
    options = ('--data', arrays_folder, '--scales', 'single', '--decode', 'argmax')
    with restored(run, *options) as network:
        outputs, _, back = network.outputs(test, range(len(test.rows)))
        found = kept_messages.joints_by_messages(network, test)
    for output, name in (('pd', 'no messages'), ('sm', 'all messages')):
        expected = network.system.locate(outputs[output])
        expected = [transform_points(*pair) for pair in zip(back, expected)]
        np.testing.assert_array_equal(found[name], expected)
    assert not np.array_equal(found['message of the given map'], found['messages of the joints'])
