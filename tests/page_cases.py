"""Pictures for page/test/page.test.mjs, and the joints that the network finds in them in TensorFlow.

python -m tests.page_cases build/page_test          cases.json and the pictures; `make test-page` runs it
"""

import argparse
import json
import os

import cv2
import numpy as np

from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import flic
from jointpose.datasets.synthetic import flic_set
from jointpose.export import network
from jointpose.systems.tompson import torso_inference as torso
from jointpose.vision import heatmaps
from jointpose.vision.crops import fit_to_frame

RUN = 'pretrained/flic'
LARGE = 8000, 6000  # pixels


def pictures():
    """{file name: (RGB picture, torso (x, y) in its frame)}; torsos are the centres of their cells."""
    person = cv2.imread(os.path.join('docs', 'person.jpg'))[..., ::-1]
    drawn = flic_set.render(0, 18).image
    tall = cv2.resize(
        flic_set.render(0, 14).image[:, 150:570], (840, 960), interpolation=cv2.INTER_CUBIC
    )
    return {
        'person.png': (person, (260, 324)),
        'drawn.png': (drawn, (220, 300)),
        'tall.png': (tall, (292, 236)),
    }


def write_cases(folder):
    os.makedirs(folder, exist_ok=True)
    cases = []
    for name, (picture, torso_xy) in pictures().items():
        cv2.imwrite(os.path.join(folder, name), picture[..., ::-1])
        cases.append(
            {
                'file': name,
                'torso': torso_xy,
                'frame': fit_to_frame(picture, (flic.HEIGHT, flic.WIDTH))[0],
            }
        )
    for case, found in zip(cases, joints_of(cases)):
        case.pop('frame')
        case.update(found)
    with open(os.path.join(folder, 'cases.json'), 'w') as file:
        json.dump(cases, file, indent=1)


def joints_of(cases):
    """[{joints, detector, inferred}]: [9, 2] by the joint model and by the detector, and the torso it infers."""
    found = checkpoint.find('', RUN)
    system, options = network.settings_of(found)
    energies = checkpoint_variables.read_weights(found.path)['spatial_model/energies']
    shape = flic.MAP_HEIGHT, flic.MAP_WIDTH
    with network.live_network(found, system, options) as run:
        for case in cases:
            torso_map = heatmaps.render_targets(np.array([[case['torso']]], np.float32), shape)
            outputs = run({'image': case['frame'][None], 'torso_map': torso_map})
            maps = outputs['part_detector_maps']
            yield {
                'joints': outputs['joints'][0].tolist(),
                'detector': heatmaps.decode(maps)[0].tolist(),
                'inferred': torso.infer(maps, torso.priors(energies, flic.Flic()))[0].tolist(),
            }


def write_bad_pictures(folder):
    """1x1, 8000x6000, and a file that is no picture."""
    cv2.imwrite(os.path.join(folder, 'one_pixel.png'), np.zeros((1, 1, 3), np.uint8))
    width, height = LARGE
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    cv2.imwrite(
        os.path.join(folder, 'large.png'), np.broadcast_to(ramp[None, :, None], (height, width, 3))
    )
    with open(os.path.join(folder, 'broken.jpg'), 'wb') as file:
        file.write(b'\xff\xd8\xff\xe0 cut off')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder')
    out = parser.parse_args().folder
    write_cases(out)
    write_bad_pictures(out)
