"""The project's scripts as processes of their own, forked from one that has imported TensorFlow already.

A start of Python with TensorFlow costs six seconds of CPU, a fork none, nor does it import the modules of main.py;
arguments, environment, folder, output, signals and exit code are the process's own all the same.

    done = forked.run(['main.py', '--train', ...])                 # subprocess.CompletedProcess
    process = forked.start(['-m', 'tools.plot_log', ...])          # Process, like subprocess.Popen

The one that has imported it is this file as a program: it starts with the first call and ends with
the tests.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PRELOADED = (
    'jointpose.utils.startup',
    'jointpose.nn.tf1',
    'scipy.io',
    'scipy.ndimage',
    'scipy.optimize',
    'cv2',
    'tqdm',
    'matplotlib.backends.backend_agg',
    'matplotlib.figure',
    'jointpose.main',
)


class Process:
    """A running script.  Its output goes to files, so that nobody has to read it while it runs;
    stdout: a file descriptor to take instead."""

    def __init__(self, argv, cwd=None, env=None, file_size=None, stdout=None):
        self.args, self.returncode = [*map(str, argv)], None
        self.output, self.errors = (tempfile.TemporaryFile('w+') for _ in range(2))  # noqa: SIM115
        job = {
            'argv': self.args,
            'cwd': str(cwd or os.getcwd()),
            'env': dict(os.environ if env is None else env),
            'file_size': file_size,
        }
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(
                server(),
                [json.dumps(job).encode()],
                [
                    self.output.fileno() if stdout is None else stdout,
                    self.errors.fileno(),
                    theirs.fileno(),
                ],
            )
        self.said = mine
        self.pid = int(self.said.recv(32))

    def poll(self):
        return self._end(socket.MSG_DONTWAIT)

    def wait(self, timeout=None):
        if self.returncode is None:
            self.said.settimeout(timeout)
        return self._end(0)

    def _end(self, flags):
        if self.returncode is None:
            try:
                self.returncode = int(self.said.recv(32, flags))
                self.said.close()
            except BlockingIOError:
                pass
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.communicate()

    def communicate(self, timeout=None):
        """(stdout, stderr), once the process has ended; asked for once."""
        self.wait(timeout)
        texts = []
        for file in (self.output, self.errors):
            with file:
                file.seek(0)
                texts.append(file.read())
        return tuple(texts)


start = Process


def run(argv, check=False, **keywords):
    """subprocess.run(capture_output=True, text=True)"""
    process = Process(argv, **keywords)
    done = subprocess.CompletedProcess(process.args, process.wait(), *process.communicate())
    if check:
        done.check_returncode()
    return done


def collect_garbage_rarely():
    """A graph is a hundred thousand objects, all of which live as long as it does: a sixth of the
    time that building one takes would be searches for garbage in it."""
    gc.set_threshold(50_000, 20, 100)


# ---------------------------------------------------------------- the one that forks

SERVER = []  # its socket, once there is one


def server():
    if not SERVER:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        SERVER.append(mine)
        atexit.register(lambda: (mine.close(), process.wait()))
    return SERVER[0]


def serve(control):
    """Forks a process for each job, until nobody can send any more."""
    while True:
        job, descriptors, *_ = socket.recv_fds(control, 1 << 18, 3)
        if not job:
            return wait_for_children()
        if os.fork() == 0:
            control.close()
            return keep(json.loads(job), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        wait_for_children(os.WNOHANG)


def wait_for_children(flags=0):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, flags)[0]:
            pass


def keep(job, output, errors, reply):
    """Forks again: the one becomes the script, the other says its number and how it ended."""
    pid = os.fork()
    if pid == 0:
        os.close(reply)
        return become(job, output, errors)
    os.close(output), os.close(errors)
    with socket.socket(fileno=reply) as said:
        said.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):  # nobody waits for it any more
            said.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(job, output, errors):
    """Runs the script, as `python *argv` would; whatever it raises is the end of this process."""
    for number, descriptor in ((1, output), (2, errors)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(job['cwd'])
    os.environ.clear()
    os.environ.update(job['env'])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if job['file_size']:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job['file_size'], resource.RLIM_INFINITY))
    sys.path[1:1] = filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))
    code = [1]
    atexit.register(lambda: leave(*code))  # runs before those that were registered by then
    try:
        run_script(*job['argv'])
        code = [0]
    except SystemExit as stop:
        code = [stop.code or 0 if isinstance(stop.code, int | None) else 1]
        raise


def run_script(first, *more):
    if first in ('-c', '-m'):
        sys.path[0], sys.argv = os.getcwd(), ['-c', *more[1:]]
        if first == '-m':
            runpy.run_module(more[0], run_name='__main__', alter_sys=True)
        else:
            exec(compile(more[0], '<string>', 'exec'), {'__name__': '__main__'})
    else:
        script = os.path.join(ROOT, first)
        sys.path[0], sys.argv = os.path.dirname(script), [script, *more]
        runpy.run_path(script, run_name='__main__')


def leave(code):
    """Ends the process here: the interpreter would take another second to take TensorFlow apart."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    sys.path[0] = ROOT  # for the import; a script has its own folder there
    for name in PRELOADED:
        importlib.import_module(name)
    collect_garbage_rarely()
    gc.freeze()  # a collection in a fork would write to, and so copy, every page
    serve(socket.socket(fileno=int(sys.argv[1])))
