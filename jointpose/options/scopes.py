"""Scopes: each option declares, where it is added, how later calls inherit it from a run.

    add(group, '--lr', type=float, scope='training')

The scope says whether a run's checkpoints store the option, who takes it from them when the command
line does not give it, and where it must not change:

    scope           stored   resume   evaluate   --init    must not change
    run             x        x        x                    in any call that restores the run
    network         x        x        x          x         in any call that restores the run
    input           x        x        x          x         when training resumes
    training        x        x        x                    when training resumes
    training_only   x        x                             when training resumes
    devices         x        x
    setting         x        x        x
    call

"setting" is the default.  An evaluation that changes an option of the scope "input" is told so.
"""

import argparse
from typing import Any, NamedTuple


class Scope(NamedTuple):
    """What happens to an option when a checkpoint of an earlier call is used."""

    stored: bool = True  # it is one of the settings that a checkpoint holds
    in_evaluation: bool = (
        True  # an evaluation takes it from the checkpoint, like a resumed training
    )
    inherited: bool = False  # --init takes it from the checkpoint
    fixed: bool = False  # no call that restores the run may change it
    fixed_in_training: bool = False  # a training that is resumed may not change it
    reported: bool = False  # an evaluation that changes it says so


SCOPES = {
    'run': Scope(fixed=True),
    'network': Scope(fixed=True, inherited=True),
    'input': Scope(fixed_in_training=True, inherited=True, reported=True),
    'training': Scope(fixed_in_training=True),
    'training_only': Scope(fixed_in_training=True, in_evaluation=False),
    'devices': Scope(in_evaluation=False),
    'setting': Scope(),
    'call': Scope(stored=False, in_evaluation=False),
}


def add(
    group: argparse._ActionsContainer,
    *flags: str,
    scope: str = 'setting',
    predict: bool | None = None,
    repeated: bool = False,
    **details: Any,
) -> argparse.Action:
    """Adds an option with its scope; `details` are those of argparse's add_argument.

    predict: True: it needs --predict; False: it excludes --predict; None: neither.
    repeated: the command that resumes a training repeats it.
    """
    action = group.add_argument(*flags, **details)
    vars(action).update(scope=SCOPES[scope], predict=predict, repeated=repeated)
    return action


def group(parser: argparse.ArgumentParser, title: str, description: str | None = None):
    """The parser's group of this title, made if need be: systems add to the groups of main.py."""
    for known in parser._action_groups:
        if known.title == title:
            return known
    return parser.add_argument_group(title, description)


def scopes_of(parser: argparse.ArgumentParser) -> dict[str, Scope]:
    """{option: its Scope} of all options of a parser."""
    return {
        action.dest: getattr(action, 'scope', SCOPES['setting'])
        for action in parser._actions
        if not isinstance(action, (argparse._HelpAction, argparse._VersionAction))
    }


def by_predict(parser: argparse.ArgumentParser, needed: bool) -> list[str]:
    """The options that need --predict, or that exclude it."""
    return [action.dest for action in parser._actions if getattr(action, 'predict', None) is needed]


def repeated_options(parser: argparse.ArgumentParser) -> list[str]:
    """The options that the command to resume a training repeats."""
    return [action.dest for action in parser._actions if getattr(action, 'repeated', False)]
