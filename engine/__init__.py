"""The machinery that serves every system: it imports neither systems nor data sets."""
