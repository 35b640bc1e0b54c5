"""MATLAB's .mat files up to version 7.

SciPy 1.17 crashes on some damaged files, so each file is read in a process of its own (10 ms).
"""

import concurrent.futures
import contextlib
import multiprocessing
import resource
import warnings
from collections.abc import Callable
from typing import Any

from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, read_error

MAX_MAT = 3 << 30  # bytes of memory for reading one file; MPII's takes 1.3 GB


def load_mat(path: str, take: Callable[[dict], Any] | None = None) -> Any:
    """Returns {name: array} of a .mat file, or what `take` makes of it; raises InputError.

    take: a module-level function (or a partial of one) of {name: array}, called in the process
        that reads the file. It saves time for structs of many small arrays: sending these
        to this process takes several times as long as reading them. Its InputErrors are raised
        unchanged.
    """
    check_is_file(path)
    fork = multiprocessing.get_context('fork')
    try:
        with concurrent.futures.ProcessPoolExecutor(1, fork) as pool:
            return pool.submit(_load, path, take).result()
    except (InputError, ImportError):  # ImportError: SciPy is not installed
        raise
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except MemoryError:
        raise InputError(
            f'{path}: not read: it needs more memory than is free, or more than '
            f'{MAX_MAT / 1e9:.1f} GB, the limit for a .mat file'
        ) from None
    except NotImplementedError:  # raised by SciPy for HDF5
        raise InputError(
            f'{path}: a .mat file of version 7.3 (HDF5), which cannot be read: save it as '
            'version 7 (in MATLAB: save with -v7)'
        ) from None
    except Exception as error:  # a damaged file raises nearly anything
        raise read_error(path, '.mat', error) from error


def _load(path: str, take: Callable[[dict], Any] | None) -> Any:
    limit_memory(MAX_MAT)
    warnings.simplefilter('ignore')  # SciPy prints names from the file, which may be unprintable
    from scipy.io import loadmat

    variables = loadmat(path, appendmat=False)
    return take(variables) if take else variables


def limit_memory(n_bytes: int) -> None:
    """Lets this process allocate `n_bytes` more; beyond that, allocations raise MemoryError."""
    with contextlib.suppress(OSError):  # /proc exists on Linux only
        with open('/proc/self/statm') as file:
            pages = int(file.read().split()[5])
        data_bytes = pages * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [data_bytes + n_bytes, soft, hard]
        finite = [limit for limit in limits if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(finite), hard))
