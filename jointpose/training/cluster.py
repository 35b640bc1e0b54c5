"""Several machines: TensorFlow's own gRPC runtime and one graph, whose towers lie on all of them.

    chief       main.py --workers ...: builds the graph, prepares the batches, holds the variables, updates, saves
    worker k    main.py --serve: lends its devices, /job:worker/task:k; needs this code, but neither arrays nor run

The chief names the cluster in each session it opens (ConfigProto.cluster_def), so workers know no one until they are
asked, and a cluster can be gathered anew at any time.  Before that a chief asks each worker what it is, by a function
of the worker's (tf.numpy_function) that the chief's graph calls.  Who has gone shows in a step that fails: the session
then raises WorkerLost, and the caller builds the graph anew with those who are there, from the last checkpoint.
"""

import argparse
import binascii
import collections
import contextlib
import ctypes
import glob
import json
import os
import re
import socket
import stat
import struct
import sys
import threading
import time
import uuid

from jointpose.nn.tf1 import tf
from jointpose.training import checkpoint
from jointpose.training.devices import device_names, session_config
from jointpose.training.options import address
from jointpose.training.trainer import WorkerLost
from jointpose.utils import files
from jointpose.utils.errors import InputError
from jointpose.utils.log import log, warn

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PORT = 2222  # of a worker, where nothing else is said
HOME = '/job:chief/task:0'
TOKEN = b'pyfunc_0'  # by which TensorFlow knows a process's first tf.numpy_function
PAUSE = 2  # seconds between two looks at who is there
GRACE = 30  # seconds that a worker is waited for where --min_workers are there without it
ANSWER_SECONDS = 10  # within which a server answers whoever connects
ASK_SECONDS, CALL_SECONDS = 60, 600  # after which a question, any other call, counts as failed
WATCH = 5  # seconds between two looks of a session's at its workers
SETTLED, PATIENCE, SLOWER = (
    20,
    30,
    3,
)  # after so many calls: so many seconds beyond so many times the longest one
MOST_BREAKS = 3  # failed connections in a run though everybody is there
MAX_ANSWER = 1 << 16  # bytes of a worker's answer: a thousand towers
MAX_FACT = 300  # characters of each text in it
SO_ATTACH_FILTER = 26
SLURM = ('SLURM_PROCID', 'SLURM_STEP_NODELIST', 'SLURM_STEP_TASKS_PER_NODE')

# What this process is.  serves: a worker.  address: its own, 'host:port'; a chief's may be None.  workers: the others'.
# stays: a worker does not end with its chief.
Role = collections.namedtuple('Role', 'serves address workers stays')


def role(options):
    """This process's Role by the command line, else by TF_CONFIG or Slurm's variables; None: one machine by itself."""
    if options.serve:
        return Role(True, options.serve, (), True)
    if options.workers:
        return Role(False, options.chief, tuple(options.workers), False)
    if options.predict:
        return None
    name = 'TF_CONFIG'
    try:
        everybody, own = by_tf_config(os.environ.get(name, ''))
        if not everybody:
            name = 'SLURM_*'
            everybody, own = by_slurm(os.environ)
        for one in everybody:
            address(one)
        if len(set(everybody)) < len(everybody):
            raise ValueError('an address is named twice')
    except (
        argparse.ArgumentTypeError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        reason = (
            error if isinstance(error, ValueError | argparse.ArgumentTypeError) else repr(error)
        )
        raise InputError(
            f'{name}: describes no cluster: {reason} (unset it to train on this machine alone)'
        ) from error
    if len(everybody) < 2:
        return None
    return Role(own != everybody[0], own, tuple(everybody[1:]), False)


def by_tf_config(text):
    """(addresses of all, the chief's first; this process's) by the value of TF_CONFIG; ([], None): one machine.

    Notebooks and job systems leave one behind that names no cluster, or a single machine by whatever job's name: that
    is one machine.  Evaluators take no part in training.  ValueError: it names a cluster, but is no use.
    """
    try:
        config = json.loads(text) if text.strip() else None
    except ValueError as error:
        raise ValueError(f'no JSON: {error}') from error
    if not isinstance(config, dict | None):
        raise ValueError(f'an object is expected, not {text:.80}')
    cluster = (config or {}).get('cluster') or {}
    if not isinstance(cluster, dict):
        raise ValueError(f'"cluster" is to be an object, {{job: addresses}}, not {cluster!r:.80}')
    jobs = {name: addresses(job) for name, job in cluster.items() if job and name != 'evaluator'}
    if sum(map(len, jobs.values())) < 2:
        return [], None
    jobs = {
        'chief' if name == 'master' else name: job for name, job in jobs.items()
    }  # its name until TF 1.4
    if others := set(jobs) - {'chief', 'worker'}:
        raise ValueError(f'jobs are "chief" and "worker", not "{min(others)}"')
    task = config.get('task')
    if not isinstance(task, dict) or not {'type', 'index'} <= set(task):
        raise ValueError('"task" with "type" and "index" does not say which of them this is')
    kind, index = task['type'], int(task['index'])
    job = jobs.get('chief' if kind == 'master' else kind, [])
    if not 0 <= index < len(job):
        raise ValueError(f'"task" is {kind} {index}, which is none of "cluster"')
    return [*jobs.get('chief', ()), *jobs.get('worker', ())], job[index]


def addresses(job):
    """Those of a job in TF_CONFIG: a list, or {index: address}."""
    if isinstance(job, dict):
        job = [job[index] for index in sorted(job, key=int)]
    if not isinstance(job, list) or not all(isinstance(one, str) for one in job):
        raise ValueError(f'a list of addresses is expected, not {job!r:.80}')
    return job


def by_slurm(environment):
    """As `by_tf_config`, of the variables of a Slurm step of several tasks.  A shell of salloc or sbatch has only some
    of them, and is one machine."""
    if int(environment.get('SLURM_STEP_NUM_TASKS') or 1) < 2 or not all(
        map(environment.get, SLURM)
    ):
        return [], None
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(  # it deals GPUs out; here --gpus says which
        port_base=PORT, gpus_per_node=1 << 16, gpus_per_task=1, auto_set_gpu=False
    )
    jobs = resolver.cluster_spec().as_dict()
    return jobs['worker'], jobs[resolver.task_type][resolver.task_id]


def local_devices(options):
    """The device of each of this machine's towers."""
    return device_names(options.gpus, log, options.gpus_named)


def versions(data_id):
    """What must be alike on all machines.  data_id: None where there are no arrays."""
    return {'code': code_checksum(), 'TensorFlow': tf.__version__, 'arrays': data_id}


def code_checksum(package=PACKAGE):
    """CRC-32 of the package's modules: a commit would not tell two changed clones apart."""
    crc = 0
    for name in sorted(glob.glob('**/*.py', root_dir=package, recursive=True)):
        crc = binascii.crc32(f'{name} {files.checksum(os.path.join(package, name))}'.encode(), crc)
    return f'{crc:08x}'


# --- servers ------------------------------------------------------------------------------------------------------


def start_server(where, gpus, option):
    """TensorFlow's server at 'host:port' and no other address; port 0: a free one.  Returns (server, 'host:port')."""
    host, port = where.rpartition(':')[::2]
    try:
        ip = socket.gethostbyname(host)
        with socket.socket() as probe:  # TensorFlow would share a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ip, int(port)))
        server = tf.train.Server(
            {'local': [where]},
            job_name='local',
            task_index=0,
            config=session_config(gpus),
            start=False,
        )
        port = int(server.target.rpartition(':')[2])
        listen_only_at(ip, port)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f'{option} {where}: {getattr(error, "strerror", None) or checkpoint.short_message(error)}'
        ) from error
    server.start()
    return server, f'{host}:{port}'


def listen_only_at(ip, port):
    """TensorFlow listens at all addresses of a machine.  A filter on its listening socket, which connections inherit,
    drops every packet that is not for `ip`; 0.0.0.0 is all addresses."""
    if ip == '0.0.0.0':
        return
    (header,) = struct.unpack(
        'I', struct.pack('i', -0x100000)
    )  # SKF_NET_OFF: the packet's IP header
    (wanted,) = struct.unpack('!I', socket.inet_aton(ip))
    program = b''.join(
        struct.pack('HBBI', *line)
        for line in (  # code, jump if true, if false, operand
            (0x30, 0, 0, header),
            (0x54, 0, 0, 0xF0),
            (0x15, 0, 3, 0x40),  # the first byte's upper half: IP version 4
            (0x20, 0, 0, header + 16),
            (0x15, 0, 1, wanted),  # destination
            (0x06, 0, 0, 0xFFFFFFFF),
            (0x06, 0, 0, 0),
        )
    )  # keep; drop
    kept = ctypes.create_string_buffer(program)
    option, found = struct.pack('HP', len(program) // 8, ctypes.addressof(kept)), False
    for one in listening(port):
        one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
        found = True
    if not found:
        raise OSError(0, 'its listening socket is not found')


def listening(port):
    """This process's sockets that listen at a port, each as a duplicate that lasts until the next."""
    for descriptor in map(int, os.listdir('/proc/self/fd')):
        with contextlib.suppress(OSError):  # closed since
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as one:
                    if (
                        one.family in (socket.AF_INET, socket.AF_INET6)
                        and one.getsockname()[1] == port
                        and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    ):
                        yield one


def is_alive(where, tries=1):
    """Whether a server of TensorFlow's answers at 'host:port'.  It speaks first; of a process that hangs the kernel
    still takes the connection, and a session with it would never come to be."""
    host, port = where.rpartition(':')[::2]
    for left in reversed(range(tries)):
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as one,
        ):
            if one.recv(1):
                return True
        if left:
            time.sleep(PAUSE)
    return False


def reached_from(where):
    """The address of this machine by which it reaches 'host:port', with a free port."""
    host, port = where.rpartition(':')[::2]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing
            probe.connect((host, int(port)))
            return f'{probe.getsockname()[0]}:0'
    except OSError as error:
        raise InputError(f'--workers {where}: {error.strerror}') from error


# --- worker -------------------------------------------------------------------------------------------------------


class Worker:
    """What a worker tells a chief."""

    def __init__(self, facts):
        self.facts = {**facts, 'instance': uuid.uuid4().hex}
        self.chief, self.over = None, ''  # (address, instance) of the chief; how its work ended

    def answer(self, message):
        """JSON for JSON.  A chief says who it is and hears the facts, or why not; with 'done' it takes its leave."""
        asked = json.loads(message)
        chief = asked['chief'], asked['instance']
        reply = self.facts
        if self.chief in (None, chief):
            if not is_alive(chief[0]):
                reply = {
                    'refusal': f'cannot reach the chief at {chief[0]}: name another address with --chief'
                }
            else:
                self.chief, self.over = chief, 'done' if asked.get('done') else ''
        elif self.chief[0] != chief[0] and is_alive(self.chief[0]):
            reply = {'refusal': f'works for the chief at {self.chief[0]}'}
        else:
            self.over = 'gone'
            raise RuntimeError('begins anew')
        return json.dumps(reply).encode()


def serve(own, options, facts):
    """Lends this machine's devices to one chief after the other, until it is stopped or, unless own.stays, dismissed.

    Each chief finds a process of its own: what one that was killed has left on the devices is gone with it.
    """
    _server, where = start_server(own.address, options.gpus, '--serve')
    worker, known = Worker({**facts, 'towers': local_devices(options)}), None
    with tf.Graph().as_default():
        function = tf.numpy_function(
            worker.answer, [''], tf.string
        )  # known as long as its graph is
    assert function.op.get_attr('token') == TOKEN
    n = len(options.gpus)
    log(
        f'{where}: {n} tower{"s" * (n > 1)}, code {facts["code"]}, arrays {facts["arrays"]}; '
        'whoever reaches this address can run anything here: gRPC asks for no password'
    )
    while not worker.over:
        if worker.chief != known:
            known = worker.chief
            log(f'{where}: works for the chief at {known[0]}')
        if known and not is_alive(known[0], tries=3):
            worker.over = 'gone'
        time.sleep(PAUSE)
    log(f'{where}: the chief at {worker.chief[0]} is {worker.over}')
    if own.stays or worker.over == 'gone':
        os.execv(sys.executable, [sys.executable, *sys.argv])


# --- chief --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def machines(own, options, facts):
    """What the graph is put on: an SingleMachine or a Chief, by the Role `own`; the workers are dismissed in the end."""
    if own is None:
        yield SingleMachine(options)
        return
    chief = Chief(own, options, facts)
    try:
        yield chief
    finally:
        chief.dismiss()


class SingleMachine:
    """This machine by itself.  home: what lies on no tower is there; None: where TensorFlow likes."""

    home = None

    def __init__(self, options):
        self.options = options

    def gather(self):
        """The device of each tower."""
        return local_devices(self.options)

    def session(self):
        return tf.Session(config=session_config(self.options.gpus))


class Chief(SingleMachine):
    """This machine and its workers."""

    home = HOME

    def __init__(self, own, options, facts):
        super().__init__(options)
        self.workers, self.facts = own.workers, facts
        self.present, self.breaks = {}, 0  # {address of a worker in the graph: what it said}
        self.instance = uuid.uuid4().hex
        self.server, self.address = start_server(
            own.address or reached_from(self.workers[0]), options.gpus, '--chief'
        )

    def gather(self):
        """Waits for the workers; the device of each tower, this machine's first."""
        began, waited_for, least = time.monotonic(), None, self.options.min_workers
        while True:
            self.present = {
                worker: answer for worker in self.workers if (answer := self.ask(worker))
            }
            missing = ', '.join(worker for worker in self.workers if worker not in self.present)
            if not missing or (
                least is not None
                and len(self.present) >= least
                and time.monotonic() - began > GRACE
            ):
                break
            if missing != waited_for:
                log(f'waiting for {missing}')
                waited_for = missing
            time.sleep(PAUSE)
        if missing:
            warn(f'going on without {missing}')
        for worker, answer in self.present.items():
            self.check(worker, answer)
        devices = super().gather() + [
            f'/job:worker/task:{task}{device}'
            for task, answer in enumerate(self.present.values())
            for device in answer['towers']
        ]
        log(
            f'{self.address}: chief of {", ".join(self.present) or "nobody"}; {len(devices)} towers'
        )
        return devices

    def check(self, worker, answer):
        """Refuses a worker that does not fit."""
        if 'refusal' in answer:
            raise InputError(f'worker {worker}: {answer["refusal"]}')
        for name, ours in self.facts.items():
            if answer[name] != ours and not (name == 'arrays' and answer[name] is None):
                raise InputError(f"worker {worker}: its {name} {answer[name]}, the chief's {ours}")

    def session(self):
        return Session(self)

    def config(self, workers, seconds):
        cluster = {'chief': [self.address], **({'worker': list(workers)} if workers else {})}
        return tf.ConfigProto(
            cluster_def=tf.train.ClusterSpec(cluster).as_cluster_def(),
            operation_timeout_in_ms=1000 * seconds,
        )

    def ask(self, worker, **message):
        """What a worker answers, see `parse_answer`, or None; InputError names one whose answer makes no sense."""
        if not is_alive(worker):
            return None
        try:
            with tf.Graph().as_default(), tf.device('/job:worker/task:0/cpu:0'):
                call = tf.raw_ops.PyFunc(
                    input=[
                        json.dumps({**message, 'chief': self.address, 'instance': self.instance})
                    ],
                    token=TOKEN,
                    Tout=[tf.string],
                )
                with tf.Session(
                    f'grpc://{self.address}', config=self.config([worker], ASK_SECONDS)
                ) as session:
                    return parse_answer(session.run(call)[0])
        except tf.errors.OpError:
            return None
        except ValueError as error:
            raise InputError(
                f'worker {worker}: answers otherwise than this program does: {error}'
            ) from error

    def instance_of(self, worker):
        """What tells the process that answers from others at the same address; None of one that is no worker."""
        with contextlib.suppress(InputError):
            return (self.ask(worker) or {}).get('instance')
        return None

    def raise_if_lost(self, error, silent=None):
        """Raises WorkerLost if a call failed because of a worker, not by itself.  silent: one that is known not to answer."""
        gone = (
            [silent]
            if silent
            else [
                worker
                for worker, answer in self.present.items()
                if self.instance_of(worker) != answer['instance']
            ]
        )
        if gone:
            raise WorkerLost(f'worker {", ".join(gone)} is gone') from error
        if isinstance(
            error,
            (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError),
        ):
            self.breaks += 1
            if self.breaks <= MOST_BREAKS:
                raise WorkerLost(f'connection failed: {checkpoint.short_message(error)}') from error

    def dismiss(self):
        for worker in self.present:
            with contextlib.suppress(InputError):
                self.ask(worker, done=True)


def parse_answer(answer):
    """A worker's answer: {'refusal': text}, or the facts with instance and towers, checked; ValueError: it is neither.

    answer: what its function returned.  It is from another machine: nothing about it is certain.
    """
    if not isinstance(answer, bytes) or len(answer) > MAX_ANSWER:
        raise ValueError(f'not a text of at most {MAX_ANSWER} bytes')
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'no JSON: {error}') from error
    if not isinstance(found, dict):
        raise ValueError('no object')
    texts = ('refusal',) if 'refusal' in found else ('code', 'TensorFlow', 'instance', 'arrays')
    for name in texts:
        value = found.get(name, 0)
        if not is_fact(value) and not (name == 'arrays' and value is None):
            raise ValueError(f'{name} is no text of at most {MAX_FACT} characters')
    devices = found.get('towers')
    if 'refusal' not in found and not (
        isinstance(devices, list) and devices and all(map(is_device, devices))
    ):
        raise ValueError('towers is no list of devices')
    return found


def is_fact(value):
    return isinstance(value, str) and len(value) <= MAX_FACT


def is_device(value):
    """Whether it is a device as `local_devices` names it."""
    return isinstance(value, str) and re.fullmatch('/[cg]pu:[0-9]{1,4}', value) is not None


class Session(tf.Session):
    """A session of a chief's: what fails because of a worker raises WorkerLost."""

    def __init__(self, chief):
        super().__init__(
            f'grpc://{chief.address}', config=chief.config(chief.present, CALL_SECONDS)
        )
        self.chief, self.calls, self.longest = chief, 0, 0
        self.workers, self.silent, self.over = tuple(chief.present), None, threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        """Ends a call that would wait for ever once a worker does not answer any more, by a reset of the server, which
        gives up its sessions: `close` would keep the call waiting until the worker agrees."""
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
        began, limit = time.monotonic(), CALL_SECONDS
        if self.calls >= SETTLED:  # the worker may answer and the call hang all the same
            limit = min(PATIENCE + SLOWER * self.longest, CALL_SECONDS)
        try:
            result = super().run(
                fetches, feed_dict, tf.RunOptions(timeout_in_ms=round(1000 * limit))
            )
        except tf.errors.OpError as error:
            self.chief.explain(error, self.silent)
            raise
        self.calls, self.longest = self.calls + 1, max(self.longest, time.monotonic() - began)
        return result

    def close(self):
        """Waited for, since Python cannot end while a thread is about to come back from TensorFlow; but not for ever: a
        worker that hangs would have to agree."""
        self.over.set()
        closing = threading.Thread(target=self.take_leave, daemon=True)
        closing.start()
        closing.join(ASK_SECONDS)

    def take_leave(self):
        with contextlib.suppress(tf.errors.OpError):  # after a reset there is no such session
            super().close()
