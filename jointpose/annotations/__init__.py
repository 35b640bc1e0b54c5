"""Annotation files: COCO JSON, and what the readers of the data sets share."""
