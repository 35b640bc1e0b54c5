"""Trains, evaluates and applies pose estimators.

The default is the part detector and the spatial model of Tompson et al. (2014), trained jointly;
`--system` chooses another one.  `python main.py --help` has examples and all options.

    main              reads the options and the data, opens the run's folder
    run_on            builds the graph; trains, if asked; evaluates
    build_graph       streams of batches and towers (training/towers.py)
    train             the loop is training/trainer.py
    predict_people    joints of the test people -> predictions.mat

Prediction on custom images is in inference/predict.py, training on several machines in
cluster/cluster.py.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jointpose import datasets, run_options
from jointpose.checkpoints import checkpoint, checkpoint_variables, runs
from jointpose.cluster import cluster, cluster_roles
from jointpose.datasets import arrays
from jointpose.inference import inputs, pose_estimator, predict
from jointpose.nn import import_weights, spectrum_cache, tiling
from jointpose.nn.tf1 import short_message, tf
from jointpose.options import options as command_line
from jointpose.training import batches, run_log, stopping, summaries, towers, trainer
from jointpose.training.devices import use_tf32
from jointpose.utils import folders, progress
from jointpose.utils.cli import run_script
from jointpose.utils.errors import InputError
from jointpose.utils.log import log, warn
from jointpose.vision.affine import transform_points


class Job(NamedTuple):
    """What is trained and evaluated."""

    options: object  # argparse.Namespace
    system: object  # systems.base.System
    manifest: dict  # of the arrays
    splits: dict  # {'train', 'test': arrays.Split}
    initial_values: dict  # {variable: array} of a new training
    imported: dict  # {variable: array} of --init
    run: str  # the run's folder


class RunGraph(NamedTuple):
    """The whole graph.  start_*(first, last): arguments of session.run that start these steps."""

    batch: batches.Batch | None  # of training; None when only evaluating
    training: towers.Training | None
    start_training: Callable | None
    evaluation: towers.Evaluation
    start_test: Callable  # one view of each test person
    start_views: Callable  # all views
    spectra: spectrum_cache.Operations  # the evaluation runs within spectrum_cache.filled
    saver: tf.train.Saver
    steps_per_epoch: int
    total_steps: int
    n_train: int
    n_test: int
    people_a_call: int  # whose views are a batch


def main():
    """Does what the command line asks for; returns the exit code, None for 0."""
    options, system, found, initial = run_options.resolve_options()
    use_tf32(not options.no_tf32)
    own = cluster_roles.role(options)
    if own and own.serves:
        return serve(own, options)
    if options.predict:
        return predict_pictures(options, system, found)
    note_overwritten(options)
    manifest = arrays.read_manifest(options.data)
    splits = load_splits(system, options, manifest)
    check_data(manifest, found, options)
    initial_values = {}
    imported = {}
    if not found:
        initial_values = system.initial_values(splits['train'], manifest)
        imported = initial_weights(system, options, initial, initial_values)
    run = runs.open_run(options, found)  # from here on there is something on disk
    log(f'{run}: code {checkpoint.code_version()}, arrays {manifest["id"]}, seed {options.seed}')
    job = Job(options, system, manifest, splits, initial_values, imported, run)
    with cluster.machines(own, options, cluster.versions(manifest['id'])) as machines:
        while True:
            try:
                return run_on(machines, job, found)
            except cluster.WorkerLost as lost:
                warn(f'{lost}; resuming from the last checkpoint')
                if options.train and checkpoint.list_checkpoints(run):
                    found = checkpoint.find(options.model_path, run)


def run_main():
    """main() with its exit codes: 0, that of a Stop, or 1 for an error within the graph."""
    try:
        return main()
    except stopping.Stop as stop:
        return stop.code
    except tf.errors.OpError as error:
        log(f'main.py: error: {short_message(error)}', sys.stderr)
        return 1


# --- other tasks ----------------------------------------------------------------------------------


def serve(own, options):
    """Lends this machine's devices to the runs of other machines."""
    data_id = None
    if os.path.exists(os.path.join(options.data, arrays.MANIFEST)):
        data_id = arrays.read_manifest(options.data)['id']
    return cluster.serve(own, options, cluster.versions(data_id))


def predict_pictures(options, system, found):
    """Joints on custom images; returns the exit code, 1 if one of them could not be read."""
    detecting = run_options.resolve_detector(options, system)
    sources = inputs.find_sources(options, system)
    with (
        folders.locked(options.out, '--out'),
        pose_estimator.restored(system, options, found, detecting) as estimator,
    ):
        return predict.predict_sources(estimator, sources, options, found)


# --- data -----------------------------------------------------------------------------------------


def note_overwritten(options):
    """Says which file --predictions will replace; InputError if it cannot be written."""
    from jointpose.evaluation import predictions  # which --predict does not need

    if former := predictions.check_output(options):
        log(
            f'note: {predictions.path_of(options)}: that {former} will be replaced in the end; '
            '--predictions names another file'
        )


def load_splits(system, options, manifest):
    """{'train', 'test'}: the people to train on and to evaluate on, Splits."""
    if manifest['dataset'] != options.dataset:
        raise InputError(
            f'--dataset {options.dataset}: --data {options.data} holds {manifest["dataset"]}'
        )
    check_joints(system, options, manifest)
    splits = {}
    for name in arrays.SPLITS:
        split = arrays.load_split(options.data, name, manifest, options.verify)
        if options.boxes and name == 'test':
            splits[name] = people_at_boxes(system, options, split)
            continue
        split = arrays.system_samples(split, system.MAX_PEOPLE)
        splits[name] = system.prepare_split(split)
    if options.validation:
        splits = dict(zip(splits, arrays.hold_out(splits['train'])))
    numbers = {'train': options.train_examples, 'test': options.test_examples}
    return {name: arrays.evenly_spaced(split, numbers[name]) for name, split in splits.items()}


def check_joints(system, options, manifest):
    """InputError if the arrays have other key points than the network."""
    stored = datasets.of_manifest(manifest).joints
    if tuple(stored) != tuple(system.dataset.joints):
        raise InputError(
            f'--data {options.data}: has the key points {", ".join(stored)}; those of the run are '
            f'{", ".join(system.dataset.joints)}'
        )


def people_at_boxes(system, options, split):
    """The people at the boxes of --boxes, in place of the annotated ones of the test split."""
    from jointpose.evaluation import detected_people  # which --predict does not need

    if not system.crops_people or not system.dataset.multi_person:
        raise InputError(
            '--boxes without --predict evaluates a system that crops people, on COCO; this is '
            f'--system {options.system} --dataset {options.dataset}'
        )
    return detected_people.at_boxes(options.boxes, split)


def check_data(manifest, found, options):
    """InputError if training would resume on other arrays; evaluating on others is a note."""
    if not found or found.state.get('data_id') == manifest['id']:
        return
    trained_on = found.state.get('data_id')
    difference = f'arrays {manifest["id"]}, but {found.path} was trained on {trained_on}'
    if options.train:
        raise InputError(f'--data {options.data}: {difference}')
    log(f'note: {options.data}: {difference}')


# --- a run ----------------------------------------------------------------------------------------


def run_on(machines, job, found):
    """Trains and evaluates on the machines that are there.

    found: the Checkpoint to resume from, or None.
    """
    options = job.options
    devices = machines.gather()
    with tf.Graph().as_default(), tf.device(machines.home):
        graph = build_graph(job.system, job.splits, options, devices)
        with machines.session() as session:
            state = initialise(session, graph, job.initial_values, found, options, job.imported)
            if options.train:
                settings = command_line.settings_of(options, type(job.system))
                runs.write_settings(job.run, settings, job.manifest['id'])
                train(session, graph, job, {**state, **provenance(job, settings)})
            predict_people(session, graph, job)


def provenance(job, settings):
    """What a checkpoint's state holds beside that of the training."""
    return {
        'data_id': job.manifest['id'],
        'settings': settings,
        'code': checkpoint.code_version(),
        'convolution': tiling.recorded_costs(),
    }


def build_graph(system, splits, options, devices):
    """The RunGraph: streams of batches, towers that share variables, and the saver.

    devices: of each tower.
    """
    train, test = splits['train'], splits['test']
    n_train = len(train.images)
    n_test = len(test.images)
    steps = batches.steps_per_epoch(n_train, options.batch_size)
    total_steps = steps * options.n_epochs
    people_a_call = max(1, options.batch_size // system.n_views)
    spec = batches.specification(system)
    tf.set_random_seed(options.seed)
    tf.train.get_or_create_global_step()

    def training_batch(step):
        return batches.training_batch(system, train, step)

    def test_batch(step):
        return batches.plain_batch(system, test, rows(step, options.batch_size, n_test))

    def views_batch(step):
        return batches.views_batch(system, test, rows(step, people_a_call, n_test))

    batch = training = start_training = None
    if options.train:
        with tf.device('/cpu:0'):
            batch, (start_training,) = batches.pipeline(spec, training_batch)
        training = towers.build_training(system, batch, devices, total_steps)
    with tf.device('/cpu:0'):
        evaluated, (start_test, start_views) = batches.pipeline(spec, test_batch, views_batch)
    return RunGraph(
        batch=batch,
        training=training,
        start_training=start_training,
        evaluation=towers.build_evaluation(system, evaluated, devices),
        start_test=start_test,
        start_views=start_views,
        spectra=spectrum_cache.operations_of_graph(),
        saver=tf.train.Saver(max_to_keep=None),
        steps_per_epoch=steps,
        total_steps=total_steps,
        n_train=n_train,
        n_test=n_test,
        people_a_call=people_a_call,
    )


def rows(step, size, n):
    """Rows of a step's batch of n people in their order."""
    return np.arange(step * size, min((step + 1) * size, n))


def initial_weights(system, options, initial, initial_values):
    """{variable: array} of --init, a checkpoint or another program's weights; {} without it."""
    if initial:
        weights = checkpoint_variables.read_weights(initial.path)
        return system.adapt_weights(weights, initial.state['settings'], initial_values)
    if import_weights.is_weights_file(options.init):
        return import_weights.variables(options.init, system)
    return {}


def initialise(session, graph, initial_values, found, options, imported):
    """Sets the variables; returns the state of training.

    Resumed from the checkpoint `found`, or by the seed, then `initial_values` and `imported`,
    {variable: array}.
    """
    if found:
        checkpoint_variables.restore(session, graph.saver, found)
        defaults = trainer.initial_state()
        return {name: found.state.get(name, value) for name, value in defaults.items()}
    session.run(tf.global_variables_initializer())
    checkpoint_variables.assign_matching(session, initial_values)
    if options.init is not None:
        assigned, others = checkpoint_variables.assign_matching(session, imported)
        if not assigned:
            raise InputError(f'--init {options.init}: no weights fit by name and shape')
        names = ''.join(f'\n  {name}' for name in others)
        log(f'{len(assigned)} variables start from {options.init}, {len(others)} do not{names}')
    return {}


def train(session, graph, job, state):
    """Trains to the end; state: of the training, and what else its checkpoints hold."""
    options = job.options
    system = job.system
    joints = system.dataset.joints
    outputs = tuple(graph.evaluation.inference.outputs)
    folder = None
    if options.tb_folder:
        folder = os.path.join(options.tb_folder, os.path.basename(job.run))
    writer = summaries.Writer(folder, system, joints, graph, job.splits, options)

    def new_meter(sums=None):
        return system.meter(outputs, sums)

    log(run_log.header_line([system.OUTPUTS[name] for name in outputs]))
    tf.get_default_graph().finalize()
    people = job.splits['train'].people
    trainer.Trainer(session, graph, people, new_meter, options, job.run, state, writer).train()
    writer.close()


# --- predictions on the test people ---------------------------------------------------------------


def predict_people(session, graph, job):
    """Joints of the test people, all views averaged -> the files of evaluation/predictions.py."""
    from jointpose.evaluation import predictions  # which --predict does not need

    options = job.options
    found = find_joints(session, graph, job.system)
    run = os.path.basename(os.path.normpath(job.run))
    path, tables = predictions.write(
        options, job.manifest, job.splits['test'], found, job.system.OUTPUTS, run
    )
    what = 'pictures' if job.system.MAX_PEOPLE else job.system.dataset.instance_names[1]
    next_command = f'python evaluate.py {path} --data {options.data}'
    log('\n\n'.join([*tables, f'{path}: {graph.n_test} {what}; now: {next_command}']))


def find_joints(session, graph, system):
    """{output: the poses of each test person or picture, in the picture's pixels}."""
    session.run(*graph.start_views(0, -(-graph.n_test // graph.people_a_call)))
    run_next = system.predictor(session, graph.evaluation)
    found = {name: [] for name in graph.evaluation.combined}
    done = 0
    with (
        stopping.Signals() as signals,
        spectrum_cache.filled(session, graph.spectra),
        progress.bar(graph.n_test, 'predictions', 'img') as bar,
    ):
        while done < graph.n_test:
            outputs, _, back = run_next()
            for name, output in outputs.items():
                for poses, matrix in zip(system.decode(output), back):
                    found[name].append([to_picture(pose, matrix) for pose in poses])
            bar.update(len(output))
            done += len(output)
            if signals.code is not None:
                log(
                    'stopped before the predictions were complete; resume with --restore',
                    sys.stderr,
                )
                raise stopping.Stop(signals.code)
    return found


def to_picture(pose, matrix):
    """A Pose in the pixels to which a 2x3 matrix leads."""
    return pose._replace(joints_xy=transform_points(matrix, pose.joints_xy))


if __name__ == '__main__':
    run_script(run_main)
