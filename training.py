"""The training loop: steps, the epoch's figures, checkpoints, signals, and what to do with bad numbers.

The loop's whole state is the step, the running sums of the epoch, the best rate and the variables; a checkpoint
holds all of it, so a run stopped after any step goes on as if it had not been.
"""
import contextlib
import json
import os
import signal
import sys
import time

import numpy as np
from tqdm import tqdm

import arrays
import checkpoint
import joints
import model
from arrays import InputError
from evaluate import detection_rate, normalised_errors
from tf1 import tf

RADIUS = 10                         # of the rates in log and TensorBoard, % of ||lhip - rsho||
MAX_BAD_STEPS = 10                  # updates in a row that are not finite before training stops
RETRY_SECONDS = 60                  # after a checkpoint could not be written


class Stop(Exception):
    """Ends the program with `code`; the message has been printed."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Meter:
    """Means over samples: losses and detection rates of part detector and spatial model."""

    def __init__(self, sums=None):
        zeros = [0] * joints.N_JOINTS
        nothing = {'n': 0, 'loss_pd': 0, 'loss_sm': 0, 'rate_pd': zeros, 'rate_sm': zeros}
        self.sums = {name: np.array(value, np.float64) for name, value in (sums or nothing).items()}

    def add(self, loss_pd, loss_sm, maps_pd, maps_sm, joints_xy, subcell):
        """One batch: mean losses, maps [b, 60, 90, 9], truth [b, 10, 2]."""
        n = len(joints_xy)
        values = {'n': n, 'loss_pd': n * loss_pd, 'loss_sm': n * loss_sm}
        truth = joints_xy[:, :joints.N_JOINTS].astype(np.float64)
        torso = truth[:, joints.JOINTS.index('lhip')] - truth[:, joints.JOINTS.index('rsho')]
        for name, maps in (('rate_pd', maps_pd), ('rate_sm', maps_sm)):
            if maps_sm is maps_pd and name == 'rate_sm':
                values[name] = values['rate_pd']
                continue
            errors = normalised_errors(joints.decode(maps, subcell), truth, torso)
            values[name] = n * detection_rate(errors, RADIUS)                       # [9]
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value

    def state(self):
        return {name: value.tolist() for name, value in self.sums.items()}

    def means(self):
        """{'loss_pd': float, 'loss_sm': float, 'rate_pd': mean over joints, 'joints_pd': {joint: rate}, ...}."""
        with np.errstate(invalid='ignore'):                 # not a number if no update of the epoch was finite
            means = {name: value / self.sums['n'] for name, value in self.sums.items() if name != 'n'}
        for name in ('pd', 'sm'):
            rates = means.pop(f'rate_{name}')
            means[f'rate_{name}'] = rates.mean()
            means[f'joints_{name}'] = dict(zip(joints.JOINTS, rates.tolist()))
        return {name: value if isinstance(value, dict) else float(value) for name, value in means.items()}


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals:
    """While entered, SIGINT and SIGTERM only set `code`; the loop saves and stops at the next safe place."""

    def __enter__(self):
        self.code = None
        self.before = {number: signal.signal(number, self._note) for number in EXIT_CODES}
        return self

    def _note(self, number, _):
        self.code = EXIT_CODES[number]

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Log:
    """Appends JSON lines to RUN/log.jsonl (epochs) and RUN/steps.jsonl (updates); a resumed run's lines that the
    restored state does not know of are dropped first.  A full disk costs the lines, not the run."""

    def __init__(self, run, state):
        self.paths = {kind: os.path.join(run, f'{kind}.jsonl') for kind in ('log', 'steps')}
        self.failed = False
        self._cut(self.paths['log'], 'epoch', state['epochs_logged'])
        self._cut(self.paths['steps'], 'step', state['step'])

    @staticmethod
    def _cut(path, key, last):
        kept = []
        try:
            with open(path, encoding='utf-8', errors='replace') as file:
                for line in file:
                    try:
                        if json.loads(line)[key] <= last:
                            kept.append(line)
                    except (ValueError, KeyError, TypeError):       # damaged, as the last line of a killed run
                        continue
            with arrays.atomic(path) as partial, open(partial, 'w', encoding='utf-8') as file:
                file.writelines(kept)
        except FileNotFoundError:
            pass
        except (OSError, InputError) as error:
            warn(f'lines after {key} {last} stay: {error}')

    def write(self, kind, record):
        try:
            with open(self.paths[kind], 'a', encoding='utf-8') as file:
                file.write(json.dumps(record) + '\n')
            self.failed = False
        except OSError as error:
            if not self.failed:
                warn(f'{self.paths[kind]}: {error.strerror}; lines are missing until it can be written again')
            self.failed = True


def say(message, file=None):
    """Prints beside the progress bars; a full disk or a closed pipe costs the line, not the run."""
    with contextlib.suppress(OSError):
        tqdm.write(message, file=file or sys.stdout)
        (file or sys.stdout).flush()


def warn(message):
    say(f'warning: {message}', sys.stderr)


def initial_state():
    return {'step': 0, 'epochs_logged': 0, 'sums': None, 'best': None, 'bad_steps': 0}


class Trainer:
    """Runs `graph.training` for `total` steps of `steps` an epoch, from `state`."""

    def __init__(self, session, graph, splits, options, run, state, summaries):
        self.session, self.graph, self.splits, self.options, self.run = session, graph, splits, options, run
        self.summaries = summaries
        self.state = {**initial_state(), **state}
        self.meter = Meter(self.state['sums'])
        self.log = Log(run, self.state)
        self.saved_at, self.path = time.time(), None            # path: the checkpoint of the present state

    def train(self):
        """Trains to the end; raises Stop on a signal, on bad numbers and on a failure within the graph."""
        with Signals() as self.signals:
            try:
                self.run_epochs()
            except tf.errors.OpError as error:          # a source of batches that raises, no memory left, ...
                warn(f'step {self.state["step"] + 1} failed, training stopped; the last checkpoint is kept: '
                     f'{checkpoint.reason(error)}')
                raise Stop(1) from None

    def run_epochs(self):
        state, graph = self.state, self.graph
        self.epoch_began, self.samples = time.time(), 0
        self.session.run(*graph.start_training(state['step'], graph.total_steps))
        if state['step'] == 0:
            self.save()                                 # from here on, a killed run can be restored
        while True:
            done, position = divmod(state['step'], graph.steps_per_epoch)
            if position == 0 and state['epochs_logged'] < done:
                with model.spectra(self.session, graph.spectra):
                    self.finish_epoch(done)
                self.stop_if_asked()
            if state['step'] >= graph.total_steps:
                break
            self.run_epoch(done, position)
        if not self.saved():
            raise Stop(1)
        self.stop_if_asked()

    def run_epoch(self, epoch, position):
        """Steps to the end of the epoch."""
        steps = self.graph.steps_per_epoch
        with tqdm(total=steps, initial=position, desc=f'epoch {epoch + 1}', unit='step', leave=False, disable=None,
                  dynamic_ncols=True) as bar:
            for _ in range(position, steps):
                bar.set_postfix(loss=f'{self.step():.3f}', refresh=False)
                bar.update()
                self.stop_if_asked()
                if self.state['step'] % steps and time.time() - self.saved_at > 60 * self.options.save_minutes:
                    self.save()

    def step(self):
        """One update; returns its loss."""
        training = self.graph.training
        began = time.time()
        fetched = self.session.run({
            'step': training.step, 'finite': training.finite, 'loss_pd': training.loss_pd, 'loss_sm': training.loss_sm,
            'norm': training.norm, 'rate': training.rate, 'maps_pd': training.maps_pd, 'maps_sm': training.maps_sm,
            'rows': self.graph.batch.rows, 'joints_xy': self.graph.batch.joints_xy})
        self.state['step'] += 1
        self.path = None
        losses = [float(fetched[name]) for name in ('loss_pd', 'loss_sm')]
        self.log.write('steps', {'step': self.state['step'], 'loss_pd': losses[0], 'loss_sm': losses[1],
                                 'gradient_norm': float(fetched['norm']), 'lr': float(fetched['rate']),
                                 'seconds': round(time.time() - began, 4)})
        self.summaries.step(self.state['step'], {
            'loss_pd': losses[0], 'loss_sm': losses[1], 'gradient_norm': float(fetched['norm']),
            'lr': float(fetched['rate']), 'img_per_s': len(fetched['rows']) / (time.time() - began)})
        self.check_numbers(fetched, losses)
        if fetched['finite']:
            maps_sm = fetched['maps_sm'] if self.options.use_sm else fetched['maps_pd']
            self.meter.add(*losses, fetched['maps_pd'], maps_sm, fetched['joints_xy'],
                           self.options.decode == 'subcell')
        self.samples += len(fetched['rows'])
        self.state['sums'] = self.meter.state()
        return losses[1]

    def check_numbers(self, fetched, losses):
        """Counts skipped updates in a row; stops with the evidence after MAX_BAD_STEPS."""
        if fetched['finite']:
            self.state['bad_steps'] = 0
            return
        self.state['bad_steps'] += 1
        people = self.splits['train'].people[fetched['rows']]
        evidence = (f'step {self.state["step"]}: loss_pd {losses[0]}, loss_sm {losses[1]}, gradient norm '
                    f'{fetched["norm"]}; samples {", ".join(people["file"])}')
        if self.state['bad_steps'] < MAX_BAD_STEPS:
            warn(f'not finite, update skipped: {evidence}')
            return
        warn(f'{MAX_BAD_STEPS} updates in a row were not finite, training stopped; the last good checkpoint is kept\n'
             f'{evidence}')
        raise Stop(3)

    def finish_epoch(self, epoch):
        """Evaluates on the test people, logs the epoch's line, notes the best rate, saves."""
        seconds = time.time() - self.epoch_began
        means = {'train': self.meter.means(), 'test': self.evaluate().means()}
        rate = means['test']['rate_sm']
        self.state['epochs_logged'], self.path = epoch, None
        former = self.state['best']
        if not former or rate > former['rate']:
            self.state['best'] = {'step': self.state['step'], 'rate': rate}
        img_per_s = self.samples / seconds
        spent = time.time() - self.epoch_began                                  # evaluation included
        left = (self.graph.total_steps - self.state['step']) * self.options.batch_size
        say(epoch_line(epoch, means, img_per_s, left * spent / self.samples if self.samples else None))
        self.log.write('log', {'epoch': epoch, 'step': self.state['step'], **means, 'img_per_s': round(img_per_s, 3),
                               'seconds': round(seconds, 1)})
        self.summaries.epoch(self.session, self.state['step'], means)
        self.meter, self.state['sums'] = Meter(), None
        self.epoch_began, self.samples = time.time(), 0
        if not self.save():
            self.state['best'] = former                                         # the best of those on disk

    def evaluate(self):
        """Single-scale losses and rates on the test people, as a Meter."""
        graph, meter = self.graph, Meter()
        n = graph.n_test
        inference = graph.inference
        steps = -(-n // self.options.batch_size)
        self.session.run(*graph.start_test(0, steps))
        for _ in tqdm(range(steps), desc='test', unit='step', leave=False, disable=None):
            loss_pd, loss_sm, maps_pd, maps_sm, joints_xy = self.session.run(
                [inference.loss_pd, inference.loss_sm, inference.maps_pd, inference.maps_sm,
                 graph.test_batch.joints_xy])
            meter.add(loss_pd.mean(), loss_sm.mean(), maps_pd, maps_sm if self.options.use_sm else maps_pd, joints_xy,
                      self.options.decode == 'subcell')
            self.stop_if_asked()
        return meter

    def stop_if_asked(self):
        """Raises Stop, once the state is saved, if a signal has come."""
        if self.signals.code is None:
            return
        if not self.saved():
            raise Stop(1)
        say(f'stopped at step {self.state["step"]}, saved in {self.path}; go on with: '
            f'--train --restore {self.run} --data {self.options.data}', sys.stderr)
        raise Stop(self.signals.code)

    def saved(self):
        """Whether the present state is on disk, saved now if it was not."""
        return self.path is not None or self.save()

    def save(self):
        """Writes a checkpoint; returns whether that worked.  If not, training goes on and tries again."""
        try:
            self.path = checkpoint.save(self.session, self.graph.saver, self.run, self.state, self.options.keep)
        except OSError as error:
            warn(f'checkpoint not written: {error}')
            self.saved_at = time.time() - 60 * self.options.save_minutes + RETRY_SECONDS
            return False
        self.saved_at = time.time()
        return True


def epoch_line(epoch, means, img_per_s, eta):
    """The reference's figures in fixed width; rates in %, pd then sm."""
    figures = '  '.join(
        f'{split}_{short} {means[split][f"{name}_pd"]:6.{digits}f} {means[split][f"{name}_sm"]:6.{digits}f}'
        for name, short, digits in (('rate', 'dr', 2), ('loss', 'loss', 3)) for split in ('test', 'train'))
    return f'Epoch {epoch:3d}  {figures}  {img_per_s:6.2f} img/s  ETA {duration(eta)}'


def duration(seconds):
    """h:mm:ss, or dashes where it is not known (an epoch of which this process has seen no update)."""
    if seconds is None:
        return '-:--:--'
    hours, seconds = divmod(round(seconds), 3600)
    return f'{hours:d}:{seconds // 60:02d}:{seconds % 60:02d}'
