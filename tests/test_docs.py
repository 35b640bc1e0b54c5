"""README and docs/: what they link to exists, and what they tell people to type is understood."""

import glob
import importlib
import os
import re
import shlex
import sys

import extending
import pytest
from conftest import ROOT

from jointpose import run_options, systems
from jointpose.options import options as command_line
from jointpose.utils import cli

PAGES = sorted(
    os.path.relpath(path, ROOT)
    for pattern in ('README.md', 'docs/*.md', 'report/**/*.md', 'pretrained/*/*.md')
    for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)
)


def text_of(page):
    with open(os.path.join(ROOT, page), encoding='utf-8') as file:
        return file.read()


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r'\]\(([^)]+)\)', text_of(page))
    assert len(links) > 9 or page != 'README.md'  # else the pattern finds none anywhere
    for link in links:
        if not link.startswith('http'):
            path, _, heading = link.partition('#')
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            assert os.path.exists(os.path.join(ROOT, target)), link
            headings = (
                [
                    re.sub(r'[^a-z0-9 -]', '', line.strip('# ').lower()).replace(' ', '-')
                    for line in text_of(target).splitlines()
                    if line.startswith('#')
                ]
                if heading
                else ['']
            )
            assert heading in headings, link


@pytest.fixture
def small_system(tmp_path):
    """The system of docs/extending.md."""
    with extending.system_file(tmp_path, 'small', extending.example()):
        yield


@pytest.mark.parametrize('page', PAGES)
def test_commands_are_understood(page, monkeypatch, small_system):
    """Every call of main.py: its options are known and go together; --restore and --predict name what is there."""
    monkeypatch.chdir(ROOT)
    lines = re.findall(r'python main\.py ([^`;&|#\n]+)', text_of(page))
    assert len(lines) > 5 or page != 'README.md'  # else the pattern finds none anywhere
    for line in lines:
        words = shlex.split(line)
        if any(word.startswith(('...', 'RUN', 'models_ex')) or '/RUN' in word for word in words):
            continue  # a place to be filled in
        system = systems.load(run_options.resolve_system(systems.names(), words))
        options, _ = command_line.parse(system, systems.names(), words)
        for place in (options.restore, options.init):
            assert place is None or not place.startswith('pretrained') or os.path.isdir(place), line
        assert all(
            path == 'picture.jpg' or os.path.exists(path) for path in options.predict or ()
        ), line


SCRIPTS = {
    'show': 'evaluation.visualize',
    'export': 'inference.export',
}  # names of others: jointpose.NAME


class Understood(Exception):
    """A script's parser has taken its words."""


def only_parse(parser, arguments=None, parse=cli.Parser.parse_args):
    for action in parser._actions:
        action.required = False  # a place may be filled in elsewhere
    parse(parser, arguments)
    raise Understood


def script_of(name):
    """The module that `python -m name` runs."""
    module = importlib.import_module(name)
    is_package = hasattr(module, '__path__')
    return importlib.import_module(f'{name}.__main__') if is_package else module


@pytest.mark.parametrize('page', PAGES)
def test_commands_of_the_other_scripts_are_understood(page, monkeypatch):
    monkeypatch.setattr(cli.Parser, 'parse_args', only_parse)
    found = re.findall(
        r'python (?:-m (tools\.[a-z_]+)|((?!main)[a-z_]+)\.py)([^`;&|#>\n]*)', text_of(page)
    )
    assert len(found) > 3 or page != 'README.md'
    for tool, script, words in found:
        monkeypatch.setattr(
            sys, 'argv', ['', *(word for word in shlex.split(words) if word != '...')]
        )
        with pytest.raises(Understood):
            script_of(tool or 'jointpose.' + SCRIPTS.get(script, script)).main()


def test_targets_of_make_are_there():
    targets = set(re.findall(r'^([a-z-]+):', text_of('Makefile'), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r'`make ([a-z-]+)`', text_of(page))}
    assert {'demo', 'test'} < named <= targets
