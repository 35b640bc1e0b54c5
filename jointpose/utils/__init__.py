"""Helpers for every package: command line, errors, log lines, files, folders, progress."""
