"""The scripts of an installed package.

jointpose main --restore pretrained/flic --predict picture.jpg     as  python main.py ...
python -m jointpose evaluate predictions.mat                       as  python evaluate.py ...
"""

import runpy
import sys

SCRIPTS = {
    'data': 'jointpose.data',
    'pairwise_distr': 'jointpose.pairwise_distr',
    'main': 'jointpose.main',
    'evaluate': 'jointpose.evaluate',
    'show': 'jointpose.evaluation.visualize',
    'export': 'jointpose.inference.export',
}


def run():
    """Runs the script that the first argument names; the other arguments are the script's own."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(f'{__doc__}\nScripts: {", ".join(SCRIPTS)}.  Each has --help.')
        return
    if name not in SCRIPTS:
        sys.exit(f'jointpose: error: {name!r} is none of the scripts {", ".join(SCRIPTS)}')
    sys.argv = [f'{name}.py', *sys.argv[2:]]
    runpy.run_module(SCRIPTS[name], run_name='__main__')


if __name__ == '__main__':
    run()
