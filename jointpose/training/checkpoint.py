"""Checkpoints that survive: written whole or not at all, verified before use, newest ones and the best kept.

    MODEL_PATH/RUN/settings.json       the run's options
    MODEL_PATH/RUN/log.jsonl           one line an epoch; steps.jsonl: one line an update
    MODEL_PATH/RUN/step-00000285/      one checkpoint: model.index, model.data-*, state.json

A checkpoint is a folder that takes its name only when everything in it is on disk; state.json holds the step, the
settings, the code's version, the best rate so far and a CRC-32 of each file and of itself.  All paths are relative: a
moved or copied run restores as it is.
"""

import binascii
import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np

from jointpose.nn.layers import AVERAGE_SUFFIX
from jointpose.nn.tf1 import tf
from jointpose.utils import cli, files, folders
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import printable

STATE, OLD = 'state.json', '.old'
PUBLISHED = 'pretrained'
OPTIMISER = re.compile(
    r'(.*/)?(Ada(m|m_1|grad)|Momentum|beta[12]_power(_\d+)?|skipped)'
)  # what only training needs
PATTERN = re.compile(r'[][*?\\]')  # what TensorFlow's patterns of file names mean otherwise
NAME = re.compile(rf'step-(\d{{8,}})({OLD})?')
OURS = r'step-\d{8,}|settings\.json|(log|steps)\.jsonl'  # what a run's folder holds

Checkpoint = collections.namedtuple('Checkpoint', 'path state')


def code_version():
    """The commit of this code, '+' if changed since; 'unknown' outside a clone."""
    folder = os.path.dirname(os.path.abspath(__file__))
    git = ['git', '-C', folder, 'describe', '--always', '--dirty=+', '--abbrev=10']
    with contextlib.suppress(OSError):
        return subprocess.run(git, capture_output=True, text=True).stdout.strip() or 'unknown'
    return 'unknown'


def save(session, saver, run, state, keep):
    """Writes RUN/step-N atomically, then drops the others but the newest `keep` and the best.  Returns its path.

    state: dictionary with at least 'step' and 'best' ({'step', 'rate'} or None).  Raises OSError if it fails.
    """
    final = os.path.join(run, f'step-{state["step"]:08d}')
    partial, old = files.temporary_path(final), final + OLD
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a killed process that had this one's number
        os.makedirs(partial)
        saver.save(
            session, os.path.join(partial, 'model'), write_meta_graph=False, write_state=False
        )
        sums = {
            name: files.checksum(os.path.join(partial, name))
            for name in sorted(os.listdir(partial))
        }
        state = {**state, 'time': time.time(), 'files': sums}
        write_json(os.path.join(partial, STATE), {**state, 'crc': _crc(state)})
        for name in [*sums, STATE, '']:
            _sync(os.path.join(partial, name))
        if os.path.exists(
            final
        ):  # the same step again: the former one counts until this has its name
            shutil.rmtree(old, ignore_errors=True)
            os.rename(final, old)
        os.rename(partial, final)
        _sync(run)
    except tf.errors.OpError as error:
        raise OSError(f'{final}: {short_message(error)}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    prune(run, keep, state['step'], state['best'])
    return final


def _crc(state):
    """CRC-32 of state.json's content, however it is spaced."""
    return f'{binascii.crc32(json.dumps(state, sort_keys=True).encode()):08x}'


def short_message(error):
    """What a TensorFlow error says, in one line, without stack traces and names of nodes."""
    text = re.split(r'Traceback \(most recent|\[\[', str(error))[0]
    return ' '.join(
        re.split(r"Graph execution error:|Node: '.*'|transformation with iterator: \S+:", text)[
            -1
        ].split()
    )


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path, value):
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(value, file, indent=1)


def prune(run, keep, step, best):
    """Deletes all checkpoints but the newest `keep` up to `step`, just written, and the best.

    What lies beyond `step` is damaged or of a future given up: the run went on from an earlier checkpoint.
    """
    paths = list_checkpoints(run)
    spared = sorted({step_of(path) for path in paths if step_of(path) <= step})[-keep:]
    if best:
        spared.append(best['step'])
    for path in paths:
        if step_of(path) not in spared or (path.endswith(OLD) and path.removesuffix(OLD) in paths):
            shutil.rmtree(path, ignore_errors=True)


def remove_leftovers(run):
    """Removes what a killed process left half-written: folders and files."""
    for path in folders.stale_partials(run, OURS):
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(path)


def list_checkpoints(run):
    """Paths of a run's checkpoints, oldest first, damaged ones included."""
    with contextlib.suppress(OSError):
        return sorted(
            (os.path.join(run, name) for name in os.listdir(run) if NAME.fullmatch(name)),
            key=lambda path: (step_of(path), path),
        )
    return []


def step_of(path):
    return int(NAME.fullmatch(os.path.basename(path))[1])


def load(path):
    """Verifies one checkpoint folder and returns a Checkpoint; InputError says what is wrong with it."""
    try:
        state = read_state(path)
        for name, crc in state['files'].items():
            if files.checksum(os.path.join(path, name)) != crc:
                raise InputError(f'{path}: {name} is damaged (its checksum differs)')
    except OSError as error:
        raise InputError(
            f'{path}: {os.path.basename(error.filename or "")}: {error.strerror}'
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f'{path}: {STATE} is damaged: {error!r}') from error
    return Checkpoint(path, state)


def is_intact(path):
    try:
        load(path)
    except InputError:
        return False
    return True


def read_state(path):
    """The verified content of one checkpoint's state.json."""
    files.check_is_file(os.path.join(path, STATE))
    with open(os.path.join(path, STATE), encoding='utf-8') as file:
        state = json.load(file)
    if state.pop('crc') != _crc(state):
        raise ValueError('its checksum differs')
    check_types(state)
    return state


def check_types(state):
    """ValueError if a state with the right checksum is nevertheless none that `save` writes."""
    best, sums = state.get('best'), state['files']
    sound = {
        'step': _is_count(state['step']),
        'settings': isinstance(state['settings'], dict),
        'code': isinstance(state['code'], str),
        'files': isinstance(sums, dict)
        and 'model.index' in sums
        and all(
            isinstance(crc, str) and name == os.path.basename(name) for name, crc in sums.items()
        ),
        'best': best is None
        or (
            isinstance(best, dict)
            and _is_count(best.get('step'))
            and isinstance(best.get('rate'), int | float)
        ),
        **{name: _is_count(state.get(name, 0)) for name in ('epochs_logged', 'bad_steps')},
        **{name: isinstance(state.get(name, ''), str) for name in ('data_id', 'code')},
        'sums': isinstance(state.get('sums'), dict | None),
        'time': isinstance(state.get('time', 0), int | float),
    }
    for name, good in sound.items():
        if not good:
            raise ValueError(f'{name} is {state[name]!r:.80}')


def _is_count(value):
    return type(value) is int and value >= 0


def find(model_path, name=None, option='--restore'):
    """The newest usable checkpoint; `option` is what an error names.

    name: a checkpoint's or a run's folder, or a run's name within model_path; None: all runs of model_path, the
    newest first.  Damaged ones are passed over with a warning each; nothing usable is an InputError.
    """
    paths = candidates(model_path, name)
    for path in paths:
        try:
            return load(path)
        except InputError as error:
            print(printable(f'warning: passed over: {error}'), file=sys.stderr)
    if name and not paths and not os.path.lexists(name):
        raise InputError(f'{option}: no run {name!r} in {model_path}{_meant(model_path, name)}')
    where = name or model_path
    raise InputError(
        f'{option}: {where}: ' + ('no usable checkpoint' if paths else 'no checkpoint there')
    )


def _meant(model_path, name):
    """'; did you mean RUN?' with the run that a name resembles, in model_path, in the folder named, or a published one;
    '' if there is none."""
    runs = {}
    for folder in dict.fromkeys([model_path, os.path.dirname(os.path.normpath(name)), PUBLISHED]):
        with contextlib.suppress(OSError):
            for run in sorted(os.listdir(folder)):
                if list_checkpoints(os.path.join(folder, run)):
                    runs.setdefault(run, run if folder == model_path else os.path.join(folder, run))
    near = cli.closest_name(os.path.basename(os.path.normpath(name)), runs)
    return f'; did you mean {runs[near]!r}?' if near else ''


def candidates(model_path, name):
    """Checkpoint folders to try, newest first."""
    if name is None:
        with contextlib.suppress(OSError):
            runs = [
                paths
                for run in os.listdir(model_path)
                if (paths := list_checkpoints(os.path.join(model_path, run)))
            ]
            return [
                path
                for paths in sorted(runs, key=lambda paths: _written(paths[-1]), reverse=True)
                for path in reversed(paths)
            ]
        return []
    for folder in map(os.path.abspath, (name, os.path.join(model_path, name))):
        if os.path.isdir(folder) and (
            os.path.exists(os.path.join(folder, STATE)) or NAME.fullmatch(os.path.basename(folder))
        ):
            return [folder]
        if list_checkpoints(folder):
            return list_checkpoints(folder)[::-1]
    return []


def _written(path):
    """When a checkpoint was saved, by its own account: the dates of a copied folder are the copy's."""
    try:
        return read_state(path)['time']
    except Exception:  # damaged: anything
        return os.path.getmtime(path)


@contextlib.contextmanager
def opened(path):
    """Yields (prefix, reader) of a checkpoint folder's variables, as TensorFlow's readers take them.

    They look for the files by a pattern, in which [ ] * ? and \\ of a path are no letters, and cannot be escaped: what
    matches is opened by the pattern's name.  The kernel's own name of the opened folder has none of them.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        prefix = (
            f'/proc/self/fd/{folder}/model' if PATTERN.search(path) else os.path.join(path, 'model')
        )
        yield prefix, tf.train.NewCheckpointReader(prefix)
    finally:
        os.close(folder)


def restore(session, saver, checkpoint):
    """Reads the graph's variables from a verified checkpoint; other names or shapes are an InputError.

    Those stored in half precision become what the graph has."""
    try:
        with opened(checkpoint.path) as (prefix, reader):
            shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
            for variable in (
                tf.global_variables()
            ):  # the saver itself would take over a variable of another shape
                name, shape = variable.op.name, variable.shape.as_list()
                if shapes.get(name) != shape:
                    raise ValueError(f'{name} is {shapes.get(name, "absent")}, expected {shape}')
            if tf.float16 not in types.values():
                saver.restore(session, prefix)
                return
            assign(
                session,
                [
                    (
                        variable,
                        reader.get_tensor(variable.op.name).astype(variable.dtype.as_numpy_dtype),
                    )
                    for variable in tf.global_variables()
                ],
            )
    except (tf.errors.OpError, ValueError) as error:
        raise InputError(
            f'{checkpoint.path}: does not fit this graph: {short_message(error)}'
        ) from error


def constant_vectors(checkpoint):
    """A variable scope in which a verified checkpoint's values of vectors, as constants, stand for these variables,
    which `restore` then leaves out: biases and batch norms are four fifths of a network's variables, and a graph that
    only predicts has a quarter fewer operations.  Matrices would be held several times, at full width 2.7 GB.

    Within it, other names or shapes are an InputError.
    """
    try:
        with opened(checkpoint.path) as (_, reader):
            shapes = reader.get_variable_to_shape_map()
            vectors = {
                name: reader.get_tensor(name)
                for name, shape in shapes.items()
                if len(shape) == 1 and not OPTIMISER.fullmatch(name)
            }
    except tf.errors.OpError as error:
        raise InputError(
            f'{checkpoint.path}: no checkpoint of TensorFlow: {short_message(error)}'
        ) from error
    made = {}

    def constant(getter, name, shape=None, dtype=tf.float32, **kwargs):
        if len(shape := tf.TensorShape(shape).as_list()) != 1:
            return getter(name, shape=shape, dtype=dtype, **kwargs)
        if shapes.get(name) != shape:
            raise InputError(
                f'{checkpoint.path}: does not fit this graph: {name} is {shapes.get(name, "absent")}, '
                f'expected {shape}'
            )
        if name not in made:  # the towers share it
            made[name] = tf.constant(
                vectors[name].astype(tf.as_dtype(dtype).as_numpy_dtype), name=name
            )
        return made[name]

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=constant)


def read_weights(path):
    """{name: array} of a checkpoint folder's variables that inference reads: averages, where there are, for weights;
    in single precision, however they are stored."""
    with opened(path) as (_, reader):
        names = reader.get_variable_to_dtype_map()
        values = {
            name: reader.get_tensor(name)
            for name in sorted(names)
            if not OPTIMISER.fullmatch(name) and name + AVERAGE_SUFFIX not in names
        }
    return {
        name: value.astype(np.float32) if names[name] == tf.float16 else value
        for name, value in values.items()
    }


def assign_matching(session, values):
    """Gives the graph's variables, but the optimiser's, those of `values`, {name: array}, that fit by name and shape.

    A variable and its moving average start alike.  Returns (names of those given a value, names of those left).
    """
    values = {name.removesuffix(AVERAGE_SUFFIX): value for name, value in values.items()}
    variables = {
        variable.op.name: variable
        for variable in tf.global_variables()
        if not OPTIMISER.fullmatch(variable.op.name) and variable.op.name != 'global_step'
    }
    fitting = {
        name: values[base]
        for name, variable in variables.items()
        if (base := name.removesuffix(AVERAGE_SUFFIX)) in values
        and tuple(variable.shape.as_list()) == values[base].shape
    }
    assign(session, [(variables[name], value) for name, value in fitting.items()])
    return sorted(fitting), sorted(set(variables) - set(fitting))


def assign(session, values):
    """Gives variables their values, [(variable, array)]: in one call, since each call takes the graph apart anew."""
    session.run(
        [variable.initializer for variable, _ in values],
        {variable.initializer.inputs[1]: value for variable, value in values},
    )
