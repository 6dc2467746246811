"""Accuracies that the paper published, in percent, by table, row, column and split.

Source: Guizzo, Weyde and Tarroni 2021, "Anti-transfer learning for task invariance in convolutional neural networks for
speech processing", Neural Networks 142, 238-251, https://doi.org/10.1016/j.neunet.2021.05.012, accepted version, tables
2 to 6. Rows of anti-transfer are single runs, their layer chosen by validation accuracy; those of strategies none and
init are means of about 20 and of 3 runs, as the authors' code says. It gives no interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Tasks = tuple[str, ...]  # targets of the orthogonal networks, in the order of their use
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Pretrained:
    """A row of table 2: one network that others are to differ from, or begin with."""

    dataset: str
    task: str
    classes: int
    hours: float
    train: float
    test: float


@dataclass(frozen=True)
class Table:
    """Table 3, 4 or 5: rows by strategy and orthogonal tasks, columns by dataset, numbers by split."""

    number: int
    task: str
    target: str
    columns: dict[str, str]
    rows: dict[tuple[str, Tasks], dict[str, Numbers]]


PRETRAINED = (
    Pretrained("Librispeech", "Speech", 1000, 100.0, 97.6, 91.8),
    Pretrained("IEMOCAP (1 sec)", "Speech Emotion", 4, 7.3, 85.6, 51.9),
    Pretrained("IEMOCAP (4 sec)", "Speaker", 5, 7.3, 99.8, 96.5),
    Pretrained("Good-Sounds", "Instrument", 12, 14.0, 100.0, 100.0),
    Pretrained("Nsynth", "Instrument", 11, 66.0, 98.1, 69.9),
    Pretrained("MS-SNSD", "Noise Type", 11, 20.0, 100.0, 99.8),
)
PRETRAINING = {  # our dataset and its target -> row of table 2
    ("librispeech_words", "word"): 0,
    ("iemocap_emotion_1s", "emotion"): 1,
    ("iemocap_session", "session"): 2,
    ("iemocap_speaker", "speaker"): 2,
    ("good_sounds_instrument", "instrument"): 3,
    ("nsynth_family", "family"): 4,
    ("ms_snsd_noise_type", "noise_type"): 5,
}
WORDS = Table(
    3,
    "word recognition",
    "word",
    {"gsc_words_clean": "None", "gsc_words_low_noise": "Low", "gsc_words_high_noise": "High"},
    {
        ("none", ()): {"train": (98.45, 97.94, 97.23), "test": (95.32, 93.67, 90.44)},
        ("init", ("noise_type",)): {"train": (98.33, 97.85, 96.34), "test": (94.83, 93.97, 90.51)},
        ("init", ("emotion",)): {"train": (98.67, 97.69, 97.36), "test": (95.40, 93.51, 90.35)},
        ("anti", ("noise_type",)): {"train": (99.57, 99.11, 98.42), "test": (95.70, 94.81, 90.99)},
        ("anti", ("emotion",)): {"train": (99.02, 99.09, 98.36), "test": (95.57, 94.91, 91.38)},
        ("dual", ("emotion", "noise_type")): {"train": (99.84, 99.49, 98.29), "test": (96.60, 94.91, 90.98)},
        ("dual", ("noise_type", "emotion")): {"train": (99.31, 99.17, 98.89), "test": (95.64, 95.20, 90.67)},
    },
)
EMOTION = Table(
    4,
    "speech emotion recognition",
    "emotion",
    {
        "iemocap_emotion_random": "Rand",
        "iemocap_emotion_by_session": "Speaker",
        "iemocap_emotion_by_speaker": "Speaker",
    },
    {
        ("none", ()): {"train": (69.0, 67.8), "test": (63.7, 57.2)},
        ("init", ("word",)): {"train": (66.9, 66.9), "test": (63.4, 59.2)},
        ("init", ("speaker",)): {"train": (70.7, 66.9), "test": (64.8, 58.5)},
        ("anti", ("word",)): {"train": (72.0, 68.6), "test": (66.9, 61.1)},
        ("anti", ("speaker",)): {"train": (75.5, 74.5), "test": (66.5, 61.3)},
    },
)
GOODNESS = Table(
    5,
    "sound goodness estimation",
    "goodness",
    {"good_sounds_goodness_random": "Rand", "good_sounds_goodness_by_instrument": "Instr"},
    {
        ("none", ()): {"train": (91.8, 42.2), "test": (83.8, 22.8)},
        ("init", ("family",)): {"train": (93.4, 40.5), "test": (84.7, 29.6)},
        ("init", ("instrument",)): {"train": (93.3, 42.3), "test": (84.9, 23.9)},
        ("anti", ("family",)): {"train": (96.8, 41.0), "test": (86.3, 30.0)},
        ("anti", ("instrument",)): {"train": (93.9, 36.4), "test": (85.7, 34.3)},
    },
)
TABLES = (WORDS, EMOTION, GOODNESS)
AGGREGATIONS = {  # table 6, by similarity and aggregation: train, valid, test
    "sigmoid_mse": {
        "mean": (68.2, 68.3, 63.9),
        "sum": (68.4, 68.2, 63.8),
        "compressed_product": (71.0, 67.5, 63.9),
        "max": (68.3, 66.3, 65.0),
        "gram": (76.3, 65.9, 65.8),
    },
    "squared_cosine": {
        "mean": (68.7, 66.1, 60.0),
        "sum": (69.5, 66.0, 60.0),
        "compressed_product": (70.4, 67.0, 63.1),
        "max": (76.7, 66.2, 66.7),
        "gram": (72.5, 68.7, 66.9),
    },
}
AGGREGATED_ON = ("iemocap_emotion_random", ("word",))  # dataset and orthogonal task of table 6
AVERAGE_GAIN = {"train": 2.35, "test": 4.11}  # section 4.3, in points; not what its tables give
SAME = {"session": "speaker"}  # what the paper calls speakers of IEMOCAP are its five sessions
AS_RELEASED = "_as_released"
HOURS = "Our hours are of the items of all splits, their padding included; the paper's are of recorded material."
NOTES_ON_PRETRAINED = {  # by dataset of table 2
    "IEMOCAP (4 sec)": "IEMOCAP: the paper's five speakers are its five sessions, of two actors each.",
    "Good-Sounds": "Good-Sounds: the public code of the paper's authors gave every item the same label, hence 100.0.",
}
NOTES = {
    4: "The paper's column Speaker keeps five sessions apart, of two speakers each: by_session is its dataset.",
    5: "The test set of the column Instr holds two instruments.",
    6: "The paper's Gram and squared cosine stand in its table 4 as 72.0 and 66.9.",
}


def text(table: int, number: float | None) -> str:
    """A published number with as many digits as its table gives."""
    return "-" if number is None else f"{number:.{2 if table == WORDS.number else 1}f}"


def plain(dataset: str) -> str:
    """Name under which a dataset stands in the tables, whichever variant of it this is."""
    base, _, part = dataset.removesuffix(AS_RELEASED).partition("_of_")
    return base if part in {"", "by_session", "by_speaker", "by_instrument"} else dataset


def pretrained(dataset: str, target: str) -> Pretrained | None:
    """Row of table 2 of the network that learns this target of this dataset, None for any other."""
    place = PRETRAINING.get((plain(dataset), target))
    return None if place is None else PRETRAINED[place]


def table_of(dataset: str, target: str) -> Table | None:
    """Table with a column for this dataset, learnt for this target; None for any other."""
    return next((table for table in TABLES if plain(dataset) in table.columns and target == table.target), None)


def published(dataset: str, target: str, strategy: str, tasks: Sequence[str], split: str) -> float | None:
    """Accuracy in percent that tables 3 to 5 give for a strategy with these orthogonal tasks; None if they do not."""
    table = table_of(dataset, target)
    row = table.rows.get((strategy, tuple(SAME.get(task, task) for task in tasks))) if table else None
    if table is None or row is None or split not in row:
        return None
    names = list(dict.fromkeys(table.columns.values()))
    return row[split][names.index(table.columns[plain(dataset)])]


def aggregated(dataset: str, tasks: Sequence[str], similarity: str, aggregation: str, split: str) -> float | None:
    """Accuracy in percent that table 6 gives for a similarity and an aggregation; None where it has none."""
    if (plain(dataset), tuple(tasks)) != AGGREGATED_ON or split not in {"train", "valid", "test"}:
        return None
    row = AGGREGATIONS.get(similarity, {}).get(aggregation)
    return row[("train", "valid", "test").index(split)] if row else None


def mean_best_gain() -> float:
    """Mean in points, over the seven columns of tables 3 to 5, of the best test accuracy less the baseline's."""
    gains = []
    for table in TABLES:
        best = np.max(
            [row["test"] for (strategy, _), row in table.rows.items() if strategy in {"anti", "dual"}], axis=0
        )
        gains += list(best - np.array(table.rows["none", ()]["test"]))
    return float(np.mean(gains))
