"""Trains and evaluates the part detector and the spatial model of Tompson et al. 2014, jointly, on several towers; or
another system (systems/).

`python main.py --help` has examples and all options (training/options.py).  --predict is in inference/predict.py, training
on several machines in training/cluster.py.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import collections
import os
import sys

import numpy as np

from jointpose import datasets, run_options
from jointpose.datasets import arrays
from jointpose.inference import inputs, pose_estimator, predict
from jointpose.nn import fft_conv, import_weights, tiling
from jointpose.nn.tf1 import tf
from jointpose.training import batches, checkpoint, cluster, runs, summaries, towers, trainer
from jointpose.training import options as command_line
from jointpose.training.devices import session_config, use_tf32
from jointpose.utils import folders, progress
from jointpose.utils.cli import run_script
from jointpose.utils.errors import InputError
from jointpose.utils.log import log, warn
from jointpose.vision.affine import transform_points

# The whole graph.  batch, training: None when only evaluating.  start_*(first, last) -> arguments of session.run that
# make the stream deliver those steps.  evaluation: towers.Evaluation, of one view a person (start_test) or of all
# (start_views).  spectra: see convolution.spectra, within which the evaluation is run.
RunGraph = collections.namedtuple(
    'RunGraph',
    'batch training start_training evaluation start_test start_views spectra saver '
    'steps_per_epoch total_steps n_train n_test people_a_call',
)


def main():
    options, system, found, origin = run_options.resolve_options()
    use_tf32(not options.no_tf32)
    own = cluster.role(options)
    if own and own.serves:
        return serve(own, options)
    if options.predict:
        return predict_pictures(options, system, found)
    note_overwritten(options)
    manifest = arrays.read_manifest(options.data)
    splits = load_splits(system, options, manifest)
    check_data(manifest, found, options)
    start, trained = (
        ({}, {})
        if found
        else (
            system.initial_values(splits['train'], manifest),
            initial_weights(system, options, origin),
        )
    )
    run = runs.open_run(options, found)  # from here on there is something on disk
    log(f'{run}: code {checkpoint.code_version()}, arrays {manifest["id"]}, seed {options.seed}')
    with cluster.machines(own, options, cluster.versions(manifest['id'])) as machines:
        while True:
            try:
                return run_on(
                    machines, system, splits, options, run, manifest, start, found, trained
                )
            except cluster.WorkerLost as lost:
                warn(f'{lost}; going on from the last checkpoint')
                if options.train and checkpoint.list_checkpoints(run):
                    found = checkpoint.find(options.model_path, run)


def note_overwritten(options):
    """Says what the test people's joints will take the place of; InputError if they cannot be written."""
    from jointpose.evaluation import predictions  # --predict starts without it and what it imports

    if former := predictions.check_output(options):
        log(
            f'note: {predictions.path_of(options)}: that {former} will be replaced in the end; --predictions '
            'names another file'
        )


def serve(own, options):
    """Lends this machine's devices to other machines' runs."""
    there = os.path.exists(os.path.join(options.data, arrays.MANIFEST))
    return cluster.serve(
        own, options, cluster.versions(arrays.read_manifest(options.data)['id'] if there else None)
    )


def run_on(machines, system, splits, options, run, manifest, start, found, trained):
    """Trains and evaluates on the machines that are there."""
    devices = machines.gather()
    with tf.Graph().as_default(), tf.device(machines.home):
        graph = build_graph(system, splits, options, devices)
        with machines.session() as session:
            state = initialise(session, graph, start, found, options, trained)
            if options.train:
                settings = command_line.settings_of(options, type(system))
                runs.write_settings(run, settings, manifest['id'])
                train(
                    session,
                    graph,
                    system,
                    splits,
                    options,
                    run,
                    {
                        **state,
                        'data_id': manifest['id'],
                        'settings': settings,
                        'code': checkpoint.code_version(),
                        'convolution': tiling.recorded_costs(),
                    },
                )
            predict_people(session, graph, system, options, manifest, splits['test'], run)


def predict_pictures(options, system, found):
    """Joints on a user's own pictures; returns the exit code, 1 if one of them could not be read."""
    chosen = inputs.find_sources(options, system)
    with folders.locked(options.out, '--out'):
        graph = pose_estimator.build_graph(system, options, found)
        with tf.Session(config=session_config(options.gpus, optimised=False)) as session:
            checkpoint.restore(session, graph.saver, found)
            with fft_conv.cached_spectra(session, graph.spectra):
                estimator = pose_estimator.PoseEstimator(
                    session, graph, system, datasets.load(options.dataset), options
                )
                return predict.predict_sources(estimator, chosen, options, found)


def check_data(manifest, found, options):
    """Training goes on with the arrays it began with; evaluating on others is worth a note."""
    if found and found.state.get('data_id') != manifest['id']:
        difference = (
            f'arrays {manifest["id"]}, but {found.path} was trained on {found.state.get("data_id")}'
        )
        if options.train:
            raise InputError(f'--data {options.data}: {difference}')
        log(f'note: {options.data}: {difference}')


def load_splits(system, options, manifest):
    """{'train', 'test'}: the people to train on and to evaluate on, Splits."""
    if manifest['dataset'] != options.dataset:
        raise InputError(
            f'--dataset {options.dataset}: --data {options.data} holds {manifest["dataset"]}'
        )
    splits = {
        split: arrays.load_split(options.data, split, manifest, options.verify)
        for split in arrays.SPLITS
    }
    splits = {
        name: system.prepare_split(arrays.system_samples(split, system.MAX_PEOPLE))
        for name, split in splits.items()
    }
    if options.validation:
        splits = dict(zip(splits, arrays.hold_out(splits['train'])))
    return {
        split: arrays.evenly_spaced(people, getattr(options, f'{split}_examples'))
        for split, people in splits.items()
    }


def build_graph(system, splits, options, devices):
    """Input streams, towers for training and for evaluation with shared variables, and the saver; a RunGraph.

    devices: of each tower."""
    n = {split: len(splits[split].images) for split in splits}
    steps = batches.steps_per_epoch(n['train'], options.batch_size)
    total = steps * options.n_epochs
    spec = batches.specification(system)
    tf.set_random_seed(options.seed)
    tf.train.get_or_create_global_step()
    batch = update = start_training = None
    if options.train:
        with tf.device('/cpu:0'):
            batch, (start_training,) = batches.pipeline(
                spec, lambda step: batches.training_batch(system, splits['train'], step)
            )
        update = towers.build_training(system, batch, devices, total)
    people_a_call = max(1, options.batch_size // system.n_views)
    test = splits['test']
    with tf.device('/cpu:0'):
        test_batch, (start_test, start_views) = batches.pipeline(
            spec,
            lambda step: batches.plain_batch(
                system, test, rows(step, options.batch_size, n['test'])
            ),
            lambda step: batches.views_batch(system, test, rows(step, people_a_call, n['test'])),
        )
    evaluation = towers.build_evaluation(system, test_batch, devices)
    return RunGraph(
        batch,
        update,
        start_training,
        evaluation,
        start_test,
        start_views,
        fft_conv.spectrum_ops(),
        tf.train.Saver(max_to_keep=None),
        steps,
        total,
        n['train'],
        n['test'],
        people_a_call,
    )


def rows(step, size, n):
    return np.arange(step * size, min((step + 1) * size, n))


def initial_weights(system, options, origin):
    """{variable: array} of what --init names, a checkpoint or another program's file; {} without --init."""
    if origin:
        return checkpoint.read_weights(origin.path)
    if import_weights.is_weights_file(options.init):
        return import_weights.variables(options.init, system)
    return {}


def initialise(session, graph, start, found, options, trained):
    """Fills the variables, from the checkpoint `found` or from the seed, `start` and `trained`, {variable: array};
    returns the state of training."""
    if found:
        checkpoint.restore(session, graph.saver, found)
        return {
            name: found.state.get(name, value) for name, value in trainer.initial_state().items()
        }
    session.run(tf.global_variables_initializer())
    checkpoint.assign_matching(session, start)
    if options.init is not None:
        taken, left = checkpoint.assign_matching(session, trained)
        if not taken:
            raise InputError(f'--init {options.init}: none of its weights fits by name and shape')
        log(
            f'{len(taken)} variables start from {options.init}, {len(left)} do not'
            + ''.join(f'\n  {name}' for name in left)
        )
    return {}


def train(session, graph, system, splits, options, run, state):
    folder = os.path.join(options.tb_folder, os.path.basename(run)) if options.tb_folder else None
    joints, outputs = (
        datasets.load(options.dataset).JOINTS,
        tuple(graph.evaluation.inference.outputs),
    )
    writer = summaries.Writer(folder, system, joints, graph, splits, options)
    tf.get_default_graph().finalize()
    trainer.Trainer(
        session,
        graph,
        splits['train'].people,
        lambda sums=None: system.meter(outputs, sums),
        options,
        run,
        state,
        writer,
    ).train()
    writer.close()


def predict_people(session, graph, system, options, manifest, people, run):
    """Joints of the test people, all views averaged -> the files of evaluation/predictions.py."""
    from jointpose.evaluation import predictions  # --predict starts without it and what it imports

    session.run(*graph.start_views(0, -(-graph.n_test // graph.people_a_call)))
    run_next = system.predictor(session, graph.evaluation)
    found, done = {name: [] for name in graph.evaluation.combined}, 0
    with (
        trainer.Signals() as signals,
        fft_conv.cached_spectra(session, graph.spectra),
        progress.bar(graph.n_test, 'predictions', 'img') as bar,
    ):
        while done < graph.n_test:
            outputs, _, back = run_next()
            for name, output in outputs.items():
                found[name] += [
                    [
                        pose._replace(joints_xy=transform_points(matrix, pose.joints_xy))
                        for pose in poses
                    ]
                    for matrix, poses in zip(back, system.decode(output))
                ]
            bar.update(len(output))
            done += len(output)
            if signals.code is not None:
                log(
                    'stopped before the predictions were complete: --restore evaluates again',
                    sys.stderr,
                )
                raise trainer.Stop(signals.code)
    path, tables = predictions.write(
        options, manifest, people, found, system.OUTPUTS, os.path.basename(os.path.normpath(run))
    )
    log(
        '\n\n'.join(
            [
                *tables,
                f'{path}: {graph.n_test} {"pictures" if system.MAX_PEOPLE else "people"}; '
                f'now: python evaluate.py {path} --data {options.data}',
            ]
        )
    )


def run_main():
    """main() with its exit codes: 0, what a Stop says, or 1 for an error within the graph."""
    try:
        return main()
    except trainer.Stop as stop:
        return stop.code
    except tf.errors.OpError as error:
        log(f'main.py: error: {checkpoint.short_message(error)}', sys.stderr)
        return 1


if __name__ == '__main__':
    run_script(run_main)
