"""Several machines: TensorFlow's own gRPC runtime and one graph, with towers on all of them.

    chief       main.py --workers ...: builds the graph, makes the batches, holds the variables,
                updates, saves
    worker k    main.py --serve: lends its devices, /job:worker/task:k; needs this code, but
                neither arrays nor run

The chief describes the cluster in each session that it opens (ConfigProto.cluster_def): workers
know of no one until they are asked, and a cluster can be gathered again at any time.  Before that,
the chief asks each worker what it is: its graph calls a function in the worker's process
(tf.numpy_function).  A lost worker shows in a step that fails.  Then the session raises WorkerLost,
and the caller builds the graph again, with the workers that are left, from the last checkpoint.

Who is chief and who is worker is decided in cluster_roles.py.
"""

import argparse
import binascii
import contextlib
import glob
import json
import os
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator

from jointpose.cluster.cluster_roles import Role
from jointpose.cluster.port_filter import listen_only_at
from jointpose.nn.tf1 import short_message, tf
from jointpose.training.devices import device_names, session_config
from jointpose.training.stopping import WorkerLost
from jointpose.utils import files
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.log import log, warn

LOOPBACK = '127.'  # addresses that only this machine reaches
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = '/job:chief/task:0'
TOKEN = b'pyfunc_0'  # TensorFlow's name of a process's first tf.numpy_function

# Seconds.
PAUSE = 2  # between two looks at which workers are there
GRACE = 30  # how long a worker is waited for if --min_workers are there without it
ANSWER_SECONDS = 10  # within which a server answers a connection
ASK_SECONDS = 60  # after which a question to a worker has failed,
CALL_SECONDS = 600  # and any other call
WATCH = 5  # between two looks of a session at its workers
PATIENCE = 30  # after SETTLED calls: a call may take as long beyond SLOWER times the longest so far

SETTLED = 20  # calls
SLOWER = 3
MAX_BREAKS = 3  # failed connections in a run although all workers are there
MAX_ANSWER = 1 << 16  # bytes of a worker's answer: a thousand towers
MAX_TEXT = 300  # characters of each text in it
CONNECTION_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
)


def local_devices(options: argparse.Namespace) -> list[str]:
    """The device of each of this machine's towers."""
    return device_names(options.gpus, log, options.gpus_named)


def versions(data_id: str | None) -> dict[str, str | None]:
    """What must be the same on all machines.  data_id: None if there are no arrays."""
    return {'code': code_checksum(), 'TensorFlow': tf.__version__, 'arrays': data_id}


def code_checksum(package: str = PACKAGE) -> str:
    """CRC-32 of the package's modules: a commit would not tell two changed clones apart."""
    crc = 0
    for name in sorted(glob.glob('**/*.py', root_dir=package, recursive=True)):
        crc = binascii.crc32(f'{name} {files.checksum(os.path.join(package, name))}'.encode(), crc)
    return f'{crc:08x}'


# --- servers --------------------------------------------------------------------------------------


def start_server(where: str, gpus: list[int], option: str) -> tuple[tf.train.Server, str]:
    """TensorFlow's server at 'host:port' and no other address, and its address; port 0: a free one.

    InputError, which names `option`: the address cannot be used.
    """
    host, port = split_address(where)
    try:
        check_free(host, port)
        server = tf.train.Server(
            {'local': [where]},
            job_name='local',
            task_index=0,
            config=session_config(gpus),
            start=False,
        )
        _, port = split_address(server.target)
        listen_only_at(socket.gethostbyname(host), port)
    except OSError as error:
        raise InputError(f'{option} {where}: {error.strerror}') from error
    except tf.errors.OpError as error:
        raise InputError(f'{option} {where}: {short_message(error)}') from error
    server.start()
    return server, f'{host}:{port}'


def split_address(where):
    """'host:port' -> (host, port)."""
    host, _, port = where.rpartition(':')
    return host, int(port)


def check_free(host, port):
    """OSError if the address is not this machine's or is taken: TensorFlow would share its port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((socket.gethostbyname(host), port))


def warn_of_open_port(where):
    """Says who can reach a server, unless it is this machine alone."""
    host, _ = split_address(where)
    if not socket.gethostbyname(host).startswith(LOOPBACK):
        warn(
            f'{where} is open without password: whoever reaches it can run anything here as you; '
            'let a firewall admit only the machines of the cluster'
        )


def is_alive(where: str, tries: int = 1) -> bool:
    """Whether a TensorFlow server answers at 'host:port'.

    It speaks first.  If its process hangs, the kernel still accepts the connection, and a session
    with it would wait for ever.
    """
    for left in reversed(range(tries)):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(split_address(where), timeout=ANSWER_SECONDS) as connection,
        ):
            if connection.recv(1):
                return True
        if left:
            time.sleep(PAUSE)
    return False


def own_address_towards(where: str) -> str:
    """The address of this machine by which it reaches 'host:port', with port 0."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing
            probe.connect(split_address(where))
            return f'{probe.getsockname()[0]}:0'
    except OSError as error:
        raise InputError(f'--workers {where}: {error.strerror}') from error


# --- worker ---------------------------------------------------------------------------------------


class Worker:
    """What a worker tells a chief."""

    def __init__(self, facts: dict):
        """facts: `versions` and 'towers', the devices."""
        self.facts = {**facts, 'instance': uuid.uuid4().hex}
        self.chief = None  # (address, instance)
        self.over = ''  # how the work for it ended: 'done' or 'gone'

    def answer(self, message: bytes) -> bytes:
        """JSON for JSON: a chief says who it is and gets the facts, or a refusal.

        With 'done' the chief dismisses the worker.  RuntimeError: the former chief is gone, and
        this process is about to be replaced.
        """
        asked = json.loads(message)
        chief = asked['chief'], asked['instance']
        if self.chief in (None, chief):
            return json.dumps(self._accept(chief, asked.get('done'))).encode()
        if self.chief[0] != chief[0] and is_alive(self.chief[0]):
            refusal = {'refusal': f'works for the chief at {self.chief[0]}'}
            return json.dumps(refusal).encode()
        self.over = 'gone'
        raise RuntimeError('begins anew')

    def _accept(self, chief, done):
        address = chief[0]
        if not is_alive(address):
            return {
                'refusal': f'cannot reach the chief at {address}: give another address with --chief'
            }
        self.chief = chief
        self.over = 'done' if done else ''
        return self.facts


def serve(own: Role, options: argparse.Namespace, facts: dict) -> None:
    """Lends this machine's devices to one chief after the other.

    It ends when it is stopped or, unless own.stays, dismissed.  Each chief finds a new process:
    what a killed chief has left on the devices is gone with the old one.
    """
    _server, where = start_server(own.address, options.gpus, '--serve')
    worker = Worker({**facts, 'towers': local_devices(options)})
    with tf.Graph().as_default():  # the function is known as long as its graph is
        function = tf.numpy_function(worker.answer, [''], tf.string)
    assert function.op.get_attr('token') == TOKEN
    n = len(options.gpus)
    log(f'{where}: {counted(n, "tower")}, code {facts["code"]}, arrays {facts["arrays"]}')
    warn_of_open_port(where)
    wait_for_the_end(worker, where)
    log(f'{where}: the chief at {worker.chief[0]} is {worker.over}')
    if own.stays or worker.over == 'gone':
        os.execv(sys.executable, [sys.executable, *sys.argv])


def wait_for_the_end(worker, where):
    """Returns once the worker's chief has dismissed it or is gone."""
    chief = None
    while not worker.over:
        if worker.chief != chief:
            chief = worker.chief
            log(f'{where}: works for the chief at {chief[0]}')
        if chief and not is_alive(chief[0], tries=3):
            worker.over = 'gone'
        time.sleep(PAUSE)


# --- chief ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def machines(own: Role | None, options: argparse.Namespace, facts: dict) -> Iterator:
    """Yields the machines that the graph is put on: a SingleMachine, or a Chief.

    At the end the workers are dismissed.
    """
    if own is None:
        yield SingleMachine(options)
        return
    chief = Chief(own, options, facts)
    try:
        yield chief
    finally:
        chief.dismiss()


class SingleMachine:
    """This machine by itself."""

    home = None  # device of what is on no tower; None: TensorFlow chooses

    def __init__(self, options: argparse.Namespace):
        self.options = options

    def gather(self) -> list[str]:
        """The device of each tower."""
        return local_devices(self.options)

    def session(self) -> tf.Session:
        return tf.Session(config=session_config(self.options.gpus))


class Chief(SingleMachine):
    """This machine and its workers."""

    home = HOME

    def __init__(self, own: Role, options: argparse.Namespace, facts: dict):
        super().__init__(options)
        self.workers = own.workers
        self.facts = facts
        self.present = {}  # {address of a worker in the graph: its answer}
        self.breaks = 0  # failed connections
        self.instance = uuid.uuid4().hex
        address = own.address or own_address_towards(self.workers[0])
        self.server, self.address = start_server(address, options.gpus, '--chief')
        warn_of_open_port(self.address)

    def gather(self) -> list[str]:
        """Waits for the workers; returns the device of each tower, this machine's first."""
        missing = self._wait_for_workers()
        if missing:
            warn(f'continuing without {missing}')
        for worker, answer in self.present.items():
            self.check(worker, answer)
        devices = super().gather()
        for task, answer in enumerate(self.present.values()):
            devices += [f'/job:worker/task:{task}{device}' for device in answer['towers']]
        names = ', '.join(self.present) or 'no worker'
        log(f'{self.address}: chief of {names}; {counted(len(devices), "tower")}')
        return devices

    def _wait_for_workers(self):
        """Until all are there, or enough after GRACE seconds; returns the missing ones' names."""
        began = time.monotonic()
        waited_for = None
        while True:
            answers = {worker: self.ask(worker) for worker in self.workers}
            self.present = {worker: answer for worker, answer in answers.items() if answer}
            missing = ', '.join(worker for worker in self.workers if worker not in self.present)
            if not missing or (self._enough() and time.monotonic() - began > GRACE):
                return missing
            if missing != waited_for:
                log(f'waiting for {missing}')
                waited_for = missing
            time.sleep(PAUSE)

    def _enough(self):
        """Whether --min_workers are there."""
        least = self.options.min_workers
        return least is not None and len(self.present) >= least

    def check(self, worker: str, answer: dict) -> None:
        """InputError: this worker cannot be used."""
        if 'refusal' in answer:
            raise InputError(f'worker {worker}: {answer["refusal"]}')
        for name, ours in self.facts.items():
            without_arrays = name == 'arrays' and answer[name] is None
            if answer[name] != ours and not without_arrays:
                raise InputError(f"worker {worker}: its {name} {answer[name]}, the chief's {ours}")

    def session(self) -> tf.Session:
        return Session(self)

    def config(self, workers, seconds: int) -> tf.ConfigProto:
        """Of a session with these workers whose calls may take so long."""
        cluster = {'chief': [self.address]}
        if workers:
            cluster['worker'] = list(workers)
        return tf.ConfigProto(
            cluster_def=tf.train.ClusterSpec(cluster).as_cluster_def(),
            operation_timeout_in_ms=1000 * seconds,
        )

    def ask(self, worker: str, **message) -> dict | None:
        """A worker's answer (`parse_answer`), or None; InputError: it is not valid."""
        if not is_alive(worker):
            return None
        message = json.dumps({**message, 'chief': self.address, 'instance': self.instance})
        target = f'grpc://{self.address}'
        try:
            with tf.Graph().as_default(), tf.device('/job:worker/task:0/cpu:0'):
                call = tf.raw_ops.PyFunc(input=[message], token=TOKEN, Tout=[tf.string])
                with tf.Session(target, config=self.config([worker], ASK_SECONDS)) as session:
                    return parse_answer(session.run(call)[0])
        except tf.errors.OpError:
            return None
        except ValueError as error:
            raise InputError(f'worker {worker}: not an answer of this program: {error}') from error

    def instance_of(self, worker: str) -> str | None:
        """The identifier of the process that answers; None if it is no worker."""
        with contextlib.suppress(InputError):
            return (self.ask(worker) or {}).get('instance')
        return None

    def raise_if_lost(self, error: tf.errors.OpError, silent: str | None = None) -> None:
        """Raises WorkerLost if a call failed because of a worker.

        silent: a worker that is known not to answer.
        """
        gone = [silent] if silent else self._gone()
        if gone:
            raise WorkerLost(f'worker {", ".join(gone)} is gone') from error
        if isinstance(error, CONNECTION_ERRORS):
            self.breaks += 1
            if self.breaks <= MAX_BREAKS:
                raise WorkerLost(f'connection failed: {short_message(error)}') from error

    def _gone(self):
        """Workers that do not answer, or that have been replaced by another process."""
        return [
            worker
            for worker, answer in self.present.items()
            if self.instance_of(worker) != answer['instance']
        ]

    def dismiss(self) -> None:
        """Tells the workers that the work is done."""
        for worker in self.present:
            with contextlib.suppress(InputError):
                self.ask(worker, done=True)


def parse_answer(answer) -> dict:
    """A worker's answer: {'refusal': text}, or `versions` with 'instance' and 'towers'.

    ValueError: it is neither.  It comes from another machine, so nothing about it is certain.
    """
    if not isinstance(answer, bytes) or len(answer) > MAX_ANSWER:
        raise ValueError(f'must be a text of at most {MAX_ANSWER} bytes')
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'not JSON: {error}') from error
    if not isinstance(found, dict):
        raise ValueError('must be an object')
    if 'refusal' in found:
        check_text(found, 'refusal')
        return found
    for name in ('code', 'TensorFlow', 'instance'):
        check_text(found, name)
    if found.get('arrays', 0) is not None:
        check_text(found, 'arrays')
    towers = found.get('towers')
    if not isinstance(towers, list) or not towers or not all(map(is_device, towers)):
        raise ValueError('towers must be a list of devices')
    return found


def check_text(found, name):
    """ValueError unless found[name] is a short text."""
    value = found.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f'{name} must be a text of at most {MAX_TEXT} characters')


def is_device(value) -> bool:
    """Whether it is a device as `local_devices` returns it."""
    return isinstance(value, str) and re.fullmatch('/[cg]pu:[0-9]{1,4}', value) is not None


class Session(tf.Session):
    """A session of a chief: a call that fails because of a worker raises WorkerLost."""

    def __init__(self, chief: Chief):
        config = chief.config(chief.present, CALL_SECONDS)
        super().__init__(f'grpc://{chief.address}', config=config)
        self.chief = chief
        self.calls = 0
        self.longest = 0  # seconds of a call
        self.workers = tuple(chief.present)
        self.silent = None  # a worker that does not answer any more
        self.over = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        """Ends a call that would wait for ever, once a worker does not answer any more.

        By a reset of the server, which gives up its sessions: `close` would keep the call waiting
        until the worker agrees.
        """
        while not self.over.wait(WATCH):
            silent = next(
                (worker for worker in self.workers if not is_alive(worker, tries=3)), None
            )
            if silent and not self.over.is_set():  # else the next session would be given up
                self.silent = silent
                with contextlib.suppress(tf.errors.OpError):
                    tf.Session.reset(f'grpc://{self.chief.address}')
                return

    def run(self, fetches, feed_dict=None):
        began = time.monotonic()
        limit = CALL_SECONDS
        if self.calls >= SETTLED:  # a worker may answer and the call hang all the same
            limit = min(PATIENCE + SLOWER * self.longest, CALL_SECONDS)
        run_options = tf.RunOptions(timeout_in_ms=round(1000 * limit))
        try:
            result = super().run(fetches, feed_dict, run_options)
        except tf.errors.OpError as error:
            self.chief.raise_if_lost(error, self.silent)
            raise
        self.calls += 1
        self.longest = max(self.longest, time.monotonic() - began)
        return result

    def close(self):
        """Waits for the session's end, but not for ever: a worker that hangs would have to agree.

        Python cannot end while a thread is about to come back from TensorFlow.
        """
        self.over.set()
        closing = threading.Thread(target=self._close_now, daemon=True)
        closing.start()
        closing.join(ASK_SECONDS)

    def _close_now(self):
        with contextlib.suppress(tf.errors.OpError):  # after a reset there is no such session
            super().close()
