"""The pictures and videos of a --predict call, and lines about those that fail."""

import argparse
import contextlib
import os
import sys

from jointpose.inference import prompts
from jointpose.media import frames, sources
from jointpose.media.images import STDIN, UnreadableMedia
from jointpose.media.sources import Source
from jointpose.utils.errors import InputError
from jointpose.utils.log import log


def find_sources(options: argparse.Namespace, system) -> list[Source]:
    """The Sources of --predict, in order.

    Makes the folder --out, reports files that are passed over and checks --torso and --overlay.
    """
    if options.overlay and not system.has_maps:
        raise InputError(f'--overlay: {system.name()} has no heat maps: omit it')
    try:
        found, passed_over = sources.find(options.predict, options.out)
        check_point_prompts(options, system, found)
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'{error.filename}: cannot be used: {error.strerror}') from error
    if not os.access(options.out, os.W_OK):
        raise InputError(f'--out {options.out}: cannot be written to')
    for line in passed_over:
        report_problem(line)
    return found


def check_point_prompts(options: argparse.Namespace, system, found: list[Source]) -> None:
    """Raises InputError unless --torso can be used: one picture, points inside, a spatial model."""
    if options.torso is None:
        return
    if options.boxes:
        raise InputError('--torso: cannot be combined with --boxes')
    if not system.takes_prompts:
        raise InputError('--torso: this run has no spatial model, which point prompts need')
    if os.path.isdir(options.predict[0]):
        raise InputError(f'--torso: needs a single picture; {options.predict[0]} is a folder')
    if len(found) > 1:
        raise InputError(f'--torso: needs a single picture; --predict names {len(found)}')
    source = found[0]
    if source.path == STDIN or isinstance(source.path, int):
        return  # can be read only once
    # A picture that cannot be read is reported when its turn comes.
    with (
        contextlib.suppress(UnreadableMedia),
        contextlib.closing(frames.read(source)) as shown,
    ):
        prompts.check_inside(next(shown).image, options.torso, None, source.path)


def report_problem(message: object) -> None:
    """Prints one line about what failed, on standard error."""
    line = ' '.join(str(message).split())
    log('main.py: ' + line.encode(errors='backslashreplace').decode(), sys.stderr)
