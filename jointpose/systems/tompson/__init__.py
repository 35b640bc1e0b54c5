"""Tompson, Jain, LeCun and Bregler, NIPS 2014: part detector and spatial model, trained jointly."""

from jointpose.systems.tompson.system import Tompson

__all__ = ['Tompson']
