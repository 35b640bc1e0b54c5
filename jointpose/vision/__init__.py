"""Geometry, crops, heat maps and drawing, in NumPy and OpenCV."""
