"""Every network offers what the others use; VGG16 is the published one."""

import pytest
import torch

from at_data.errors import ConfigError
from at_train import arithmetic, networks
from at_train.memory_formula import map_shapes

SHAPES = {"words": (126, 129), "emotions": (501, 129), "smallest": (32, 32)}
NARROW = 1 / 16


def conv(channels_in, channels_out):
    return [(channels_out, channels_in, 3, 3), (channels_out,)]


# Configuration D with one input channel: weight and bias of each layer in order, written out by hand.
VGG16_SHAPES = [
    *conv(1, 64),
    *conv(64, 64),
    *conv(64, 128),
    *conv(128, 128),
    *conv(128, 256),
    *conv(256, 256),
    *conv(256, 256),
    *conv(256, 512),
    *conv(512, 512),
    *conv(512, 512),
    *conv(512, 512),
    *conv(512, 512),
    *conv(512, 512),
    *[(4096, 25088), (4096,)],
    *[(4096, 4096), (4096,)],
    *[(10, 4096), (10,)],
]

# Channels, frames and bins after each convolution for one second of 16 kHz sound (a pooling after 2, 4, 7 and 10).
VGG16_MAPS = {
    "conv1": (64, 126, 129),
    "conv2": (64, 126, 129),
    "conv3": (128, 63, 64),
    "conv4": (128, 63, 64),
    "conv5": (256, 31, 32),
    "conv6": (256, 31, 32),
    "conv7": (256, 31, 32),
    "conv8": (512, 15, 16),
    "conv9": (512, 15, 16),
    "conv10": (512, 15, 16),
    "conv11": (512, 7, 8),
    "conv12": (512, 7, 8),
    "conv13": (512, 7, 8),
}


def maps_of(network, x):
    """Logits and the output of every named layer, by layer name, in the order the pass reached them."""
    maps = {}
    handles = [
        network.get_submodule(path).register_forward_hook(lambda _m, _i, output, name=name: maps.update({name: output}))
        for name, path in network.layers.items()
    ]
    logits = network(x)
    for handle in handles:
        handle.remove()
    return logits, maps


@pytest.fixture(params=networks.names())
def name(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_logits_have_one_column_per_class(name, shape):
    network = networks.build(name, 7, shape, NARROW)
    assert network(torch.randn(2, 1, *shape)).shape == (2, 7)


def test_layers_are_reached_in_order_and_are_maps_after_a_relu(name):
    network = networks.build(name, 3, (40, 40), NARROW).eval()
    _, maps = maps_of(network, torch.randn(2, 1, 40, 40))
    assert list(maps) == list(network.layers)
    for layer in maps.values():
        assert layer.dim() == 4
        assert layer.min() == 0
        assert layer.max() > 0


def test_a_part_makes_the_maps_of_the_whole_and_holds_nothing_deeper(name):
    network = networks.build(name, 3, (40, 40), NARROW).eval()
    x = torch.randn(2, 1, 40, 40)
    _, maps = maps_of(network, x)
    for layer, path in network.layers.items():
        part = network.until([next(iter(network.layers)), layer])
        found = []
        part.get_submodule(path).register_forward_hook(lambda _m, _i, output, found=found: found.append(output.clone()))
        part(x)
        assert torch.equal(found[0], maps[layer])
        assert {id(weight) for weight in part.parameters()} <= {id(weight) for weight in network.parameters()}
        part.get_submodule(path)._forward_hooks.clear()


def test_of_vgg16_nine_tenths_of_the_weights_are_no_part_of_a_layer():
    with torch.device("meta"):
        network = networks.build("vgg16", 10, (126, 129))
    part = network.until(["conv13", "conv5"])
    assert sum(w.numel() for w in part.parameters()) == sum(w.numel() for w in network.features.parameters())
    names = [name for name, _ in network.until(["conv5"]).features.named_children()]
    assert names[-1] == "conv5"


def test_layers_keep_their_maps_when_the_pass_is_over(name):
    network = networks.build(name, 3, (40, 40), NARROW).eval()
    copies = {}
    for layer, path in network.layers.items():
        hook = lambda _m, _i, output, layer=layer: copies.update({layer: output.clone()})  # noqa: E731
        network.get_submodule(path).register_forward_hook(hook)
    _, maps = maps_of(network, torch.randn(2, 1, 40, 40))
    for layer, copy in copies.items():
        torch.testing.assert_close(maps[layer], copy, rtol=0, atol=0)


class OnMac(torch.Tensor):
    """A tensor that is said to be on MPS and computed on the CPU."""

    @property
    def device(self):
        return torch.device("mps")


@pytest.mark.parametrize("shape", [*SHAPES.values(), (224, 230), (300, 70)])
def test_a_mac_pools_maps_of_any_size_to_the_numbers_of_a_cpu(shape, monkeypatch):
    network = networks.build("vgg16", 3, shape, NARROW).double().eval()
    x = torch.randn(2, 1, *shape, dtype=torch.float64)
    gradients = []
    for kind in (torch.Tensor, OnMac):
        if kind is OnMac:
            monkeypatch.setattr(torch.nn.AdaptiveAvgPool2d, "forward", None)  # MPS refuses most sizes
        network.zero_grad()
        network(x.as_subclass(kind)).square().sum().backward()
        gradients.append([torch.Tensor(weight.grad) for weight in network.parameters()])
    torch.testing.assert_close(*gradients)


def test_on_a_mac_weights_keep_the_usual_layout(monkeypatch):
    layouts = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, _, memory_format: layouts.append(memory_format) or self)
    for kind in ("cpu", "cuda", "mps"):
        arithmetic.laid_out(torch.nn.ReLU(), torch.device(kind))
    assert layouts == [torch.channels_last, torch.channels_last, torch.contiguous_format]


def test_convolutions_hold_the_weights_of_every_layer(name):
    network = networks.build(name, 3, (40, 40), NARROW)
    modules = network.convolutions()
    assert list(modules) == list(network.layers)
    shapes = map_shapes(networks.outline(name, 3, (40, 40), NARROW), 40, 40)
    assert [len(next(module.parameters())) for module in modules.values()] == [shapes[layer][0] for layer in modules]
    weights = [id(weight) for module in modules.values() for weight in module.parameters()]
    assert len(weights) == len(set(weights)) > 0
    assert set(weights) <= {id(weight) for weight in network.parameters()}


def test_every_weight_has_a_gradient(name):
    network = networks.build(name, 3, (40, 40), NARROW).eval()
    network(torch.randn(2, 1, 40, 40)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def test_the_same_seed_builds_the_same_network(name):
    pairs = []
    for _ in range(2):
        torch.manual_seed(3)
        pairs.append(networks.build(name, 3, (40, 40), NARROW).state_dict())
    assert all(torch.equal(pairs[0][key], pairs[1][key]) for key in pairs[0])


def test_unknown_network_is_answered_with_the_known():
    with pytest.raises(ConfigError, match=r"unknown name 'vgg61'.*vgg16"):
        networks.build("vgg61", 10, (126, 129))


@pytest.mark.parametrize(
    ("classes", "shape", "width", "message"),
    [
        (0, (64, 64), 1.0, "classes"),
        (2, (64, 64), 0.0, "width"),
        (2, (64, 64), 1e6, "width: got 1000000.0, a network that cannot be made"),
        (2, (31, 64), 1.0, "31 frames x 64 bins"),
    ],
)
def test_impossible_sizes_are_refused(name, classes, shape, width, message):
    with pytest.raises(ConfigError, match=message), torch.device("meta"):
        networks.build(name, classes, shape, width)


@pytest.mark.parametrize("classes", [1, 4, 10, 1000])
def test_vgg16_has_the_published_number_of_parameters(classes):
    with torch.device("meta"):
        network = networks.build("vgg16", classes, (126, 129))
    assert sum(weight.numel() for weight in network.parameters()) == 134_259_392 + 4_097 * classes
    assert sum(weight.numel() for weight in network.features.parameters()) == 14_713_536


def test_vgg16_has_the_shapes_of_configuration_d():
    with torch.device("meta"):
        network = networks.build("vgg16", 10, (126, 129))
    assert [tuple(weight.shape) for weight in network.parameters()] == VGG16_SHAPES
    dropouts = [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts == [0.5, 0.5]


def test_vgg16_pools_after_convolutions_2_4_7_10_and_13():
    with torch.device("meta"):
        network = networks.build("vgg16", 10, (126, 129)).eval()
        _, maps = maps_of(network, torch.empty(1, 1, 126, 129))
    assert {layer: tuple(output.shape[1:]) for layer, output in maps.items()} == VGG16_MAPS


def test_vgg16_initialises_every_layer_alike():
    torch.manual_seed(0)
    network = networks.build("vgg16", 10, (126, 129), 1 / 4)
    for weight in network.parameters():
        if weight.dim() == 1:
            assert not weight.any()
        elif weight.numel() > 1000:
            fan_out = weight.shape[0] * 9
            expected = (2 / fan_out) ** 0.5 if weight.dim() == 4 else 0.01
            assert weight.std().item() == pytest.approx(expected, rel=0.1)


def test_width_scales_channels_and_hidden_units_but_never_to_nothing():
    with torch.device("meta"):
        half = networks.build("vgg16", 10, (126, 129), 0.5)
        least = networks.build("vgg16", 10, (126, 129), 1e-6)
    assert half.convolutions()["conv13"].out_channels == 256
    assert half.classifier[3].out_features == 2048
    assert {module.out_channels for module in least.convolutions().values()} == {1}
