"""The variants of tools.ablations: the method, and the method with one part changed or left out."""

from typing import NamedTuple

NETWORK = {'width': 8, 'batch_size': 7, 'n_epochs': 1}  # options of main.py, of every variant
MEASURE = {'radius': 10, 'normaliser': 'lhip-rsho'}  # of the detection rates
METHOD = 'method'


class Variant(NamedTuple):
    """The method with one part changed or left out.

    `paper` and `reference` are claims about that part by Tompson et al. 2014 and by the README of
    joint-cnn-mrf (2018), for fully trained networks of full width, in % at radius 10 on the FLIC
    test set; '-' if there is none.
    """

    added: tuple[str, ...] = ()  # options of main.py
    left_out: tuple[str, ...] = ()  # options of main.py
    evaluates: bool = False  # evaluates the network of the method, without training
    paper: str = '-'
    reference: str = '-'

    @property
    def flag(self) -> str:
        """The options in which the variant differs from the method, as a reader would type them."""
        left_out = [f'without {option}' for option in self.left_out]
        return ' '.join([*self.added, *left_out]) or '-'


FASTER = 'batch norm and cross-entropy: 6 times faster, better loss and rate'
VARIANTS = {
    METHOD: Variant(
        paper='wrist: detector 66, with spatial model 75, trained jointly 79.5',
        reference='left wrist: detector 72, joint model 79',
    ),
    'argmax decoding': Variant(('--decode', 'argmax'), evaluates=True),
    'single scale': Variant(
        ('--scales', 'single'), evaluates=True, reference='several scales: wrists about +6'
    ),
    'no batch norm': Variant(('--no_batch_norm',), reference=FASTER),
    'squared loss': Variant(('--loss', 'squared'), reference=FASTER),
    'no auxiliary loss': Variant(('--no_auxiliary_loss',), reference='auxiliary loss: better'),
    'no augmentation': Variant(
        left_out=('--data_augm',), paper='flips and scalings: better generalisation'
    ),
    'priors reference': Variant(('--priors', 'reference')),
    'priors uniform': Variant(
        ('--priors', 'uniform'), reference='histograms: "smart initialization"'
    ),
    'self-connections': Variant(('--self_connections',), reference='no contribution'),
    'bfloat16': Variant(('--precision', 'bfloat16')),
}
ON_REQUEST = ('bfloat16',)  # run only if named: not every processor computes in it
EVALUATED_VARIANTS = [name for name, variant in VARIANTS.items() if variant.evaluates]
