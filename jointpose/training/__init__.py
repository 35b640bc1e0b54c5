"""Towers, trainer, checkpoints, options and TensorBoard."""
