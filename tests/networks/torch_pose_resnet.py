"""The network of pose-hg-3d in PyTorch, written for these tests: what converted weights must compute."""

from __future__ import annotations

import torch
from torch import nn

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    """Residual block of two or three convolutions; the stride is in the 3x3, of two in the first."""

    def __init__(self, inputs, width, stride, *, bottleneck):
        super().__init__()
        wide = 4 * width if bottleneck else width
        steps = [(width, 1, 1), (width, 3, stride), (wide, 1, 1)]
        self.steps = steps if bottleneck else [(width, 3, stride), (width, 3, 1)]
        channels = inputs
        for number, (outputs, kernel, step) in enumerate(self.steps, 1):
            convolution = nn.Conv2d(channels, outputs, kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
            channels = outputs
        self.downsample = None
        if stride != 1 or inputs != wide:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, wide, 1, stride, bias=False), nn.BatchNorm2d(wide)
            )

    def forward(self, x):
        y = x
        for number in range(1, len(self.steps) + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = y.relu() if number < len(self.steps) else y
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class TorchPoseResnet(nn.Module):
    """Maps {head: (B, J, H/4, W/4)} of normalised images (B, 3, H, W)."""

    def __init__(self, depth, heads):
        super().__init__()
        bottleneck, inputs = depth >= 50, 64
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for level, count in enumerate(BLOCKS[depth]):
            width, chain = 64 * 2**level, []
            for index in range(count):
                stride = 2 if level and not index else 1
                chain.append(Block(inputs, width, stride, bottleneck=bottleneck))
                inputs = 4 * width if bottleneck else width
            self.add_module(f"layer{level + 1}", nn.Sequential(*chain))
        steps = []
        for channels in (inputs, 256, 256):
            steps += [
                nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False),
                nn.BatchNorm2d(256),
                nn.ReLU(),
            ]
        self.deconv_layers = nn.Sequential(*steps)
        for name, joints in heads.items():
            self.add_module(name, nn.Conv2d(256, joints, 1))
        self.names = tuple(heads)

    def forward(self, images):
        x = self.maxpool(self.bn1(self.conv1(images)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.deconv_layers(x)
        return {name: getattr(self, name)(x) for name in self.names}


def random_network(depth, heads):
    """A network with random weights and statistics, whose maps are of the order of 1."""
    torch.manual_seed(0)
    network = TorchPoseResnet(depth, heads).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                fan_in = module.weight[0].numel()
                if isinstance(module, nn.ConvTranspose2d):
                    fan_in = module.weight.shape[0] * 4  # of 16 taps every output cell sees 4
                module.weight.normal_(0, (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_()
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.4, 0.8)
                for values in (module.bias, module.running_mean):
                    values.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return network
