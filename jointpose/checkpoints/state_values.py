"""What the values in a checkpoint's state.json must be: a checksum does not show who wrote them.

A value's form is one of

    a type             a value of just that type (true is no whole number)
    range              a whole number in it
    (form, form)       a value of one of these forms
    [form]             a list of values of the form
    {name: form}       an object that has at least these values
    {ANY: form}        an object whose values all have the form
"""

from typing import Any

ANY = None
NULL = type(None)
COUNT = range(2**63)
NUMBER = (int, float)
NEEDED = {'step': COUNT, 'settings': dict, 'code': str, 'files': {ANY: str}}
FORMS = {
    **NEEDED,
    'time': NUMBER,
    'data_id': str,
    'weights_only': bool,
    'epochs_logged': COUNT,
    'bad_steps': COUNT,
    'best': (NULL, {'step': COUNT, 'rate': NUMBER}),
    'spent': (NULL, {'samples': NUMBER, 'seconds': NUMBER, 'cpu_seconds': NUMBER}),
    'sums': (NULL, {ANY: (*NUMBER, [NUMBER])}),
}


def fault(state: dict) -> str:
    """What is wrong with the content of a state.json, in words; '' if nothing is."""
    for name in NEEDED:
        if name not in state:
            return f'has no `{name}`'
    for name, form in FORMS.items():
        if name in state and not has_form(state[name], form):
            return f'`{name}` cannot be {state[name]!r:.60}'
    return ''


def has_form(value: Any, form: Any) -> bool:
    """Whether a value read from JSON has a form."""
    if isinstance(form, tuple):
        return any(has_form(value, one) for one in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(has_form(item, form[0]) for item in value)
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return False
        if ANY in form:
            return all(has_form(item, form[ANY]) for item in value.values())
        return all(name in value and has_form(value[name], one) for name, one in form.items())
    if isinstance(form, range):
        return type(value) is int and value in form
    return type(value) is form
