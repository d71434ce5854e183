"""HEMlets in PyTorch, written for these tests: what the converted network must compute, by published names."""

from __future__ import annotations

import torch
from torch import nn

JOINTS, MAPS, ENCODED = 18, 60, 256
BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, downsample):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        if downsample:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return (self.bn3(self.conv3(y)) + shortcut).relu()


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for level, count in enumerate(BLOCKS):
            width, blocks = 64 * 2**level, []
            for index in range(count):
                stride = 2 if level and not index else 1
                blocks.append(Bottleneck(inputs, width, stride, downsample=not index))
                inputs = 4 * width
            self.add_module(f"layer{level + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for level in range(1, 5):
            x = getattr(self, f"layer{level}")(x)
        return x


class Branch(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        steps = []
        for inputs in (2048, width, width):
            deconvolution = nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False)
            steps += [deconvolution, nn.BatchNorm2d(width), nn.ReLU()]
        self.conv_body = nn.Sequential(*steps)
        self.conv_tail = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x):
        return self.conv_tail(self.conv_body(x))


class Network(nn.Module):
    """Returns joints (B, 18, 3) and maps (B, 60, C, C) of normalised pictures (B, 3, S, S)."""

    def __init__(self, branch, features, cells):
        super().__init__()
        self.cells = cells
        self.backbone = Backbone()
        self.conv_feature, self.conv_FBI = Branch(branch, features), Branch(branch, MAPS)
        self.FBI_encoder = nn.Sequential(
            nn.Conv2d(MAPS, ENCODED, 3, padding=1), nn.BatchNorm2d(ENCODED), nn.ReLU()
        )
        self.conv_tail = nn.Sequential(
            nn.Conv2d(features + ENCODED, features, 1),
            nn.BatchNorm2d(features),
            nn.ReLU(),
            nn.Conv2d(features, JOINTS * cells, 1),
        )

    def forward(self, x):
        x = self.backbone(x)
        maps = self.conv_FBI(x)
        volume = self.conv_tail(torch.cat([self.conv_feature(x), self.FBI_encoder(maps)], dim=1))
        share = volume.flatten(1).unflatten(1, (JOINTS, -1)).softmax(dim=2)
        share = share.unflatten(2, (self.cells, *volume.shape[2:]))
        grids = torch.meshgrid(*(torch.linspace(-0.5, 0.5, n) for n in share.shape[2:]), indexing="ij")
        joints = torch.stack([(share * place).sum(dim=(2, 3, 4)) for place in reversed(grids)], dim=-1)
        return joints, maps
