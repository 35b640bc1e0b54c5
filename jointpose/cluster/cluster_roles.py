"""What this process is in a cluster: the chief, a worker, or a machine by itself.

Said by the command line (--workers, --serve), by TF_CONFIG, or by the variables of a Slurm step.
"""

import argparse
import json
import os
from collections.abc import Mapping
from typing import NamedTuple

from jointpose.nn.tf1 import tf
from jointpose.options.option_types import address
from jointpose.utils.errors import InputError

PORT = 2222  # of a worker, if none is given
SLURM = ('SLURM_PROCID', 'SLURM_STEP_NODELIST', 'SLURM_STEP_TASKS_PER_NODE')


class Role(NamedTuple):
    """A process's part in a cluster."""

    serves: bool  # a worker: lends its devices
    address: str | None  # its own, 'host:port'; a chief may have none yet
    workers: tuple[str, ...]  # addresses of all workers
    stays: bool  # a worker that does not end with its chief


def role(options: argparse.Namespace) -> Role | None:
    """This process's Role; None: one machine by itself.

    InputError: the environment describes a cluster wrongly.
    """
    if options.serve:
        return Role(True, options.serve, (), True)
    if options.workers:
        return Role(False, options.chief, tuple(options.workers), False)
    if options.predict:
        return None
    return role_by_environment()


def role_by_environment() -> Role | None:
    """The Role by TF_CONFIG, else by Slurm."""
    source = 'TF_CONFIG'
    try:
        everyone, own = by_tf_config(os.environ.get(source, ''))
        if not everyone:
            source = 'SLURM_*'
            everyone, own = by_slurm(os.environ)
        check_addresses(everyone)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise no_cluster(source, error) from error
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise no_cluster(source, repr(error)) from error
    if len(everyone) < 2:
        return None
    chief, *workers = everyone
    return Role(own != chief, own, tuple(workers), False)


def no_cluster(source, reason):
    """The InputError that says so."""
    return InputError(
        f'{source}: describes no cluster: {reason} (unset it to train on this machine alone)'
    )


def check_addresses(everyone):
    """ArgumentTypeError or ValueError unless these are different addresses."""
    for one in everyone:
        address(one)
    if len(set(everyone)) < len(everyone):
        raise ValueError('an address is listed twice')


def by_tf_config(text: str) -> tuple[list[str], str | None]:
    """(addresses of all, the chief's first; this process's) by the value of TF_CONFIG.

    ([], None): one machine.  Notebooks and job systems leave a TF_CONFIG behind that names no
    cluster, or a single machine by whatever job's name.  Evaluators take no part in training.
    ValueError: it names a cluster, but cannot be used.
    """
    cluster, task = parse_tf_config(text)
    jobs = {}
    for name, job in cluster.items():
        if job and name != 'evaluator':
            jobs[name] = addresses(job)
    if sum(map(len, jobs.values())) < 2:
        return [], None
    if 'master' in jobs:  # the chief's name until TensorFlow 1.4
        jobs['chief'] = jobs.pop('master')
    if others := set(jobs) - {'chief', 'worker'}:
        raise ValueError(f'jobs are "chief" and "worker", not "{min(others)}"')
    everyone = [*jobs.get('chief', ()), *jobs.get('worker', ())]
    return everyone, own_address(jobs, task)


def parse_tf_config(text):
    """The JSON's (cluster, task); ({}, None) if there is none."""
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ValueError(f'not JSON: {error}') from error
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise ValueError(f'must be an object, got {text:.80}')
    cluster = config.get('cluster') or {}
    if not isinstance(cluster, dict):
        raise ValueError(f'"cluster" must be an object, {{job: addresses}}, got {cluster!r:.80}')
    return cluster, config.get('task')


def own_address(jobs, task):
    """The address that TF_CONFIG's "task" stands for."""
    if not isinstance(task, dict) or not {'type', 'index'} <= set(task):
        raise ValueError('"task" with "type" and "index" must say which of them this is')
    kind = task['type']
    index = int(task['index'])
    job = jobs.get('chief' if kind == 'master' else kind, [])
    if not 0 <= index < len(job):
        raise ValueError(f'"task" is {kind} {index}, which is not in "cluster"')
    return job[index]


def addresses(job) -> list[str]:
    """Those of a job in TF_CONFIG: a list, or {index: address}."""
    if isinstance(job, dict):
        job = [job[index] for index in sorted(job, key=int)]
    if not isinstance(job, list) or not all(isinstance(one, str) for one in job):
        raise ValueError(f'must be a list of addresses, got {job!r:.80}')
    return job


def by_slurm(environment: Mapping[str, str]) -> tuple[list[str], str | None]:
    """As `by_tf_config`, by the variables of a Slurm step of several tasks.

    A shell of salloc or sbatch has only some of them: it is one machine.
    """
    several = int(environment.get('SLURM_STEP_NUM_TASKS') or 1) > 1
    if not several or not all(map(environment.get, SLURM)):
        return [], None
    # The resolver assigns GPUs to tasks; here --gpus does.
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=PORT, gpus_per_node=1 << 16, gpus_per_task=1, auto_set_gpu=False
    )
    jobs = resolver.cluster_spec().as_dict()
    return jobs['worker'], jobs[resolver.task_type][resolver.task_id]
