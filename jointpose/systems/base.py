"""System: the interface of a pose estimator, with the defaults that most have in common.

A system turns pictures into samples for its network (`training_sample`, `test_sample`, `views`),
the annotated joints into what the network should output (`encode`), builds the network and its
losses, and turns the network's outputs into people (`decode`).  The trainer, the towers,
checkpoints, TensorBoard, prediction and export need nothing else.  docs/extending.md shows a small
one.

Shapes:  b samples of a batch, n samples or people, k joints, h and w height and width.
         A system with MAX_PEOPLE = P takes a whole picture with up to P people as one sample: arrays
         that are [k, 2] of one person below are then [P, k, 2].
Units:   coordinates are (x right, y down) in pixels of the sample, if nothing else is said.
"""

import abc
import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from jointpose import datasets
from jointpose.datasets.arrays import Split
from jointpose.datasets.base import DataSet
from jointpose.evaluation.meter import Meter, of_joints, of_people
from jointpose.evaluation.pose import Pose
from jointpose.nn.sums import ordered_sum
from jointpose.options.scopes import add, group
from jointpose.utils.cli import nonnegative_float, positive_float, positive_int
from jointpose.vision.affine import compose, transform_points
from jointpose.vision.crops import Person, Sample
from jointpose.vision.found_person import FoundPerson

Arrays = dict[str, np.ndarray]
Tensor = Any  # a tf.Tensor: TensorFlow's stubs do not say so
Tensors = dict[str, Tensor]


class Network(NamedTuple):
    """What `build` returns: one replica of the network."""

    outputs: Tensors  # {name: [b, ...]}, names of OUTPUTS in their order
    layers: Tensors  # {name: activation}, for TensorBoard
    statistics: dict  # {moving average of batch norm: this batch's value}
    parts: Any = None  # what else the system's own methods need


class System(abc.ABC):
    """A pose estimator with the options of one call.  A subclass is one module in systems/."""

    # Names of the data sets that it can be trained on (datasets/); the first is the default.
    DATASETS: ClassVar[tuple[str, ...]]
    # {name: title} of its output heads; the last one that a network has is the prediction.
    OUTPUTS: ClassVar[dict[str, str]]
    # What the score of a joint is, in words.
    SCORE: ClassVar[str]

    # None: a sample shows one person.  P: it is a whole picture with up to P people.
    MAX_PEOPLE: ClassVar[int | None] = None
    # Names of those targets that are also inputs of the network.
    EXTRA_INPUTS: ClassVar[tuple[str, ...]] = ()
    # Options of main.py with which it finds the people for another system (--detector); None: it
    # does not detect people.
    DETECTOR_OPTIONS: ClassVar[tuple[str, ...] | None] = None
    # {option of main.py: default}, where this system's default is another.
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    # {option: its value in runs from before it existed}, where that is not the default.
    FORMER: ClassVar[dict[str, Any]] = {}
    # ((fraction of all steps, factor), ...): from there on the learning rate is factor * --lr.
    SCHEDULE: ClassVar[tuple[tuple[float, float], ...]] = ()
    # Values of --width: the default, and that of --debug.
    FULL_WIDTH: ClassVar[int | None] = None
    DEBUG_WIDTH: ClassVar[int | None] = None
    # Options of main.py with which the tests train it in seconds.
    TEST_OPTIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: argparse.Namespace):
        self.options = options

    @classmethod
    def name(cls) -> str:
        """The name of --system: that of its module or package."""
        return cls.__module__.removeprefix('jointpose.systems.').partition('.')[0]

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the system's options to those of main.py, each with its scope (options/scopes.py)."""
        return

    @classmethod
    def dataset_defaults(cls, dataset: str) -> dict[str, Any]:
        """{option of main.py: default}, where the data set of this name needs another default."""
        return {}

    def check_options(self) -> None:
        """ValueError says which options contradict each other."""
        self.check_augmentation()

    def describe(self) -> dict[str, Any]:
        """How joints are found, for the `info` of result files."""
        return {}

    # --- data -----------------------------------------------------------------------------------

    @property
    def dataset(self) -> DataSet:
        """The data set of --dataset, with the key points of the arrays or of the restored run."""
        return datasets.of_options(self.options)

    @property
    def joints(self) -> Sequence[str]:
        """Names of the k joints that are predicted."""
        return self.dataset.joints

    @property
    def flip(self) -> tuple[int, ...]:
        """In a mirrored picture joint i is where joint flip[i] was."""
        return self.dataset.flip[: len(self.joints)]

    @property
    def n_points(self) -> int:
        """Number of points of a person in the arrays: the joints, and perhaps more after them."""
        return len(self.dataset.points)

    @property
    def n_sample_points(self) -> int:
        """Number of points of a person in a Sample: those of the arrays, and perhaps more."""
        return self.n_points

    @property
    @abc.abstractmethod
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network's input, pixels."""

    @property
    def n_views(self) -> int:
        """Number of `views` of a person."""
        return 1

    @property
    def has_maps(self) -> bool:
        """Whether its outputs are maps, which --overlay shows."""
        return type(self).score_maps is not System.score_maps

    @property
    def takes_prompts(self) -> bool:
        """Whether a point may select the target person; then the system has a `detector`."""
        return False

    @property
    def crops_people(self) -> bool:
        """Whether a sample is a crop around a person's box, so that a detector may give the boxes."""
        return self.MAX_PEOPLE is None

    @property
    def exported_inputs(self) -> tuple[str, ...]:
        """Names of those EXTRA_INPUTS that an exported network has; without them `build` gets none."""
        return ()

    def prepare_split(self, split: Split) -> Split:
        """The Split with the points that this run's network is given."""
        return split

    # --- samples, in NumPy, on loader threads ----------------------------------------------------

    @abc.abstractmethod
    def training_sample(
        self, image: np.ndarray, person: Person, rng: np.random.Generator
    ) -> Sample:
        """A Sample of input_size, augmented.

        image: a whole picture, RGB uint8 [h, w, 3] of any size; person: the target person in it.
        vision/crops.py has what makes a Sample.
        """

    @abc.abstractmethod
    def test_sample(self, image: np.ndarray, person: Person) -> Sample:
        """The Sample for tests: nothing is random.

        Joints and visibility of the person may only be passed on: they are what is evaluated.
        """

    def views(self, image: np.ndarray, person: Person) -> list[Sample]:
        """The n_views Samples whose outputs the evaluation merges.

        `decode` is in pixels of the first, after `merge_views`.
        """
        return [self.test_sample(image, person)]

    @abc.abstractmethod
    def encode(self, joints_xy: np.ndarray, visible: np.ndarray) -> Arrays:
        """Joints [n, k, 2], visibility [n, k] -> targets {name: float32 [n, ...]}.

        Where `visible` is 0 a joint has no label, and may be anything; a mask of the labelled
        joints may be a target, too.
        """

    def extra_inputs(self, joints_xy: np.ndarray) -> Arrays:
        """Those targets that the network takes as inputs: {name: float32 [n, ...]}."""
        return {}

    @abc.abstractmethod
    def target_shapes(self) -> dict[str, tuple[int, ...]]:
        """{target: its shape for one sample}."""

    # --- graph ----------------------------------------------------------------------------------

    @abc.abstractmethod
    def build(
        self,
        images: Tensor,
        targets: Tensors,
        training: bool,
        portable: bool = False,
        tower: int = 0,
        n: int | None = None,
    ) -> Network:
        """One replica of the network; its variables come from the current variable scope.

        images: uint8 [b, h, w, 3] of input_size.  targets: those of EXTRA_INPUTS are inputs.
        portable: only operations that can be exported to other formats.
        tower: number of the replica.  n: number of samples that a replica gets in training.
        """

    @abc.abstractmethod
    def losses(self, network: Network, targets: Tensors) -> Tensors:
        """{output: loss of each sample [b]}.

        Losses by other names, say parts of these, are logged, but not trained on.
        """

    def total_loss(self, losses: Tensors) -> Tensor:
        """What training minimises, []: of the means over the batch, {output: []}."""
        return ordered_sum([loss for name, loss in losses.items() if name in self.OUTPUTS])

    def is_trainable(self, name: str) -> bool:
        """Whether training changes the variable of this name."""
        return True

    def weight_decays(self) -> dict[str, float]:
        """{last part of a variable's name: its weight decay}; biases and batch norm have none."""
        return {'weights': self.options.lmbd}

    def lr_multipliers(self) -> dict[str, tuple[float, int]]:
        """{start of variables' names: (factor of their learning rate, steps they are frozen for)}."""
        return {}

    def initial_values(self, people: Split, manifest: dict) -> Arrays:
        """{variable: array} of variables that do not start at random; people: to train on."""
        return {}

    def adapt_weights(self, weights: Arrays, settings: dict, initial_values: Arrays) -> Arrays:
        """A checkpoint's {variable: array} -> those that mean the same in this run, for --init.

        settings: of that checkpoint's run.  initial_values: those of this run.
        """
        return weights

    def convert_weights(self, weights: dict[str, tuple[np.ndarray, np.ndarray]]) -> Arrays:
        """Another program's {layer: (weights, bias)} -> {variable: array} (nn/import_weights.py).

        ValueError says what is wrong with them.
        """
        return {}

    @classmethod
    def convert_state_dict(cls, state: Arrays) -> Arrays:
        """A PyTorch state dict {name: array} -> {variable: array}; {} if the system takes none.

        ValueError says what is wrong with it.
        """
        return {}

    def merge_views(self, output: Tensor) -> Tensor:
        """An output of all views [n * n_views, ...] -> their mean [n, ...]."""
        return output

    # --- results, in NumPy ------------------------------------------------------------------------

    @abc.abstractmethod
    def decode(self, output: np.ndarray) -> list[list[Pose]]:
        """The prediction [n, ...] -> the Poses of each sample, best first.

        One Pose a sample; with MAX_PEOPLE as many as are found.
        """

    def found_people(
        self, name: str, output: np.ndarray, to_image: np.ndarray
    ) -> list[FoundPerson]:
        """The prediction for one sample -> the people in its picture, best first.

        name: the output's, of OUTPUTS.  output: [1, ...].  to_image [2, 3]: from pixels of `decode`
        to those of the picture.
        """
        maps, from_cells = self.maps_in_picture(name, output, to_image) or (None, to_image)
        people = []
        for pose in self.decode(output)[0]:
            person = FoundPerson(
                joints_xy=transform_points(to_image, pose.joints_xy),
                scores=pose.scores,
                score=pose.score,
                maps=maps,
                matrix=from_cells,
            )
            people.append(person)
        return people

    def maps_in_picture(
        self, name: str, output: np.ndarray, to_image: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """(score maps [h, w, m] of a prediction, matrix [2, 3] from their cells to the picture).

        None of a regression.  Arguments as those of `found_people`.
        """
        maps = self.score_maps({}, {name: output}).get(name)
        if maps is None:
            return None
        stride = self.input_size[0] / maps.shape[1]
        return maps[0], compose(np.diag([stride, stride, 1])[:2], to_image)

    def locate(self, output: np.ndarray) -> np.ndarray:
        """The prediction [n, ...] -> the joints of `decode` alone, one person a sample: [n, k, 2]."""
        return np.stack([poses[0].joints_xy for poses in self.decode(output)])

    def meter(self, names: list[str], sums: dict | None = None) -> Meter:
        """The Meter of losses and rates of an epoch.  names: of outputs; sums: to continue from."""
        if self.MAX_PEOPLE is None:
            return of_joints(self.dataset, names, self.locate, sums)
        return of_people(self.dataset, names, self.decode, sums)

    def predictor(self, session, evaluation) -> Callable:
        """run(feed=None, given=True) -> (outputs, torso_xy, back) of the next batch or of a fed one.

        outputs: {name: [n, ...]}.  torso_xy [n, 2]: inferred points of the target people, or None.
        back [n, 2, 3]: from pixels of the outputs and of torso_xy to those of the picture.
        given: the batch holds the points of the target people; else they are inferred.
        """

        def run(feed=None, given=True):
            outputs, back = session.run([evaluation.combined, evaluation.back], feed)
            return outputs, None, back

        return run

    def detector(self, session, evaluation) -> Callable:
        """detect(image, points_xy=None, boxes=None, before=None) -> the people of a picture.

        For systems with takes_prompts.  image: uint8 [h, w, 3].  points_xy [2] or boxes (x, y,
        width, height), pixels of the picture: only the people there, one each.  before: the people
        of the video's last picture: only they are looked for, near where they were.  The result is
        a list of FoundPersons.
        """
        raise NotImplementedError(f'{type(self).__name__} takes no prompts')

    def export_outputs(self, network: Network) -> Tensors:
        """{name: tensor} of an exported model; `joints` [n, k, 2] where one person is found."""
        return dict(network.outputs)

    # --- TensorBoard ------------------------------------------------------------------------------

    def score_maps(self, targets: Tensors, outputs: Tensors) -> Tensors:
        """{name: [n, h, w, m]} of those targets and outputs that are maps, for pictures of them."""
        return {}

    def image_summaries(self, variables: Arrays) -> Iterator[tuple[str, np.ndarray]]:
        """(tag, image) for TensorBoard's main/; more/...: with --tb_details."""
        yield from ()

    # --- options that most systems have: they call these ------------------------------------------

    @classmethod
    def add_width(cls, parser: argparse.ArgumentParser, channels: str) -> None:
        """--width, and --debug, which makes it small.  channels: which ones, for the help."""
        network = group(parser, 'network')
        add(
            network,
            '--width',
            type=positive_int,
            default=cls.FULL_WIDTH,
            metavar='CHANNELS',
            scope='network',
            help=f'{channels}; the other layers are in proportion',
        )
        add(
            network,
            '--debug',
            dest='width',
            action='store_const',
            const=cls.DEBUG_WIDTH,
            default=argparse.SUPPRESS,
            scope='network',
            help=f'short for --width {cls.DEBUG_WIDTH}, for laptops',
        )

    @staticmethod
    def add_flip_test(parser: argparse.ArgumentParser, default: bool = False) -> None:
        """--flip_average and, where that is the default, --no_flip_average."""
        evaluation = group(parser, 'evaluation')
        add(
            evaluation,
            '--flip_average',
            action='store_true',
            default=default,
            scope='call',
            help='flip test: average with the mirrored picture'
            + ' (the default, as published)' * default,
        )
        if default:
            add(
                evaluation,
                '--no_flip_average',
                dest='flip_average',
                action='store_false',
                default=argparse.SUPPRESS,
                scope='call',
                help='no flip test: half the time',
            )

    @staticmethod
    def add_augmentation(parser: argparse.ArgumentParser, methods: str) -> None:
        """--data_augm, --rotation and --zoom.  methods: those of the publication, for the help."""
        augmented = group(parser, 'augmentation')
        add(
            augmented,
            '--data_augm',
            action='store_true',
            scope='training',
            help=f'augment the training data: {methods}',
        )
        add(
            augmented,
            '--rotation',
            type=nonnegative_float,
            metavar='DEGREES',
            scope='training',
            help='rotate by up to +-DEGREES (default: as the publication)',
        )
        add(
            augmented,
            '--zoom',
            nargs=2,
            type=positive_float,
            metavar=('LOW', 'HIGH'),
            scope='training',
            help='scale by a factor in this range, log-uniform (default: as the publication)',
        )

    def check_augmentation(self) -> None:
        """ValueError where --rotation or --zoom contradict other options."""
        ranges = [getattr(self.options, name, None) for name in ('rotation', 'zoom')]
        if ranges != [None, None] and not self.options.data_augm:
            raise ValueError('--rotation, --zoom go with --data_augm')
        self.check_zoom()

    def check_zoom(self) -> None:
        zoom = getattr(self.options, 'zoom', None)
        if zoom is not None and zoom[0] > zoom[1]:
            raise ValueError('--zoom: LOW is above HIGH')

    def rotation_and_zoom(
        self, rng: np.random.Generator, degrees: float, zoom: float | None
    ) -> tuple[float, float | None]:
        """Those drawn within --rotation and --zoom where these are given, else the arguments."""
        if self.options.rotation is not None:
            degrees = rng.uniform(-self.options.rotation, self.options.rotation)
        if self.options.zoom is not None:
            zoom = np.exp(rng.uniform(*np.log(self.options.zoom)))
        return degrees, zoom


def missing_parts(system: type[System]) -> list[str]:
    """Names of the constants and methods that a subclass must have and lacks."""
    constants = [name for name in System.__annotations__ if not hasattr(system, name)]
    return constants + sorted(system.__abstractmethods__)
