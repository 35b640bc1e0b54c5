"""Prediction on images and videos, export, and the Python interface."""
