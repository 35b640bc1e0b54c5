"""What a run of the benchmark found: its tables, and lines of JSON to keep."""

import json
import math
import time
from typing import TextIO

from jointpose.checkpoints import checkpoint
from jointpose.nn import tiling
from jointpose.utils.tables import markdown
from tools.benchmark.table import GROWTH_HEADER, HEADER, Growth, Row, cells, growth_cells, note

# Instruction sets that decide how fast a step is, by their names in /proc/cpuinfo.
TELLING = ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')


class Results:
    """Rows as they are measured.  file: open, takes a line for each; or None."""

    def __init__(self, file: TextIO | None):
        self.file = file
        self.rows = []
        self.growths = []
        self.peak = math.nan

    def begin(self, peak: float) -> None:
        """Notes the machine.  peak: operations a second of a matrix product, or NaN."""
        self.peak = peak
        self.write(machine(peak))

    def add(self, row: Row | Growth) -> None:
        """Takes a row, shows it and writes its line."""
        if isinstance(row, Growth):
            self.growths.append(growth_cells(row))
            note(' | '.join(self.growths[-1]))
        else:
            self.rows.append(cells(row, self.peak))
            note(' | '.join(self.rows[-1]))
        self.write(as_record(row))

    def write(self, record: dict) -> None:
        """Adds a line to the file, if there is one."""
        if self.file:
            self.file.write(json.dumps(record) + '\n')
            self.file.flush()

    def print_tables(self) -> None:
        """Prints the peak and both tables, those that have rows."""
        if not math.isnan(self.peak):
            print(f'Matmul peak: {self.peak / 1e9:.0f} GFLOP/s')
        for header, body in ((HEADER, self.rows), (GROWTH_HEADER, self.growths)):
            if body:
                print(f'\n{markdown(header, body, left=2)}')


def machine(peak: float) -> dict:
    """What the rows that follow were measured on, and by which code."""
    flags = tiling.processor_flags()
    return {
        'machine': tiling.machine_name(),
        'instructions': [name for name in TELLING if name in flags],
        'peak_gflop_per_s': None if math.isnan(peak) else round(peak / 1e9, 1),
        'code': checkpoint.code_version(),
        'date': time.strftime('%Y-%m-%d'),
    }


def as_record(row: Row | Growth) -> dict:
    """A row for JSON: seconds by wall clock and of the processor, medians over the runs."""
    return {
        name: value._asdict() if hasattr(value, '_asdict') else value
        for name, value in row._asdict().items()
    }
