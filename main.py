"""Trains and evaluates the part detector and the spatial model of Tompson et al. 2014, jointly, on several towers.

    python main.py --gpus 0 1 --train --use_sm --data_augm       train, then evaluate at several scales
    python main.py --restore                                     evaluate the newest checkpoint
    python main.py --train --restore                             go on where it stopped
    python main.py --restore RUN --predict picture.jpg           joints on your own pictures (pictures.py)

Needs the arrays of data.py and, with --use_sm, the priors of pairwise_distr.py; --predict needs neither.  Writes
checkpoints and logs into MODEL_PATH/RUN, TensorBoard summaries into TB_FOLDER/RUN and the test people's joints into
predictions.mat.
"""
import collections
import fcntl
import os
import sys

import numpy as np
import scipy.io
from tqdm import tqdm

import arrays
import augmentation
import batches
import checkpoint
import joints
import model
import multiscale
import options as command_line
import pairwise_distr
import pictures
import spatial_model
import summaries
import torso
import towers
import training
from arrays import InputError
from tf1 import tf

# The whole graph.  batch, training: None when only evaluating.  start_*(first, last) -> arguments of session.run that
# make the stream deliver those steps.  predicted: multi-scale maps [n, 60, 90, 9] of part detector and spatial model.
# spectra: see model.spectra, within which inference and predicted are run.
Graph = collections.namedtuple('Graph', 'batch training start_training test_batch inference start_test '
                                        'start_multiscale predicted spectra saver steps_per_epoch '
                                        'total_steps n_train n_test images_a_call')

LOCKS = []                              # open files that hold the locks of this process


def main():
    options, explicit = command_line.parse()
    found = restored(options, explicit)
    if options.predict:
        return predict_pictures(options, found)
    run = open_run(options, found)
    check_writable(options.predictions)
    manifest = arrays.read_manifest(options.data)
    splits = load_splits(options, manifest)
    check_data(manifest, found, options)
    priors = load_priors(options, manifest, found, splits['train'])
    splits = {split: arrays.spread(people, getattr(options, f'{split}_examples')) for split, people in splits.items()}
    training.say(f'{run}: code {checkpoint.code_version()}, arrays {manifest["id"]}, seed {options.seed}')
    graph = build_graph(splits, options)
    with tf.Session(config=session_config()) as session:
        state = initialise(session, graph, priors, found)
        if options.train:
            write_settings(run, options, manifest)
            train(session, graph, splits, options, run, {**state, 'data_id': manifest['id'],
                                                          'settings': command_line.settings_of(options)})
        predict(session, graph, options, manifest, splits['test'])


def predict_pictures(options, found):
    """Joints on a user's own pictures; returns the exit code, 1 if one of them could not be read."""
    sources = pictures.find_sources(options)
    graph = pictures.build_graph(options)
    with tf.Session(config=session_config()) as session:
        checkpoint.restore(session, graph.saver, found)
        with model.spectra(session, graph.spectra):
            return pictures.write_poses(session, graph, sources, options, found)


def restored(options, explicit):
    """The checkpoint to go on from, its settings taken over; None without --restore."""
    if options.restore is None:
        return None
    found = checkpoint.find(options.model_path, options.restore or None)
    command_line.take_over(options, explicit, found.state['settings'], found.path)
    version = checkpoint.code_version()
    if found.state['code'] != version and not found.state.get('weights_only'):
        training.say(f'note: {found.path} was written by code {found.state["code"]}, this is {version}')
    training.say(f'restored {found.path}')
    return found


def open_run(options, found):
    """The run's folder, made if need be; another run's folder is refused."""
    if found:
        run = os.path.dirname(os.path.normpath(found.path))
        if options.train:
            if found.state.get('weights_only'):
                raise InputError(f'--restore {found.path}: holds weights only, from which training cannot go on')
            lock(run)
            checkpoint.sweep(run)
            refuse_to_rewind(found)
        return run
    run = os.path.join(options.model_path, options.run)
    try:
        os.makedirs(run, exist_ok=True)
        lock(run)
        if checkpoint.list_run(run) or os.path.exists(os.path.join(run, 'steps.jsonl')):
            raise InputError(f'{run}: holds a run already: choose another --run, or --restore {options.run}')
        checkpoint.sweep(run)
    except OSError as error:
        raise InputError(f'{run}: cannot be used: {error.strerror}') from error
    return run


def lock(run):
    """One process at a time trains in a run's folder; the lock ends with the process, however it ends."""
    try:
        file = open(os.path.join(run, 'lock'), 'a')         # noqa: SIM115 (stays open)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f'{run}: another process trains in this folder') from None
    except OSError as error:
        raise InputError(f'{run}: cannot be used: {error.strerror}') from error
    LOCKS.append(file)


def refuse_to_rewind(found):
    """Going on from an older checkpoint would overwrite what came after it."""
    for path in checkpoint.list_run(os.path.dirname(os.path.normpath(found.path))):
        if checkpoint.step_of(path) > found.state['step'] and checkpoint.is_sound(path):
            raise InputError(f'--restore {found.path}: {path} is newer: go on from that, or copy the older one into a '
                             'folder of its own')


def check_data(manifest, found, options):
    """Training goes on with the arrays it began with; evaluating on others is worth a note."""
    if found and found.state['data_id'] != manifest['id']:
        difference = f'arrays {manifest["id"]}, but {found.path} was trained on {found.state["data_id"]}'
        if options.train:
            raise InputError(f'--data {options.data}: {difference}')
        training.say(f'note: {options.data}: {difference}')


def load_splits(options, manifest):
    """{'train', 'test'}: the people to train on and to evaluate on, Splits."""
    splits = {split: arrays.load_split(options.data, split, manifest, options.verify) for split in arrays.SPLITS}
    if options.validation:
        splits = dict(zip(splits, arrays.hold_out(splits['train'])))
    return splits


def check_writable(path):
    """Found out before the training, not after it."""
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(f'--predictions {path}: {folder} is not a folder that can be written to')


def load_priors(options, manifest, found, people):
    """Initial energies [81, 120, 180] of the spatial model, or None where it is absent or restored."""
    if not options.use_sm or found:
        return None
    path = os.path.join(options.data, pairwise_distr.FILE)
    histograms = pairwise_distr.load(path, manifest['id'])
    if options.validation:                                              # the file knows those held out, too
        histograms = pairwise_distr.pairwise_histograms(people.joints)
    histograms = histograms[:len(spatial_model.PAIRS_TO_JOINTS)]
    if options.self_connections:
        nowhere_else = pairwise_distr.smoothed_point()                  # a joint is where it is
        histograms = np.concatenate([histograms, np.repeat(nowhere_else[None], joints.N_JOINTS, axis=0)])
    return spatial_model.initial_energies(histograms, options.priors)


def build_graph(splits, options):
    """Input streams, towers for training and for evaluation with shared variables, and the saver; a Graph."""
    devices = towers.device_names(options.gpus, training.say)
    n = {split: len(splits[split].images) for split in splits}
    steps = batches.steps_per_epoch(n['train'], options.batch_size)
    total = steps * options.n_epochs
    tf.set_random_seed(options.seed)
    tf.train.get_or_create_global_step()
    batch = update = start_training = None
    if options.train:
        with tf.device('/cpu:0'):
            batch, (start_training,) = batches.pipeline(lambda step: batches.training_batch(
                splits['train'], options.seed, step, n['train'], options.batch_size, options.data_augm))
        update = towers.build_training(batch, devices, options, total)
    # A test frame is zoomed as training frames are on average; rates are ratios of lengths and bear it.  It costs the
    # few joints (0.2 % on FLIC) that leave the frame; the multi-scale evaluation sees whole frames.
    matrix = augmentation.centre_crop() if options.data_augm else None
    scales = multiscale.scales_of(options)
    images_a_call = max(1, options.batch_size // len(scales))
    with tf.device('/cpu:0'):
        test_batch, (start_test, start_multiscale) = batches.pipeline(
            lambda step: batches.plain_batch(splits['test'], rows(step, options.batch_size, n['test']), matrix),
            lambda step: multiscale.scaled_batch(splits['test'], rows(step, images_a_call, n['test']), scales))
    inference = towers.build_inference(test_batch, devices, options)
    predicted = [multiscale.combine(maps, scales) for maps in (inference.maps_pd, inference.maps_sm)]
    return Graph(batch, update, start_training, test_batch, inference, start_test, start_multiscale, predicted,
                 model.spectra_operations(), tf.train.Saver(max_to_keep=None), steps, total, n['train'], n['test'],
                 images_a_call)


def rows(step, size, n):
    return np.arange(step * size, min((step + 1) * size, n))


def session_config():
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    return config


def initialise(session, graph, priors, found):
    """Fills the variables, from the checkpoint or from the seed and the priors; returns the state of training."""
    if found:
        checkpoint.restore(session, graph.saver, found)
        return {name: found.state[name] for name in training.initial_state()}
    session.run(tf.global_variables_initializer())
    if priors is not None:
        graph.inference.replicas[0].spatial.energies.load(priors, session)
    return {}


def write_settings(run, options, manifest):
    path = os.path.join(run, 'settings.json')
    with arrays.atomic(path) as partial:
        checkpoint.write_json(partial, {**command_line.settings_of(options), 'data_id': manifest['id'],
                                        'code': checkpoint.code_version(), 'tensorflow': tf.__version__})


def train(session, graph, splits, options, run, state):
    folder = os.path.join(options.tb_folder, os.path.basename(run)) if options.tb_folder else None
    writer = summaries.Writer(folder, graph, splits, options)
    tf.get_default_graph().finalize()
    state = {**state, 'code': checkpoint.code_version()}
    training.Trainer(session, graph, splits, options, run, state, writer).train()
    writer.close()


def predict(session, graph, options, manifest, people):
    """Multi-scale joints of the test people -> predictions.mat (see evaluate.py)."""
    session.run(*graph.start_multiscale(0, -(-graph.n_test // graph.images_a_call)))
    run_next = next_maps(session, graph, options)
    found = ([], [])
    with (training.Signals() as signals, model.spectra(session, graph.spectra),
          tqdm(total=graph.n_test, desc='multi-scale', unit='img', disable=None) as bar):
        while sum(map(len, found[0])) < graph.n_test:
            for decoded, maps in zip(found, run_next()):
                decoded.append(joints.decode(maps, options.decode == 'subcell'))
            bar.update(len(found[0][-1]))
            if signals.code is not None:
                training.say('stopped before the predictions were complete: --restore evaluates again', sys.stderr)
                raise training.Stop(signals.code)
    predicted = {f'flic_pred_{name}': np.concatenate(parts).transpose(2, 1, 0)                 # 2 x 9 x n
                 for name, parts in zip(('pd', 'sm'), found) if name == 'pd' or options.use_sm}
    with arrays.atomic(options.predictions) as partial, open(partial, 'wb') as file:
        scipy.io.savemat(file, {**predicted, 'index': people.rows, 'split': people.split, 'data_id': manifest['id']})
    training.say(f'{options.predictions}: {graph.n_test} people; now: python evaluate.py {options.predictions} '
          f'--data {options.data}')


def next_maps(session, graph, options):
    """A function that returns the next people's maps of part detector and spatial model, [n, 60, 90, 9] each."""
    if not options.infer_torso:
        return lambda: session.run(graph.predicted)
    scales, energies = multiscale.scales_of(options), graph.inference.replicas[0].spatial.energies
    given_torso = torso.priors(session.run(energies))

    def run():
        _, maps_pd, feed = torso.infer_and_feed(session, graph.test_batch, graph.inference, graph.predicted[0], scales,
                                                given_torso)
        return maps_pd, session.run(graph.predicted[1], feed)
    return run


def run_main():
    """main() with its exit codes: 0, what a Stop says, or 1 for an error within the graph."""
    try:
        return main()
    except training.Stop as stop:
        return stop.code
    except tf.errors.OpError as error:
        training.say(f'main.py: error: {checkpoint.reason(error)}', sys.stderr)
        return 1


if __name__ == '__main__':
    arrays.run_script(run_main)
