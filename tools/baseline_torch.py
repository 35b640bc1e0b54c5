"""The part detector's training step in PyTorch: model.py's layers, loss and update; a baseline.

Random frames and targets stay in memory.  Channels last, which oneDNN likes.  Strides sample a
pixel earlier than TensorFlow's SAME, at the same cost.
"""

if __name__ == '__main__':
    # Not a script: baselines.py runs it.  Said here, since the imports below may fail.
    print(__doc__)
    raise SystemExit

import torch
from torch import nn
from torch.nn import functional

JOINTS = 9
CHANNELS = (1, 2, 4, 8, 8)  # of the layers, times the width
HEIGHT = 480
WIDTH = 720
STRIDE = 8
MAP = (HEIGHT // STRIDE, WIDTH // STRIDE)
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-3
CLIP_NORM = 4


class Layer(nn.Module):
    """Convolution, ReLU, batch norm."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return self.norm(torch.relu(self.conv(x)))


class PartDetector(nn.Module):
    """[n, 3, 480, 720] in 0..1 -> logits [n, 9, 60, 90]."""

    def __init__(self, width):
        super().__init__()
        channels = [width * factor for factor in CHANNELS]
        self.banks = nn.ModuleList(bank(channels) for _ in range(3))
        self.conv5 = Layer(channels[3], channels[4], 9)
        self.conv6 = nn.Conv2d(channels[4], JOINTS, 9, padding=4)

    def forward(self, image):
        maps = []
        for i, layers in enumerate(self.banks):
            x = layers(image)
            if i:
                x = functional.interpolate(x, scale_factor=2**i, mode='bilinear')
            maps.append(x[..., : MAP[0], : MAP[1]])
            image = functional.avg_pool2d(image, 2)
        return self.conv6(self.conv5(sum(maps) / len(maps)))


def bank(channels):
    """The layers of one resolution; channels: of the five layers."""
    return nn.Sequential(
        Layer(3, channels[0], 5, 2),
        nn.MaxPool2d(2, ceil_mode=True),
        Layer(channels[0], channels[1], 5),
        nn.MaxPool2d(2, ceil_mode=True),
        Layer(channels[1], channels[2], 5),
        Layer(channels[2], channels[3], 9),
    )


def training_step(width, batch_size, dtype):
    """A function that makes one update; dtype: 'float32' or 'bfloat16'."""
    torch.manual_seed(0)
    detector = PartDetector(width).to(memory_format=torch.channels_last).train()
    optimiser = optimiser_of(detector)
    images = torch.randint(0, 256, (batch_size, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)
    targets = torch.rand(batch_size, JOINTS, MAP[0] * MAP[1]).softmax(dim=-1)

    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == 'bfloat16'):
            logits = detector(images.float() / 255)
        logarithms = logits.float().flatten(2).log_softmax(dim=-1)
        loss = -(targets * logarithms).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), CLIP_NORM)
        optimiser.step()
        return loss.item()

    return step


def optimiser_of(detector):
    """Adam with weight decay of the convolutions' filters only."""
    weights = [module.weight for module in detector.modules() if isinstance(module, nn.Conv2d)]
    others = [p for p in detector.parameters() if not any(p is weight for weight in weights)]
    groups = [{'params': weights, 'weight_decay': WEIGHT_DECAY}, {'params': others}]
    return torch.optim.Adam(groups, lr=LEARNING_RATE)
