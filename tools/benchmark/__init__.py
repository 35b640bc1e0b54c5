"""The project's pieces timed against plain ones: python -m tools.benchmark."""
