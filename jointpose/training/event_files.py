"""TensorBoard's event files, written by this thread.

tf.summary.FileWriter would write on a thread of its own, where a full disk cannot be caught.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Sequence

from jointpose.nn.tf1 import tf
from jointpose.utils.log import warn


class EventFiles:
    """A folder of event files for each of several kinds of summaries.

    While they cannot be written, there is one warning, and training continues without.
    """

    def __init__(self, folder: str | None, kinds: Sequence[str]):
        """folder: of the kinds' folders; None: nothing is written."""
        self.folder = folder
        self.kinds = tuple(kinds)
        self._files = {}  # {kind: open file}
        self._failed = False  # and the warning has been printed

    def add(self, kind: str, step: int, values: Iterable[tf.Summary.Value]) -> None:
        """Writes Values, which are not even computed if nothing can be written."""
        if self.folder is None or not self._try(self._open, step):
            return
        summary = tf.Summary(value=values)
        event = tf.Event(wall_time=time.time(), step=step, summary=summary)
        self._try(self._write, kind, event.SerializeToString())

    def close(self) -> None:
        """The next summary begins new files; every record was flushed when it was written."""
        self._files = {}

    def _try(self, do, *arguments):
        """Whether that worked.  After a failure, the next summary begins new files."""
        try:
            do(*arguments)
        except (OSError, tf.errors.OpError) as error:
            self._files = {}
            if not self._failed:
                warn(f'TensorBoard summaries are lost until they can be written again: {error}')
            self._failed = True
            return False
        return True

    def _open(self, step):
        if not self._files:
            self._files = {
                kind: open_events(os.path.join(self.folder, kind), step) for kind in self.kinds
            }

    def _write(self, kind, event):
        self._files[kind].write(event)
        self._files[kind].flush()
        self._failed = False


def open_events(folder: str, step: int) -> tf.io.TFRecordWriter:
    """A new event file.

    TensorBoard takes its records in place of what older files of the folder hold from its first
    step on: those are of a run that was resumed from an earlier checkpoint.
    """
    os.makedirs(folder, exist_ok=True)
    name = f'events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}'
    path = os.path.join(folder, name)
    start = tf.SessionLog(status=tf.SessionLog.START)
    try:
        records = tf.io.TFRecordWriter(path)
        for content in ({'file_version': 'brain.Event:2'}, {'step': step, 'session_log': start}):
            records.write(tf.Event(wall_time=time.time(), **content).SerializeToString())
        records.flush()
    except (OSError, tf.errors.OpError):
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return records
