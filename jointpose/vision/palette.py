"""One palette everywhere: poses, sheets, curves, TensorBoard, reports.

Of joints and limbs left is cool, right warm, the trunk between them; of models the detector is blue, the joint model
vermilion.  Okabe and Ito's colours or near them, told apart by colour-blind readers too.  What belongs to test people
is a solid line with dots, what to training a dotted one with squares.
"""

from jointpose.vision.joints import side_of

GROUND_TRUTH, BACKGROUND = '#ffffff', '#16161d'  # the true skeleton; behind maps
SIDE_COLOURS = {
    'l': '#56b4e9',
    'r': '#e69f00',
    '': '#cc79a7',
}  # limbs and labels of left, right, neither
LEFT = ('#56b4e9', '#2f7bff', '#00c795', '#9d8cff', '#00a6d6', '#7fdcff', '#5a6bff', '#00e0c6')
RIGHT = ('#f0e442', '#e69f00', '#ff4f1a', '#ff8fc8', '#d55e00', '#ffc27a', '#ff6f91', '#ffd400')
CENTRE = ('#ffffff', '#cc79a7', '#c0c0c0', '#8fbf6f')
MODEL_COLOURS = (
    '#0072B2',
    '#D55E00',
    '#009E73',
    '#CC79A7',
    '#E69F00',
    '#56B4E9',
)  # in the order of a system's outputs
TRAIN_LINE, TEST_LINE = 's:', 'o-'  # of epochs, in matplotlib's format


def side_colour(*joints):
    """Of a limb between joints, or of one joint's label."""
    return SIDE_COLOURS[side_of(*joints)]


def joint_colours(joints):
    """{joint: colour}, all different for up to 8 a side and 4 in the middle."""
    ramps = {'l': iter(LEFT), 'r': iter(RIGHT), '': iter(CENTRE)}
    return {joint: next(ramps[side_of(joint)]) for joint in joints}


def rgb(colour):
    """'#rrggbb' -> (r, g, b) of 0..255."""
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
