"""HRNet in PyTorch, written for these tests: what the converted network must compute, under the published names."""

from __future__ import annotations

import torch
from torch import nn

MODULES = {2: 1, 3: 4, 4: 3}


class Sum(nn.Module):
    """Residual block: a chain of convolutions beside a shortcut."""

    def __init__(self, inputs, sizes, shortcut=None):
        super().__init__()
        self.depth = len(sizes)
        for number, (kernel, outputs) in enumerate(sizes, 1):
            convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
            inputs = outputs
        self.downsample = shortcut

    def forward(self, x):
        y = x
        for number in range(1, self.depth + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.depth:
                y = y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


def unit(inputs, outputs, kernel=3, stride=1, relu=True):
    parts = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([nn.ReLU()] if relu else []))


class Exchange(nn.Module):
    """One module of a stage: four blocks per branch, then the sums across branches."""

    def __init__(self, widths, outputs):
        super().__init__()
        chains = [nn.Sequential(*(Sum(w, [(3, w), (3, w)]) for _ in range(4))) for w in widths]
        self.branches = nn.ModuleList(chains)
        rows = [
            nn.ModuleList([self.path(widths, source, target) for source in range(len(widths))])
            for target in range(outputs)
        ]
        self.fuse_layers = nn.ModuleList(rows)

    @staticmethod
    def path(widths, source, target):
        if source == target:
            return nn.Identity()
        if source > target:
            down = unit(widths[source], widths[target], kernel=1, relu=False)
            return nn.Sequential(*down, nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"))
        steps = [unit(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, unit(widths[source], widths[target], stride=2, relu=False))

    def forward(self, branches):
        own = [chain(x) for chain, x in zip(self.branches, branches, strict=True)]
        return [sum(path(x) for path, x in zip(row, own, strict=True)).relu() for row in self.fuse_layers]


class TorchHrnet(nn.Module):
    """Heat maps (B, J, H/4, W/4) of normalised images (B, 3, H, W)."""

    def __init__(self, width, joints, *, multi_scale=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        sizes = [(1, 64), (3, 64), (1, 256)]
        first = Sum(64, sizes, unit(64, 256, kernel=1, relu=False))
        self.layer1 = nn.Sequential(first, *(Sum(256, sizes) for _ in range(3)))
        widths = [width]
        self.transition1 = nn.ModuleList([unit(256, width), nn.Sequential(unit(256, 2 * width, stride=2))])
        for stage, modules in MODULES.items():
            if stage > 2:
                new = nn.Sequential(unit(widths[-1], 2 * widths[-1], stride=2))
                kept = [nn.Identity() for _ in widths]
                self.add_module(f"transition{stage - 1}", nn.ModuleList([*kept, new]))
            widths.append(2 * widths[-1])
            outputs = [stage] * (modules - 1) + [1 if stage == 4 and not multi_scale else stage]
            chain = nn.Sequential(*(Exchange(tuple(widths), count) for count in outputs))
            self.add_module(f"stage{stage}", chain)
        self.final_layer = nn.Conv2d(width, joints, 1)

    def features(self, images):
        x = self.bn2(self.conv2(self.bn1(self.conv1(images)).relu())).relu()
        x = self.layer1(x)
        branches = self.stage2([step(x) for step in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        return self.stage4([*branches, self.transition3[-1](branches[-1])])

    def forward(self, images):
        return self.final_layer(self.features(images)[0])


def random_hrnet(width, joints, *, seed=0, multi_scale=False):
    """A network with random weights and statistics, whose heat maps are of the order of 1."""
    torch.manual_seed(seed)
    network = TorchHrnet(width, joints, multi_scale=multi_scale).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_()
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.4, 0.8)
                for values in (module.bias, module.running_mean):
                    values.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        network.final_layer.weight *= 0.005
    return network
