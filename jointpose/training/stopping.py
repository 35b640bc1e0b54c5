"""What ends a training or evaluation before its time: signals, bad numbers, lost workers."""

import signal

from jointpose.utils.terminal import silence_terminal

# Signal: the exit code that a shell reports for it, 128 + its number.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class Stop(Exception):
    """Ends the program with exit code `code`; the message has been printed."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


class WorkerLost(Exception):
    """A worker, or the connection to it, is lost; the message says which.  The run continues."""


class Signals:
    """While entered, SIGINT, SIGTERM and SIGHUP only set `code`: the loop stops where it is safe.

    A SIGHUP that is ignored, by nohup for instance, stays ignored.
    """

    def __enter__(self):
        self.code = None  # exit code for the signal that came
        self._number = None
        self._handlers = {}
        for number in EXIT_CODES:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, _):
        self._number = number
        self.code = EXIT_CODES[number]
        if number == signal.SIGHUP:
            silence_terminal()

    def __exit__(self, error, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        lost = error is not None and issubclass(error, WorkerLost)
        if lost and self.code is not None:  # the run continues elsewhere: the signal is for that
            signal.raise_signal(self._number)
