"""The small convolutional transforms inside the networks."""

from collections import OrderedDict

from torch import nn


def convolution_stack(channels: int, features: int, layers: int = 3) -> nn.Sequential:
    """3 x 3 convolutions without bias, ReLU between them: channels -> features -> ... -> channels.

    Without bias the stack is positively homogeneous: stack(c x) = c stack(x) for c > 0.
    """
    widths = [channels, *[features] * (layers - 1), channels]
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in range(layers):
        if layer > 0:
            modules[f"relu{layer - 1}"] = nn.ReLU()
        modules[f"conv{layer}"] = nn.Conv2d(widths[layer], widths[layer + 1], kernel_size=3, padding=1, bias=False)
    return nn.Sequential(modules)
