"""Metrics of predicted joints, in NumPy: detection rates, PCK, PCP, average precision; intervals and tables of them."""
