"""Which convolutions go by transforms, by which tiles; costs of a processor, kept and read; their fit."""

import json
import math

import pytest

from jointpose import run_options
from jointpose.checkpoints import checkpoint
from jointpose.nn import tiling
from jointpose.nn.tf1 import tf
from tools import calibrate_convolution

BFLOAT16 = {'avx512_bf16', 'amx_bf16'}
MADE_UP = tiling.Costs(10, 5.5, 0.5, 1.5, 20)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache of the user's; whatever is known of its content is forgotten before and after."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    tiling._training_costs.cache_clear()
    yield tmp_path
    tiling._training_costs.cache_clear()


@pytest.mark.parametrize(
    ('x_shape', 'filters_shape', 'method'),
    [
        ((4, 60, 90, 512), (9, 9, 512, 512), 'fft'),
        ((None, 60, 90, 256), (9, 9, 256, 512), 'fft'),
        ((14, 15, 23, 256), (9, 9, 256, 512), 'fft'),
        (
            (1, 15, 23, 256),
            (9, 9, 256, 512),
            'direct',
        ),  # one image: transforming the filters costs more
        ((4, 60, 90, 128), (9, 9, 128, 128), 'fft'),  # --debug
        ((4, 120, 180, 64), (5, 5, 64, 128), 'fft'),
        ((4, 60, 90, 16), (5, 5, 16, 32), 'direct'),
        ((4, 60, 90, 512), (1, 1, 512, 512), 'direct'),
        ((4, 60, 90, 512), (8, 8, 512, 512), 'direct'),
        ((4, 60, 90, 512), (9, 5, 512, 512), 'direct'),
    ],
)
def test_inference_chooses_by_size(x_shape, filters_shape, method):
    assert tiling.choose(x_shape, filters_shape, on_gpu=False) == method
    assert tiling.choose(x_shape, filters_shape, on_gpu=True) == 'direct'


@pytest.mark.parametrize(
    ('x_shape', 'filters_shape', 'with_amx', 'without'),
    [
        ((4, 60, 90, 512), (9, 9, 512, 512), 'fft', 'fft'),
        ((14, 60, 90, 64), (9, 9, 64, 64), 'fft', 'fft'),
        (
            (14, 60, 90, 128),
            (9, 9, 128, 9),
            'direct',
            'fft',
        ),  # AMX: cheap products, transforms as dear as before
        ((4, 120, 180, 64), (5, 5, 64, 128), 'direct', 'fft'),
    ],
)
def test_bfloat16_goes_by_the_processor(x_shape, filters_shape, with_amx, without):
    for defaults, method in (
        (tiling.default_costs(['avx512_bf16', 'amx_bf16']), with_amx),
        (tiling.default_costs(['avx2', 'avx512_bf16']), without),
    ):
        assert tiling.choose(x_shape, filters_shape, False, defaults['bfloat16']) == method
        assert tiling.choose(x_shape, filters_shape, False, defaults['float32']) == 'fft'


@pytest.mark.parametrize(
    ('maps', 'filters_shape', 'outputs'),
    [
        ((60, 90), (9, 9, 512, 512), (15, 15)),
        ((60, 90), (9, 9, 64, 9), (15, 15)),
        ((15, 23), (9, 9, 64, 128), (15, 8)),
        ((120, 180), (5, 5, 16, 32), (15, 15)),
    ],
)
def test_tiles_of_inference_stay(maps, filters_shape, outputs):
    """Whatever the processor and its calibration: they decide a prediction's last digits."""
    assert tiling.choose_tiling(maps, filters_shape).outputs == outputs


def test_cost_of_one_tile_by_hand():
    """9x9 maps in one tile, 5x5 filters: 13x13 inputs, 7 row frequencies, 13 column frequencies, 3 products each."""
    tiles = tiling.make_tiling(5, (9, 9), (9, 9))
    assert tiles == tiling.Tiling(5, (9, 9), (9, 9), (13, 13), (1, 1), 7)
    elements = 3 * 7 * 13
    n, c, f = 2, 3, 4
    samples = n * elements * (c + f)
    expected = n * elements * c * f + 10 * elements * c * f + samples * (5.5 + 0.5 * 13)
    assert tiling.cost(tiles, n, c, f, MADE_UP) == pytest.approx(expected, rel=1e-12)


def test_the_cheapest_tiles_are_chosen():
    """By trying all of them."""
    maps, filters_shape = (17, 31), (9, 9, 16, 24)
    costs = {}
    for m1 in range(1, 18):
        for m2 in range(1, 21):
            tiles = tiling.make_tiling(9, maps, (m1, m2))
            costs[m1, m2] = tiling.cost(tiles, 3, 16, 24, MADE_UP)
    chosen = tiling.choose_tiling(maps, filters_shape, 3, MADE_UP)
    assert costs[chosen.outputs] == min(costs.values())
    assert all(size <= 20 for size in chosen.outputs)


def test_larger_batches_take_smaller_tiles_not_larger_ones():
    """Filters' spectra, which grow with the tiles, are made once for all samples: many samples can afford them."""
    sizes = [
        math.prod(
            tiling.choose_tiling((60, 90), (9, 9, 64, 64), n, tiling.WITHOUT_AMX['float32']).inputs
        )
        for n in (1, 4, 16, 64)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_a_calibration_is_read_on_its_own_machine_only(own_cache):
    defaults = tiling.training_costs(tf.float32)
    assert defaults in (tiling.DEFAULT_COSTS['float32'], tiling.WITHOUT_AMX['float32'])
    assert tiling.default_costs(['avx2']) == tiling.DEFAULT_COSTS
    stored = {
        tiling.machine_name(): {'float32': MADE_UP._asdict()},
        'another, 2 cores': {'bfloat16': MADE_UP._asdict()},
    }
    calibrate_convolution.write(tiling.calibration_file(), stored)
    tiling._training_costs.cache_clear()
    assert tiling.training_costs(tf.float32) == MADE_UP
    assert tiling.training_costs(tf.bfloat16) != MADE_UP
    assert tiling.recorded_costs()['float32'] == MADE_UP._asdict()
    assert json.loads(json.dumps(tiling.recorded_costs())) == tiling.recorded_costs()


@pytest.mark.parametrize(
    'damage',
    [
        b'',
        b'{',
        b'[]',
        b'\xff\xfe',
        b'{"MACHINE": 3}',
        b'{"MACHINE": {"float32": {"filter": 1}}}',
        *(
            json.dumps({'MACHINE': {'float32': {**MADE_UP._asdict(), **wrong}}}).encode()
            for wrong in (
                {'direct': 0},
                {'filter': -1},
                {'sample': math.nan},
                {'column': math.inf},
                {'largest': 0},
                {'largest': 2.5},
                {'largest': '3'},
                {'more': 1},
            )
        ),
    ],
)
def test_damaged_calibrations_are_not_read(own_cache, damage):
    path = own_cache / 'joint-pose' / 'convolution.json'
    path.parent.mkdir()
    path.write_bytes(damage.replace(b'MACHINE', tiling.machine_name().encode()))
    assert str(path) == tiling.calibration_file()
    assert tiling.read_calibration() == {}


def test_a_resumed_training_says_that_its_tiles_differ(own_cache):
    """An evaluation does not, as it has costs of its own; nor do runs without tiles or of earlier versions."""

    def notes(state, *words):
        options, system, *_ = run_options.resolve_options(words)
        options.train = '--train' in words
        found = checkpoint.Checkpoint('run/step-00000001', {'code': '', 'settings': {}, **state})
        return [
            line
            for line in run_options.restore_notes(found, options, system)
            if 'tiled by other costs' in line
        ]

    recorded = json.loads(json.dumps(tiling.recorded_costs()))
    other = {**recorded, 'float32': MADE_UP._asdict()}
    assert len(notes({'convolution': other}, '--train')) == 1
    assert not notes({'convolution': recorded}, '--train') and not notes({}, '--train')
    assert not notes({'convolution': other}, '--train', '--conv', 'direct')
    assert not notes({'convolution': other}, '--train', '--system', 'cpm')


def test_fit_finds_the_costs_that_timings_were_made_of():
    timings = []
    for layer in calibrate_convolution.LAYERS:
        n, h, w, k, c, f = layer
        direct = 3e-11 * MADE_UP.direct * n * h * w * k * k * c * f
        timings.append(calibrate_convolution.Timing(layer, None, direct))
        for size in (8, 12, 15):
            tiles = tiling.make_tiling(k, (h, w), (size, size))
            seconds = 3e-11 * tiling.cost(tiles, n, c, f, MADE_UP)
            timings.append(calibrate_convolution.Timing(layer, size, seconds))
    costs, error = calibrate_convolution.fit(timings, tiling.WITHOUT_AMX['float32'], weight=0)
    assert costs[:4] == pytest.approx(MADE_UP[:4], rel=1e-4) and error < 1e-5
    held, _ = calibrate_convolution.fit(timings, tiling.WITHOUT_AMX['float32'], weight=1e9)
    assert held[:3] == pytest.approx(tiling.WITHOUT_AMX['float32'][:3], rel=1e-4)


def test_a_calibration_is_kept_and_forgotten(own_cache, monkeypatch, capsys):
    """The command itself, on small layers; they are run, but their timings made up."""
    timed = calibrate_convolution.seconds_of

    def seconds_of(layer, outputs, dtype):
        n, h, w, k, c, f = layer
        assert 0 <= timed(layer, outputs, dtype) < 10
        if outputs is None:
            return MADE_UP.direct * n * h * w * k * k * c * f
        return tiling.cost(tiling.make_tiling(k, (h, w), (outputs, outputs)), n, c, f, MADE_UP)

    layers = [
        calibrate_convolution.Layer(*sizes) for sizes in ((1, 9, 9, 5, 2, 3), (2, 9, 11, 3, 4, 1))
    ]
    monkeypatch.setattr(calibrate_convolution, 'seconds_of', seconds_of)
    monkeypatch.setattr(calibrate_convolution, 'LAYERS', layers)
    monkeypatch.setattr(calibrate_convolution, 'OUTPUTS', (3, 5, 9))
    monkeypatch.setattr('sys.argv', ['calibrate_convolution'])
    calibrate_convolution.main()
    found = tiling.read_calibration()['float32']
    assert found.largest == 9 and found != tiling.DEFAULT_COSTS['float32']
    assert ('bfloat16' in tiling.read_calibration()) == (
        not BFLOAT16.isdisjoint(tiling.processor_flags())
    )
    assert 'float32: ' in capsys.readouterr().out
    monkeypatch.setattr('sys.argv', ['calibrate_convolution', '--forget'])
    calibrate_convolution.main()
    assert tiling.read_calibration() == {}
