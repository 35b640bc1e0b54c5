"""The training loop: steps, the epoch's figures, checkpoints, signals, and what to do with bad numbers.

The loop's whole state is the step, the running sums of the epoch, the best rate and the variables; a checkpoint
holds all of it, so a run stopped after any step goes on as if it had not been.
"""

import json
import os
import signal
import sys
import time

from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf
from jointpose.training import batches, checkpoint
from jointpose.training import options as command_line
from jointpose.utils import files, progress, terminal
from jointpose.utils.errors import InputError
from jointpose.utils.log import log, warn

MAX_BAD_STEPS = 10  # updates in a row that are not finite before training stops
RETRY_SECONDS = 60  # after a checkpoint could not be written


class Stop(Exception):
    """Ends the program with `code`; the message has been printed."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class WorkerLost(Exception):
    """A worker has gone, or the connection to it: the message says which.  Somebody goes on."""


EXIT_CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
}  # 128 + number, as a shell has it


class Signals:
    """While entered, SIGINT, SIGTERM and SIGHUP only set `code`; the loop saves and stops at the next safe place.

    A SIGHUP that is ignored, as nohup does, stays ignored.
    """

    def __enter__(self):
        self.code = None
        heard = [
            number
            for number in EXIT_CODES
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        ]
        self.before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def _note(self, number, _):
        self.number, self.code = number, EXIT_CODES[number]
        if number == signal.SIGHUP:
            terminal.silence_terminal()

    def __exit__(self, error, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.code is not None and error is not None and issubclass(error, WorkerLost):
            signal.raise_signal(self.number)  # whoever goes on shall hear it, too


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
                    except (
                        ValueError,
                        KeyError,
                        TypeError,
                    ):  # damaged, as the last line of a killed run
                        continue
            with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
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
                warn(
                    f'{self.paths[kind]}: {error.strerror}; lines are missing until it can be written again'
                )
            self.failed = True


def initial_state():
    return {'step': 0, 'epochs_logged': 0, 'sums': None, 'best': None, 'bad_steps': 0}


class Trainer:
    """Runs `graph.training` for graph.total_steps updates, graph.steps_per_epoch an epoch, from `state`.

    new_meter(sums=None): a Meter of the outputs; people: the training people, who are named where numbers are bad.
    """

    def __init__(self, session, graph, people, new_meter, options, run, state, summaries):
        self.session, self.graph, self.people, self.options, self.run = (
            session,
            graph,
            people,
            options,
            run,
        )
        self.summaries, self.new_meter = summaries, new_meter
        self.state = {**initial_state(), **state}
        self.meter = new_meter(self.state['sums'])
        self.log = Log(run, self.state)
        self.saved_at, self.path = (
            time.monotonic(),
            None,
        )  # path: the checkpoint of the present state

    def train(self):
        """Trains to the end; raises Stop on a signal, on bad numbers and on a failure within the graph."""
        with Signals() as self.signals:
            try:
                self.run_epochs()
            except (
                tf.errors.OpError
            ) as error:  # a source of batches that raises, no memory left, ...
                warn(
                    f'step {self.state["step"] + 1} failed, training stopped; the last checkpoint is kept: '
                    f'{checkpoint.short_message(error)}'
                )
                raise Stop(1) from None

    def run_epochs(self):
        state, graph = self.state, self.graph
        self.begin_epoch()
        self.session.run(*graph.start_training(state['step'], graph.total_steps))
        if state['step'] == 0:
            self.save()  # from here on, a killed run can be restored
        while True:
            done, position = divmod(state['step'], graph.steps_per_epoch)
            if position == 0 and state['epochs_logged'] < done:
                with fft_conv.cached_spectra(self.session, graph.spectra):
                    self.finish_epoch(done)
                self.stop_if_asked()
            if state['step'] >= graph.total_steps:
                break
            self.run_epoch(done, position)
        if not self.saved():
            raise Stop(1)
        self.stop_if_asked()

    def begin_epoch(self):
        self.epoch_began, self.cpu_began, self.samples = time.monotonic(), time.process_time(), 0

    def run_epoch(self, epoch, position):
        """Steps to the end of the epoch."""
        steps = self.graph.steps_per_epoch
        with progress.bar(steps, f'epoch {epoch + 1}', 'step', position, leave=False) as bar:
            for _ in range(position, steps):
                bar.set_postfix(loss=f'{self.step():.3f}', refresh=False)
                bar.update()
                self.stop_if_asked()
                if (
                    self.state['step'] % steps
                    and time.monotonic() - self.saved_at > 60 * self.options.save_minutes
                ):
                    self.save()

    def step(self):
        """One update; returns the loss of its answer."""
        training, batch = self.graph.training, self.graph.batch
        began = time.monotonic()
        fetched = self.session.run(
            {
                'step': training.step,
                'finite': training.finite,
                'losses': training.losses,
                'norm': training.norm,
                'rate': training.rate,
                'outputs': training.outputs,
                'facts': batches.without_images(batch),
            }
        )
        seconds = time.monotonic() - began
        self.state['step'] += 1
        self.path = None
        losses = {name: float(loss) for name, loss in fetched['losses'].items()}
        figures = {
            **{f'loss_{name}': loss for name, loss in losses.items()},
            'gradient_norm': float(fetched['norm']),
            'lr': float(fetched['rate']),
        }
        self.log.write(
            'steps', {'step': self.state['step'], **figures, 'seconds': round(seconds, 4)}
        )
        self.summaries.step(
            self.state['step'], {**figures, 'img_per_s': len(fetched['facts'].rows) / seconds}
        )
        self.check_numbers(fetched, losses)
        if fetched['finite']:
            self.meter.add(losses, fetched['outputs'], fetched['facts'])
        self.samples += len(fetched['facts'].rows)
        self.state['sums'] = self.meter.state()
        return losses[self.final_output]

    @property
    def final_output(self):
        """Name of the output whose joints count: the last."""
        return self.meter.names[-1]

    def check_numbers(self, fetched, losses):
        """Counts skipped updates in a row; stops with the evidence after MAX_BAD_STEPS."""
        if fetched['finite']:
            self.state['bad_steps'] = 0
            return
        self.state['bad_steps'] += 1
        pictures = ', '.join(self.people['file'][fetched['facts'].rows])
        evidence = (
            f'step {self.state["step"]}: '
            + ''.join(f'loss_{name} {loss}, ' for name, loss in losses.items())
            + f'gradient norm {fetched["norm"]}; samples {pictures}'
        )
        if self.state['bad_steps'] < MAX_BAD_STEPS:
            warn(f'not finite, update skipped: {evidence}')
            return
        warn(
            f'{MAX_BAD_STEPS} updates in a row were not finite, training stopped; the last good checkpoint is kept\n'
            f'{evidence}'
        )
        raise Stop(3)

    def finish_epoch(self, epoch):
        """Evaluates on the test people, logs the epoch's line, notes the best rate of people held out, saves."""
        seconds, cpu_seconds = (
            time.monotonic() - self.epoch_began,
            time.process_time() - self.cpu_began,
        )
        means = {'train': self.meter.means(), 'test': self.evaluate().means()}
        rate = means['test'][f'rate_{self.final_output}']
        self.state['epochs_logged'], self.path = epoch, None
        former = self.state['best']
        if (
            self.options.validation and rate == rate and (not former or rate > former['rate'])
        ):  # never by test people
            self.state['best'] = {'step': self.state['step'], 'rate': rate}
        img_per_s = self.samples / seconds
        spent = time.monotonic() - self.epoch_began  # evaluation included
        left = (self.graph.total_steps - self.state['step']) * self.options.batch_size
        log(
            epoch_line(
                epoch, means, img_per_s, left * spent / self.samples if self.samples else None
            )
        )
        self.log.write(
            'log',
            {
                'epoch': epoch,
                'step': self.state['step'],
                **means,
                'img_per_s': round(img_per_s, 3),
                'seconds': round(seconds, 1),
                'cpu_seconds': round(cpu_seconds, 1),
            },
        )
        self.summaries.epoch(self.session, self.state['step'], means)
        self.meter, self.state['sums'] = self.new_meter(), None
        self.begin_epoch()
        if not self.save():
            self.state['best'] = former  # the best of those on disk

    def evaluate(self):
        """Losses and rates on the test people, one view of each, as a Meter."""
        evaluation, meter = self.graph.evaluation, self.new_meter()
        inference = evaluation.inference
        steps = -(-self.graph.n_test // self.options.batch_size)
        self.session.run(*self.graph.start_test(0, steps))
        for _ in progress.track(range(steps), steps, 'test', 'step', leave=False):
            losses, outputs, facts = self.session.run(
                [inference.losses, inference.outputs, batches.without_images(evaluation.batch)]
            )
            meter.add({name: loss.mean() for name, loss in losses.items()}, outputs, facts)
            self.stop_if_asked()
        return meter

    def stop_if_asked(self):
        """Raises Stop, once the state is saved, if a signal has come."""
        if self.signals.code is None:
            return
        if not self.saved():
            raise Stop(1)
        log(
            f'stopped at step {self.state["step"]}, saved in {self.path}; go on with:\n'
            f'{command_line.resume_command(self.run, self.options)}',
            sys.stderr,
        )
        raise Stop(self.signals.code)

    def saved(self):
        """Whether the present state is on disk, saved now if it was not."""
        return self.path is not None or self.save()

    def save(self):
        """Writes a checkpoint; returns whether that worked.  If not, training goes on and tries again."""
        try:
            self.path = checkpoint.save(
                self.session, self.graph.saver, self.run, self.state, self.options.keep
            )
        except OSError as error:
            warn(f'checkpoint not written: {error}')
            self.saved_at = time.monotonic() - 60 * self.options.save_minutes + RETRY_SECONDS
            return False
        self.saved_at = time.monotonic()
        return True


def epoch_line(epoch, means, img_per_s, eta):
    """The reference's figures in fixed width; rates in %, the outputs in their order."""
    outputs = [name.removeprefix('rate_') for name in means['test'] if name.startswith('rate_')]
    figures = '  '.join(
        f'{split}_{short} '
        + ' '.join(f'{means[split][f"{name}_{output}"]:6.{digits}f}' for output in outputs)
        for name, short, digits in (('rate', 'dr', 2), ('loss', 'loss', 3))
        for split in ('test', 'train')
    )
    return f'Epoch {epoch:3d}  {figures}  {img_per_s:6.2f} img/s  ETA {duration(eta)}'


def duration(seconds):
    """h:mm:ss, or dashes where it is not known (an epoch of which this process has seen no update)."""
    if seconds is None:
        return '-:--:--'
    hours, seconds = divmod(round(seconds), 3600)
    return f'{hours:d}:{seconds // 60:02d}:{seconds % 60:02d}'
