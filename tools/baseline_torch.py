"""The part detector's training step in PyTorch, a side of benchmark.py: model.py's layers, loss and update.

Random frames and targets that stay in memory; channels last, which oneDNN likes; strides sample a pixel earlier than
TensorFlow's SAME, at the same cost.
"""

if __name__ == '__main__':
    # Not a script: baselines.py runs it.  Said here, since the imports below may fail.
    print(__doc__)
    raise SystemExit

import torch
from torch import nn
from torch.nn import functional

JOINTS, CHANNELS = 9, (1, 2, 4, 8, 8)  # of the layers, times the width
HEIGHT, WIDTH, STRIDE = 480, 720, 8


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
        f1, f2, f3, f4, f5 = (width * factor for factor in CHANNELS)
        pool = nn.MaxPool2d(2, ceil_mode=True)
        self.banks = nn.ModuleList(
            nn.Sequential(
                Layer(3, f1, 5, 2), pool, Layer(f1, f2, 5), pool, Layer(f2, f3, 5), Layer(f3, f4, 9)
            )
            for _ in range(3)
        )
        self.conv5, self.conv6 = Layer(f4, f5, 9), nn.Conv2d(f5, JOINTS, 9, padding=4)

    def forward(self, image):
        maps = []
        for i, bank in enumerate(self.banks):
            x = bank(image)
            if i:
                x = functional.interpolate(x, scale_factor=2**i, mode='bilinear')
            maps.append(x[..., : HEIGHT // STRIDE, : WIDTH // STRIDE])
            image = functional.avg_pool2d(image, 2)
        return self.conv6(self.conv5(sum(maps) / len(maps)))


def training_step(width, batch_size, dtype):
    """A function that makes one update."""
    torch.manual_seed(0)
    detector = PartDetector(width).to(memory_format=torch.channels_last).train()
    convolutions = [module for module in detector.modules() if isinstance(module, nn.Conv2d)]
    weights = [conv.weight for conv in convolutions]
    others = [p for p in detector.parameters() if not any(p is weight for weight in weights)]
    optimiser = torch.optim.Adam(
        [{'params': weights, 'weight_decay': 1e-3}, {'params': others}], lr=1e-3
    )
    images = torch.randint(0, 256, (batch_size, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)
    targets = torch.rand(batch_size, JOINTS, HEIGHT // STRIDE * (WIDTH // STRIDE)).softmax(dim=-1)

    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == 'bfloat16'):
            logits = detector(images.float() / 255)
        loss = -(targets * logits.float().flatten(2).log_softmax(dim=-1)).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), 4)
        optimiser.step()
        return loss.item()

    return step
