"""Meters: PCP and PCKh of LSP's people by loops; sums of earlier versions."""

from types import SimpleNamespace

import numpy as np
import pytest

from jointpose.datasets import flic, lsp
from jointpose.evaluation.meter import of_joints

K = len(lsp.JOINTS)
MODELS = {'a': 0.5, 'b': 0.9}  # outputs, as factors of the truth's errors


def locate(output):
    """The output is joints."""
    return output


def drawn(rng, n):
    """(facts of n people in crops, {output: joints in the crop}, joints in the picture of each)."""
    truth = rng.uniform(0, 100, (n, K, 2))
    matrix = np.array([[3.0, 0, 7], [0, 1.5, -4]])  # stretched: lengths differ from the crop's
    facts = SimpleNamespace(
        rows=np.arange(n),
        back=np.tile(matrix, (n, 1, 1)),
        joints_xy=truth,
        visible=(rng.random((n, K)) < 0.8).astype(np.uint8),
        unit=np.full(n, 50.0),
    )
    outputs = {
        name: truth + factor * rng.normal(0, 25, truth.shape) for name, factor in MODELS.items()
    }
    return facts, outputs


def brute_force(batches, name):
    """({stick: strict PCP}, {joint: PCKh}) of all people of all batches, in the picture."""
    hits = {}
    index = lsp.JOINTS.index
    for facts, outputs in batches:
        for truth, found, visible in zip(facts.joints_xy, outputs[name], facts.visible):
            truth, found = (xy * (3, 1.5) + (7, -4) for xy in (truth, found))
            sides = [
                ((f'{side}{first}',), (f'{side}{last}',), f'{word} {part}')
                for side, word in (('l', 'left'), ('r', 'right'))
                for first, last, part in (
                    ('sho', 'elb', 'upper arm'),
                    ('elb', 'wri', 'forearm'),
                    ('hip', 'kne', 'upper leg'),
                    ('kne', 'ank', 'lower leg'),
                )
            ]
            torso = (('lsho', 'rsho'), ('lhip', 'rhip'), 'torso')
            for first, last, stick in (*sides, torso, (('neck',), ('head',), 'head')):
                if not all(visible[index(joint)] for joint in (*first, *last)):
                    continue
                ends = [
                    [np.mean([xy[index(joint)] for joint in end], axis=0) for end in (first, last)]
                    for xy in (truth, found)
                ]
                allowed = 0.5 * np.linalg.norm(ends[0][0] - ends[0][1])
                errors = [np.linalg.norm(a - b) for a, b in zip(*ends)]
                hits.setdefault(('pcp', stick), []).append(max(errors) <= allowed)
            if not visible[index('neck')] or not visible[index('head')]:
                continue
            head = np.linalg.norm(truth[index('neck')] - truth[index('head')])
            for joint in np.flatnonzero(visible):
                near = np.linalg.norm(truth[joint] - found[joint]) <= 0.5 * head
                hits.setdefault(('pckh', lsp.JOINTS[joint]), []).append(near)
    return {key: 100 * np.mean(of_key) for key, of_key in hits.items()}


def test_lsp_s_parts_by_loops_over_two_batches_and_a_restored_meter():
    rng = np.random.default_rng(0)
    batches = [drawn(rng, 30), drawn(rng, 11)]
    meter = of_joints(lsp.Lsp(), list(MODELS), locate)
    for facts, outputs in batches:
        meter = of_joints(lsp.Lsp(), list(MODELS), locate, meter.state())
        meter.add(dict.fromkeys(MODELS, 1.0), outputs, facts)
    means = meter.means()
    for name in MODELS:
        expected = brute_force(batches, name)
        assert len(expected) == 10 + K
        for (measure, label), rate in expected.items():
            assert means[f'{measure}_each_{name}'][label] == pytest.approx(rate)
        for measure in ('pcp', 'pckh'):
            of_measure = [rate for (kind, _), rate in expected.items() if kind == measure]
            assert means[f'{measure}_{name}'] == pytest.approx(np.mean(of_measure))
    assert means['pcp_a'] > means['pcp_b'] > 0


def test_sums_of_a_checkpoint_from_before_the_parts():
    """The rates resume; the parts are those of the batches since."""
    rng = np.random.default_rng(0)
    batches = [drawn(rng, 30), drawn(rng, 11)]
    meters = [of_joints(lsp.Lsp(), list(MODELS), locate) for _ in range(2)]
    for meter, (facts, outputs) in zip(meters, batches):
        meter.add(dict.fromkeys(MODELS, 1.0), outputs, facts)
    former = {k: v for k, v in meters[0].state().items() if 'pcp' not in k and 'pckh' not in k}
    resumed = of_joints(lsp.Lsp(), list(MODELS), locate, former)
    facts, outputs = batches[1]
    resumed.add(dict.fromkeys(MODELS, 1.0), outputs, facts)
    assert resumed.state()['n'] == 41
    assert resumed.means()['pcp_a'] == meters[1].means()['pcp_a']
    assert resumed.means()['rate_a'] != meters[1].means()['rate_a']


def test_without_limbs_for_them_there_are_no_parts():
    names = set(of_joints(flic.Flic(), ['a'], locate).means())
    assert names == {'loss_a', 'rate_a', 'joints_a'}
