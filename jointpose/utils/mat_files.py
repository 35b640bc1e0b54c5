"""MATLAB's .mat files up to version 7, read in a process of their own."""

import contextlib
import resource
import warnings

from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, read_error

MAX_MAT = 3 << 30  # bytes of memory that reading a .mat file may take: MPII's takes 1.3 GB


def load_mat(path, take=None):
    """{name: array} of a .mat file up to version 7, or what take({name: array}) makes of it.

    take: a module's function, or a partial of one.  It is called where the file is read: to hand over structs of many
    thousand small arrays takes several times as long as to read them.  Its InputErrors come through as they are.
    """
    check_is_file(path)
    import concurrent.futures
    import multiprocessing

    try:
        # In a process of its own (10 ms): SciPy 1.17 dies of a segmentation fault on some damaged files.
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
            return pool.submit(_load_mat, path, take).result()
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except MemoryError:
        raise InputError(
            f'{path}: not read: it needs more memory than there is, or than the {MAX_MAT / 1e9:.1f} GB '
            'that a .mat file may take'
        ) from None
    except ImportError:  # SciPy is not installed
        raise
    except NotImplementedError:  # SciPy's word on HDF5
        raise InputError(
            f'{path}: a .mat file of version 7.3 (HDF5), which is not read: save it as version 7 '
            '(in MATLAB: save with -v7)'
        ) from None
    except Exception as error:  # a damaged file raises nearly anything
        raise read_error(path, '.mat', error) from error


def _load_mat(path, take):
    limit_memory(MAX_MAT)
    warnings.simplefilter('ignore')  # SciPy's repeat what the file says, as it is
    from scipy.io import loadmat

    variables = loadmat(path, appendmat=False)
    return take(variables) if take else variables


def limit_memory(more):
    """From now on this process may take so many bytes more; beyond that its allocations fail with MemoryError."""
    with contextlib.suppress(OSError):  # no /proc: not Linux
        with open('/proc/self/statm') as file:
            taken = int(file.read().split()[5]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [limit for limit in (soft, hard, taken + more) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
