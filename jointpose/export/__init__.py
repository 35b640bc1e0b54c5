"""Exported networks: the frozen graph, SavedModel and ONNX files, the messages of the joint model."""
