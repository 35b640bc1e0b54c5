"""Geometry, augmentation, crops, heat maps and drawing, in NumPy and OpenCV."""
