"""The colours and line styles of all images, curves and reports.

In skeletons, left is cool, right is warm, and the torso lies between. Among models, the part
detector is blue and the joint model vermilion. Most colours are Okabe and Ito's or close to them,
which colour-blind readers can tell apart. In curves, test results are solid lines with dots,
training results are dotted lines with squares.
"""

from collections.abc import Callable, Sequence
from itertools import cycle

from jointpose.vision.joints import side_of

GROUND_TRUTH = '#ffffff'  # the annotated skeleton
BACKGROUND = '#16161d'  # behind heat maps

# Limbs and labels of the left, of the right, and of neither side.
SIDE_COLOURS = {'l': '#56b4e9', 'r': '#e69f00', '': '#cc79a7'}

# Joints of the left, of the right, and of neither side.
LEFT = ('#56b4e9', '#2f7bff', '#00c795', '#9d8cff', '#00a6d6', '#7fdcff', '#5a6bff', '#00e0c6')
RIGHT = ('#f0e442', '#e69f00', '#ff4f1a', '#ff8fc8', '#d55e00', '#ffc27a', '#ff6f91', '#ffd400')
CENTRE = ('#ffffff', '#cc79a7', '#c0c0c0', '#8fbf6f')

# Outputs of a system, in their order.
MODEL_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')

# Curves over epochs, in matplotlib's format.
TRAIN_LINE = 's:'
TEST_LINE = 'o-'


def side_colour(*joints: str) -> str:
    """Returns the colour of a limb between joints, or of one joint's label."""
    return SIDE_COLOURS[side_of(*joints)]


def joint_colours(joints: Sequence[str], side: Callable[[str], str] = side_of) -> dict[str, str]:
    """Returns {joint: colour}, all different for up to 8 joints a side and 4 in the centre.

    side: the side of a joint, 'l', 'r' or ''.
    """
    remaining = {'l': cycle(LEFT), 'r': cycle(RIGHT), '': cycle(CENTRE)}
    return {joint: next(remaining[side(joint)]) for joint in joints}


def rgb(colour: str) -> tuple[int, int, int]:
    """Converts '#rrggbb' to (r, g, b), 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix('#'))
    return red, green, blue
