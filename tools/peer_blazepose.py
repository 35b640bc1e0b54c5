"""BlazePose on crops, for peers.py, in TensorFlow Lite on one thread.

    python peer_blazepose.py MODEL.tflite < crops > answers

A crop is 256 x 256 x 3 bytes, RGB.  For each one, 195 float32 are written: x, y, z (in pixels of
the crop), visibility and presence, both before the sigmoid, of 39 landmarks; then a float32, the
processor seconds that this took.
"""

import argparse
import sys
import time

import numpy as np

SIZE = 256


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='file of the landmark network')
    model = parser.parse_args().model
    from ai_edge_litert.interpreter import Interpreter  # in the environment of peers.py alone

    network = Interpreter(model, num_threads=1)
    network.allocate_tensors()
    taken = network.get_input_details()[0]['index']
    landmarks = network.get_output_details()[0]['index']
    crop = bytes(SIZE * SIZE * 3)
    began = None  # the first call is not counted
    while len(crop) == SIZE * SIZE * 3:
        pixels = np.frombuffer(crop, np.uint8).reshape(1, SIZE, SIZE, 3)
        network.set_tensor(taken, pixels.astype(np.float32) / 255)
        network.invoke()
        found = network.get_tensor(landmarks)
        if began is not None:
            answer = np.append(found, time.process_time() - began).astype(np.float32)
            sys.stdout.buffer.write(answer.tobytes())
            sys.stdout.buffer.flush()
        crop = sys.stdin.buffer.read(SIZE * SIZE * 3)
        began = time.process_time()


if __name__ == '__main__':
    main()
