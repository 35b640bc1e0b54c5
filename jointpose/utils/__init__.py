"""Helpers for every room: command line, errors, log lines, files, folders, progress."""
