"""PARE in PyTorch, written for these tests: what the converted network must compute, under the published names."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from tests.networks.torch_hrnet import TorchHrnet


def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class Backbone(TorchHrnet):
    """HRNet whose branches are joined at the finest."""

    def __init__(self, width):
        super().__init__(width, 24, multi_scale=True)
        for branch in (1, 2, 3):
            steps = []
            for _ in range(branch):
                steps += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)]
                steps += block(width * 2**branch, width * 2**branch)
            self.add_module(f"upsample_stage_{branch + 1}", nn.Sequential(*steps))

    def forward(self, images):
        branches = self.features(images)
        larger = [getattr(self, f"upsample_stage_{k + 1}")(branches[k]) for k in (1, 2, 3)]
        return torch.cat([branches[0], *larger], 1)


class PerPart(nn.Module):
    """A linear layer for each part, as weights of a locally connected convolution over a column."""

    def __init__(self, inputs, outputs, parts):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, parts, 1, 1))

    def forward(self, x):
        return torch.einsum("bcj,ocj->bjo", x, self.weight[0, :, :, :, 0, 0])


class Head(nn.Module):
    def __init__(self, inputs, filters, layers, features):
        super().__init__()
        widths = [inputs] + [filters] * layers
        for name in ("keypoint_deconv_layers", "smpl_deconv_layers"):
            steps = [part for a, b in itertools.pairwise(widths) for part in block(a, b)]
            self.add_module(name, nn.Sequential(*steps))
        self.keypoint_final_layer = nn.Conv2d(filters, 25, 1)
        self.smpl_final_layer = nn.Conv2d(filters, features, 1)
        self.pose_mlp = PerPart(filters, 6, 24)
        self.shape_mlp, self.cam_mlp = nn.Linear(24 * features, 10), nn.Linear(24 * features, 3)

    def forward(self, x):
        body = self.smpl_deconv_layers(x)
        maps = self.keypoint_final_layer(self.keypoint_deconv_layers(x))[:, 1:]
        weights = maps.flatten(2).softmax(-1)
        gathered = [
            torch.matmul(weights, y.flatten(2).transpose(1, 2)).transpose(1, 2)
            for y in (body, self.smpl_final_layer(body))
        ]
        flat = gathered[1].flatten(1)
        return self.pose_mlp(gathered[0]), self.shape_mlp(flat), self.cam_mlp(flat)


class TorchPare(nn.Module):
    def __init__(self, width, filters, layers, features):
        super().__init__()
        self.backbone = Backbone(width)
        self.head = Head(15 * width, filters, layers, features)

    def forward(self, images):
        return self.head(self.backbone(images))


def random_pare(width, filters, layers, features, *, seed=0):
    """A network with random weights and statistics."""
    torch.manual_seed(seed)
    network = TorchPare(width, filters, layers, features).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.4, 0.8)
                for values in (module.bias, module.running_mean):
                    values.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return network
