"""Finished runs + items of one dataset -> Grad-CAM heat maps: what each network looked at when it decided.

Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", IJCV 128, 2020, as
the library captum computes it. Figure 5 of the paper.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from jaxtyping import Float32

from at_data.errors import ConfigError
from at_train import checkpoints, config, results, run_folder, scores
from at_train.batches import Data, Split, sequential_batches
from at_train.checkpoints import Facts
from at_train.networks import Network

FEW = 8  # items explained when none is named
SEARCHED = ("test", "valid", "train")  # splits in which a named item is looked for, in this order
NAME_LENGTH = 80  # of a file, of what an item's id gives it
OWN_UNIT = (0.0, 1.0)  # mean and deviation of values that are not scaled

Item = tuple[str, str]  # split and id


@dataclass(frozen=True)
class HeatMap:
    """What one network looked at in one item: `heat` has the item's own axes, is never negative and in its own unit.

    `role` is `orthogonal` for a run that another one given differs from or starts from, `baseline` for strategy none,
    the strategy otherwise. `truth` is the item's own value of the attribute that the network tells, None where the
    dataset does not know it.
    """

    run: str
    digest: str
    role: str
    target: str
    truth: str | None
    predicted: str
    probability: float
    layer: str
    heat: Float32[np.ndarray, "frames bins"]


def explain(
    runs: Sequence[Path],
    items: Sequence[str] | None,
    dataset: Path | None,
    layer: str | None,
    out: Path,
    device: str = "auto",
) -> list[Path]:
    """Files `<item>.npz` in `out`, one for each item, with its spectrogram and a heat map of every run.

    Each network explains the class that it predicts itself, at `layer`, or at its last convolution, and sees values
    scaled as in its own training. Items are named by their ids; without names they are the first test item of each
    class, of eight classes at most. They come from `dataset`, or else from the one on which the first run was trained
    that is not the orthogonal run of another.

    The map of a layer is stretched over the item by bilinear interpolation, as usual. Where pooling has dropped a rest
    of the frames or bins, it is stretched by that rest too much: by up to an eighth at the last convolution of VGG16.

    Raises
    ------
    ConfigError
        No runs, an unknown layer, an item that the dataset does not have.
    CheckpointError
        A folder that is no finished run, or a network that cannot see this dataset's items; `out` cannot be written.

    """
    if not runs:
        raise ConfigError("explain", "no run folders", "one or several", "name folders that `at-train fit` finished")
    place = scores.device_named(device)
    facts = [run_folder.read_finished(run) for run in runs]
    main = _main(facts)
    data = _data(runs[main], facts[main], dataset)
    chosen = _chosen(data, items)
    maps: dict[str, list[HeatMap]] = {item: [] for _, item in chosen}
    for run, said in zip(runs, facts, strict=True):
        for item, found in _of_run(run, said, _role(said, facts), data, chosen, layer, place):
            maps[item].append(found)
    written = []
    run_folder.refuse_within_dataset(out)
    with results.writing(out, "mend that, or choose another --out"):
        for split, item in chosen:
            written.append(out / f"{_name(item)}.npz")
            results.replace(written[-1], _packed(data, split, item, maps[item]))
    return written


def _main(facts: Sequence[dict[str, Any]]) -> int:
    """Place of the run whose dataset is looked at: the first that is not the orthogonal run of another."""
    return next((place for place, said in enumerate(facts) if _role(said, facts) != "orthogonal"), 0)


def _role(said: dict[str, Any], facts: Sequence[dict[str, Any]]) -> str:
    if any(other["digest"] == said["digest"] for run in facts for other in run["orthogonal"]):
        return "orthogonal"
    strategy = str(said["settings"]["strategy"])
    return "baseline" if strategy == "none" else strategy


def _data(run: Path, facts: dict[str, Any], dataset: Path | None) -> Data:
    """The dataset with its values in their own unit; CheckpointError where the one found is not the one trained on."""
    said = facts["dataset"]
    data = Data.open_as(dataset or scores.own_dataset(run, facts), said["target"], said["classes"], OWN_UNIT)
    if dataset is None:
        scores.refuse_other_data(run, data, facts)
    return data


def _chosen(data: Data, items: Sequence[str] | None) -> list[Item]:
    """Splits and ids of the items to explain, each once, in the order asked for or of their classes."""
    if items:
        return [_found(data, item) for item in dict.fromkeys(items)]
    test = data.splits.get("test")
    if test is None or not len(test):
        full = ", ".join(name for name, split in data.splits.items() if len(split))
        raise ConfigError(
            data.folder,
            f"no test items with a known {data.target}",
            "some to choose from",
            f"name items of {full or 'another dataset'} with --item",
        )
    firsts = np.sort(np.unique(test.target, return_index=True)[1][:FEW])
    return [("test", test.ids[place]) for place in firsts.tolist()]


def _found(data: Data, item: str) -> Item:
    there = [name for name in SEARCHED if name in data.splits and len(data.splits[name])]
    for name in there:
        if item in data.splits[name].ids:
            return name, item
    example = data.splits[there[0]].ids[0] if there else "none"
    raise ConfigError(
        data.folder,
        f"no item '{item}' with a known {data.target}",
        f"an id as in the run's scores/test.csv, such as {example}",
        "name an item that the dataset has",
    )


def _of_run(
    run: Path,
    said: dict[str, Any],
    role: str,
    data: Data,
    chosen: Sequence[Item],
    layer: str | None,
    device: torch.device,
) -> Iterator[tuple[str, HeatMap]]:
    """Ids and one run's heat maps of the chosen items."""
    path = checkpoints.selected(run, said["settings"]["selection"])
    checkpoint = checkpoints.load(path, said["digest"])
    seen = checkpoint.facts
    checkpoints.refuse_unlike(path, seen, Facts(**data.facts()))
    network = checkpoints.network(path, checkpoint).to(device)
    config.check_known("layer", layer := layer or list(network.layers)[-1], network.layers)
    scaled = Data.open_as(data.folder, data.target, data.classes, (seen.mean, seen.std))
    for name, item in chosen:
        one = _alone(scaled.splits[name], item)
        (batch,) = sequential_batches(one, 1, device)
        heat, probabilities = grad_cam(network, network.layers[layer], batch.values)
        best = int(probabilities[0].argmax())
        yield (
            item,
            HeatMap(
                said["name"],
                said["digest"],
                role,
                seen.target,
                _truth(scaled, one, seen.target),
                seen.classes[best],
                float(probabilities[0, best]),
                layer,
                heat[0].cpu().numpy(),
            ),
        )


def grad_cam(
    network: Network, module: str, values: Float32[torch.Tensor, "batch 1 frames bins"]
) -> tuple[Float32[torch.Tensor, "batch frames bins"], Float32[torch.Tensor, "batch classes"]]:
    """Heat maps of the classes that a network in eval mode predicts, and the probabilities of all classes.

    The gradient of the class' logit, averaged over the positions of the map that `module` returns, weighs its channels;
    what of their sum is above zero is stretched over the input.
    """
    with torch.no_grad():
        logits = network(values)
    cam = LayerGradCam(network, network.get_submodule(module))
    small = cam.attribute(values, target=logits.argmax(1), relu_attributions=True).detach()
    heat = LayerAttribution.interpolate(small, tuple(values.shape[2:]), "bilinear")
    return heat[:, 0], logits.float().softmax(1)


def _alone(split: Split, item: str) -> Split:
    """The split with one item left."""
    places = [split.ids.index(item)]
    return Split(split.reader, split.rows[places], split.target[places], {}, 0, split.gain, split.offset)


def _truth(data: Data, one: Split, attribute: str) -> str | None:
    """What the dataset says of the item."""
    if attribute not in data.header.attributes:
        return None
    code = int(one.reader.codes(attribute)[one.rows[0]])
    return data.header.attributes[attribute][code] if code >= 0 else None


def _packed(data: Data, split: str, item: str, maps: Sequence[HeatMap]) -> bytes:
    """The file of one item: `spectrogram` in its own unit, `heat` of every run, and `about` as JSON."""
    (batch,) = sequential_batches(_alone(data.splits[split], item), 1, torch.device("cpu"))
    manifest = data.header.manifest
    about = {
        "item": item,
        "split": split,
        "dataset": data.header.name,
        "content": data.header.content,
        "hop_s": manifest["stft"]["hop_s"],
        "highest_hz": manifest["audio"]["sample_rate_hz"] / 2,
        "maps": [{name: value for name, value in asdict(one).items() if name != "heat"} for one in maps],
    }
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        spectrogram=batch.values[0, 0].numpy(),
        heat=np.stack([one.heat for one in maps]),
        about=np.array(json.dumps(about, ensure_ascii=False)),
    )
    return packed.getvalue()


def _name(item: str) -> str:
    """File name of an item, another for every id."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", item).strip("._")[-NAME_LENGTH:]
    return f"{plain}-{hashlib.sha256(item.encode()).hexdigest()[:8]}"
