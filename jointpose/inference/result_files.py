"""The files that --predict writes; a user's own file of the same name is never replaced.

Each file bears MARK: a JPEG as a comment, a video in a box of its own, poses.json in its head,
coco_results.json in its first person.  A file without it is a user's.
"""

import contextlib
import json
import os
import re
import time
from typing import Any

import numpy as np

from jointpose.inference import result_entries
from jointpose.inference.result_entries import Entry
from jointpose.media.sources import Source
from jointpose.utils import files, folders, outputs
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision import image_files

POSES = 'poses.json'
RESULTS = 'coco_results.json'
OURS = r'(?s:.+)_pose\.(jpg|mp4)|(?s:.+)_maps\.jpg|poses\.json|coco_results\.json'
MARK = result_entries.MARK.encode()
EMPTY = 2  # bytes of a coco_results.json without people: []
WRITING_SHARE = 0.02  # of the time, at most, for writing the documents


# --- files of earlier calls -----------------------------------------------------------------------


def check_ours(path: str) -> None:
    """Raises InputError if there is a file that --predict did not write."""
    try:
        ours = outputs.has_mark(path, MARK) or os.path.getsize(path) == EMPTY
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror}') from error
    if not ours:
        raise InputError(f'{path}: exists and is not from an earlier --predict; it is kept')


def write_image(path: str, image: np.ndarray) -> None:
    """Writes an RGB image; InputError if a user's file is in the way."""
    check_ours(path)
    image_files.write_image(path, image, MARK)


def remove_stale(out: str, source: Source) -> None:
    """Removes what an earlier call wrote about a source; InputError names a file in the way."""
    names = [f'{source.name}_{ending}' for ending in ('pose.jpg', 'maps.jpg', 'pose.mp4')]
    if source.is_video:
        frame = re.compile(re.escape(source.name) + r'_\d{6,}_(pose|maps)\.jpg')
        names += [name for name in os.listdir(out) if frame.fullmatch(name)]
    for name in names:
        path = os.path.join(out, name)
        try:
            if os.path.lexists(path):
                check_ours(path)
                os.unlink(path)
        except OSError as error:
            raise InputError(f'{path}: cannot be removed: {error.strerror}') from error


def remove_partials(out: str) -> None:
    """Removes files that killed processes left half-written."""
    for path in folders.stale_partials(out, OURS):
        with contextlib.suppress(OSError):
            os.unlink(path)


# --- the documents --------------------------------------------------------------------------------


class ResultFiles:
    """poses.json and coco_results.json of one folder, as they grow.

    Both are rewritten after a picture, but writing takes at most WRITING_SHARE of the time.  So a
    process that is killed loses the last pictures at most, and a long video is not rewritten for
    each of its frames.

    head: info and categories of poses.json.
    image_ids: {file_name of a picture: its id}; other pictures are numbered from 1.
    """

    def __init__(self, out: str, head: dict[str, Any], image_ids: dict[str, int] | None = None):
        self.poses_path = os.path.join(out, POSES)
        self.results_path = os.path.join(out, RESULTS)
        check_ours(self.poses_path)
        check_ours(self.results_path)
        self.replaced = describe_poses(self.poses_path)
        remove_partials(out)
        self.document = {
            'info': head['info'],
            'images': [],
            'categories': head['categories'],
            'annotations': [],
        }
        self.image_ids = image_ids or {}
        # JSON of each entry, which is encoded once.
        self.image_lines = []
        self.annotation_lines = []
        self.result_lines = []
        self.next_write = 0.0  # by time.monotonic

    def add(self, image: Entry, people: list[Entry]) -> None:
        """Adds a picture, without its id, and its people, as result_entries.annotation has them."""
        images = self.document['images']
        image_id = self.image_ids.get(image['file_name'], len(images) + 1)
        images.append({'id': image_id, **image})
        self.image_lines.append(json.dumps(images[-1]))
        for person in people:
            self._add_person(image_id, person)
        if time.monotonic() >= self.next_write:
            self.write()

    def _add_person(self, image_id, person):
        keypoints = person.pop('guesses')
        annotations = self.document['annotations']
        ids = {'image_id': image_id, 'category_id': 1}
        annotations.append({'id': len(annotations) + 1, **ids, **person})
        self.annotation_lines.append(json.dumps(annotations[-1]))
        mark = {} if self.result_lines else {'description': result_entries.MARK}
        result = {**mark, **ids, 'keypoints': keypoints, 'score': person['score']}
        self.result_lines.append(json.dumps(result))

    def write(self) -> None:
        """Writes both files, each atomically."""
        began = time.monotonic()
        parts = {
            'info': json.dumps(self.document['info'], indent=1),
            'images': json_list(self.image_lines),
            'categories': json.dumps(self.document['categories']),
            'annotations': json_list(self.annotation_lines),
        }
        poses = ',\n'.join(f'"{name}": {text}' for name, text in parts.items())
        write_text(self.poses_path, f'{{{poses}}}\n')
        write_text(self.results_path, json_list(self.result_lines))
        ended = time.monotonic()
        self.next_write = ended + (ended - began) / WRITING_SHARE


def write_text(path: str, text: str) -> None:
    """Writes a text file atomically."""
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.write(text)


def describe_poses(path: str) -> str:
    """What an earlier poses.json holds, in words; '' if there is none that can be read."""
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError),
        open(path, encoding='utf-8') as file,
    ):
        document = json.load(file)
        n = len(document['images'])
        return f'of {counted(n, "picture")} by {document["info"]["checkpoint"]}'
    return ''


def json_list(lines: list[str]) -> str:
    """JSON of a list, an entry a line."""
    return '[' + ',\n'.join(lines) + ']'
