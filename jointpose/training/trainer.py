"""The training loop: steps, figures of each epoch, checkpoints, signals, numbers not finite.

The loop's whole state is the step, the running sums of the epoch, the best rate and the variables.
A checkpoint holds all of it: a run that is stopped after any step resumes as if it had not been.
"""

import argparse
import sys
import time
from collections.abc import Callable

from jointpose.checkpoints import checkpoint
from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import short_message, tf
from jointpose.options import options as command_line
from jointpose.training import batches
from jointpose.training.epoch_clock import EpochClock
from jointpose.training.run_log import RunLog, epoch_line
from jointpose.training.stopping import Signals, Stop
from jointpose.utils import progress
from jointpose.utils.log import log, warn

MAX_BAD_STEPS = 10  # steps in a row that are not finite, before training stops
RETRY_SECONDS = 60  # after a checkpoint could not be written


def initial_state() -> dict:
    """The state of a training before its first step."""
    return {
        'step': 0,
        'epochs_logged': 0,
        'sums': None,  # of the epoch's figures
        'spent': None,  # of the epoch: EpochClock.spent
        'best': None,
        'bad_steps': 0,
    }


class Trainer:
    """Runs `graph.training` for graph.total_steps steps, graph.steps_per_epoch an epoch."""

    def __init__(
        self,
        session: tf.Session,
        graph,
        people,
        new_meter: Callable,
        options: argparse.Namespace,
        run: str,
        state: dict,
        summaries,
    ):
        """Prepares a training.

        Args:
            graph: main.RunGraph.
            people: the training people, whose pictures are named if numbers are not finite.
            new_meter: (sums=None) -> a Meter of the outputs.
            run: folder of the run.
            state: of a restored run, and what else its checkpoints are to hold.
            summaries: summaries.Writer.
        """
        self.session = session
        self.graph = graph
        self.people = people
        self.new_meter = new_meter
        self.options = options
        self.run = run
        self.summaries = summaries
        self.state = {**initial_state(), **state}
        self.meter = new_meter(self.state['sums'])
        self.log = RunLog(run, self.state)
        self.saved_at = time.monotonic()
        self.path = None  # of the checkpoint of the present state

    def train(self):
        """Trains to the end; Stop: a signal, numbers that are not finite, or a failed operation."""
        with Signals() as self.signals:
            try:
                self.run_epochs()
            except tf.errors.OpError as error:  # a picture cannot be read, no memory is left, ...
                warn(
                    f'step {self.state["step"] + 1} failed, training stopped; '
                    f'the last checkpoint is kept: {short_message(error)}'
                )
                raise Stop(1) from None

    def run_epochs(self):
        """Alternates between the steps of an epoch and its evaluation."""
        state = self.state
        graph = self.graph
        self.clock = EpochClock(state['spent'])
        self.session.run(*graph.start_training(state['step'], graph.total_steps))
        if state['step'] == 0:
            self.save()  # from here on, a killed run can be restored
        while True:
            done, position = divmod(state['step'], graph.steps_per_epoch)
            if position == 0 and state['epochs_logged'] < done:
                with spectrum_cache.filled(self.session, graph.spectra):
                    self.finish_epoch(done)
                self.stop_if_asked()
            if state['step'] >= graph.total_steps:
                break
            self.run_epoch(done, position)
        if not self.is_saved():
            raise Stop(1)
        self.stop_if_asked()

    def run_epoch(self, epoch, position):
        """Steps from `position` to the end of the epoch."""
        steps = self.graph.steps_per_epoch
        with progress.bar(steps, f'epoch {epoch + 1}', 'step', position, leave=False) as bar:
            for _ in range(position, steps):
                bar.set_postfix(loss=f'{self.step():.3f}', refresh=False)
                bar.update()
                self.stop_if_asked()
                end_of_epoch = self.state['step'] % steps == 0
                if not end_of_epoch and self.checkpoint_is_due():
                    self.save()

    def checkpoint_is_due(self):
        """Whether --save_minutes have passed."""
        return time.monotonic() - self.saved_at > 60 * self.options.save_minutes

    # --- a step -----------------------------------------------------------------------------------

    def step(self):
        """One step; returns the loss of the final output."""
        began = time.monotonic()
        fetched = self.session.run(self.step_tensors())
        seconds = time.monotonic() - began
        self.state['step'] += 1
        self.path = None
        losses = {name: float(loss) for name, loss in fetched['losses'].items()}
        samples = len(fetched['batch'].rows)
        self.log_step(losses, fetched, samples, seconds)
        self.check_numbers(losses, fetched)
        if fetched['finite']:
            self.meter.add(losses, fetched['outputs'], fetched['batch'])
        self.clock.samples += samples
        self.state['sums'] = self.meter.state()
        return losses[self.final_output]

    def step_tensors(self):
        """What a step computes."""
        training = self.graph.training
        return {
            'step': training.step,
            'finite': training.finite,
            'losses': training.losses,
            'norm': training.norm,
            'rate': training.rate,
            'outputs': training.outputs,
            'batch': batches.without_images(self.graph.batch),
        }

    def log_step(self, losses, fetched, samples, seconds):
        """Writes the step's figures to steps.jsonl and TensorBoard."""
        figures = {f'loss_{name}': loss for name, loss in losses.items()}
        figures['gradient_norm'] = float(fetched['norm'])
        figures['lr'] = float(fetched['rate'])
        step = self.state['step']
        self.log.write('steps', {'step': step, **figures, 'seconds': round(seconds, 4)})
        self.summaries.step(step, {**figures, 'img_per_s': samples / seconds})

    @property
    def final_output(self):
        """Name of the output that is the prediction: the last."""
        return self.meter.names[-1]

    def check_numbers(self, losses, fetched):
        """Counts skipped steps in a row; after MAX_BAD_STEPS, prints the evidence and stops."""
        if fetched['finite']:
            self.state['bad_steps'] = 0
            return
        self.state['bad_steps'] += 1
        evidence = self.describe_step(losses, fetched)
        if self.state['bad_steps'] < MAX_BAD_STEPS:
            warn(f'not finite, update skipped: {evidence}')
            return
        warn(
            f'{MAX_BAD_STEPS} updates in a row were not finite, training stopped; '
            f'the last good checkpoint is kept\n{evidence}'
        )
        raise Stop(3)

    def describe_step(self, losses, fetched):
        """Step, losses, gradient norm and pictures of a step, in words."""
        pictures = ', '.join(self.people['file'][fetched['batch'].rows])
        values = ''.join(f'loss_{name} {loss}, ' for name, loss in losses.items())
        return (
            f'step {self.state["step"]}: {values}'
            f'gradient norm {fetched["norm"]}; samples {pictures}'
        )

    # --- the end of an epoch ----------------------------------------------------------------------

    def finish_epoch(self, epoch):
        """Evaluates on the test people, logs the epoch, notes the best rate, saves."""
        spent = self.clock.spent()
        means = {'train': self.meter.means(), 'test': self.evaluate().means()}
        self.state['epochs_logged'] = epoch
        self.path = None
        former_best = self.state['best']
        self.note_best(means['test'][f'rate_{self.final_output}'])
        img_per_s = spent['samples'] / spent['seconds']
        log(epoch_line(epoch, means, img_per_s, self.seconds_left()))
        self.log.write(
            'log',
            {
                'epoch': epoch,
                'step': self.state['step'],
                **means,
                'img_per_s': round(img_per_s, 3),
                'seconds': round(spent['seconds'], 1),
                'cpu_seconds': round(spent['cpu_seconds'], 1),
            },
        )
        self.summaries.epoch(self.session, self.state['step'], means)
        self.meter = self.new_meter()
        self.state['sums'] = None
        self.clock = EpochClock()
        if not self.save():
            self.state['best'] = former_best  # the best of those on disk

    def note_best(self, rate):
        """Notes the best rate on a validation split; test people never choose a checkpoint."""
        best = self.state['best']
        is_number = rate == rate
        if self.options.validation and is_number and (not best or rate > best['rate']):
            self.state['best'] = {'step': self.state['step'], 'rate': rate}

    def seconds_left(self):
        """To the end of the training at this epoch's pace, evaluation included; None if unknown."""
        spent = self.clock.spent()
        if not spent['samples']:
            return None
        steps = self.graph.total_steps - self.state['step']
        return steps * self.options.batch_size * spent['seconds'] / spent['samples']

    def evaluate(self):
        """A Meter of the test people, one view of each."""
        evaluation = self.graph.evaluation
        inference = evaluation.inference
        facts = batches.without_images(evaluation.batch)
        meter = self.new_meter()
        steps = -(-self.graph.n_test // self.options.batch_size)
        self.session.run(*self.graph.start_test(0, steps))
        for _ in progress.track(range(steps), steps, 'test', 'step', leave=False):
            losses, outputs, batch = self.session.run([inference.losses, inference.outputs, facts])
            meter.add({name: loss.mean() for name, loss in losses.items()}, outputs, batch)
            self.stop_if_asked()
        return meter

    # --- saving and stopping ----------------------------------------------------------------------

    def stop_if_asked(self):
        """After a signal: saves the state, prints how to resume, raises Stop."""
        if self.signals.code is None:
            return
        if not self.is_saved():
            raise Stop(1)
        log(
            f'stopped at step {self.state["step"]}, saved in {self.path}; resume with:\n'
            f'{command_line.resume_command(self.run, self.options)}',
            sys.stderr,
        )
        raise Stop(self.signals.code)

    def is_saved(self):
        """Whether the present state is on disk; it is saved now if it was not."""
        return self.path is not None or self.save()

    def save(self):
        """Writes a checkpoint; returns whether that worked.  If not, it is tried again later."""
        self.state['spent'] = self.clock.spent()
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
