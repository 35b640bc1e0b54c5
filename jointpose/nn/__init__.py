"""Layers, FFT convolution and multi-scale inference, in TensorFlow."""
