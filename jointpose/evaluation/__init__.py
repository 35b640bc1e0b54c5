"""Metrics, predictions and their tables."""
